//! Texts that models and people read, word by word.

use std::ops::Range;

use sekisho_wire::{Json, text};

use super::form::same;
use super::report::{At, Report, listed};
use super::{Meaning, asks, definition, destinations};

/// What a text is about: what it must not begin to speak of depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// A whole definition, or what comes back.
    Whole,
    /// One argument: what is asked for.
    Argument,
}

/// A description, or another text that a model reads.
pub(super) fn description(report: &mut Report, at: &At<'_>, about: About, old: Option<&Json>, new: Option<&Json>) {
    let texts = (old.and_then(Json::string), new.and_then(Json::string));
    if texts.0.is_some() != old.is_some() || texts.1.is_some() != new.is_some() {
        definition::other(report, at, Meaning::Text, old, new);
        return;
    }
    let (before, after) = (texts.0.as_deref().unwrap_or_default(), texts.1.as_deref().unwrap_or_default());
    let named = destinations::added([before], [after]);
    let asked = match about {
        About::Whole => asks::newly_secret(before, after),
        About::Argument => asks::newly_asked(before, after),
    };
    match (old, new) {
        (Some(_), Some(_)) => reworded(report, at, before, after, named.is_empty()),
        (None, Some(_)) => {
            let words = format_args!("It has a description for models from now on.");
            report.note(at, Meaning::Text, words, (old, new));
        }
        (Some(_), None) => {
            report.note(at, Meaning::Text, format_args!("Its description for models is gone."), (old, new));
        }
        (None, None) => {}
    }
    destination(report, at, named.iter().map(String::as_str));
    if let Some(asked) = asked {
        let words = format_args!(
            "The text begins to speak of `{asked}`: a model may hand that over, which it was not asked for before."
        );
        report.note(at, Meaning::AsksForNewData, words, (None, None));
    }
}

/// A name for people. A long one is as good as a description.
pub(super) fn title(report: &mut Report, at: &At<'_>, old: Option<&Json>, new: Option<&Json>) {
    let after = new.and_then(Json::string).unwrap_or_default();
    let before = old.and_then(Json::string).unwrap_or_default();
    let is_hiding = text::visible(&after) != after;
    let speaks = is_hiding || after.chars().count() > TITLE_CHARS || asks::newly_secret(&before, &after).is_some();
    let is_text = new.is_none_or(|new| new.string().is_some());
    if speaks || !is_text || !destinations::added([&*before], [&*after]).is_empty() {
        description(report, at, About::Whole, old, new);
    } else {
        report.note(at, Meaning::Cosmetic, format_args!("It is shown to people under another title."), (old, new));
    }
}

/// Says that addresses are named which were not.
pub(super) fn destination<'a>(report: &mut Report, at: &At<'_>, named: impl Iterator<Item = &'a str>) {
    let named: Vec<&str> = named.collect();
    if named.is_empty() {
        return;
    }
    let names = listed(named.iter().copied());
    let words =
        format_args!("It names {names}, which it did not name: data may be sent there, or instructions fetched.");
    report.note_texts(at, Meaning::NamesNewDestination, words, (None, named.first().copied()));
}

fn reworded(report: &mut Report, at: &At<'_>, before: &str, after: &str, may_be_cosmetic: bool) {
    // Hidden characters are words here: they can carry a message that nobody sees.
    let (before, after) = (text::visible(before), text::visible(after));
    let (old, new) = (words(&before), words(&after));
    if may_be_cosmetic && old.iter().map(|word| &word.folded).eq(new.iter().map(|word| &word.folded)) {
        let words = format_args!("Only punctuation, case or white space of the text differs.");
        report.note_texts(at, Meaning::Cosmetic, words, (Some(&before), Some(&after)));
        return;
    }
    let (gone, came) = changed(&old, &new);
    let words = format_args!(
        "The text that models read was changed: {} words out, {} words in.",
        gone.iter().map(Range::len).sum::<usize>(),
        came.iter().map(Range::len).sum::<usize>()
    );
    let (gone, came) = (quoted(&before, &old, &gone), quoted(&after, &new, &came));
    report.note_texts(at, Meaning::Text, words, (gone.as_deref(), came.as_deref()));
}

/// A word as it is compared, and where it stands.
struct Word {
    folded: String,
    at: Range<usize>,
}

impl PartialEq for Word {
    fn eq(&self, other: &Word) -> bool {
        self.folded == other.folded
    }
}

/// The words of a text. What can turn the meaning around is part of one: `-1`, `<`, `!=`, `1.5`.
fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut before = ' ';
    let mut chars = text.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        let after = chars.peek().map_or(' ', |(_, after)| *after);
        if stands_between(before, char, after) {
            words.extend(word.take());
        } else {
            let word = word.get_or_insert(Word { folded: String::new(), at: at..at });
            word.folded.extend(char.to_lowercase());
            word.at.end = at.saturating_add(char.len_utf8());
        }
        before = char;
    }
    words.extend(word);
    words
}

fn stands_between(before: char, char: char, after: char) -> bool {
    match char {
        '-' => !after.is_ascii_digit() || before.is_alphanumeric(),
        '.' | ',' => !(before.is_ascii_digit() && after.is_ascii_digit()),
        '!' => after.is_whitespace() || after == '!' || !after.is_ascii_punctuation(),
        _ => char.is_whitespace() || PUNCTUATION.contains(&char),
    }
}

