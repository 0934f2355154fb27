//! What becomes of credentials after they were good: revocation, logout, a change of privilege, and what the operator sees of it.

use std::time::{Duration, Instant};

use sekisho_e2e::client::{Client, Era};
use sekisho_e2e::fixture::Everything;
use sekisho_e2e::issuer::{self, Issuer};
use sekisho_e2e::process;
use serde_json::{Value, json};

use super::*;

/// The fixture behind a gateway, with these lines in the entry of its issuer, and tables behind it.
fn everything(issuer: &str, more: &str) -> (Gateway, Everything) {
    let server = Everything::start(&[]).expect("the fixture");
    let setup = Setup::open(&http_server("up", server.url())).with_more(more);
    let (issuer, lines) =
        (Issuer::es256("http://127.0.0.1:9/issuer").expect("keys"), format!("jwks_file = \"jwks.json\"\n{issuer}"));
    let mut gateway = Gateway::launch_with(&setup, issuer, |_, text| text.replace("jwks_file = \"jwks.json\"", &lines))
        .expect("a gateway");
    gateway.wait_until_ready().expect("ready");
    gateway.wait_for_servers(&["up"]).expect("the server is probed");
    (gateway, server)
}

fn sekisho(gateway: &Gateway, arguments: &[&str], input: &str) -> process::Output {
    let mut command = std::process::Command::new(sekisho_e2e::place::binary("sekisho").expect("the binary"));
    command.args(arguments).arg("--config").arg(gateway.folder().join("sekisho.toml"));
    process::run(&mut command, input, LIMIT).expect("an end")
}

/// A token like any other, but for these claims.
fn token(gateway: &Gateway, subject: &str, change: &Value) -> String {
    let mut claims = gateway.issuer().claims(subject, &gateway.endpoint("up"));
    for (key, value) in change.as_object().expect("an object") {
        claims[key] = value.clone();
    }
    gateway.issuer().mint(&claims).expect("a token")
}

fn lists(gateway: &Gateway, token: &str) -> u16 {
    let body = br#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"n","version":"1"}}}}"#;
    let authorization = format!("Authorization: Bearer {token}");
    let fields = [
        authorization.as_str(),
        "Content-Type: application/json",
        "Accept: application/json, text/event-stream",
        "MCP-Protocol-Version: 2026-07-28",
        "Mcp-Method: tools/list",
    ];
    request(gateway, "POST /s/up/mcp", &fields, body).status
}

#[test]
fn a_revoked_subject_is_refused_at_once_and_after_a_restart_and_its_neighbour_is_not() {
    let (gateway, _server) = everything("clock_skew_seconds = 0", "");
    let (alice, bob) = (token(&gateway, "alice", &json!({})), token(&gateway, "bob", &json!({})));
    assert_eq!((lists(&gateway, &alice), lists(&gateway, &bob)), (200, 200));
    let done = sekisho(&gateway, &["revoke", "subject", "alice", "--reason", "lost laptop"], "");
    assert!(done.status.success(), "{done:?}");
    assert_eq!((lists(&gateway, &alice), lists(&gateway, &bob)), (401, 200));
    let listed = sekisho(&gateway, &["revoke", "list"], "").out;
    assert!(listed.contains("subject") && listed.contains("alice") && listed.contains("lost laptop"), "{listed}");
    assert!(sekisho(&gateway, &["status"], "").out.contains("revoked     1"));
    assert!(audit_log(&gateway).contains("revoked: subject"), "it is recorded");
    let gateway = gateway.restarted(|_| Ok(())).expect("a gateway");
    gateway.wait_for_servers(&["up"]).expect("the server is probed");
    assert_eq!((lists(&gateway, &alice), lists(&gateway, &bob)), (401, 200), "a restart brings nothing back");
    // Who logs in again is let in again.
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(lists(&gateway, &token(&gateway, "alice", &json!({}))), 200);
}

