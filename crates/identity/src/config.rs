//! The `[identity]` section: whose tokens are believed, and how much.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::BOUND_MAX;
use crate::issuer::{CLOCK_SKEW_SECONDS_MAX, JWKS_STALE_SECONDS_MAX, LIFETIME_SECONDS_MAX};
use crate::keys::KeySetError;

/// The `[identity]` section.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["issuers"]))]
pub struct Config {
    /// Authorization servers whose tokens are believed. At least one: a gateway that believes nobody does not start.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub issuers: Vec<IssuerConfig>,
    /// Sessions of the legacy era.
    #[serde(default)]
    #[schemars(extend("x-restart" = true, "x-requirement" = "8.1"))]
    pub sessions: SessionsConfig,
    /// Most verified tokens that are remembered, so that their signature is not checked again at each request: 1 to
    /// 10,000,000.
    #[serde(default = "defaults::token_cache_max")]
    #[schemars(range(min = 1, max = BOUND_MAX))]
    pub token_cache_max: u32,
}

/// One authorization server.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("not" = { "required": ["jwks_file", "jwks_url"] }))]
pub struct IssuerConfig {
    /// The issuer identifier, exactly as tokens carry it in `iss` (byte for byte; RFC 8414 section 2). `https`, or
    /// `http` on a loopback address.
    #[schemars(extend("format" = "uri"))]
    pub issuer: String,
    /// A file with its key set (RFC 7517), relative to the configuration file. Read at start and at each reload.
    #[serde(default)]
    pub jwks_file: Option<PathBuf>,
    /// The address of its key set. Without this and without `jwks_file` it is discovered (RFC 8414, OpenID Connect Discovery).
    #[serde(default)]
    #[schemars(extend("format" = "uri"))]
    pub jwks_url: Option<String>,
    /// Values of `aud` that name this gateway. Empty: the canonical URI of the endpoint that is called, and nothing else (RFC 8707).
    #[serde(default)]
    #[schemars(inner(length(min = 1)), extend("x-requirement" = "7.2"))]
    pub audiences: Vec<String>,
    /// Signature algorithms that are accepted. All are asymmetric; there is no name for `none` or an HMAC.
    #[serde(default = "defaults::algorithms")]
    #[schemars(length(min = 1))]
    pub algorithms: Vec<Algorithm>,
    /// How far the issuer's clock may be from ours, in seconds; at most 120.
    #[serde(default = "defaults::clock_skew_seconds")]
    #[schemars(range(max = CLOCK_SKEW_SECONDS_MAX))]
    pub clock_skew_seconds: u32,
    /// Longest lifetime of a token, from `iat` to `exp`, in seconds: 1 to 2,592,000 (thirty days). Longer ones are refused.
    #[serde(default = "defaults::lifetime_seconds_max")]
    #[schemars(range(min = 1, max = LIFETIME_SECONDS_MAX), extend("x-requirement" = "2.3"))]
    pub lifetime_seconds_max: u32,
    /// Values of the header `typ` that are accepted (RFC 9068 section 4); letter case is ignored, as media types have none.
    /// An issuer that writes the plain `JWT` must have it spelled out here, since its identity tokens look alike.
    #[serde(default = "defaults::token_types")]
    #[schemars(length(min = 1), inner(length(min = 1)))]
    pub token_types: Vec<String>,
    /// The top-level claim that holds the principal's roles: a string or an array of strings.
    #[serde(default)]
    #[schemars(extend("x-requirement" = "7.3"))]
    pub roles_claim: Option<String>,
    /// The top-level claim that holds the principal's groups: a string or an array of strings.
    #[serde(default)]
    #[schemars(extend("x-requirement" = "7.3"))]
    pub groups_claim: Option<String>,
    /// How long a key set that could not be refreshed when it was due still serves, in seconds; at most 86400.
    #[serde(default = "defaults::jwks_stale_max_seconds")]
    #[schemars(range(max = JWKS_STALE_SECONDS_MAX))]
    pub jwks_stale_max_seconds: u32,
}

/// A signature algorithm of RFC 7518, RFC 8037 or RFC 9864. Asymmetric ones only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the names are those of the IANA registry, and say all")]
pub enum Algorithm {
    ES256,
    ES384,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    EdDSA,
    Ed25519,
}

/// Bounds of legacy sessions.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SessionsConfig {
    /// A session that was not used for so long has ended, in seconds: 1 to 10,000,000.
    #[schemars(range(min = 1, max = BOUND_MAX))]
    pub idle_seconds: u32,
    /// A session that was opened so long ago has ended, in seconds: 1 to 10,000,000.
    #[schemars(range(min = 1, max = BOUND_MAX))]
    pub absolute_seconds: u32,
    /// Most open sessions of one principal: 1 to 10,000,000.
    #[schemars(range(min = 1, max = BOUND_MAX))]
    pub per_principal_max: u32,
    /// Most open sessions of all: 1 to 10,000,000.
    #[schemars(range(min = 1, max = BOUND_MAX))]
    pub total_max: u32,
}

