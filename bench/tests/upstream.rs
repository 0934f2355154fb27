//! The upstream is strict and the load generator looks at everything: a proxy that breaks something gives errors, and no figures.

use sekisho_bench::load::{self, Plan, Sessions, Stop};
use sekisho_bench::site::{People, Stand, Upstream};
use sekisho_e2e::client::{Client, Era};
use serde_json::json;

fn stand(options: &[&str]) -> anyhow::Result<(Upstream, Stand)> {
    let upstream = Upstream::start(options)?;
    let stand = Stand::direct(&upstream, &People::new()?)?;
    Ok((upstream, stand))
}

#[test]
fn calls_that_are_answered_are_counted_and_those_that_are_not_are_errors() {
    let (_upstream, good) = stand(&[]).unwrap();
    for (era, sessions) in
        [(Era::Legacy, Sessions::Kept), (Era::Legacy, Sessions::PerCall), (Era::Modern, Sessions::Kept)]
    {
        let plan = Plan { era, sessions, connections: 4, stop: Stop::Calls(40), ..good.plan() };
        let report = load::run(&plan).unwrap();
        assert_eq!((report.calls, report.errors), (40, 0), "{:?}", report.error_kinds);
        assert!(report.rps > 0.0 && report.p50_us > 0.0 && report.p99_us >= report.p50_us);
        assert!(report.cpu_us_per_call > 0.0 && report.rss_mib > 0.0);
    }
    // Without a tool there is nothing to call.
    let (_upstream, poor) = stand(&["--tools", "0"]).unwrap();
    let report = load::run(&Plan { stop: Stop::Calls(5), ..poor.plan() }).unwrap();
    assert_eq!((report.calls, report.errors), (0, 5));
    assert!(report.error_kinds.keys().all(|kind| kind.contains("unknown tool")), "{:?}", report.error_kinds);
}

#[test]
fn a_list_must_be_complete() {
    for options in [&["--tools", "70", "--page", "20"][..], &["--tools", "70", "--page", "20", "--stream"]] {
        let (_upstream, stand) = stand(options).unwrap();
        let list = |tools| Plan { asked: load::Asked::List { tools }, ..stand.plan() };
        assert_eq!(load::run(&list(70)).unwrap().errors, 0);
        assert_eq!(load::run(&list(71)).unwrap().errors, 1);
    }
}

#[test]
fn an_endpoint_that_is_not_there_stops_the_load() {
    let (_upstream, stand) = stand(&[]).unwrap();
    let mut plan = stand.plan();
    plan.target.paths = vec!["/elsewhere".to_owned()];
    assert!(load::run(&plan).is_err());
}

#[test]
fn the_upstream_refuses_a_session_that_is_missing_or_unknown_or_over() {
    let (upstream, _) = stand(&[]).unwrap();
    let mut client = Client::connect(&upstream.url(), None, Era::Legacy).unwrap();
    let session = client.session().unwrap().to_owned();
    let call = json!({"name": "echo", "arguments": {"message": "hi"}});
    let status = |client: &mut Client| client.send("tools/call", call.clone()).unwrap().status;
    assert_eq!(status(&mut client), 200);
    client.set_session(Some("bench-of-somebody-else"));
    assert_eq!(status(&mut client), 404);
    client.set_session(None);
    assert_eq!(status(&mut client), 400);
    client.set_session(Some(&session));
    assert_eq!((client.end().unwrap().status, client.end().unwrap().status), (200, 404));
    assert_eq!(status(&mut client), 404);
}

#[test]
fn the_upstream_refuses_fields_that_do_not_fit_the_body() {
    let (upstream, _) = stand(&[]).unwrap();
    let client = Client::connect(&upstream.url(), None, Era::Modern).unwrap();
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
    let params = json!({"name": "echo", "arguments": {"message": "hi"}, "_meta": meta});
    let good = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let answered = |bytes: &[u8]| {
        let address = upstream.address();
        sekisho_e2e::raw::send(address, bytes, std::time::Duration::from_secs(10)).unwrap().status
    };
    let good = String::from_utf8(client.bytes(&good)).unwrap();
    assert_eq!(answered(good.as_bytes()), 200);
    for (part, other) in [
        ("Mcp-Name: echo", "Mcp-Name: tool-0001"),
        ("Mcp-Method: tools/call", "Mcp-Method: tools/list"),
        ("MCP-Protocol-Version: 2026-07-28", "MCP-Protocol-Version: 2025-11-25"),
        ("Mcp-Method: tools/call", "Mcp-Session-Id: some"),
        ("application/json, text/event-stream", "application/json"),
        ("\"message\":\"hi\"", "\"massage\":\"hi\""),
    ] {
        assert!(good.contains(part), "{part}");
        assert_ne!(answered(good.replace(part, other).as_bytes()), 200, "{other}");
    }
}
