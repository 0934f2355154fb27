//! The clients of the matrix, and what each of them cannot do.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Eras, Verb, rust};
use crate::client::Era;
use crate::{peers, process, raw};

/// A client of the matrix.
#[derive(Debug)]
pub struct Client {
    /// Its name in tables.
    pub name: &'static str,
    kind: Kind,
    mode: Mode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Python,
    TypeScriptV1,
    TypeScriptV2,
    Inspector,
    Rust,
}

/// Which eras it tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// 2025-11-25 alone.
    Legacy,
    /// 2026-07-28 where the server speaks it, else 2025-11-25.
    Auto,
    /// 2026-07-28 alone.
    Modern,
}

const fn client(name: &'static str, kind: Kind, mode: Mode) -> Client {
    Client { name, kind, mode }
}

/// Every client in each of its modes.
pub static CLIENTS: [Client; 13] = [
    client("python legacy", Kind::Python, Mode::Legacy),
    client("python auto", Kind::Python, Mode::Auto),
    client("python 2026", Kind::Python, Mode::Modern),
    client("typescript v1", Kind::TypeScriptV1, Mode::Legacy),
    client("typescript v2 legacy", Kind::TypeScriptV2, Mode::Legacy),
    client("typescript v2 auto", Kind::TypeScriptV2, Mode::Auto),
    client("typescript v2 2026", Kind::TypeScriptV2, Mode::Modern),
    client("inspector legacy", Kind::Inspector, Mode::Legacy),
    client("inspector auto", Kind::Inspector, Mode::Auto),
    client("inspector 2026", Kind::Inspector, Mode::Modern),
    client("rust legacy", Kind::Rust, Mode::Legacy),
    client("rust auto", Kind::Rust, Mode::Auto),
    client("rust 2026", Kind::Rust, Mode::Modern),
];

impl Client {
    /// The era in which it speaks with a server, if they share one.
    #[must_use]
    pub fn era(&self, eras: Eras) -> Option<Era> {
        let tried: &[Era] = match self.mode {
            Mode::Legacy => &[Era::Legacy],
            Mode::Auto => &[Era::Modern, Era::Legacy],
            Mode::Modern => &[Era::Modern],
        };
        tried.iter().copied().find(|era| eras.have(*era))
    }

    /// Why it cannot do something in an era, where it cannot.
    #[must_use]
    pub fn lacks(&self, verb: Verb, era: Era) -> Option<&'static str> {
        if self.kind == Kind::Inspector && !matches!(verb, Verb::List | Verb::Call | Verb::Read | Verb::Prompt) {
            return Some("the inspector's command line does one request at a time, and has no such method");
        }
        if verb == Verb::Resume && era == Era::Modern {
            return Some("2026-07-28 has no streams that are taken up again");
        }
        None
    }

    /// Whether its report says which revision was agreed on.
    pub(super) fn says_version(&self) -> bool {
        self.kind != Kind::Inspector
    }

    /// Does these steps at `url`, and reports what came of each.
    ///
    /// # Errors
    /// When it does not end, or reports nothing.
    pub(super) fn work(&self, url: &str, token: &str, steps: &[&Value]) -> anyhow::Result<Value> {
        let plan = json!({"sdk": self.sdk(), "url": url, "token": token, "mode": self.mode(), "steps": steps});
        match self.kind {
            Kind::Python => script(peers::python_script("tests/clients/python_client.py")?, &plan),
            Kind::TypeScriptV1 | Kind::TypeScriptV2 => {
                script(peers::node_script("tests/clients/typescript_client.mjs")?, &plan)
            }
            Kind::Inspector => {
                let done: anyhow::Result<Vec<Value>> =
                    steps.iter().map(|step| self.inspect(url, token, step)).collect();
                Ok(json!({"done": done?}))
            }
            Kind::Rust => rust::work(url, token, self.mode, steps, LIMIT),
        }
    }

    fn sdk(&self) -> &'static str {
        if self.kind == Kind::TypeScriptV1 { "v1" } else { "v2" }
    }

    /// The mode as this client writes it.
    fn mode(&self) -> &'static str {
        match (self.kind, self.mode) {
            (_, Mode::Legacy) => "legacy",
            (_, Mode::Auto) => "auto",
            (Kind::Inspector, Mode::Modern) => "modern",
            (Kind::Python | Kind::TypeScriptV1 | Kind::TypeScriptV2 | Kind::Rust, Mode::Modern) => "2026-07-28",
        }
    }

    /// One step with the inspector: one process for each request.
    fn inspect(&self, url: &str, token: &str, step: &Value) -> anyhow::Result<Value> {
        if step["do"] != "list" {
            let result = self.inspector(url, token, &arguments(step))?;
            return Ok(result.map_or_else(|why| json!({"refused": why}), |result| json!({"result": result})));
        }
        let mut lists = serde_json::Map::new();
        for list in step["of"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let method = format!("{list}/list");
            let listed = self.inspector(url, token, &["--method".to_owned(), method])?;
            lists.insert(list.to_owned(), listed.map_or_else(Value::from, |listed| names(&listed, list)));
        }
        Ok(Value::Object(lists))
    }

    fn inspector(&self, url: &str, token: &str, arguments: &[String]) -> anyhow::Result<Result<Value, String>> {
        let home = tempfile::tempdir()?;
        let mut command = peers::inspector()?;
        command.args([url, "--transport", "http", "--protocol-era", self.mode(), "--header"]);
        command.arg(format!("Authorization: Bearer {token}")).args(arguments).env("HOME", home.path());
        let ended = process::run(&mut command, "", LIMIT)?;
        if !ended.status.success() {
            return Ok(Err(format!("{}{}", ended.out, ended.err)));
        }
        Ok(Ok(raw::parse(&ended.out)?))
    }
}

/// The names, or URIs, in a list.
fn names(listed: &Value, list: &str) -> Value {
    let name = if list == "resources" { "uri" } else { "name" };
    listed[list].as_array().into_iter().flatten().map(|one| one[name].clone()).collect()
}

/// A step as the inspector's command line has it.
fn arguments(step: &Value) -> Vec<String> {
    let word = |name: &str| step[name].as_str().unwrap_or_default().to_owned();
    let mut words = vec!["--method".to_owned()];
    match step["do"].as_str() {
        Some("call") => {
            words.extend(["tools/call".to_owned(), "--tool-name".to_owned(), word("name")]);
            words.extend(["--tool-args-json".to_owned(), step["arguments"].to_string()]);
        }
        Some("read") => words.extend(["resources/read".to_owned(), "--uri".to_owned(), word("uri")]),
        _ => {
            words.extend(["prompts/get".to_owned(), "--prompt-name".to_owned(), word("name")]);
            for (name, value) in step["arguments"].as_object().into_iter().flatten() {
                words.extend(["--prompt-args".to_owned(), format!("{name}={}", value.as_str().unwrap_or_default())]);
            }
        }
    }
    words
}

/// Gives a script its plan, and reads its report.
fn script(mut script: std::process::Command, plan: &Value) -> anyhow::Result<Value> {
    let ended = process::run(&mut script, &plan.to_string(), LIMIT)?;
    raw::parse(&ended.out).map_err(|error| anyhow::anyhow!("{error}\n{}\n{}", ended.out, ended.err))
}

/// How long one client may take.
const LIMIT: Duration = Duration::from_secs(60);
