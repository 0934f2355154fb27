//! What is measured of each server, and the way out for spans: all that a question to a server touches when it is over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use sekisho_upstream::{Ended, Hop, Tell};
use sekisho_wire::ServerId;
use tokio::sync::mpsc;

use super::histogram::Histogram;
use super::span::{self, Span};
use super::{CALLS, families};

pub(super) struct Servers {
    meters: ArcSwap<Meters>,
    pub(super) outlet: Outlet,
}

type Meters = BTreeMap<ServerId, Arc<Meter>>;

/// One server.
pub(super) struct Meter {
    answered: Histogram,
    /// It answered with an error.
    failed: Histogram,
    /// It did not answer, by [`Ended::TROUBLES`] and, last, that nobody waited for it.
    troubled: Histogram,
    troubles: [AtomicU64; Ended::TROUBLES.len()],
    left: AtomicU64,
}

/// Where spans go.
pub(super) struct Outlet {
    spans: Option<mpsc::Sender<Span>>,
    exported: AtomicU64,
    dropped: AtomicU64,
}

impl Servers {
    pub(super) fn new(spans: Option<mpsc::Sender<Span>>) -> Servers {
        let outlet = Outlet { spans, exported: AtomicU64::new(0), dropped: AtomicU64::new(0) };
        Servers { meters: ArcSwap::default(), outlet }
    }

    /// Servers that stay keep their numbers.
    pub(super) fn are(&self, ids: impl Iterator<Item = ServerId>) {
        let before = self.meters.load();
        let kept = |id: &ServerId| before.get(id).cloned().unwrap_or_else(|| Arc::new(Meter::new()));
        let meters: Meters = ids.map(|id| (id.clone(), kept(&id))).collect();
        self.meters.store(Arc::new(meters));
    }

    pub(super) fn tell(self: &Arc<Self>) -> Tell {
        let servers = Arc::clone(self);
        Arc::new(move |hop| servers.hears(hop))
    }

    fn hears(&self, hop: &Hop<'_>) {
        // One that was configured when the question began may not be now.
        if let Some(meter) = self.meters.load().get(hop.server) {
            meter.hears(hop);
        }
        if let Some(trace) = hop.trace.filter(|trace| trace.sampled) {
            self.outlet.send(span::of_hop(hop, trace));
        }
    }

    pub(super) fn read(&self, into: &mut families::OfServers) {
        for (id, meter) in self.meters.load().iter() {
            meter.read(id.as_str(), into);
        }
    }
}

impl Meter {
    fn new() -> Meter {
        Meter {
            answered: Histogram::new(&CALLS),
            failed: Histogram::new(&CALLS),
            troubled: Histogram::new(&CALLS),
            troubles: Default::default(),
            left: AtomicU64::new(0),
        }
    }

    fn hears(&self, hop: &Hop<'_>) {
        let histogram = match hop.ended {
            Ended::Answered => &self.answered,
            Ended::Error(_) => &self.failed,
            Ended::Trouble(word) => {
                let at = Ended::TROUBLES.iter().position(|known| *known == word);
                if let Some(count) = at.and_then(|at| self.troubles.get(at)) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                &self.troubled
            }
            Ended::Left => {
                self.left.fetch_add(1, Ordering::Relaxed);
                &self.troubled
            }
        };
        histogram.observe(hop.took);
    }

    fn read(&self, server: &str, into: &mut families::OfServers) {
        let ends = [(&self.answered, None), (&self.failed, Some("error")), (&self.troubled, Some("no_answer"))];
        for (histogram, error) in ends {
            into.duration(server, error, histogram.read());
        }
        for (word, count) in Ended::TROUBLES.into_iter().zip(&self.troubles).chain([("left", &self.left)]) {
            into.trouble(server, word, count.load(Ordering::Relaxed));
        }
    }
}

impl Outlet {
    /// Never waits: what does not fit is dropped and counted.
    pub(super) fn send(&self, span: Span) {
        let Some(spans) = &self.spans else { return };
        if spans.try_send(span).is_err() {
            self.gone(0, 1);
        }
    }

    pub(super) fn gone(&self, exported: usize, dropped: usize) {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        self.exported.fetch_add(count(exported), Ordering::Relaxed);
        self.dropped.fetch_add(count(dropped), Ordering::Relaxed);
    }

    /// Exported, and dropped.
    pub(super) fn read(&self) -> (u64, u64) {
        (self.exported.load(Ordering::Relaxed), self.dropped.load(Ordering::Relaxed))
    }
}
