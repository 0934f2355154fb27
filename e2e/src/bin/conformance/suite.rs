//! Running the suite.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use sekisho_e2e::{peers, process, raw};
use serde_json::Value;

use crate::client::Leg;
use crate::outcome::{Found, Outcomes, Status};

/// Asks `url` the scenarios that `which` chooses.
pub(crate) fn run(url: &str, revision: &str, which: &[&str]) -> anyhow::Result<Outcomes> {
    asked(revision, |command| command.args(["server", "--url", url]).args(which), scenario)
}

/// Asks for a client in one scenario.
pub(crate) fn run_client(leg: Leg, revision: &str, scenario: &str) -> anyhow::Result<Outcomes> {
    let program = std::env::current_exe()?;
    let client = format!("{} --as-client {}", program.display(), leg.word());
    let arguments = ["client", "--command", &client, "--scenario", scenario];
    asked(revision, |command| command.args(arguments), |_| Some(format!("client {scenario}")))
}

/// One run of the suite. `named`: the scenario that a folder of results is of.
fn asked(
    revision: &str,
    which: impl FnOnce(&mut Command) -> &mut Command,
    named: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<Outcomes> {
    let folder = tempfile::tempdir()?;
    let mut command = peers::conformance()?;
    which(&mut command).args(["--spec-version", revision, "-o"]).arg(folder.path()).current_dir(folder.path());
    let ended = process::run(&mut command, "", LIMIT)?;
    // The exit code says whether all was well, which is for the comparison to judge.
    let outcomes = read(folder.path(), named)?;
    anyhow::ensure!(
        !outcomes.0.is_empty(),
        "the suite left no results ({}):\n{}{}",
        ended.status,
        ended.out,
        ended.err
    );
    Ok(outcomes)
}

fn read(folder: &Path, named: impl Fn(&str) -> Option<String>) -> anyhow::Result<Outcomes> {
    let mut outcomes = Outcomes::default();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(scenario) = named(name) else { continue };
        let file = path.join("checks.json");
        let checks = fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        for check in raw::parse(&checks)?.as_array().into_iter().flatten() {
            let text = |key: &str| check.get(key).and_then(Value::as_str).unwrap_or_default();
            let found = Found { status: Status::from_word(text("status")), message: text("errorMessage").to_owned() };
            outcomes.add(&scenario, text("id"), found);
        }
    }
    Ok(outcomes)
}

/// The scenario in `server-<scenario>-2026-11-22T16-27-55-888Z`.
fn scenario(folder: &str) -> Option<String> {
    let rest = folder.strip_prefix("server-")?;
    let cut = rest.len().checked_sub("-2026-11-22T16-27-55-888Z".len())?;
    rest.get(..cut).map(str::to_owned)
}

/// How long a run may take. A suite that hangs is ended.
const LIMIT: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scenario_is_read_from_the_folder_name() {
        assert_eq!(scenario("server-tools-list-2026-11-22T16-27-55-888Z"), Some("tools-list".to_owned()));
        assert_eq!(scenario("client-tools-list-2026-11-22T16-27-55-888Z"), None);
        assert_eq!(scenario("server-x"), None);
    }
}
