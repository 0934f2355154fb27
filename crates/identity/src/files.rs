//! Private files of the developer issuer: 0600 in a folder of 0700, written whole or not at all, refused if others may
//! look at them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

/// Longest private file, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Permission bits of everybody but the owner.
const OTHERS: u32 = 0o077;
/// All permission bits.
const PERMISSIONS: u32 = 0o7777;

/// Why a private file or its folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Others may read or write it, so it may have been read or replaced. It is not repaired: that would hide it.
    #[error(
        "`{path}` has permissions {mode:o}, but nobody except its owner may have any; remove it if you do not know why"
    )]
    Permissions {
        /// The file or folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A symbolic link, a folder in place of a file, or the reverse.
    #[error("`{path}` is not what it should be: a regular file, or for the folder a folder")]
    Kind {
        /// The file or folder.
        path: PathBuf,
    },
    /// It is longer than such a file can be, or not text.
    #[error("`{path}` is longer than {bytes_max} bytes or not text")]
    Content {
        /// The file.
        path: PathBuf,
        /// The bound.
        bytes_max: u64,
    },
    /// The system refused.
    #[error("`{path}` could not be {done}")]
    System {
        /// The file or folder.
        path: PathBuf,
        /// What was tried: `read`, `written`.
        done: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Whether a file that is there already is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// The new content takes its place at once.
    Replace,
    /// It stays, and what it holds counts.
    Keep,
}

/// Makes the folder, or checks the one that is there.
pub(crate) fn private_folder(path: &Path) -> Result<(), FileError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(source) => return Err(system(path, "written")(source)),
    }
    let found = fs::symlink_metadata(path).map_err(system(path, "read"))?;
    if !found.is_dir() {
        return Err(FileError::Kind { path: path.to_owned() });
    }
    check_mode(path, &found)
}

/// Reads a private file; none if there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Zeroizing<String>>, FileError> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(system(path, "read")(source)),
    };
    if !found.is_file() {
        return Err(FileError::Kind { path: path.to_owned() });
    }
    check_mode(path, &found)?;
    let file = File::open(path).map_err(system(path, "read"))?;
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(FILE_BYTES_MAX.saturating_add(1)).read_to_end(&mut bytes).map_err(system(path, "read"))?;
    let fits = u64::try_from(bytes.len()).is_ok_and(|len| len <= FILE_BYTES_MAX);
    match std::str::from_utf8(&bytes) {
        Ok(text) if fits => Ok(Some(Zeroizing::new(text.to_owned()))),
        Ok(_) | Err(_) => Err(FileError::Content { path: path.to_owned(), bytes_max: FILE_BYTES_MAX }),
    }
}

/// Writes a private file whole: under another name first, flushed, then under its own.
pub(crate) fn write(path: &Path, text: &str, existing: Existing) -> Result<(), FileError> {
    let draft = draft_path(path)?;
    let done = write_draft(&draft, text).and_then(|()| match existing {
        Existing::Replace => fs::rename(&draft, path),
        // A link never replaces: of two that start at once, both go on with the key of one.
        Existing::Keep => match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        },
    });
    if existing == Existing::Keep || done.is_err() {
        // It may be gone or never have been; what counts is `done`.
        let _ = fs::remove_file(&draft);
    }
    done.map_err(system(path, "written"))
}

fn write_draft(draft: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A name beside `path` that nobody else uses.
fn draft_path(path: &Path) -> Result<PathBuf, FileError> {
    let mut bytes = [0; 9];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| system(path, "written")(io::Error::other("the system gave no randomness")))?;
    Ok(path.with_extension(format!("{}.draft", URL_SAFE_NO_PAD.encode(bytes))))
}

fn check_mode(path: &Path, found: &fs::Metadata) -> Result<(), FileError> {
    let mode = found.mode() & PERMISSIONS;
    if mode & OTHERS == 0 { Ok(()) } else { Err(FileError::Permissions { path: path.to_owned(), mode }) }
}

fn system(path: &Path, done: &'static str) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError::System { path, done, source }
}
