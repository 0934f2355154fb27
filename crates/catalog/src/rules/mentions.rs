//! Names of other servers' things in what a definition says.

use std::ops::Range;

use super::Checks;
use super::data::{Check, Found};
use super::names::Neighbours;
use super::reading::Reading;
use super::sentences::Orders;

/// The names of other servers' things in a text: the first that an order is about, and the first of all.
pub(crate) fn look(
    checks: &Checks,
    text: &str,
    reading: &Reading,
    orders: &Orders,
    neighbours: &Neighbours,
) -> Vec<Found> {
    let mut mention = None;
    for span in words(text) {
        let word = text.get(span.clone()).unwrap_or_default();
        let is_named = is_distinctive(text, &span) && neighbours.has_elsewhere_alone(word);
        if !is_named && !neighbours.has_qualified(word) {
            continue;
        }
        if orders.is_at(reading, reading.here(span.start)) {
            return checks.found(Check::MentionInOrder, span).into_iter().collect();
        }
        mention.get_or_insert(span);
    }
    mention.and_then(|span| checks.found(Check::Mention, span)).into_iter().collect()
}

/// The words that could be names of things: letters, digits, and what joins them.
fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
            let start = at + rest.iter().take_while(|byte| !byte.is_ascii_alphanumeric() && **byte != b'_').count();
            let word = bytes.get(start..)?.iter().take_while(|byte| joins(**byte)).count();
            at = start + word.max(1);
            let ends = bytes
                .get(start..start + word)?
                .iter()
                .rev()
                .take_while(|byte| matches!(byte, b'.' | b':' | b'/' | b'-'));
            let length = word - ends.count();
            if (NAME_BYTES_MIN..=NAME_BYTES_MAX).contains(&length) {
                return Some(start..start + length);
            }
        }
    })
}

fn joins(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/' | b':')
}

/// Whether a word is no word of a language, or is set apart as code: plain words such as `search` are what honest texts are made of.
fn is_distinctive(text: &str, span: &Range<usize>) -> bool {
    let word = text.get(span.clone()).unwrap_or_default();
    let quoted = text.as_bytes().get(span.end) == Some(&b'`')
        && text.get(..span.start).is_some_and(|before| before.ends_with('`'));
    if quoted || word.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return quoted;
    }
    let camel = word.as_bytes().windows(2).any(|pair| matches!(pair, [b'a'..=b'z', b'A'..=b'Z']));
    camel || word.contains(['_', '-', '.'])
}

/// Shorter words are in every text.
const NAME_BYTES_MIN: usize = 3;
/// Longer ones are no names that a model can call, with a server's name before them.
const NAME_BYTES_MAX: usize = 160;
