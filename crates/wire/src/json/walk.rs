//! Walking over text that the scanner accepted, without a tree.
//!
//! Every function here is total: on text that is not JSON the answer means nothing, but none panics.

use std::borrow::Cow;
use std::ops::Range;

/// Where a member of an object lies.
pub(super) struct Member {
    /// The key with its quotation marks.
    pub(super) key: Range<usize>,
    /// The value.
    pub(super) value: Range<usize>,
}

/// The members of the object that `text` is; none if it is something else.
pub(super) fn members(text: &[u8]) -> impl Iterator<Item = Member> {
    let mut at = inside(text, b'{');
    std::iter::from_fn(move || {
        at = between(text, at);
        if text.get(at) != Some(&b'"') {
            return None;
        }
        let key = at..string_end(text, at);
        // Behind the key: white space, the colon, white space.
        let from = blank(text, blank(text, key.end) + 1);
        at = value_end(text, from);
        Some(Member { key, value: from..at })
    })
}

/// The elements of the array that `text` is; none if it is something else.
pub(super) fn elements(text: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = inside(text, b'[');
    std::iter::from_fn(move || {
        at = between(text, at);
        if matches!(text.get(at), None | Some(b']')) {
            return None;
        }
        let from = at;
        at = value_end(text, from);
        Some(from..at)
    })
}

/// Behind the bracket that `text` begins with; its end if it begins otherwise.
fn inside(text: &[u8], bracket: u8) -> usize {
    if text.first() == Some(&bracket) { 1 } else { text.len() }
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
#[inline]
pub(super) fn blank(text: &[u8], at: usize) -> usize {
    let mut at = at;
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = text.get(at) {
        at += 1;
    }
    at
}

/// Behind the white space and commas at `at`.
fn between(text: &[u8], at: usize) -> usize {
    let mut at = at;
    while let Some(b' ' | b'\t' | b'\n' | b'\r' | b',') = text.get(at) {
        at += 1;
    }
    at
}

/// Behind the value that begins at `at`.
fn value_end(text: &[u8], at: usize) -> usize {
    match text.get(at) {
        Some(b'"') => string_end(text, at),
        Some(b'{' | b'[') => container_end(text, at),
        Some(_) | None => {
            let rest = text.get(at..).unwrap_or_default();
            let end = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
            at + rest.iter().position(end).unwrap_or(rest.len())
        }
    }
}

fn container_end(text: &[u8], at: usize) -> usize {
    let mut at = at;
    let mut depth = 0_usize;
    loop {
        match text.get(at) {
            Some(b'"') => at = string_end(text, at),
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
        let plain = plain_bytes(rest);
        match rest.get(plain) {
            Some(b'\\') => at += plain + 2,
            Some(_) => return at + plain + 1,
            None => return text.len(),
        }
    }
}

/// How many bytes there are before the first one that means something within a string: a quotation mark, a backslash, a control
/// character.
pub(super) fn plain_bytes(text: &[u8]) -> usize {
    let mut at = 0;
    // Most strings are short: eight bytes at a time are found without setting up anything, and long ones in whole blocks.
    while let Some(word) = text.get(at..).and_then(|rest| rest.first_chunk()) {
        let found = specials(u64::from_le_bytes(*word));
        if found != 0 {
            // INVARIANT: at most 7; the default is never taken.
            return at + usize::try_from(found.trailing_zeros() / 8).unwrap_or_default();
        }
        at += 8;
        if at == SHORT {
            at += plain_blocks(text.get(at..).unwrap_or_default());
        }
    }
    last_bytes(text, at)
}

/// The same where all bytes are printable, so that there are no control characters to look for.
pub(super) fn printable_bytes(text: &[u8]) -> usize {
    let Some((first, rest)) = text.split_at_checked(SHORT) else { return plain_bytes(text) };
    match plain_bytes(first) {
        SHORT => SHORT + memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len()),
        found => found,
    }
}

/// The same for the last bytes, fewer than a word: those before `at` are plain.
fn last_bytes(text: &[u8], at: usize) -> usize {
    let Some(word) = text.last_chunk() else {
        return text.iter().position(is_special).unwrap_or(text.len());
    };
    // INVARIANT: a byte that is found stands at `at` or behind; the text is as long as a word.
    match specials(u64::from_le_bytes(*word)) {
        _ if at == text.len() => at,
        0 => text.len(),
        found => text.len() - 8 + usize::try_from(found.trailing_zeros() / 8).unwrap_or_default(),
    }
}

/// How many bytes whole blocks without a special one take. A block at a time, without a branch: the compiler makes wide instructions
/// of it.
fn plain_blocks(text: &[u8]) -> usize {
    let (blocks, _) = text.as_chunks::<BLOCK>();
    let plain = |block: &&[u8; BLOCK]| !block.iter().fold(false, |found, byte| found | is_special(byte));
    blocks.iter().take_while(plain).count() * BLOCK
}

fn is_special(byte: &u8) -> bool {
    *byte < b' ' || *byte == b'"' || *byte == b'\\'
}

/// Whether no byte is special. Most texts that are asked about are short, so each length has its own few steps.
pub(super) fn is_plain(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks();
    let last = match (text.last_chunk(), text.first_chunk(), text.last_chunk()) {
        // It covers what the words leave.
        (Some(last), _, _) => *last,
        (None, Some([a, b, c, d]), Some([e, f, g, h])) => [*a, *b, *c, *d, *e, *f, *g, *h],
        (None, _, _) => {
            let mut padded = [b'~'; 8];
            padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            padded
        }
    };
    let special = |word: &[u8; 8]| specials(u64::from_le_bytes(*word));
    words.iter().fold(special(&last), |found, word| found | special(word)) == 0
}

/// Marks the first byte of a word (the lowest one) that is special by its highest bit. What is marked above that one means nothing:
/// subtracting may have borrowed from it.
fn specials(word: u64) -> u64 {
    let zero = |word: u64| word.wrapping_sub(u64::from_le_bytes([1; 8])) & !word;
    let quote = zero(word ^ u64::from_le_bytes([b'"'; 8]));
    let backslash = zero(word ^ u64::from_le_bytes([b'\\'; 8]));
    let control = word.wrapping_sub(u64::from_le_bytes([b' '; 8])) & !word;
    (quote | backslash | control) & u64::from_le_bytes([0x80; 8])
}

/// The decoded text of the string at `string`, which includes its quotation marks.
pub(super) fn decoded(text: &[u8], string: Range<usize>) -> Cow<'_, str> {
    let inner = text.get(string.start + 1..string.end.saturating_sub(1)).unwrap_or_default();
    let text = std::str::from_utf8(inner).unwrap_or_default();
    if is_plain(inner) { Cow::Borrowed(text) } else { unescape(text) }
}

