//! Accepting connections: bounded in number, in header size and in time (4.4).

mod annex;
mod body;
mod challenge;
mod converse;
mod events;
mod http;
mod logout;
mod mcp;
mod preface;
mod public;
mod pulse;
mod respond;
mod stdio;
mod step_up;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::ServerConfig;
use sekisho_identity::{Channel, SessionKey, Verified};
use sekisho_limits::Bounds;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::inflight::InFlight;
use crate::instruments::Instruments;
use crate::record::{self, Seen};
use crate::refusal::Refusal;
use crate::snapshot::Rooms;
use crate::strangers::Strangers;
use crate::streams::Streams;
pub(crate) use respond::request_id;
pub use stdio::Stdio;
pub(crate) use stdio::serve;

use preface::{Protocol, preface};
use pulse::{Pulse, Watched};

/// What every connection shares.
pub(crate) struct Door {
    pub(crate) rooms: ArcSwap<Rooms>,
    pub(crate) tls: ArcSwap<Option<Arc<ServerConfig>>>,
    pub(crate) inflight: Arc<InFlight>,
    pub(crate) streams: Arc<Streams>,
    pub(crate) instruments: Arc<Instruments>,
    /// How many bodies may be read at once, in KiB.
    pub(crate) reading: Semaphore,
    /// Refusals of callers that nobody knows.
    pub(crate) strangers: Strangers,
    /// Clients are asked for certificates, so tokens may be bound to them.
    pub(crate) certificates: AtomicBool,
    /// Clients reach it by https, so browsers may be told to stay there.
    pub(crate) secure: bool,
    /// A shutdown has begun: every connection's next answer is its last.
    pub(crate) stopping: watch::Receiver<bool>,
    /// A shutdown has gone so far that requests are refused.
    pub(crate) refusing: AtomicBool,
}

impl Door {
    /// Whether clients are asked for certificates.
    pub(crate) fn asks_certificates(&self) -> bool {
        self.certificates.load(Ordering::Relaxed)
    }

    /// Ends a caller's session, and all that it has under way.
    pub(crate) async fn end_session(
        &self,
        rooms: &Rooms,
        caller: &Verified,
        session: &str,
        seen: &Seen,
    ) -> Result<(), Refusal> {
        // Nobody is told, and nothing is written down, of a session that is another's or that there is not.
        rooms.identity.session(caller, session, SystemTime::now())?;
        rooms.audit.note(record::session_ends(seen)).await?;
        let session = rooms.identity.end(caller, session, SystemTime::now())?;
        self.clear(rooms, &[session]).await;
        Ok(())
    }

    /// Stops what still runs for sessions that have ended, and closes what stands open behind them.
    pub(crate) async fn clear(&self, rooms: &Rooms, ended: &[SessionKey]) {
        for session in ended {
            self.inflight.cancel_all(*session);
            rooms.end_session(*session).await;
        }
    }
}

/// Accepts until told to stop, then waits for connections to end, at most `patience`.
///
/// Nothing is lost by a stop. Who was let in by the kernel is let in here, too. Connections that are open stay so for a moment, each for
/// one more answer: a proxy may have sent a request over one that we take for idle, and would not send it again (RFC 9112 section 9.3.1).
pub(crate) async fn listen(
    listener: TcpListener,
    door: Arc<Door>,
    bounds: Bounds,
    mut stopped: watch::Receiver<bool>,
    patience: Duration,
) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(bounds.connections_max));
    loop {
        // A full house must hear of a shutdown, too.
        let place = tokio::select! {
            Ok(place) = Arc::clone(&places).acquire_owned() => place,
            _ = stopped.changed() => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = Connection { door: Arc::clone(&door), bounds: bounds.clone(), _place: place };
                tokio::spawn(connection.serve(stream, graceful.watcher()));
            }
            Err(error) => {
                // Out of file descriptors, most likely: waiting lets some come free.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    for stream in queued(listener) {
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            let connection = Connection { door: Arc::clone(&door), bounds: bounds.clone(), _place: place };
            tokio::spawn(connection.serve(stream, graceful.watcher()));
        }
    }
    let end = Instant::now() + patience;
    let last_calls = Instant::now() + LAST_CALLS.min(patience);
    while graceful.count() > 0 && Instant::now() < last_calls {
        tokio::time::sleep(LAST_CALLS_LOOK).await;
    }
    let left = end.saturating_duration_since(Instant::now());
    if tokio::time::timeout(left, part(graceful, &door)).await.is_err() {
        tracing::warn!("calls were still under way when the shutdown's patience ended");
    }
}

/// Connections that the kernel has accepted and nobody has taken yet: closing the listener would reset them.
fn queued(listener: TcpListener) -> Vec<TcpStream> {
    let Ok(listener) = listener.into_std() else { return Vec::new() };
    let accepted = listener.incoming().map_while(Result::ok).take(QUEUED_MAX);
    accepted.filter_map(|stream| stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream)).ok()).collect()
}

