//! Too much of everything: what servers tell without end, readers that do not read, cancellations that race with answers.

use std::thread;
use std::time::Instant;

use sekisho_e2e::client::Era;
use sekisho_e2e::fixture::everything_command;
use sekisho_e2e::gateway::{free_address, stdio_server};
use sekisho_e2e::raw::Stream;
use serde_json::{Value, json};

use super::*;

/// The fixture as a process, and the operator's door.
fn stand() -> (Gateway, std::net::SocketAddr) {
    let admin = free_address().expect("a port");
    let command = everything_command(&[]).expect("the fixture");
    let setup = Setup::open(&stdio_server("all", &command)).with_more(&format!("[admin]\nlisten = \"{admin}\"\n"));
    let gateway = Gateway::start(&setup).expect("a gateway");
    gateway.wait_for_servers(&["all"]).expect("probed");
    (gateway, admin)
}

fn chatter(count: u64) -> Value {
    json!({"name": "test_chatter", "arguments": {"count": count}, "_meta": {"progressToken": "p"}})
}

/// How many calls are under way, as the operator sees it.
fn under_way(admin: std::net::SocketAddr) -> u64 {
    let ask = format!("GET /metrics HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    let metrics = raw::send(admin, ask.as_bytes(), LIMIT).expect("numbers").text();
    let line = metrics.lines().find(|line| line.starts_with("sekisho_conversations"));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("no number in {metrics}"))
}

/// Waits until nothing is under way any more.
fn settles(admin: std::net::SocketAddr) {
    let start = Instant::now();
    while under_way(admin) > 0 {
        assert!(start.elapsed() < LIMIT, "{} are left", under_way(admin));
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_server_that_never_stops_telling_is_heard_by_who_reads_and_fills_no_memory_for_who_does_not() {
    let (mut gateway, admin) = stand();
    // A process serves one session, so each of the silent ones has its own.
    let silent: Vec<Stream> = [Era::Legacy, Era::Modern]
        .iter()
        .cycle()
        .take(6)
        .map(|era| {
            gateway.client("all", *era).expect("a client").open("tools/call", chatter(10_000)).expect("a stream")
        })
        .collect();
    let before = gateway.process().resident_kib().expect("a process");
    thread::sleep(Duration::from_secs(2));
    let mut reader = gateway.client("all", Era::Legacy).expect("a client");
    let mut stream = reader.open("tools/call", chatter(500)).expect("a stream");
    let mut heard = 0;
    let answer = loop {
        let message = stream.message().expect("a message").expect("an answer");
        match message["method"].as_str() {
            Some(_) => heard += 1,
            None => break message,
        }
    };
    assert_eq!((heard, answer["result"]["content"][0]["text"].as_str()), (500, Some("That is all.")));
    let grown = gateway.process().resident_kib().expect("a process").saturating_sub(before);
    assert!(grown < 48 * 1024, "six readers that read nothing take {grown} KiB");
    // Nobody waits for them: modern calls are over, legacy ones go on to their end.
    drop(silent);
    settles(admin);
}

#[test]
fn cancellations_race_with_answers_and_leave_nothing_behind() {
    let (gateway, admin) = stand();
    let client = gateway.client("all", Era::Legacy).expect("a client");
    for round in 0..40_u64 {
        let id = 1000 + round;
        let wait = json!({"name": "test_wait", "arguments": {"milliseconds": round % 4}});
        let call = client.bytes(&json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": wait}));
        let cancel =
            client.bytes(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}));
        let address = gateway.address();
        let calls = thread::spawn(move || raw::send(address, &call, LIMIT).expect("an answer"));
        thread::sleep(Duration::from_micros(500 * (round % 8)));
        assert_eq!(raw::send(address, &cancel, LIMIT).expect("taken in").status, 202);
        let answers = calls.join().expect("no panic").messages().expect("messages");
        let answer = answers.iter().find(|message| message["id"] == id).expect("one end");
        let code = answer.pointer("/error/data/code").and_then(Value::as_str);
        assert!(answer.get("result").is_some() || code == Some("SK2101"), "{answer}");
    }
    settles(admin);
}

#[test]
fn progress_without_end_ends_with_its_call() {
    let (gateway, admin) = stand();
    let mut client = gateway.client("all", Era::Modern).expect("a client");
    let mut stream = client.open("tools/call", chatter(10_000)).expect("a stream");
    for _ in 0..10 {
        assert_eq!(stream.message().expect("a message").expect("progress")["method"], "notifications/progress");
    }
    // HT-11: whoever leaves takes the call back.
    drop(stream);
    settles(admin);
    assert!(audit_log(&gateway).contains("SK2101"));
}
