//! How servers end, and that nobody is left of them: whatever becomes of the gateway.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use sekisho_e2e::client::Era;
use sekisho_e2e::gateway::{Approved, Gateway, Setup, stdio_server};
use sekisho_e2e::line::Line;
use sekisho_e2e::servers;
use serde_json::json;

use crate::yard::{Yard, call, display, eventually, processes_with};

/// A server that leaves a daemon behind, with this word among its arguments, and then is the everything server.
fn with_daemon(yard: &Yard, word: &str) -> String {
    let command = sekisho_e2e::fixture::everything_command(&[]).expect("the fixture");
    let file = yard.at("work/server.sh");
    let daemon = format!("(setsid sh -c ': {word}; while :; do sleep 1; done' </dev/null >/dev/null 2>&1 & )");
    std::fs::write(&file, format!("#!/bin/sh\n{daemon}\nexec {}\n", command.join(" "))).expect("a script");
    let started = ["/bin/sh".to_owned(), display(&file), format!("--{word}")];
    let program = std::path::PathBuf::from(&command[0]);
    stdio_server("daemons", &started) + &sekisho_e2e::gateway::granting(&[&program], &[])
}

fn word(yard: &Yard, what: &str) -> String {
    format!("{what}-{}", display(&yard.at("")).trim_end_matches('/').rsplit('-').next().unwrap_or_default())
}

#[test]
fn gateway_that_is_killed_leaves_no_process_of_any_server() {
    let yard = Yard::new();
    let word = word(&yard, "killed");
    let mut gateway = Gateway::start(&Setup::open(&with_daemon(&yard, &word))).expect("a gateway");
    gateway.wait_for_servers(&["daemons"]).expect("a server");
    let mut client = gateway.client("daemons", Era::Legacy).expect("a client");
    assert!(client.send("tools/call", json!({"name": "test_simple_text", "arguments": {}})).is_ok());
    assert!(processes_with(&word).len() >= 2, "the server and its daemon");
    gateway.process().signal(Signal::SIGKILL).expect("killed");
    eventually("nobody is left", || processes_with(&word).is_empty());
}

#[test]
fn many_starts_and_ends_leave_no_process_mount_or_group() {
    let yard = Yard::new();
    let word = word(&yard, "many");
    yard.locked(&with_daemon(&yard, &word));
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").expect("mounts").lines().count();
    let before = mounts();
    let mut gateways = Vec::new();
    for _start in 0..50 {
        let mut line = yard.open("daemons");
        assert!(call(&mut line, "test_add", json!({"a": 2, "b": 3})).is_ok_and(|sum| sum == "5"));
        gateways.push(line.process().id());
        let ended = line.close(Duration::from_secs(20)).expect("an end");
        assert!(ended.success(), "{ended}");
    }
    assert_eq!(processes_with(&word), Vec::<u32>::new());
    assert_eq!(mounts(), before);
    let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids"];
    let left = roots.iter().filter_map(|root| std::fs::read_dir(root).ok()).flatten().filter_map(Result::ok);
    let left: Vec<String> = left.map(|group| group.file_name().to_string_lossy().into_owned()).collect();
    let is_ours = |name: &&String| gateways.iter().any(|gateway| name.starts_with(&format!("sekisho-{gateway}-")));
    assert_eq!(left.iter().find(is_ours), None);
}

#[test]
fn server_that_crashes_is_not_started_again_at_once_and_its_neighbour_goes_on() {
    let yard = Yard::new();
    let starts = yard.at("work/starts");
    let file = yard.at("work/crash.sh");
    std::fs::write(&file, format!("#!/bin/sh\necho x >> {}\nkill -SEGV $$\n", display(&starts))).expect("a script");
    let crashing = stdio_server("crashing", &["/bin/sh".to_owned(), display(&file)])
        + &sekisho_e2e::gateway::granting(&[], &[&yard.at("work")]);
    let time = servers::time("time").expect("the peers");
    let gateway = Gateway::start(&Setup::open(&(crashing + &time))).expect("a gateway");
    gateway.wait_for_servers(&["time"]).expect("its neighbour");
    let start = Instant::now();
    let mut asked = 0_u32;
    while start.elapsed() < Duration::from_secs(3) {
        let _refused = gateway.client("crashing", Era::Legacy).and_then(|mut client| client.list("tools/list"));
        asked += 1;
    }
    let started = yard.text("work/starts").lines().count();
    assert!((1..=12).contains(&started), "{started} starts for {asked} questions");
    gateway.wait_for_servers(&["time"]).expect("its neighbour");
}

