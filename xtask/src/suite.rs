//! Building and testing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::place::Place;
use crate::run::{exists, run};
use crate::{peers, tidy};

/// Installs the peers, builds, and runs every test. The runner's own summary comes last.
///
/// # Errors
/// When anything fails.
pub(crate) fn test(place: &Place, filter: &[String]) -> anyhow::Result<()> {
    peers::install(place)?;
    build(place)?;
    // A filter is for one test; doctests are looked at in full runs.
    let documented = if filter.is_empty() {
        run(cargo(place).args(["test", "--release", "--doc", "--workspace"]), TEST)
    } else {
        Ok(())
    };
    let tested = if exists("cargo", &["nextest", "--version"]) {
        let config = place.root().join("xtask/nextest.toml");
        run(
            cargo(place).args(["nextest", "run", "--release", "--workspace", "--config-file"]).arg(config).args(filter),
            TEST,
        )
    } else {
        run(
            cargo(place)
                .args(["test", "--release", "--workspace", "--no-fail-fast", "--lib", "--bins", "--tests", "--"])
                .args(filter),
            TEST,
        )
    };
    tested.and(documented)
}

/// Compares the conformance of the everything server with that of the gateway in front of it.
///
/// # Errors
/// When the gateway is worse anywhere, or the list of what is out of reach is no longer true.
pub(crate) fn conformance(place: &Place, json: Option<&Path>) -> anyhow::Result<()> {
    peers::install(place)?;
    build(place)?;
    let mut command = Command::new(place.binary("conformance"));
    if let Some(json) = json {
        command.arg("--json").arg(json);
    }
    run(&mut command, CONFORMANCE)
}

/// Tries every client with every server, verb by verb: those whose names contain this.
///
/// # Errors
/// When something does not work that both have.
pub(crate) fn matrix(place: &Place, client: &str, server: &str) -> anyhow::Result<()> {
    peers::install(place)?;
    build(place)?;
    run(Command::new(place.binary("matrix")).args(["--client", client, "--server", server]), MATRIX)
}

/// Plays every exhibit of the incident museum whose id contains this.
///
/// # Errors
/// When an attack is not stopped, or a twin does not pass.
pub(crate) fn museum(place: &Place, exhibit: &str, json: Option<&Path>) -> anyhow::Result<()> {
    build(place)?;
    let mut command = Command::new(place.binary("museum"));
    command.args(["--exhibit", exhibit]);
    if let Some(json) = json {
        command.arg("--json").arg(json);
    }
    run(&mut command, MUSEUM)
}

/// Everything that blocks a merge.
///
/// # Errors
/// At the first thing that fails.
pub(crate) fn ci(place: &Place) -> anyhow::Result<()> {
    run(cargo(place).args(["fmt", "--all", "--check"]), BUILD)?;
    tidy::run(place)?;
    run(cargo(place).args(["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"]), BUILD)?;
    conformance(place, None)?;
    test(place, &[])
}

/// Everything at once: with the tests' own dependencies left out, cargo would choose other features and build it all twice.
///
/// # Errors
/// When it does not build.
pub(crate) fn build(place: &Place) -> anyhow::Result<()> {
    run(cargo(place).args(["build", "--release", "--workspace", "--all-targets"]), BUILD)
}

/// Builds the gateway as it is shipped, and says where it is.
///
/// # Errors
/// When it does not build.
pub(crate) fn build_shipped(place: &Place) -> anyhow::Result<PathBuf> {
    run(cargo(place).args(["build", "--profile", SHIPPED, "--locked", "--bin", "sekisho"]), BUILD)?;
    Ok(place.binary_of(SHIPPED, "sekisho"))
}

fn cargo(place: &Place) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(place.root());
    command
}

/// The profile of releases.
const SHIPPED: &str = "dist";

/// How long a cold build may take on two cores.
const BUILD: Duration = Duration::from_secs(30 * 60);

/// How long the tests may take, with what they still have to compile.
const TEST: Duration = Duration::from_secs(30 * 60);

/// How long the comparison may take.
const CONFORMANCE: Duration = Duration::from_secs(15 * 60);

/// How long all exhibits together may take.
const MUSEUM: Duration = Duration::from_secs(15 * 60);

/// How long all pairs together may take.
const MATRIX: Duration = Duration::from_secs(45 * 60);