/// The key at `string` as bytes, decoded: what has no escape need not be looked at as text.
pub(super) fn key_bytes(text: &[u8], string: Range<usize>, is_escaped: bool) -> Cow<'_, [u8]> {
    if is_escaped {
        return Cow::Owned(decoded(text, string).into_owned().into_bytes());
    }
    Cow::Borrowed(text.get(string.start + 1..string.end.saturating_sub(1)).unwrap_or_default())
}

/// Whether the key at `string` is `key` once it is decoded.
pub(super) fn is_key(text: &[u8], string: Range<usize>, key: &[u8]) -> bool {
    let inner = text.get(string.start + 1..string.end.saturating_sub(1)).unwrap_or_default();
    // An escape is longer than what it stands for, so that a key of this very length has none, or is another one.
    if inner.len() <= key.len() {
        return inner == key && !inner.contains(&b'\\');
    }
    inner.contains(&b'\\') && *decoded(text, string).as_bytes() == *key
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

/// Up to here a string is searched word by word, a multiple of 8.
const SHORT: usize = 32;
const BLOCK: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_bytes_end_where_one_by_one_they_do() {
        let slow = |text: &[u8]| text.iter().position(is_special).unwrap_or(text.len());
        for len in [0, 1, 3, 4, 5, 7, 8, 9, 31, 32, 33, 39, 40, 95, 96, 97, 160, 163] {
            let plain: Vec<u8> =
                (0..len).map(|at| [b'a', 0x7f, 0x80, 0xff, b' ', b'!', b'#', b'[', b']'][at % 9]).collect();
            assert_eq!(plain_bytes(&plain), len);
            assert_eq!(printable_bytes(&plain), len);
            assert!(is_plain(&plain));
            for at in 0..len {
                for special in [b'"', b'\\', 0, b'\n', 0x1f] {
                    let mut text = plain.clone();
                    text[at] = special;
                    if let Some(behind) = text.get_mut(at + 1) {
                        *behind = b'"';
                    }
                    assert_eq!(plain_bytes(&text), slow(&text), "{text:?}");
                    assert!(!is_plain(&text), "{text:?}");
                    if special == b'"' || special == b'\\' {
                        assert_eq!(printable_bytes(&text), slow(&text), "{text:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_byte_is_special_alone_or_not_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            for at in 0..8 {
                let mut word = [b'~'; 8];
                word[at] = byte;
                let first = (specials(u64::from_le_bytes(word)) != 0).then_some(at);
                assert_eq!(first, is_special(&byte).then_some(at), "{byte} at {at}");
                assert_eq!(plain_bytes(&word), first.unwrap_or(8));
            }
        }
    }

    #[test]
    fn a_key_is_compared_decoded() {
        for (written, key, same) in [
            (r#""a""#, "a", true),
            (r#""\u0061""#, "a", true),
            (r#""a\n""#, "a\n", true),
            (r#""a\n""#, "a\\n", false),
            (r#""a\\n""#, "a\\n", true),
            (r#""ab""#, "a", false),
            (r#""a""#, "ab", false),
            (r#""""#, "", true),
        ] {
            assert_eq!(is_key(written.as_bytes(), 0..written.len(), key.as_bytes()), same, "{written} {key}");
        }
    }
}
