//! What is kept.

use std::fmt;
use std::time::SystemTime;

/// What is kept. A closed set: each table has one writer, who knows what its bytes mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// What was taken back before its time.
    Revocations,
    /// Who registered as a client.
    Clients,
}

impl Table {
    pub(crate) const ALL: [Table; 2] = [Table::Revocations, Table::Clients];

    /// How it is called, in the file too.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Table::Revocations => "revocations",
            Table::Clients => "clients",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A row.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is known by, at most [`KEY_BYTES_MAX`].
    pub key: Vec<u8>,
    /// What is known of it, at most [`VALUE_BYTES_MAX`].
    pub value: Vec<u8>,
    /// Until when it matters, to the nanosecond. A time before 1970 is kept as the first moment of 1970.
    pub until: SystemTime,
}

/// Shows no bytes: they may be somebody's.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entry { key, value, until } = self;
        write!(f, "Entry {{ key: {} bytes, value: {} bytes, until: {until:?} }}", key.len(), value.len())
    }
}

/// The longest key.
pub const KEY_BYTES_MAX: usize = 1024;

/// The longest value.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;
