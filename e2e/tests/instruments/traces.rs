//! Traces: from the client through the gateway to the server, as a real collector sees them.

use std::collections::BTreeMap;
use std::time::Duration;

use sekisho_e2e::client::Era;
use sekisho_e2e::collector::{Collector, Signal};
use sekisho_e2e::gateway::free_address;
use serde_json::json;

use crate::Stand;

const META: &str = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";
const HEADER: &str = "00-11111111111111111111111111111111-2222222222222222-01";

/// One span as the collector prints it.
#[derive(Debug, Clone)]
struct Span {
    trace: String,
    parent: String,
    id: String,
    name: String,
    kind: String,
    text: String,
}

/// The spans of one name that the collector printed.
fn spans(printed: &str, name: &str) -> Vec<Span> {
    let parts = printed.split("\nSpan #").skip(1);
    let read = |text: &str| {
        let field = |key: &str| {
            let line = text.lines().find_map(|line| line.trim().strip_prefix(key)?.trim_start().strip_prefix(':'));
            line.unwrap_or_default().trim().to_owned()
        };
        Span {
            trace: field("Trace ID"),
            parent: field("Parent ID"),
            id: field("ID"),
            name: field("Name"),
            kind: field("Kind"),
            text: text.to_owned(),
        }
    };
    parts.map(read).filter(|span| span.name == name).collect()
}

/// Waits for both sides of a call of `echo`, by kind.
fn both_sides(collector: &Collector) -> BTreeMap<String, Span> {
    collector
        .wait_for(|printed| {
            let sides: BTreeMap<String, Span> =
                spans(printed, "tools/call echo").into_iter().map(|span| (span.kind.clone(), span)).collect();
            (sides.len() == 2).then_some(sides)
        })
        .expect("both sides")
}

#[test]
fn a_sampled_call_is_one_trace_from_the_client_to_the_server() {
    let collector = Collector::start(Signal::Traces).expect("a collector");
    let stand = Stand::with(&format!("otlp_endpoint = \"{}\"\nsample_ratio = 0", collector.url()));
    let client = stand.client();
    let session = client.session().expect("a session").to_owned();
    stand.call(&client, &json!({"traceparent": META, "tracestate": "a=1", "baggage": "k=v"}), Some(HEADER));
    let (header, meta) = stand.arrived();
    assert_eq!(header, meta);
    let sides = both_sides(&collector);
    let (server, client) = (&sides["SPAN_KIND_SERVER"], &sides["SPAN_KIND_CLIENT"]);
    let [_, trace, span, flags] = *META.split('-').collect::<Vec<_>>() else { panic!("{META}") };
    assert_eq!((&*server.trace, &*client.trace), (trace, trace));
    assert_eq!((&*server.parent, &client.parent), (span, &server.id));
    assert_eq!(header, Some(format!("00-{trace}-{}-{flags}", client.id)), "the server hears of our part of the trace");
    for part in [
        "mcp.method.name: Str(tools/call)",
        "gen_ai.tool.name: Str(echo)",
        "gen_ai.operation.name: Str(execute_tool)",
        "jsonrpc.request.id: Str(my-id)",
        "mcp.protocol.version: Str(2025-11-25)",
        "mcp.session.id: Str(",
        "network.transport: Str(tcp)",
        "sekisho.request.id: Str(req-",
        "sekisho.room: Str(policy)",
        "sekisho.room: Str(upstream)",
        "Trace ID: 11111111111111111111111111111111",
        "TraceState     : a=1",
    ] {
        assert!(server.text.contains(part), "{part} in {}", server.text);
    }
    assert!(client.text.contains("sekisho.server: Str(up)"), "{}", client.text);
    let printed = collector.printed();
    for hidden in ["hunter2", "alice", &session] {
        assert!(!printed.contains(hidden), "{hidden} in {printed}");
    }
}

#[test]
fn a_call_that_begins_a_trace_is_sampled_by_the_operators_ratio() {
    let collector = Collector::start(Signal::Traces).expect("a collector");
    let stand = Stand::with(&format!("otlp_endpoint = \"{}\"\nsample_ratio = 1", collector.url()));
    stand.call(&stand.client(), &json!({}), None);
    let sides = both_sides(&collector);
    let (server, client) = (&sides["SPAN_KIND_SERVER"], &sides["SPAN_KIND_CLIENT"]);
    assert_eq!(stand.arrived().0, Some(format!("00-{}-{}-01", server.trace, client.id)));
    assert!(server.parent.is_empty(), "{}", server.text);
}

