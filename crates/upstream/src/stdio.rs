//! Messages over a process's standard streams: who waits for which answer, and who may hear what.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sekisho_catalog::Question;
use sekisho_wire::back::{self, Message};
use sekisho_wire::input::BadInput;
use sekisho_wire::json::Limits;
use sekisho_wire::lines::frame;
use sekisho_wire::server::{AskedOn, ServerNotice, ServerNoticeKind, ServerRequest};
use sekisho_wire::{Answer, Era, Id, Json, RpcError, Told, outgoing};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};

use crate::allowance::{ASK_BYTES_MAX, Allowance, detached};
use crate::ask::{Ask, Heard, Logs, own_id, own_progress};
use crate::error::Fault;
use crate::notes::Notes;
use crate::patience::Patience;
use crate::watch::{Used, Watch};

/// The conversation with one process.
pub(crate) struct Talk {
    era: Era,
    limits: Limits,
    ids: AtomicU64,
    input: mpsc::Sender<Bytes>,
    waiting: Mutex<Waiting>,
    patience: Patience,
    notes: Arc<Notes>,
    watch: Arc<Watch>,
    /// Requests whose time passed since it said anything.
    missed: AtomicU32,
    hung: Notify,
    /// The process has ended, and what it wrote last is still to be heard.
    last_words: watch::Sender<bool>,
}

#[derive(Default)]
struct Waiting {
    open: BTreeMap<u64, Party>,
    /// Requests that were given up: their answers may still come, and then mean nothing.
    given_up: VecDeque<u64>,
    /// Whose reader has no room for another message.
    behind: Option<u64>,
    over: Option<Cow<'static, str>>,
}

/// Somebody who waits for an answer.
struct Party {
    interim: mpsc::Sender<Queued>,
    /// What may still be queued, in bytes.
    room: Arc<Semaphore>,
    answer: oneshot::Sender<Answer>,
    token: Option<Id>,
    logs: Logs,
    allowance: Allowance,
    /// It waits for no answer, but for what the server tells.
    listens: bool,
}

/// A message that waits for its reader, and the room that it takes meanwhile.
type Queued = (Heard, OwnedSemaphorePermit);

/// What a line turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    Message,
    Garbage,
}

/// One request under way. Dropped before its answer, it is cancelled.
pub(crate) struct StdioFlight {
    talk: Arc<Talk>,
    id: u64,
    interim: mpsc::Receiver<Queued>,
    answer: oneshot::Receiver<Answer>,
    deadline: Instant,
    parting: Parting,
    /// It waits for no answer, so that none can be late.
    listens: bool,
}

/// What is to be said when a flight is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parting {
    Silent,
    Cancel,
}

impl Talk {
    pub(crate) fn new(
        era: Era,
        limits: Limits,
        notes: Arc<Notes>,
        watch: Arc<Watch>,
    ) -> (Arc<Talk>, mpsc::Receiver<Bytes>) {
        let (input, lines) = mpsc::channel(INPUT_MAX);
        let (waiting, patience) = (Mutex::default(), Patience::default());
        let (ids, missed, hung) = (AtomicU64::new(1), AtomicU32::new(0), Notify::new());
        let last_words = watch::Sender::new(false);
        let talk = Talk { era, limits, ids, input, waiting, patience, notes, watch, missed, hung, last_words };
        (Arc::new(talk), lines)
    }

    /// Writes a request and waits until it is queued.
    ///
    /// # Errors
    /// The process has ended, too many requests wait for it, or it takes no input before the deadline.
    pub(crate) async fn ask(self: &Arc<Self>, ask: &Ask<'_>, deadline: Instant) -> Result<StdioFlight, Fault> {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let mut flight = self.flight(id, (ask.token.clone(), ask.logs), ask.listens(), deadline)?;
        self.say(&ask.write(id), deadline).await?;
        if !ask.opens() {
            flight.parting = Parting::Cancel;
        }
        Ok(flight)
    }

    /// Listens to what the process tells the session beside its answers (legacy). Whoever listened before hears no more.
    ///
    /// # Errors
    /// The process has ended.
    pub(crate) fn listen(self: &Arc<Self>, deadline: Instant) -> Result<StdioFlight, Fault> {
        let _before = self.waiting().open.remove(&STANDING);
        self.flight(STANDING, (None, Logs::Wanted), true, deadline)
    }

    fn flight(
        self: &Arc<Self>,
        id: u64,
        (token, logs): (Option<Id>, Logs),
        listens: bool,
        deadline: Instant,
    ) -> Result<StdioFlight, Fault> {
        let (interim, interim_heard) = mpsc::channel(INTERIM_MAX);
        let (answer, answer_heard) = oneshot::channel();
        let room = Arc::new(Semaphore::new(QUEUE_BYTES_MAX));
        let allowance = if listens { Allowance::standing() } else { Allowance::default() };
        self.expect(id, Party { interim, room, answer, token, logs, allowance, listens })?;
        Ok(StdioFlight {
            talk: self.clone(),
            id,
            interim: interim_heard,
            answer: answer_heard,
            deadline,
            parting: Parting::Silent,
            listens,
        })
    }

