//! Released messages as bytes for the client: the envelope is ours, names are those of the client's door, and the members
//! that the client's era wants are there.

use std::time::SystemTime;

use bytes::Bytes;
use http::StatusCode;
use sekisho_catalog::{Catalog, Home, Parking, exposed_uri};
use sekisho_guard::host_of;
use sekisho_policy::Facts;
use sekisho_wire::json::{Array, Object};
use sekisho_wire::server::{ServerNotice, ServerNoticeKind, ServerRequest};
use sekisho_wire::{
    Answer, Call, Endpoint, Era, Filter, FromServer, Id, InputKind, InputRequest, InputRequired, Items, Json, RpcError,
    ServerId, Task, TaskVerb, Told, input, outgoing, task,
};

use crate::pipeline::{Released, Way};
use crate::refusal::{Code, Refusal};

/// One message for the client.
pub(crate) struct Rendered {
    pub(crate) bytes: Bytes,
    /// Nothing follows it.
    pub(crate) last: bool,
    /// The status of the response, if it is all of it.
    pub(crate) status: StatusCode,
}

/// Renders what was released. `asking`: the client's id of the question that it is about, if it is one of the legacy era.
pub(crate) fn released(
    catalog: &Catalog,
    way: &Way,
    id: Option<&Id>,
    released: &Released,
    asking: Option<&Id>,
) -> Rendered {
    let facts = &way.facts;
    let message = released.get().of().message();
    if let Some(bytes) = interim(way, id, message, asking) {
        return Rendered { bytes, last: false, status: StatusCode::OK };
    }
    // Nothing else is said to whoever listens without a request (legacy).
    let Some(id) = id else { return unasked(facts.era, &Id::Integer(0), "an answer to no request") };
    let answer = match message {
        FromServer::Page(items) => {
            let bytes = page(catalog, facts, id, items);
            return Rendered { bytes, last: true, status: StatusCode::OK };
        }
        FromServer::End(Answer::Result(result)) => Answer::Result(whole(catalog, way, result)),
        FromServer::End(Answer::Error(error)) => Answer::Error(asking_for_pages(facts, error)),
        // Said on the way, above.
        FromServer::Notice { .. }
        | FromServer::Ask(_)
        | FromServer::Withdrawn { .. }
        | FromServer::Told { .. }
        | FromServer::Listening(_) => {
            return unasked(facts.era, id, "a question that is not open");
        }
        FromServer::Task(task) => match self::task(catalog, way, task) {
            Some(state) => Answer::Result(state),
            None => return refused(&Refusal::new(Code::TooManyAtOnce, "too many tasks"), facts.era, id, false, ""),
        },
        FromServer::Park(required) => {
            let Some(bytes) = parked(catalog, way, id, required) else {
                return unasked(facts.era, id, "the state of the call cannot be sealed");
            };
            return Rendered { bytes, last: true, status: StatusCode::OK };
        }
    };
    Rendered { bytes: outgoing::response(id, &answer), last: true, status: status(&answer, facts.era) }
}

/// The status that an answer has in the modern era, whoever gives it (BP-12, BP-15, BP-18, HT-22).
fn status(answer: &Answer, era: Era) -> StatusCode {
    match (era, answer) {
        (Era::Modern, Answer::Error(RpcError { code: -32022..=-32020, .. })) => StatusCode::BAD_REQUEST,
        (Era::Modern, Answer::Error(RpcError { code: -32601, .. })) => StatusCode::NOT_FOUND,
        (Era::Modern, Answer::Error(_) | Answer::Result(_)) | (Era::Legacy, _) => StatusCode::OK,
    }
}

/// What is said before the end, if it is that.
fn interim(way: &Way, id: Option<&Id>, message: &FromServer, asking: Option<&Id>) -> Option<Bytes> {
    let facts = &way.facts;
    let subscription = id.filter(|_| facts.era == Era::Modern);
    match message {
        FromServer::Notice { server, notice } => {
            Some(outgoing::notice(notice.kind, &related(way, &signed(facts, server, notice))))
        }
        FromServer::Withdrawn { .. } => Some(outgoing::cancelled(asking?)),
        FromServer::Ask(asked) => {
            let request = marked(facts, &asked.request);
            let (id, params) = (asking?.clone(), related(way, &request.params));
            let request = InputRequest { params: with_our_token(&params, &id), ..request };
            Some(outgoing::question(&ServerRequest { id, request, on: asked.on }))
        }
        FromServer::Told { server, told } => {
            let told = match told {
                Told::Updated { uri } => Told::Updated { uri: exposed_uri(&facts.endpoint, server, uri).into() },
                Told::Changed(_) | Told::Acknowledged(_) => told.clone(),
            };
            Some(outgoing::told(&told, subscription))
        }
        FromServer::Listening(filters) => {
            Some(outgoing::told(&Told::Acknowledged(acknowledged(facts, filters)), subscription))
        }
        FromServer::Page(_) | FromServer::Park(_) | FromServer::Task(_) | FromServer::End(_) => None,
    }
}

