//! Connections to origins: those that are kept, and new ones.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, Version, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::{Connection as _, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::runtime::Handle;
use tower_service::Service as _;

use crate::client::SendError;
use crate::destination::Destination;
use crate::line::{Lease, Line, Stream};
use crate::resolver::Resolver;

/// How connections are made, and those that wait for the next request.
#[derive(Debug)]
pub(crate) struct Pool {
    connector: HttpsConnector<HttpConnector<Resolver>>,
    kept: Arc<Kept>,
}

/// A connection, in the version that both ends chose.
enum Connection {
    One(Box<Line>),
    Many(Shared),
}

type Shared = http2::SendRequest<Full<Bytes>>;

/// No answer, and the request if nothing of it was sent.
type Unanswered = (Option<Request<Full<Bytes>>>, hyper::Error);

/// An answer, and the line that its body comes in on; none where many share the connection.
pub(crate) type Answered = (Response<Incoming>, Option<Lease>);

impl Pool {
    pub(crate) fn new(connector: HttpsConnector<HttpConnector<Resolver>>) -> Pool {
        Pool { connector, kept: Arc::default() }
    }

    pub(crate) async fn send(
        &self,
        to: &Destination,
        mut request: Box<Request<Full<Bytes>>>,
    ) -> Result<Answered, SendError> {
        let shared = self.kept.shared(to.origin()).map(Connection::Many);
        let line = || self.kept.take(to.origin()).map(Connection::One);
        let mut next = shared.or_else(line);
        while let Some(kept) = next {
            match self.ask(kept, to, request).await {
                Ok(answered) => return Ok(answered),
                Err((Some(unsent), _)) => request = Box::new(unsent),
                Err((None, error)) => return Err(SendError::Exchange(error)),
            }
            next = line();
        }
        // Rare, and large: it would make every call's future so.
        let fresh = Box::pin(self.connect(to)).await?;
        self.ask(fresh, to, request).await.map_err(|(_, error)| SendError::Exchange(error))
    }

    /// The request comes back if nothing of it was sent: the server has closed the connection meanwhile.
    async fn ask(
        &self,
        connection: Connection,
        to: &Destination,
        mut request: Box<Request<Full<Bytes>>>,
    ) -> Result<Answered, Unanswered> {
        let answered = match connection {
            Connection::One(mut line) => {
                *request.uri_mut() = to.path().clone();
                *request.version_mut() = Version::HTTP_11;
                request.headers_mut().insert(header::HOST, to.host().clone());
                let answer = line.ask(*request).await;
                answer.map(|answer| {
                    (answer, Some(Lease::new(line, Arc::clone(to.shared_origin()), Arc::clone(&self.kept))))
                })
            }
            Connection::Many(mut shared) => {
                *request.uri_mut() = to.uri().clone();
                *request.version_mut() = Version::HTTP_2;
                request.headers_mut().remove(header::HOST);
                shared.try_send_request(*request).await.map(|answer| (answer, None))
            }
        };
        answered.map_err(|mut error| (error.take_message(), error.into_error()))
    }

    async fn connect(&self, to: &Destination) -> Result<Connection, SendError> {
        let mut connector = self.connector.clone();
        std::future::poll_fn(|context| connector.poll_ready(context)).await.map_err(SendError::connect)?;
        let stream: Stream = connector.call(to.uri().clone()).await.map_err(SendError::connect)?;
        if !stream.connected().is_negotiated_h2() {
            let line = Line::open(stream, HEAD_BYTES_MAX).await;
            return line.map(Connection::One).map_err(|error| SendError::Connect(error.into()));
        }
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).max_header_list_size(HEAD_LIST_BYTES_MAX);
        let (shared, run) = builder.handshake(stream).await.map_err(|error| SendError::Connect(error.into()))?;
        // It ends when nobody has it any more.
        drop(tokio::spawn(async move {
            if let Err(error) = run.await {
                tracing::debug!(%error, "a connection broke");
            }
        }));
        self.kept.share(to.shared_origin(), shared.clone());
        Ok(Connection::Many(shared))
    }
}

/// Connections that wait for the next request, by origin.
#[derive(Debug, Default)]
pub(crate) struct Kept(Mutex<Origins>);

