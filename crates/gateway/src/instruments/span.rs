//! What is told of a sampled call, once it is over. Names and attributes are those of OpenTelemetry's conventions for MCP where there
//! are such; no argument, no result and no principal is among them.

use std::time::{Duration, SystemTime};

use sekisho_upstream::{Ended, Hop, Transport};
use sekisho_wire::text::visible;
use sekisho_wire::{Method, Trace};

use super::clock::Answered;
use super::sampling::{Subject, Traced};
use crate::record::Seen;
use crate::refusal::Code;

/// A part of a trace, over.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Its trace, and its own id.
    pub trace: Trace,
    /// The part it comes from.
    pub parent: Option<Parent>,
    /// `tracestate`; empty if there is none.
    pub state: String,
    /// `{method} {tool or prompt}`.
    pub name: String,
    /// Which side of a call it is.
    pub kind: Kind,
    /// When it began.
    pub began: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
    /// What is known of it.
    pub attributes: Vec<(&'static str, Value)>,
    /// What happened in it.
    pub moments: Vec<Moment>,
    /// Another trace that it belongs to.
    pub link: Option<Trace>,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

/// Whom a span comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parent {
    /// A span of ours.
    Here([u8; 8]),
    /// A span of the caller's.
    Remote([u8; 8]),
}

/// Which side of a call a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A client called us.
    Server,
    /// We asked a server.
    Client,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Visible characters only, bounded.
    Text(String),
    /// A whole number.
    Number(i64),
    /// Exported as seconds.
    Time(Duration),
}

/// Something that happened in a span.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// When.
    pub at: SystemTime,
    /// What.
    pub name: &'static str,
    /// What is known of it.
    pub attributes: Vec<(&'static str, Value)>,
}

/// The span of a whole call, refused with `code` if there is one.
pub(super) fn of_call(seen: &Seen, traced: &Traced, took: Duration, code: Option<Code>) -> Span {
    let context = &traced.context;
    let method = seen.method.unwrap_or_default();
    let subject = traced.said.as_ref().map_or(Subject::Other, |said| said.subject);
    let mut attributes = vec![("mcp.method.name", text(method)), ("sekisho.request.id", text(&seen.request))];
    attributes.extend(seen.item.as_deref().into_iter().flat_map(|item| of_item(subject, item)));
    if let Some(said) = &traced.said {
        attributes.push(("jsonrpc.request.id", text(&said.id)));
        attributes.push(("mcp.protocol.version", text(said.version)));
    }
    // The hash of it that records have, too.
    attributes.extend(seen.session.map(|session| ("mcp.session.id", text(&session.to_string()))));
    attributes.extend(seen.endpoint.as_deref().map(|endpoint| ("url.path", text(endpoint))));
    attributes.push(of_transport(traced.over));
    if traced.over == Transport::Http {
        attributes.push(("network.protocol.name", text("http")));
    }
    let (error, more) = match (code, seen.clock.answered()) {
        (Some(code), _) => (Some(code.words().to_owned()), vec![("error.type", text(code.as_str()))]),
        (None, Answered::Error(number)) => (Some("the server answered with an error".to_owned()), of_rpc_error(number)),
        (None, Answered::ToolError) => (Some("the tool failed".to_owned()), vec![("error.type", text("tool_error"))]),
        (None, Answered::Result) => (None, Vec::new()),
    };
    attributes.extend(more);
    let began = seen.clock.began_at();
    Span {
        trace: context.own,
        parent: context.parent.map(Parent::Remote),
        state: context.state.as_deref().unwrap_or_default().to_owned(),
        name: named(method, subject, seen.item.as_deref()),
        kind: Kind::Server,
        began,
        ended: after(began, took),
        attributes,
        moments: moments(seen, began),
        link: context.link,
        error,
    }
}

/// The span of one question to one server; `trace` is its own part.
pub(super) fn of_hop(hop: &Hop<'_>, trace: Trace) -> Span {
    let subject = subject(hop.method);
    let mut attributes =
        vec![("mcp.method.name", text(hop.method.as_str())), ("sekisho.server", text(hop.server.as_str()))];
    attributes.extend(hop.item.into_iter().flat_map(|item| of_item(subject, item)));
    attributes.push(of_transport(hop.transport));
    let (error, more) = match hop.ended {
        Ended::Answered => (None, Vec::new()),
        Ended::Error(number) => (Some("the server answered with an error".to_owned()), of_rpc_error(number)),
        Ended::Trouble(word) => (Some("the server did not answer".to_owned()), vec![("error.type", text(word))]),
        Ended::Left => (Some("nobody waited for the answer".to_owned()), vec![("error.type", text("left"))]),
    };
    attributes.extend(more);
    let ended = SystemTime::now();
    Span {
        trace,
        parent: hop.parent.map(Parent::Here),
        state: String::new(),
        name: named(hop.method.as_str(), subject, hop.item),
        kind: Kind::Client,
        began: ended.checked_sub(hop.took).unwrap_or(ended),
        ended,
        attributes,
        moments: Vec::new(),
        link: None,
        error,
    }
}