#[test]
fn what_is_revoked_while_no_gateway_runs_is_revoked_when_one_does() {
    let (gateway, _server) = everything("", "");
    let alice = token(&gateway, "alice", &json!({"jti": "t1"}));
    let other = token(&gateway, "alice", &json!({"jti": "t2"}));
    assert_eq!(lists(&gateway, &alice), 200);
    let gateway = gateway.restarted(|folder| {
        let mut command = std::process::Command::new(sekisho_e2e::place::binary("sekisho")?);
        command.args(["revoke", "token", "t1", "--config"]).arg(folder.join("sekisho.toml"));
        let done = process::run(&mut command, "", LIMIT)?;
        anyhow::ensure!(done.out.contains("no gateway runs"), "{done:?}");
        Ok(())
    });
    let gateway = gateway.expect("a gateway");
    gateway.wait_for_servers(&["up"]).expect("the server is probed");
    assert_eq!((lists(&gateway, &alice), lists(&gateway, &other)), (401, 200));
}

#[test]
fn streams_and_calls_of_a_revoked_credential_end_within_two_seconds_and_others_go_on() {
    let (gateway, _server) = everything("", "");
    let endpoint = gateway.endpoint("up");
    let client = |subject: &str, era| {
        Client::connect(&endpoint, Some(&gateway.token(subject, &endpoint).expect("a token")), era).expect("a client")
    };
    let listen = json!({"notifications": {"toolsListChanged": true}});
    let mut modern = client("alice", Era::Modern);
    let legacy = client("alice", Era::Legacy);
    let mut neighbour = client("bob", Era::Modern);
    let mut own = legacy.listen().expect("a stream");
    let mut heard = modern.open("subscriptions/listen", listen.clone()).expect("a stream");
    let mut others = neighbour.open("subscriptions/listen", listen).expect("a stream");
    let mut calls = client("alice", Era::Modern);
    let mut call = calls
        .open(
            "tools/call",
            json!({"name": "test_wait", "arguments": {"milliseconds": 30_000}, "_meta": {"progressToken": "p"}}),
        )
        .expect("a stream");
    for stream in [&mut heard, &mut others, &mut call] {
        stream.message().expect("readable").expect("it has begun");
    }
    assert!(sekisho(&gateway, &["revoke", "client", "sekisho-e2e"], "").status.success());
    let start = Instant::now();
    // All are of one client. The same again by subject would leave the neighbour, which the next test of its kind shows.
    for (name, stream) in
        [("own", &mut own), ("listening", &mut heard), ("call", &mut call), ("neighbour", &mut others)]
    {
        while stream.message().unwrap_or_else(|why| panic!("{name}: {why:#}")).is_some() {}
    }
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert!(audit_log(&gateway).contains("SK2102"), "how the call ended is recorded");
    assert!(sekisho(&gateway, &["sessions"], "").out.contains("no session is open"), "sessions go with it");
}

#[test]
fn a_stream_of_somebody_else_goes_on_when_a_subject_is_revoked() {
    let (gateway, _server) = everything("", "");
    let endpoint = gateway.endpoint("up");
    let open = |subject: &str| {
        let token = gateway.token(subject, &endpoint).expect("a token");
        let mut client = Client::connect(&endpoint, Some(&token), Era::Modern).expect("a client");
        let mut stream = client
            .open("subscriptions/listen", json!({"notifications": {"toolsListChanged": true}}))
            .expect("a stream");
        stream.message().expect("readable").expect("it has begun");
        (client, stream)
    };
    let ((_alice, mut hers), (mut bob, mut his)) = (open("alice"), open("bob"));
    assert!(sekisho(&gateway, &["revoke", "subject", "alice"], "").status.success());
    while hers.message().expect("an end").is_some() {}
    bob.call("test_trigger_tool_change", json!({})).expect("a result");
    let told = his.message().expect("readable").expect("a message");
    assert_eq!(told["method"], "notifications/tools/list_changed", "{told}");
}

