//! An answer over HTTP as it comes in: one JSON message, or an event stream up to the answer.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use sekisho_catalog::Question;
use sekisho_egress::Body;
use sekisho_wire::back::Message;
use sekisho_wire::server::{AskedOn, ServerNotice, ServerNoticeKind, ServerRequest};
use sekisho_wire::sse::{Event, Events};
use sekisho_wire::{Answer, Era, Id, outgoing};
use tokio::time::{Instant, sleep};

use crate::allowance::Allowance;
use crate::ask::{Ask, Heard, Logs, own_id, own_progress};
use crate::error::Fault;
use crate::patience::Patience;
use crate::stdio;
use crate::streamable::{HttpTalk, body_fault};

/// One request under way. Dropped before its answer, it is cancelled: by a notification (legacy, HT-10) or by its stream being
/// closed (modern, HT-11).
pub(crate) struct HttpFlight {
    parting: Parting,
    asked: Asked,
    session: Option<HeaderValue>,
    reading: Reading,
    again: Again,
    deadline: Instant,
    /// For its own questions.
    patience: Patience,
}

/// How a stream that breaks off is taken up again (HT-09, HT-13).
struct Again {
    /// The id of the last event that was heard, if events have ids.
    after: Option<HeaderValue>,
    /// How long the server wants to be left alone before.
    pause: Duration,
    /// How often it was tried since something was heard.
    tries: u32,
}

/// What is known of the request that an answer belongs to.
struct Asked {
    token: Option<Id>,
    logs: Logs,
    allowance: Allowance,
    /// It is the stream of a session, and not that of a request (legacy).
    standing: bool,
}

/// How an answer comes.
pub(crate) enum Reading {
    /// As one JSON message.
    Whole(Option<Answer>),
    /// As events, the answer last.
    Stream { body: Box<Body>, events: Events, queue: VecDeque<Event> },
    /// As events, of which the rest is asked for.
    Reopening(Reopening),
    /// It has come.
    Done,
}

type Reopening = Pin<Box<dyn Future<Output = Result<Reading, Fault>> + Send>>;

impl HttpFlight {
    pub(crate) fn new(
        mut parting: Parting,
        ask: &Ask<'_>,
        session: Option<HeaderValue>,
        reading: Reading,
        deadline: Instant,
    ) -> HttpFlight {
        if let Reading::Whole(_) = reading {
            parting.silence();
        }
        let allowance = if ask.listens() { Allowance::standing() } else { Allowance::default() };
        let asked = Asked { token: ask.token.clone(), logs: ask.logs, allowance, standing: false };
        HttpFlight {
            parting,
            asked,
            session,
            reading,
            again: Again::default(),
            deadline,
            patience: Patience::default(),
        }
    }

    /// The stream of a legacy session (GET). No request is under way on it, so that nothing is cancelled with it.
    pub(crate) fn standing(talk: &Arc<HttpTalk>, reading: Reading, deadline: Instant) -> HttpFlight {
        let asked = Asked { token: None, logs: Logs::Wanted, allowance: Allowance::standing(), standing: true };
        let parting = Parting { talk: talk.clone(), id: 0, cancels: false };
        HttpFlight {
            parting,
            asked,
            session: None,
            reading,
            again: Again::default(),
            deadline,
            patience: Patience::default(),
        }
    }

    /// The session id that came with the answer.
    pub(crate) fn session(&self) -> Option<&HeaderValue> {
        self.session.as_ref()
    }

