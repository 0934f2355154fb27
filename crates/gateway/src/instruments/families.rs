//! The numbers as they are exported: one description for every form. Names are OpenTelemetry's where its conventions for MCP have
//! one, and ours under `sekisho.` else.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sekisho_upstream::Status;

use super::clock::Room;
use super::{COMPLETED, ENDINGS, Instruments, METHODS};
use crate::refusal::Code;
use crate::serve::Overview;

/// Numbers of one kind.
#[derive(Debug, Clone)]
pub struct Family {
    /// With dots, as OpenTelemetry has it.
    pub name: &'static str,
    /// What it says.
    pub help: &'static str,
    /// Of what.
    pub unit: Unit,
    /// The numbers.
    pub points: Points,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Things, such as `{call}`.
    Of(&'static str),
}

/// The numbers of a family.
#[derive(Debug, Clone)]
pub enum Points {
    /// They only rise.
    Counter(Vec<Point<u64>>),
    /// They rise and fall.
    Gauge(Vec<Point<u64>>),
    /// How long things took.
    Histogram(Vec<Point<Distribution>>),
}

/// One number, or one distribution.
#[derive(Debug, Clone)]
pub struct Point<T> {
    /// Names with dots, and values out of a bounded set.
    pub labels: Vec<(&'static str, Box<str>)>,
    /// The number.
    pub value: T,
}

/// How often something took how long, since the start.
#[derive(Debug, Clone)]
pub struct Distribution {
    /// Upper bounds of the buckets, each within its bucket.
    pub bounds: &'static [Duration],
    /// How many fell into each, and, last, how many were longer than all bounds.
    pub counts: Vec<u64>,
    /// All of them together.
    pub sum: Duration,
}

impl Distribution {
    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// What servers add to.
#[derive(Default)]
pub(super) struct OfServers {
    durations: Vec<Point<Distribution>>,
    troubles: Vec<Point<u64>>,
}

impl OfServers {
    pub(super) fn duration(&mut self, server: &str, error: Option<&'static str>, value: Option<Distribution>) {
        let Some(value) = value else { return };
        let labels = [Some((SERVER, server)), error.map(|error| (ERROR, error))];
        self.durations.push(Point { labels: labels.into_iter().flatten().map(owned).collect(), value });
    }

    pub(super) fn trouble(&mut self, server: &str, word: &'static str, value: u64) {
        self.troubles.push(Point { labels: [(SERVER, server), (ERROR, word)].map(owned).into(), value });
    }
}

impl Instruments {
    /// What was counted here. What can be seen at any time adds [`seen_now`].
    pub(crate) fn measured(&self) -> Vec<Family> {
        let mut of_servers = OfServers::default();
        self.servers.read(&mut of_servers);
        let (exported, dropped) = self.servers.outlet.read();
        let downs = [Code::LogDown, Code::OutcomeUnrecorded].map(|code| self.refused(code)).iter().sum();
        vec![
            histogram("mcp.server.operation.duration", "Calls of clients, whole", self.durations()),
            histogram("mcp.client.operation.duration", "Questions to servers, whole", of_servers.durations),
            histogram("mcp.server.session.duration", "Legacy sessions, to their last use", self.lives()),
            histogram("sekisho.room.duration", "Time of one call in one room of the corridor", self.in_rooms()),
            counter("sekisho.calls", "Calls by how they ended", "{call}", self.counted()),
            counter("sekisho.refusals", "Refusals by their code", "{refusal}", self.refused_by_code()),
            counter(
                "sekisho.upstream.errors",
                "Questions that a server did not answer",
                "{error}",
                of_servers.troubles,
            ),
            counter("sekisho.audit.failures", "Calls that the audit log could not hold", "{call}", alone(downs)),
            gauge("sekisho.connections", "Open connections of clients", "{connection}", alone(read(&self.connections))),
            gauge("sekisho.conversations", "Calls under way", "{call}", alone(read(&self.conversations))),
            counter("sekisho.telemetry.exported", "Spans that the collector took", "{span}", alone(exported)),
            counter("sekisho.telemetry.dropped", "Spans that nobody took", "{span}", alone(dropped)),
        ]
    }

