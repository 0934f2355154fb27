//! Rows in the engine's tables.

use std::num::NonZeroU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redb::{
    Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, TableError, WriteTransaction,
};

use crate::{Entry, KEY_BYTES_MAX, Table, VALUE_BYTES_MAX};

/// What becomes of a transaction that changed nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Idle {
    /// It is dropped: it would cost a flush.
    Skip,
    /// It is committed, to see whether the disk takes anything.
    Commit,
}

/// What a transaction came to, and whether it reached the disk.
#[derive(Debug)]
pub(crate) enum Done<T> {
    Committed(T),
    Nothing(T),
}

/// Whether there was room for all of it.
#[derive(Debug)]
pub(crate) enum Room {
    Enough,
    None,
}

pub(crate) fn put(
    database: &Database,
    table: Table,
    entries: &[Entry],
    entries_max: NonZeroU64,
    idle: Idle,
) -> Result<Done<Room>, redb::Error> {
    let transaction = begin(database)?;
    let mut changed = 0_usize;
    {
        let mut rows = transaction.open_table(rows(table))?;
        for Entry { key, value, until } in entries {
            let (mut until, mut same) = (moment(*until), false);
            match rows.get(key.as_slice())? {
                Some(row) => {
                    let (seconds, nanoseconds, known) = row.value();
                    let kept = (seconds, nanoseconds);
                    until = until.max(kept);
                    same = until == kept && known == value.as_slice();
                }
                None if rows.len()? >= entries_max.get() => return Ok(Done::Nothing(Room::None)),
                None => {}
            }
            if !same {
                rows.insert(key.as_slice(), (until.0, until.1, value.as_slice()))?;
                changed = changed.saturating_add(1);
            }
        }
    }
    end(transaction, Room::Enough, changed, idle)
}

/// All rows within one commit: what is read is what it was before, whoever else writes, and all of it is written or nothing.
pub struct Rows<'a> {
    transaction: &'a WriteTransaction,
    entries_max: NonZeroU64,
    changed: usize,
}

/// The engine failed in the middle of a commit, which is dropped as a whole.
#[derive(Debug, thiserror::Error)]
#[error("rows cannot be read or written")]
pub struct RowsError(#[source] redb::Error);

impl<E: Into<redb::Error>> From<E> for RowsError {
    fn from(error: E) -> RowsError {
        RowsError(error.into())
    }
}

/// What became of a row that was to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Kept {
    /// It is there once the commit is.
    Yes,
    /// The table has no room for another key.
    Full,
    /// Key or value is longer than a row may be.
    TooLong,
}

impl Rows<'_> {
    /// A row, past its `until` or not.
    ///
    /// # Errors
    /// The engine failed.
    pub fn get(&self, table: Table, key: &[u8]) -> Result<Option<Entry>, RowsError> {
        let rows = self.transaction.open_table(rows(table))?;
        let row = rows.get(key)?;
        row.map(|row| entry(key, row.value()).map_err(RowsError)).transpose()
    }

    /// Keeps a row in place of one with the same key, and its `until` even where that is earlier.
    ///
    /// # Errors
    /// The engine failed.
    pub fn set(&mut self, table: Table, entry: &Entry) -> Result<Kept, RowsError> {
        if entry.key.len() > KEY_BYTES_MAX || entry.value.len() > VALUE_BYTES_MAX {
            return Ok(Kept::TooLong);
        }
        let mut rows = self.transaction.open_table(rows(table))?;
        if rows.get(entry.key.as_slice())?.is_none() && rows.len()? >= self.entries_max.get() {
            return Ok(Kept::Full);
        }
        let (seconds, nanoseconds) = moment(entry.until);
        rows.insert(entry.key.as_slice(), (seconds, nanoseconds, entry.value.as_slice()))?;
        self.changed = self.changed.saturating_add(1);
        Ok(Kept::Yes)
    }

    /// Takes a row out; what it was.
    ///
    /// # Errors
    /// The engine failed.
    pub fn take(&mut self, table: Table, key: &[u8]) -> Result<Option<Entry>, RowsError> {
        let mut rows = self.transaction.open_table(rows(table))?;
        let row = rows.remove(key)?.map(|row| entry(key, row.value())).transpose().map_err(RowsError)?;
        self.changed = self.changed.saturating_add(usize::from(row.is_some()));
        Ok(row)
    }

    /// How many rows there are, those past their `until` among them.
    ///
    /// # Errors
    /// The engine failed.
    pub fn count(&self, table: Table) -> Result<u64, RowsError> {
        Ok(self.transaction.open_table(rows(table))?.len()?)
    }

    /// The rows whose key begins so, in the order of their keys, at most so many.
    ///
    /// # Errors
    /// The engine failed.
    pub fn starting(&self, table: Table, start: &[u8], count_max: usize) -> Result<Vec<Entry>, RowsError> {
        let rows = self.transaction.open_table(rows(table))?;
        let mut found = Vec::new();
        for row in rows.range(start..)? {
            let (key, row) = row?;
            if !key.value().starts_with(start) || found.len() >= count_max {
                break;
            }
            found.push(entry(key.value(), row.value()).map_err(RowsError)?);
        }
        Ok(found)
    }
}

