//! Which servers of which clients run in a cage.

use std::path::{Path, PathBuf};

use sekisho_sandbox::Tier;

use super::backup::{Backups, Kept, Standing};
use super::entry::{self, Entry};
use super::plan::{EntryPlan, Fate, RemoteEntries, Surroundings, Wanted, places, plan};
use super::{clients, source};
use crate::problem::Problem;

/// One server of one client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) client: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) server: String,
    pub(crate) state: String,
}

/// A row for each entry of each file that is there, and one for each file that cannot be read.
///
/// # Errors
/// What is kept of imports cannot be used.
pub(crate) fn rows(around: &Surroundings, project: Option<&Path>) -> Result<Vec<Row>, Problem> {
    let steps = Backups::of(&around.home).all()?;
    let refused = refused(around, project);
    let mut rows: Vec<Row> = Vec::new();
    let mut seen: Vec<PathBuf> = Vec::new();
    for candidate in clients::candidates(&around.machine, project) {
        let row = |server: &str, state: &str| Row {
            client: candidate.client.name,
            path: candidate.path.clone(),
            server: server.to_owned(),
            state: state.to_owned(),
        };
        let source = match source::read(&candidate.path, &candidate.root) {
            Ok(None) => continue,
            Ok(Some(source)) if seen.contains(&source.target) || source.text.trim().is_empty() => continue,
            Ok(Some(source)) => source,
            Err(why) => {
                rows.push(row("", &format!("cannot be read: {why}")));
                continue;
            }
        };
        seen.push(source.target.clone());
        let tree = match source::parse(candidate.format, &source.text) {
            Ok(tree) => tree,
            Err(why) => {
                rows.push(row("", &format!("cannot be read: {why}")));
                continue;
            }
        };
        for (place, servers) in places(&tree, candidate.servers) {
            for (key, node) in servers {
                let is_edited =
                    steps.iter().any(|kept| kept.step.path == candidate.path && is_edited(kept, &place, &key, &tree));
                let own = &around.program;
                let is_ours = |program: &str| program == own || super::is_this(program);
                let state = match entry::read(candidate.client, node, &is_ours) {
                    Entry::Protected(program) if program != *own && is_gone(&program) => {
                        format!("broken: `{program}` is not there any more; undo the import and do it again")
                    }
                    Entry::Protected(_) if is_edited => "protected, changed since".to_owned(),
                    Entry::Protected(_) => "protected".to_owned(),
                    Entry::Local(_) => {
                        let is_it = |(path, there, name, _): &&(PathBuf, Vec<String>, String, String)| {
                            (path, there, name) == (&candidate.path, &place, &key)
                        };
                        match refused.iter().find(is_it) {
                            Some((_, _, _, why)) => format!("not protected: {why}"),
                            None if is_edited => "not protected: its entry was changed since the import".to_owned(),
                            None => "not protected: it is not imported".to_owned(),
                        }
                    }
                    Entry::Remote(_) => "remote".to_owned(),
                    Entry::Skipped(why) => format!("skipped: {why}"),
                    Entry::Refused(why) => format!("not protected: {why}"),
                };
                rows.push(row(&key, &state));
            }
        }
    }
    Ok(rows)
}

/// Why entries cannot be imported, by file, place and key. Nothing where the home configuration cannot be read: that is told elsewhere.
fn refused(around: &Surroundings, project: Option<&Path>) -> Vec<(PathBuf, Vec<String>, String, String)> {
    // What this machine can confine is the affair of `sekisho doctor`.
    let wanted = Wanted {
        clients: Vec::new(),
        servers: Vec::new(),
        remote: RemoteEntries::Left,
        project: project.map(Path::to_owned),
        tier: Tier::Full,
    };
    let files = plan(&wanted, around).map(|plan| plan.files).unwrap_or_default();
    let mut refused = Vec::new();
    for file in files {
        for EntryPlan { place, key, fate } in file.entries {
            if let Fate::Refused(why) = fate {
                refused.push((file.candidate.path.clone(), place, key, why));
            }
        }
    }
    refused
}

fn is_gone(program: &str) -> bool {
    Path::new(program).is_absolute() && !Path::new(program).exists()
}

fn is_edited(kept: &Kept, place: &[String], key: &str, now: &super::tree::Node) -> bool {
    let Some(entry) = kept.step.entries.iter().find(|entry| entry.place == place && entry.key == key) else {
        return false;
    };
    let before = kept.step.original().ok().and_then(|text| source::parse(kept.step.format, &text).ok());
    before.is_some_and(|before| entry.standing(now, &before) == Standing::Edited)
}
