//! An MCP endpoint: one message a POST, a session's own stream by GET, and its end by DELETE.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts as Head;
use http::{Response, StatusCode};
use hyper::body::Incoming;
use sekisho_identity::{Authenticated, Lease, SessionToken, Verified};
use sekisho_wire::headers::LAST_EVENT_ID;
use sekisho_wire::{Endpoint, Era, Inbound, front};
use tokio::sync::{mpsc, oneshot};

use super::body::{self, Body};
use super::converse::{Heard, Said, converse};
use super::events::{self, Teller};
use super::{Door, respond, step_up};
use crate::instruments::Room;
use crate::record::{self, Seen};
use crate::refusal::{Code, Refusal};
use crate::render;
use crate::snapshot::Rooms;
use crate::streams::{Again, Kind, Place};
use respond::Failed;

/// A verified caller at an endpoint, with a body that nobody has looked at.
pub(super) struct Knock {
    pub(super) endpoint: Endpoint,
    pub(super) caller: Verified,
    pub(super) head: Head,
    pub(super) body: Incoming,
    pub(super) seen: Seen,
}

/// Takes one message.
pub(super) async fn post(door: &Arc<Door>, rooms: &Arc<Rooms>, knock: Knock) -> Result<Response<Body>, Box<Failed>> {
    let Knock { endpoint, caller, head, body, seen } = knock;
    let bounds = rooms.limits.bounds();
    rooms.knows(&endpoint).map_err(|refusal| seen.clone().fails(refusal))?;
    negotiable(&head.headers).map_err(|refusal| seen.clone().fails(refusal))?;
    let body = body::read(body, bounds.body_bytes_max, bounds.body_read_timeout, &door.reading).await;
    let body = body.map_err(|refusal| seen.clone().fails(refusal))?;
    seen.clock.skip();
    let inbound = front::decode(&head.headers, body, &bounds.json);
    seen.clock.lap(Room::WIRE);
    let inbound = inbound.map_err(|refused| undecodable(&seen, refused))?;
    let (id, era) = (inbound.id().cloned(), inbound.spoken().era());
    let tool_call = matches!(&inbound, Inbound::Request(request) if render::is_tool_call(request.call()));
    let failed = |refusal: Refusal, seen: Seen| Failed { id: id.clone(), era, tool_call, ..*seen.fails(refusal) };
    let session = session_id(&head.headers).map_err(|refusal| failed(refusal, seen.clone()))?;
    let bound = rooms.identity.authenticate(caller, inbound, session, SystemTime::now());
    seen.clock.lap(Room::IDENTITY);
    let message = bound.map(Box::new).map_err(|error| failed(error.into(), seen.clone()))?;
    let seen = door.instruments.follow(seen.of(&message), Some(&head.headers), &message);
    let early = match (&id, message.session(), era) {
        (Some(_), Some(_), _) | (Some(_), None, Era::Modern) => Early::Permitted,
        (Some(_), None, Era::Legacy) | (None, _, _) => Early::Refused,
    };
    let teller = teller(door, rooms, &message, Kind::Call);
    let said = converse(door, rooms, bounds.request_timeout, seen.clone(), message);
    first(said, early, &teller, |refusal| step_up::told(rooms, &endpoint, failed(refusal, seen))).await
}

/// Opens the stream on which a legacy session hears what belongs to no call (HT-12). The modern era has none (HT-19).
pub(super) async fn listen(
    door: &Arc<Door>,
    rooms: &Arc<Rooms>,
    caller: Verified,
    headers: &HeaderMap,
    seen: Seen,
) -> Result<Response<Body>, Box<Failed>> {
    let refused = |code, why: &str| Refusal::new(code, why);
    let spoken = front::spoken_by_get(headers).map_err(|why| seen.clone().fails(why.into()))?;
    if spoken.era() == Era::Modern {
        return Err(seen.fails(refused(Code::VerbNotAllowed, "this revision has no GET")));
    }
    if !accepts(headers, "text/event-stream", "text/*") {
        return Err(seen.fails(refused(Code::NotAcceptable, "Accept lacks text/event-stream")));
    }
    let session = session_id(headers).map_err(|refusal| seen.clone().fails(refusal))?;
    let at = caller.endpoint().clone();
    let bound = rooms.identity.authenticate(caller, Inbound::listening(spoken), session, SystemTime::now());
    let message = bound.map(Box::new).map_err(|error| seen.clone().fails(error.into()))?;
    let seen = door.instruments.follow(seen.of(&message), Some(headers), &message);
    if let Some(id) = headers.get(LAST_EVENT_ID) {
        let taken = take_up(door, rooms, id, &message, &seen).await;
        if let Some(response) = taken.map_err(|refusal| seen.clone().fails(refusal))? {
            return Ok(response);
        }
    }
    let teller = teller(door, rooms, &message, Kind::Session);
    let said = converse(door, rooms, rooms.limits.bounds().request_timeout, seen.clone(), message);
    first(said, Early::Refused, &teller, |refusal| step_up::told(rooms, &at, *seen.fails(refusal))).await
}

