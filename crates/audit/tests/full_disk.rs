//! A log that finds no more room, for real: the kernel's limit on file sizes lets a write succeed in part and then refuses,
//! as a full disk does, and needs no root.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use sekisho_audit::{Audit, Config, Event, EventKind, Level, LogDown, Outcome, read};

#[test]
fn full_disk_refuses_and_recording_resumes_with_room() {
    let home = tempfile::tempdir().unwrap();
    for level in ["written", "durable"] {
        // The limit holds for a whole process and signals it unless SIGXFSZ is ignored, so the test runs in a child.
        let child = Command::new("sh")
            .args(["-c", "trap '' XFSZ; exec \"$0\" --exact --ignored in_a_child_of_its_own --nocapture"])
            .arg(std::env::current_exe().unwrap())
            .env(DIR, home.path().join(level))
            .env(LEVEL, level)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout).into_owned() + &String::from_utf8_lossy(&child.stderr);
        assert!(child.status.success() && said.contains("1 passed"), "{said}");
    }
}

#[tokio::test]
#[ignore = "limits its whole process; run by full_disk_refuses_and_recording_resumes_with_room"]
async fn in_a_child_of_its_own() {
    let dir = PathBuf::from(std::env::var_os(DIR).unwrap());
    let level = if std::env::var(LEVEL).unwrap() == "durable" { Level::Durable } else { Level::Written };
    let config = Config { level, ..Config::default() };
    let audit = Audit::open(&dir, &config, SystemTime::now()).unwrap();
    let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, 4100, hard).unwrap();

    let mut recorded: u64 = 0;
    let refused = loop {
        match audit.record(event(), ()).await {
            Ok(proof) => recorded = proof.seq(),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, LogDown::Write(_)), "{refused:?}");
    assert!(!audit.healthy());
    assert!(recorded > 10);
    for _ in 0..3 {
        let asked = Instant::now();
        assert!(audit.record(event(), ()).await.is_err());
        assert!(asked.elapsed() < Duration::from_secs(2));
    }

    setrlimit(Resource::RLIMIT_FSIZE, hard, hard).unwrap();
    assert_eq!(audit.record(event(), ()).await.unwrap().seq(), recorded + 1);
    assert!(audit.healthy());
    let records: Result<Vec<_>, _> = read(&dir).unwrap().collect();
    assert_eq!(u64::try_from(records.unwrap().len()).unwrap(), recorded + 1, "no partial line, no gap");
}

fn event() -> Event<'static> {
    Event { reason: Some("x".repeat(100).into()), ..Event::new(EventKind::Decision, Outcome::Permit) }
}

const DIR: &str = "SEKISHO_TEST_DIR";
const LEVEL: &str = "SEKISHO_TEST_LEVEL";
