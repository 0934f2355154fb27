//! What the gateway tells of itself: traces to a real collector, numbers to a real Prometheus.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test ends where something is not as it should be"
)]

mod metrics;
mod traces;

use std::net::SocketAddr;
use std::time::Duration;

use sekisho_e2e::client::{Client, Era};
use sekisho_e2e::gateway::{Gateway, Setup, free_address, http_server};
use sekisho_e2e::raw::{self, Response};
use sekisho_e2e::recorder::Recorder;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(10);

/// A gateway in front of a recorder called `up`, with the operator's door open.
struct Stand {
    gateway: Gateway,
    recorder: Recorder,
    admin: SocketAddr,
}

impl Stand {
    fn with(telemetry: &str) -> Stand {
        let recorder = Recorder::start().expect("a port");
        let admin = free_address().expect("a port");
        let more = format!("[admin]\nlisten = \"{admin}\"\n\n[telemetry]\n{telemetry}\n");
        let setup = Setup::open(&http_server("up", &recorder.url())).with_more(&more);
        let gateway = Gateway::start(&setup).expect("a gateway");
        gateway.wait_for_servers(&["up"]).expect("the server is probed");
        Stand { gateway, recorder, admin }
    }

    fn client(&self) -> Client {
        self.gateway.client("up", Era::Legacy).expect("a client")
    }

    /// A call of `echo` with this `_meta` and this header.
    fn call(&self, client: &Client, meta: &Value, header: Option<&str>) {
        let message = json!({"jsonrpc": "2.0", "id": "my-id", "method": "tools/call",
            "params": {"name": "echo", "arguments": {"secret": "hunter2"}, "_meta": meta}});
        let bytes = String::from_utf8(client.bytes(&message)).expect("text");
        let header = header.map(|value| format!("traceparent: {value}\r\n")).unwrap_or_default();
        let request = bytes.replacen("\r\n", &format!("\r\n{header}"), 1);
        let response = raw::send(self.gateway.address(), request.as_bytes(), LIMIT).expect("an answer");
        assert!(response.text().contains("\"done\""), "{}", response.text());
    }

    /// The trace context that the last call brought to the server: in its header, and in its `_meta`.
    fn arrived(&self) -> (Option<String>, Option<String>) {
        let calls = self.recorder.calls();
        let call = calls.last().expect("a call");
        let body = raw::parse(&String::from_utf8_lossy(&call.body)).expect("JSON");
        let meta = body.pointer("/params/_meta/traceparent").and_then(Value::as_str).map(ToOwned::to_owned);
        (call.header("traceparent").map(ToOwned::to_owned), meta)
    }

    fn admin(&self, line: &str, host: &str) -> Response {
        let request = format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        raw::send(self.admin, request.as_bytes(), LIMIT).expect("an answer")
    }

    fn metrics(&self) -> String {
        let response = self.admin("GET /metrics", &self.admin.to_string());
        assert_eq!(response.status, 200);
        response.text()
    }

    /// The value of a number without labels.
    fn number(&self, name: &str) -> u64 {
        let metrics = self.metrics();
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{metrics}")).parse().expect("a number")
    }

    fn wait_for_number(&self, name: &str, wanted: impl Fn(u64) -> bool) -> u64 {
        for _ in 0..200 {
            let number = self.number(name);
            if wanted(number) {
                return number;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{name} stays {}; {}", self.number(name), self.gateway.log());
    }
}