    fn durations(&self) -> Vec<Point<Distribution>> {
        let all = self.calls.iter().zip(METHODS).flat_map(|(ends, method)| {
            ends.iter().zip(ENDINGS).filter_map(move |(histogram, ending)| {
                // The conventions want no error where there is none.
                let error = (ending != COMPLETED).then_some((ERROR, ending));
                let labels = [Some((METHOD, method)), error].into_iter().flatten().map(owned).collect();
                Some(Point { labels, value: histogram.read()? })
            })
        });
        all.collect()
    }

    fn counted(&self) -> Vec<Point<u64>> {
        let all = self.calls.iter().zip(METHODS).flat_map(|(ends, method)| {
            ends.iter().zip(ENDINGS).filter_map(move |(histogram, ending)| {
                let labels = [(METHOD, method), ("sekisho.outcome", ending)].map(owned).into();
                Some(Point { labels, value: histogram.read()?.count() })
            })
        });
        all.collect()
    }

    fn in_rooms(&self) -> Vec<Point<Distribution>> {
        let all = self.rooms.iter().zip(Room::ALL).filter_map(|(histogram, (room, way))| {
            let labels = [("sekisho.room", room), ("sekisho.way", way)].map(owned).into();
            Some(Point { labels, value: histogram.read()? })
        });
        all.collect()
    }

    fn lives(&self) -> Vec<Point<Distribution>> {
        self.sessions.read().map(|value| Point { labels: Vec::new(), value }).into_iter().collect()
    }

    fn refused_by_code(&self) -> Vec<Point<u64>> {
        let point = |code: Code| Point {
            labels: [("sekisho.code", code.as_str())].map(owned).into(),
            value: self.refused(code),
        };
        Code::ALL.into_iter().map(point).filter(|point| point.value > 0).collect()
    }

    fn refused(&self, code: Code) -> u64 {
        self.refusals.get(code.place()).map_or(0, read)
    }
}

/// What can be seen at any time, without having been counted.
pub(crate) fn seen_now(overview: &Overview) -> Vec<Family> {
    let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let of_servers = |value: &dyn Fn(&Status) -> u64| -> Vec<Point<u64>> {
        let point = |status: &Status| Point {
            labels: [(SERVER, status.server.as_str())].map(owned).into(),
            value: value(status),
        };
        overview.servers.iter().map(point).collect()
    };
    vec![
        gauge("sekisho.sessions", "Open legacy sessions", "{session}", alone(number(overview.sessions))),
        gauge(
            "sekisho.audit.healthy",
            "Whether the audit log can be written",
            "1",
            alone(u64::from(overview.log_healthy)),
        ),
        gauge("sekisho.server.up", "Whether a server answers", "1", of_servers(&|status| u64::from(status.up))),
        gauge(
            "sekisho.server.connections",
            "Open connections to a server, and processes",
            "{connection}",
            of_servers(&|status| number(status.connections)),
        ),
        counter(
            "sekisho.server.restarts",
            "Connections that were opened anew",
            "{restart}",
            of_servers(&|status| status.restarts),
        ),
    ]
}

fn histogram(name: &'static str, help: &'static str, points: Vec<Point<Distribution>>) -> Family {
    Family { name, help, unit: Unit::Seconds, points: Points::Histogram(points) }
}

fn counter(name: &'static str, help: &'static str, unit: &'static str, points: Vec<Point<u64>>) -> Family {
    Family { name, help, unit: Unit::Of(unit), points: Points::Counter(points) }
}

fn gauge(name: &'static str, help: &'static str, unit: &'static str, points: Vec<Point<u64>>) -> Family {
    Family { name, help, unit: Unit::Of(unit), points: Points::Gauge(points) }
}

fn alone(value: u64) -> Vec<Point<u64>> {
    vec![Point { labels: Vec::new(), value }]
}

fn owned((name, value): (&'static str, &str)) -> (&'static str, Box<str>) {
    (name, value.into())
}

fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

const METHOD: &str = "mcp.method.name";
const ERROR: &str = "error.type";
const SERVER: &str = "sekisho.server";
