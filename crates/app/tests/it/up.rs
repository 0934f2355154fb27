//! From nothing to a first call.

use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::support::{Home, Running, exists, json, modern, post, text_at};

/// A gateway from nothing, with its token.
fn up(home: &Home) -> (Running, String) {
    let gateway = home.start(&["up", "--port", &home.port.to_string()]);
    gateway.wait_for("both demo servers are up", || {
        home.run(&["status"]).out.lines().filter(|line| line.contains(" up ")).count() == 2
    });
    let token = std::fs::read_to_string(home.run(&["token"]).out.trim()).unwrap();
    (gateway, token.trim().to_owned())
}

#[test]
fn first_run_writes_everything_and_tells_what_to_paste() {
    let home = Home::empty();
    let (gateway, token) = up(&home);
    for file in ["sekisho.toml", "policy.cedar", "sekisho-data/dev-issuer/jwks.json", "sekisho-data/audit"] {
        assert!(exists(&home.path(file)), "{file}");
    }
    let hint = std::fs::read_to_string(home.path("sekisho.toml")).unwrap();
    let (hint, rest) = hint.split_once('\n').unwrap();
    let schema = home.path(hint.strip_prefix("#:schema ").unwrap());
    assert!(rest.starts_with('\n'), "editors want an empty line below");
    assert_eq!(std::fs::read_to_string(schema).unwrap(), home.run(&["config", "schema"]).out);
    let told = gateway.out();
    for part in [
        "claude mcp add --transport http sekisho",
        "mcp.json",
        ".vscode/mcp.json",
        &token,
        &format!("http://127.0.0.1:{}/mcp", home.port),
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    assert!(!gateway.log().contains(&token), "the log has the token");
    assert_eq!(home.run(&["config", "check"]).code, 0);
}

#[test]
fn permitted_call_passes_and_its_refused_neighbour_is_explained() {
    let home = Home::empty();
    let (gateway, token) = up(&home);
    let (status, listed) = modern(home.port, &token, "tools/list", None, "");
    assert_eq!(status, 200, "{}\n{}", listed.as_str(), gateway.log());
    assert!(
        listed.as_str().contains("notes__add_note") && listed.as_str().contains("files__read_file"),
        "{}",
        listed.as_str()
    );
    let read = r#""name":"files__read_file","arguments":{"path":"welcome.txt"}"#;
    let (status, answer) = modern(home.port, &token, "tools/call", Some("files__read_file"), read);
    assert_eq!(status, 200);
    assert!(answer.as_str().contains("Welcome."), "{}", answer.as_str());

    // The same call once a policy forbids it.
    let policy = std::fs::read_to_string(home.path("policy.cedar")).unwrap();
    home.write("policy.cedar", &(policy + "\n@id(\"no-reading\") forbid (principal, action == Sekisho::Action::\"tools/call\", resource == Sekisho::Tool::\"files/read_file\");\n"));
    let mut refused = answer;
    gateway.wait_for("the call is forbidden", || {
        refused = modern(home.port, &token, "tools/call", Some("files__read_file"), read).1;
        refused.as_str().contains("requestId")
    });
    let request = find(&refused, "requestId").unwrap();
    let why = home.run(&["why", &request]);
    assert_eq!(why.code, 0, "{why:?}");
    for part in ["forbid", "no-reading", "tools/call", "files__read_file", "sekisho-developer"] {
        assert!(why.out.contains(part), "{part} in\n{}", why.out);
    }
}

#[test]
fn client_that_starts_its_servers_itself_is_served_beside_the_gateway_by_what_it_is_told_to_paste() {
    let home = Home::empty();
    let (gateway, _token) = up(&home);
    let told = gateway.out();
    let line = told.lines().map(str::trim).find(|line| line.starts_with('{') && line.contains("\"command\"")).unwrap();
    let server = json(line).get("mcpServers").unwrap().get("sekisho").unwrap();
    let words: Vec<String> =
        server.get("args").unwrap().elements().map(|word| word.string().unwrap().into_owned()).collect();
    let call = |name: &str, arguments: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{{"name":"{name}","arguments":{arguments},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
        )
    };
    let said = run_with_input(
        &text_at(&server, &["command"]),
        &words,
        &(call("files__read_file", r#"{"path":"welcome.txt"}"#) + "\n"),
    );
    assert!(said.contains("Welcome."), "{said}");
    // The same once a policy forbids it: no gateway has to be told.
    let policy = std::fs::read_to_string(home.path("policy.cedar")).unwrap();
    home.write(
        "policy.cedar",
        &(policy + "\n@id(\"nobody\") forbid (principal, action == Sekisho::Action::\"tools/call\", resource) when { principal.issuer == \"local\" };\n"),
    );
    let said = run_with_input(
        &text_at(&server, &["command"]),
        &words,
        &(call("files__read_file", r#"{"path":"welcome.txt"}"#) + "\n"),
    );
    assert!(said.contains("SK1701"), "{said}");
}

/// What a command says on standard output, which is given this on standard input.
fn run_with_input(program: &str, arguments: &[String], input: &str) -> String {
    let mut command = Command::new(program);
    let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn token_of_somebody_else_and_no_token_are_refused() {
    let home = Home::empty();
    let (_gateway, token) = up(&home);
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    assert_eq!(post(home.port, "/mcp", &[], body).0, 401);
    let forged = format!("Bearer {}x", token);
    assert_eq!(post(home.port, "/mcp", &[("Authorization", &forged)], body).0, 401);
}

#[test]
fn minted_token_opens_and_is_for_whom_it_was_minted() {
    let home = Home::empty();
    let (_gateway, _) = up(&home);
    let minted = home.run(&["token", "--mint", "--subject", "ann", "--minutes", "1"]);
    assert_eq!(minted.code, 0, "{minted:?}");
    // Whatever the policy says to ann, it is the policy that says it.
    let (status, _) = modern(home.port, minted.out.trim(), "tools/list", None, "");
    assert_ne!(status, 401);
    let records = home.run(&["audit", "tail", "--json"]).out;
    assert!(records.lines().map(json).any(|record| text_at(&record, &["principal", "subject"]) == "ann"), "{records}");
}

#[test]
fn later_run_uses_what_is_there_and_moves_where_asked() {
    let home = Home::empty();
    let (mut gateway, token) = up(&home);
    gateway.signal(Signal::SIGTERM);
    assert_eq!(gateway.end().code(), Some(0), "{}", gateway.log());
    home.write("policy.cedar", "@id(\"mine\") permit (principal, action, resource);\n");
    let other = Home { port: crate::support::free_port(), ..home };
    let (gateway, moved) = up(&other);
    assert_ne!(token, moved, "a token is for one address");
    assert!(gateway.out().contains("uses what is in"));
    assert!(std::fs::read_to_string(other.path("policy.cedar")).unwrap().contains("mine"));
}

#[test]
fn taken_port_is_told_before_anything_is_written() {
    let home = Home::empty();
    let _taken = TcpListener::bind(("127.0.0.1", home.port)).unwrap();
    let said = home.run(&["up", "--port", &home.port.to_string()]);
    assert!(said.code == 1 && said.err.contains("SK0201") && said.err.contains("--port"), "{said:?}");
    assert_eq!(std::fs::read_dir(home.dir.path()).unwrap().count(), 0);
}

/// The first string called `key` at any depth.
fn find(json: &sekisho_wire::Json, key: &str) -> Option<String> {
    let here = json.get(key).and_then(|value| value.string().map(|text| text.into_owned()));
    here.or_else(|| json.members().find_map(|(_, value)| find(&value, key)))
        .or_else(|| json.elements().find_map(|value| find(&value, key)))
}
