//! Which file a command runs, and whether it is still the one that was approved: looked at before each start of a process.
//!
//! LIMIT: between this look and the execution the file can be replaced by whoever may write it: the user that the gateway runs as, and
//! root. Others cannot, where the program is found by its name alone.

use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use nix::unistd::{Gid, Group, Uid, User};
use sekisho_catalog::{EnvValue, Flaw, Identity, ProgramDigest, Server, ServerConfig};

use crate::digests::{Digests, PROGRAM_BYTES_MAX};
use crate::error::Fault;
use crate::notes::Notes;

/// Why a program that is named without its folder is not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfound {
    /// It is in no folder of `PATH`; relative and empty ones are passed over.
    #[error("`{0}` is in no folder of `PATH`")]
    Nowhere(String),
    /// Somebody else could have put it there, or put another one in its place.
    #[error("`{}` is what `PATH` finds first, and {why}", path.display())]
    Exposed {
        /// What is found.
        path: PathBuf,
        /// Who could.
        why: String,
    },
}

/// What stands for the program of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProgramFile {
    /// This file: the program, or the script behind its interpreter.
    At(PathBuf),
    /// None: an interpreter with a module, whose name is all there is.
    None,
    /// It cannot be found.
    Unfound(Unfound),
}

/// The `PATH` that a server's program is looked for in: its own, or else the gateway's.
#[must_use]
pub fn search_path(config: &ServerConfig, env: &dyn Fn(&str) -> Option<OsString>) -> Option<OsString> {
    match config.env.get("PATH") {
        Some(EnvValue::Literal(path)) => Some(OsString::from(path.as_ref())),
        // What is secret is looked for nowhere.
        Some(EnvValue::Secret(_)) => None,
        None => env("PATH"),
    }
}

/// The file that stands for the program of a server. Nothing is read of it.
#[must_use]
pub fn program_file(base: &Path, config: &ServerConfig, path: Option<&OsStr>) -> ProgramFile {
    let Some((program, arguments)) = config.command.as_deref().and_then(<[String]>::split_first) else {
        return ProgramFile::None;
    };
    if !is_interpreter(program) {
        return match find(base, program, path) {
            Ok(file) => ProgramFile::At(file),
            Err(unfound) => ProgramFile::Unfound(unfound),
        };
    }
    let folder = config.cwd.as_ref().map_or_else(|| base.to_owned(), |cwd| base.join(cwd));
    let words = arguments.iter().take_while(|argument| *argument != "-m" && *argument != "-c" && *argument != "-e");
    let script = words.filter(|word| !word.starts_with('-')).map(|word| folder.join(word)).find(|path| path.is_file());
    script.map_or(ProgramFile::None, ProgramFile::At)
}

/// The file that is executed: a path starts from the configuration's folder, wherever the process runs; a plain name is looked for in
/// `PATH`.
///
/// # Errors
/// [`Unfound`], of a plain name alone.
pub fn find(base: &Path, program: &str, path: Option<&OsStr>) -> Result<PathBuf, Unfound> {
    if program.contains('/') {
        return Ok(base.join(program));
    }
    let folders = safe_folders(path);
    let is_there = |file: &PathBuf| file.metadata().is_ok_and(|about| about.is_file() && about.mode() & 0o111 != 0);
    let found = folders.iter().map(|folder| folder.join(program)).find(is_there);
    let file = found.ok_or_else(|| Unfound::Nowhere(program.to_owned()))?;
    exposed(&file).map_or(Ok(()), |why| Err(Unfound::Exposed { path: file.clone(), why }))?;
    Ok(file)
}

/// `PATH` without what starts from wherever a process runs: a folder of the client's could shadow any program.
#[must_use]
pub(crate) fn safe_path(path: &OsStr) -> OsString {
    // None of them has a colon: they were parts between colons.
    std::env::join_paths(safe_folders(Some(path))).unwrap_or_default()
}

