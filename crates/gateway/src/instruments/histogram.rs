//! Counts in fixed buckets, without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::families::Distribution;

/// How often something took how long.
pub(super) struct Histogram {
    /// Upper bounds, each within its bucket, in rising order. What is longer than all falls into one bucket more.
    bounds: &'static [Duration],
    counts: Box<[AtomicU64]>,
    /// Wraps after 584 years.
    sum_ns: AtomicU64,
}

impl Histogram {
    pub(super) fn new(bounds: &'static [Duration]) -> Histogram {
        let counts = bounds.iter().map(|_| AtomicU64::new(0)).chain([AtomicU64::new(0)]).collect();
        Histogram { bounds, counts, sum_ns: AtomicU64::new(0) }
    }

    pub(super) fn observe(&self, took: Duration) {
        let bucket = self.bounds.partition_point(|bound| *bound < took);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// What was observed; nothing if nothing was. The count is the sum of its buckets, whatever is observed meanwhile.
    pub(super) fn read(&self) -> Option<Distribution> {
        let counts: Vec<u64> = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let sum = Duration::from_nanos(self.sum_ns.load(Ordering::Relaxed));
        let distribution = Distribution { bounds: self.bounds, counts, sum };
        (distribution.count() > 0).then_some(distribution)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(2)];

    #[test]
    fn a_bound_belongs_to_its_bucket_and_what_is_past_the_last_one_has_its_own() {
        let histogram = Histogram::new(&BOUNDS);
        for us in [0, 1_000, 1_001, 2_000, 2_001, 5_000_000] {
            histogram.observe(Duration::from_micros(us));
        }
        let read = histogram.read().unwrap();
        assert_eq!(read.counts, [2, 2, 2]);
        assert_eq!((read.count(), read.sum), (6, Duration::from_micros(5_006_002)));
    }

    #[test]
    fn what_was_never_observed_is_not_shown() {
        assert!(Histogram::new(&BOUNDS).read().is_none());
    }

    #[test]
    fn all_threads_are_counted() {
        let histogram = Histogram::new(&BOUNDS);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| histogram.observe(BOUNDS[0])));
            }
        });
        let read = histogram.read().unwrap();
        assert_eq!((read.count(), read.sum), (40_000, Duration::from_secs(40)));
    }
}
