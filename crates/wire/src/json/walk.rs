//! Walking over text that the scanner accepted, without a tree.
//!
//! Every function here is total: on text that is not JSON the answer means nothing, but none panics.

use std::borrow::Cow;
use std::ops::Range;

use super::Stone;

/// Where a member of an object lies.
pub(super) struct Member {
    /// The key with its quotation marks.
    pub(super) key: Range<usize>,
    /// The value.
    pub(super) value: Range<usize>,
}

/// The members of the object that `text` is; none if it is something else.
pub(super) fn members(text: &[u8], stone: Stone) -> impl Iterator<Item = Member> {
    let mut at = if text.first() == Some(&b'{') { 1 } else { text.len() };
    std::iter::from_fn(move || {
        at = between(text, at);
        if text.get(at) != Some(&b'"') {
            return None;
        }
        let key = at..string_end(text, at);
        // Behind the key: white space, the colon, white space.
        let from = blank(text, blank(text, key.end) + 1);
        at = value_end(text, from, stone);
        Some(Member { key, value: from..at })
    })
}

/// The elements of the array that `text` is; none if it is something else.
pub(super) fn elements(text: &[u8], stone: Stone) -> impl Iterator<Item = Range<usize>> {
    let mut at = if text.first() == Some(&b'[') { 1 } else { text.len() };
    std::iter::from_fn(move || {
        at = between(text, at);
        if matches!(text.get(at), None | Some(b']')) {
            return None;
        }
        let from = at;
        at = value_end(text, from, stone);
        Some(from..at)
    })
}

/// The string values of `text` in order, never keys, each with its quotation marks.
pub(super) fn strings(text: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            // Outside a string no quotation mark is left, so that the next one begins a string.
            let from = at + memchr::memchr(b'"', text.get(at..)?)?;
            at = string_end(text, from);
            if text.get(blank(text, at)) != Some(&b':') {
                return Some(from..at);
            }
        }
    })
}

/// Behind the white space at `at`.
pub(super) fn blank(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count()
}

/// Behind the white space and commas at `at`.
fn between(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',')).count()
}

/// Behind the value that begins at `at`.
fn value_end(text: &[u8], at: usize, stone: Stone) -> usize {
    match text.get(at) {
        Some(b'"') => string_end(text, at),
        Some(b'{' | b'[') => container_end(text, at, stone),
        Some(_) | None => {
            let rest = text.get(at..).unwrap_or_default();
            let end = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
            at + rest.iter().position(end).unwrap_or(rest.len())
        }
    }
}

fn container_end(text: &[u8], at: usize, stone: Stone) -> usize {
    let mut at = at;
    let mut depth = 0_usize;
    loop {
        match text.get(at) {
            Some(b'"') => at = string_end(text, at),
            // A whole value, and never the one that is walked through: its end is known.
            Some(b'[') if at == stone.from && stone.from < stone.to => {
                at = stone.to;
                if depth == 0 {
                    return at;
                }
            }
            Some(b'{' | b'[') => {
                depth += 1;
                at += 1;
            }
            Some(b'}' | b']') => {
                depth = depth.saturating_sub(1);
                at += 1;
                if depth == 0 {
                    return at;
                }
            }
            Some(_) => at += 1,
            None => return text.len(),
        }
    }
}

/// Behind the string whose quotation mark is at `at`.
fn string_end(text: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        match special(rest).map(|offset| (offset, rest.get(offset))) {
            Some((offset, Some(b'\\'))) => at += offset + 2,
            Some((offset, _)) => return at + offset + 1,
            None => return text.len(),
        }
    }
}

/// Where the next quotation mark or backslash is.
pub(super) fn special(text: &[u8]) -> Option<usize> {
    // Most strings are short, and for those setting up the wide search costs more than it saves.
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\');
    let (short, long) = text.split_at_checked(SHORT).unwrap_or((text, b""));
    let found = short.iter().position(is_special);
    found.or_else(|| Some(SHORT + memchr::memchr2(b'"', b'\\', long)?))
}

/// The decoded text of the string at `string`, which includes its quotation marks.
pub(super) fn decoded(text: &[u8], string: Range<usize>) -> Cow<'_, str> {
    let inner = text.get(string.start + 1..string.end.saturating_sub(1)).unwrap_or_default();
    unescape(std::str::from_utf8(inner).unwrap_or_default())
}

/// The same as bytes, for comparison: what has no escape need not be looked at as text.
pub(super) fn key_bytes(text: &[u8], string: Range<usize>) -> Cow<'_, [u8]> {
    let inner = text.get(string.start + 1..string.end.saturating_sub(1)).unwrap_or_default();
    if memchr::memchr(b'\\', inner).is_none() {
        return Cow::Borrowed(inner);
    }
    Cow::Owned(decoded(text, string).into_owned().into_bytes())
}

fn unescape(inner: &str) -> Cow<'_, str> {
    let Some((plain, rest)) = inner.split_once('\\') else {
        return Cow::Borrowed(inner);
    };
    let mut out = String::with_capacity(inner.len());
    out.push_str(plain);
    let mut rest = rest;
    loop {
        // `rest` begins behind a backslash.
        rest = one_escape(rest, &mut out);
        match rest.split_once('\\') {
            Some((plain, behind)) => {
                out.push_str(plain);
                rest = behind;
            }
            None => {
                out.push_str(rest);
                return Cow::Owned(out);
            }
        }
    }
}

/// Decodes the escape that `rest` begins with and gives what follows it.
fn one_escape<'a>(rest: &'a str, out: &mut String) -> &'a str {
    let mut chars = rest.chars();
    let plain = match chars.next() {
        Some('u') => return unicode_escape(rest, out),
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some(same) => same,
        None => return "",
    };
    out.push(plain);
    chars.as_str()
}

/// `rest` begins with `u`; a pair of surrogates is one character.
fn unicode_escape<'a>(rest: &'a str, out: &mut String) -> &'a str {
    let first = hex4(rest.as_bytes(), 1).unwrap_or_default();
    if !is_high_surrogate(first) {
        out.push(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        return rest.get(5..).unwrap_or_default();
    }
    let second = hex4(rest.as_bytes(), 7).unwrap_or_default();
    let scalar = 0x1_0000 + ((first & 0x3ff) << 10) + (second & 0x3ff);
    out.push(char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER));
    rest.get(11..).unwrap_or_default()
}

/// The four hexadecimal digits at `at`, if they are four.
pub(super) fn hex4(text: &[u8], at: usize) -> Option<u32> {
    let digits = text.get(at..at + 4)?;
    digits.iter().try_fold(0, |value, digit| Some(value * 16 + char::from(*digit).to_digit(16)?))
}

pub(super) fn is_high_surrogate(unit: u32) -> bool {
    (0xd800..0xdc00).contains(&unit)
}

pub(super) fn is_low_surrogate(unit: u32) -> bool {
    (0xdc00..0xe000).contains(&unit)
}

/// Up to here a string is searched byte by byte.
const SHORT: usize = 24;
