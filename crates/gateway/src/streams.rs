//! Streams that a client may take up again where its connection broke off (HT-09, HT-13).
//!
//! A stream belongs to the session it was opened in, and nobody else finds it: an event id is a place in a stream, never a right to
//! it. What a stream has said is kept for a while, bounded per stream, per principal and in all. Past the bounds a stream is told
//! once and cannot be taken up again; nobody's call fails over it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use bytes::Bytes;
use sekisho_identity::{PrincipalKey, SessionKey};
use sekisho_wire::sse::EventId;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// What a stream belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A call: it ends with the answer.
    Call,
    /// The session's own stream.
    Session,
}

/// A place in a stream: behind the event of this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) kind: Kind,
    stream: u64,
    pub(crate) event: u64,
}

/// A client that takes a stream up again.
pub(crate) struct Again {
    /// The last event that it has.
    pub(crate) after: u64,
    /// The epoch of the rooms by which it was let in.
    pub(crate) epoch: u64,
    /// Where the rest goes.
    pub(crate) to: mpsc::Sender<Bytes>,
    /// Told once the stream has taken it.
    pub(crate) taken: oneshot::Sender<()>,
}

/// Every stream that may be taken up again.
pub(crate) struct Streams<S = SessionKey> {
    /// By the first byte of the principal's key, so that no two callers wait for each other without need.
    shards: [Shard<S>; SHARDS],
    bytes: AtomicUsize,
}

type Shard<S> = Mutex<HashMap<PrincipalKey, Own<S>>>;

/// One principal's.
struct Own<S> {
    streams: HashMap<(S, u64), Entry>,
    bytes: usize,
}

struct Entry {
    to: mpsc::Sender<Again>,
    /// When its last event was said.
    over: Option<Instant>,
    bytes: usize,
}

/// A stream's own entry; leaves the table when dropped.
pub(crate) struct Stay<S: Copy + Eq + Hash = SessionKey> {
    of: Arc<Streams<S>>,
    who: PrincipalKey,
    session: S,
    kind: Kind,
    stream: u64,
    again: mpsc::Receiver<Again>,
}

impl<S> Default for Streams<S> {
    fn default() -> Streams<S> {
        Streams { shards: std::array::from_fn(|_| Mutex::default()), bytes: AtomicUsize::new(0) }
    }
}

impl<S: Copy + Eq + Hash> Streams<S> {
    /// Enters a stream; none where the principal has as many as are kept.
    pub(crate) fn enter(self: &Arc<Self>, who: PrincipalKey, session: S, kind: Kind) -> Option<Stay<S>> {
        let mut number = [0; 8];
        SystemRandom::new().fill(&mut number).ok()?;
        let stream = u64::from_be_bytes(number);
        let (to, again) = mpsc::channel(1);
        let mut shard = self.shard(who);
        let own = shard.entry(who).or_insert_with(|| Own { streams: HashMap::new(), bytes: 0 });
        if own.streams.len() >= STREAMS_MAX {
            self.forget_oldest(own);
        }
        if own.streams.len() >= STREAMS_MAX {
            return None;
        }
        own.streams.insert((session, stream), Entry { to, over: None, bytes: 0 });
        Some(Stay { of: Arc::clone(self), who, session, kind, stream, again })
    }

    /// The way to a stream of this session; none if it has none of this number.
    pub(crate) fn find(&self, who: PrincipalKey, session: S, place: Place) -> Option<mpsc::Sender<Again>> {
        let shard = self.shard(who);
        let entry = shard.get(&who)?.streams.get(&(session, place.stream))?;
        Some(entry.to.clone())
    }

    fn shard(&self, who: PrincipalKey) -> MutexGuard<'_, HashMap<PrincipalKey, Own<S>>> {
        let [first, ..] = *who.as_bytes();
        let [zero, ..] = &self.shards;
        let shard = self.shards.get(usize::from(first) % SHARDS).unwrap_or(zero);
        // Nothing between lock and unlock panics.
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the stream whose last event was said longest ago. False if all still say something.
    fn forget_oldest(&self, own: &mut Own<S>) -> bool {
        let over = own.streams.iter().filter_map(|(key, entry)| Some((entry.over?, *key)));
        let Some((_, key)) = over.min_by_key(|(since, _)| *since) else { return false };
        self.remove(own, key);
        true
    }