fn safe_folders(path: Option<&OsStr>) -> Vec<PathBuf> {
    path.map(std::env::split_paths).into_iter().flatten().filter(|folder| folder.is_absolute()).collect()
}

/// Who else could put another file in its place: the owners and modes of the file, of what it is a link to, and of all folders above.
fn exposed(file: &Path) -> Option<String> {
    let real = match file.canonicalize() {
        Ok(real) => real,
        Err(error) => return Some(format!("it cannot be looked at: {error}")),
    };
    let folder_of = |file: &Path| file.parent().and_then(|folder| folder.canonicalize().ok());
    let Some(folder) = folder_of(file) else { return Some("its folder cannot be looked at".to_owned()) };
    let above = folder.ancestors().map(Path::to_owned).collect::<Vec<_>>();
    let around = real.ancestors().map(Path::to_owned);
    around.chain(above).find_map(|path| {
        let about = match path.metadata() {
            Ok(about) => about,
            Err(error) => return Some(format!("`{}` cannot be looked at: {error}", path.display())),
        };
        is_anybodys(&about).map(|why| format!("`{}` {why}", path.display()))
    })
}

/// Whether somebody else than this user and root may change it.
fn is_anybodys(about: &Metadata) -> Option<String> {
    let (owner, us) = (Uid::from_raw(about.uid()), Uid::effective());
    if !owner.is_root() && owner != us {
        return Some(format!("belongs to user {owner}"));
    }
    // In a sticky folder only the owner of a file may replace it, and the owner is looked at, too.
    let is_sticky = about.is_dir() && about.mode() & 0o1000 != 0;
    let by_group = about.mode() & 0o020 != 0 && !is_own_group(Gid::from_raw(about.gid()), owner);
    let is_open = about.mode() & 0o002 != 0 || by_group;
    (is_open && !is_sticky)
        .then(|| format!("can be written to by others (mode {:04o}); `chmod go-w` mends that", about.mode() & 0o7777))
}

/// Root's, or the group that many systems make for each user alone, which has the user's name.
fn is_own_group(group: Gid, owner: Uid) -> bool {
    if group.as_raw() == 0 {
        return true;
    }
    let user = User::from_uid(owner).ok().flatten();
    let group = Group::from_gid(group).ok().flatten();
    user.zip(group).is_some_and(|(user, group)| {
        user.gid == group.gid && user.name == group.name && group.mem.iter().all(|member| *member == user.name)
    })
}

fn is_interpreter(program: &str) -> bool {
    let name = Path::new(program).file_name().and_then(OsStr::to_str).unwrap_or_default();
    let is = |known: &&str| {
        let version = name.strip_prefix(*known);
        version.is_some_and(|version| version.chars().all(|char| char.is_ascii_digit() || char == '.'))
    };
    INTERPRETERS.iter().any(is)
}

/// What is looked at before each start of a server's process.
pub(crate) struct Launch {
    base: PathBuf,
    /// As it is configured.
    command: ServerConfig,
    path: Option<OsString>,
    /// Found once: a file that comes to stand before it in `PATH` later is not run.
    found: Mutex<Option<PathBuf>>,
    /// What was written down last of a program that is another one.
    alarmed: Mutex<Option<String>>,
}

/// Why a process is not started.
enum NotStarted {
    /// It may be another program than was approved.
    Another(String),
    /// Nobody has approved it, or it is not there.
    Quietly(String),
}

impl Launch {
    pub(crate) fn new(base: &Path, config: &ServerConfig, path: Option<OsString>) -> Launch {
        let launch = Launch {
            base: base.to_owned(),
            command: config.clone(),
            path,
            found: Mutex::default(),
            alarmed: Mutex::default(),
        };
        // One that is not there yet is looked for again when it is to be started.
        let _found = launch.program();
        launch
    }

