//! A stolen, replayed, foreign, forwarded, expired, revoked or unbound credential opens nothing; the good one beside it does.
//!
//! Providers are `oidc-provider` and a stand-in for Entra ID that Microsoft's own client judges; clients are `openid-client` and MSAL.
//! What reaches the server behind the gateway is judged by what that server kept.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test ends where something is not as it should be"
)]

mod entra;
mod forged;
mod issuers;
mod logout;
mod oidc;
mod possession;
mod sessions;

use std::fs;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use sekisho_e2e::client::{Client, Era};
use sekisho_e2e::gateway::{Gateway, Setup, http_server};
use sekisho_e2e::place;
use sekisho_e2e::process::{self, Output};
use sekisho_e2e::raw::{self, Response};
use sekisho_e2e::recorder::Recorder;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(30);

/// A gateway with these tables in front of a recorder called `up`.
fn stand(tables: &str) -> (Gateway, Recorder) {
    let recorder = Recorder::start_modern().expect("a port");
    let gateway =
        Gateway::start(&Setup::open(&http_server("up", &recorder.url())).with_more(tables)).expect("a gateway");
    gateway.wait_for_servers(&["up"]).expect("the server is probed");
    (gateway, recorder)
}

/// A call of `echo` in 2026-07-28.
fn message() -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo", "arguments": {}, "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "identity", "version": "1"}}}})
}

/// The header fields that go with [`message`].
fn mirrored() -> Value {
    json!({"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "echo"})
}

/// Calls `echo` with a bearer token.
fn call(gateway: &Gateway, token: &str) -> Response {
    let mut client = Client::new(&gateway.endpoint("up"), Some(token), Era::Modern).expect("a client");
    client.send("tools/call", json!({"name": "echo", "arguments": {}})).expect("an answer")
}

/// The status of [`call`].
fn status(gateway: &Gateway, token: &str) -> u16 {
    call(gateway, token).status
}

/// The `SK…` code of a refusal.
fn code(response: &Response) -> String {
    let messages = response.messages().expect("a message");
    let error = &messages.first().expect("a message")["error"];
    error["data"]["code"].as_str().unwrap_or_default().to_owned()
}

/// The records in the audit log, in their order.
fn records(gateway: &Gateway) -> Vec<Value> {
    let folder = gateway.folder().join("data/audit");
    let mut files: Vec<_> = fs::read_dir(folder).expect("a log").map(|file| file.expect("a file").path()).collect();
    files.sort();
    let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap_or_default()).collect();
    text.lines().filter_map(|line| raw::parse(line).ok()).collect()
}

/// A command of the binary for this gateway.
fn sekisho(gateway: &Gateway, arguments: &[&str]) -> Output {
    let mut command = std::process::Command::new(place::binary("sekisho").expect("the binary"));
    command.args(arguments).arg("--config").arg(gateway.folder().join("sekisho.toml"));
    process::run(&mut command, "", LIMIT).expect("an end")
}

/// Where nobody may call, and how often somebody did.
fn trap() -> (String, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    let counted = Arc::clone(&calls);
    thread::spawn(move || {
        for _call in listener.incoming() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    (origin, calls)
}

/// A text that a report holds.
fn text<'a>(report: &'a Value, member: &str) -> &'a str {
    report[member].as_str().unwrap_or_else(|| panic!("no {member} in {report}"))
}
