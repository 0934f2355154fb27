//! When the next try may be made.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

/// Pauses between tries: none after the first failure, then doubling from [`PAUSE_FIRST`] to a bound.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
    not_before: Option<Instant>,
}

impl Backoff {
    /// Notes a failure and returns the pause. `chance` (0 to 1000) shortens it by up to a half, so that what failed
    /// together does not come back together.
    pub(crate) fn failed(&mut self, now: Instant, pause_max: Duration, chance: u32) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(DOUBLINGS_MAX);
        let whole = match self.failures {
            0 => Duration::ZERO,
            _ => PAUSE_FIRST.saturating_mul(1 << doublings).min(pause_max),
        };
        self.failures = self.failures.saturating_add(1);
        let pause = whole.saturating_sub(whole.saturating_mul(chance.min(CHANCE_MAX)) / (2 * CHANCE_MAX));
        self.not_before = now.checked_add(pause);
        pause
    }

    /// What remains of the pause; none if a try may be made.
    pub(crate) fn pause(&self, now: Instant) -> Option<Duration> {
        let remaining = self.not_before?.checked_duration_since(now)?;
        (!remaining.is_zero()).then_some(remaining)
    }

    /// Notes a success.
    pub(crate) fn reset(&mut self) {
        *self = Backoff::default();
    }
}

/// 0 to [`CHANCE_MAX`]. Spreads load; nothing secret rests on it.
pub(crate) fn chance() -> u32 {
    let random = RandomState::new().build_hasher().finish() % u64::from(CHANCE_MAX);
    u32::try_from(random).unwrap_or_default()
}

/// First pause that is one.
pub(crate) const PAUSE_FIRST: Duration = Duration::from_millis(500);
const DOUBLINGS_MAX: u32 = 16;
const CHANCE_MAX: u32 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_failure_costs_no_pause_and_later_ones_double_up_to_the_bound() {
        let (mut backoff, now, max) = (Backoff::default(), Instant::now(), Duration::from_secs(30));
        let pauses: Vec<u128> = (0..9).map(|_| backoff.failed(now, max, 0).as_millis()).collect();
        assert_eq!(pauses, [0, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
        assert_eq!(backoff.pause(now), Some(max));
        assert_eq!(backoff.pause(now + max), None);
    }

    #[test]
    fn success_ends_the_pauses() {
        let (mut backoff, now, max) = (Backoff::default(), Instant::now(), Duration::from_secs(30));
        for _ in 0..4 {
            backoff.failed(now, max, 0);
        }
        backoff.reset();
        assert_eq!(backoff.pause(now), None);
        assert_eq!(backoff.failed(now, max, 0), Duration::ZERO);
    }

    #[test]
    fn chance_shortens_a_pause_by_half_at_most() {
        let (mut backoff, now, max) = (Backoff::default(), Instant::now(), Duration::from_secs(30));
        backoff.failed(now, max, 0);
        assert_eq!(backoff.failed(now, max, CHANCE_MAX), PAUSE_FIRST / 2);
        assert!((0..100).all(|_| chance() <= CHANCE_MAX));
    }
}
