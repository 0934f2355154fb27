//! Streamable HTTP: one POST for each message, and its answer as JSON or as an event stream.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use sekisho_egress::{Body, BodyError, Client, Destination, SendError};
use sekisho_wire::back::{self, Message};
use sekisho_wire::sse::Events;
use sekisho_wire::{Answer, Era, Sheets, Version, headers};
use tokio::time::Instant;

use crate::ask::{Ask, own_id, version_header};
use crate::config::Config;
use crate::error::{Fault, chain};
use crate::notes::Notes;
use crate::patience::Patience;
use crate::peer::ENDLESS;
use crate::streamed::{HttpFlight, Parting, Reading};
use crate::tasks::Tasks;

/// A server that is reached over HTTP.
pub(crate) struct Site {
    pub(crate) client: Arc<Client>,
    pub(crate) to: Destination,
    /// Configured ones, values from secrets. They go to the configured origin alone: `to` is the only place this ever sends to,
    /// and no redirect is followed.
    pub(crate) headers: HeaderMap,
    pub(crate) config: Arc<Config>,
    pub(crate) notes: Arc<Notes>,
    pub(crate) tasks: Tasks,
    /// Of requests, counted for the server as a whole: a modern request has no connection that could count, and ids and progress
    /// tokens are unique among what is under way (2026-07-28, Progress).
    pub(crate) ids: AtomicU64,
    /// The pages that it gave before.
    pub(crate) sheets: Arc<Sheets>,
}

/// A conversation over HTTP: a legacy session, or any number of modern requests.
pub(crate) struct HttpTalk {
    site: Arc<Site>,
    version: Version,
    /// The server's own session id; never one of ours or of a client.
    session: Option<HeaderValue>,
    over: AtomicBool,
    patience: Patience,
}

impl Site {
    /// One POST; the head of its answer.
    async fn post(
        &self,
        body: Bytes,
        extra: Vec<(HeaderName, HeaderValue)>,
        deadline: Instant,
    ) -> Result<Response<Body>, Fault> {
        let mut request = self.request(Method::POST, extra);
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        headers.insert(ACCEPT, HeaderValue::from_static(ACCEPTED));
        *request.body_mut() = Full::new(body);
        self.client.send(&self.to, request, deadline.into_std()).await.map_err(send_fault)
    }

    /// A request with all headers that may go out: this list, what mirrors the message, and the configured ones. Nothing of a
    /// client's headers comes here (architecture, property 2).
    fn request(&self, method: Method, extra: Vec<(HeaderName, HeaderValue)>) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::default());
        *request.method_mut() = method;
        let headers = request.headers_mut();
        // Once, with what the client adds (`Host`).
        headers.reserve(self.headers.len() + extra.len() + HEADERS_MORE);
        headers.extend(self.headers.clone());
        for (name, value) in extra {
            headers.insert(name, value);
        }
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        request
    }
}

impl HttpTalk {
    /// A conversation that has not begun (legacy), or needs no beginning (modern).
    pub(crate) fn new(site: Arc<Site>, version: Version) -> Arc<HttpTalk> {
        let (over, patience) = (AtomicBool::new(false), Patience::default());
        Arc::new(HttpTalk { site, version, session: None, over, patience })
    }