pub(crate) fn transact<T>(
    database: &Database,
    work: impl FnOnce(&mut Rows<'_>) -> Result<T, RowsError>,
    entries_max: NonZeroU64,
    idle: Idle,
) -> Result<Done<T>, redb::Error> {
    let transaction = begin(database)?;
    let mut rows = Rows { transaction: &transaction, entries_max, changed: 0 };
    let outcome = work(&mut rows).map_err(|RowsError(error)| error)?;
    let changed = rows.changed;
    end(transaction, outcome, changed, idle)
}

pub(crate) fn remove(database: &Database, table: Table, key: &[u8], idle: Idle) -> Result<Done<()>, redb::Error> {
    let transaction = begin(database)?;
    let removed = transaction.open_table(rows(table))?.remove(key)?.is_some();
    end(transaction, (), usize::from(removed), idle)
}

pub(crate) fn sweep(database: &Database, now: SystemTime, idle: Idle) -> Result<Done<usize>, redb::Error> {
    let now = moment(now);
    let transaction = begin(database)?;
    let mut dropped = 0_usize;
    for table in Table::ALL {
        transaction.open_table(rows(table))?.retain(|_, (seconds, nanoseconds, _)| {
            let keep = (seconds, nanoseconds) >= now;
            dropped = dropped.saturating_add(usize::from(!keep));
            keep
        })?;
    }
    end(transaction, dropped, dropped, idle)
}

pub(crate) fn all(database: &Database, table: Table) -> Result<Vec<Entry>, redb::Error> {
    let rows = match database.begin_read()?.open_table(rows(table)) {
        Ok(rows) => rows,
        // Nothing was ever put there.
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut entries = Vec::new();
    for row in rows.iter()? {
        let (key, row) = row?;
        entries.push(entry(key.value(), row.value())?);
    }
    Ok(entries)
}

fn entry(key: &[u8], (seconds, nanoseconds, value): (u64, u32, &[u8])) -> Result<Entry, redb::Error> {
    let until = time(seconds, nanoseconds)
        .ok_or_else(|| redb::Error::Corrupted("a row lasts longer than time is counted".into()))?;
    Ok(Entry { key: key.to_vec(), value: value.to_vec(), until })
}

fn begin(database: &Database) -> Result<WriteTransaction, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    Ok(transaction)
}

fn end<T>(transaction: WriteTransaction, outcome: T, changed: usize, idle: Idle) -> Result<Done<T>, redb::Error> {
    match idle {
        Idle::Skip if changed == 0 => {
            transaction.abort()?;
            Ok(Done::Nothing(outcome))
        }
        Idle::Skip | Idle::Commit => {
            transaction.commit()?;
            Ok(Done::Committed(outcome))
        }
    }
}

fn rows(table: Table) -> TableDefinition<'static, &'static [u8], Row> {
    TableDefinition::new(table.name())
}

/// Seconds and nanoseconds since 1970.
fn moment(time: SystemTime) -> (u64, u32) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    (since.as_secs(), since.subsec_nanos())
}

fn time(seconds: u64, nanoseconds: u32) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?.checked_add(Duration::from_nanos(nanoseconds.into()))
}

/// Until when, as seconds and nanoseconds, and the value.
type Row = (u64, u32, &'static [u8]);