#[test]
fn server_that_ignores_every_sign_is_ended() {
    let yard = Yard::new();
    let word = word(&yard, "deaf");
    let file = yard.at("work/deaf.sh");
    std::fs::write(&file, "trap '' TERM INT HUP\nwhile :; do sleep 1; done\n").expect("a script");
    let table = stdio_server("deaf", &["/bin/sh".to_owned(), display(&file), format!("--{word}")]);
    let mut gateway = Gateway::start(&Setup::open(&table).approving(Approved::OnFirstUse)).expect("a gateway");
    eventually("it is started", || {
        let _unanswered = std::thread::scope(|_| gateway.token("probe", &gateway.endpoint("deaf")));
        !processes_with(&word).is_empty()
    });
    gateway.process().signal(Signal::SIGTERM).expect("a signal");
    assert!(gateway.process().wait(Duration::from_secs(40)).is_ok(), "{}", gateway.log());
    assert_eq!(processes_with(&word), Vec::<u32>::new());
}

#[test]
fn server_whose_home_holds_more_than_it_may_is_stopped_until_it_holds_less() {
    let yard = Yard::new();
    let command = sekisho_e2e::fixture::everything_command(&[]).expect("the fixture");
    let (file, amount) = (yard.at("work/server.sh"), yard.at("work/amount"));
    let hoards = "dd if=/dev/zero of=\"$HOME/hoard\" bs=1M count=\"$(cat \"$1\")\" 2>/dev/null";
    std::fs::write(&file, format!("#!/bin/sh\n{hoards}\nexec {}\n", command.join(" "))).expect("a script");
    let started = ["/bin/sh".to_owned(), display(&file), display(&amount)];
    let program = std::path::PathBuf::from(&command[0]);
    let bound = "sandbox.home_mib_max = 16\n";
    let table = stdio_server("hoards", &started) + &sekisho_e2e::gateway::granting(&[&program], &[]) + bound;
    let adds = |line: &mut Line| call(line, "test_add", json!({"a": 2, "b": 3})).is_ok_and(|sum| sum == "5");
    std::fs::write(&amount, "8").expect("an amount");
    yard.locked(&table);
    let mut line = yard.open("hoards");
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        assert!(adds(&mut line), "it holds less than it may");
        std::thread::sleep(Duration::from_millis(100));
    }
    line.close(Duration::from_secs(20)).expect("an end");
    std::fs::write(&amount, "32").expect("an amount");
    // It may be stopped before it has answered anything.
    if let Ok(mut line) = yard.try_open("hoards") {
        eventually("it is stopped", || !adds(&mut line));
        line.close(Duration::from_secs(20)).expect("an end");
    }
    let told = yard.sekisho(&["audit", "tail"]).out;
    assert!(told.contains("it uses more than it may") && told.contains("home_mib_max"), "{told}");
    std::fs::write(&amount, "1").expect("an amount");
    std::fs::remove_file(yard.at("data/homes/hoards/hoard")).expect("what it held");
    assert!(adds(&mut yard.open("hoards")), "it holds less by now");
}

#[test]
fn server_that_is_not_confined_is_told_at_each_start() {
    let yard = Yard::new();
    let time = servers::time("time").expect("the peers");
    let gateway = |table: &str| {
        let gateway = Gateway::start(&Setup::open(table)).expect("a gateway");
        gateway.wait_for_servers(&["time"]).expect("a server");
        let status = std::process::Command::new(sekisho_e2e::place::binary("sekisho").expect("the binary"))
            .args(["status", "--json"])
            .current_dir(gateway.folder())
            .output()
            .expect("a status");
        (gateway.log(), String::from_utf8_lossy(&status.stdout).into_owned())
    };
    let (log, status) = gateway(&format!("{time}sandbox.dangerous_unconfined = true\n"));
    assert!(log.contains("dangerous_unconfined") && status.contains("dangerous_unconfined"), "{log} {status}");
    let (log, status) = gateway(&time);
    assert!(!log.contains("dangerous_unconfined") && !status.contains("dangerous_unconfined"), "{log} {status}");
    drop(yard);
}
