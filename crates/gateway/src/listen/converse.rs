//! One conversation: a request walks in, its answers walk back, and whatever ends it is recorded.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sekisho_catalog::{Asking, Question};
use sekisho_identity::{Authenticated, Lease, Session, SessionKey, SessionToken};
use sekisho_wire::{Call, Era, FromServer, Id, Inbound, ServerId, TaskVerb};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::Door;
use crate::inflight::Entry;
use crate::pipeline::{Conversation, Opened, Released, UnderWay, release, walk};
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
    /// Refused, before anything was said or behind it. The end. `message`: the refusal as a message, if it answers a request.
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
        session: message.session().cloned(),
        server: OnceLock::new(),
        questions: Mutex::default(),
        began: Instant::now(),
        takes_long: AtomicBool::new(false),
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

#[cfg(test)]
impl Heard {
    /// A conversation that says these messages, and how many of them somebody has taken.
    pub(super) fn saying(messages: Vec<Bytes>) -> (Heard, Arc<std::sync::atomic::AtomicUsize>) {
        let (mouth, taken) = (Arc::<Mouth>::default(), Arc::<std::sync::atomic::AtomicUsize>::default());
        let (says, counts) = (Arc::clone(&mouth), Arc::clone(&taken));
        let talk = async move {
            for bytes in messages {
                let message = Rendered { bytes, last: false, status: http::StatusCode::OK };
                says.say(Said::Message(message)).await;
                counts.fetch_add(1, Ordering::Relaxed);
            }
        };
        (Heard { mouth, talk: Some(Box::pin(talk)) }, taken)
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
    session: Option<Arc<Session>>,
    /// The one server that it is about, once that is known.
    server: OnceLock<Option<ServerId>>,
    /// What the server asked meanwhile (legacy).
    questions: Mutex<Vec<Asking>>,
    began: Instant,
    /// It is answered once something else has ended.
    takes_long: AtomicBool,
}

impl Talk {
    async fn hold(self: Box<Self>, message: Box<Authenticated<Inbound>>, limit: Duration) {
        let (revocable, lease) = (message.lease().clone(), message.lease().ends_at());
        let lease = lease.duration_since(SystemTime::now()).unwrap_or_default();
        let entry = self.enter();
        let _under_way = self.door.instruments.conversation();
        // Dropping the exchange, as every branch but the first does, cancels it upstream.
        let ended = tokio::select! {
            ended = self.exchange(message, entry.as_ref()) => ended,
            () = cancelled(entry.as_ref()) => Err(Refusal::new(Code::Cancelled, "the client cancelled it")),
            () = self.out_of_time(lease, limit) => Err(timed_out(lease, self.began.elapsed())),
            refusal = self.decided_anew() => Err(refusal),
            () = self.revoked(&revocable) => Err(Refusal::new(Code::CredentialEnded, "the credential was revoked meanwhile")),
            () = self.left() => Err(Refusal::new(Code::Cancelled, "the client closed the connection, or took the request back (HT-11, ST-05)")),
        };
        self.close_questions(ended.is_err(), entry.as_ref());
        if let Some(session) = self.session.as_ref().filter(|session| session.is_over()) {
            // A server may have been asked anew after the session's connections were closed.
            self.rooms.upstream.end_session(session.key()).await;
        }
        match ended {
            Ok(()) => self.door.instruments.ended(&self.seen, None),
            Err(refusal) => self.refuse(refusal).await,
        }
    }

