//! The clients of the matrix, and what each of them cannot do.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::expect::Expect;
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
    way: Way,
}

/// How it reaches the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Over HTTP, with a token.
    Http,
    /// As a process that it starts.
    Stdio,
}

/// Where a client finds a server of the gateway.
#[derive(Debug)]
pub(super) enum At {
    /// At this URL, with this token.
    Http { url: String, token: String },
    /// By this command, in its own standard input and output.
    Stdio { command: Vec<String> },
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
    Client { name, kind, mode, way: Way::Http }
}

const fn over_stdio(name: &'static str, kind: Kind, mode: Mode) -> Client {
    Client { name, kind, mode, way: Way::Stdio }
}

/// Every client in each of its modes, and each once more over stdio.
pub static CLIENTS: [Client; 19] = [
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
    over_stdio("python auto, stdio", Kind::Python, Mode::Auto),
    over_stdio("typescript v1, stdio", Kind::TypeScriptV1, Mode::Legacy),
    over_stdio("typescript v2 auto, stdio", Kind::TypeScriptV2, Mode::Auto),
    over_stdio("inspector auto, stdio", Kind::Inspector, Mode::Auto),
    over_stdio("rust legacy, stdio", Kind::Rust, Mode::Legacy),
    over_stdio("rust 2026, stdio", Kind::Rust, Mode::Modern),
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
        if verb == Verb::Resume && self.way == Way::Stdio {
            return Some("a connection over stdio that breaks off is over");
        }
        if verb == Verb::Resume && era == Era::Modern {
            return Some("2026-07-28 has no streams that are taken up again");
        }
        None
    }

    /// Whether its report says which revision was agreed on.
    pub(super) fn says_version(&self) -> bool {
        // The first TypeScript client tells its transport alone, and that over stdio does not keep it.
        self.kind != Kind::Inspector && (self.kind, self.way) != (Kind::TypeScriptV1, Way::Stdio)
    }

    /// What is missing in its report of a step.
    ///
    /// # Errors
    /// When something is.
    pub(super) fn check(&self, expect: &Expect, done: &Value) -> Result<(), String> {
        // The first TypeScript client forgets whom to tell of progress as soon as it has read the answer, and reads both at once where they
        // come in one piece. It does so without the gateway, too: in 23 of 120 calls.
        let forgets = (self.kind, self.way) == (Kind::TypeScriptV1, Way::Stdio);
        let less = expect.but_the_last().filter(|_| forgets);
        expect.check(done).or_else(|why| less.ok_or(why)?.check(done))
    }

    /// Whether it starts the gateway as a process.
    pub(super) fn is_over_stdio(&self) -> bool {
        self.way == Way::Stdio
    }

    /// Does these steps at a server, and reports what came of each.
    ///
    /// # Errors
    /// When it does not end, or reports nothing.
    pub(super) fn work(&self, at: &At, steps: &[&Value]) -> anyhow::Result<Value> {
        let (sdk, mode) = (self.sdk(), self.mode());
        let plan = match at {
            At::Http { url, token } => {
                json!({"sdk": sdk, "mode": mode, "steps": steps, "url": url, "token": token})
            }
            At::Stdio { command } => json!({"sdk": sdk, "mode": mode, "steps": steps, "command": command}),
        };
        match self.kind {
            Kind::Python => script(peers::python_script("tests/clients/python_client.py")?, &plan),
            Kind::TypeScriptV1 | Kind::TypeScriptV2 => {
                script(peers::node_script("tests/clients/typescript_client.mjs")?, &plan)
            }
            Kind::Inspector => {
                let done: anyhow::Result<Vec<Value>> = steps.iter().map(|step| self.inspect(at, step)).collect();
                Ok(json!({"done": done?}))
            }
            Kind::Rust => rust::work(at, self.mode, steps, LIMIT),
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
    fn inspect(&self, at: &At, step: &Value) -> anyhow::Result<Value> {
        if step["do"] != "list" {
            let result = self.inspector(at, &arguments(step))?;
            return Ok(result.map_or_else(|why| json!({"refused": why}), |result| json!({"result": result})));
        }
        let mut lists = serde_json::Map::new();
        for list in step["of"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let method = format!("{list}/list");
            let listed = self.inspector(at, &["--method".to_owned(), method])?;
            lists.insert(list.to_owned(), listed.map_or_else(Value::from, |listed| names(&listed, list)));
        }
        Ok(Value::Object(lists))
    }

    fn inspector(&self, at: &At, arguments: &[String]) -> anyhow::Result<Result<Value, String>> {
        let home = tempfile::tempdir()?;
        let mut command = peers::inspector()?;
        command.env("HOME", home.path());
        match at {
            At::Http { url, token } => {
                command.args([url, "--transport", "http", "--header", &format!("Authorization: Bearer {token}")]);
            }
            At::Stdio { command: words } => {
                // As clients have it in their configuration.
                let (program, rest) = words.split_first().context("an empty command")?;
                let file = home.path().join("servers.json");
                std::fs::write(&file, json!({"mcpServers": {"it": {"command": program, "args": rest}}}).to_string())?;
                command.arg("--config").arg(file).args(["--server", "it"]);
            }
        }
        // Behind the rest: it takes whatever follows the arguments of a prompt for one of them.
        command.args(["--protocol-era", self.mode()]).args(arguments);
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
