//! The `[identity]` section: whose tokens are believed, and how much.

mod error;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use error::ConfigError;

use crate::BOUND_MAX;
use crate::dpop::{NONCE_SECONDS_MAX, PROOF_AGE_SECONDS_MAX};
use crate::entra::{EntraConfig, LIFETIME_SECONDS as ENTRA_LIFETIME_SECONDS};
use crate::issuer::{CLOCK_SKEW_SECONDS_MAX, JWKS_STALE_SECONDS_MAX, LIFETIME_SECONDS_MAX};

/// The `[identity]` section.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Authorization servers whose tokens are believed. At least one, here or in `entra`, unless there is a `[broker]`, which is one itself: a
    /// gateway that believes nobody does not start.
    #[serde(default)]
    pub issuers: Vec<IssuerConfig>,
    /// Applications of Microsoft Entra ID whose tokens (version 2.0) are believed.
    #[serde(default)]
    #[schemars(extend("x-requirement" = "S6"))]
    pub entra: Vec<EntraConfig>,
    /// Scopes: which there are, which a client is told to ask for first, and which contain others.
    #[serde(default)]
    pub scopes: ScopesConfig,
    /// Proofs of possession (RFC 9449).
    #[serde(default)]
    #[schemars(extend("x-restart" = true, "x-requirement" = "7.4"))]
    pub dpop: DpopConfig,
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
    /// Its key set itself, where this program is the issuer.
    #[serde(skip)]
    #[schemars(skip)]
    pub key_set: Option<Bytes>,
    /// The address of its key set. Without this and without `jwks_file` it is discovered (RFC 8414, OpenID Connect Discovery).
    #[serde(default)]
    #[schemars(extend("format" = "uri"))]
    pub jwks_url: Option<String>,
    /// Values of `aud` that name this gateway. Empty: the canonical URI of the endpoint that is called, and nothing else (RFC 8707).
    #[serde(default)]
    #[schemars(inner(length(min = 1)), extend("x-requirement" = "7.2"))]
    pub audiences: Vec<String>,
    /// Other values of `aud` for the endpoint of one server, by its name; `all` is the endpoint of all. An endpoint that stands here takes
    /// none of `audiences`.
    #[serde(default)]
    #[schemars(extend("x-requirement" = "M1"))]
    pub endpoint_audiences: BTreeMap<String, Vec<String>>,
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
    /// An issuer that writes the plain `JWT` must have it spelled out here, since its identity tokens look alike; `absent` stands for tokens
    /// without `typ`.
    #[serde(default = "defaults::token_types")]
    #[schemars(length(min = 1), inner(length(min = 1)))]
    pub token_types: Vec<String>,
    /// The claim that holds the principal's roles, a string or an array of strings: the name of a claim, or a JSON pointer into one, such
    /// as `/realm_access/roles` (RFC 6901).
    #[serde(default)]
    #[schemars(extend("x-requirement" = "7.3"))]
    pub roles_claim: Option<String>,
    /// The claim that holds the principal's groups, in the same form.
    #[serde(default)]
    #[schemars(extend("x-requirement" = "7.3"))]
    pub groups_claim: Option<String>,
    /// The claim that names the principal's tenant, in the same form.
    #[serde(default)]
    #[schemars(extend("x-requirement" = "7.3"))]
    pub tenant_claim: Option<String>,
    /// Tenants whose tokens are believed. Empty: any. Needs `tenant_claim`.
    #[serde(default)]
    #[schemars(inner(length(min = 1)))]
    pub tenants: Vec<String>,
    /// Claims that a token must have, each with the values that are accepted; of an array, one of them must be. `true` and numbers are
    /// written as JSON writes them.
    #[serde(default)]
    #[schemars(extend("x-requirement" = "7.3"))]
    pub required_claims: BTreeMap<String, Vec<String>>,
    /// Claims by which an application's own token is told from a user's, each with the values that mark one; any of them will do, such as
    /// `{ gty = ["client-credentials"] }`. Without this, a token whose subject is its client is an application's, and of any other
    /// nobody can tell: `principal.kind` is `unknown`.
    #[serde(default)]
    #[schemars(extend("x-requirement" = "7.3"))]
    pub application_claims: Option<BTreeMap<String, Vec<String>>>,
    /// The claim that names the client, in the same form. Default: `client_id`, else `azp`.
    #[serde(default)]
    #[schemars(extend("x-requirement" = "7.3"))]
    pub client_claim: Option<String>,
    /// Attributes for policies (tags of the principal), each with the claim it comes from: a name or a JSON pointer. A string, a number, a
    /// boolean; of anything else there is no attribute.
    #[serde(default)]
    #[schemars(extend("x-requirement" = "7.3"))]
    pub attributes: BTreeMap<String, String>,
    /// Whether tokens must be bound to a key or certificate of their client. A token that is bound needs its proof whatever stands here.
    #[serde(default)]
    #[schemars(extend("x-requirement" = "7.4"))]
    pub sender_constraint: SenderConstraint,
    /// The client identifier of this gateway at the issuer: the audience of logout tokens (OpenID Connect Back-Channel Logout). Without it
    /// none is taken.
    #[serde(default)]
    #[schemars(length(min = 1), extend("x-requirement" = "8.3"))]
    pub logout_audience: Option<String>,
    /// How long a key set that could not be refreshed when it was due still serves, in seconds; at most 86400.
    #[serde(default = "defaults::jwks_stale_max_seconds")]
    #[schemars(range(max = JWKS_STALE_SECONDS_MAX))]
    pub jwks_stale_max_seconds: u32,
}

