//! What is measured of the corridor, and which calls are traced. Nothing is decided by any of it.
//!
//! Numbers are plain atomics that are there from the start: to count allocates nothing and waits for nobody. [`Instruments::families`]
//! is the one source of all that is exported. A [`Span`] is made when what it tells of is over, and only of a sampled call; a queue
//! that is full drops it and counts that. Labels are closed sets and configured names: no tool, principal or session is one.

mod clock;
mod families;
mod histogram;
mod sampling;
mod servers;
mod span;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderMap;
use sekisho_catalog::Server;
use sekisho_identity::Authenticated;
use sekisho_upstream::{Tell, Transport};
use sekisho_wire::Inbound;
use tokio::sync::mpsc;

use crate::record::Seen;
use crate::refusal::Code;

pub(crate) use clock::{Answered, Clock, Room};
pub(crate) use families::seen_now;
pub use families::{Distribution, Family, Point, Points, Unit};
use histogram::Histogram;
pub use sampling::Sampling;
use sampling::{Sampler, Traced};
use servers::Servers;
pub use span::{Kind, Moment, Parent, Span, Value};

/// All measuring points of a process, kept over reloads.
pub struct Instruments {
    measuring: Measuring,
    sampler: Option<Sampler>,
    servers: Arc<Servers>,
    /// Made once: a request takes a reference along.
    tell: Tell,
    /// By method, and by how it ended.
    calls: Vec<[Histogram; ENDINGS.len()]>,
    rooms: Vec<Histogram>,
    sessions: Histogram,
    /// By code, in the order of [`Code::ALL`].
    refusals: Vec<AtomicU64>,
    connections: AtomicU64,
    conversations: AtomicU64,
}

/// Whether anybody wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measuring {
    Off,
    On,
}

/// How a call ended, as far as a label tells. The code of a refusal is a label of its own counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Completed,
    /// A server answered with an error, or not at all.
    Failed,
    Forbidden,
    Refused,
}

/// One more of something, until it is dropped.
pub(crate) struct OneMore<'a>(&'a AtomicU64);

impl Instruments {
    /// Nothing is measured.
    #[must_use]
    pub fn off() -> Arc<Instruments> {
        Arc::new(Instruments::build(Measuring::Off, None, None))
    }

    /// Everything is counted; nothing is traced.
    #[must_use]
    pub fn counting() -> Arc<Instruments> {
        Arc::new(Instruments::build(Measuring::On, None, None))
    }

    /// Everything is counted, and calls are traced as `sampling` says. Their spans come out of the queue.
    #[must_use]
    pub fn tracing(sampling: &Sampling) -> (Arc<Instruments>, mpsc::Receiver<Span>) {
        let (sender, spans) = mpsc::channel(SPANS_MAX);
        (Arc::new(Instruments::build(Measuring::On, Some(Sampler::new(sampling)), Some(sender))), spans)
    }

    fn build(measuring: Measuring, sampler: Option<Sampler>, spans: Option<mpsc::Sender<Span>>) -> Instruments {
        let servers = Arc::new(Servers::new(spans));
        Instruments {
            measuring,
            sampler,
            tell: servers.tell(),
            servers,
            calls: METHODS.iter().map(|_| ENDINGS.map(|_| Histogram::new(&CALLS))).collect(),
            rooms: Room::ALL.iter().map(|_| Histogram::new(&ROOMS)).collect(),
            sessions: Histogram::new(&SESSIONS),
            refusals: Code::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
            connections: AtomicU64::new(0),
            conversations: AtomicU64::new(0),
        }
    }

    /// Spans that were exported, or that did not reach anybody.
    pub fn spans_gone(&self, exported: usize, dropped: usize) {
        self.servers.outlet.gone(exported, dropped);
    }

