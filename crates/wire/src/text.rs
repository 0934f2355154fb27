//! Text that people, logs or models will see.

use std::borrow::Cow;
use std::fmt::{self, Write};

use crate::json::Json;

/// Text whose control, ANSI, bidi, tag and other invisible characters were made visible (`\u{202e}`
/// written out). Tab and line feed stay. Requirement 1.4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sanitized(String);

impl Sanitized {
    /// Makes `text` visible.
    #[must_use]
    pub fn new(text: &str) -> Sanitized {
        Sanitized(visible(text).into_owned())
    }

    /// The visible text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sanitized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text with such characters made visible; borrowed where there are none.
///
/// Joiners and selectors stay where ordinary writing needs them: within emoji, and ZWJ and ZWNJ
/// between letters of a script that shapes with them.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    if is_plain(text.as_bytes()) || !text.contains(suspect) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut before = None;
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        if suspect(char) && !belongs(before, char, chars.peek().copied()) {
            // Writing into a String cannot fail.
            let _ = write!(out, "\\u{{{:x}}}", u32::from(char));
        } else {
            out.push(char);
        }
        before = Some(char);
    }
    Cow::Owned(out)
}

/// The characters of `text` that [`visible`] writes out, each with where it stands, in bytes.
pub fn hidden(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut before = None;
    let mut chars = text.char_indices().peekable();
    std::iter::from_fn(move || {
        while let Some((at, char)) = chars.next() {
            let hides = suspect(char) && !belongs(before, char, chars.peek().map(|(_, after)| *after));
            before = Some(char);
            if hides {
                return Some((at, char));
            }
        }
        None
    })
}

/// Whether every string and name in the JSON text is plainly visible: told at a glance, by bytes. No for what has to be looked at
/// more closely, and for all that is not ASCII.
#[must_use]
pub fn is_plainly_visible(json: &Json) -> bool {
    if json.is_visible() {
        return true;
    }
    // An escape may stand for anything, but for these: a quotation mark, a backslash, a slash, a line feed, a tab.
    let text = json.bytes();
    let mut rest = 0;
    while let Some(at) = memchr::memchr(b'\\', text.get(rest..).unwrap_or_default()) {
        match text.get(rest + at + 1) {
            Some(b'"' | b'\\' | b'/' | b'n' | b't') => rest += at + 2,
            Some(_) | None => return false,
        }
    }
    is_plain(text)
}

/// Whether all of it is printable ASCII, tabs and line feeds aside.
pub(crate) fn is_plain(text: &[u8]) -> bool {
    let is_plain = |byte: &u8| matches!(*byte, b' '..0x7f | b'\t' | b'\n');
    text.chunks(BLOCK).all(|block| is_printable(block) || block.iter().all(is_plain))
}

/// Whether all of it is printable ASCII.
pub(crate) fn is_printable(text: &[u8]) -> bool {
    // A whole block at a time, without a branch: the compiler makes wide instructions of it.
    let most = |block: &[u8]| block.iter().fold(0, |most: u8, byte| most.max(byte.wrapping_sub(b' ')));
    text.chunks(BLOCK).all(|block| most(block) < 0x7f - b' ')
}

/// Whether `char` is one that a reader does not see, or that changes how others are seen, wherever it stands.
#[must_use]
pub fn suspect(char: char) -> bool {
    match char {
        '\t' | '\n' => false,
        // C0 (ESC begins ANSI sequences), DEL, C1 (which holds the one-byte CSI).
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => true,
        // Everything else below is Default_Ignorable_Code_Point of Unicode, bidi controls
        // (UAX 9 section 2), line and paragraph separators, interlinear annotation, or blank letters.
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' => true,
        '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' => true,
        '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' => true,
        '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' => true,
        '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' => true,
        // Tags, and the supplementary variation selectors that can carry whole hidden messages.
        '\u{e0000}'..='\u{e0fff}' => true,
        _ => false,
    }
}

/// Whether a suspect character between these two is part of ordinary writing.
fn belongs(before: Option<char>, char: char, after: Option<char>) -> bool {
    let Some(before) = before else { return false };
    match char {
        // Emoji presentation; of a digit only within a keycap.
        '\u{fe0f}' if matches!(before, '#' | '*' | '0'..='9') => after == Some('\u{20e3}'),
        '\u{fe0f}' => pictograph(before),
        // Text presentation, of symbols alone.
        '\u{fe0e}' => pictograph(before),
        ZWJ => {
            let joins = pictograph(before) || matches!(before, '\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}');
            (joins && after.is_some_and(pictograph)) || shapes(before) && after.is_some_and(shapes)
        }
        ZWNJ => shapes(before) && after.is_some_and(shapes),
        _ => false,
    }
}

/// Roughly the characters that emoji are made of.
fn pictograph(char: char) -> bool {
    matches!(char,
        '©' | '®' | '\u{203c}' | '\u{2049}' | '\u{2122}' | '\u{2139}'
        | '\u{2190}'..='\u{21ff}' | '\u{2300}'..='\u{23ff}' | '\u{24c2}' | '\u{25a0}'..='\u{27bf}'
        | '\u{2900}'..='\u{297f}' | '\u{2b00}'..='\u{2bff}' | '\u{3030}' | '\u{303d}' | '\u{3297}'
        | '\u{3299}' | '\u{1f000}'..='\u{1faff}')
}

