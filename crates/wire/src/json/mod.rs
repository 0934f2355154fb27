//! Strict JSON: one meaning per byte, and the bytes are kept (requirement 1.1).
//!
//! [`Json::decode`] is the only JSON parser of the product. It refuses invalid UTF-8, a key that stands
//! twice in one object at any depth (compared decoded), lone surrogates, trailing bytes and whatever is
//! past [`Limits`]. What it accepts stays text: the accessors walk over it, and nothing builds a tree.

mod build;
mod number;
mod outline;
mod scan;
#[cfg(test)]
mod tests;
mod walk;

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

pub use build::{Array, Object};
pub use number::{Exact, Number};
use outline::Outline;
pub use scan::DecodeError;

/// A strictly valid JSON text, without white space around it. Cheap to clone: the bytes are shared.
///
/// Two are equal if their bytes are.
#[derive(Clone)]
pub struct Json {
    // INVARIANT: passed `scan`, or was written by `build` from parts that did.
    text: Bytes,
    /// Of an object that was scanned, or stands in one that was: where its members lie.
    outline: Option<Outline>,
    /// Whether the text that was scanned was seen to be plainly visible, and so is every part of it.
    is_visible: bool,
}

/// An array that was read before, by its bytes: they need not be read again where they stand once more.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    text: Bytes,
    /// Members and elements in it.
    nodes: usize,
    /// How deep it nests.
    depth: usize,
}

/// Finds the known array that a text begins with.
pub(crate) type Recall<'a> = &'a dyn Fn(&[u8]) -> Option<Known>;

impl Known {
    /// Whether a text begins with it.
    pub(crate) fn begins(&self, text: &[u8]) -> bool {
        text.starts_with(&self.text)
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Json) -> bool {
        self.text == other.text
    }
}

impl Eq for Json {}

/// Bounds of one JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest text, in bytes.
    pub bytes_max: usize,
    /// Deepest nesting of arrays and objects; 0 permits scalars only.
    pub depth_max: usize,
    /// Most members of all objects and elements of all arrays, together.
    pub nodes_max: usize,
}

impl Default for Limits {
    /// 4 MiB, 64 levels, 100 000 members and elements.
    fn default() -> Limits {
        Limits { bytes_max: 4 * 1024 * 1024, depth_max: 64, nodes_max: 100_000 }
    }
}

/// Whether a JSON string holds `text` as it is: nothing in it has to be escaped.
fn is_plain(text: &str) -> bool {
    walk::is_plain(text.as_bytes())
}

