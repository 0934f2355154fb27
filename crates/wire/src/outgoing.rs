//! The bytes of what is sent: the envelope is written anew, the content is spliced in unchanged.

use bytes::Bytes;

use crate::id::Id;
use crate::input::{self, InputRequired};
use crate::json::{Json, Object};
use crate::listen::{self, Told};
use crate::message::{Call, Handshake, Reference};
use crate::server::{Answer, RpcError, ServerNoticeKind, ServerRequest};
use crate::version::{Era, Version};

/// What `_meta` of a request to an upstream server says.
#[derive(Debug, Clone)]
pub struct OutMeta {
    /// Our own `clientInfo`, an object (modern).
    pub client: Json,
    /// The capabilities that are offered to the server, an object (modern).
    pub capabilities: Json,
    /// The token under which progress may be reported.
    pub progress: Option<Id>,
    /// The least log level that the server may report (modern).
    pub log_level: Option<Box<str>>,
    /// Trace context and vendors' members, as [`crate::message::Meta::carried`].
    pub carried: Vec<(Box<str>, Json)>,
}

/// What a server gets along with a call: what it had asked for before (MR-03), and how the call is wanted.
#[derive(Debug, Clone, Default)]
pub struct Input {
    /// The server's state, if it gave one, as it gave it.
    pub state: Option<Box<str>>,
    /// The answers, an object by the server's keys; none where it asked nothing.
    pub responses: Option<Json>,
    /// That it is to become a task (legacy).
    pub task: Option<Json>,
}

/// A request to an upstream server. `input`: what it asked for before.
#[must_use]
pub fn request(id: u64, call: &Call, input: Option<&Input>, meta: &OutMeta, version: Version) -> Bytes {
    let write = |object| {
        let written = params(call, object);
        let written = match input {
            Some(Input { state, responses, task }) => written
                .maybe("inputResponses", responses.as_ref())
                .maybe_text("requestState", state.as_deref())
                .maybe("task", task.as_ref()),
            None => written,
        };
        match out_meta(meta, version) {
            Some(meta) => written.json("_meta", &meta),
            None => written,
        }
    };
    let head = roomy(content_bytes(call)).unsigned("id", id).text("method", call.method().as_str());
    head.object("params", write).into_bytes()
}

/// `initialize`, to a server of the legacy era.
#[must_use]
pub fn initialize(id: u64, version: Version, capabilities: &Json, client: &Json) -> Bytes {
    let params = handshake(Object::new(), version.as_str(), capabilities, client).finish();
    envelope().unsigned("id", id).text("method", "initialize").json("params", &params).into_bytes()
}

/// `notifications/initialized`, to a server of the legacy era.
#[must_use]
pub fn initialized() -> Bytes {
    envelope().text("method", "notifications/initialized").into_bytes()
}

/// `notifications/roots/list_changed`, to a server of the legacy era.
#[must_use]
pub fn roots_changed() -> Bytes {
    envelope().text("method", "notifications/roots/list_changed").into_bytes()
}

/// `notifications/cancelled`, for a request of ours to a server, or for a server's question to the client.
#[must_use]
pub fn cancelled(id: &Id) -> Bytes {
    let params = Object::new().json("requestId", &id.to_json()).finish();
    envelope().text("method", "notifications/cancelled").json("params", &params).into_bytes()
}

/// `notifications/progress` of a client with a server's question. `token`: what the server chose for it.
#[must_use]
pub fn progress(token: &Id, params: &Json) -> Bytes {
    let params = params.with("progressToken", &token.to_json());
    envelope().text("method", "notifications/progress").json("params", &params).into_bytes()
}

/// An answer, towards the client.
#[must_use]
pub fn response(id: &Id, answer: &Answer) -> Bytes {
    match answer {
        Answer::Result(result) => identified(roomy(result.bytes().len()), id).json("result", result).into_bytes(),
        Answer::Error(fault) => error(Some(id), fault),
    }
}

