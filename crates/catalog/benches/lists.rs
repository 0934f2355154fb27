//! What it costs to hold what servers offer against what was approved, on one core: `cargo bench -p sekisho-catalog --bench lists`.
//! The first line is the memory that 10,000 approved tools take, which were all seen.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench ends where something is not as it should be")]

use std::time::SystemTime;

use divan::Bencher;
use sekisho_catalog::{Approvals, Catalog, Config, Identity, Lock, Locked, Pin, Unapproved};
use sekisho_wire::json::Limits;
use sekisho_wire::{Endpoint, Era, Items, Json, ListKind, ServerId, Sheets, back};

const URL: &str = "https://mcp.example.com/mcp";
/// Tools of one page.
const PAGE: usize = 2_500;
const LIMITS: Limits = Limits { bytes_max: 64 << 20, depth_max: 64, nodes_max: 10_000_000 };

fn main() {
    let before = resident();
    let catalog = catalog(&lock(10_000));
    for page in pages(&Sheets::default(), &results(10_000)) {
        learn(&catalog, &page);
        assert_eq!(shown(&catalog, &page), PAGE);
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

/// A list in pages that are as long as a page may be.
fn results(count: usize) -> Vec<Json> {
    let numbers: Vec<usize> = (0..count).collect();
    let result = |numbers: &[usize]| {
        let tools: Vec<String> = numbers.iter().copied().map(tool).collect();
        Json::decode(format!(r#"{{"tools":[{}]}}"#, tools.join(",")).into(), &LIMITS).expect("strict JSON")
    };
    numbers.chunks(PAGE).map(result).collect()
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

fn pages(sheets: &Sheets, results: &[Json]) -> Vec<Items> {
    results.iter().map(|result| back::items(sheets, ListKind::Tools, &id(), result).expect("a page")).collect()
}

fn learn(catalog: &Catalog, page: &Items) -> usize {
    catalog.learn(Era::Modern, page, SystemTime::now()).len()
}

fn learn_all(catalog: &Catalog, pages: &[Items]) -> usize {
    pages.iter().map(|page| learn(catalog, page)).sum()
}

fn shown(catalog: &Catalog, page: &Items) -> usize {
    catalog.exposed_page(&Endpoint::One(id()), page).elements().count()
}

/// A list that was seen before, as the gateway takes it in: its pages known again by their bytes, each tool held against what was approved.
#[divan::bench(args = [100, 5_000])]
fn unchanged(bencher: Bencher<'_, '_>, count: usize) {
    let (catalog, sheets, results) = (catalog(&lock(count)), Sheets::default(), results(count));
    learn_all(&catalog, &pages(&sheets, &results));
    bencher.bench_local(|| learn_all(&catalog, &pages(&sheets, &results)));
}

/// The same tools in bytes that were not seen before: each of them is read and its digest taken.
#[divan::bench(args = [100, 5_000])]
fn unchanged_in_other_bytes(bencher: Bencher<'_, '_>, count: usize) {
    let (catalog, results) = (catalog(&lock(count)), results(count));
    learn_all(&catalog, &pages(&Sheets::default(), &results));
    bencher.with_inputs(|| pages(&Sheets::default(), &results)).bench_local_refs(|pages| learn_all(&catalog, pages));
}

/// A list that is seen for the first time: the rules look at each tool, too.
#[divan::bench(args = [100, 5_000], sample_count = 10)]
fn first_seen(bencher: Bencher<'_, '_>, count: usize) {
    let (lock, results) = (lock(count), results(count));
    let pages = pages(&Sheets::default(), &results);
    bencher.with_inputs(|| catalog(&lock)).bench_local_refs(|catalog| learn_all(catalog, &pages));
}

/// A lock file, read and proven.
#[divan::bench(args = [100, 10_000], sample_count = 10)]
fn lock_file(bencher: Bencher<'_, '_>, count: usize) {
    let lock = lock(count);
    bencher.bench_local(|| Lock::read(lock.clone().into()));
}
