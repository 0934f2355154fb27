//! Watching the log grow.

use std::fs::File;
use std::io::{self, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sekisho_wire::Json;

use crate::read::{Line, ReadError, decode, next_line};
use crate::segment::{segments, seq_of};

/// Where following starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// With the oldest record that is there.
    Start,
    /// With the first record after now.
    Now,
}

/// Follows a log as it grows, from segment to segment. It only reads, so any process may.
#[derive(Debug)]
pub struct Follow {
    dir: PathBuf,
    at: Option<Place>,
}

/// How far the segment at hand has been read.
#[derive(Debug)]
struct Place {
    first_seq: u64,
    path: PathBuf,
    read_bytes: u64,
    next_seq: u64,
}

impl Place {
    fn start_of((first_seq, path): (u64, PathBuf)) -> Place {
        Place { first_seq, path, read_bytes: 0, next_seq: first_seq }
    }

    /// Behind the last line feed of a segment.
    fn end_of(segment: (u64, PathBuf)) -> Result<Place, ReadError> {
        let mut place = Place::start_of(segment);
        let path = place.path.clone();
        let failed = |source| failed(&path, source);
        let mut from = BufReader::new(File::open(&path).map_err(failed)?);
        loop {
            let bytes = match next_line(&mut from).map_err(failed)? {
                Line::Whole(line) => line.len().saturating_add(1),
                Line::TooLong(bytes) => bytes,
                Line::Unfinished(_) | Line::End => return Ok(place),
            };
            place.pass(bytes);
        }
    }

    fn pass(&mut self, bytes: usize) {
        self.read_bytes = self.read_bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        self.next_seq = self.next_seq.saturating_add(1);
    }
}

impl Follow {
    /// Follows the log in `dir`; the folder may still be empty.
    ///
    /// # Errors
    /// The folder or its newest segment cannot be read.
    pub fn new(dir: &Path, since: Since) -> Result<Follow, ReadError> {
        let all = segments(dir).map_err(|source| failed(dir, source))?;
        let at = match since {
            Since::Start => all.into_iter().next().map(Place::start_of),
            Since::Now => all.into_iter().next_back().map(Place::end_of).transpose()?,
        };
        Ok(Follow { dir: dir.into(), at })
    }

    /// The records that have come since the last call, 1,000 at most; it does not wait.
    ///
    /// # Errors
    /// The log cannot be read, or a line is damaged; the next call goes on behind it.
    pub fn poll(&mut self) -> Result<Vec<Json>, ReadError> {
        let mut records = Vec::new();
        loop {
            // Looked up before the segment at hand is read to its end: nothing is added to it once a newer one is there.
            let newer = self.newer()?;
            let reached = self.read_on(&mut records)?;
            if reached == Reached::Bound {
                return Ok(records);
            }
            match newer {
                Some(newer) => self.at = Some(Place::start_of(newer)),
                None => return Ok(records),
            }
        }
    }

    /// Waits for the next records; there is at least one.
    ///
    /// # Errors
    /// As for [`Follow::poll`].
    pub async fn wait(&mut self) -> Result<Vec<Json>, ReadError> {
        loop {
            let records = self.poll()?;
            if !records.is_empty() {
                return Ok(records);
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    fn newer(&self) -> Result<Option<(u64, PathBuf)>, ReadError> {
        let current = self.at.as_ref().map(|place| place.first_seq);
        let all = segments(&self.dir).map_err(|source| failed(&self.dir, source))?;
        Ok(all.into_iter().find(|(first_seq, _)| current.is_none_or(|current| *first_seq > current)))
    }

    fn read_on(&mut self, records: &mut Vec<Json>) -> Result<Reached, ReadError> {
        let Some(place) = &mut self.at else {
            return Ok(Reached::End);
        };
        let path = place.path.clone();
        let failed = |source| failed(&path, source);
        let mut file = File::open(&path).map_err(failed)?;
        // A write that failed is cut away again, perhaps after it was seen.
        place.read_bytes = file.metadata().map_err(failed)?.len().min(place.read_bytes);
        file.seek(SeekFrom::Start(place.read_bytes)).map_err(failed)?;
        let mut from = BufReader::new(file);
        while records.len() < POLL_MAX {
            let (line, bytes) = match next_line(&mut from).map_err(failed)? {
                Line::Whole(line) => {
                    let bytes = line.len().saturating_add(1);
                    (line, bytes)
                }
                Line::TooLong(bytes) => (Vec::new(), bytes),
                Line::Unfinished(_) | Line::End => return Ok(Reached::End),
            };
            let record = match seq_of(&line) {
                Some(seq) => decode(path.clone(), seq, line),
                None => Err(ReadError::Damaged { path: path.clone(), expected: place.next_seq, source: None }),
            };
            match record {
                Ok(record) => records.push(record),
                // What was read before it is handed over first; the damage is met again next time.
                Err(_) if !records.is_empty() => break,
                Err(error) => {
                    place.pass(bytes);
                    return Err(error);
                }
            }
            place.pass(bytes);
        }
        Ok(Reached::Bound)
    }
}

/// Where reading a segment stopped.
#[derive(PartialEq, Eq)]
enum Reached {
    /// At the end of what is there.
    End,
    /// Before it: the rest comes with the next call.
    Bound,
}

fn failed(path: &Path, source: io::Error) -> ReadError {
    ReadError::Io { path: path.into(), source }
}

const POLL_MAX: usize = 1000;
const POLL_EVERY: Duration = Duration::from_millis(200);
