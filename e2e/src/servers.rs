//! Servers that others wrote, and what they work on: as the gateway's configuration has them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::gateway::{granting, stdio_server};
use crate::{peers, process};

/// A folder with one file that says hello.
///
/// # Errors
/// When it cannot be made.
pub fn folder() -> anyhow::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("hello.txt"), "hello from the file")?;
    Ok(folder)
}

/// A git repository with one commit.
///
/// # Errors
/// When git fails.
pub fn repository() -> anyhow::Result<TempDir> {
    let folder = folder()?;
    for arguments in [
        &["init", "--quiet", "--initial-branch=main"][..],
        &["add", "."],
        &["-c", "user.name=e2e", "-c", "user.email=e2e@localhost", "commit", "--quiet", "--message=first"],
    ] {
        let mut git = Command::new("git");
        git.args(arguments)
            .current_dir(folder.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null");
        let ended = process::run(&mut git, "", LIMIT)?;
        anyhow::ensure!(ended.status.success(), "{}", ended.err);
    }
    Ok(folder)
}

/// The filesystem server from npm, for this folder.
///
/// # Errors
/// When the peers are not installed.
pub fn filesystem(name: &str, root: &Path) -> anyhow::Result<String> {
    let mut command = peers::npm_server("@modelcontextprotocol/server-filesystem/dist/index.js")?;
    command.push(root.display().to_string());
    Ok(stdio_server(name, &command))
}

/// The memory server from npm, which keeps `memory.jsonl` in this folder.
///
/// # Errors
/// When the peers are not installed.
pub fn memory(name: &str, root: &Path) -> anyhow::Result<String> {
    let command = peers::npm_server("@modelcontextprotocol/server-memory/dist/index.js")?;
    let file = root.join("memory.jsonl").display().to_string();
    let table = stdio_server(name, &command) + &granting(&[], &[root]);
    Ok(format!("{table}env = {{ MEMORY_FILE_PATH = {file:?} }}\n"))
}

/// The everything server from npm.
///
/// # Errors
/// When the peers are not installed.
pub fn everything_from_npm(name: &str) -> anyhow::Result<String> {
    let mut command = peers::npm_server("@modelcontextprotocol/server-everything/dist/index.js")?;
    command.push("stdio".to_owned());
    Ok(stdio_server(name, &command))
}

/// The time server from PyPI.
///
/// # Errors
/// When the peers are not installed.
pub fn time(name: &str) -> anyhow::Result<String> {
    Ok(stdio_server(name, &peers::python_server("mcp-server-time")?))
}

/// The git server from PyPI, for this repository.
///
/// # Errors
/// When the peers are not installed.
pub fn git(name: &str, repository: &Path) -> anyhow::Result<String> {
    Ok(stdio_server(name, &peers::python_server("mcp-server-git")?) + &granting(&[], &[repository]))
}

/// The fetch server from PyPI, for pages of this origin: they lie on this machine, where nobody asks for robots.txt.
///
/// # Errors
/// When the peers are not installed.
pub fn fetch(name: &str, origin: &str) -> anyhow::Result<String> {
    let mut command = peers::python_server("mcp-server-fetch")?;
    command.extend(["--allow-private-ips", "--ignore-robots-txt"].map(ToOwned::to_owned));
    Ok(stdio_server(name, &command) + &format!("sandbox.dangerous_private_hosts = [{origin:?}]\n"))
}

/// The command line of our server that is written with `FastMCP`: over HTTP on a port, or over standard input and output.
///
/// # Errors
/// When the peers are not installed.
pub fn fastmcp(port: Option<u16>) -> anyhow::Result<Command> {
    let mut command = peers::python_script("tests/clients/fastmcp_server.py")?;
    command.args(port.map(|port| port.to_string()));
    Ok(command)
}

/// How long git may take.
const LIMIT: Duration = Duration::from_secs(60);
