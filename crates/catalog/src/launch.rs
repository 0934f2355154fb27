//! What a command does beyond starting its program, as far as its words and the names of its variables tell: code in arguments, shells,
//! modules and hooks that are loaded first, other registries. It is read before anything runs; nothing is looked at but the words.
//!
//! *Depth still missing*: it is a list: a program that is not on it may run others all the same (`tar --to-command`, an archive manager). What is not known
//! here is pinned word by word in the lock file, and shown to whoever approves it.

mod options;
mod table;
mod variables;

use std::collections::{BTreeSet, VecDeque};
use std::fmt;

pub use variables::steers;

/// A word or variable that makes more of a command than the start of its program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Escape {
    /// What it is called: `python -c`, `env -S`, `NODE_OPTIONS`. Never a value.
    pub id: Box<str>,
    /// What it does.
    pub why: &'static str,
    /// What becomes of it.
    pub weight: Weight,
}

/// What becomes of an escape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// It is refused, unless it is spelled out as a danger.
    Refused,
    /// It is told to whoever approves the server.
    Told,
}

impl Escape {
    fn refused(id: impl Into<Box<str>>, why: &'static str) -> Escape {
        Escape { id: id.into(), why, weight: Weight::Refused }
    }

    fn told(id: impl Into<Box<str>>, why: &'static str) -> Escape {
        Escape { id: id.into(), why, weight: Weight::Told }
    }
}

impl fmt::Display for Escape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.id, self.why)
    }
}

/// All that a command and the names of its variables make of it, each once.
#[must_use]
pub fn escapes<'a>(command: &[String], variables: impl IntoIterator<Item = &'a str>) -> Vec<Escape> {
    let mut found = of_command(command);
    found.extend(variables.into_iter().filter_map(|name| Some(Escape::refused(name, steers(name)?))));
    let mut seen = BTreeSet::new();
    found.retain(|escape| seen.insert(escape.id.clone()));
    found
}

/// A command may begin another one (`env`, `npx`, `uv run`), which is the end of its own words: each is read from where it begins.
fn of_command(command: &[String]) -> Vec<Escape> {
    if command.len() > WORDS_MAX {
        return vec![Escape::refused("words", "are more than are looked at")];
    }
    let (mut found, mut ahead, mut seen) = (Vec::new(), VecDeque::from([0_usize]), BTreeSet::new());
    while let Some(at) = ahead.pop_front() {
        let Some((program, arguments)) = command.get(at..).and_then(<[String]>::split_first) else { continue };
        if !seen.insert(at) {
            continue;
        }
        let name = name_of(program);
        let reading = options::read(&name, arguments);
        found.extend(reading.escapes);
        ahead.extend(reading.inner.into_iter().map(|inner| at.saturating_add(1).saturating_add(inner)));
    }
    found
}

/// What a program is called, whatever folder, version and ending stand around it: `/usr/bin/python3.12`, `node@20`, `CMD.EXE`.
fn name_of(program: &str) -> String {
    let base = program.rsplit(['/', '\\']).next().unwrap_or(program).to_ascii_lowercase();
    let base = base.split_once('@').map_or(base.as_str(), |(name, _)| name);
    let base = [".exe", ".cmd", ".bat", ".com"].iter().find_map(|end| base.strip_suffix(end)).unwrap_or(base);
    base.to_owned()
}

/// Whether a program of this name is meant, in whatever version: `python3.12` is `python`.
fn is_named(program: &str, name: &str) -> bool {
    program
        .strip_prefix(name)
        .is_some_and(|version| version.chars().all(|char| char.is_ascii_digit() || matches!(char, '.' | '-' | 'w')))
}

/// LIMIT: words of a command.
const WORDS_MAX: usize = 1024;

#[cfg(test)]
mod tests;
