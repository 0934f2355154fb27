//! **Does it last?** What [`Store::put`] has answered for is on the disk, and is there again after a crash, a kill or a loss of power.
//!
//! One file, held by one process. Rows are opaque bytes with the moment until which they matter. The room never answers before the disk
//! did, never takes more than its bounds, never shortens the life of a row, and never replaces or mends a damaged file: that stays as it
//! is, for somebody to look at. It looks at no clock: what is past its time is dropped by [`Store::sweep`] alone.
//!
//! Everything here waits for the disk: asynchronous callers call it by `tokio::task::spawn_blocking`. Calls take turns.
//!
//! *Depth still missing*: forms that many gateways share (PostgreSQL, Redis), encryption (whoever reads the file reads the rows), a
//! notice that somebody put an older copy of the file back, compaction.
#![forbid(unsafe_code)]

mod disk;
mod engine;
mod entry;
mod error;
mod rows;
mod trial;

#[cfg(test)]
mod tests;

use std::num::NonZeroU64;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::SystemTime;

use redb::Database;

pub use entry::{Entry, KEY_BYTES_MAX, Table, VALUE_BYTES_MAX};
pub use error::{OpenError, PutError, ReadError, WriteError};

use disk::Disk;
pub use rows::{Kept, Rows, RowsError};

use rows::{Done, Idle, Room};

/// The room: one file, held by this process alone until this value is dropped.
#[derive(Debug)]
pub struct Store {
    /// None after a failure: whoever comes next opens the file anew, from what the disk really holds.
    database: Mutex<Option<Database>>,
    healthy: AtomicBool,
    disk: Disk,
    entries_max: NonZeroU64,
}

impl Store {
    /// Opens the store at `path`, made with mode 0600 where there is no file; its folder must be there.
    ///
    /// A table takes `entries_max` rows. Reads the whole file and proves it by its checksums, before the first byte of it is changed.
    ///
    /// # Errors
    /// The file is held by another process, writable by others, damaged, no store, or of a newer format: no byte of it is changed then.
    /// Or the disk fails.
    pub fn open(path: &Path, entries_max: NonZeroU64) -> Result<Store, OpenError> {
        let disk = match Disk::open(path)? {
            Some(disk) => disk,
            None => Disk::make(path, engine::fill)?,
        };
        let database = Mutex::new(Some(engine::start(&disk)?));
        Ok(Store { database, healthy: AtomicBool::new(true), disk, entries_max })
    }

    /// Keeps a row. It is on the disk when this answers.
    ///
    /// Replaces the value of a row with the same key, whose `until` becomes the later of both: a shorter row that is played again
    /// shortens nothing. What is there already, value and all, is not written again.
    ///
    /// # Errors
    /// The row is too large, the table is full (rows past their `until` count until they are swept), or the row could not be written.
    pub fn put(&self, table: Table, key: &[u8], value: &[u8], until: SystemTime) -> Result<(), PutError> {
        self.put_all(table, &[Entry { key: key.into(), value: value.into(), until }])
    }

    /// Keeps all of the rows or, where it answers with an error other than [`PutError::Write`], none; in one commit.
    ///
    /// # Errors
    /// As for [`Store::put`].
    pub fn put_all(&self, table: Table, entries: &[Entry]) -> Result<(), PutError> {
        for Entry { key, value, .. } in entries {
            if key.len() > KEY_BYTES_MAX {
                return Err(PutError::KeyTooLong { bytes: key.len() });
            }
            if value.len() > VALUE_BYTES_MAX {
                return Err(PutError::ValueTooLong { bytes: value.len() });
            }
        }
        match self.write(|database, idle| rows::put(database, table, entries, self.entries_max, idle))? {
            Room::Enough => Ok(()),
            Room::None => Err(PutError::Full { table, entries_max: self.entries_max }),
        }
    }

    /// Takes a row out, whatever its `until`. That it is gone is on the disk when this answers.
    ///
    /// # Errors
    /// It could not be written.
    pub fn remove(&self, table: Table, key: &[u8]) -> Result<(), WriteError> {
        self.write(|database, idle| rows::remove(database, table, key, idle))
    }

    /// Reads and changes rows in one commit, which is on the disk when this answers; one that changes nothing costs no flush. Whoever has
    /// many things to do for many callers does them in one, and pays for one.
    ///
    /// # Errors
    /// It could not be read or written.
    pub fn transact<T>(&self, work: impl FnOnce(&mut Rows<'_>) -> Result<T, RowsError>) -> Result<T, WriteError> {
        self.write(|database, idle| rows::transact(database, work, self.entries_max, idle))
    }

    /// The rows of a table in the order of their keys, those past their `until` too.
    ///
    /// # Errors
    /// The file could not be read.
    pub fn all(&self, table: Table) -> Result<Vec<Entry>, ReadError> {
        let mut held = self.held();
        let database = self.started(&mut held)?;
        rows::all(database, table).map_err(|source| {
            *held = None;
            ReadError::Read { path: self.disk.path().into(), source: source.into() }
        })
    }

    /// Drops the rows of every table that are past their `until` at the time `now`, and says how many. At that very moment a row is
    /// still kept.
    ///
    /// # Errors
    /// It could not be written; the rows may be there or gone.
    pub fn sweep(&self, now: SystemTime) -> Result<usize, WriteError> {
        self.write(|database, idle| rows::sweep(database, now, idle))
    }

    /// Whether the last attempt to write succeeded. Once one failed, every call that writes tries the disk in earnest, even where it has
    /// nothing to change.
    #[must_use]
    pub fn healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    fn write<T>(&self, work: impl FnOnce(&Database, Idle) -> Result<Done<T>, redb::Error>) -> Result<T, WriteError> {
        let mut held = self.held();
        let idle = if self.healthy() { Idle::Skip } else { Idle::Commit };
        let failed = |source| WriteError::Write { path: self.disk.path().into(), source };
        let linked = self.disk.check_linked().map_err(|error| failed(error.into()));
        let started = linked.and_then(|()| self.started(&mut held).map_err(WriteError::Reopen));
        let written = started.and_then(|database| work(database, idle).map_err(|error| failed(error.into())));
        match written {
            Ok(Done::Committed(outcome)) => {
                self.healthy.store(true, Ordering::Relaxed);
                Ok(outcome)
            }
            Ok(Done::Nothing(outcome)) => Ok(outcome),
            Err(error) => {
                self.healthy.store(false, Ordering::Relaxed);
                *held = None;
                Err(error)
            }
        }
    }

    fn started<'a>(&self, held: &'a mut Option<Database>) -> Result<&'a Database, OpenError> {
        let database = match held.take() {
            Some(database) => database,
            None => engine::start(&self.disk)?,
        };
        Ok(held.insert(database))
    }

    fn held(&self) -> MutexGuard<'_, Option<Database>> {
        self.database.lock().unwrap_or_else(|poisoned| {
            // A panic went through the engine. What it held in memory is not believed any more; what is on the disk is read anew.
            self.database.clear_poison();
            self.healthy.store(false, Ordering::Relaxed);
            let mut held = poisoned.into_inner();
            *held = None;
            held
        })
    }
}
