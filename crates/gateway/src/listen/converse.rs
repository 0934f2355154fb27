//! One conversation: a request walks in, its answers walk back, and whatever ends it is recorded.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sekisho_catalog::Asking;
use sekisho_identity::{Authenticated, SessionKey, SessionToken};
use sekisho_wire::{Call, Era, FromServer, Id, Inbound, TaskVerb};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::Door;
use crate::inflight::Entry;
use crate::pipeline::{Conversation, Opened, Released, UnderWay, Way, release, walk};
use crate::progress::{Progress, Stage};
use crate::record::{self, Seen};
use crate::refusal::{Code, Refusal};
use crate::render::{self, Rendered};
use crate::snapshot::Rooms;

/// What a conversation says to its listener, in order.
pub(super) enum Said {
    /// A session was opened; its id goes into the header of the response that the next message makes.
    Session(SessionToken),
    /// A message for the client.
    Message(Rendered),
    /// The client listens; a message may be long in coming (legacy).
    Listening,
    /// A notification was taken in. The end.
    Absorbed,
    /// Refused before anything was said. The end. `message`: the refusal as a message, if it answers a request.
    Refused { refusal: Box<Refusal>, message: Option<Bytes> },
}

/// A conversation under way. Its listener carries it on by asking what is said next; dropped before its end, it goes on by itself,
/// because in the legacy era it outlives the client's connection (HT-10), and in the modern one its end is still to be recorded.
pub(super) struct Heard {
    mouth: Arc<Mouth>,
    talk: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

/// Starts a conversation.
pub(super) fn converse(
    door: &Arc<Door>,
    rooms: &Arc<Rooms>,
    limit: Duration,
    seen: Seen,
    message: Box<Authenticated<Inbound>>,
) -> Heard {
    let listens = matches!(message.message(), Inbound::Request(r) if matches!(r.call(), Call::Listen { .. }));
    let era = message.message().spoken().era();
    let mouth = Arc::<Mouth>::default();
    // Boxed, as the message is: what a conversation holds while it waits is moved when it begins.
    let talk = Box::new(Talk {
        // A GET is no JSON-RPC request, and has no id.
        id: message.message().id().cloned().filter(|_| !(listens && era == Era::Legacy)),
        era,
        listens,
        tool_call: matches!(message.message(), Inbound::Request(r) if render::is_tool_call(r.call())),
        door: Arc::clone(door),
        rooms: Arc::clone(rooms),
        seen,
        mouth: Arc::clone(&mouth),
        progress: Progress::default(),
        session: message.session().map(|session| session.key()),
        began: Instant::now(),
        time_ms: AtomicU64::new(0),
    });
    // Whoever listens does so as long as the token lives.
    let limit = if listens { ENDLESS } else { limit };
    Heard { mouth, talk: Some(Box::pin(talk.hold(message, limit))) }
}

impl Heard {
    /// What is said next; none after the end. Safe to drop and call again.
    pub(super) async fn next(&mut self) -> Option<Said> {
        poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Said>> {
        if let Some(said) = self.mouth.said().take() {
            return Poll::Ready(Some(said));
        }
        let Some(talk) = &mut self.talk else { return Poll::Ready(None) };
        if talk.as_mut().poll(context).is_ready() {
            self.talk = None;
        }
        match (self.mouth.said().take(), &self.talk) {
            (None, Some(_)) => Poll::Pending,
            (said, _) => Poll::Ready(said),
        }
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        self.mouth.unheard.store(true, Ordering::Relaxed);
        if let (Some(talk), Ok(runtime)) = (self.talk.take(), Handle::try_current()) {
            runtime.spawn(talk);
        }
    }
}

/// What is said and not heard yet: one thing, because the listener carries the conversation on itself. So whoever waits here is asked
/// again without being woken.
#[derive(Default)]
struct Mouth {
    said: Mutex<Option<Said>>,
    /// The listener has left.
    unheard: AtomicBool,
}

impl Mouth {
    fn said(&self) -> MutexGuard<'_, Option<Said>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says it as soon as the listener has heard what was said before. Who left hears nothing.
    async fn say(&self, said: Said) {
        let mut next = Some(said);
        poll_fn(|_| {
            if self.is_unheard() {
                return Poll::Ready(());
            }
            let mut said = self.said();
            if said.is_some() {
                return Poll::Pending;
            }
            *said = next.take();
            Poll::Ready(())
        })
        .await;
    }

