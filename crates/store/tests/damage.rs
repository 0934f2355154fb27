//! Files that are no store, or no longer: refused, and left as they are.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::fs;
use std::num::NonZeroU64;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use redb::{Database, TableDefinition};
use sekisho_store::{Entry, OpenError, Store, Table};

const TABLE: Table = Table::Revocations;

fn open(path: &Path) -> Result<Store, OpenError> {
    Store::open(path, NonZeroU64::new(100).unwrap())
}

fn entries() -> Vec<Entry> {
    let row = |number: u8| Entry {
        key: vec![number],
        value: vec![b'x'; 300],
        until: UNIX_EPOCH + Duration::from_secs(number.into()),
    };
    (0..40).map(row).collect()
}

/// The bytes of a store with some rows: closed, and as a killed process leaves it.
fn images() -> [(&'static str, Vec<u8>); 2] {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store.redb");
    let store = open(&path).unwrap();
    for part in entries().chunks(8) {
        store.put_all(TABLE, part).unwrap();
    }
    let killed = fs::read(&path).unwrap();
    drop(store);
    [("closed", fs::read(&path).unwrap()), ("killed", killed)]
}

/// Whether it is refused as damaged, which leaves every byte as it is and puts nothing beside it. If not, all of it is there.
fn is_refused(bytes: &[u8], what: &str) -> bool {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store.redb");
    fs::write(&path, bytes).unwrap();
    match open(&path) {
        Ok(store) => {
            assert!(store.all(TABLE).unwrap() == entries(), "{what}: opened, with other rows");
            false
        }
        Err(OpenError::Damaged { .. }) => {
            assert!(fs::read(&path).unwrap() == bytes, "{what}: the file was changed");
            assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "{what}");
            true
        }
        Err(other) => panic!("{what}: {other:?}"),
    }
}

#[test]
fn store_as_it_was_closed_or_killed_is_whole() {
    for (how, bytes) in images() {
        assert!(!is_refused(&bytes, how));
    }
}

#[test]
fn file_of_another_kind_or_of_no_length_is_refused_and_left_alone() {
    for bytes in [&b""[..], b"x", b"key = \"value\"\n", &[0; 4096], &[0xff; 100_000]] {
        assert!(is_refused(bytes, "another file"), "{} bytes", bytes.len());
    }
}

#[test]
fn folder_in_its_place_is_refused() {
    let home = tempfile::tempdir().unwrap();
    assert!(matches!(open(home.path()), Err(OpenError::Io { .. })));
}

/// What a killed process leaves may have grown by pages that hold nothing yet, so a cut there takes nothing.
#[test]
fn file_that_was_cut_is_refused_and_left_alone() {
    for (how, bytes) in images() {
        for kept in [1, 8, 9, 100, 320, 4095, 4096, 8192, bytes.len() / 2, bytes.len() - 1] {
            assert!(is_refused(&bytes[..kept], how), "{how}, {kept} of {} bytes", bytes.len());
        }
        let refused = (0..bytes.len()).step_by(4096).filter(|kept| is_refused(&bytes[..*kept], how)).count();
        assert!(refused > bytes.len() / 4096 / 2, "{how}: {refused} refused of {} pages", bytes.len() / 4096);
    }
}

#[test]
fn file_with_random_bytes_in_it_is_refused_and_left_alone() {
    let mut random = 1_u64;
    for (how, bytes) in images() {
        for start in [0, 16, 64, 192, 320] {
            let mut damaged = bytes.clone();
            for byte in &mut damaged[start..] {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *byte = random.to_be_bytes()[0];
            }
            assert!(is_refused(&damaged, how), "{how}, from {start}");
        }
    }
}

/// A bit may also lie where nothing is. The one bit that says which of the last two commits counts has no checksum in this engine:
/// where it is turned in what a killed process left, the store is as it was one commit before, which is a state that a crash can leave.
#[test]
fn store_with_one_bit_turned_is_whole_or_refused_and_left_alone() {
    for (how, bytes) in images() {
        let mut refused = 0;
        let header = (0..64).chain([9; 8]).chain((64..320).step_by(5)).zip((0..8).cycle());
        let behind_it = (320..bytes.len()).step_by(2003).zip((0..8).cycle());
        for (at, bit) in header.chain(behind_it).filter(|place| how == "closed" || *place != (9, 0)) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            refused += usize::from(is_refused(&damaged, &format!("{how}, byte {at}, bit {bit}")));
        }
        assert!(refused > 50, "{how}: {refused} refused");
    }
}

#[test]
fn store_of_a_newer_format_is_refused_and_left_alone() {
    const FORMATS: TableDefinition<&str, u32> = TableDefinition::new("sekisho");
    for (format, newer) in [(Some(2), true), (Some(0), false), (None, false)] {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("store.redb");
        let database = Database::create(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        if let Some(format) = format {
            transaction.open_table(FORMATS).unwrap().insert("format", format).unwrap();
        }
        transaction.commit().unwrap();
        drop(database);
        let before = fs::read(&path).unwrap();
        match open(&path) {
            Err(OpenError::Newer { format: 2, known: 1, .. }) => assert!(newer),
            Err(OpenError::Damaged { .. }) => assert!(!newer),
            other => panic!("{format:?}: {other:?}"),
        }
        assert!(fs::read(&path).unwrap() == before);
    }
}
