//! What the demo servers have in common: MCP over lines, in both eras (BP-24), without anything that needs a message out of turn.

use std::io::{self, Read, Write};

use bytes::Bytes;
use sekisho_wire::front::{self, Refused, Why};
use sekisho_wire::json::{Array, Json, Limits, Object};
use sekisho_wire::lines::{Lines, frame};
use sekisho_wire::message::Spoken;
use sekisho_wire::{Answer, Call, Era, Inbound, ListKind, Reference, Request, RpcError, Version, outgoing};

/// What one demo server offers.
pub(super) trait Offer {
    /// Its name on the wire.
    const NAME: &'static str;
    /// Its name for people.
    const TITLE: &'static str;
    /// What a model should know about it.
    const INSTRUCTIONS: &'static str;
    /// `capabilities`, a JSON object.
    const CAPABILITIES: &'static str;

    /// The items of a list, all of them: they fit one page.
    fn list(&self, kind: ListKind) -> Result<Array, RpcError>;
    /// A tool's result: an object with at least `content`.
    fn call(&self, tool: &str, arguments: &Json) -> Result<Json, RpcError>;
    /// The `contents` of a resource.
    fn read(&self, uri: &str) -> Result<Array, NoSuchResource>;
    /// A prompt's result: an object with at least `messages`.
    fn prompt(&self, name: &str, arguments: &Json) -> Result<Json, RpcError>;
    /// All values that an argument of what is referred to can have.
    fn values(&self, reference: &Reference, argument: &str) -> Result<Vec<String>, RpcError>;
}

/// The resource is not there, or is none that may be read.
#[derive(Debug)]
pub(super) struct NoSuchResource;

/// Serves until the client closes its end (ST-07).
pub(super) fn serve(offer: impl Offer, mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut server = Server { offer, shaken: false };
    let mut lines = Lines::new(LINE_BYTES_MAX);
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let count = from.read(&mut chunk)?;
        if count == 0 {
            return Ok(());
        }
        let mut complete = Vec::new();
        lines.feed(chunk.get(..count).unwrap_or_default(), &mut complete);
        for line in complete {
            let answer = match line {
                Ok(line) => server.answer(line),
                Err(error) => {
                    eprintln!("{error}");
                    None
                }
            };
            if let Some(answer) = answer {
                to.write_all(&frame(&answer))?;
                to.flush()?;
            }
        }
    }
}

struct Server<O> {
    offer: O,
    /// Whether `initialize` was answered on this connection (legacy; BP-26).
    shaken: bool,
}

impl<O: Offer> Server<O> {
    fn answer(&mut self, line: Bytes) -> Option<Bytes> {
        match front::decode_line(line, Spoken::LegacyUnsaid, &LIMITS) {
            Ok(Inbound::Request(request)) => {
                let answer = match self.result(&request) {
                    Ok(result) => Answer::Result(result),
                    Err(error) => Answer::Error(error),
                };
                Some(outgoing::response(request.id(), &answer))
            }
            // Every call is done by the time its cancellation is read, and nothing was asked.
            Ok(Inbound::Notice(_) | Inbound::Reply(_)) => None,
            Err(refused) => refusal(&refused),
        }
    }