/// What a token must be bound to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SenderConstraint {
    /// Nothing. Policies may still ask for it, by server and tool (`principal.bound_by`).
    #[default]
    Optional,
    /// A key that each request proves possession of (RFC 9449).
    Dpop,
    /// The client certificate of the connection (RFC 8705).
    Mtls,
    /// One of both.
    Either,
}

impl SenderConstraint {
    /// Its name in a configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            SenderConstraint::Optional => "optional",
            SenderConstraint::Dpop => "dpop",
            SenderConstraint::Mtls => "mtls",
            SenderConstraint::Either => "either",
        }
    }
}

/// Scopes as clients ask for them.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ScopesConfig {
    /// Scopes that the metadata of every endpoint names (RFC 9728, `scopes_supported`). None of them is `offline_access` (RS-12).
    #[schemars(inner(length(min = 1)))]
    pub supported: Vec<String>,
    /// Scopes that a client is told to ask for first: the `scope` of a challenge with 401 (RS-03). As few as are needed to begin.
    #[schemars(inner(length(min = 1)))]
    pub initial: Vec<String>,
    /// Scopes that contain others: whoever has the one has these, too (RS-11).
    #[schemars(extend("x-requirement" = "2.2"))]
    pub implied: BTreeMap<String, Vec<String>>,
}

/// How proofs of possession are taken.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DpopConfig {
    /// How old a proof may be, in seconds: 1 to 300.
    #[schemars(range(min = 1, max = PROOF_AGE_SECONDS_MAX))]
    pub proof_age_seconds_max: u32,
    /// Whether a proof must hold a nonce of this gateway (RFC 9449 section 9): one that was made ahead is then of no use.
    pub nonce: NonceUse,
    /// How long a nonce is given out, in seconds: 10 to 3600. It is taken for as long again.
    #[schemars(range(min = 10, max = NONCE_SECONDS_MAX))]
    pub nonce_seconds: u32,
    /// Most proofs that are remembered within the time that one may be old, so that none is taken twice: 1 to 10,000,000. Past that, proofs
    /// are refused. One key has a fiftieth of it, and 1,000 at least.
    #[schemars(range(min = 1, max = BOUND_MAX))]
    pub proofs_max: u32,
}

/// Whether proofs need a nonce.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NonceUse {
    /// Proofs are taken without one.
    #[default]
    Optional,
    /// Each needs one.
    Required,
}

impl Default for DpopConfig {
    fn default() -> DpopConfig {
        DpopConfig { proof_age_seconds_max: 60, nonce: NonceUse::Optional, nonce_seconds: 120, proofs_max: 500_000 }
    }
}