/// What all servers together will tell, in the words of the door.
fn acknowledged(facts: &Facts, filters: &[(ServerId, Filter)]) -> Filter {
    let exposed = |(server, filter): &(ServerId, Filter)| {
        let uris = filter.uris.iter().map(|uri| exposed_uri(&facts.endpoint, server, uri).into());
        Filter { uris: uris.collect(), ..filter.clone() }
    };
    filters.iter().map(exposed).fold(Filter::default(), Filter::or)
}

fn unasked(era: Era, id: &Id, why: &str) -> Rendered {
    refused(&Refusal::new(Code::NotOffered, why), era, id, false, "")
}

/// `input_required`, with our own state around the server's (MR-03, MR-04).
fn parked(catalog: &Catalog, way: &Way, id: &Id, required: &InputRequired) -> Option<Bytes> {
    let facts = &way.facts;
    let (call, server) = (way.call.as_ref()?, facts.server.as_ref()?);
    let of = Parking { endpoint: &facts.endpoint, who: facts.who.key(), call };
    let state = catalog.park(of, &server.id, required, SystemTime::now())?;
    let requests = required.requests.iter().map(|(key, request)| (key.clone(), marked(facts, request)));
    let shown = InputRequired { requests: requests.collect(), state: None, meta: required.meta.clone() };
    Some(outgoing::input_required(id, &shown, &state))
}

/// An error that asks the client to open pages, each marked like any other (EL-10); every other error as it is.
fn asking_for_pages(facts: &Facts, error: &RpcError) -> RpcError {
    let (Some(Ok(pages)), Some(data)) = (input::asked_by(error), &error.data) else { return error.clone() };
    let mut marks = Array::new();
    pages.iter().for_each(|page| marks.push(&marked(facts, page).params));
    RpcError { data: Some(data.with("elicitations", &marks.finish())), ..error.clone() }
}

/// A task under the name that its client has for it, and what its server asks for remembered (T5-02, T6-03).
fn task(catalog: &Catalog, way: &Way, task: &Task) -> Option<Json> {
    let (facts, now) = (&way.facts, SystemTime::now());
    let server = &facts.server.as_ref()?.id;
    let name = match &way.task {
        Some((_, name)) => name.clone(),
        None => {
            let (tool, endpoint) = (facts.subject.pinned.as_ref()?.name().into(), facts.endpoint.clone());
            let home = Home { endpoint, era: facts.era, server: server.clone(), tool };
            catalog.begin_task(facts.who.key(), home, task, now)?
        }
    };
    if !task.begins {
        catalog.task_requires(facts.who.key(), &name, &task.requests, now);
    }
    let exposed = |answer: &Answer| match answer {
        Answer::Result(result) => Answer::Result(catalog.expose_result(&facts.endpoint, server, CALL, result)),
        Answer::Error(error) => Answer::Error(asking_for_pages(facts, error)),
    };
    let shown = Task {
        requests: task.requests.iter().map(|(key, request)| (key.clone(), marked(facts, request))).collect(),
        outcome: task.outcome.as_ref().map(exposed),
        ..task.clone()
    };
    Some(task::written(&shown, &name, facts.era))
}

/// The same, with the task that it belongs to under the client's name for it, or without one (T5-03).
fn related(way: &Way, of: &Json) -> Json {
    let Some(meta) = of.get(META).filter(|meta| meta.get(task::RELATED).is_some()) else { return of.clone() };
    let meta = match &way.task {
        Some((_, name)) => meta.with(task::RELATED, &Object::new().text("taskId", name).finish()),
        None => {
            let others = meta.members().filter(|(key, _)| key != task::RELATED);
            others.fold(Object::new(), |object, (key, value)| object.json(&key, &value)).finish()
        }
    };
    of.with(META, &meta)
}

/// A log message says whose it is, where that is not plain from the door.
fn signed(facts: &Facts, server: &ServerId, notice: &ServerNotice) -> Json {
    match (notice.kind, &facts.endpoint) {
        (ServerNoticeKind::Message, Endpoint::All) => {
            let logger = notice.params.get(LOGGER);
            let logger = logger.as_ref().and_then(Json::string).unwrap_or_default();
            let signed = format!("[{server}] {logger}");
            notice.params.with(LOGGER, &Json::text(signed.trim_end()))
        }
        (ServerNoticeKind::Message | ServerNoticeKind::Progress | ServerNoticeKind::Elicited, _) => {
            notice.params.clone()
        }
    }
}

/// A client tells of progress under its own id of the question: a server's token means nothing but to that server.
fn with_our_token(params: &Json, id: &Id) -> Json {
    match params.get(META).filter(|meta| meta.get(TOKEN).is_some()) {
        Some(meta) => params.with(META, &meta.with(TOKEN, &id.to_json())),
        None => params.clone(),
    }
}

