//! Key sets that are fetched: at first need, then seldom, and never because of a token more often than a bound.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use sekisho_egress::{Client, FetchError};
use sekisho_wire::Json;
use sekisho_wire::json::{DecodeError, Limits};
use tokio::sync::Mutex;
use url::Url;

use crate::address::{is_loopback, is_plain_web, is_protected, metadata_urls};
use crate::keys::{KEY_SET_BYTES_MAX, KeySet, KeySetError};
use crate::principal::sha256;

/// Known keys of this age are fetched again.
const REFRESH_AFTER: Duration = Duration::from_secs(600);
/// A key id that is not known causes at most one fetch in this time, since anybody can write one into a token.
const UNKNOWN_KEY_EVERY: Duration = Duration::from_secs(30);
/// After a fetch that failed, the next one is not tried earlier.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Longest time for one document.
const DOCUMENT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time for metadata and key set together.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest metadata document, in bytes.
const METADATA_BYTES_MAX: usize = 64 * 1024;
/// A clock that was set back by more than this makes every age unknown, hence too old.
const CLOCK_STEP_MAX: Duration = Duration::from_secs(30);

const METADATA_LIMITS: Limits = Limits { bytes_max: METADATA_BYTES_MAX, depth_max: 8, nodes_max: 4096 };

/// A key set with its version: the digest of the document it came from.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) keys: KeySet,
    pub(crate) version: [u8; 32],
    fetched_at: SystemTime,
}

impl Loaded {
    /// Reads the document that was obtained at `fetched_at`.
    pub(crate) fn read(text: bytes::Bytes, fetched_at: SystemTime) -> Result<Loaded, KeySetError> {
        let version = sha256(&[&text]);
        Ok(Loaded { keys: KeySet::parse(text)?, version, fetched_at })
    }

    /// How long ago that was.
    pub(crate) fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(self.fetched_at).unwrap_or_default()
    }
}

/// Where the key set of a remote issuer is.
#[derive(Debug)]
pub(crate) enum Place {
    /// At this address.
    Address(Url),
    /// Where the issuer's metadata says (RFC 8414, OpenID Connect Discovery).
    Discovered(Url),
}

/// The key set of one remote issuer.
#[derive(Clone)]
pub(crate) struct RemoteKeys(Arc<Inner>);

struct Inner {
    issuer: Box<str>,
    place: Place,
    client: Arc<Client>,
    stale_max: Duration,
    loaded: ArcSwapOption<Loaded>,
    /// Held while a fetch is under way, so that there is one at a time.
    gate: Arc<Mutex<Tried>>,
}

/// When fetches began.
#[derive(Default)]
struct Tried {
    last: Option<SystemTime>,
    /// The last one that was made because of a token's key id. Counted apart from all others: else a key that an issuer begins to use
    /// right after its set was refreshed would be refused for as long.
    for_unknown_key: Option<SystemTime>,
}

/// Why keys are fetched.
#[derive(Clone, Copy)]
enum Why<'a> {
    /// There are none, or they are old.
    Due,
    /// A token names a key that is not in this set.
    UnknownKey(&'a Loaded),
}

/// Why a key set could not be fetched. Goes to the log; a client hears only that keys are not available.
#[derive(Debug, thiserror::Error)]
enum FetchKeysError {
    #[error("fetch of `{url}` failed")]
    Fetch {
        url: Url,
        #[source]
        source: FetchError,
    },
    #[error("metadata at `{url}` is not strict JSON")]
    Metadata {
        url: Url,
        #[source]
        source: DecodeError,
    },
    #[error("metadata at `{url}` names another issuer")]
    OtherIssuer { url: Url },
    #[error("metadata at `{url}` names no acceptable `jwks_uri`")]
    NoKeySetUrl { url: Url },
    #[error("key set at `{url}` is refused")]
    KeySet {
        url: Url,
        #[source]
        source: KeySetError,
    },
    #[error("the issuer has no place for its metadata")]
    Nowhere,
}

impl RemoteKeys {
    /// Nothing is fetched yet.
    pub(crate) fn new(issuer: &str, place: Place, client: Arc<Client>, stale_max: Duration) -> RemoteKeys {
        RemoteKeys(Arc::new(Inner {
            issuer: issuer.into(),
            place,
            client,
            stale_max,
            loaded: ArcSwapOption::empty(),
            gate: Arc::default(),
        }))
    }

    /// The keys to use now; none if there are none that are young enough. Waits only where a fetch is due.
    pub(crate) async fn current(&self, now: SystemTime) -> Option<Arc<Loaded>> {
        let known = self.servable(now);
        match &known {
            Some(loaded) if age(now, loaded.fetched_at) < REFRESH_AFTER => return known,
            // Somebody fetches already and the known keys still serve: no need to queue behind that.
            Some(_) if self.0.gate.try_lock().is_err() => return known,
            Some(_) | None => self.fetch_unless_tried(now, Why::Due).await,
        }
        self.servable(now)
    }

    /// The keys that are known, however old.
    pub(crate) fn known(&self) -> Option<Arc<Loaded>> {
        self.0.loaded.load_full()
    }

    /// The keys after a look for ones that `seen` does not have, as far as that is not asked for too often.
    pub(crate) async fn beyond(&self, seen: &Loaded, now: SystemTime) -> Option<Arc<Loaded>> {
        self.fetch_unless_tried(now, Why::UnknownKey(seen)).await;
        self.servable(now).filter(|loaded| loaded.version != seen.version)
    }

