//! How long one request was in which room. Taken along by reference, written lap by lap, read once at its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use sekisho_upstream::{Tell, Trail};
use sekisho_wire::{Answer, FromServer, Json};

use super::sampling::Traced;

/// A room, on the way in or back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room(usize);

/// The laps of one request, and its trace. A stopped clock costs a branch a lap.
pub(crate) struct Clock {
    /// None: stopped.
    tell: Option<Tell>,
    began: Instant,
    began_at: SystemTime,
    /// Nanoseconds after `began` at which the last lap ended.
    last: AtomicU64,
    laps: [Slot; Room::ALL.len()],
    answered: AtomicU8,
    /// Of a JSON-RPC error.
    rpc_code: AtomicI64,
    pub(crate) trace: Option<Arc<Traced>>,
}

/// All time of one request in one room, in nanoseconds, and when it left the room for the last time.
#[derive(Default)]
struct Slot {
    took: AtomicU64,
    left: AtomicU64,
}

/// The same, read.
pub(crate) struct Lap {
    pub(crate) room: Room,
    pub(crate) took: Duration,
    /// After the request had arrived.
    pub(crate) left: Duration,
}

/// What the last answer was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answered {
    /// A result, or nothing yet.
    Result,
    /// A result that says of itself that the tool failed. Looked at in sampled calls only.
    ToolError,
    /// A JSON-RPC error with this code.
    Error(i64),
}

impl Room {
    pub(crate) const WIRE: Room = Room(0);
    pub(crate) const IDENTITY: Room = Room(1);
    pub(crate) const CATALOG: Room = Room(2);
    pub(crate) const LIMITS: Room = Room(3);
    pub(crate) const GUARD: Room = Room(4);
    pub(crate) const FLOW: Room = Room(5);
    pub(crate) const POLICY: Room = Room(6);
    pub(crate) const AUDIT: Room = Room(7);
    pub(crate) const OWN: Room = Room(8);
    pub(crate) const UPSTREAM: Room = Room(9);
    pub(crate) const BACK_CATALOG: Room = Room(10);
    pub(crate) const BACK_GUARD: Room = Room(11);
    pub(crate) const BACK_FLOW: Room = Room(12);
    pub(crate) const BACK_POLICY: Room = Room(13);
    pub(crate) const BACK_AUDIT: Room = Room(14);

    /// Room and way of each, by place.
    pub(super) const ALL: [(&'static str, &'static str); 15] = [
        ("wire", IN),
        ("identity", IN),
        ("catalog", IN),
        ("limits", IN),
        ("guard", IN),
        ("flow", IN),
        ("policy", IN),
        ("audit", IN),
        // What the gateway answers itself.
        ("own", IN),
        // The server's own time is in it.
        ("upstream", IN),
        ("catalog", BACK),
        ("guard", BACK),
        ("flow", BACK),
        ("policy", BACK),
        ("audit", BACK),
    ];

    /// Its name, and the way.
    pub(super) fn words(self) -> (&'static str, &'static str) {
        Room::ALL.get(self.0).copied().unwrap_or_default()
    }
}

impl Clock {
    /// One that measures nothing.
    pub(crate) fn stopped() -> Clock {
        Clock::new(None)
    }

    /// One that begins now.
    pub(super) fn started(tell: Tell) -> Clock {
        Clock::new(Some(tell))
    }

    fn new(tell: Option<Tell>) -> Clock {
        Clock {
            // A stopped clock asks the system for the time once, since a request's record tells how long it took anyway.
            began: Instant::now(),
            began_at: if tell.is_some() { SystemTime::now() } else { SystemTime::UNIX_EPOCH },
            tell,
            last: AtomicU64::new(0),
            laps: Default::default(),
            answered: AtomicU8::new(RESULT),
            rpc_code: AtomicI64::new(0),
            trace: None,
        }
    }

    /// What has passed since the last lap was in `room`.
    pub(crate) fn lap(&self, room: Room) {
        if self.tell.is_none() {
            return;
        }
        let now = nanoseconds(self.began.elapsed());
        let took = now.saturating_sub(self.last.swap(now, Ordering::Relaxed));
        if let Some(slot) = self.laps.get(room.0) {
            slot.took.fetch_add(took, Ordering::Relaxed);
            slot.left.store(now, Ordering::Relaxed);
        }
    }

    /// What has passed since the last lap was in no room: a wait for the client, or for a turn.
    pub(crate) fn skip(&self) {
        if self.tell.is_some() {
            self.last.store(nanoseconds(self.began.elapsed()), Ordering::Relaxed);
        }
    }

    /// What has passed since the last lap was a wait for a server, if one was asked.
    pub(crate) fn waited(&self) {
        let asked = self.laps.get(Room::UPSTREAM.0).is_some_and(|slot| slot.left.load(Ordering::Relaxed) > 0);
        if asked { self.lap(Room::UPSTREAM) } else { self.skip() }
    }

