//! How much a caged server may send and open.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What one server in a cage may use of the network.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GateBudgets {
    /// Connections open at once: 1 to 1024.
    #[serde(default = "connections_max")]
    #[schemars(range(min = 1, max = 1024))]
    pub connections_max: u32,
    /// Connections in a minute, refused ones among them: 1 to 100,000.
    #[serde(default = "connections_per_minute_max")]
    #[schemars(range(min = 1, max = 100_000))]
    pub connections_per_minute_max: u32,
    /// Bytes in an hour, each way: 1 KiB to 1 TiB.
    #[serde(default = "bytes_per_hour_max")]
    #[schemars(range(min = 1024, max = 1024_u64 * 1024 * 1024 * 1024))]
    pub bytes_per_hour_max: u64,
    /// Longest silence of a connection in both directions, in seconds: 1 to 86,400.
    #[serde(default = "idle_seconds_max")]
    #[schemars(range(min = 1, max = 86_400))]
    pub idle_seconds_max: u32,
    /// Longest life of a connection, in seconds: 1 to 86,400.
    #[serde(default = "life_seconds_max")]
    #[schemars(range(min = 1, max = 86_400))]
    pub life_seconds_max: u32,
}

/// Which budget is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Budget {
    /// Connections open at once.
    #[error("the budget of connections open at once is used up")]
    Connections,
    /// Connections in a minute.
    #[error("the budget of connections in a minute is used up")]
    ConnectionsPerMinute,
    /// Bytes out in an hour.
    #[error("the budget of bytes sent in an hour is used up")]
    BytesUp,
    /// Bytes in in an hour.
    #[error("the budget of bytes received in an hour is used up")]
    BytesDown,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Up,
    Down,
}

/// What is left of the budgets of one server.
#[derive(Debug)]
pub(super) struct Ledger {
    places: Arc<Semaphore>,
    connections: Mutex<Window>,
    up: Mutex<Window>,
    down: Mutex<Window>,
}

impl Ledger {
    pub(super) fn new(budgets: &GateBudgets, now: Instant) -> Ledger {
        let bytes = || Mutex::new(Window::new(budgets.bytes_per_hour_max, HOUR, now));
        Ledger {
            places: Arc::new(Semaphore::new(
                usize::try_from(budgets.connections_max).unwrap_or(Semaphore::MAX_PERMITS),
            )),
            connections: Mutex::new(Window::new(budgets.connections_per_minute_max.into(), MINUTE, now)),
            up: bytes(),
            down: bytes(),
        }
    }

    /// Lets a connection in. Its place is free again when the permit is dropped.
    pub(super) fn admit(&self, now: Instant) -> Result<OwnedSemaphorePermit, Budget> {
        if locked(&self.connections).take(1, now) == 0 {
            return Err(Budget::ConnectionsPerMinute);
        }
        for (window, budget) in [(&self.up, Budget::BytesUp), (&self.down, Budget::BytesDown)] {
            if locked(window).left(now) == 0 {
                return Err(budget);
            }
        }
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| Budget::Connections)
    }

    /// As many of these bytes as may still go this way; all of them, unless the budget ends with them.
    pub(super) fn spend(&self, way: Way, bytes: usize, now: Instant) -> usize {
        let window = match way {
            Way::Up => &self.up,
            Way::Down => &self.down,
        };
        let granted = locked(window).take(u64::try_from(bytes).unwrap_or(u64::MAX), now);
        usize::try_from(granted).unwrap_or(bytes).min(bytes)
    }
}

impl Way {
    pub(super) fn budget(self) -> Budget {
        match self {
            Way::Up => Budget::BytesUp,
            Way::Down => Budget::BytesDown,
        }
    }
}

/// What was used in the last while. In no stretch of `span` is there more than `max`: what was used counts until all of its slot is
/// further back than that.
#[derive(Debug)]
struct Window {
    max: u64,
    slot: Duration,
    began: Instant,
    used: [u64; SLOTS],
    /// The slot of the last look, counted from the beginning.
    newest: u64,
}

impl Window {
    fn new(max: u64, span: Duration, now: Instant) -> Window {
        Window { max, slot: span / SLOTS_IN_SPAN, began: now, used: [0; SLOTS], newest: 0 }
    }

    fn left(&mut self, now: Instant) -> u64 {
        self.pass(now);
        self.max.saturating_sub(self.used.iter().fold(0, |sum, used| sum.saturating_add(*used)))
    }

    fn take(&mut self, wanted: u64, now: Instant) -> u64 {
        let granted = wanted.min(self.left(now));
        if let Some(used) = self.used.get_mut(index(self.newest)) {
            *used = used.saturating_add(granted);
        }
        granted
    }

    /// Forgets what is too long ago.
    fn pass(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.began).as_millis() / self.slot.as_millis().max(1);
        let current = u64::try_from(passed).unwrap_or(u64::MAX).max(self.newest);
        let slots = u64::try_from(SLOTS).unwrap_or(u64::MAX);
        for slot in self.newest.saturating_add(1)..=current.min(self.newest.saturating_add(slots)) {
            if let Some(used) = self.used.get_mut(index(slot)) {
                *used = 0;
            }
        }
        self.newest = current;
    }
}

fn index(slot: u64) -> usize {
    let slots = u64::try_from(SLOTS).unwrap_or(u64::MAX);
    usize::try_from(slot % slots).unwrap_or(0)
}

