//! The back door: what an upstream server sends becomes a [`Message`], just as untrusted as what a
//! client sends, and read as strictly.

use bytes::Bytes;

use crate::endpoint::ServerId;
use crate::envelope::{Envelope, WrittenId};
use crate::id::Id;
use crate::input::{self, BadInput};
use crate::json::{Json, Limits, Object};
use crate::listen::{self, Told};
use crate::message::ListKind;
use crate::server::{Answer, AskedOn, FromServer, Items, RpcError, ServerNotice, ServerNoticeKind, ServerRequest};
use crate::sheet::Sheets;
use crate::task::{self, About, BadTask};
use crate::version::Era;

pub use crate::envelope::BadEnvelope;

/// One message of an upstream server.
#[derive(Debug)]
pub enum Message {
    /// The answer to a request.
    Answer {
        /// Which request, as the server says.
        id: Id,
        /// How it ends.
        answer: Answer,
    },
    /// An error that names no request, because the server could not read one (BP-03).
    Fault(RpcError),
    /// Progress or logging.
    Notice(ServerNotice),
    /// What is told to whoever listens.
    Told {
        /// What.
        told: Told,
        /// The listening that it belongs to, as the server says (modern).
        subscription: Option<Id>,
    },
    /// Any other notification.
    OtherNotice {
        /// Its name, as written.
        method: Box<str>,
    },
    /// A question of the server to the client (legacy).
    Ask(ServerRequest),
    /// It takes a question of its own back (legacy).
    Withdrawn {
        /// Which request, as the server says.
        id: Id,
    },
    /// It asks whether somebody is there (legacy).
    Ping {
        /// Which request, as the server says.
        id: Id,
    },
    /// A request of the server that is no question to a client (legacy).
    BadAsk {
        /// Which request, as the server says.
        id: Id,
        /// What is wrong with it.
        why: BadInput,
    },
}

