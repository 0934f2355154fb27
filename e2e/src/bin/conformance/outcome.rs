//! What the suite found.

use std::collections::BTreeMap;
use std::fmt;

/// How a check ended, worst first: the order is the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    /// A requirement is broken.
    Failure,
    /// A recommendation is not followed.
    Warning,
    /// The check did not come up, or does not apply.
    Aside,
    /// As it should be.
    Success,
}

impl Status {
    /// Reads the suite's word for it. An unknown word is a failure.
    pub(crate) fn from_word(word: &str) -> Self {
        match word {
            "SUCCESS" => Self::Success,
            "WARNING" => Self::Warning,
            "SKIPPED" | "INFO" => Self::Aside,
            _ => Self::Failure,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::Failure => "FAILURE",
            Self::Warning => "WARNING",
            Self::Aside => "NOT APPLICABLE",
            Self::Success => "SUCCESS",
        })
    }
}

/// The checks of a run: scenario and check id, and how it ended. A check that came up several times counts as its worst.
#[derive(Debug, Default)]
pub(crate) struct Outcomes(pub(crate) BTreeMap<(String, String), Found>);

/// How one check ended.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// The status.
    pub(crate) status: Status,
    /// What the suite said, if it complained.
    pub(crate) message: String,
}

impl Outcomes {
    /// Adds one observation.
    pub(crate) fn add(&mut self, scenario: &str, check: &str, found: Found) {
        let entry = self.0.entry((scenario.to_owned(), check.to_owned())).or_insert_with(|| found.clone());
        // Remarks do not hide a verdict, and the worst verdict stands.
        let worse = found.status < entry.status && found.status != Status::Aside;
        if worse || (entry.status == Status::Aside && found.status != Status::Aside) {
            *entry = found;
        }
    }

    /// The status of a check; one that did not come up does not apply.
    pub(crate) fn status(&self, key: &(String, String)) -> Status {
        self.0.get(key).map_or(Status::Aside, |found| found.status)
    }

    /// What was said about a check.
    pub(crate) fn message(&self, key: &(String, String)) -> &str {
        self.0.get(key).map_or("the check did not come up", |found| &found.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(status: Status) -> Found {
        Found { status, message: String::new() }
    }

    #[test]
    fn the_worst_verdict_of_a_check_stands_and_remarks_do_not_hide_it() {
        let key = ("s".to_owned(), "c".to_owned());
        let mut outcomes = Outcomes::default();
        for (next, then) in [
            (Status::Aside, Status::Aside),
            (Status::Success, Status::Success),
            (Status::Aside, Status::Success),
            (Status::Failure, Status::Failure),
            (Status::Success, Status::Failure),
        ] {
            outcomes.add("s", "c", found(next));
            assert_eq!(outcomes.status(&key), then, "after {next}");
        }
    }

    #[test]
    fn an_unknown_word_is_a_failure() {
        assert_eq!(Status::from_word("SUCCESS"), Status::Success);
        assert_eq!(Status::from_word("SUCCES"), Status::Failure);
    }
}
