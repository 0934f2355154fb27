//! How much a folder holds, and how much room there is beside it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Why it cannot be told how much a folder holds.
#[derive(Debug, thiserror::Error)]
pub enum HeldError {
    /// Part of it cannot be looked into.
    #[error("part of it cannot be looked into")]
    Closed(#[source] io::Error),
    /// It could not be looked at this time, for a reason that is not in it.
    #[error("it cannot be looked at")]
    Failed(#[source] io::Error),
    /// It has more entries than are looked at.
    #[error("it holds more than {ENTRIES_MAX} files and folders")]
    TooMany,
}

/// What a folder and all below it take, in bytes of the disk: each file and folder at least a page, so that empty ones count, too. Links
/// are not followed. What a second name leads to counts twice.
///
/// # Errors
/// [`HeldError`]: whoever owns the folder decides what is in it, so what cannot be counted is not taken for nothing.
pub fn held_bytes(folder: &Path) -> Result<u64, HeldError> {
    let (mut waiting, mut bytes, mut entries) = (vec![PathBuf::from(folder)], 0_u64, 0_usize);
    while let Some(folder) = waiting.pop() {
        let listed = match present(fs::read_dir(&folder))? {
            Some(listed) => listed,
            None => continue,
        };
        for entry in listed {
            let Some(entry) = present(entry)? else { continue };
            // Of the entry itself, wherever it may lead.
            let Some(about) = present(entry.metadata())? else { continue };
            entries = entries.saturating_add(1);
            if entries > ENTRIES_MAX {
                return Err(HeldError::TooMany);
            }
            bytes = bytes.saturating_add(about.blocks().saturating_mul(BLOCK_BYTES).max(ENTRY_BYTES_MIN));
            if about.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    Ok(bytes)
}

/// What somebody took away meanwhile is not there, or is no folder any more.
fn present<T>(looked: io::Result<T>) -> Result<Option<T>, HeldError> {
    match looked {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidFilename) => {
            Err(HeldError::Closed(error))
        }
        Err(error) => Err(HeldError::Failed(error)),
    }
}

/// What is free on the disk of a folder, in bytes, for this user.
#[must_use]
pub fn free_bytes(folder: &Path) -> Option<u64> {
    let about = rustix::fs::statvfs(folder).ok()?;
    Some(about.f_bavail.saturating_mul(about.f_frsize))
}

/// `stat` counts in these, whatever the file system does.
const BLOCK_BYTES: u64 = 512;
const ENTRY_BYTES_MIN: u64 = 4096;
/// LIMIT: files and folders that are counted.
const ENTRIES_MAX: usize = 1_000_000;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn files_at_any_depth_count_and_so_do_empty_ones_and_what_links_lead_to_does_not() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert_eq!(held_bytes(dir.path()).unwrap(), 0);
        let deep = dir.path().join("a/b/c");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("file"), vec![1; 100_000]).unwrap();
        fs::write(deep.join("empty"), "").unwrap();
        let held = held_bytes(dir.path()).unwrap();
        assert!((100_000 + 4 * 4096..200_000).contains(&held), "{held}");
        fs::write(elsewhere.path().join("file"), vec![1; 1_000_000]).unwrap();
        symlink(elsewhere.path(), dir.path().join("link")).unwrap();
        symlink("/dev/zero", dir.path().join("device")).unwrap();
        assert_eq!(held_bytes(dir.path()).unwrap(), held + 2 * 4096);
        assert_eq!(held_bytes(&dir.path().join("nowhere")).unwrap(), 0);
        assert!(free_bytes(dir.path()).unwrap() > 0);
    }

    #[test]
    fn what_cannot_be_looked_into_is_not_taken_for_nothing() {
        let dir = tempfile::tempdir().unwrap();
        // Deeper than any path is long.
        let deep = dir.path().join("deep");
        fs::create_dir(&deep).unwrap();
        let mut at = std::fs::File::open(&deep).unwrap();
        let name = "d".repeat(200);
        for _ in 0..25 {
            rustix::fs::mkdirat(&at, &name, rustix::fs::Mode::RWXU).unwrap();
            let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
            at = rustix::fs::openat(&at, &name, flags, rustix::fs::Mode::empty()).unwrap().into();
        }
        assert!(matches!(held_bytes(dir.path()), Err(HeldError::Closed(_))));
        fs::remove_dir_all(&deep).unwrap();
        assert_eq!(held_bytes(dir.path()).unwrap(), 0);
        let closed = dir.path().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
        // The superuser can look into everything.
        let is_root = rustix::process::geteuid().is_root();
        assert_eq!(matches!(held_bytes(dir.path()), Err(HeldError::Closed(_))), !is_root);
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    }
}
