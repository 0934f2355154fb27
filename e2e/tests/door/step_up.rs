//! A good token that does not suffice: what its client is told, and that it suffices then (2.4, RS-09, RS-10, RFC 9470).

use sekisho_e2e::client::{Client, Era};
use sekisho_e2e::issuer;
use sekisho_e2e::raw::Response;
use serde_json::{Value, json};

use super::*;

const POLICY: &str = r#"
@id("open") permit(principal, action, resource);
@id("calling-needs-its-scope") @scope("mcp:call")
forbid(principal, action == Sekisho::Action::"tools/call", resource == Sekisho::Tool::"up/echo")
unless { principal.scopes.contains("mcp:call") };
@id("adding-needs-a-fresh-second-factor") @acr_values("urn:mfa") @max_age("300")
forbid(principal, action == Sekisho::Action::"tools/call", resource == Sekisho::Tool::"up/add")
unless { principal.acr == "urn:mfa" && principal has auth_time && context.time.durationSince(principal.auth_time) < duration("5m") };
@id("nobody-fails")
forbid(principal, action == Sekisho::Action::"tools/call", resource == Sekisho::Tool::"up/fail");
"#;

/// The fixture's tools, by the names that policies have for them.
fn stand_for_steps() -> (Gateway, sekisho_e2e::fixture::Everything) {
    let server = sekisho_e2e::fixture::Everything::start(&[]).expect("the fixture");
    let policy = POLICY
        .replace("up/echo", "up/test_echo")
        .replace("up/add", "up/test_add")
        .replace("up/fail", "up/test_error_handling");
    let gateway =
        Gateway::start(&Setup::open(&http_server("up", server.url())).with_policy(&policy)).expect("a gateway");
    gateway.wait_for_servers(&["up"]).expect("the server is probed");
    (gateway, server)
}

fn client(gateway: &Gateway, subject: &str, era: Era, change: &Value) -> Client {
    let endpoint = gateway.endpoint("up");
    let mut claims = gateway.issuer().claims(subject, &endpoint);
    for (key, value) in change.as_object().expect("an object") {
        claims[key] = value.clone();
    }
    let token = gateway.issuer().mint(&claims).expect("a token");
    Client::connect(&endpoint, Some(&token), era).expect("a client")
}

fn call(client: &mut Client, tool: &str, arguments: Value) -> Response {
    client.send("tools/call", json!({"name": tool, "arguments": arguments})).expect("an answer")
}

#[test]
fn who_lacks_a_scope_is_told_all_of_them_by_403_and_is_let_in_with_them() {
    let (gateway, _server) = stand_for_steps();
    let metadata = format!("http://{}/.well-known/oauth-protected-resource/s/up/mcp", gateway.address());
    for (era, subject) in [(Era::Legacy, "alice"), (Era::Modern, "bob")] {
        let mut plain = client(&gateway, subject, era, &json!({"scope": "mcp"}));
        assert!(
            plain.list("tools/list").expect("a list").contains(&"test_echo".to_owned()),
            "what a step-up reaches is shown"
        );
        let told = call(&mut plain, "test_echo", json!({"text": "hi"}));
        let expected =
            format!("Bearer error=\"insufficient_scope\", scope=\"mcp mcp:call\", resource_metadata=\"{metadata}\"");
        assert_eq!(
            (told.status, told.header("www-authenticate")),
            (403, Some(expected.as_str())),
            "{era:?}: {}",
            told.text()
        );
        let body = raw::parse(&told.text()).expect("JSON");
        assert_eq!(body["error"]["data"]["challenge"]["scope"], "mcp mcp:call", "{body}");
        let mut more = client(&gateway, subject, era, &json!({"scope": "mcp mcp:call"}));
        assert_eq!(call(&mut more, "test_echo", json!({"text": "hi"})).status, 200, "{era:?}");
        // What nothing helps against is no challenge.
        let refused = call(&mut more, "test_error_handling", json!({}));
        assert_eq!((refused.status, refused.header("www-authenticate")), (200, None), "{}", refused.text());
        assert_eq!(raw::parse(&refused.text()).expect("JSON")["error"]["data"]["code"], "SK1701");
    }
}