/// A signature algorithm of RFC 7518, RFC 8037 or RFC 9864. Asymmetric ones only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the names are those of the IANA registry, and say all")]
pub enum Algorithm {
    ES256,
    ES384,
    ES512,
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

impl Config {
    /// The longest that a token of any issuer may live.
    #[must_use]
    pub fn lifetime_max(&self) -> Duration {
        let entra = (!self.entra.is_empty()).then_some(ENTRA_LIFETIME_SECONDS);
        let longest = self.issuers.iter().map(|issuer| issuer.lifetime_seconds_max).chain(entra).max();
        Duration::from_secs(u64::from(longest.unwrap_or_default()))
    }

    /// An issuer whose tokens must be bound to a certificate, if there is one: without TLS of its own the gateway could accept none of them.
    #[must_use]
    pub fn needs_certificates(&self) -> Option<String> {
        let is_mtls = |constraint| constraint == SenderConstraint::Mtls;
        let issuer = self.issuers.iter().find(|issuer| is_mtls(issuer.sender_constraint));
        let entra = self.entra.iter().find(|entra| is_mtls(entra.sender_constraint));
        issuer.map(|issuer| issuer.issuer.clone()).or_else(|| entra.and_then(|entra| entra.issuer_names().next()))
    }

    /// The issuers that are believed, as tokens carry them in `iss`: those of `issuers`, and one for each tenant of `entra`.
    #[must_use]
    pub fn issuer_names(&self) -> Vec<String> {
        let entra = self.entra.iter().flat_map(EntraConfig::issuer_names);
        self.issuers.iter().map(|issuer| issuer.issuer.clone()).chain(entra).collect()
    }
}

impl IssuerConfig {
    /// An issuer with the given key set file and every other setting at its default.
    #[must_use]
    pub fn with_key_file(issuer: String, jwks_file: PathBuf) -> IssuerConfig {
        IssuerConfig { jwks_file: Some(jwks_file), ..IssuerConfig::named(issuer) }
    }

    /// This gateway's own issuer, whose tokens are for one endpoint each and name their client (RFC 9068); their claims have our names.
    #[must_use]
    pub fn of_ours(issuer: String, key_set: Bytes, lifetime_seconds_max: u32) -> IssuerConfig {
        IssuerConfig {
            key_set: Some(key_set),
            algorithms: vec![Algorithm::ES256],
            lifetime_seconds_max,
            roles_claim: Some("roles".to_owned()),
            groups_claim: Some("groups".to_owned()),
            tenant_claim: Some("tenant".to_owned()),
            // It has none for anybody but people.
            application_claims: Some(BTreeMap::new()),
            ..IssuerConfig::named(issuer)
        }
    }

    /// An issuer whose key set is discovered, with every other setting at its default.
    #[must_use]
    pub(crate) fn named(issuer: String) -> IssuerConfig {
        IssuerConfig {
            issuer,
            jwks_file: None,
            key_set: None,
            jwks_url: None,
            audiences: Vec::new(),
            endpoint_audiences: BTreeMap::new(),
            algorithms: defaults::algorithms(),
            clock_skew_seconds: defaults::clock_skew_seconds(),
            lifetime_seconds_max: defaults::lifetime_seconds_max(),
            token_types: defaults::token_types(),
            roles_claim: None,
            groups_claim: None,
            tenant_claim: None,
            tenants: Vec::new(),
            required_claims: BTreeMap::new(),
            application_claims: None,
            client_claim: None,
            attributes: BTreeMap::new(),
            sender_constraint: SenderConstraint::Optional,
            logout_audience: None,
            jwks_stale_max_seconds: defaults::jwks_stale_max_seconds(),
        }
    }
}

impl Algorithm {
    /// The algorithm called `name` in a token or key; letter case counts (RFC 7515 section 4.1.1).
    pub(crate) fn parse(name: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    /// The names of all that are known here.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Algorithm::ALL.into_iter().map(Algorithm::as_str)
    }

    /// Every algorithm.
    pub(crate) const ALL: [Algorithm; 11] = [
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::ES512,
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
            Algorithm::ES512 => "ES512",
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
