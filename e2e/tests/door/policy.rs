use super::*;
use serde_json::json;
use std::fs;
use std::time::Instant;

const ALICE_MAY: &str = r#"
@id("connect") permit(principal, action in Sekisho::Action::"connect", resource);
@id("alice-uses") permit(principal, action in Sekisho::Action::"use", resource) when { principal.subject == "alice" };
"#;

fn tools(gateway: &Gateway, named: &str) -> Vec<String> {
    let listed = post(gateway, "/s/up/mcp", &[named], br#"{"jsonrpc":"2.0","id":3,"method":"tools/list"}"#);
    let messages = listed.messages().expect("a message");
    let tools = messages[0]["result"]["tools"].as_array().cloned().unwrap_or_default();
    tools.iter().map(|tool| tool["name"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_forbidden_tool_is_neither_listed_nor_called() {
    let recorder = Recorder::start().expect("a port");
    recorder.offer(json!([
        {"name": "echo", "inputSchema": {"type": "object"}},
        {"name": "wipe", "inputSchema": {"type": "object"}},
    ]));
    let setup = Setup::open(&http_server("up", &recorder.url())).with_policy(ALICE_MAY);
    let gateway = Gateway::start(&setup).expect("a gateway");
    gateway.wait_for_servers(&["up"]).expect("probed");
    let named = format!("Mcp-Session-Id: {}", session(&gateway, "/s/up/mcp"));
    assert_eq!(tools(&gateway, &named), ["echo", "wipe"]);
    let wipe: &[u8] = br#"{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"wipe","arguments":{}}}"#;
    assert_eq!(
        post(&gateway, "/s/up/mcp", &[&named], wipe).messages().expect("a message")[0]["result"]["content"][0]["text"],
        "done"
    );

    let policy = gateway.folder().join("policy.cedar");
    let forbid = r#"@id("no-wiping") forbid(principal, action == Sekisho::Action::"tools/call", resource == Sekisho::Tool::"up/wipe");"#;
    fs::write(&policy, format!("{ALICE_MAY}{forbid}")).expect("written");
    until("the tool vanishes", || tools(&gateway, &named) == ["echo"]);
    let before = recorder.calls().len();
    let refused = post(&gateway, "/s/up/mcp", &[&named], wipe);
    assert_eq!((refused.status, code(&refused)), (200, "SK1701".to_owned()), "{}", refused.text());
    assert_eq!(recorder.calls().len(), before, "nothing was forwarded");
    let id = refused.header("sekisho-request-id").expect("an id").to_owned();
    let told = why(&gateway, &id);
    assert!(told.contains("no-wiping"), "{told}");
    assert!(
        refused.text().contains(&id) && !refused.text().contains("no-wiping"),
        "the client hears the code, not the rule"
    );

    fs::write(&policy, "permit(principal, action, resource").expect("written");
    until("the mistake is named", || gateway.log().contains("policy.cedar"));
    assert_eq!(tools(&gateway, &named), ["echo"], "the old policy stays");
}

#[test]
fn who_may_not_use_it_sees_nothing_and_calls_nothing() {
    let recorder = Recorder::start().expect("a port");
    let setup = Setup::open(&http_server("up", &recorder.url())).with_policy(ALICE_MAY);
    let gateway = Gateway::start(&setup).expect("a gateway");
    gateway.wait_for_servers(&["up"]).expect("probed");
    let bearer = format!("Authorization: Bearer {}", gateway.token("bob", &gateway.endpoint("up")).expect("a token"));
    let send = |more: &[&str], body: &[u8]| {
        let fields: Vec<&str> = [MEDIA[0], MEDIA[1], bearer.as_str()].into_iter().chain(more.iter().copied()).collect();
        request(&gateway, "POST /s/up/mcp", &fields, body)
    };
    let opened = send(&[], INITIALIZE);
    let named = format!("Mcp-Session-Id: {}", opened.header("mcp-session-id").expect("a session"));
    let listed = send(&[&named], br#"{"jsonrpc":"2.0","id":3,"method":"tools/list"}"#);
    assert_eq!(listed.messages().expect("a message")[0]["result"]["tools"], json!([]));
    let called =
        send(&[&named], br#"{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"echo","arguments":{}}}"#);
    assert_eq!(code(&called), "SK1701");
    assert_eq!(recorder.calls().len(), 0);
}

#[test]
fn wrong_arguments_are_a_result_that_a_model_can_mend() {
    let recorder = Recorder::start().expect("a port");
    recorder.offer(json!([{"name": "add", "inputSchema": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}}]));
    let gateway = Gateway::start(&Setup::open(&http_server("up", &recorder.url()))).expect("a gateway");
    gateway.wait_for_servers(&["up"]).expect("probed");
    let named = format!("Mcp-Session-Id: {}", session(&gateway, "/s/up/mcp"));
    let wrong = post(
        &gateway,
        "/s/up/mcp",
        &[&named],
        br#"{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"add","arguments":{"a":"x"}}}"#,
    );
    let result = wrong.messages().expect("a message")[0]["result"].clone();
    assert_eq!(result["isError"], true, "{}", wrong.text());
    assert!(result["content"][0]["text"].as_str().is_some_and(|text| text.contains("/a")), "{result}");
    assert_eq!(recorder.calls().len(), 0);
    let right = post(
        &gateway,
        "/s/up/mcp",
        &[&named],
        br#"{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"add","arguments":{"a":1}}}"#,
    );
    assert_eq!(right.messages().expect("a message")[0]["result"]["content"][0]["text"], "done");
}

#[test]
fn an_answer_that_breaks_its_output_schema_is_withheld() {
    let recorder = Recorder::start().expect("a port");
    recorder.offer(json!([{"name": "count", "inputSchema": {"type": "object"},
        "outputSchema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}}]));
    let gateway = Gateway::start(&Setup::open(&http_server("up", &recorder.url()))).expect("a gateway");
    gateway.wait_for_servers(&["up"]).expect("probed");
    let named = format!("Mcp-Session-Id: {}", session(&gateway, "/s/up/mcp"));
    let count: &[u8] = br#"{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"count","arguments":{}}}"#;
    recorder.answer(r#"{"content":[],"structuredContent":{"n":"many secrets"}}"#);
    let withheld = post(&gateway, "/s/up/mcp", &[&named], count);
    assert_eq!(code(&withheld), "SK1801");
    assert!(!withheld.text().contains("many secrets"));
    recorder.answer(r#"{"content":[],"structuredContent":{"n":3}}"#);
    let released = post(&gateway, "/s/up/mcp", &[&named], count);
    assert_eq!(released.messages().expect("a message")[0]["result"]["structuredContent"]["n"], 3);
}

#[test]
fn hidden_characters_in_results_and_descriptions_are_made_visible() {
    let recorder = Recorder::start().expect("a port");
    recorder.offer(json!([
        {"name": "echo", "description": "fine \u{2060} so", "inputSchema": {"type": "object"}},
        {"name": "hides", "description": "fine\u{e0041}\u{202e}", "inputSchema": {"type": "object"}},
    ]));
    recorder.answer("{\"content\":[{\"type\":\"text\",\"text\":\"a\u{200b}b\\u001b[31m\"}]}");
    let gateway = Gateway::start(&Setup::open(&http_server("up", &recorder.url()))).expect("a gateway");
    gateway.wait_for_servers(&["up"]).expect("probed");
    let named = format!("Mcp-Session-Id: {}", session(&gateway, "/s/up/mcp"));
    let listed = post(&gateway, "/s/up/mcp", &[&named], br#"{"jsonrpc":"2.0","id":3,"method":"tools/list"}"#);
    assert!(listed.text().contains(r"fine \\u{2060} so"), "{}", listed.text());
    assert!(!listed.text().contains("hides"), "what could hide an order is withheld: {}", listed.text());
    let called = post(
        &gateway,
        "/s/up/mcp",
        &[&named],
        br#"{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"echo","arguments":{}}}"#,
    );
    assert!(called.text().contains(r"a\\u{200b}b\\u{1b}[31m"), "{}", called.text());
}

#[test]
fn a_changed_definition_is_recorded() {
    let (gateway, recorder) = stand();
    let named = format!("Mcp-Session-Id: {}", session(&gateway, "/s/up/mcp"));
    assert_eq!(tools(&gateway, &named), ["echo"]);
    recorder.offer(json!([{"name": "echo", "description": "Now does more", "inputSchema": {"type": "object"}}]));
    assert!(tools(&gateway, &named).is_empty(), "what changed is withheld");
    let log = records(&gateway);
    let of_kind = |kind: &str| {
        let kind = format!("\"kind\":\"{kind}\"");
        log.lines().filter(|line| line.contains(&kind) && line.contains("\"item\":\"echo\"")).collect::<Vec<&str>>()
    };
    assert_eq!(of_kind("definition").len(), 1, "seen: {log}");
    let changed = of_kind("security");
    assert!(
        matches!(changed.as_slice(), [one] if one.contains("it changed") && one.contains("Now does more")),
        "{changed:?}"
    );
}

#[test]
fn every_call_has_a_record_before_and_one_after_and_no_values() {
    let (gateway, _recorder) = stand();
    let named = format!("Mcp-Session-Id: {}", session(&gateway, "/s/up/mcp"));
    let call: &[u8] = br#"{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"echo","arguments":{"word":"confidential-word"}}}"#;
    let answered = post(&gateway, "/s/up/mcp", &[&named], call);
    let id = answered.header("sekisho-request-id").expect("an id");
    let log = records(&gateway);
    let of_it: Vec<&str> = log.lines().filter(|line| line.contains(id)).collect();
    assert_eq!(of_it.len(), 2, "{of_it:?}");
    assert!(of_it[0].contains("\"decision\"") && of_it[0].contains("\"permit\"") && of_it[0].contains("everything"));
    assert!(of_it[1].contains("\"outcome\"") && of_it[1].contains("\"completed\""));
    assert!(!log.contains("confidential-word"), "digests, not values");
}

#[test]
fn a_look_up_is_recorded_as_the_list_that_it_is() {
    let (gateway, _recorder) = stand();
    let named = format!("Mcp-Session-Id: {}", session(&gateway, "/s/up/mcp"));
    let unknown: &[u8] = br#"{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"nope","arguments":{}}}"#;
    let refused = post(&gateway, "/s/up/mcp", &[&named], unknown);
    assert_eq!(code(&refused), "SK1502");
    let id = refused.header("sekisho-request-id").expect("an id");
    let log = records(&gateway);
    let of_it: Vec<&str> = log.lines().filter(|line| line.contains(id)).collect();
    let permits: Vec<&&str> = of_it.iter().filter(|line| line.contains("\"permit\"")).collect();
    assert_eq!(permits.len(), 1, "{of_it:?}");
    assert!(permits[0].contains("tools/list") && !permits[0].contains("nope"), "{permits:?}");
    assert!(of_it.last().is_some_and(|line| line.contains("SK1502") && line.contains("nope")), "{of_it:?}");
}

fn records(gateway: &Gateway) -> String {
    let mut segments: Vec<_> =
        walk(gateway.folder()).into_iter().filter(|path| path.extension().is_some_and(|e| e == "jsonl")).collect();
    segments.sort();
    segments.iter().map(|path| fs::read_to_string(path).expect("a segment")).collect()
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        if entry.path().is_dir() { found.extend(walk(&entry.path())) } else { found.push(entry.path()) }
    }
    found
}

fn why(gateway: &Gateway, id: &str) -> String {
    let mut command = std::process::Command::new(sekisho_e2e::place::binary("sekisho").expect("the binary"));
    command.args(["why", id, "--config"]).arg(gateway.folder().join("sekisho.toml"));
    let output = sekisho_e2e::process::run(&mut command, "", LIMIT).expect("it ends");
    format!("{}{}", output.out, output.err)
}

fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let started = Instant::now();
    while !reached() {
        assert!(started.elapsed() < LIMIT, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A name that nobody has seen is looked for by a list, and that list is decided, recorded and limited like any other.
#[test]
fn a_server_whose_list_is_forbidden_is_not_asked_for_names() {
    let recorder = Recorder::start().expect("a port");
    let policy = r#"@id("open") permit(principal, action in [Sekisho::Action::"initialize", Sekisho::Action::"ping"], resource);
        @id("call") permit(principal, action == Sekisho::Action::"tools/call", resource) when { principal.subject == "bob" };"#;
    let gateway =
        Gateway::start(&Setup::open(&http_server("up", &recorder.url())).with_policy(policy)).expect("a gateway");
    let started = Instant::now();
    let opened = loop {
        let opened = post(&gateway, "/s/up/mcp", &[], INITIALIZE);
        if opened.header("mcp-session-id").is_some() {
            break opened;
        }
        assert!(started.elapsed() < LIMIT, "{}", opened.text());
        std::thread::sleep(Duration::from_millis(50));
    };
    let named = format!("Mcp-Session-Id: {}", opened.header("mcp-session-id").expect("a session"));
    let before = recorder.arrived().len();
    let body: &[u8] = br#"{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"echo","arguments":{},"_meta":{"com.example/x":"smuggled"}}}"#;
    let refused = post(&gateway, "/s/up/mcp", &[&named], body);
    assert_eq!(code(&refused), "SK1502", "as for a name that is not there: {}", refused.text());
    assert_eq!(recorder.arrived().len(), before, "the server heard nothing");
    let listed = post(&gateway, "/mcp", &[], INITIALIZE);
    let named = format!("Mcp-Session-Id: {}", listed.header("mcp-session-id").expect("a session"));
    let token = post(&gateway, "/mcp", &[&named], br#"{"jsonrpc":"2.0","id":5,"method":"tools/list"}"#);
    assert_eq!(code(&token), "SK1701");
    assert_eq!(recorder.arrived().len(), before, "nor by the door of all");
}
