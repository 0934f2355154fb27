//! What is needed to undo an import: for each change of a client's file one *step*, with the file as it was and what was written.
//!
//! A step is on the disk before the file is touched. It holds the secrets that the file held, so it is for its owner alone.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sekisho_audit::Digest;
use serde::{Deserialize, Serialize};

use super::clients::Format;
use super::tree::{Member, Node};
use crate::folder::Folder;
use crate::home::{Home, files};
use crate::problem::{Code, Problem};

/// One change of one file.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    /// Which form this file has.
    version: u32,
    /// Whose file it is.
    pub(crate) client: String,
    /// Where it was looked for.
    pub(crate) path: PathBuf,
    /// Nothing outside of this folder is followed to.
    pub(crate) root: PathBuf,
    /// What it is written in.
    pub(crate) format: Format,
    /// Its mode, for people; the file keeps its own.
    pub(crate) mode: u32,
    /// When, in RFC 3339.
    pub(crate) time: String,
    /// SHA-256 of what was written.
    pub(crate) written: String,
    /// The bytes before, in base64.
    original: String,
    /// The entries that were changed.
    pub(crate) entries: Vec<Written>,
}

/// An entry that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Written {
    /// Keys down to the map or list of servers.
    pub(crate) place: Vec<String>,
    /// The entry in it.
    pub(crate) key: String,
    /// The server that it runs since.
    pub(crate) server: String,
    /// Members that were taken out.
    took: Vec<String>,
    /// Members that were written, with what they say since, in canonical form.
    says: BTreeMap<String, String>,
}

/// What became of what was written in an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It says what was written, in whatever layout.
    AsWritten,
    /// It says what it said before.
    AsBefore,
    /// It says something else.
    Edited,
    /// The entry is not there.
    Gone,
}

impl Written {
    /// What makes the entry `after` of the entry `before`.
    #[must_use]
    pub(crate) fn new(place: &[String], key: &str, server: &str, before: &Node, after: &Node) -> Written {
        let took = before.members().iter().map(|member| &member.key).filter(|key| after.get(key).is_none());
        let is_new = |member: &&Member| {
            before.get(&member.key).is_none_or(|before| before.canonical() != member.node.canonical())
        };
        let says = after.members().iter().filter(is_new).map(|member| (member.key.clone(), member.node.canonical()));
        Written {
            place: place.to_vec(),
            key: key.to_owned(),
            server: server.to_owned(),
            took: took.cloned().collect(),
            says: says.collect(),
        }
    }

    /// The members that were written or taken out. What else is in the entry is its client's.
    pub(crate) fn members(&self) -> impl Iterator<Item = &str> {
        self.says.keys().chain(&self.took).map(String::as_str)
    }

    /// Whether the entry named an address before.
    pub(crate) fn is_of_address(&self) -> bool {
        self.took.iter().any(|key| key.to_ascii_lowercase().ends_with("url") || key == "uri")
    }

    /// The entry, in what a file says.
    pub(crate) fn of<'a>(&self, tree: &'a Node) -> Option<&'a Node> {
        tree.find(self.place.iter().map(String::as_str))?.entry(&self.key)
    }

    /// What became of it, where the file says `now` and said `before`.
    #[must_use]
    pub(crate) fn standing(&self, now: &Node, before: &Node) -> Standing {
        let Some(now) = self.of(now) else { return Standing::Gone };
        let member = |entry: &Node, key: &str| entry.get(key).map(Node::canonical);
        // Some clients leave out what is empty when they write their file.
        let is_written = |(key, says): (&String, &String)| match member(now, key) {
            Some(now) => now == *says,
            None => says == "{}",
        };
        if self.says.iter().all(is_written) && self.took.iter().all(|key| now.get(key).is_none()) {
            return Standing::AsWritten;
        }
        let before = self.of(before);
        let is_before = |key: &str| before.is_some_and(|before| member(before, key) == member(now, key));
        if self.members().all(is_before) { Standing::AsBefore } else { Standing::Edited }
    }
}

/// All steps of this user.
#[derive(Debug)]
pub(crate) struct Backups {
    folder: PathBuf,
}

/// A step, and where it is kept.
pub(crate) struct Kept {
    pub(crate) step: Step,
    pub(crate) path: PathBuf,
}

/// Held while files are changed: two commands at once do not undo each other.
#[derive(Debug)]
pub(crate) struct Alone {
    _file: File,
}

impl Step {
    /// A step from `before` to `after`.
    #[must_use]
    pub(crate) fn new(origin: Origin<'_>, before: &str, after: &str, entries: Vec<Written>) -> Step {
        Step {
            version: VERSION,
            client: origin.client.to_owned(),
            path: origin.path.to_owned(),
            root: origin.root.to_owned(),
            format: origin.format,
            mode: origin.mode,
            time: origin.time.to_owned(),
            written: digest(after),
            original: STANDARD.encode(before),
            entries,
        }
    }

    /// The text before.
    ///
    /// # Errors
    /// The step is damaged.
    pub(crate) fn original(&self) -> Result<String, Problem> {
        let bytes = STANDARD.decode(&self.original).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        bytes.ok_or_else(|| {
            let words = format!("what is kept of `{}` is damaged", self.path.display());
            Problem::new(Code::Import, words).help("nothing was written; bring the file back from another copy")
        })
    }
}

