//! The cursor of a list over all servers: each server's own cursor, sealed.
//!
//! A cursor authenticates nobody (architecture, property 4): it is bound to the principal it was given to and the list it came
//! from, and is worth nothing to another.

use std::collections::BTreeMap;

use bytes::Bytes;
use sekisho_identity::{Bond, PrincipalKey, Seals};
use sekisho_wire::json::{Limits, Object};
use sekisho_wire::{Json, ListKind, ServerId};

/// Where each server's page ended.
pub(crate) type Ends = BTreeMap<ServerId, Box<str>>;

/// Seals where the pages of a list of `kind` ended, for one principal. None if nothing goes on.
///
/// A server whose own cursor is too long is left out: its list ends here, and no other's does.
pub(crate) fn seal(seals: &Seals, who: PrincipalKey, kind: ListKind, ends: &[(ServerId, Box<str>)]) -> Option<String> {
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
    seals.seal(bond(who, &[kind.method().as_str().as_bytes()]), text.bytes())
}

/// Opens a cursor that was sealed for this principal and kind; none for any other text.
pub(crate) fn open(seals: &Seals, who: PrincipalKey, kind: ListKind, cursor: &str) -> Option<Ends> {
    let opened = seals.open(bond(who, &[kind.method().as_str().as_bytes()]), cursor, SEALED_CHARS_MAX)?;
    let text = Json::decode(Bytes::from(opened.text), &SEALED_TEXT).ok()?;
    text.members().map(|(server, end)| Some((ServerId::parse(&server).ok()?, end.string()?.into()))).collect()
}

fn bond<'a>(who: PrincipalKey, of: &'a [&'a [u8]]) -> Bond<'a> {
    Bond { purpose: "list cursor", who, of }
}

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

    fn alice() -> PrincipalKey {
        PrincipalKey::of("issuer", "alice", "client")
    }

    fn bob() -> PrincipalKey {
        PrincipalKey::of("issuer", "bob", "client")
    }

    fn ends(of: &[(&str, &str)]) -> Vec<(ServerId, Box<str>)> {
        of.iter().map(|(server, end)| (ServerId::parse(server).expect("a server name"), (*end).into())).collect()
    }

    fn sealed(seals: &Seals) -> String {
        let ends = ends(&[("a", ""), ("b", "page \"2\" \u{0} メ")]);
        seal(seals, alice(), ListKind::Tools, &ends).expect("something goes on")
    }

    #[test]
    fn a_cursor_comes_back_as_it_was() {
        let seals = Seals::new().expect("randomness");
        let opened = open(&seals, alice(), ListKind::Tools, &sealed(&seals));
        let expected = ends(&[("a", ""), ("b", "page \"2\" \u{0} メ")]).into_iter().collect();
        assert_eq!(opened, Some(expected));
        assert_eq!(seal(&seals, alice(), ListKind::Tools, &[]), None, "nothing goes on");
    }

    #[test]
    fn a_cursor_of_another_principal_list_or_process_is_refused() {
        let seals = Seals::new().expect("randomness");
        let sealed = sealed(&seals);
        assert_eq!(open(&seals, bob(), ListKind::Tools, &sealed), None);
        for kind in [ListKind::Prompts, ListKind::Resources, ListKind::Templates] {
            assert_eq!(open(&seals, alice(), kind, &sealed), None);
        }
        let other_process = Seals::new().expect("randomness");
        assert_eq!(open(&other_process, alice(), ListKind::Tools, &sealed), None);
    }

    #[test]
    fn a_servers_cursor_is_sealed_up_to_the_bound_and_past_it_left_out_alone() {
        let seals = Seals::new().expect("randomness");
        // The worst text: each byte takes six when it is escaped.
        let longest = "\u{1}".repeat(END_BYTES_MAX);
        let sealed = seal(&seals, alice(), ListKind::Tools, &ends(&[("a", &longest)])).expect("fits");
        assert_eq!(
            open(&seals, alice(), ListKind::Tools, &sealed),
            Some(ends(&[("a", &longest)]).into_iter().collect())
        );
        let too_long = format!("{longest}x");
        assert_eq!(seal(&seals, alice(), ListKind::Tools, &ends(&[("a", &too_long)])), None);
        let three = [("a", &*too_long), ("b", "2"), ("c", &longest)];
        let sealed = seal(&seals, alice(), ListKind::Tools, &ends(&three)).expect("b and c fit");
        let opened = open(&seals, alice(), ListKind::Tools, &sealed);
        assert_eq!(opened, Some(ends(&[("b", "2"), ("c", &longest)]).into_iter().collect()));
    }

    #[test]
    fn the_longest_cursors_of_64_servers_fit_and_of_65_none_takes_anothers_room() {
        let seals = Seals::new().expect("randomness");
        let of = |count: usize, short: &str| -> Vec<(ServerId, Box<str>)> {
            let longest = "\u{1}".repeat(END_BYTES_MAX);
            let end = |number: usize| if number == count - 1 { short } else { &longest };
            (0..count).flat_map(|number| ends(&[(&format!("s{number}"), end(number))])).collect()
        };
        let opened = |ends: &[(ServerId, Box<str>)]| {
            let sealed = seal(&seals, alice(), ListKind::Tools, ends).expect("goes on");
            open(&seals, alice(), ListKind::Tools, &sealed).expect("her own")
        };
        assert_eq!(opened(&of(64, &"\u{1}".repeat(END_BYTES_MAX))).len(), 64);
        let last = opened(&of(65, "page 2"));
        assert_eq!(last, ends(&[("s64", "page 2")]).into_iter().collect());
    }
}
