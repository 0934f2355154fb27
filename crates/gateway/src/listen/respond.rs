//! HTTP responses: their headers, and refusals in the form of the client's era.

use std::sync::Arc;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use sekisho_wire::{Era, Id, RpcError, outgoing};

use super::Door;
use super::body::Body;
use crate::record::{self, Seen};
use crate::refusal::{Code, Refusal};
use crate::render;
use crate::snapshot::Rooms;

/// A request that ends in a refusal, with what its rendering needs.
pub(super) struct Failed {
    pub(super) refusal: Refusal,
    pub(super) seen: Seen,
    pub(super) id: Option<Id>,
    pub(super) era: Era,
    pub(super) tool_call: bool,
    /// `WWW-Authenticate`.
    pub(super) challenge: Option<HeaderValue>,
}

impl Seen {
    /// This request is refused, before anything is known of the message in it.
    pub(super) fn fails(self, refusal: Refusal) -> Box<Failed> {
        Box::new(Failed { refusal, seen: self, id: None, era: Era::Legacy, tool_call: false, challenge: None })
    }
}

impl Failed {
    /// The refusal as a JSON-RPC message; without an id where none could be read.
    pub(super) fn message(&self) -> Bytes {
        let Failed { refusal, seen, era, .. } = self;
        if let Some(id) = &self.id {
            return render::refused(refusal, *era, id, self.tool_call, &seen.request).bytes;
        }
        let error = RpcError {
            code: refusal.code.rpc(*era),
            message: refusal.message().into(),
            data: Some(refusal.data(&seen.request)),
        };
        outgoing::error(None, &error)
    }
}

/// Records a refusal and renders it.
pub(super) async fn refuse(door: &Door, rooms: &Rooms, mut failed: Failed) -> Response<Body> {
    note(door, rooms, &mut failed).await;
    render(failed)
}

/// Records a refusal. If it cannot be recorded, that is the refusal.
pub(super) async fn note(door: &Door, rooms: &Rooms, failed: &mut Failed) {
    let event = record::refused(&failed.seen, &failed.refusal);
    // Whoever is not known may not fill the log: past a share of it, only the number is written down.
    let noted = match failed.seen.is_anonymous() {
        true => door.strangers.note(&rooms.audit, event).await,
        false => rooms.audit.note(event).await,
    };
    if let Err(down) = noted {
        failed.refusal = down.into();
    }
    door.instruments.ended(&failed.seen, Some(failed.refusal.code));
}

/// Renders a refusal that is recorded already.
pub(super) fn render(failed: Failed) -> Response<Body> {
    let bytes = failed.message();
    let Failed { refusal, id, era, challenge, .. } = failed;
    let mut response = json(status(&refusal, era, id.is_some()), bytes);
    let headers = response.headers_mut();
    // A challenge beside any other status would call a good token bad.
    let asks = matches!(refusal.code, Code::Unauthenticated | Code::TokenMalformed) || refusal.code.is_challenge();
    if let Some(challenge) = challenge.filter(|_| asks) {
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    if let Some(seconds) = refusal.retry_after_s {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if refusal.code == Code::VerbNotAllowed {
        headers.insert(header::ALLOW, HeaderValue::from_static("POST, GET, DELETE"));
    }
    response
}

/// A notification has no answer that could carry an error, so its refusal is an HTTP error (HT-07).
fn status(refusal: &Refusal, era: Era, answered: bool) -> StatusCode {
    match refusal.code.status(era) {
        StatusCode::OK if !answered => StatusCode::BAD_REQUEST,
        status => status,
    }
}

/// A JSON response.
pub(super) fn json(status: StatusCode, bytes: Bytes) -> Response<Body> {
    let mut response = with(status, Body::whole(bytes));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A response without a body.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    with(status, Body::whole(Bytes::new()))
}

/// A response with room for the headers that most have.
pub(super) fn with(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = HeaderMap::with_capacity(HARDENED.len() + HEADERS_MORE);
    response
}

/// Headers that every response has (8.4): nothing is cached, framed, sniffed or referred.
pub(super) fn hardened(mut response: Response<Body>, request: &str, secure: bool) -> Response<Body> {
    let headers = response.headers_mut();
    for (name, value) in HARDENED {
        // A page says more exactly what it is made of.
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if secure {
        // RFC 6797; one year.
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    if let Ok(request) = HeaderValue::try_from(request) {
        headers.insert(REQUEST_ID, request);
    }
    response
}

/// 128 random bits: what the client quotes and `sekisho why` looks up.
pub(crate) fn request_id() -> Arc<str> {
    let mut bytes = [0_u8; 16];
    // Without randomness the id is all zeros: it names nothing and opens nothing, so the request may go on.
    let _ = SystemRandom::new().fill(&mut bytes);
    format!("req-{:032x}", u128::from_be_bytes(bytes)).into()
}

/// Those that a response has beside [`HARDENED`]: of its content, its request, its session and its transport.
const HEADERS_MORE: usize = 6;
const REQUEST_ID: HeaderName = HeaderName::from_static("sekisho-request-id");
const HARDENED: [(HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
];
