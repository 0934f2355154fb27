//! Rules about sentences: classes of words that follow each other, found in one pass over the text.

use std::collections::BTreeMap;
use std::ops::Range;

use aho_corasick::AhoCorasick;

use super::data::{Check, Found, Header, SentenceFile, SentenceRule, Words};
use super::reading::Reading;

/// The rules, compiled: one automaton for all words of all languages.
#[derive(Debug)]
pub(crate) struct Sentences {
    words: AhoCorasick,
    /// What each word of the automaton means.
    meanings: Vec<Meaning>,
    /// For each class, the places in patterns that it can take; later places of one pattern first.
    places: Vec<Vec<Place>>,
    /// Each pattern's rule, and where its state begins among the states of all.
    patterns: Vec<Pattern>,
    states: usize,
}

#[derive(Debug, Default)]
struct Meaning {
    classes: Vec<usize>,
    /// Whether it makes a sentence an order.
    orders: bool,
    /// Whether it begins and ends a word where it stands: `tell` is not in `storyteller`.
    begins: bool,
    ends: bool,
}

#[derive(Debug)]
struct Place {
    pattern: usize,
    step: usize,
    gap_max: usize,
}

#[derive(Debug)]
struct Pattern {
    rule: Header,
    first_state: usize,
    steps: usize,
}

/// How far a pattern has come: the text from its first word on, within one sentence.
#[derive(Debug, Clone, Default)]
struct State {
    span: Range<usize>,
    sentence: usize,
}

/// How far all patterns have come; used for one text after the other, so that a short one costs little.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    states: Vec<State>,
    /// The sentence that is looked at, counted over all texts: what was left behind in others does not go on.
    sentence: usize,
}

impl Scratch {
    /// Begins with a text. The number of its first sentence.
    fn begin(&mut self, states: usize) -> usize {
        self.states.resize_with(states, State::default);
        self.sentence += 1;
        self.sentence
    }
}

/// The rules do not say what they should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadRules {
    /// Not the form.
    #[error("a file of rules does not have the form of one")]
    Form(#[from] toml::de::Error),
    /// A word that is not there.
    #[error("rule `{rule}` has no words `{class}` in `{language}`")]
    NoWords { rule: String, class: String, language: String },
    /// A pattern of one class or none.
    #[error("rule `{rule}` has an empty pattern in `{language}`")]
    EmptyPattern { rule: String, language: String },
    /// A condition that is code, and stands in no file.
    #[error("there is no rule for {0:?}")]
    NoRule(Check),
    /// Too many words for the automaton.
    #[error("the words do not compile")]
    Words(#[from] aho_corasick::BuildError),
}

impl Sentences {
    /// Compiles words, and the rules that are made of them.
    ///
    /// # Errors
    /// [`BadRules`].
    pub(crate) fn compile(words: &str, files: &[&str]) -> Result<Sentences, BadRules> {
        let words: Words = toml::from_str(words)?;
        let mut compiler = Compiler::new(&words);
        for file in files {
            let file: SentenceFile = toml::from_str(file)?;
            file.rules.into_iter().try_for_each(|rule| compiler.add(rule))?;
        }
        compiler.finish()
    }

    /// What the rules mark in a text, each rule at its first place, and the sentences that are orders.
    pub(crate) fn look(&self, text: &str, reading: &Reading, scratch: &mut Scratch) -> (Vec<Found>, Orders) {
        let before = scratch.begin(self.states);
        let mut found: Vec<Found> = Vec::new();
        let mut orders = Orders::default();
        let mut sentence = 0;
        for hit in self.words.find_overlapping_iter(reading.text()) {
            let Some(meaning) = self.meanings.get(hit.pattern().as_usize()) else { continue };
            if !meaning.stands(reading.text(), hit.range()) {
                continue;
            }
            while reading.ends().get(sentence).is_some_and(|end| *end <= hit.start()) {
                sentence += 1;
            }
            if meaning.orders {
                orders.0.push(hit.end());
            }
            scratch.sentence = before + sentence;
            for class in &meaning.classes {
                for place in self.places.get(*class).into_iter().flatten() {
                    let Some(whole) = self.step(place, &hit.range(), scratch) else { continue };
                    let Some(pattern) = self.patterns.get(place.pattern) else { continue };
                    if !found.iter().any(|known| known.rule.id == pattern.rule.id) {
                        found.push(Found { rule: pattern.rule, span: reading.written(text, &whole) });
                    }
                }
            }
        }
        (found, orders)
    }

    /// Takes a pattern one step on; the text of all of it once that was the last.
    fn step(&self, place: &Place, hit: &Range<usize>, scratch: &mut Scratch) -> Option<Range<usize>> {
        let sentence = scratch.sentence;
        let pattern = self.patterns.get(place.pattern)?;
        let start = match place.step.checked_sub(1) {
            None => hit.start,
            Some(before) => {
                let state = scratch.states.get(pattern.first_state + before)?;
                let near = hit.start.checked_sub(state.span.end)? <= place.gap_max;
                (near && state.sentence == sentence).then_some(state.span.start)?
            }
        };
        let span = start..hit.end;
        if place.step + 1 == pattern.steps {
            return Some(span);
        }
        let state = scratch.states.get_mut(pattern.first_state + place.step)?;
        // Of words that end together the longest counts: `do not`, rather than `not`.
        let is_longer = state.sentence == sentence && state.span.end == span.end && state.span.start <= span.start;
        if !is_longer {
            *state = State { span, sentence };
        }
        None
    }
}

impl Meaning {
    fn stands(&self, text: &str, at: Range<usize>) -> bool {
        let before = || goes_on(text.get(..at.start).unwrap_or_default().chars().rev());
        let after = || goes_on(text.get(at.end..).unwrap_or_default().chars());
        !(self.begins && before() || self.ends && after())
    }
}

/// Whether a word goes on with these characters, away from it.
fn goes_on(mut chars: impl Iterator<Item = char>) -> bool {
    match chars.next() {
        // `read-only` is no word to read.
        Some('-') => chars.next().is_some_and(within_word),
        Some(char) => within_word(char),
        None => false,
    }
}

/// Where a text has words that make a sentence an order: the ends of the words in the reading, ascending.
#[derive(Debug, Default)]
pub(crate) struct Orders(Vec<usize>);

impl Orders {
    /// Whether the sentence at a place of the reading is one.
    pub(crate) fn is_at(&self, reading: &Reading, at: usize) -> bool {
        let next = reading.ends().partition_point(|end| *end <= at);
        let end = |number: usize| reading.ends().get(number).copied();
        self.are_within(next.checked_sub(1).and_then(end).unwrap_or_default()..end(next).unwrap_or(usize::MAX))
    }

    /// Whether there is such a word between two places of a reading.
    pub(crate) fn are_within(&self, at: Range<usize>) -> bool {
        let first = self.0.partition_point(|end| *end <= at.start);
        self.0.get(first).is_some_and(|end| *end <= at.end)
    }
}

struct Compiler<'a> {
    words: &'a Words,
    classes: BTreeMap<(&'a str, &'a str), usize>,
    places: Vec<Vec<Place>>,
    patterns: Vec<Pattern>,
    states: usize,
}

