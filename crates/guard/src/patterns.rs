//! What the patterns of a schema cost: each is compiled under limits that grow, and the smallest that fits tells.
//!
//! A pattern is matched in time linear in the text (JS-04), but the factor is the size of its automaton, and the
//! server chooses it.

use std::collections::HashMap;

use jsonschema::{Draft, PatternOptions};
use serde_json::json;

use crate::text;

/// Why the patterns of a schema are not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Costly {
    /// Too many patterns.
    #[error("it has more than {PATTERNS_MAX} patterns")]
    Many,
    /// Too much of them.
    #[error("its patterns have more than {PATTERNS_TEXT_BYTES_MAX} bytes together")]
    Long,
    /// One that does not compile, or to too much.
    #[error("its pattern `{0}` is not linear in time, or compiles to more than {PATTERN_BYTES_MAX} bytes")]
    Large(Box<str>),
}

/// The patterns of one schema.
#[derive(Default)]
pub(crate) struct Patterns {
    /// The compiled size of each, in KiB.
    known: HashMap<Box<str>, usize>,
    text_bytes: usize,
}

impl Patterns {
    /// Steps for each byte of a text that is matched against `pattern`.
    ///
    /// # Errors
    /// [`Costly`] if the schema has too many patterns, or this one is too large.
    pub(crate) fn steps(&mut self, pattern: &str) -> Result<u64, Costly> {
        let kib = match self.known.get(pattern) {
            Some(kib) => *kib,
            None => self.learn(pattern)?,
        };
        Ok(u64::try_from(kib).unwrap_or(u64::MAX).saturating_mul(STEPS_PER_KIB))
    }

    fn learn(&mut self, pattern: &str) -> Result<usize, Costly> {
        if self.known.len() >= PATTERNS_MAX {
            return Err(Costly::Many);
        }
        self.text_bytes = self.text_bytes.saturating_add(pattern.len());
        if self.text_bytes > PATTERNS_TEXT_BYTES_MAX {
            return Err(Costly::Long);
        }
        let large = || Costly::Large(text::brief(pattern, PATTERN_CHARS_SHOWN));
        let compiled = SIZES_KIB.into_iter().find(|kib| compiles(pattern, kib * 1024)).ok_or_else(large)?;
        // A list of alternatives is compared one by one and compiles to nothing: its length counts.
        let kib = compiled.max(pattern.len().div_ceil(1024));
        self.known.insert(pattern.into(), kib);
        Ok(kib)
    }

    /// Memory that they take, in bytes: two automata each, and the cache of one that matched.
    pub(crate) fn bytes(&self) -> usize {
        self.known.values().map(|kib| kib * 4 * 1024 + PATTERN_BYTES_MAX).fold(0, usize::saturating_add)
    }
}

/// Linear in the length of the text; look-around and back references do not compile (JS-04).
pub(crate) fn options(bytes_max: usize) -> PatternOptions<impl Sized> {
    PatternOptions::regex().size_limit(bytes_max).dfa_size_limit(PATTERN_BYTES_MAX)
}

fn compiles(pattern: &str, bytes_max: usize) -> bool {
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .offline()
        .with_pattern_options(options(bytes_max))
        .build(&json!({ "pattern": pattern }))
        .is_ok()
}

/// Most different patterns of one schema.
pub(crate) const PATTERNS_MAX: usize = 256;
/// Longest patterns of one schema together, in bytes: reading one takes time, too, whatever it compiles to.
const PATTERNS_TEXT_BYTES_MAX: usize = 16 * 1024;
/// Largest automaton of a pattern, and largest cache of its states, in bytes.
pub(crate) const PATTERN_BYTES_MAX: usize = 64 * 1024;
/// The sizes that are told apart, in KiB, the last being [`PATTERN_BYTES_MAX`].
const SIZES_KIB: [usize; 4] = [1, 4, 16, 64];
/// Steps for each byte of text and KiB of automaton; a step is about a nanosecond where an automaton keeps all
/// of its states alive.
const STEPS_PER_KIB: u64 = 256;
/// How much of a pattern is quoted, in characters.
const PATTERN_CHARS_SHOWN: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_costs_by_what_it_compiles_to() {
        let steps = |pattern: &str| Patterns::default().steps(pattern);
        assert_eq!(steps("^[a-z]+$"), Ok(STEPS_PER_KIB));
        assert_eq!(steps("^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"), Ok(4 * STEPS_PER_KIB));
        assert_eq!(steps("1[01]{900}[23]"), Ok(64 * STEPS_PER_KIB));
        assert!(matches!(steps("1[01]{1000}[23]"), Err(Costly::Large(_))));
        assert!(matches!(steps("(?=a)b"), Err(Costly::Large(_))));
        let alternatives = format!("^({})$", vec!["a"; 5 * 512].join("|"));
        assert_eq!(steps(&alternatives), Ok(6 * STEPS_PER_KIB));
    }

    #[test]
    fn the_number_of_different_patterns_is_bounded() {
        let mut patterns = Patterns::default();
        for i in 0..PATTERNS_MAX {
            assert!(patterns.steps(&format!("^{i}")).is_ok());
        }
        assert!(patterns.steps("^0").is_ok());
        assert_eq!(patterns.steps("^x"), Err(Costly::Many));
    }

    #[test]
    fn the_length_of_patterns_is_bounded() {
        let mut patterns = Patterns::default();
        assert!(patterns.steps(&"a".repeat(1000)).is_ok());
        assert!(patterns.steps(&format!("^{}", "b".repeat(PATTERNS_TEXT_BYTES_MAX - 1001))).is_ok());
        assert_eq!(patterns.steps("c"), Err(Costly::Long));
    }
}
