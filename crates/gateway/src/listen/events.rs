//! An event stream: a conversation as server-sent events (HT-08, HT-34), which a client may take up again (HT-09, HT-13).
//!
//! Everything said has a number. What was handed to the connection is kept for a while, as nobody knows what of it arrived; what
//! was not, waits. So a stream whose client has left goes on by itself, and says the rest to whoever takes it up.

use std::collections::VecDeque;
use std::future::pending;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use sekisho_identity::{PrincipalKey, Session, SessionKey};
use sekisho_wire::{Version, sse};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::body::Body;
use super::converse::{Heard, Said};
use super::respond;
use crate::streams::{Again, Kind, Stay, Streams};

/// Whose stream it is.
pub(super) struct Teller<'a> {
    pub(super) streams: &'a Arc<Streams>,
    /// Of the rooms by which it is decided what may be heard.
    pub(super) epoch: u64,
    /// Who may take it up again; none may in the modern era (HT-14).
    pub(super) session: Option<(PrincipalKey, Arc<Session>)>,
    pub(super) kind: Kind,
}

impl Teller<'_> {
    /// Tells a conversation as events. `first`: what was said already.
    pub(super) fn tell(&self, first: Option<Bytes>, said: Heard) -> Response<Body> {
        let (to, receive) = channel();
        let session = self.session.as_ref();
        let stay = session.and_then(|(who, session)| self.streams.enter(*who, session.key(), self.kind));
        // Older clients take an event without data for a broken message.
        let primes = session.is_some_and(|(_, session)| session.version() >= Version::V2025_11_25);
        tokio::spawn(Telling::new(said, stay, (primes, self.epoch, TIMES), to).begin(first).run());
        response(receive)
    }
}

