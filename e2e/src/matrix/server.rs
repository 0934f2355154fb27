//! The servers of the matrix, and what each of them is asked for.

use serde_json::{Value, json};

use super::expect::{Ask, Expect};
use super::yard::Ground;
use super::{Eras, Verb};
use crate::client::Era;

/// A server of the matrix.
#[derive(Debug)]
pub struct Server {
    /// Its name in tables and in the gateway's configuration.
    pub name: &'static str,
    /// What it speaks.
    pub eras: Eras,
    pub(super) kind: Kind,
}

/// Which program it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The everything server of this package.
    Fixture(Transport),
    /// The everything server from npm.
    Everything,
    Filesystem,
    Memory,
    Time,
    Git,
    Fetch,
    /// Our server that is written with FastMCP.
    FastMcp(Transport),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Http,
    Stdio,
}

const fn server(name: &'static str, eras: Eras, kind: Kind) -> Server {
    Server { name, eras, kind }
}

const LEGACY: Eras = Eras::Only(Era::Legacy);

/// Every server.
pub static SERVERS: [Server; 12] = [
    server("fixture-http", Eras::Both, Kind::Fixture(Transport::Http)),
    server("fixture-stdio", Eras::Both, Kind::Fixture(Transport::Stdio)),
    server("fixture-legacy", LEGACY, Kind::Fixture(Transport::Stdio)),
    server("fixture-modern", Eras::Only(Era::Modern), Kind::Fixture(Transport::Http)),
    server("everything", LEGACY, Kind::Everything),
    server("filesystem", LEGACY, Kind::Filesystem),
    server("memory", LEGACY, Kind::Memory),
    server("time", Eras::Both, Kind::Time),
    server("git", Eras::Both, Kind::Git),
    server("fetch", Eras::Both, Kind::Fetch),
    server("fastmcp-http", Eras::Both, Kind::FastMcp(Transport::Http)),
    server("fastmcp-stdio", Eras::Both, Kind::FastMcp(Transport::Stdio)),
];

impl Server {
    /// What a client has to do for a verb, and what must come of it.
    ///
    /// # Errors
    /// Why the server has nothing for this verb.
    pub(super) fn ask(&self, verb: Verb, era: Era, ground: &Ground) -> Result<Ask, &'static str> {
        match self.kind {
            Kind::Fixture(_) => fixture(verb, era),
            Kind::Everything => everything(verb),
            Kind::FastMcp(_) => fastmcp(verb, era),
            Kind::Filesystem => only_tools(
                verb,
                &[("tools", "read_text_file")],
                call("read_text_file", json!({"path": ground.file()})),
                "hello from the file",
            ),
            Kind::Memory => only_tools(
                verb,
                &[("tools", "read_graph")],
                call(
                    "create_entities",
                    json!({"entities": [{"name": Ground::fresh(), "entityType": "barrier", "observations": []}]}),
                ),
                "barrier",
            ),
            Kind::Time => only_tools(
                verb,
                &[("tools", "convert_time")],
                call(
                    "convert_time",
                    json!({"source_timezone": "Asia/Tokyo", "time": "12:00", "target_timezone": "UTC"}),
                ),
                "03:00",
            ),
            Kind::Git => only_tools(
                verb,
                &[("tools", "git_log")],
                call("git_log", json!({"repo_path": ground.repository()})),
                "first",
            ),
            Kind::Fetch if verb == Verb::Prompt => {
                Ok(text(prompt("fetch", json!({"url": ground.page()})), "hello from the page"))
            }
            Kind::Fetch => only_tools(
                verb,
                &[("tools", "fetch"), ("prompts", "fetch")],
                call("fetch", json!({"url": ground.page()})),
                "hello from the page",
            ),
        }
    }
}

fn fixture(verb: Verb, era: Era) -> Result<Ask, &'static str> {
    let question = json!({"message": "Who are you?", "prompt": "What is the capital of Japan?"});
    let (elicits, elicited, samples) = match era {
        Era::Legacy => ("test_elicitation", "action=accept", "test_sampling"),
        Era::Modern => ("test_input_required_result_elicitation", "Hello, me!", "test_input_required_result_sampling"),
    };
    Ok(match verb {
        Verb::List => ask(
            lists(&["tools", "prompts", "resources"]),
            Expect::Names(&[
                ("tools", "test_simple_text"),
                ("prompts", "test_simple_prompt"),
                ("resources", "test://static-text"),
            ]),
        ),
        Verb::Call => text(call("test_add", json!({"a": 2, "b": 40})), "42"),
        Verb::Read => text(read("test://static-text"), "This is the content of the static text resource."),
        Verb::Prompt => text(
            prompt("test_prompt_with_arguments", json!({"arg1": "one", "arg2": "two"})),
            "Prompt with arguments: arg1='one', arg2='two'",
        ),
        Verb::Complete => text(complete("test_prompt_with_arguments", "arg1", "par"), "paris"),
        Verb::Elicit => ask(call(elicits, question), Expect::Asked("elicitation/create", elicited)),
        Verb::Sample => ask(call(samples, question), Expect::Asked("sampling/createMessage", "Kyoto")),
        Verb::Subscribe => {
            let uri = "test://watched-resource";
            let then = call("test_trigger_resource_change", json!({}));
            ask(json!({"do": "subscribe", "uri": uri, "then": then}), Expect::Updated(uri))
        }
        Verb::Progress | Verb::Resume => {
            ask(progress("test_tool_with_progress", json!({})), Expect::Progress(3, "The tool is done."))
        }
        Verb::Cancel => {
            let name = Ground::fresh();
            let wait = json!({"milliseconds": 60_000, "name": name});
            ask(
                cancel("test_wait", wait, &call("test_was_cancelled", json!({ "name": name }))),
                Expect::Cancelled("The wait was cancelled."),
            )
        }
    })
}