/// An answer that is a result, towards the client: `write` writes its members in place. `room`: about how long they are, in bytes.
#[must_use]
pub fn result(id: &Id, room: usize, write: impl FnOnce(Object) -> Object) -> Bytes {
    identified(roomy(room), id).object("result", write).into_bytes()
}

/// An error, towards the client or as the answer to a server's request.
///
/// Where no id could be read there is none: MCP has no null ids (BP-02, BP-03).
#[must_use]
pub fn error(id: Option<&Id>, error: &RpcError) -> Bytes {
    let fault = error.written();
    let head = match id {
        Some(id) => identified(envelope(), id),
        None => envelope(),
    };
    head.json("error", &fault).into_bytes()
}

/// A server's question, towards the client (legacy).
#[must_use]
pub fn question(asked: &ServerRequest) -> Bytes {
    let params = &asked.request.params;
    let head = roomy(params.bytes().len()).text("method", asked.request.kind.method());
    identified(head, &asked.id).json("params", params).into_bytes()
}

/// A result that requires input, towards the client (modern). `state`: what the client brings when it comes again.
#[must_use]
pub fn input_required(id: &Id, asked: &InputRequired, state: &str) -> Bytes {
    let room = asked.requests.iter().map(|(_, request)| request.params.bytes().len()).sum::<usize>() + state.len();
    let each = |object| input::written(object, &asked.requests);
    result(id, room, |result| {
        let result = result.text("resultType", "input_required");
        let result = if asked.requests.is_empty() { result } else { result.object("inputRequests", each) };
        result.text("requestState", state).maybe("_meta", asked.meta.as_ref())
    })
}

/// What a server tells, towards a client that listens. `subscription`: the id of its listening (modern). URIs in it are those of the
/// client's door.
#[must_use]
pub fn told(told: &Told, subscription: Option<&Id>) -> Bytes {
    let (method, params) = match told {
        Told::Changed(list) => (list.notice(), Object::new()),
        Told::Updated { uri } => (listen::UPDATED, Object::new().text("uri", uri)),
        Told::Acknowledged(filter) => (listen::ACKNOWLEDGED, Object::new().json("notifications", &filter.written())),
    };
    let envelope = envelope().text("method", method);
    match subscription {
        Some(id) => envelope.json("params", &params.json("_meta", &subscribed(id)).finish()).into_bytes(),
        None => envelope.json("params", &params.finish()).into_bytes(),
    }
}

/// The end of a listening, towards the client (modern, SU-02).
#[must_use]
pub fn heard_out(id: &Id) -> Bytes {
    result(id, 0, |result| result.text("resultType", "complete").json("_meta", &subscribed(id)))
}

fn subscribed(id: &Id) -> Json {
    Object::new().json(listen::SUBSCRIPTION, &id.to_json()).finish()
}

/// A notification, towards the client.
#[must_use]
pub fn notice(kind: ServerNoticeKind, params: &Json) -> Bytes {
    envelope().text("method", kind.as_str()).json("params", params).into_bytes()
}

fn envelope() -> Object {
    roomy(0)
}

/// An envelope with room for content of about so many bytes.
fn roomy(content_bytes: usize) -> Object {
    Object::with_room(ENVELOPE_BYTES + content_bytes).text("jsonrpc", "2.0")
}

fn identified(envelope: Object, id: &Id) -> Object {
    match id {
        Id::Integer(number) => envelope.integer("id", *number),
        Id::Text(text) => envelope.text("id", text),
    }
}

/// The long part of a call, in bytes.
fn content_bytes(call: &Call) -> usize {
    match call {
        Call::CallTool { arguments, .. } | Call::GetPrompt { arguments, .. } => arguments.bytes().len(),
        Call::Initialize(_)
        | Call::Discover
        | Call::Ping
        | Call::List { .. }
        | Call::ReadResource { .. }
        | Call::Complete { .. }
        | Call::SetLogLevel { .. }
        | Call::Listen { .. }
        | Call::Subscribe { .. }
        | Call::Unsubscribe { .. }
        | Call::Task { .. } => 0,
    }
}

