//! Accepting connections: bounded in number, in header size and in time (4.4).

mod body;
mod converse;
mod http;
mod mcp;
mod preface;
mod public;
mod pulse;
mod respond;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::ServerConfig;
use sekisho_limits::Bounds;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::inflight::InFlight;
use crate::instruments::Instruments;
use crate::snapshot::Rooms;
use crate::strangers::Strangers;
use preface::{Protocol, preface};
use pulse::{Pulse, Watched};

/// What every connection shares.
pub(crate) struct Door {
    pub(crate) rooms: ArcSwap<Rooms>,
    pub(crate) tls: ArcSwap<Option<Arc<ServerConfig>>>,
    pub(crate) inflight: Arc<InFlight>,
    pub(crate) instruments: Arc<Instruments>,
    /// How many bodies may be read at once, in KiB.
    pub(crate) reading: Semaphore,
    /// Refusals of callers that nobody knows.
    pub(crate) strangers: Strangers,
    /// Clients reach it by https, so browsers may be told to stay there.
    pub(crate) secure: bool,
    pub(crate) stopping: watch::Receiver<bool>,
}

/// Accepts until told to stop, then waits for connections to end, at most `patience`.
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
                let connection = Connection { door: Arc::clone(&door), bounds: bounds.clone(), place };
                tokio::spawn(connection.serve(stream, graceful.watcher()));
            }
            Err(error) => {
                // Out of file descriptors, most likely: waiting lets some come free.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(patience, graceful.shutdown()).await.is_err() {
        tracing::warn!("calls were still under way when the shutdown's patience ended");
    }
}

struct Connection {
    door: Arc<Door>,
    bounds: Bounds,
    place: OwnedSemaphorePermit,
}

impl Connection {
    async fn serve(self, stream: TcpStream, watcher: Watcher) {
        let door = Arc::clone(&self.door);
        let _open = door.instruments.connection();
        // One write per message: waiting to fill a packet only adds delay.
        let _ = stream.set_nodelay(true);
        let tls = self.door.tls.load_full();
        match tls.as_ref() {
            None => {
                if let Ok(protocol) = preface(&stream, self.bounds.header_read_timeout).await {
                    self.speak(stream, protocol, watcher).await;
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
                        self.speak(stream, protocol, watcher).await;
                    }
                    Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                    Err(_) => tracing::debug!("TLS handshake took too long"),
                }
            }
        }
    }

    async fn speak<S>(self, stream: S, protocol: Protocol, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let builder = server(&self.bounds, protocol);
        let door = Arc::clone(&self.door);
        let pulse = Pulse::new();
        let beating = Arc::clone(&pulse);
        let service = hyper::service::service_fn(move |request| {
            let door = Arc::clone(&door);
            let beat = beating.beat();
            async move {
                let mut response = http::answer(&door, request).await?;
                response.body_mut().keep(beat);
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        let stream = Watched::new(stream, Arc::clone(&pulse));
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        tokio::select! {
            ended = watcher.watch(connection) => if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            },
            () = pulse.ended(self.bounds.header_read_timeout) => tracing::debug!("a connection was of no use any more"),
        }
        drop(self.place);
    }
}

/// hyper with every bound set: nothing is left at a default that a new version may change.
fn server(bounds: &Bounds, protocol: Protocol) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.header_read_timeout)
        .max_headers(bounds.header_count_max)
        .max_buf_size(bounds.header_bytes_max.max(HTTP1_BUFFER_MIN))
        .keep_alive(true)
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(bounds.http2_streams_max)
        .max_header_list_size(u32::try_from(bounds.header_bytes_max).unwrap_or(u32::MAX))
        // CVE-2023-44487 (rapid reset) and CVE-2025-8671 (made-you-reset): streams that are reset count too.
        .max_pending_accept_reset_streams(HTTP2_RESETS_MAX)
        .max_local_error_reset_streams(HTTP2_RESETS_MAX)
        .keep_alive_interval(HTTP2_PING_EVERY)
        .keep_alive_timeout(HTTP2_PING_TIMEOUT);
    match protocol {
        Protocol::Http1 => builder.http1_only(),
        Protocol::Http2 => builder.http2_only(),
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
// hyper asserts at least 8 KiB.
const HTTP1_BUFFER_MIN: usize = 8192;
const HTTP2_RESETS_MAX: usize = 20;
const HTTP2_PING_EVERY: Duration = Duration::from_secs(30);
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(20);