    async fn exchange(&self, message: Box<Authenticated<Inbound>>, entry: Option<&Entry>) -> Result<(), Refusal> {
        let rooms = &self.rooms;
        self.seen.clock.skip();
        // It may have come to its end while the body was on its way.
        if !rooms.identity.holds(message.lease(), SystemTime::now()) {
            return Err(Refusal::new(Code::CredentialEnded, "the token expired or was revoked as the request came"));
        }
        // Its end may have come between the session's being found and this request's entry into the table of what ends with it.
        if self.session.as_ref().is_some_and(|session| session.is_over()) {
            return Err(Refusal::new(Code::SessionUnknown, "the session ended as the request came"));
        }
        let under_way = UnderWay { inflight: &self.door.inflight, progress: &self.progress };
        let (way, mut conversation) = walk(rooms, under_way, &self.seen, message, SystemTime::now()).await?;
        if let (true, Some(entry)) = (self.listens, entry) {
            entry.supersede();
        }
        self.server.get_or_init(|| way.facts.server.as_ref().map(|server| server.id.clone()));
        // It is answered once the task has ended (T5-03).
        if matches!(&way.task, Some((TaskVerb::Result, _))) {
            self.takes_long.store(true, Ordering::Relaxed);
            conversation.wait_until(self.began + CALL_TIME_MAX);
        }
        let mut opened = conversation.session().map(|opened| Unused { rooms, opened: Some(opened) });
        while let Some(message) = conversation.next().await {
            if let Some(used) = conversation.used() {
                self.seen.uses(used);
            }
            let message = message?;
            let question = if let FromServer::Ask(asked) = &message { Some(asked.id.clone()) } else { None };
            let mut asking = None;
            if let FromServer::Withdrawn { id, connection } = &message {
                asking = self.withdrawn(id, *connection);
                // It was answered, or was never asked.
                if asking.is_none() {
                    continue;
                }
            }
            let released = match release(rooms, &way.facts, &self.seen, message, SystemTime::now()).await {
                Ok(released) => released,
                Err(refusal) => {
                    self.pass_over(&mut conversation, question.as_ref(), refusal).await?;
                    continue;
                }
            };
            let begins = matches!(released.get().of().message(), FromServer::Listening(_));
            if begins && self.era == Era::Legacy {
                self.mouth.say(Said::Listening).await;
                continue;
            }
            if let Some(question) = &question {
                match self.open(&released) {
                    Ok((id, question)) => {
                        asking = Some(id);
                        conversation.wait_for(question);
                    }
                    Err(refusal) => {
                        self.decline(&mut conversation, question, &refusal).await?;
                        continue;
                    }
                }
            }
            let rendered = render::released(&rooms.catalog, &way, self.id.as_ref(), &released, asking.as_ref());
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
        self.nothing_more(conversation).await
    }

    /// The end of a conversation that says nothing more: that of a notification, and of no other.
    async fn nothing_more(&self, conversation: Conversation) -> Result<(), Refusal> {
        match conversation {
            Conversation::Absorbed => {
                self.rooms.audit.note(record::absorbed(&self.seen)).await?;
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
        let rendered = |id| render::refused(&refusal, self.era, id, self.tool_call, &self.seen.request).bytes;
        let message = self.id.as_ref().map(rendered);
        self.mouth.say(Said::Refused { refusal: Box::new(refusal), message }).await;
    }

    /// Enters the table of what can be cancelled.
    fn enter(&self) -> Option<Entry> {
        let id = match (&self.id, &self.session) {
            (Some(id), _) => id.clone(),
            (None, Some(_)) if self.listens => Id::Text(STREAM.into()),
            (None, _) => return None,
        };
        Some(self.door.inflight.enter(self.session_key(), &id))
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

    /// Waits until the credential is revoked. Looked at once more than when it was verified: it may have been revoked in between.
    async fn revoked(&self, lease: &Lease) {
        let mut changes = self.rooms.identity.revocations().changes();
        while self.rooms.identity.holds(lease, SystemTime::UNIX_EPOCH) {
            if changes.changed().await.is_err() {
                return pending().await;
            }
        }
    }

    /// Whether the session is gone. While somebody listens, it does not idle out.
    fn session_is_over(&self) -> bool {
        let sessions = self.rooms.identity.sessions();
        self.session_key().is_some_and(|session| !sessions.touch(session, SystemTime::now()))
    }

    /// Opens a server's question, so that the client's reply finds it.
    fn open(&self, released: &Released) -> Result<(Id, Arc<Question>), Refusal> {
        let nobody = |why: &str| Refusal::new(Code::NotOffered, why);
        if self.mouth.is_unheard() {
            return Err(nobody("the client has left, so nobody can be asked"));
        }
        let (Some(session), Some(server), FromServer::Ask(asked)) =
            (self.session_key(), self.server(), released.get().of().message())
        else {
            return Err(nobody("there is no session to ask"));
        };
        let until = std::time::Instant::now() + ANSWER_TIME;
        let opened = self.rooms.catalog.ask(session, server, asked, until);
        let opened = opened.map_err(|many| nobody(&many.to_string()))?;
        let (id, question) = (opened.id(), opened.question());
        let question = question.ok_or_else(|| nobody("the question is closed already"))?;
        let mut questions = self.questions();
        // A stream may have no end: what is answered is forgotten, and of what never is, the oldest.
        questions.retain(Asking::is_open);
        if questions.len() >= QUESTIONS_MAX {
            questions.remove(0);
        }
        questions.push(opened);
        Ok((id, question))
    }

    /// Lets go of the questions: a reply finds none that belonged to this exchange. Those of the connection stay, for other calls may wait
    /// for them; but where this one was given up and was the only one, nobody does.
    fn close_questions(&self, given_up: bool, entry: Option<&Entry>) {
        let questions = std::mem::take(&mut *self.questions());
        let alone = || entry.is_none_or(|entry| entry.is_alone(&Id::Text(STREAM.into())));
        if given_up && !self.listens && !questions.is_empty() && alone() {
            questions.into_iter().for_each(Asking::close);
        }
    }

    fn questions(&self) -> MutexGuard<'_, Vec<Asking>> {
        // Nothing between lock and unlock panics.
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client's id of a question that the server takes back.
    fn withdrawn(&self, id: &Id, connection: u64) -> Option<Id> {
        self.rooms.catalog.withdraw(self.session_key()?, self.server()?, id, connection)
    }

    fn session_key(&self) -> Option<SessionKey> {
        self.session.as_ref().map(|session| session.key())
    }

    /// The one server that this is about.
    fn server(&self) -> Option<&ServerId> {
        self.server.get()?.as_ref()
    }

    /// What may not be asked or told ends nothing: the server is told no to its question, and the call or the listening goes on.
    async fn pass_over(
        &self,
        conversation: &mut Conversation,
        question: Option<&Id>,
        refusal: Refusal,
    ) -> Result<(), Refusal> {
        match question {
            Some(id) if is_about_asking(refusal.code) => self.decline(conversation, id, &refusal).await,
            None if refusal.code == Code::NotTold => {
                Ok(self.rooms.audit.note(record::refused(&self.seen, &refusal)).await?)
            }
            Some(_) | None => Err(refusal),
        }
    }

    async fn decline(&self, conversation: &mut Conversation, id: &Id, refusal: &Refusal) -> Result<(), Refusal> {
        conversation.decline(id);
        Ok(self.rooms.audit.note(record::refused(&self.seen, refusal)).await?)
    }

    /// Until when to wait for what comes of a server's questions: of this exchange, or of the connection that it may be answered on.
    fn awaited_until(&self, after: Duration) -> Option<Instant> {
        let own = self.questions().iter().filter_map(Asking::question).map(|one| one.awaited_until(after)).max();
        let (session, server) = self.session_key().zip(self.server())?;
        let all = self.rooms.catalog.awaited_until(session, server, after).max(own);
        all.map(Instant::from_std)
    }

    /// Waits until the token has ended, or the request's time, which questions to the client prolong: whoever is asked has time to
    /// answer, and the server as long again; but not for ever.
    async fn out_of_time(&self, lease: Duration, limit: Duration) {
        let most = self.began + lease.min(CALL_TIME_MAX.max(limit));
        loop {
            let time = if self.takes_long.load(Ordering::Relaxed) { CALL_TIME_MAX } else { limit };
            let mut until = self.began + lease.min(time);
            if Instant::now() >= until {
                // An answer makes it shorter, so it is looked again and again.
                let Some(awaited) = self.awaited_until(limit) else { return };
                until = most.min(awaited).min(Instant::now() + LOOKS_EVERY);
            }
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
