//! An issuer of access tokens for tests: real keys, real signatures, any claims.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

/// An authorization server, as far as a resource server sees one: a name, a key set, tokens.
pub struct Issuer {
    name: String,
    key_id: String,
    algorithm: Algorithm,
    key: EncodingKey,
    key_pem: String,
    jwk: Jwk,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Issuer").field("name", &self.name).field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl Issuer {
    /// An issuer that signs with ES256.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn es256(name: &str) -> anyhow::Result<Self> {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let pem = pair.serialize_pem();
        Self::new(name, EncodingKey::from_ec_pem(pem.as_bytes())?, pem, Algorithm::ES256)
    }

    /// An issuer that signs with RS256.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn rs256(name: &str) -> anyhow::Result<Self> {
        let pair = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048)?;
        let pem = pair.serialize_pem();
        Self::new(name, EncodingKey::from_rsa_pem(pem.as_bytes())?, pem, Algorithm::RS256)
    }

    fn new(name: &str, key: EncodingKey, key_pem: String, algorithm: Algorithm) -> anyhow::Result<Self> {
        let key_id = format!("{algorithm:?}-1").to_lowercase();
        let mut jwk = Jwk::from_encoding_key(&key, algorithm)?;
        jwk.common.key_id = Some(key_id.clone());
        Ok(Self { name: name.to_owned(), key_id, algorithm, key, key_pem, jwk })
    }

    /// What tokens have in `iss`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its public keys (RFC 7517).
    ///
    /// # Errors
    /// When they cannot be written as JSON.
    pub fn key_set(&self) -> anyhow::Result<String> {
        Ok(json!({"keys": [serde_json::to_value(&self.jwk)?]}).to_string())
    }

    /// What a forger is told: the header and claims of a good token, and the keys, of which he has the private one to sign what the issuer
    /// would never sign.
    ///
    /// # Errors
    /// When they cannot be written as JSON.
    pub fn betrayed(&self, claims: &Value) -> anyhow::Result<Value> {
        let header = json!({"alg": self.algorithm, "typ": "at+jwt", "kid": self.key_id});
        Ok(json!({"good": {"header": header, "claims": claims}, "private_key_pem": self.key_pem, "alg": self.algorithm,
            "public_jwk": serde_json::to_value(&self.jwk)?, "audience": claims.get("aud"), "issuer": self.name}))
    }

    /// Writes the key set into a file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_key_set(&self, file: &Path) -> anyhow::Result<()> {
        std::fs::write(file, self.key_set()?).with_context(|| format!("{} cannot be written", file.display()))
    }

    /// A good token (RFC 9068) for `subject` at `audience`, good for five minutes.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn token(&self, subject: &str, audience: &str) -> anyhow::Result<String> {
        self.mint(&self.claims(subject, audience))
    }

    /// The claims of a good token, to be changed.
    #[must_use]
    pub fn claims(&self, subject: &str, audience: &str) -> Value {
        let now = now();
        json!({
            "iss": self.name,
            "sub": subject,
            "aud": audience,
            "client_id": "sekisho-e2e",
            "scope": "mcp",
            "iat": now,
            "exp": now.saturating_add(TOKEN_SECONDS),
        })
    }

    /// Signs `claims` as they are, as an access token.
    ///
    /// # Errors
    /// When they cannot be signed.
    pub fn mint(&self, claims: &Value) -> anyhow::Result<String> {
        let mut header = Header::new(self.algorithm);
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(self.key_id.clone());
        self.mint_with(&header, claims)
    }

    /// Signs `claims` under any header.
    ///
    /// # Errors
    /// When the header names an algorithm that the key is not for.
    pub fn mint_with(&self, header: &Header, claims: &Value) -> anyhow::Result<String> {
        Ok(jsonwebtoken::encode(header, claims, &self.key)?)
    }
}

/// Seconds since 1970.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// How long a token is good for.
const TOKEN_SECONDS: u64 = 300;
