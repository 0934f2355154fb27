//! The log as its users see it: order, crashes, neighbours, cancelled callers.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use sekisho_audit::{Audit, Config, Event, EventKind, Follow, Level, LogDown, OpenError, Outcome, ReadError, Since};
use sekisho_audit::{find, read, render};
use sekisho_wire::Json;

fn open(dir: &Path, config: &Config) -> Result<Audit, OpenError> {
    Audit::open(dir, config, SystemTime::UNIX_EPOCH)
}

fn event(request: &str) -> Event<'_> {
    Event { request: Some(request.into()), ..Event::new(EventKind::Decision, Outcome::Permit) }
}

fn seq(record: &Json) -> i64 {
    record.get("seq").unwrap().number().unwrap().integer().unwrap()
}

fn requests(records: &[Json]) -> Vec<String> {
    records.iter().map(|record| record.get("request").unwrap().string().unwrap().into_owned()).collect()
}

fn all(dir: &Path) -> Vec<Json> {
    read(dir).unwrap().collect::<Result<_, _>>().unwrap()
}

fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().contains(ending))
        .collect();
    found.sort();
    found
}

async fn fill(dir: &Path, config: &Config, requests: &[&str]) {
    let audit = open(dir, config).unwrap();
    for request in requests {
        audit.note(event(request)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thousand_tasks_lose_nothing_and_every_proof_names_its_own_record() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("log");
    let config = Config { segment_bytes_max: 16 * 1024, ..Config::default() };
    let audit = Arc::new(open(&dir, &config).unwrap());
    let tasks: Vec<_> = (0..1000)
        .map(|number| {
            let audit = Arc::clone(&audit);
            tokio::spawn(async move {
                let first = audit.record(event(&format!("{number}-a")), number).await.unwrap().seq();
                let second = audit.record(event(&format!("{number}-b")), number).await.unwrap();
                assert!(second.seq() > first, "a task's records are in its order");
                assert_eq!(*second.get(), number);
                (first, second.seq(), second.into_inner())
            })
        })
        .collect();
    let mut claimed = Vec::new();
    for task in tasks {
        let (first, second, number) = task.await.unwrap();
        claimed.push((first, format!("{number}-a")));
        claimed.push((second, format!("{number}-b")));
    }
    claimed.sort();
    let records = all(&dir);
    let logged: Vec<_> =
        records.iter().map(|record| u64::try_from(seq(record)).unwrap()).zip(requests(&records)).collect();
    assert_eq!(claimed, logged);
    assert_eq!(logged.first().unwrap().0, 1);
    assert_eq!(logged.last().unwrap().0, 2000);
}

#[tokio::test]
async fn segments_roll_at_their_bound_and_are_named_by_their_first_record() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("log");
    let config = Config { segment_bytes_max: 300, ..Config::default() };
    fill(&dir, &config, &["a", "b", "c", "d", "e", "f", "g"]).await;
    let segments = files(&dir, ".jsonl");
    assert!(segments.len() > 1);
    let mut next = 1;
    for segment in &segments {
        assert_eq!(segment.file_name().unwrap().to_str().unwrap(), format!("{next:020}.jsonl"));
        let text = fs::read_to_string(segment).unwrap();
        assert!(text.len() <= 300);
        next += text.lines().count();
    }
    assert_eq!(requests(&all(&dir)), ["a", "b", "c", "d", "e", "f", "g"]);
    fill(&dir, &config, &["h"]).await;
    assert_eq!(seq(all(&dir).last().unwrap()), 8);
}

#[tokio::test]
async fn files_are_for_the_owner_alone() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("log");
    fill(&dir, &Config::default(), &["a"]).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&files(&dir, ".jsonl")[0]), 0o600);
}

#[test]
fn folder_that_others_can_write_to_is_refused_and_a_readable_one_is_not() {
    let home = tempfile::tempdir().unwrap();
    for (mode, refused) in [(0o775, true), (0o757, true), (0o1777, true), (0o755, false), (0o700, false)] {
        let dir = home.path().join(format!("{mode:o}"));
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).unwrap();
        let opened = open(&dir, &Config::default());
        assert_eq!(matches!(opened, Err(OpenError::Exposed { .. })), refused, "{mode:o}: {opened:?}");
    }
}

#[tokio::test]
async fn folder_in_use_is_refused_until_it_is_given_back() {
    let home = tempfile::tempdir().unwrap();
    let first = open(home.path(), &Config::default()).unwrap();
    assert!(matches!(open(home.path(), &Config::default()), Err(OpenError::InUse { .. })));
    drop(first);
    open(home.path(), &Config::default()).unwrap();
}

