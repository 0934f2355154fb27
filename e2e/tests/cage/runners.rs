//! `npx` and `uvx` themselves: what they have installed before is there, and they install nothing that lasts.

use std::process::{Command, Stdio};
use std::time::Duration;

use sekisho_e2e::gateway::stdio_server;
use sekisho_e2e::process::{self, Running};
use sekisho_e2e::{peers, place};
use serde_json::json;

use crate::yard::{LIMIT, Yard, call, display};

/// A registry on this machine, until it is dropped, and where it is.
fn registry(kind: &str, package: &str) -> (Running, String) {
    let modules = display(&place::peers().expect("the peers").join("npm/node_modules"));
    let mut shelf = peers::python_script("tests/cage/shelf.py").expect("the peers");
    shelf.args([kind, package, &modules]).stdout(Stdio::piped());
    let mut running = Running::start(&mut shelf).expect("a registry");
    let origin = running.first_line(Duration::from_secs(30)).expect("its origin");
    (running, origin)
}

/// Runs a command as the user would, once, with its input closed.
fn once(yard: &Yard, command: &[&str], variables: &[(&str, &str)]) {
    let mut ran = yard.command(Command::new(command[0]));
    ran.args(&command[1..]).envs(variables.iter().copied());
    let ended = process::run(&mut ran, "", LIMIT).expect("an end");
    assert!(ended.status.success(), "{} {}", ended.out, ended.err);
}

fn with_variables(table: &str, variables: &[(&str, &str)], launch: &str) -> String {
    let listed: Vec<String> = variables.iter().map(|(name, value)| format!("{name} = {value:?}")).collect();
    format!("{table}env = {{ {} }}\ndangerous_launch = [{launch:?}]\n", listed.join(", "))
}

#[test]
fn npx_runs_the_package_that_it_installed_before() {
    let yard = Yard::new();
    let installed =
        place::peers().expect("the peers").join("npm/node_modules/@modelcontextprotocol/server-memory/package.json");
    let described = sekisho_e2e::raw::parse(&std::fs::read_to_string(installed).expect("the peers")).expect("JSON");
    let package = format!("@modelcontextprotocol/server-memory@{}", described["version"].as_str().expect("a version"));
    let (shelf, origin) = registry("npm", "");
    let variables = [("npm_config_registry", origin.as_str())];
    once(&yard, &["npx", "-y", &package], &variables);
    // From here on there is no registry.
    drop(shelf);
    let command = ["npx", "-y", &package].map(ToOwned::to_owned);
    yard.locked(&with_variables(&stdio_server("memory", &command), &variables, "npm_config_registry"));
    let entity = json!({"entities": [{"name": "Hakone", "entityType": "place", "observations": []}]});
    let mut line = yard.open("memory");
    let made = call(&mut line, "create_entities", entity);
    assert!(made.is_ok_and(|made| made.contains("Hakone")));
    assert!(call(&mut line, "read_graph", json!({})).is_ok_and(|graph| graph.contains("Hakone")));
    // It keeps its file beside its program: in a copy, which is gone with it.
    let again = call(&mut yard.open("memory"), "read_graph", json!({})).expect("a graph");
    assert!(!again.contains("Hakone"), "{again}");
}

#[test]
fn uvx_runs_the_package_that_it_installed_before() {
    let yard = Yard::new();
    let (shelf, origin) = registry("pypi", "mcp-server-time");
    let index = format!("{origin}/simple");
    let variables =
        [("UV_DEFAULT_INDEX", index.as_str()), ("UV_PYTHON_DOWNLOADS", "never"), ("UV_PYTHON", "/usr/bin/python3")];
    let command = peers::python_server("uvx").expect("the peers");
    let command = [command, vec!["mcp-server-time".to_owned()]].concat();
    once(&yard, &command.iter().map(String::as_str).collect::<Vec<_>>(), &variables);
    drop(shelf);
    yard.locked(&with_variables(&stdio_server("time", &command), &variables, "UV_DEFAULT_INDEX"));
    let told = call(&mut yard.open("time"), "get_current_time", json!({"timezone": "Asia/Tokyo"}));
    assert!(told.as_ref().is_ok_and(|told| told.contains("+09:00")), "{told:?}");
}

#[test]
fn package_that_was_never_installed_is_not_fetched() {
    let yard = Yard::new();
    let (_shelf, origin) = registry("npm", "");
    let variables = [("npm_config_registry", origin.as_str())];
    let command = ["npx", "-y", "@modelcontextprotocol/server-memory@latest"].map(ToOwned::to_owned);
    yard.configures(&with_variables(&stdio_server("memory", &command), &variables, "npm_config_registry"));
    let locked = yard.sekisho(&["lock", "--yes"]);
    assert!(!locked.status.success(), "the registry is there, and it cannot reach it: {} {}", locked.out, locked.err);
    assert!(!locked.err.contains("SK0112"), "it was started: {}", locked.err);
}
