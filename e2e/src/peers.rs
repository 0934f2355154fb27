//! Real MCP servers and clients that others wrote, as `cargo xtask peers` installs them.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use crate::place;

/// The Node.js that came with the peers: the conformance suite needs version 22.
///
/// # Errors
/// When the peers are not installed.
pub fn node() -> anyhow::Result<PathBuf> {
    installed("npm/node_modules/node/bin/node")
}

/// The command line of a server from npm, by the file its package runs.
///
/// # Errors
/// When the peers are not installed.
pub fn npm_server(script: &str) -> anyhow::Result<Vec<String>> {
    let script = installed(&format!("npm/node_modules/{script}"))?;
    Ok(vec![node()?.display().to_string(), script.display().to_string()])
}

/// The command line of a server from PyPI.
///
/// # Errors
/// When the peers are not installed.
pub fn python_server(name: &str) -> anyhow::Result<Vec<String>> {
    Ok(vec![installed(&format!("py/bin/{name}"))?.display().to_string()])
}

/// A Python script of this package, run by the interpreter that has the MCP client.
///
/// # Errors
/// When the peers are not installed.
pub fn python_script(script: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(installed("py/bin/python")?);
    command.arg("-I").arg(place::source(script));
    Ok(command)
}

/// A JavaScript of this package, told in its first argument where npm put the MCP clients.
///
/// # Errors
/// When the peers are not installed.
pub fn node_script(script: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(node()?);
    command.arg(place::source(script)).arg(installed("npm")?);
    Ok(command)
}

/// The inspector's command line client.
///
/// # Errors
/// When the peers are not installed.
pub fn inspector() -> anyhow::Result<Command> {
    let mut command = Command::new(node()?);
    command.arg(installed("npm/node_modules/.bin/mcp-inspector")?).arg("--cli");
    Ok(command)
}

/// The conformance suite.
///
/// # Errors
/// When the peers are not installed.
pub fn conformance() -> anyhow::Result<Command> {
    let mut command = Command::new(node()?);
    command.arg(installed("npm/node_modules/@modelcontextprotocol/conformance/dist/index.js")?);
    Ok(command)
}

/// The OpenTelemetry collector from PyPI.
///
/// # Errors
/// When the peers are not installed.
pub fn rotel() -> anyhow::Result<PathBuf> {
    let libraries = installed("py/lib")?;
    let versions = std::fs::read_dir(&libraries)?.filter_map(|entry| Some(entry.ok()?.path()));
    let found = versions.map(|version| version.join("site-packages/rotel/rotel-agent")).find(|agent| agent.is_file());
    found.with_context(|| format!("no rotel in {}: run `cargo xtask peers`", libraries.display()))
}

/// Prometheus, as its Debian package has it.
///
/// # Errors
/// When the peers are not installed.
pub fn prometheus() -> anyhow::Result<Command> {
    Ok(Command::new(installed("apt/usr/bin/prometheus")?))
}

/// nginx, as its Debian package has it.
///
/// # Errors
/// When the peers are not installed.
pub fn nginx() -> anyhow::Result<Command> {
    Ok(Command::new(installed("apt/usr/sbin/nginx")?))
}

fn installed(relative: &str) -> anyhow::Result<PathBuf> {
    let path = place::peers()?.join(relative);
    anyhow::ensure!(path.exists(), "{} is missing: run `cargo xtask peers`", path.display());
    Ok(path)
}