/// Takes up a stream of this session behind the last event that its client has (HT-13): it hears the rest of that stream and of no
/// other. None where it was the session's own and is gone: what is new may be heard on another.
async fn take_up(
    door: &Door,
    rooms: &Arc<Rooms>,
    id: &HeaderValue,
    message: &Authenticated<Inbound>,
    seen: &Seen,
) -> Result<Option<Response<Body>>, Refusal> {
    let gone = |why: &str| Refusal::new(Code::StreamGone, why);
    let who = message.principal().key();
    let place = id.to_str().ok().and_then(Place::parse);
    let stream = place.zip(message.session()).and_then(|(place, session)| door.streams.find(who, session.key(), place));
    if let (Some(Place { kind: Kind::Session, .. }), None) = (place, &stream) {
        // It is counted as the new one that it will be.
        return Ok(None);
    }
    rooms.limits.count(who)?;
    let place = place.ok_or_else(|| gone("Last-Event-ID is no id of ours"))?;
    let stream = stream.ok_or_else(|| gone("the session has no such stream, or its time is over"))?;
    rooms.audit.note(record::taken_up(seen, place.event)).await?;
    let ((to, receive), (taken, was_taken)) = (events::channel(), oneshot::channel());
    let again = Again { after: place.event, epoch: rooms.epoch, to, taken };
    let _sent = stream.send(again).await;
    match (was_taken.await, place.kind) {
        (Ok(()), _) => Ok(Some(events::response(while_it_holds(rooms, message.lease(), receive)))),
        (Err(_), Kind::Session) => Ok(None),
        (Err(_), Kind::Call) => Err(gone("the stream never said that event, or what may be heard was decided anew")),
    }
}

/// What is heard of a stream while the lease of whoever took it up holds: it was begun with another token, which may hold longer.
fn while_it_holds(rooms: &Arc<Rooms>, lease: &Lease, mut events: mpsc::Receiver<Bytes>) -> mpsc::Receiver<Bytes> {
    let (onward, heard) = events::channel();
    let (rooms, lease) = (Arc::clone(rooms), lease.clone());
    tokio::spawn(async move {
        let handed_on = async {
            while let Some(event) = events.recv().await {
                if onward.send(event).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = handed_on => {}
            () = onward.closed() => {}
            () = rooms.identity.outlived(&lease) => {}
        }
    });
    heard
}

/// Ends a legacy session (HT-18).
pub(super) async fn delete(
    door: &Arc<Door>,
    rooms: &Arc<Rooms>,
    caller: Verified,
    headers: &HeaderMap,
    seen: Seen,
) -> Result<Response<Body>, Box<Failed>> {
    let named = session_id(headers).and_then(|named| {
        named.map(str::to_owned).ok_or_else(|| Refusal::new(Code::SessionMissing, "DELETE names no session"))
    });
    let named = named.map_err(|refusal| seen.clone().fails(refusal))?;
    let (ending, door, rooms) = (seen.clone(), Arc::clone(door), Arc::clone(rooms));
    // A task of its own: a client that hangs up meanwhile does not leave half of it undone.
    let ended = tokio::spawn(async move { door.end_session(&rooms, &caller, &named, &ending).await });
    let ended = ended.await.unwrap_or_else(|_| Err(Refusal::new(Code::ShuttingDown, "the task was dropped")));
    ended.map_err(|refusal| seen.fails(refusal))?;
    Ok(respond::empty(StatusCode::NO_CONTENT))
}

/// Whether the head of a response may be sent before it is known what it will be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Early {
    /// Yes: a slow call is an event stream with comments, so that nobody on the way takes it for dead (HT-34).
    Permitted,
    /// No: the head carries a session id, or its status tells all there is.
    Refused,
}

