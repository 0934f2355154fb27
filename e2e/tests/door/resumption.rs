//! Streams that break off and are taken up again, by their own session and nobody else.

use sekisho_e2e::client::{Client, Era};
use sekisho_e2e::fixture::everything_command;
use sekisho_e2e::gateway::stdio_server;
use sekisho_e2e::raw::Stream;
use serde_json::{Value, json};
use std::fs;

use super::*;

fn stand_able() -> Gateway {
    let command = everything_command(&[]).expect("the fixture");
    let gateway = Gateway::start(&Setup::open(&stdio_server("all", &command))).expect("a gateway");
    gateway.wait_for_servers(&["all"]).expect("probed");
    gateway
}

fn client(gateway: &Gateway, who: &str) -> Client {
    let endpoint = gateway.endpoint("all");
    let token = gateway.token(who, &endpoint).expect("a token");
    Client::connect_able(&endpoint, Some(&token), Era::Legacy, json!({"elicitation": {}})).expect("a client")
}

/// A call that waits for an answer of its user: its stream is open.
fn waiting(client: &mut Client) -> (Stream, Value) {
    let call = json!({"name": "test_elicitation", "arguments": {"message": "Who are you?"}});
    let mut stream = client.open("tools/call", call).expect("a stream");
    let question = stream.message().expect("a message").expect("a question");
    assert_eq!(question["method"], "elicitation/create", "{question}");
    (stream, question)
}

fn last_event(stream: &Stream) -> String {
    stream.last_event().expect("an id").to_owned()
}

const NO: &str = "decline";

fn answered(message: Option<Value>) -> bool {
    message.expect("an answer")["result"]["content"][0]["text"].as_str().expect("text").contains(NO)
}

#[test]
fn a_call_whose_connection_broke_off_goes_on_and_its_rest_is_heard_on_another() {
    let gateway = stand_able();
    let mut alice = client(&gateway, "alice");
    let (stream, question) = waiting(&mut alice);
    assert_eq!(stream.retry(), Some("1000"));
    let id = last_event(&stream);
    drop(stream);
    // The answer finds its call, whose connection is gone.
    assert_eq!(alice.reply(&question["id"], &json!({"action": NO})).expect("an answer").status, 202);
    let mut again = alice.take_up(&id).expect("a stream");
    assert_eq!((again.status(), again.header("content-type")), (200, Some("text/event-stream")));
    assert!(answered(again.message().expect("a message")));
    assert!(again.message().expect("an end").is_none());
    let after_answer = last_event(&again);
    assert_ne!(after_answer, id);
    // Nobody knows whether it arrived: it may be asked for again. What was heard already is not said again.
    let mut once_more = alice.take_up(&id).expect("a stream");
    assert!(answered(once_more.message().expect("a message")));
    let mut nothing = alice.take_up(&after_answer).expect("a stream");
    assert!(nothing.status() == 200 && nothing.message().expect("an end").is_none());
    assert!(audit_log(&gateway).contains("the client takes up a stream behind event"));
}

#[test]
fn a_question_that_the_client_never_heard_waits_for_it() {
    let gateway = stand_able();
    let mut alice = client(&gateway, "alice");
    let (stream, question) = waiting(&mut alice);
    let id = last_event(&stream);
    let (stem, number) = id.split_once('-').expect("a number");
    let number: u64 = number.parse().expect("a number");
    // While it is still connected: the new connection takes the place of the old one.
    let mut again = alice.take_up(&format!("{stem}-{}", number - 1)).expect("a stream");
    assert_eq!(again.message().expect("a message").expect("the question"), question);
    let mut stream = stream;
    assert!(stream.message().expect("an end").is_none(), "each message on one stream");
    assert_eq!(alice.reply(&question["id"], &json!({"action": NO})).expect("an answer").status, 202);
    assert!(answered(again.message().expect("a message")));
}

#[test]
fn a_stream_is_taken_up_by_its_own_session_alone_and_not_behind_what_it_never_said() {
    let gateway = stand_able();
    let mut alice = client(&gateway, "alice");
    let (mut stream, question) = waiting(&mut alice);
    let id = last_event(&stream);
    let gone = |of: &Client, id: &str| {
        let mut answer = of.take_up(id).expect("an answer");
        let said = answer.message().expect("a message").expect("a refusal");
        assert_eq!((answer.status(), &said["error"]["data"]["code"]), (400, &json!("SK1508")), "{id}: {said}");
    };
    gone(&client(&gateway, "alice"), &id);
    gone(&client(&gateway, "bob"), &id);
    let mut bob = client(&gateway, "bob");
    bob.set_session(alice.session());
    assert_eq!(bob.take_up(&id).expect("an answer").status(), 404, "it is alice's session");
    let (stem, number) = id.split_once('-').expect("a number");
    let number: u64 = number.parse().expect("a number");
    let other_digit = if stem.ends_with('0') { '1' } else { '0' };
    let guessed = format!("{}{other_digit}-{number}", stem.get(..stem.len() - 1).expect("a stem"));
    for wrong in [
        &format!("{stem}-{}", number + 1),
        &format!("{stem}-{}", u64::MAX),
        &format!("{stem}-0"),
        &format!("{stem}-0{number}"),
        &guessed,
        stem,
        "1",
        "%00",
        &"c".repeat(500),
    ] {
        gone(&alice, wrong);
    }
    assert_eq!(alice.reply(&question["id"], &json!({"action": NO})).expect("an answer").status, 202);
    assert!(answered(stream.message().expect("a message")), "and the stream went on undisturbed");
    let modern = gateway.client("all", Era::Modern).expect("a client");
    assert_eq!(modern.take_up(&id).expect("an answer").status(), 405, "the modern era has none");
}