    /// The file to execute, if it may be: the server is approved, and its program is the one that was approved.
    ///
    /// # Errors
    /// [`Fault::Unreachable`]. That a program is another one is written down, once until it is well again.
    pub(crate) fn check(&self, server: &Server, notes: &Notes) -> Result<PathBuf, Fault> {
        let checked = self.look(server);
        let mut alarmed = self.alarmed.lock().unwrap_or_else(PoisonError::into_inner);
        match &checked {
            Err(NotStarted::Another(why)) if alarmed.as_ref() != Some(why) => {
                notes.alarm(why);
                *alarmed = Some(why.clone());
            }
            Err(_) => {}
            Ok(_) => *alarmed = None,
        }
        checked.map_err(|why| match why {
            NotStarted::Another(why) | NotStarted::Quietly(why) => Fault::Unreachable(why.into()),
        })
    }

    fn look(&self, server: &Server) -> Result<PathBuf, NotStarted> {
        use NotStarted::{Another, Quietly};
        match server.withholds_all() {
            None => {}
            Some(why @ Flaw::Stranger(_)) => {
                let unfound = find(&self.base, self.name(), self.path.as_deref()).err();
                let unfound = unfound.map(|unfound| format!("; {unfound}")).unwrap_or_default();
                return Err(Another(format!("it is not started: {why}{unfound}")));
            }
            Some(why) => return Err(Quietly(format!("it is not started: {why}"))),
        }
        let program = self.program().map_err(|unfound| match unfound {
            Unfound::Nowhere(_) => Quietly(format!("it cannot be started: {unfound}")),
            Unfound::Exposed { .. } => Another(format!("it is not started: {unfound}")),
        })?;
        let Identity::Stdio { program: Some(approved), .. } = server.identity() else { return Ok(program) };
        let file = match program_file(&self.base, &self.command, self.path.as_deref()) {
            // What is run was found before.
            ProgramFile::At(_) if !is_interpreter(self.name()) => program.clone(),
            ProgramFile::At(script) => script,
            ProgramFile::None | ProgramFile::Unfound(_) => {
                return Err(Another("it is not started: the file of its program is gone".to_owned()));
            }
        };
        match Digests::shared().of(&file) {
            Ok(digest) if digest.bytes() == &approved.0 => Ok(program),
            Ok(_) => {
                Err(Another("it is not started: the file of its program is not the one that was approved".to_owned()))
            }
            Err(error) => Err(Quietly(format!("it is not started: its program cannot be read: {error}"))),
        }
    }

    /// What it is called: the first word that the program sees.
    pub(crate) fn name(&self) -> &str {
        self.command.command.as_deref().and_then(<[String]>::first).map_or("", String::as_str)
    }

    /// Whether the same file is run.
    pub(crate) fn is_same(&self, other: &Launch) -> bool {
        let found = |launch: &Launch| launch.found.lock().unwrap_or_else(PoisonError::into_inner).clone();
        found(self) == found(other)
    }

    fn program(&self) -> Result<PathBuf, Unfound> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        match &*found {
            None => {
                let program = find(&self.base, self.name(), self.path.as_deref())?;
                *found = Some(program.clone());
                Ok(program)
            }
            Some(program) => {
                let why = if self.name().contains('/') { None } else { exposed(program) };
                why.map_or(Ok(program.clone()), |why| Err(Unfound::Exposed { path: program.clone(), why }))
            }
        }
    }
}

/// The digest of a program's file; none of one that is too long or cannot be read.
#[must_use]
pub fn digest_of(file: &Path) -> Option<ProgramDigest> {
    let is_small = file.metadata().is_ok_and(|about| about.is_file() && about.len() <= PROGRAM_BYTES_MAX);
    let digest = is_small.then(|| Digests::shared().of(file).ok()).flatten()?;
    Some(ProgramDigest(*digest.bytes()))
}

/// Behind these the script is what counts.
const INTERPRETERS: &[&str] = &[
    "python", "node", "nodejs", "deno", "bun", "ruby", "perl", "php", "java", "sh", "bash", "dash", "zsh", "ksh",
    "fish", "lua", "luajit", "tsx", "ts-node",
];

#[cfg(test)]
mod tests;
