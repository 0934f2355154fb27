//! The store as its users see it: what lasts, and what is refused.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::fs;
use std::num::NonZeroU64;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sekisho_store::{Entry, KEY_BYTES_MAX, OpenError, PutError, Store, Table, VALUE_BYTES_MAX, WriteError};

const TABLE: Table = Table::Revocations;

fn open(path: &Path) -> Result<Store, OpenError> {
    open_for(path, 100)
}

fn open_for(path: &Path, entries_max: u64) -> Result<Store, OpenError> {
    Store::open(path, NonZeroU64::new(entries_max).unwrap())
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn entry(key: &str, value: &str, until: SystemTime) -> Entry {
    Entry { key: key.into(), value: value.into(), until }
}

fn home() -> (tempfile::TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store.redb");
    (home, path)
}

fn names_in(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn what_was_put_is_there_when_opened_again_and_what_was_removed_is_not() {
    let (_home, path) = home();
    let store = open(&path).unwrap();
    assert_eq!(store.all(TABLE).unwrap(), []);
    let odd = at(10) + Duration::from_nanos(1);
    store.put(TABLE, b"b", b"two", at(20)).unwrap();
    store.put(TABLE, b"a", b"one", odd).unwrap();
    store.put(TABLE, b"c", b"three", at(30)).unwrap();
    store.put(TABLE, b"", b"", UNIX_EPOCH - Duration::from_secs(1)).unwrap();
    store.remove(TABLE, b"c").unwrap();
    store.remove(TABLE, b"never there").unwrap();
    let expected = [entry("", "", UNIX_EPOCH), entry("a", "one", odd), entry("b", "two", at(20))];
    assert_eq!(store.all(TABLE).unwrap(), expected);
    drop(store);
    let store = open(&path).unwrap();
    assert_eq!(store.all(TABLE).unwrap(), expected);
    assert!(store.healthy());
}

#[test]
fn file_is_for_the_owner_alone_and_stands_by_itself() {
    let (home, path) = home();
    let store = open(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    drop(store);
    assert_eq!(names_in(home.path()), ["store.redb"]);
}

#[test]
fn file_that_others_can_change_is_refused_and_one_that_they_can_read_is_not() {
    let (_home, path) = home();
    drop(open(&path).unwrap());
    for (mode, refused) in [(0o660, true), (0o602, true), (0o644, false), (0o600, false)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let opened = open(&path);
        assert_eq!(matches!(opened, Err(OpenError::Exposed { .. })), refused, "{mode:o}: {opened:?}");
        assert_eq!(opened.is_ok(), !refused);
    }
}

#[test]
fn store_in_use_is_refused_until_it_is_given_back() {
    let (_home, path) = home();
    let first = open(&path).unwrap();
    assert!(matches!(open(&path), Err(OpenError::InUse { .. })));
    first.put(TABLE, b"a", b"", at(1)).unwrap();
    drop(first);
    assert_eq!(open(&path).unwrap().all(TABLE).unwrap().len(), 1);
}

#[test]
fn folder_that_is_missing_is_not_made() {
    let home = tempfile::tempdir().unwrap();
    assert!(matches!(open(&home.path().join("none/store.redb")), Err(OpenError::Io { .. })));
    assert_eq!(names_in(home.path()), [""; 0]);
}

#[test]
fn link_to_a_store_is_followed_and_one_to_nothing_is_refused() {
    let (home, path) = home();
    let link = home.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(matches!(open(&link), Err(OpenError::Io { .. })));
    assert_eq!(names_in(home.path()), ["link"]);
    open(&path).unwrap().put(TABLE, b"a", b"", at(1)).unwrap();
    assert_eq!(open(&link).unwrap().all(TABLE).unwrap().len(), 1);
}

#[test]
fn store_that_a_crash_left_half_made_is_made_anew_and_one_that_is_being_made_is_in_use() {
    let (home, path) = home();
    fs::write(home.path().join("store.redb.new"), "half a st").unwrap();
    open(&path).unwrap().put(TABLE, b"a", b"", at(1)).unwrap();
    assert_eq!(names_in(home.path()), ["store.redb"]);
    fs::remove_file(&path).unwrap();

    let other = fs::File::create(home.path().join("store.redb.new")).unwrap();
    other.try_lock().unwrap();
    assert!(matches!(open(&path), Err(OpenError::InUse { .. })));
}

#[test]
fn key_at_its_bound_is_taken_and_one_past_it_is_refused() {
    let (_home, path) = home();
    let store = open(&path).unwrap();
    store.put(TABLE, &[7; KEY_BYTES_MAX], b"", at(1)).unwrap();
    let refused = store.put(TABLE, &[7; KEY_BYTES_MAX + 1], b"", at(1));
    assert!(matches!(refused, Err(PutError::KeyTooLong { bytes: 1025 })), "{refused:?}");
    assert_eq!(store.all(TABLE).unwrap().len(), 1);
    store.remove(TABLE, &[7; KEY_BYTES_MAX + 1]).unwrap();
}

#[test]
fn value_at_its_bound_is_taken_and_one_past_it_is_refused() {
    let (_home, path) = home();
    let store = open(&path).unwrap();
    store.put(TABLE, b"a", &[7; VALUE_BYTES_MAX], at(1)).unwrap();
    let refused = store.put(TABLE, b"a", &[8; VALUE_BYTES_MAX + 1], at(1));
    assert!(matches!(refused, Err(PutError::ValueTooLong { bytes: 65_537 })), "{refused:?}");
    assert_eq!(store.all(TABLE).unwrap()[0].value, [7; VALUE_BYTES_MAX]);
    assert!(store.healthy(), "a refusal says nothing of the disk");
}

#[test]
fn full_table_takes_no_other_key_but_what_it_knows_until_there_is_room() {
    let (_home, path) = home();
    let store = open_for(&path, 2).unwrap();
    store.put(TABLE, b"a", b"", at(1)).unwrap();
    store.put(TABLE, b"b", b"", at(2)).unwrap();
    let refused = store.put(TABLE, b"c", b"", at(3));
    assert!(matches!(refused, Err(PutError::Full { table: TABLE, .. })), "{refused:?}");
    store.put(TABLE, b"a", b"changed", at(1)).unwrap();
    assert_eq!(store.sweep(at(2)).unwrap(), 1);
    store.put(TABLE, b"c", b"", at(3)).unwrap();
    assert_eq!(store.all(TABLE).unwrap(), [entry("b", "", at(2)), entry("c", "", at(3))]);
    assert!(store.healthy());
    drop(store);

    let smaller = open_for(&path, 1).unwrap();
    assert_eq!(smaller.all(TABLE).unwrap().len(), 2, "a lower limit takes nothing away");
    smaller.put(TABLE, b"c", b"still taken", at(3)).unwrap();
    assert!(matches!(smaller.put(TABLE, b"d", b"", at(4)), Err(PutError::Full { .. })));
}

#[test]
fn many_are_put_all_or_none() {
    let (_home, path) = home();
    let store = open_for(&path, 2).unwrap();
    store.put_all(TABLE, &[]).unwrap();
    let three = ["a", "b", "c"].map(|key| entry(key, "", at(1)));
    assert!(matches!(store.put_all(TABLE, &three), Err(PutError::Full { .. })));
    let long = Entry { key: vec![0; KEY_BYTES_MAX + 1], ..entry("", "", at(1)) };
    assert!(matches!(store.put_all(TABLE, &[entry("a", "", at(1)), long]), Err(PutError::KeyTooLong { .. })));
    assert_eq!(store.all(TABLE).unwrap(), []);
    store.put_all(TABLE, &[entry("a", "first", at(2)), entry("b", "", at(1)), entry("a", "last", at(1))]).unwrap();
    drop(store);
    assert_eq!(open(&path).unwrap().all(TABLE).unwrap(), [entry("a", "last", at(2)), entry("b", "", at(1))]);
}

#[test]
fn until_goes_on_and_never_back() {
    let (_home, path) = home();
    let store = open(&path).unwrap();
    let known = || store.all(TABLE).unwrap();
    store.put(TABLE, b"a", b"one", at(20)).unwrap();
    store.put(TABLE, b"a", b"two", at(10)).unwrap();
    assert_eq!(known(), [entry("a", "two", at(20))], "the value is replaced, the time kept");
    store.put(TABLE, b"a", b"two", at(20) - Duration::from_nanos(1)).unwrap();
    assert_eq!(known(), [entry("a", "two", at(20))]);
    store.put(TABLE, b"a", b"two", at(20) + Duration::from_nanos(1)).unwrap();
    assert_eq!(known(), [entry("a", "two", at(20) + Duration::from_nanos(1))]);
    store.remove(TABLE, b"a").unwrap();
    store.put(TABLE, b"a", b"", at(5)).unwrap();
    assert_eq!(known(), [entry("a", "", at(5))], "what was taken out has no time that it could keep");
}

#[test]
fn sweep_keeps_a_row_at_its_moment_and_drops_it_one_past_it() {
    let (_home, path) = home();
    let store = open(&path).unwrap();
    store.put(TABLE, b"a", b"", at(10)).unwrap();
    store.put(TABLE, b"b", b"", at(11)).unwrap();
    assert_eq!(store.sweep(at(10)).unwrap(), 0);
    assert_eq!(store.all(TABLE).unwrap().len(), 2);
    assert_eq!(store.sweep(at(10) + Duration::from_nanos(1)).unwrap(), 1);
    drop(store);
    let store = open(&path).unwrap();
    assert_eq!(store.all(TABLE).unwrap(), [entry("b", "", at(11))]);
    assert_eq!(store.sweep(UNIX_EPOCH - Duration::from_secs(1)).unwrap(), 0);
    assert_eq!(store.sweep(at(u64::MAX >> 2)).unwrap(), 1);
}

#[test]
fn latest_time_that_there_is_comes_back_as_it_was() {
    let (_home, path) = home();
    let store = open(&path).unwrap();
    let mut latest = UNIX_EPOCH;
    for step in (0..64).rev().map(|bit| Duration::from_secs(1 << bit)).chain([Duration::from_nanos(999_999_999)]) {
        latest = latest.checked_add(step).unwrap_or(latest);
    }
    store.put(TABLE, b"a", b"", latest).unwrap();
    assert_eq!(store.all(TABLE).unwrap()[0].until, latest);
}

#[test]
fn what_is_there_already_is_not_written_again() {
    let (_home, path) = home();
    let store = open(&path).unwrap();
    store.put(TABLE, b"a", b"one", at(20)).unwrap();
    let before = fs::read(&path).unwrap();
    store.put(TABLE, b"a", b"one", at(20)).unwrap();
    store.put(TABLE, b"a", b"one", at(10)).unwrap();
    store.remove(TABLE, b"b").unwrap();
    assert_eq!(store.sweep(at(20)).unwrap(), 0);
    assert!(fs::read(&path).unwrap() == before);
    store.put(TABLE, b"a", b"two", at(10)).unwrap();
    assert!(fs::read(&path).unwrap() != before);
}

#[test]
fn file_that_was_removed_takes_nothing_more() {
    let (_home, path) = home();
    let store = open(&path).unwrap();
    store.put(TABLE, b"a", b"", at(1)).unwrap();
    fs::remove_file(&path).unwrap();
    for _ in 0..2 {
        assert!(matches!(store.put(TABLE, b"b", b"", at(1)), Err(PutError::Write(WriteError::Write { .. }))));
        assert!(!store.healthy());
    }
}

#[test]
fn many_threads_lose_nothing() {
    let (_home, path) = home();
    let store = open(&path).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..8 {
                    store.put(TABLE, &[thread, number], b"x", at(1)).unwrap();
                }
            });
        }
    });
    drop(store);
    assert_eq!(open(&path).unwrap().all(TABLE).unwrap().len(), 32);
}

#[test]
fn no_byte_of_a_row_is_shown_for_debugging() {
    assert_eq!(
        format!("{:?}", entry("key", "value", UNIX_EPOCH)),
        "Entry { key: 3 bytes, value: 5 bytes, until: SystemTime { tv_sec: 0, tv_nsec: 0 } }"
    );
}
