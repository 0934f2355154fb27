//! One client over standard input and output: the same corridor, without headers, tokens and session ids.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::Instant;

use nix::sys::signal::Signal;
use sekisho_e2e::client::Era;
use sekisho_e2e::fixture::{Everything, everything_command};
use sekisho_e2e::gateway::stdio_server;
use sekisho_e2e::line::{self, Line};
use serde_json::{Value, json};

use super::*;

const OPEN: &str = "permit(principal, action, resource);";
const WATCHED: &str = "test://watched-resource";
const ERAS: [Era; 2] = [Era::Legacy, Era::Modern];

/// The fixture as a process and over HTTP, behind a gateway that listens beside the clients over stdio.
fn everything(policy: &str) -> (Gateway, Everything) {
    let server = Everything::start(&[]).expect("the fixture");
    let command = everything_command(&[]).expect("the fixture");
    let servers = http_server("http", server.url()) + &stdio_server("process", &command);
    let gateway = Gateway::start(&Setup::open(&servers).with_policy(policy)).expect("a gateway");
    (gateway, server)
}

fn open(gateway: &Gateway, server: &str, era: Era) -> Line {
    gateway.line(Some(server), era, json!({"elicitation": {}})).expect("a client")
}

/// What stands in the log of the nth client over stdio.
fn log_of(gateway: &Gateway, client: usize) -> String {
    let folder = gateway.folder().join(format!("data/stdio/{client}/audit"));
    let files = fs::read_dir(folder).expect("a log");
    files.map(|file| fs::read_to_string(file.expect("a file").path()).unwrap_or_default()).collect()
}

fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap_or_default()
}

#[test]
fn a_client_over_stdio_calls_in_both_eras_as_the_user_of_the_process_and_leaves_in_peace() {
    let (gateway, _server) = everything("permit(principal, action, resource) when { principal.issuer == \"local\" };");
    for era in ERAS {
        for server in ["http", "process"] {
            let mut client = open(&gateway, server, era);
            let sum = client.call("test_add", json!({"a": 2, "b": 3})).expect("a result");
            assert_eq!(text(&sum), "5", "{era:?} {server}");
            assert_eq!(client.close(LIMIT).expect("an end").code(), Some(0), "{era:?} {server}");
        }
    }
    let mut all = gateway.line(None, Era::Modern, json!({})).expect("a client");
    assert_eq!(text(&all.call("process__test_add", json!({"a": 1, "b": 1})).expect("a result")), "2");
    drop(all);
    let log = log_of(&gateway, 1);
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::effective()).expect("users").expect("a user").name;
    assert!(log.contains("\"issuer\":\"local\"") && log.contains(&format!("\"subject\":\"{user}\"")), "{log}");
    assert!(!gateway.folder().join("data/stdio/2").exists(), "one after the other has the same place");
    // The same policy permits nobody who comes over HTTP.
    gateway.client("http", Era::Modern).expect_err("refused");
}

#[test]
fn what_policy_forbids_is_refused_over_stdio_and_told_by_why() {
    let policy = format!(
        "{OPEN} @id(\"no-adding\") forbid(principal, action == Sekisho::Action::\"tools/call\",
         resource == Sekisho::Tool::\"http/test_add\");"
    );
    let (gateway, _server) = everything(&policy);
    for era in ERAS {
        let mut client = open(&gateway, "http", era);
        let id = client.ask("tools/call", json!({"name": "test_add", "arguments": {"a": 2, "b": 3}})).expect("sent");
        let refused = client.answer(id).expect("an answer");
        assert_eq!(refused["error"]["data"]["code"], "SK1701", "{refused}");
        let request = refused["error"]["data"]["requestId"].as_str().expect("an id").to_owned();
        assert_eq!(text(&client.call("test_echo", json!({"text": "hi"})).expect("a result")), "hi");
        let why = sekisho(&gateway, &["why", &request]);
        assert!(why.contains("no-adding"), "{why}");
    }
    let tail = sekisho(&gateway, &["audit", "tail", "--stdio", "1", "-n", "100"]);
    assert!(tail.contains("test_echo"), "{tail}");
}

fn sekisho(gateway: &Gateway, arguments: &[&str]) -> String {
    let mut command = std::process::Command::new(sekisho_e2e::place::binary("sekisho").expect("the binary"));
    command.args(arguments).arg("--config").arg(gateway.folder().join("sekisho.toml"));
    let ended = sekisho_e2e::process::run(&mut command, "", LIMIT).expect("an end");
    format!("{}{}", ended.out, ended.err)
}