    /// These servers are configured from now on: the only ones that labels name.
    pub(crate) fn serve<'a>(&self, servers: impl Iterator<Item = &'a Arc<Server>>) {
        self.servers.are(servers.map(|server| server.id().clone()));
    }

    /// A request has arrived.
    pub(crate) fn clock(&self) -> Clock {
        match self.measuring {
            Measuring::Off => Clock::stopped(),
            Measuring::On => Clock::started(Arc::clone(&self.tell)),
        }
    }

    /// A caller's message is known: is it traced? Callers whom nobody vouches for do not come here. Over stdio there are no headers.
    pub(crate) fn follow(&self, mut seen: Seen, headers: Option<&HeaderMap>, message: &Authenticated<Inbound>) -> Seen {
        if let (Some(sampler), Inbound::Request(request)) = (&self.sampler, message.message()) {
            let brought = sampling::Brought::of(headers.unwrap_or(&HeaderMap::new()), request.meta());
            let over = if headers.is_some() { Transport::Http } else { Transport::Stdio };
            let traced = |context| Arc::new(Traced::of(context, message, request, over));
            seen.clock.trace = sampler.decide(brought).map(traced);
        }
        seen
    }

    /// A call ended, refused with `code` if there is one.
    pub(crate) fn ended(&self, seen: &Seen, code: Option<Code>) {
        if self.measuring == Measuring::Off {
            return;
        }
        if let Some(count) = code.and_then(|code| self.refusals.get(code.place())) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let took = seen.clock.elapsed();
        let ending = Ending::of(seen.clock.answered(), code);
        let method = seen.method.and_then(|method| METHODS.iter().position(|known| *known == method));
        if let Some(histogram) = method.and_then(|at| self.calls.get(at)?.get(ending.place())) {
            histogram.observe(took);
        }
        for (histogram, lap) in self.rooms.iter().zip(seen.clock.laps()) {
            if !lap.took.is_zero() {
                histogram.observe(lap.took);
            }
        }
        if let Some(traced) = seen.clock.trace.as_ref().filter(|traced| traced.context.own.sampled) {
            self.servers.outlet.send(span::of_call(seen, traced, took, code));
        }
    }

    /// Sessions ended, so long after they began.
    pub(crate) fn sessions_ended(&self, lived: &[Duration]) {
        lived.iter().for_each(|lived| self.sessions.observe(*lived));
    }

    /// A connection is open.
    pub(crate) fn connection(&self) -> OneMore<'_> {
        OneMore::of(&self.connections)
    }

    /// A conversation is under way.
    pub(crate) fn conversation(&self) -> OneMore<'_> {
        OneMore::of(&self.conversations)
    }
}

impl std::fmt::Debug for Instruments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instruments").field("measuring", &self.measuring).finish_non_exhaustive()
    }
}

impl Ending {
    fn of(answered: Answered, code: Option<Code>) -> Ending {
        match (code, answered) {
            (None, Answered::Result | Answered::ToolError) => Ending::Completed,
            (None, Answered::Error(_)) => Ending::Failed,
            (Some(code), _) if code.is_decision() => Ending::Forbidden,
            (Some(code), _) if code.is_after_the_attempt() => Ending::Failed,
            (Some(_), _) => Ending::Refused,
        }
    }

    fn place(self) -> usize {
        match self {
            Ending::Completed => 0,
            Ending::Failed => 1,
            Ending::Forbidden => 2,
            Ending::Refused => 3,
        }
    }
}

impl OneMore<'_> {
    fn of(count: &AtomicU64) -> OneMore<'_> {
        count.fetch_add(1, Ordering::Relaxed);
        OneMore(count)
    }
}

impl Drop for OneMore<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

const COMPLETED: &str = "completed";

/// The labels of [`Ending`], by place.
const ENDINGS: [&str; 4] = [COMPLETED, "failed", "forbidden", "refused"];

/// Every method a caller's message can have, the commonest first.
const METHODS: [&str; 24] = [
    "tools/call",
    "tools/list",
    "resources/read",
    "prompts/get",
    "initialize",
    "server/discover",
    "ping",
    "resources/list",
    "resources/templates/list",
    "prompts/list",
    "completion/complete",
    "logging/setLevel",
    "subscriptions/listen",
    "resources/subscribe",
    "resources/unsubscribe",
    "tasks/get",
    "tasks/result",
    "tasks/update",
    "tasks/cancel",
    "notifications/initialized",
    "notifications/cancelled",
    "notifications/roots/list_changed",
    "notifications/progress",
    "reply",
];

