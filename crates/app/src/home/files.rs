//! Files that are replaced whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Writes a file that is not there, for its owner alone, so that there is never half of it.
///
/// # Errors
/// It is there, or cannot be written.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = beside(path);
    let mut file = fresh(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    if path.symlink_metadata().is_ok() {
        std::fs::remove_file(&beside)?;
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    std::fs::rename(&beside, path)?;
    flush_folder(path)
}

/// Puts `bytes` in the place of `before`, with the mode and owner that the file has. A link stays a link: its target is replaced.
///
/// # Errors
/// It says something else than `before` by now, or cannot be written.
pub(crate) fn replace(path: &Path, before: &[u8], bytes: &[u8]) -> io::Result<()> {
    let path = &path.canonicalize()?;
    let metadata = path.metadata()?;
    let beside = beside(path);
    let mut file = fresh(&beside)?;
    file.write_all(bytes)?;
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (metadata.uid(), metadata.gid()) {
        std::os::unix::fs::fchown(&file, Some(metadata.uid()), Some(metadata.gid()))?;
    }
    // After the owner: to give a file away takes bits from its mode.
    file.set_permissions(std::fs::Permissions::from_mode(metadata.mode() & 0o7777))?;
    file.sync_all()?;
    if read(path, u64::MAX)? != before {
        std::fs::remove_file(&beside)?;
        return Err(io::Error::other("it was changed meanwhile; nothing was written, do it again"));
    }
    std::fs::rename(&beside, path)?;
    flush_folder(path)
}

/// At most `bytes_max` and one more of a file.
///
/// # Errors
/// It cannot be read.
pub(crate) fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What was renamed, made or removed in the folder of `path` lasts.
///
/// # Errors
/// The folder cannot be flushed.
pub(crate) fn flush_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// A file of an earlier run that was cut off lies there at most; what lies there may be a link, and is never written through.
fn fresh(beside: &Path) -> io::Result<File> {
    match std::fs::remove_file(beside) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)
}

fn beside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".sekisho-next");
    path.with_file_name(name)
}