    /// Until it has let the time of several requests pass and said nothing at all meanwhile.
    pub(crate) async fn hangs(&self) {
        self.hung.notified().await;
    }

    /// The time of a request passed.
    fn misses(&self) {
        if self.missed.fetch_add(1, Ordering::Relaxed).saturating_add(1) >= MISSED_MAX {
            self.hung.notify_one();
        }
    }

    /// Writes a message that must not be lost.
    ///
    /// # Errors
    /// The process has ended, or takes no input before the deadline.
    pub(crate) async fn say(&self, message: &Bytes, deadline: Instant) -> Result<(), Fault> {
        match timeout_at(deadline, self.input.send(frame(message))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(self.ended()),
            Err(_) => Err(Fault::TimedOut("it does not read its input".into())),
        }
    }

    /// Queues a notification; it is lost where the queue is full, since nobody waits for it.
    pub(crate) fn tell(&self, message: &Bytes) {
        if self.input.try_send(frame(message)).is_err() {
            tracing::debug!(target: "upstream", "a notification was not written");
        }
    }

    /// Takes one line of its output.
    pub(crate) fn hear(&self, line: Bytes) -> Line {
        let bytes = line.len();
        self.missed.store(0, Ordering::Relaxed);
        let message = match back::decode(line, self.era, &self.limits) {
            Ok(message) => message,
            Err(error) => {
                self.notes.suspicious("its output has a line that is no MCP message", &error.to_string());
                return Line::Garbage;
            }
        };
        match message {
            Message::Answer { id, answer } => self.hear_answer(&id, answer),
            Message::Fault(error) => self.notes.suspicious("it sent an error that names no request", &error.message),
            Message::Notice(notice) => self.hear_notice(notice, bytes),
            Message::Told { told, subscription } => self.hear_told(told, subscription.as_ref(), bytes),
            Message::OtherNotice { method } => {
                tracing::debug!(target: "upstream", %method, "notification of no effect");
            }
            Message::Ask(request) => self.hear_ask(request, bytes),
            Message::Withdrawn { id } => {
                let mut waiting = self.waiting();
                if let Some(latest) = waiting.latest() {
                    waiting.offer(latest, Heard::Withdrawn(id), bytes, &self.notes);
                }
            }
            Message::Ping { id } => self.tell(&pong(&id)),
            Message::BadAsk { id, why } => self.tell(&not_a_question(&id, &why)),
        }
        Line::Message
    }

    /// Ends the conversation: whoever waits is told why.
    pub(crate) fn end(&self, why: impl Into<Cow<'static, str>>) {
        let open = {
            let mut waiting = self.waiting();
            waiting.over.get_or_insert_with(|| why.into());
            std::mem::take(&mut waiting.open)
        };
        // Dropping a party wakes its flight.
        drop(open);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.waiting().over.is_some()
    }

    fn ended(&self) -> Fault {
        Fault::Ended(self.waiting().over.clone().unwrap_or("its connection was closed".into()))
    }

    fn expect(&self, id: u64, party: Party) -> Result<(), Fault> {
        let mut waiting = self.waiting();
        if let Some(why) = &waiting.over {
            return Err(Fault::Ended(why.clone()));
        }
        if waiting.open.len() >= OPEN_MAX {
            return Err(Fault::Busy(format!("{OPEN_MAX} requests wait on one connection").into()));
        }
        waiting.open.insert(id, party);
        Ok(())
    }

    /// An answer goes to the one request that has its id, type and value alike; to nobody otherwise.
    fn hear_answer(&self, id: &Id, answer: Answer) {
        let mut waiting = self.waiting();
        let number = match id {
            Id::Integer(number) => u64::try_from(*number).ok(),
            Id::Text(_) => None,
        };
        let party = number.and_then(|number| waiting.open.remove(&number));
        let late = number.is_some_and(|number| waiting.given_up.contains(&number));
        drop(waiting);
        match party {
            // The flight may have been dropped a moment ago; then nobody needs the answer.
            Some(party) => drop(party.answer.send(answer)),
            None if late => {}
            None => self.notes.suspicious("it sent an answer to no request", ""),
        }
    }