/// A question to the user says who asks, where that is not plain from the door, and where a page is (EL-02, EL-06).
fn marked(facts: &Facts, request: &InputRequest) -> InputRequest {
    let server = facts.server.as_ref().map(|server| server.id.as_str()).unwrap_or_default();
    let mark = match (&request.kind, &facts.endpoint) {
        (InputKind::Url { url }, _) => format!("[{server}: {}]", host_of(url).unwrap_or_default()),
        (InputKind::Form, Endpoint::All) => format!("[{server}]"),
        (InputKind::Form, Endpoint::One(_)) | (InputKind::Sampling { .. } | InputKind::Roots, _) => {
            return request.clone();
        }
    };
    let message = request.params.get("message");
    let message = message.as_ref().and_then(Json::string).unwrap_or_default();
    let params = request.params.with("message", &Json::text(&format!("{mark} {message}")));
    InputRequest { kind: request.kind.clone(), params }
}

/// Renders a refusal: an `isError` result where a tool's arguments are wrong, so that the model can mend them (TL-08), an error
/// otherwise.
pub(crate) fn refused(refusal: &Refusal, era: Era, id: &Id, tool_call: bool, request: &str) -> Rendered {
    // SU-02: a listening that is over has an empty result, not an error.
    if refusal.code == Code::ListenAgain && era == Era::Modern {
        return Rendered { bytes: outgoing::heard_out(id), last: true, status: StatusCode::OK };
    }
    let answer = if tool_call && refusal.code == Code::Arguments {
        Answer::Result(error_result(&refusal.message(), era))
    } else {
        Answer::Error(RpcError {
            code: refusal.code.rpc(era),
            message: refusal.message().into(),
            data: Some(refusal.data(request)),
        })
    };
    Rendered { bytes: outgoing::response(id, &answer), last: true, status: refusal.code.status(era) }
}

fn error_result(words: &str, era: Era) -> Json {
    let mut content = Array::new();
    content.push(&Object::new().text("type", "text").text("text", words).finish());
    let result = Object::new().json("content", &content.finish()).bool("isError", true);
    match era {
        Era::Modern => result.text("resultType", "complete").finish(),
        Era::Legacy => result.finish(),
    }
}

/// A page: each item under the name of this door, the cursor sealed where several servers stand behind it.
fn page(catalog: &Catalog, facts: &Facts, id: &Id, items: &Items) -> Bytes {
    let list = catalog.exposed_page(&facts.endpoint, items);
    let room = list.bytes().len().saturating_add(PAGE_BYTES);
    outgoing::result(id, room, |result| {
        let mut result = result.json(items.kind.member(), &list);
        if let Some(cursor) = cursor(catalog, facts, items) {
            result = result.text("nextCursor", &cursor);
        }
        if let (Endpoint::One(_), Some(meta)) = (&facts.endpoint, &items.meta) {
            result = result.json("_meta", meta);
        }
        match facts.era {
            Era::Legacy => result,
            // Filtered by caller, hence private (CA-03).
            Era::Modern => {
                let ttl = i64::try_from(items.ttl_ms.unwrap_or(0)).unwrap_or(0);
                result.text("resultType", "complete").integer("ttlMs", ttl).text("cacheScope", "private")
            }
        }
    })
}

fn cursor(catalog: &Catalog, facts: &Facts, items: &Items) -> Option<String> {
    match &facts.endpoint {
        Endpoint::One(_) => items.next.first().map(|(_, cursor)| cursor.to_string()),
        Endpoint::All => catalog.seal_cursor(facts.who.key(), items.kind, &items.next),
    }
}

/// A whole result with the URIs of this door and the era's own members.
fn whole(catalog: &Catalog, way: &Way, result: &Json) -> Json {
    let facts = &way.facts;
    // What came of a task is what a call would have come to.
    let method = if matches!(&way.task, Some((TaskVerb::Result, _))) { CALL } else { facts.method };
    let exposed = match &facts.server {
        Some(server) => catalog.expose_result(&facts.endpoint, &server.id, method, result),
        None => result.clone(),
    };
    match facts.era {
        Era::Legacy if way.task.is_some() => related(way, &exposed),
        Era::Legacy => exposed,
        Era::Modern => modern(&exposed, facts.method),
    }
}

fn modern(result: &Json, method: &str) -> Json {
    let complete = match result.get("resultType") {
        Some(_) => result.clone(),
        None => result.with("resultType", &Json::text("complete")),
    };
    let cacheable = method == "resources/read" || complete.get("cacheScope").is_some();
    if !cacheable {
        return complete;
    }
    let timed = match complete.get("ttlMs") {
        Some(_) => complete,
        None => complete.with("ttlMs", &Json::integer(0)),
    };
    // What a caller may read is decided for this caller (CA-02, CA-03).
    timed.with("cacheScope", &Json::text("private"))
}

const META: &str = "_meta";
const LOGGER: &str = "logger";
const TOKEN: &str = "progressToken";
/// The method whose calls become tasks.
const CALL: &str = "tools/call";
/// What a page has beside its items, about.
const PAGE_BYTES: usize = 512;

/// Whether a call is of a tool: known before it is decided.
pub(crate) fn is_tool_call(call: &Call) -> bool {
    matches!(call, Call::CallTool { .. })
}
