//! The lock file on the disk: read, written whole, and kept as it was before; and what the programs of servers are.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sekisho_audit::Digest;
use sekisho_catalog::{Approvals, Lock, LockError, ProgramDigest, ServerConfig};
use sekisho_upstream::Digests;
use sekisho_upstream::launch::{ProgramFile, digest_of, program_file, search_path};

use crate::assemble::variable;
use crate::config::Loaded;
use crate::folder::Folder;
use crate::problem::{Code, Place, Problem};

/// The lock file of a configuration.
pub(crate) struct LockFile {
    path: PathBuf,
    /// Where earlier ones are kept.
    history: PathBuf,
}

impl LockFile {
    #[must_use]
    pub(crate) fn of(loaded: &Loaded) -> LockFile {
        let path = loaded.base.join(&loaded.config.catalog.lock_file);
        // Each lock file has its own.
        let history = loaded.folder().path().join("locks").join(path.file_name().unwrap_or_default());
        LockFile { path, history }
    }

    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where a step that was taken back is kept.
    #[must_use]
    pub(crate) fn undone(&self) -> PathBuf {
        self.history.join("undone.lock")
    }

    /// What it says. None: there is none.
    ///
    /// # Errors
    /// It cannot be read, or something in it is wrong.
    pub(crate) fn read(&self) -> Result<Option<Lock>, Problem> {
        match bounded(&self.path) {
            Ok(bytes) => self.parse(bytes).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                let words = format!("lock file `{}` cannot be read: {error}", self.path.display());
                Err(Problem::new(Code::Lock, words))
            }
        }
    }

    fn parse(&self, bytes: Vec<u8>) -> Result<Lock, Problem> {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Lock::read(bytes.into()).map_err(|error: LockError| {
            let span = error.at();
            let help = error.help();
            // Bytes that are no text shift what follows them; then the place would be another one.
            let place = Place { path: self.path.clone(), text: text.into(), span };
            // A line that no screen has is not shown.
            let line = place
                .text
                .get(..place.span.start)
                .and_then(|before| before.rfind('\n'))
                .map_or(0, |at| at.saturating_add(1));
            let is_short =
                place.text.get(line..).is_some_and(|rest| rest.find('\n').unwrap_or(rest.len()) <= LINE_BYTES_MAX);
            let is_place = is_short && place.text.get(place.span.clone()).is_some();
            let words = format!("lock file `{}`: {error}", self.path.display());
            Problem::new(Code::Lock, words).help(help).at(is_place.then_some(place))
        })
    }

    /// Writes it, all or nothing, and keeps what it said before. `before` is what it was read as: if it says something else by now,
    /// nothing is written.
    ///
    /// # Errors
    /// It was changed meanwhile, or cannot be written.
    pub(crate) fn write(&self, lock: &Lock, before: Option<&Lock>) -> Result<(), Problem> {
        let folder = Folder::new(self.history.clone());
        folder.prepare()?;
        let _one_at_a_time = self.alone()?;
        if self.read()?.as_ref() != before {
            let words = format!("lock file `{}` was changed meanwhile", self.path.display());
            return Err(Problem::new(Code::Lock, words).help("nothing was written; do it again"));
        }
        let text = lock.to_text();
        if Lock::read(text.clone().into()).as_ref() != Ok(lock) {
            return Err(Problem::new(Code::Lock, "what would be written could not be read again; nothing was written"));
        }
        let earlier = before.map(|_| std::fs::read(&self.path)).transpose().map_err(|error| self.unwritable(&error))?;
        replace(&self.path, text.as_bytes()).map_err(|error| self.unwritable(&error))?;
        self.keep_earlier(earlier.as_deref(), text.as_bytes()).map_err(|error| self.unwritable(&error))
    }

    /// Takes the last step back: the lock file is as it was before. What it said until now is kept beside the earlier ones, as
    /// `undone.lock`.
    ///
    /// # Errors
    /// There is no earlier one, it cannot be used, or nothing can be written.
    pub(crate) fn roll_back(&self) -> Result<Lock, Problem> {
        Folder::new(self.history.clone()).prepare()?;
        let _one_at_a_time = self.alone()?;
        let numbers = self.kept();
        let Some(latest) = numbers.last() else {
            let words = format!("no earlier lock file is kept in `{}`", self.history.display());
            return Err(Problem::new(Code::Lock, words).help("bring an earlier one back from version control"));
        };
        let now = std::fs::read(&self.path).map(|bytes| Digest::of(&bytes).to_string()).ok();
        if now.is_none() || now != std::fs::read_to_string(self.history.join("written")).ok() {
            let words =
                format!("lock file `{}` was changed since by something else than this program", self.path.display());
            return Err(Problem::new(Code::Lock, words).help("bring an earlier one back from version control"));
        }
        let earlier = self.numbered(*latest);
        let bytes = std::fs::read(&earlier).map_err(|error| self.unwritable(&error))?;
        let lock = LockFile { path: earlier.clone(), history: self.history.clone() }.parse(bytes.clone())?;
        let undo = || {
            if self.path.exists() {
                std::fs::copy(&self.path, self.undone())?;
            }
            replace(&self.path, &bytes)?;
            std::fs::write(self.history.join("written"), Digest::of(&bytes).to_string())?;
            std::fs::remove_file(&earlier)
        };
        undo().map_err(|error| self.unwritable(&error))?;
        Ok(lock)
    }

    /// Held while the file is written: two commands at once do not undo each other.
    fn alone(&self) -> Result<File, Problem> {
        let guard = self.history.join("in-use");
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(guard);
        let locked = file.and_then(|file| file.lock().map(|()| file));
        locked.map_err(|error| self.unwritable(&error))
    }

    fn keep_earlier(&self, earlier: Option<&[u8]>, written: &[u8]) -> io::Result<()> {
        std::fs::write(self.history.join("written"), Digest::of(written).to_string())?;
        let Some(earlier) = earlier.filter(|earlier| *earlier != written) else { return Ok(()) };
        let kept = self.kept();
        let number = kept.last().map_or(1, |last| last.saturating_add(1));
        std::fs::write(self.numbered(number), earlier)?;
        let over = kept.len().saturating_add(1).saturating_sub(KEPT_MAX);
        kept.iter().take(over).try_for_each(|number| std::fs::remove_file(self.numbered(*number)))
    }

    /// The numbers of the earlier ones, the oldest first.
    fn kept(&self) -> Vec<u64> {
        let Ok(entries) = std::fs::read_dir(&self.history) else { return Vec::new() };
        let number = |name: std::ffi::OsString| {
            let number: u64 = name.to_str()?.strip_suffix(".lock")?.parse().ok()?;
            (self.numbered(number).file_name() == Some(&name)).then_some(number)
        };
        let mut numbers: Vec<u64> = entries.filter_map(|entry| number(entry.ok()?.file_name())).collect();
        numbers.sort_unstable();
        numbers
    }

    fn numbered(&self, number: u64) -> PathBuf {
        self.history.join(format!("{number:06}.lock"))
    }

    fn unwritable(&self, error: &io::Error) -> Problem {
        Problem::new(Code::Lock, format!("lock file `{}` cannot be written: {error}", self.path.display()))
    }
}

