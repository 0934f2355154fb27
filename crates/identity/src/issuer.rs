//! One authorization server whose tokens are believed: the rules for its tokens, and where its keys are.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sekisho_egress::Client;
use sekisho_wire::{Endpoint, ServerId};
use url::Url;

use crate::address::{is_plain_web, is_protected};
use crate::config::{Algorithm, ConfigError, IssuerConfig, SenderConstraint};
use crate::jwt::Header;
use crate::keys::KEY_SET_BYTES_MAX;
use crate::remote::{Loaded, Place, RemoteKeys, acceptable};
use crate::rules::{Dialect, Implied, Rules};
use crate::token::TokenError;

/// Most seconds that two clocks may be apart.
pub(crate) const CLOCK_SKEW_SECONDS_MAX: u32 = 120;
/// Most seconds that a token may live: thirty days.
pub(crate) const LIFETIME_SECONDS_MAX: u32 = 2_592_000;
/// Most seconds that keys which could not be refreshed may serve.
pub(crate) const JWKS_STALE_SECONDS_MAX: u32 = 86_400;

/// An authorization server.
pub(crate) struct Issuer {
    /// `iss`, byte for byte.
    pub(crate) name: Box<str>,
    pub(crate) clock_skew: Duration,
    pub(crate) lifetime_max: Duration,
    pub(crate) rules: Rules,
    pub(crate) sender_constraint: SenderConstraint,
    /// The audience of its logout tokens; none: none are taken.
    pub(crate) logout_audience: Option<String>,
    /// Values of `aud` that name this gateway; empty: the endpoint's canonical URI.
    audiences: Vec<String>,
    /// The same of those endpoints that have their own, by path.
    endpoint_audiences: BTreeMap<String, Vec<String>>,
    algorithms: Vec<Algorithm>,
    token_types: Vec<String>,
    keys: Keys,
}

enum Keys {
    File(Arc<Loaded>),
    Remote(RemoteKeys),
}

impl Issuer {
    /// Checks the configuration and reads the key file, if there is one. Fetches nothing.
    pub(crate) fn build(
        config: &IssuerConfig,
        (implied, dialect): (Arc<Implied>, Dialect),
        base: &Path,
        client: &Arc<Client>,
    ) -> Result<Issuer, ConfigError> {
        let url = identifier(&config.issuer)?;
        check_numbers(config)?;
        check_lists(config)?;
        Ok(Issuer {
            name: config.issuer.as_str().into(),
            clock_skew: seconds(config.clock_skew_seconds),
            lifetime_max: seconds(config.lifetime_seconds_max),
            rules: Rules::new(config, implied, dialect)?,
            sender_constraint: config.sender_constraint,
            logout_audience: config.logout_audience.clone(),
            audiences: config.audiences.clone(),
            endpoint_audiences: endpoint_audiences(config)?,
            algorithms: config.algorithms.clone(),
            token_types: config.token_types.clone(),
            keys: keys(config, &url, base, client)?,
        })
    }

    /// Values of `aud` that name an endpoint; none: its canonical URI does.
    pub(crate) fn audiences_of(&self, at: &Endpoint) -> &[String] {
        if self.endpoint_audiences.is_empty() {
            return &self.audiences;
        }
        self.endpoint_audiences.get(&at.path()).unwrap_or(&self.audiences)
    }

    /// What is said of it to whoever runs the gateway.
    pub(crate) fn overview(&self, now: SystemTime) -> IssuerOverview {
        let fetched = match &self.keys {
            Keys::File(loaded) => Some(Arc::clone(loaded)),
            Keys::Remote(remote) => remote.known(),
        };
        let is_remote = matches!(self.keys, Keys::Remote(_));
        let (audiences, endpoint_audiences) = (self.audiences.clone(), self.endpoint_audiences.clone());
        IssuerOverview {
            issuer: self.name.to_string(),
            audiences,
            endpoint_audiences,
            algorithms: self.algorithms.iter().map(|algorithm| algorithm.as_str()).collect(),
            sender_constraint: self.sender_constraint.as_str(),
            lifetime_max: self.lifetime_max,
            clock_skew: self.clock_skew,
            keys: fetched.as_ref().map_or(0, |loaded| loaded.keys.len()),
            keys_age: fetched.filter(|_| is_remote).map(|loaded| loaded.age(now)),
            is_remote,
        }
    }

    /// Whether this issuer signs like that. The key is asked separately, and must agree.
    pub(crate) fn accepts(&self, header: &Header) -> Result<(), TokenError> {
        self.signs_with(header)?;
        // A token made for another purpose is no access token (RFC 8725 section 3.11; RFC 9068 section 4).
        let kind = header.kind.as_deref().unwrap_or(ABSENT);
        if !self.token_types.iter().any(|accepted| accepted.eq_ignore_ascii_case(kind)) {
            return Err(TokenError::WrongType);
        }
        Ok(())
    }

    /// Whether the algorithm is one of the issuer's.
    pub(crate) fn signs_with(&self, header: &Header) -> Result<(), TokenError> {
        if self.algorithms.contains(&header.algorithm) { Ok(()) } else { Err(TokenError::AlgorithmRefused) }
    }

    /// The keys that serve now.
    pub(crate) async fn keys(&self, now: SystemTime) -> Result<Arc<Loaded>, TokenError> {
        match &self.keys {
            Keys::File(loaded) => Ok(Arc::clone(loaded)),
            Keys::Remote(remote) => remote.current(now).await.ok_or(TokenError::KeysUnavailable),
        }
    }

    /// Other keys than `seen`, if the issuer has them meanwhile.
    pub(crate) async fn keys_beyond(&self, seen: &Loaded, now: SystemTime) -> Option<Arc<Loaded>> {
        match &self.keys {
            Keys::File(_) => None,
            Keys::Remote(remote) => remote.beyond(seen, now).await,
        }
    }
}