    /// The same conversation, begun: with the version and the session that the server chose.
    pub(crate) fn opened(self: &Arc<Self>, version: Version, session: Option<HeaderValue>) -> Arc<HttpTalk> {
        let (over, patience) = (AtomicBool::new(false), Patience::default());
        Arc::new(HttpTalk { site: self.site.clone(), version, session, over, patience })
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// See [`Fault`]; [`Fault::SessionLost`] where the server has forgotten the session.
    pub(crate) async fn ask(self: &Arc<Self>, ask: &Ask<'_>, deadline: Instant) -> Result<HttpFlight, Fault> {
        let id = self.site.ids.fetch_add(1, Ordering::Relaxed);
        let mut extra = ask.headers()?;
        extra.extend(ask.trace_headers());
        extra.extend(self.session_header());
        // Made before anything is sent, so that a caller who goes away while the server thinks cancels, too.
        let mut parting = Parting::of(self, id, ask);
        let sent = self.patiently(deadline, |until| self.site.post(ask.write(id), extra, until)).await;
        let answer = sent.inspect_err(|fault| parting.silence_after(fault))?;
        // Only the opening brings a session; the modern era has none (HT-19).
        let session = if ask.opens() { new_session(&answer)? } else { None };
        let reading = self.patiently(deadline, |until| self.reading(answer, id, until)).await;
        let reading = reading.inspect_err(|fault| parting.silence_after(fault))?;
        Ok(HttpFlight::new(parting, ask, session, reading, deadline))
    }

    /// Does something by `deadline`; while a user is asked on the session's own stream (legacy), later.
    async fn patiently<T, F: Future<Output = Result<T, Fault>>>(
        &self,
        deadline: Instant,
        does: impl FnOnce(Instant) -> F,
    ) -> Result<T, Fault> {
        match self.era() {
            Era::Modern => does(deadline).await,
            Era::Legacy => {
                let done = self.patience.wait(deadline, does(deadline + QUESTIONS_MAX)).await;
                done.unwrap_or_else(|| Err(Fault::TimedOut("no answer came".into())))
            }
        }
    }

    /// Opens the stream on which the server tells the session what belongs to no request (legacy, HT-12).
    ///
    /// # Errors
    /// [`Fault::WrongEra`] where the server has no such stream; else see [`Fault`].
    pub(crate) async fn listen(self: &Arc<Self>, deadline: Instant) -> Result<HttpFlight, Fault> {
        let answer = self.get(None, deadline).await?;
        Ok(HttpFlight::standing(self, self.standing_stream(answer), deadline))
    }

    /// Asks for the rest of a stream that broke off behind this event (legacy, HT-13). `standing`: it is that of the session, and not
    /// that of a request, whose bounds it keeps.
    ///
    /// # Errors
    /// As [`HttpTalk::listen`].
    pub(crate) async fn take_up(
        &self,
        after: HeaderValue,
        standing: bool,
        deadline: Instant,
    ) -> Result<Reading, Fault> {
        let answer = self.get(Some(after), deadline).await?;
        Ok(if standing { self.standing_stream(answer) } else { self.stream(answer) })
    }

    /// An event stream by GET.
    async fn get(&self, after: Option<HeaderValue>, deadline: Instant) -> Result<Response<Body>, Fault> {
        let mut extra = vec![version_header(self.version), (ACCEPT, HeaderValue::from_static(EVENTS))];
        extra.extend(self.session_header());
        extra.extend(after.map(|after| (HeaderName::from_static(headers::LAST_EVENT_ID), after)));
        let request = self.site.request(Method::GET, extra);
        let sent = self.site.client.send(&self.site.to, request, deadline.into_std()).await.map_err(send_fault)?;
        let status = sent.status();
        // 404 should mean that the session is gone; but many servers know no GET at all. A POST will tell.
        if matches!(status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_FOUND) {
            return Err(Fault::WrongEra("it has no stream of its own".into()));
        }
        match (content(sent.headers()), status.is_success()) {
            (Content::Events, true) => Ok(sent),
            (Content::Json | Content::Other, true) => {
                Err(Fault::WrongEra("its stream of its own is no event stream".into()))
            }
            (_, false) => Err(status_fault(status)),
        }
    }

    /// Sends a notification or an answer of ours. What the server says to it matters to nobody, but for a lost session.
    pub(crate) async fn tell(&self, message: Bytes) -> Result<(), Fault> {
        let deadline = Instant::now() + TELL_TIMEOUT;
        let mut extra = vec![version_header(self.version)];
        extra.extend(self.session_header());
        let status = self.site.post(message, extra, deadline).await?.status();
        if status == StatusCode::NOT_FOUND && self.session.is_some() {
            self.over.store(true, Ordering::Relaxed);
            return Err(Fault::SessionLost);
        }
        if status.is_success() { Ok(()) } else { Err(status_fault(status)) }
    }

    /// The same in the background.
    pub(crate) fn tell_later(self: &Arc<Self>, message: Bytes) {
        let talk = self.clone();
        self.site.tasks.spawn(async move {
            if let Err(fault) = talk.tell(message).await {
                tracing::debug!(target: "upstream", %fault, "a message was not delivered");
            }
        });
    }

    pub(crate) fn era(&self) -> Era {
        self.version.era()
    }

    /// How long all of its requests wait at least.
    pub(crate) fn patience(&self) -> &Patience {
        &self.patience
    }

    pub(crate) fn notes(&self) -> &Notes {
        &self.site.notes
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Ends the server's session (HT-18), in the background and as far as it goes.
    pub(crate) fn close(&self) {
        if self.over.swap(true, Ordering::Relaxed) || self.session.is_none() {
            return;
        }
        let mut extra = vec![version_header(self.version)];
        extra.extend(self.session_header());
        let site = self.site.clone();
        self.site.tasks.spawn(async move {
            let request = site.request(Method::DELETE, extra);
            let deadline = Instant::now() + TELL_TIMEOUT;
            // 405 is a server's right (HT-18), and a server that is gone has no session.
            if let Err(error) = site.client.send(&site.to, request, deadline.into_std()).await {
                tracing::debug!(target: "upstream", error = chain(&error), "session not ended");
            }
        });
    }

    fn session_header(&self) -> Option<(HeaderName, HeaderValue)> {
        let session = self.session.clone()?;
        Some((HeaderName::from_static(headers::SESSION_ID), session))
    }

    async fn reading(&self, answer: Response<Body>, id: u64, deadline: Instant) -> Result<Reading, Fault> {
        let status = answer.status();
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(status_fault(status));
        }
        // Legacy JSON-RPC errors come with 200, so 404 is about the session: nothing was done (HT-17).
        if status == StatusCode::NOT_FOUND && self.session.is_some() {
            self.over.store(true, Ordering::Relaxed);
            return Err(Fault::SessionLost);
        }
        match (content(answer.headers()), status.is_success()) {
            (Content::Json, true) => self.whole(answer, id, deadline).await.map(|answer| Reading::Whole(Some(answer))),
            // Modern errors of the protocol come with 400 or 404 and a body that says more (HT-21 to HT-24, HT-35).
            (Content::Json, false) => match self.whole(answer, id, deadline).await {
                Ok(Answer::Error(error)) => Ok(Reading::Whole(Some(Answer::Error(error)))),
                Ok(Answer::Result(_)) | Err(Fault::Garbled(_)) => Err(status_fault(status)),
                Err(fault) => Err(fault),
            },
            (Content::Events, true) => Ok(self.stream(answer)),
            (Content::Other, true) => {
                Err(Fault::Garbled(format!("its answer ({status}) is neither JSON nor an event stream").into()))
            }
            (Content::Events | Content::Other, false) => Err(status_fault(status)),
        }
    }

    /// Reads the one message of a JSON answer.
    async fn whole(&self, answer: Response<Body>, id: u64, deadline: Instant) -> Result<Answer, Fault> {
        let bytes_max = u64::try_from(self.site.config.answer_bytes_max).unwrap_or(u64::MAX);
        let body = answer.into_body().bounded(bytes_max, until(deadline));
        let text = body.collect_by(deadline.into_std()).await.map_err(|error| body_fault(&error))?;
        match self.decode(text)? {
            Message::Answer { id: theirs, answer } if theirs == own_id(id) => Ok(answer),
            Message::Answer { .. } => {
                self.site.notes.suspicious("it sent an answer to no request", "");
                Err(Fault::Garbled("its answer has the id of no request".into()))
            }
            // It could not read the request; which one is plain from where it says so.
            Message::Fault(error) => Ok(Answer::Error(error)),
            Message::Notice(_)
            | Message::OtherNotice { .. }
            | Message::Told { .. }
            | Message::Ask(_)
            | Message::Withdrawn { .. }
            | Message::Ping { .. }
            | Message::BadAsk { .. } => Err(Fault::Garbled("its answer is no answer".into())),
        }
    }

    /// Each event is bounded; how many there are, and how long nothing is said, is for whoever listens.
    fn standing_stream(&self, answer: Response<Body>) -> Reading {
        self.events(answer, u64::MAX, ENDLESS)
    }

    fn stream(&self, answer: Response<Body>) -> Reading {
        let event_bytes_max = self.site.config.answer_bytes_max;
        let bytes_max = u64::try_from(event_bytes_max).unwrap_or(u64::MAX).saturating_mul(STREAM_EVENTS);
        // Silence is bounded by the deadline of the exchange: a server may think as long as the call may take.
        self.events(answer, bytes_max, SILENCE_MAX)
    }

    fn events(&self, answer: Response<Body>, bytes_max: u64, silence_max: Duration) -> Reading {
        let body = Box::new(answer.into_body().bounded(bytes_max, silence_max));
        Reading::Stream { body, events: Events::new(self.site.config.answer_bytes_max), queue: VecDeque::new() }
    }

    /// One message of the server.
    pub(crate) fn decode(&self, text: Bytes) -> Result<Message, Fault> {
        let limits = self.site.config.answer_limits();
        let message = back::decode_knowing(&self.site.sheets, text, self.version.era(), &limits);
        message.map_err(|error| Fault::Garbled(chain(&error).into()))
    }
}

impl Drop for HttpTalk {
    fn drop(&mut self) {
        self.close();
    }
}

/// The session id that an answer brings, if it is one (HT-15).
fn new_session(answer: &Response<Body>) -> Result<Option<HeaderValue>, Fault> {
    let mut given = answer.headers().get_all(headers::SESSION_ID).iter();
    let Some(session) = given.next() else { return Ok(None) };
    let visible = session.as_bytes().iter().all(|byte| matches!(byte, 0x21..=0x7e));
    let bounded = (1..=SESSION_BYTES_MAX).contains(&session.as_bytes().len());
    if !visible || !bounded || given.next().is_some() {
        return Err(Fault::Garbled("its session id is not visible ASCII of a bounded length, once".into()));
    }
    let mut session = session.clone();
    session.set_sensitive(true);
    Ok(Some(session))
}

/// What an answer's `Content-Type` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Json,
    Events,
    Other,
}