    fn hear_notice(&self, notice: ServerNotice, bytes: usize) {
        let mut waiting = self.waiting();
        match notice.kind {
            ServerNoticeKind::Progress => {
                let about = notice.params.get("progressToken").and_then(|token| Id::read(&token).ok());
                let party = waiting.open.iter().find(|(id, _)| about.as_ref() == Some(&own_id(**id)));
                if let Some((&id, party)) = party
                    && let Some(notice) = own_progress(notice, id, party.token.as_ref())
                {
                    waiting.offer(id, Heard::Notice(notice), bytes, &self.notes);
                }
            }
            ServerNoticeKind::Message => {
                // Whoever has a request under way comes before whoever listens to the session (number 0).
                let mut wanting = waiting.open.iter().rev().filter(|(_, party)| party.logs == Logs::Wanted);
                // A legacy process serves one session, so its messages are that session's, whichever request hears them.
                // A modern one serves several requests of a principal: with two that listen, whose it is cannot be told.
                let id = match (self.era, wanting.next(), wanting.next()) {
                    (Era::Legacy, Some((&id, _)), _) | (Era::Modern, Some((&id, _)), None) => id,
                    (Era::Legacy | Era::Modern, _, _) => return,
                };
                let notice = ServerNotice { params: detached(&notice.params), ..notice };
                waiting.offer(id, Heard::Notice(notice), bytes, &self.notes);
            }
            // Of the legacy era alone, whose process serves one session.
            ServerNoticeKind::Elicited => {
                if let Some(latest) = waiting.latest() {
                    waiting.offer(latest, Heard::Notice(notice), bytes, &self.notes);
                }
            }
        }
    }

    /// What belongs to no request goes to whoever listens: to the session (legacy), or by the listening that it names (modern, ST-06).
    fn hear_told(&self, told: Told, subscription: Option<&Id>, bytes: usize) {
        self.notes.told(&told);
        let number = match (self.era, subscription) {
            (Era::Legacy, _) => Some(STANDING),
            (Era::Modern, Some(Id::Integer(number))) => u64::try_from(*number).ok(),
            (Era::Modern, Some(Id::Text(_)) | None) => None,
        };
        let mut waiting = self.waiting();
        let listens = |number: &u64| waiting.open.get(number).is_some_and(|party| party.listens);
        if let Some(number) = number.filter(listens) {
            waiting.offer(number, Heard::Told(told), bytes, &self.notes);
        }
    }

    fn hear_ask(&self, request: ServerRequest, bytes: usize) {
        let id = request.id.clone();
        // A legacy process serves one session, so its questions are that session's, whichever request hears them.
        let request = ServerRequest { on: AskedOn { standing: true, ..request.on }, ..request };
        let mut waiting = self.waiting();
        // A request under way comes before the session's own stream (number 0).
        let latest = waiting.latest();
        let heard = latest.is_some_and(|latest| waiting.offer(latest, Heard::Ask(request), bytes, &self.notes));
        drop(waiting);
        if !heard {
            self.tell(&unheard(&id));
        }
    }

    /// Waits until whoever heard most of late has room for more, for as long as its allowance says: a server that tells faster than
    /// its client reads is slowed down, and loses nothing. Other requests of the same process wait meanwhile.
    pub(crate) async fn catch_up(&self) {
        let Some((id, interim, room, wait_max)) = self.waiting().behind() else { return };
        let start = Instant::now();
        let free = async {
            let _place = interim.reserve().await;
            let _bytes = room.acquire_many(u32::try_from(ASK_BYTES_MAX).unwrap_or(u32::MAX)).await;
        };
        let mut last_words = self.last_words.subscribe();
        let waited = async {
            tokio::select! {
                () = free => {}
                _ = last_words.wait_for(|last| *last) => {}
            }
        };
        let in_vain = timeout(wait_max, waited).await.is_err();
        if let Some(party) = self.waiting().open.get_mut(&id) {
            party.allowance.waited(start.elapsed(), in_vain);
        }
    }

