//! Workflows do what `.ci/run` does, with actions that nobody can exchange afterwards, and with no more rights than they need.

use super::{Files, Found};

pub(crate) fn check(files: &Files, found: &mut Found) {
    for (path, text) in files.under(".github/workflows", ".yml") {
        let errors = &mut found.errors;
        for (at, line) in text.lines().enumerate() {
            if let Some(action) = used(line)
                && !is_pinned(action)
            {
                errors.push(format!(
                    "{path}:{}: `{action}` is not pinned by a commit of 40 digits, with its version behind `#`",
                    at.saturating_add(1)
                ));
            }
        }
        if !text.lines().any(|line| line == "permissions:") {
            errors.push(format!("{path} says nothing of permissions for all its jobs"));
        }
        let (jobs, timeouts) = (count(text, "    runs-on:"), count(text, "    timeout-minutes:"));
        if jobs != timeouts {
            errors.push(format!("{path} has {jobs} jobs and {timeouts} time limits"));
        }
        if text.contains("pull_request_target") {
            errors.push(format!("{path} runs other people's code with our rights (`pull_request_target`)"));
        }
    }
    let ci = files.text(".github/workflows/ci.yml");
    if !ci.is_some_and(|text| text.lines().any(|line| line == "      - run: .ci/run")) {
        found.errors.push(".github/workflows/ci.yml does not run .ci/run".to_owned());
    }
}

fn used(line: &str) -> Option<&str> {
    let line = line.trim_start();
    line.strip_prefix("- ").unwrap_or(line).trim_start().strip_prefix("uses:").map(str::trim)
}

/// `owner/name@<40 digits> # v1.2.3`
fn is_pinned(action: &str) -> bool {
    let Some((name, rest)) = action.split_once('@') else { return false };
    let Some((commit, version)) = rest.split_once(" # v") else { return false };
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    name.contains('/')
        && commit.len() == COMMIT_DIGITS
        && commit.bytes().all(is_digit)
        && version.starts_with(|first: char| first.is_ascii_digit())
}

fn count(text: &str, start: &str) -> usize {
    text.lines().filter(|line| line.starts_with(start)).count()
}

const COMMIT_DIGITS: usize = 40;

#[cfg(test)]
mod tests {
    use super::super::files;
    use super::*;

    const GOOD: &str = "permissions:\n  contents: read\njobs:\n  ci:\n    runs-on: x\n    timeout-minutes: 9\n    steps:\n      - uses: a/b@0123456789abcdef0123456789abcdef01234567 # v1.0\n      - run: .ci/run\n";

    fn errors(text: &str) -> Vec<String> {
        let mut found = Found::default();
        check(&files(&[(".github/workflows/ci.yml", text)]), &mut found);
        found.errors
    }

    #[test]
    fn a_workflow_that_does_what_ci_does_is_fine() {
        assert_eq!(errors(GOOD), Vec::<String>::new());
    }

    #[test]
    fn an_action_by_tag_branch_short_commit_or_without_its_version_is_an_error() {
        let pin = "a/b@0123456789abcdef0123456789abcdef01234567 # v1.0";
        for other in [
            "a/b@v4",
            "a/b@main",
            "a/b@0123456 # v1.0",
            "a/b@0123456789abcdef0123456789abcdef01234567",
            "./local",
            "a/b",
        ] {
            assert_eq!(errors(&GOOD.replace(pin, other)).len(), 1, "{other}");
        }
    }

    #[test]
    fn a_workflow_without_bounds_or_without_ci_is_an_error() {
        assert_eq!(errors(&GOOD.replace("permissions:\n", "x:\n")).len(), 1);
        assert_eq!(errors(&GOOD.replace("    timeout-minutes: 9\n", "")).len(), 1);
        assert_eq!(errors(&GOOD.replace(".ci/run", "cargo test")).len(), 1);
        assert_eq!(errors(&format!("on: pull_request_target\n{GOOD}")).len(), 1);
        let mut found = Found::default();
        check(&files(&[]), &mut found);
        assert_eq!(found.errors.len(), 1, "no workflow at all");
    }
}
