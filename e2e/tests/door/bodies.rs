use super::*;
use std::fs;

fn call(arguments: &[u8]) -> Vec<u8> {
    let mut body = br#"{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"echo","arguments":"#.to_vec();
    body.extend_from_slice(arguments);
    body.extend_from_slice(b"}}");
    body
}

fn corpus(prefix: &str) -> Vec<(String, Vec<u8>)> {
    let folder = sekisho_e2e::place::source("../crates/wire/tests/data/json-test-suite/test_parsing");
    let mut cases: Vec<(String, Vec<u8>)> = fs::read_dir(folder)
        .expect("the corpus")
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).expect("a case")))
        .collect();
    cases.sort();
    assert!(cases.len() > 30, "the corpus is there");
    cases
}

/// What the suite accepts and we do not: a key that stands twice (requirement 1.1).
const STRICTER: [&str; 2] = ["y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"];

fn quick() -> (Gateway, Recorder, String) {
    let recorder = Recorder::start().expect("a port");
    let setup = Setup::open(&http_server("up", &recorder.url()))
        .with_more("[limits]\nrequests_per_minute = 100000\nburst = 10000\n");
    let gateway = Gateway::start(&setup).expect("a gateway");
    gateway.wait_for_servers(&["up"]).expect("probed");
    let named = format!("Mcp-Session-Id: {}", session(&gateway, "/s/up/mcp"));
    (gateway, recorder, named)
}

#[test]
fn what_is_no_json_is_refused_and_not_forwarded() {
    let (gateway, recorder, named) = quick();
    for (name, text) in corpus("n_") {
        let as_argument = [br#"{"value":"#.as_slice(), &text, b"}"].concat();
        for body in [text.clone(), call(&as_argument)] {
            // An empty text, or one that ends early, can be completed by what is around it.
            let response = post(&gateway, "/s/up/mcp", &[&named], &body);
            assert_eq!(response.status, 400, "{name}: {}", response.text());
        }
    }
    assert_eq!(recorder.calls().len(), 0);
    let ping = post(&gateway, "/s/up/mcp", &[&named], br#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#);
    assert_eq!(ping.status, 200, "the session is still good");
}

#[test]
fn accepted_arguments_arrive_byte_for_byte() {
    let (gateway, recorder, named) = quick();
    let mut sent = Vec::new();
    for (name, text) in corpus("y_") {
        let arguments = [br#"{"value":"#.as_slice(), text.trim_ascii(), b"}"].concat();
        let response = post(&gateway, "/s/up/mcp", &[&named], &call(&arguments));
        if STRICTER.contains(&name.as_str()) {
            assert_eq!(response.status, 400, "{name}");
            continue;
        }
        assert_eq!(response.status, 200, "{name}: {}", response.text());
        sent.push((name, arguments));
    }
    let calls = recorder.calls();
    assert_eq!(calls.len(), sent.len());
    for (request, (name, arguments)) in calls.iter().zip(&sent) {
        let found = request.body.windows(arguments.len()).any(|window| window == arguments.as_slice());
        assert!(found, "{name} arrived as {}", String::from_utf8_lossy(&request.body));
    }
}

#[test]
fn what_parsers_disagree_on_never_breaks_anything() {
    let (gateway, recorder, named) = quick();
    for (name, text) in corpus("i_") {
        let arguments = [br#"{"value":"#.as_slice(), &text, b"}"].concat();
        for body in [text.clone(), call(&arguments)] {
            let response = post(&gateway, "/s/up/mcp", &[&named], &body);
            assert!(matches!(response.status, 200 | 400), "{name}: {}", response.status);
        }
    }
    for request in recorder.calls() {
        assert!(std::str::from_utf8(&request.body).is_ok(), "nothing but UTF-8 goes on");
    }
}

#[test]
fn envelopes_with_two_meanings_are_refused() {
    let (gateway, recorder, named) = quick();
    let tool = r#""params":{"name":"echo","arguments":{}}"#;
    let bad = [
        format!(r#"[{{"jsonrpc":"2.0","id":1,"method":"tools/call",{tool}}}]"#),
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call",{tool}}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":1,"Method":"ping","method":"tools/call",{tool}}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":1,"m\u0065thod":"ping","method":"tools/call",{tool}}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":null,"method":"tools/call",{tool}}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":1.0,"method":"tools/call",{tool}}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":[1],"method":"tools/call",{tool}}}"#),
        format!(r#"{{"jsonrpc":"1.0","id":1,"method":"tools/call",{tool}}}"#),
        format!(r#"{{"id":1,"method":"tools/call",{tool}}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call",{tool}}} {{}}"#),
        format!("\u{feff}{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",{tool}}}"),
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","arguments":{}}}}}"#,
            "[".repeat(20_000)
        ),
    ];
    for body in bad {
        let response = post(&gateway, "/s/up/mcp", &[&named], body.as_bytes());
        let shown: String = body.chars().take(90).collect();
        assert_eq!(response.status, 400, "{shown}: {}", response.text());
    }
    assert_eq!(recorder.calls().len(), 0);
    let good = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call",{tool}}}"#);
    assert_eq!(post(&gateway, "/s/up/mcp", &[&named], good.as_bytes()).status, 200);
}

#[test]
fn malformed_parameters_of_a_known_method_are_never_forwarded() {
    let (gateway, recorder, named) = quick();
    for params in [
        r#"{"name":"echo","arguments":[]}"#,
        r#"{"name":"echo","arguments":"x"}"#,
        r#"{"arguments":{}}"#,
        r#"{"name":1}"#,
        "[]",
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
        let response = post(&gateway, "/s/up/mcp", &[&named], body.as_bytes());
        let messages = response.messages().expect("a message");
        assert_eq!(messages[0]["error"]["code"], -32602, "{params}: {}", response.text());
    }
    assert_eq!(recorder.calls().len(), 0);
}

#[test]
fn equal_ids_of_two_clients_get_their_own_answers() {
    let (gateway, recorder, named) = quick();
    let other = format!("Mcp-Session-Id: {}", session(&gateway, "/s/up/mcp"));
    let body = call(b"{}");
    for session in [&named, &other] {
        let response = post(&gateway, "/s/up/mcp", &[session], &body);
        assert_eq!(response.messages().expect("a message")[0]["id"], 9);
    }
    let calls = recorder.calls();
    let id = |at: usize| raw::parse(&String::from_utf8_lossy(&calls[at].body)).expect("a message")["id"].clone();
    assert_eq!(calls.len(), 2);
    assert!(id(0).is_u64() && id(1).is_u64(), "ids are our own");
}
