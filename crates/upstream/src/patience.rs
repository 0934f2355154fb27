//! Whoever waits for a server waits longer while the server waits for a user.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sekisho_catalog::Question;
use tokio::time::{Instant, timeout_at};

/// The questions that everybody may wait for who waits on one connection.
#[derive(Debug, Default)]
pub(crate) struct Patience(Mutex<Vec<Awaited>>);

/// A question, and how long the server may take once it is answered.
type Awaited = (Arc<Question>, Duration);

impl Patience {
    /// Leaves more time to all, until the question is answered and `after` that.
    pub(crate) fn extend(&self, question: Arc<Question>, after: Duration) {
        let mut awaited = self.awaited();
        let now = Instant::now();
        awaited.retain(|one| until(one) > now);
        awaited.push((question, after));
    }

    /// Waits for `of` until `deadline`, or for as long as there is patience. None when that has passed.
    pub(crate) async fn wait<T>(&self, deadline: Instant, of: impl Future<Output = T>) -> Option<T> {
        let mut of = std::pin::pin!(of);
        loop {
            let until = self.after(deadline);
            // An answer makes it shorter.
            let look = if until > deadline { until.min(Instant::now() + LOOKS_EVERY) } else { until };
            match timeout_at(look, &mut of).await {
                Ok(output) => return Some(output),
                Err(_) if self.after(deadline) <= Instant::now() => return None,
                Err(_) => {}
            }
        }
    }

    /// The deadline with the patience that there is.
    pub(crate) fn after(&self, deadline: Instant) -> Instant {
        self.awaited().iter().map(until).max().map_or(deadline, |until| until.max(deadline))
    }

    fn awaited(&self) -> MutexGuard<'_, Vec<Awaited>> {
        // Nothing between lock and unlock panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn until((question, after): &Awaited) -> Instant {
    question.awaited_until(*after).into()
}

/// How often it is looked whether a question was answered meanwhile.
const LOOKS_EVERY: Duration = Duration::from_secs(1);