/// Ends every connection behind its last answer. HTTP/2 clients hear of it by GOAWAY, and what they sent before that is answered still.
async fn part(graceful: GracefulShutdown, door: &Door) {
    let mut gone = std::pin::pin!(graceful.shutdown());
    if tokio::time::timeout(LAST_CALLS, &mut gone).await.is_err() {
        door.refusing.store(true, Ordering::Relaxed);
        gone.await;
    }
}

/// What is known of whoever is at the other end.
#[derive(Debug, Clone, Copy)]
struct Peer {
    channel: Channel,
    from: Option<IpAddr>,
}

struct Connection {
    door: Arc<Door>,
    bounds: Bounds,
    // Held, not read: one connection fewer may be open.
    _place: OwnedSemaphorePermit,
}

impl Connection {
    async fn serve(self, stream: TcpStream, watcher: Watcher) {
        let door = Arc::clone(&self.door);
        let _open = door.instruments.connection();
        let from = stream.peer_addr().ok().map(|from| from.ip());
        // One write per message: waiting to fill a packet only adds delay.
        let _ = stream.set_nodelay(true);
        let tls = self.door.tls.load_full();
        match tls.as_ref() {
            None => {
                if let Ok(protocol) = preface(&stream, self.bounds.header_read_timeout).await {
                    self.speak(stream, protocol, Peer { channel: Channel::default(), from }, watcher).await;
                }
            }
            Some(config) => {
                let handshake = TlsAcceptor::from(Arc::clone(config)).accept(stream);
                match tokio::time::timeout(self.bounds.header_read_timeout, handshake).await {
                    Ok(Ok(stream)) => {
                        let protocol = match stream.get_ref().1.alpn_protocol() {
                            Some(b"h2") => Protocol::Http2,
                            Some(_) | None => Protocol::Http1,
                        };
                        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                        let channel = shown.map_or_else(Channel::default, |own| Channel::with_certificate(own));
                        self.speak(stream, protocol, Peer { channel, from }, watcher).await;
                    }
                    Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                    Err(_) => tracing::debug!("TLS handshake took too long"),
                }
            }
        }
    }

    async fn speak<S>(self, stream: S, protocol: Protocol, peer: Peer, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let door = Arc::clone(&self.door);
        let pulse = Pulse::new();
        let beating = Arc::clone(&pulse);
        let service = hyper::service::service_fn(move |request| {
            let door = Arc::clone(&door);
            let beat = beating.beat();
            async move {
                let mut response = http::answer(&door, request, peer).await?;
                response.body_mut().keep(beat);
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        let stream = TokioIo::new(Watched::new(stream, Arc::clone(&pulse)));
        match protocol {
            Protocol::Http1 => {
                let connection = http1(&self.bounds).serve_connection(stream, service);
                self.carry(watcher.watch(connection), &pulse).await;
            }
            Protocol::Http2 => {
                let connection = http2(&self.bounds).serve_connection(stream, service);
                self.carry(watcher.watch(connection), &pulse).await;
            }
        }
    }

    /// Carries a connection on until its end, or until it is of no use any more.
    async fn carry(&self, connection: impl Future<Output = hyper::Result<()>>, pulse: &Pulse) {
        tokio::select! {
            ended = connection => if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            },
            () = pulse.ended(self.bounds.header_read_timeout) => tracing::debug!("a connection was of no use any more"),
        }
    }
}

/// hyper with every bound set: nothing is left at a default that a new version may change, but for the count of headers.
fn http1(bounds: &Bounds) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.header_read_timeout)
        .max_buf_size(bounds.header_bytes_max.max(HTTP1_BUFFER_MIN))
        .keep_alive(true)
        .half_close(false);
    // hyper's own bound has its room on the stack; any that is set has it cleared for each request.
    if bounds.header_count_max != HYPER_HEADERS_MAX {
        builder.max_headers(bounds.header_count_max);
    }
    builder
}

/// The same for HTTP/2.
fn http2(bounds: &Bounds) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(bounds.http2_streams_max)
        .max_header_list_size(u32::try_from(bounds.header_bytes_max).unwrap_or(u32::MAX))
        // CVE-2023-44487 (rapid reset) and CVE-2025-8671 (made-you-reset): streams that are reset count too.
        .max_pending_accept_reset_streams(HTTP2_RESETS_MAX)
        .max_local_error_reset_streams(HTTP2_RESETS_MAX)
        .keep_alive_interval(HTTP2_PING_EVERY)
        .keep_alive_timeout(HTTP2_PING_TIMEOUT);
    builder
}

/// How long open connections may still ask once a shutdown has begun.
const LAST_CALLS: Duration = Duration::from_secs(1);
const LAST_CALLS_LOOK: Duration = Duration::from_millis(10);
/// LIMIT: more than any backlog.
const QUEUED_MAX: usize = 65_536;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What hyper bounds headers by where nothing is set.
const HYPER_HEADERS_MAX: usize = 100;
// hyper asserts at least 8 KiB.
const HTTP1_BUFFER_MIN: usize = 8192;
const HTTP2_RESETS_MAX: usize = 20;
const HTTP2_PING_EVERY: Duration = Duration::from_secs(30);
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(20);
