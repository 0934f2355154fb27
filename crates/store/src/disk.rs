//! The file itself: found or made, locked, read and written.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::StorageBackend;

use crate::error::OpenError;

/// The file, locked (flock(2)) until the last clone is dropped. The lock is ours and not the engine's, so that it stays while the engine
/// is replaced; an engine elsewhere respects it.
#[derive(Debug, Clone)]
pub(crate) struct Disk(Arc<Held>);

#[derive(Debug)]
struct Held {
    path: PathBuf,
    file: File,
    /// Whether what can be read here is known to be on the disk too: see [`Disk::make_certain`].
    certain: AtomicBool,
    #[cfg(test)]
    flushes_left: std::sync::atomic::AtomicU32,
}

impl Disk {
    /// The file at `path`, if there is one.
    pub(crate) fn open(path: &Path) -> Result<Option<Disk>, OpenError> {
        let failed = |source| OpenError::Io { path: path.into(), source };
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            // A link to nothing stands for a store that is elsewhere, and not there now: to make an empty one hides that.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() || metadata.len() == 0 {
            // An empty file would be taken for a store that is to be made. Ours is never empty: it is made under another name.
            return Err(OpenError::Damaged { path: path.into(), source: "it is empty, or no regular file".into() });
        }
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & 0o022 != 0 {
            return Err(OpenError::Exposed { path: path.into(), mode });
        }
        lock(&file, path)?;
        Ok(Some(Disk::held(path, file)))
    }

    /// Makes the file and has it filled; it gets its name once it is whole.
    pub(crate) fn make(path: &Path, fill: impl FnOnce(&Disk) -> Result<(), OpenError>) -> Result<Disk, OpenError> {
        let failed = |source| OpenError::Io { path: path.into(), source };
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(".new");
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&unfinished);
        let file = file.map_err(failed)?;
        lock(&file, path)?;
        // Whoever else is making it held that lock until it had its name. So from here on nobody gives it that name but us, and
        // what a crash left unfinished is nobody's.
        if path.try_exists().map_err(failed)? {
            return Err(OpenError::InUse { path: path.into() });
        }
        file.set_len(0).and_then(|()| file.set_permissions(Permissions::from_mode(0o600))).map_err(failed)?;
        let disk = Disk::held(path, file);
        fill(&disk)?;
        disk.0.file.sync_all().map_err(failed)?;
        std::fs::rename(&unfinished, path).map_err(failed)?;
        File::open(folder(path)).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok(disk)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0.path
    }

    /// Writes every byte as it is read, and flushes, unless that was done before.
    ///
    /// When a flush fails, Linux forgets which pages it could not write, and the next flush succeeds without them: what is read is then
    /// not what a crash would leave (A. Rebello et al., Can Applications Recover from fsync Failures?, USENIX ATC 2020). That may have
    /// happened to an earlier process too.
    pub(crate) fn make_certain(&self) -> io::Result<()> {
        if self.0.certain.load(Ordering::Acquire) {
            return Ok(());
        }
        let len = self.len()?;
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut offset = 0_u64;
        while offset < len {
            let rest = usize::try_from(len.saturating_sub(offset)).unwrap_or(usize::MAX);
            let Some(bytes) = chunk.get_mut(..rest.min(CHUNK_BYTES)) else { break };
            self.read(offset, bytes)?;
            self.write(offset, bytes)?;
            offset = offset.saturating_add(u64::try_from(bytes.len()).map_err(io::Error::other)?);
        }
        self.sync_data()?;
        self.0.certain.store(true, Ordering::Release);
        Ok(())
    }

    /// What is written to a removed file is lost.
    pub(crate) fn check_linked(&self) -> io::Result<()> {
        if self.0.file.metadata()?.nlink() == 0 {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the file was removed"));
        }
        Ok(())
    }

    #[cfg(not(test))]
    fn flush(&self) -> io::Result<()> {
        self.0.file.sync_data()
    }

    /// No disk fails when a test asks it to.
    #[cfg(test)]
    fn flush(&self) -> io::Result<()> {
        let one_less = |left: u32| left.checked_sub(1);
        match self.0.flushes_left.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less) {
            Ok(_) => self.0.file.sync_data(),
            Err(_) => Err(io::Error::other("the flush failed, says the test")),
        }
    }

    #[cfg(test)]
    pub(crate) fn fail_after(&self, flushes: u32) {
        self.0.flushes_left.store(flushes, Ordering::Release);
    }

    #[cfg(test)]
    pub(crate) fn is_certain(&self) -> bool {
        self.0.certain.load(Ordering::Acquire)
    }

    fn held(path: &Path, file: File) -> Disk {
        Disk(Arc::new(Held {
            path: path.into(),
            file,
            certain: AtomicBool::new(false),
            #[cfg(test)]
            flushes_left: u32::MAX.into(),
        }))
    }
}

/// Of the engine's locks none is needed: the file is locked before the engine sees it.
impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.file.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.flush().inspect_err(|_| self.0.certain.store(false, Ordering::Release))
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.file.write_all_at(bytes, offset)
    }
}

fn lock(file: &File, path: &Path) -> Result<(), OpenError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.into() }),
        Err(TryLockError::Error(source)) => Err(OpenError::Io { path: path.into(), source }),
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

const CHUNK_BYTES: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn file_is_written_as_it_is_read_once_and_again_after_a_failed_flush() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("file");
        let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(CHUNK_BYTES * 2 + 5).collect();
        fs::write(&path, &bytes).unwrap();
        let disk = Disk::open(&path).unwrap().unwrap();
        let is_written = || {
            disk.0.file.set_modified(UNIX_EPOCH).unwrap();
            disk.make_certain().unwrap();
            assert!(fs::read(&path).unwrap() == bytes);
            fs::metadata(&path).unwrap().modified().unwrap() != UNIX_EPOCH
        };
        assert!(is_written());
        assert!(!is_written());
        disk.fail_after(0);
        disk.sync_data().unwrap_err();
        disk.make_certain().unwrap_err();
        disk.fail_after(1);
        assert!(is_written());
    }
}
