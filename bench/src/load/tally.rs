//! Counting calls, times and errors.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::usage::Usage;

/// What a load found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Calls that were answered well.
    pub calls: u64,
    /// How long they took together, in seconds.
    pub seconds: f64,
    /// Calls a second.
    pub rps: f64,
    /// Half of the calls took no longer, in microseconds.
    pub p50_us: f64,
    /// All but a hundredth of the calls took no longer, in microseconds.
    pub p99_us: f64,
    /// What the target used for one call, in microseconds on a core.
    pub cpu_us_per_call: f64,
    /// What this side used for one call, in microseconds on a core.
    pub load_us_per_call: f64,
    /// Memory of the target at the end, in MiB.
    pub rss_mib: f64,
    /// Most memory that the target ever had, in MiB.
    pub peak_rss_mib: f64,
    /// Files and connections that the target had open at the end.
    pub descriptors: u64,
    /// Calls that were not answered well, in the warm-up as well.
    pub errors: u64,
    /// What was wrong with them, and how often.
    pub error_kinds: BTreeMap<String, u64>,
}

/// The counts of one phase.
pub(super) struct Tally {
    times: Histogram<u64>,
    errors: BTreeMap<String, u64>,
}

impl Tally {
    /// # Errors
    /// Never in practice: the bounds of the histogram are fixed.
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self { times: Histogram::new_with_bounds(1, NANOSECONDS_MAX, DIGITS)?, errors: BTreeMap::new() })
    }

    pub(super) fn count(&mut self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(NANOSECONDS_MAX);
        self.times.saturating_record(nanoseconds);
    }

    pub(super) fn fail(&mut self, error: &anyhow::Error) {
        let kind: String = format!("{error:#}").chars().take(KIND_CHARS_MAX).collect();
        self.fail_as(kind, 1);
    }

    /// Whether it makes sense to go on.
    pub(super) fn is_bearable(&self) -> bool {
        self.errors.values().sum::<u64>() < ERRORS_MAX
    }

    /// # Errors
    /// Never in practice: all histograms are alike.
    pub(super) fn add(&mut self, other: &Self) -> anyhow::Result<()> {
        self.times.add(&other.times)?;
        for (kind, count) in &other.errors {
            self.fail_as(kind.clone(), *count);
        }
        Ok(())
    }

    /// Takes over the errors of the warm-up: a call that fails there is as bad as one that counts.
    pub(super) fn blame(&mut self, warm_up: Self) {
        for (kind, count) in warm_up.errors {
            self.fail_as(format!("warm-up: {kind}"), count);
        }
    }

    pub(super) fn report(self, time: Duration, (before, after): (Usage, Usage), own: Duration) -> Report {
        let Self { times, errors } = self;
        let calls = times.len();
        let each = |time: Duration| time.as_secs_f64() * 1e6 / float(calls).max(1.0);
        let seconds = time.as_secs_f64();
        let at = |quantile| Duration::from_nanos(times.value_at_quantile(quantile)).as_secs_f64() * 1e6;
        Report {
            calls,
            seconds,
            rps: float(calls) / seconds,
            p50_us: at(0.5),
            p99_us: at(0.99),
            cpu_us_per_call: each(after.cpu.saturating_sub(before.cpu)),
            load_us_per_call: each(own),
            rss_mib: after.rss_mib,
            peak_rss_mib: after.peak_rss_mib,
            descriptors: after.descriptors,
            errors: errors.values().sum(),
            error_kinds: errors,
        }
    }

    fn fail_as(&mut self, kind: String, count: u64) {
        let kind = if self.errors.len() < KINDS_MAX { kind } else { "others".to_owned() };
        let counted = self.errors.entry(kind).or_insert(0);
        *counted = counted.saturating_add(count);
    }
}

/// A count as a number to calculate with; exact as far as counts go here.
pub(crate) fn float(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// A minute: no call takes longer.
const NANOSECONDS_MAX: u64 = 60_000_000_000;

/// Times are kept to a thousandth.
const DIGITS: u8 = 3;

/// After so many errors of one connection it is left alone.
const ERRORS_MAX: u64 = 100;
const KINDS_MAX: usize = 16;
const KIND_CHARS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_errors_come_back_as_they_were_counted() {
        let mut tally = Tally::new().unwrap();
        (1..=100).for_each(|number| tally.count(Duration::from_micros(number)));
        tally.fail(&anyhow::anyhow!("status 500"));
        let mut warm = Tally::new().unwrap();
        warm.fail(&anyhow::anyhow!("status 404"));
        tally.blame(warm);
        let used = |ms| Usage { cpu: Duration::from_millis(ms), rss_mib: 5.0, peak_rss_mib: 6.0, descriptors: 7 };
        let report = tally.report(Duration::from_secs(2), (used(10), used(11)), Duration::ZERO);
        assert_eq!((report.calls, report.errors), (100, 2));
        assert!((report.rps - 50.0).abs() < 1e-9 && (report.cpu_us_per_call - 10.0).abs() < 1e-9);
        assert!((49.0..52.0).contains(&report.p50_us) && (98.0..101.0).contains(&report.p99_us), "{report:?}");
        assert!(
            report.error_kinds.contains_key("status 500") && report.error_kinds.contains_key("warm-up: status 404")
        );
    }

    #[test]
    fn a_connection_that_only_fails_is_left_alone_and_kinds_are_bounded() {
        let mut tally = Tally::new().unwrap();
        for number in 0..ERRORS_MAX {
            assert!(tally.is_bearable());
            tally.fail(&anyhow::anyhow!("error {number}"));
        }
        assert!(!tally.is_bearable());
        assert_eq!(tally.errors.len(), KINDS_MAX + 1);
    }
}
