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
    let (beside, mut file) = Beside::of(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    if path.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    beside.take_place_of(path)
}

/// Puts `bytes` in the place of `before`, with the mode and owner that the file has. A link stays a link: its target is replaced.
///
/// # Errors
/// It says something else than `before` by now, or cannot be written.
pub(crate) fn replace(path: &Path, before: &[u8], bytes: &[u8]) -> io::Result<()> {
    let path = &path.canonicalize()?;
    let metadata = path.metadata()?;
    let (beside, mut file) = Beside::of(path)?;
    file.write_all(bytes)?;
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (metadata.uid(), metadata.gid()) {
        std::os::unix::fs::fchown(&file, Some(metadata.uid()), Some(metadata.gid()))?;
    }
    // After the owner: to give a file away takes bits from its mode.
    file.set_permissions(std::fs::Permissions::from_mode(metadata.mode() & 0o7777))?;
    file.sync_all()?;
    if read(path, u64::MAX)? != before {
        return Err(io::Error::other("it was changed meanwhile; nothing was written, do it again"));
    }
    beside.take_place_of(path)
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

/// A file beside the one that is meant, until it takes its place. It may hold secrets: whatever goes wrong before, it is removed.
struct Beside {
    path: Option<PathBuf>,
}

impl Beside {
    /// A file of an earlier run that was cut off lies there at most; what lies there may be a link, and is never written through.
    fn of(path: &Path) -> io::Result<(Beside, File)> {
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(".sekisho-next");
        let path = path.with_file_name(name);
        match std::fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok((Beside { path: Some(path) }, file))
    }

    fn take_place_of(mut self, place: &Path) -> io::Result<()> {
        if let Some(path) = &self.path {
            std::fs::rename(path, place)?;
        }
        // What is renamed is there no more: another run may have put its own there.
        self.path = None;
        flush_folder(place)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // Nothing more can be done about it, and the error that led here is the one to tell.
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_lies_beside_a_file_that_could_not_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let (file, folder) = (dir.path().join("a.json"), dir.path().join("b.json"));
        std::fs::create_dir(&folder).unwrap();
        create(&file, b"one").unwrap();
        let names = || {
            let mut names: Vec<_> =
                std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(create(&file, b"secret").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(names(), ["a.json", "b.json"]);
        assert!(replace(&file, b"other", b"secret").unwrap_err().to_string().contains("changed meanwhile"));
        assert_eq!((names(), read(&file, 9).unwrap()), (vec!["a.json".into(), "b.json".into()], b"one".to_vec()));
        // It cannot be read, which shows only once the new one is written.
        replace(&folder, b"", b"secret").unwrap_err();
        assert_eq!(names(), ["a.json", "b.json"]);
        replace(&file, b"one", b"two").unwrap();
        assert_eq!((names(), read(&file, 9).unwrap()), (vec!["a.json".into(), "b.json".into()], b"two".to_vec()));
    }
}
