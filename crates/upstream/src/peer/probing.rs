//! When a server is probed, and what a probe changes.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use sekisho_audit::Outcome;
use sekisho_wire::Era;
use tokio::time::{Instant, sleep};

use super::{ENDLESS, Peer, Seen};
use crate::backoff::{Backoff, PAUSE_FIRST, chance};
use crate::error::{Fault, SendError};
use crate::hello::Demand;
use crate::offer::Offer;
use crate::probe::{greet, probe};

impl Peer {
    /// Names the server in a fault. One that cannot be reached is probed again (BP-22).
    pub(super) fn failed(&self, fault: Fault) -> SendError {
        let probed = *self.probed.lock().unwrap_or_else(PoisonError::into_inner);
        if calls_for_probe(&fault, probed, Instant::now()) {
            self.recheck.notify_one();
        }
        tracing::debug!(target: "upstream", server = %self.id(), %fault, "call not sent");
        fault.of(self.id())
    }

    pub(super) async fn keep_probing(self: Arc<Self>) {
        let mut closing = self.closing.subscribe();
        let closed = closing.wait_for(|closing| *closing);
        tokio::select! {
            _ = closed => {}
            () = self.probe_for_ever() => {}
        }
    }

    async fn probe_for_ever(&self) {
        let mut backoff = Backoff::default();
        let mut failures = 0_u32;
        let mut again = UNSURE_AGAIN.into_iter();
        let mut demand = self.demand.subscribe();
        loop {
            // Cannot fail: the sender lives in `self`.
            let Ok(wanted) = demand.wait_for(|demand| *demand != Demand::Nothing).await.map(|demand| *demand) else {
                return;
            };
            *self.probed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            match self.probe(wanted).await {
                Ok(offer) => {
                    failures = 0;
                    backoff.reset();
                    let soon = if offer.unsure { again.next() } else { None };
                    self.found(offer);
                    tokio::select! {
                        // Somebody waits for it.
                        _ = demand.changed() => continue,
                        () = self.recheck.notified() => {}
                        () = sleep(soon.unwrap_or(ENDLESS)) => {}
                    }
                    // However often calls fail, probes keep a distance.
                    sleep(PROBE_DISTANCE).await;
                }
                Err(why) => {
                    failures = failures.saturating_add(1);
                    self.missed(why, failures);
                    let pause = backoff.failed(Instant::now(), self.config.backoff_max(), chance());
                    tokio::select! {
                        () = self.moved.notified() => {}
                        () = sleep(pause.max(PAUSE_FIRST)) => {}
                    }
                }
            }
        }
    }

    async fn probe(&self, wanted: Demand) -> Result<Offer, Box<str>> {
        let (way, at_most) = (&self.setup.way, self.config.probe_timeout());
        let Some(hello) = wanted.alone(self.setup.eras) else {
            return probe(way, self.setup.eras, at_most, |part| self.found_in_part(part)).await;
        };
        // Whoever failed before this is answered by it.
        tokio::select! {
            biased;
            () = self.recheck.notified() => {}
            () = std::future::ready(()) => {}
        }
        let (offer, link) = greet(way, hello, at_most).await?;
        // Where it was closed meanwhile nobody would end it, and whoever has a connection needs no other one.
        if !*self.closing.borrow() && !self.pool.is_alive() {
            *self.spare() = link.map(|link| (link, Instant::now()));
        }
        Ok(offer)
    }

    /// It speaks one era, and whoever waits for that need not wait for the other.
    fn found_in_part(&self, part: Offer) {
        if !self.is_up() {
            self.see(Seen::Up(Arc::new(part)));
        }
    }

    fn found(&self, offer: Offer) {
        let (offer, known) = match &*self.seen.borrow() {
            Seen::Up(earlier) => {
                let (is_part, was_part) = (offer.awaited.is_some(), earlier.awaited.is_some());
                let known = !was_part || (is_part && offer.eras() == earlier.eras());
                (offer.after(earlier), known)
            }
            Seen::NotYet | Seen::Down(_) => (offer, false),
        };
        if !known {
            let eras: Vec<&str> = offer.eras().into_iter().map(Era::as_str).collect();
            self.notes.turn(Outcome::Completed, "the server is up", &eras.join(", "));
        }
        self.see(Seen::Up(Arc::new(offer)));
    }

    /// A probe failed, for the `failures`-th time in a row.
    fn missed(&self, why: Box<str>, failures: u32) {
        if self.is_up() && !brings_down(self.pool.is_alive(), failures) {
            tracing::info!(target: "upstream", server = %self.id(), %why, "a probe failed; the server's connections live");
            return;
        }
        let said = matches!(&*self.seen.borrow(), Seen::Down(earlier) if *earlier == why);
        if !said {
            self.notes.turn(Outcome::Failed, "the server is down", &why);
        }
        self.see(Seen::Down(why));
    }

    fn is_up(&self) -> bool {
        matches!(&*self.seen.borrow(), Seen::Up(_))
    }

    /// Shows what was found, unless the peer was closed meanwhile.
    fn see(&self, found: Seen) {
        self.seen.send_if_modified(|seen| {
            let open = !*self.closing.borrow();
            if open {
                *seen = found;
            }
            open
        });
    }
}

/// Whether a call that failed is a reason to look at the server again. Which eras it speaks changes seldom, and any caller of
/// another era can ask; that it cannot be reached is news.
fn calls_for_probe(fault: &Fault, probed: Option<Instant>, now: Instant) -> bool {
    match fault {
        Fault::Unreachable(_) => true,
        Fault::WrongEra(_) => probed.is_none_or(|probed| now.saturating_duration_since(probed) >= ERA_DISTANCE),
        Fault::TimedOut(_)
        | Fault::Garbled(_)
        | Fault::Ended(_)
        | Fault::Busy(_)
        | Fault::Denied(_)
        | Fault::SessionLost => false,
    }
}

/// Whether a server that was up is down after this many failed probes in a row. One that still serves somebody has the benefit of
/// the doubt for a while: a probe needs a process or a session more, which is what a busy server may lack.
fn brings_down(alive: bool, failures: u32) -> bool {
    !alive || failures >= FAILURES_MAX
}

const PROBE_DISTANCE: Duration = Duration::from_secs(1);
/// Least time between a probe and another one that a caller of the wrong era is the reason for.
const ERA_DISTANCE: Duration = Duration::from_secs(60);
const FAILURES_MAX: u32 = 3;
/// When a server is asked again that did not answer in one of the eras, each once: most that stay silent do not know the question.
const UNSURE_AGAIN: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(15), Duration::from_secs(60)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_of_the_wrong_era_cause_one_probe_a_minute_and_an_unreachable_server_one_at_once() {
        let (then, wrong) = (Instant::now(), Fault::WrongEra("it speaks legacy only".into()));
        assert!(!calls_for_probe(&wrong, Some(then), then + ERA_DISTANCE - Duration::from_millis(1)));
        assert!(calls_for_probe(&wrong, Some(then), then + ERA_DISTANCE));
        assert!(calls_for_probe(&Fault::Unreachable("gone".into()), Some(then), then));
        assert!(!calls_for_probe(&Fault::Busy("full".into()), Some(then), then + ERA_DISTANCE));
    }

    #[test]
    fn a_failed_probe_brings_an_idle_server_down_and_one_with_connections_after_three() {
        assert!(brings_down(false, 1));
        assert!(!brings_down(true, 1) && !brings_down(true, FAILURES_MAX - 1));
        assert!(brings_down(true, FAILURES_MAX));
    }
}