    /// Notes what a server, or the gateway itself, has answered.
    pub(crate) fn hears(&self, said: &FromServer) {
        let answered = match said {
            FromServer::End(Answer::Error(error)) => {
                self.rpc_code.store(error.code, Ordering::Relaxed);
                ERROR
            }
            FromServer::End(Answer::Result(result)) if self.is_sampled() && is_tool_error(result) => TOOL_ERROR,
            FromServer::End(Answer::Result(_))
            | FromServer::Page(_)
            | FromServer::Task(_)
            | FromServer::Notice { .. }
            | FromServer::Withdrawn { .. }
            | FromServer::Ask(_)
            | FromServer::Told { .. }
            | FromServer::Listening(_)
            | FromServer::Park(_) => RESULT,
        };
        self.answered.store(answered, Ordering::Relaxed);
    }

    pub(super) fn answered(&self) -> Answered {
        match self.answered.load(Ordering::Relaxed) {
            ERROR => Answered::Error(self.rpc_code.load(Ordering::Relaxed)),
            TOOL_ERROR => Answered::ToolError,
            _ => Answered::Result,
        }
    }

    fn is_sampled(&self) -> bool {
        self.trace.as_ref().is_some_and(|traced| traced.context.own.sampled)
    }

    /// What goes along to servers.
    pub(crate) fn trail(&self) -> Trail {
        let context = self.trace.as_ref().map(|traced| &traced.context);
        Trail {
            trace: context.map(|context| context.own),
            state: context.and_then(|context| context.state.clone()),
            tell: self.tell.clone(),
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// When the request arrived.
    pub(super) fn began_at(&self) -> SystemTime {
        self.began_at
    }

    /// All rooms, by place; those that were not entered took no time.
    pub(super) fn laps(&self) -> impl Iterator<Item = Lap> {
        self.laps.iter().enumerate().map(|(at, slot)| Lap {
            room: Room(at),
            took: Duration::from_nanos(slot.took.load(Ordering::Relaxed)),
            left: Duration::from_nanos(slot.left.load(Ordering::Relaxed)),
        })
    }
}

impl Clone for Clock {
    /// What was measured so far, to go on by itself.
    fn clone(&self) -> Clock {
        let copy = |from: &AtomicU64| AtomicU64::new(from.load(Ordering::Relaxed));
        Clock {
            tell: self.tell.clone(),
            began: self.began,
            began_at: self.began_at,
            last: copy(&self.last),
            laps: self.laps.each_ref().map(|slot| Slot { took: copy(&slot.took), left: copy(&slot.left) }),
            answered: AtomicU8::new(self.answered.load(Ordering::Relaxed)),
            rpc_code: AtomicI64::new(self.rpc_code.load(Ordering::Relaxed)),
            trace: self.trace.clone(),
        }
    }
}

fn is_tool_error(result: &Json) -> bool {
    result.get("isError").and_then(|error| error.boolean()) == Some(true)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

const RESULT: u8 = 0;
const TOOL_ERROR: u8 = 1;
const ERROR: u8 = 2;
const IN: &str = "in";
const BACK: &str = "back";

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> Clock {
        Clock::started(Arc::new(|_| {}))
    }

    fn took(clock: &Clock, room: Room) -> Duration {
        clock.laps().find(|lap| lap.room == room).unwrap().took
    }

    #[test]
    fn laps_add_up_and_what_is_skipped_is_in_none() {
        let clock = running();
        std::thread::sleep(Duration::from_millis(2));
        clock.skip();
        clock.lap(Room::POLICY);
        std::thread::sleep(Duration::from_millis(2));
        clock.lap(Room::GUARD);
        clock.lap(Room::GUARD);
        assert!(took(&clock, Room::GUARD) >= Duration::from_millis(2));
        assert!(took(&clock, Room::POLICY) < Duration::from_millis(2));
        assert!(took(&clock, Room::WIRE).is_zero());
        let sum: Duration = clock.laps().map(|lap| lap.took).sum();
        assert!(sum <= clock.elapsed().saturating_sub(Duration::from_millis(2)));
    }

    #[test]
    fn a_wait_counts_as_a_servers_only_where_one_was_asked() {
        let clock = running();
        clock.waited();
        assert!(took(&clock, Room::UPSTREAM).is_zero());
        clock.lap(Room::UPSTREAM);
        std::thread::sleep(Duration::from_millis(1));
        clock.waited();
        assert!(took(&clock, Room::UPSTREAM) >= Duration::from_millis(1));
    }

    #[test]
    fn a_stopped_clock_measures_nothing_and_tells_nobody() {
        let clock = Clock::stopped();
        clock.lap(Room::WIRE);
        clock.waited();
        assert!(clock.laps().all(|lap| lap.took.is_zero() && lap.left.is_zero()));
        let trail = clock.trail();
        assert!(trail.tell.is_none() && trail.trace.is_none() && trail.state.is_none());
    }

    #[test]
    fn rooms_are_at_their_places() {
        assert_eq!(Room::WIRE.words(), ("wire", "in"));
        assert_eq!(Room::UPSTREAM.words(), ("upstream", "in"));
        assert_eq!(Room::BACK_AUDIT.words(), ("audit", "back"));
        assert_eq!(Room::BACK_AUDIT.0 + 1, Room::ALL.len());
    }
}
