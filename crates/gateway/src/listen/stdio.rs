//! One client over standard input and output: a message a line, both eras, the same corridor (ST-01 to ST-07).
//!
//! There are no headers, no tokens and no session ids on the wire. Who is calling was proven from the process; the session that
//! `initialize` opens is kept here; what a legacy client would hear on a GET it hears without asking.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sekisho_identity::{Authenticated, Local, SessionToken};
use sekisho_wire::lines::{self, LineTooLong, Lines};
use sekisho_wire::message::{NoticeKind, Spoken};
use sekisho_wire::{Call, Endpoint, Id, Inbound, Version, front};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::converse::{Heard, Said, converse};
use super::{Door, mcp, respond};
use crate::instruments::Room;
use crate::record::Seen;
use crate::refusal::{Code, Refusal};
use crate::render;
use crate::snapshot::Rooms;
use respond::Failed;

/// Whom a process serves, and where.
#[derive(Debug, Clone)]
pub struct Stdio {
    /// Who is at the other end.
    pub caller: Local,
    /// The endpoint that the client is at, as if it had knocked there.
    pub endpoint: Endpoint,
}

/// Serves until the input ends, nobody reads the output any more, or the gateway stops. Calls under way may end then, for `patience`.
pub(crate) async fn serve<R, W>(
    door: Arc<Door>,
    who: Stdio,
    (input, output): (R, W),
    mut stopped: watch::Receiver<bool>,
    patience: Duration,
) where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let instruments = Arc::clone(&door.instruments);
    let _open = instruments.connection();
    let (out, said) = mpsc::channel(LINES_AHEAD);
    let writing = tokio::spawn(write(said, output));
    let mut line = Line::new(door, who, out.clone());
    tokio::select! {
        () = line.read(input) => {}
        () = out.closed() => {}
        _ = stopped.changed() => {}
    }
    line.end(patience).await;
    drop((line, out));
    // Who reads nothing does not keep the process.
    let _ = tokio::time::timeout(LAST_LINES, writing).await;
}

/// The client's side: what belongs to its connection.
struct Line {
    talker: Arc<Talker>,
    /// Requests, replies, and the stream that was not asked for.
    tasks: JoinSet<()>,
    /// Taken by replies alone: a request that waits for one must not keep it from being read.
    replies: Arc<Semaphore>,
    /// The session that is listened to.
    heard: Option<Arc<SessionToken>>,
}

/// What every conversation of the connection needs.
struct Talker {
    door: Arc<Door>,
    who: Stdio,
    out: mpsc::Sender<Bytes>,
    session: Mutex<Option<Arc<SessionToken>>>,
    under_way: Mutex<Vec<UnderWay>>,
}

/// A request that can be taken back.
struct UnderWay {
    id: Id,
    listens: bool,
    fate: Arc<Fate>,
}

/// Whether a request is taken back.
#[derive(Default)]
struct Fate {
    /// Its client has said so; that may not be decided yet.
    taken_back: AtomicBool,
    /// Nobody waits for it any more.
    over: Notify,
}

impl Line {
    fn new(door: Arc<Door>, who: Stdio, out: mpsc::Sender<Bytes>) -> Line {
        let talker = Talker { door, who, out, session: Mutex::default(), under_way: Mutex::default() };
        let replies = Arc::new(Semaphore::new(REPLIES_MAX));
        Line { talker: Arc::new(talker), tasks: JoinSet::new(), replies, heard: None }
    }

    async fn read(&mut self, mut input: impl AsyncRead + Unpin) {
        let line_bytes_max = self.talker.rooms().limits.bounds().body_bytes_max;
        let (mut lines, mut whole, mut chunk) = (Lines::new(line_bytes_max), Vec::new(), vec![0; CHUNK_BYTES]);
        loop {
            let read = tokio::select! {
                read = input.read(&mut chunk) => read,
                Some(_) = self.tasks.join_next() => continue,
            };
            let bytes = match read {
                Ok(bytes) if bytes > 0 => chunk.get(..bytes).unwrap_or_default(),
                // ST-07: a client ends by closing the input.
                Ok(_) | Err(_) => return self.broke_off(lines.pending()).await,
            };
            lines.feed(bytes, &mut whole);
            for line in whole.drain(..) {
                self.take(line).await;
            }
        }
    }

