//! The strict scanner: iterative, so that depth costs no stack.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use super::outline::{Key, Notebook, Outline};
use super::{Limits, Recall, walk};
use crate::text::{is_plain, is_printable};

/// Why a text is not strict JSON. Carries byte offsets, never content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Longer than [`Limits::bytes_max`].
    #[error("the text is {len} bytes long, limit is {bytes_max}")]
    TooLong {
        /// Length of the text, in bytes.
        len: usize,
        /// The limit, in bytes.
        bytes_max: usize,
    },
    /// Not UTF-8 (RFC 8259 section 8.1).
    #[error("invalid UTF-8 at byte {at}")]
    Utf8 {
        /// Offset of the first byte that is none.
        at: usize,
    },
    /// Not JSON: a byte that the grammar has no place for, or an early end.
    #[error("not JSON at byte {at}")]
    Syntax {
        /// Offset of the byte.
        at: usize,
    },
    /// An escape that is half a character (RFC 8259 section 8.2: parsers differ).
    #[error("lone surrogate at byte {at}")]
    Surrogate {
        /// Offset of its backslash.
        at: usize,
    },
    /// A key that stands twice in one object (RFC 8259 section 4: parsers differ).
    #[error("object key stands twice at byte {at}")]
    DuplicateKey {
        /// Offset of the second one's quotation mark.
        at: usize,
    },
    /// Nested deeper than [`Limits::depth_max`].
    #[error("nested deeper than {depth_max} at byte {at}")]
    TooDeep {
        /// Offset of the bracket that is one too many.
        at: usize,
        /// The limit.
        depth_max: usize,
    },
    /// More members and elements than [`Limits::nodes_max`].
    #[error("more than {nodes_max} members and elements at byte {at}")]
    TooMany {
        /// Offset of the one that is one too many.
        at: usize,
        /// The limit.
        nodes_max: usize,
    },
    /// Bytes behind the value.
    #[error("trailing bytes at byte {at}")]
    Trailing {
        /// Offset of the first one.
        at: usize,
    },
}

impl DecodeError {
    /// Where in the text it is, in bytes. None: it is about the text as a whole.
    #[must_use]
    pub fn at(&self) -> Option<usize> {
        match self {
            DecodeError::TooLong { .. } => None,
            DecodeError::Utf8 { at }
            | DecodeError::Syntax { at }
            | DecodeError::Surrogate { at }
            | DecodeError::DuplicateKey { at }
            | DecodeError::TooDeep { at, .. }
            | DecodeError::TooMany { at, .. }
            | DecodeError::Trailing { at } => Some(*at),
        }
    }
}

/// The one value of a text.
pub(super) struct Scanned {
    /// Where it lies, without the white space around it.
    pub(super) value: Range<usize>,
    pub(super) outline: Option<Outline>,
    /// Whether it was seen to be plainly visible.
    pub(super) is_visible: bool,
}

/// Finds the one value of `text`. `recall`: an array that it knows is not read again.
///
/// # Errors
/// [`DecodeError`], at the first byte that makes the text anything but one strict value.
pub(super) fn scan(text: &[u8], limits: &Limits, recall: Option<Recall<'_>>) -> Result<Scanned, DecodeError> {
    let mut scanner = Scanner { recall, ..Scanner::over(text, limits)? };
    let value = scanner.run()?;
    let outline = if text.get(value.start) == Some(&b'{') { scanner.notebook.finish(value.start) } else { None };
    let is_visible = scanner.bytes != Bytes::Any && !scanner.is_disguised;
    Ok(Scanned { value, outline, is_visible })
}

/// How many members and elements a text has that passed before, and how deep it nests.
pub(super) fn measure(text: &[u8]) -> Option<(usize, usize)> {
    let limits = Limits { bytes_max: usize::MAX, depth_max: usize::MAX, nodes_max: usize::MAX };
    let mut scanner = Scanner::over(text, &limits).ok()?;
    scanner.run().ok()?;
    Some((scanner.nodes, scanner.deepest))
}

/// What is known of all bytes of a text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bytes {
    /// They are printable ASCII. Those of most texts are.
    Printable,
    /// The same, but for tabs and line feeds. Within strings they are refused.
    Plain,
    /// They are UTF-8.
    Any,
}

fn checked_text(text: &[u8], limits: &Limits) -> Result<Bytes, DecodeError> {
    if text.len() > limits.bytes_max {
        return Err(DecodeError::TooLong { len: text.len(), bytes_max: limits.bytes_max });
    }
    if is_printable(text) {
        return Ok(Bytes::Printable);
    }
    if is_plain(text) {
        return Ok(Bytes::Plain);
    }
    std::str::from_utf8(text).map_err(|error| DecodeError::Utf8 { at: error.valid_up_to() })?;
    Ok(Bytes::Any)
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    limits: &'a Limits,
    open: Vec<Open<'a>>,
    /// The keys of all open objects that have few, innermost last.
    keys: Vec<Cow<'a, [u8]>>,
    nodes: usize,
    /// The most containers that were open at once.
    deepest: usize,
    /// Asked once: for the first array that stands in an object in an object.
    recall: Option<Recall<'a>>,
    notebook: Notebook,
    bytes: Bytes,
    /// Whether there is an escape that may stand for anything, or a part that was not read.
    is_disguised: bool,
}