#[test]
fn what_is_told_while_a_session_listens_to_nothing_is_heard_when_it_comes_back() {
    let gateway = stand_able();
    let mut alice = client(&gateway, "alice");
    let mut own = alice.listen().expect("a stream");
    let trigger = |client: &mut Client, what: &str| {
        client.call(&format!("test_trigger_{what}_change"), json!({})).expect("a result");
    };
    trigger(&mut alice, "tool");
    assert_eq!(own.message().expect("a message").expect("told")["method"], "notifications/tools/list_changed");
    let id = last_event(&own);
    drop(own);
    trigger(&mut alice, "prompt");
    let mut again = alice.take_up(&id).expect("a stream");
    assert_eq!(again.message().expect("a message").expect("told")["method"], "notifications/prompts/list_changed");
    trigger(&mut alice, "tool");
    assert_eq!(again.message().expect("a message").expect("told")["method"], "notifications/tools/list_changed");
    // A new one begins anew, and the id of the old one leads to what is new.
    let mut new = alice.listen().expect("a stream");
    assert!(again.message().expect("an end").is_none());
    let mut newest = alice.take_up(&id).expect("a stream");
    assert!(new.message().expect("an end").is_none());
    trigger(&mut alice, "prompt");
    assert_eq!(newest.message().expect("a message").expect("told")["method"], "notifications/prompts/list_changed");
}

#[test]
fn what_was_said_before_a_policy_changed_is_not_said_again() {
    let gateway = stand_able();
    let mut alice = client(&gateway, "alice");
    let (stream, question) = waiting(&mut alice);
    let id = last_event(&stream);
    drop(stream);
    assert_eq!(alice.reply(&question["id"], &json!({"action": NO})).expect("an answer").status, 202);
    assert!(answered(alice.take_up(&id).expect("a stream").message().expect("a message")));
    let other = "permit(principal, action, resource) unless { principal.subject == \"bob\" };";
    fs::write(gateway.folder().join("policy.cedar"), other).expect("a policy");
    let until = std::time::Instant::now() + LIMIT;
    while alice.take_up(&id).expect("an answer").status() == 200 {
        assert!(std::time::Instant::now() < until);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(alice.take_up(&id).expect("an answer").status(), 400);
}

#[test]
fn a_client_of_an_older_revision_gets_ids_and_no_event_without_data() {
    let gateway = stand_able();
    let endpoint = gateway.endpoint("all");
    let token = gateway.token("alice", &endpoint).expect("a token");
    let able = json!({"elicitation": {}});
    let mut old = Client::connect_old(&endpoint, Some(&token), "2025-06-18", able).expect("a client");
    assert_eq!(old.opening()["protocolVersion"], "2025-06-18");
    let (stream, question) = waiting(&mut old);
    assert_eq!(stream.retry(), None, "no event that it could take for a broken message");
    let id = last_event(&stream);
    drop(stream);
    assert_eq!(old.reply(&question["id"], &json!({"action": NO})).expect("an answer").status, 202);
    assert!(answered(old.take_up(&id).expect("a stream").message().expect("a message")));
}

/// Progress numbers up to the answer, which is the last message.
fn progress(stream: &mut Stream) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Some(message) = stream.message().expect("a message") {
        match message["params"]["progress"].as_f64() {
            Some(number) => numbers.push(format!("{number}").parse().expect("a whole number")),
            None => assert_eq!(message["result"]["content"][0]["text"], "That is all.", "{message}"),
        }
    }
    numbers
}

fn chatter(client: &mut Client, count: u64) -> Stream {
    let call = json!({"name": "test_chatter", "arguments": {"count": count}, "_meta": {"progressToken": "p"}});
    let mut stream = client.open("tools/call", call).expect("a stream");
    assert_eq!(stream.message().expect("a message").expect("progress")["params"]["progress"], 0.0);
    stream
}

#[test]
fn whoever_missed_more_than_is_kept_is_told_so_and_nothing_is_left_out_silently() {
    let gateway = stand_able();
    let mut alice = client(&gateway, "alice");
    let mut stream = chatter(&mut alice, 300);
    let first = last_event(&stream);
    assert_eq!(progress(&mut stream), (1..300).collect::<Vec<_>>());
    let last = last_event(&stream);
    let gone = alice.take_up(&first).expect("an answer").message().expect("a message").expect("a refusal");
    assert_eq!(gone["error"]["data"]["code"], "SK1508", "128 events are kept: {gone}");
    let (stem, number) = last.split_once('-').expect("a number");
    let number: u64 = number.parse().expect("a number");
    let mut rest = alice.take_up(&format!("{stem}-{}", number - 100)).expect("a stream");
    assert_eq!(progress(&mut rest), (201..300).collect::<Vec<_>>(), "these are");
    // Who left early gets all of the rest, or is told that it is gone; and the call has gone on.
    let stream = chatter(&mut alice, 900);
    let first = last_event(&stream);
    drop(stream);
    let mut again = alice.take_up(&first).expect("an answer");
    match again.status() {
        200 => assert_eq!(progress(&mut again), (1..900).collect::<Vec<_>>()),
        status => assert_eq!(status, 400),
    }
    assert!(alice.list("tools/list").is_ok());
}
