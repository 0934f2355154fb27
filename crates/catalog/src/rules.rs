//! **Does a definition do more than define?** Rules over what servers offer: words that order the model about (poisoning), names and
//! words about the things of other servers (shadowing), and what is hidden from whoever reads along.
//!
//! The rules are data, in `rules/*.toml`, each with examples of what it marks and of what it lets be. They are matched in time linear in
//! the text, whatever it says. A rule that needs more than words names a check, which is code.

mod claims;
mod data;
mod encoded;
mod hidden;
mod mentions;
mod names;
mod reading;
mod sentences;
mod strings;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::LazyLock;

use sekisho_wire::{Json, ListKind, text};
use serde::Deserialize;

use data::{Check, CheckFile, Found, Header};
pub use names::Neighbours;
use reading::Reading;
use sentences::{BadRules, Scratch, Sentences};
pub use strings::Part;
use strings::Place;

/// All rules, compiled.
#[derive(Debug)]
pub struct Rules {
    sentences: Sentences,
    checks: Checks,
}

/// The name of a rule, which stays the same: `poison-hides-from-user`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(&'static str);

/// What follows from a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// It is told.
    Notice,
    /// The definition is neither listed nor callable until somebody approves it.
    Withhold,
}

/// A place in a definition that a rule marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Which rule.
    pub rule: RuleId,
    /// What follows.
    pub effect: Effect,
    /// Where: a JSON pointer (RFC 6901) into the definition, hidden characters written out; cut, and with an ellipsis, if it is long.
    pub at: Box<str>,
    /// Whether the value there is marked or the name of the member.
    pub part: Part,
    /// Bytes of the string there.
    pub span: Range<usize>,
    /// What stands there, hidden characters written out; cut, and with an ellipsis, if it is long.
    pub quote: Box<str>,
    /// What the rule says, a sentence for people.
    pub why: &'static str,
}

impl Mark {
    /// Whether it withholds a definition that was approved despite these rules.
    #[must_use]
    pub fn withholds_despite(&self, accepted: &[Box<str>]) -> bool {
        self.effect == Effect::Withhold && !accepted.iter().any(|rule| **rule == *self.rule.as_str())
    }
}

impl RuleId {
    /// The name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Rules {
    /// The rules of this release.
    #[must_use]
    pub fn standard() -> &'static Rules {
        static STANDARD: LazyLock<Rules> = LazyLock::new(|| {
            #[expect(
                clippy::expect_used,
                reason = "the data is part of the program, and `the_rules_compile` reads it in every build"
            )]
            Rules::compile().expect("the rules compile")
        });
        &STANDARD
    }

    fn compile() -> Result<Rules, BadRules> {
        Ok(Rules {
            sentences: Sentences::compile(data::WORDS, &data::SENTENCES)?,
            checks: Checks::compile(&data::CHECKS)?,
        })
    }

    /// What the rules mark in a definition of one of `neighbours`' own server. Every string is looked at, member names as well; a
    /// rule marks a few places of a definition at most, so that no number of notices crowds out what would withhold it.
    #[must_use]
    pub fn look(&self, kind: ListKind, definition: &Json, neighbours: &Neighbours) -> Vec<Mark> {
        let mut marks = Marks::default();
        let mut scratch = Scratch::default();
        strings::walk(definition, &mut |place, string| {
            for found in self.look_at(string, neighbours, &mut scratch) {
                marks.add(place, string, found);
            }
            if place.is_argument() {
                self.checks.context_parameter(string).into_iter().for_each(|found| marks.add(place, string, found));
            }
        });
        if let Some(name) = definition.get(kind.key()).as_ref().and_then(Json::string) {
            let place = Place::member(kind.key());
            for found in names::look(&self.checks, kind, &name, neighbours) {
                marks.add(&place, &name, found);
            }
            for found in claims::look(&self.checks, &name, definition) {
                marks.add(&place, &name, found);
            }
        }
        marks.0
    }

    fn look_at(&self, text: &str, neighbours: &Neighbours, scratch: &mut Scratch) -> Vec<Found> {
        let mut found = hidden::look(&self.checks, text);
        let spaced = strings::spaced(text);
        let reading = Reading::of(&spaced);
        let (said, orders) = self.sentences.look(&spaced, &reading, scratch);
        found.extend(said);
        found.extend(hidden::order_in_comment(&self.checks, text, &reading, &orders));
        found.extend(mentions::look(&self.checks, text, &reading, &orders, neighbours));
        for run in encoded::runs(text) {
            found.extend(run.check.and_then(|check| self.checks.found(check, run.span.clone())));
            let Some(decoded) = &run.decoded else { continue };
            let (said, _) = self.sentences.look(decoded, &Reading::of(decoded), scratch);
            found.extend(said.into_iter().map(|said| Found { span: run.span.clone(), ..said }));
        }
        found
    }
}

