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
    /// Of a client over stdio, its number.
    number: Option<u8>,
}

impl Folder {
    /// The folder at `path`; nothing is looked at or made.
    #[must_use]
    pub(crate) fn new(path: PathBuf) -> Folder {
        Folder { path, number: None }
    }

    /// The folder itself.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What it is called beside the others of a data folder: `stdio/3`. None: it is the data folder itself.
    #[must_use]
    pub(crate) fn label(&self) -> Option<String> {
        self.number.map(|number| format!("stdio/{number}"))
    }

    /// Where the audit log is.
    #[must_use]
    pub(crate) fn audit(&self) -> PathBuf {
        self.path.join("audit")
    }

    /// Where is kept what must outlast a restart: what is revoked.
    #[must_use]
    pub(crate) fn store(&self) -> PathBuf {
        self.path.join("state.redb")
    }

    /// Where the keys of the OAuth facade are.
    #[must_use]
    pub(crate) fn broker(&self) -> PathBuf {
        self.path.join("broker")
    }

    /// Where the homes of servers are that run confined.
    #[must_use]
    pub(crate) fn homes(&self) -> PathBuf {
        self.path.join("homes")
    }

    /// Where a running gateway is asked and told.
    #[must_use]
    pub(crate) fn socket(&self) -> PathBuf {
        self.path.join("control.sock")
    }

    /// The folders of clients over stdio, each with a log and a status of its own: one for each that is served at once, used again.
    #[must_use]
    pub(crate) fn place(&self, number: u8) -> Folder {
        Folder { path: self.path.join("stdio").join(number.to_string()), number: Some(number) }
    }

    /// The folders of all clients over stdio, whether they are there or not.
    pub(crate) fn places(&self) -> impl Iterator<Item = Folder> {
        (1..=PLACES_MAX).map(|number| self.place(number))
    }

    /// This folder and those of clients over stdio, as far as they have a log.
    #[must_use]
    pub(crate) fn with_logs(&self) -> Vec<Folder> {
        std::iter::once(self.clone()).chain(self.places()).filter(|folder| folder.audit().is_dir()).collect()
    }

    /// Takes the first folder of a client over stdio that nobody uses, with its log.
    ///
    /// # Errors
    /// All are in use, or one cannot be used.
    pub(crate) fn take_place(
        &self,
        config: &sekisho_audit::Config,
        now: SystemTime,
    ) -> Result<(Folder, Audit), Problem> {
        for place in self.places() {
            place.prepare()?;
            match place.open_audit(config, now) {
                Err(problem) if problem.code_of() == Code::DataInUse => {}
                Err(problem) => return Err(problem),
                Ok(audit) => return Ok((place, audit)),
            }
        }
        let words = format!("{PLACES_MAX} clients are served over stdio from `{}` already", self.path.display());
        Err(Problem::new(Code::DataInUse, words)
            .help("end one of them, or let clients connect to one gateway over HTTP"))
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

/// LIMIT: clients that are served over stdio from one data folder at once.
pub(crate) const PLACES_MAX: u8 = 32;

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
    fn each_client_has_a_place_which_is_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, config) = (Folder::new(dir.path().join("data")), sekisho_audit::Config::default());
        assert!(folder.with_logs().is_empty());
        let take = || folder.take_place(&config, SystemTime::now());
        let mut held: Vec<_> = (1..=PLACES_MAX).map(|_| take().unwrap()).collect();
        assert_eq!(take().map(|(folder, _)| folder).unwrap_err().code_of(), Code::DataInUse);
        let (third, audit) = held.remove(2);
        drop(audit);
        assert_eq!(take().unwrap().0.path(), third.path());
        assert_eq!((folder.label(), third.label().as_deref()), (None, Some("stdio/3")));
        assert_eq!(folder.with_logs().len(), usize::from(PLACES_MAX));
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
