//! The `[broker.provider]` section.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use sekisho_keys::SecretRef;
use serde::Deserialize;

use crate::config::{Algorithm, ConfigError, IssuerConfig};

/// The OpenID provider that logs people in, which knows this gateway as one client.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderConfig {
    /// Its issuer identifier, exactly as it stands in its metadata and tokens. `https`, or `http` on a loopback address.
    #[schemars(extend("format" = "uri"))]
    pub issuer: String,
    /// The client identifier that it knows this gateway by. Its redirect URI there is `<public_url>/oauth/callback`.
    #[schemars(length(min = 1))]
    pub client_id: String,
    /// Where the secret is that it knows this gateway by. Without one this gateway is a public client there, which PKCE protects.
    #[serde(default)]
    pub client_secret: Option<SecretRef>,
    /// How the secret is shown to it. Without this, in a header where there is one.
    #[serde(default)]
    pub token_endpoint_auth: Option<ProviderAuthentication>,
    /// Scopes that it is asked for: `openid`, and `offline_access` where it should be asked at each refresh whether the user may still log
    /// in.
    #[serde(default = "scopes")]
    #[schemars(length(min = 1, max = SCOPES_MAX))]
    pub scopes: Vec<String>,
    /// Further parameters of its login page, such as `domain_hint`; none that the flow sets itself.
    #[serde(default)]
    pub authorization_parameters: BTreeMap<String, String>,
    /// Signature algorithms of its identity tokens that are accepted.
    #[serde(default = "algorithms")]
    #[schemars(length(min = 1))]
    pub algorithms: Vec<Algorithm>,
    /// How far its clock may be from ours, in seconds; at most 120.
    #[serde(default = "clock_skew_seconds")]
    #[schemars(range(max = crate::issuer::CLOCK_SKEW_SECONDS_MAX))]
    pub clock_skew_seconds: u32,
    /// The claim that says who somebody is: a name, or a JSON pointer. Default: `sub`. For Entra ID `oid`, which is the same for all
    /// applications of a tenant.
    #[serde(default)]
    pub subject_claim: Option<String>,
    /// The claim with the user's roles, in the same form.
    #[serde(default)]
    pub roles_claim: Option<String>,
    /// The claim with the user's groups, in the same form.
    #[serde(default)]
    pub groups_claim: Option<String>,
    /// The claim with the user's tenant, in the same form.
    #[serde(default)]
    pub tenant_claim: Option<String>,
    /// Tenants whose users are let in. Empty: any. Needs `tenant_claim`.
    #[serde(default)]
    pub tenants: Vec<String>,
    /// Claims that an identity token must have, each with the values that are accepted.
    #[serde(default)]
    pub required_claims: BTreeMap<String, Vec<String>>,
}

/// How this gateway shows the provider who it is (OpenID Connect Core section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProviderAuthentication {
    /// The secret in a header.
    ClientSecretBasic,
    /// The secret in the form.
    ClientSecretPost,
    /// Not at all.
    None,
}

/// Why the section cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProviderConfigError {
    /// As an issuer.
    #[error(transparent)]
    Issuer(#[from] ConfigError),
    /// Nothing stands there, or not what has to.
    #[error("`{0}` is empty, or not what it has to be")]
    Empty(&'static str),
    /// Without `openid` nobody says who logged in.
    #[error("`scopes` must have `openid`, at most {SCOPES_MAX} scopes, and none with spaces")]
    Scopes,
    /// The flow would be another one.
    #[error("`authorization_parameters` has `{0}`, which the flow sets itself, or is empty")]
    Parameter(String),
    /// One says that there is a secret, the other that there is none.
    #[error(
        "`token_endpoint_auth` and `client_secret` do not fit: a secret needs a way to be shown, and a way a secret"
    )]
    Authentication,
}

