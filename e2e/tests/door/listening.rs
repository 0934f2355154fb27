//! What servers tell without being asked, and who may hear it.

use sekisho_e2e::client::{Client, Era};
use sekisho_e2e::fixture::{Everything, everything_command};
use sekisho_e2e::gateway::stdio_server;
use serde_json::{Value, json};
use std::fs;
use std::time::Instant;

use super::*;

const WATCHED: &str = "test://watched-resource";
const OPEN: &str = "permit(principal, action, resource);";

/// The fixture twice: as a process and over HTTP.
fn everything(policy: &str) -> (Gateway, Everything) {
    let server = Everything::start(&[]).expect("the fixture");
    let command = everything_command(&[]).expect("the fixture");
    let servers = http_server("http", server.url()) + &stdio_server("stdio", &command);
    let gateway = Gateway::start(&Setup::open(&servers).with_policy(policy)).expect("a gateway");
    gateway.wait_for_servers(&["http", "stdio"]).expect("probed");
    (gateway, server)
}

fn everything_wanted(uris: &[&str]) -> Value {
    json!({"notifications": {"toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true,
        "resourceSubscriptions": uris}})
}

fn trigger(client: &mut Client, what: &str) {
    client.call(&format!("test_trigger_{what}_change"), json!({})).expect("a result");
}

fn at_all(gateway: &Gateway, era: Era) -> Client {
    let endpoint = gateway.endpoint_of_all();
    let token = gateway.token("alice", &endpoint).expect("a token");
    Client::connect(&endpoint, Some(&token), era).expect("a client")
}

#[test]
fn a_modern_client_listens_and_hears_what_it_asked_for_under_its_own_id() {
    let (gateway, _server) = everything(OPEN);
    for server in ["http", "stdio"] {
        let mut listener = gateway.client(server, Era::Modern).expect("a client");
        let mut client = gateway.client(server, Era::Modern).expect("a client");
        let mut stream = listener.open("subscriptions/listen", everything_wanted(&[WATCHED])).expect("a stream");
        let begun = stream.message().expect("a message").expect("an acknowledgement");
        assert_eq!(begun["method"], "notifications/subscriptions/acknowledged", "{server}: {begun}");
        let id = &begun["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"];
        assert!(id.is_u64(), "{server}: {begun}");
        assert_eq!(begun["params"]["notifications"]["toolsListChanged"], true, "{server}: {begun}");
        assert_eq!(begun["params"]["notifications"]["resourceSubscriptions"], json!([WATCHED]), "{server}: {begun}");
        for (what, method) in [
            ("tool", "notifications/tools/list_changed"),
            ("prompt", "notifications/prompts/list_changed"),
            ("resource", "notifications/resources/updated"),
        ] {
            trigger(&mut client, what);
            let told = stream.message().expect("a message").expect("something told");
            assert_eq!(told["method"], method, "{server}: {told}");
            assert_eq!(&told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], id, "{server}: {told}");
        }
    }
}

#[test]
fn a_client_that_did_not_ask_for_it_does_not_hear_of_it() {
    let (gateway, _server) = everything(OPEN);
    let mut listener = gateway.client("http", Era::Modern).expect("a client");
    let mut client = gateway.client("http", Era::Modern).expect("a client");
    let prompts = json!({"notifications": {"promptsListChanged": true}});
    let mut stream = listener.open("subscriptions/listen", prompts).expect("a stream");
    let begun = stream.message().expect("a message").expect("an acknowledgement");
    assert_eq!(begun["params"]["notifications"], json!({"promptsListChanged": true}), "{begun}");
    trigger(&mut client, "tool");
    trigger(&mut client, "resource");
    trigger(&mut client, "prompt");
    let told = stream.message().expect("a message").expect("something told");
    assert_eq!(told["method"], "notifications/prompts/list_changed", "nothing before it: {told}");
}

