//! The `[broker]` section.

use std::time::Duration;

use schemars::JsonSchema;
use sekisho_identity::ProviderConfig;
use serde::Deserialize;

use crate::mint;
use crate::request::Scope;
use crate::trust::ClientsConfig;

/// The OAuth facade: this gateway is the authorization server that clients register with and get tokens from, and asks the company's
/// provider who somebody is.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The OpenID provider that logs people in.
    #[schemars(extend("x-requirement" = "M3"))]
    pub provider: ProviderConfig,
    /// Who may be a client.
    #[serde(default)]
    pub clients: ClientsConfig,
    /// How long things last.
    #[serde(default)]
    pub lifetimes: Lifetimes,
    /// Scopes beside those of the consent page (`tools:read`, `tools:write`, `tools:external`, `tools:destructive`) that clients may ask
    /// for, such as your policies read: at most 32. What else is asked for is left out.
    #[serde(default)]
    #[schemars(length(max = SCOPES_MAX))]
    pub scopes: Vec<String>,
    /// Claims of the provider's identity tokens that are said again in ours, under the same name, for policies to read: at most 16.
    #[serde(default)]
    #[schemars(length(max = CLAIMS_MAX))]
    pub claims: Vec<String>,
    /// Whether clients without a browser may ask (RFC 8628): a user types their code in, and is asked for the same consent.
    #[serde(default)]
    pub device_flow: bool,
}

/// How long things last.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Lifetimes {
    /// An access token, in seconds: 300 to 900.
    #[schemars(range(min = ACCESS_SECONDS_MIN, max = ACCESS_SECONDS_MAX), extend("x-requirement" = "2.3"))]
    pub access_token_seconds: u32,
    /// What was granted, however often it is refreshed, in hours: 1 to 8760. Never longer than the consent.
    #[schemars(range(min = 1, max = GRANT_HOURS_MAX))]
    pub grant_hours: u32,
    /// How often the provider is asked, at a refresh, whether the user may still log in, in minutes: 0 to 1440. It is asked where it gives a
    /// refresh token (most do for the scope `offline_access`).
    #[schemars(range(max = RECHECK_MINUTES_MAX))]
    pub recheck_minutes: u32,
    /// How long a browser is known to be somebody's, in minutes: 5 to 1440. It spares no login; it tells the consent page whom to name.
    #[schemars(range(min = 5, max = LOGIN_MINUTES_MAX))]
    pub login_minutes: u32,
    /// The choices on the consent page, in days: one to four, each 1 to 365. The first one is chosen beforehand.
    #[schemars(length(min = 1, max = CHOICES_MAX), inner(range(min = 1, max = CONSENT_DAYS_MAX)))]
    pub consent_days: Vec<u32>,
}

impl Default for Lifetimes {
    fn default() -> Lifetimes {
        Lifetimes {
            access_token_seconds: 600,
            grant_hours: 720,
            recheck_minutes: 10,
            login_minutes: 480,
            consent_days: vec![30, 1, 7, 90],
        }
    }
}

/// Why the section cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A number is outside its range.
    #[error("`lifetimes.{field}` is {value}; it must be {min} to {max}")]
    OutOfRange {
        /// Which.
        field: &'static str,
        /// What it is.
        value: u32,
        /// The least.
        min: u32,
        /// The most.
        max: u32,
    },
    /// No choice, or too many.
    #[error("`lifetimes.consent_days` must have 1 to {CHOICES_MAX} choices, each 1 to {CONSENT_DAYS_MAX}, none twice")]
    Choices,
    /// It is no scope, or one of the consent page.
    #[error("`scopes` has `{0}`, which is no scope, stands twice, or is one of the consent page's own")]
    Scope(String),
    /// It is a claim that tells what a token is.
    #[error("`claims` has `{0}`, which is empty, stands twice, or is said by this gateway alone")]
    Claim(String),
    /// More than are taken.
    #[error("`{field}` has more than {max} entries")]
    TooMany {
        /// Which.
        field: &'static str,
        /// The most.
        max: usize,
    },
}

impl Config {
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), ConfigError> {
        let Lifetimes { access_token_seconds, grant_hours, recheck_minutes, login_minutes, consent_days } =
            &self.lifetimes;
        for (field, value, min, max) in [
            ("access_token_seconds", *access_token_seconds, ACCESS_SECONDS_MIN, ACCESS_SECONDS_MAX),
            ("grant_hours", *grant_hours, 1, GRANT_HOURS_MAX),
            ("recheck_minutes", *recheck_minutes, 0, RECHECK_MINUTES_MAX),
            ("login_minutes", *login_minutes, 5, LOGIN_MINUTES_MAX),
        ] {
            if !(min..=max).contains(&value) {
                return Err(ConfigError::OutOfRange { field, value, min, max });
            }
        }
        let is_choice = |(at, days): (usize, &u32)| {
            (1..=CONSENT_DAYS_MAX).contains(days) && !consent_days.iter().take(at).any(|before| before == days)
        };
        if !(1..=CHOICES_MAX).contains(&consent_days.len()) || !consent_days.iter().enumerate().all(is_choice) {
            return Err(ConfigError::Choices);
        }
        self.check_names()
    }

    fn check_names(&self) -> Result<(), ConfigError> {
        for (field, list, max) in [("scopes", &self.scopes, SCOPES_MAX), ("claims", &self.claims, CLAIMS_MAX)] {
            if list.len() > max {
                return Err(ConfigError::TooMany { field, max });
            }
        }
        let is_twice = |list: &[String], at: usize, one: &String| list.iter().take(at).any(|before| before == one);
        for (at, scope) in self.scopes.iter().enumerate() {
            let is_own = scope.starts_with("tools:") || scope == "offline_access" || scope == "openid";
            if is_own || Scope::parse(scope).is_none() || is_twice(&self.scopes, at, scope) {
                return Err(ConfigError::Scope(scope.clone()));
            }
        }
        for (at, claim) in self.claims.iter().enumerate() {
            let is_ours = mint::is_ours(claim) || RENAMED.contains(&&**claim);
            if claim.is_empty() || is_ours || is_twice(&self.claims, at, claim) {
                return Err(ConfigError::Claim(claim.clone()));
            }
        }
        Ok(())
    }
}

impl Lifetimes {
    pub(crate) fn access_token(&self) -> Duration {
        Duration::from_secs(self.access_token_seconds.into())
    }

    pub(crate) fn grant(&self) -> Duration {
        Duration::from_secs(u64::from(self.grant_hours) * 3600)
    }

    pub(crate) fn recheck(&self) -> Duration {
        Duration::from_secs(u64::from(self.recheck_minutes) * 60)
    }

    pub(crate) fn login(&self) -> Duration {
        Duration::from_secs(u64::from(self.login_minutes) * 60)
    }
}

/// The longest that an access token lives, in seconds.
pub const ACCESS_SECONDS_MAX: u32 = 900;
const ACCESS_SECONDS_MIN: u32 = 300;
const GRANT_HOURS_MAX: u32 = 8760;
const RECHECK_MINUTES_MAX: u32 = 1440;
const LOGIN_MINUTES_MAX: u32 = 1440;
const CONSENT_DAYS_MAX: u32 = 365;
const CHOICES_MAX: usize = 4;
const SCOPES_MAX: usize = 32;
const CLAIMS_MAX: usize = 16;
/// Claims that stand in our tokens under these names, wherever the provider has them.
pub(crate) const RENAMED: [&str; 7] = ["roles", "groups", "tenant", "acr", "amr", "acrs", "_claim_names"];
