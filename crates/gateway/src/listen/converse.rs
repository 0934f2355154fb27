//! One conversation: a request walks in, its answers walk back, and whatever ends it is recorded.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sekisho_identity::{Authenticated, SessionToken};
use sekisho_wire::{Era, FromServer, Id, Inbound};
use tokio::sync::mpsc;

use super::Door;
use crate::pipeline::{Conversation, release, walk};
use crate::record::{self, Seen};
use crate::refusal::{Code, Refusal};
use crate::render::{self, Rendered};
use crate::snapshot::Rooms;

/// What a conversation says to its listener, in order.
pub(super) enum Said {
    /// A session was opened; its id goes into the response's header.
    Session(SessionToken),
    /// A message for the client.
    Message(Rendered),
    /// A notification was taken in. The end.
    Absorbed,
    /// Refused before anything was said. The end.
    Refused(Box<Refusal>),
}

/// Starts a conversation of its own: in the legacy era it goes on when the client's connection breaks (HT-10).
pub(super) fn converse(
    door: &Arc<Door>,
    rooms: &Arc<Rooms>,
    limit: Duration,
    seen: Seen,
    message: Authenticated<Inbound>,
) -> mpsc::Receiver<Said> {
    let (say, said) = mpsc::channel(SAID_AHEAD);
    let talk = Talk {
        id: message.message().id().cloned(),
        era: message.message().spoken().era(),
        tool_call: matches!(message.message(), Inbound::Request(r) if render::is_tool_call(r.call())),
        door: Arc::clone(door),
        rooms: Arc::clone(rooms),
        seen,
        say,
    };
    tokio::spawn(talk.hold(message, limit));
    said
}

struct Talk {
    door: Arc<Door>,
    rooms: Arc<Rooms>,
    seen: Seen,
    id: Option<Id>,
    era: Era,
    tool_call: bool,
    say: mpsc::Sender<Said>,
}

impl Talk {
    async fn hold(self, message: Authenticated<Inbound>, limit: Duration) {
        let session = message.session().map(|session| session.key());
        let lease = message.lease().ends_at().duration_since(SystemTime::now()).unwrap_or_default();
        let entry = self.id.as_ref().map(|id| self.door.inflight.enter(session, id));
        let mut spoken = false;
        // Dropping the exchange, as every branch but the first does, cancels it upstream.
        let ended = tokio::select! {
            ended = self.exchange(message, &mut spoken) => ended,
            () = cancelled(entry.as_ref()) => Err(Refusal::new(Code::Cancelled, "the client cancelled it")),
            () = tokio::time::sleep(lease) => Err(Refusal::new(Code::CredentialEnded, "the token expired meanwhile")),
            () = tokio::time::sleep(limit) => Err(Refusal::new(Code::UpstreamTimeout, "the request's time was used up")),
            () = self.left() => Err(Refusal::new(Code::Cancelled, "the client closed the connection (HT-11)")),
        };
        if let Err(refusal) = ended {
            self.refuse(refusal, spoken).await;
        }
    }

    async fn exchange(&self, message: Authenticated<Inbound>, spoken: &mut bool) -> Result<(), Refusal> {
        let rooms = &self.rooms;
        let (way, mut conversation) = walk(rooms, &self.door.inflight, &self.seen, message, SystemTime::now()).await?;
        if let Some(session) = conversation.session() {
            self.say(Said::Session(session)).await;
        }
        while let Some(message) = conversation.next().await {
            let message = message?;
            let asked = matches!(message, FromServer::Ask(_));
            let released = match release(rooms, &way.facts, &self.seen, message, SystemTime::now()).await {
                Ok(released) => released,
                // The server was told no; the call itself goes on.
                Err(refusal) if asked && refusal.code == Code::NotOffered => {
                    rooms.audit.note(record::refused(&self.seen, &refusal)).await?;
                    continue;
                }
                Err(refusal) => return Err(refusal),
            };
            let Some(id) = &self.id else { continue };
            let rendered = render::released(&rooms.catalog, &way, id, &released);
            let last = rendered.last;
            self.say(Said::Message(rendered)).await;
            *spoken = true;
            if last {
                return Ok(());
            }
        }
        match conversation {
            Conversation::Absorbed => {
                rooms.audit.note(record::absorbed(&self.seen)).await?;
                self.say(Said::Absorbed).await;
                Ok(())
            }
            Conversation::Own(_) | Conversation::Upstream(_) => {
                Err(Refusal::new(Code::UpstreamGarbled, "the exchange ended without an answer"))
            }
        }
    }

    /// Records how it ended and says so: as the whole response, or as the last event of one that has begun.
    async fn refuse(&self, refusal: Refusal, spoken: bool) {
        let refusal = match self.rooms.audit.note(record::refused(&self.seen, &refusal)).await {
            Ok(()) => refusal,
            Err(down) => down.into(),
        };
        let said = match &self.id {
            Some(id) if spoken => {
                Said::Message(render::refused(&refusal, self.era, id, self.tool_call, &self.seen.request))
            }
            Some(_) | None => Said::Refused(Box::new(refusal)),
        };
        self.say(said).await;
    }

    /// Who left hears nothing; in the legacy era the exchange goes on all the same.
    async fn say(&self, said: Said) {
        let _ = self.say.send(said).await;
    }

    /// Modern clients cancel by closing the stream (HT-11); legacy ones do not (HT-10).
    async fn left(&self) {
        match self.era {
            Era::Modern => self.say.closed().await,
            Era::Legacy => std::future::pending().await,
        }
    }
}

async fn cancelled(entry: Option<&crate::inflight::Entry>) {
    match entry {
        Some(entry) => entry.cancelled().await,
        None => std::future::pending().await,
    }
}

const SAID_AHEAD: usize = 16;