const fn us(microseconds: u64) -> Duration {
    Duration::from_micros(microseconds)
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// The boundaries that OpenTelemetry's conventions for MCP advise, and finer ones below: a gateway's calls take milliseconds.
const CALLS: [Duration; 18] = [
    us(500),
    ms(1),
    ms(2),
    ms(5),
    ms(10),
    ms(20),
    ms(50),
    ms(100),
    ms(200),
    ms(500),
    ms(1_000),
    ms(2_000),
    ms(5_000),
    ms(10_000),
    ms(30_000),
    ms(60_000),
    ms(120_000),
    ms(300_000),
];

const ROOMS: [Duration; 16] = [
    us(1),
    us(2),
    us(5),
    us(10),
    us(20),
    us(50),
    us(100),
    us(200),
    us(500),
    ms(1),
    ms(2),
    ms(5),
    ms(10),
    ms(100),
    ms(1_000),
    ms(10_000),
];

/// Up to the longest that a session may live.
const SESSIONS: [Duration; 9] = [
    ms(1_000),
    ms(10_000),
    ms(60_000),
    ms(300_000),
    ms(1_800_000),
    ms(3_600_000),
    ms(14_400_000),
    ms(43_200_000),
    ms(86_400_000),
];

/// LIMIT: spans that wait for the exporter.
const SPANS_MAX: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;
    use sekisho_wire::Method;

    fn points(instruments: &Instruments, name: &str) -> usize {
        let families = instruments.measured();
        let family = families.iter().find(|family| family.name == name).unwrap();
        match &family.points {
            Points::Counter(points) | Points::Gauge(points) => points.len(),
            Points::Histogram(points) => points.len(),
        }
    }

    fn ended(instruments: &Instruments, method: &'static str, code: Option<Code>) {
        let mut seen = Seen::arrived("req-1".into(), instruments.clock(), sekisho_audit::Algorithm::Sha256);
        seen.method = Some(method);
        seen.clock.lap(Room::POLICY);
        instruments.ended(&seen, code);
    }

    #[test]
    fn every_method_has_a_label() {
        assert!(Method::ALL.iter().all(|method| METHODS.contains(&method.as_str())));
    }

    #[test]
    fn labels_are_bounded_whatever_comes() {
        let instruments = Instruments::counting();
        for method in METHODS.into_iter().chain(["x/made-up", ""]) {
            for code in Code::ALL.into_iter().map(Some).chain([None]) {
                ended(&instruments, method, code);
            }
        }
        // A call that ended without a code has completed; the three others come from codes.
        assert_eq!(points(&instruments, "mcp.server.operation.duration"), METHODS.len() * ENDINGS.len());
        assert_eq!(points(&instruments, "sekisho.refusals"), Code::ALL.len());
        assert!(points(&instruments, "sekisho.room.duration") <= Room::ALL.len());
    }

    #[test]
    fn nothing_is_measured_where_nobody_wants_to_know() {
        let instruments = Instruments::off();
        ended(&instruments, "tools/call", Some(Code::Forbidden));
        for name in ["mcp.server.operation.duration", "sekisho.calls", "sekisho.room.duration"] {
            assert_eq!(points(&instruments, name), 0, "{name}");
        }
    }

    #[test]
    fn endings_are_told_apart() {
        assert_eq!(Ending::of(Answered::Result, None), Ending::Completed);
        assert_eq!(Ending::of(Answered::Error(-32603), None), Ending::Failed);
        assert_eq!(Ending::of(Answered::Result, Some(Code::Forbidden)), Ending::Forbidden);
        assert_eq!(Ending::of(Answered::Result, Some(Code::UpstreamTimeout)), Ending::Failed);
        assert_eq!(Ending::of(Answered::Result, Some(Code::RateLimited)), Ending::Refused);
    }

    #[test]
    fn a_gauge_falls_when_what_it_counts_is_over() {
        let instruments = Instruments::counting();
        let one = instruments.connection();
        let other = instruments.connection();
        assert_eq!(instruments.connections.load(Ordering::Relaxed), 2);
        drop((one, other));
        assert_eq!(instruments.connections.load(Ordering::Relaxed), 0);
    }
}