    /// The process has ended: nobody is waited for any more, so that its last answer is heard.
    pub(crate) fn hurry(&self) {
        self.last_words.send_replace(true);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing here leaves it half changed, so a panic elsewhere does not spoil it.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StdioFlight {
    /// What the process used since it was looked at last.
    pub(crate) fn used(&self) -> Option<Used> {
        self.talk.watch.used(Instant::now())
    }

    /// Says something beside the request; it is lost where the process reads nothing.
    pub(crate) fn tell(&self, message: &Bytes) {
        self.talk.tell(message);
    }

    /// Leaves more time, for a question that somebody has to answer: to all requests, as any of them may wait for it.
    pub(crate) fn wait_for(&mut self, question: Arc<Question>, after: Duration) {
        self.talk.patience.extend(question, after);
    }

    /// Leaves more time to this one alone.
    pub(crate) fn listen_until(&mut self, until: Instant) {
        self.deadline = self.deadline.max(until);
    }

    /// What is heard next.
    ///
    /// # Errors
    /// The process ended, or the deadline passed.
    pub(crate) async fn next(&mut self) -> Result<Heard, Fault> {
        let listen = async {
            tokio::select! {
                biased;
                Some((heard, _)) = self.interim.recv() => Some(heard),
                answer = &mut self.answer => answer.ok().map(Heard::Answer),
            }
        };
        let heard = self.talk.patience.wait(self.deadline, listen).await;
        let heard = heard.ok_or_else(|| {
            if !self.listens {
                self.talk.misses();
            }
            Fault::TimedOut("no answer came".into())
        })?;
        match heard {
            Some(Heard::Answer(answer)) => {
                self.parting = Parting::Silent;
                Ok(Heard::Answer(answer))
            }
            Some(heard) => Ok(heard),
            None => {
                self.parting = Parting::Silent;
                Err(self.talk.ended())
            }
        }
    }
}

impl Drop for StdioFlight {
    fn drop(&mut self) {
        let mut waiting = self.talk.waiting();
        if self.id != STANDING && waiting.open.remove(&self.id).is_some() {
            if waiting.given_up.len() >= GIVEN_UP_MAX {
                waiting.given_up.pop_front();
            }
            waiting.given_up.push_back(self.id);
        }
        drop(waiting);
        if self.parting == Parting::Cancel {
            self.talk.tell(&outgoing::cancelled(&own_id(self.id)));
        }
    }
}

/// Somebody is there (2025-11-25, Ping).
pub(crate) fn pong(id: &Id) -> Bytes {
    outgoing::response(id, &Answer::Result(Json::empty_object()))
}

/// The answer to a request that is no question to a client.
pub(crate) fn not_a_question(id: &Id, why: &BadInput) -> Bytes {
    let code = match why {
        BadInput::Method => METHOD_NOT_FOUND,
        BadInput::Params { .. } | BadInput::Required { .. } => INVALID_PARAMS,
    };
    outgoing::error(Some(id), &RpcError { code, message: why.to_string().into(), data: None })
}

/// The answer to a question that nobody hears: no call is under way, or too much was asked.
fn unheard(id: &Id) -> Bytes {
    let message = "nobody can be asked now".into();
    outgoing::error(Some(id), &RpcError { code: METHOD_NOT_FOUND, message, data: None })
}

impl Waiting {
    /// Whoever asked last.
    fn latest(&self) -> Option<u64> {
        self.open.keys().next_back().copied()
    }

    /// Queues a message for one of them, see [`Party::offer`].
    fn offer(&mut self, id: u64, heard: Heard, bytes: usize, notes: &Notes) -> bool {
        let Some(party) = self.open.get_mut(&id) else { return false };
        let queued = party.offer(heard, bytes, notes);
        if !party.has_room() {
            self.behind = Some(id);
        }
        queued
    }

    /// Who has no room, what tells when it has, and how long the process may be kept waiting for that.
    fn behind(&mut self) -> Option<(u64, mpsc::Sender<Queued>, Arc<Semaphore>, Duration)> {
        let id = self.behind.take()?;
        let party = self.open.get(&id)?;
        let wait_max = Some(party.allowance.wait_max()).filter(|max| !max.is_zero())?;
        Some((id, party.interim.clone(), party.room.clone(), wait_max))
    }
}

impl Party {
    /// Whether another message would be queued, however long it is.
    fn has_room(&self) -> bool {
        self.interim.capacity() > 0 && self.room.available_permits() >= ASK_BYTES_MAX
    }

    /// Queues a message of `bytes` bytes. It is dropped where there is no room, which is where the reader was waited for long enough:
    /// an answer never is. Whether it was queued.
    fn offer(&mut self, heard: Heard, bytes: usize, notes: &Notes) -> bool {
        let Some(heard) = self.allowance.pass(heard, bytes, notes) else { return false };
        let room = u32::try_from(bytes).ok().and_then(|bytes| self.room.clone().try_acquire_many_owned(bytes).ok());
        let queued = room.is_some_and(|room| self.interim.try_send((heard, room)).is_ok());
        if !queued {
            tracing::debug!(target: "upstream", "a message was dropped, its exchange is slow");
        }
        queued
    }
}

/// JSON-RPC "method not found".
pub(crate) const METHOD_NOT_FOUND: i64 = -32601;
/// JSON-RPC "invalid params".
const INVALID_PARAMS: i64 = -32602;
/// The number under which whoever listens to a legacy session waits: ids count from 1.
const STANDING: u64 = 0;
/// LIMIT: requests that a process lets pass without a word before it is stopped.
const MISSED_MAX: u32 = 3;
const INPUT_MAX: usize = 256;
const INTERIM_MAX: usize = 64;
/// Most bytes of one exchange that wait for their reader.
const QUEUE_BYTES_MAX: usize = 2 * ASK_BYTES_MAX;
const OPEN_MAX: usize = 256;
const GIVEN_UP_MAX: usize = 256;
