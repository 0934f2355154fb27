//! Real clients and real servers, with the real gateway between them.
//!
//! Clients: the official Python, TypeScript and Rust clients in each of their modes, the inspector's command line. Servers: those that
//! the MCP project publishes on npm and PyPI, one that is written with FastMCP, and the everything server of this package over HTTP and
//! stdio. `matrix` looks at a part of the pairs of them, `cargo xtask matrix` at every pair.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test says what it expects and stops where it is not so"
)]

mod inspector;
mod matrix;
mod python;
mod rust;

use std::path::Path;
use std::time::Duration;

use sekisho_e2e::gateway::{Approved, Gateway, Setup};
use sekisho_e2e::servers;
use serde_json::Value;
use tempfile::TempDir;

/// A gateway in front of these servers, all of which answer.
fn gateway(servers: &str, names: &[&str]) -> Gateway {
    let gateway = Gateway::start(&Setup::open(servers).approving(Approved::Locked)).expect("a gateway");
    gateway.wait_for_servers(names).expect("servers that answer");
    gateway
}

fn folder() -> TempDir {
    servers::folder().expect("a folder")
}

fn repository() -> TempDir {
    servers::repository().expect("a repository")
}

fn filesystem(root: &Path) -> String {
    servers::filesystem("files", root).expect("the peers")
}

fn memory(root: &Path) -> String {
    servers::memory("memory", root).expect("the peers")
}

fn everything_from_npm() -> String {
    servers::everything_from_npm("npm").expect("the peers")
}

fn time() -> String {
    servers::time("time").expect("the peers")
}

fn git(repository: &Path) -> String {
    servers::git("git", repository).expect("the peers")
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
