//! What is run, and what is not.

use std::os::unix::fs::PermissionsExt;

use sekisho_e2e::client::Era;
use sekisho_e2e::gateway::stdio_server;
use sekisho_e2e::line::Line;
use serde_json::json;

use crate::LIMIT;
use crate::home::{Home, adds, everything, text, until};

const ERAS: [Era; 2] = [Era::Legacy, Era::Modern];

#[test]
fn a_configured_and_pinned_server_is_run_without_a_gateway_in_both_eras() {
    let (command, table) = everything();
    let home = Home::locked(&table);
    for era in ERAS {
        let mut client = home.open(&command, era);
        assert!(adds(&mut client), "{era:?}");
        assert_eq!(client.close(LIMIT).expect("an end").code(), Some(0), "{era:?}");
    }
    let mut named =
        Line::open(&mut home.run(&["--server", "everything"], &command), Era::Modern, json!({})).expect("one");
    assert!(adds(&mut named));
    assert!(home.log_of(1).contains("\"issuer\":\"local\""), "{}", home.log_of(1));
    assert!(!home.data().join("audit").exists(), "the log of a gateway is not touched");
}

#[test]
fn what_is_not_configured_is_not_run_and_told_how_it_can_be() {
    let (command, table) = everything();
    let home = Home::locked(&table);
    let longer: Vec<String> = command.iter().cloned().chain(["--lax".to_owned()]).collect();
    for (options, command, words) in [
        (&[][..], &longer, "has no server with this command"),
        (&["--server", "everything"], &longer, "are configured, and"),
        (&["--server", "other"], &command, "has no server `other`"),
        (&["--config", "nowhere.toml"], &command, "there is no configuration `nowhere.toml`"),
    ] {
        let refused = home.refused(options, command);
        assert!(refused.contains("SK0213") && refused.contains(words), "{options:?} {refused}");
        assert!(!refused.contains("--lax"), "arguments can be secrets: {refused}");
    }
    assert!(adds(&mut home.open(&command, Era::Modern)), "its neighbour is");
}

#[test]
fn what_is_not_pinned_is_not_run_until_it_is() {
    let (command, table) = everything();
    let home = Home::new(&table);
    let refused = home.refused(&[], &command);
    assert!(refused.contains("SK0115") && refused.contains("sekisho lock --config"), "{refused}");
    home.lock();
    assert!(adds(&mut home.open(&command, Era::Modern)));
    // Another server by now: what was approved was approved of the other one.
    home.configures(&format!("{table}env = {{ LEVEL = \"info\" }}\n"));
    let refused = home.refused(&[], &command);
    assert!(refused.contains("the environment variables that it is given changed"), "{refused}");
}

#[test]
fn secrets_of_other_servers_are_not_looked_for_at_the_start_nor_at_a_reload() {
    let (command, table) = everything();
    let table = format!("{table}env = {{ API_TOKEN = \"file:token\" }}\n");
    let home = Home::new(&table);
    let token = home.config().with_file_name("token");
    std::fs::write(&token, "s3cr3t").expect("written");
    std::fs::set_permissions(&token, PermissionsExt::from_mode(0o600)).expect("permissions");
    home.lock();
    let other = format!("{}env = {{ API_TOKEN = \"file:missing\" }}\n", stdio_server("other", &["x".to_owned()]));
    home.configures(&(table.clone() + &other));
    let mut client = home.open(&command, Era::Modern);
    assert!(adds(&mut client));
    home.permits("forbid(principal, action, resource);");
    home.configures(&(other.clone() + &table));
    until("a reload", || client.call("test_add", json!({"a": 2, "b": 3})).is_err());
    drop(client);
    // Its own are.
    std::fs::remove_file(&token).expect("removed");
    let refused = home.refused(&[], &command);
    assert!(refused.contains("SK0109") && refused.contains("token"), "{refused}");
}

