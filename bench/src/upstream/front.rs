//! From a request to its answer: everything that a client has to say is looked at.

use std::convert::Infallible;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::Server;
use super::answer::{Piece, empty, error, listening, result};
use super::message::{Message, read};

/// Answers one request.
pub(super) async fn answer(server: &Server, request: Request<Incoming>) -> Result<Response<Piece>, Infallible> {
    let (head, body) = request.into_parts();
    if head.uri.path() != "/mcp" {
        return Ok(empty(StatusCode::NOT_FOUND));
    }
    if head.method == Method::DELETE {
        let ended = text(&head.headers, SESSION).is_some_and(|session| server.end(session));
        return Ok(empty(if ended { StatusCode::OK } else { StatusCode::NOT_FOUND }));
    }
    if head.method != Method::POST {
        return Ok(empty(StatusCode::METHOD_NOT_ALLOWED));
    }
    let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
        return Ok(empty(StatusCode::BAD_REQUEST));
    };
    Ok(
        match read(&body)
            .ok_or(StatusCode::BAD_REQUEST)
            .and_then(|message| Ok((era(server, &head.headers, &message)?, message)))
        {
            Ok((era, message)) => reply(server, era, &message).await,
            Err(refused) => empty(refused),
        },
    )
}

/// What the fields of a request say that its body goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Era {
    Opening,
    Legacy,
    Modern,
}

/// Which era the request belongs to, if all that it says fits together.
fn era(server: &Server, headers: &HeaderMap, message: &Message<'_>) -> Result<Era, StatusCode> {
    let accepts = text(headers, ACCEPT.as_str()).unwrap_or_default();
    let is_json = text(headers, CONTENT_TYPE.as_str()) == Some("application/json");
    if !is_json || !accepts.contains("application/json") || !accepts.contains("text/event-stream") {
        return Err(StatusCode::NOT_ACCEPTABLE);
    }
    let session = text(headers, SESSION);
    match (text(headers, "mcp-protocol-version"), session) {
        (Some(LEGACY) | None, None) if message.method == "initialize" => Ok(Era::Opening),
        (Some(LEGACY), Some(session)) if server.knows(session) => Ok(Era::Legacy),
        (Some(LEGACY), Some(_)) => Err(StatusCode::NOT_FOUND),
        (Some(MODERN), None) if mirrors(headers, message) => Ok(Era::Modern),
        (Some(_) | None, Some(_) | None) => Err(StatusCode::BAD_REQUEST),
    }
}

/// Whether the fields repeat the body (2026-07-28, Streamable HTTP, "Standard headers").
fn mirrors(headers: &HeaderMap, message: &Message<'_>) -> bool {
    text(headers, "mcp-method") == Some(&*message.method)
        && message.params.meta.version.as_deref() == Some(MODERN)
        && (message.method != "tools/call" || text(headers, "mcp-name") == message.params.name.as_deref())
}

async fn reply(server: &Server, era: Era, message: &Message<'_>) -> Response<Piece> {
    let answers = server.offer.answers;
    let Some(id) = message.id.map(serde_json::value::RawValue::get) else { return empty(StatusCode::ACCEPTED) };
    let complete: &[u8] = if era == Era::Modern { b"{\"resultType\":\"complete\"," } else { b"{" };
    match &*message.method {
        "initialize" if era == Era::Opening => opening(server, id, message),
        "server/discover" if era == Era::Modern => result(id, &[complete, DISCOVERED], answers),
        "ping" => result(id, &[b"{}"], answers),
        "subscriptions/listen" if era == Era::Modern => listening(&[ACKNOWLEDGED, id.as_bytes(), b"}}"]),
        "tools/list" => list(server, id, message, complete),
        "tools/call" => {
            let named = message.params.name.as_deref().is_some_and(|name| server.has_tool(name));
            let Some(arguments) = message.params.arguments.as_ref().filter(|_| named) else {
                return error(id, b"{\"code\":-32602,\"message\":\"unknown tool\"}", answers);
            };
            if !server.offer.delay.is_zero() {
                tokio::time::sleep(server.offer.delay).await;
            }
            let said = arguments.message.get().as_bytes();
            result(
                id,
                &[complete, b"\"content\":[{\"type\":\"text\",\"text\":", said, b"}],\"isError\":false}"],
                answers,
            )
        }
        _ => error(id, b"{\"code\":-32601,\"message\":\"unknown method\"}", answers),
    }
}

fn opening(server: &Server, id: &str, message: &Message<'_>) -> Response<Piece> {
    if message.params.protocol_version.as_deref() != Some(LEGACY) {
        return error(id, b"{\"code\":-32602,\"message\":\"only 2025-11-25 is spoken\"}", server.offer.answers);
    }
    let session = server.open().and_then(|session| HeaderValue::try_from(session).ok());
    let Some(session) = session else { return empty(StatusCode::SERVICE_UNAVAILABLE) };
    let mut response = result(id, &[OPENED], server.offer.answers);
    response.headers_mut().insert(SESSION, session);
    response
}

fn list(server: &Server, id: &str, message: &Message<'_>, complete: &[u8]) -> Response<Piece> {
    let answers = server.offer.answers;
    let asked = message.params.cursor.as_deref().map_or(Ok(0), str::parse::<usize>);
    let Some((at, page)) = asked.ok().and_then(|at| Some((at, server.pages.get(at)?))) else {
        return error(id, b"{\"code\":-32602,\"message\":\"unknown cursor\"}", answers);
    };
    let next = at.saturating_add(1);
    let cursor = if next < server.pages.len() { format!("],\"nextCursor\":\"{next}\"") } else { "]".to_owned() };
    let timed: &[u8] = if complete.len() > 1 { b",\"ttlMs\":0,\"cacheScope\":\"private\"}" } else { b"}" };
    result(id, &[complete, b"\"tools\":[", page, cursor.as_bytes(), timed], answers)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

const LEGACY: &str = "2025-11-25";
const MODERN: &str = "2026-07-28";
const SESSION: &str = "mcp-session-id";
const ACKNOWLEDGED: &[u8] = br#","method":"notifications/subscriptions/acknowledged","params":{"notifications":{"toolsListChanged":true},"_meta":{"io.modelcontextprotocol/subscriptionId":"#;
const OPENED: &[u8] =
    br#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"bench","version":"1"}}"#;
const DISCOVERED: &[u8] = br#""supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"serverInfo":{"name":"bench","version":"1"},"ttlMs":0,"cacheScope":"private"}"#;