    fn result(&mut self, request: &Request) -> Result<Json, RpcError> {
        let era = request.spoken().era();
        let greets = matches!(request.call(), Call::Initialize(_) | Call::Ping);
        if era == Era::Legacy && !self.shaken && !greets {
            return Err(error(INVALID_REQUEST, "the first request must be initialize"));
        }
        let result = match request.call() {
            Call::Initialize(asked) => {
                self.shaken = true;
                self.initialize(&asked.version)
            }
            Call::Ping => Json::empty_object(),
            Call::Discover => self.discover(),
            Call::List { kind, cursor } => {
                if cursor.is_some() {
                    return Err(invalid("there is one page only, so no cursor is known"));
                }
                let items = self.offer.list(*kind)?;
                cacheable(Object::new().json(kind.member(), &items.finish()), era).finish()
            }
            Call::CallTool { name, arguments } => self.offer.call(name, arguments)?,
            Call::ReadResource { uri } => {
                let contents = self.offer.read(uri).map_err(|NoSuchResource| missing(uri, era))?;
                cacheable(Object::new().json("contents", &contents.finish()), era).finish()
            }
            Call::GetPrompt { name, arguments } => self.offer.prompt(name, arguments)?,
            Call::Complete { reference, argument, .. } => self.complete(reference, argument)?,
            // Nothing is ever logged to the client, so logging is not offered.
            Call::SetLogLevel { .. } => return Err(error(METHOD_NOT_FOUND, "logging is not offered")),
            // What is offered never changes, and is done at once.
            Call::Listen { .. } | Call::Subscribe { .. } | Call::Unsubscribe { .. } | Call::Task { .. } => {
                return Err(error(METHOD_NOT_FOUND, "nothing changes here and everything is done at once"));
            }
        };
        Ok(match era {
            Era::Legacy => result,
            // BP-05, BP-13.
            Era::Modern => result
                .with("resultType", &Json::text("complete"))
                .with("_meta", &Object::new().json("io.modelcontextprotocol/serverInfo", &info::<O>()).finish()),
        })
    }

    fn initialize(&self, asked: &str) -> Json {
        // BP-25: the asked revision if it is known, else the newest.
        let known = Version::parse(asked).filter(|version| version.era() == Era::Legacy);
        let version = known.unwrap_or(Version::LATEST_LEGACY);
        Object::new()
            .text("protocolVersion", version.as_str())
            .json("capabilities", &constant(O::CAPABILITIES))
            .json("serverInfo", &info::<O>())
            .text("instructions", O::INSTRUCTIONS)
            .finish()
    }

    fn discover(&self) -> Json {
        let object = Object::new()
            .json("supportedVersions", &versions())
            .json("capabilities", &constant(O::CAPABILITIES))
            .text("instructions", O::INSTRUCTIONS);
        cacheable(object, Era::Modern).finish()
    }

    fn complete(&self, reference: &Reference, argument: &Json) -> Result<Json, RpcError> {
        let name = text(argument, "name").unwrap_or_default();
        let begun = text(argument, "value").unwrap_or_default();
        let mut values = Array::new();
        let fitting = self.offer.values(reference, &name)?.into_iter().filter(|value| value.starts_with(&begun));
        // "Completion", both revisions: 100 values at most.
        for value in fitting.take(100) {
            values.push(&Json::text(&value));
        }
        let completion = Object::new().json("values", &values.finish()).bool("hasMore", false).finish();
        Ok(Object::new().json("completion", &completion).finish())
    }
}

/// The result of a tool: text for the model, and the same as data where the tool declares it.
pub(super) fn told(words: &str, data: Option<&Json>) -> Json {
    contents(words).maybe("structuredContent", data).finish()
}

/// The result of a tool that could not do it: the model reads why.
pub(super) fn failed(words: &str) -> Json {
    contents(words).bool("isError", true).finish()
}

/// The string member `name` of an object.
pub(super) fn text(object: &Json, name: &str) -> Option<String> {
    object.get(name)?.string().map(std::borrow::Cow::into_owned)
}

/// -32602
pub(super) fn invalid(words: &str) -> RpcError {
    error(INVALID_PARAMS, words)
}

/// A constant JSON text of this program.
#[expect(clippy::expect_used, reason = "constants of this program; a test reads every one of them")]
pub(super) fn constant(text: &'static str) -> Json {
    Json::decode(Bytes::from_static(text.as_bytes()), &LIMITS).expect("constant JSON is valid")
}

fn contents(words: &str) -> Object {
    let mut content = Array::new();
    content.push(&Object::new().text("type", "text").text("text", words).finish());
    Object::new().json("content", &content.finish())
}

fn info<O: Offer>() -> Json {
    Object::new().text("name", O::NAME).text("title", O::TITLE).text("version", env!("CARGO_PKG_VERSION")).finish()
}

