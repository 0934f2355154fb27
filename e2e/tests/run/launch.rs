//! Only what is pinned is started, looked at before each start.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use sekisho_e2e::client::Era;
use sekisho_e2e::gateway;
use sekisho_e2e::line::{self, Line};
use serde_json::json;

use crate::home::{Home, adds, everything, until};

/// A server that is not confined: the marks of its starts lie outside of any cage.
fn stdio_server(name: &str, command: &[String]) -> String {
    gateway::stdio_server(name, command) + "sandbox.dangerous_unconfined = true\n"
}

/// A program that is the everything server, whatever its arguments, and leaves a mark when it is started.
fn program(file: &Path) {
    fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    let server = everything().0.join(" ");
    let mark = file.with_extension("started").display().to_string();
    fs::write(file, format!("#!/bin/sh\necho > {mark}\nexec {server}\n")).expect("written");
    mode(file, 0o755);
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions");
}

fn was_started(file: &Path) -> bool {
    file.with_extension("started").exists()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A home where `tool` is looked for in `first`, then in `second`, where it is.
fn shelves(command: &[&str]) -> (Home, Vec<String>) {
    let command = words(command);
    let home = Home::new(&stdio_server("tool", &command));
    let name = command.first().expect("a program").clone();
    program(&home.path("second").join(name));
    fs::create_dir(home.path("first")).expect("a folder");
    (home, command)
}

fn with_shelves(home: &Home, mut command: Command) -> Command {
    command.env("PATH", format!("{}:{}:/usr/bin:/bin", home.path("first").display(), home.path("second").display()));
    command
}

fn said(command: &mut Command) -> (Option<i32>, String) {
    let ended = sekisho_e2e::process::run(command, "", crate::LIMIT).expect("an end");
    let text = format!("{}{}", ended.out, ended.err);
    (ended.status.code(), text.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" "))
}

fn lock(home: &Home) -> (Option<i32>, String) {
    let config = home.config().display().to_string();
    said(&mut with_shelves(home, home.command(&["lock", "--yes", "--config", &config])))
}

fn run(home: &Home, command: &[String]) -> Command {
    with_shelves(home, home.run(&[], command))
}

#[test]
fn code_in_an_argument_is_refused_until_it_is_spelled_out_and_then_told_as_a_danger() {
    let (server, _) = everything();
    let command = words(&["sh", "-c", &format!("exec {}", server.join(" "))]);
    let table = stdio_server("shell", &command);
    let home = Home::new(&table);
    let refused = home.refused(&[], &command);
    assert!(refused.contains("SK0115"), "nobody approved it: {refused}");
    let (code, refused) = lock(&home);
    assert!(code == Some(1) && refused.contains("SK0112") && refused.contains("`sh -c` runs or loads"), "{refused}");
    home.configures(&format!("{table}dangerous_launch = [\"sh -c\"]\n"));
    let (code, told) = lock(&home);
    assert!(code == Some(0) && told.contains("DANGEROUS `sh -c`"), "{told}");
    let mut client = home.open(&command, Era::Modern);
    assert!(adds(&mut client));
    let status = home.sekisho(&["status", "--stdio", "1"]);
    assert!(status.out.contains("servers.shell.dangerous_launch (sh -c)"), "{status:?}");
    // A variable does the same.
    home.configures(&format!("{table}env = {{ LD_PRELOAD = \"x.so\" }}\ndangerous_launch = [\"sh -c\"]\n"));
    let (code, refused) =
        said(&mut home.command(&["config", "check", "--config", &home.config().display().to_string()]));
    assert!(code == Some(1) && refused.contains("`LD_PRELOAD` loads other code"), "{refused}");
}

#[test]
fn a_program_that_comes_to_stand_first_in_path_is_not_run_and_the_one_that_was_found_goes_on() {
    let (home, command) = shelves(&["tool", "--stdio"]);
    assert_eq!(lock(&home).0, Some(0));
    let mut client = Line::open(&mut run(&home, &command), Era::Legacy, json!({})).expect("a client");
    assert!(adds(&mut client));
    program(&home.path("first/tool"));
    let (code, refused) = said(&mut run(&home, &command));
    assert!(code == Some(1) && refused.contains("SK0115"), "{refused}");
    assert!(refused.contains("the file of its program changed"), "{refused}");
    // Whoever runs already starts what it found.
    let hello =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "n", "version": "1"}});
    client.request("initialize", hello).expect("another session, and another process");
    client.notify("notifications/initialized", json!({})).expect("sent");
    assert!(adds(&mut client));
    assert!(!was_started(&home.path("first/tool")));
    fs::remove_file(home.path("first/tool")).expect("removed");
    assert!(adds(&mut Line::open(&mut run(&home, &command), Era::Modern, json!({})).expect("a client")));
}