#[test]
fn thirty_two_are_run_at_once_and_the_next_one_is_refused_until_one_has_gone() {
    let (command, table) = everything();
    let home = Home::locked(&table);
    let start = || Line::start(&mut home.run(&[], &command), Era::Modern).expect("a client");
    let mut clients: Vec<Line> = (0..32).map(|_| start()).collect();
    for client in &mut clients {
        client.request("server/discover", json!({})).expect("an answer");
    }
    let refused = home.refused(&[], &command);
    assert!(refused.contains("SK0203") && refused.contains("32 clients are served over stdio"), "{refused}");
    assert!(clients.iter_mut().all(adds));
    clients[7].close(LIMIT).expect("an end");
    assert!(adds(&mut home.open(&command, Era::Modern)));
}

/// A server that writes down, in its home, with what it is opened.
const NOTING: &str = r#"
import json, os, sys
for line in sys.stdin:
    asked = json.loads(line)
    method, params = asked["method"], asked.get("params", {})
    if method in ("initialize", "server/discover"):
        with open(os.path.expanduser("~/opened"), "a") as opened:
            opened.write(json.dumps(params.get("capabilities", {})) + "\n")
    result = {"resultType": "complete", "capabilities": {"tools": {}}, "serverInfo": {"name": "noting", "version": "1"}}
    if method == "initialize":
        result["protocolVersion"] = params["protocolVersion"]
    elif method == "server/discover":
        result["supportedVersions"] = ["2026-07-28"]
    elif method == "tools/list":
        result["tools"] = [{"name": "wave", "inputSchema": {"type": "object"}}]
    elif method == "tools/call":
        result["content"] = [{"type": "text", "text": "o/"}]
    if "id" in asked:
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
"#;

#[test]
fn one_process_is_started_for_a_client_and_is_told_what_the_policy_lets_it_ask() {
    let home = Home::new("");
    let script = home.path("noting/server.py");
    std::fs::create_dir(home.path("noting")).expect("a folder");
    std::fs::write(&script, NOTING).expect("written");
    let command = ["/usr/bin/python3".to_owned(), script.display().to_string()];
    home.configures(&format!("{}sandbox.read = [{script:?}]\n", stdio_server("noting", &command)));
    home.lock();
    home.permits(
        "permit(principal, action, resource);\n\
         forbid(principal, action == Sekisho::Action::\"sampling/createMessage\", resource);\n",
    );
    let opened = home.data().join("homes/noting/opened");
    for (era, told) in [(Era::Legacy, "{\"roots\": {}}\n"), (Era::Modern, "{}\n")] {
        std::fs::remove_file(&opened).expect("it was opened before, for the lock file");
        let declared = json!({"roots": {}, "sampling": {}});
        let mut client = Line::open(&mut home.run(&[], &command), era, declared).expect("a client");
        assert_eq!(text(&client.call("wave", json!({})).expect("an answer")), "o/", "{era:?}");
        client.close(LIMIT).expect("an end");
        assert_eq!(std::fs::read_to_string(&opened).expect("it was opened"), told, "{era:?}");
    }
}

#[test]
fn policies_read_how_a_server_is_confined() {
    let (command, table) = everything();
    let home = Home::locked(&table);
    let forbidding = |confinement: &str| {
        let call = "action == Sekisho::Action::\"tools/call\"";
        let when = format!("resource.server.confinement == \"{confinement}\"");
        home.permits(&format!(
            "permit(principal, action, resource);\nforbid(principal, {call}, resource) when {{ {when} }};\n"
        ));
    };
    forbidding("none");
    assert!(adds(&mut home.open(&command, Era::Modern)), "it is confined");
    forbidding("full");
    assert!(!adds(&mut home.open(&command, Era::Modern)));
    home.configures(&format!("{table}sandbox.dangerous_unconfined = true\n"));
    assert!(adds(&mut home.open(&command, Era::Modern)), "it is not");
}
