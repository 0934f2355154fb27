//! What differs from the lock file, as SARIF 2.1.0 (OASIS), for code scanning.

use std::collections::{BTreeMap, HashMap};

use sekisho_catalog::{Risk, risk};
use serde_json::{Value, json};

use super::told;
use crate::config::Loaded;
use crate::drift::{Compared, Item, State};
use crate::pins::LockFile;
use crate::problem::Problem;

/// The report. Every result is about the lock file: whoever changes a server brings it along.
pub(super) fn report(compared: &[Compared], loaded: &Loaded) -> String {
    let text = std::fs::read_to_string(LockFile::of(loaded).path()).unwrap_or_default();
    let (uri, lines) = (uri(loaded), Lines::of(&text));
    written(&compared.iter().flat_map(|server| of_server(server, &uri, &lines)).collect::<Vec<_>>())
}

/// The report where there is no lock file that could be used.
pub(super) fn unusable(problems: &[Problem], loaded: &Loaded) -> String {
    let uri = uri(loaded);
    let about = |problem: &Problem| {
        json!({
            "ruleId": "unusable",
            "level": "error",
            "message": { "text": problem.line() },
            "locations": [{
                "physicalLocation": {
                    "artifactLocation": { "uri": uri },
                    "region": { "startLine": problem.row().unwrap_or(1) },
                },
            }],
        })
    };
    written(&problems.iter().map(about).collect::<Vec<_>>())
}

fn uri(loaded: &Loaded) -> String {
    let file = LockFile::of(loaded);
    let path = file.path().strip_prefix(std::env::current_dir().unwrap_or_default()).unwrap_or_else(|_| file.path());
    path.to_string_lossy().replace('\\', "/").replace('%', "%25").replace(' ', "%20")
}

fn written(results: &[Value]) -> String {
    let rules: BTreeMap<&str, &str> = RULES.into_iter().collect();
    let used = rules.into_iter().map(|(id, words)| json!({ "id": id, "shortDescription": { "text": words } }));
    let driver = json!({
        "name": "sekisho",
        "version": env!("CARGO_PKG_VERSION"),
        "rules": used.collect::<Vec<_>>(),
    });
    let report = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{ "tool": { "driver": driver }, "columnKind": "unicodeCodePoints", "results": results }],
    });
    format!("{report:#}\n")
}

fn of_server(server: &Compared, uri: &str, lines: &Lines<'_>) -> Vec<Value> {
    let id = &server.id;
    let about = |rule: &str, level: &str, words: &str, line: usize, thing: &str| {
        json!({
            "ruleId": rule,
            "level": level,
            "message": { "text": words },
            "locations": [{
                "physicalLocation": { "artifactLocation": { "uri": uri }, "region": { "startLine": line } },
                "logicalLocations": [{ "fullyQualifiedName": format!("{id}{thing}") }],
            }],
            "partialFingerprints": { "thing/v1": format!("{rule} {id}{thing}") },
        })
    };
    let line = lines.line(id.as_str(), None);
    let items = match &server.items {
        Ok(items) => items,
        Err(problem) => return vec![about("survey", "error", &problem.line(), line, "")],
    };
    if !server.is_known {
        let words = format!("server `{id}` is not in the lock file: nobody has approved what it offers");
        return vec![about("unapproved", "error", &words, line, "")];
    }
    let mut results = Vec::new();
    if let Some(why) = &server.stranger {
        results.push(about(
            "stranger",
            "error",
            &format!("server `{id}` is not the one that was approved: {why}"),
            line,
            "",
        ));
    }
    if server.says_something_else || !server.unaccepted().is_empty() {
        let words =
            format!("server `{id}` says something of itself that was not approved: its instructions or its name");
        results.push(about("introduction", "error", &words, line, ""));
    }
    for item in items.iter().filter(|item| item.needs_a_look()) {
        let line = lines.line(id.as_str(), Some(item));
        let (rule, level) = of_item(item);
        results.push(about(rule, level, &told::problem(id, item, "").line(), line, &format!("/{}", item.name)));
    }
    results
}

fn of_item(item: &Item) -> (&'static str, &'static str) {
    match &item.state {
        State::Changed(differences) if risk(differences) <= Risk::Low => ("changed", "warning"),
        State::Changed(_) => ("changed", "error"),
        State::Unapproved { like: None } => ("unapproved", "error"),
        State::Unapproved { like: Some(_) } => ("renamed", "error"),
        State::Gone => ("gone", "warning"),
        State::Unusable(_) => ("unusable", "error"),
        State::Approved | State::Open => ("marked", "error"),
    }
}

/// Where things stand in the lock file: its lines from 1.
struct Lines<'a> {
    servers: HashMap<&'a str, usize>,
    /// By server and by the line that names the thing.
    things: HashMap<(&'a str, &'a str), usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Lines<'a> {
        let mut lines = Lines { servers: HashMap::new(), things: HashMap::new() };
        let mut server = "";
        for (number, line) in (1..).zip(text.lines()) {
            let begins = line.strip_prefix("    \"").filter(|rest| !rest.starts_with(' '));
            if let Some(name) = begins.and_then(|rest| rest.strip_suffix("\": {")) {
                server = name;
                lines.servers.entry(name).or_insert(number);
            }
            let line = line.trim().trim_end_matches(',');
            if ["\"name\": ", "\"uri\": ", "\"uriTemplate\": "].iter().any(|key| line.starts_with(key)) {
                lines.things.entry((server, line)).or_insert(number);
            }
        }
        lines
    }

    /// The line of a server, or of a thing that it offers.
    fn line(&self, server: &str, item: Option<&Item>) -> usize {
        let named = item.and_then(|item| {
            let named = format!("\"{}\": {}", item.kind.key(), sekisho_wire::Json::text(&item.name).as_str());
            self.things.get(&(server, named.as_str())).copied()
        });
        named.or_else(|| self.servers.get(server).copied()).unwrap_or(1)
    }
}

const RULES: [(&str, &str); 9] = [
    ("introduction", "A server says something of itself that was not approved"),
    ("changed", "A definition is not the one that was approved"),
    ("unapproved", "A definition, or a server, that nobody has approved"),
    ("renamed", "A definition that nobody has approved is much like one that was approved"),
    ("gone", "A definition that was approved is offered no more"),
    ("stranger", "A server is not the one that was approved"),
    ("unusable", "A definition, or the lock file, cannot be used"),
    ("marked", "A definition does more than define"),
    ("survey", "A server could not be looked at"),
];