/// A container that is not closed yet.
enum Open<'a> {
    Array,
    Object {
        /// Where its keys begin in `Scanner::keys`.
        first: usize,
        /// All its keys, once they are more than [`FEW`].
        many: Option<HashSet<Cow<'a, [u8]>>>,
    },
}

/// What must come next.
enum Due {
    Value,
    Key,
    Next,
}

/// Up to here keys are compared one by one, which is faster than hashing and needs no memory of its own.
const FEW: usize = 16;
/// Few texts nest deeper.
const OPEN_USUAL: usize = 4;
/// Where the items of a list stand: in the result, in the message.
const KNOWN_DEPTH: usize = 2;

impl<'a> Scanner<'a> {
    fn over(text: &'a [u8], limits: &'a Limits) -> Result<Scanner<'a>, DecodeError> {
        let bytes = checked_text(text, limits)?;
        let (open, keys) = (Vec::with_capacity(OPEN_USUAL), Vec::with_capacity(FEW));
        let notebook = Notebook::default();
        Ok(Scanner {
            text,
            at: 0,
            limits,
            open,
            keys,
            nodes: 0,
            deepest: 0,
            recall: None,
            notebook,
            bytes,
            is_disguised: false,
        })
    }

    fn run(&mut self) -> Result<Range<usize>, DecodeError> {
        self.blank();
        let from = self.at;
        let mut due = Due::Value;
        loop {
            due = match due {
                Due::Value => self.value()?,
                Due::Key => self.key()?,
                Due::Next if self.open.is_empty() => break,
                Due::Next => self.next()?,
            };
        }
        let to = self.at;
        self.blank();
        if self.at == self.text.len() { Ok(from..to) } else { Err(DecodeError::Trailing { at: self.at }) }
    }

    fn value(&mut self) -> Result<Due, DecodeError> {
        self.blank();
        match self.peek() {
            Some(b'"') => self.string().map(drop)?,
            Some(b'{') => return self.open_object(),
            Some(b'[') if self.leap() => {}
            Some(b'[') => return self.open_array(),
            Some(b't') => self.word(b"true")?,
            Some(b'f') => self.word(b"false")?,
            Some(b'n') => self.word(b"null")?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(_) | None => return Err(self.syntax()),
        }
        Ok(Due::Next)
    }

    fn open_object(&mut self) -> Result<Due, DecodeError> {
        self.deeper()?;
        self.notebook.object(self.open.len(), self.at);
        self.at += 1;
        self.blank();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Due::Next);
        }
        self.open.push(Open::Object { first: self.keys.len(), many: None });
        Ok(Due::Key)
    }

    fn open_array(&mut self) -> Result<Due, DecodeError> {
        self.deeper()?;
        self.at += 1;
        self.blank();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Due::Next);
        }
        self.open.push(Open::Array);
        self.count()?;
        Ok(Due::Value)
    }

    /// Steps over an array that is known, if it is within the limits here; else it is read, which says exactly where it is not.
    fn leap(&mut self) -> bool {
        if self.open.len() != KNOWN_DEPTH {
            return false;
        }
        let Some(known) = self.recall.take().and_then(|recall| recall(self.text.get(self.at..).unwrap_or_default()))
        else {
            return false;
        };
        let nodes = self.nodes.saturating_add(known.nodes);
        if nodes > self.limits.nodes_max || self.open.len().saturating_add(known.depth) > self.limits.depth_max {
            return false;
        }
        self.nodes = nodes;
        self.at += known.text.len();
        self.is_disguised = true;
        true
    }

    fn next(&mut self) -> Result<Due, DecodeError> {
        if let Some(Open::Object { .. }) = self.open.last() {
            self.notebook.end(self.open.len() - 1, self.at);
        }
        self.blank();
        let byte = self.peek();
        match (self.open.last(), byte) {
            (Some(Open::Array), Some(b',')) => {
                self.at += 1;
                self.count()?;
                Ok(Due::Value)
            }
            (Some(Open::Object { .. }), Some(b',')) => {
                self.at += 1;
                Ok(Due::Key)
            }
            (Some(Open::Array), Some(b']')) => {
                self.at += 1;
                self.open.pop();
                Ok(Due::Next)
            }
            (Some(Open::Object { first, .. }), Some(b'}')) => {
                self.at += 1;
                self.keys.truncate(*first);
                self.open.pop();
                Ok(Due::Next)
            }
            (Some(Open::Array | Open::Object { .. }) | None, _) => Err(self.syntax()),
        }
    }

    fn key(&mut self) -> Result<Due, DecodeError> {
        self.blank();
        self.count()?;
        if self.peek() != Some(b'"') {
            return Err(self.syntax());
        }
        let from = self.at;
        let key = Key { is_escaped: self.string()?, inner: from + 1..self.at - 1 };
        // Compared decoded: `"a"` and `"\u0061"` are one key to every reader behind us.
        if !self.fresh(walk::key_bytes(self.text, from..self.at, key.is_escaped)) {
            return Err(DecodeError::DuplicateKey { at: from });
        }
        self.blank();
        if self.peek() != Some(b':') {
            return Err(self.syntax());
        }
        self.at += 1;
        self.blank();
        self.notebook.member(self.open.len() - 1, key, self.at, self.peek());
        Ok(Due::Value)
    }

    /// Whether the innermost object did not have `key` before; remembers it.
    fn fresh(&mut self, key: Cow<'a, [u8]>) -> bool {
        let Some(Open::Object { first, many }) = self.open.last_mut() else {
            return false;
        };
        if let Some(many) = many {
            return many.insert(key);
        }
        let seen = self.keys.get(*first..).unwrap_or_default();
        if seen.contains(&key) {
            return false;
        }
        self.keys.push(key);
        if self.keys.len() - *first > FEW {
            *many = Some(self.keys.drain(*first..).collect());
        }
        true
    }

    /// Reads a string; whether it has escapes.
    fn string(&mut self) -> Result<bool, DecodeError> {
        self.at += 1;
        let mut is_escaped = false;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let plain = match self.bytes {
                Bytes::Printable => walk::printable_bytes(rest),
                Bytes::Plain | Bytes::Any => walk::plain_bytes(rest),
            };
            self.at += plain;
            match rest.get(plain) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(is_escaped);
                }
                Some(b'\\') => self.escape()?,
                Some(_) | None => return Err(self.broken_string()),
            }
            is_escaped = true;
        }
    }

    /// What is wrong with a string that neither goes on nor ends here.
    fn broken_string(&self) -> DecodeError {
        // The end that is missing comes before the control character that is there.
        let rest = self.text.get(self.at..).unwrap_or_default();
        let at = if memchr::memchr2(b'"', b'\\', rest).is_some() { self.at } else { self.text.len() };
        DecodeError::Syntax { at }
    }

    fn escape(&mut self) -> Result<(), DecodeError> {
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'n' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'b' | b'f' | b'r') => {
                self.is_disguised = true;
                self.at += 2;
                Ok(())
            }
            Some(b'u') => {
                self.is_disguised = true;
                self.unicode_escape()
            }
            Some(_) | None => Err(DecodeError::Syntax { at: self.at + 1 }),
        }
    }

    fn unicode_escape(&mut self) -> Result<(), DecodeError> {
        let lone = DecodeError::Surrogate { at: self.at };
        let unit = self.hex4(self.at + 2)?;
        self.at += 6;
        if walk::is_low_surrogate(unit) {
            return Err(lone);
        }
        if walk::is_high_surrogate(unit) {
            if self.text.get(self.at..self.at + 2) != Some(b"\\u") {
                return Err(lone);
            }
            if !walk::is_low_surrogate(self.hex4(self.at + 2)?) {
                return Err(lone);
            }
            self.at += 6;
        }
        Ok(())
    }

    fn hex4(&self, at: usize) -> Result<u32, DecodeError> {
        walk::hex4(self.text, at).ok_or(DecodeError::Syntax { at })
    }

    fn number(&mut self) -> Result<(), DecodeError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(_) | None => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), DecodeError> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return Err(self.syntax());
        }
        self.at += count;
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> Result<(), DecodeError> {
        if !self.text.get(self.at..).unwrap_or_default().starts_with(word) {
            return Err(self.syntax());
        }
        self.at += word.len();
        Ok(())
    }

    fn deeper(&mut self) -> Result<(), DecodeError> {
        self.deepest = self.deepest.max(self.open.len() + 1);
        let depth_max = self.limits.depth_max;
        if self.open.len() < depth_max { Ok(()) } else { Err(DecodeError::TooDeep { at: self.at, depth_max }) }
    }

    fn count(&mut self) -> Result<(), DecodeError> {
        let nodes_max = self.limits.nodes_max;
        if self.nodes >= nodes_max {
            return Err(DecodeError::TooMany { at: self.at, nodes_max });
        }
        self.nodes += 1;
        Ok(())
    }

    fn blank(&mut self) {
        self.at = walk::blank(self.text, self.at);
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn syntax(&self) -> DecodeError {
        DecodeError::Syntax { at: self.at }
    }
}