#[test]
fn lines_that_are_no_messages_are_refused_and_the_next_one_is_read() {
    let (gateway, _server) = everything(OPEN);
    let mut client = Line::start(
        &mut line::command(&gateway.folder().join("sekisho.toml"), Some("http")).expect("a command"),
        Era::Modern,
    )
    .expect("a client");
    let too_long = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{}\"}}", "x".repeat(5 * 1024 * 1024));
    for (line, code) in [
        ("{", -32700),
        ("[]", -32600),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"ping\"}", -32700),
        (&too_long, -31006),
    ] {
        client.write(line).expect("written");
        let refused = client.message().expect("an answer");
        assert_eq!((&refused["error"]["code"], refused.get("id")), (&json!(code), None), "{refused}");
    }
    // Nobody waits for an answer to these.
    for silent in [
        r#"{"jsonrpc":"2.0","method":"notifications/nobody"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        r#"{"jsonrpc":"2.0","id":7,"result":{}}"#,
    ] {
        client.write(silent).expect("written");
    }
    // A session comes first in the legacy era.
    client.write(r#"{"jsonrpc":"2.0","id":"a","method":"tools/list"}"#).expect("written");
    let refused = client.message().expect("an answer");
    assert_eq!((&refused["id"], &refused["error"]["data"]["code"]), (&json!("a"), &json!("SK1201")), "{refused}");
    assert_eq!(text(&client.call("test_echo", json!({"text": "hi"})).expect("a result")), "hi");
    drop(client);
    assert_eq!(log_of(&gateway, 1).matches("\"outcome\":\"refused\"").count(), 8, "each is recorded");
}

#[test]
fn lines_that_were_written_before_anything_was_answered_are_answered_in_order() {
    let (gateway, _server) = everything(OPEN);
    let hello =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "n", "version": "1"}});
    let mut command = line::command(&gateway.folder().join("sekisho.toml"), Some("process")).expect("a command");
    let lines = [
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "test_wait", "arguments": {"milliseconds": 500}}}),
    ];
    let whole: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let input = format!("{whole}{{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"ping\"}}");
    let ended = sekisho_e2e::process::run(&mut command, &input, Duration::from_secs(30)).expect("an end");
    let answers: Vec<Value> = ended.out.lines().map(|line| raw::parse(line).expect("a message")).collect();
    assert_eq!(answers.len(), 3, "the input was closed at once, and all was answered: {ended:?}");
    let refused = answers.iter().find(|answer| answer.get("id").is_none()).expect("a refusal");
    assert_eq!(refused["error"]["data"]["code"], "SK1402", "a line without an end may be half of a message: {refused}");
    let waited = answers.iter().find(|answer| answer["id"] == 2).expect("an answer");
    assert_eq!((&answers[0]["id"], text(&waited["result"])), (&json!(1), "Thank you for waiting."));
    assert!(ended.status.success());
}

#[test]
fn a_call_that_is_taken_back_is_not_answered_and_its_server_hears_of_it() {
    let (gateway, _server) = everything(OPEN);
    for era in ERAS {
        for server in ["http", "process"] {
            let mut client = open(&gateway, server, era);
            let name = format!("{era:?} {server}");
            let wait = json!({"name": "test_wait", "arguments": {"milliseconds": 30_000, "name": name},
                "_meta": {"progressToken": "p"}});
            let taken_back = client.ask("tools/call", wait).expect("sent");
            let begun = client.message().expect("a message");
            assert_eq!(begun["method"], "notifications/progress", "{begun}");
            client.notify("notifications/cancelled", json!({"requestId": taken_back})).expect("sent");
            // Another one's id cancels nothing.
            client.notify("notifications/cancelled", json!({"requestId": taken_back + 1})).expect("sent");
            let heard = client.ask("tools/call", json!({"name": "test_was_cancelled", "arguments": {"name": name}}));
            let answer = client.message().expect("an answer");
            assert_eq!(answer["id"], heard.expect("sent"), "nothing more is said of the first: {answer}");
            assert_eq!(text(&answer["result"]), "The wait was cancelled.", "{name}");
        }
    }
    assert!(log_of(&gateway, 1).contains("SK2101"), "that it was cancelled is recorded");
}