    /// What is heard next. Safe to drop and call again.
    ///
    /// # Errors
    /// The stream ended, is not MCP, or the deadline passed.
    pub(crate) async fn next(&mut self) -> Result<Heard, Fault> {
        loop {
            let (body, events, queue) = match &mut self.reading {
                Reading::Whole(answer) => return answer.take().map(Heard::Answer).ok_or_else(ended),
                Reading::Done => return Err(ended()),
                Reading::Reopening(reopening) => {
                    let waited = self.parting.talk.patience().wait(self.patience.after(self.deadline), reopening).await;
                    let reading = waited.ok_or_else(late)?;
                    match reading {
                        Ok(reading) => self.reading = reading,
                        // Whatever it is, the request itself was sent: nobody may take it for not done.
                        Err(Fault::Unreachable(_) | Fault::Ended(_)) => self.reopen(not_taken_up())?,
                        Err(_) => return Err(not_taken_up()),
                    }
                    continue;
                }
                Reading::Stream { body, events, queue } => (body, events, queue),
            };
            if let Some(event) = queue.pop_front() {
                if let Some(heard) = self.hear(event)? {
                    return Ok(heard);
                }
                continue;
            }
            // Looked at here, too: a stream that always has something to say never lets a timer have its turn.
            if Instant::now() >= self.parting.talk.patience().after(self.patience.after(self.deadline)) {
                return Err(late());
            }
            let chunk = self.parting.talk.patience().wait(self.patience.after(self.deadline), body.chunk()).await;
            let chunk = match chunk.ok_or_else(late)? {
                Some(Ok(chunk)) => chunk,
                Some(Err(error)) => {
                    self.reopen(body_fault(&error))?;
                    continue;
                }
                None => {
                    self.reopen(ended())?;
                    continue;
                }
            };
            let mut completed = Vec::new();
            let fed = events.feed(&chunk, &mut completed);
            queue.extend(completed);
            fed.map_err(|error| Fault::Garbled(error.to_string().into()))?;
        }
    }

    /// Asks for the rest of a stream that broke off, if its server lets it be taken up again.
    ///
    /// # Errors
    /// The fault that it broke off with.
    fn reopen(&mut self, fault: Fault) -> Result<(), Fault> {
        let talk = &self.parting.talk;
        let broke_off = matches!(fault, Fault::Ended(_));
        let (true, Era::Legacy, Some(after)) = (broke_off, talk.era(), self.again.after.clone()) else {
            return Err(fault);
        };
        if self.again.tries >= TRIES_MAX {
            return Err(fault);
        }
        self.again.tries += 1;
        let (talk, pause, standing, deadline) = (
            Arc::clone(talk),
            self.again.pause,
            self.asked.standing,
            talk.patience().after(self.patience.after(self.deadline)),
        );
        self.reading = Reading::Reopening(Box::pin(async move {
            sleep(pause).await;
            talk.take_up(after, standing, deadline).await
        }));
        Ok(())
    }

    /// What an event says, if it matters here.
    fn hear(&mut self, event: Event) -> Result<Option<Heard>, Fault> {
        self.again.heard(&event);
        let named = event.name.as_deref().is_some_and(|name| name != "message");
        if named || event.data.is_empty() {
            return Ok(None);
        }
        let bytes = event.data.len();
        match self.parting.talk.decode(event.data)? {
            Message::Answer { id, answer } if id == own_id(self.parting.id) && !self.asked.standing => {
                self.finish();
                Ok(Some(Heard::Answer(answer)))
            }
            Message::Answer { .. } => {
                self.parting.talk.notes().suspicious("it sent an answer to no request", "");
                Ok(None)
            }
            Message::Fault(error) => {
                self.finish();
                Ok(Some(Heard::Answer(Answer::Error(error))))
            }
            Message::Notice(notice) => Ok(self.hear_notice(notice, bytes)),
            Message::Told { told, subscription } => {
                let ours = match self.parting.talk.era() {
                    Era::Legacy => self.asked.standing,
                    Era::Modern => subscription == Some(own_id(self.parting.id)),
                };
                let notes = self.parting.talk.notes();
                notes.told(&told);
                Ok(ours.then(|| self.asked.allowance.pass(Heard::Told(told), bytes, notes)).flatten())
            }
            Message::OtherNotice { method } => {
                tracing::debug!(target: "upstream", %method, "notification of no effect");
                Ok(None)
            }
            Message::Ask(request) => {
                let on = AskedOn { standing: self.asked.standing, ..request.on };
                let asked = Heard::Ask(ServerRequest { on, ..request });
                Ok(self.asked.allowance.pass(asked, bytes, self.parting.talk.notes()))
            }
            Message::Withdrawn { id } => {
                Ok(self.asked.allowance.pass(Heard::Withdrawn(id), bytes, self.parting.talk.notes()))
            }
            Message::Ping { id } => Ok(self.answer(stdio::pong(&id), bytes)),
            Message::BadAsk { id, why } => Ok(self.answer(stdio::not_a_question(&id, &why), bytes)),
        }
    }