fn params(call: &Call, params: Object) -> Object {
    match call {
        Call::Initialize(Handshake { version, capabilities, client }) => {
            handshake(params, version, capabilities, client)
        }
        Call::Discover | Call::Ping => params,
        Call::List { cursor: None, .. } => params,
        Call::List { cursor: Some(cursor), .. } => params.text("cursor", cursor),
        Call::CallTool { name, arguments } | Call::GetPrompt { name, arguments } => {
            params.text("name", name).json("arguments", arguments)
        }
        Call::ReadResource { uri } => params.text("uri", uri),
        Call::Complete { reference, argument, context } => {
            params.json("ref", &written(reference)).json("argument", argument).maybe("context", context.as_ref())
        }
        Call::SetLogLevel { level } => params.text("level", level),
        Call::Listen { filter } => params.json("notifications", &filter.written()),
        Call::Subscribe { uri } | Call::Unsubscribe { uri } => params.text("uri", uri),
        Call::Task { id, .. } => params.text("taskId", id),
    }
}

fn handshake(params: Object, version: &str, capabilities: &Json, client: &Json) -> Object {
    params.text("protocolVersion", version).json("capabilities", capabilities).json("clientInfo", client)
}

fn written(reference: &Reference) -> Json {
    match reference {
        Reference::Prompt { name } => Object::new().text("type", "ref/prompt").text("name", name).finish(),
        Reference::Resource { uri } => Object::new().text("type", "ref/resource").text("uri", uri).finish(),
    }
}

/// Nothing where there is nothing to say: a legacy request needs no `_meta`.
fn out_meta(meta: &OutMeta, version: Version) -> Option<Json> {
    let said = match version.era() {
        Era::Modern => {
            let said = Object::new()
                .text("io.modelcontextprotocol/protocolVersion", version.as_str())
                .json("io.modelcontextprotocol/clientInfo", &meta.client)
                .json("io.modelcontextprotocol/clientCapabilities", &meta.capabilities);
            match &meta.log_level {
                Some(level) => said.text("io.modelcontextprotocol/logLevel", level),
                None => said,
            }
        }
        Era::Legacy if meta.progress.is_none() && meta.carried.is_empty() => return None,
        Era::Legacy => Object::new(),
    };
    let said = said.maybe("progressToken", meta.progress.as_ref().map(Id::to_json).as_ref());
    Some(meta.carried.iter().fold(said, |said, (key, value)| said.json(key, value)).finish())
}