    /// A line without an end may be half of a message: it is refused, as whoever waits for its answer should know.
    async fn broke_off(&self, bytes: usize) {
        if bytes > 0 {
            let rooms = self.talker.rooms();
            let refusal = Refusal::new(Code::NotRequest, format!("the input ended {bytes} bytes into a line"));
            let failed = self.talker.seen(&rooms).fails(refusal.with_detail("the last line has no end"));
            self.talker.refuse(&rooms, failed, true).await;
        }
    }

    /// Takes a message. Notifications and `initialize` are done with before the next line is looked at, so that order counts.
    async fn take(&mut self, line: Result<Bytes, LineTooLong>) {
        let talker = Arc::clone(&self.talker);
        let rooms = talker.rooms();
        let seen = talker.seen(&rooms);
        let inbound = match talker.decode(&rooms, &seen, line) {
            Ok(inbound) => inbound,
            Err((failed, answered)) => return talker.refuse(&rooms, failed, answered).await,
        };
        let (seen, message) = match talker.bind(&rooms, seen, inbound) {
            Ok(bound) => bound,
            Err(failed) => {
                let answered = failed.id.is_some();
                return talker.refuse(&rooms, failed, answered).await;
            }
        };
        match message.message() {
            Inbound::Request(request) if matches!(request.call(), Call::Initialize(_)) => {
                talker.say(talker.converse(&rooms, seen, message), None).await;
            }
            Inbound::Request(request) => {
                let listens = matches!(request.call(), Call::Listen { .. });
                match talker.enter(request.id(), listens) {
                    Some(entered) => drop(self.tasks.spawn(entered.answer(rooms, seen, message))),
                    None => {
                        let refusal = Refusal::new(Code::TooManyAtOnce, "too many requests of one connection");
                        talker.refuse(&rooms, failed(seen, refusal, message.message()), true).await;
                    }
                }
            }
            Inbound::Notice(notice) => {
                let kind = notice.kind().clone();
                let taken_back = match &kind {
                    NoticeKind::Cancelled { request } => talker.taken_back(request),
                    NoticeKind::Initialized | NoticeKind::RootsChanged | NoticeKind::Progress { .. } => Vec::new(),
                };
                let refused = talker.say(talker.converse(&rooms, seen, message), None).await.is_some();
                // ST-05; a session's own table was looked at in the corridor.
                for fate in taken_back {
                    if refused { fate.taken_back.store(false, Ordering::Relaxed) } else { fate.over.notify_one() }
                }
                if kind == NoticeKind::Initialized && !refused {
                    self.hear().await;
                }
            }
            Inbound::Reply(_) => {
                let Ok(place) = Arc::clone(&self.replies).acquire_owned().await else { return };
                self.tasks.spawn(async move {
                    talker.say(talker.converse(&rooms, seen, message), None).await;
                    drop(place);
                });
            }
        }
    }

    /// Listens to what belongs to no call of the session that has begun; what its client asks for next may be the cause of something.
    async fn hear(&mut self) {
        let session = self.talker.session().clone();
        let known = self.heard.as_ref().zip(session.as_ref()).is_some_and(|(one, other)| Arc::ptr_eq(one, other));
        if let Some(session) = session.filter(|_| !known) {
            self.heard = Some(Arc::clone(&session));
            let (begins, begun) = oneshot::channel();
            self.tasks.spawn(Arc::clone(&self.talker).listen(session, begins));
            let _ = tokio::time::timeout(BEGINS_WITHIN, begun).await;
        }
    }