/// Why a server's message is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadMessage {
    /// No JSON-RPC message.
    #[error("the server's message is no JSON-RPC message")]
    Envelope(#[source] BadEnvelope),
    /// `id` is missing where one is needed, or neither a string nor a 64-bit integer (BP-02).
    #[error("the server's message has no usable id")]
    Id,
    /// Not exactly one of a method, a result and an error (BP-03).
    #[error("the server's message is not exactly one of request, result and error")]
    Shape,
    /// `params` of a notification that needs them is not an object.
    #[error("the parameters of the server's message are not an object")]
    Params,
    /// `error` lacks an integer code or a message (BP-03).
    #[error("the server's error has no integer code or no message")]
    RpcError,
    /// `result` is not an object.
    #[error("the server's result is not an object")]
    ResultNotAnObject,
    /// A request where servers send none (HT-33).
    #[error("the server sent a request, which this revision forbids")]
    AskInModern,
    /// It asks for input in a way that servers may not (MR-02).
    #[error("the server's question is refused")]
    Input(#[source] BadInput),
    /// It says something of a task that is wrong.
    #[error("what the server says of a task is refused")]
    Task(#[source] BadTask),
    /// `resultType` is none that was agreed on (BP-05).
    #[error("the server's result is of an unknown type")]
    ResultType,
    /// A page of a list without its items, or with an item that has no name.
    #[error("the server's list is wrong: {what}")]
    List {
        /// One clause, without anything of the content.
        what: &'static str,
    },
    /// A page of a list with more than [`ITEMS_MAX`] items.
    #[error("the server's list has more than {ITEMS_MAX} items on one page")]
    TooManyItems,
    /// An answer to `initialize` or `server/discover` of the wrong shape.
    #[error("the server's introduction is wrong: {what}")]
    Introduction {
        /// One clause, without anything of the content.
        what: &'static str,
    },
}

/// Most items on one page of a list.
pub const ITEMS_MAX: usize = 4096;
/// Longest id of a server's question, and progress token in it, in bytes.
pub const ASK_ID_BYTES_MAX: usize = 256;
/// Most protocol versions that a server may name.
pub const VERSIONS_MAX: usize = 64;

/// Decodes one message of a server that speaks `era`.
///
/// # Errors
/// [`BadMessage`] for whatever is not one message with one meaning.
pub fn decode(text: Bytes, era: Era, limits: &Limits) -> Result<Message, BadMessage> {
    message(Envelope::read(text, limits), era)
}

/// The same, without reading a page again that is among `sheets`.
///
/// # Errors
/// The very ones of [`decode`].
pub fn decode_knowing(sheets: &Sheets, text: Bytes, era: Era, limits: &Limits) -> Result<Message, BadMessage> {
    message(Envelope::read_knowing(text, limits, &|rest| sheets.begun(rest)), era)
}

fn message(envelope: Result<Envelope, (Option<Id>, BadEnvelope)>, era: Era) -> Result<Message, BadMessage> {
    let envelope = envelope.map_err(|(_, why)| BadMessage::Envelope(why))?;
    let Envelope { id, method, params, result, error } = envelope;
    match (method, result, error) {
        (Some(method), None, None) => match id {
            WrittenId::Absent => notice(method, params, era),
            WrittenId::Read(id) => match era {
                Era::Legacy => Ok(ask(id, &method, params)),
                Era::Modern => Err(BadMessage::AskInModern),
            },
            WrittenId::Null | WrittenId::Bad => Err(BadMessage::Id),
        },
        (None, Some(result), None) if params.is_none() => {
            let id = id.into_read().ok_or(BadMessage::Id)?;
            if !result.is_object() {
                return Err(BadMessage::ResultNotAnObject);
            }
            Ok(Message::Answer { id, answer: Answer::Result(result) })
        }
        (None, None, Some(error)) if params.is_none() => {
            let error = RpcError::read(&error).ok_or(BadMessage::RpcError)?;
            match id {
                WrittenId::Read(id) => Ok(Message::Answer { id, answer: Answer::Error(error) }),
                // Plain JSON-RPC writes null where MCP leaves the id out.
                WrittenId::Absent | WrittenId::Null => Ok(Message::Fault(error)),
                WrittenId::Bad => Err(BadMessage::Id),
            }
        }
        (Some(_) | None, Some(_) | None, Some(_) | None) => Err(BadMessage::Shape),
    }
}

/// How an answer ends its exchange, or parks it. `about`: what it may say of tasks.
///
/// # Errors
/// [`BadMessage::ResultType`] for a result of a type that nobody agreed on (BP-05).
pub fn conclude(era: Era, about: About, answer: Answer) -> Result<FromServer, BadMessage> {
    let result = match answer {
        Answer::Result(result) => result,
        answer @ Answer::Error(_) => return Ok(FromServer::End(answer)),
    };
    let task = |about| Ok(task::read(era, about, &result).map_err(BadMessage::Task)?.map(Box::new));
    let ends =
        |task: Option<Box<_>>| task.map_or_else(|| FromServer::End(Answer::Result(result.clone())), FromServer::Task);
    let kind = match era {
        Era::Legacy => return task(about).map(ends),
        // An absent type is an older server's way of saying that the result is complete.
        Era::Modern => result.get("resultType").unwrap_or_else(|| Json::text("complete")),
    };
    match kind.string().as_deref() {
        Some("complete") if about == About::State => task(about).map(ends),
        Some("complete") => Ok(FromServer::End(Answer::Result(result))),
        Some("task") if about == About::Beginning => task(about).map(ends),
        Some("input_required") => Ok(FromServer::Park(input::required(&result).map_err(BadMessage::Input)?)),
        Some(_) | None => Err(BadMessage::ResultType),
    }
}

/// The items of one page of a list. `sheets`: pages that were read before.
///
/// # Errors
/// [`BadMessage`] if the page or one of its items has the wrong shape, or the page is too long.
pub fn items(sheets: &Sheets, kind: ListKind, server: &ServerId, result: &Json) -> Result<Items, BadMessage> {
    let wrong = |what| BadMessage::List { what };
    let page = PageMembers::of(kind, result);
    let sheet = sheets.read(kind, server, &page.items.ok_or(wrong("the items are missing"))?)?;
    let next = match page.next {
        None => Vec::new(),
        Some(cursor) => {
            let cursor = cursor.string().ok_or(wrong("the cursor is no string"))?;
            vec![(server.clone(), cursor.into())]
        }
    };
    if page.meta.as_ref().is_some_and(|meta| !meta.is_object()) {
        return Err(wrong("`_meta` is no object"));
    }
    Ok(Items {
        kind,
        entries: sheet.items().to_vec(),
        next,
        missing: Vec::new(),
        ttl_ms: page.ttl.as_ref().map(ttl_ms).transpose()?,
        meta: page.meta,
        sheet: Some(sheet),
    })
}

/// The members of a page, found in one walk: the items may be long.
#[derive(Default)]
struct PageMembers {
    items: Option<Json>,
    next: Option<Json>,
    ttl: Option<Json>,
    meta: Option<Json>,
}

impl PageMembers {
    fn of(kind: ListKind, result: &Json) -> PageMembers {
        let mut page = PageMembers::default();
        for (key, value) in result.members() {
            match &*key {
                "nextCursor" => page.next = left_in(value),
                "ttlMs" => page.ttl = left_in(value),
                "_meta" => page.meta = left_in(value),
                key if key == kind.member() => page.items = Some(value),
                _ => {}
            }
        }
        page
    }
}

/// What a server says of itself in its answer to `initialize`.
#[derive(Debug, Clone)]
pub struct Initialized {
    /// The revision it chose, as written.
    pub version: Box<str>,
    /// `capabilities`, an object.
    pub capabilities: Json,
    /// `serverInfo`, an object. Self-asserted (BP-14).
    pub server: Json,
    /// `instructions`, if any.
    pub instructions: Option<Box<str>>,
}

/// What a server says of itself in its answer to `server/discover`.
#[derive(Debug, Clone)]
pub struct Discovered {
    /// `supportedVersions`, as written, at most [`VERSIONS_MAX`].
    pub versions: Vec<Box<str>>,
    /// `capabilities`, an object.
    pub capabilities: Json,
    /// `io.modelcontextprotocol/serverInfo` of `_meta`, if it is there. Self-asserted (BP-14).
    pub server: Option<Json>,
    /// `instructions`, if any.
    pub instructions: Option<Box<str>>,
}

/// Reads the result of `initialize`.
///
/// # Errors
/// [`BadMessage::Introduction`] if it has the wrong shape.
pub fn initialized(result: &Json) -> Result<Initialized, BadMessage> {
    let wrong = |what| BadMessage::Introduction { what };
    let version = result.get("protocolVersion").ok_or(wrong("`protocolVersion` is missing"))?;
    Ok(Initialized {
        version: version.string().ok_or(wrong("`protocolVersion` is no string"))?.into(),
        capabilities: object(result, "capabilities")?.ok_or(wrong("`capabilities` is missing"))?,
        server: object(result, "serverInfo")?.ok_or(wrong("`serverInfo` is missing"))?,
        instructions: instructions(result)?,
    })
}

/// Reads the result of `server/discover`.
///
/// # Errors
/// [`BadMessage::Introduction`] if it has the wrong shape.
pub fn discovered(result: &Json) -> Result<Discovered, BadMessage> {
    let wrong = |what| BadMessage::Introduction { what };
    let list = result.get("supportedVersions").ok_or(wrong("`supportedVersions` is missing"))?;
    let mut versions = Vec::new();
    for version in list.elements() {
        if versions.len() == VERSIONS_MAX {
            return Err(wrong("`supportedVersions` is too long"));
        }
        versions.push(version.string().ok_or(wrong("a version is no string"))?.into());
    }
    if versions.is_empty() {
        return Err(wrong("`supportedVersions` names none"));
    }
    let meta = object(result, "_meta")?;
    Ok(Discovered {
        versions,
        capabilities: object(result, "capabilities")?.ok_or(wrong("`capabilities` is missing"))?,
        server: meta.and_then(|meta| meta.get(SERVER)).filter(Json::is_object),
        instructions: instructions(result)?,
    })
}

/// A question that is none is the server's alone to hear about: it ends nothing.
fn ask(id: Id, method: &str, params: Option<Json>) -> Message {
    if method == PING {
        return Message::Ping { id };
    }
    // It is remembered, and so is the token for its progress.
    let token = params.as_ref().and_then(|params| params.get("_meta")?.get("progressToken"));
    let bytes = token.map_or(0, |token| token.bytes().len()).max(id.to_json().bytes().len());
    if bytes > ASK_ID_BYTES_MAX {
        return Message::BadAsk { id, why: BadInput::Params { what: "its id or its progress token is too long" } };
    }
    match input::request(method, params) {
        Ok(request) => Message::Ask(ServerRequest { id, request, on: AskedOn::default() }),
        Err(why) => Message::BadAsk { id, why },
    }
}

/// Nothing of it goes on but which question it is about.
fn elicited(params: Option<&Json>) -> Result<Message, BadMessage> {
    let id = params.and_then(|params| params.get("elicitationId")).filter(|id| id.string().is_some());
    let params = Object::new().json("elicitationId", &id.ok_or(BadMessage::Params)?).finish();
    Ok(Message::Notice(ServerNotice { kind: ServerNoticeKind::Elicited, params }))
}

fn notice(method: Box<str>, params: Option<Json>, era: Era) -> Result<Message, BadMessage> {
    let kind = match &*method {
        "notifications/progress" => ServerNoticeKind::Progress,
        "notifications/message" => ServerNoticeKind::Message,
        "notifications/cancelled" if era == Era::Legacy => {
            let id = params.as_ref().and_then(|params| Id::read(&params.get("requestId")?).ok());
            // Which one it means cannot be told.
            return Ok(id.map_or(Message::OtherNotice { method }, |id| Message::Withdrawn { id }));
        }
        "notifications/elicitation/complete" if era == Era::Legacy => return elicited(params.as_ref()),
        _ => {
            let Some(told) = listen::told(&method, params.as_ref()) else { return Ok(Message::OtherNotice { method }) };
            let told = told.map_err(|_| BadMessage::Params)?;
            return Ok(Message::Told { told, subscription: listen::subscription(params.as_ref()) });
        }
    };
    let params = params.filter(Json::is_object).ok_or(BadMessage::Params)?;
    Ok(Message::Notice(ServerNotice { kind, params }))
}

fn ttl_ms(ttl: &Json) -> Result<u64, BadMessage> {
    let whole = ttl.number().and_then(|ttl| ttl.whole()).and_then(|ttl| u64::try_from(ttl).ok());
    whole.ok_or(BadMessage::List { what: "`ttlMs` is no duration" })
}

/// A member that may be left out. Many servers write `null` there, which the schema does not have and which means one thing only.
fn optional(result: &Json, key: &str) -> Option<Json> {
    result.get(key).and_then(left_in)
}

fn left_in(value: Json) -> Option<Json> {
    (!value.is_null()).then_some(value)
}

fn object(result: &Json, key: &str) -> Result<Option<Json>, BadMessage> {
    match optional(result, key) {
        None => Ok(None),
        Some(value) if value.is_object() => Ok(Some(value)),
        Some(_) => Err(BadMessage::Introduction { what: "what should be an object is none" }),
    }
}

fn instructions(result: &Json) -> Result<Option<Box<str>>, BadMessage> {
    match optional(result, "instructions") {
        None => Ok(None),
        Some(text) => {
            let what = "`instructions` is no string";
            Ok(Some(text.string().ok_or(BadMessage::Introduction { what })?.into()))
        }
    }
}

const PING: &str = "ping";
const SERVER: &str = "io.modelcontextprotocol/serverInfo";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(era: Era, text: &str) -> Result<Message, BadMessage> {
        decode(Bytes::copy_from_slice(text.as_bytes()), era, &Limits::default())
    }

    fn json(text: &str) -> Json {
        Json::decode(Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).expect("strict JSON")
    }

    fn items(kind: ListKind, server: &ServerId, result: &Json) -> Result<Items, BadMessage> {
        super::items(&Sheets::default(), kind, server, result)
    }

    fn server() -> ServerId {
        ServerId::parse("files").expect("a name")
    }

    #[test]
    fn a_result_answers_the_request_it_names() {
        let message = read(Era::Legacy, r#"{"jsonrpc":"2.0","id":7,"result":{"a":1.50}}"#);
        let Ok(Message::Answer { id: Id::Integer(7), answer: Answer::Result(result) }) = message else {
            panic!("{message:?}");
        };
        assert_eq!(result.as_str(), r#"{"a":1.50}"#);
    }

    #[test]
    fn a_result_without_an_id_or_an_object_is_refused() {
        for (text, why) in [
            (r#"{"jsonrpc":"2.0","result":{}}"#, BadMessage::Id),
            (r#"{"jsonrpc":"2.0","id":null,"result":{}}"#, BadMessage::Id),
            (r#"{"jsonrpc":"2.0","id":1.0,"result":{}}"#, BadMessage::Id),
            (r#"{"jsonrpc":"2.0","id":1,"result":[]}"#, BadMessage::ResultNotAnObject),
            (r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#, BadMessage::Shape),
            (r#"{"jsonrpc":"2.0","id":1,"result":{},"method":"m"}"#, BadMessage::Shape),
            (r#"{"jsonrpc":"2.0","id":1,"result":{},"params":{}}"#, BadMessage::Shape),
            (r#"{"jsonrpc":"2.0","id":1}"#, BadMessage::Shape),
        ] {
            assert_eq!(read(Era::Legacy, text).err(), Some(why), "{text}");
        }
    }

    #[test]
    fn the_envelope_is_as_strict_as_a_clients() {
        for (text, why) in [
            (r#"[{"jsonrpc":"2.0","id":1,"result":{}}]"#, BadEnvelope::Batch),
            ("7", BadEnvelope::NotAnObject),
            (r#"{"jsonrpc":"2.0","id":1,"Result":{}}"#, BadEnvelope::CaseVariant { member: "result" }),
            (r#"{"jsonrpc":"2.0","id":1,"result":{},"x":1}"#, BadEnvelope::UnknownMember),
            (r#"{"jsonrpc":"1.0","id":1,"result":{}}"#, BadEnvelope::Version),
            (r#"{"id":1,"result":{}}"#, BadEnvelope::Version),
            (r#"{"jsonrpc":"2.0","method":1}"#, BadEnvelope::Method),
        ] {
            assert_eq!(read(Era::Modern, text).err(), Some(BadMessage::Envelope(why)), "{text}");
        }
        assert!(matches!(
            read(Era::Modern, r#"{"jsonrpc":"2.0","id":1,"result":{"a":1,"a":2}}"#),
            Err(BadMessage::Envelope(BadEnvelope::Json(_)))
        ));
    }

    #[test]
    fn an_error_has_an_integer_code_and_a_message() {
        let good = r#"{"jsonrpc":"2.0","id":"a","error":{"code":-32602,"message":"no","data":[1]}}"#;
        let Ok(Message::Answer { answer: Answer::Error(error), .. }) = read(Era::Modern, good) else {
            panic!("an error");
        };
        assert_eq!((error.code, &*error.message), (-32602, "no"));
        assert_eq!(error.data.map(|data| data.as_str().to_owned()).as_deref(), Some("[1]"));
        for bad in [r#"{"code":1.5,"message":"m"}"#, r#"{"code":1}"#, r#"{"code":1,"message":2}"#, "7"] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":1,"error":{bad}}}"#);
            assert_eq!(read(Era::Modern, &text).err(), Some(BadMessage::RpcError), "{bad}");
        }
    }

    #[test]
    fn an_error_may_name_no_request() {
        for id in ["", r#""id":null,"#] {
            let text = format!(r#"{{"jsonrpc":"2.0",{id}"error":{{"code":-32700,"message":"m"}}}}"#);
            assert!(matches!(read(Era::Legacy, &text), Ok(Message::Fault(_))), "{text}");
        }
        let text = r#"{"jsonrpc":"2.0","id":[],"error":{"code":-32700,"message":"m"}}"#;
        assert_eq!(read(Era::Legacy, text).err(), Some(BadMessage::Id));
    }

    #[test]
    fn a_server_may_ask_in_the_legacy_era_alone() {
        let text = r#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{}}"#;
        let asking = |method: &str| text.replace("sampling/createMessage", method);
        assert!(matches!(read(Era::Legacy, text), Ok(Message::BadAsk { why: BadInput::Params { .. }, .. })));
        assert!(matches!(read(Era::Legacy, &asking("roots/list")), Ok(Message::Ask(_))));
        assert!(matches!(read(Era::Legacy, &asking("ping")), Ok(Message::Ping { .. })));
        let other = read(Era::Legacy, &asking("tools/call"));
        assert!(matches!(other, Ok(Message::BadAsk { why: BadInput::Method, .. })));
        assert_eq!(read(Era::Modern, text).err(), Some(BadMessage::AskInModern));
    }

    #[test]
    fn progress_and_logging_have_parameters_and_others_are_named() {
        let text = |method: &str, params: &str| format!(r#"{{"jsonrpc":"2.0","method":"{method}"{params}}}"#);
        let good = text("notifications/progress", r#","params":{"progress":1}"#);
        assert!(matches!(read(Era::Modern, &good), Ok(Message::Notice(_))));
        let bad = text("notifications/message", "");
        assert_eq!(read(Era::Modern, &bad).err(), Some(BadMessage::Params));
        let changed = text("notifications/tools/list_changed", "");
        assert!(matches!(read(Era::Modern, &changed), Ok(Message::Told { subscription: None, .. })));
        let updated = text("notifications/resources/updated", "");
        assert_eq!(read(Era::Legacy, &updated).err(), Some(BadMessage::Params));
        let other = text("notifications/elicitation/complete", "");
        assert!(matches!(read(Era::Modern, &other), Ok(Message::OtherNotice { .. })));
        assert_eq!(read(Era::Legacy, &other).err(), Some(BadMessage::Params), "of which question?");
        let done =
            r#"{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"elicitationId":"e","x":1}}"#;
        let Ok(Message::Notice(notice)) = read(Era::Legacy, done) else { panic!("a notice") };
        assert_eq!((notice.kind, notice.params.as_str()), (ServerNoticeKind::Elicited, r#"{"elicitationId":"e"}"#));
    }

    #[test]
    fn the_result_type_decides_in_the_modern_era() {
        let end = |era, text| conclude(era, About::Nothing, Answer::Result(json(text)));
        for complete in ["{}", r#"{"resultType":"complete"}"#] {
            assert!(matches!(end(Era::Modern, complete), Ok(FromServer::End(_))));
        }
        let parked = r#"{"resultType":"input_required","requestState":"s"}"#;
        assert!(matches!(end(Era::Modern, parked), Ok(FromServer::Park(_))));
        let nothing = r#"{"resultType":"input_required"}"#;
        assert!(matches!(end(Era::Modern, nothing), Err(BadMessage::Input(_))));
        for bad in [r#"{"resultType":"task"}"#, r#"{"resultType":1}"#, r#"{"resultType":null}"#] {
            assert_eq!(end(Era::Modern, bad).err(), Some(BadMessage::ResultType));
        }
        assert!(matches!(end(Era::Legacy, parked), Ok(FromServer::End(_))));
        let of_task = |era, about, text| conclude(era, about, Answer::Result(json(text)));
        let began = r#"{"resultType":"task","taskId":"a","status":"working"}"#;
        assert!(matches!(of_task(Era::Modern, About::Beginning, began), Ok(FromServer::Task(_))));
        assert_eq!(end(Era::Modern, began).err(), Some(BadMessage::ResultType), "nobody asked for a task");
        assert_eq!(of_task(Era::Modern, About::State, began).err(), Some(BadMessage::ResultType));
        let began = r#"{"task":{"taskId":"a","status":"working"}}"#;
        assert!(matches!(of_task(Era::Legacy, About::Beginning, began), Ok(FromServer::Task(_))));
        assert!(matches!(end(Era::Legacy, began), Ok(FromServer::End(_))), "a result like any other");
        let at_once = of_task(Era::Modern, About::Beginning, r#"{"resultType":"complete","content":[]}"#);
        assert!(matches!(at_once, Ok(FromServer::End(_))));
        assert!(matches!(of_task(Era::Modern, About::State, "{}"), Err(BadMessage::Task(_))));
    }

    #[test]
    fn a_page_has_named_items() {
        let page = json(r#"{"tools":[{"name":"a","x":1},{"name":"b"}],"nextCursor":"","ttlMs":5,"_meta":{}}"#);
        let items = items(ListKind::Tools, &server(), &page).expect("a page");
        assert_eq!(items.entries.len(), 2);
        assert_eq!(items.entries[0].definition.as_str(), r#"{"name":"a","x":1}"#);
        assert_eq!(items.next, [(server(), "".into())]);
        assert_eq!(items.ttl_ms, Some(5));
        assert!(items.meta.is_some());
        assert!(items.whole().is_some_and(|sheet| sheet.items().len() == 2));
    }

    #[test]
    fn a_page_that_was_read_before_is_read_alike() {
        let sheets = Sheets::default();
        let read = |text: &str| super::items(&sheets, ListKind::Tools, &server(), &json(text)).expect("a page");
        let first = read(r#"{"tools":[{"name":"a"}],"nextCursor":"1"}"#);
        let again = read(r#"{"ttlMs":3,"tools":[{"name":"a"}],"nextCursor":"2"}"#);
        assert_eq!(first.sheet, again.sheet);
        assert_eq!(first.entries[0].definition, again.entries[0].definition);
        assert_eq!((&*again.next[0].1, again.ttl_ms), ("2", Some(3)));
        assert_ne!(read(r#"{"tools":[{"name":"b"}]}"#).sheet, first.sheet);
    }

    #[test]
    fn null_for_a_member_that_may_be_left_out_means_that_it_is_left_out() {
        let page = json(r#"{"tools":[],"nextCursor":null,"_meta":null,"ttlMs":null}"#);
        let items = items(ListKind::Tools, &server(), &page).expect("a page");
        assert!(items.next.is_empty() && items.meta.is_none() && items.ttl_ms.is_none());
    }

    #[test]
    fn a_message_with_a_known_page_is_decoded_like_any_other() {
        let sheets = Sheets::default();
        let known = r#"[{"name":"a","x":[[1]]},{"name":"b"}]"#;
        super::items(&sheets, ListKind::Tools, &server(), &json(&format!(r#"{{"tools":{known}}}"#))).expect("a page");
        let whole = |inside: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"result":{inside}}}"#);
        for text in [
            whole(&format!(r#"{{"tools":{known},"nextCursor":"x"}}"#)),
            whole(&format!(r#"{{ "_meta" : {{}}, "tools" : {known} }}"#)),
            whole(&format!(r#"{{"content":{known},"tools":[]}}"#)),
            whole(&format!(r#"{{"a":[],"tools":{known}}}"#)),
            whole(&format!(r#"{{"tools":[{known}]}}"#)),
            whole(&format!(r#"{{"tools":{known},"tools":{known}}}"#)),
            whole(&format!(r#"{{"tools":{known}1}}"#)),
            whole(&format!(r#"{{"tools":{known}]}}"#)),
            whole(&format!(r#"{{"tools":{known}"#)),
            whole(&format!(r#"{{{known}:1}}"#)),
            whole(r#"{"tools":[{"name":"a","x":[[1]]},{"name":"b"},{"name":"c"}]}"#),
            whole(known),
        ] {
            for limits in [
                Limits::default(),
                Limits { nodes_max: 11, ..Limits::default() },
                Limits { nodes_max: 10, ..Limits::default() },
                Limits { depth_max: 6, ..Limits::default() },
                Limits { depth_max: 5, ..Limits::default() },
            ] {
                let bytes = Bytes::copy_from_slice(text.as_bytes());
                let fresh = decode(bytes.clone(), Era::Legacy, &limits);
                let knowing = decode_knowing(&sheets, bytes, Era::Legacy, &limits);
                match (fresh, knowing) {
                    (Err(fresh), Err(knowing)) => assert_eq!(fresh, knowing, "{text}"),
                    (
                        Ok(Message::Answer { answer: Answer::Result(fresh), .. }),
                        Ok(Message::Answer { answer: Answer::Result(knowing), .. }),
                    ) => {
                        assert_eq!(fresh, knowing);
                        assert_eq!(
                            fresh.members().collect::<Vec<_>>(),
                            knowing.members().collect::<Vec<_>>(),
                            "{text}"
                        );
                        for kind in ["tools", "content"] {
                            let elements =
                                |result: &Json| result.get(kind).map(|list| list.elements().collect::<Vec<_>>());
                            assert_eq!(elements(&fresh), elements(&knowing), "{text}");
                        }
                    }
                    (fresh, knowing) => panic!("{text}: {fresh:?}, {knowing:?}"),
                }
            }
        }
    }

    #[test]
    fn a_page_of_the_wrong_shape_is_refused() {
        for bad in [
            "{}",
            r#"{"tools":{}}"#,
            r#"{"tools":[{"title":"a"}]}"#,
            r#"{"tools":["a"]}"#,
            r#"{"tools":[{"name":1}]}"#,
            r#"{"tools":[],"nextCursor":1}"#,
            r#"{"tools":[],"ttlMs":-1}"#,
            r#"{"tools":[],"_meta":1}"#,
        ] {
            assert!(items(ListKind::Tools, &server(), &json(bad)).is_err(), "{bad}");
        }
        assert!(items(ListKind::Prompts, &server(), &json(r#"{"tools":[]}"#)).is_err());
    }

    #[test]
    fn a_page_is_bounded() {
        let page = |count: usize| json(&format!(r#"{{"tools":[{}]}}"#, vec![r#"{"name":"a"}"#; count].join(",")));
        assert!(items(ListKind::Tools, &server(), &page(ITEMS_MAX)).is_ok());
        let result = items(ListKind::Tools, &server(), &page(ITEMS_MAX + 1));
        assert_eq!(result.err(), Some(BadMessage::TooManyItems));
    }

    #[test]
    fn introductions_are_read() {
        let legacy = initialized(&json(
            r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"s"},"instructions":"i"}"#,
        ))
        .expect("an introduction");
        assert_eq!((&*legacy.version, legacy.instructions.as_deref()), ("2025-11-25", Some("i")));
        let modern = discovered(&json(
            r#"{"supportedVersions":["2026-07-28"],"capabilities":{},"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s"}}}"#,
        ))
        .expect("an introduction");
        assert_eq!(modern.versions, ["2026-07-28".into()]);
        assert!(modern.server.is_some());
    }

    #[test]
    fn introductions_of_the_wrong_shape_are_refused() {
        assert!(initialized(&json(r#"{"capabilities":{},"serverInfo":{}}"#)).is_err());
        assert!(initialized(&json(r#"{"protocolVersion":"v","capabilities":[],"serverInfo":{}}"#)).is_err());
        assert!(discovered(&json(r#"{"supportedVersions":[],"capabilities":{}}"#)).is_err());
        assert!(discovered(&json(r#"{"supportedVersions":[1],"capabilities":{}}"#)).is_err());
        assert!(discovered(&json(r#"{"supportedVersions":["v"]}"#)).is_err());
    }
}