/// Letters of scripts whose spelling uses joiners: Arabic and its kin, Syriac, and the Indic scripts.
fn shapes(char: char) -> bool {
    matches!(char,
        '\u{620}'..='\u{669}' | '\u{66e}'..='\u{6d3}' | '\u{6d5}' | '\u{6fa}'..='\u{6ff}'
        | '\u{710}'..='\u{7bf}' | '\u{8a0}'..='\u{8ff}' | '\u{900}'..='\u{dff}' | '\u{1000}'..='\u{109f}')
}

const ZWJ: char = '\u{200d}';
const ZWNJ: char = '\u{200c}';

const BLOCK: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Limits;

    #[test]
    fn ordinary_writing_is_borrowed_or_survives() {
        for text in [
            "plain\ttext\nwith lines",
            "日本語、한국어、中文",
            "العربية شَدَّة",
            "עברית עם ניקוד שָׁלוֹם",
            "می‌خواهم",
            "क्‍ष",
            "👨‍👩‍👧‍👦 👩🏽‍💻 🏳️‍🌈 ❤️ ❤️‍🔥 1️⃣ 🇯🇵 ☺︎ 😀",
            "e\u{301}",
        ] {
            assert_eq!(visible(text), text);
        }
        assert!(matches!(visible("plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn ansi_sequences_are_written_out() {
        assert_eq!(visible("a\u{1b}[31mred\u{9b}0m\r\0"), "a\\u{1b}[31mred\\u{9b}0m\\u{d}\\u{0}");
    }

    #[test]
    fn bidi_controls_are_written_out() {
        assert_eq!(visible("user\u{202e}gpj.exe\u{2066}"), "user\\u{202e}gpj.exe\\u{2066}");
        assert_eq!(visible("\u{200f}\u{61c}"), "\\u{200f}\\u{61c}");
    }

    #[test]
    fn tags_and_supplementary_selectors_are_written_out() {
        assert_eq!(visible("a\u{e0041}\u{e007f}"), "a\\u{e0041}\\u{e007f}");
        assert_eq!(visible("😀\u{e0100}\u{e01ef}"), "😀\\u{e0100}\\u{e01ef}");
    }

    #[test]
    fn invisible_characters_outside_emoji_and_joining_scripts_are_written_out() {
        assert_eq!(visible("pass\u{200b}word"), "pass\\u{200b}word");
        assert_eq!(visible("a\u{200d}b"), "a\\u{200d}b");
        assert_eq!(visible("a\u{fe0f}"), "a\\u{fe0f}");
        assert_eq!(visible("1\u{fe0f}2"), "1\\u{fe0f}2");
        assert_eq!(visible("😀\u{fe0f}\u{fe0f}"), "😀\u{fe0f}\\u{fe0f}");
        assert_eq!(visible("😀\u{200d}"), "😀\\u{200d}");
        assert_eq!(visible("\u{2028}\u{2029}\u{feff}\u{3164}"), "\\u{2028}\\u{2029}\\u{feff}\\u{3164}");
    }

    #[test]
    fn hidden_characters_are_those_that_are_written_out() {
        let text = "a\u{202e}é\u{200b}b 👩🏽‍💻 ❤️\u{fe0f}";
        let found: Vec<_> = hidden(text).collect();
        let at = text.len() - 3;
        assert_eq!(found, [(1, '\u{202e}'), (6, '\u{200b}'), (at, '\u{fe0f}')]);
        assert_eq!(hidden("می‌خواهم, 日本語").count(), 0);
    }

    #[test]
    fn what_was_scanned_is_as_visible_as_what_was_built() {
        let chars = || (0..0x180).chain(0x2000..0x2100).filter_map(char::from_u32);
        for text in chars().flat_map(|char| [char.to_string(), format!("{}{char}{}", "x".repeat(100), "y".repeat(100))])
        {
            let built = Json::text(&text);
            let scanned = Json::decode(built.bytes().clone(), &Limits::default()).expect("strict JSON");
            assert_eq!(is_plainly_visible(&scanned), is_plainly_visible(&built), "{text:?}");
            assert!(!is_plainly_visible(&scanned) || visible(&text) == text, "{text:?}");
        }
    }

    #[test]
    fn escapes_that_may_stand_for_anything_are_not_plainly_visible() {
        for (text, expected) in [
            (r#"{"a":{"b":"\n\t\"\\\/"}}"#, true),
            (r#"{"a":{"b":"\u0041"}}"#, false),
            (r#"{"a":{"b":"\r"}}"#, false),
            (r#"{"a":{"b":"\b"}}"#, false),
            (r#"{"a":{"b":"\f"}}"#, false),
            (r#"{"a":{"\u202e":"b"}}"#, false),
            ("{\"a\":\t{\n\"b\": 1}}", true),
            ("{\"a\":{\r\n\"b\": 1}}", false),
        ] {
            let whole = Json::decode(text.into(), &Limits::default()).expect("strict JSON");
            let part = whole.get("a").expect("a member");
            assert_eq!([&whole, &part, &part.detached()].map(is_plainly_visible), [expected; 3], "{text}");
        }
        // Of a text that is not seen to be so as a whole, a part may be.
        let whole = Json::decode(r#"{"a":"\u202e","b":"c"}"#.into(), &Limits::default()).expect("strict JSON");
        assert!(whole.get("b").is_some_and(|part| is_plainly_visible(&part)));
    }

    #[test]
    fn what_was_made_visible_stays_as_it_is() {
        let once = Sanitized::new("a\u{202e}b");
        assert_eq!(Sanitized::new(once.as_str()), once);
    }
}