#[test]
fn a_legacy_session_subscribes_and_hears_on_its_own_stream() {
    let (gateway, _server) = everything(OPEN);
    for server in ["http", "stdio"] {
        let mut client = gateway.client(server, Era::Legacy).expect("a client");
        let capabilities = &client.opening()["capabilities"];
        assert_eq!(capabilities["resources"]["subscribe"], true, "{server}: {capabilities}");
        let mut stream = client.listen().expect("a stream");
        assert_eq!((stream.status(), stream.header("content-type")), (200, Some("text/event-stream")), "{server}");
        client.request("resources/subscribe", json!({"uri": WATCHED})).expect("a result");
        trigger(&mut client, "resource");
        let told = stream.message().expect("a message").expect("something told");
        assert_eq!(told["method"], "notifications/resources/updated", "{server}: {told}");
        assert_eq!(told["params"], json!({"uri": WATCHED}), "{server}");
        client.request("resources/unsubscribe", json!({"uri": WATCHED})).expect("a result");
        trigger(&mut client, "resource");
        trigger(&mut client, "tool");
        let told = stream.message().expect("a message").expect("something told");
        assert_eq!(told["method"], "notifications/tools/list_changed", "no longer subscribed: {told}");
    }
}

#[test]
fn at_the_door_of_all_every_server_is_heard_and_its_uris_are_those_of_the_door() {
    let (gateway, _server) = everything(OPEN);
    let (mut listener, mut client) = (at_all(&gateway, Era::Modern), at_all(&gateway, Era::Modern));
    let uri = format!("sekisho+stdio:{WATCHED}");
    let mut stream = listener.open("subscriptions/listen", everything_wanted(&[&uri])).expect("a stream");
    let begun = stream.message().expect("a message").expect("an acknowledgement");
    assert_eq!(begun["params"]["notifications"]["resourceSubscriptions"], json!([uri]), "{begun}");
    client.call("http__test_trigger_resource_change", json!({})).expect("a result");
    client.call("stdio__test_trigger_resource_change", json!({})).expect("a result");
    let told = stream.message().expect("a message").expect("something told");
    assert_eq!(told["params"]["uri"], json!(uri), "of the other server nothing was wanted: {told}");
    client.call("http__test_trigger_tool_change", json!({})).expect("a result");
    let told = stream.message().expect("a message").expect("something told");
    assert_eq!(told["method"], "notifications/tools/list_changed", "{told}");
    let nobodys = json!({"notifications": {"resourceSubscriptions": ["sekisho+nobody:a:1"]}});
    let refused = listener.send("subscriptions/listen", nobodys).expect("an answer");
    assert_eq!(code(&refused), "SK1503", "{}", refused.text());
}

