//! Rows in the engine's tables.

use std::num::NonZeroU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redb::{
    Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, TableError, WriteTransaction,
};

use crate::{Entry, Table};

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
        let (seconds, nanoseconds, value) = row.value();
        let until = time(seconds, nanoseconds)
            .ok_or_else(|| redb::Error::Corrupted("a row lasts longer than time is counted".into()))?;
        entries.push(Entry { key: key.value().to_vec(), value: value.to_vec(), until });
    }
    Ok(entries)
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
