//! One authorization server whose tokens are believed: the rules for its tokens, and where its keys are.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sekisho_egress::Client;
use url::Url;

use crate::address::{is_plain_web, is_protected};
use crate::config::{Algorithm, ConfigError, IssuerConfig};
use crate::jwt::Header;
use crate::keys::KEY_SET_BYTES_MAX;
use crate::remote::{Loaded, Place, RemoteKeys, acceptable};
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
    /// Values of `aud` that name this gateway; empty: the endpoint's canonical URI.
    pub(crate) audiences: Vec<String>,
    pub(crate) clock_skew: Duration,
    pub(crate) lifetime_max: Duration,
    pub(crate) roles_claim: Option<String>,
    pub(crate) groups_claim: Option<String>,
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
    pub(crate) fn build(config: &IssuerConfig, base: &Path, client: &Arc<Client>) -> Result<Issuer, ConfigError> {
        let url = identifier(&config.issuer)?;
        check_numbers(config)?;
        check_lists(config)?;
        Ok(Issuer {
            name: config.issuer.as_str().into(),
            audiences: config.audiences.clone(),
            clock_skew: seconds(config.clock_skew_seconds),
            lifetime_max: seconds(config.lifetime_seconds_max),
            roles_claim: config.roles_claim.clone(),
            groups_claim: config.groups_claim.clone(),
            algorithms: config.algorithms.clone(),
            token_types: config.token_types.clone(),
            keys: keys(config, &url, base, client)?,
        })
    }

    /// Whether this issuer signs like that. The key is asked separately, and must agree.
    pub(crate) fn accepts(&self, header: &Header) -> Result<(), TokenError> {
        if !self.algorithms.contains(&header.algorithm) {
            return Err(TokenError::AlgorithmRefused);
        }
        // A token made for another purpose is no access token (RFC 8725 section 3.11; RFC 9068 section 4).
        if !self.token_types.iter().any(|kind| kind.eq_ignore_ascii_case(&header.kind)) {
            return Err(TokenError::WrongType);
        }
        Ok(())
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