#[derive(Debug, Default)]
struct Origins {
    of: HashMap<Arc<str>, Origin>,
    /// Whether a task closes what nobody uses.
    swept: bool,
}

#[derive(Default)]
struct Origin {
    /// The one that was used last at the end.
    lines: Vec<(Box<Line>, Instant)>,
    shared: Option<(Shared, Instant)>,
}

impl Kept {
    /// A line that takes a request. Those that their servers closed meanwhile are dropped.
    fn take(&self, origin: &str) -> Option<Box<Line>> {
        loop {
            let (mut line, _) = self.origins().of.get_mut(origin)?.lines.pop()?;
            if line.is_free() {
                return Some(line);
            }
        }
    }

    /// Keeps a line for the next request. More than [`IDLE_PER_ORIGIN`] are not kept, and none outside a runtime.
    pub(crate) fn put(self: &Arc<Self>, origin: &Arc<str>, line: Box<Line>) {
        if Handle::try_current().is_err() {
            return;
        }
        let mut origins = self.origins();
        let lines = &mut origins.origin(origin).lines;
        if lines.len() < IDLE_PER_ORIGIN {
            lines.push((line, Instant::now()));
        }
        self.sweep(&mut origins);
    }

    fn shared(&self, origin: &str) -> Option<Shared> {
        let mut origins = self.origins();
        let (shared, used) = origins.of.get_mut(origin)?.shared.as_mut()?;
        *used = Instant::now();
        (!shared.is_closed()).then(|| shared.clone())
    }

    fn share(self: &Arc<Self>, origin: &Arc<str>, shared: Shared) {
        let mut origins = self.origins();
        origins.origin(origin).shared = Some((shared, Instant::now()));
        self.sweep(&mut origins);
    }

    /// Has a task close what nobody uses, as long as there is something.
    fn sweep(self: &Arc<Self>, origins: &mut Origins) {
        if std::mem::replace(&mut origins.swept, true) {
            return;
        }
        let kept = Arc::downgrade(self);
        drop(tokio::spawn(async move {
            loop {
                tokio::time::sleep(IDLE / 2).await;
                let Some(kept) = kept.upgrade() else { return };
                if kept.origins().close_idle(Instant::now()) {
                    return;
                }
            }
        }));
    }

    fn origins(&self) -> MutexGuard<'_, Origins> {
        // No panic leaves the table half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Origins {
    fn origin(&mut self, origin: &Arc<str>) -> &mut Origin {
        self.of.entry(Arc::clone(origin)).or_default()
    }

    /// Whether nothing is left.
    fn close_idle(&mut self, now: Instant) -> bool {
        let in_use = |used: &Instant| now.saturating_duration_since(*used) < IDLE;
        self.of.retain(|_, origin| {
            origin.lines.retain_mut(|(line, used)| in_use(used) && line.is_free());
            origin.shared.take_if(|(shared, used)| !in_use(used) || shared.is_closed());
            !origin.lines.is_empty() || origin.shared.is_some()
        });
        self.swept = !self.of.is_empty();
        !self.swept
    }
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines = self.lines.len();
        f.debug_struct("Origin").field("lines", &lines).field("shared", &self.shared.is_some()).finish()
    }
}

/// How long a connection is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(60);
const IDLE_PER_ORIGIN: usize = 32;
/// Longest head of an answer.
pub(crate) const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The same for HTTP/2, in the type of its setting.
const HEAD_LIST_BYTES_MAX: u32 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_nobody_uses_for_a_minute_is_closed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let stream =
            tokio::net::TcpStream::connect(listener.local_addr().expect("an address")).await.expect("a stream");
        let stream = Stream::Http(hyper_util::rt::TokioIo::new(stream));
        let (kept, origin) = (Arc::<Kept>::default(), Arc::from("http://localhost"));
        kept.put(&origin, Line::open(stream, HEAD_BYTES_MAX).await.expect("a line"));
        let now = Instant::now();
        assert!(!kept.origins().close_idle(now));
        assert!(kept.take("http://127.0.0.1").is_none(), "another origin's");
        let line = kept.take(&origin).expect("it is kept");
        kept.put(&origin, line);
        assert!(kept.origins().close_idle(now + IDLE + IDLE));
        assert!(kept.take(&origin).is_none());
    }
}
