//! What servers ask of clients, and everything that can go wrong with the answers.

use sekisho_e2e::client::{Client, Era};
use sekisho_e2e::fixture::everything_command;
use sekisho_e2e::gateway::stdio_server;
use serde_json::{Value, json};

use super::*;

fn able() -> Value {
    json!({"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}})
}

/// Behind a gateway with this policy on what servers may ask.
fn everything(asks: &str) -> Gateway {
    let command = everything_command(&[]).expect("the fixture");
    let policy = format!(
        "permit(principal, action in Sekisho::Action::\"connect\", resource);
         permit(principal, action in Sekisho::Action::\"use\", resource);\n{asks}"
    );
    let setup = Setup::open(&stdio_server("all", &command)).with_policy(&policy);
    let gateway = Gateway::start(&setup).expect("a gateway");
    gateway.wait_for_servers(&["all"]).expect("probed");
    gateway
}

const ANYTHING: &str = "@id(\"asks\") permit(principal, action in Sekisho::Action::\"ask\", resource);";

fn client(gateway: &Gateway, who: &str, era: Era) -> Client {
    client_at(gateway, who, era, &gateway.endpoint("all"))
}

fn client_at(gateway: &Gateway, who: &str, era: Era, endpoint: &str) -> Client {
    let token = gateway.token(who, endpoint).expect("a token");
    Client::connect_able(endpoint, Some(&token), era, able()).expect("a client")
}

fn called(tool: &str) -> Value {
    json!({"name": tool, "arguments": {"message": "Who are you?", "prompt": "Say hello."}})
}

/// A good answer to any of the fixture's questions.
fn answer(question: &Value) -> Value {
    match question["method"].as_str().expect("a method") {
        "elicitation/create" => {
            let fields = &question["params"]["requestedSchema"]["properties"];
            let value = |field: &Value| if field["type"] == "boolean" { json!(true) } else { json!("me") };
            let content: serde_json::Map<String, Value> =
                fields.as_object().expect("fields").iter().map(|(name, field)| (name.clone(), value(field))).collect();
            json!({"action": "accept", "content": content})
        }
        "sampling/createMessage" => {
            json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "hello"}})
        }
        "roots/list" => json!({"roots": [{"uri": "file:///srv/work"}]}),
        other => panic!("{other}"),
    }
}

#[test]
fn a_servers_question_reaches_the_legacy_client_under_our_id_and_its_answer_the_server() {
    let gateway = everything(ANYTHING);
    let mut client = client(&gateway, "alice", Era::Legacy);
    for (tool, method, says) in
        [("test_elicitation", "elicitation/create", "accept"), ("test_sampling", "sampling/createMessage", "hello")]
    {
        let mut stream = client.open("tools/call", called(tool)).expect("a stream");
        let question = stream.message().expect("a message").expect("a question");
        assert_eq!(question["method"], method, "{question}");
        assert!(question["id"].is_i64(), "ours: {question}");
        let told = client.reply(&question["id"], &answer(&question)).expect("an answer");
        assert_eq!((told.status, told.text().as_str()), (202, ""));
        let result = stream.message().expect("a message").expect("a result");
        assert!(result["result"]["content"][0]["text"].as_str().expect("text").contains(says), "{result}");
        assert!(stream.message().expect("an end").is_none());
    }
    let log = audit_log(&gateway);
    for part in ["elicitation/create (form)", "sampling/createMessage (1 messages, 0 tools)", "\"answers\"", "\"asks\""]
    {
        assert!(log.contains(part), "{part}: {log}");
    }
}

#[test]
fn a_question_at_the_door_of_all_says_which_server_asks() {
    let gateway = everything(ANYTHING);
    let mut client = client_at(&gateway, "alice", Era::Legacy, &gateway.endpoint_of_all());
    let mut stream = client.open("tools/call", called("all__test_elicitation")).expect("a stream");
    let question = stream.message().expect("a message").expect("a question");
    assert!(question["params"]["message"].as_str().expect("words").starts_with("[all] "), "{question}");
    assert_eq!(client.reply(&question["id"], &json!({"action": "decline"})).expect("an answer").status, 202);
    let result = stream.message().expect("a message").expect("a result");
    assert!(result["result"]["content"][0]["text"].as_str().expect("text").contains("decline"), "{result}");
}

