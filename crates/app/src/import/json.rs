//! JSON as clients write it: comments and commas behind the last member are let pass, and stay.
//!
//! They are blanked out byte by byte, so that the one parser of this product reads the rest, and every place stays where it was.

use std::ops::Range;

use bytes::Bytes;
use sekisho_wire::Json;
use sekisho_wire::json::{DecodeError, Kind, Limits};

use super::tree::{Member, Node, Style, Value};

/// Reads a text.
///
/// # Errors
/// What is wrong, and in which line.
pub(crate) fn read(text: &str) -> Result<Node, String> {
    let blanked = Bytes::from(blank(text)?);
    let json = Json::decode(blanked.clone(), &LIMITS).map_err(|error| told(text, &error))?;
    Ok(node(&json, &blanked))
}

fn told(text: &str, error: &DecodeError) -> String {
    let what = match error {
        DecodeError::DuplicateKey { .. } => "a key stands twice in one object",
        DecodeError::TooDeep { .. } | DecodeError::TooMany { .. } | DecodeError::TooLong { .. } => "it is too large",
        DecodeError::Surrogate { .. } => "a character is written in half",
        DecodeError::Utf8 { .. } | DecodeError::Syntax { .. } | DecodeError::Trailing { .. } => "it is no JSON",
    };
    let line = |at: usize| text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count().saturating_add(1);
    error.at().map_or_else(|| what.to_owned(), |at| format!("{what} (line {})", line(at)))
}

fn node(json: &Json, all: &Bytes) -> Node {
    let start = json.bytes().as_ptr().addr().saturating_sub(all.as_ptr().addr());
    let value = match json.kind() {
        Kind::Null => Value::Null,
        Kind::Boolean => Value::Bool(json.boolean() == Some(true)),
        Kind::Number => Value::Number(json.as_str().to_owned()),
        Kind::String => Value::Text(json.string().unwrap_or_default().into_owned()),
        Kind::Array => Value::List(json.elements().map(|element| node(&element, all)).collect()),
        Kind::Object => Value::Map(
            json.members()
                .map(|(key, member)| {
                    let node = node(&member, all);
                    Member { key: key.into_owned(), key_at: key_before(all, node.at.start), node }
                })
                .collect(),
        ),
    };
    Node { value, at: start..start.saturating_add(json.bytes().len()), style: Style::Plain }
}

/// Where the key is whose value starts at `value`. Inside of a key a quotation mark has an odd number of backslashes before it.
fn key_before(all: &[u8], value: usize) -> Range<usize> {
    let before = all.get(..value).unwrap_or_default();
    let end = before.iter().rposition(|byte| *byte == b'"').unwrap_or_default();
    let mut start = end;
    while let Some(at) = all.get(..start).and_then(|before| before.iter().rposition(|byte| *byte == b'"')) {
        start = at;
        let slashes = all.get(..at).unwrap_or_default().iter().rev().take_while(|byte| **byte == b'\\').count();
        if slashes.is_multiple_of(2) {
            break;
        }
    }
    start..end.saturating_add(1)
}

/// The text without comments, and without a comma that nothing follows; both are blanks, and line ends stay.
fn blank(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = text.as_bytes().to_vec();
    let mut at = 0_usize;
    // The last byte that was neither blank nor comment, and where the last comma after a value is.
    let (mut last, mut comma) = (b'[', None);
    while let Some(&byte) = bytes.get(at) {
        match (byte, bytes.get(at.saturating_add(1))) {
            (b'"', _) => {
                at = end_of_string(&bytes, at);
                last = b'"';
                comma = None;
                continue;
            }
            (b'/', Some(b'/')) => {
                let end = bytes.iter().skip(at).position(|byte| *byte == b'\n');
                let end = end.map_or(bytes.len(), |length| at.saturating_add(length));
                wipe(&mut bytes, at..end);
                at = end;
                continue;
            }
            (b'/', Some(b'*')) => {
                let body = bytes.get(at.saturating_add(2)..).unwrap_or_default();
                let length = body.windows(2).position(|pair| pair == b"*/").ok_or("a comment has no end")?;
                let end = at.saturating_add(length).saturating_add(4);
                wipe(&mut bytes, at..end);
                at = end;
                continue;
            }
            (b',', _) => {
                comma = (!matches!(last, b'[' | b'{' | b',' | b':')).then_some(at);
                last = byte;
            }
            (b']' | b'}', _) => {
                if let Some(comma) = comma.take() {
                    wipe(&mut bytes, comma..comma.saturating_add(1));
                }
                last = byte;
            }
            (b' ' | b'\t' | b'\r' | b'\n', _) => {}
            _ => {
                comma = None;
                last = byte;
            }
        }
        at = at.saturating_add(1);
    }
    Ok(bytes)
}

/// Behind the closing quotation mark.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start.saturating_add(1);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at = at.saturating_add(2),
            b'"' => return at.saturating_add(1),
            _ => at = at.saturating_add(1),
        }
    }
    bytes.len()
}

fn wipe(bytes: &mut [u8], range: Range<usize>) {
    for byte in bytes.get_mut(range).unwrap_or_default() {
        if !matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

/// LIMIT: of a file, whose bytes are bounded before.
const LIMITS: Limits = Limits { bytes_max: 4 * 1024 * 1024, depth_max: 64, nodes_max: 1_000_000 };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_last_commas_are_read_over_and_places_stay() {
        let text = "// é top\n{ /* x */ \"a\\\"b\" : [1, \"//no\", ], // c\n \"c\": {\"d\": null,}, }\n";
        let tree = read(text).unwrap();
        assert_eq!(tree.canonical(), r#"{"a\"b":[1,"//no"],"c":{"d":null}}"#);
        let member = tree.member("a\"b").unwrap();
        assert_eq!(text.get(member.key_at.clone()).unwrap(), "\"a\\\"b\"");
        assert_eq!(text.get(member.node.at.clone()).unwrap(), "[1, \"//no\", ]");
        assert_eq!(text.get(tree.find(["c", "d"]).unwrap().at.clone()).unwrap(), "null");
        assert_eq!(text.get(tree.get("c").unwrap().members()[0].key_at.clone()).unwrap(), "\"d\"");
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_line() {
        for (text, words) in [
            ("{\n\"a\": 1,\n\"a\": 2}", "a key stands twice in one object (line 3)"),
            ("{\n\"a\": [,]}", "it is no JSON (line 2)"),
            ("{\"a\": 1,,}", "it is no JSON (line 1)"),
            ("{\"a\":,}", "it is no JSON (line 1)"),
            ("{,}", "it is no JSON (line 1)"),
            ("{\"a\": 1} /* ", "a comment has no end"),
            ("{\"a\": \"b", "it is no JSON"),
            ("", "it is no JSON"),
            ("{\"a\": 1 / 2}", "it is no JSON (line 1)"),
            ("{\"a\": \"\\ud800\"}", "written in half"),
        ] {
            assert!(read(text).unwrap_err().contains(words), "{text}: {:?}", read(text));
        }
        assert!(read(&"[".repeat(65)).unwrap_err().contains("too large"));
    }
}