/// Whoever panicked with it in hand has not left it half changed: every field is good on its own.
fn locked(window: &Mutex<Window>) -> std::sync::MutexGuard<'_, Window> {
    window.lock().unwrap_or_else(PoisonError::into_inner)
}

impl GateBudgets {
    pub(super) fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_seconds_max.into())
    }

    pub(super) fn life(&self) -> Duration {
        Duration::from_secs(self.life_seconds_max.into())
    }
}

impl Default for GateBudgets {
    fn default() -> GateBudgets {
        GateBudgets {
            connections_max: connections_max(),
            connections_per_minute_max: connections_per_minute_max(),
            bytes_per_hour_max: bytes_per_hour_max(),
            idle_seconds_max: idle_seconds_max(),
            life_seconds_max: life_seconds_max(),
        }
    }
}

fn connections_max() -> u32 {
    CONNECTIONS_MAX
}

fn connections_per_minute_max() -> u32 {
    CONNECTIONS_PER_MINUTE_MAX
}

fn bytes_per_hour_max() -> u64 {
    BYTES_PER_HOUR_MAX
}

fn idle_seconds_max() -> u32 {
    IDLE_SECONDS_MAX
}

fn life_seconds_max() -> u32 {
    LIFE_SECONDS_MAX
}

const CONNECTIONS_MAX: u32 = 64;
const CONNECTIONS_PER_MINUTE_MAX: u32 = 240;
const BYTES_PER_HOUR_MAX: u64 = 1024 * 1024 * 1024;
const IDLE_SECONDS_MAX: u32 = 5 * 60;
const LIFE_SECONDS_MAX: u32 = 60 * 60;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const SLOTS_IN_SPAN: u32 = 60;
/// A whole span, and the slot that is not over.
const SLOTS: usize = 61;

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(change: impl Fn(&mut GateBudgets), now: Instant) -> Ledger {
        let mut budgets = GateBudgets::default();
        change(&mut budgets);
        Ledger::new(&budgets, now)
    }

    #[test]
    fn connections_at_once_are_bounded_and_a_place_comes_free_with_its_connection() {
        let now = Instant::now();
        let ledger = ledger(|budgets| budgets.connections_max = 2, now);
        let (first, second) = (ledger.admit(now), ledger.admit(now));
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(ledger.admit(now).unwrap_err(), Budget::Connections);
        drop(first);
        assert!(ledger.admit(now).is_ok());
    }

    #[test]
    fn connections_in_any_minute_are_bounded() {
        let now = Instant::now();
        let ledger = ledger(|budgets| budgets.connections_per_minute_max = 3, now);
        for _ in 0..3 {
            assert!(ledger.admit(now).is_ok());
        }
        for seconds in [0, 1, 59, 60] {
            let later = now + Duration::from_secs(seconds);
            assert_eq!(ledger.admit(later).unwrap_err(), Budget::ConnectionsPerMinute, "{seconds}");
        }
        for _ in 0..3 {
            assert!(ledger.admit(now + Duration::from_secs(61)).is_ok());
        }
        assert_eq!(ledger.admit(now + Duration::from_secs(61)).unwrap_err(), Budget::ConnectionsPerMinute);
    }

    #[test]
    fn bytes_of_each_way_go_up_to_the_bound_and_not_one_past_it() {
        let now = Instant::now();
        let ledger = ledger(|budgets| budgets.bytes_per_hour_max = 1024, now);
        assert_eq!(ledger.spend(Way::Up, 1000, now), 1000);
        assert_eq!(ledger.spend(Way::Up, 24, now), 24);
        assert_eq!(ledger.spend(Way::Up, 1, now), 0);
        assert_eq!(ledger.admit(now).unwrap_err(), Budget::BytesUp);
        assert_eq!(ledger.spend(Way::Down, 1025, now), 1024, "each way has its own");
        let later = now + Duration::from_secs(61 * 60);
        assert_eq!(ledger.spend(Way::Up, 2000, later), 1024);
        assert_eq!(ledger.spend(Way::Down, 1024, later), 1024);
    }

    #[test]
    fn in_no_stretch_of_the_span_is_there_more_than_the_bound() {
        let now = Instant::now();
        let mut window = Window::new(10, MINUTE, now);
        let mut taken = Vec::new();
        for second in 0..300_u64 {
            let at = now + Duration::from_millis(second * 1000 + 500);
            taken.push(window.take(second % 4, at));
        }
        assert!(taken.windows(60).all(|minute| minute.iter().sum::<u64>() <= 10));
        assert!(taken.iter().sum::<u64>() >= 40);
        // A clock that stands still or jumps far ahead is fine, too.
        assert_eq!(window.take(1, now), 0);
        assert_eq!(window.take(11, now + Duration::from_secs(1 << 40)), 10);
    }

    #[test]
    fn budgets_of_a_configuration_are_these_unless_it_says_otherwise() {
        let read = |text: &str| toml::from_str::<GateBudgets>(text);
        assert_eq!(read("").unwrap(), GateBudgets::default());
        assert_eq!(read("").unwrap().connections_max, 64);
        assert_eq!(read("connections_per_minute_max = 7").unwrap().connections_per_minute_max, 7);
        assert!(read("connections = 7").is_err());
    }
}
