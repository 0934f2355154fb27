//! What is sent: made once for each session, so that a call costs a copy.

use std::io::Write as _;

use sekisho_e2e::client::Era;
use serde_json::json;

use super::Text;

/// The fields of a session's requests, beside the token.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(pub(super) Vec<(&'static str, String)>);

impl Fields {
    /// The fields of a request that belongs to no session, or to `session`.
    pub(super) fn new(era: Era, session: Option<&str>) -> Self {
        let mut fields = vec![
            ("content-type", "application/json".to_owned()),
            ("accept", "application/json, text/event-stream".to_owned()),
        ];
        if let Some(session) = session {
            fields.push(("mcp-session-id", session.to_owned()));
        }
        if era == Era::Modern || session.is_some() {
            fields.push(("mcp-protocol-version", era.version().to_owned()));
        }
        Self(fields)
    }

    /// The same, repeating what the body says (2026-07-28).
    pub(super) fn mirroring(mut self, method: &str, tool: Option<&str>) -> Self {
        self.0.push(("mcp-method", method.to_owned()));
        self.0.extend(tool.map(|tool| ("mcp-name", tool.to_owned())));
        self
    }
}

/// A body with a place for the id.
#[derive(Debug, Clone)]
pub(super) struct Body {
    before: Vec<u8>,
    after: Vec<u8>,
}

impl Body {
    /// A body without an id.
    pub(super) fn fixed(text: &str) -> Self {
        Self { before: text.as_bytes().to_vec(), after: Vec::new() }
    }

    fn request(rest: &str) -> Self {
        Self { before: br#"{"jsonrpc":"2.0","id":"#.to_vec(), after: format!(",{rest}}}").into_bytes() }
    }

    /// Puts the body with this id behind `into`.
    pub(super) fn write(&self, id: Option<u64>, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.before);
        if let Some(id) = id {
            // Writing into memory does not fail.
            let _ = write!(into, "{id}");
        }
        into.extend_from_slice(&self.after);
    }

    /// How long it is with this id, in bytes.
    pub(super) fn length(&self, id: Option<u64>) -> usize {
        let digits =
            id.map_or(0, |id| usize::try_from(id.checked_ilog10().unwrap_or(0)).unwrap_or(0).saturating_add(1));
        self.before.len().saturating_add(digits).saturating_add(self.after.len())
    }
}

/// A request to be sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) method: &'static str,
    pub(super) fields: &'a Fields,
    pub(super) token: &'a str,
    pub(super) body: &'a Body,
    pub(super) id: Option<u64>,
}

/// `tools/call` of `echo`, and the message as its answer must hold it.
pub(super) fn call(payload: usize, text: Text, era: Era) -> (Body, Vec<u8>) {
    let message = json!(message(payload, text)).to_string();
    let params = params(&[&format!(r#""name":"{TOOL}","arguments":{{"message":{message}}}"#)], era);
    (Body::request(&format!(r#""method":"tools/call","params":{params}"#)), message.into_bytes())
}

/// `tools/list`, from `cursor` on.
pub(super) fn list(cursor: Option<&str>, era: Era) -> Body {
    let cursor = cursor.map(|cursor| format!(r#""cursor":{}"#, json!(cursor)));
    let params = params(&cursor.iter().map(String::as_str).collect::<Vec<_>>(), era);
    Body::request(&format!(r#""method":"tools/list","params":{params}"#))
}

fn params(members: &[&str], era: Era) -> String {
    let meta = match era {
        Era::Legacy => None,
        Era::Modern => Some(META),
    };
    format!("{{{}}}", members.iter().copied().chain(meta).collect::<Vec<_>>().join(","))
}

/// `initialize`.
pub(super) fn opening(era: Era) -> Body {
    let version = era.version();
    Body::request(&format!(
        r#""method":"initialize","params":{{"protocolVersion":"{version}","capabilities":{{}},"clientInfo":{{"name":"sekisho-bench","version":"1"}}}}"#
    ))
}

/// `notifications/initialized`.
pub(super) fn opened() -> Body {
    Body::fixed(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
}

/// A message of exactly `bytes` bytes: words, not one letter over and over, so that whoever scans it has work.
fn message(bytes: usize, text: Text) -> String {
    let words: &[&str] = match text {
        Text::Plain => &["alpha", "record", "invoice", "42", "the", "status", "of", "order", "number", "is", "ready"],
        Text::Escaped => &["\"quoted\"", "back\\slash", "line\n", "é", "関所", "plain", "\u{1f600}", "tab\t"],
    };
    let mut message = String::with_capacity(bytes);
    for word in words.iter().cycle() {
        if message.len().saturating_add(word.len()).saturating_add(1) > bytes {
            break;
        }
        message.push_str(word);
        message.push(' ');
    }
    let rest = bytes.saturating_sub(message.len());
    message + &"x".repeat(rest)
}

/// The tool that is called.
pub(super) const TOOL: &str = "echo";

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"sekisho-bench","version":"1"}}"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_as_long_as_it_should_be() {
        for text in [Text::Plain, Text::Escaped] {
            for bytes in [0, 1, 7, 256, 4096] {
                assert_eq!(message(bytes, text).len(), bytes);
            }
        }
    }

    #[test]
    fn a_body_is_as_long_as_it_says() {
        let (body, _) = call(64, Text::Escaped, Era::Modern);
        for id in [0, 1, 9, 10, 999, 1_000_000] {
            let mut bytes = Vec::new();
            body.write(Some(id), &mut bytes);
            assert_eq!(bytes.len(), body.length(Some(id)), "{id}");
            let message = sekisho_e2e::raw::parse(&String::from_utf8(bytes).unwrap()).unwrap();
            assert_eq!(message["id"], json!(id));
        }
        assert_eq!(opened().length(None), opened().before.len());
    }
}
