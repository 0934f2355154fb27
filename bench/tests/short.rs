//! Every load, tiny: nothing is timed here, but every call has to be answered well, and every row has to look like one.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use sekisho_bench::usage;
use sekisho_e2e::process::Running;
use sekisho_e2e::{place, process, raw};
use serde_json::Value;

#[test]
fn every_load_runs_without_an_error_and_writes_rows() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.json");
    let mut command = Command::new(place::binary("bench").unwrap());
    command.args(["all", "--short", "--json"]).arg(&file);
    let output = process::run(&mut command, "", LIMIT).unwrap();
    assert!(output.status.success(), "{}", output.err);

    let text = std::fs::read_to_string(&file).unwrap();
    let rows: Vec<Value> = text.lines().map(|line| raw::parse(line).unwrap()).collect();
    rows.iter().for_each(check);
    let of = |key: &str| -> BTreeSet<&str> { rows.iter().filter_map(|row| row[key].as_str()).collect() };
    assert_eq!(of("load"), BTreeSet::from(LOADS));
    assert_eq!(of("target"), BTreeSet::from(["direct", "nginx", "sekisho"]));
    assert_eq!(of("protocol"), BTreeSet::from(["2025-11-25", "2026-07-28"]));
    assert_eq!(of("http"), BTreeSet::from(["h2c", "http/1.1", "tls"]));
    let corridor = rows.iter().filter(|row| row["load"] == "corridor");
    assert_eq!(corridor.count(), 3 * 3 * 3, "three payloads, three numbers of connections, three targets");
}

#[test]
fn what_was_started_ends_with_the_bench() {
    let mut command = Command::new(place::binary("bench").unwrap());
    command.args(["corridor", "--seconds", "60"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut bench = Running::start(&mut command).unwrap();
    let started = || usage::tree(&[bench.id()]).split_off(1);
    let start = Instant::now();
    while started().len() < 4 {
        assert!(start.elapsed() < LIMIT, "upstream, nginx, its worker and the gateway: {:?}", started());
        std::thread::sleep(Duration::from_millis(20));
    }
    let started = started();
    bench.signal(Signal::SIGTERM).unwrap();
    assert_eq!(bench.wait(LIMIT).unwrap().code(), Some(130));
    let start = Instant::now();
    // What has no parent any more is reaped by another process, a moment later.
    while started.iter().any(|id| usage::of(&[*id]).rss_mib > 0.0) {
        assert!(start.elapsed() < LIMIT, "one of {started:?} is still there");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_binary_that_is_missing_is_an_error() {
    let mut command = Command::new(place::binary("bench").unwrap());
    command.args(["corridor", "--short", "--binary", "old=/nowhere/sekisho"]);
    let output = process::run(&mut command, "", LIMIT).unwrap();
    assert!(!output.status.success() && output.err.contains("/nowhere/sekisho is missing"), "{}", output.err);
}

fn check(row: &Value) {
    assert_eq!(row["errors"], 0, "{row}");
    assert!(row["calls"].as_u64().is_some_and(|calls| calls > 0), "{row}");
    for text in ["load", "variant", "target", "profile", "checks", "method", "protocol", "http"] {
        assert!(row[text].is_string(), "{text} in {row}");
    }
    for number in
        ["round", "payload", "concurrency", "rps", "p50_us", "p99_us", "cpu_us_per_call", "rss_mib", "descriptors"]
    {
        assert!(row[number].as_f64().is_some_and(|number| number >= 0.0), "{number} in {row}");
    }
    let is_gateway = row["target"] == "sekisho";
    assert_eq!(row["checks"], if is_gateway { "all" } else { "none" }, "{row}");
}

const LOADS: [&str; 14] = [
    "arguments",
    "corridor",
    "flat",
    "h2",
    "life",
    "list",
    "modern",
    "servers",
    "sessions",
    "start",
    "stream",
    "tls",
    "tokens",
    "workers",
];
const LIMIT: Duration = Duration::from_secs(150);
