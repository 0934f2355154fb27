//! Users of this machine who are revoked: one file in the data folder, read by every process that serves a client over stdio, and written
//! by `sekisho revoke` alone. It is read whole and replaced atomically; one that cannot be used shuts everybody out.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use sekisho_identity::{Revocation, SHARED_MAX, Target, is_local, read_shared, write_shared};

use crate::folder::Folder;
use crate::problem::{Code, Problem, chain};

/// The file of a data folder.
pub(crate) struct ShutOut {
    folder: Folder,
}

impl ShutOut {
    /// The one in this data folder; nothing is looked at.
    #[must_use]
    pub(crate) fn of(folder: &Folder) -> ShutOut {
        ShutOut { folder: folder.clone() }
    }

    /// Who is. Where nobody ever was there is no file.
    ///
    /// # Errors
    /// It cannot be read, or is damaged: then nobody may be let in.
    pub(crate) fn read(&self) -> Result<Vec<Revocation>, Problem> {
        match self.bytes() {
            Ok(Some(bytes)) => read_shared(bytes.into()).map_err(|error| self.unusable(&chain(&error))),
            Ok(None) => Ok(Vec::new()),
            Err(error) => Err(self.unusable(&error.to_string())),
        }
    }

    /// Shuts somebody out, for good. In force in other processes as soon as they look.
    ///
    /// # Errors
    /// The file cannot be read or written, or has no room; nothing has changed then.
    pub(crate) fn add(&self, revocation: Revocation) -> Result<(), Problem> {
        if !is_local(&revocation.target) {
            return Err(nobodys(&revocation.target));
        }
        self.change(|all| {
            all.retain(|known| known.target != revocation.target);
            all.push(revocation);
            if all.len() > SHARED_MAX {
                let words = format!("nobody more can be revoked: {SHARED_MAX} users of this machine are");
                return Err(Problem::new(Code::Revocation, words)
                    .help("revoke all of them: `sekisho revoke issuer --issuer local`"));
            }
            Ok(())
        })
    }

