//! Takes imports back: byte for byte where the file is as it was left, entry by entry where somebody changed it since.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::backup::{Backups, Kept, Standing, Written, digest};
use super::entry::{self, Entry};
use super::plan::{Surroundings, places};
use super::tree::Node;
use super::{apply, clients, edit, secrets, source};
use crate::problem::{Code, Problem};

/// What became of one file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Undone {
    /// It is as it was, byte for byte.
    Restored,
    /// It was changed since: these entries are as they were, everything else stays.
    Merged(Vec<String>),
    /// Nothing was left to do.
    Nothing,
}

/// What was taken back.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) files: Vec<(PathBuf, Undone)>,
    pub(crate) problems: Vec<Problem>,
    /// Servers that no entry runs any more by these imports.
    pub(crate) servers: Vec<String>,
}

/// Takes back all imports of these clients; of all, if none is named.
///
/// # Errors
/// What is kept of them cannot be used.
pub(crate) fn undo(around: &Surroundings, clients: &[String]) -> Result<Report, Vec<Problem>> {
    let backups = Backups::of(&around.home);
    let _alone = backups.alone().map_err(|problem| vec![problem])?;
    let mut by_file: BTreeMap<PathBuf, Vec<Kept>> = BTreeMap::new();
    for kept in backups.all().map_err(|problem| vec![problem])? {
        if clients.is_empty() || clients.contains(&kept.step.client) {
            by_file.entry(kept.step.path.clone()).or_default().push(kept);
        }
    }
    let mut report = Report::default();
    let roots: BTreeSet<PathBuf> = by_file.values().flatten().map(|kept| kept.step.root.clone()).collect();
    for (path, steps) in by_file {
        let mut state = Undone::Nothing;
        for kept in steps.iter().rev() {
            match one(kept, &mut report) {
                Ok(undone) => state = state.and(undone),
                Err(problem) => {
                    // What came before it builds on it.
                    report.problems.push(problem);
                    break;
                }
            }
        }
        report.files.push((path, state));
    }
    let used = used(&backups, around, &roots).map_err(|problem| vec![problem])?;
    report.servers.retain(|server| !used.contains(server));
    report.servers.sort();
    report.servers.dedup();
    Ok(report)
}

/// The servers that some entry runs still: those of imports that are not taken back, and of entries that anybody wrote.
fn used(backups: &Backups, around: &Surroundings, roots: &BTreeSet<PathBuf>) -> Result<BTreeSet<String>, Problem> {
    let left = backups.all()?;
    let mut used: BTreeSet<String> =
        left.iter().flat_map(|kept| &kept.step.entries).map(|entry| entry.server.clone()).collect();
    let roots = roots.iter().chain(left.iter().map(|kept| &kept.step.root));
    let is_ours = |program: &str| program == around.program || super::is_this(program);
    for candidate in roots.flat_map(|root| clients::candidates(&around.machine, Some(root))) {
        // What cannot be read runs nothing, and is told where something is to be written to it.
        let Ok(Some(source)) = source::read(&candidate.path, &candidate.root) else { continue };
        let Ok(tree) = source::parse(candidate.format, &source.text) else { continue };
        let entries = places(&tree, candidate.servers).into_iter().flat_map(|(_, entries)| entries);
        let servers = entries.filter_map(|(_, node)| entry::server(candidate.client, node, &is_ours));
        used.extend(servers.map(str::to_owned));
    }
    Ok(used)
}

impl Undone {
    /// This, and then an older step.
    fn and(self, older: Undone) -> Undone {
        match (self, older) {
            (Undone::Merged(mut one), Undone::Merged(other)) => {
                one.extend(other);
                Undone::Merged(one)
            }
            (Undone::Nothing, other) | (other, Undone::Nothing) => other,
            (Undone::Merged(entries), Undone::Restored) | (Undone::Restored, Undone::Merged(entries)) => {
                Undone::Merged(entries)
            }
            (Undone::Restored, Undone::Restored) => Undone::Restored,
        }
    }
}

fn one(kept: &Kept, report: &mut Report) -> Result<Undone, Problem> {
    let step = &kept.step;
    let refused = |why: &str| {
        let words = format!("`{}` is left alone: {why}", step.path.display());
        Problem::new(Code::ClientFile, words).help(format!("what it was before is kept in `{}`", kept.path.display()))
    };
    let original = step.original()?;
    let Some(now) = source::read(&step.path, &step.root).map_err(|why| refused(&why))? else {
        return Err(refused("it is gone"));
    };
    if now.text == original {
        kept.forget()?;
        return Ok(Undone::Nothing);
    }
    let servers = step.entries.iter().map(|entry| entry.server.clone());
    if digest(&now.text) == step.written {
        apply::write(&now.target, &now.text, &original).map_err(|why| refused(&why))?;
        report.servers.extend(servers);
        kept.forget()?;
        return Ok(Undone::Restored);
    }
    let tree = source::parse(step.format, &now.text).map_err(|why| refused(&why))?;
    let before = source::parse(step.format, &original).map_err(|why| refused(&why))?;
    let (mut ours, mut theirs): (Vec<&Written>, Vec<&Written>) = (Vec::new(), Vec::new());
    for entry in &step.entries {
        match entry.standing(&tree, &before) {
            Standing::AsWritten => ours.push(entry),
            Standing::Edited => theirs.push(entry),
            Standing::AsBefore | Standing::Gone => {}
        }
    }
    if !ours.is_empty() {
        let text = edit::restore(step.format, &now.text, &original, &ours).map_err(|why| refused(&why))?;
        apply::write(&now.target, &now.text, &text).map_err(|why| refused(&why))?;
        report.servers.extend(ours.iter().map(|entry| entry.server.clone()));
    }
    for entry in &theirs {
        let words = format!("entry `{}` of `{}` was changed since, and is left alone", entry.key, step.path.display());
        let started = started(&step.client, entry, &before).unwrap_or_else(|| "change it yourself".to_owned());
        let help = format!("{started}; what the file was is kept in `{}`", kept.path.display());
        report.problems.push(Problem::new(Code::ClientFile, words).help(help));
    }
    if theirs.is_empty() {
        kept.forget()?;
    } else {
        kept.keep_only(theirs.into_iter().cloned().collect())?;
    }
    Ok(if ours.is_empty() {
        Undone::Nothing
    } else {
        Undone::Merged(ours.iter().map(|entry| entry.key.clone()).collect())
    })
}

/// What an entry started before, with its secrets hidden: for who has to write it again.
fn started(client: &str, entry: &Written, before: &Node) -> Option<String> {
    let client = clients::called(client)?;
    match entry::read(client, entry.of(before)?, &|_| false) {
        Entry::Local(local) => Some(format!("it started `{}` before", secrets::masked_command(&local.command))),
        Entry::Remote(remote) => Some(format!("it asked `{}` before", secrets::masked_words(&remote.url))),
        Entry::Protected(_) | Entry::Skipped(_) | Entry::Refused(_) => None,
    }
}
