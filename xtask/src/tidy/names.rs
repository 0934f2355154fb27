//! Names that documents give must exist: a promise whose test is gone is no promise.

use std::collections::BTreeSet;

use super::{Files, Found};

/// Documents whose backticked test names must exist.
const DOCUMENTS: [&str; 3] = ["docs/threats.md", "docs/protocol.md", "SPECIFICATION.md"];

pub(crate) fn check(files: &Files, found: &mut Found) {
    let words = words_in_code(files);
    for document in DOCUMENTS {
        let Some(text) = files.text(document) else {
            found.errors.push(format!("{document} is missing"));
            continue;
        };
        let named: BTreeSet<_> = test_names(text).collect();
        let gone = named.iter().filter(|name| !words.contains(*name));
        found.errors.extend(gone.map(|name| format!("{document} names `{name}`, which is nowhere in the code")));
        found.remarks.push(format!("{document} names {} tests or values of the code", named.len()));
    }
}

/// What stands in backticks and looks like the name of a test: at least three words joined by `_`, perhaps behind a path.
fn test_names(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    quoted.map(|name| name.rsplit("::").next().unwrap_or(name)).filter(|name| {
        let is_plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        is_plain && name.split('_').filter(|word| !word.is_empty()).count() >= WORDS_MIN
    })
}

/// Every identifier in our sources and scripts.
fn words_in_code(files: &Files) -> BTreeSet<&str> {
    let code =
        files.0.iter().filter(|(path, _)| path.ends_with(".rs") || path.ends_with(".py") || path.ends_with(".cedar"));
    code.flat_map(|(_, text)| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')).collect()
}

/// Names shorter than this are words of other things.
const WORDS_MIN: usize = 3;

#[cfg(test)]
mod tests {
    use super::super::files;
    use super::*;

    #[test]
    fn a_document_that_names_a_test_that_is_gone_is_an_error() {
        let code = ("crates/x/src/lib.rs", "#[test]\nfn a_token_is_refused() {}\n");
        let errors = |threats: &str| {
            let mut found = Found::default();
            check(
                &files(&[code, ("docs/threats.md", threats), ("docs/protocol.md", ""), ("SPECIFICATION.md", "")]),
                &mut found,
            );
            found.errors
        };
        assert_eq!(errors("| T1 | identity | `x::a_token_is_refused` |"), Vec::<String>::new());
        assert_eq!(errors("| T1 | identity | `a_token_is_accepted` |").len(), 1);
    }

    #[test]
    fn other_things_in_backticks_are_no_test_names() {
        let names: Vec<_> = test_names("`tools/call` `data_dir` `Mcp-Session-Id` `a_b_c` and `x::y::d_e_f`").collect();
        assert_eq!(names, ["a_b_c", "d_e_f"]);
    }
}
