//! Whoever calls: an issuer, and good tokens.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use sekisho_e2e::issuer::{Issuer, now};
use serde_json::json;

/// An issuer of tokens that last for a whole run.
#[derive(Debug)]
pub struct People {
    issuer: Issuer,
}

impl People {
    /// An issuer with a fresh key for ES256.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self { issuer: Issuer::es256(ISSUER)? })
    }

    /// What tokens have in `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.issuer.name()
    }

    /// Writes the key set into a file.
    ///
    /// # Errors
    /// When that fails.
    pub fn write_key_set(&self, file: &Path) -> anyhow::Result<()> {
        self.issuer.write_key_set(file)
    }

    /// Tokens for an endpoint, each of another principal; all of them are agents.
    ///
    /// # Errors
    /// When one cannot be signed.
    pub fn tokens(&self, endpoint: &str, count: u32) -> anyhow::Result<Arc<[String]>> {
        (0..count).map(|number| self.token(endpoint, number % PEOPLE_MAX, number)).collect()
    }

    /// Tokens for an endpoint, all of them different and of few principals.
    ///
    /// # Errors
    /// When one cannot be signed.
    pub fn many_tokens(&self, endpoint: &str, count: u32, principals: u32) -> anyhow::Result<Arc<[String]>> {
        let principal = |number: u32| number.checked_rem(principals).unwrap_or(0);
        (0..count).map(|number| self.token(endpoint, principal(number), number)).collect()
    }

    fn token(&self, endpoint: &str, principal: u32, number: u32) -> anyhow::Result<String> {
        let mut claims = self.issuer.claims(&format!("agent-{principal:05}"), endpoint);
        let more = json!({
            "jti": format!("bench-{number:08}"),
            "exp": now().saturating_add(TOKEN_SECONDS),
            "roles": ["agent", "reader"],
            "groups": ["engineering", "on-call"],
            "department": "engineering",
        });
        let (claims_of, more) = (claims.as_object_mut(), more.as_object().cloned());
        claims_of.context("claims are an object")?.extend(more.context("claims are an object")?);
        self.issuer.mint(&claims)
    }
}

/// Nothing listens there: the key set is a file.
const ISSUER: &str = "http://127.0.0.1:9/issuer";

/// How long a token lasts: longer than any run.
const TOKEN_SECONDS: u64 = 6 * 60 * 60;

const PEOPLE_MAX: u32 = 100_000;
