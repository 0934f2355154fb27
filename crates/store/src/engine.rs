//! The engine (redb) on our file: made, looked through, started.

use std::io::ErrorKind;

use redb::{Builder, Database, ReadableDatabase, StorageBackend, TableDefinition, TableError};

use crate::disk::Disk;
use crate::error::OpenError;
use crate::trial::Trial;

/// Makes an empty store of an empty file.
pub(crate) fn fill(disk: &Disk) -> Result<(), OpenError> {
    let filled = || -> Result<(), redb::Error> {
        let database = database(disk.clone())?;
        let mut transaction = database.begin_write()?;
        transaction.set_two_phase_commit(true);
        transaction.open_table(FORMATS)?.insert(FORMAT_KEY, FORMAT)?;
        transaction.commit()?;
        Ok(database.close()?)
    };
    filled().map_err(|error| refusal(disk, error))
}

/// Starts the engine on a file that has stood the trial: on nothing else, since an engine that opens a file writes to it, whatever it is.
pub(crate) fn start(disk: &Disk) -> Result<Database, OpenError> {
    let io = |source| OpenError::Io { path: disk.path().into(), source };
    let trial = Trial::of(disk).map_err(io)?;
    match database(trial).map_err(redb::Error::from).and_then(|database| format(&database)) {
        Ok(Some(FORMAT)) => {}
        Ok(Some(format)) if format > FORMAT => {
            return Err(OpenError::Newer { path: disk.path().into(), format, known: FORMAT });
        }
        Ok(Some(_) | None) => {
            return Err(OpenError::Damaged { path: disk.path().into(), source: "it names no format of ours".into() });
        }
        Err(error) => return Err(refusal(disk, error)),
    }
    disk.make_certain().map_err(io)?;
    database(disk.clone()).map_err(|error| refusal(disk, error.into()))
}

/// Opens the file, with the checksum of every page, after a clean end too: the engine would believe such a file, and could panic.
///
/// What a crash left half-done is undone here. It is never a commit that was answered for: those are flushed before they count
/// (`set_two_phase_commit`), so that where one of them does not verify the engine refuses, and does not fall back to the one before.
// LIMIT: one bit of the header says which of the last two commits counts, and has no checksum. Turned by damage after a crash, it takes
// the store one commit back, unseen: nothing in the file differs from a crash in the midst of the last commit.
pub(crate) fn database(backend: impl StorageBackend) -> Result<Database, redb::DatabaseError> {
    Builder::new().set_check_integrity_on_open(true).set_cache_size(CACHE_BYTES_MAX).create_with_backend(backend)
}

fn format(database: &Database) -> Result<Option<u32>, redb::Error> {
    match database.begin_read()?.open_table(FORMATS) {
        Ok(formats) => Ok(formats.get(FORMAT_KEY)?.map(|format| format.value())),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn refusal(disk: &Disk, error: redb::Error) -> OpenError {
    let path = disk.path().into();
    let redb::Error::Io(source) = error else {
        return OpenError::Damaged { path, source: error.into() };
    };
    // The engine says these two of what the file holds; the operating system says neither of a file like ours.
    if matches!(source.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) {
        return OpenError::Damaged { path, source: source.into() };
    }
    OpenError::Io { path, source }
}

const FORMATS: TableDefinition<&str, u32> = TableDefinition::new("sekisho");
const FORMAT_KEY: &str = "format";
const FORMAT: u32 = 1;
const CACHE_BYTES_MAX: usize = 16 * 1024 * 1024;
