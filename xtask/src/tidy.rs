//! House rules that no compiler knows.

mod arrows;
mod names;
mod paths;
mod sizes;
mod translations;
mod workflows;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use crate::place::Place;
use crate::run;

/// Checks everything and prints what is wrong, or only long.
///
/// # Errors
/// When a rule is broken.
pub(crate) fn run(place: &Place) -> anyhow::Result<()> {
    let files = Files::read(place)?;
    let mut found = Found::default();
    arrows::check(&files, &mut found);
    sizes::check(&files, &mut found);
    names::check(&files, &mut found);
    paths::check(&files, &mut found);
    translations::check(&files, &mut found);
    workflows::check(&files, &mut found);
    found.remarks.iter().for_each(|remark| println!("tidy: {remark}"));
    found.errors.iter().for_each(|error| println!("tidy: error: {error}"));
    anyhow::ensure!(found.errors.is_empty(), "tidy found {} errors", found.errors.len());
    Ok(())
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Broken rules.
    pub(crate) errors: Vec<String>,
    /// What is worth a look.
    pub(crate) remarks: Vec<String>,
}

/// The text files that git knows or would add, by their path from the root.
#[derive(Debug, Default)]
pub(crate) struct Files(pub(crate) Vec<(String, String)>);

impl Files {
    fn read(place: &Place) -> anyhow::Result<Self> {
        let mut git = Command::new("git");
        git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(place.root());
        let names = run::output(&mut git).context("the files of the repository are listed by git")?;
        let mut files = Vec::new();
        for name in names.split('\0').filter(|name| !name.is_empty()) {
            let path: PathBuf = place.root().join(name);
            // A file that is listed and deleted, or that is no text, has no lines to look at.
            if let Ok(text) = fs::read(&path).map(String::from_utf8)
                && let Ok(text) = text
            {
                files.push((name.to_owned(), text));
            }
        }
        Ok(Self(files))
    }

    /// The text of one file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == path).map(|(_, text)| text.as_str())
    }

    /// The files under `folder/` whose names end in `ending`.
    pub(crate) fn under<'a>(&'a self, folder: &'a str, ending: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let here = move |name: &str| {
            name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')) && name.ends_with(ending)
        };
        self.0.iter().filter(move |(name, _)| here(name)).map(|(name, text)| (name.as_str(), text.as_str()))
    }
}

#[cfg(test)]
pub(crate) fn files(files: &[(&str, &str)]) -> Files {
    Files(files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        run(&Place::find().unwrap()).unwrap();
    }
}