#[tokio::test]
async fn torn_tail_is_kept_beside_the_log_and_recorded() {
    for tail in ["{\"seq\":3,\"time\":\"20", "\0\0\0\0\0\0", "{\"seq\":3,\"ti\0\0\0\n", "\n"] {
        let home = tempfile::tempdir().unwrap();
        fill(home.path(), &Config::default(), &["a", "b"]).await;
        let segment = files(home.path(), ".jsonl").remove(0);
        fs::OpenOptions::new().append(true).open(&segment).unwrap().write_all(tail.as_bytes()).unwrap();

        fill(home.path(), &Config::default(), &["c"]).await;
        let torn = files(home.path(), ".jsonl.torn-1");
        assert_eq!(fs::read_to_string(&torn[0]).unwrap(), tail);
        let records = all(home.path());
        assert_eq!(records.iter().map(seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
        let said = render(&records[2]);
        assert!(said.contains("security noted") && said.contains(".torn-1"), "{said}");
        assert!(said.starts_with("1970-01-01T00:00:00.000000Z #3"));
    }
}

#[tokio::test]
async fn damage_before_a_record_is_refused() {
    let home = tempfile::tempdir().unwrap();
    fill(home.path(), &Config::default(), &["a", "b", "c"]).await;
    let segment = files(home.path(), ".jsonl").remove(0);
    let text = fs::read_to_string(&segment).unwrap();
    for damaged in [text.replacen("{\"seq\":2", "{\"sqe\":2", 1), text.replacen("{\"seq\":2", "{\"seq\":9", 1)] {
        fs::write(&segment, damaged).unwrap();
        assert!(matches!(open(home.path(), &Config::default()), Err(OpenError::Damaged { .. })));
    }
    fs::write(&segment, text).unwrap();
    open(home.path(), &Config::default()).unwrap();
}

#[tokio::test]
async fn caller_that_leads_and_is_cancelled_loses_nobody() {
    let home = tempfile::tempdir().unwrap();
    let audit = open(home.path(), &Config::default()).unwrap();
    tokio::select! {
        biased;
        _ = audit.record(event("cancelled"), ()) => panic!("a write cannot be done at the first poll"),
        () = std::future::ready(()) => {}
    }
    audit.note(event("next")).await.unwrap();
    assert_eq!(requests(&all(home.path())), ["cancelled", "next"]);
}

#[tokio::test]
async fn durable_level_records() {
    let home = tempfile::tempdir().unwrap();
    let config = Config { level: Level::Durable, segment_bytes_max: 200, ..Config::default() };
    fill(home.path(), &config, &["a", "b", "c"]).await;
    assert_eq!(requests(&all(home.path())), ["a", "b", "c"]);
}

#[tokio::test]
async fn segment_that_was_removed_stops_recording() {
    let home = tempfile::tempdir().unwrap();
    let audit = open(home.path(), &Config::default()).unwrap();
    audit.note(event("a")).await.unwrap();
    fs::remove_file(&files(home.path(), ".jsonl")[0]).unwrap();
    assert!(matches!(audit.note(event("b")).await, Err(LogDown::Write(_))));
    assert!(!audit.healthy());
}

#[tokio::test]
async fn closed_log_has_everything_and_takes_nothing_more() {
    let home = tempfile::tempdir().unwrap();
    let audit = open(home.path(), &Config::default()).unwrap();
    audit.note(event("a")).await.unwrap();
    audit.flush().await.unwrap();
    audit.close().await.unwrap();
    assert!(matches!(audit.note(event("b")).await, Err(LogDown::Closed)));
    assert_eq!(requests(&all(home.path())), ["a"]);
}

#[tokio::test]
async fn find_gives_the_records_of_one_request_alone() {
    let home = tempfile::tempdir().unwrap();
    fill(home.path(), &Config { segment_bytes_max: 200, ..Config::default() }, &["r1", "r2", "r1", "r11"]).await;
    let found = find(home.path(), "r1").unwrap();
    assert_eq!(found.iter().map(seq).collect::<Vec<_>>(), [1, 3]);
    assert!(find(home.path(), "r").unwrap().is_empty());
}

#[tokio::test]
async fn reader_says_what_is_missing_and_goes_on() {
    let home = tempfile::tempdir().unwrap();
    fill(home.path(), &Config::default(), &["a", "b", "c", "d"]).await;
    let segment = files(home.path(), ".jsonl").remove(0);
    let text = fs::read_to_string(&segment).unwrap();
    let kept: Vec<&str> = text.lines().collect();
    fs::write(&segment, format!("{}\nnonsense\n{}\n", kept[0], kept[3])).unwrap();
    let seen: Vec<_> = read(home.path()).unwrap().collect();
    assert_eq!(seq(seen[0].as_ref().unwrap()), 1);
    assert!(matches!(seen[1], Err(ReadError::Damaged { expected: 2, .. })));
    assert!(matches!(seen[2], Err(ReadError::Gap { expected: 3, found: 4, .. })));
    assert_eq!(seq(seen[3].as_ref().unwrap()), 4, "the record behind a gap is not lost");
    assert_eq!(seen.len(), 4);
}

#[tokio::test]
async fn follower_sees_each_record_once_across_segments() {
    let home = tempfile::tempdir().unwrap();
    let config = Config { segment_bytes_max: 250, ..Config::default() };
    let mut early = Follow::new(home.path(), Since::Start).unwrap();
    let audit = open(home.path(), &config).unwrap();
    audit.note(event("a")).await.unwrap();
    let mut late = Follow::new(home.path(), Since::Now).unwrap();
    assert!(late.poll().unwrap().is_empty());
    let mut seen = requests(&early.poll().unwrap());
    for request in ["b", "c", "d", "e"] {
        audit.note(event(request)).await.unwrap();
    }
    seen.extend(requests(&early.wait().await.unwrap()));
    assert_eq!(seen, ["a", "b", "c", "d", "e"]);
    assert_eq!(requests(&late.poll().unwrap()), ["b", "c", "d", "e"]);
    assert!(early.poll().unwrap().is_empty());
}

#[test]
fn configuration_refuses_what_it_does_not_know() {
    let toml = |text: &str| toml::from_str::<Config>(text);
    assert_eq!(toml("level = \"durable\"").unwrap().level, Level::Durable);
    assert_eq!(toml("").unwrap().level, Level::Written);
    assert!(toml("level = \"off\"").is_err());
    assert!(toml("levle = \"durable\"").is_err());
}
