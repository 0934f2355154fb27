//! The client.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::HttpConnector;
use url::Url;

use crate::address::{AddressRefused, Private};
use crate::body::{Body, BodyError};
use crate::config::Config;
use crate::destination::{BadDestination, Destination};
use crate::pool::{HEAD_BYTES_MAX, Pool};
use crate::resolver::{ResolveError, Resolver};
use crate::trust::{NewError, tls};

/// The one HTTP client. Connections are kept and shared by all who ask the same origin.
#[derive(Debug)]
pub struct Client {
    pool: Pool,
    private: Private,
    idle: Duration,
    response_bytes_max: u64,
}

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The name or address leads where this client does not go.
    #[error("the destination is not connected to")]
    Refused(#[source] AddressRefused),
    /// No connection could be made: no address, nobody there, or not who it should be.
    #[error("no connection to the server")]
    Connect(#[source] Box<dyn Error + Send + Sync>),
    /// The head of the answer did not come by the deadline. Whether the server got the request is unknown.
    #[error("the server did not answer in time")]
    Late,
    /// The head of the answer is longer than permitted.
    #[error("the head of the server's answer is longer than {HEAD_BYTES_MAX} bytes")]
    HeadTooLong,
    /// The connection broke, or what came is not HTTP. Whether the server got the request is unknown.
    #[error("the exchange with the server failed")]
    Exchange(#[source] hyper::Error),
}

/// Why a document was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The URL may not be asked.
    #[error("the document's URL is refused")]
    Destination(#[source] BadDestination),
    /// No answer came.
    #[error("the document was not fetched")]
    Send(#[source] SendError),
    /// The answer is another than 200; a redirect is never followed.
    #[error("the document's server answered {status}, not 200")]
    Status {
        /// What it answered.
        status: u16,
    },
    /// The document did not come in whole.
    #[error("the document was not received")]
    Body(#[source] BodyError),
}

impl Client {
    /// Builds the client. `base` is the folder that a relative `ca_file` starts from.
    ///
    /// # Errors
    /// The configured certificate authorities cannot be used.
    pub fn new(config: &Config, base: &Path) -> Result<Client, NewError> {
        let private = if config.dangerous_allow_private_networks {
            tracing::warn!("dangerous_allow_private_networks is on: names may lead into private networks");
            Private::Permit
        } else {
            Private::Refuse
        };
        let ca_file = config.ca_file.as_ref().map(|path| base.join(path));
        let mut tcp = HttpConnector::new_with_resolver(Resolver { private });
        tcp.set_connect_timeout(Some(Duration::from_millis(config.connect_timeout_ms)));
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(ca_file.as_deref())?)
            // Plain http is for loopback alone, which every `Destination` has proved.
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp);
        let idle = Duration::from_millis(config.timeout_ms);
        Ok(Client { pool: Pool::new(connector), private, idle, response_bytes_max: config.response_bytes_max })
    }

    /// Proves that this URL may be asked.
    ///
    /// # Errors
    /// It is not https (or http to loopback), has credentials or a fragment, or names an address that is not connected to.
    pub fn destination(&self, url: &Url) -> Result<Destination, BadDestination> {
        Destination::new(url, self.private)
    }

    /// Sends the request and returns the head of the answer with its body still to come, whatever its status: a redirect is
    /// an answer like any other. URI, version and `Host` are the destination's, not the request's.
    ///
    /// # Errors
    /// The destination is refused or not reached, or no head of an answer came by the deadline.
    pub async fn send(
        &self,
        to: &Destination,
        request: Request<Full<Bytes>>,
        deadline: Instant,
    ) -> Result<Response<Body>, SendError> {
        // Again, since a client with other rules may have made it. A name is checked where it is resolved.
        to.check(self.private).map_err(SendError::Refused)?;
        let answer = tokio::time::timeout_at(deadline.into(), self.pool.send(to, Box::new(request)));
        let (answer, lease) = answer.await.map_err(|_| SendError::Late)??;
        // hyper's own bounds keep memory in check, but let up to twice as much through.
        if head_bytes(answer.headers()) > HEAD_BYTES_MAX {
            return Err(SendError::HeadTooLong);
        }
        Ok(answer.map(|incoming| Body::new(incoming, lease, self.response_bytes_max, self.idle)))
    }

    /// Fetches a document, such as a key set or metadata, with GET.
    ///
    /// # Errors
    /// The URL is refused, the answer is not 200, or it is not whole within `timeout` and `bytes_max`.
    pub async fn fetch(&self, url: &Url, bytes_max: u64, timeout: Duration) -> Result<Bytes, FetchError> {
        let deadline = Instant::now().checked_add(timeout).unwrap_or_else(Instant::now);
        let to = self.destination(url).map_err(FetchError::Destination)?;
        let mut request = Request::new(Full::default());
        *request.method_mut() = Method::GET;
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let answer = self.send(&to, request, deadline).await.map_err(FetchError::Send)?;
        let status = answer.status();
        if status != StatusCode::OK {
            return Err(FetchError::Status { status: status.as_u16() });
        }
        let body = answer.into_body().bounded(bytes_max, timeout);
        body.collect_by(deadline).await.map_err(FetchError::Body)
    }
}

impl SendError {
    /// Why there is no connection.
    pub(crate) fn connect(error: Box<dyn Error + Send + Sync>) -> SendError {
        let mut cause: Option<&(dyn Error + 'static)> = Some(&*error);
        while let Some(current) = cause {
            if let Some(ResolveError::Refused(why)) = current.downcast_ref() {
                return SendError::Refused(*why);
            }
            cause = current.source();
        }
        SendError::Connect(error)
    }
}

/// Size of the headers as RFC 9113 section 6.5.2 counts it, for both versions of HTTP.
fn head_bytes(headers: &HeaderMap) -> usize {
    headers.iter().fold(0, |sum: usize, (name, value)| {
        sum.saturating_add(name.as_str().len()).saturating_add(value.len()).saturating_add(32)
    })
}
