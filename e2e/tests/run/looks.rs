//! `why`, `status`, `sessions` and `audit tail` look through all that runs, from any folder.

use sekisho_e2e::client::Era;
use sekisho_e2e::gateway::stdio_server;
use serde_json::json;

use crate::home::{Home, adds, everything, until};

fn two() -> (Home, [Vec<String>; 2]) {
    let (one, table) = everything();
    let other = sekisho_e2e::fixture::everything_command(&["--lax"]).expect("the fixture");
    let home = Home::locked(&(table + &stdio_server("lax", &other)));
    (home, [one, other])
}

#[test]
fn every_run_is_shown_with_its_server_process_and_time_and_one_that_has_gone_is_not() {
    let (home, [one, other]) = two();
    let nothing = home.sekisho(&["status"]);
    assert!(!nothing.status.success() && nothing.err.contains("SK0301"), "{nothing:?}");
    assert!(
        nothing.err.contains("there is no `sekisho.toml` here"),
        "which configuration is used is told: {nothing:?}"
    );
    let mut first = home.open(&one, Era::Legacy);
    let mut second = home.open(&other, Era::Modern);
    assert!(adds(&mut first) && adds(&mut second));
    let status = home.sekisho(&["status"]);
    let (ours, theirs) = (first.process().id().to_string(), second.process().id().to_string());
    for part in ["stdio/1", "everything up", "stdio/2", "lax up", &ours, &theirs, "CLIENT", "SINCE"] {
        assert!(status.out.contains(part), "{part}: {status:?}");
    }
    let json = home.sekisho(&["status", "--json"]);
    let places: Vec<_> = json.out.lines().filter(|line| line.contains("\"place\":\"stdio/")).collect();
    assert_eq!(places.len(), 2, "{json:?}");
    let sessions = home.sekisho(&["sessions"]);
    assert!(sessions.out.contains("stdio/1") && !sessions.out.contains("stdio/2"), "{sessions:?}");
    let alone = home.sekisho(&["status", "--stdio", "2"]);
    assert!(alone.out.contains("lax") && !alone.out.contains("everything"), "{alone:?}");
    drop(second);
    let status = home.sekisho(&["status"]);
    assert!(status.out.contains("stdio/1") && !status.out.contains("stdio/2"), "{status:?}");
}

#[test]
fn a_refusal_is_told_by_why_from_whichever_run_it_came() {
    let (home, [one, other]) = two();
    home.permits(
        "permit(principal, action, resource);
         @id(\"no-adding\") forbid(principal, action == Sekisho::Action::\"tools/call\", resource == Sekisho::Tool::\"lax/test_add\");",
    );
    let mut first = home.open(&one, Era::Modern);
    let mut second = home.open(&other, Era::Modern);
    assert!(adds(&mut first));
    let id = second.ask("tools/call", json!({"name": "test_add", "arguments": {"a": 2, "b": 3}})).expect("sent");
    let refused = second.answer(id).expect("an answer");
    let request = refused["error"]["data"]["requestId"].as_str().expect("an id").to_owned();
    let why = home.sekisho(&["why", &request]);
    assert!(why.out.contains("no-adding") && why.out.contains("log        stdio/2"), "{why:?}");
    let unknown = home.sekisho(&["why", "0000000000000000"]);
    assert!(!unknown.status.success() && unknown.err.contains("SK0302"), "{unknown:?}");
}

#[test]
fn the_records_of_all_runs_are_shown_by_time_each_with_its_place() {
    let (home, [one, other]) = two();
    let mut first = home.open(&one, Era::Modern);
    let mut second = home.open(&other, Era::Modern);
    for _ in 0..3 {
        assert!(adds(&mut first) && adds(&mut second));
    }
    let tail = home.sekisho(&["audit", "tail", "-n", "1000", "--json"]);
    let records: Vec<serde_json::Value> =
        tail.out.lines().map(|line| sekisho_e2e::raw::parse(line).expect("a record")).collect();
    for place in ["stdio/1", "stdio/2"] {
        let calls = records.iter().filter(|record| record["log"] == place && record["item"] == "test_add").count();
        assert!(calls >= 3, "{place}: {calls} of {}", records.len());
    }
    let times: Vec<&str> = records.iter().map(|record| record["time"].as_str().expect("a time")).collect();
    assert!(times.is_sorted(), "{times:?}");
    let last = home.sekisho(&["audit", "tail", "-n", "2"]);
    assert_eq!(last.out.lines().filter(|line| line.contains("[stdio/")).count(), 2, "{last:?}");
    let alone = home.sekisho(&["audit", "tail", "-n", "1000", "--stdio", "1"]);
    assert!(alone.out.contains("test_add") && !alone.out.contains("[stdio/"), "{alone:?}");
}

#[test]
fn a_run_that_comes_later_is_followed_too() {
    let (home, [one, other]) = two();
    let _first = home.open(&one, Era::Modern);
    let file = home.path("tail");
    let mut tail = home.command(&["audit", "tail", "-f", "-n", "0"]);
    tail.stdout(std::fs::File::create(&file).expect("a file")).stdin(std::process::Stdio::null());
    let _tail = sekisho_e2e::process::Running::start(&mut tail).expect("a process");
    let mut second = home.open(&other, Era::Modern);
    until("a record of the second run", || {
        adds(&mut second) && std::fs::read_to_string(&file).is_ok_and(|text| text.contains("[stdio/2]"))
    });
}
