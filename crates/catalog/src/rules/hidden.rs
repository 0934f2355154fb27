//! Characters that a reader does not see, and what they are used for.

use std::ops::Range;

use sekisho_wire::text;

use super::Checks;
use super::data::{Check, Found};
use super::reading::Reading;
use super::sentences::Orders;

/// What is hidden in a text, each kind at its first place.
pub(crate) fn look(checks: &Checks, text: &str) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    let plain = |byte: u8| matches!(byte, b' '..=b'~' | b'\t' | b'\n');
    if text.bytes().all(plain) {
        return found;
    }
    let mut run = Run::default();
    let mut flag_end = 0;
    for (at, char) in text::hidden(text) {
        let span = at..at + char.len_utf8();
        run.take(char, &span);
        if is_tag(char) && at >= flag_end {
            flag_end = at + flag_tags(text, at);
        }
        let check = match char {
            _ if at < flag_end => None,
            '\r' if text.get(span.end..).is_some_and(|rest| rest.starts_with('\n')) => None,
            _ if is_tag(char) => Some(Check::TagCharacters),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => Some(Check::BidiControls),
            _ if run.selectors >= SELECTORS_MIN => Some(Check::VariationSelectors),
            _ if is_selector(char) && run.follows_ideograph(text) => None,
            '\u{1b}' | '\u{9b}' => Some(Check::TerminalEscape),
            _ if run.is_within_word(text) => Some(Check::ZeroWidthInWord),
            _ => Some(Check::OtherHidden),
        };
        let news = check.and_then(|check| checks.found(check, span));
        found.extend(news.filter(|news| !found.iter().any(|known| known.rule.id == news.rule.id)));
    }
    found
}

/// The first comment of markup that holds an order.
pub(crate) fn order_in_comment(checks: &Checks, text: &str, reading: &Reading, orders: &Orders) -> Option<Found> {
    let mut at = 0;
    while let Some(start) = text.get(at..).and_then(|rest| rest.find(COMMENT)).map(|found| at + found) {
        let end = text.get(start..).and_then(|rest| rest.find(COMMENT_END)).map_or(text.len(), |found| start + found);
        if orders.are_within(reading.here(start)..reading.here(end)) {
            return checks.found(Check::OrderInComment, start..end);
        }
        at = end;
    }
    None
}

fn is_tag(char: char) -> bool {
    matches!(char, '\u{e0000}'..='\u{e007f}')
}

fn is_selector(char: char) -> bool {
    matches!(char, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// How many bytes of tags at `at` make a black flag that of a region (UTS 51, emoji tag sequences); 0 if they do not.
fn flag_tags(text: &str, at: usize) -> usize {
    let behind_flag = text.get(..at).is_some_and(|before| before.ends_with('\u{1f3f4}'));
    let rest = text.get(at..).unwrap_or_default().chars().take(REGION_CHARS_MAX + 1);
    let is_of_region = |char: &char| matches!(char, '\u{e0030}'..='\u{e0039}' | '\u{e0061}'..='\u{e007a}');
    let region = rest.clone().take_while(is_of_region).count();
    let ends = rest.clone().nth(region) == Some('\u{e007f}');
    if behind_flag && ends && region >= 3 { (region + 1) * '\u{e007f}'.len_utf8() } else { 0 }
}

/// Hidden characters in a row.
#[derive(Default)]
struct Run {
    span: Range<usize>,
    /// Selectors at its end.
    selectors: usize,
    /// Whether one of them takes no room and joins or parts nothing in Latin writing.
    zero_width: bool,
}

impl Run {
    fn take(&mut self, char: char, span: &Range<usize>) {
        if self.span.end != span.start {
            *self = Run { span: span.start..span.start, ..Run::default() };
        }
        self.span.end = span.end;
        self.selectors = if is_selector(char) { self.selectors + 1 } else { 0 };
        self.zero_width |= matches!(char, '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{34f}');
    }

    fn before(&self, text: &str) -> Option<char> {
        text.get(..self.span.start).and_then(|before| before.chars().next_back())
    }

    /// One selector behind an ideograph says which form of it is meant (UTS 37): names of people and places need it.
    fn follows_ideograph(&self, text: &str) -> bool {
        let is_ideograph =
            |char: char| matches!(char, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}');
        self.before(text).is_some_and(is_ideograph)
            && text.get(self.span.clone()).is_some_and(|run| run.chars().nth(1).is_none())
    }

    /// Whether it ends here, and parts two letters of a Latin word.
    fn is_within_word(&self, text: &str) -> bool {
        let is_latin = |char: char| char.is_ascii_alphanumeric() || matches!(char, '\u{c0}'..='\u{24f}');
        let after = text.get(self.span.end..).and_then(|after| after.chars().next());
        self.zero_width && self.before(text).is_some_and(is_latin) && after.is_some_and(is_latin)
    }
}

/// ISO 3166-2 in tags, the country first.
const REGION_CHARS_MAX: usize = 6;
const COMMENT: &str = "<!--";
const COMMENT_END: &str = "-->";
/// How many selectors in a row are a message rather than a form.
const SELECTORS_MIN: usize = 3;
