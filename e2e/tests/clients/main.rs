//! Real clients and real servers, with the real gateway between them.
//!
//! Clients: the official Python client in each of its modes, the inspector's command line, the official Rust client. Servers: those
//! that the MCP project publishes on npm and PyPI, and the everything server of this package over HTTP and stdio. Each server and
//! each client mode appears in several pairs, not every pair of them.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test says what it expects and stops where it is not so"
)]

mod inspector;
mod python;
mod rust;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sekisho_e2e::gateway::{Gateway, Setup, stdio_server};
use sekisho_e2e::{peers, process};
use serde_json::Value;
use tempfile::TempDir;

/// A gateway in front of these servers, all of which answer.
fn gateway(servers: &str, names: &[&str]) -> Gateway {
    let gateway = Gateway::start(&Setup::open(servers)).expect("a gateway");
    gateway.wait_for_servers(names).expect("servers that answer");
    gateway
}

/// A folder with one file that says hello.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("hello.txt"), "hello from the file").expect("a file");
    folder
}

/// A git repository with one commit.
fn repository() -> TempDir {
    let folder = folder();
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
        let ended = process::run(&mut git, "", LIMIT).expect("git");
        assert!(ended.status.success(), "{}", ended.err);
    }
    folder
}

fn filesystem(root: &Path) -> String {
    let mut command = peers::npm_server("@modelcontextprotocol/server-filesystem/dist/index.js").expect("the peers");
    command.push(root.display().to_string());
    stdio_server("files", &command)
}

fn memory(root: &Path) -> String {
    let command = peers::npm_server("@modelcontextprotocol/server-memory/dist/index.js").expect("the peers");
    let file = root.join("memory.jsonl").display().to_string();
    format!("{}env = {{ MEMORY_FILE_PATH = {file:?} }}\n", stdio_server("memory", &command))
}

fn everything_from_npm() -> String {
    let mut command = peers::npm_server("@modelcontextprotocol/server-everything/dist/index.js").expect("the peers");
    command.push("stdio".to_owned());
    stdio_server("npm", &command)
}

fn time() -> String {
    stdio_server("time", &peers::python_server("mcp-server-time").expect("the peers"))
}

fn git() -> String {
    stdio_server("git", &peers::python_server("mcp-server-git").expect("the peers"))
}

/// The text of a result's first content.
fn text(result: &Value) -> &str {
    result
        .pointer("/content/0/text")
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("a result with text, not {result}"))
}

/// Whether a list of names has this one.
fn has(names: &Value, name: &str) -> bool {
    names.as_array().is_some_and(|names| names.iter().any(|found| found == name))
}

/// How long one client may take.
const LIMIT: Duration = Duration::from_secs(60);