fn everything(verb: Verb) -> Result<Ask, &'static str> {
    let steps = |seconds: f64, count: u32| json!({"duration": seconds, "steps": count});
    Ok(match verb {
        Verb::List => ask(
            lists(&["tools", "prompts", "resources"]),
            Expect::Names(&[
                ("tools", "echo"),
                ("prompts", "simple-prompt"),
                ("resources", "demo://resource/static/document/features.md"),
            ]),
        ),
        Verb::Call => text(call("echo", json!({"message": "through the gate"})), "through the gate"),
        Verb::Read => text(read("demo://resource/static/document/features.md"), "Features"),
        Verb::Prompt => text(prompt("args-prompt", json!({"city": "Kyoto"})), "Kyoto"),
        Verb::Complete => text(complete("completable-prompt", "department", "E"), "Engineering"),
        Verb::Elicit => {
            ask(call("trigger-elicitation-request", json!({})), Expect::Asked("elicitation/create", "User provided"))
        }
        Verb::Sample => ask(
            call("trigger-sampling-request", json!({"prompt": "the capital of Japan"})),
            Expect::Asked("sampling/createMessage", "Kyoto"),
        ),
        Verb::Subscribe => {
            let uri = "demo://resource/dynamic/text/1";
            let then = call("toggle-subscriber-updates", json!({}));
            ask(json!({"do": "subscribe", "uri": uri, "then": then}), Expect::Updated(uri))
        }
        Verb::Progress => ask(progress(LONG, steps(0.3, 3)), Expect::Progress(3, "completed")),
        Verb::Resume => ask(progress(LONG, steps(0.6, 3)), Expect::Progress(3, "completed")),
        // It goes on all the same; what can be seen is that its session does, too.
        Verb::Cancel => {
            let then = call("echo", json!({"message": "still here"}));
            ask(cancel(LONG, steps(60.0, 300), &then), Expect::Cancelled("still here"))
        }
    })
}

const LONG: &str = "trigger-long-running-operation";

fn fastmcp(verb: Verb, era: Era) -> Result<Ask, &'static str> {
    Ok(match (verb, era) {
        (Verb::List, _) => ask(
            lists(&["tools", "prompts", "resources"]),
            Expect::Names(&[("tools", "add"), ("prompts", "greet"), ("resources", "note://today")]),
        ),
        (Verb::Call, _) => text(call("add", json!({"a": 2, "b": 40})), "42"),
        (Verb::Read, _) => text(read("note://today"), "a note of today"),
        (Verb::Prompt, _) => text(prompt("greet", json!({"name": "Basho"})), "Say hello to Basho."),
        (Verb::Complete, _) => text(complete("greet", "name", "H"), "Hakone"),
        (Verb::Elicit, Era::Legacy) => ask(call("ask", json!({})), Expect::Asked("elicitation/create", "accept: me")),
        (Verb::Elicit, Era::Modern) => return Err("FastMCP asks in the middle of a call only, as 2025-11-25 has it"),
        (Verb::Sample, _) => return Err("FastMCP 4 does not ask for models"),
        (Verb::Subscribe, _) => return Err("FastMCP offers no subscriptions to resources"),
        (Verb::Progress | Verb::Resume, _) => {
            ask(progress("steps", json!({})), Expect::Progress(3, "The tool is done."))
        }
        (Verb::Cancel, _) => {
            ask(cancel("wait", json!({}), &call("was_cancelled", json!({}))), Expect::Cancelled("cancelled"))
        }
    })
}

/// A server that has tools and nothing that takes long.
fn only_tools(
    verb: Verb,
    names: &'static [(&'static str, &'static str)],
    step: Value,
    expected: &str,
) -> Result<Ask, &'static str> {
    match verb {
        Verb::List => {
            let mut lists_of: Vec<&str> = names.iter().map(|(list, _)| *list).collect();
            lists_of.dedup();
            Ok(ask(lists(&lists_of), Expect::Names(names)))
        }
        Verb::Call => Ok(text(step, expected)),
        Verb::Read | Verb::Prompt | Verb::Complete | Verb::Subscribe => Err("the server offers none"),
        Verb::Elicit | Verb::Sample => Err("the server asks nothing"),
        Verb::Progress | Verb::Cancel | Verb::Resume => Err("no tool of the server takes long, or says how far it is"),
    }
}

fn ask(step: Value, expect: Expect) -> Ask {
    Ask { step, expect }
}

fn text(step: Value, expected: &str) -> Ask {
    ask(step, Expect::Text(expected.to_owned()))
}

fn lists(of: &[&str]) -> Value {
    json!({"do": "list", "of": of})
}

fn call(name: &str, arguments: Value) -> Value {
    json!({"do": "call", "name": name, "arguments": arguments})
}

fn read(uri: &str) -> Value {
    json!({"do": "read", "uri": uri})
}

fn prompt(name: &str, arguments: Value) -> Value {
    json!({"do": "prompt", "name": name, "arguments": arguments})
}

fn complete(name: &str, argument: &str, value: &str) -> Value {
    json!({"do": "complete", "name": name, "argument": argument, "value": value})
}

fn progress(name: &str, arguments: Value) -> Value {
    json!({"do": "progress", "name": name, "arguments": arguments})
}

fn cancel(name: &str, arguments: Value, then: &Value) -> Value {
    json!({"do": "cancel", "name": name, "arguments": arguments, "then": then})
}