#[test]
fn sessions_are_shown_without_their_ids_and_ended_by_their_tag() {
    let (gateway, _server) = everything("", "");
    let mut client = gateway.client("up", Era::Legacy).expect("a client");
    client.call("test_echo", json!({"text": "hi"})).expect("a result");
    let shown = sekisho(&gateway, &["sessions", "--json"], "").out;
    let sessions = raw::parse(&shown).expect("JSON")["sessions"].clone();
    assert_eq!((&sessions[0]["subject"], &sessions[0]["endpoint"]), (&json!("alice"), &json!("/s/up/mcp")));
    let id = client.session().expect("a session").to_owned();
    assert!(!shown.contains(&id) && !audit_log(&gateway).contains(&id), "an id is shown to nobody but its client");
    let tag = sessions[0]["tag"].as_str().expect("a tag").to_owned();
    let unknown = sekisho(&gateway, &["sessions", "end", "00000000"], "");
    assert!(!unknown.status.success() && unknown.err.contains("SK0307"), "{unknown:?}");
    assert!(sekisho(&gateway, &["sessions", "end", &tag], "").status.success());
    let refused = client.call("test_echo", json!({"text": "hi"})).expect_err("ended").to_string();
    assert!(refused.contains("404"), "{refused}");
}

#[test]
fn a_session_ends_when_its_client_may_do_more_or_less_than_before() {
    let (gateway, _server) = everything("", "");
    let endpoint = gateway.endpoint("up");
    let plain = token(&gateway, "alice", &json!({}));
    let mut client = Client::connect(&endpoint, Some(&plain), Era::Legacy).expect("a client");
    // The same rights in another token are the same session.
    client.set_token(Some(&token(&gateway, "alice", &json!({"jti": "another"}))));
    client.call("test_echo", json!({"text": "hi"})).expect("a result");
    client.set_token(Some(&token(&gateway, "alice", &json!({"scope": "mcp admin"}))));
    let refused = client.call("test_echo", json!({"text": "hi"})).expect_err("another session is needed").to_string();
    assert!(refused.contains("404"), "{refused}");
    client.set_token(Some(&plain));
    let gone =
        client.call("test_echo", json!({"text": "hi"})).expect_err("it has ended for the old token, too").to_string();
    assert!(gone.contains("404"), "{gone}");
}

#[test]
fn an_issuer_ends_a_session_by_a_logout_token_and_nobody_else_does() {
    let (gateway, _server) = everything("logout_audience = \"gateway\"\nclock_skew_seconds = 0", "");
    let of = |sid: &str| token(&gateway, "alice", &json!({"sid": sid}));
    let (first, second) = (of("s1"), of("s2"));
    let logout = |change: &Value| {
        let now = issuer::now();
        let mut claims = json!({"iss": gateway.issuer().name(), "aud": "gateway", "iat": now, "exp": now + 60, "jti": "l1", "sid": "s1",
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}}});
        for (key, value) in change.as_object().expect("an object") {
            claims[key] = value.clone();
        }
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256);
        (header.typ, header.kid) = (Some("logout+jwt".to_owned()), Some("es256-1".to_owned()));
        format!("logout_token={}", gateway.issuer().mint_with(&header, &claims).expect("a token"))
    };
    let send = |body: &str| {
        let fields = ["Content-Type: application/x-www-form-urlencoded"];
        request(&gateway, "POST /backchannel-logout", &fields, body.as_bytes()).status
    };
    assert_eq!(send("logout_token=abc"), 400);
    assert_eq!(send(&format!("logout_token={first}")), 400, "an access token is none");
    assert_eq!(send(&logout(&json!({"aud": "another"}))), 400);
    assert_eq!(lists(&gateway, &first), 200);
    assert_eq!(send(&logout(&json!({}))), 200);
    assert_eq!((lists(&gateway, &first), lists(&gateway, &second)), (401, 200));
    let (quiet, _server) = everything("", "");
    let fields = ["Content-Type: application/x-www-form-urlencoded"];
    let closed = request(&quiet, "POST /backchannel-logout", &fields, logout(&json!({})).as_bytes());
    assert_eq!(closed.status, 401, "where no issuer may, the path is like any other");
}

#[test]
fn a_challenge_names_the_scopes_to_begin_with_and_the_metadata_all_of_them() {
    let scopes = "[identity.scopes]\ninitial = [\"mcp\"]\nsupported = [\"mcp\", \"mcp:admin\"]";
    let (gateway, _server) = everything("", scopes);
    let challenge = request(&gateway, "POST /s/up/mcp", &[], b"");
    let metadata = format!("http://{}/.well-known/oauth-protected-resource/s/up/mcp", gateway.address());
    let expected = format!("Bearer scope=\"mcp\", resource_metadata=\"{metadata}\"");
    assert_eq!((challenge.status, challenge.header("www-authenticate")), (401, Some(expected.as_str())));
    let document = request(&gateway, "GET /.well-known/oauth-protected-resource/s/up/mcp", &[], b"");
    let document = raw::parse(&document.text()).expect("JSON");
    assert_eq!(document["scopes_supported"], json!(["mcp", "mcp:admin"]));
    assert!(
        document.get("dpop_bound_access_tokens_required").is_none()
            && document["dpop_signing_alg_values_supported"].is_array()
    );
}