/// Marks of a definition, a few for each rule.
#[derive(Default)]
struct Marks(Vec<Mark>);

impl Marks {
    fn add(&mut self, place: &Place<'_>, string: &str, found: Found) {
        let of_rule = self.0.iter().filter(|mark| mark.rule == found.rule.id).count();
        if of_rule >= MARKS_OF_A_RULE_MAX {
            return;
        }
        let quote = string.get(found.span.clone()).unwrap_or_default();
        self.0.push(Mark {
            rule: found.rule.id,
            effect: found.rule.effect,
            at: brief(&place.pointer(), POINTER_CHARS_MAX),
            part: place.part(),
            quote: brief(quote, QUOTE_CHARS_MAX),
            span: found.span,
            why: found.rule.why,
        });
    }
}

/// `text` made visible and cut.
fn brief(text: &str, chars_max: usize) -> Box<str> {
    let head: String = text.chars().take(chars_max).collect();
    let mut shown: String = text::visible(&head).chars().take(chars_max).collect();
    if head.len() < text.len() {
        shown.push('…');
    }
    shown.into()
}

/// The rules whose condition is code.
#[derive(Debug)]
pub(crate) struct Checks(BTreeMap<Check, (Header, Vec<String>)>);

impl Checks {
    fn compile(files: &[&str]) -> Result<Checks, BadRules> {
        let mut checks = BTreeMap::new();
        for file in files {
            let file: CheckFile = toml::from_str(file)?;
            for rule in file.rules {
                checks.insert(rule.check, (Header::new(rule.id, rule.effect, rule.why), rule.words));
            }
        }
        match Check::ALL.into_iter().find(|check| !checks.contains_key(check)) {
            Some(missing) => Err(BadRules::NoRule(missing)),
            None => Ok(Checks(checks)),
        }
    }

    /// What such a check found. INVARIANT: there is a rule for each of them, or the rules do not compile.
    pub(crate) fn found(&self, check: Check, span: Range<usize>) -> Option<Found> {
        self.0.get(&check).map(|(rule, _)| Found { rule: *rule, span })
    }

    /// Whether a word is one of those that a check looks for.
    pub(crate) fn has_word(&self, check: Check, word: &str) -> bool {
        self.0.get(&check).is_some_and(|(_, words)| words.iter().any(|known| known.eq_ignore_ascii_case(word)))
    }

    fn context_parameter(&self, name: &str) -> Option<Found> {
        let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        let named = self.has_word(Check::ContextParameter, &plain);
        named.then(|| self.found(Check::ContextParameter, 0..name.len())).flatten()
    }
}

/// How many places of a definition one rule marks.
const MARKS_OF_A_RULE_MAX: usize = 4;
/// How much is quoted, in characters.
const QUOTE_CHARS_MAX: usize = 200;
/// How much of a place is told, in characters.
const POINTER_CHARS_MAX: usize = 400;

#[cfg(test)]
mod tests;