    fn is_unheard(&self) -> bool {
        self.unheard.load(Ordering::Relaxed)
    }
}

/// A session whose id the client does not have yet. It ends with the conversation that opened it, unless the id is taken.
struct Unused<'a> {
    rooms: &'a Rooms,
    opened: Option<Opened>,
}

impl Unused<'_> {
    fn token(&mut self) -> Option<SessionToken> {
        self.opened.take().map(|opened| opened.token)
    }
}

impl Drop for Unused<'_> {
    fn drop(&mut self) {
        if let Some(opened) = self.opened.take() {
            self.rooms.identity.sessions().close(opened.key);
        }
    }
}

struct Talk {
    door: Arc<Door>,
    rooms: Arc<Rooms>,
    seen: Seen,
    id: Option<Id>,
    era: Era,
    listens: bool,
    tool_call: bool,
    mouth: Arc<Mouth>,
    progress: Progress,
    session: Option<SessionKey>,
    began: Instant,
    /// How long it may take because of questions to the client, in milliseconds; 0 without.
    time_ms: AtomicU64,
}

impl Talk {
    async fn hold(self: Box<Self>, message: Box<Authenticated<Inbound>>, limit: Duration) {
        let lease = message.lease().ends_at().duration_since(SystemTime::now()).unwrap_or_default();
        let entry = self.enter();
        let _under_way = self.door.instruments.conversation();
        // Dropping the exchange, as every branch but the first does, cancels it upstream.
        let ended = tokio::select! {
            ended = self.exchange(message) => ended,
            () = cancelled(entry.as_ref()) => Err(Refusal::new(Code::Cancelled, "the client cancelled it")),
            () = self.out_of_time(lease, limit) => Err(timed_out(lease, self.time(limit))),
            refusal = self.decided_anew() => Err(refusal),
            () = self.left() => Err(Refusal::new(Code::Cancelled, "the client closed the connection (HT-11)")),
        };
        if let Some(session) = self.session.filter(|_| self.listens && self.session_is_over()) {
            // A server may have been listened to anew after the session's connections were closed.
            self.rooms.upstream.end_session(session).await;
        }
        match ended {
            Ok(()) => self.door.instruments.ended(&self.seen, None),
            Err(refusal) => self.refuse(refusal).await,
        }
    }