    fn hear_notice(&mut self, notice: ServerNotice, bytes: usize) -> Option<Heard> {
        let notice = match notice.kind {
            ServerNoticeKind::Progress => own_progress(notice, self.parting.id, self.asked.token.as_ref())?,
            ServerNoticeKind::Message if self.asked.logs == Logs::Wanted => notice,
            ServerNoticeKind::Message => return None,
            ServerNoticeKind::Elicited => notice,
        };
        self.asked.allowance.pass(Heard::Notice(notice), bytes, self.parting.talk.notes())
    }

    /// Answers what is nobody's business but ours and the server's. An answer costs a request of ours, so their number is bounded.
    fn answer(&mut self, answer: Bytes, bytes: usize) -> Option<Heard> {
        if self.asked.allowance.answers(bytes, self.parting.talk.notes()) {
            self.tell_later(answer);
        }
        None
    }

    /// Says something beside the request, in the background.
    pub(crate) fn tell_later(&self, message: Bytes) {
        self.parting.talk.tell_later(message);
    }

    /// Leaves more time, for a question that somebody has to answer. Any request of the session may wait for one that came on its own
    /// stream.
    pub(crate) fn wait_for(&mut self, question: Arc<Question>, after: Duration) {
        if self.asked.standing {
            self.parting.talk.patience().extend(question, after);
        } else {
            self.patience.extend(question, after);
        }
    }

    /// Leaves more time to this one alone.
    pub(crate) fn listen_until(&mut self, until: Instant) {
        self.deadline = self.deadline.max(until);
    }

    /// The answer is there; a second one that came with it belongs to nobody.
    fn finish(&mut self) {
        self.parting.silence();
        let Reading::Stream { queue, .. } = std::mem::replace(&mut self.reading, Reading::Done) else { return };
        let talk = &self.parting.talk;
        let answers = |event: Event| matches!(talk.decode(event.data), Ok(Message::Answer { .. }));
        if queue.into_iter().any(answers) {
            talk.notes().suspicious("it sent an answer to no request", "");
        }
    }
}

impl Default for Again {
    fn default() -> Again {
        Again { after: None, pause: PAUSE, tries: 0 }
    }
}

impl Again {
    fn heard(&mut self, event: &Event) {
        if let Some(id) = event.id.as_deref() {
            let bounded = Some(id).filter(|id| (1..=EVENT_ID_BYTES_MAX).contains(&id.len()));
            self.after = bounded.and_then(|id| HeaderValue::try_from(id).ok());
        }
        if let Some(pause_ms) = event.retry_ms {
            self.pause = Duration::from_millis(pause_ms).clamp(PAUSE_MIN, PAUSE_MAX);
        }
        if !event.data.is_empty() {
            self.tries = 0;
        }
    }
}

/// What is said when a request is dropped.
pub(crate) struct Parting {
    talk: Arc<HttpTalk>,
    id: u64,
    cancels: bool,
}

impl Parting {
    /// A legacy request is cancelled by name; a modern one by its stream, and the opening of a conversation not at all.
    pub(crate) fn of(talk: &Arc<HttpTalk>, id: u64, ask: &Ask<'_>) -> Parting {
        Parting { talk: talk.clone(), id, cancels: talk.era() == Era::Legacy && !ask.opens() }
    }

    /// There is nothing to cancel any more.
    pub(crate) fn silence(&mut self) {
        self.cancels = false;
    }

    /// There is nothing to cancel after this fault, unless the server may still be at work.
    pub(crate) fn silence_after(&mut self, fault: &Fault) {
        match fault {
            Fault::TimedOut(_) | Fault::Ended(_) => {}
            Fault::Unreachable(_)
            | Fault::Garbled(_)
            | Fault::WrongEra(_)
            | Fault::Busy(_)
            | Fault::Denied(_)
            | Fault::SessionLost => self.silence(),
        }
    }
}

impl Drop for Parting {
    fn drop(&mut self) {
        if self.cancels && !self.talk.is_over() {
            self.talk.tell_later(outgoing::cancelled(&own_id(self.id)));
        }
    }
}

fn ended() -> Fault {
    Fault::Ended("the stream ended before the answer".into())
}

fn not_taken_up() -> Fault {
    Fault::Ended("the stream ended before the answer, and its rest was not given".into())
}

fn late() -> Fault {
    Fault::TimedOut("no answer came".into())
}

/// LIMIT: tries to take a stream up again, one after another without anything heard.
const TRIES_MAX: u32 = 20;
/// LIMIT: an event id that is handed back.
const EVENT_ID_BYTES_MAX: usize = 1024;
/// How long a server is left alone that says nothing of it.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);