#[test]
fn what_may_not_be_listed_or_read_is_not_told() {
    let policy = "permit(principal, action in Sekisho::Action::\"connect\", resource);
        permit(principal, action == Sekisho::Action::\"tools/call\", resource);
        forbid(principal, action == Sekisho::Action::\"prompts/list\", resource);";
    let (gateway, _server) = everything(policy);
    let mut listener = gateway.client("http", Era::Modern).expect("a client");
    let mut stream = listener.open("subscriptions/listen", everything_wanted(&[WATCHED])).expect("a stream");
    let begun = stream.message().expect("a message").expect("an acknowledgement");
    // The fixture does not tell that the list of resources has changed.
    assert_eq!(begun["params"]["notifications"], json!({"toolsListChanged": true}), "{begun}");
    let mut legacy = gateway.client("http", Era::Legacy).expect("a client");
    let subscribed = legacy.send("resources/subscribe", json!({"uri": WATCHED})).expect("an answer");
    assert_eq!(code(&subscribed), "SK1701", "{}", subscribed.text());
    let mut stream = legacy.listen().expect("a stream");
    trigger(&mut legacy, "prompt");
    trigger(&mut legacy, "tool");
    let told = stream.message().expect("a message").expect("something told");
    assert_eq!(told["method"], "notifications/tools/list_changed", "{told}");
}

#[test]
fn a_stream_ends_within_two_seconds_of_a_change_of_policy_and_its_neighbour_may_be_refused_then() {
    let (gateway, _server) = everything(OPEN);
    let mut modern = gateway.client("http", Era::Modern).expect("a client");
    let mut stream = modern.open("subscriptions/listen", everything_wanted(&[])).expect("a stream");
    let id = stream.message().expect("a message").expect("an acknowledgement")["params"]["_meta"]
        ["io.modelcontextprotocol/subscriptionId"]
        .clone();
    let legacy = gateway.client("http", Era::Legacy).expect("a client");
    let mut own = legacy.listen().expect("a stream");
    let nobody = "permit(principal, action, resource) unless { action == Sekisho::Action::\"subscriptions/listen\" };";
    fs::write(gateway.folder().join("policy.cedar"), nobody).expect("a policy");
    let changed = Instant::now();
    let last = stream.message().expect("a message").expect("an end");
    assert_eq!((&last["id"], &last["result"]["resultType"]), (&id, &json!("complete")), "{last}");
    assert!(own.message().expect("an end").is_none());
    // The files are looked at every second.
    assert!(changed.elapsed() < Duration::from_secs(4), "{:?}", changed.elapsed());
    let refused = modern.send("subscriptions/listen", everything_wanted(&[])).expect("an answer");
    assert_eq!(code(&refused), "SK1701", "{}", refused.text());
    assert_eq!(legacy.listen().expect("an answer").status(), 400);
}

#[test]
fn a_session_has_one_stream_of_its_own_and_nobody_elses() {
    let (gateway, _server) = everything(OPEN);
    let mut client = gateway.client("stdio", Era::Legacy).expect("a client");
    let mut first = client.listen().expect("a stream");
    let mut second = client.listen().expect("a stream");
    assert!(first.message().expect("an end").is_none(), "a new stream ends the one before");
    trigger(&mut client, "tool");
    let told = second.message().expect("a message").expect("something told");
    assert_eq!(told["method"], "notifications/tools/list_changed", "{told}");
    let mut bob = Client::connect(
        &gateway.endpoint("stdio"),
        Some(&gateway.token("bob", &gateway.endpoint("stdio")).expect("a token")),
        Era::Legacy,
    )
    .expect("a client");
    bob.set_session(client.session());
    assert_eq!(bob.listen().expect("an answer").status(), 404, "alice's session");
    bob.set_session(None);
    assert_eq!(bob.listen().expect("an answer").status(), 400, "no session");
    assert_eq!(client.end().expect("an answer").status, 204);
    assert!(second.message().expect("an end").is_none(), "the session has ended");
    let modern = gateway.client("stdio", Era::Modern).expect("a client");
    assert_eq!(modern.listen().expect("an answer").status(), 405, "the modern era has no GET");
}

#[test]
fn streams_are_bounded_for_each_principal() {
    let server = Everything::start(&[]).expect("the fixture");
    let setup = Setup::open(&http_server("http", server.url())).with_more("[limits]\nstreams_max = 2\n");
    let gateway = Gateway::start(&setup).expect("a gateway");
    gateway.wait_for_servers(&["http"]).expect("probed");
    let mut client = gateway.client("http", Era::Modern).expect("a client");
    let mut open: Vec<_> =
        (0..2).map(|_| client.open("subscriptions/listen", everything_wanted(&[])).expect("a stream")).collect();
    for stream in &mut open {
        assert!(stream.message().expect("a message").is_some());
    }
    let refused = client.send("subscriptions/listen", everything_wanted(&[])).expect("an answer");
    assert_eq!((refused.status, code(&refused)), (429, "SK1602".to_owned()));
    assert!(client.list("tools/list").is_ok(), "calls go on");
    drop(open);
    let until = Instant::now() + LIMIT;
    loop {
        let mut stream = client.open("subscriptions/listen", everything_wanted(&[])).expect("a stream");
        if stream.status() == 200 {
            assert!(stream.message().expect("a message").is_some());
            break;
        }
        assert!(Instant::now() < until, "whoever has left gives the place back");
        std::thread::sleep(Duration::from_millis(100));
    }
}
