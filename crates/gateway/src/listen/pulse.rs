//! Whether a connection still does anything. hyper bounds the head of an HTTP/1 request; nothing bounds a peer that opens an
//! HTTP/2 connection and is silent, answers pings for ever, or stops reading (4.4).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is known of one connection's life.
pub(super) struct Pulse {
    began: Instant,
    /// Requests that are not answered to the last byte.
    open: AtomicUsize,
    requests: AtomicUsize,
    /// Milliseconds after `began` at which the last request ended; 0 before.
    idle_since: AtomicU64,
    /// Milliseconds after `began` since which a write waits for the peer; [`FLOWING`] while none does.
    stalled_since: AtomicU64,
}

/// A request under way; kept by its response's body.
pub(super) struct Beat(Arc<Pulse>);

impl Pulse {
    pub(super) fn new() -> Arc<Pulse> {
        Arc::new(Pulse {
            began: Instant::now(),
            open: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            idle_since: AtomicU64::new(0),
            stalled_since: AtomicU64::new(FLOWING),
        })
    }

    /// A request has begun.
    pub(super) fn beat(self: &Arc<Self>) -> Beat {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        Beat(Arc::clone(self))
    }

    /// Waits until the connection is of no use any more. `first`: how long it may take to its first request.
    pub(super) async fn ended(&self, first: Duration) {
        let mut pause = first;
        loop {
            tokio::time::sleep(pause).await;
            let now = self.now();
            let stalled = self.stalled_since.load(Ordering::Relaxed);
            let since = |at: u64| Duration::from_millis(now.saturating_sub(at));
            let stuck = stalled != FLOWING && since(stalled) > STALL_MAX;
            let patience = if self.requests.load(Ordering::Relaxed) == 0 { first } else { IDLE_MAX };
            let idle_for = since(self.idle_since.load(Ordering::Relaxed));
            let idle = self.open.load(Ordering::Relaxed) == 0 && idle_for > patience;
            if stuck || idle {
                return;
            }
            // Thousands of quiet connections are not looked at more often than need be.
            pause = patience.saturating_sub(idle_for).clamp(LOOK_MIN, LOOK_MAX);
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn wrote<T>(&self, poll: Poll<T>) -> Poll<T> {
        if poll.is_ready() {
            self.stalled_since.store(FLOWING, Ordering::Relaxed);
        } else {
            let _ = self.stalled_since.compare_exchange(FLOWING, self.now(), Ordering::Relaxed, Ordering::Relaxed);
        }
        poll
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.0.idle_since.store(self.0.now(), Ordering::Relaxed);
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream whose writes are watched.
pub(super) struct Watched<S> {
    stream: S,
    pulse: Arc<Pulse>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, pulse: Arc<Pulse>) -> Watched<S> {
        Watched { stream, pulse }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.pulse.wrote(Pin::new(&mut this.stream).poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.pulse.wrote(Pin::new(&mut this.stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.pulse.wrote(Pin::new(&mut this.stream).poll_write_vectored(cx, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

const FLOWING: u64 = u64::MAX;
const LOOK_MIN: Duration = Duration::from_millis(500);
/// What a connection that is stuck may stay beyond its time.
const LOOK_MAX: Duration = Duration::from_secs(10);
/// Between two requests.
const IDLE_MAX: Duration = Duration::from_secs(90);
/// How long a peer may leave bytes unread that are ready for it.
const STALL_MAX: Duration = Duration::from_secs(30);
