//! What a server says while it works: progress and log messages, on the stream of the request they belong to.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test says what it expects and stops where it is not so"
)]

use sekisho_e2e::client::{Client, Era};
use sekisho_e2e::fixture::{Everything, everything_command};
use sekisho_e2e::gateway::{Gateway, Setup, http_server, stdio_server};
use serde_json::{Value, json};

fn gateway(server: &str) -> Gateway {
    let gateway = Gateway::start(&Setup::open(server)).expect("a gateway");
    gateway.wait_for_servers(&["everything"]).expect("a server that answers");
    gateway
}

/// The notifications of one kind that came with the answer to a call, and the answer's text.
fn call(client: &mut Client, tool: &str, meta: &Value, notification: &str) -> (Vec<Value>, String) {
    let response =
        client.send("tools/call", json!({"name": tool, "arguments": {}, "_meta": meta})).expect("a response");
    let messages = response.messages().expect("messages");
    let text = messages.iter().find_map(|message| message.pointer("/result/content/0/text")?.as_str());
    let text = text.unwrap_or_else(|| panic!("no result in {messages:?}")).to_owned();
    let of_kind =
        messages.iter().filter(|message| message["method"] == notification).map(|message| message["params"].clone());
    (of_kind.collect(), text)
}

fn assert_progress(gateway: &Gateway, era: Era) {
    let mut client = gateway.client("everything", era).expect("a client");
    let (with, text) =
        call(&mut client, "test_tool_with_progress", &json!({"progressToken": "mine"}), "notifications/progress");
    assert_eq!(text, "The tool is done.");
    let steps: Vec<_> = with.iter().map(|step| (step["progressToken"].as_str(), step["progress"].as_f64())).collect();
    assert_eq!(steps, [0.0, 50.0, 100.0].map(|step| (Some("mine"), Some(step))), "{era:?}");
    let (without, _) = call(&mut client, "test_tool_with_progress", &json!({}), "notifications/progress");
    assert!(without.is_empty(), "{era:?}: nobody asked: {without:?}");
}

fn assert_logging(gateway: &Gateway, era: Era) {
    let mut client = gateway.client("everything", era).expect("a client");
    let asked = match era {
        Era::Legacy => {
            client.request("logging/setLevel", json!({"level": "debug"})).expect("an empty result");
            json!({})
        }
        Era::Modern => json!({"io.modelcontextprotocol/logLevel": "debug"}),
    };
    let (lines, text) = call(&mut client, "test_tool_with_logging", &asked, "notifications/message");
    assert_eq!(text, "The tool logged what it did.");
    let lines: Vec<_> = lines.iter().filter_map(|line| line["data"].as_str()).collect();
    assert_eq!(lines, ["Tool execution started", "Tool processing data", "Tool execution completed"], "{era:?}");
    if era == Era::Modern {
        let (lines, _) = call(&mut client, "test_tool_with_logging", &json!({}), "notifications/message");
        assert!(lines.is_empty(), "a request without a level gets no log: {lines:?}");
    }
}

#[test]
fn progress_reaches_the_caller_in_both_eras_over_http() {
    let server = Everything::start(&[]).expect("the server");
    let gateway = gateway(&http_server("everything", server.url()));
    assert_progress(&gateway, Era::Legacy);
    assert_progress(&gateway, Era::Modern);
}

#[test]
fn progress_reaches_the_caller_in_both_eras_over_stdio() {
    let gateway = gateway(&stdio_server("everything", &everything_command(&[]).expect("the server")));
    assert_progress(&gateway, Era::Legacy);
    assert_progress(&gateway, Era::Modern);
}

#[test]
fn log_messages_reach_the_caller_of_2026_07_28_over_http() {
    let server = Everything::start(&[]).expect("the server");
    let gateway = gateway(&http_server("everything", server.url()));
    assert_logging(&gateway, Era::Modern);
}

#[test]
fn log_messages_reach_the_caller_in_both_eras_over_stdio() {
    let gateway = gateway(&stdio_server("everything", &everything_command(&[]).expect("the server")));
    assert_logging(&gateway, Era::Modern);
    assert_logging(&gateway, Era::Legacy);
}
