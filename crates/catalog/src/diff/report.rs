//! What was found so far, within bounds.

use std::fmt::Arguments;

use sekisho_wire::Json;

use super::form::{excerpt, named, shown};
use super::{Difference, Meaning};

/// A place within a definition: a key or index, and the place around it.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'a> {
    around: Option<&'a At<'a>>,
    key: &'a str,
}

impl<'a> At<'a> {
    /// The whole definition.
    pub(super) const ROOT: At<'static> = At { around: None, key: "" };

    /// A place within this one.
    pub(super) fn within(&'a self, key: &'a str) -> At<'a> {
        At { around: Some(self), key }
    }

    /// As a JSON pointer (RFC 6901 section 3).
    fn pointer(&self) -> Box<str> {
        let mut keys = Vec::new();
        let mut at = self;
        while let Some(around) = at.around {
            keys.push(format!("/{}", at.key.replace('~', "~0").replace('/', "~1")));
            at = around;
        }
        keys.reverse();
        shown(&keys.concat())
    }
}

/// The differences that were found. Past [`KEPT_MAX`], the most dangerous ones are kept.
#[derive(Debug, Default)]
pub(super) struct Report {
    kept: Vec<Difference>,
    found: usize,
    left_out: Option<Meaning>,
    /// Bytes that comparing has looked at.
    looked_at: usize,
}

impl Report {
    /// Notes a difference between two values.
    pub(super) fn note(
        &mut self,
        at: &At<'_>,
        meaning: Meaning,
        words: Arguments<'_>,
        values: (Option<&Json>, Option<&Json>),
    ) {
        if self.makes_room(meaning) {
            self.keep(at, meaning, words, (values.0.map(excerpt), values.1.map(excerpt)));
        }
    }

    /// Notes a difference between two texts.
    pub(super) fn note_texts(
        &mut self,
        at: &At<'_>,
        meaning: Meaning,
        words: Arguments<'_>,
        texts: (Option<&str>, Option<&str>),
    ) {
        if self.makes_room(meaning) {
            self.keep(at, meaning, words, (texts.0.map(shown), texts.1.map(shown)));
        }
    }

    /// How many were noted.
    pub(super) fn found(&self) -> usize {
        self.found
    }

    /// Whether two values may still be looked into. Following references can make a small definition a long way.
    pub(super) fn may_look_into(&mut self, old: &Json, new: &Json) -> bool {
        self.may_look_at(old.bytes().len().saturating_add(new.bytes().len()))
    }

    /// Whether so many bytes may still be looked at.
    pub(super) fn may_look_at(&mut self, bytes: usize) -> bool {
        self.looked_at = self.looked_at.saturating_add(bytes).saturating_add(STEP_BYTES);
        self.looked_at <= LOOKED_AT_MAX
    }

    /// All of it, and how many were left out.
    pub(super) fn finish(mut self) -> Vec<Difference> {
        if let Some(meaning) = self.left_out {
            let more = self.found.saturating_sub(self.kept.len());
            let words = format!("{more} more differences are left out, the most dangerous of them: {meaning}.");
            self.kept.push(Difference { at: "".into(), meaning, words: words.into(), old: None, new: None });
        }
        self.kept
    }

    /// Counts one, and leaves another one out for it where there is no room; false if it is itself the one.
    fn makes_room(&mut self, meaning: Meaning) -> bool {
        self.found = self.found.saturating_add(1);
        if self.kept.len() < KEPT_MAX {
            return true;
        }
        let least = self.kept.iter().enumerate().rev().min_by_key(|(_, kept)| kept.meaning.risk());
        let least = least.map(|(index, kept)| (index, kept.meaning));
        let left_out = match least {
            Some((index, least)) if least.risk() < meaning.risk() => {
                self.kept.remove(index);
                least
            }
            Some(_) | None => meaning,
        };
        let worst = self.left_out.filter(|worst| (worst.risk(), *worst) >= (left_out.risk(), left_out));
        self.left_out = Some(worst.unwrap_or(left_out));
        self.kept.len() < KEPT_MAX
    }

    fn keep(
        &mut self,
        at: &At<'_>,
        meaning: Meaning,
        words: Arguments<'_>,
        (old, new): (Option<Box<str>>, Option<Box<str>>),
    ) {
        let words = words.to_string().into();
        self.kept.push(Difference { at: at.pointer(), meaning, words, old, new });
    }
}

/// Names as they stand in a sentence, the first few of them.
pub(super) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names = names.into_iter();
    let mut told: Vec<String> = names.by_ref().take(LISTED_MAX).map(|name| format!("`{}`", named(name))).collect();
    match names.count() {
        0 => {}
        more => told.push(format!("{more} more")),
    }
    told.join(", ")
}

/// Most differences that are told.
const KEPT_MAX: usize = 64;
/// Most names that stand in one sentence.
const LISTED_MAX: usize = 4;
/// What a look costs, however short the values are.
const STEP_BYTES: usize = 128;
/// Bytes after which values are compared as wholes: many times the nesting of any definition that is meant.
const LOOKED_AT_MAX: usize = 16 * 1024 * 1024;