    /// Lets what is under way end, then ends it. Whoever listens does not wait for anything: where the gateway stops they are told so
    /// by themselves (SU-02), and where the client has gone nobody is.
    async fn end(&mut self, patience: Duration) {
        if !*self.talker.door.stopping.borrow() {
            self.talker.under_way().iter().filter(|one| one.listens).for_each(|one| one.fate.over.notify_one());
        }
        let session = self.talker.session().take();
        let calls_end =
            async { while !self.talker.under_way().is_empty() && self.tasks.join_next().await.is_some() {} };
        tokio::select! {
            () = calls_end => {}
            () = self.talker.out.closed() => {}
            () = tokio::time::sleep(patience) => {}
        }
        if let Some(session) = session {
            self.talker.end_session(&session).await;
        }
        // Each ends as one whose client has left, and records that.
        self.tasks.shutdown().await;
    }
}

impl Talker {
    fn rooms(&self) -> Arc<Rooms> {
        self.door.rooms.load_full()
    }

    /// A message that has come, of which nothing is known but from whom.
    fn seen(&self, rooms: &Rooms) -> Seen {
        let seen = Seen::arrived(respond::request_id(), self.door.instruments.clock(), rooms.audit.payload_digest());
        seen.at(&self.who.endpoint).by(self.who.caller.principal())
    }

    /// What a line says; or why it is refused, and whether that is told.
    fn decode(
        &self,
        rooms: &Rooms,
        seen: &Seen,
        line: Result<Bytes, LineTooLong>,
    ) -> Result<Inbound, (Box<Failed>, bool)> {
        let too_long = |long: LineTooLong| Refusal::new(Code::BodyTooLarge, long.to_string());
        let line = line.map_err(|long| (seen.clone().fails(too_long(long)), true))?;
        // Only requests say which revision they speak.
        let unsaid = match &*self.session() {
            Some(_) => Spoken::LegacyUnsaid,
            None => Spoken::Modern(Version::LATEST_MODERN),
        };
        let inbound = front::decode_line(line, unsaid, &rooms.limits.bounds().json);
        seen.clock.lap(Room::WIRE);
        inbound.map_err(|refused| {
            let told = refused.calls_for_an_answer();
            (mcp::undecodable(seen, refused), told)
        })
    }

    fn bind(&self, rooms: &Rooms, seen: Seen, inbound: Inbound) -> Result<Bound, Box<Failed>> {
        let now = SystemTime::now();
        let session = self.session().clone();
        let session = session.as_deref().map(SessionToken::expose);
        let unbound = failed(seen.clone(), Refusal::new(Code::SessionUnknown, ""), &inbound);
        let known = rooms.knows(&self.who.endpoint);
        let bound = known.and_then(|()| {
            // Anew for each message: the user may be revoked by now.
            let caller = self.who.caller.at(&self.who.endpoint, rooms.identity.revocations(), now)?;
            Ok(rooms.identity.authenticate(caller, inbound, session, now)?)
        });
        seen.clock.lap(Room::IDENTITY);
        let message = Box::new(bound.map_err(|refusal| Box::new(Failed { refusal, ..*unbound }))?);
        let seen = self.door.instruments.follow(seen.of(&message), None, &message);
        Ok((seen, message))
    }

    /// Records a refusal, and tells it where an answer is waited for: a notification has none, and neither has a reply.
    async fn refuse(&self, rooms: &Rooms, mut failed: Box<Failed>, answered: bool) {
        respond::note(&self.door, rooms, &mut failed).await;
        if answered {
            self.write(failed.message()).await;
        }
    }

    fn converse(&self, rooms: &Arc<Rooms>, seen: Seen, message: Box<Authenticated<Inbound>>) -> Heard {
        converse(&self.door, rooms, rooms.limits.bounds().request_timeout, seen, message)
    }

