//! One HTTP request: where does it knock, and with which token? Without a token only the listed public paths answer.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use http::header::{AUTHORIZATION, CONNECTION, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, Version};
use hyper::body::Incoming;
use sekisho_identity::{Presented, TokenError};
use sekisho_wire::Endpoint;

use super::body::Body;
use super::challenge::Tried;
use super::{Door, Peer, challenge, logout, mcp, public, respond};
use crate::annex::AnnexKind;
use crate::hosts::Stranger;
use crate::instruments::Room;
use crate::record::Seen;
use crate::refusal::{Code, Refusal};
use crate::snapshot::Rooms;

/// Answers one request. Never fails: what goes wrong is an answer, too.
pub(super) async fn answer(
    door: &Arc<Door>,
    request: Request<Incoming>,
    peer: Peer,
) -> Result<Response<Body>, Infallible> {
    let rooms = door.rooms.load_full();
    let payload_digest = rooms.audit.payload_digest();
    let seen = Seen::arrived(respond::request_id(), door.instruments.clock(), payload_digest);
    let (id, version) = (seen.request.clone(), request.version());
    // RFC 9449 section 8.2: whoever proves possession is told which nonce to use next.
    let nonce = if proves_possession(request.headers()) { rooms.identity.proof_nonce(SystemTime::now()) } else { None };
    let response = match route(door, &rooms, request, peer, seen).await {
        Ok(response) => response,
        Err(failed) => Box::pin(respond::refuse(door, &rooms, *failed)).await,
    };
    let mut response = respond::hardened(response, &id, door.secure);
    if let Some(nonce) = nonce.and_then(|nonce| HeaderValue::try_from(nonce).ok()) {
        response.headers_mut().insert(DPOP_NONCE, nonce);
    }
    // HTTP/2 says it by GOAWAY.
    if version < Version::HTTP_2 && *door.stopping.borrow() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

async fn route(
    door: &Arc<Door>,
    rooms: &Arc<Rooms>,
    request: Request<Incoming>,
    peer: Peer,
    seen: Seen,
) -> Result<Response<Body>, Box<respond::Failed>> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let annex = rooms.annex.as_ref().and_then(|annex| Some((annex, annex.kind(path)?)));
    if let Err(stranger) = rooms.hosts.check(&head.uri, &head.headers) {
        let is_harmless = match stranger {
            // Probes of an orchestrator know the address only; the answer says nothing.
            Stranger::Host => public::is_probe(&head.method, path),
            // What a browser brings by itself counts for nothing there, and clients that run in one have origins of their own.
            Stranger::Origin => public::is_metadata(path) || annex.is_some_and(|(_, kind)| kind == AnnexKind::Api),
        };
        if !is_harmless {
            return Err(seen.fails(stranger.into()));
        }
    }
    if let Some(response) = public::answer(door, rooms, &head.method, path) {
        return Ok(response);
    }
    if path == logout::PATH && head.method == Method::POST && rooms.identity.takes_logouts() {
        return Box::pin(logout::take(door, rooms, &head, body, seen)).await;
    }
    if door.refusing.load(Ordering::Relaxed) {
        return Err(seen.fails(Refusal::new(Code::ShuttingDown, "a shutdown is under way")));
    }
    if let Some((annex, _)) = annex {
        let annex = Arc::clone(annex);
        return Box::pin(super::annex::answer((door, rooms), annex, (head, body), peer.from, seen)).await;
    }
    let endpoint = Endpoint::from_path(path);
    // A path that does not exist is told to nobody but a caller of `/mcp`.
    let asked = endpoint.clone().unwrap_or(Endpoint::All);
    let seen = seen.at(&asked);
    if head.uri.query().is_some_and(carries_token) {
        return Err(seen.fails(Refusal::new(Code::TokenMalformed, "a token in the query string")));
    }
    let presented = Presented::from_request(&head.method, &head.headers, peer.channel);
    let verified = match &presented {
        Ok(token) => rooms.identity.verify(token, &asked, SystemTime::now()).await,
        Err(error) => Err(*error),
    };
    seen.clock.lap(Room::IDENTITY);
    let tried = || presented.as_ref().ok().map(Tried::of);
    let caller = verified.map_err(|error| challenged(rooms, (&asked, tried()), seen.clone(), error))?;
    let seen = seen.by(caller.principal());
    let Some(endpoint) = endpoint else {
        return Err(seen.fails(Refusal::new(Code::NoSuchPath, "the path is no endpoint")));
    };
    match head.method {
        Method::POST => mcp::post(door, rooms, mcp::Knock { endpoint, caller, head, body, seen }).await,
        Method::GET => Box::pin(mcp::listen(door, rooms, caller, &head.headers, seen)).await,
        Method::DELETE => Box::pin(mcp::delete(door, rooms, caller, &head.headers, seen)).await,
        _ => Err(seen.fails(Refusal::new(Code::VerbNotAllowed, "none of POST, GET and DELETE"))),
    }
}

fn proves_possession(headers: &HeaderMap) -> bool {
    let is_dpop =
        |value: &HeaderValue| value.as_bytes().get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"dpop "));
    headers.get(AUTHORIZATION).is_some_and(is_dpop)
}

/// OAuth 2.1 section 5.1.1: never in the query string (RS-13).
fn carries_token(query: &str) -> bool {
    query.split('&').any(|pair| pair.split('=').next() == Some("access_token"))
}

/// RS-02, RS-08: what is wrong with the token goes into the record; the client is told where to get one.
fn challenged(
    rooms: &Rooms,
    (at, tried): (&Endpoint, Option<Tried>),
    seen: Seen,
    error: TokenError,
) -> Box<respond::Failed> {
    let challenge = challenge::of_token(rooms, at, tried, &error);
    let mut failed = seen.fails(error.into());
    failed.challenge = challenge;
    failed
}

impl From<Stranger> for Refusal {
    fn from(stranger: Stranger) -> Refusal {
        match stranger {
            Stranger::Host => Refusal::new(Code::Host, "Host is missing, doubled or none of ours"),
            Stranger::Origin => Refusal::new(Code::Origin, "Origin is none of `allowed_origins`"),
        }
    }
}

const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