/// What an envelope takes beside its content, about.
const ENVELOPE_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Limits;

    fn json(text: &str) -> Json {
        Json::decode(Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).expect("strict JSON")
    }

    fn meta() -> OutMeta {
        OutMeta {
            client: json(r#"{"name":"sekisho","version":"1"}"#),
            capabilities: Json::empty_object(),
            progress: Some(Id::Integer(5)),
            log_level: Some("info".into()),
            carried: vec![("com.example/a".into(), json("[1]"))],
        }
    }

    fn call() -> Call {
        Call::CallTool { name: "add".into(), arguments: json("{ \"a\" : 1.50 }") }
    }

    #[test]
    fn argument_bytes_go_out_as_they_came() {
        let text = request(3, &call(), None, &meta(), Version::V2025_11_25);
        assert_eq!(
            text,
            r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"add","arguments":{ "a" : 1.50 },"_meta":{"progressToken":5,"com.example/a":[1]}}}"#
        );
    }

    #[test]
    fn a_modern_request_describes_itself() {
        let text = json(std::str::from_utf8(&request(3, &call(), None, &meta(), Version::V2026_07_28)).expect("UTF-8"));
        let meta = text.get("params").and_then(|params| params.get("_meta")).expect("_meta");
        let keys: Vec<_> = meta.members().map(|(key, _)| key.into_owned()).collect();
        assert_eq!(
            keys,
            [
                "io.modelcontextprotocol/protocolVersion",
                "io.modelcontextprotocol/clientInfo",
                "io.modelcontextprotocol/clientCapabilities",
                "io.modelcontextprotocol/logLevel",
                "progressToken",
                "com.example/a",
            ]
        );
    }

    #[test]
    fn what_a_server_asked_for_goes_back_under_its_keys_with_its_own_state() {
        let silent = OutMeta { progress: None, log_level: None, carried: Vec::new(), ..meta() };
        let input =
            Input { state: Some("a\"b".into()), responses: Some(json(r#"{"k":{"action":"decline"}}"#)), task: None };
        let text = request(3, &call(), Some(&input), &silent, Version::V2026_07_28);
        let params = json(std::str::from_utf8(&text).expect("UTF-8")).get("params").expect("params");
        let part = |key: &str| params.get(key).map(|part| part.as_str().to_owned());
        assert_eq!(part("requestState").as_deref(), Some(r#""a\"b""#));
        assert_eq!(part("inputResponses").as_deref(), Some(r#"{"k":{"action":"decline"}}"#));
    }

    #[test]
    fn what_is_told_names_its_listening_in_the_modern_era() {
        let changed = Told::Changed(crate::listen::Listed::Tools);
        assert_eq!(
            told(&changed, None),
            r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{}}"#
        );
        let id = Id::Text("l".into());
        assert_eq!(
            told(&Told::Updated { uri: "a:1".into() }, Some(&id)),
            r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a:1","_meta":{"io.modelcontextprotocol/subscriptionId":"l"}}}"#
        );
        assert_eq!(
            heard_out(&id),
            r#"{"jsonrpc":"2.0","id":"l","result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/subscriptionId":"l"}}}"#
        );
    }

    #[test]
    fn questions_are_written_as_the_schema_says() {
        let roots = crate::input::request("roots/list", None).expect("a question");
        let asked = ServerRequest { id: Id::Integer(4), request: roots.clone(), on: crate::server::AskedOn::default() };
        assert_eq!(question(&asked), r#"{"jsonrpc":"2.0","method":"roots/list","id":4,"params":{}}"#);
        let required = |requests| InputRequired { requests, state: None, meta: None };
        assert_eq!(
            input_required(&Id::Integer(1), &required(vec![("r".into(), roots)]), "sealed"),
            r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","inputRequests":{"r":{"method":"roots/list","params":{}}},"requestState":"sealed"}}"#
        );
        assert_eq!(
            input_required(&Id::Integer(1), &required(Vec::new()), "sealed"),
            r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","requestState":"sealed"}}"#
        );
    }

    #[test]
    fn a_legacy_request_with_nothing_to_say_has_no_meta() {
        let silent = OutMeta { progress: None, carried: Vec::new(), ..meta() };
        let text = request(1, &Call::Ping, None, &silent, Version::V2025_11_25);
        assert_eq!(text, r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{}}"#);
    }

    #[test]
    fn an_error_without_a_readable_id_has_none() {
        let fault = RpcError { code: -32700, message: "no".into(), data: None };
        assert_eq!(error(None, &fault), r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"no"}}"#);
        let id = Id::Text("\"".into());
        assert_eq!(
            response(&id, &Answer::Error(fault)),
            r#"{"jsonrpc":"2.0","id":"\"","error":{"code":-32700,"message":"no"}}"#
        );
    }

    #[test]
    fn the_small_messages_are_as_the_schema_says() {
        assert_eq!(initialized(), r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        assert_eq!(roots_changed(), r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#);
        assert_eq!(
            cancelled(&Id::Integer(9)),
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9}}"#
        );
        assert_eq!(
            progress(&Id::Text("t".into()), &json(r#"{"progress":1.0}"#)),
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1.0,"progressToken":"t"}}"#
        );
        assert_eq!(
            notice(ServerNoticeKind::Progress, &json(r#"{"progress":1.0}"#)),
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1.0}}"#
        );
        assert_eq!(
            initialize(1, Version::V2025_11_25, &Json::empty_object(), &json(r#"{"name":"s"}"#)),
            r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"s"}}}"#
        );
    }
}
