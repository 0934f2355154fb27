//! What differs between two definitions of one name, and what it can mean: for whoever approves a change.
//!
//! Two pure functions. Nothing here decides: a claim of a server is told as a claim, and what cannot be told apart is told as the
//! more dangerous of the two.

mod asks;
mod claims;
mod definition;
mod destinations;
mod form;
mod report;
mod schema;
#[cfg(test)]
mod tests;
mod words;

use std::fmt;

use sekisho_wire::{Json, ListKind};

use report::Report;

/// One place where two definitions differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where: a JSON pointer (RFC 6901), visible, and cut where it is long.
    pub at: Box<str>,
    /// What kind of change it is.
    pub meaning: Meaning,
    /// What changed and what it can mean, in a sentence: visible text of bounded length.
    pub words: Box<str>,
    /// What stood there, or the part of it that is gone: visible, and cut where it is long.
    pub old: Option<Box<str>>,
    /// What stands there, or the part of it that was not there before: visible, and cut where it is long.
    pub new: Option<Box<str>>,
}

/// What a difference can mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Meaning {
    /// It looks otherwise, and says the same.
    Cosmetic,
    /// It takes less than it did.
    Narrowed,
    /// It takes more than it did, or something else.
    Widened,
    /// It behaves otherwise, or claims to: annotations, answers, `_meta`, what is not known.
    Behaviour,
    /// Words changed that a model reads.
    Text,
    /// It asks for what it did not ask for, and that is required, personal, secret, or of the conversation or the machine.
    AsksForNewData,
    /// It names an address that it did not name.
    NamesNewDestination,
}

/// How closely a change has to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Risk {
    /// Nothing that matters.
    None,
    /// Callers may be refused what they could do.
    Low,
    /// Models or callers may act otherwise than they did.
    Medium,
    /// Data may go where it did not go.
    High,
}

/// Everything that differs between two definitions of one kind, by place; nothing if the two say the same.
///
/// White space, escapes, the order of members and the spelling of numbers (`1`, `1.0`) are no differences: where
/// [`crate::DefinitionDigest`]s differ and nothing is found, numbers are spelled otherwise. Past 64 differences the less dangerous
/// ones are left out, and a last one says how many, at the root, with the most dangerous meaning among them.
///
/// Takes milliseconds at most for what is meant, and up to a second for the worst of 256 KiB: not to be called under a lock.
#[must_use]
pub fn differences(kind: ListKind, old: &Json, new: &Json) -> Vec<Difference> {
    let mut report = Report::default();
    definition::compare(&mut report, kind, old, new);
    report.finish()
}

/// The highest risk of them.
#[must_use]
pub fn risk(differences: &[Difference]) -> Risk {
    differences.iter().map(|difference| difference.meaning.risk()).max().unwrap_or(Risk::None)
}

impl Meaning {
    /// The word for records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Meaning::Cosmetic => "cosmetic",
            Meaning::Narrowed => "narrowed",
            Meaning::Widened => "widened",
            Meaning::Behaviour => "behaviour",
            Meaning::Text => "text",
            Meaning::AsksForNewData => "asks_for_new_data",
            Meaning::NamesNewDestination => "names_new_destination",
        }
    }

    /// How closely to look.
    #[must_use]
    pub fn risk(self) -> Risk {
        match self {
            Meaning::Cosmetic => Risk::None,
            Meaning::Narrowed => Risk::Low,
            Meaning::Widened | Meaning::Behaviour | Meaning::Text => Risk::Medium,
            Meaning::AsksForNewData | Meaning::NamesNewDestination => Risk::High,
        }
    }
}

impl Risk {
    /// The word for records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Risk::None => "none",
            Risk::Low => "low",
            Risk::Medium => "medium",
            Risk::High => "high",
        }
    }
}

impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
