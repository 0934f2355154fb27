//! A text as a model reads it: letters without their disguises, in lower case, and where each of them stood.

use std::ops::Range;

use sekisho_wire::text::suspect;
use unicode_normalization::UnicodeNormalization;
use unicode_security::skeleton;

/// A text in the form that words are looked for in: NFKC, lower case, base letters of the Latin script, without hidden
/// characters and emphasis, blanks as one space each, letters of other scripts that pretend to be Latin as what they look like.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    text: String,
    /// Where the distance from the text as it was written changes: here, and there. Ascending in both.
    steps: Vec<(usize, usize)>,
    /// Where sentences end, here.
    ends: Vec<usize>,
    /// Whether the line ended with the last character that is not blank.
    line_ended: bool,
}

impl Reading {
    /// Reads a text. Linear in its length.
    pub(crate) fn of(text: &str) -> Reading {
        let mut reading = Reading { text: String::with_capacity(text.len()), ..Reading::default() };
        let mut rest = 0;
        while let Some(left) = text.get(rest..).filter(|left| !left.is_empty()) {
            let plain = if left.is_ascii() { left.len() } else { left.bytes().take_while(u8::is_ascii).count() };
            reading.ascii(left.get(..plain).unwrap_or_default(), rest);
            let left = left.get(plain..).unwrap_or_default();
            let strange = left.find(|char: char| char.is_ascii()).unwrap_or(left.len());
            reading.beyond_ascii(text, rest + plain..rest + plain + strange);
            rest += plain + strange;
        }
        reading
    }

    /// The text that words are looked for in.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Where sentences end, ascending.
    pub(crate) fn ends(&self) -> &[usize] {
        &self.ends
    }

    /// Where something stands in `text` as it was written, by whole characters.
    pub(crate) fn written(&self, text: &str, here: &Range<usize>) -> Range<usize> {
        // The end is that of the last character: what was dropped behind it is not part of it.
        let start = self.origin(here.start);
        let end = self.origin(here.end.saturating_sub(1)).max(start).saturating_add(1);
        text.floor_char_boundary(start)..text.ceil_char_boundary(end)
    }

    /// Where something that was written there stands here.
    pub(crate) fn here(&self, written: usize) -> usize {
        let after = self.steps.partition_point(|(_, there)| *there <= written);
        let (here, there) = after.checked_sub(1).and_then(|step| self.steps.get(step)).copied().unwrap_or_default();
        here + (written - there)
    }

    fn origin(&self, at: usize) -> usize {
        let after = self.steps.partition_point(|(here, _)| *here <= at);
        let (here, there) = after.checked_sub(1).and_then(|step| self.steps.get(step)).copied().unwrap_or_default();
        there + (at - here)
    }

