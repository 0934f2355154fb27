//! What no outsider can make happen: power that goes, a flush that fails, a panic inside.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use redb::StorageBackend;

use super::*;

const TABLE: Table = Table::Revocations;
const MANY: NonZeroU64 = NonZeroU64::new(1000).unwrap();

fn open(path: &Path) -> Store {
    Store::open(path, MANY).unwrap()
}

fn entry(number: u8) -> Entry {
    // Some of them make the file grow.
    let value = vec![number; usize::from(number) * 4000];
    Entry { key: vec![number], value, until: UNIX_EPOCH + Duration::from_secs(number.into()) }
}

fn put(store: &Store, Entry { key, value, until }: &Entry) -> Result<(), PutError> {
    store.put(TABLE, key, value, *until)
}

#[derive(Debug, Clone)]
enum Op {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
}

/// A disk in memory that remembers what was done to it.
#[derive(Debug, Clone)]
struct Journal(Arc<Mutex<(Vec<u8>, Vec<Op>)>>);

impl Journal {
    fn done(&self) -> Vec<Op> {
        self.0.lock().unwrap().1.clone()
    }

    fn add(&self, op: Op) {
        let (bytes, ops) = &mut *self.0.lock().unwrap();
        apply(bytes, &op);
        ops.push(op);
    }
}

fn apply(bytes: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Write(at, written) => {
            let at = usize::try_from(*at).unwrap();
            bytes.resize(bytes.len().max(at + written.len()), 0);
            bytes[at..at + written.len()].copy_from_slice(written);
        }
        Op::SetLen(len) => bytes.resize(usize::try_from(*len).unwrap(), 0),
        Op::Sync => {}
    }
}

