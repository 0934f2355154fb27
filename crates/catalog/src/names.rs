//! What things of a server are called at the door of all servers. At the door of one server names are untouched.
//!
//! An exposed name follows from the server's name and the thing's own alone, so that adding a server renames nothing.

use std::borrow::Cow;

use aws_lc_rs::digest::{SHA256, digest};
use sekisho_wire::{Endpoint, ServerId};

/// What the URI (or URI template) of a server is called at `endpoint`: at the door of all servers `sekisho+<server>:` stands
/// before it, so that the way back is exact.
#[must_use]
pub fn exposed_uri(endpoint: &Endpoint, server: &ServerId, uri: &str) -> String {
    match endpoint {
        // RFC 3986 section 3.1: a scheme may have letters, digits, `+`, `-` and `.`; a server's name has no others.
        Endpoint::All => format!("{SCHEME}{server}:{uri}"),
        Endpoint::One(_) => uri.to_owned(),
    }
}

/// The server and its own URI behind a URI of the door of all servers.
pub(crate) fn original_uri(exposed: &str) -> Option<(ServerId, &str)> {
    let (server, uri) = exposed.strip_prefix(SCHEME)?.split_once(':')?;
    Some((ServerId::parse(server).ok()?, uri))
}

/// What a tool or prompt is called at the door of all servers: `<server>__<name>`, at most 64 characters of `A-Za-z0-9_-`,
/// which every model's tool interface takes. Where the name must be bent for that, a part of its digest tells it from others.
pub fn exposed_name(server: &ServerId, name: &str) -> String {
    let plain = plain(name);
    let prefix_chars = server.as_str().len() + SEPARATOR.len();
    if plain == name && prefix_chars + name.len() <= NAME_CHARS_MAX {
        return format!("{server}{SEPARATOR}{name}");
    }
    let room = NAME_CHARS_MAX - prefix_chars - MARK_CHARS;
    let kept: String = plain.chars().take(room).collect();
    format!("{server}{SEPARATOR}{kept}-{}", mark(name))
}

/// The server that an exposed name belongs to. A server's name has no underscore, so that it splits in one way only.
pub(crate) fn server_of(exposed: &str) -> Option<ServerId> {
    ServerId::parse(exposed.split_once(SEPARATOR)?.0).ok()
}

fn plain(name: &str) -> Cow<'_, str> {
    let fits = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
    if name.chars().all(fits) { name.into() } else { name.replace(|char| !fits(char), "_").into() }
}

fn mark(name: &str) -> String {
    digest(&SHA256, name.as_bytes()).as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

const SCHEME: &str = "sekisho+";
const SEPARATOR: &str = "__";
/// The longest tool name that common model interfaces take.
const NAME_CHARS_MAX: usize = 64;
/// A hyphen and eight hexadecimal digits.
const MARK_CHARS: usize = 9;
// The longest server name leaves room for a part of the name.
const _: () = assert!(ServerId::CHARS_MAX + SEPARATOR.len() + MARK_CHARS < NAME_CHARS_MAX);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(name: &str) -> ServerId {
        ServerId::parse(name).expect("a server name")
    }

    #[test]
    fn a_name_that_fits_is_only_prefixed() {
        assert_eq!(exposed_name(&id("notes"), "add_note"), "notes__add_note");
        assert_eq!(exposed_name(&id("notes"), "_x"), "notes___x");
        assert_eq!(server_of("notes___x"), Some(id("notes")));
        let just_fits = "x".repeat(57);
        assert_eq!(exposed_name(&id("notes"), &just_fits).len(), 64);
        assert!(exposed_name(&id("notes"), &just_fits).ends_with("xx"));
    }

    #[test]
    fn a_name_that_is_bent_carries_a_part_of_its_digest() {
        let dotted = exposed_name(&id("notes"), "add.note");
        let spaced = exposed_name(&id("notes"), "add note");
        assert!(dotted.starts_with("notes__add_note-") && dotted.len() == "notes__add_note-".len() + 8);
        assert_ne!(dotted, spaced);
        let long = exposed_name(&id("notes"), &"x".repeat(58));
        assert_eq!(long.len(), 64);
        assert!(!long.ends_with("xx"));
    }

    #[test]
    fn what_has_not_the_form_leads_to_no_server() {
        for name in ["notes", "notes_x", "__x", "No__x", "a b__x", ""] {
            assert_eq!(server_of(name), None, "{name}");
        }
        for uri in ["file:///x", "sekisho+notes", "sekisho+:x", "sekisho+No:x", "SEKISHO+notes:x", "sekisho:notes:x"] {
            assert_eq!(original_uri(uri), None, "{uri}");
        }
    }

    proptest! {
        #[test]
        fn an_exposed_name_is_of_the_common_alphabet_and_leads_to_its_server(
            server in "[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?",
            name in "\\PC{0,80}",
        ) {
            let exposed = exposed_name(&id(&server), &name);
            prop_assert!(exposed.len() <= 64);
            prop_assert!(exposed.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
            prop_assert_eq!(server_of(&exposed), Some(id(&server)));
        }

        #[test]
        fn uris_come_back_exactly(server in "[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?", uri in "\\PC{0,80}") {
            let exposed = exposed_uri(&Endpoint::All, &id(&server), &uri);
            prop_assert_eq!(original_uri(&exposed), Some((id(&server), uri.as_str())));
            let at_one = exposed_uri(&Endpoint::One(id(&server)), &id(&server), &uri);
            prop_assert_eq!(at_one, uri);
        }

        #[test]
        fn names_that_differ_are_exposed_differently(one in "[a-z. ]{0,40}", other in "[a-z. ]{0,40}") {
            prop_assume!(one != other);
            prop_assert_ne!(exposed_name(&id("s"), &one), exposed_name(&id("s"), &other));
        }
    }
}