impl<'a> Compiler<'a> {
    fn new(words: &'a Words) -> Compiler<'a> {
        let names =
            words.iter().flat_map(|(language, classes)| classes.keys().map(move |class| (&**language, &**class)));
        let classes: BTreeMap<_, _> = names.enumerate().map(|(number, name)| (name, number)).collect();
        let places = classes.iter().map(|_| Vec::new()).collect();
        Compiler { words, classes, places, patterns: Vec::new(), states: 0 }
    }

    fn add(&mut self, rule: SentenceRule) -> Result<(), BadRules> {
        let header = Header::new(rule.id.clone(), rule.effect, rule.why);
        for (language, sentences) in rule.languages {
            for pattern in sentences.patterns {
                let steps = self.pattern(header, &rule.id, &language, &pattern)?;
                if steps == 0 {
                    return Err(BadRules::EmptyPattern { rule: rule.id, language });
                }
            }
        }
        Ok(())
    }

    fn pattern(&mut self, rule: Header, id: &str, language: &str, text: &str) -> Result<usize, BadRules> {
        let (mut steps, mut gap_max) = (0, GAP_BYTES);
        for step in text.split_whitespace() {
            if step == ".." {
                gap_max = GAP_BYTES_FAR;
                continue;
            }
            for class in step.split('|') {
                let number = self.class(language, class).ok_or_else(|| BadRules::NoWords {
                    rule: id.to_owned(),
                    class: class.to_owned(),
                    language: language.to_owned(),
                })?;
                let place = Place { pattern: self.patterns.len(), step: steps, gap_max };
                // A word that can take two places of a pattern must not take both at once.
                self.places.get_mut(number).into_iter().for_each(|places| places.insert(0, Place { ..place }));
            }
            steps += 1;
            gap_max = GAP_BYTES;
        }
        self.patterns.push(Pattern { rule, first_state: self.states, steps });
        self.states += steps;
        Ok(steps)
    }

    fn class(&self, language: &str, class: &str) -> Option<usize> {
        self.classes.get(&(language, class)).or_else(|| self.classes.get(&(ANY, class))).copied()
    }

    fn finish(self) -> Result<Sentences, BadRules> {
        let mut meanings: BTreeMap<String, Meaning> = BTreeMap::new();
        for ((language, class), number) in &self.classes {
            for word in self.words.get(*language).and_then(|classes| classes.get(*class)).into_iter().flatten() {
                let (stem, is_stem) = word.strip_suffix('*').map_or((word.as_str(), false), |stem| (stem, true));
                let reading = Reading::of(stem);
                let key = reading.text();
                let meaning = meanings.entry(if is_stem { format!("{key}*") } else { key.to_owned() }).or_default();
                meaning.classes.push(*number);
                meaning.orders |= *class == ORDER;
                meaning.begins = key.chars().next().is_some_and(within_word);
                meaning.ends = !is_stem && key.chars().next_back().is_some_and(within_word);
            }
        }
        let texts = meanings.keys().map(|key| key.strip_suffix('*').unwrap_or(key));
        Ok(Sentences {
            words: AhoCorasick::new(texts)?,
            places: self.places,
            patterns: self.patterns,
            states: self.states,
            meanings: meanings.into_values().collect(),
        })
    }
}

/// Whether a character belongs to a word that blanks part from others; Chinese and Japanese have no such words.
fn within_word(char: char) -> bool {
    char == '_' || char.is_ascii_alphanumeric() || matches!(char, '\u{c0}'..='\u{2ff}' | '\u{370}'..='\u{52f}')
}

/// Words of every language.
const ANY: &str = "any";
/// The class of words that make a sentence an order.
const ORDER: &str = "order";
/// How far apart the words of a pattern may stand, in bytes: about eight words.
const GAP_BYTES: usize = 48;
/// The same where a pattern says `..`.
const GAP_BYTES_FAR: usize = 160;

#[cfg(test)]
mod tests;