#[test]
fn a_servers_question_comes_over_stdio_and_its_answer_goes_back() {
    let (gateway, _server) = everything(OPEN);
    for server in ["http", "process"] {
        let mut client = open(&gateway, server, Era::Legacy);
        let call = json!({"name": "test_elicitation", "arguments": {"message": "Who are you?"}});
        let id = client.ask("tools/call", call.clone()).expect("sent");
        let question = client.message().expect("a question");
        assert_eq!(question["method"], "elicitation/create", "{question}");
        // Nobody asked this.
        client.reply(&json!("guessed"), &json!({"action": "accept", "content": {}})).expect("sent");
        client.reply(&question["id"], &json!({"action": "decline"})).expect("sent");
        let answer = client.answer(id).expect("an answer");
        assert!(text(&answer["result"]).contains("decline"), "{answer}");
    }
    let mut client = open(&gateway, "http", Era::Modern);
    let asked = client.call("test_input_required_result_elicitation", json!({})).expect("a result");
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    let key = asked["inputRequests"].as_object().expect("requests").keys().next().expect("one").clone();
    let again = json!({"name": "test_input_required_result_elicitation", "arguments": {}, "requestState": asked["requestState"],
        "inputResponses": {key: {"action": "accept", "content": {"name": "me"}}}});
    let done = client.request("tools/call", again).expect("a result");
    assert!(text(&done).contains("me"), "{done}");
}

#[test]
fn a_legacy_client_hears_what_belongs_to_no_call_without_asking_for_it() {
    let (gateway, _server) = everything(OPEN);
    for server in ["http", "process"] {
        let mut client = open(&gateway, server, Era::Legacy);
        client.request("resources/subscribe", json!({"uri": WATCHED})).expect("a result");
        let changed = |client: &mut Line| {
            let id = client
                .ask("tools/call", json!({"name": "test_trigger_resource_change", "arguments": {}}))
                .expect("sent");
            // Which of the two comes first is the server's business.
            let both = [client.message().expect("a message"), client.message().expect("a message")];
            assert!(both.iter().any(|message| message["id"] == id), "{both:?}");
            both.into_iter().find(|message| message["method"] == "notifications/resources/updated").expect("told")
        };
        assert_eq!(changed(&mut client)["params"], json!({"uri": WATCHED}), "{server}");
        // Once policy changes, it is listened to anew by itself.
        let policy = gateway.folder().join("policy.cedar");
        fs::write(policy, format!("{OPEN} // changed for {server}")).expect("written");
        // What was told before may be told again: rmcp gives a stream that is new to it the last event of the one before.
        let again = client.within(Duration::from_secs(4));
        assert!(again.iter().all(|line| line.contains("notifications/resources/updated")), "{again:?}");
        assert_eq!(changed(&mut client)["params"], json!({"uri": WATCHED}), "{server}, after the change");
    }
}

#[test]
fn a_modern_client_listens_twice_and_tells_its_subscriptions_apart_by_their_ids() {
    let (gateway, _server) = everything(OPEN);
    let mut client = open(&gateway, "process", Era::Modern);
    let id_of = |message: &Value| message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"].clone();
    let tools = client.ask("subscriptions/listen", json!({"notifications": {"toolsListChanged": true}})).expect("sent");
    let begun = client.message().expect("an acknowledgement");
    assert_eq!((&begun["method"], id_of(&begun)), (&json!("notifications/subscriptions/acknowledged"), json!(tools)));
    let prompts =
        client.ask("subscriptions/listen", json!({"notifications": {"promptsListChanged": true}})).expect("sent");
    assert_eq!(id_of(&client.message().expect("an acknowledgement")), json!(prompts));
    for (what, id) in [("tool", tools), ("prompt", prompts)] {
        client
            .ask("tools/call", json!({"name": format!("test_trigger_{what}_change"), "arguments": {}}))
            .expect("sent");
        let both = [client.message().expect("a message"), client.message().expect("a message")];
        let told = both.iter().find(|message| message.get("method").is_some()).expect("something told");
        assert_eq!(id_of(told), json!(id), "{both:?}");
    }
    client.notify("notifications/cancelled", json!({"requestId": tools})).expect("sent");
    client.call("test_trigger_tool_change", json!({})).expect("a result");
    let rest = client.within(Duration::from_millis(500));
    assert!(rest.is_empty(), "nothing more of what was taken back: {rest:?}");
    // Who listens does not keep the process.
    let start = Instant::now();
    assert!(client.close(LIMIT).expect("an end").success());
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn whoever_listens_is_told_that_the_gateway_stops_and_calls_are_answered_before() {
    let (gateway, _server) = everything(OPEN);
    let mut client = open(&gateway, "process", Era::Modern);
    let listens =
        client.ask("subscriptions/listen", json!({"notifications": {"toolsListChanged": true}})).expect("sent");
    assert_eq!(client.message().expect("begun")["method"], "notifications/subscriptions/acknowledged");
    let wait = json!({"name": "test_wait", "arguments": {"milliseconds": 1500}, "_meta": {"progressToken": "p"}});
    let waits = client.ask("tools/call", wait).expect("sent");
    assert_eq!(client.message().expect("progress")["method"], "notifications/progress");
    client.process().signal(Signal::SIGTERM).expect("sent");
    let both = [client.message().expect("an end"), client.message().expect("an end")];
    assert!(both.iter().all(|message| message.get("result").is_some()), "{both:?}");
    assert!([listens, waits].iter().all(|id| both.iter().any(|message| message["id"] == *id)), "{both:?}");
    assert!(client.process().wait(LIMIT).expect("an end").success());
}

#[test]
fn a_second_initialize_leaves_the_first_session_behind() {
    let (gateway, _server) = everything(OPEN);
    let mut client = open(&gateway, "process", Era::Legacy);
    client.request("resources/subscribe", json!({"uri": WATCHED})).expect("a result");
    let waits =
        client.ask("tools/call", json!({"name": "test_wait", "arguments": {"milliseconds": 30_000}})).expect("sent");
    let hello =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "n", "version": "1"}});
    let again = client.ask("initialize", hello).expect("sent");
    let both = [client.message().expect("a message"), client.message().expect("a message")];
    let of = |id: u64| both.iter().find(|message| message["id"] == id).expect("an answer");
    assert!(of(again)["result"].is_object() && of(waits)["error"].is_object(), "{both:?}");
    client.notify("notifications/initialized", json!({})).expect("sent");
    let told =
        client.ask("tools/call", json!({"name": "test_trigger_resource_change", "arguments": {}})).expect("sent");
    assert_eq!(client.message().expect("a message")["id"], told, "the subscription went with the session");
}