/// What is approved, for a catalog. Without a lock file nothing is.
///
/// # Errors
/// The lock file cannot be used.
pub(crate) fn approvals(loaded: &Loaded) -> Result<Approvals, Problem> {
    let lock = LockFile::of(loaded).read()?.unwrap_or_default();
    Ok(Approvals::new(lock, programs(loaded), loaded.config.catalog.unapproved()))
}

/// Nobody has looked at what the servers offer yet, and nothing may be used unseen.
#[must_use]
pub(crate) fn missing(loaded: &Loaded) -> Option<Problem> {
    let is_needed = !loaded.config.catalog.dangerous_trust_on_first_use;
    if is_needed { absent(loaded) } else { None }
}

/// The same, whether it is needed or not.
#[must_use]
pub(crate) fn absent(loaded: &Loaded) -> Option<Problem> {
    let file = LockFile::of(loaded);
    (!file.path.exists()).then(|| {
        let words =
            format!("there is no lock file `{}`: nobody has looked at what the servers offer", file.path.display());
        let command = format!("sekisho lock --config {}", loaded.path.display());
        Problem::new(Code::Lock, words)
            .help(format!("`{command}` shows what they offer and writes it"))
            .at(loaded.document.place_of(&["catalog", "lock_file"]))
    })
}

/// SHA-256 of the files that are the programs of servers, by server. One that is this very program needs none, and one without a file
/// of its own has none.
#[must_use]
pub(crate) fn programs(loaded: &Loaded) -> BTreeMap<String, ProgramDigest> {
    // What says what is approved may be somebody else's, such as the superuser's; then what this user says of files does not count.
    let lock = LockFile::of(loaded).path.metadata();
    if lock.is_ok_and(|about| about.uid() == nix::unistd::Uid::effective().as_raw()) {
        Digests::shared().recall(&known_programs(loaded));
    }
    // Replaced by an update it is another file, and this program all the same.
    let own = Path::new("/proc/self/exe");
    let own_path = std::env::current_exe().ok().map(|path| {
        let path = path.display().to_string();
        PathBuf::from(path.strip_suffix(" (deleted)").unwrap_or(&path))
    });
    let own_size = own.metadata().ok().map(|about| about.len());
    let is_own = |file: &Path, digest: &ProgramDigest| {
        let alike = own_size.is_some() && own_size == file.metadata().ok().map(|about| about.len());
        alike && digest_of(own).as_ref() == Some(digest)
    };
    let digest = |(name, server): (&String, &ServerConfig)| {
        let path = search_path(server, &variable);
        let ProgramFile::At(file) = program_file(&loaded.base, server, path.as_deref()) else { return None };
        if own_path == file.canonicalize().ok() {
            return None;
        }
        let digest = digest_of(&file)?;
        if is_own(&file, &digest) {
            return None;
        }
        Some((name.clone(), digest))
    };
    loaded.config.servers.iter().filter_map(digest).collect()
}

/// What was learned of programs is kept, so that a start does not read them anew.
pub(crate) fn keep_programs(loaded: &Loaded) {
    let at = known_programs(loaded);
    if let Err(error) = Digests::shared().keep(&at) {
        tracing::debug!(target: "app", %error, file = %at.display(), "what is known of programs is not kept");
    }
}

fn known_programs(loaded: &Loaded) -> PathBuf {
    loaded.folder().path().join("programs")
}

/// The bytes of a file, if it is one and no longer than a lock file may be.
fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LOCK_BYTES_MAX.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len <= LOCK_BYTES_MAX) {
        Ok(bytes)
    } else {
        Err(io::Error::other("it is longer than 128 MiB"))
    }
}

/// Written beside and renamed, so that there is never half a file. What lies beside may be anybody's: it is never written through.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.next", std::process::id()));
    let beside = path.with_file_name(name);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&beside)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| std::fs::rename(&beside, path));
    written.inspect_err(|_| drop(std::fs::remove_file(&beside)))
}

/// LIMIT: of a lock file, as `catalog` reads it.
const LOCK_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// The longest line that is shown where something in it is wrong.
const LINE_BYTES_MAX: usize = 400;
/// LIMIT: earlier lock files that are kept.
const KEPT_MAX: usize = 32;

#[cfg(test)]
mod tests;