    fn ascii(&mut self, text: &str, offset: usize) {
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            // Most of a text is words, and these are taken whole.
            let word = rest.bytes().take_while(|byte| matches!(byte, b'!'..=b')' | b'+'..=b'~')).count();
            match (word, rest.bytes().next()) {
                (0, Some(byte)) => self.push(byte.into(), offset + at),
                _ => self.word(rest.get(..word).unwrap_or_default(), offset + at),
            }
            at += word.max(1);
        }
    }

    fn word(&mut self, word: &str, at: usize) {
        self.line_ended = false;
        self.step(at);
        let start = self.text.len();
        self.text.push_str(word);
        self.text.get_mut(start..).unwrap_or_default().make_ascii_lowercase();
    }

    /// A run of characters beyond ASCII; the words at its edges may begin before and end behind it.
    fn beyond_ascii(&mut self, text: &str, run: Range<usize>) {
        let before = text.get(..run.start).and_then(|text| text.chars().next_back());
        let after = text.get(run.end..).and_then(|text| text.chars().next());
        let beside_latin = [before, after].iter().flatten().any(char::is_ascii_alphabetic);
        let within = text.get(run.clone()).unwrap_or_default();
        let words = within.split_inclusive(|char: char| char.is_whitespace());
        let mut at = run.start;
        for word in words {
            let disguised = beside_latin && word.chars().any(disguises) || looks_latin(word);
            for (within, char) in word.char_indices() {
                self.strange(char, at + within, disguised);
            }
            at += word.len();
        }
    }

    fn strange(&mut self, char: char, at: usize, disguised: bool) {
        match char {
            // Most of what is written in Chinese and Japanese stands for itself.
            '\u{3001}'..='\u{3029}' | '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fe}' | '\u{4e00}'..='\u{9fff}' => {
                self.push(char, at);
            }
            '‘' | '’' | '\u{2bc}' => self.push('\'', at),
            '“' | '”' | '«' | '»' | '„' => self.push('"', at),
            '\u{300}'..='\u{36f}' => {}
            _ if suspect(char) => {}
            _ if disguised && disguises(char) => {
                skeleton(char.encode_utf8(&mut [0; 4])).for_each(|char| self.lowered(char, at));
            }
            _ => std::iter::once(char).nfkc().for_each(|char| self.lowered(char, at)),
        }
    }

    fn lowered(&mut self, char: char, at: usize) {
        for char in char.to_lowercase() {
            // Accents are no disguise, and what is written without them is read alike.
            let base = match char {
                '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => std::iter::once(char).nfd().next().unwrap_or(char),
                _ => char,
            };
            if !matches!(base, '\u{300}'..='\u{36f}') {
                self.push(base, at);
            }
        }
    }

    fn push(&mut self, char: char, at: usize) {
        let last = self.text.as_bytes().last().copied();
        match char {
            ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}' => {
                let empty_line = char == '\n' && std::mem::replace(&mut self.line_ended, true);
                let full_stop = matches!(last, Some(b'.' | b'!' | b'?'));
                if (empty_line || full_stop) && self.ends.last() != Some(&self.text.len()) {
                    self.ends.push(self.text.len());
                }
                if last != Some(b' ') {
                    self.put(' ', at);
                }
            }
            // Emphasis within a phrase does not part it.
            '*' => {}
            '\0'..='\u{1f}' | '\u{7f}' => {}
            '。' => {
                self.line_ended = false;
                self.put(char, at);
                self.ends.push(self.text.len());
            }
            _ => {
                self.line_ended = false;
                self.put(char, at);
            }
        }
    }

    fn put(&mut self, char: char, at: usize) {
        self.step(at);
        self.text.push(char);
    }

    /// Notes where what comes next was written, if that does not follow from what came before.
    fn step(&mut self, at: usize) {
        let (here, there) = self.steps.last().copied().unwrap_or_default();
        if there + (self.text.len() - here) != at {
            self.steps.push((self.text.len(), at));
        }
    }
}

/// Whether a letter of a script beyond Latin looks like one of it.
pub(crate) fn disguises(char: char) -> bool {
    let foreign = matches!(char, '\u{370}'..='\u{58f}' | '\u{13a0}'..='\u{13ff}' | '\u{1c80}'..='\u{1c8f}'
        | '\u{2c00}'..='\u{2dff}' | '\u{a4d0}'..='\u{a4ff}' | '\u{a640}'..='\u{a69f}' | '\u{ab30}'..='\u{abbf}');
    foreign && skeleton(char.encode_utf8(&mut [0; 4])).all(|char| char.is_ascii_alphabetic())
}

/// Whether a word has no Latin letter and looks as if it had no others.
pub(crate) fn looks_latin(word: &str) -> bool {
    let mut letters = word.chars().filter(|char| char.is_alphabetic()).peekable();
    letters.peek().is_some() && letters.all(disguises)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disguises_are_read_as_what_they_look_like() {
        for (text, read) in [
            ("Ignore  PREVIOUS\n instructions", "ignore previous instructions"),
            ("іgnоre prevіous", "ignore previous"),
            ("ｉｇｎｏｒｅ 𝐩𝐫𝐞𝐯𝐢𝐨𝐮𝐬", "ignore previous"),
            ("ig\u{200b}no\u{e0041}re", "ignore"),
            ("do **not** tell", "do not tell"),
            ("Don’t “tell”", "don't \"tell\""),
            ("Größe, déjà, e\u{301}", "große, deja, e"),
            ("Привет, мир", "привет, мир"),
            ("日本語のＡＢＣ", "日本語のabc"),
        ] {
            assert_eq!(Reading::of(text).text(), read, "{text}");
        }
    }

    #[test]
    fn what_is_read_is_found_again_where_it_was_written() {
        let text = "é  a\u{200b}b 日本 **tell** x";
        let reading = Reading::of(text);
        for word in ["ab", "日本", "tell", "x"] {
            let here = reading.text().find(word).unwrap();
            let written = reading.written(text, &(here..here + word.len()));
            assert_eq!(text.get(written).unwrap().replace('\u{200b}', ""), word);
        }
    }

    #[test]
    fn sentences_end_at_full_stops_and_empty_lines_alone() {
        let parts = |text: &str| Reading::of(text).ends().len();
        assert_eq!(parts("One. Two! Three"), 2);
        assert_eq!(parts("See a.b and 1.5"), 0);
        assert_eq!(parts("One\nstill one\n\nTwo"), 1);
        assert_eq!(parts("一つ。二つ！三つ"), 1);
    }
}