/// The response of an event stream.
pub(super) fn response(events: mpsc::Receiver<Bytes>) -> Response<Body> {
    let mut response = respond::with(StatusCode::OK, Body::events(events));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// Where the rest goes of a stream that is taken up again.
pub(super) fn channel() -> (mpsc::Sender<Bytes>, mpsc::Receiver<Bytes>) {
    mpsc::channel(EVENTS_AHEAD)
}

struct Telling<S: Copy + Eq + Hash = SessionKey> {
    /// None once all is said.
    said: Option<Heard>,
    kept: VecDeque<Event>,
    kept_bytes: usize,
    /// The number of the last event.
    last: u64,
    /// The number of the next event to hand over.
    next: u64,
    stay: Option<Stay<S>>,
    /// The client knows events without data, which say that a stream can be taken up.
    primes: bool,
    /// Of the rooms by which it was decided what may be heard.
    epoch: u64,
    times: Times,
    /// The connection, if there is one.
    to: Option<mpsc::Sender<Bytes>>,
    /// Since when there is none.
    alone_since: Instant,
    alive_at: Instant,
}

/// How long is waited for what.
#[derive(Clone, Copy)]
struct Times {
    /// Between two signs of life.
    keep_alive: Duration,
    /// For a client that leaves unread what waits in its connection, beyond `keep_alive`.
    stalled_max: Duration,
    /// For a client to come back.
    again_within: Duration,
}

struct Event {
    number: u64,
    bytes: Bytes,
}

impl<S: Copy + Eq + Hash> Telling<S> {
    fn new(
        said: Heard,
        stay: Option<Stay<S>>,
        (primes, epoch, times): (bool, u64, Times),
        to: mpsc::Sender<Bytes>,
    ) -> Telling<S> {
        let now = Instant::now();
        Telling {
            said: Some(said),
            kept: VecDeque::new(),
            kept_bytes: 0,
            last: 0,
            next: 1,
            stay,
            primes,
            epoch,
            times,
            to: Some(to),
            alone_since: now,
            alive_at: now + times.keep_alive,
        }
    }

    /// With what was said already.
    fn begin(mut self, first: Option<Bytes>) -> Telling<S> {
        let primes = self.primes;
        if first.is_none() || primes {
            self.keep(|id| match id.filter(|_| primes) {
                Some(id) => sse::prime(id, RETRY_MS),
                None => Bytes::from_static(sse::KEEP_ALIVE),
            });
        }
        if let Some(first) = first {
            self.say(&first);
        }
        self
    }

    async fn run(mut self) {
        loop {
            let (unsent, connected) = (self.next <= self.last, self.to.is_some());
            if self.said.is_none() && !unsent && self.stay.is_none() {
                return;
            }
            // Only what was handed over is followed by more: a slow reader slows its own conversation down.
            let hears = !(connected && unsent);
            tokio::select! {
                said = hear(&mut self.said), if hears => self.take(said),
                open = has_place(self.to.as_ref()), if unsent && connected => match open {
                    true => self.hand_over(),
                    false => self.part(),
                },
                () = closed(self.to.as_ref()), if connected => self.part(),
                again = again(&mut self.stay) => match again {
                    Some(again) => self.attach(again),
                    None => self.forget(),
                },
                () = sleep_until(self.alive_at), if connected && !unsent => {
                    if let Some(to) = &self.to {
                        // Full only while the client reads nothing, and then a sign of life is of no use.
                        let _sent = to.try_send(Bytes::from_static(sse::KEEP_ALIVE));
                    }
                    self.alive_at = Instant::now() + self.times.keep_alive;
                }
                () = sleep_until(self.alive_at + self.times.stalled_max), if connected && unsent => self.part(),
                () = sleep_until(self.alone_since + self.times.again_within), if !connected => return,
            }
            // Nobody listens, and nobody can come back: the conversation goes on by itself (HT-10) or ends (HT-11).
            if self.to.is_none() && self.stay.is_none() {
                return;
            }
        }
    }

    fn take(&mut self, said: Option<Said>) {
        match said {
            Some(Said::Message(message)) => self.say(&message.bytes),
            Some(Said::Session(_) | Said::Absorbed | Said::Listening) => {}
            Some(Said::Refused { message: Some(message), .. }) => self.say(&message),
            Some(Said::Refused { message: None, .. }) | None => {
                self.said = None;
                // The session's own stream has no answer that could be missed: its client opens another.
                if self.stay.as_ref().is_some_and(|stay| stay.kind() == Kind::Session) {
                    self.forget();
                }
                if let Some(stay) = &self.stay {
                    stay.is_over();
                }
                self.part_if_over();
            }
        }
    }

    /// Hands the next event to the connection, which has a place for it: nobody else sends there.
    fn hand_over(&mut self) {
        if let (Some(to), Some(event)) = (&self.to, self.kept.iter().find(|event| event.number >= self.next)) {
            let _sent = to.try_send(event.bytes.clone());
            self.next = event.number + 1;
        }
        self.alive_at = Instant::now() + self.times.keep_alive;
        self.thin_out();
        self.part_if_over();
    }

    fn say(&mut self, message: &[u8]) {
        self.keep(|id| sse::event(message, id));
    }

    /// Keeps an event until it is handed over, and a while longer if the stream may be taken up again.
    fn keep(&mut self, written: impl FnOnce(Option<&sse::EventId>) -> Bytes) {
        let number = self.last + 1;
        let id = self.stay.as_ref().and_then(|stay| stay.id(number));
        let bytes = written(id.as_ref());
        // A call does not wait for a client that has left (HT-10): past the bounds it goes on unheard.
        let alone_max =
            self.to.is_none() && (self.kept.len() >= ALONE_EVENTS_MAX || self.kept_bytes >= ALONE_BYTES_MAX);
        if self.stay.as_ref().is_some_and(|stay| alone_max || !stay.hold(bytes.len())) {
            self.forget();
        }
        self.last = number;
        self.kept_bytes += bytes.len();
        self.kept.push_back(Event { number, bytes });
    }

    /// Lets go of what was handed over and is past the bounds, the last event aside.
    fn thin_out(&mut self) {
        let (events_max, bytes_max) = if self.stay.is_some() { (EVENTS_MAX, BYTES_MAX) } else { (0, 0) };
        while let Some(oldest) = self.kept.front() {
            let past = self.kept.len() > events_max || self.kept_bytes > bytes_max;
            let needed = oldest.number >= self.next || (self.stay.is_some() && self.kept.len() == 1);
            if !past || needed {
                return;
            }
            let bytes = oldest.bytes.len();
            self.kept.pop_front();
            self.kept_bytes -= bytes;
            if let Some(stay) = &self.stay {
                stay.free(bytes);
            }
        }
    }

    /// A client takes it up: it hears what is behind the last event that it has.
    fn attach(&mut self, again: Again) {
        // An event that was never said was made up, and of what is not kept any more, nothing may be missing.
        let first = self.kept.front().map_or(self.last + 1, |event| event.number);
        let told = (first.saturating_sub(1).max(1)..=self.last).contains(&again.after);
        // What may be heard was decided once, and stands as long as that could not differ.
        let fits = told && again.epoch == self.epoch;
        if !fits || again.taken.send(()).is_err() {
            return;
        }
        self.next = again.after + 1;
        self.to = Some(again.to);
        self.alive_at = Instant::now();
        self.part_if_over();
    }

    /// All is said and handed over: the connection ends, and for a while the rest may be asked for again.
    fn part_if_over(&mut self) {
        if self.said.is_none() && self.next > self.last {
            self.part();
        }
    }

    fn part(&mut self) {
        self.to = None;
        self.alone_since = Instant::now();
    }

    /// It cannot be taken up again from here on.
    fn forget(&mut self) {
        self.stay = None;
        self.thin_out();
    }
}

async fn hear(said: &mut Option<Heard>) -> Option<Said> {
    match said {
        Some(said) => said.next().await,
        None => pending().await,
    }
}

/// Whether it is still there once it takes another event.
async fn has_place(to: Option<&mpsc::Sender<Bytes>>) -> bool {
    match to {
        Some(to) => to.reserve().await.is_ok(),
        None => pending().await,
    }
}

async fn closed(to: Option<&mpsc::Sender<Bytes>>) {
    match to {
        Some(to) => to.closed().await,
        None => pending().await,
    }
}

async fn again<S: Copy + Eq + Hash>(stay: &mut Option<Stay<S>>) -> Option<Again> {
    match stay {
        Some(stay) => stay.again().await,
        None => pending().await,
    }
}

/// LIMIT: events that wait in a connection.
const EVENTS_AHEAD: usize = 16;
/// LIMIT: events of one stream that are kept behind what was handed over.
const EVENTS_MAX: usize = 128;
/// LIMIT: their bytes, the last one's aside.
const BYTES_MAX: usize = 256 * 1024;
/// LIMIT: the same while nobody listens, what was not handed over included.
const ALONE_EVENTS_MAX: usize = 256;
const ALONE_BYTES_MAX: usize = 512 * 1024;
const TIMES: Times = Times {
    keep_alive: Duration::from_secs(15),
    stalled_max: Duration::from_secs(45),
    again_within: Duration::from_secs(60),
};
/// When a client shall come back, in milliseconds.
const RETRY_MS: u32 = 1000;

#[cfg(test)]
mod tests;
