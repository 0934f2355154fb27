//! Reading the log back, in order.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sekisho_wire::Json;
use sekisho_wire::json::{DecodeError, Limits};

use crate::event::LINE_BYTES_MAX;
use crate::segment::{segments, seq_of};

/// Why something of the log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The folder or a segment could not be read.
    #[error("audit log `{}` cannot be read", path.display())]
    Io {
        /// The folder or segment.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A line is not a record.
    #[error("audit segment `{}` has a damaged line where record {expected} should be", path.display())]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// The number that the record should have.
        expected: u64,
        /// What is wrong with it as JSON, if it got that far.
        #[source]
        source: Option<DecodeError>,
    },
    /// Records are missing, or stand in the wrong place.
    #[error("audit segment `{}` has record {found} where record {expected} should be", path.display())]
    Gap {
        /// The segment.
        path: PathBuf,
        /// The number that should come.
        expected: u64,
        /// The number that came.
        found: u64,
    },
}

/// All records of the log in `dir`, oldest first, each a JSON object with at least `seq`, `time`, `kind` and `outcome`.
///
/// A log that is being written to may be read: what is not finished yet is passed over.
///
/// # Errors
/// The folder cannot be listed.
pub fn read(dir: &Path) -> Result<Records, ReadError> {
    let mut ahead = segments(dir).map_err(|source| ReadError::Io { path: dir.into(), source })?;
    ahead.reverse();
    Ok(Records { ahead, current: None, expected: None, held: None })
}

/// The records of request `request_id`, oldest first, 1,000 at most. Damaged lines elsewhere are passed over with a warning.
///
/// # Errors
/// The folder or a segment cannot be read.
pub fn find(dir: &Path, request_id: &str) -> Result<Vec<Json>, ReadError> {
    let mut found = Vec::new();
    let mut records = read(dir)?;
    // Most lines are told apart by their bytes alone; the member itself is compared below.
    let sought = format!("\"request\":{}", Json::text(request_id).as_str());
    while let Some(line) = records.next_where(&|line| line.contains(&sought)) {
        match line {
            Ok(record) => {
                if record.get("request").as_ref().and_then(Json::string).as_deref() == Some(request_id) {
                    found.push(record);
                }
            }
            Err(error @ ReadError::Io { .. }) => return Err(error),
            Err(error @ (ReadError::Damaged { .. } | ReadError::Gap { .. })) => {
                tracing::warn!(%error, "passed over while searching the audit log");
            }
        }
        if found.len() >= FOUND_MAX {
            break;
        }
    }
    Ok(found)
}

/// The records of a log, oldest first. After a damaged line or a gap it goes on with the next record.
#[derive(Debug)]
pub struct Records {
    /// Segments still to be read, the next one last.
    ahead: Vec<(u64, PathBuf)>,
    current: Option<(PathBuf, BufReader<File>)>,
    expected: Option<u64>,
    /// The line behind a gap, whose turn is after the gap was said.
    held: Option<(PathBuf, Vec<u8>)>,
}

impl Iterator for Records {
    type Item = Result<Json, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_where(&|_| true)
    }
}

impl Records {
    /// The next record whose line passes the filter, or what is wrong before it.
    fn next_where(&mut self, passes: &dyn Fn(&str) -> bool) -> Option<Result<Json, ReadError>> {
        loop {
            if let Some((path, line)) = self.held.take() {
                match self.accept(path, line, passes) {
                    Ok(None) => continue,
                    Ok(Some(record)) => return Some(Ok(record)),
                    Err(error) => return Some(Err(error)),
                }
            }
            let Some((path, from)) = &mut self.current else {
                if let Err(error) = self.open_next()? {
                    return Some(Err(error));
                }
                continue;
            };
            let path = path.clone();
            let line = match next_line(from) {
                Ok(line) => line,
                Err(source) => {
                    self.current = None;
                    return Some(Err(ReadError::Io { path, source }));
                }
            };
            let line = match line {
                Line::Whole(line) => line,
                Line::TooLong(_) => return Some(Err(self.damaged(path, None))),
                // Behind an unfinished line of an older segment something is lost; in the newest it is being written.
                Line::Unfinished(_) if !self.ahead.is_empty() => {
                    self.current = None;
                    return Some(Err(self.damaged(path, None)));
                }
                Line::Unfinished(_) | Line::End => {
                    self.current = None;
                    continue;
                }
            };
            self.held = Some((path, line));
        }
    }

    fn open_next(&mut self) -> Option<Result<(), ReadError>> {
        let (first_seq, path) = self.ahead.pop()?;
        self.expected.get_or_insert(first_seq);
        Some(match File::open(&path) {
            Ok(file) => {
                self.current = Some((path, BufReader::with_capacity(READ_BYTES, file)));
                Ok(())
            }
            Err(source) => Err(ReadError::Io { path, source }),
        })
    }

    fn accept(
        &mut self,
        path: PathBuf,
        line: Vec<u8>,
        passes: &dyn Fn(&str) -> bool,
    ) -> Result<Option<Json>, ReadError> {
        let expected = self.expected.unwrap_or(1);
        let Some(found) = seq_of(&line) else {
            return Err(self.damaged(path, None));
        };
        if found != expected {
            self.expected = Some(found);
            self.held = Some((path.clone(), line));
            return Err(ReadError::Gap { path, expected, found });
        }
        self.expected = Some(expected.saturating_add(1));
        if !std::str::from_utf8(&line).is_ok_and(passes) {
            return Ok(None);
        }
        decode(path, expected, line).map(Some)
    }

    fn damaged(&mut self, path: PathBuf, source: Option<DecodeError>) -> ReadError {
        let expected = self.expected.unwrap_or(1);
        self.expected = Some(expected.saturating_add(1));
        ReadError::Damaged { path, expected, source }
    }
}

/// The record on a line.
pub(crate) fn decode(path: PathBuf, expected: u64, line: Vec<u8>) -> Result<Json, ReadError> {
    let limits = Limits { bytes_max: LINE_BYTES_MAX, depth_max: DEPTH_MAX, nodes_max: NODES_MAX };
    Json::decode(Bytes::from(line), &limits).map_err(|source| ReadError::Damaged {
        path,
        expected,
        source: Some(source),
    })
}

/// One line of a segment.
#[derive(Debug)]
pub(crate) enum Line {
    /// A line without its line feed.
    Whole(Vec<u8>),
    /// What stands behind the last line feed.
    Unfinished(Vec<u8>),
    /// A stretch of this many bytes that no record can be part of.
    TooLong(usize),
    /// Nothing more.
    End,
}

pub(crate) fn next_line(from: &mut impl BufRead) -> io::Result<Line> {
    let bound = u64::try_from(LINE_BYTES_MAX).map_err(io::Error::other)?;
    let mut line = Vec::new();
    let bytes = from.take(bound).read_until(b'\n', &mut line)?;
    Ok(match line.pop_if(|last| *last == b'\n') {
        Some(_) => Line::Whole(line),
        None if bytes == 0 => Line::End,
        None if bytes >= LINE_BYTES_MAX => Line::TooLong(bytes),
        None => Line::Unfinished(line),
    })
}

const FOUND_MAX: usize = 1000;
const READ_BYTES: usize = 256 * 1024;
/// A record, its labels, the values of one label.
const DEPTH_MAX: usize = 4;
/// Far above what an event can have (see `event.rs`).
const NODES_MAX: usize = 1024;