/// Each room that was entered, when it was left.
fn moments(seen: &Seen, began: SystemTime) -> Vec<Moment> {
    let mut moments: Vec<Moment> = seen
        .clock
        .laps()
        .filter(|lap| !lap.took.is_zero())
        .map(|lap| {
            let (room, way) = lap.room.words();
            Moment {
                at: after(began, lap.left),
                name: "sekisho.room",
                attributes: vec![
                    ("sekisho.room", text(room)),
                    ("sekisho.way", text(way)),
                    ("sekisho.duration", Value::Time(lap.took)),
                ],
            }
        })
        .collect();
    moments.sort_by_key(|moment| moment.at);
    moments
}

/// `mcp.resource.uri` is an attribute and no part of the name: there is no end of them.
fn named(method: &str, subject: Subject, item: Option<&str>) -> String {
    match (subject, item) {
        (Subject::Tool | Subject::Prompt, Some(item)) => format!("{method} {}", bounded(item)),
        (Subject::Tool | Subject::Prompt, None) | (Subject::Resource | Subject::Other, _) => method.to_owned(),
    }
}

fn of_item(subject: Subject, item: &str) -> Vec<(&'static str, Value)> {
    match subject {
        Subject::Tool => vec![("gen_ai.operation.name", text("execute_tool")), ("gen_ai.tool.name", text(item))],
        Subject::Prompt => vec![("gen_ai.prompt.name", text(item))],
        // Without query and fragment, which is where URIs carry secrets.
        Subject::Resource => vec![("mcp.resource.uri", text(item.split(['?', '#']).next().unwrap_or_default()))],
        Subject::Other => Vec::new(),
    }
}

fn of_rpc_error(number: i64) -> Vec<(&'static str, Value)> {
    vec![("error.type", text(&number.to_string())), ("rpc.response.status_code", text(&number.to_string()))]
}

fn subject(method: Method) -> Subject {
    match method {
        Method::CallTool => Subject::Tool,
        Method::GetPrompt => Subject::Prompt,
        Method::ReadResource | Method::Subscribe | Method::Unsubscribe => Subject::Resource,
        Method::Initialize
        | Method::Ping
        | Method::SetLogLevel
        | Method::Discover
        | Method::ListTools
        | Method::ListResources
        | Method::ListTemplates
        | Method::ListPrompts
        | Method::Listen
        | Method::GetTask
        | Method::TaskResult
        | Method::UpdateTask
        | Method::CancelTask
        | Method::Complete => Subject::Other,
    }
}

fn of_transport(transport: Transport) -> (&'static str, Value) {
    let word = match transport {
        Transport::Http => "tcp",
        Transport::Stdio => "pipe",
    };
    ("network.transport", text(word))
}

fn text(words: &str) -> Value {
    Value::Text(bounded(words))
}

/// Cut, and its hidden characters made visible.
fn bounded(words: &str) -> String {
    let cut = words.get(..words.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or_default();
    visible(cut).into_owned()
}

fn after(time: SystemTime, by: Duration) -> SystemTime {
    time.checked_add(by).unwrap_or(time)
}

const TEXT_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use sekisho_wire::ServerId;

    fn hop(ended: Ended) -> Span {
        let trace = Trace { id: [1; 16], span: [2; 8], sampled: true };
        let server = ServerId::parse("one").unwrap();
        let hop = Hop {
            server: &server,
            transport: Transport::Stdio,
            method: Method::CallTool,
            item: Some("add\u{202e}"),
            trace: Some(trace),
            parent: Some([3; 8]),
            took: Duration::from_millis(5),
            ended,
        };
        of_hop(&hop, trace)
    }

    fn attribute(span: &Span, name: &str) -> Option<Value> {
        span.attributes.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone())
    }

    #[test]
    fn a_question_to_a_server_is_a_client_span_below_the_calls() {
        let span = hop(Ended::Answered);
        assert_eq!((span.kind, span.parent), (Kind::Client, Some(Parent::Here([3; 8]))));
        assert_eq!(span.name, "tools/call add\\u{202e}");
        assert_eq!(attribute(&span, "network.transport"), Some(text("pipe")));
        assert_eq!(attribute(&span, "sekisho.server"), Some(text("one")));
        assert_eq!(span.ended.duration_since(span.began).unwrap(), Duration::from_millis(5));
        assert!(span.error.is_none() && attribute(&span, "error.type").is_none());
    }

    #[test]
    fn a_failure_has_its_type() {
        for (ended, kind) in
            [(Ended::Error(-32603), "-32603"), (Ended::Trouble("timed_out"), "timed_out"), (Ended::Left, "left")]
        {
            let span = hop(ended);
            assert!(span.error.is_some());
            assert_eq!(attribute(&span, "error.type"), Some(text(kind)));
        }
    }

    #[test]
    fn a_uri_is_told_without_its_query_and_is_no_part_of_the_name() {
        let told = of_item(Subject::Resource, "db://host/a?token=hunter2#x");
        assert_eq!(told, [("mcp.resource.uri", text("db://host/a"))]);
        assert_eq!(named("resources/read", Subject::Resource, Some("db://host/a")), "resources/read");
    }

    #[test]
    fn texts_are_cut_at_their_bound() {
        assert_eq!(bounded(&"x".repeat(TEXT_BYTES_MAX)).len(), TEXT_BYTES_MAX);
        assert_eq!(bounded(&"x".repeat(TEXT_BYTES_MAX + 1)).len(), TEXT_BYTES_MAX);
    }
}