impl ProviderConfig {
    pub(super) fn check(&self) -> Result<(), ProviderConfigError> {
        if self.client_id.is_empty() {
            return Err(ProviderConfigError::Empty("client_id"));
        }
        let is_scope = |scope: &String| !scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_graphic());
        let has_openid = self.scopes.iter().any(|scope| scope == "openid");
        if !has_openid || self.scopes.len() > SCOPES_MAX || !self.scopes.iter().all(is_scope) {
            return Err(ProviderConfigError::Scopes);
        }
        match self.authorization_parameters.keys().find(|name| name.is_empty() || OURS.contains(&&***name)) {
            Some(name) => Err(ProviderConfigError::Parameter(name.clone())),
            None => Ok(()),
        }
    }

    pub(super) fn authentication(&self, has_secret: bool) -> Result<ProviderAuthentication, ProviderConfigError> {
        match (self.token_endpoint_auth, has_secret) {
            (None, true) => Ok(ProviderAuthentication::ClientSecretBasic),
            (None | Some(ProviderAuthentication::None), false) => Ok(ProviderAuthentication::None),
            (Some(ProviderAuthentication::None), true) | (Some(_), false) => Err(ProviderConfigError::Authentication),
            (Some(way), true) => Ok(way),
        }
    }

    /// Its identity tokens are checked by the same rules as an issuer's access tokens, but for whom they are for.
    pub(super) fn as_issuer(&self) -> IssuerConfig {
        IssuerConfig {
            audiences: vec![self.client_id.clone()],
            algorithms: self.algorithms.clone(),
            clock_skew_seconds: self.clock_skew_seconds,
            lifetime_seconds_max: ID_TOKEN_SECONDS_MAX,
            token_types: vec!["JWT".to_owned(), "absent".to_owned()],
            roles_claim: self.roles_claim.clone(),
            groups_claim: self.groups_claim.clone(),
            tenant_claim: self.tenant_claim.clone(),
            tenants: self.tenants.clone(),
            required_claims: self.required_claims.clone(),
            application_claims: Some(BTreeMap::new()),
            ..IssuerConfig::named(self.issuer.clone())
        }
    }
}

fn scopes() -> Vec<String> {
    vec!["openid".to_owned()]
}

fn algorithms() -> Vec<Algorithm> {
    IssuerConfig::named(String::new()).algorithms
}

fn clock_skew_seconds() -> u32 {
    IssuerConfig::named(String::new()).clock_skew_seconds
}

const SCOPES_MAX: usize = 32;
/// A day: some providers write that; it is looked at within seconds.
const ID_TOKEN_SECONDS_MAX: u32 = 86_400;
const OURS: [&str; 14] = [
    "client_id",
    "client_secret",
    "redirect_uri",
    "response_type",
    "response_mode",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "request",
    "request_uri",
    "resource",
    "max_age",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn config(more: &str) -> ProviderConfig {
        toml::from_str(&format!("issuer = 'https://login.example'\nclient_id = 'sekisho'\n{more}")).unwrap()
    }

    #[test]
    fn what_would_make_another_flow_of_it_is_refused() {
        assert!(config("").check().is_ok());
        assert!(
            config("scopes = ['openid', 'offline_access']\nauthorization_parameters = {prompt = 'login'}")
                .check()
                .is_ok()
        );
        for bad in [
            "scopes = ['profile']",
            "scopes = ['openid', 'a b']",
            "authorization_parameters = {redirect_uri = 'https://evil.example/'}",
            "authorization_parameters = {resource = 'x'}",
            "authorization_parameters = {response_mode = 'fragment'}",
        ] {
            assert!(config(bad).check().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_secret_needs_a_way_and_a_way_a_secret() {
        let way = |more: &str, has_secret| config(more).authentication(has_secret).ok();
        use ProviderAuthentication::{ClientSecretBasic, ClientSecretPost, None as Nothing};
        assert_eq!((way("", true), way("", false)), (Some(ClientSecretBasic), Some(Nothing)));
        assert_eq!(way("token_endpoint_auth = 'client-secret-post'", true), Some(ClientSecretPost));
        assert_eq!(way("token_endpoint_auth = 'client-secret-post'", false), None);
        assert_eq!(way("token_endpoint_auth = 'none'", true), None);
    }
}
