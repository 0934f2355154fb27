//! What can go wrong, one enum per operation. The engine's own errors are causes only: another engine may come.

use std::error::Error;
use std::io;
use std::num::NonZeroU64;
use std::path::PathBuf;

use crate::{KEY_BYTES_MAX, Table, VALUE_BYTES_MAX};

/// Why a store could not be opened. Where that lies in the file, no byte of it was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the file, or this one does already.
    #[error("store `{}` is in use by another process", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// Others than the owner can change the file.
    #[error("store `{}` has mode {mode:04o}, writable by others; use `chmod go-w`", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is not what this room leaves behind: no store at all, cut short, or changed by somebody else.
    #[error("`{}` is damaged, or no store", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What gave it away.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A later version wrote it.
    #[error("store `{}` has format {format}, this version knows {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
        /// The latest that is known here.
        known: u32,
    },
    /// The file could not be made, read or written.
    #[error("store `{}` cannot be used", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

/// Why a row is not kept.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// Its key is too long.
    #[error("key has {bytes} bytes, limit is {KEY_BYTES_MAX}")]
    KeyTooLong {
        /// How long it is.
        bytes: usize,
    },
    /// Its value is too long.
    #[error("value has {bytes} bytes, limit is {VALUE_BYTES_MAX}")]
    ValueTooLong {
        /// How long it is.
        bytes: usize,
    },
    /// The table has no room for another key.
    #[error("table `{table}` is full, limit is {entries_max} entries")]
    Full {
        /// The table.
        table: Table,
        /// How many it takes.
        entries_max: NonZeroU64,
    },
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Why something could not be written. As after a crash, it may be there all the same: who asks again leaves no doubt.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// After an earlier failure, the file could not be opened again.
    #[error("store cannot be taken up again after a failure")]
    Reopen(#[source] OpenError),
    /// The file could not be written or flushed, or was removed.
    #[error("store `{}` cannot be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the engine said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// After an earlier failure, the file could not be opened again.
    #[error("store cannot be taken up again after a failure")]
    Reopen(#[from] OpenError),
    /// The file could not be read, or is damaged by now.
    #[error("store `{}` cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the engine said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}
