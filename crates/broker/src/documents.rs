//! Fetches Client ID Metadata Documents, and keeps them for as long as their servers permit. Whoever brings an id makes us go out:
//! to whom, how often and for how long has bounds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use moka::sync::Cache;
use sekisho_egress::{BadDestination, BodyError, SendError};
use tokio::sync::{OnceCell, Semaphore};

use crate::client::Client;
use crate::freshness::{KEPT_MAX, lifetime};
use crate::metadata::{DOCUMENT_BYTES_MAX, DocumentError};
use crate::redirect::AppSchemes;
use crate::trust::Trusted;

/// Why a client's document is not there.
#[derive(Debug, thiserror::Error)]
pub enum FetchDocumentError {
    /// Its address may not be asked.
    #[error("the document's address is refused")]
    Destination(#[source] BadDestination),
    /// No answer came.
    #[error("the document was not fetched")]
    Send(#[source] SendError),
    /// It is elsewhere. It would then be another client's, whose id is the address that it is at.
    #[error("the document's server redirects ({status}), which is not followed")]
    Redirect {
        /// What it answered.
        status: u16,
    },
    /// The answer is not 200.
    #[error("the document's server answered {status}, not 200")]
    Status {
        /// What it answered.
        status: u16,
    },
    /// What came is not said to be JSON: it may be a page that somebody else could write into.
    #[error("the document is not said to be `application/json`")]
    Type,
    /// It did not come in whole.
    #[error("the document was not received")]
    Body(#[source] BodyError),
    /// It describes no client.
    #[error("the document describes no client that can be used here")]
    Document(#[source] DocumentError),
    /// Too many others are asked for.
    #[error("too many documents are being fetched")]
    Busy,
}

/// The documents of clients.
#[derive(Debug)]
pub(crate) struct Documents {
    egress: Arc<sekisho_egress::Client>,
    apps: AppSchemes,
    kept: Cache<Box<str>, Kept<Arc<Client>>>,
    /// Apart from the others, so that ids that lead nowhere push out none that do not.
    failed: Cache<Box<str>, Kept<Arc<FetchDocumentError>>>,
    flights: Shared<OnceCell<Outcome>>,
    hosts: Shared<Semaphore>,
    places: Semaphore,
    timeout: Duration,
}

#[derive(Debug, Clone)]
struct Kept<T> {
    it: T,
    until: SystemTime,
}

type Outcome = Result<Arc<Client>, Arc<FetchDocumentError>>;

impl Documents {
    pub(crate) fn new(egress: Arc<sekisho_egress::Client>, apps: AppSchemes) -> Documents {
        Documents {
            egress,
            apps,
            kept: Cache::new(KEPT_COUNT_MAX),
            failed: Cache::new(KEPT_COUNT_MAX),
            flights: Shared::default(),
            hosts: Shared::default(),
            places: Semaphore::new(FETCHES_MAX),
            timeout: TIMEOUT,
        }
    }

    /// The client whose document is at its id. Of all who ask for one at the same time, one fetches it.
    pub(crate) async fn find(&self, id: &Trusted, now: SystemTime) -> Outcome {
        let key = id.id().as_str();
        if let Some(known) = self.known(key, now) {
            return known;
        }
        let busy = || Arc::new(FetchDocumentError::Busy);
        let flight = self.flights.of(key, OnceCell::new).ok_or_else(busy)?;
        flight.get_or_init(|| Box::pin(self.fetch_and_keep(id, now))).await.clone()
    }

    fn known(&self, key: &str, now: SystemTime) -> Option<Outcome> {
        let kept = self.kept.get(key).filter(|kept| kept.is_fresh(now)).map(|kept| Ok(kept.it));
        kept.or_else(|| self.failed.get(key).filter(|failed| failed.is_fresh(now)).map(|failed| Err(failed.it)))
    }

    async fn fetch_and_keep(&self, id: &Trusted, now: SystemTime) -> Outcome {
        let key = id.id().as_str();
        // Somebody may have fetched it between our look and our turn.
        if let Some(known) = self.known(key, now) {
            self.flights.forget(key);
            return known;
        }
        let until = |life: Duration| now.checked_add(life).unwrap_or(now);
        let outcome = match self.fetch(id).await {
            Ok((client, life)) => {
                let client = Arc::new(client);
                if life.is_zero() {
                    self.kept.invalidate(key);
                } else {
                    self.kept.insert(key.into(), Kept { it: Arc::clone(&client), until: until(life) });
                }
                Ok(client)
            }
            Err(error) => {
                let error = Arc::new(error);
                // That we are busy says nothing of the document.
                if !matches!(*error, FetchDocumentError::Busy) {
                    self.failed.insert(key.into(), Kept { it: Arc::clone(&error), until: until(FAILURE_KEPT) });
                }
                Err(error)
            }
        };
        // Whoever comes from here on looks at what is kept, and not at how this one went.
        self.flights.forget(key);
        outcome
    }

    async fn fetch(&self, id: &Trusted) -> Result<(Client, Duration), FetchDocumentError> {
        let id = id.id();
        let to = self.egress.destination(id.url()).map_err(FetchDocumentError::Destination)?;
        let deadline = Instant::now().checked_add(self.timeout).unwrap_or_else(Instant::now);
        let host = self.hosts.of(id.host(), || Semaphore::new(FETCHES_PER_HOST_MAX)).ok_or(FetchDocumentError::Busy)?;
        // First the host's: whoever waits for a slow one takes no place away from others.
        let places = async { (host.acquire().await, self.places.acquire().await) };
        let places = tokio::time::timeout_at(deadline.into(), places).await;
        let Ok((Ok(_of_host), Ok(_of_all))) = places else { return Err(FetchDocumentError::Busy) };
        // Not `fetch`, which follows redirects.
        let answer = self.egress.send(&to, request(), deadline).await.map_err(FetchDocumentError::Send)?;
        check_head(&answer)?;
        let life = lifetime(answer.headers());
        let bytes_max = u64::try_from(DOCUMENT_BYTES_MAX).unwrap_or_default();
        let body = answer.into_body().bounded(bytes_max, self.timeout).collect_by(deadline).await;
        let body = body.map_err(FetchDocumentError::Body)?;
        let client = Client::from_document(id.clone(), body, &self.apps).map_err(FetchDocumentError::Document)?;
        Ok((client, life))
    }
}

impl<T> Kept<T> {
    /// A clock that was put back must not make it last for longer.
    fn is_fresh(&self, now: SystemTime) -> bool {
        self.until.duration_since(now).is_ok_and(|left| !left.is_zero() && left <= KEPT_MAX)
    }
}

fn request() -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    request
}

fn check_head<B>(answer: &Response<B>) -> Result<(), FetchDocumentError> {
    let status = answer.status();
    if status.is_redirection() {
        return Err(FetchDocumentError::Redirect { status: status.as_u16() });
    }
    if status != StatusCode::OK {
        return Err(FetchDocumentError::Status { status: status.as_u16() });
    }
    if is_json(answer.headers()) { Ok(()) } else { Err(FetchDocumentError::Type) }
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(said), None) = (types.next(), types.next()) else { return false };
    let essence = said.to_str().ok().and_then(|said| said.split(';').next()).unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    let kind = essence.strip_prefix("application/").unwrap_or_default();
    kind == "json" || kind.strip_suffix("+json").is_some_and(|of| !of.is_empty())
}

/// What those who come for the same thing at the same time have in common; forgotten with the last of them.
#[derive(Debug)]
struct Shared<T>(Mutex<HashMap<Box<str>, Weak<T>>>);

impl<T> Default for Shared<T> {
    fn default() -> Shared<T> {
        Shared(Mutex::default())
    }
}

impl<T> Shared<T> {
    /// None: there is no room for one more.
    fn of(&self, key: &str, make: impl FnOnce() -> T) -> Option<Arc<T>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(key).and_then(Weak::upgrade) {
            return Some(known);
        }
        if all.len() >= SHARED_MAX {
            all.retain(|_, one| one.strong_count() > 0);
        }
        if all.len() >= SHARED_MAX {
            return None;
        }
        let made = Arc::new(make());
        all.insert(key.into(), Arc::downgrade(&made));
        Some(made)
    }

    fn forget(&self, key: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// LIMIT: from the first wait to the last byte of a document.
const TIMEOUT: Duration = Duration::from_secs(5);
/// LIMIT: how long it is known that a document is not there.
const FAILURE_KEPT: Duration = Duration::from_secs(30);
/// LIMIT: documents that are kept, and as many that could not be fetched.
const KEPT_COUNT_MAX: u64 = 1000;
/// LIMIT: documents that are fetched at the same time.
const FETCHES_MAX: usize = 16;
/// LIMIT: the same, of one host.
const FETCHES_PER_HOST_MAX: usize = 2;
/// LIMIT: ids, and hosts, that somebody waits for.
const SHARED_MAX: usize = 1024;

#[cfg(test)]
mod tests;