#[test]
fn a_reply_nobody_waits_for_is_refused_and_the_one_that_is_awaited_counts_once() {
    let gateway = everything(ANYTHING);
    let mut alice = client(&gateway, "alice", Era::Legacy);
    let mut stream = alice.open("tools/call", called("test_elicitation")).expect("a stream");
    let question = stream.message().expect("a message").expect("a question");
    let (id, good) = (&question["id"], answer(&question));
    let refused = |response: Response| (response.status, code(&response));
    let nobody = (400, "SK1506".to_owned());
    // Of another session of hers, of somebody else, under another id, and of the wrong type.
    let other = client(&gateway, "alice", Era::Legacy);
    assert_eq!(refused(other.reply(id, &good).expect("an answer")), nobody);
    let bob = client(&gateway, "bob", Era::Legacy);
    assert_eq!(refused(bob.reply(id, &good).expect("an answer")), nobody);
    let number = id.as_i64().expect("a number");
    for wrong in [json!(number + 1), json!(number - 1), json!(number.to_string())] {
        assert_eq!(refused(alice.reply(&wrong, &good).expect("an answer")), nobody, "{wrong}");
    }
    let mut bob_in_her_session = client(&gateway, "bob", Era::Legacy);
    bob_in_her_session.set_session(alice.session());
    let stolen = bob_in_her_session.reply(id, &good).expect("an answer");
    assert_eq!(refused(stolen), (404, "SK1202".to_owned()));
    // What does not fit leaves the question open.
    let unfit = alice.reply(id, &json!({"action": "accept", "content": {}})).expect("an answer");
    assert_eq!(refused(unfit), (400, "SK1705".to_owned()));
    assert_eq!(alice.reply(id, &good).expect("an answer").status, 202);
    let result = stream.message().expect("a message").expect("a result");
    assert!(result["result"]["content"][0]["text"].as_str().expect("text").contains("accept"), "{result}");
    assert_eq!(refused(alice.reply(id, &good).expect("an answer")), nobody, "a second time");
}

#[test]
fn an_error_is_an_answer_too_and_a_call_that_is_cancelled_leaves_no_question() {
    let gateway = everything(ANYTHING);
    let mut client = client(&gateway, "alice", Era::Legacy);
    let mut stream = client.open("tools/call", called("test_sampling")).expect("a stream");
    let question = stream.message().expect("a message").expect("a question");
    let no =
        json!({"jsonrpc": "2.0", "id": question["id"], "error": {"code": -1, "message": "User rejected sampling"}});
    assert_eq!(client.post(&no).expect("an answer").status, 202);
    let result = stream.message().expect("a message").expect("a result");
    assert!(result.to_string().contains("rejected"), "{result}");

    let mut stream = client.open("tools/call", called("test_elicitation")).expect("a stream");
    let question = stream.message().expect("a message").expect("a question");
    // The connection, initialize and the call before have the ids up to 2.
    let cancelled = client.notify("notifications/cancelled", json!({"requestId": 3})).expect("an answer");
    assert_eq!(cancelled.status, 202);
    let last = stream.message().expect("a message").expect("an end");
    assert_eq!(last["error"]["data"]["code"], "SK2101", "{last}");
    let late = client.reply(&question["id"], &answer(&question)).expect("an answer");
    assert_eq!((late.status, code(&late)), (400, "SK1506".to_owned()));
}

#[test]
fn a_server_may_ask_what_policy_permits_and_is_not_offered_the_rest() {
    let forms = "permit(principal, action == Sekisho::Action::\"elicitation/create\", resource);";
    let gateway = everything(forms);
    let mut legacy = client(&gateway, "alice", Era::Legacy);
    let mut stream = legacy.open("tools/call", called("test_elicitation")).expect("a stream");
    assert_eq!(stream.message().expect("a message").expect("a question")["method"], "elicitation/create");
    drop(stream);
    let sampling = legacy.send("tools/call", called("test_sampling")).expect("an answer");
    assert!(sampling.text().contains("the client cannot sample"), "{}", sampling.text());
    let mut modern = client(&gateway, "alice", Era::Modern);
    let asked = modern.request("tools/call", called("test_input_required_result_capabilities")).expect("a result");
    let keys: Vec<&String> = asked["inputRequests"].as_object().expect("questions").keys().collect();
    assert_eq!(keys, ["user_name"], "{asked}");
    // And one that asks all the same is refused.
    let refused = modern.send("tools/call", called("test_input_required_result_sampling")).expect("an answer");
    assert_eq!(code(&refused), "SK1802", "{}", refused.text());
}