#[test]
fn a_token_is_explained_and_neither_shown_nor_believed() {
    let (gateway, _server) = everything("", "");
    let good = token(&gateway, "alice", &json!({"email": "alice@home.example"}));
    let told = sekisho(&gateway, &["token", "explain", "--at", "up"], &good);
    assert!(
        told.status.success() && told.out.contains("#alice") && told.out.contains("bound_by").eq(&false),
        "{told:?}"
    );
    let parts: Vec<&str> = good.split('.').collect();
    for secret in [parts[1], parts[2], "alice@home.example"] {
        assert!(!told.out.contains(secret) && !told.err.contains(secret));
    }
    let elsewhere = sekisho(&gateway, &["token", "explain"], &good);
    assert!(!elsewhere.status.success() && elsewhere.out.contains("REFUSED"), "{elsewhere:?}");
    assert!(
        elsewhere.err.contains("SK0309") && elsewhere.err.contains("not issued for this endpoint"),
        "{elsewhere:?}"
    );
    assert!(sekisho(&gateway, &["revoke", "subject", "alice"], "").status.success());
    let revoked = sekisho(&gateway, &["token", "explain", "--at", "up"], &good);
    assert!(revoked.out.contains("revocation") && revoked.err.contains("revoked"), "{revoked:?}");
    assert!(sekisho(&gateway, &["token", "explain"], " \n").err.contains("SK0309"));
}

#[test]
fn a_stream_that_was_taken_up_ends_with_the_token_that_took_it_up() {
    let (gateway, _server) = everything("", "");
    let [first, second] = ["first", "second"].map(|id| token(&gateway, "alice", &json!({"jti": id})));
    let mut client = Client::connect(&gateway.endpoint("up"), Some(&first), Era::Legacy).expect("a client");
    let wait = json!({"name": "test_wait", "arguments": {"milliseconds": 5000}, "_meta": {"progressToken": "p"}});
    let mut call = client.open("tools/call", wait).expect("a stream");
    call.message().expect("readable").expect("it has begun");
    let heard = call.last_event().expect("an id").to_owned();
    drop(call);
    client.set_token(Some(&second));
    let mut again = client.take_up(&heard).expect("a stream");
    assert_eq!(again.status(), 200);
    assert!(sekisho(&gateway, &["revoke", "token", "second"], "").status.success());
    let start = Instant::now();
    assert!(again.message().expect("an end").is_none(), "it says nothing more");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    // The call itself was begun with another token, whose holder hears how it ends.
    client.set_token(Some(&first));
    let mut rest = client.take_up(&heard).expect("a stream");
    let told = rest.message().expect("readable").expect("an answer");
    assert!(told["result"].is_object(), "{told}");
}

#[test]
fn a_reason_that_is_too_long_is_refused_and_harms_nobody() {
    let (gateway, _server) = everything("", "");
    let alice = token(&gateway, "alice", &json!({}));
    let refused = sekisho(&gateway, &["revoke", "subject", "alice", "--reason", &"x".repeat(14_000)], "");
    assert!(!refused.status.success() && refused.err.contains("1024 bytes"), "{refused:?}");
    assert_eq!(lists(&gateway, &alice), 200);
    let gateway = gateway
        .restarted(|folder| {
            let mut command = std::process::Command::new(sekisho_e2e::place::binary("sekisho")?);
            command.args(["revoke", "everything", "--reason", &"x".repeat(20_000), "--config"]);
            let done = process::run(command.arg(folder.join("sekisho.toml")), "", LIMIT)?;
            anyhow::ensure!(!done.status.success(), "{done:?}");
            Ok(())
        })
        .expect("it starts again");
    gateway.wait_for_servers(&["up"]).expect("the server is probed");
    assert_eq!(lists(&gateway, &alice), 200);
}