impl SessionsConfig {
    /// The same for a client whose connection is a process: its session ends with that, and not before.
    #[must_use]
    pub fn lasting(self) -> SessionsConfig {
        SessionsConfig { idle_seconds: crate::BOUND_MAX, absolute_seconds: crate::BOUND_MAX, ..self }
    }
}

impl Default for SessionsConfig {
    fn default() -> SessionsConfig {
        SessionsConfig { idle_seconds: 1800, absolute_seconds: 43_200, per_principal_max: 64, total_max: 10_000 }
    }
}

/// Why the section is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Nobody would be believed.
    #[error("no issuer is configured, so no token could be accepted; give at least one `[[identity.issuers]]`")]
    NoIssuer,
    /// Two entries for one issuer.
    #[error("issuer `{issuer}` is configured twice")]
    IssuerTwice {
        /// The issuer.
        issuer: String,
    },
    /// Not an identifier as RFC 8414 section 2 wants it.
    #[error("issuer `{issuer}` is not an https URL without user, query and fragment")]
    BadIssuer {
        /// The issuer.
        issuer: String,
    },
    /// Keys fetched in the clear can be exchanged on the way.
    #[error("`{url}` is plain http and not a loopback address")]
    PlainHttp {
        /// The offending URL.
        url: String,
    },
    /// The address of the key set is no URL, or names this machine for an issuer elsewhere.
    #[error("the key set address `{url}` of issuer `{issuer}` is not acceptable")]
    BadKeySetUrl {
        /// The issuer.
        issuer: String,
        /// The offending URL.
        url: String,
    },
    /// `jwks_file` and `jwks_url` together.
    #[error("issuer `{issuer}` has both `jwks_file` and `jwks_url`")]
    TwoKeySources {
        /// The issuer.
        issuer: String,
    },
    /// A list that must not be empty, or holds an empty string.
    #[error("`{field}` of issuer `{issuer}` is empty or holds an empty string")]
    Empty {
        /// The issuer.
        issuer: String,
        /// The field.
        field: &'static str,
    },
    /// A number outside its range.
    #[error("`{field}` is {value}, but must be between {min} and {max}")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// What was given.
        value: u32,
        /// Smallest value.
        min: u32,
        /// Largest value.
        max: u32,
    },
    /// The gateway's own address cannot be part of a canonical URI.
    #[error("public URL `{url}` is not an http or https URL without user, query and fragment")]
    BadPublicUrl {
        /// The offending URL.
        url: String,
    },
    /// The key set file could not be read.
    #[error("key set file `{path}` of issuer `{issuer}` could not be read")]
    ReadKeySet {
        /// The issuer.
        issuer: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The key set file holds no acceptable key set.
    #[error("key set of issuer `{issuer}` is refused")]
    KeySet {
        /// The issuer.
        issuer: String,
        /// What is wrong with it.
        #[source]
        source: KeySetError,
    },
}

impl IssuerConfig {
    /// An issuer with the given key set file and every other setting at its default.
    #[must_use]
    pub fn with_key_file(issuer: String, jwks_file: PathBuf) -> IssuerConfig {
        IssuerConfig {
            issuer,
            jwks_file: Some(jwks_file),
            jwks_url: None,
            audiences: Vec::new(),
            algorithms: defaults::algorithms(),
            clock_skew_seconds: defaults::clock_skew_seconds(),
            lifetime_seconds_max: defaults::lifetime_seconds_max(),
            token_types: defaults::token_types(),
            roles_claim: None,
            groups_claim: None,
            jwks_stale_max_seconds: defaults::jwks_stale_max_seconds(),
        }
    }
}

impl Algorithm {
    /// The algorithm called `name` in a token or key; letter case counts (RFC 7515 section 4.1.1).
    pub(crate) fn parse(name: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    /// Every algorithm.
    pub(crate) const ALL: [Algorithm; 10] = [
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
        Algorithm::EdDSA,
        Algorithm::Ed25519,
    ];

    /// Its registered name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::ES256 => "ES256",
            Algorithm::ES384 => "ES384",
            Algorithm::RS256 => "RS256",
            Algorithm::RS384 => "RS384",
            Algorithm::RS512 => "RS512",
            Algorithm::PS256 => "PS256",
            Algorithm::PS384 => "PS384",
            Algorithm::PS512 => "PS512",
            Algorithm::EdDSA => "EdDSA",
            Algorithm::Ed25519 => "Ed25519",
        }
    }
}

/// Defaults, in one place. Each is a bound or the strict choice; none opens anything.
mod defaults {
    use super::Algorithm;

    pub(super) fn token_cache_max() -> u32 {
        10_000
    }

    pub(super) fn algorithms() -> Vec<Algorithm> {
        vec![Algorithm::ES256, Algorithm::RS256, Algorithm::PS256, Algorithm::EdDSA, Algorithm::Ed25519]
    }

    pub(super) fn clock_skew_seconds() -> u32 {
        30
    }

    pub(super) fn lifetime_seconds_max() -> u32 {
        86_400
    }

    pub(super) fn token_types() -> Vec<String> {
        // RFC 9068 section 4: both spellings of the media type.
        vec!["at+jwt".to_owned(), "application/at+jwt".to_owned()]
    }

    pub(super) fn jwks_stale_max_seconds() -> u32 {
        600
    }
}