#[test]
fn a_call_over_stdio_is_traced_as_one_over_a_pipe() {
    let collector = Collector::start(Signal::Traces).expect("a collector");
    let stand = Stand::with(&format!("otlp_endpoint = \"{}\"\nsample_ratio = 1", collector.url()));
    let mut client = stand.gateway.line(Some("up"), Era::Legacy, json!({})).expect("a client");
    client.call("echo", json!({})).expect("a result");
    assert!(client.close(Duration::from_secs(20)).expect("an end").success());
    let server = &both_sides(&collector)["SPAN_KIND_SERVER"];
    assert!(server.text.contains("network.transport: Str(pipe)"), "{}", server.text);
    assert!(!server.text.contains("network.protocol.name"), "{}", server.text);
}

#[test]
fn a_flag_past_the_budget_is_ignored_and_the_trace_goes_on() {
    let collector = Collector::start(Signal::Traces).expect("a collector");
    let settings = "sample_ratio = 0\nclient_sampled_per_second_max = 0";
    let stand = Stand::with(&format!("otlp_endpoint = \"{}\"\n{settings}", collector.url()));
    let client = stand.client();
    for (meta, header) in [(json!({"traceparent": META}), None), (json!({}), Some(META))] {
        stand.call(&client, &meta, header);
        let (header, meta) = stand.arrived();
        let said = header.clone().expect("a context");
        assert_eq!(header, meta);
        assert!(said.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && said.ends_with("-00"), "{said}");
        assert!(!said.contains("00f067aa0ba902b7"), "{said}");
    }
    // Malformed, it is none; and a call that brings none and is not sampled tells the server of none.
    for (meta, header) in [(json!({"traceparent": META.to_uppercase()}), None), (json!({}), Some("00-1-2-01"))] {
        stand.call(&client, &meta, header);
        assert_eq!(stand.arrived(), (None, None));
    }
    drop(stand);
    assert!(!collector.printed().contains("Span #"), "{}", collector.printed());
}

#[test]
fn without_tracing_the_clients_context_is_carried_in_meta_and_in_no_header() {
    let stand = Stand::with("");
    stand.call(&stand.client(), &json!({"traceparent": META}), Some(HEADER));
    assert_eq!(stand.arrived(), (None, Some(META.to_owned())));
}

#[test]
fn context_of_a_caller_without_a_token_is_ignored() {
    let collector = Collector::start(Signal::Traces).expect("a collector");
    let stand = Stand::with(&format!("otlp_endpoint = \"{}\"\nsample_ratio = 0", collector.url()));
    let mut client = stand.client();
    client.set_token(None);
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "echo", "_meta": {"traceparent": META}}});
    assert_eq!(client.post(&message).expect("an answer").status, 401);
    // The neighbour: the same with a token is exported.
    stand.call(&stand.client(), &json!({"traceparent": META}), None);
    both_sides(&collector);
    drop(stand);
    assert_eq!(collector.printed().matches("\nSpan #").count(), 2, "{}", collector.printed());
}

#[test]
fn a_dead_collector_leaves_calls_working_and_is_told_once() {
    let address = free_address().expect("a port");
    let stand = Stand::with(&format!("otlp_endpoint = \"http://{address}\"\nsample_ratio = 1\nmetrics_seconds = 1"));
    let client = stand.client();
    for _ in 0..3 {
        stand.call(&client, &json!({}), None);
    }
    stand.wait_for_number("sekisho_telemetry_dropped_total", |dropped| dropped >= 6);
    assert_eq!(stand.number("sekisho_telemetry_exported_total"), 0);
    let told = || stand.gateway.log().matches("the collector takes no traces and metrics").count();
    assert_eq!(told(), 1, "{}", stand.gateway.log());
    let collector = Collector::start_at(Signal::Traces, address).expect("a collector");
    // Numbers go out every second: the first that arrive say so.
    let is_back = || stand.gateway.log().contains("the collector takes traces and metrics again");
    assert!((0..100).any(|_| is_back() || {
        std::thread::sleep(std::time::Duration::from_millis(100));
        false
    }));
    stand.call(&client, &json!({}), None);
    both_sides(&collector);
    stand.wait_for_number("sekisho_telemetry_exported_total", |exported| exported >= 2);
    assert_eq!(told(), 1, "{}", stand.gateway.log());
}
