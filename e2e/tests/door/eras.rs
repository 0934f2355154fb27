//! What each era says in its own way.

use std::process::Command;
use std::time::{Duration, Instant};

use sekisho_e2e::client::{Client, Era};
use sekisho_e2e::fixture::everything_command;
use sekisho_e2e::gateway::{Approved, stdio_server};
use sekisho_e2e::{place, process};
use serde_json::{Value, json};

use super::*;

fn error(response: &Response) -> Value {
    response.messages().expect("a message")[0]["error"].clone()
}

#[test]
fn a_resource_that_nobody_offers_has_the_code_of_its_era() {
    let command = everything_command(&[]).expect("the fixture");
    let gateway = Gateway::start(&Setup::open(&stdio_server("all", &command))).expect("a gateway");
    gateway.wait_for_servers(&["all"]).expect("probed");
    let endpoint = gateway.endpoint_of_all();
    let token = gateway.token("alice", &endpoint).expect("a token");
    for (era, expected) in [(Era::Legacy, -32002), (Era::Modern, -32602)] {
        let mut alice = Client::connect(&endpoint, Some(&token), era).expect("a client");
        let read = alice.request("resources/read", json!({"uri": "sekisho+all:test://static-text"}));
        assert!(read.is_ok(), "its neighbour is there: {read:?}");
        for nobodys in
            ["sekisho+nobody:a:1", "test://static-text", "sekisho+all:file:///srv/%2e%2e/etc", "sekisho+all:nothing"]
        {
            let refused = alice.send("resources/read", json!({"uri": nobodys})).expect("an answer");
            let error = error(&refused);
            assert_eq!(
                (&error["code"], &error["data"]["code"]),
                (&json!(expected), &json!("SK1503")),
                "{nobodys}: {error}"
            );
        }
        // The server's own word for what it does not have.
        let theirs = alice.send("resources/read", json!({"uri": "sekisho+all:test://nothing"})).expect("an answer");
        assert_eq!(error(&theirs)["code"], expected, "{}", theirs.text());
    }
}

#[test]
fn a_server_that_mirrors_otherwise_now_is_listed_again_and_called() {
    let recorder = Recorder::start_modern().expect("a port");
    let mirrored = |header: &str| {
        json!([{"name": "echo", "inputSchema": {"type": "object", "properties": {
            "region": {"type": "string", "x-mcp-header": header}}}}])
    };
    recorder.offer(mirrored("Region"));
    let setup = Setup::open(&http_server("up", &recorder.url())).approving(Approved::Locked);
    let gateway = Gateway::start(&setup).expect("a gateway");
    gateway.wait_for_servers(&["up"]).expect("probed");
    let mut alice = gateway.client("up", Era::Modern).expect("a client");
    alice.list("tools/list").expect("a list");
    let call = |alice: &Client, id: u64, header: &str| {
        let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "door", "version": "1"}});
        let message = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": {"name": "echo", "arguments": {"region": "eu"}, "_meta": meta}});
        let bytes = String::from_utf8(alice.bytes(&message)).expect("text");
        let mirrored = bytes.replacen("Mcp-Name:", &format!("Mcp-Param-{header}: eu\r\nMcp-Name:"), 1);
        raw::send(gateway.address(), mirrored.as_bytes(), LIMIT).expect("an answer")
    };
    assert_eq!(call(&alice, 70, "Region").status, 200);
    recorder.offer(mirrored("Place"));
    let refused = call(&alice, 71, "Region");
    assert_eq!((refused.status, &error(&refused)["code"]), (400, &json!(-32020)), "{}", refused.text());
    // The client cannot know the new name yet, and the gateway refuses what it does not know either.
    assert_eq!(code(&call(&alice, 72, "Place")), "SK1403");
    // What changed has to be approved first.
    assert!(alice.list("tools/list").expect("a list").is_empty());
    assert_eq!(code(&call(&alice, 73, "Place")), "SK1511");
    let mut approve = Command::new(place::binary("sekisho").expect("the binary"));
    approve.args(["approve", "up/echo", "--yes"]).current_dir(gateway.folder());
    let approved = process::run(&mut approve, "", LIMIT).expect("an end");
    assert!(approved.status.success(), "{}", approved.err);
    let start = Instant::now();
    while alice.list("tools/list").expect("a list").is_empty() {
        assert!(start.elapsed() < LIMIT, "the approval is not taken over");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(call(&alice, 74, "Place").status, 200);
    assert_eq!(recorder.calls().last().and_then(|call| call.header("mcp-param-place")), Some("eu"));
}
