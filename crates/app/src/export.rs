//! Traces and numbers to a collector, by OTLP over HTTP (protobuf). A collector that is slow or dead costs spans, which are counted,
//! and nothing else: no call waits for it.

mod config;
mod otlp;
mod sender;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::resource::v1::Resource;
use sekisho_gateway::{Instruments, Readings, Span};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

pub(crate) use config::Config;
pub(crate) use sender::{Sender, SenderError};

/// An export under way.
pub(crate) struct Export {
    stop: watch::Sender<bool>,
    tasks: [JoinHandle<()>; 2],
}

impl Export {
    /// Begins to send what comes out of `spans`, and every number from time to time.
    #[must_use]
    pub(crate) fn start(
        sender: Sender,
        config: &Config,
        spans: mpsc::Receiver<Span>,
        instruments: Arc<Instruments>,
        readings: Readings,
    ) -> Export {
        let sender = Arc::new(sender);
        let resource = otlp::resource(&config.service_name);
        let (stop, stopped) = watch::channel(false);
        let of_spans = Spans { sender: Arc::clone(&sender), resource: resource.clone(), instruments };
        let every = Duration::from_secs(config.metrics_seconds.get());
        let of_numbers = Numbers { sender, resource, readings, began: SystemTime::now() };
        let tasks =
            [tokio::spawn(of_spans.keep(spans, stopped.clone())), tokio::spawn(of_numbers.keep(every, stopped))];
        Export { stop, tasks }
    }

    /// Sends what is left, within 3 seconds.
    pub(crate) async fn finish(self) {
        self.stop.send_replace(true);
        let Export { tasks, .. } = self;
        let all = async {
            for task in tasks {
                // A task that panicked has nothing left to send.
                let _ = task.await;
            }
        };
        if timeout(LAST_WORD, all).await.is_err() {
            tracing::warn!(target: "app", "the collector did not take the last spans and numbers in time");
        }
    }
}

struct Spans {
    sender: Arc<Sender>,
    resource: Resource,
    instruments: Arc<Instruments>,
}

impl Spans {
    async fn keep(self, mut spans: mpsc::Receiver<Span>, mut stopped: watch::Receiver<bool>) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            let room = BATCH_MAX.saturating_sub(batch.len());
            let linger = if batch.is_empty() { Duration::MAX } else { LINGER };
            tokio::select! {
                came = spans.recv_many(&mut batch, room) => {
                    let is_last = came == 0;
                    if batch.len() < BATCH_MAX && !is_last {
                        continue;
                    }
                    self.send(&mut batch).await;
                    if is_last {
                        return;
                    }
                }
                () = tokio::time::sleep(linger) => self.send(&mut batch).await,
                // From here on the queue ends.
                _ = stopped.changed(), if !spans.is_closed() => spans.close(),
            }
        }
    }

    async fn send(&self, batch: &mut Vec<Span>) {
        let count = batch.len();
        if count == 0 {
            return;
        }
        let request = otlp::traces(std::mem::take(batch), &self.resource);
        let refused = self.sender.traces(&request).await.unwrap_or(count).min(count);
        self.instruments.spans_gone(count.saturating_sub(refused), refused);
    }
}

struct Numbers {
    sender: Arc<Sender>,
    resource: Resource,
    readings: Readings,
    began: SystemTime,
}

impl Numbers {
    async fn keep(self, every: Duration, mut stopped: watch::Receiver<bool>) {
        let mut tick = interval_at(Instant::now() + every, every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_last = tokio::select! {
                _ = tick.tick() => false,
                _ = stopped.changed() => true,
            };
            let request = otlp::metrics(&self.readings.families(), self.began, SystemTime::now(), &self.resource);
            // They are cumulative: the next ones make up for these.
            self.sender.metrics(&request).await;
            if is_last {
                return;
            }
        }
    }
}

/// Most spans of one message.
const BATCH_MAX: usize = 512;
/// How long a span waits for others; counted anew with each that comes, so bounded by the batch.
const LINGER: Duration = Duration::from_millis(500);
const LAST_WORD: Duration = Duration::from_secs(3);
