//! The scenarios that the gateway does not reach, each with its reason.

use std::collections::BTreeSet;

use anyhow::Context as _;
use serde::Deserialize;

/// `e2e/conformance/out-of-reach.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutOfReach {
    #[serde(default)]
    scenario: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// The scenario.
    name: String,
    /// The checks of it that are out of reach. None named: all.
    #[serde(default)]
    checks: BTreeSet<String>,
    /// The revision in which it is out of reach.
    revision: String,
    /// Why, in one sentence.
    reason: String,
}

impl OutOfReach {
    /// Reads the file of this repository.
    pub(crate) fn read() -> anyhow::Result<Self> {
        Self::parse(include_str!("../../../conformance/out-of-reach.toml"))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let list: Self = toml::from_str(text).context("out-of-reach.toml")?;
        for entry in &list.scenario {
            anyhow::ensure!(entry.reason.len() >= REASON_BYTES_MIN, "out-of-reach.toml: {} has no reason", entry.name);
        }
        Ok(list)
    }

    /// Why a check is out of reach, if it is.
    pub(crate) fn reason(&self, revision: &str, scenario: &str, check: &str) -> Option<&str> {
        let covers = |entry: &&Entry| entry.checks.is_empty() || entry.checks.contains(check);
        let mut entries = self.scenario.iter().filter(|entry| entry.revision == revision && entry.name == scenario);
        entries.find(covers).map(|entry| &*entry.reason)
    }

    /// The entries that are no longer true, given the checks that are worse through the gateway.
    pub(crate) fn untrue(&self, revision: &str, worse: &BTreeSet<(String, String)>) -> Vec<String> {
        let mut untrue = Vec::new();
        for entry in self.scenario.iter().filter(|entry| entry.revision == revision) {
            if entry.checks.is_empty() && !worse.iter().any(|(scenario, _)| *scenario == entry.name) {
                untrue.push(entry.name.clone());
            }
            let passed = entry.checks.iter().filter(|check| !worse.contains(&(entry.name.clone(), (*check).clone())));
            untrue.extend(passed.map(|check| format!("{}: {check}", entry.name)));
        }
        untrue
    }
}

/// A reason shorter than this is none.
const REASON_BYTES_MIN: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r#"
        [[scenario]]
        name = "whole"
        revision = "2025-11-25"
        reason = "the whole scenario needs what is not there"
        [[scenario]]
        name = "part"
        checks = ["one", "two"]
        revision = "2025-11-25"
        reason = "two checks need what is not there"
    "#;

    fn worse(keys: &[(&str, &str)]) -> BTreeSet<(String, String)> {
        keys.iter().map(|(scenario, check)| ((*scenario).to_owned(), (*check).to_owned())).collect()
    }

    #[test]
    fn an_entry_covers_its_checks_in_its_revision_only() {
        let list = OutOfReach::parse(TWO).unwrap();
        assert!(list.reason("2025-11-25", "whole", "any").is_some());
        assert!(list.reason("2026-07-28", "whole", "any").is_none());
        assert!(list.reason("2025-11-25", "part", "one").is_some());
        assert!(list.reason("2025-11-25", "part", "three").is_none());
    }

    #[test]
    fn an_entry_whose_checks_pass_is_untrue() {
        let list = OutOfReach::parse(TWO).unwrap();
        assert!(list.untrue("2025-11-25", &worse(&[("whole", "any"), ("part", "one"), ("part", "two")])).is_empty());
        assert_eq!(list.untrue("2025-11-25", &worse(&[("part", "one")])), ["whole", "part: two"]);
    }

    #[test]
    fn an_entry_without_a_reason_is_refused() {
        assert!(OutOfReach::parse(&TWO.replace("two checks need what is not there", "later")).is_err());
    }
}