/// Which file a step is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub(crate) client: &'a str,
    pub(crate) path: &'a Path,
    pub(crate) root: &'a Path,
    pub(crate) format: Format,
    pub(crate) mode: u32,
    pub(crate) time: &'a str,
}

impl Backups {
    #[must_use]
    pub(crate) fn of(home: &Home) -> Backups {
        Backups { folder: home.state().join("imports") }
    }

    /// Waits until nobody else changes files.
    ///
    /// # Errors
    /// The folder cannot be used.
    pub(crate) fn alone(&self) -> Result<Alone, Problem> {
        Folder::new(self.folder.clone()).prepare()?;
        let path = self.folder.join("in-use");
        let file = File::options().create(true).append(true).mode(0o600).open(&path);
        let locked = file.and_then(|file| file.lock().map(|()| file));
        locked.map(|file| Alone { _file: file }).map_err(|error| unusable(&path, &error))
    }

    /// All steps, by file, each file's oldest first.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub(crate) fn all(&self) -> Result<Vec<Kept>, Problem> {
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unusable(&self.folder, &error)),
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| unusable(&self.folder, &error))?.path();
            if path.extension().is_some_and(|end| end == "toml") {
                paths.push(path);
            }
        }
        paths.sort();
        paths.into_iter().map(|path| read(&path).map(|step| Kept { step, path })).collect()
    }

    /// Keeps a step, before the file is touched. A step that never came to be, since the run before was cut off, is replaced.
    ///
    /// # Errors
    /// It cannot be written, or there are too many for this file.
    pub(crate) fn keep(&self, step: &Step, before: &str) -> Result<PathBuf, Problem> {
        let of_file: Vec<Kept> = self.all()?.into_iter().filter(|kept| kept.step.path == step.path).collect();
        let last = of_file.last();
        if let Some(unused) =
            last.filter(|kept| kept.step.written != digest(before) && kept.step.original == step.original)
        {
            write(&unused.path, step)?;
            return Ok(unused.path.clone());
        }
        let number = last.and_then(|kept| number(&kept.path)).map_or(1, |last| last.saturating_add(1));
        if of_file.len() >= STEPS_MAX {
            let words = format!("`{}` was imported {STEPS_MAX} times", step.path.display());
            return Err(Problem::new(Code::Import, words).help("`sekisho import undo` first"));
        }
        let id: String = digest(&step.path.to_string_lossy()).chars().skip("sha256:".len()).take(16).collect();
        let path = self.folder.join(format!("{}-{id}-{number:04}.toml", step.client));
        write(&path, step)?;
        Ok(path)
    }
}

impl Kept {
    /// Nothing of the step is left to undo.
    ///
    /// # Errors
    /// It cannot be removed.
    pub(crate) fn forget(&self) -> Result<(), Problem> {
        let removed = std::fs::remove_file(&self.path).and_then(|()| files::flush_folder(&self.path));
        removed.map_err(|error| unusable(&self.path, &error))
    }

    /// Only these entries are left to undo.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn keep_only(&self, entries: Vec<Written>) -> Result<(), Problem> {
        // The file is none that was written as a whole any more.
        write(&self.path, &Step { entries, written: String::new(), ..self.step.clone() })
    }
}

/// SHA-256 of a text.
#[must_use]
pub(crate) fn digest(text: &str) -> String {
    Digest::of(text.as_bytes()).to_string()
}

fn write(path: &Path, step: &Step) -> Result<(), Problem> {
    let text = toml::to_string(step).map_err(|error| Problem::new(Code::System, error.to_string()))?;
    let written = match std::fs::read(path) {
        Ok(there) => files::replace(path, &there, text.as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => files::create(path, text.as_bytes()),
        Err(error) => Err(error),
    };
    written.map_err(|error| unusable(path, &error))
}

fn read(path: &Path) -> Result<Step, Problem> {
    let bytes = files::read(path, STEP_BYTES_MAX).map_err(|error| unusable(path, &error))?;
    let text = String::from_utf8(bytes).map_err(|_| damaged(path))?;
    let step: Step = toml::from_str(&text).map_err(|_| damaged(path))?;
    if step.version == VERSION { Ok(step) } else { Err(damaged(path)) }
}

fn number(path: &Path) -> Option<u32> {
    path.file_stem()?.to_str()?.rsplit('-').next()?.parse().ok()
}

fn unusable(path: &Path, error: &io::Error) -> Problem {
    Problem::new(Code::Import, format!("`{}` cannot be used: {error}", path.display()))
        .help("nothing of a client is changed that could not be undone: give this user the folder")
}

fn damaged(path: &Path) -> Problem {
    Problem::new(Code::Import, format!("`{}` is damaged, or of another version of this program", path.display()))
        .help("move it away, and look at the client's file that it names before you do it again")
}

const VERSION: u32 = 2;
/// LIMIT: changes of one file that can be undone.
const STEPS_MAX: usize = 64;
/// LIMIT: a file of 4 MiB in base64, and what is said of it.
const STEP_BYTES_MAX: u64 = 16 * 1024 * 1024;
