//! The listener: one request a connection, few connections, little time.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::uri::Authority;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use sekisho_gateway::Readings;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use crate::config::{Config, ConfigError};
use crate::text;

/// A door that nobody answers yet.
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    allowed_hosts: Vec<String>,
}

/// A door that is answered. It is closed when this is dropped.
pub struct Running {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

/// Why there is no such door.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// `[admin]` is wrong.
    #[error("the `[admin]` section cannot be used")]
    Config(#[from] ConfigError),
    /// The address cannot be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// Why: `AddrInUse` if another program has it.
        #[source]
        source: std::io::Error,
    },
}

impl Bound {
    /// Takes the address; none if none is configured.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn take(config: &Config) -> Result<Option<Bound>, StartError> {
        config.check()?;
        let Some(address) = config.listen else { return Ok(None) };
        let refused = |source| StartError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Some(Bound { listener, address, allowed_hosts: config.allowed_hosts.clone() }))
    }

    /// Answers from now on.
    #[must_use]
    pub fn open(self, readings: Readings) -> Running {
        let door = Arc::new(Door { readings, allowed_hosts: self.allowed_hosts });
        Running { address: self.address, accepting: tokio::spawn(accept(self.listener, door)) }
    }
}

impl Running {
    /// Where it listens; the port is the real one even if 0 was configured.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

struct Door {
    readings: Readings,
    allowed_hosts: Vec<String>,
}

async fn accept(listener: TcpListener, door: Arc<Door>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve(stream, Arc::clone(&door), place));
            }
            Err(error) => {
                tracing::warn!(target: "admin", %error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, door: Arc<Door>, place: OwnedSemaphorePermit) {
    let service = service_fn(move |request| {
        let door = Arc::clone(&door);
        async move { Ok::<_, Infallible>(door.answer(&request)) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .keep_alive(false)
        .half_close(false)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(ALL_WITHIN, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(target: "admin", %error, "a connection ended early"),
        Err(_) => tracing::debug!(target: "admin", "a connection took too long"),
    }
    drop(place);
}

impl Door {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let (uri, headers) = (request.uri(), request.headers());
        let mut response = match (self.knows(uri, headers), request.method()) {
            (false, _) => plain(StatusCode::FORBIDDEN, "this host is not served here\n"),
            (true, &Method::GET | &Method::HEAD) => self.path(uri.path(), headers),
            (true, _) => {
                let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are offered here\n");
                refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
                refused
            }
        };
        for (name, value) in HARDENED {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }

    fn path(&self, path: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
        match path {
            "/livez" => plain(StatusCode::OK, "alive\n"),
            "/readyz" if self.readings.ready() => plain(StatusCode::OK, "ready\n"),
            "/readyz" => plain(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
            "/metrics" if !text::is_accepted(headers) => {
                plain(StatusCode::NOT_ACCEPTABLE, "metrics are application/openmetrics-text\n")
            }
            "/metrics" => {
                let mut response = Response::new(Full::from(text::written(self.readings.families())));
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(text::MEDIA));
                response
            }
            _ => plain(StatusCode::NOT_FOUND, "there is nothing at this path\n"),
        }
    }

    /// Whether each name that the request has for us is one that nobody else can point here.
    fn knows(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(header::HOST).iter();
        let one =
            matches!((hosts.next(), hosts.next()), (Some(host), None) if host.to_str().is_ok_and(|h| self.is_ours(h)));
        one && uri.authority().is_none_or(|authority| self.is_ours(authority.as_str()))
    }

    fn is_ours(&self, authority: &str) -> bool {
        let Ok(authority) = authority.parse::<Authority>() else { return false };
        let host = authority.host();
        let is_address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
        let is_named = self.allowed_hosts.iter().any(|known| known.eq_ignore_ascii_case(host));
        !authority.as_str().contains('@') && (is_address || is_named || host.eq_ignore_ascii_case("localhost"))
    }
}

fn plain(status: StatusCode, words: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(words));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// LIMIT: connections at once.
const CONNECTIONS_MAX: usize = 16;
const HEADERS_MAX: usize = 64;
const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEAD_WITHIN: Duration = Duration::from_secs(5);
const ALL_WITHIN: Duration = Duration::from_secs(15);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const HARDENED: [(HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
];
