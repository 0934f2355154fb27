//! Which servers of which clients run in a cage.

use std::path::{Path, PathBuf};

use super::backup::{Backups, Kept, Standing};
use super::entry::{self, Entry};
use super::plan::{Surroundings, places};
use super::{clients, narrow, source};
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
                    Entry::Local(local) => why_not(&local.command, is_edited),
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

/// Why a server that is started by its client is: it cannot be imported, or was not.
fn why_not(command: &[String], is_edited: bool) -> String {
    match narrow::check(command) {
        Err(why) => format!("not protected: {why}"),
        Ok(()) if is_edited => "not protected: its entry was changed since the import".to_owned(),
        Ok(()) => "not protected: `sekisho import` would".to_owned(),
    }
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
