//! What belongs to a connection with a server and to no single call: its questions, its settings (legacy).

use sekisho_e2e::client::{Client, Era};
use sekisho_e2e::fixture::{Everything, everything_command};
use sekisho_e2e::gateway::stdio_server;
use serde_json::{Value, json};
use std::time::Instant;

use super::*;

const WATCHED: &str = "test://watched-resource";

/// A process whose calls may take two seconds.
fn stand() -> Gateway {
    let command = everything_command(&["--era", "legacy"]).expect("the fixture");
    let servers = stdio_server("all", &command) + "timeout_seconds = 2\n";
    let gateway = Gateway::start(&Setup::open(&servers)).expect("a gateway");
    gateway.wait_for_servers(&["all"]).expect("probed");
    gateway
}

fn client(gateway: &Gateway, server: &str) -> Client {
    let endpoint = gateway.endpoint(server);
    let token = gateway.token("alice", &endpoint).expect("a token");
    Client::connect_able(&endpoint, Some(&token), Era::Legacy, json!({"elicitation": {}})).expect("a client")
}

fn asks(after: u64) -> Value {
    json!({"name": "test_ask_slowly", "arguments": {"after": after}})
}

fn text(result: &Value) -> &str {
    result["result"]["content"][0]["text"].as_str().unwrap_or_default()
}

const NO: &str = "decline";

#[test]
fn a_question_of_a_process_outlives_the_call_that_heard_it_and_all_calls_have_time_for_the_answer() {
    let gateway = stand();
    let mut alice = client(&gateway, "all");
    let mut again = client(&gateway, "all");
    again.set_session(alice.session());
    // An id of its own, and a process that is there.
    again.call("test_echo", json!({"text": "here"})).expect("a result");
    let asking = std::thread::spawn(move || again.open("tools/call", asks(1_000)).expect("a stream"));
    std::thread::sleep(Duration::from_millis(300));
    let waiting = json!({"name": "test_wait", "arguments": {"milliseconds": 1_500}});
    let mut other = alice.open("tools/call", waiting).expect("a stream");
    // Which of the two asks cannot be told: the later one hears it.
    let question = other.message().expect("a message").expect("a question");
    assert_eq!(question["method"], "elicitation/create", "{question}");
    let waited = other.message().expect("a message").expect("a result");
    assert!(text(&waited).contains("waiting"), "{waited}");
    // Longer than a call may take, but for its question.
    std::thread::sleep(Duration::from_millis(2_000));
    assert_eq!(alice.reply(&question["id"], &json!({"action": NO})).expect("an answer").status, 202);
    let result = asking.join().expect("a stream").message().expect("a message").expect("a result");
    assert!(text(&result).contains(NO), "{result}");
    let began = Instant::now();
    let late = alice.send("tools/call", json!({"name": "test_wait", "arguments": {"milliseconds": 20_000}}));
    assert_eq!(code(&late.expect("an answer")), "SK2002", "no question, no more time");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let twice = alice.reply(&question["id"], &json!({"action": NO})).expect("an answer");
    assert_eq!((twice.status, code(&twice)), (400, "SK1506".to_owned()));
}

#[test]
fn progress_with_a_question_reaches_the_server_under_its_own_token_and_nobody_elses() {
    let gateway = stand();
    let (mut alice, mut other) = (client(&gateway, "all"), client(&gateway, "all"));
    let mut stream = alice.open("tools/call", asks(0)).expect("a stream");
    let question = stream.message().expect("a message").expect("a question");
    let token = &question["params"]["_meta"]["progressToken"];
    assert_eq!(token, &question["id"], "ours, not the server's: {question}");
    let tell = |client: &mut Client, token: &Value, progress: f64| {
        let told = json!({"progressToken": token, "progress": progress, "total": 1});
        client.notify("notifications/progress", told).expect("an answer").status
    };
    assert_eq!(tell(&mut other, token, 0.125), 202, "of another session: taken in, and of no effect");
    assert_eq!(tell(&mut alice, &json!(token.as_i64().expect("a number") + 1), 0.25), 202, "of no question");
    assert_eq!(tell(&mut alice, token, 0.5), 202);
    let wrong = alice.notify("notifications/progress", json!({"progress": 1})).expect("an answer");
    assert_eq!(wrong.status, 400, "without a token: {}", wrong.text());
    // The notification is sent in the background.
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(alice.reply(&question["id"], &json!({"action": NO})).expect("an answer").status, 202);
    let result = stream.message().expect("a message").expect("a result");
    assert_eq!(text(&result), "action=decline, progress=[0.5]", "{result}");
}

#[test]
fn a_question_that_its_server_takes_back_is_closed_and_its_client_told() {
    let server = Everything::start(&["--era", "legacy"]).expect("the fixture");
    let command = everything_command(&["--era", "legacy"]).expect("the fixture");
    let servers = http_server("http", server.url()) + &stdio_server("stdio", &command);
    let gateway = Gateway::start(&Setup::open(&servers)).expect("a gateway");
    gateway.wait_for_servers(&["http", "stdio"]).expect("probed");
    for server in ["http", "stdio"] {
        let mut alice = client(&gateway, server);
        let call = json!({"name": "test_ask_slowly", "arguments": {"after": 0, "withdraw_after": 500}});
        let mut own = alice.listen().expect("a stream");
        let mut stream = alice.open("tools/call", call).expect("a stream");
        let question = stream.message().expect("a message").expect("a question");
        // Over HTTP this server says so on the session's own stream.
        let heard_on = if server == "http" { &mut own } else { &mut stream };
        let taken_back = heard_on.message().expect("a message").expect("a notification");
        assert_eq!(taken_back["method"], "notifications/cancelled", "{server}: {taken_back}");
        assert_eq!(taken_back["params"], json!({"requestId": question["id"]}), "{server}: the client's id, no words");
        let late = alice.reply(&question["id"], &json!({"action": NO})).expect("an answer");
        assert_eq!((late.status, code(&late)), (400, "SK1506".to_owned()), "{server}");
        let result = stream.message().expect("a message").expect("a result");
        assert!(text(&result).contains("taken back"), "{server}: {result}");
    }
    assert!(audit_log(&gateway).contains("withdraws"));
}