#[test]
fn a_modern_call_waits_for_input_and_its_state_is_good_for_it_alone_and_once() {
    let gateway = everything(ANYTHING);
    let mut alice = client(&gateway, "alice", Era::Modern);
    let tool = "test_input_required_result_request_state";
    let asked = alice.request("tools/call", called(tool)).expect("a result");
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    let state = asked["requestState"].as_str().expect("a state").to_owned();
    let responses = json!({"confirm": answer(&asked["inputRequests"]["confirm"])});
    let again = |tool: &str, state: &str, responses: &Value| {
        let mut params = called(tool);
        params["requestState"] = json!(state);
        params["inputResponses"] = responses.clone();
        params
    };
    let bad = (400, "SK1507".to_owned());
    let refused = |response: Response| (response.status, code(&response));
    let mut tampered = state.clone();
    tampered.push_str("-TAMPERED");
    assert_eq!(refused(alice.send("tools/call", again(tool, &tampered, &responses)).expect("an answer")), bad);
    let other_tool = again("test_input_required_result_tampered_state", &state, &responses);
    assert_eq!(refused(alice.send("tools/call", other_tool).expect("an answer")), bad, "of another tool");
    let mut other_arguments = again(tool, &state, &responses);
    other_arguments["arguments"]["more"] = json!(1);
    assert_eq!(refused(alice.send("tools/call", other_arguments).expect("an answer")), bad, "of other arguments");
    let mut bob = client(&gateway, "bob", Era::Modern);
    assert_eq!(refused(bob.send("tools/call", again(tool, &state, &responses)).expect("an answer")), bad, "bob's");
    let mut of_all = client_at(&gateway, "alice", Era::Modern, &gateway.endpoint_of_all());
    let elsewhere = again(&format!("all__{tool}"), &state, &responses);
    assert_eq!(refused(of_all.send("tools/call", elsewhere).expect("an answer")), bad, "at another door");
    // What does not fit uses nothing up.
    let unfit = again(tool, &state, &json!({"confirm": {"action": "accept", "content": {"ok": "yes"}}}));
    let unfit = alice.send("tools/call", unfit).expect("an answer");
    assert!(unfit.text().contains("SK1705"), "{}", unfit.text());
    let mut reordered = again(tool, &state, &responses);
    reordered["arguments"] = json!({"prompt": "Say hello.", "message": "Who are you?"});
    let done = alice.request("tools/call", reordered).expect("a result");
    assert_eq!(done["content"][0]["text"], "state-ok", "{done}");
    assert_eq!(refused(alice.send("tools/call", again(tool, &state, &responses)).expect("an answer")), bad, "replayed");
    let log = audit_log(&gateway);
    assert!(log.contains("the request state was used before") && log.contains("none of this call's"), "{log}");
}

#[test]
fn answers_nobody_asked_for_do_not_reach_the_server() {
    let gateway = everything(ANYTHING);
    let mut client = client(&gateway, "alice", Era::Modern);
    let tool = "test_input_required_result_elicitation";
    let mut params = called(tool);
    params["inputResponses"] = json!({"user_name": {"action": "accept", "content": {"name": "me"}}});
    let asked = client.request("tools/call", params.clone()).expect("a result");
    assert_eq!(asked["resultType"], "input_required", "not asked yet: {asked}");
    params["requestState"] = asked["requestState"].clone();
    params["inputResponses"]["more"] = json!({"action": "accept"});
    let done = client.request("tools/call", params).expect("a result");
    assert_eq!(done["resultType"], "complete", "{done}");
    for wrong in [json!([]), json!({"user_name": 5}), json!(null)] {
        let mut params = called(tool);
        params["inputResponses"] = wrong;
        let refused = client.send("tools/call", params).expect("an answer");
        assert_eq!((refused.status, code(&refused)), (400, "SK1408".to_owned()));
    }
}

#[test]
fn several_rounds_and_a_prompt_that_asks_come_through_at_the_door_of_all() {
    let gateway = everything(ANYTHING);
    let mut client = client_at(&gateway, "alice", Era::Modern, &gateway.endpoint_of_all());
    for (method, params) in [
        ("tools/call", called("all__test_input_required_result_multi_round")),
        ("tools/call", called("all__test_input_required_result_multiple_inputs")),
        ("prompts/get", json!({"name": "all__test_input_required_result_prompt"})),
    ] {
        let mut params = params;
        let mut rounds = 0;
        let last = loop {
            let result = client.request(method, params.clone()).expect("a result");
            if result["resultType"] != "input_required" {
                break result;
            }
            rounds += 1;
            assert!(rounds < 5, "{result}");
            let questions = result["inputRequests"].as_object().expect("questions");
            let answers: serde_json::Map<String, Value> =
                questions.iter().map(|(key, question)| (key.clone(), answer(question))).collect();
            params["inputResponses"] = Value::Object(answers);
            params["requestState"] = result["requestState"].clone();
        };
        assert!(rounds > 0 && last["resultType"] == "complete", "{last}");
    }
}

#[test]
fn a_server_that_may_ask_for_folders_hears_that_they_changed_and_no_other_does() {
    let (gateway, recorder) = stand();
    let endpoint = gateway.endpoint("up");
    let token = gateway.token("alice", &endpoint).expect("a token");
    let told = || {
        let arrived = recorder.arrived();
        arrived.iter().filter(|one| one.method().as_deref() == Some("notifications/roots/list_changed")).count()
    };
    for (declared, expected) in [(json!({}), 0), (json!({"roots": {"listChanged": true}}), 1)] {
        let mut client = Client::connect_able(&endpoint, Some(&token), Era::Legacy, declared).expect("a client");
        // Nobody is told before there is something to be told on.
        client.call("echo", json!({})).expect("a result");
        let taken = client.notify("notifications/roots/list_changed", json!({})).expect("an answer");
        assert_eq!(taken.status, 202);
        // What is said later comes later.
        let until = std::time::Instant::now() + LIMIT;
        while told() < expected && std::time::Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        client.call("echo", json!({})).expect("a result");
        assert_eq!(told(), expected);
    }
}
