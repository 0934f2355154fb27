//! Texts of findings, and the search for characters that a reader does not see.

use sekisho_wire::Json;
use sekisho_wire::text::{is_plainly_visible, visible};

/// `text` made visible and cut to `chars_max` characters.
pub(crate) fn brief(text: &str, chars_max: usize) -> Box<str> {
    // Whoever sends megabytes of property names must not have them all mapped first.
    let head: String = text.chars().take(chars_max).collect();
    let cut = head.len() < text.len();
    let mut shown: String = visible(&head).chars().take(chars_max).collect();
    if cut {
        shown.push('…');
    }
    shown.into()
}

/// Whether any string value or member name below `json` has hidden characters.
pub(crate) fn hides(json: &Json) -> bool {
    if is_plainly_visible(json) {
        return false;
    }
    let mut found = false;
    // A walk over the values on their bytes; nothing is changed, so what comes out is what went in.
    let _ = json.map_strings(&mut |text| {
        found = found || hidden(text);
        None
    });
    found || hidden_name(json, DEPTH_MAX)
}

fn hidden(text: &str) -> bool {
    visible(text) != text
}

fn hidden_name(json: &Json, depth_left: usize) -> bool {
    let Some(left) = depth_left.checked_sub(1) else { return true };
    json.members().any(|(name, value)| hidden(&name) || hidden_name(&value, left))
        || json.elements().any(|element| hidden_name(&element, left))
}

/// Deeper than any message is let in; beyond it something hides for certain.
const DEPTH_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use sekisho_wire::json::Limits;

    fn json(text: &str) -> Json {
        Json::decode(Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).unwrap()
    }

    #[test]
    fn hidden_characters_are_found_in_values_and_names_alike() {
        assert!(!hides(&json(r#"{"a":["plain",{"b":"日本語 👩🏽‍💻"}],"c":1}"#)));
        assert!(hides(&json("{\"a\":[1,{\"b\":\"x\u{e0041}\"}]}")));
        assert!(hides(&json(r#"{"a":"x\u202ey"}"#)));
        assert!(hides(&json("{\"a\":{\"pass\u{200b}word\":1}}")));
    }

    #[test]
    fn texts_of_findings_are_cut_and_visible() {
        assert_eq!(&*brief("short", 10), "short");
        assert_eq!(&*brief("a\u{202e}", 10), "a\\u{202e}");
        assert_eq!(&*brief("0123456789ab", 10), "0123456789…");
    }
}
