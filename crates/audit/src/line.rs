//! How an event is written: one JSON object, its members in a fixed order.

use std::io::Write as _;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use sekisho_wire::json::is_plain;

use crate::config::Algorithm;
use crate::digest::{PayloadDigest, SessionTag};
use crate::event::{ENTRIES_MAX, Event, Pair, PrincipalRef, clip};

/// The record as a JSON object that still lacks its number.
pub(crate) fn written(event: &Event<'_>, at: SystemTime) -> Vec<u8> {
    let mut line = Object::new(Vec::with_capacity(LINE_BYTES_USUAL));
    line.text("time", &timestamp(at));
    line.text("kind", event.kind.word());
    line.text("outcome", event.outcome.word());
    line.clipped("request", event.request.as_deref());
    line.principal(event.principal.as_ref());
    line.clipped("endpoint", event.endpoint.as_deref());
    line.clipped("session", event.session.as_ref().map(SessionTag::hex).as_deref());
    line.clipped("server", event.server.as_deref());
    line.clipped("method", event.method.as_deref());
    line.clipped("item", event.item.as_deref());
    line.clipped("era", event.era.as_deref());
    line.maybe("code", event.code);
    line.clipped("reason", event.reason.as_deref());
    line.policies(&event.policies);
    line.clipped("needed", event.needed.as_deref());
    line.payload(["arguments_sha256", "arguments_blake3"], event.arguments.as_ref());
    line.payload(["result_sha256", "result_blake3"], event.result.as_ref());
    line.pairs("labels", &event.labels);
    line.number("duration_us", event.duration_us);
    line.pairs("detail", &event.detail);
    if event.is_clipped() {
        line.name("clipped");
        line.out.extend_from_slice(b"true");
    }
    line.end()
}

/// An object under construction. Names of ours hold nothing that has to be escaped.
struct Object {
    out: Vec<u8>,
}

impl Object {
    fn new(mut out: Vec<u8>) -> Object {
        out.push(b'{');
        Object { out }
    }

    fn end(mut self) -> Vec<u8> {
        self.out.push(b'}');
        self.out
    }

    /// A name that is ours.
    fn name(&mut self, name: &'static str) {
        self.comma(b'{');
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// A name that is somebody's.
    fn foreign_name(&mut self, name: &str) {
        self.comma(b'{');
        string(&mut self.out, name);
        self.out.push(b':');
    }

    /// What stands before a member or an element that is not the first one behind `bracket`.
    fn comma(&mut self, bracket: u8) {
        if self.out.last() != Some(&bracket) {
            self.out.push(b',');
        }
    }

    fn text(&mut self, name: &'static str, value: &str) {
        self.name(name);
        string(&mut self.out, value);
    }

    fn maybe(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    fn clipped(&mut self, name: &'static str, value: Option<&str>) {
        self.maybe(name, value.map(clip));
    }

    fn number(&mut self, name: &'static str, value: Option<u64>) {
        if let Some(value) = value {
            self.name(name);
            // Writing into a Vec cannot fail.
            let _ = write!(self.out, "{value}");
        }
    }

    fn principal(&mut self, principal: Option<&PrincipalRef<'_>>) {
        let Some(principal) = principal else { return };
        self.object("principal", |inner| {
            inner.text("issuer", clip(&principal.issuer));
            inner.text("subject", clip(&principal.subject));
            inner.text("client", clip(&principal.client));
        });
    }

    fn policies(&mut self, policies: &[Box<str>]) {
        if !policies.is_empty() {
            self.name("policies");
            self.array(policies.iter().take(ENTRIES_MAX).map(|policy| clip(policy)));
        }
    }

    /// Under a name that says how it was made: SHA-256's, then BLAKE3's.
    fn payload(&mut self, [sha256, blake3]: [&'static str; 2], value: Option<&PayloadDigest>) {
        let Some(value) = value else { return };
        let name = match value.algorithm() {
            Algorithm::Blake3 => blake3,
            Algorithm::Sha256 => sha256,
        };
        self.text(name, &value.hex());
    }

    /// An object; a name that comes more than once has all its values in one array, since a key that stands twice makes a
    /// JSON text unreadable (RFC 8259 section 4).
    fn pairs(&mut self, name: &'static str, pairs: &[Pair<'_>]) {
        if pairs.is_empty() {
            return;
        }
        let pairs = || pairs.iter().take(ENTRIES_MAX).map(|(name, value)| (clip(name), clip(value)));
        self.object(name, |inner| {
            for (at, (name, value)) in pairs().enumerate() {
                if pairs().take(at).any(|(earlier, _)| earlier == name) {
                    continue;
                }
                let of_that_name = || pairs().filter(|(other, _)| *other == name).map(|(_, value)| value);
                inner.foreign_name(name);
                if of_that_name().nth(1).is_some() {
                    inner.array(of_that_name());
                } else {
                    string(&mut inner.out, value);
                }
            }
        });
    }

    fn object(&mut self, name: &'static str, write: impl FnOnce(&mut Object)) {
        self.name(name);
        let mut inner = Object::new(std::mem::take(&mut self.out));
        write(&mut inner);
        self.out = inner.end();
    }

    fn array<'a>(&mut self, elements: impl Iterator<Item = &'a str>) {
        self.out.push(b'[');
        for element in elements {
            self.comma(b'[');
            string(&mut self.out, element);
        }
        self.out.push(b']');
    }
}

/// A JSON string, in the very bytes that serde_json makes of it.
fn string(out: &mut Vec<u8>, text: &str) {
    if !is_plain(text) {
        #[expect(clippy::expect_used, reason = "a Vec takes every write, and text is serializable")]
        return serde_json::to_writer(out, text).expect("text is serializable");
    }
    out.reserve(text.len().saturating_add(2));
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// RFC 3339 in UTC with microseconds.
fn timestamp(at: SystemTime) -> String {
    // A clock past the year 9999 gets the last instant that can be written.
    let at = Timestamp::try_from(at).unwrap_or(Timestamp::MAX);
    let mut text = String::with_capacity(TIME_BYTES);
    // Writing into a String cannot fail.
    let _ = DateTimePrinter::new().precision(Some(6)).print_timestamp(&at, &mut text);
    text
}

/// What the printer asks for: the longest timestamp there can be, and a little more.
const TIME_BYTES: usize = 48;
const LINE_BYTES_USUAL: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_has_the_bytes_that_serde_json_makes_of_it() {
        let mut texts: Vec<String> = (0..0x180).filter_map(char::from_u32).map(|char| format!("ab{char}cd")).collect();
        texts.extend(["", "日本語 😀", "\"", "\\", "\u{8}\u{c}\n\r\t\u{7f}\u{2028}"].map(str::to_owned));
        texts.push(format!("{}\u{1f}", "x".repeat(100)));
        for text in texts {
            let mut out = Vec::new();
            string(&mut out, &text);
            assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
        }
    }

    #[test]
    fn objects_and_arrays_are_closed_and_commas_stand_between() {
        let mut line = Object::new(Vec::new());
        line.object("a", |_| ());
        line.object("b", |inner| {
            inner.text("c", "{");
            inner.number("d", Some(u64::MAX));
            inner.number("e", None);
        });
        line.name("f");
        line.array(["[", "x"].into_iter());
        line.policies(&[]);
        let text = String::from_utf8(line.end()).unwrap();
        assert_eq!(text, r#"{"a":{},"b":{"c":"{","d":18446744073709551615},"f":["[","x"]}"#);
    }
}
