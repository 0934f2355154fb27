//! Does what a plan says. What is done can be undone at every moment: first the copy of what is there, then the servers, the client's
//! file last. Whoever is cut off in between does it again, and goes on from there.

use std::path::{Path, PathBuf};

use super::backup::{Backups, Origin, Step, Written};
use super::edit::wanted;
use super::plan::{EntryPlan, FilePlan, Plan, ServerPlan, Surroundings};
use super::source::Source;
use super::tree::Node;
use super::{secrets, source};
use crate::home::{NewServer, files};
use crate::problem::{Code, Problem};

/// What was done last. A test is cut off behind each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// The copy of one file is kept.
    Backup,
    /// The home configuration is there.
    Home,
    /// A secret is kept.
    Secret,
    /// The servers are in the home configuration.
    Servers,
    /// One client's file is changed.
    File,
}

/// How it is done.
pub(crate) struct Manner<'a> {
    /// When, in RFC 3339.
    pub(crate) time: &'a str,
    /// Asked behind each step.
    pub(crate) go_on: &'a dyn Fn(Done) -> Result<(), Problem>,
}

/// What was done.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// The files that were changed.
    pub(crate) files: Vec<PathBuf>,
    /// Where secrets went: server, name, reference.
    pub(crate) secrets: Vec<(String, String, String)>,
    /// The servers that came into the home configuration, or were there and are used by more entries.
    pub(crate) servers: Vec<sekisho_wire::ServerId>,
    /// Files that could not be changed.
    pub(crate) problems: Vec<Problem>,
}

/// Does what the plan says.
///
/// # Errors
/// What stopped it. Files that could not be changed are in what was done.
pub(crate) fn apply(plan: &Plan, around: &Surroundings, manner: &Manner<'_>) -> Result<Applied, Vec<Problem>> {
    let alone = |problem| vec![problem];
    let backups = Backups::of(&around.home);
    let _alone = backups.alone().map_err(alone)?;
    let go_on = |done| (manner.go_on)(done).map_err(alone);
    let mut applied = Applied::default();
    let mut changed: Vec<(&FilePlan, &str)> = Vec::new();
    for file in &plan.files {
        let Some(after) = file.after.as_deref() else { continue };
        match unchanged(file) {
            Ok(_) => changed.push((file, after)),
            Err(why) => applied.problems.push(left_alone(file, &why)),
        }
    }
    for (file, after) in &changed {
        backups.keep(&step(file, after, manner.time)?, &file.source.text).map_err(alone)?;
        go_on(Done::Backup)?;
    }
    around.home.ensure()?;
    go_on(Done::Home)?;
    let is_used = |server: &&ServerPlan| {
        let changes = changed.iter().flat_map(|(file, _)| &file.entries).filter_map(EntryPlan::change);
        changes.into_iter().any(|change| change.server() == Some(server.new.name.as_str()))
    };
    let used: Vec<&ServerPlan> = plan.servers.iter().filter(is_used).collect();
    for server in &used {
        let name = &server.new.name;
        for (variable, value) in server.secrets.iter().filter(|_| !server.is_there) {
            let reference = secrets::keep(&around.home, name, variable, value).map_err(alone)?;
            applied.secrets.push((name.to_string(), variable.clone(), reference));
            go_on(Done::Secret)?;
        }
    }
    let new: Vec<NewServer> =
        used.iter().filter(|server| !server.is_there).map(|server| with_origin(server, manner.time)).collect();
    around.home.add(&new)?;
    go_on(Done::Servers)?;
    applied.servers = used.iter().map(|server| server.new.name.clone()).collect();
    for (file, after) in changed {
        match put(file, after) {
            Ok(()) => applied.files.push(file.candidate.path.clone()),
            Err(why) => applied.problems.push(left_alone(file, &why)),
        }
        go_on(Done::File)?;
    }
    Ok(applied)
}

/// Puts the new text in the place of the one that the plan was made of.
fn put(file: &FilePlan, after: &str) -> Result<(), String> {
    write(&unchanged(file)?.target, &file.source.text, after)
}

/// The file, if it says what the plan was made of.
fn unchanged(file: &FilePlan) -> Result<Source, String> {
    let now = source::read(&file.candidate.path, &file.candidate.root)?.ok_or("it is gone")?;
    let is_same = now.target == file.source.target && now.text == file.source.text;
    if is_same { Ok(now) } else { Err("it was changed meanwhile".to_owned()) }
}

fn left_alone(file: &FilePlan, why: &str) -> Problem {
    let (name, path) = (file.candidate.client.name, file.candidate.path.display());
    Problem::new(Code::ClientFile, format!("{name}: `{path}` is left alone: {why}")).help("do it again")
}

/// Exchanges the text of a client's file.
///
/// # Errors
/// Why it was not.
pub(super) fn write(target: &Path, before: &str, after: &str) -> Result<(), String> {
    files::replace(target, before.as_bytes(), after.as_bytes()).map_err(|error| error.to_string())
}

fn step(file: &FilePlan, after: &str, time: &str) -> Result<Step, Vec<Problem>> {
    let candidate = &file.candidate;
    let origin = Origin {
        client: candidate.client.id,
        path: &candidate.path,
        root: &candidate.root,
        format: candidate.format,
        mode: file.source.mode,
        time,
    };
    let tree = source::parse(candidate.format, &file.source.text).map_err(|why| vec![left_alone(file, &why)])?;
    let entries = file.entries.iter().filter_map(|entry| written(file, &tree, entry)).collect();
    Ok(Step::new(origin, &file.source.text, after, entries))
}

fn written(file: &FilePlan, tree: &Node, entry: &EntryPlan) -> Option<Written> {
    let change = entry.change()?;
    let node = tree.find(entry.place.iter().map(String::as_str))?.entry(&entry.key)?;
    let after = wanted(file.candidate.format, file.candidate.client, node, &change.turn);
    Some(Written::new(&entry.place, &entry.key, change.server()?, node, &after))
}

fn with_origin(server: &ServerPlan, time: &str) -> NewServer {
    let day = time.split('T').next().unwrap_or_default();
    let origin = format!("From {}, imported {day}.", server.origins.join(", "));
    NewServer { origin, ..server.new.clone() }
}