    /// Lets somebody in again.
    ///
    /// # Errors
    /// They were not shut out, or the file cannot be read or written.
    pub(crate) fn remove(&self, target: &Target) -> Result<(), Problem> {
        self.change(|all| {
            let before = all.len();
            all.retain(|known| known.target != *target);
            if all.len() < before {
                return Ok(());
            }
            let (_, name) = target.names();
            let words = match name {
                "" => "the users of this machine are not revoked as a whole".to_owned(),
                name => format!("`{name}` is not revoked on this machine"),
            };
            Err(Problem::new(Code::Revocation, words).help("`sekisho revoke list` shows who is"))
        })
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Revocation>) -> Result<(), Problem>) -> Result<(), Problem> {
        self.folder.prepare()?;
        let path = self.path();
        let unwritable = |error: io::Error| {
            Problem::new(Code::DataUnusable, format!("`{}` cannot be written: {error}", path.display()))
        };
        // Two commands at once do not undo each other.
        let guard = OpenOptions::new().create(true).append(true).mode(0o600).open(path.with_extension("lock"));
        let _one_at_a_time = guard.and_then(|file| file.lock().map(|()| file)).map_err(unwritable)?;
        let mut all = self.read()?;
        change(&mut all)?;
        self.replace(write_shared(&all).as_bytes()).map_err(unwritable)
    }

    /// Written beside, flushed and renamed, so that there is never half a file; the folder is flushed, so that it lasts.
    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let path = self.path();
        let beside = path.with_extension(format!("{}.next", std::process::id()));
        // Of a process that was killed in the middle; the lock is ours.
        let _gone = std::fs::remove_file(&beside);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        let written =
            file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| std::fs::rename(&beside, &path));
        written.inspect_err(|_| drop(std::fs::remove_file(&beside)))?;
        File::open(self.folder.path())?.sync_all()
    }

    /// None: there is no file.
    fn bytes(&self) -> io::Result<Option<Vec<u8>>> {
        // Neither a link nor a pipe: whoever reads it must not be led elsewhere, nor wait.
        let flags = nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK;
        let file = match OpenOptions::new().read(true).custom_flags(flags.bits()).open(self.path()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let mut bytes = Vec::new();
        file.take(BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("revoked-users.json")
    }

    fn unusable(&self, why: &str) -> Problem {
        let words = format!("who is revoked on this machine cannot be known: `{}`: {why}", self.path().display());
        Problem::new(Code::DataUnusable, words)
            .help("bring a copy of the file back; without one, remove it and revoke again whoever is to stay out, with `--issuer local`")
    }
}

/// The file as a running process sees it.
pub(crate) struct Watched {
    file: ShutOut,
    /// What was taken over last; none while nobody can say.
    known: Option<Vec<Revocation>>,
    /// Whether there is a file: one that goes away was taken away.
    is_there: bool,
}

/// What a look has shown.
pub(crate) enum News {
    /// All who are shut out, and who of them were not before.
    All(Vec<Revocation>, Vec<Revocation>),
    /// Nobody can say.
    Unknown(Problem),
}

impl Watched {
    /// Reads it for the first time, with all who are shut out.
    ///
    /// # Errors
    /// As [`ShutOut::read`].
    pub(crate) fn begin(folder: &Folder) -> Result<(Watched, Vec<Revocation>), Problem> {
        let file = ShutOut::of(folder);
        // Before it is read: one that comes in between is there.
        let is_there = file.path().symlink_metadata().is_ok();
        let known = file.read()?;
        Ok((Watched { file, known: Some(known.clone()), is_there }, known))
    }

    /// What has changed since the last look, if anything has.
    pub(crate) fn look(&mut self) -> Option<News> {
        let seen = match self.file.bytes() {
            Ok(None) if self.is_there => Err(self.file.unusable("it was there, and is no more")),
            Ok(None) => Ok(Vec::new()),
            Ok(Some(bytes)) => {
                self.is_there = true;
                read_shared(bytes.into()).map_err(|error| self.file.unusable(&chain(&error)))
            }
            Err(error) => Err(self.file.unusable(&error.to_string())),
        };
        match (seen, self.known.take()) {
            (Ok(all), Some(known)) if all == known => {
                self.known = Some(known);
                None
            }
            (Ok(all), known) => {
                let known = known.unwrap_or_default();
                let new = all.iter().filter(|one| !known.contains(one)).cloned().collect();
                self.known = Some(all.clone());
                Some(News::All(all, new))
            }
            (Err(problem), Some(_)) => Some(News::Unknown(problem)),
            // It was told.
            (Err(_), None) => None,
        }
    }
}

/// Why a thing cannot be revoked of a user of this machine.
fn nobodys(target: &Target) -> Problem {
    let words = format!("nobody who is served over standard input and output has a {} that is proven", target.kind());
    Problem::new(Code::Revocation, words)
        .help("revoke the user: `sekisho revoke subject --issuer local NAME`; a single server is taken out of the configuration")
}

/// LIMIT: of the file, one past what is read of it.
const BYTES_MAX: u64 = 4 * 1024 * 1024 + 1;

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use sekisho_identity::LOCAL_ISSUER;

    use super::*;

    fn revoked(subject: &str) -> Revocation {
        let target = Target::Subject { issuer: LOCAL_ISSUER.to_owned(), subject: subject.to_owned() };
        // The file has milliseconds.
        let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(1_700_000_000_000);
        Revocation { target, at, reason: String::new(), by: "operator".to_owned() }
    }

    fn folder() -> (tempfile::TempDir, Folder) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().join("data"));
        (dir, folder)
    }

    #[test]
    fn who_is_shut_out_stays_so_until_that_is_taken_back() {
        let (_dir, folder) = folder();
        let file = ShutOut::of(&folder);
        assert_eq!(file.read().unwrap(), Vec::new());
        file.add(revoked("ann")).unwrap();
        file.add(revoked("bob")).unwrap();
        file.add(revoked("ann")).unwrap();
        assert_eq!(file.read().unwrap(), [revoked("bob"), revoked("ann")]);
        file.remove(&revoked("bob").target).unwrap();
        assert!(
            file.remove(&revoked("bob").target).unwrap_err().line().contains("`bob` is not revoked on this machine")
        );
        assert_eq!(ShutOut::of(&folder).read().unwrap(), [revoked("ann")]);
        let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "nothing is left beside it but the lock: {names:?}");
    }

    #[test]
    fn nothing_but_users_of_this_machine_is_shut_out_here() {
        let (_dir, folder) = folder();
        let file = ShutOut::of(&folder);
        for target in [
            Target::Client { issuer: LOCAL_ISSUER.to_owned(), client: "c".to_owned() },
            Target::Subject { issuer: "https://as.example".to_owned(), subject: "ann".to_owned() },
            Target::Everything,
        ] {
            let refused = file.add(Revocation { target, ..revoked("") }).unwrap_err();
            assert_eq!(refused.code_of(), Code::Revocation);
        }
        assert_eq!(file.read().unwrap(), Vec::new());
    }

    #[test]
    fn file_that_is_damaged_a_link_or_a_pipe_is_refused_and_not_written_over() {
        let (dir, folder) = folder();
        let file = ShutOut::of(&folder);
        file.add(revoked("ann")).unwrap();
        let whole = std::fs::read(file.path()).unwrap();
        for damage in [&whole[..whole.len() - 2], b"", b"{}"] {
            std::fs::write(file.path(), damage).unwrap();
            assert_eq!(file.read().unwrap_err().code_of(), Code::DataUnusable);
            file.add(revoked("bob")).unwrap_err();
            assert_eq!(std::fs::read(file.path()).unwrap(), damage);
        }
        std::fs::remove_file(file.path()).unwrap();
        std::fs::write(dir.path().join("other"), &whole).unwrap();
        std::os::unix::fs::symlink(dir.path().join("other"), file.path()).unwrap();
        file.read().unwrap_err();
        std::fs::remove_file(file.path()).unwrap();
        nix::unistd::mkfifo(&file.path(), nix::sys::stat::Mode::S_IRWXU).unwrap();
        file.read().unwrap_err();
        std::fs::remove_file(file.path()).unwrap();
        std::fs::write(file.path(), whole).unwrap();
        assert_eq!(file.read().unwrap(), [revoked("ann")]);
    }

    #[test]
    fn a_running_process_sees_each_change_once_and_a_file_that_goes_away_is_no_file() {
        let (_dir, folder) = folder();
        let file = ShutOut::of(&folder);
        let (mut watched, all) = Watched::begin(&folder).unwrap();
        assert!(all.is_empty() && watched.look().is_none());
        file.add(revoked("ann")).unwrap();
        let Some(News::All(all, new)) = watched.look() else { panic!("news") };
        assert_eq!((all.len(), new), (1, vec![revoked("ann")]));
        assert!(watched.look().is_none());
        file.add(revoked("bob")).unwrap();
        let Some(News::All(all, new)) = watched.look() else { panic!("news") };
        assert_eq!((all.len(), new), (2, vec![revoked("bob")]));
        let whole = std::fs::read(file.path()).unwrap();
        std::fs::remove_file(file.path()).unwrap();
        let Some(News::Unknown(problem)) = watched.look() else { panic!("news") };
        assert!(problem.line().contains("it was there, and is no more"), "{}", problem.line());
        assert!(watched.look().is_none(), "it was told");
        std::fs::write(file.path(), whole).unwrap();
        assert!(matches!(watched.look(), Some(News::All(all, _)) if all.len() == 2));
    }
}
