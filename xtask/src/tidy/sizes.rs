//! How long files and functions are, tests left out.

use super::{Files, Found};

/// Above this a file or a function is worth a look; above twice this it is an error.
const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 70;

pub(crate) fn check(files: &Files, found: &mut Found) {
    let mut lengths = Vec::new();
    for (path, text) in files.0.iter().filter(|(path, _)| is_product_source(path)) {
        let lines: Vec<&str> = without_tests(text);
        lengths.push(lines.len());
        judge(found, path, "file", lines.len(), FILE_LINES);
        for (name, start, length) in functions(&lines) {
            judge(found, &format!("{path}:{start}"), &format!("function `{name}`"), length, FUNCTION_LINES);
        }
    }
    lengths.sort_unstable();
    if let Some(median) = lengths.get(lengths.len() / 2) {
        found.remarks.push(format!("{} source files, median length {median} lines without tests", lengths.len()));
    }
}

fn judge(found: &mut Found, place: &str, what: &str, lines: usize, limit: usize) {
    let says = format!("{place}: {what} has {lines} lines without tests, aim is below {limit}");
    if lines > limit.saturating_mul(2) {
        found.errors.push(says);
    } else if lines > limit {
        found.remarks.push(says);
    }
}

fn is_product_source(path: &str) -> bool {
    let in_sources = ["crates/", "e2e/", "bench/", "xtask/"].iter().any(|folder| path.starts_with(folder));
    in_sources && path.contains("/src/") && path.ends_with(".rs") && !path.ends_with("/tests.rs")
}

/// The lines before the test module, which is the last thing in a file.
fn without_tests(text: &str) -> Vec<&str> {
    text.lines().take_while(|line| *line != "#[cfg(test)]").collect()
}

/// Name, first line and length of each function, in code that rustfmt has laid out: the closing brace stands below the line that
/// opens the function.
fn functions<'a>(lines: &[&'a str]) -> Vec<(&'a str, usize, usize)> {
    let mut functions = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let indent = line.len().saturating_sub(line.trim_start().len());
        let Some(name) = function_name(line) else { continue };
        let end = format!("{}}}", " ".repeat(indent));
        let rest = lines.iter().skip(at);
        // A function without a body, or on one line, ends before anything stands below it.
        let Some(length) = rest.take_while(|line| !is_declaration_end(line, indent)).position(|line| *line == end)
        else {
            continue;
        };
        functions.push((name, at.saturating_add(1), length.saturating_add(1)));
    }
    functions
}

fn function_name(line: &str) -> Option<&str> {
    let mut words = line.trim_start();
    for prefix in ["pub(crate) ", "pub(super) ", "pub ", "const ", "async ", "unsafe "] {
        words = words.strip_prefix(prefix).unwrap_or(words);
    }
    words.strip_prefix("fn ")?.split(['(', '<']).next()
}

fn is_declaration_end(line: &str, indent: usize) -> bool {
    let here = line.len().saturating_sub(line.trim_start().len()) == indent;
    here && (line.ends_with(';') || line.ends_with("{}") || (line.ends_with(" }") && line.trim_start() != "}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_measured_from_their_name_to_their_brace() {
        let code = "impl X {\n    pub fn one(&self) {\n        a();\n    }\n\n    fn declared(&self);\n\n    fn short() -> u8 { 1 }\n}\n\nasync fn two(\n    a: u8,\n) {\n    b();\n}\n";
        let lines: Vec<_> = code.lines().collect();
        assert_eq!(functions(&lines), [("one", 2, 3), ("two", 11, 5)]);
    }

    #[test]
    fn tests_do_not_count() {
        assert_eq!(without_tests("a\nb\n#[cfg(test)]\nmod tests {}\n"), ["a", "b"]);
    }

    #[test]
    fn long_is_a_remark_and_twice_as_long_an_error() {
        let mut found = Found::default();
        judge(&mut found, "x", "file", FILE_LINES, FILE_LINES);
        assert!(found.remarks.is_empty() && found.errors.is_empty());
        judge(&mut found, "x", "file", FILE_LINES + 1, FILE_LINES);
        assert_eq!((found.remarks.len(), found.errors.len()), (1, 0));
        judge(&mut found, "x", "file", FILE_LINES * 2 + 1, FILE_LINES);
        assert_eq!((found.remarks.len(), found.errors.len()), (1, 1));
    }
}
