use super::*;
use sekisho_e2e::client::Era;
use sekisho_e2e::fixture::everything_command;
use sekisho_e2e::gateway::stdio_server;
use serde_json::json;
use std::fs;
use std::time::Instant;

/// One server of the fixture, as a process, in both eras.
fn everything() -> Gateway {
    let command = everything_command(&[]).expect("the fixture");
    let gateway = Gateway::start(&Setup::open(&stdio_server("all", &command))).expect("a gateway");
    gateway.wait_for_servers(&["all"]).expect("probed");
    gateway
}

#[test]
fn a_legacy_client_initializes_lists_and_calls() {
    let gateway = everything();
    let mut client = gateway.client("all", Era::Legacy).expect("a client");
    assert!(client.session().is_some());
    assert!(client.list("tools/list").expect("tools").contains(&"test_simple_text".to_owned()));
    let result = client.call("test_simple_text", json!({})).expect("a result");
    assert_eq!(result["content"][0]["type"], "text");
    assert_eq!(client.request("ping", json!({})).expect("a pong"), json!({}));
    assert!(client.request("server/discover", json!({})).is_err(), "that is the other era's");
}

#[test]
fn a_modern_client_discovers_lists_and_calls() {
    let gateway = everything();
    let mut client = gateway.client("all", Era::Modern).expect("a client");
    assert_eq!(client.opening()["supportedVersions"], json!(["2026-07-28"]));
    assert_eq!(client.opening()["cacheScope"], "private");
    assert!(client.session().is_none());
    assert!(client.list("tools/list").expect("tools").contains(&"test_simple_text".to_owned()));
    let result = client.call("test_simple_text", json!({})).expect("a result");
    assert_eq!(result["resultType"], "complete");
    let ping = client.send("ping", json!({})).expect("an answer");
    assert_eq!(ping.status, 404, "ping is the other era's");
}

/// Both eras decide alike: the same call gets the same decision (architecture, property 7).
#[test]
fn both_eras_are_decided_alike() {
    let command = everything_command(&[]).expect("the fixture");
    let policy = r#"permit(principal, action in Sekisho::Action::"connect", resource);
        permit(principal, action == Sekisho::Action::"tools/call", resource == Sekisho::Tool::"all/test_simple_text");"#;
    let gateway = Gateway::start(&Setup::open(&stdio_server("all", &command)).with_policy(policy)).expect("a gateway");
    gateway.wait_for_servers(&["all"]).expect("probed");
    for era in [Era::Legacy, Era::Modern] {
        let mut client = gateway.client("all", era).expect("a client");
        assert_eq!(client.list("tools/list").expect("tools"), ["test_simple_text"], "{era:?}");
        assert!(client.call("test_simple_text", json!({})).is_ok(), "{era:?}");
        let refused =
            client.send("tools/call", json!({"name": "test_error_handling", "arguments": {}})).expect("an answer");
        assert_eq!((refused.status, code(&refused)), (200, "SK1701".to_owned()), "{era:?}");
    }
}

#[test]
fn servers_behind_the_door_of_all_keep_apart_and_a_dead_one_hides_nothing() {
    let command = everything_command(&[]).expect("the fixture");
    let dead = "[servers.dead]\ncommand = [\"/nonexistent/program\"]\n";
    let servers = format!("{}{}{dead}", stdio_server("one", &command), stdio_server("two", &command));
    let gateway = Gateway::start(&Setup::open(&servers)).expect("a gateway");
    gateway.wait_for_servers(&["one", "two"]).expect("probed");
    let endpoint = gateway.endpoint_of_all();
    let token = gateway.token("alice", &endpoint).expect("a token");
    for era in [Era::Legacy, Era::Modern] {
        let mut client = sekisho_e2e::client::Client::connect(&endpoint, Some(&token), era).expect("a client");
        let tools = client.list("tools/list").expect("tools");
        assert!(
            tools.contains(&"one__test_simple_text".to_owned()) && tools.contains(&"two__test_simple_text".to_owned()),
            "{tools:?}"
        );
        assert!(client.call("two__test_simple_text", json!({})).is_ok());
        assert!(client.call("dead__anything", json!({})).is_err());
        assert!(client.call("test_simple_text", json!({})).is_err(), "no name without its server");
        let resources = client.list("resources/list").expect("resources");
        assert!(resources.contains(&"sekisho+one:test://static-text".to_owned()), "{resources:?}");
        let read =
            client.request("resources/read", json!({"uri": "sekisho+one:test://static-text"})).expect("a resource");
        assert_eq!(read["contents"][0]["uri"], "sekisho+one:test://static-text");
        let prompt = client.request("prompts/get", json!({"name": "two__test_simple_prompt"})).expect("a prompt");
        assert!(prompt["messages"].is_array());
        let completed = client.request("completion/complete", json!({
            "ref": {"type": "ref/prompt", "name": "one__test_prompt_with_arguments"}, "argument": {"name": "arg1", "value": "t"}}));
        assert!(completed.expect("a completion")["completion"]["values"].is_array());
    }
}

#[test]
fn nothing_is_forwarded_when_the_log_cannot_be_written() {
    let (gateway, recorder) = stand();
    let named = format!("Mcp-Session-Id: {}", session(&gateway, "/s/up/mcp"));
    let call: &[u8] = br#"{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"echo","arguments":{}}}"#;
    assert_eq!(post(&gateway, "/s/up/mcp", &[&named], call).status, 200);
    let before = recorder.calls().len();
    // A log whose file was taken away is no log: what it held is no longer what was written.
    for entry in fs::read_dir(gateway.folder().join("data/audit")).expect("the log").flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "jsonl") {
            fs::remove_file(entry.path()).expect("removed");
        }
    }
    let started = Instant::now();
    let refused = post(&gateway, "/s/up/mcp", &[&named], call);
    assert_eq!((refused.status, code(&refused)), (503, "SK1901".to_owned()), "{}", refused.text());
    assert!(started.elapsed() < Duration::from_secs(4));
    assert_eq!(recorder.calls().len(), before, "nothing was forwarded");
    assert_eq!(request(&gateway, "GET /readyz", &[], b"").status, 503, "and the orchestrator knows");
}

#[test]
fn a_call_under_way_survives_a_reload_and_a_shutdown() {
    let (mut gateway, _recorder) = stand();
    let named = format!("Mcp-Session-Id: {}", session(&gateway, "/s/up/mcp"));
    let policy = gateway.folder().join("policy.cedar");
    let call: &[u8] = br#"{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"echo","arguments":{}}}"#;
    for round in 0..20 {
        fs::write(&policy, format!("// round {round}\npermit(principal, action, resource);\n")).expect("written");
        for _ in 0..5 {
            assert_eq!(post(&gateway, "/s/up/mcp", &[&named], call).status, 200, "the session and the call go on");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    gateway.process().signal(nix::sys::signal::Signal::SIGTERM).expect("signalled");
    assert!(gateway.process().wait(LIMIT).expect("it ends").success());
}
