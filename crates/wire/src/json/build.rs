//! Writing JSON.

use std::io::Write as _;

use bytes::Bytes;

use super::{Json, walk};

/// An object under construction. The caller gives each key once.
#[derive(Debug)]
pub struct Object {
    text: Vec<u8>,
}

impl Default for Object {
    fn default() -> Object {
        Object::new()
    }
}

impl Object {
    /// No members yet.
    #[must_use]
    pub fn new() -> Object {
        Object::within(Vec::with_capacity(USUAL_BYTES))
    }

    /// The same, with room for about so many bytes: an object that is as long is written without being moved.
    #[must_use]
    pub fn with_room(bytes: usize) -> Object {
        Object::within(Vec::with_capacity(bytes))
    }

    /// An object behind what is written already.
    fn within(mut text: Vec<u8>) -> Object {
        text.push(b'{');
        Object { text }
    }

    /// Adds a string.
    #[must_use]
    pub fn text(mut self, key: &str, value: &str) -> Object {
        self.key(key);
        write_string(&mut self.text, value);
        self
    }

    /// Adds a string only if there is one.
    #[must_use]
    pub fn maybe_text(self, key: &str, value: Option<&str>) -> Object {
        match value {
            Some(value) => self.text(key, value),
            None => self,
        }
    }

    /// Adds an array of strings.
    #[must_use]
    pub fn texts<'a>(mut self, key: &str, values: impl IntoIterator<Item = &'a str>) -> Object {
        self.key(key);
        self.text.push(b'[');
        for value in values {
            // The opening bracket is not followed by a comma.
            if self.text.last() != Some(&b'[') {
                self.text.push(b',');
            }
            write_string(&mut self.text, value);
        }
        self.text.push(b']');
        self
    }

    /// Adds a number.
    #[must_use]
    pub fn integer(mut self, key: &str, value: i64) -> Object {
        self.key(key);
        // Writing into a Vec cannot fail.
        let _ = write!(self.text, "{value}");
        self
    }

    /// Adds a number.
    #[must_use]
    pub fn unsigned(mut self, key: &str, value: u64) -> Object {
        self.key(key);
        // Writing into a Vec cannot fail.
        let _ = write!(self.text, "{value}");
        self
    }

    /// Adds a truth value.
    #[must_use]
    pub fn bool(self, key: &str, value: bool) -> Object {
        self.json(key, &Json::bool(value))
    }

    /// Adds a value, its bytes unchanged.
    #[must_use]
    pub fn json(mut self, key: &str, value: &Json) -> Object {
        self.key(key);
        self.text.extend_from_slice(value.bytes());
        self
    }

    /// Adds an object, which `write` writes in place.
    #[must_use]
    pub fn object(mut self, key: &str, write: impl FnOnce(Object) -> Object) -> Object {
        self.key(key);
        let outer = std::mem::take(&mut self.text);
        let inner = write(Object::within(outer));
        self.text = inner.text;
        self.text.push(b'}');
        self
    }

    /// Adds the member only if there is a value.
    #[must_use]
    pub fn maybe(self, key: &str, value: Option<&Json>) -> Object {
        match value {
            Some(value) => self.json(key, value),
            None => self,
        }
    }

    /// The object.
    #[must_use]
    pub fn finish(self) -> Json {
        Json::of(self.into_bytes())
    }

    /// The text of the object.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.into_vec().into()
    }

    /// The same, to be written on.
    #[must_use]
    pub fn into_vec(mut self) -> Vec<u8> {
        self.text.push(b'}');
        self.text
    }

    fn key(&mut self, key: &str) {
        // The opening brace is not followed by a comma.
        if self.text.last() != Some(&b'{') {
            self.text.push(b',');
        }
        write_string(&mut self.text, key);
        self.text.push(b':');
    }
}

/// An array under construction.
#[derive(Debug)]
pub struct Array {
    text: Vec<u8>,
}

impl Default for Array {
    fn default() -> Array {
        Array::new()
    }
}

impl Array {
    /// No elements yet.
    #[must_use]
    pub fn new() -> Array {
        let mut text = Vec::with_capacity(USUAL_BYTES);
        text.push(b'[');
        Array { text }
    }

    /// Adds an element, its bytes unchanged.
    pub fn push(&mut self, value: &Json) {
        if self.text.len() > 1 {
            self.text.push(b',');
        }
        self.text.extend_from_slice(value.bytes());
    }

    /// The array.
    #[must_use]
    pub fn finish(mut self) -> Json {
        self.text.push(b']');
        Json::of(self.text.into())
    }
}

/// Room for most of what is written, so that it need not be moved as it grows.
const USUAL_BYTES: usize = 128;

pub(super) fn string(text: &str) -> Bytes {
    let mut out = Vec::with_capacity(text.len() + 2);
    write_string(&mut out, text);
    out.into()
}

/// `text` with every string value passed through `map`; nothing if `map` changed none.
pub(super) fn map_strings(text: &[u8], map: &mut dyn FnMut(&str) -> Option<String>) -> Option<Bytes> {
    let mut out = Vec::new();
    let mut kept = 0;
    for string in walk::strings(text) {
        let Some(new) = map(&walk::decoded(text, string.clone())) else {
            continue;
        };
        out.extend_from_slice(text.get(kept..string.start).unwrap_or_default());
        write_string(&mut out, &new);
        kept = string.end;
    }
    if kept == 0 {
        return None;
    }
    out.extend_from_slice(text.get(kept..).unwrap_or_default());
    Some(out.into())
}

/// The object `text` with the member `key` replaced in place, or appended.
pub(super) fn with(text: &[u8], key: &str, value: &[u8]) -> Bytes {
    let mut last = None;
    for member in walk::members(text) {
        if walk::is_key(text, member.key, key.as_bytes()) {
            return splice(text, member.value.start, value, member.value.end);
        }
        last = Some(member.value.end);
    }
    let mut member = Vec::with_capacity(key.len() + value.len() + 4);
    if last.is_some() {
        member.push(b',');
    }
    write_string(&mut member, key);
    member.push(b':');
    member.extend_from_slice(value);
    let at = last.unwrap_or(1);
    splice(text, at, &member, at)
}

/// The object `text` without the member `key`; nothing if it has none.
pub(super) fn without(text: &[u8], key: &str) -> Option<Bytes> {
    let mut before = None;
    let mut members = walk::members(text);
    while let Some(member) = members.next() {
        if !walk::is_key(text, member.key.clone(), key.as_bytes()) {
            before = Some(member.value.end);
            continue;
        }
        // One comma goes with the member: the one before it, or for the first one the one behind it.
        let (from, to) = match (before, members.next()) {
            (Some(before), _) => (before, member.value.end),
            (None, Some(behind)) => (member.key.start, behind.key.start),
            (None, None) => (member.key.start, member.value.end),
        };
        return Some(splice(text, from, b"", to));
    }
    None
}

fn splice(text: &[u8], from: usize, new: &[u8], to: usize) -> Bytes {
    let before = text.get(..from).unwrap_or_default();
    let behind = text.get(to..).unwrap_or_default();
    [before, new, behind].concat().into()
}

/// In the bytes that RFC 8785 section 3.2.2.2 asks for.
fn write_string(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len().saturating_add(2));
    out.push(b'"');
    if super::is_plain(text) {
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            0..b' ' => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            b' '.. => out.push(byte),
        }
    }
    out.push(b'"');
}