impl StorageBackend for Journal {
    fn len(&self) -> io::Result<u64> {
        Ok(u64::try_from(self.0.lock().unwrap().0.len()).unwrap())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        let bytes = &self.0.lock().unwrap().0;
        out.copy_from_slice(bytes.get(at..at + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.add(Op::SetLen(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.add(Op::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.add(Op::Write(offset, bytes.to_vec()));
        Ok(())
    }
}

/// Wherever the power goes: what was flushed is on the disk, and of what was written since, any part.
#[test]
fn every_row_that_was_answered_for_outlives_a_loss_of_power() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store.redb");
    drop(open(&path));
    let empty = fs::read(&path).unwrap();
    let journal = Journal(Arc::new(Mutex::new((empty.clone(), Vec::new()))));
    let database = engine::database(journal.clone()).unwrap();
    let mut answered = Vec::new();
    for number in 1..=6 {
        let done = rows::put(&database, TABLE, &[entry(number)], MANY, Idle::Skip).unwrap();
        assert!(matches!(done, Done::Committed(Room::Enough)));
        answered.push(journal.done().len());
    }
    let ops = journal.done();

    let mut random = 1_u64;
    for (gone, luck) in (0..=ops.len()).flat_map(|gone| [(gone, 0), (gone, 2), (gone, 4)]) {
        let flushed = ops[..gone].iter().rposition(|op| matches!(op, Op::Sync)).unwrap_or(0);
        let mut bytes = empty.clone();
        for (number, op) in ops[..gone].iter().enumerate() {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let written = number < flushed || matches!(op, Op::SetLen(_)) || (random >> 62) < luck;
            if written {
                apply(&mut bytes, op);
            }
        }
        fs::write(&path, &bytes).unwrap();
        let rows = open(&path).all(TABLE).unwrap();
        let due = answered.iter().filter(|len| **len <= gone).count();
        assert!(rows.len() == due || rows.len() == due + 1, "{} rows, {due} due, gone at {gone}", rows.len());
        for (row, number) in rows.iter().zip(1..) {
            assert!(*row == entry(number), "gone at {gone}");
        }
    }
}

#[test]
fn flush_that_fails_is_said_and_the_next_one_starts_from_what_is_on_the_disk() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store.redb");
    let store = open(&path);
    put(&store, &entry(1)).unwrap();
    let mut failed = 0;
    for flushes in 0..4 {
        assert!(store.healthy() && store.disk.is_certain());
        let number = u8::try_from(flushes).unwrap() + 2;
        store.disk.fail_after(flushes);
        let written = put(&store, &entry(number));
        if let Err(error) = written {
            failed += 1;
            assert!(matches!(error, PutError::Write(WriteError::Write { .. })), "{error:?}");
            assert!(!store.healthy() && !store.disk.is_certain());
            store.disk.fail_after(0);
            assert!(matches!(put(&store, &entry(1)), Err(PutError::Write(WriteError::Reopen(_)))));
            assert!(matches!(store.all(TABLE), Err(ReadError::Reopen(_))));
        }
        store.disk.fail_after(u32::MAX);
        put(&store, &entry(number)).unwrap();
        assert!(store.healthy(), "also where the row had been written all the same");
        assert!(store.disk.is_certain());
        let expected: Vec<_> = (1..=number).map(entry).collect();
        assert_eq!(store.all(TABLE).unwrap(), expected);
    }
    assert!(failed >= 2, "{failed}");
    let rows = store.all(TABLE).unwrap();
    drop(store);
    assert_eq!(open(&path).all(TABLE).unwrap(), rows);
}

#[test]
fn write_that_changes_nothing_tries_the_disk_in_earnest_after_a_failure() {
    let home = tempfile::tempdir().unwrap();
    let store = open(&home.path().join("store.redb"));
    put(&store, &entry(1)).unwrap();
    store.disk.fail_after(0);
    put(&store, &entry(1)).unwrap();
    assert!(store.healthy(), "nothing was to be written");
    put(&store, &entry(2)).unwrap_err();
    store.disk.fail_after(u32::MAX);
    store.all(TABLE).unwrap();
    assert!(!store.healthy(), "to read says nothing of writing");
    store.disk.fail_after(0);
    store.sweep(UNIX_EPOCH).unwrap_err();
    assert!(!store.healthy());
    store.disk.fail_after(u32::MAX);
    assert_eq!(store.sweep(UNIX_EPOCH).unwrap(), 0);
    assert!(store.healthy());
}

#[test]
fn panic_inside_is_forgotten_with_what_was_held_in_memory() {
    let home = tempfile::tempdir().unwrap();
    let store = open(&home.path().join("store.redb"));
    put(&store, &entry(1)).unwrap();
    std::thread::scope(|scope| {
        let panics = scope.spawn(|| {
            let _held = store.held();
            panic!("as the engine could");
        });
        panics.join().unwrap_err();
    });
    assert_eq!(store.all(TABLE).unwrap(), [entry(1)]);
    assert!(!store.healthy());
    put(&store, &entry(2)).unwrap();
    assert!(store.healthy());
}

#[test]
fn a_commit_reads_and_changes_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("store"));
    let row = |key: &str, seconds| Entry {
        key: key.into(),
        value: b"v".to_vec(),
        until: UNIX_EPOCH + Duration::from_secs(seconds),
    };
    let set = |entry: Entry| store.transact(|rows| rows.set(Table::Flows, &entry)).unwrap();
    assert_eq!(set(row("a1", 9)), Kept::Yes);
    // Shorter than before, too.
    assert_eq!(set(row("a1", 5)), Kept::Yes);
    assert_eq!(set(row("a2", 5)), Kept::Yes);
    assert_eq!(set(row("b", 5)), Kept::Yes);
    assert_eq!(store.transact(|rows| rows.get(Table::Flows, b"a1")).unwrap(), Some(row("a1", 5)));
    assert_eq!(store.transact(|rows| rows.get(Table::Grants, b"a1")).unwrap(), None);
    let starting = |start: &[u8], max| store.transact(|rows| rows.starting(Table::Flows, start, max)).unwrap();
    assert_eq!(starting(b"a", 9), [row("a1", 5), row("a2", 5)]);
    assert_eq!((starting(b"a", 1).len(), starting(b"c", 9).len(), starting(b"", 9).len()), (1, 0, 3));
    assert_eq!(store.transact(|rows| rows.count(Table::Flows)).unwrap(), 3);
    // Taken once, whoever else wants it.
    let take = || store.transact(|rows| rows.take(Table::Flows, b"a1")).unwrap();
    assert_eq!((take(), take()), (Some(row("a1", 5)), None));
    assert_eq!(set(Entry { value: vec![0; VALUE_BYTES_MAX + 1], ..row("c", 1) }), Kept::TooLong);
    assert_eq!(set(Entry { key: vec![0; KEY_BYTES_MAX + 1], ..row("c", 1) }), Kept::TooLong);
    // An error in the middle leaves nothing behind.
    let failed = store.transact(|rows| {
        let _kept = rows.set(Table::Flows, &row("d", 1))?;
        Err::<(), _>(RowsError::from(redb::Error::Corrupted("test".into())))
    });
    assert!(failed.is_err());
    assert_eq!(store.transact(|rows| rows.get(Table::Flows, b"d")).unwrap(), None);
    let full = Store::open(&folder.path().join("small"), NonZeroU64::new(1).unwrap()).unwrap();
    let set = |key| full.transact(|rows| rows.set(Table::Flows, &row(key, 1))).unwrap();
    assert_eq!((set("a"), set("b"), set("a")), (Kept::Yes, Kept::Full, Kept::Yes));
}