    /// Says a conversation line by line. The refusal that it ended with, if it did; that it was `of` a request that was taken back is
    /// not told.
    async fn say(&self, mut heard: Heard, of: Option<&Fate>) -> Option<Box<Refusal>> {
        while let Some(said) = heard.next().await {
            if let ControlFlow::Break(refusal) = self.tell(said, of).await {
                return refusal;
            }
        }
        None
    }

    /// Breaks with the end of a conversation, or where nobody reads any more: then it goes on, or ends, as one whose client has left.
    async fn tell(&self, said: Said, of: Option<&Fate>) -> ControlFlow<Option<Box<Refusal>>> {
        match said {
            Said::Session(token) => self.open(token).await,
            Said::Message(message) => {
                if !self.write(message.bytes).await {
                    return ControlFlow::Break(None);
                }
            }
            Said::Listening | Said::Absorbed => {}
            Said::Refused { refusal, message } => {
                let expected = refusal.code == Code::Cancelled && of.is_some_and(Fate::is_taken_back);
                if let Some(message) = message.filter(|_| !expected) {
                    self.write(message).await;
                }
                return ControlFlow::Break(Some(refusal));
            }
        }
        ControlFlow::Continue(())
    }

    /// Keeps the session that was opened. One that was open before has been left.
    async fn open(&self, token: SessionToken) {
        let left = self.session().replace(Arc::new(token));
        if let Some(left) = left {
            self.end_session(&left).await;
        }
    }

    async fn end_session(&self, session: &SessionToken) {
        let rooms = self.rooms();
        // The sessions of one who is revoked ended with that.
        let now = SystemTime::now();
        let Ok(caller) = self.who.caller.at(&self.who.endpoint, rooms.identity.revocations(), now) else { return };
        let ended = self.door.end_session(&rooms, &caller, session.expose(), &self.seen(&rooms)).await;
        if let Err(refusal) = ended {
            tracing::debug!(reason = %refusal.reason, "a session was not ended");
        }
    }

    /// Hears what belongs to no call, as long as the session lasts (legacy): over HTTP a client asks for it by GET.
    /// `begins` is told once, or dropped if nothing is heard.
    async fn listen(self: Arc<Self>, session: Arc<SessionToken>, begins: oneshot::Sender<()>) {
        let mut begins = Some(begins);
        loop {
            let rooms = self.rooms();
            let is_open = self.session().as_ref().is_some_and(|open| Arc::ptr_eq(open, &session));
            if !is_open || *self.door.stopping.borrow() {
                return;
            }
            let asked = self.bind(&rooms, self.seen(&rooms), Inbound::listening(Spoken::LegacyUnsaid));
            let Ok((seen, message)) = asked else { return };
            let mut heard = self.converse(&rooms, seen, message);
            let mut refused = None;
            while let Some(said) = heard.next().await {
                if matches!(said, Said::Listening)
                    && let Some(begins) = begins.take()
                {
                    let _told = begins.send(());
                }
                if let ControlFlow::Break(refusal) = self.tell(said, None).await {
                    refused = refusal;
                    break;
                }
            }
            begins = None;
            match refused.map(|refusal| refusal.code) {
                // A server that does not know yet that its stream was closed would tell that one.
                Some(Code::ListenAgain) => tokio::time::sleep(PARTED_AFTER).await,
                Some(Code::Forbidden) => self.changed(&rooms, None).await,
                Some(_) | None => self.changed(&rooms, Some(AGAIN_AFTER)).await,
            }
        }
    }

    /// Waits until the configuration or a policy has changed, or for `at_most`.
    async fn changed(&self, rooms: &Arc<Rooms>, at_most: Option<Duration>) {
        let most = at_most.map(|time| Instant::now() + time);
        while Arc::ptr_eq(&self.rooms(), rooms) && most.is_none_or(|most| Instant::now() < most) {
            tokio::time::sleep(LOOKS_EVERY).await;
        }
    }

