//! What other processes do to a store, and what happens to their own: killed, kept out, without room. The processes are this test binary.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::io::{BufRead, BufReader};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use sekisho_store::{OpenError, PutError, Store, Table};

const TABLE: Table = Table::Revocations;

fn open(path: &Path) -> Result<Store, OpenError> {
    Store::open(path, NonZeroU64::new(10_000).unwrap())
}

fn value(number: u64) -> Vec<u8> {
    vec![number.to_be_bytes()[7]; usize::try_from(number % 700).unwrap()]
}

fn until(number: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(number)
}

#[test]
fn every_row_that_was_answered_for_outlives_a_kill() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store.redb");
    let mut answered = 0;
    for round in 1..=12 {
        let mut child = child("puts_until_it_is_killed", &path).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let enough = answered + round;
        while answered < enough {
            answered = next_answer(&mut said).expect("the child puts until it is killed");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        while let Some(number) = next_answer(&mut said) {
            answered = number;
        }

        let store = open(&path).unwrap();
        let rows = store.all(TABLE).unwrap();
        let count = u64::try_from(rows.len()).unwrap();
        assert!(count == answered || count == answered + 1, "{count} rows, {answered} answered for");
        for (row, number) in rows.iter().zip(1..) {
            assert_eq!(row.key, u64::to_be_bytes(number));
            assert!(row.value == value(number) && row.until == until(number), "row {number}");
        }
        answered = count;
    }
}

#[test]
#[ignore = "runs until it is killed, by every_row_that_was_answered_for_outlives_a_kill"]
fn puts_until_it_is_killed() {
    let store = open(&told_path()).unwrap();
    let first = store.all(TABLE).unwrap().len() + 1;
    for number in u64::try_from(first).unwrap().. {
        store.put(TABLE, &number.to_be_bytes(), &value(number), until(number)).unwrap();
        println!("answered {number}");
    }
}

#[test]
fn store_that_another_process_holds_is_refused_there_and_free_after_a_kill() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store.redb");
    let store = open(&path).unwrap();
    store.put(TABLE, b"a", b"", until(1)).unwrap();
    let succeeded = |child: &mut Command| child.output().unwrap().status.success();
    assert!(succeeded(&mut child("finds_the_store_in_use", &path)));
    store.put(TABLE, b"b", b"", until(1)).unwrap();
    drop(store);
    assert!(!succeeded(&mut child("finds_the_store_in_use", &path)), "it is free now");

    let mut holder = child("puts_until_it_is_killed", &path).stdout(Stdio::piped()).spawn().unwrap();
    next_answer(&mut BufReader::new(holder.stdout.take().unwrap())).unwrap();
    assert!(matches!(open(&path), Err(OpenError::InUse { .. })));
    holder.kill().unwrap();
    holder.wait().unwrap();
    open(&path).unwrap();
}

#[test]
#[ignore = "needs a store in use; run by store_that_another_process_holds_is_refused_there_and_free_after_a_kill"]
fn finds_the_store_in_use() {
    assert!(matches!(open(&told_path()), Err(OpenError::InUse { .. })));
}

/// The kernel's limit on file sizes lets a file grow up to it and then refuses, as a full disk does, and needs no root.
#[test]
fn store_without_room_says_so_and_heals_with_the_next_row_that_fits() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store.redb");
    let shell = "trap '' XFSZ; exec \"$0\" --exact --ignored fills_its_disk --nocapture";
    let child =
        Command::new("sh").args(["-c", shell]).arg(std::env::current_exe().unwrap()).env(PATH, &path).output().unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned() + &String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "limits its whole process; run by store_without_room_says_so_and_heals_with_the_next_row_that_fits"]
fn fills_its_disk() {
    let path = told_path();
    let store = open(&path).unwrap();
    let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, 1024 * 1024, hard).unwrap();

    let large = vec![7; 30_000];
    let mut kept = 0_u8;
    let refused = loop {
        match store.put(TABLE, &[kept], &large, until(1)) {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, PutError::Write(_)), "{refused:?}");
    assert!(kept > 5, "{kept}");
    assert!(!store.healthy());
    for _ in 0..3 {
        assert!(store.put(TABLE, b"more", &large, until(1)).is_err());
        assert!(!store.healthy());
    }
    let keys = || store.all(TABLE).unwrap().into_iter().map(|row| row.key).collect::<Vec<_>>();
    for number in 0..kept {
        assert!(keys().contains(&vec![number]), "what was answered for is there while the disk is full");
    }
    assert!(!store.healthy(), "to read says nothing of writing");

    setrlimit(Resource::RLIMIT_FSIZE, hard, hard).unwrap();
    store.put(TABLE, b"more", &large, until(1)).unwrap();
    assert!(store.healthy());
    assert!(keys().contains(&b"more".to_vec()));
    let rows = store.all(TABLE).unwrap();
    drop(store);
    assert!(open(&path).unwrap().all(TABLE).unwrap() == rows);
}

/// This test binary, to run one of the tests that are ignored.
fn child(test: &str, path: &Path) -> Command {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "--ignored", "--nocapture", test]).env(PATH, path);
    child
}

fn told_path() -> PathBuf {
    std::env::var_os(PATH).unwrap().into()
}

/// The number that the child says next; the frame of the test is passed over. What a kill cut off was not said.
fn next_answer(said: &mut impl BufRead) -> Option<u64> {
    loop {
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        if !line.ends_with('\n') {
            return None;
        }
        if let Some((_, number)) = line.trim_end().split_once("answered ") {
            return Some(number.parse().unwrap());
        }
    }
}

const PATH: &str = "SEKISHO_TEST_PATH";
