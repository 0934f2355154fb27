//! Outcomes as people and machines read them.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::client::Era;

/// How an exhibit went in one era.
#[derive(Debug)]
pub struct Row {
    /// Which exhibit.
    pub id: String,
    /// In which era.
    pub era: Era,
    /// What stops it.
    pub rule: String,
    /// Whether the attack succeeds without the gateway and is stopped by it; why not.
    pub stopped: Result<(), String>,
    /// Whether the twin does the same through the gateway as without it; why not.
    pub passed: Result<(), String>,
}

impl Row {
    /// Whether all is as it should be.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.stopped.is_ok() && self.passed.is_ok()
    }

    /// What is not as it should be.
    pub fn failures(&self) -> impl Iterator<Item = String> {
        let (id, era) = (&self.id, name(self.era));
        let told = move |part: &str, why: &String| format!("{id} ({era}), {part}: {why}");
        let attack = self.stopped.as_ref().err().map(|why| told("attack", why));
        attack.into_iter().chain(self.passed.as_ref().err().map(|why| told("twin", why)))
    }

    fn json(&self) -> Value {
        json!({"id": self.id, "era": name(self.era), "attack_stopped": self.stopped.is_ok(),
            "twin_passed": self.passed.is_ok(), "rule": self.rule})
    }
}

/// The rows as a JSON array, one a line.
#[must_use]
pub fn json(rows: &[Row]) -> String {
    let lines: Vec<String> = rows.iter().map(|row| row.json().to_string()).collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}

/// One line for each row, and a line of sums.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut table = format!("{:28} {:7} {:8} {:6} rule\n", "exhibit", "era", "attack", "twin");
    for row in rows {
        let attack = if row.stopped.is_ok() { "stopped" } else { "THROUGH" };
        let twin = if row.passed.is_ok() { "passed" } else { "HURT" };
        let _ = writeln!(table, "{:28} {:7} {attack:8} {twin:6} {}", row.id, name(row.era), row.rule);
    }
    let stopped = rows.iter().filter(|row| row.stopped.is_ok()).count();
    let passed = rows.iter().filter(|row| row.passed.is_ok()).count();
    let _ = writeln!(table, "{} rows: {stopped} attacks stopped, {passed} twins passed", rows.len());
    table
}

fn name(era: Era) -> &'static str {
    match era {
        Era::Legacy => "legacy",
        Era::Modern => "modern",
    }
}
