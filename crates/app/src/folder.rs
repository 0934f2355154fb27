//! The data folder: what lasts, for this process alone.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sekisho_audit::{Audit, OpenError};

use crate::problem::{Code, Problem};

/// A data folder, whether it is there or not.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The folder at `path`; nothing is looked at or made.
    #[must_use]
    pub(crate) fn new(path: PathBuf) -> Folder {
        Folder { path }
    }

    /// The folder itself.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the audit log is.
    #[must_use]
    pub(crate) fn audit(&self) -> PathBuf {
        self.path.join("audit")
    }

    /// Where a running gateway tells its status.
    #[must_use]
    pub(crate) fn socket(&self) -> PathBuf {
        self.path.join("status.sock")
    }

    /// Makes the folder, for its owner alone, if it is missing.
    ///
    /// # Errors
    /// It cannot be made, is no folder, or others may write to it.
    pub(crate) fn prepare(&self) -> Result<(), Problem> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.path);
        made.map_err(|source| self.refused(&source))?;
        let metadata = std::fs::metadata(&self.path).map_err(|source| self.refused(&source))?;
        let mode = metadata.permissions().mode() & 0o7777;
        // Whoever may write here may put another socket, or another issuer's key, in the place of ours.
        if mode & 0o022 != 0 {
            let words = format!("data folder `{}` has mode {mode:04o}: others may write to it", self.path.display());
            return Err(Problem::new(Code::DataUnusable, words).help(format!("chmod 0700 {}", self.path.display())));
        }
        Ok(())
    }

    /// Opens the audit log in the folder, which marks the folder as in use.
    ///
    /// # Errors
    /// Another gateway has it, it is read-only, or the log is damaged.
    pub(crate) fn open_audit(&self, config: &sekisho_audit::Config, now: SystemTime) -> Result<Audit, Problem> {
        Audit::open(&self.audit(), config, now).map_err(|error| match &error {
            OpenError::InUse { .. } => {
                let words = format!("another gateway uses the data folder `{}`", self.path.display());
                Problem::new(Code::DataInUse, words)
                    .help("stop that one (`sekisho status` tells its process), or give this one its own `data_dir`")
            }
            OpenError::Folder { source, .. } | OpenError::Write { source, .. } => self.refused(source),
            OpenError::Exposed { .. } | OpenError::Damaged { .. } | OpenError::Read { .. } => {
                Problem::of(Code::DataUnusable, &error)
            }
        })
    }

    fn refused(&self, source: &io::Error) -> Problem {
        let shown = self.path.display();
        // EPERM comes as `PermissionDenied` too: immutable folders and file systems of the kernel.
        let read_only = matches!(source.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem);
        if read_only {
            let words = format!("data folder `{shown}` cannot be written to: {source}");
            return Problem::new(Code::DataReadOnly, words)
                .help("without a place for the audit log nothing may pass: give this user the folder, or set another `data_dir`");
        }
        Problem::new(Code::DataUnusable, format!("data folder `{shown}` cannot be used: {source}"))
            .help("set another `data_dir`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_is_made_for_its_owner_alone_and_one_open_to_others_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().join("a/b"));
        folder.prepare().unwrap();
        assert_eq!(std::fs::metadata(folder.path()).unwrap().permissions().mode() & 0o777, 0o700);
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o775)).unwrap();
        assert!(folder.prepare().unwrap_err().line().contains("chmod 0700"));
    }

    #[test]
    fn folder_in_use_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().join("data"));
        folder.prepare().unwrap();
        let config = sekisho_audit::Config::default();
        let held = folder.open_audit(&config, SystemTime::now()).unwrap();
        assert!(folder.open_audit(&config, SystemTime::now()).unwrap_err().line().ends_with("(SK0203)"));
        drop(held);
        folder.open_audit(&config, SystemTime::now()).unwrap();
    }

    #[test]
    fn folder_that_cannot_be_written_to_is_told_apart() {
        for (source, code) in [
            (io::ErrorKind::PermissionDenied, "SK0204"),
            (io::ErrorKind::ReadOnlyFilesystem, "SK0204"),
            (io::ErrorKind::NotADirectory, "SK0205"),
        ] {
            let folder = Folder::new(PathBuf::from("/data"));
            assert!(folder.refused(&source.into()).line().ends_with(&format!("({code})")));
        }
    }
}
