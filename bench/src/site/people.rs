//! Whoever calls: an issuer, and good tokens.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use sekisho_e2e::issuer::{Issuer, now};
use serde_json::json;

use super::PRINCIPALS;

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

    /// Tokens for endpoints in turn. Each is another one, and every 64th is of the same principal; all principals are agents.
    ///
    /// # Errors
    /// When one cannot be signed, or there is no endpoint.
    pub fn tokens(&self, endpoints: &[String], count: u32) -> anyhow::Result<Arc<[String]>> {
        let turns = endpoints.iter().cycle().zip(0..count);
        let tokens: Arc<[String]> =
            turns.map(|(endpoint, number)| self.token(endpoint, number)).collect::<Result<_, _>>()?;
        anyhow::ensure!(!tokens.is_empty() || count == 0, "tokens for no endpoint");
        Ok(tokens)
    }

    fn token(&self, endpoint: &str, number: u32) -> anyhow::Result<String> {
        let principal = number.checked_rem(PRINCIPALS).unwrap_or(0);
        let mut claims = self.issuer.claims(&format!("agent-{principal:02}"), endpoint);
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
