//! Numbers: at the operator's door, and at the collector.

use sekisho_e2e::collector::{Collector, Signal};
use sekisho_e2e::prometheus::Prometheus;
use serde_json::{Value, json};

use crate::Stand;

#[test]
fn prometheus_scrapes_without_an_error_and_answers_questions() {
    let stand = Stand::with("");
    let client = stand.client();
    for _ in 0..3 {
        stand.call(&client, &json!({}), None);
    }
    let prometheus = Prometheus::start(stand.admin).expect("a Prometheus");
    let health = |said: &Value| {
        let target = said.pointer("/data/activeTargets/0")?;
        (target["health"] != "unknown").then(|| (target["health"].clone(), target["lastError"].clone()))
    };
    let health = prometheus.wait_for("/api/v1/targets", health).expect("a target");
    assert_eq!(health, (json!("up"), json!("")));
    let value = |said: &Value| said.pointer("/data/result/0/value/1")?.as_str()?.parse::<f64>().ok();
    let ask = |query: &str| prometheus.wait_for(&format!("/api/v1/query?query={query}"), value).expect("a value");
    assert_eq!(ask("sekisho_calls_total%7Bmcp_method_name=%22tools/call%22,sekisho_outcome=%22completed%22%7D"), 3.0);
    assert!(ask("mcp_client_operation_duration_seconds_count%7Bsekisho_server=%22up%22%7D") >= 3.0);
    let quantile = ask(
        "histogram_quantile(0.5,sekisho_room_duration_seconds_bucket%7Bsekisho_room=%22policy%22,sekisho_way=%22in%22%7D)",
    );
    assert!(quantile > 0.0 && quantile < 10.0, "{quantile}");
    assert_eq!(ask("sekisho_server_up"), 1.0);
}

#[test]
fn metrics_reach_a_collector() {
    let collector = Collector::start(Signal::Metrics).expect("a collector");
    let stand = Stand::with(&format!("otlp_endpoint = \"{}\"\nmetrics_seconds = 1\nsample_ratio = 0", collector.url()));
    let client = stand.client();
    stand.call(&client, &json!({}), None);
    for name in
        ["mcp.server.operation.duration", "mcp.client.operation.duration", "sekisho.room.duration", "sekisho.calls"]
    {
        collector.wait_for(|printed| printed.contains(name).then_some(())).expect(name);
    }
    let printed =
        collector.wait_for(|printed| printed.contains("tools/call").then(|| printed.to_owned())).expect("a call");
    assert!(printed.contains("service.name") && printed.contains("sekisho"), "{printed}");
}

#[test]
fn metrics_name_no_tool_principal_or_secret() {
    let stand = Stand::with("");
    let client = stand.client();
    stand.call(&client, &json!({}), None);
    let refused = stand.gateway.client("nowhere", sekisho_e2e::client::Era::Modern);
    assert!(refused.is_err());
    let metrics = stand.metrics();
    for line in [
        "sekisho_calls_total{mcp_method_name=\"tools/call\",sekisho_outcome=\"completed\"} 1",
        "sekisho_refusals_total{sekisho_code=\"SK1501\"} 1",
        "sekisho_sessions ",
        "sekisho_audit_healthy 1",
        "sekisho_server_up{sekisho_server=\"up\"} 1",
        "# EOF",
    ] {
        assert!(metrics.lines().any(|written| written.starts_with(line)), "{line} in\n{metrics}");
    }
    for hidden in ["echo", "alice", "hunter2", "nowhere", "recorder-session", "my-id"] {
        assert!(!metrics.contains(hidden), "{hidden} in\n{metrics}");
    }
}

#[test]
fn the_operators_door_answers_three_paths_to_known_hosts_only() {
    let stand = Stand::with("");
    let own = stand.admin.to_string();
    for (line, status) in [
        ("GET /metrics", 200),
        ("HEAD /metrics", 200),
        ("GET /livez", 200),
        ("GET /readyz", 200),
        ("GET /", 404),
        ("GET /metrics/", 404),
        ("GET /mcp", 404),
        ("POST /metrics", 405),
        ("DELETE /livez", 405),
    ] {
        let response = stand.admin(line, &own);
        assert_eq!(response.status, status, "{line}");
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{line}");
        assert_eq!(response.header("cache-control"), Some("no-store"), "{line}");
    }
    for (host, status) in [
        ("localhost", 200),
        ("LOCALHOST:9464", 200),
        ("192.0.2.7", 200),
        ("[::1]:9464", 200),
        ("metrics.evil.example", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("u@localhost", 403),
        ("localhost\r\nHost: localhost", 403),
    ] {
        assert_eq!(stand.admin("GET /metrics", host).status, status, "{host}");
    }
    let absolute = stand.admin("GET http://evil.example/metrics", &own);
    assert_eq!(absolute.status, 403);
    let media = stand.admin("GET /metrics", &own);
    assert!(media.header("content-type").is_some_and(|kind| kind.starts_with("application/openmetrics-text")));
    assert_eq!(stand.admin("GET /metrics", &format!("{own}\r\nAccept: text/html")).status, 406);
}