/// The runs of words that are in one text alone.
fn changed(old: &[Word], new: &[Word]) -> (Vec<Range<usize>>, Vec<Range<usize>>) {
    let start = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let rest = old.len().min(new.len()).saturating_sub(start);
    let end = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(old, new)| old == new).count();
    let middle = (start..old.len().saturating_sub(end), start..new.len().saturating_sub(end));
    if middle.0.len() > ALIGNED_WORDS || middle.1.len() > ALIGNED_WORDS {
        return ([middle.0].into(), [middle.1].into());
    }
    let parts = (old.get(middle.0).unwrap_or_default(), new.get(middle.1).unwrap_or_default());
    let (gone, came) = aligned(parts.0, parts.1);
    (runs(start, &gone), runs(start, &came))
}

/// Whether each word is in one of the two alone, by their longest common subsequence.
fn aligned(old: &[Word], new: &[Word]) -> (Vec<bool>, Vec<bool>) {
    let cell = |row: &[u16], at: usize| row.get(at).copied().unwrap_or_default();
    let mut rows: Vec<Vec<u16>> = vec![vec![0; new.len().saturating_add(1)]];
    for one in old.iter().rev() {
        let below = rows.last().map(Vec::as_slice).unwrap_or_default();
        let mut row = vec![0; below.len()];
        let mut behind = 0;
        for (at, other) in new.iter().enumerate().rev() {
            let diagonal = cell(below, at.saturating_add(1)).saturating_add(1);
            behind = if one == other { diagonal } else { cell(below, at).max(behind) };
            row.get_mut(at).into_iter().for_each(|cell| *cell = behind);
        }
        rows.push(row);
    }
    rows.reverse();
    let mut at = 0;
    let (mut gone, mut came) = (Vec::new(), Vec::new());
    for ((one, row), below) in old.iter().zip(&rows).zip(rows.iter().skip(1)) {
        // Words of the other text that leave the longest rest to be found.
        while new.get(at).is_some_and(|other| other != one) && cell(row, at.saturating_add(1)) == cell(row, at) {
            came.push(true);
            at = at.saturating_add(1);
        }
        let is_kept = new.get(at) == Some(one) && cell(row, at) > cell(below, at.saturating_add(1));
        gone.push(!is_kept);
        if is_kept {
            came.push(false);
            at = at.saturating_add(1);
        }
    }
    came.resize(new.len(), true);
    (gone, came)
}

/// The runs of `true`, counted from `start`.
fn runs(start: usize, marks: &[bool]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (at, _) in marks.iter().enumerate().filter(|(_, mark)| **mark) {
        let at = start.saturating_add(at);
        match runs.last_mut().filter(|run| run.end == at) {
            Some(run) => run.end = at.saturating_add(1),
            None => runs.push(at..at.saturating_add(1)),
        }
    }
    runs
}

/// The text of these runs; nothing if there are none.
fn quoted(text: &str, words: &[Word], runs: &[Range<usize>]) -> Option<String> {
    let run = |run: &Range<usize>| -> Option<&str> {
        let words = words.get(run.clone())?;
        text.get(words.first()?.at.start..words.last()?.at.end)
    };
    let quotes: Vec<&str> = runs.iter().filter_map(run).collect();
    (!quotes.is_empty()).then(|| quotes.join(" … "))
}

/// Whether two texts that may be missing say the same.
pub(super) fn unchanged(old: Option<&Json>, new: Option<&Json>) -> bool {
    match (old, new) {
        (Some(old), Some(new)) => same(old, new),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

const PUNCTUATION: [char; 31] = [
    ':', ';', '?', '\'', '"', '`', '(', ')', '[', ']', '*', '_', '…', '–', '—', '‘', '’', '“', '”', '«', '»', '•', '·',
    '。', '、', '，', '：', '；', '！', '「', '」',
];
/// Most words that are aligned one by one: their product is what it costs.
const ALIGNED_WORDS: usize = 128;
/// MCP shows titles on buttons and in lists; a longer one tells something.
const TITLE_CHARS: usize = 80;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn excerpts(old: &str, new: &str) -> (Option<String>, Option<String>) {
        let (before, after) = (words(old), words(new));
        let (gone, came) = changed(&before, &after);
        (quoted(old, &before, &gone), quoted(new, &after, &came))
    }

    #[test]
    fn runs_of_words_that_went_and_came_are_quoted_as_they_were_written() {
        let some = |text: &str| Some(text.to_owned());
        for (old, new, gone, came) in [
            ("a b c", "a x c", some("b"), some("x")),
            ("a b c", "a B c, `d e`", None, some("d e")),
            ("a b c d e f", "a X c d Y f", some("b … e"), some("X … Y")),
            ("", "a", None, some("a")),
            ("a, b", "", some("a, b"), None),
        ] {
            assert_eq!(excerpts(old, new), (gone, came), "{old} / {new}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_left_of_two_texts_is_the_same_and_as_long_as_can_be(old in "[a-c ]{0,24}", new in "[a-c ]{0,24}") {
            let (before, after) = (words(&old), words(&new));
            let (gone, came) = changed(&before, &after);
            let left = |words: &[Word], runs: &[Range<usize>]| -> Vec<String> {
                let kept = words.iter().enumerate().filter(|(at, _)| !runs.iter().any(|run| run.contains(at)));
                kept.map(|(_, word)| word.folded.clone()).collect()
            };
            let (one, other) = (left(&before, &gone), left(&after, &came));
            prop_assert_eq!(&one, &other);
            prop_assert_eq!(one.len(), longest(&before, &after));
        }
    }

    /// The slow, obvious way.
    fn longest(old: &[Word], new: &[Word]) -> usize {
        let mut row = vec![0; new.len() + 1];
        for one in old {
            let before = row.clone();
            for (at, other) in new.iter().enumerate() {
                row[at + 1] = if one == other { before[at] + 1 } else { before[at + 1].max(row[at]) };
            }
        }
        row[new.len()]
    }
}