#[test]
fn a_program_in_a_folder_that_others_can_write_to_is_not_started() {
    let (home, command) = shelves(&["tool", "--stdio"]);
    assert_eq!(lock(&home).0, Some(0));
    fs::remove_file(home.path("second/tool.started")).expect("a mark");
    mode(&home.path("second"), 0o777);
    let (_, refused) = said(&mut run(&home, &command));
    assert!(refused.contains("SK0115"), "{refused}");
    let (_, refused) = lock(&Home::new(&stdio_server("tool", &command)));
    assert!(refused.contains("`tool` is in no folder of `PATH`"), "{refused}");
    assert!(!was_started(&home.path("second/tool")));
    mode(&home.path("second"), 0o755);
    assert!(adds(&mut Line::open(&mut run(&home, &command), Era::Modern, json!({})).expect("a client")));
}

#[test]
fn a_program_that_is_replaced_while_its_server_runs_is_not_started_again_and_why_tells_it() {
    let command = words(&["./tool", "--stdio"]);
    let home = Home::new(&stdio_server("tool", &command));
    let tool = home.config().with_file_name("tool");
    program(&tool);
    home.lock();
    let mut client = home.open(&command, Era::Legacy);
    assert!(adds(&mut client));
    let before = fs::read(&tool).expect("a file");
    let mut other = before.clone();
    other.extend_from_slice(b"\n");
    fs::write(&tool, other).expect("written");
    let hello =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "n", "version": "1"}});
    client.request("initialize", hello.clone()).expect("a session");
    client.notify("notifications/initialized", json!({})).expect("sent");
    let id = client.ask("tools/call", json!({"name": "test_add", "arguments": {"a": 2, "b": 3}})).expect("sent");
    let refused = client.answer(id).expect("an answer");
    let request = refused["error"]["data"]["requestId"].as_str().unwrap_or_else(|| panic!("{refused}")).to_owned();
    let why = home.sekisho(&["why", &request]);
    assert!(why.out.contains("the file of its program is not the one that was approved"), "{why:?}");
    assert!(home.log_of(1).contains("\"kind\":\"security\""), "{}", home.log_of(1));
    fs::write(&tool, before).expect("written");
    client.request("initialize", hello).expect("a session");
    client.notify("notifications/initialized", json!({})).expect("sent");
    until("it is started again", || adds(&mut client));
}

#[test]
fn a_server_that_nobody_has_approved_is_not_started_beside_one_that_is() {
    let (one, other) = (words(&["./one"]), words(&["./other"]));
    let home = Home::new(&stdio_server("one", &one));
    let files = ["one", "other"].map(|name| home.config().with_file_name(name));
    files.iter().for_each(|file| program(file));
    home.lock();
    fs::remove_file(home.config().with_file_name("one.started")).expect("a mark");
    home.configures(&(stdio_server("one", &one) + &stdio_server("other", &other)));
    let mut all = Line::open(&mut line::command(&home.config(), None).expect("a command"), Era::Modern, json!({}))
        .expect("a client");
    let sum = all.call("one__test_add", json!({"a": 2, "b": 3})).expect("a result");
    assert_eq!(crate::home::text(&sum), "5");
    let status = home.sekisho(&["status", "--stdio", "1"]);
    assert!(status.out.contains("it is not started: nobody has approved it"), "{status:?}");
    assert_eq!(files.each_ref().map(|file| was_started(file)), [true, false]);
    // Approved meanwhile, it is started without a restart.
    home.lock();
    until("the other one answers", || all.call("other__test_add", json!({"a": 2, "b": 3})).is_ok());
}

#[test]
fn what_is_known_of_a_package_is_shown_before_it_runs() {
    let (home, _) = shelves(&["npx", "-y", "left-pad"]);
    let (code, told) = lock(&home);
    assert_eq!(code, Some(0), "{told}");
    let at = |part: &str| told.find(part).unwrap_or_else(|| panic!("{part} in {told}"));
    assert!(at("package `left-pad` of npm in no version") < at("asking tool what they offer"), "{told}");
    assert!(at("pin it as `left-pad@1.2.3`") < at("asking tool what they offer"), "{told}");
    assert!(told.contains(&format!("runs {}", home.path("second/npx").display())), "{told}");
    let (home, _) = shelves(&["npx", "-y", "left-pad@1.3.0"]);
    let (_, told) = lock(&home);
    assert!(told.contains("version 1.3.0") && !told.contains("in no version"), "{told}");
}
