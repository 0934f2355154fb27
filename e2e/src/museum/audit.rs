//! What the gateway's audit log has to say.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;

use crate::raw;

use super::manifest::Record;

/// Waits until all of these stand in the log, and a refusal of each of these codes.
///
/// # Errors
/// When one does not in time.
pub(super) fn wait_for(folder: &Path, records: &[Record], codes: &BTreeSet<String>) -> anyhow::Result<()> {
    let lock = fs::read_to_string(folder.join("sekisho.lock"))?;
    let start = Instant::now();
    loop {
        let log = read(folder)?;
        let missing = records.iter().find(|record| !log.iter().any(|line| is(record, line, &lock)));
        let unsaid = codes.iter().find(|code| !log.iter().any(|line| text(line, "code") == Some(code)));
        if missing.is_none() && unsaid.is_none() {
            return Ok(());
        }
        let alarms: Vec<String> = log.iter().filter(|line| is_alarm(line)).map(ToString::to_string).collect();
        anyhow::ensure!(
            start.elapsed() < LIMIT,
            "the audit log has not {missing:?} {unsaid:?}; its alarms are:\n{}",
            alarms.join("\n")
        );
        std::thread::sleep(POLL);
    }
}

/// The alarms in the log.
///
/// # Errors
/// When it cannot be read.
pub(super) fn alarms(folder: &Path) -> anyhow::Result<Vec<Value>> {
    Ok(read(folder)?.into_iter().filter(is_alarm).collect())
}

fn is_alarm(line: &Value) -> bool {
    text(line, "kind") == Some("security")
}

fn is(record: &Record, line: &Value, lock: &str) -> bool {
    let Record { kind, server, item, says, digests } = record;
    let reason = text(line, "reason").unwrap_or_default();
    let named: BTreeSet<&str> =
        reason.split(|char: char| !char.is_ascii_hexdigit()).filter(|word| word.len() == 64).collect();
    let is_said = |name: &str, wanted: &Option<String>| wanted.is_none() || text(line, name) == wanted.as_deref();
    text(line, "kind") == Some(kind)
        && is_said("server", server)
        && is_said("item", item)
        && says.iter().all(|part| reason.contains(part))
        && named.len() >= *digests
        && (*digests == 0 || named.iter().any(|digest| lock.contains(digest)))
}

fn text<'a>(line: &'a Value, name: &str) -> Option<&'a str> {
    line.get(name)?.as_str()
}

fn read(folder: &Path) -> anyhow::Result<Vec<Value>> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(folder.join("data/audit")).context("the audit log")? {
        let text = fs::read(entry?.path())?;
        // What is being written is not whole yet.
        lines.extend(String::from_utf8_lossy(&text).lines().filter_map(|line| raw::parse(line).ok()));
    }
    Ok(lines)
}

/// How long a record may take.
const LIMIT: Duration = Duration::from_secs(10);

/// How long to wait between two looks.
const POLL: Duration = Duration::from_millis(25);
