//! Released messages as bytes for the client: the envelope is ours, names are those of the client's door, and the members
//! that the client's era wants are there.

use bytes::Bytes;
use http::StatusCode;
use sekisho_catalog::Catalog;
use sekisho_policy::Facts;
use sekisho_wire::json::{Array, Object};
use sekisho_wire::{Answer, Call, Endpoint, Era, FromServer, Id, Items, Json, RpcError, outgoing};

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

/// Renders what was released.
pub(crate) fn released(catalog: &Catalog, way: &Way, id: &Id, released: &Released) -> Rendered {
    let facts = &way.facts;
    let answer = match released.get().of().message() {
        FromServer::Notice(notice) => {
            let bytes = outgoing::notice(notice.kind, &notice.params);
            return Rendered { bytes, last: false, status: StatusCode::OK };
        }
        FromServer::Page(items) => {
            let bytes = page(catalog, facts, id, items);
            return Rendered { bytes, last: true, status: StatusCode::OK };
        }
        FromServer::End(Answer::Result(result)) => Answer::Result(whole(catalog, way, result)),
        FromServer::End(Answer::Error(error)) => Answer::Error(error.clone()),
        // Policy releases neither: nothing is offered to servers yet.
        FromServer::Ask(_) | FromServer::Park => return refused(&not_offered(), facts.era, id, false, ""),
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

fn not_offered() -> Refusal {
    Refusal::new(Code::NotOffered, "a server's request came past policy")
}

/// Renders a refusal: an `isError` result where a tool's arguments are wrong, so that the model can mend them (TL-08), an error
/// otherwise.
pub(crate) fn refused(refusal: &Refusal, era: Era, id: &Id, tool_call: bool, request: &str) -> Rendered {
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
    let exposed = match &way.server {
        Some(server) => catalog.expose_result(&facts.endpoint, server, facts.method, result),
        None => result.clone(),
    };
    match facts.era {
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

/// What a page has beside its items, about.
const PAGE_BYTES: usize = 512;

/// Whether a call is of a tool: known before it is decided.
pub(crate) fn is_tool_call(call: &Call) -> bool {
    matches!(call, Call::CallTool { .. })
}