    async fn exchange(&self, message: Box<Authenticated<Inbound>>) -> Result<(), Refusal> {
        let rooms = &self.rooms;
        self.seen.clock.skip();
        let under_way = UnderWay { inflight: &self.door.inflight, progress: &self.progress };
        let (way, mut conversation) = walk(rooms, under_way, &self.seen, message, SystemTime::now()).await?;
        // It is answered once the task has ended (T5-03).
        if matches!(&way.task, Some((TaskVerb::Result, _))) {
            conversation.wait_until(self.leave(CALL_TIME_MAX));
        }
        let mut opened = conversation.session().map(|opened| Unused { rooms, opened: Some(opened) });
        // Open as long as the exchange is: a reply that comes later finds nothing.
        let mut questions: Vec<Asking> = Vec::new();
        while let Some(message) = conversation.next().await {
            let message = message?;
            let question = if let FromServer::Ask(asked) = &message { Some(asked.id.clone()) } else { None };
            let released = match release(rooms, &way.facts, &self.seen, message, SystemTime::now()).await {
                Ok(released) => released,
                Err(refusal) => match &question {
                    // The server is told no; the call itself goes on.
                    Some(id) if is_about_asking(refusal.code) => {
                        self.decline(&mut conversation, id, &refusal).await?;
                        continue;
                    }
                    // What may not be heard is not told; the listening goes on.
                    None if refusal.code == Code::NotTold => {
                        rooms.audit.note(record::refused(&self.seen, &refusal)).await?;
                        continue;
                    }
                    Some(_) | None => return Err(refusal),
                },
            };
            let begins = matches!(released.get().of().message(), FromServer::Listening(_));
            if begins && self.era == Era::Legacy {
                self.mouth.say(Said::Listening).await;
                continue;
            }
            if let Some(question) = &question {
                if let Err(refusal) = self.open(&mut questions, &way, &released) {
                    self.decline(&mut conversation, question, &refusal).await?;
                    continue;
                }
                if !self.listens {
                    conversation.wait_until(self.leave(ANSWER_TIME));
                }
            }
            let asking = questions.last().filter(|_| question.is_some());
            let rendered = render::released(&rooms.catalog, &way, self.id.as_ref(), &released, asking);
            let last = rendered.last;
            if let Some(session) = opened.as_mut().and_then(Unused::token) {
                self.mouth.say(Said::Session(session)).await;
            }
            self.mouth.say(Said::Message(rendered)).await;
            self.progress.reach(Stage::Spoken);
            if last {
                return Ok(());
            }
        }
        match conversation {
            Conversation::Absorbed => {
                rooms.audit.note(record::absorbed(&self.seen)).await?;
                self.mouth.say(Said::Absorbed).await;
                Ok(())
            }
            Conversation::Own(_) | Conversation::Upstream(_) => {
                Err(Refusal::new(Code::UpstreamGarbled, "the exchange ended without an answer"))
            }
        }
    }

    /// Records how it ended and says so: as the whole response, or as the last event of one that has begun.
    async fn refuse(&self, refusal: Refusal) {
        let stage = self.progress.stage();
        let refusal = match stage {
            Stage::Before => refusal,
            Stage::Begun | Stage::Spoken => refusal.after_the_effect(),
        };
        let refusal = match (self.rooms.audit.note(record::refused(&self.seen, &refusal)).await, stage) {
            (Ok(()), _) => refusal,
            (Err(down), Stage::Before) => down.into(),
            (Err(down), Stage::Begun | Stage::Spoken) => Refusal::from(down).after_the_effect(),
        };
        self.door.instruments.ended(&self.seen, Some(refusal.code));
        let rendered = |id| render::refused(&refusal, self.era, id, self.tool_call, &self.seen.request);
        let message = self.id.as_ref().map(rendered);
        let said = match (message, stage) {
            (Some(message), Stage::Spoken) => Said::Message(message),
            (message, Stage::Before | Stage::Begun | Stage::Spoken) => {
                let message = message.map(|message| message.bytes);
                Said::Refused { refusal: Box::new(refusal), message }
            }
        };
        self.mouth.say(said).await;
    }

    /// Enters the table of what can be cancelled. A session has one stream of its own: a new one ends the one before, of which its
    /// client may have lost sight (HT-12: each message on exactly one stream).
    fn enter(&self) -> Option<Entry> {
        let id = match (&self.id, self.session) {
            (Some(id), _) => id.clone(),
            (None, Some(session)) if self.listens => {
                let stream = Id::Text(STREAM.into());
                self.door.inflight.cancel(session, &stream);
                stream
            }
            (None, _) => return None,
        };
        Some(self.door.inflight.enter(self.session, &id))
    }

    /// Waits until what is listened to has to be decided anew: the configuration or a policy changed, the session is gone, or the
    /// gateway is going.
    async fn decided_anew(&self) -> Refusal {
        if !self.listens {
            return pending().await;
        }
        let again = |why: &str| Refusal::new(Code::ListenAgain, why);
        loop {
            tokio::time::sleep(LOOKS_EVERY).await;
            if *self.door.stopping.borrow() {
                return again("the gateway is shutting down");
            }
            if !Arc::ptr_eq(&self.door.rooms.load(), &self.rooms) {
                return again("the configuration or a policy changed");
            }
            if self.session_is_over() {
                return again("the session has ended");
            }
        }
    }

