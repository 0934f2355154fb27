//! Heads of crates, and text that belongs to somebody's machine.

use super::{Files, Found};

/// What must not stand in a tracked file: folders of one machine, and hosts of registries. Written in two halves, so that this
/// file does not find itself.
const FOREIGN: [(&str, &str); 9] = [
    ("/wo", "rk/"),
    ("/ro", "ot/"),
    ("/opt/", "wheels"),
    ("registry.", "npmjs.org"),
    ("registry.", "yarnpkg.com"),
    ("files.", "pythonhosted.org"),
    ("pypi", ".org"),
    ("index.", "crates.io"),
    ("static.", "crates.io"),
];

/// Files that tools write, with hosts in them.
const WRITTEN_BY_TOOLS: [&str; 2] = ["Cargo.lock", "fuzz/Cargo.lock"];

/// The one crate that may be unsafe: it confines processes with system calls.
const UNSAFE: &str = "crates/sandbox/";

pub(crate) fn check(files: &Files, found: &mut Found) {
    for (path, text) in &files.0 {
        if is_crate_root(path) && !path.starts_with(UNSAFE) && !text.contains("\n#![forbid(unsafe_code)]") {
            found.errors.push(format!("{path} has no `#![forbid(unsafe_code)]`"));
        }
        if WRITTEN_BY_TOOLS.contains(&path.as_str()) {
            continue;
        }
        for (at, line) in text.lines().enumerate() {
            if let Some((one, two)) = FOREIGN.iter().find(|(one, two)| line.contains(&format!("{one}{two}"))) {
                found
                    .errors
                    .push(format!("{path}:{}: `{one}{two}` belongs to a machine or a registry", at.saturating_add(1)));
            }
        }
    }
    if files.under("crates", "/src/lib.rs").next().is_none() {
        found.errors.push("crates/ has no library: is this the root of the repository?".to_owned());
    }
}

fn is_crate_root(path: &str) -> bool {
    let in_crate = ["crates/", "e2e/", "bench/", "xtask/"].iter().any(|folder| path.starts_with(folder));
    in_crate && (path.ends_with("/src/lib.rs") || path.ends_with("/src/main.rs"))
}

#[cfg(test)]
mod tests {
    use super::super::files;
    use super::*;

    fn errors(path: &str, text: &str) -> Vec<String> {
        let mut found = Found::default();
        check(&files(&[("crates/x/src/lib.rs", "//! x\n#![forbid(unsafe_code)]\n"), (path, text)]), &mut found);
        found.errors
    }

    #[test]
    fn a_crate_without_the_head_is_an_error() {
        assert_eq!(errors("crates/y/src/lib.rs", "//! y\n").len(), 1);
        assert_eq!(errors("crates/y/src/lib.rs", "//! y\n#![forbid(unsafe_code)]\n"), Vec::<String>::new());
        assert_eq!(errors("crates/sandbox/src/lib.rs", "//! y\n"), Vec::<String>::new());
    }

    #[test]
    fn a_path_of_one_machine_is_an_error_wherever_it_stands() {
        let path = FOREIGN.map(|(one, two)| format!("see {one}{two} for more\n"));
        for line in &path {
            assert_eq!(errors("docs/x.md", line).len(), 1, "{line}");
            assert_eq!(errors("Cargo.lock", line), Vec::<String>::new());
        }
        assert_eq!(errors("docs/x.md", "see docs/y.md for more\n"), Vec::<String>::new());
    }
}