    /// The known keys, unless a fetch has been failing for longer than the configured bound.
    fn servable(&self, now: SystemTime) -> Option<Arc<Loaded>> {
        let loaded = self.0.loaded.load_full()?;
        (age(now, loaded.fetched_at) < REFRESH_AFTER + self.0.stale_max).then_some(loaded)
    }

    /// Fetches, unless that was tried a moment ago. Those who come meanwhile wait and use what comes of it.
    async fn fetch_unless_tried(&self, now: SystemTime, why: Why<'_>) {
        let mut gate = Arc::clone(&self.0.gate).lock_owned().await;
        let within = |tried: Option<SystemTime>, time| tried.is_some_and(|tried| age(now, tried) < time);
        match why {
            Why::Due if within(gate.last, RETRY_AFTER) => return,
            Why::UnknownKey(_) if within(gate.for_unknown_key, UNKNOWN_KEY_EVERY) => return,
            // Somebody fetched them while this one waited, or for this very request.
            Why::UnknownKey(seen) if self.known().is_some_and(|known| known.version != seen.version) => return,
            Why::UnknownKey(_) if gate.last.is_some_and(|tried| tried >= now) => return,
            Why::UnknownKey(_) => gate.for_unknown_key = Some(now),
            Why::Due => {}
        }
        gate.last = Some(now);
        let inner = Arc::clone(&self.0);
        // A task of its own, bounded in time: a client that hangs up must not undo the fetch that others wait for.
        let fetch = tokio::spawn(async move {
            inner.fetch(now).await;
            drop(gate);
        });
        if fetch.await.is_err() {
            tracing::error!(issuer = %self.0.issuer, "fetch of the key set was cut off");
        }
    }
}

impl Inner {
    async fn fetch(&self, now: SystemTime) {
        match tokio::time::timeout(FETCH_TIMEOUT, self.key_set(now)).await {
            Ok(Ok(loaded)) => {
                let changed = self.loaded.load().as_ref().is_none_or(|old| old.version != loaded.version);
                tracing::info!(issuer = %self.issuer, changed, "key set fetched");
                self.loaded.store(Some(Arc::new(loaded)));
            }
            Ok(Err(error)) => {
                let cause: &(dyn std::error::Error + 'static) = &error;
                tracing::warn!(issuer = %self.issuer, error = cause, "key set could not be fetched");
            }
            Err(_elapsed) => {
                tracing::warn!(issuer = %self.issuer, "key set could not be fetched in time")
            }
        }
    }

    async fn key_set(&self, now: SystemTime) -> Result<Loaded, FetchKeysError> {
        let url = match &self.place {
            Place::Address(url) => url.clone(),
            Place::Discovered(issuer) => self.discover(issuer).await?,
        };
        let text = self.document(&url, KEY_SET_BYTES_MAX).await?;
        Loaded::read(text, now).map_err(|source| FetchKeysError::KeySet { url, source })
    }

    /// The `jwks_uri` of the first acceptable metadata document.
    async fn discover(&self, issuer: &Url) -> Result<Url, FetchKeysError> {
        let mut failure = FetchKeysError::Nowhere;
        for url in metadata_urls(issuer) {
            match self.key_set_url(issuer, url).await {
                Ok(found) => return Ok(found),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn key_set_url(&self, issuer: &Url, url: Url) -> Result<Url, FetchKeysError> {
        let text = self.document(&url, METADATA_BYTES_MAX).await?;
        let metadata = match Json::decode(text, &METADATA_LIMITS) {
            Ok(metadata) => metadata,
            Err(source) => return Err(FetchKeysError::Metadata { url, source }),
        };
        // Byte for byte: else one issuer could answer for another (RFC 8414 section 3.3; OC-03).
        if metadata.get("issuer").and_then(|name| name.string().map(|name| *name == *self.issuer)) != Some(true) {
            return Err(FetchKeysError::OtherIssuer { url });
        }
        metadata
            .get("jwks_uri")
            .and_then(|uri| uri.string().and_then(|uri| Url::parse(&uri).ok()))
            .filter(|uri| acceptable(uri, issuer))
            .ok_or(FetchKeysError::NoKeySetUrl { url })
    }

    async fn document(&self, url: &Url, bytes_max: usize) -> Result<bytes::Bytes, FetchKeysError> {
        self.client
            .fetch(url, u64::try_from(bytes_max).unwrap_or(u64::MAX), DOCUMENT_TIMEOUT)
            .await
            .map_err(|source| FetchKeysError::Fetch { url: url.clone(), source })
    }
}

/// Whether keys of `issuer` may come from `url`. An issuer elsewhere must not point at this machine (OC-18).
pub(crate) fn acceptable(url: &Url, issuer: &Url) -> bool {
    is_plain_web(url) && is_protected(url) && (is_loopback(issuer) || !is_loopback(url))
}

/// How long ago `then` was. What lies ahead by more than other callers' delay came from another clock, and is too old.
fn age(now: SystemTime, then: SystemTime) -> Duration {
    match now.duration_since(then) {
        Ok(age) => age,
        Err(ahead) if ahead.duration() <= CLOCK_STEP_MAX => Duration::ZERO,
        Err(_) => Duration::MAX,
    }
}