#[test]
fn who_logged_in_too_weakly_or_too_long_ago_is_told_by_401_and_is_let_in_after_a_login() {
    let (gateway, _server) = stand_for_steps();
    let sum = || json!({"a": 1, "b": 2});
    for (subject, change) in [
        ("alice", json!({})),
        ("bob", json!({"acr": "urn:pwd", "auth_time": issuer::now() - 10})),
        ("carol", json!({"acr": "urn:mfa", "auth_time": issuer::now() - 400})),
    ] {
        let told = call(&mut client(&gateway, subject, Era::Modern, &change), "test_add", sum());
        let challenge = told.header("www-authenticate").unwrap_or_default().to_owned();
        assert_eq!(told.status, 401, "{change}: {}", told.text());
        assert!(challenge.starts_with("Bearer error=\"insufficient_user_authentication\", "), "{challenge}");
        assert!(challenge.contains("resource_metadata=") && !challenge.contains("invalid_token"), "{challenge}");
        assert!(challenge.contains("max_age=\"300\"") || challenge.contains("acr_values=\"urn:mfa\""), "{challenge}");
    }
    let fresh = json!({"acr": "urn:mfa", "auth_time": issuer::now() - 10});
    assert_eq!(call(&mut client(&gateway, "alice", Era::Modern, &fresh), "test_add", sum()).status, 200);
    let why = audit_log(&gateway);
    assert!(why.contains("adding-needs-a-fresh-second-factor"), "which rule stands in the record");
}

#[test]
fn who_comes_again_and_again_without_what_would_help_is_refused_plainly() {
    let (gateway, _server) = stand_for_steps();
    let mut plain = client(&gateway, "alice", Era::Modern, &json!({"scope": "mcp"}));
    let statuses: Vec<u16> = (0..5).map(|_| call(&mut plain, "test_echo", json!({"text": "hi"})).status).collect();
    assert_eq!(statuses, [403, 403, 403, 200, 200]);
    let last = call(&mut plain, "test_echo", json!({"text": "hi"}));
    assert_eq!(raw::parse(&last.text()).expect("JSON")["error"]["data"]["code"], "SK1701");
    let mut other = client(&gateway, "bob", Era::Modern, &json!({"scope": "mcp"}));
    assert_eq!(call(&mut other, "test_echo", json!({"text": "hi"})).status, 403, "each caller counts alone");
}

#[test]
fn groups_that_are_too_many_for_a_token_open_nothing_that_hangs_on_them() {
    let server = sekisho_e2e::fixture::Everything::start(&[]).expect("the fixture");
    let policy = r#"
        permit(principal, action in Sekisho::Action::"connect", resource);
        permit(principal, action, resource == Sekisho::Tool::"up/test_echo");
        permit(principal, action, resource == Sekisho::Tool::"up/test_add") when { principal.groups.contains("adders") };"#;
    let setup = Setup::open(&http_server("up", server.url())).with_policy(policy);
    let issuer = sekisho_e2e::issuer::Issuer::es256("http://127.0.0.1:9/issuer").expect("keys");
    let lines = "jwks_file = \"jwks.json\"\ngroups_claim = \"groups\"";
    let mut gateway = Gateway::launch_with(&setup, issuer, |_, text| text.replace("jwks_file = \"jwks.json\"", lines))
        .expect("a gateway");
    gateway.wait_until_ready().expect("ready");
    gateway.wait_for_servers(&["up"]).expect("the server is probed");
    let sum = || json!({"a": 1, "b": 2});
    let mut member = client(&gateway, "alice", Era::Modern, &json!({"groups": ["adders"]}));
    assert_eq!(raw::parse(&call(&mut member, "test_add", sum()).text()).expect("JSON")["error"], Value::Null);
    let mut many = client(&gateway, "bob", Era::Modern, &json!({"_claim_names": {"groups": "src1"}}));
    let refused = raw::parse(&call(&mut many, "test_add", sum()).text()).expect("JSON");
    assert!(refused["error"]["data"]["code"].is_string(), "{refused}");
    let passed = raw::parse(&call(&mut many, "test_echo", json!({"text": "hi"})).text()).expect("JSON");
    assert!(passed["result"].is_object(), "what hangs on no group is open: {passed}");
}
