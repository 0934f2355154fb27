//! The files of the log: `<number of the first record, 20 digits>.jsonl`, appended to and never changed.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::config::{Config, Level};
use crate::read::{Line, next_line};

/// Why the log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder could not be made, listed or opened.
    #[error("audit folder `{}` cannot be used", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Others than the owner can take files out of the folder or put some in. Reading is each file's own matter: mode 0600.
    #[error("audit folder `{}` has mode {mode:04o}, writable by others; use `chmod go-w`", path.display())]
    Exposed {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Another process writes to this folder.
    #[error("audit folder `{}` is in use by another process", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A line of the newest segment is not a record, though records follow it.
    #[error("audit segment `{}` is damaged at byte {offset}", path.display())]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where the damaged line starts.
        offset: u64,
    },
    /// A segment could not be read.
    #[error("audit segment `{}` cannot be read", path.display())]
    Read {
        /// The segment.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A segment could not be made or written to.
    #[error("audit log cannot be written at `{}`", path.display())]
    Write {
        /// The segment or the folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

/// The segment that is written to, and the lock on its folder.
#[derive(Debug)]
pub(crate) struct Segment {
    dir: PathBuf,
    file: File,
    /// Length up to which the file holds whole records that were answered for.
    bytes: u64,
    /// Whether the file may hold something beyond `bytes`, of a write that failed.
    leftover: bool,
    next_seq: u64,
    bytes_max: u64,
    /// Held for as long as it is open (flock(2)); given back by the kernel however the process ends.
    _lock: File,
}

/// What was cut off the end of the log.
#[derive(Debug)]
pub(crate) struct Torn {
    pub(crate) kept_in: PathBuf,
    pub(crate) bytes: u64,
}

impl Segment {
    pub(crate) fn open(dir: &Path, config: &Config) -> Result<(Segment, Option<Torn>), OpenError> {
        let folder = |source| OpenError::Folder { path: dir.into(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(folder)?;
        let mode = std::fs::metadata(dir).map_err(folder)?.permissions().mode() & 0o7777;
        if mode & 0o022 != 0 {
            return Err(OpenError::Exposed { path: dir.into(), mode });
        }
        let lock = lock(dir)?;
        let newest = segments(dir).map_err(folder)?.pop();
        let (first_seq, path) = newest.unwrap_or_else(|| (1, path_of(dir, 1)));
        let mut file = append_to(&path).map_err(|source| OpenError::Write { path: path.clone(), source })?;
        let end = scan(&mut file, &path, first_seq)?;
        let torn = if end.torn_bytes > 0 {
            let kept = cut(&mut file, &path, &end).map_err(|source| OpenError::Write { path: path.clone(), source })?;
            Some(Torn { kept_in: kept, bytes: end.torn_bytes })
        } else {
            None
        };
        sync_dir(dir).map_err(folder)?;
        let segment = Segment {
            dir: dir.into(),
            file,
            bytes: end.good_bytes,
            leftover: false,
            next_seq: end.next_seq,
            bytes_max: config.segment_bytes_max,
            _lock: lock,
        };
        Ok((segment, torn))
    }

    /// Writes the lines with one call and numbers them; all of them or none. After an error the next call starts from
    /// the last good record again.
    pub(crate) fn append<'a>(&mut self, lines: impl Iterator<Item = &'a [u8]>, level: Level) -> io::Result<Range<u64>> {
        let mut text = Vec::new();
        let mut seq = self.next_seq;
        for line in lines {
            write!(text, "{SEQ_OPENING}{seq},")?;
            // The line is an object, `{"time":…}`: its opening brace gives way to ours.
            text.extend(line.iter().skip(1));
            text.push(b'\n');
            seq = seq.saturating_add(1);
        }
        let numbers = self.next_seq..seq;
        if text.is_empty() {
            return Ok(numbers);
        }
        let bytes = u64::try_from(text.len()).map_err(io::Error::other)?;
        self.make_ready(bytes, level)?;
        // One flush for the group. A failed flush loses its error for the next one, so its records must not stay: cut, and
        // written anew by whoever tries again.
        let flush = |mut file: &File| match level {
            Level::Written => file.flush(),
            Level::Durable => file.sync_data(),
        };
        self.leftover = true;
        if let Err(error) = self.file.write_all(&text).and_then(|()| flush(&self.file)) {
            self.leftover = self.file.set_len(self.bytes).is_err();
            return Err(error);
        }
        self.leftover = false;
        self.bytes = self.bytes.saturating_add(bytes);
        self.next_seq = numbers.end;
        Ok(numbers)
    }

    /// Waits until all of it is on the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Makes room for `bytes` more behind the last good record.
    fn make_ready(&mut self, bytes: u64, level: Level) -> io::Result<()> {
        if self.file.metadata()?.nlink() == 0 {
            // What is written to a removed file is lost, so nothing counts as recorded until somebody has looked.
            return Err(io::Error::new(io::ErrorKind::NotFound, "the audit segment was removed"));
        }
        if self.leftover {
            self.file.set_len(self.bytes)?;
            self.leftover = false;
        }
        // A batch is never longer than a segment, unless it is a single record.
        if self.bytes > 0 && self.bytes.saturating_add(bytes) > self.bytes_max {
            self.file = append_to(&path_of(&self.dir, self.next_seq))?;
            self.bytes = 0;
            if level == Level::Durable {
                sync_dir(&self.dir)?;
            }
        }
        Ok(())
    }
}

/// The segments of a log with the numbers of their first records, oldest first. Other files are passed over.
pub(crate) fn segments(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(digits) = name.strip_suffix(SUFFIX) else {
            continue;
        };
        if digits.len() != SEQ_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        if let Ok(first_seq) = digits.parse() {
            found.push((first_seq, path));
        }
    }
    found.sort();
    Ok(found)
}

/// The number of the record on this line, if the line looks like a record of ours.
pub(crate) fn seq_of(line: &[u8]) -> Option<u64> {
    // JSON has no bare control characters: a line with some, such as the zeros that a power failure leaves, is none of ours.
    if line.iter().any(|byte| *byte < b' ') || !line.ends_with(b"}") {
        return None;
    }
    let rest = line.strip_prefix(SEQ_OPENING.as_bytes())?;
    let (digits, _) = rest.split_at_checked(rest.iter().position(|byte| *byte == b',')?)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn path_of(dir: &Path, first_seq: u64) -> PathBuf {
    dir.join(format!("{first_seq:0SEQ_DIGITS$}{SUFFIX}"))
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join(LOCK_FILE);
    let folder = |source| OpenError::Folder { path: dir.into(), source };
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(folder)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::InUse { path: dir.into() }),
        Err(std::fs::TryLockError::Error(source)) => Err(folder(source)),
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(path)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Where the good records of a segment end.
struct End {
    good_bytes: u64,
    next_seq: u64,
    torn_bytes: u64,
}

/// Finds the end of the last record whose predecessors are all there. What follows is torn, unless a record is among it:
/// then somebody else than a crash has been at work.
fn scan(file: &mut File, path: &Path, first_seq: u64) -> Result<End, OpenError> {
    let failed = |source| OpenError::Read { path: path.into(), source };
    let mut end = End { good_bytes: 0, next_seq: first_seq, torn_bytes: 0 };
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let mut from = BufReader::new(file);
    loop {
        let (line, bytes) = match next_line(&mut from).map_err(failed)? {
            Line::Whole(line) => {
                let bytes = line.len().saturating_add(1);
                (Some(line), bytes)
            }
            Line::TooLong(bytes) => (None, bytes),
            Line::Unfinished(line) => (None, line.len()),
            Line::End => return Ok(end),
        };
        let bytes = u64::try_from(bytes).map_err(io::Error::other).map_err(failed)?;
        let seq = line.as_deref().and_then(seq_of);
        if seq == Some(end.next_seq) && end.torn_bytes == 0 {
            end.good_bytes = end.good_bytes.saturating_add(bytes);
            end.next_seq = end.next_seq.saturating_add(1);
        } else if seq.is_some() {
            return Err(OpenError::Damaged { path: path.into(), offset: end.good_bytes });
        } else {
            end.torn_bytes = end.torn_bytes.saturating_add(bytes);
        }
    }
}

/// Moves what lies beyond the last record to a file of its own, which is on the disk before anything is cut.
fn cut(file: &mut File, path: &Path, end: &End) -> io::Result<PathBuf> {
    let (kept_in, mut kept) = torn_file(path)?;
    file.seek(SeekFrom::Start(end.good_bytes))?;
    io::copy(&mut (&*file).take(end.torn_bytes), &mut kept)?;
    kept.sync_all()?;
    file.set_len(end.good_bytes)?;
    file.sync_all()?;
    tracing::error!(
        segment = %path.display(),
        kept_in = %kept_in.display(),
        bytes = end.torn_bytes,
        "the audit log ended in an unfinished record, which was moved to a file of its own"
    );
    Ok(kept_in)
}

fn torn_file(path: &Path) -> io::Result<(PathBuf, File)> {
    for number in 1..=TORN_FILES_MAX {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".torn-{number}"));
        match OpenOptions::new().create_new(true).write(true).mode(0o600).open(&name) {
            Ok(file) => return Ok((name.into(), file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many torn files; look at them and move them away"))
}

const SEQ_OPENING: &str = "{\"seq\":";
const SEQ_DIGITS: usize = 20;
const SUFFIX: &str = ".jsonl";
const LOCK_FILE: &str = "lock";
const TORN_FILES_MAX: u32 = 1000;
