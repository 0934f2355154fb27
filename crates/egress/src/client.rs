//! The client.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::HttpConnector;
use url::Url;

use crate::address::AddressRefused;
use crate::body::{Body, BodyError};
use crate::config::Config;
use crate::destination::{BadDestination, Destination};
use crate::internal::Rules;
use crate::pool::{HEAD_BYTES_MAX, Pool};
use crate::resolver::{ResolveError, Resolver, judged};
use crate::trust::{NewError, tls};
use crate::verdict::{Judged, Verdict};

/// The one HTTP client. Connections are kept and shared by all who ask the same origin.
#[derive(Debug)]
pub struct Client {
    pool: Pool,
    rules: Arc<Rules>,
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
    /// The answer is neither 200 nor a redirect.
    #[error("the document's server answered {status}, not 200")]
    Status {
        /// What it answered.
        status: u16,
    },
    /// A redirect that does not say where to, or not in a way that can be read.
    #[error("the document's server redirects without saying where to")]
    RedirectNowhere,
    /// A redirect to a URL that may not be asked.
    #[error("the document's server redirects to a URL that is refused")]
    RedirectRefused(#[source] BadDestination),
    /// A redirect to another origin.
    #[error("the document's server redirects to another scheme, host or port")]
    RedirectElsewhere,
    /// One redirect too many.
    #[error("the document's server redirects more than {REDIRECTS_MAX} times")]
    TooManyRedirects,
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
        if config.dangerous_allow_private_networks {
            tracing::warn!("dangerous_allow_private_networks is on: names may lead into private networks");
        }
        let rules = Arc::new(Rules::of(config));
        let ca_file = config.ca_file.as_ref().map(|path| base.join(path));
        let mut tcp = HttpConnector::new_with_resolver(Resolver(Arc::clone(&rules)));
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
        Ok(Client { pool: Pool::new(connector), rules, idle, response_bytes_max: config.response_bytes_max })
    }

    /// Proves that this URL may be asked.
    ///
    /// # Errors
    /// It is not https (or http to loopback), has credentials or a fragment, or names an address that is not connected to.
    pub fn destination(&self, url: &Url) -> Result<Destination, BadDestination> {
        Destination::new(url, &self.rules)
    }

    /// Tells what would be done with this URL, and connects to nothing. Its host is looked up, by the deadline, as a request's is;
    /// a later look-up may find other addresses, and is judged anew.
    pub async fn check(&self, url: &Url, deadline: Instant) -> Verdict {
        let to = match self.destination(url) {
            Ok(to) => to,
            Err(error) => return Verdict::BadDestination(error),
        };
        if let Some(address) = to.literal() {
            return Verdict::of(vec![Judged { address, verdict: self.rules.check_literal(address) }]);
        }
        let name = to.uri().host().unwrap_or_default();
        match tokio::time::timeout_at(deadline.into(), judged(name, &self.rules)).await {
            Ok(Ok(addresses)) => Verdict::of(addresses),
            Ok(Err(error)) => Verdict::Unresolved(error),
            Err(_elapsed) => Verdict::Unresolved(ResolveError::Late),
        }
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
        to.check(&self.rules).map_err(SendError::Refused)?;
        let answer = tokio::time::timeout_at(deadline.into(), self.pool.send(to, Box::new(request)));
        let (answer, lease) = answer.await.map_err(|_| SendError::Late)??;
        // hyper's own bounds keep memory in check, but let up to twice as much through.
        if head_bytes(answer.headers()) > HEAD_BYTES_MAX {
            return Err(SendError::HeadTooLong);
        }
        Ok(answer.map(|incoming| Body::new(incoming, lease, self.response_bytes_max, self.idle)))
    }

    /// Fetches a document, such as a key set or metadata, with GET. Follows up to three redirects within its origin.
    ///
    /// # Errors
    /// The URL is refused, or a redirect leads elsewhere, nowhere or on and on; the answer is not 200, or it is not whole within
    /// `timeout`, redirects included, and `bytes_max`.
    pub async fn fetch(&self, url: &Url, bytes_max: u64, timeout: Duration) -> Result<Bytes, FetchError> {
        let deadline = Instant::now().checked_add(timeout).unwrap_or_else(Instant::now);
        let mut url = url.clone();
        let mut to = self.destination(&url).map_err(FetchError::Destination)?;
        for _ in 0..=REDIRECTS_MAX {
            let answer = self.send(&to, document(), deadline).await.map_err(FetchError::Send)?;
            match answer.status() {
                StatusCode::OK => {
                    let body = answer.into_body().bounded(bytes_max, timeout);
                    return body.collect_by(deadline).await.map_err(FetchError::Body);
                }
                // Whatever a redirect says in its body is not read.
                StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::SEE_OTHER
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT => (url, to) = self.redirected(&url, &to, answer.headers())?,
                status => return Err(FetchError::Status { status: status.as_u16() }),
            }
        }
        Err(FetchError::TooManyRedirects)
    }

    /// Where a redirect leads, proved like any other URL.
    ///
    /// The same origin, and not only the same site: a document speaks for the origin that was configured, and who asks has judged
    /// that one. Another host of the site may hold what its users upload, another port may be anybody's, and http anybody's on the
    /// way; nor is there then a list of public suffixes to be wrong.
    fn redirected(&self, from: &Url, at: &Destination, headers: &HeaderMap) -> Result<(Url, Destination), FetchError> {
        let mut locations = headers.get_all(header::LOCATION).iter();
        let (Some(location), None) = (locations.next(), locations.next()) else {
            return Err(FetchError::RedirectNowhere);
        };
        let location = location.to_str().map_err(|_| FetchError::RedirectNowhere)?;
        let url = from.join(location).map_err(|_| FetchError::RedirectNowhere)?;
        let to = self.destination(&url).map_err(FetchError::RedirectRefused)?;
        if to.origin() == at.origin() { Ok((url, to)) } else { Err(FetchError::RedirectElsewhere) }
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

fn document() -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    *request.method_mut() = Method::GET;
    request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    request
}

/// Size of the headers as RFC 9113 section 6.5.2 counts it, for both versions of HTTP.
fn head_bytes(headers: &HeaderMap) -> usize {
    headers.iter().fold(0, |sum: usize, (name, value)| {
        sum.saturating_add(name.as_str().len()).saturating_add(value.len()).saturating_add(32)
    })
}

/// How often a document may be elsewhere.
const REDIRECTS_MAX: usize = 3;