/// CA-01: what may be kept, and for how long: not at all, since it may change at any time.
fn cacheable(object: Object, era: Era) -> Object {
    match era {
        Era::Legacy => object,
        Era::Modern => object.integer("ttlMs", 0).text("cacheScope", "private"),
    }
}

fn versions() -> Json {
    let mut versions = Array::new();
    for version in Version::ALL.into_iter().filter(|version| version.era() == Era::Modern) {
        versions.push(&Json::text(version.as_str()));
    }
    versions.finish()
}

/// RE-02: each era has its own code.
fn missing(uri: &str, era: Era) -> RpcError {
    let code = match era {
        Era::Legacy => RESOURCE_NOT_FOUND_LEGACY,
        Era::Modern => INVALID_PARAMS,
    };
    RpcError { data: Some(Object::new().text("uri", uri).finish()), ..error(code, "no such resource") }
}

/// The answer to what is no request of this protocol; none to a notification.
fn refusal(refused: &Refused) -> Option<Bytes> {
    let words = refused.why.to_string();
    let Some(id) = &refused.id else {
        // Without an id there is nobody to answer: stdout carries messages that belong to something (ST-02).
        eprintln!("passed over: {words}");
        return None;
    };
    let error = match &refused.why {
        Why::UnknownMethod => error(METHOD_NOT_FOUND, &words),
        Why::MissingMeta { .. } | Why::BadMeta { .. } | Why::BadParams { .. } => invalid(&words),
        // BP-18.
        Why::UnsupportedVersion { requested } => RpcError {
            data: Some(Object::new().json("supported", &versions()).text("requested", requested).finish()),
            ..error(UNSUPPORTED_VERSION, &words)
        },
        Why::Json(_) => error(PARSE_ERROR, &words),
        Why::Batch
        | Why::NotAnObject
        | Why::EnvelopeCase { .. }
        | Why::UnknownMember
        | Why::Version
        | Why::BadId
        | Why::NoMethod
        | Why::ResultAndError
        | Why::BadReply
        | Why::ReplyInModern
        | Why::HeaderMissing { .. }
        | Why::HeaderRepeated { .. }
        | Why::HeaderMismatch { .. }
        | Why::HeaderMalformed { .. }
        | Why::BadVersionHeader
        | Why::UnknownNotice => error(INVALID_REQUEST, &words),
    };
    Some(outgoing::error(Some(id), &error))
}

fn error(code: i64, words: &str) -> RpcError {
    RpcError { code, message: words.into(), data: None }
}

const PARSE_ERROR: i64 = -32700;
const INVALID_REQUEST: i64 = -32600;
const METHOD_NOT_FOUND: i64 = -32601;
const INVALID_PARAMS: i64 = -32602;
const RESOURCE_NOT_FOUND_LEGACY: i64 = -32002;
const UNSUPPORTED_VERSION: i64 = -32022;
const LINE_BYTES_MAX: usize = 4 * 1024 * 1024;
const CHUNK_BYTES: usize = 64 * 1024;
const LIMITS: Limits = Limits { bytes_max: LINE_BYTES_MAX, depth_max: 32, nodes_max: 10_000 };

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What the server says to these lines, one JSON text each.
    pub(crate) fn talk(offer: impl Offer, lines: &[&str]) -> Vec<Json> {
        let mut said = Vec::new();
        serve(offer, lines.join("\n").as_bytes().chain(&b"\n"[..]), &mut said).unwrap();
        let said = String::from_utf8(said).unwrap();
        said.lines().map(|line| Json::decode(Bytes::from(line.to_owned()), &LIMITS).unwrap()).collect()
    }

    /// A request of the modern era.
    pub(crate) fn modern(id: i64, method: &str, params: &str) -> String {
        let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
        let params = params.trim_start_matches('{');
        let comma = if params.starts_with('}') { "" } else { "," };
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{meta}{comma}{params}}}"#)
    }

    pub(crate) const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;

    /// The value behind a path of keys.
    pub(crate) fn at(json: &Json, keys: &[&str]) -> Json {
        keys.iter()
            .fold(json.clone(), |json, key| json.get(key).unwrap_or_else(|| panic!("no {key} in {}", json.as_str())))
    }
}
