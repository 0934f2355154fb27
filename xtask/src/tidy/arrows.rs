//! Which crate may know which: arrows point down only.

use std::collections::BTreeSet;

use super::{Files, Found};

/// The crates from the bottom up. A crate may know those of the rows below its own, and none of its own row.
const ROWS: [&[&str]; 16] = [
    &["wire", "keys", "egress"],
    &["store"],
    // They know no room: what they need comes as plain values.
    &["audit", "supply", "sandbox", "risk"],
    // The corridor, in the order of its rooms.
    &["identity"],
    &["catalog"],
    &["limits"],
    &["guard"],
    &["flow"],
    &["policy"],
    &["upstream"],
    // What walks the corridor, or serves those who are on their way to it.
    &["gateway", "broker"],
    // What works on the whole of it.
    &["admin", "assure", "fleet", "respond"],
    // What wires it up.
    &["app"],
    // Chores and tests: they use the product as anybody would.
    &["xtask"],
    &["e2e"],
    &["bench"],
];

/// Packages that may know none of the crates, only each other: they see the product from outside.
const OUTSIDERS: [&str; 3] = ["xtask", "e2e", "bench"];

pub(crate) fn check(files: &Files, found: &mut Found) {
    let documented = documented(files);
    for (path, text) in manifests(files) {
        let folder = folder(path);
        let Ok(manifest) = text.parse::<toml::Table>() else {
            found.errors.push(format!("{path} is no TOML"));
            continue;
        };
        let Some(row) = row(folder) else {
            found.errors.push(format!("{path}: crate `{folder}` has no row in xtask/src/tidy/arrows.rs"));
            continue;
        };
        for (dependency, is_for_tests) in dependencies(&manifest) {
            match dependency.strip_prefix("sekisho-") {
                Some(ours) => {
                    if let Some(error) = arrow(folder, row, ours, is_for_tests) {
                        found.errors.push(format!("{path}: {error}"));
                    }
                }
                None if !documented.contains(&*dependency) => {
                    found.errors.push(format!("{path}: `{dependency}` has no line in docs/dependencies.md"));
                }
                None => {}
            }
        }
    }
}

fn arrow(folder: &str, own: usize, known: &str, is_for_tests: bool) -> Option<String> {
    // A crate's tests may use its own library, and rooms on the same way.
    if known == folder && is_for_tests {
        return None;
    }
    let Some(other) = row(known) else { return Some(format!("`{known}` has no row in xtask/src/tidy/arrows.rs")) };
    let is_outside = OUTSIDERS.contains(&folder) && !OUTSIDERS.contains(&known);
    (is_outside || other >= own).then(|| format!("`{folder}` must not know `{known}`"))
}

fn manifests(files: &Files) -> impl Iterator<Item = (&str, &str)> {
    let is_ours = |path: &str| OUTSIDERS.contains(&folder(path)) || path.starts_with("crates/");
    files
        .0
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .filter(move |(path, _)| is_ours(path) && path.ends_with("/Cargo.toml"))
}

fn folder(manifest: &str) -> &str {
    manifest.rsplit('/').nth(1).unwrap_or_default()
}

fn row(folder: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&folder))
}

/// The direct dependencies of every kind, also those of one platform.
fn dependencies(manifest: &toml::Table) -> BTreeSet<(String, bool)> {
    let mut names = BTreeSet::new();
    let platforms =
        manifest.get("target").and_then(toml::Value::as_table).into_iter().flat_map(|targets| targets.values());
    for table in platforms.filter_map(toml::Value::as_table).chain([manifest]) {
        for kind in ["dependencies", "build-dependencies", "dev-dependencies"] {
            let listed = table.get(kind).and_then(toml::Value::as_table).into_iter().flatten();
            names.extend(listed.map(|(name, _)| (name.clone(), kind == "dev-dependencies")));
        }
    }
    names
}

/// The names in the first column of the tables of docs/dependencies.md.
fn documented(files: &Files) -> BTreeSet<&str> {
    let text = files.text("docs/dependencies.md").unwrap_or_default();
    let cells = text.lines().filter_map(|line| line.strip_prefix('|')?.split('|').next());
    cells
        .flat_map(|cell| cell.split(','))
        .map(|name| name.trim().trim_matches('`'))
        .filter(|name| !name.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::files;
    use super::*;

    fn errors(path: &str, dependencies: &str) -> Vec<String> {
        let mut found = Found::default();
        let manifest = format!("[dependencies]\n{dependencies}");
        check(&files(&[(path, &manifest), ("docs/dependencies.md", "| bytes, `http` | why |\n")]), &mut found);
        found.errors
    }

    #[test]
    fn an_arrow_down_is_fine_and_one_up_is_not() {
        assert_eq!(errors("crates/policy/Cargo.toml", "sekisho-wire = '1'\n"), Vec::<String>::new());
        assert_eq!(errors("crates/wire/Cargo.toml", "sekisho-policy = '1'\n").len(), 1);
        assert_eq!(errors("crates/audit/Cargo.toml", "sekisho-identity = '1'\n").len(), 1);
        assert_eq!(errors("crates/gateway/Cargo.toml", "sekisho-broker = '1'\n").len(), 1);
    }

    #[test]
    fn a_crate_without_a_row_is_an_error() {
        assert_eq!(errors("crates/util/Cargo.toml", "").len(), 1);
        assert_eq!(errors("crates/app/Cargo.toml", "sekisho-util = '1'\n").len(), 1);
    }

    #[test]
    fn outsiders_know_no_crate() {
        assert_eq!(errors("e2e/Cargo.toml", "sekisho-wire = '1'\n").len(), 1);
        assert_eq!(errors("bench/Cargo.toml", "sekisho-wire = '1'\n").len(), 1);
        assert_eq!(errors("bench/Cargo.toml", "sekisho-e2e = '1'\n"), Vec::<String>::new());
        assert_eq!(errors("e2e/Cargo.toml", "sekisho-bench = '1'\n").len(), 1);
    }

    #[test]
    fn a_dependency_without_a_line_in_the_list_is_an_error() {
        assert_eq!(errors("crates/wire/Cargo.toml", "bytes = '1'\nhttp = '1'\n"), Vec::<String>::new());
        assert_eq!(errors("crates/wire/Cargo.toml", "leftpad = '1'\n").len(), 1);
    }

    #[test]
    fn dependencies_of_one_platform_count_too() {
        let manifest = "[target.'cfg(unix)'.dependencies]\nleftpad = '1'\n".parse().unwrap();
        assert_eq!(dependencies(&manifest), BTreeSet::from([("leftpad".to_owned(), false)]));
    }
}