/// How configuration calls a header without `typ`.
const ABSENT: &str = "absent";

fn identifier(issuer: &str) -> Result<Url, ConfigError> {
    let refused = || ConfigError::BadIssuer { issuer: issuer.to_owned() };
    let url = Url::parse(issuer).map_err(|_| refused())?;
    if !is_plain_web(&url) || url.query().is_some() {
        return Err(refused());
    }
    if !is_protected(&url) {
        return Err(ConfigError::PlainHttp { url: issuer.to_owned() });
    }
    Ok(url)
}

/// An issuer, as it is configured and as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerOverview {
    /// `iss`
    pub issuer: String,
    /// Values of `aud` that are accepted; empty: the canonical URI of the endpoint.
    pub audiences: Vec<String>,
    /// The same of endpoints that have their own, by path.
    pub endpoint_audiences: BTreeMap<String, Vec<String>>,
    /// Signature algorithms that are accepted.
    pub algorithms: Vec<&'static str>,
    /// What its tokens must be bound to.
    pub sender_constraint: &'static str,
    /// Longest lifetime of a token.
    pub lifetime_max: Duration,
    /// How far its clock may be from ours.
    pub clock_skew: Duration,
    /// How many keys are known.
    pub keys: usize,
    /// How long ago they were fetched; none of a file, or where none have been.
    pub keys_age: Option<Duration>,
    /// Whether its keys are fetched.
    pub is_remote: bool,
}

fn endpoint_audiences(config: &IssuerConfig) -> Result<BTreeMap<String, Vec<String>>, ConfigError> {
    let of = |(endpoint, audiences): (&String, &Vec<String>)| {
        if audiences.is_empty() || audiences.iter().any(String::is_empty) {
            return Err(ConfigError::Empty { issuer: config.issuer.clone(), field: "endpoint_audiences" });
        }
        let at = match endpoint.as_str() {
            "all" => Some(Endpoint::All),
            server => ServerId::parse(server).ok().map(Endpoint::One),
        };
        let bad = || ConfigError::BadEndpoint { issuer: config.issuer.clone(), endpoint: endpoint.clone() };
        Ok((at.ok_or_else(bad)?.path(), audiences.clone()))
    };
    config.endpoint_audiences.iter().map(of).collect()
}

fn check_numbers(config: &IssuerConfig) -> Result<(), ConfigError> {
    for (field, value, min, max) in [
        ("clock_skew_seconds", config.clock_skew_seconds, 0, CLOCK_SKEW_SECONDS_MAX),
        ("lifetime_seconds_max", config.lifetime_seconds_max, 1, LIFETIME_SECONDS_MAX),
        ("jwks_stale_max_seconds", config.jwks_stale_max_seconds, 0, JWKS_STALE_SECONDS_MAX),
    ] {
        if !(min..=max).contains(&value) {
            return Err(ConfigError::OutOfRange { field, value, min, max });
        }
    }
    Ok(())
}

fn check_lists(config: &IssuerConfig) -> Result<(), ConfigError> {
    let empty = |field| Err(ConfigError::Empty { issuer: config.issuer.clone(), field });
    let blank = |list: &[String]| list.iter().any(String::is_empty);
    if config.algorithms.is_empty() {
        return empty("algorithms");
    }
    if config.token_types.is_empty() || blank(&config.token_types) {
        return empty("token_types");
    }
    if blank(&config.audiences) {
        return empty("audiences");
    }
    Ok(())
}

fn keys(config: &IssuerConfig, issuer: &Url, base: &Path, client: &Arc<Client>) -> Result<Keys, ConfigError> {
    let remote = |place| {
        let stale_max = seconds(config.jwks_stale_max_seconds);
        Keys::Remote(RemoteKeys::new(&config.issuer, place, Arc::clone(client), stale_max))
    };
    if let Some(text) = &config.key_set {
        let read = Loaded::read(text.clone(), SystemTime::UNIX_EPOCH);
        let loaded = read.map_err(|source| ConfigError::KeySet { issuer: config.issuer.clone(), source })?;
        return Ok(Keys::File(Arc::new(loaded)));
    }
    match (&config.jwks_file, &config.jwks_url) {
        (Some(_), Some(_)) => Err(ConfigError::TwoKeySources { issuer: config.issuer.clone() }),
        (Some(path), None) => read_key_file(config, &base.join(path)).map(|loaded| Keys::File(Arc::new(loaded))),
        (None, Some(address)) => {
            let refused = || ConfigError::BadKeySetUrl { issuer: config.issuer.clone(), url: address.clone() };
            let url = Url::parse(address).map_err(|_| refused())?;
            if !acceptable(&url, issuer) {
                return Err(refused());
            }
            Ok(remote(Place::Address(url)))
        }
        (None, None) => Ok(remote(Place::Discovered(issuer.clone()))),
    }
}

fn read_key_file(config: &IssuerConfig, path: &Path) -> Result<Loaded, ConfigError> {
    // One byte past the bound is enough for the parser to refuse it.
    let bytes_max = u64::try_from(KEY_SET_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(bytes_max).read_to_end(&mut text))
        .map_err(|source| ConfigError::ReadKeySet { issuer: config.issuer.clone(), path: path.to_owned(), source })?;
    // A file does not age: it is read again at each reload.
    Loaded::read(text.into(), SystemTime::UNIX_EPOCH)
        .map_err(|source| ConfigError::KeySet { issuer: config.issuer.clone(), source })
}

fn seconds(count: u32) -> Duration {
    Duration::from_secs(u64::from(count))
}
