//! What it costs to hold what servers offer against what was approved, on one core: `cargo bench -p sekisho-catalog --bench lists`.
//! The first line is the memory that 10,000 approved tools take, which were all seen.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench ends where something is not as it should be")]

use std::time::SystemTime;

use divan::Bencher;
use sekisho_catalog::{Approvals, Catalog, Config, Identity, Lock, Locked, Pin, Unapproved};
use sekisho_wire::json::Limits;
use sekisho_wire::{Endpoint, Era, Items, Json, ListKind, ServerId, Sheets, back};

const URL: &str = "https://mcp.example.com/mcp";
const LIMITS: Limits = Limits { bytes_max: 64 << 20, depth_max: 64, nodes_max: 10_000_000 };

fn main() {
    let before = resident();
    let catalog = catalog(&lock(10_000));
    // As many as one page may have, twice.
    for from in [0, 5_000] {
        let page = page(&Sheets::default(), &result(from..from + 5_000));
        learn(&catalog, &page);
        assert_eq!(shown(&catalog, &page), 5_000);
    }
    println!("10,000 approved tools that were seen: {} KiB", resident() - before);
    divan::main();
}

/// Memory of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}

fn id() -> ServerId {
    ServerId::parse("notes").expect("a name")
}

/// A tool as servers have them: about 700 bytes, three arguments.
fn tool(number: usize) -> String {
    format!(
        r#"{{"name":"tool_{number}","title":"Tool {number}","description":"Searches the records of collection {number} and returns those that match, newest first. Dates are inclusive; without them everything is searched. At most 100 records are returned at once.","inputSchema":{{"type":"object","properties":{{"query":{{"type":"string","description":"Words that a record must have"}},"since":{{"type":"string","description":"The first day, such as 2026-01-31"}},"limit":{{"type":"integer","minimum":1,"maximum":100,"default":20,"description":"How many records"}}}},"required":["query"],"additionalProperties":false}},"annotations":{{"readOnlyHint":true}}}}"#
    )
}

fn result(numbers: std::ops::Range<usize>) -> Json {
    let tools: Vec<String> = numbers.map(tool).collect();
    Json::decode(format!(r#"{{"tools":[{}]}}"#, tools.join(",")).into(), &LIMITS).expect("strict JSON")
}

fn lock(count: usize) -> String {
    let mut locked = Locked::new(Identity::Http { url: URL.into(), headers: Vec::new() });
    for number in 0..count {
        let definition = Json::decode(tool(number).into(), &LIMITS).expect("strict JSON");
        let pin = Pin::of(&id(), ListKind::Tools, &definition, Vec::new()).expect("a tool");
        locked.approve(ListKind::Tools, &format!("tool_{number}"), vec![pin]);
    }
    let mut lock = Lock::default();
    lock.put(id(), locked);
    lock.to_text()
}

fn catalog(lock: &str) -> Catalog {
    let config: Config = toml::from_str(&format!("[servers.notes]\nurl = '{URL}'")).expect("a configuration");
    let lock = Lock::read(lock.to_owned().into()).expect("a lock file");
    Catalog::new(&config, &Approvals::new(lock, [].into(), Unapproved::Withheld), None).expect("a server")
}

fn page(sheets: &Sheets, result: &Json) -> Items {
    back::items(sheets, ListKind::Tools, &id(), result).expect("a page")
}

fn learn(catalog: &Catalog, page: &Items) -> usize {
    catalog.learn(Era::Modern, page, SystemTime::now()).len()
}

fn shown(catalog: &Catalog, page: &Items) -> usize {
    catalog.exposed_page(&Endpoint::One(id()), page).elements().count()
}

/// A list that was seen before, as the gateway takes it in: its page known again by its bytes, each tool held against what was approved.
#[divan::bench(args = [100, 5_000])]
fn unchanged(bencher: Bencher<'_, '_>, count: usize) {
    let (catalog, sheets, result) = (catalog(&lock(count)), Sheets::default(), result(0..count));
    learn(&catalog, &page(&sheets, &result));
    bencher.bench_local(|| learn(&catalog, &page(&sheets, &result)));
}

/// The same tools in bytes that were not seen before: each of them is read and its digest taken.
#[divan::bench(args = [100, 5_000])]
fn unchanged_in_other_bytes(bencher: Bencher<'_, '_>, count: usize) {
    let (catalog, result) = (catalog(&lock(count)), result(0..count));
    learn(&catalog, &page(&Sheets::default(), &result));
    bencher.with_inputs(|| page(&Sheets::default(), &result)).bench_local_refs(|page| learn(&catalog, page));
}

/// A list that is seen for the first time: the rules look at each tool, too.
#[divan::bench(args = [100, 5_000], sample_count = 10)]
fn first_seen(bencher: Bencher<'_, '_>, count: usize) {
    let (lock, result) = (lock(count), result(0..count));
    let page = page(&Sheets::default(), &result);
    bencher.with_inputs(|| catalog(&lock)).bench_local_refs(|catalog| learn(catalog, &page));
}

/// A lock file, read and proven.
#[divan::bench(args = [100, 10_000], sample_count = 10)]
fn lock_file(bencher: Bencher<'_, '_>, count: usize) {
    let lock = lock(count);
    bencher.bench_local(|| Lock::read(lock.clone().into()));
}
