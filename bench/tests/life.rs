//! Calls go on while a gateway takes over what has changed on disk, and those under way end before it does.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sekisho_bench::load::{self, Plan, Report, Stop};
use sekisho_bench::site::{People, Policies, Sekisho, Shape, Stand, Upstream};
use sekisho_bench::usage;
use sekisho_e2e::client::Era;
use sekisho_e2e::{place, raw};
use serde_json::Value;

#[test]
fn a_hundred_reloads_drop_no_call_and_a_wrong_one_changes_nothing() {
    let house = House::new(&["--delay-us", "10000"]);
    let over = Arc::new(AtomicBool::new(false));
    let calls = house.calls_until(8, &over);
    let policy = house.read("policy.cedar");
    for number in 0..RELOADS {
        if number % 10 == 9 {
            house.change("permit(principal, action", "the changed configuration is not used");
        }
        house.change(&format!("{policy}\n// {number}\n"), "the changed configuration is in use");
    }
    over.store(true, Ordering::Relaxed);
    let reports = calls.join().unwrap();
    for report in &reports {
        assert_eq!((report.errors, &report.error_kinds), (0, &Default::default()), "{}", house.stand.failed());
    }
    let calls: u64 = reports.iter().map(|report| report.calls).sum();
    assert!(calls > u64::from(RELOADS), "{calls} calls");
}

#[test]
fn calls_under_way_are_answered_before_a_gateway_that_was_told_to_stop_ends() {
    // Each answer takes a fifth of a second.
    let house = House::new(&["--delay-us", "200000"]);
    let calls = house.calls(4, Stop::Calls(4));
    house.wait_for_decisions("tools/call", 5);
    house.signal(Signal::SIGTERM);
    let report = calls.join().unwrap();
    assert_eq!((report.calls, report.errors), (4, 0), "{:?}; {}", report.error_kinds, house.stand.failed());
    house.wait_until("it has ended", || usage::of(&[house.id]).rss_mib == 0.0 || house.said("stopped"));
    let last = house.records().pop().unwrap();
    assert_eq!((&last["kind"], &last["reason"]), (&Value::from("lifecycle"), &Value::from("stopped")));
    let late = load::run(&house.stand.plan());
    assert!(late.is_err() || late.is_ok_and(|report| report.errors > 0), "nobody is served any more");
}

/// A gateway in front of an upstream.
struct House {
    stand: Stand,
    folder: PathBuf,
    id: u32,
    _upstream: Upstream,
}

impl House {
    fn new(upstream: &[&str]) -> House {
        let upstream = Upstream::start(upstream).unwrap();
        let people = People::new().unwrap();
        let shape = Shape {
            binary: place::binary("sekisho").unwrap(),
            servers: vec![("bench".to_owned(), upstream.url())],
            policies: Policies::Corridor,
            certificate: None,
            workers: None,
            payload_digest: "sha256",
        };
        let sekisho = Sekisho::start(&shape, &people).unwrap();
        let (folder, id) = (sekisho.folder().to_owned(), sekisho.id());
        let stand = Stand::sekisho("sekisho", sekisho, &["bench"], &people).unwrap();
        stand.wait(Era::Legacy).unwrap();
        House { stand, folder, id, _upstream: upstream }
    }

    /// Calls without a pause, in the background.
    fn calls(&self, connections: u32, stop: Stop) -> JoinHandle<Report> {
        let plan = Plan { connections, stop, ..self.stand.plan() };
        std::thread::spawn(move || load::run(&plan).unwrap())
    }

    /// The same until it is over, a second at a time.
    fn calls_until(&self, connections: u32, over: &Arc<AtomicBool>) -> JoinHandle<Vec<Report>> {
        let plan = Plan { connections, stop: Stop::After(Duration::from_secs(1)), ..self.stand.plan() };
        let over = Arc::clone(over);
        std::thread::spawn(move || {
            let going_on = std::iter::from_fn(|| (!over.load(Ordering::Relaxed)).then(|| load::run(&plan).unwrap()));
            going_on.take(SECONDS_MAX).collect()
        })
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.id.try_into().unwrap()), signal).unwrap();
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.folder.join(file)).unwrap()
    }

    /// Whole at any moment, as an operator's tools do it.
    fn replace(&self, file: &str, text: &str) {
        let draft = self.folder.join("draft");
        fs::write(&draft, text).unwrap();
        fs::rename(draft, self.folder.join(file)).unwrap();
    }

    fn said(&self, words: &str) -> bool {
        self.read("log").contains(words)
    }

    fn records(&self) -> Vec<Value> {
        let mut segments: Vec<PathBuf> =
            fs::read_dir(self.folder.join("data/audit")).unwrap().map(|entry| entry.unwrap().path()).collect();
        segments.retain(|path: &PathBuf| path.extension().is_some_and(|ending| ending == "jsonl"));
        segments.sort();
        segments.iter().flat_map(|segment| records_of(segment)).collect()
    }

    /// Changes the policies and waits until the gateway says `words` of it.
    fn change(&self, policy: &str, words: &str) {
        let said = || self.read("log").matches(words).count();
        let before = said();
        self.replace("policy.cedar", policy);
        self.signal(Signal::SIGHUP);
        self.wait_until(words, || said() > before);
    }

    fn wait_for_decisions(&self, method: &str, count: usize) {
        let wanted = format!("\"method\":\"{method}\"");
        self.wait_until(&format!("{count} decisions"), || {
            let is_one = |line: &&String| line.contains("\"kind\":\"decision\"") && line.contains(&wanted);
            self.lines().iter().filter(is_one).count() >= count
        });
    }

    fn lines(&self) -> Vec<String> {
        let audit = fs::read_dir(self.folder.join("data/audit")).unwrap();
        let segments = audit.map(|entry| entry.unwrap().path());
        let segments = segments.filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
        segments
            .flat_map(|segment| fs::read_to_string(segment).unwrap().lines().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    fn wait_until(&self, what: &str, is_so: impl Fn() -> bool) {
        let start = Instant::now();
        while !is_so() {
            assert!(start.elapsed() < LIMIT, "{what}: not in time; {}", self.stand.failed());
            std::thread::sleep(POLL);
        }
    }
}

fn records_of(segment: &Path) -> Vec<Value> {
    fs::read_to_string(segment).unwrap().lines().map(|line| raw::parse(line).unwrap()).collect()
}

const RELOADS: u32 = 100;
/// The calls end even if nobody says so.
const SECONDS_MAX: usize = 120;
const LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(15);
