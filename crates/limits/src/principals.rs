//! What is counted per principal.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota};
use sekisho_identity::PrincipalKey;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::OverLimit;
use crate::config::Share;

/// The counts of every principal that came lately. Bounded: the one that has been idle longest makes room.
pub(crate) struct Principals<K = PrincipalKey> {
    share: Share,
    clock: DefaultClock,
    // Sharded, so that no lock is global; each is held for a look-up only.
    shards: Vec<Mutex<HashMap<K, Arc<Counts>>>>,
    hasher: std::hash::RandomState,
    /// A count of arrivals: the only clock that "idle longest" needs.
    arrivals: AtomicU64,
}

struct Counts {
    rate: DefaultDirectRateLimiter,
    places: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    last_arrival: AtomicU64,
}

impl<K: Copy + Eq + Hash> Principals<K> {
    pub(crate) fn new(share: Share) -> Principals<K> {
        Principals {
            share,
            clock: DefaultClock::default(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: std::hash::RandomState::new(),
            arrivals: AtomicU64::new(0),
        }
    }

    pub(crate) fn share(&self) -> &Share {
        &self.share
    }

    /// Counts one message.
    pub(crate) fn count(&self, who: K) -> Result<(), OverLimit> {
        let counts = self.counts(who)?;
        self.in_rate(&counts)
    }

    /// Counts one request and takes a place for it.
    pub(crate) fn enter(&self, who: K) -> Result<OwnedSemaphorePermit, OverLimit> {
        let full = OverLimit::Concurrency { concurrent_max: self.share.concurrent_max };
        self.place(who, |counts| &counts.places, full)
    }

    /// Counts one request and takes a place among the streams for it.
    pub(crate) fn listen(&self, who: K) -> Result<OwnedSemaphorePermit, OverLimit> {
        let full = OverLimit::Streams { streams_max: self.share.streams_max };
        self.place(who, |counts| &counts.streams, full)
    }

    fn place(
        &self,
        who: K,
        among: fn(&Counts) -> &Arc<Semaphore>,
        full: OverLimit,
    ) -> Result<OwnedSemaphorePermit, OverLimit> {
        let counts = self.counts(who)?;
        self.in_rate(&counts)?;
        Arc::clone(among(&counts)).try_acquire_owned().map_err(|_| full)
    }

    fn in_rate(&self, counts: &Counts) -> Result<(), OverLimit> {
        counts.rate.check().map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now());
            OverLimit::Rate { retry_after_s: whole_seconds(wait) }
        })
    }

    fn counts(&self, who: K) -> Result<Arc<Counts>, OverLimit> {
        let arrival = self.arrivals.fetch_add(1, Ordering::Relaxed);
        let slot = std::hash::BuildHasher::hash_one(&self.hasher, who) % SHARDS;
        let index = usize::try_from(slot).unwrap_or_default();
        // INVARIANT: there are `SHARDS` of them. If one were missing, the message would be refused.
        let Some(shard) = self.shards.get(index) else { return Err(CROWDED) };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counts) = shard.get(&who) {
            counts.last_arrival.store(arrival, Ordering::Relaxed);
            return Ok(Arc::clone(counts));
        }
        let room = self.share.principals_max.div_ceil(self.shards.len());
        if shard.len() >= room {
            let idle = idle_longest(&shard).ok_or(CROWDED)?;
            shard.remove(&idle);
        }
        let counts = Arc::new(Counts::new(&self.share, arrival));
        shard.insert(who, Arc::clone(&counts));
        Ok(counts)
    }
}

impl Counts {
    fn new(share: &Share, arrival: u64) -> Counts {
        let quota = Quota::per_minute(share.requests_per_minute).allow_burst(share.burst);
        let places = |max: u32| Arc::new(Semaphore::new(usize::try_from(max).unwrap_or_default()));
        Counts {
            rate: DefaultDirectRateLimiter::direct(quota),
            places: places(share.concurrent_max),
            streams: places(share.streams_max),
            last_arrival: AtomicU64::new(arrival),
        }
    }

    /// Nothing of this principal is under way: each place taken holds the semaphore, each look-up the counts.
    fn is_idle(self: &Arc<Counts>) -> bool {
        let free = |places: &Arc<Semaphore>| Arc::strong_count(places) == 1;
        Arc::strong_count(self) == 1 && free(&self.places) && free(&self.streams)
    }
}

/// Who is idle, and has been for longest. A busy principal is never forgotten: its places would be given out twice.
fn idle_longest<K: Copy>(shard: &HashMap<K, Arc<Counts>>) -> Option<K> {
    shard
        .iter()
        .filter(|(_, counts)| counts.is_idle())
        .min_by_key(|(_, counts)| counts.last_arrival.load(Ordering::Relaxed))
        .map(|(who, _)| *who)
}