#[test]
fn clients_at_once_have_a_process_and_a_log_each() {
    let (gateway, _server) = everything(OPEN);
    let mut clients: Vec<Line> = ERAS.iter().map(|era| open(&gateway, "process", *era)).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.call("test_echo", json!({"text": format!("client {number}")})).expect("a result");
    }
    assert!(sekisho(&gateway, &["status", "--stdio", "2"]).contains("standard input"));
    let logs = [log_of(&gateway, 1), log_of(&gateway, 2)];
    assert!(logs.iter().all(|log| log.matches("\"kind\":\"decision\"").count() >= 2), "{logs:?}");
    drop(clients);
    assert!(!gateway.folder().join("data/stdio/3").exists());
}

#[test]
fn a_client_that_reads_nothing_is_waited_for_and_keeps_no_process() {
    let (gateway, _server) = everything(OPEN);
    let mut command = line::command(&gateway.folder().join("sekisho.toml"), Some("http")).expect("a command");
    let (mut process, mut input, mut output) =
        sekisho_e2e::process::Running::talking(command.stderr(Stdio::null())).expect("a process");
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}});
    let writes = std::thread::spawn(move || {
        let mut written = 0;
        for id in 0..20_000 {
            let ask = json!({"jsonrpc": "2.0", "id": id, "method": "tools/list", "params": {"_meta": meta}});
            if input.write_all(format!("{ask}\n").as_bytes()).is_err() {
                break;
            }
            written += 1;
        }
        written
    });
    // Its pipe is full soon, and it is not read from any more.
    std::thread::sleep(Duration::from_secs(3));
    assert!(!writes.is_finished(), "the client is held up, not the memory filled");
    assert!(process.ended().expect("known").is_none());
    let kib = process.resident_kib().expect("a process");
    assert!(kib < 200 * 1024, "{kib} KiB");
    let mut some = [0; 4096];
    assert!(output.read(&mut some).expect("bytes") > 0);
    process.signal(Signal::SIGTERM).expect("sent");
    assert!(process.wait(Duration::from_secs(15)).expect("an end").success());
    drop(output);
    assert!(writes.join().expect("a number") < 20_000);
}

#[test]
fn nobody_is_served_whose_other_end_is_a_network() {
    let (gateway, _server) = everything(OPEN);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let far = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
    let (near, _) = listener.accept().expect("a connection");
    let mut command = line::command(&gateway.folder().join("sekisho.toml"), None).expect("a command");
    let child = command.stdin(Stdio::from(OwnedFd::from(near))).stdout(Stdio::null()).stderr(Stdio::piped());
    let ended = child.spawn().expect("a process").wait_with_output().expect("an end");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success() && said.contains("SK0212"), "{said}");
    drop(far);
    // A name that is not configured is told at once, too.
    let mut command = line::command(&gateway.folder().join("sekisho.toml"), Some("nobody")).expect("a command");
    let ended = sekisho_e2e::process::run(&mut command, "", LIMIT).expect("an end");
    assert!(ended.err.contains("SK0112") && ended.err.contains("http, process"), "{}", ended.err);
}