    fn remove(&self, own: &mut Own<S>, key: (S, u64)) {
        let Some(entry) = own.streams.remove(&key) else { return };
        own.bytes -= entry.bytes;
        self.bytes.fetch_sub(entry.bytes, Ordering::Relaxed);
    }
}

impl<S: Copy + Eq + Hash> Stay<S> {
    /// The id of an event.
    pub(crate) fn id(&self, event: u64) -> Option<EventId> {
        let place = Place { kind: self.kind, stream: self.stream, event };
        EventId::parse(&place.written())
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Takes room for an event; false where there is none, or where the stream was forgotten to make room for others.
    pub(crate) fn hold(&self, bytes: usize) -> bool {
        let mut shard = self.of.shard(self.who);
        let Some(own) = shard.get_mut(&self.who) else { return false };
        let full = |own: &Own<S>| {
            own.bytes + bytes > PRINCIPAL_BYTES_MAX || self.of.bytes.load(Ordering::Relaxed) + bytes > BYTES_MAX
        };
        while full(own) {
            if !self.of.forget_oldest(own) {
                return false;
            }
        }
        let Some(entry) = own.streams.get_mut(&(self.session, self.stream)) else { return false };
        entry.bytes += bytes;
        own.bytes += bytes;
        self.of.bytes.fetch_add(bytes, Ordering::Relaxed);
        true
    }

    /// Gives the room of an event back.
    pub(crate) fn free(&self, bytes: usize) {
        let mut shard = self.of.shard(self.who);
        let Some(own) = shard.get_mut(&self.who) else { return };
        let Some(entry) = own.streams.get_mut(&(self.session, self.stream)) else { return };
        entry.bytes -= bytes;
        own.bytes -= bytes;
        self.of.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Its last event was said.
    pub(crate) fn is_over(&self) {
        let mut shard = self.of.shard(self.who);
        let entry = shard.get_mut(&self.who).and_then(|own| own.streams.get_mut(&(self.session, self.stream)));
        if let Some(entry) = entry {
            entry.over = Some(Instant::now());
        }
    }

    /// Waits for a client that takes it up again; none once the stream was forgotten.
    pub(crate) async fn again(&mut self) -> Option<Again> {
        self.again.recv().await
    }
}

impl<S: Copy + Eq + Hash> Drop for Stay<S> {
    fn drop(&mut self) {
        let mut shard = self.of.shard(self.who);
        let Some(own) = shard.get_mut(&self.who) else { return };
        self.of.remove(own, (self.session, self.stream));
        if own.streams.is_empty() {
            shard.remove(&self.who);
        }
    }
}

impl Place {
    /// Reads an event id; none if it is no id of ours.
    pub(crate) fn parse(id: &str) -> Option<Place> {
        let (kind, rest) = match id.split_at_checked(1)? {
            ("c", rest) => (Kind::Call, rest),
            ("s", rest) => (Kind::Session, rest),
            _ => return None,
        };
        let (stream, event) = rest.split_once('-')?;
        let place = Place { kind, stream: u64::from_str_radix(stream, 16).ok()?, event: event.parse().ok()? };
        // One id, one spelling.
        (place.written() == id).then_some(place)
    }

    fn written(&self) -> String {
        let kind = match self.kind {
            Kind::Call => 'c',
            Kind::Session => 's',
        };
        format!("{kind}{:016x}-{}", self.stream, self.event)
    }
}

const SHARDS: usize = 32;
/// LIMIT: streams of one principal that are kept, those that are over included.
const STREAMS_MAX: usize = 256;
/// LIMIT: what is kept of one principal's streams, in bytes.
const PRINCIPAL_BYTES_MAX: usize = 16 * 1024 * 1024;
/// LIMIT: what is kept of all streams, in bytes.
const BYTES_MAX: usize = 128 * 1024 * 1024;

#[cfg(test)]
mod tests;