/// The first thing said decides the form: one message is plain JSON, several are an event stream.
async fn first(
    mut said: Heard,
    early: Early,
    teller: &Teller<'_>,
    failed: impl FnOnce(Refusal) -> Failed,
) -> Result<Response<Body>, Box<Failed>> {
    let mut session = None;
    loop {
        let next = match early {
            Early::Permitted => match tokio::time::timeout(KEEP_ALIVE, said.next()).await {
                Ok(next) => next,
                Err(_) => return Ok(teller.tell(None, said)),
            },
            Early::Refused => said.next().await,
        };
        return match next {
            Some(Said::Session(token)) => {
                session = Some(token);
                continue;
            }
            Some(Said::Absorbed) => Ok(respond::empty(StatusCode::ACCEPTED)),
            Some(Said::Listening) => Ok(teller.tell(None, said)),
            Some(Said::Message(message)) if message.last => {
                Ok(with_session(respond::json(message.status, message.bytes), session))
            }
            Some(Said::Message(message)) => Ok(with_session(teller.tell(Some(message.bytes), said), session)),
            // Recorded where it happened.
            Some(Said::Refused { refusal, .. }) => Ok(respond::render(failed(*refusal))),
            None => Err(Box::new(failed(Refusal::new(Code::ShuttingDown, "the conversation was dropped")))),
        };
    }
}

fn teller<'a>(door: &'a Door, rooms: &Rooms, message: &Authenticated<Inbound>, kind: Kind) -> Teller<'a> {
    let session = message.session().map(|session| (message.principal().key(), Arc::clone(session)));
    // Those of a modern client are no sessions (HT-19).
    let session = session.filter(|_| message.message().spoken().era() == Era::Legacy);
    Teller { streams: &door.streams, epoch: rooms.epoch, session, kind }
}

fn with_session(mut response: Response<Body>, session: Option<SessionToken>) -> Response<Body> {
    if let Some(id) = session.and_then(|token| HeaderValue::try_from(token.expose()).ok()) {
        response.headers_mut().insert(SESSION, id);
    }
    response
}

/// What cannot be decoded has no era but the one it claims.
pub(super) fn undecodable(seen: &Seen, refused: front::Refused) -> Box<Failed> {
    let era = refused.spoken.map_or(Era::Legacy, |spoken| spoken.era());
    Box::new(Failed { id: refused.id, era, ..*seen.clone().fails(refused.why.into()) })
}

/// HT-06, and no encoding: bytes are checked as they come.
fn negotiable(headers: &HeaderMap) -> Result<(), Refusal> {
    let plain = headers.get_all(CONTENT_ENCODING).iter().all(|value| value == "identity");
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let json = matches!((types.next(), types.next()), (Some(one), None) if is_json(one));
    if !plain || !json {
        return Err(Refusal::new(Code::ContentType, "Content-Type is not application/json, or the body is encoded"));
    }
    if accepts(headers, "application/json", "application/*") && accepts(headers, "text/event-stream", "text/*") {
        Ok(())
    } else {
        Err(Refusal::new(Code::NotAcceptable, "Accept lacks application/json or text/event-stream"))
    }
}

fn accepts(headers: &HeaderMap, media: &str, family: &str) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges =
        values.flat_map(|value| value.split(',')).map(|range| range.split(';').next().unwrap_or_default().trim());
    ranges.into_iter().any(|range| [media, family, "*/*"].iter().any(|one| range.eq_ignore_ascii_case(one)))
}

fn is_json(value: &HeaderValue) -> bool {
    let media_type = value.to_str().ok().and_then(|text| text.split(';').next());
    media_type.is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("application/json"))
}

/// At most one, in the form that ids have (HT-15).
fn session_id(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let mut named = headers.get_all(SESSION).iter();
    let unknown = || Refusal::new(Code::SessionUnknown, "the session id is doubled or no id of ours");
    match (named.next(), named.next()) {
        (None, _) => Ok(None),
        (Some(one), None) => one.to_str().map(Some).map_err(|_| unknown()),
        (Some(_), Some(_)) => Err(unknown()),
    }
}

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
/// After which a call that has said nothing yet becomes an event stream.
const KEEP_ALIVE: std::time::Duration = std::time::Duration::from_secs(15);
