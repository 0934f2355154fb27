//! Whether a definition under an unknown name is a known one that was renamed: by what it says of itself, in sketches of fixed size.
//!
//! A hint for whoever approves, and no proof: a server chooses every word that is compared. Kin is told to be looked at as a change
//! of what was approved; that something is no kin permits nothing.

mod kin;
mod sketch;

use std::collections::BTreeSet;

use sekisho_wire::json::Kind;
use sekisho_wire::{Json, ListKind};

use crate::canonical::exact;

pub use kin::Kin;
use sketch::{Sketch, hash, shared};

/// What is compared of a definition: less than 300 bytes, whatever its length. Made anew where it is needed, and not kept on disk.
#[derive(Debug, Clone)]
pub struct Face {
    kind: ListKind,
    /// Its beginning, if it is long.
    name: Box<str>,
    /// Words of the name that stand in the description, too.
    subject: Sketch<SUBJECT>,
    words: Sketch<DESCRIPTION_WORDS>,
    /// Words that follow each other.
    pairs: Sketch<DESCRIPTION_PAIRS>,
    description: u64,
    schema: u64,
    /// Names of properties or arguments.
    properties: Sketch<PROPERTIES>,
}

/// How alike two definitions are, part by part, each from 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Likeness {
    /// Of the names.
    pub name: u8,
    /// Of what the descriptions say.
    pub description: u8,
    /// Of what is taken: 100 only for the same schema.
    pub schema: u8,
    /// Whether the descriptions are long enough to tell things apart, and whether the schemas are.
    telling: (bool, bool),
}

impl Face {
    /// Of a definition; of one that lacks a part, that part is empty.
    #[must_use]
    pub fn of(kind: ListKind, definition: &Json) -> Face {
        let text = |key: &str| {
            let text = definition.get(key);
            text.as_ref().and_then(Json::string).map(|text| text.into_owned()).unwrap_or_default()
        };
        let name = text(kind.key());
        let words = words(&text("description"));
        let known: BTreeSet<&String> = words.iter().collect();
        let pairs = words.iter().zip(words.iter().skip(1)).map(|(one, next)| hash(&format!("{one} {next}")));
        let (schema, properties) = taken(kind, definition);
        Face {
            kind,
            subject: self::words(&name).iter().filter(|word| known.contains(*word)).map(|word| hash(word)).collect(),
            name: name.get(..name.floor_char_boundary(NAME_BYTES)).unwrap_or_default().into(),
            pairs: pairs.collect(),
            description: hash(&words.join(" ")),
            words: words.iter().map(|word| hash(word)).collect(),
            schema: schema.map(|schema| hash(&exact(&schema))).unwrap_or_default(),
            properties: properties.iter().map(|name| hash(name)).collect(),
        }
    }

    /// How alike the two are; things of different kinds are not.
    #[must_use]
    pub fn likeness(&self, other: &Face) -> Likeness {
        if self.kind != other.kind {
            return Likeness { name: 0, description: 0, schema: 0, telling: (false, false) };
        }
        let enough = |one: usize, other: usize, least: usize| one.min(other) >= least;
        Likeness {
            name: percent(strsim::jaro_winkler(&self.name, &other.name)),
            description: self.description_likeness(other),
            schema: self.schema_likeness(other),
            telling: (
                enough(self.words.len(), other.words.len(), TELLING_WORDS),
                enough(self.properties.len(), other.properties.len(), TELLING_PROPERTIES),
            ),
        }
    }

    fn description_likeness(&self, other: &Face) -> u8 {
        if self.description == other.description && !self.words.is_empty() {
            return 100;
        }
        let (words, pairs) = (shared(&self.words, &other.words), shared(&self.pairs, &other.pairs));
        let all = words.1.saturating_add(pairs.1);
        let alike = ratio(words.0.saturating_add(pairs.0), all);
        // The same sentence about something else, `Lists issues …` and `Lists pulls …`; not so where nearly all of it agrees.
        let is_of_another = alike < f64::from(SAME_TEXT) / 100.0 && self.has_another_subject(other);
        let alike = if is_of_another { alike * ANOTHER_SUBJECT } else { alike };
        // 100 is the same text alone.
        percent(alike).min(99)
    }