fn whole_seconds(wait: Duration) -> u32 {
    let part = u64::from(wait.subsec_nanos() > 0);
    u32::try_from(wait.as_secs().saturating_add(part)).unwrap_or(u32::MAX).max(1)
}

/// Every principal that is counted is busy, so that one more cannot be counted.
const CROWDED: OverLimit = OverLimit::Rate { retry_after_s: 1 };
/// At most the smallest `principals_max`, so that each shard has room for one.
const SHARDS: u64 = 16;

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn principals(requests_per_minute: u32, burst: u32, concurrent_max: u32) -> Principals<u32> {
        // Many to a shard: no test depends on whose neighbour somebody is.
        Principals::new(Share { principals_max: 1024, ..share(requests_per_minute, burst, concurrent_max) })
    }

    fn share(requests_per_minute: u32, burst: u32, concurrent_max: u32) -> Share {
        Share {
            requests_per_minute: NonZeroU32::new(requests_per_minute).expect("above zero"),
            burst: NonZeroU32::new(burst).expect("above zero"),
            concurrent_max,
            streams_max: concurrent_max,
            principals_max: 16,
        }
    }

    #[test]
    fn a_burst_is_admitted_and_the_next_one_refused_with_the_time_to_wait() {
        let limits = principals(1, 3, 10);
        for _ in 0..3 {
            assert_eq!(limits.count(1), Ok(()));
        }
        let Err(OverLimit::Rate { retry_after_s }) = limits.count(1) else { panic!("the rate is exceeded") };
        assert!((59..=60).contains(&retry_after_s), "{retry_after_s}");
        assert_eq!(limits.count(2), Ok(()), "another principal has its own rate");
    }

    #[test]
    fn a_place_comes_back_when_it_is_dropped() {
        let limits = principals(1000, 100, 2);
        let first = limits.enter(1).expect("a place");
        let _second = limits.enter(1).expect("a place");
        assert_eq!(limits.enter(1).err(), Some(OverLimit::Concurrency { concurrent_max: 2 }));
        assert!(limits.enter(2).is_ok(), "another principal has its own places");
        assert_eq!(limits.count(1), Ok(()), "what takes no place may come");
        drop(first);
        assert!(limits.enter(1).is_ok());
    }

    #[test]
    fn streams_have_places_of_their_own() {
        let limits = principals(1000, 100, 1);
        let _request = limits.enter(1).expect("a place");
        let stream = limits.listen(1).expect("a stream");
        assert_eq!(limits.listen(1).err(), Some(OverLimit::Streams { streams_max: 1 }));
        assert!(limits.listen(2).is_ok(), "another principal has its own streams");
        drop(stream);
        assert!(limits.listen(1).is_ok());
    }

    #[test]
    fn counts_are_bounded_and_the_busy_one_is_never_forgotten() {
        let limits = Principals::new(share(1000, 100, 1));
        let place = limits.enter(0).expect("a place");
        for other in 1..500 {
            // A neighbour that shares its shard with the busy one may be refused, but never takes its count.
            let _ = limits.count(other);
        }
        let counted: usize = limits.shards.iter().map(|shard| shard.lock().expect("not poisoned").len()).sum();
        assert!(counted <= 16, "{counted}");
        assert_eq!(limits.enter(0).err(), Some(OverLimit::Concurrency { concurrent_max: 1 }));
        drop(place);
        assert!(limits.enter(0).is_ok());
    }

    #[test]
    fn the_one_idle_for_longest_makes_room() {
        let newer = Counts::new(&share(1, 1, 1), 7);
        let older = Counts::new(&share(1, 1, 1), 3);
        let busy = Arc::new(Counts::new(&share(1, 1, 1), 1));
        let _place = Arc::clone(&busy.places).try_acquire_owned().expect("a place");
        let mut shard = HashMap::from([("newer", Arc::new(newer)), ("older", Arc::new(older)), ("busy", busy)]);
        assert_eq!(idle_longest(&shard), Some("older"));
        shard.remove("older");
        assert_eq!(idle_longest(&shard), Some("newer"));
        shard.remove("newer");
        assert_eq!(idle_longest(&shard), None);
    }

    #[test]
    fn waits_are_rounded_up() {
        assert_eq!(whole_seconds(Duration::ZERO), 1);
        assert_eq!(whole_seconds(Duration::from_millis(1000)), 1);
        assert_eq!(whole_seconds(Duration::from_millis(1001)), 2);
    }
}