fn content(headers: &HeaderMap) -> Content {
    let written = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = written.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(JSON) {
        Content::Json
    } else if essence.eq_ignore_ascii_case(EVENTS) {
        Content::Events
    } else {
        Content::Other
    }
}

fn status_fault(status: StatusCode) -> Fault {
    let words = format!("it answered HTTP status {}", status.as_u16());
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        Fault::Denied(words.into())
    } else if status.is_redirection() {
        Fault::Unreachable(format!("{words}; redirects are not followed").into())
    } else if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        Fault::Unreachable(words.into())
    } else {
        Fault::Garbled(words.into())
    }
}

fn send_fault(error: SendError) -> Fault {
    let words = chain(&error).into();
    match error {
        SendError::Refused(_) | SendError::Connect(_) => Fault::Unreachable(words),
        SendError::Late => Fault::TimedOut(words),
        SendError::HeadTooLong => Fault::Garbled(words),
        SendError::Exchange(_) => Fault::Ended(words),
    }
}

pub(crate) fn body_fault(error: &BodyError) -> Fault {
    let words = chain(error).into();
    match error {
        BodyError::TooLong { .. } => Fault::Garbled(words),
        BodyError::Late => Fault::TimedOut(words),
        BodyError::Broken(_) => Fault::Ended(words),
    }
}

fn until(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
const ACCEPTED: &str = "application/json, text/event-stream";
const AGENT: &str = concat!("sekisho/", env!("CARGO_PKG_VERSION"));
/// LIMIT: how much later than its time a request may be answered while users are asked. The corridor bounds it before.
const QUESTIONS_MAX: Duration = Duration::from_secs(3600);
/// How long a notification or the end of a session may take.
const TELL_TIMEOUT: Duration = Duration::from_secs(5);
/// Headers that every POST has beside those that differ: of its content, what is accepted, who asks, and whom.
const HEADERS_MORE: usize = 4;
/// Longest session id of a server.
const SESSION_BYTES_MAX: usize = 1024;
/// A stream may be this many times as long as its longest message.
const STREAM_EVENTS: u64 = 4;
/// Longer than any deadline can be (`timeout_seconds` is 3,600 at most).
const SILENCE_MAX: Duration = Duration::from_secs(3600);