    /// Whether the session is gone. While somebody listens, it does not idle out.
    fn session_is_over(&self) -> bool {
        let sessions = self.rooms.identity.sessions();
        self.session.is_some_and(|session| !sessions.touch(session, SystemTime::now()))
    }

    /// Opens a server's question, so that the client's reply finds it.
    fn open(&self, questions: &mut Vec<Asking>, way: &Way, released: &Released) -> Result<(), Refusal> {
        let nobody = |why: &str| Refusal::new(Code::NotOffered, why);
        if self.mouth.is_unheard() {
            return Err(nobody("the client has left, so nobody can be asked"));
        }
        let (Some(session), Some(server), FromServer::Ask(asked)) =
            (self.session, &way.facts.server, released.get().of().message())
        else {
            return Err(nobody("there is no session to ask"));
        };
        let opened = self.rooms.catalog.ask(session, &server.id, asked);
        let opened = opened.map_err(|many| nobody(&many.to_string()))?;
        // A stream may have no end: what is answered is forgotten, and of what never is, the oldest.
        questions.retain(Asking::is_open);
        if questions.len() >= QUESTIONS_MAX {
            questions.remove(0);
        }
        questions.push(opened);
        Ok(())
    }

    async fn decline(&self, conversation: &mut Conversation, id: &Id, refusal: &Refusal) -> Result<(), Refusal> {
        conversation.decline(id);
        Ok(self.rooms.audit.note(record::refused(&self.seen, refusal)).await?)
    }

    /// Whoever is asked has time to answer, however long the call has taken; but not for ever.
    fn leave(&self, time: Duration) -> Instant {
        let until = (Instant::now() + time).min(self.began + CALL_TIME_MAX);
        let after = u64::try_from((until - self.began).as_millis()).unwrap_or(u64::MAX);
        self.time_ms.fetch_max(after, Ordering::Relaxed);
        until
    }

    /// The request's time.
    fn time(&self, limit: Duration) -> Duration {
        limit.max(Duration::from_millis(self.time_ms.load(Ordering::Relaxed)))
    }

    /// Waits until the token has ended, or the request's time, which questions to the client prolong.
    async fn out_of_time(&self, lease: Duration, limit: Duration) {
        loop {
            let until = self.began + lease.min(self.time(limit));
            if Instant::now() >= until {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }

    /// Modern clients cancel by closing the stream (HT-11); legacy ones do not (HT-10), but who has left listens no more.
    async fn left(&self) {
        match self.era {
            Era::Legacy if !self.listens => pending().await,
            Era::Modern | Era::Legacy => {
                poll_fn(|_| if self.mouth.is_unheard() { Poll::Ready(()) } else { Poll::Pending }).await
            }
        }
    }
}

/// Whether it stands against a server's question, and not against the call.
fn is_about_asking(code: Code) -> bool {
    matches!(code, Code::NotOffered | Code::AskForbidden | Code::QuestionUnfit)
}

/// LIMIT: questions of one exchange that wait for an answer.
const QUESTIONS_MAX: usize = 16;
/// Under which id a session's own stream can be cancelled.
const STREAM: &str = "the session's own stream";
/// How often it is looked whether what is listened to has to be decided anew.
const LOOKS_EVERY: Duration = Duration::from_secs(1);
/// Longer than any token lives.
const ENDLESS: Duration = Duration::from_secs(365 * 24 * 3600);
/// LIMIT: how long a client may take to answer a server's question. People fill in forms.
const ANSWER_TIME: Duration = Duration::from_secs(600);
/// LIMIT: how long a call takes at most that asks questions.
const CALL_TIME_MAX: Duration = Duration::from_secs(3600);

/// Which of the two ended first.
fn timed_out(lease: Duration, limit: Duration) -> Refusal {
    if lease < limit {
        Refusal::new(Code::CredentialEnded, "the token expired meanwhile")
    } else {
        Refusal::new(Code::UpstreamTimeout, "the request's time was used up")
    }
}

async fn cancelled(entry: Option<&Entry>) {
    match entry {
        Some(entry) => entry.cancelled().await,
        None => pending().await,
    }
}
