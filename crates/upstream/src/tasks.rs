//! Background work that a shutdown waits for, so that no task and no process is without an owner.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

/// Counts the tasks that are under way.
#[derive(Debug, Clone)]
pub(crate) struct Tasks {
    under_way: watch::Sender<usize>,
}

impl Tasks {
    pub(crate) fn new() -> Tasks {
        Tasks { under_way: watch::Sender::new(0) }
    }

    /// Runs `work` in the background. Outside of a runtime, which is where the process ends, nothing runs.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let Ok(runtime) = Handle::try_current() else { return };
        self.under_way.send_modify(|count| *count = count.saturating_add(1));
        let done = Done(self.under_way.clone());
        runtime.spawn(async move {
            let _done = done;
            work.await;
        });
    }

    /// Waits until nothing is under way, or `at_most` has passed.
    pub(crate) async fn finish(&self, at_most: Duration) {
        let mut count = self.under_way.subscribe();
        let finished = count.wait_for(|count| *count == 0);
        if tokio::time::timeout(at_most, finished).await.is_err() {
            tracing::warn!(target: "upstream", "background work did not end in time");
        }
    }
}

struct Done(watch::Sender<usize>);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}