#[test]
fn a_process_that_was_replaced_is_subscribed_to_again_and_whoever_listens_is_told_to_look() {
    let gateway = stand();
    let mut alice = client(&gateway, "all");
    let mut stream = alice.listen().expect("a stream");
    alice.request("resources/subscribe", json!({"uri": WATCHED})).expect("a result");
    alice.request("logging/setLevel", json!({"level": "error"})).expect("a result");
    let ended = alice.send("tools/call", json!({"name": "test_exit", "arguments": {}})).expect("an answer");
    assert!(!code(&ended).is_empty(), "{}", ended.text());
    let mut told = || stream.message().expect("a message").expect("something told");
    let (tools, prompts, resource) = (told(), told(), told());
    assert_eq!(tools["method"], "notifications/tools/list_changed", "{tools}");
    assert_eq!(prompts["method"], "notifications/prompts/list_changed", "{prompts}");
    assert_eq!(resource["params"], json!({"uri": WATCHED}), "{resource}");
    let until = Instant::now() + LIMIT;
    while alice.call("test_trigger_resource_change", json!({})).is_err() {
        assert!(Instant::now() < until, "it is started again");
        std::thread::sleep(Duration::from_millis(100));
    }
    let updated = told();
    assert_eq!(updated["params"], json!({"uri": WATCHED}), "without another word of the client's: {updated}");
    let log = audit_log(&gateway);
    let again = |method: &str| log.contains("a setting was made again") && log.contains(method);
    assert!(again("resources/subscribe") && again("logging/setLevel"));
    // And its neighbour: what was not subscribed to is not told.
    alice.request("resources/unsubscribe", json!({"uri": WATCHED})).expect("a result");
    alice.call("test_trigger_resource_change", json!({})).expect("a result");
    alice.call("test_trigger_tool_change", json!({})).expect("a result");
    assert_eq!(told()["method"], "notifications/tools/list_changed");
}

#[test]
fn an_answer_to_a_process_that_is_gone_does_not_reach_the_one_in_its_place() {
    let gateway = stand();
    let mut alice = client(&gateway, "all");
    let mut stream = alice.open("tools/call", asks(0)).expect("a stream");
    let question = stream.message().expect("a message").expect("a question");
    let ended = alice.send("tools/call", json!({"name": "test_exit", "arguments": {}})).expect("an answer");
    assert!(!code(&ended).is_empty(), "{}", ended.text());
    let last = stream.message().expect("a message").expect("an end");
    assert!(last["error"].is_object(), "{last}");
    // The new process asks under the same id of its own.
    let until = Instant::now() + LIMIT;
    let mut stream = loop {
        let mut stream = alice.open("tools/call", asks(0)).expect("a stream");
        let said = stream.message().expect("a message").expect("something");
        if said["method"] == "elicitation/create" {
            assert_ne!(said["id"], question["id"], "{said}");
            break stream;
        }
        assert!(Instant::now() < until, "it is started again: {said}");
        std::thread::sleep(Duration::from_millis(100));
    };
    let late = alice.reply(&question["id"], &json!({"action": NO})).expect("an answer");
    assert_eq!((late.status, code(&late)), (400, "SK1506".to_owned()));
    assert_eq!(alice.end().expect("an answer").status, 204);
    let last = stream.message().expect("a message").expect("an end");
    assert!(last["error"].is_object(), "and it heard no answer: {last}");
}

#[test]
fn at_the_door_of_all_a_log_message_says_whose_it_is() {
    let gateway = stand();
    for (endpoint, tool, logger) in [
        (gateway.endpoint_of_all(), "all__test_tool_with_logging", Some("[all]")),
        (gateway.endpoint("all"), "test_tool_with_logging", None),
    ] {
        let token = gateway.token("alice", &endpoint).expect("a token");
        let mut alice = Client::connect(&endpoint, Some(&token), Era::Legacy).expect("a client");
        let mut stream = alice.open("tools/call", json!({"name": tool, "arguments": {}})).expect("a stream");
        let said = stream.message().expect("a message").expect("a log message");
        assert_eq!(said["method"], "notifications/message", "{said}");
        assert_eq!(said["params"]["logger"].as_str(), logger, "{said}");
    }
    assert!(
        audit_log(&gateway).lines().any(|line| line.contains("notifications/message") && line.contains(r#""all""#))
    );
}

#[test]
fn the_end_of_a_session_ends_what_it_has_under_way() {
    let gateway = stand();
    let mut alice = client(&gateway, "all");
    let mut listening = alice.listen().expect("a stream");
    let mut call = alice.open("tools/call", asks(0)).expect("a stream");
    let question = call.message().expect("a message").expect("a question");
    assert_eq!(alice.end().expect("an answer").status, 204);
    assert!(listening.message().expect("an end").is_none(), "and nothing before it");
    let last = call.message().expect("a message").expect("an end");
    // Cancelled, or cut off: its connection with the server is closed in the same moment.
    let code = last["error"]["data"]["code"].as_str().unwrap_or_default();
    assert!(["SK2001", "SK2101"].contains(&code), "{last}");
    assert_eq!(alice.reply(&question["id"], &json!({"action": NO})).expect("an answer").status, 404);
}
