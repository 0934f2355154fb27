//! Running the suite.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use sekisho_e2e::{peers, process, raw};
use serde_json::Value;

use crate::outcome::{Found, Outcomes, Status};

/// Asks `url` the scenarios that `which` chooses.
pub(crate) fn run(url: &str, revision: &str, which: &[&str]) -> anyhow::Result<Outcomes> {
    let folder = tempfile::tempdir()?;
    let mut command = peers::conformance()?;
    command
        .args(["server", "--url", url, "--spec-version", revision, "-o"])
        .arg(folder.path())
        .args(which)
        .current_dir(folder.path());
    let ended = process::run(&mut command, "", LIMIT)?;
    // The exit code says whether all was well, which is for the comparison to judge.
    let outcomes = read(folder.path())?;
    anyhow::ensure!(
        !outcomes.0.is_empty(),
        "the suite left no results ({}):\n{}{}",
        ended.status,
        ended.out,
        ended.err
    );
    Ok(outcomes)
}

fn read(folder: &Path) -> anyhow::Result<Outcomes> {
    let mut outcomes = Outcomes::default();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(scenario) = scenario(name) else { continue };
        let file = path.join("checks.json");
        let checks = fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        for check in raw::parse(&checks)?.as_array().into_iter().flatten() {
            let text = |key: &str| check.get(key).and_then(Value::as_str).unwrap_or_default();
            let found = Found { status: Status::from_word(text("status")), message: text("errorMessage").to_owned() };
            outcomes.add(scenario, text("id"), found);
        }
    }
    Ok(outcomes)
}

/// The scenario in `server-<scenario>-2026-11-22T16-27-55-888Z`.
fn scenario(folder: &str) -> Option<&str> {
    let rest = folder.strip_prefix("server-")?;
    let cut = rest.len().checked_sub("-2026-11-22T16-27-55-888Z".len())?;
    rest.get(..cut)
}

/// How long a run may take. A suite that hangs is ended.
const LIMIT: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scenario_is_read_from_the_folder_name() {
        assert_eq!(scenario("server-tools-list-2026-11-22T16-27-55-888Z"), Some("tools-list"));
        assert_eq!(scenario("client-tools-list-2026-11-22T16-27-55-888Z"), None);
        assert_eq!(scenario("server-x"), None);
    }
}
