//! Where a provider is asked: its metadata, fetched at first need and kept for a while. A browser is sent to one of these addresses, so nothing
//! in them may mean anything else to whatever opens it (OC-19, CVE-2025-6514).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sekisho_egress::{Client, FetchError};
use sekisho_wire::Json;
use sekisho_wire::json::Limits;
use tokio::sync::Mutex;
use url::Url;

use crate::address::metadata_urls;
use crate::remote::acceptable;

/// Where a provider is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    authorization: Url,
    token: Url,
    says_issuer: bool,
}

/// Why metadata cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MetadataError {
    /// It was not fetched.
    #[error("the metadata of the provider was not fetched")]
    Fetch(#[source] Arc<FetchError>),
    /// It is none.
    #[error("the metadata of the provider is no strict JSON object")]
    Garbled,
    /// It is another's (RFC 8414 section 3.3).
    #[error("the metadata of the provider names another issuer")]
    OtherIssuer,
    /// An address in it is refused.
    #[error("the provider's `{0}` is missing, or no address that a browser may be sent to")]
    Refused(&'static str),
    /// It was tried a moment ago.
    #[error("the metadata of the provider could not be fetched a moment ago")]
    TriedJustNow,
}

impl Endpoints {
    /// Where browsers go.
    pub(super) fn authorization(&self) -> &Url {
        &self.authorization
    }

    /// Where codes are redeemed.
    pub(super) fn token(&self) -> &Url {
        &self.token
    }

    /// Whether its answers say whose they are (RFC 9207).
    #[must_use]
    pub fn says_issuer(&self) -> bool {
        self.says_issuer
    }
}

/// The metadata of one provider.
pub(super) struct Metadata {
    issuer: Box<str>,
    url: Url,
    client: Arc<Client>,
    /// One fetch at a time.
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    found: Option<(SystemTime, Arc<Endpoints>)>,
    failed: Option<SystemTime>,
}

impl Metadata {
    pub(super) fn new(issuer: &str, url: Url, client: Arc<Client>) -> Metadata {
        Metadata { issuer: issuer.into(), url, client, known: Mutex::default() }
    }

    pub(super) async fn current(&self, now: SystemTime) -> Result<Arc<Endpoints>, MetadataError> {
        let mut known = self.known.lock().await;
        let within = |then: SystemTime, time| now.duration_since(then).is_ok_and(|ago| ago < time);
        if let Some((at, found)) = &known.found
            && within(*at, FRESH)
        {
            return Ok(Arc::clone(found));
        }
        if known.failed.is_some_and(|at| within(at, RETRY_AFTER)) {
            return known.served(now).ok_or(MetadataError::TriedJustNow);
        }
        match self.fetch().await {
            Ok(found) => {
                let found = Arc::new(found);
                *known = Known { found: Some((now, Arc::clone(&found))), failed: None };
                Ok(found)
            }
            Err(error) => {
                known.failed = Some(now);
                let cause: &(dyn std::error::Error + 'static) = &error;
                tracing::warn!(issuer = %self.issuer, error = cause, "metadata of the provider cannot be used");
                // What was refused is worse than nothing: what was known before is not used in its place.
                match error {
                    MetadataError::Fetch(_) => known.served(now).ok_or(error),
                    MetadataError::Garbled
                    | MetadataError::OtherIssuer
                    | MetadataError::Refused(_)
                    | MetadataError::TriedJustNow => Err(error),
                }
            }
        }
    }

    async fn fetch(&self) -> Result<Endpoints, MetadataError> {
        let mut failure = MetadataError::Garbled;
        for url in metadata_urls(&self.url) {
            let fetched = self.client.fetch(&url, BYTES_MAX, TIMEOUT).await;
            match fetched.map_err(|error| MetadataError::Fetch(Arc::new(error))) {
                Ok(text) => return read(text, &self.issuer, &self.url),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

impl Known {
    /// What was found before still serves for a while.
    fn served(&self, now: SystemTime) -> Option<Arc<Endpoints>> {
        let is_young = |(at, _): &&(SystemTime, Arc<Endpoints>)| now.duration_since(*at).is_ok_and(|ago| ago < STALE);
        self.found.as_ref().filter(is_young).map(|(_, found)| Arc::clone(found))
    }
}

fn read(text: bytes::Bytes, issuer: &str, url: &Url) -> Result<Endpoints, MetadataError> {
    let metadata = Json::decode(text, &LIMITS).map_err(|_| MetadataError::Garbled)?;
    if !metadata.is_object() {
        return Err(MetadataError::Garbled);
    }
    if metadata.get("issuer").and_then(|name| name.string().map(|name| *name == *issuer)) != Some(true) {
        return Err(MetadataError::OtherIssuer);
    }
    let address = |member: &'static str| {
        let text = metadata.get(member).and_then(|value| value.string().map(String::from));
        let refused = MetadataError::Refused(member);
        let text = text.filter(|text| text.bytes().all(is_plain)).ok_or(refused.clone())?;
        Url::parse(&text).ok().filter(|address| acceptable(address, url)).ok_or(refused)
    };
    Ok(Endpoints {
        authorization: address("authorization_endpoint")?,
        token: address("token_endpoint")?,
        says_issuer: metadata
            .get("authorization_response_iss_parameter_supported")
            .is_some_and(|says| says.boolean() == Some(true)),
    })
}

/// Of what RFC 3986 permits, all that addresses of providers have, and nothing that a shell reads.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?[]@!,=%+".contains(&byte) || byte == b'&'
}

const FRESH: Duration = Duration::from_secs(600);
/// How long what is known serves where it cannot be fetched anew.
const STALE: Duration = Duration::from_secs(3600);
const RETRY_AFTER: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(5);
const BYTES_MAX: u64 = 64 * 1024;
const LIMITS: Limits = Limits { bytes_max: 64 * 1024, depth_max: 8, nodes_max: 4096 };

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(authorization: &str, token: &str) -> Result<Endpoints, String> {
        let text = sekisho_wire::json::Object::new()
            .text("issuer", "https://login.example")
            .text("authorization_endpoint", authorization)
            .text("token_endpoint", token)
            .finish();
        let url = Url::parse("https://login.example").unwrap();
        read(text.bytes().clone(), "https://login.example", &url).map_err(|error| error.to_string())
    }

    #[test]
    fn addresses_are_plain_and_lead_to_no_shell_and_not_to_this_machine() {
        let (good, token) = ("https://login.example/authorize?p=a", "https://login.example/token");
        assert!(endpoints(good, token).is_ok());
        for bad in [
            "",
            "javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "vbscript:x",
            "ms-settings:x",
            "http://login.example/authorize",
            "http://127.0.0.1/authorize",
            "https://127.0.0.1/authorize",
            "https://localhost/authorize",
            "https://u:p@login.example/authorize",
            "https://login.example/authorize#x",
            "https://login.example/$(calc)",
            "https://login.example/`calc`",
            "https://login.example/a|calc",
            "https://login.example/a;calc",
            "https://login.example/a calc",
            "https://login.example/a\ncalc",
            "https://login.example/\"a",
            "https://login.example/'a",
            "https://login.example/a\\b",
            "https://login.example/\u{202e}a",
        ] {
            assert!(endpoints(bad, token).unwrap_err().contains("authorization_endpoint"), "{bad}");
            assert!(endpoints(good, bad).unwrap_err().contains("token_endpoint"), "{bad}");
        }
    }

    #[test]
    fn metadata_of_another_issuer_or_of_no_form_is_refused() {
        let url = Url::parse("https://login.example").unwrap();
        for (text, told) in [
            (r#"{"issuer":"https://login.example/"}"#, "another issuer"),
            (r#"{"issuer":"https://evil.example"}"#, "another issuer"),
            ("{}", "another issuer"),
            ("[]", "no strict JSON"),
            (r#"{"issuer":"a","issuer":"https://login.example"}"#, "no strict JSON"),
        ] {
            let error = read(text.into(), "https://login.example", &url).unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