    /// Writes a message as soon as there is room. False: nobody reads any more.
    async fn write(&self, message: Bytes) -> bool {
        self.out.send(message).await.is_ok()
    }

    /// Enters a request. None: there are too many.
    fn enter(self: &Arc<Self>, id: &Id, listens: bool) -> Option<Entered> {
        let mut under_way = self.under_way();
        if under_way.len() >= REQUESTS_MAX {
            return None;
        }
        let fate = Arc::<Fate>::default();
        under_way.push(UnderWay { id: id.clone(), listens, fate: Arc::clone(&fate) });
        drop(under_way);
        Some(Entered { talker: Arc::clone(self), fate })
    }

    /// The requests of this id, of which their client wants to hear no more.
    fn taken_back(&self, id: &Id) -> Vec<Arc<Fate>> {
        let under_way = self.under_way();
        let named = under_way.iter().filter(|one| one.id == *id).map(|one| Arc::clone(&one.fate));
        named.inspect(|fate| fate.taken_back.store(true, Ordering::Relaxed)).collect()
    }

    fn session(&self) -> MutexGuard<'_, Option<Arc<SessionToken>>> {
        // Nothing between lock and unlock panics.
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn under_way(&self) -> MutexGuard<'_, Vec<UnderWay>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request under way; leaves the table when dropped.
struct Entered {
    talker: Arc<Talker>,
    fate: Arc<Fate>,
}

impl Fate {
    fn is_taken_back(&self) -> bool {
        self.taken_back.load(Ordering::Relaxed)
    }
}

impl Entered {
    /// Answers it, unless it is taken back meanwhile: then nothing more is said of it (ST-05).
    async fn answer(self, rooms: Arc<Rooms>, seen: Seen, message: Box<Authenticated<Inbound>>) {
        tokio::select! {
            _ = self.talker.say(self.talker.converse(&rooms, seen, message), Some(&self.fate)) => {}
            () = self.fate.over.notified() => {}
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.talker.under_way().retain(|one| !Arc::ptr_eq(&one.fate, &self.fate));
    }
}

type Bound = (Seen, Box<Authenticated<Inbound>>);

/// A message that is refused before it walks.
fn failed(seen: Seen, refusal: Refusal, of: &Inbound) -> Box<Failed> {
    let tool_call = matches!(of, Inbound::Request(request) if render::is_tool_call(request.call()));
    Box::new(Failed { id: of.id().cloned(), era: of.spoken().era(), tool_call, ..*seen.fails(refusal) })
}

/// Writes each message as a line, and nothing else (ST-02).
async fn write(mut said: mpsc::Receiver<Bytes>, mut output: impl AsyncWrite + Unpin) {
    while let Some(message) = said.recv().await {
        let written = async {
            output.write_all(&lines::frame(&message)).await?;
            output.flush().await
        };
        if written.await.is_err() {
            return;
        }
    }
}

/// How long servers may take to be listened to before the next line is read.
const BEGINS_WITHIN: Duration = Duration::from_secs(2);
/// LIMIT: requests of the client under way at once, those included that are about to be refused.
const REQUESTS_MAX: usize = 256;
/// LIMIT: its replies.
const REPLIES_MAX: usize = 64;
/// LIMIT: messages that wait for the client to read.
const LINES_AHEAD: usize = 16;
const CHUNK_BYTES: usize = 64 * 1024;
/// How long the last messages may take to be written.
const LAST_LINES: Duration = Duration::from_secs(1);
/// How often it is looked whether the configuration has changed.
const LOOKS_EVERY: Duration = Duration::from_secs(1);
/// How long servers may take to notice that nobody listens to a stream any more.
const PARTED_AFTER: Duration = Duration::from_millis(300);
/// After this long a session is listened to again that could not be.
const AGAIN_AFTER: Duration = Duration::from_secs(60);