/// The six kinds of JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl Json {
    /// Reads a strict JSON text; white space around the value is dropped, every other byte is kept.
    ///
    /// # Errors
    /// [`DecodeError`] for whatever is not one strict value within `limits`.
    pub fn decode(text: Bytes, limits: &Limits) -> Result<Json, DecodeError> {
        Json::scanned(text, limits, None)
    }

    /// The same, without reading an array again that stands two levels deep and was read before.
    pub(crate) fn decode_knowing(text: Bytes, limits: &Limits, recall: Recall<'_>) -> Result<Json, DecodeError> {
        Json::scanned(text, limits, Some(recall))
    }

    fn scanned(text: Bytes, limits: &Limits, recall: Option<Recall<'_>>) -> Result<Json, DecodeError> {
        let scan::Scanned { value, outline, is_visible } = scan::scan(&text, limits, recall)?;
        let text = if value.len() == text.len() { text } else { text.slice(value) };
        Ok(Json { text, outline, is_visible })
    }

    /// What [`Json::decode_knowing`] needs to know of an array.
    pub(crate) fn known(&self) -> Option<Known> {
        let (nodes, depth) = scan::measure(&self.text)?;
        (self.kind() == Kind::Array).then(|| Known { text: self.text.clone(), nodes, depth })
    }

    fn of(text: Bytes) -> Json {
        Json { text, outline: None, is_visible: false }
    }

    /// The text.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.text
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // INVARIANT: valid UTF-8, which only `unsafe` could use; the default is never taken.
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    /// The same text in memory of its own.
    #[must_use]
    pub fn detached(&self) -> Json {
        Json { is_visible: self.is_visible, ..Json::of(Bytes::copy_from_slice(&self.text)) }
    }

    /// Whether it is known to be plainly visible, as [`crate::text::is_plainly_visible`] tells.
    pub(crate) fn is_visible(&self) -> bool {
        self.is_visible
    }

    /// Which kind of value it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.text.first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Boolean,
            Some(b'-' | b'0'..=b'9') => Kind::Number,
            // INVARIANT: a text that passed `scan` begins in no other way than `null` does.
            Some(_) | None => Kind::Null,
        }
    }

    /// The member called `key` (compared decoded), if this is an object that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Json> {
        if let Some(outline) = &self.outline {
            let found = outline.find(&self.text, key.as_bytes())?;
            return Some(self.part(found.value, found.outline));
        }
        walk::members(&self.text)
            .find(|member| walk::is_key(&self.text, member.key.clone(), key.as_bytes()))
            .map(|member| self.part(member.value, None))
    }

    /// The members of an object in order, keys decoded; none for other kinds.
    pub fn members(&self) -> impl Iterator<Item = (Cow<'_, str>, Json)> {
        let noted = self.outline.iter().flat_map(Outline::members).map(|noted| {
            let key = self.text.get(noted.key).unwrap_or_default();
            // INVARIANT: valid UTF-8 without escapes; the default is never taken.
            let key = std::str::from_utf8(key).unwrap_or_default();
            (Cow::Borrowed(key), self.part(noted.value, noted.outline))
        });
        let text: &[u8] = if self.outline.is_none() { &self.text } else { b"" };
        let walked =
            walk::members(text).map(|member| (walk::decoded(&self.text, member.key), self.part(member.value, None)));
        noted.chain(walked)
    }

    /// The elements of an array in order; none for other kinds.
    pub fn elements(&self) -> impl Iterator<Item = Json> {
        walk::elements(&self.text).map(|element| self.part(element, None))
    }

    /// The decoded text, if this is a string.
    #[must_use]
    pub fn string(&self) -> Option<Cow<'_, str>> {
        (self.kind() == Kind::String).then(|| walk::decoded(&self.text, 0..self.text.len()))
    }

    /// The number, if this is one.
    #[must_use]
    pub fn number(&self) -> Option<Number<'_>> {
        (self.kind() == Kind::Number).then(|| Number::new(self.as_str()))
    }

    /// The truth value, if this is one.
    #[must_use]
    pub fn boolean(&self) -> Option<bool> {
        (self.kind() == Kind::Boolean).then(|| *self.text == *b"true")
    }

    /// Whether this is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.kind() == Kind::Null
    }

    /// Whether this is an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        self.kind() == Kind::Object
    }

    /// A string.
    #[must_use]
    pub fn text(text: &str) -> Json {
        Json::of(build::string(text))
    }

    /// A number.
    #[must_use]
    pub fn integer(number: i64) -> Json {
        Json::of(number.to_string().into())
    }

    /// A truth value.
    #[must_use]
    pub fn bool(value: bool) -> Json {
        Json::of(Bytes::from_static(if value { b"true" } else { b"false" }))
    }

    /// `null`
    #[must_use]
    pub fn null() -> Json {
        Json::of(Bytes::from_static(b"null"))
    }

    /// `{}`
    #[must_use]
    pub fn empty_object() -> Json {
        Json::of(Bytes::from_static(b"{}"))
    }

    /// This text with every string value (never a key) passed through `map`; the same bytes, shared,
    /// where `map` changes none.
    #[must_use]
    pub fn map_strings(&self, map: &mut dyn FnMut(&str) -> Option<String>) -> Json {
        build::map_strings(&self.text, map).map_or_else(|| self.clone(), Json::of)
    }

    /// This object with member `key` replaced in place, or appended. Not an object: returned as it is.
    #[must_use]
    pub fn with(&self, key: &str, value: &Json) -> Json {
        if self.is_object() { Json::of(build::with(&self.text, key, &value.text)) } else { self.clone() }
    }

    /// This object without member `key`. Not an object, or no such member: returned as it is.
    #[must_use]
    pub fn without(&self, key: &str) -> Json {
        build::without(&self.text, key).map_or_else(|| self.clone(), Json::of)
    }

    fn part(&self, at: Range<usize>, outline: Option<Outline>) -> Json {
        Json { text: self.text.slice(at), outline, is_visible: self.is_visible }
    }
}

impl std::fmt::Debug for Json {
    // Never the content: arguments, results and tokens stay out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Json({} bytes)", self.text.len())
    }
}
