//! The front door: tokens, hosts, sessions, bodies, bad input. Everything is sent as exact bytes to the real binary, and what reaches
//! the server behind it is judged by what the server kept.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test ends where something is not as it should be"
)]

mod asks;
mod bodies;
mod conversations;
mod credentials;
mod eras;
mod examples;
mod floods;
mod listening;
mod policy;
mod resumption;
mod standing;
mod stdio;
mod step_up;
mod tasks;
mod tls;
mod tokens;
mod transport;

use std::fs;
use std::time::Duration;

use sekisho_e2e::gateway::{Gateway, Setup, http_server};
use sekisho_e2e::raw::{self, Response};
use sekisho_e2e::recorder::Recorder;

/// What stands in the audit log.
fn audit_log(gateway: &Gateway) -> String {
    let folder = gateway.folder().join("data/audit");
    let files = fs::read_dir(folder).expect("a log");
    files.map(|file| fs::read_to_string(file.expect("a file").path()).unwrap_or_default()).collect()
}

const LIMIT: Duration = Duration::from_secs(10);

/// A gateway in front of a recorder called `up`.
fn stand() -> (Gateway, Recorder) {
    let recorder = Recorder::start().expect("a port");
    let gateway = Gateway::start(&Setup::open(&http_server("up", &recorder.url()))).expect("a gateway");
    gateway.wait_for_servers(&["up"]).expect("the server is probed");
    (gateway, recorder)
}

/// One request with these lines behind the usual ones.
fn request(gateway: &Gateway, line: &str, fields: &[&str], body: &[u8]) -> Response {
    let mut bytes = format!("{line} HTTP/1.1\r\nHost: {}\r\n", gateway.address()).into_bytes();
    for field in fields {
        bytes.extend_from_slice(field.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("Content-Length: {}\r\nConnection: close\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(body);
    raw::send(gateway.address(), &bytes, LIMIT).expect("an answer")
}

const MEDIA: [&str; 2] = ["Content-Type: application/json", "Accept: application/json, text/event-stream"];

/// A POST of `body` to `path` with a good token for it.
fn post(gateway: &Gateway, path: &str, more: &[&str], body: &[u8]) -> Response {
    let token = gateway.token("alice", &format!("http://{}{path}", gateway.address())).expect("a token");
    let bearer = format!("Authorization: Bearer {token}");
    let fields: Vec<&str> = MEDIA.iter().copied().chain([bearer.as_str()]).chain(more.iter().copied()).collect();
    request(gateway, &format!("POST {path}"), &fields, body)
}

const INITIALIZE: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"door","version":"1"}}}"#;

/// A legacy session at `path`.
fn session(gateway: &Gateway, path: &str) -> String {
    let opened = post(gateway, path, &[], INITIALIZE);
    assert_eq!(opened.status, 200, "{}", opened.text());
    opened.header("mcp-session-id").expect("a session").to_owned()
}

/// The `SK…` code of a refusal.
fn code(response: &Response) -> String {
    let messages = response.messages().expect("a message");
    let error = &messages.first().expect("a message")["error"];
    error["data"]["code"].as_str().unwrap_or_default().to_owned()
}
