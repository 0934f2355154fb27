//! What a server's processes are seen to do: read from outside, and told with each call.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use sekisho_sandbox::{Root, Tier, Usage};
use tokio::time::Instant;

use crate::pool::lock;

/// What a process of a server used since it was looked at last, and at that moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// Processor time since then.
    pub cpu: Duration,
    /// Everything at this moment; its processor time is that of its whole life.
    pub usage: Usage,
    /// Connections that were let out since then, of all processes of the server.
    pub let_out: u64,
    /// Connections that were refused since then, of all processes of the server.
    pub kept_in: u64,
}

/// Looks at one process and what it started.
#[derive(Debug)]
pub(crate) struct Watch {
    /// 0: it does not run yet.
    first: AtomicU32,
    root: Root,
    traffic: Arc<Traffic>,
    last: Mutex<Last>,
}

/// What a server's processes did on the network, all together.
#[derive(Debug, Default)]
pub(crate) struct Traffic(Mutex<Counts>);

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    let_out: u64,
    kept_in: u64,
}

/// All processes of a server.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    traffic: Arc<Traffic>,
    all: Mutex<Vec<Weak<Watch>>>,
}

#[derive(Debug, Default)]
struct Last {
    at: Option<Instant>,
    cpu: Duration,
    counts: Counts,
    peak: Usage,
}

impl Watches {
    /// Of a process that is about to be started.
    pub(crate) fn begin(&self, tier: Tier) -> Arc<Watch> {
        let root = match tier {
            Tier::Full => Root::Reaper,
            Tier::Partial | Tier::None => Root::Server,
        };
        let (first, traffic, last) = (AtomicU32::new(0), Arc::clone(&self.traffic), Mutex::default());
        let watch = Arc::new(Watch { first, root, traffic, last });
        let mut all = lock(&self.all);
        all.retain(|watch| watch.strong_count() > 0);
        all.push(Arc::downgrade(&watch));
        watch
    }

    pub(crate) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// All of them together, at this moment; connections that were let out and refused so far.
    pub(crate) fn together(&self) -> (Usage, u64, u64) {
        let living: Vec<Arc<Watch>> = lock(&self.all).iter().filter_map(Weak::upgrade).collect();
        let usage = living.iter().filter_map(|watch| watch.look()).fold(Usage::default(), Usage::and);
        let counts = *lock(&self.traffic.0);
        (usage, counts.let_out, counts.kept_in)
    }
}

impl Traffic {
    pub(crate) fn lets_out(&self) {
        let mut counts = lock(&self.0);
        counts.let_out = counts.let_out.saturating_add(1);
    }

    pub(crate) fn keeps_in(&self) {
        let mut counts = lock(&self.0);
        counts.kept_in = counts.kept_in.saturating_add(1);
    }
}

impl Watch {
    /// It runs, as this process.
    pub(crate) fn sees(&self, first: u32) {
        self.first.store(first, Ordering::Relaxed);
    }

    /// What was used since the last time. None: it was looked at a moment ago, or is gone. A look costs some reads of `/proc`.
    pub(crate) fn used(&self, now: Instant) -> Option<Used> {
        {
            let mut last = lock(&self.last);
            if last.at.is_some_and(|at| now.duration_since(at) < PAUSE) {
                return None;
            }
            last.at = Some(now);
        }
        let (usage, counts) = (self.look()?, *lock(&self.traffic.0));
        let mut last = lock(&self.last);
        let used = Used {
            cpu: usage.cpu.saturating_sub(last.cpu),
            usage,
            let_out: counts.let_out.saturating_sub(last.counts.let_out),
            kept_in: counts.kept_in.saturating_sub(last.counts.kept_in),
        };
        (last.cpu, last.counts, last.peak) = (usage.cpu, counts, last.peak.peak(usage));
        Some(used)
    }

    /// What is used at this moment. What was used since the last time is left to whoever asks for that.
    pub(crate) fn glance(&self) -> Option<Usage> {
        let usage = self.look()?;
        let mut last = lock(&self.last);
        last.peak = last.peak.peak(usage);
        Some(usage)
    }

    /// The most that was seen of each thing.
    pub(crate) fn peak(&self) -> Usage {
        lock(&self.last).peak
    }

    fn look(&self) -> Option<Usage> {
        let first = self.first.load(Ordering::Relaxed);
        if first == 0 { None } else { Usage::of(first, self.root) }
    }
}

/// How often it is looked at at most: calls that follow each other faster are told together.
const PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_is_told_since_the_last_look_and_not_at_each_of_many() {
        let (watches, start) = (Watches::default(), Instant::now());
        let watch = watches.begin(Tier::Partial);
        assert_eq!(watch.used(start), None, "it does not run yet");
        watch.sees(std::process::id());
        watches.traffic().lets_out();
        watches.traffic().keeps_in();
        let used = watch.used(start + PAUSE).unwrap();
        assert_eq!((used.let_out, used.kept_in), (1, 1));
        assert!(used.usage.processes >= 1 && used.usage.memory_bytes > 0 && used.usage.files > 2, "{used:?}");
        assert_eq!(watch.used(start + PAUSE + PAUSE / 2), None, "a moment ago");
        assert_eq!(watch.used(start + PAUSE * 2).unwrap().let_out, 0);
        assert!(watch.peak().processes >= used.usage.processes);
        assert!(watches.together().0.processes >= 1);
        drop(watch);
        assert_eq!(watches.together().0, Usage::default(), "it is gone");
    }
}
