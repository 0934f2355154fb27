//! Runs of encoded text: found, decoded once, and never again what comes out of them.

use std::ops::Range;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::data::Check;

/// A run of encoded text.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) span: Range<usize>,
    /// What it is marked as, if it is.
    pub(crate) check: Option<Check>,
    /// What it says, if that is readable.
    pub(crate) decoded: Option<String>,
}

/// The encoded runs of a text that are long enough to say something.
pub(crate) fn runs(text: &str) -> Vec<Run> {
    let mut runs = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let escapes = if matches!(rest, [b'%' | b'\\', ..]) { escapes(rest) } else { Escapes::default() };
        if escapes.bytes > 0 {
            let span = at..at + escapes.bytes;
            at = span.end;
            runs.extend(escaped(span, escapes));
            continue;
        }
        let length = rest.iter().take_while(|byte| is_of_alphabet(**byte)).count();
        if length >= RUN_BYTES_MIN {
            runs.extend(dense(text, at..at + length));
        }
        at += length.max(1);
    }
    runs
}

/// A run of `%41`, `\x41` or `\u0041`.
#[derive(Default)]
struct Escapes {
    bytes: usize,
    decoded: Vec<u8>,
    /// How many stand for a character of ASCII, which could stand there itself.
    ascii: usize,
    count: usize,
}

fn escapes(rest: &[u8]) -> Escapes {
    let mut run = Escapes::default();
    while let Some(rest) = rest.get(run.bytes..) {
        let (length, digits) = match rest {
            [b'%', digits @ ..] => (3, digits.get(..2)),
            [b'\\', b'x', digits @ ..] => (4, digits.get(..2)),
            [b'\\', b'u', digits @ ..] => (6, digits.get(..4)),
            _ => break,
        };
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let Some(code) = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) else { break };
        run.bytes += length;
        run.count += 1;
        run.ascii += usize::from((0x20..0x7f).contains(&code));
        match (length, u8::try_from(code)) {
            (3 | 4, Ok(byte)) => run.decoded.push(byte),
            _ => run.decoded.extend_from_slice(char::from_u32(code).unwrap_or(' ').encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    run
}

fn escaped(span: Range<usize>, escapes: Escapes) -> Option<Run> {
    let says_what_it_could = escapes.ascii * 4 >= escapes.count * 3;
    (escapes.count >= ESCAPES_MIN && says_what_it_could).then(|| Run {
        span,
        check: Some(Check::EscapedRun),
        decoded: String::from_utf8(escapes.decoded).ok(),
    })
}

/// A run of hexadecimal digits, or of Base64 in either alphabet.
fn dense(text: &str, span: Range<usize>) -> Option<Run> {
    let run = text.get(span.clone())?;
    let is_hex = run.bytes().all(|byte| byte.is_ascii_hexdigit());
    let decoded = if is_hex { hex(run) } else { base64(run) }.and_then(readable);
    let image = is_in_image(text, span.start);
    let check = match &decoded {
        _ if image => None,
        Some(_) => Some(Check::EncodedText),
        None if is_hex => is_long_hex(run).then_some(Check::EncodedBlob),
        None => is_blob(run).then_some(Check::EncodedBlob),
    };
    (check.is_some() || decoded.is_some()).then_some(Run { span, check, decoded })
}

fn hex(run: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = run.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

fn base64(run: &str) -> Option<Vec<u8>> {
    // A digit is left over where white space, or nothing, stands for the padding.
    let whole = run.get(..run.len() - usize::from(run.len() % 4 == 1))?;
    let alphabet = if run.contains(['-', '_']) { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
    GeneralPurpose::new(alphabet, LENIENT).decode(whole).ok()
}

/// The text that bytes are, if it has words.
fn readable(bytes: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(bytes).ok()?;
    let chars = text.chars().count();
    let ordinary = text
        .chars()
        .filter(|char| char.is_alphanumeric() || matches!(char, ' '..='~' | '\n' | '\u{3000}'..='\u{303f}'));
    let blanks = text.chars().filter(|char| char.is_whitespace()).count();
    let ideographs = text.chars().filter(|char| matches!(char, '\u{3040}'..='\u{9fff}')).count();
    let has_words = blanks >= 2 || ideographs >= 4;
    let is_ordinary = ordinary.count() * 10 >= chars * 9 && !text.contains('\0');
    (has_words && is_ordinary).then_some(text)
}

/// Longer than any usual digest, and of more digits than rulers and placeholders have.
fn is_long_hex(run: &str) -> bool {
    run.len() > HEX_DIGEST_DIGITS_MAX && ('0'..='9').filter(|digit| run.contains(*digit)).count() >= 5
}

fn is_blob(run: &str) -> bool {
    let count = |is: fn(&u8) -> bool| run.bytes().filter(is).count();
    let [upper, lower] = [count(u8::is_ascii_uppercase), count(u8::is_ascii_lowercase)];
    let (digits, marks) = (count(u8::is_ascii_digit), count(|byte| !byte.is_ascii_alphanumeric()));
    let eighth = run.len() / 8;
    // A path or a slug has more marks, a long word fewer kinds.
    run.len() >= BLOB_BYTES_MIN && upper > eighth && lower > eighth && digits > eighth / 4 && marks < eighth
}

/// Images and fonts may stand in `data:` URIs.
fn is_in_image(text: &str, at: usize) -> bool {
    let start = text.floor_char_boundary(at.saturating_sub(DATA_URI_HEAD_BYTES));
    let before = text.get(start..at).unwrap_or_default();
    before.ends_with(";base64,") && ["data:image/", "data:font/"].iter().any(|head| before.contains(head))
}

fn is_of_alphabet(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);
/// The shortest run that is decoded: it says three words.
const RUN_BYTES_MIN: usize = 24;
/// SHA-512 in hexadecimal digits: no usual digest is longer.
const HEX_DIGEST_DIGITS_MAX: usize = 128;
/// A key or a signature in Base64 is shorter.
const BLOB_BYTES_MIN: usize = 256;
/// Some escapes are usual in examples.
const ESCAPES_MIN: usize = 8;
/// How far before the data of a `data:` URI its type may begin.
const DATA_URI_HEAD_BYTES: usize = 96;
