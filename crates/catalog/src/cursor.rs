//! The cursor of a list over all servers: each server's own cursor, sealed.
//!
//! A cursor authenticates nobody (architecture, property 4): it is bound to the principal it was given to and the list it came
//! from, and is worth nothing to another.

use std::collections::BTreeMap;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use sekisho_wire::json::{Limits, Object};
use sekisho_wire::{Json, ListKind, ServerId};

/// Where each server's page ended.
pub(crate) type Ends = BTreeMap<ServerId, Box<str>>;

/// Seals and opens cursors with a key of this process: a cursor ends with it.
#[derive(Debug)]
pub(crate) struct Cursors {
    key: RandomizedNonceKey,
}

impl Cursors {
    pub(crate) fn new() -> Result<Cursors, Unspecified> {
        let mut key = [0; 32];
        rand::fill(&mut key)?;
        Ok(Cursors { key: RandomizedNonceKey::new(&AES_256_GCM, &key)? })
    }

    /// Seals where the pages of a list of `kind` ended, for one principal. None if nothing goes on.
    ///
    /// `who`: the principal's key. A server whose own cursor is too long is left out: its list ends here, and no other's does.
    pub(crate) fn seal(&self, who: &[u8; 32], kind: ListKind, ends: &[(ServerId, Box<str>)]) -> Option<String> {
        // An equal share for each, whatever the others say.
        let bytes_max = ENDS_BYTES_MAX.checked_div(ends.len()).unwrap_or(0).min(END_BYTES_MAX);
        let mut fitting = Ends::new();
        for (server, cursor) in ends {
            if cursor.len() <= bytes_max {
                fitting.insert(server.clone(), cursor.clone());
            } else {
                tracing::warn!(%server, bytes = cursor.len(), bytes_max, "a server's cursor is too long, its list is cut");
            }
        }
        if fitting.is_empty() {
            return None;
        }
        let text = fitting.iter().fold(Object::new(), |text, (server, end)| text.text(server.as_str(), end)).finish();
        let mut sealed = text.bytes().to_vec();
        // Fails only without randomness or past 2^32 seals; then the list ends here.
        let nonce = self.key.seal_in_place_append_tag(bound_to(who, kind), &mut sealed).ok()?;
        let sealed = [nonce.as_ref().as_slice(), &sealed].concat();
        Some(BASE64_URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens a cursor that was sealed for this principal and kind; none for any other text.
    pub(crate) fn open(&self, who: &[u8; 32], kind: ListKind, cursor: &str) -> Option<Ends> {
        if cursor.len() > SEALED_CHARS_MAX {
            return None;
        }
        let mut sealed = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (nonce, sealed) = sealed.split_first_chunk_mut::<NONCE_LEN>()?;
        let nonce = Nonce::from(&*nonce);
        let text = self.key.open_in_place(nonce, bound_to(who, kind), sealed).ok()?;
        let text = Json::decode(Bytes::copy_from_slice(text), &SEALED_TEXT).ok()?;
        text.members().map(|(server, end)| Some((ServerId::parse(&server).ok()?, end.string()?.into()))).collect()
    }
}

fn bound_to(who: &[u8; 32], kind: ListKind) -> Aad<Vec<u8>> {
    Aad::from([PURPOSE, kind.method().as_str().as_bytes(), b"\0", who].concat())
}

const PURPOSE: &[u8] = b"sekisho list cursor 1\0";
/// Longest cursor of one server, in bytes.
const END_BYTES_MAX: usize = 4 * 1024;
/// Most bytes of all servers' cursors together: room for the longest ones of 64 servers. Sealed, it is still below what a client
/// may send.
const ENDS_BYTES_MAX: usize = 64 * END_BYTES_MAX;
/// Longest sealed cursor: every byte of a server's cursor may have to be escaped (six for one), and Base64 takes four
/// characters for three bytes.
const SEALED_CHARS_MAX: usize = (ENDS_BYTES_MAX * 6 + 512 * 1024) / 3 * 4;
const SEALED_TEXT: Limits = Limits { bytes_max: SEALED_CHARS_MAX, depth_max: 1, nodes_max: 100_000 };

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: [u8; 32] = [1; 32];
    const BOB: [u8; 32] = [2; 32];

    fn ends(of: &[(&str, &str)]) -> Vec<(ServerId, Box<str>)> {
        of.iter().map(|(server, end)| (ServerId::parse(server).expect("a server name"), (*end).into())).collect()
    }

    fn sealed(cursors: &Cursors) -> String {
        let ends = ends(&[("a", ""), ("b", "page \"2\" \u{0} メ")]);
        cursors.seal(&ALICE, ListKind::Tools, &ends).expect("something goes on")
    }

    #[test]
    fn a_cursor_comes_back_as_it_was() {
        let cursors = Cursors::new().expect("randomness");
        let opened = cursors.open(&ALICE, ListKind::Tools, &sealed(&cursors));
        let expected = ends(&[("a", ""), ("b", "page \"2\" \u{0} メ")]).into_iter().collect();
        assert_eq!(opened, Some(expected));
        assert_eq!(cursors.seal(&ALICE, ListKind::Tools, &[]), None, "nothing goes on");
    }

    #[test]
    fn a_cursor_of_another_principal_list_or_process_is_refused() {
        let cursors = Cursors::new().expect("randomness");
        let sealed = sealed(&cursors);
        assert_eq!(cursors.open(&BOB, ListKind::Tools, &sealed), None);
        for kind in [ListKind::Prompts, ListKind::Resources, ListKind::Templates] {
            assert_eq!(cursors.open(&ALICE, kind, &sealed), None);
        }
        let other_process = Cursors::new().expect("randomness");
        assert_eq!(other_process.open(&ALICE, ListKind::Tools, &sealed), None);
    }

    #[test]
    fn a_cursor_that_was_changed_or_made_up_is_refused() {
        let cursors = Cursors::new().expect("randomness");
        let sealed = sealed(&cursors);
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&sealed).expect("Base64");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let changed = BASE64_URL_SAFE_NO_PAD.encode(changed);
            assert_eq!(cursors.open(&ALICE, ListKind::Tools, &changed), None, "byte {at}");
        }
        for made_up in [
            "",
            "AAAA",
            "page2",
            "{}",
            &sealed.chars().skip(1).collect::<String>(),
            &format!("{sealed}="),
            &"A".repeat(SEALED_CHARS_MAX + 1),
        ] {
            assert_eq!(cursors.open(&ALICE, ListKind::Tools, made_up), None);
        }
    }

    #[test]
    fn a_servers_cursor_is_sealed_up_to_the_bound_and_past_it_left_out_alone() {
        let cursors = Cursors::new().expect("randomness");
        // The worst text: each byte takes six when it is escaped.
        let longest = "\u{1}".repeat(END_BYTES_MAX);
        let sealed = cursors.seal(&ALICE, ListKind::Tools, &ends(&[("a", &longest)])).expect("fits");
        assert_eq!(
            cursors.open(&ALICE, ListKind::Tools, &sealed),
            Some(ends(&[("a", &longest)]).into_iter().collect())
        );
        let too_long = format!("{longest}x");
        assert_eq!(cursors.seal(&ALICE, ListKind::Tools, &ends(&[("a", &too_long)])), None);
        let three = [("a", &*too_long), ("b", "2"), ("c", &longest)];
        let sealed = cursors.seal(&ALICE, ListKind::Tools, &ends(&three)).expect("b and c fit");
        let opened = cursors.open(&ALICE, ListKind::Tools, &sealed);
        assert_eq!(opened, Some(ends(&[("b", "2"), ("c", &longest)]).into_iter().collect()));
    }

    #[test]
    fn the_longest_cursors_of_64_servers_fit_and_of_65_none_takes_anothers_room() {
        let cursors = Cursors::new().expect("randomness");
        let of = |count: usize, short: &str| -> Vec<(ServerId, Box<str>)> {
            let longest = "\u{1}".repeat(END_BYTES_MAX);
            let end = |number: usize| if number == count - 1 { short } else { &longest };
            (0..count).flat_map(|number| ends(&[(&format!("s{number}"), end(number))])).collect()
        };
        let opened = |ends: &[(ServerId, Box<str>)]| {
            let sealed = cursors.seal(&ALICE, ListKind::Tools, ends).expect("goes on");
            cursors.open(&ALICE, ListKind::Tools, &sealed).expect("her own")
        };
        assert_eq!(opened(&of(64, &"\u{1}".repeat(END_BYTES_MAX))).len(), 64);
        let last = opened(&of(65, "page 2"));
        assert_eq!(last, ends(&[("s64", "page 2")]).into_iter().collect());
    }

    #[test]
    fn two_seals_of_one_text_differ() {
        let cursors = Cursors::new().expect("randomness");
        assert_ne!(sealed(&cursors), sealed(&cursors));
    }
}
