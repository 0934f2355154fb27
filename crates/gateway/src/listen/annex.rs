//! Requests at paths of an annex: read within bounds, answered by it, and answered to the client once that is recorded.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use http::request::Parts as Head;
use http::{Method, Response};
use hyper::body::Incoming;
use sekisho_audit::LogDown;

use super::Door;
use super::body::{self, Body};
use super::respond::Failed;
use crate::annex::{Annex, AnnexKnock, AnnexReply};
use crate::record::Seen;
use crate::refusal::{Code, Refusal};
use crate::snapshot::Rooms;

/// Has it answered. What was begun is done to its end, whether or not the client waits for it.
pub(super) async fn answer(
    (door, rooms): (&Arc<Door>, &Arc<Rooms>),
    annex: Arc<dyn Annex>,
    (head, body): (Head, Incoming),
    from: Option<IpAddr>,
    seen: Seen,
) -> Result<Response<Body>, Box<Failed>> {
    let bounds = rooms.limits.bounds();
    let body = match head.method {
        Method::POST | Method::PUT | Method::PATCH => {
            body::read(body, BODY_BYTES_MAX, bounds.body_read_timeout, &door.reading).await
        }
        // What others bring means nothing.
        _ => Ok(bytes::Bytes::new()),
    };
    let body = body.map_err(|refusal| seen.clone().fails(refusal))?;
    let request = Box::from(&*seen.request);
    let Head { method, uri, headers, .. } = head;
    let knock = AnnexKnock { method, uri, headers, body, from, request, now: SystemTime::now() };
    let (door, rooms, told) = (Arc::clone(door), Arc::clone(rooms), seen.clone());
    let answered = tokio::spawn(async move {
        let reply = annex.answer(knock).await;
        settled(&door, &rooms, reply, &told).await
    });
    let answered = answered.await.unwrap_or_else(|_| Err(Refusal::new(Code::ShuttingDown, "the task was dropped")));
    answered.map_err(|refusal| seen.fails(refusal))
}

/// Does all that has to be done before an answer is given.
async fn settled(door: &Door, rooms: &Rooms, reply: AnnexReply, seen: &Seen) -> Result<Response<Body>, Refusal> {
    let AnnexReply { response, events, revocations } = reply;
    // Less access is never put off, so they come first.
    for revocation in revocations {
        door.revoke(rooms, revocation, seen).await?;
    }
    for mut event in events {
        event.request = Some(seen.request.to_string().into());
        // Whatever nobody vouches for has the strangers' share of the log.
        let noted: Result<(), LogDown> = match event.principal.is_none() {
            true => door.strangers.note(&rooms.audit, event).await,
            false => rooms.audit.note(event).await,
        };
        noted?;
    }
    Ok(response.map(Body::whole))
}

/// LIMIT: of a request's body.
const BODY_BYTES_MAX: usize = 64 * 1024;
