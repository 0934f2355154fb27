//! The comparison, and how it is shown.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::outcome::{Outcomes, Status};
use crate::reach::OutOfReach;

/// Everything that was compared.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    complaints: Vec<String>,
    remarks: Vec<String>,
    totals: Vec<String>,
}

/// One check.
#[derive(Debug, Serialize)]
struct Row {
    scenario: String,
    check: String,
    revision: String,
    direct: String,
    gateway: String,
}

impl Report {
    /// Takes the direct run: the fixture itself must be in order.
    pub(crate) fn direct(&mut self, revision: &str, direct: &Outcomes) {
        for ((scenario, check), found) in &direct.0 {
            if found.status < Status::Aside {
                self.complaints.push(format!(
                    "{revision}: the fixture itself: {scenario}: {check}: {}: {}",
                    found.status, found.message
                ));
            }
        }
        let scenarios: BTreeSet<_> = direct.0.keys().map(|(scenario, _)| scenario).collect();
        self.totals.push(format!("{revision}: direct: {} in {} scenarios", tally(direct), scenarios.len()));
    }

    /// Compares the run through the gateway with the direct one.
    pub(crate) fn compare(&mut self, revision: &str, direct: &Outcomes, through: &Outcomes, out_of_reach: &OutOfReach) {
        let mut worse = BTreeSet::new();
        for key in keys(direct, through) {
            let (before, after) = (direct.status(&key), through.status(&key));
            self.row(revision, &key, before, after);
            let (scenario, check) = &key;
            if after > before {
                self.remarks.push(format!("{revision}: better: {scenario}: {check}: {before} → {after}"));
            }
            if after >= before {
                continue;
            }
            match out_of_reach.reason(revision, scenario, check) {
                Some(reason) => self
                    .remarks
                    .push(format!("{revision}: out of reach: {scenario}: {check}: {before} → {after}: {reason}")),
                None => {
                    let message = through.message(&key);
                    self.complaints
                        .push(format!("{revision}: worse: {scenario}: {check}: {before} → {after}: {message}"));
                }
            }
            worse.insert(key);
        }
        for entry in out_of_reach.untrue(revision, &worse) {
            self.complaints
                .push(format!("{revision}: {entry} passes through the gateway: take it out of out-of-reach.toml"));
        }
        self.totals.push(format!("{revision}: through the gateway: {}", tally(through)));
    }

    /// Compares the runs against a careless server: whatever fails directly must be right through the gateway.
    pub(crate) fn improve(&mut self, revision: &str, direct: &Outcomes, through: &Outcomes) {
        let mut better = 0_u32;
        for key in keys(direct, through) {
            let (before, after) = (direct.status(&key), through.status(&key));
            let (scenario, check) = &key;
            let named = (format!("{scenario} (careless server)"), check.clone());
            self.row(revision, &named, before, after);
            if after < Status::Aside || after < before {
                let message = through.message(&key);
                self.complaints
                    .push(format!("{revision}: careless server: {scenario}: {check}: {before} → {after}: {message}"));
            } else if after > before {
                better = better.saturating_add(1);
                self.remarks
                    .push(format!("{revision}: careless server: better: {scenario}: {check}: {before} → {after}"));
            }
        }
        if better == 0 {
            self.complaints.push(format!("{revision}: the gateway makes nothing better for a careless server"));
        }
    }

    /// Whether nothing was found that should not be.
    pub(crate) fn is_good(&self) -> bool {
        self.complaints.is_empty()
    }

    /// The rows as JSON.
    pub(crate) fn json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(&self.rows)? + "\n")
    }

    fn row(&mut self, revision: &str, (scenario, check): &(String, String), direct: Status, gateway: Status) {
        self.rows.push(Row {
            scenario: scenario.clone(),
            check: check.clone(),
            revision: revision.to_owned(),
            direct: direct.to_string(),
            gateway: gateway.to_string(),
        });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (title, lines) in
            [("as expected", &self.remarks), ("NOT AS EXPECTED", &self.complaints), ("totals", &self.totals)]
        {
            if !lines.is_empty() {
                writeln!(to, "{title}:")?;
            }
            for line in lines {
                writeln!(to, "  {line}")?;
            }
        }
        Ok(())
    }
}

fn keys(direct: &Outcomes, through: &Outcomes) -> BTreeSet<(String, String)> {
    direct.0.keys().chain(through.0.keys()).cloned().collect()
}

fn tally(outcomes: &Outcomes) -> String {
    let count = |status| outcomes.0.values().filter(|found| found.status == status).count();
    let (good, bad, so_so) = (count(Status::Success), count(Status::Failure), count(Status::Warning));
    format!("{good} checks passed, {bad} failed, {so_so} warnings")
}
