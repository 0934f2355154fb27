//! Refusals of callers that nobody vouches for. They are written down like all others, up to a share: past it only their number
//! is, so that whoever holds no token can neither fill the disk nor crowd callers out of the log.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sekisho_audit::{Audit, Event, EventKind, LogDown, Outcome};

/// The share of strangers in the log.
#[derive(Default)]
pub(crate) struct Strangers {
    window: Mutex<Option<Window>>,
}

#[derive(Clone, Copy)]
struct Window {
    began: Instant,
    noted: u32,
    passed_over: u64,
}

/// What becomes of one refusal.
enum Share {
    /// It is written down, after a line about those that were not.
    Noted { passed_over: u64 },
    /// It is only counted.
    Counted,
}

impl Strangers {
    /// Writes a refusal down, or counts it.
    pub(crate) async fn note(&self, audit: &Audit, event: Event<'_>) -> Result<(), LogDown> {
        match self.share(Instant::now()) {
            Share::Counted => Ok(()),
            Share::Noted { passed_over: 0 } => audit.note(event).await,
            Share::Noted { passed_over } => {
                let mut summary = Event::new(EventKind::Security, Outcome::Refused);
                let words =
                    format!("{passed_over} requests of unknown callers were refused and not written down one by one");
                summary.reason = Some(words.into());
                audit.note(summary).await?;
                audit.note(event).await
            }
        }
    }

    fn share(&self, now: Instant) -> Share {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let current = window.get_or_insert(Window { began: now, noted: 0, passed_over: 0 });
        let mut passed_over = 0;
        if now.duration_since(current.began) >= WINDOW {
            passed_over = current.passed_over;
            *current = Window { began: now, noted: 0, passed_over: 0 };
        }
        if current.noted < NOTED_MAX {
            current.noted += 1;
            return Share::Noted { passed_over };
        }
        current.passed_over = current.passed_over.saturating_add(1);
        Share::Counted
    }
}

/// LIMIT: 200 records in 10 seconds; about half a gigabyte a day at the very most.
const NOTED_MAX: u32 = 200;
const WINDOW: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_have_a_share_of_the_log_and_the_rest_is_counted() {
        let strangers = Strangers::default();
        let start = Instant::now();
        for _ in 0..NOTED_MAX {
            assert!(matches!(strangers.share(start), Share::Noted { passed_over: 0 }));
        }
        assert!(matches!(strangers.share(start), Share::Counted));
        assert!(matches!(strangers.share(start), Share::Counted));
        assert!(matches!(strangers.share(start + WINDOW), Share::Noted { passed_over: 2 }));
        assert!(matches!(strangers.share(start + WINDOW), Share::Noted { passed_over: 0 }));
    }
}