    /// Whether each is about something, as name and description say, that the other one does not speak of.
    fn has_another_subject(&self, other: &Face) -> bool {
        let has_own = |one: &Face, other: &Face| {
            one.subject.iter().any(|word| !other.subject.has(word) && !other.words.has(word))
        };
        has_own(self, other) && has_own(other, self)
    }

    fn schema_likeness(&self, other: &Face) -> u8 {
        if self.schema == other.schema {
            return 100;
        }
        let (both, all) = shared(&self.properties, &other.properties);
        percent(ratio(both, all)).min(99)
    }
}

impl Likeness {
    /// Whether the one is taken for the other under another name.
    ///
    /// What many have in common makes no kin: a small schema, a description of one or two words, a name.
    #[must_use]
    pub fn is_kin(&self) -> bool {
        let (description_tells, schema_tells) = self.telling;
        let same_text = description_tells && self.description >= SAME_TEXT && self.schema >= SAME_TEXT_SCHEMA;
        let near_text = description_tells
            && self.description >= NEAR_TEXT
            && (self.name >= NEAR_NAME || (schema_tells && self.schema >= NEAR_SCHEMA));
        let no_text = !description_tells && schema_tells && self.schema == 100 && self.name >= NEAR_NAME;
        same_text || near_text || no_text
    }

    /// What the nearest is chosen by.
    fn rank(&self) -> (u8, u8, u8) {
        (self.description, self.schema, self.name)
    }
}

/// What a definition takes: its schema or list of arguments, and the names in it.
fn taken(kind: ListKind, definition: &Json) -> (Option<Json>, BTreeSet<String>) {
    match kind {
        ListKind::Tools => {
            let schema = definition.get("inputSchema");
            let properties = schema.as_ref().and_then(|schema| schema.get("properties"));
            let names = properties.iter().flat_map(Json::members).map(|(name, _)| name.into_owned()).collect();
            (schema, names)
        }
        ListKind::Prompts => {
            let list = definition.get("arguments").filter(|list| list.kind() == Kind::Array);
            let names = list.iter().flat_map(Json::elements).filter_map(|argument| {
                argument.get("name").and_then(|name| name.string().map(|name| name.into_owned()))
            });
            let names = names.collect();
            (list, names)
        }
        ListKind::Resources | ListKind::Templates => (None, BTreeSet::new()),
    }
}

/// The words of a text or name: `readFile`, `read-file` and `Read file` have the same ones.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut lower_before = false;
    for char in text.chars() {
        if !char.is_alphanumeric() || (lower_before && char.is_uppercase()) {
            words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
        }
        word.extend(char.to_lowercase().filter(|_| char.is_alphanumeric()));
        lower_before = char.is_lowercase();
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

/// A part of a whole, from 0 to 1; of nothing, 0.
fn ratio(part: usize, whole: usize) -> f64 {
    let number = |count: usize| u32::try_from(count).map(f64::from).unwrap_or(f64::MAX);
    if whole == 0 { 0.0 } else { number(part) / number(whole) }
}

/// From 0 to 1, in hundredths.
fn percent(ratio: f64) -> u8 {
    (1..=100).take_while(|step| f64::from(*step) <= ratio * 100.0 + 1e-9).last().unwrap_or(0)
}

/// Bytes of a name that are compared.
const NAME_BYTES: usize = 48;
/// Hashes that are kept of each part: a part with no more of them is compared exactly.
const SUBJECT: usize = 4;
const DESCRIPTION_WORDS: usize = 20;
const DESCRIPTION_PAIRS: usize = 16;
const PROPERTIES: usize = 8;
/// Fewest words of a description, and fewest properties of a schema, that tell things apart.
const TELLING_WORDS: usize = 3;
const TELLING_PROPERTIES: usize = 3;
/// From these on (of 100) parts count as near; see [`Likeness::is_kin`].
const NEAR_TEXT: u8 = 70;
const NEAR_NAME: u8 = 80;
const NEAR_SCHEMA: u8 = 75;
const SAME_TEXT: u8 = 90;
const SAME_TEXT_SCHEMA: u8 = 50;
/// How much of a likeness is left where names and descriptions agree that it is about something else.
const ANOTHER_SUBJECT: f64 = 0.75;

#[cfg(test)]
mod tests;
