//! Microsoft Entra ID: what its access tokens of version 2.0 look like, and what is asked of them.
//!
//! An application has one identifier, which is the audience, and its tokens come from one issuer for each tenant. Who somebody is say `tid`
//! and `oid` alone: names and addresses change hands (Microsoft, "Secure applications and APIs by validating claims").

use schemars::JsonSchema;
use sekisho_wire::Json;
use serde::Deserialize;

use crate::claims::required;
use crate::config::{Algorithm, ConfigError, IssuerConfig, SenderConstraint};
use crate::jwt::text;
use crate::principal::Kind;
use crate::token::TokenError;

/// One application of Entra ID.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EntraConfig {
    /// The application (client) identifier of this gateway: what tokens of version 2.0 have in `aud`.
    #[schemars(length(equal = 36), extend("x-requirement" = "M1"))]
    pub application: String,
    /// The tenants whose users and applications are let in, by identifier. At least one.
    #[schemars(length(min = 1), inner(length(equal = 36)))]
    pub tenants: Vec<String>,
    /// The clients that may call, by application identifier (`azp`). Empty: any that a tenant gives tokens to.
    #[serde(default)]
    #[schemars(inner(length(equal = 36)))]
    pub clients: Vec<String>,
    /// Whether applications may call for themselves, without a user.
    #[serde(default)]
    pub applications: Applications,
    /// Whose cloud it is: `https`, or `http` on a loopback address.
    #[serde(default = "authority")]
    #[schemars(extend("format" = "uri"))]
    pub authority: String,
    /// Whether tokens must be bound to a client certificate or key. Entra ID binds them where the client asks for it.
    #[serde(default)]
    #[schemars(extend("x-requirement" = "7.4"))]
    pub sender_constraint: SenderConstraint,
}

/// Whether applications may call for themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Applications {
    /// No: only a user's token is taken.
    #[default]
    Refused,
    /// Yes: what they may do say their application roles.
    Permitted,
}

/// What is asked of the tokens of one tenant.
pub(crate) struct EntraRules {
    application: Box<str>,
    tenant: Box<str>,
    clients: Vec<String>,
    applications: Applications,
}

impl EntraConfig {
    /// One issuer for each tenant, with what is asked of its tokens.
    pub(crate) fn issuers(&self) -> Result<Vec<(IssuerConfig, EntraRules)>, ConfigError> {
        let check = |field, id: &String| {
            if is_identifier(id) { Ok(()) } else { Err(ConfigError::BadEntraId { field, id: id.clone() }) }
        };
        check("application", &self.application)?;
        self.clients.iter().try_for_each(|id| check("clients", id))?;
        if self.tenants.is_empty() {
            return Err(ConfigError::Empty { issuer: self.authority.clone(), field: "tenants" });
        }
        self.tenants.iter().map(|tenant| check("tenants", tenant).map(|()| self.issuer(tenant))).collect()
    }

    pub(crate) fn issuer_names(&self) -> impl Iterator<Item = String> {
        self.tenants.iter().map(|tenant| issuer_name(&self.root(tenant)))
    }

    fn root(&self, tenant: &str) -> String {
        format!("{}/{tenant}", self.authority.trim_end_matches('/'))
    }

    fn issuer(&self, tenant: &str) -> (IssuerConfig, EntraRules) {
        let root = self.root(tenant);
        let config = IssuerConfig {
            // There is no document of RFC 8414, and the key set stands beside, not below, the issuer.
            jwks_url: Some(format!("{root}/discovery/v2.0/keys")),
            audiences: vec![self.application.clone()],
            algorithms: vec![Algorithm::RS256],
            // Up to 28 hours for clients that take claims challenges (continuous access evaluation).
            lifetime_seconds_max: LIFETIME_SECONDS,
            // Entra ID writes no other; what sets an access token apart are its claims.
            token_types: vec!["JWT".to_owned()],
            roles_claim: Some("roles".to_owned()),
            groups_claim: Some("groups".to_owned()),
            tenant_claim: Some("tid".to_owned()),
            tenants: vec![tenant.to_owned()],
            sender_constraint: self.sender_constraint,
            ..IssuerConfig::named(issuer_name(&root))
        };
        let rules = EntraRules {
            application: self.application.as_str().into(),
            tenant: tenant.into(),
            clients: self.clients.clone(),
            applications: self.applications,
        };
        (config, rules)
    }
}

/// Checks what sets an access token of version 2.0 apart from all else that a tenant signs.
pub(crate) fn check(claims: &Json, rules: &EntraRules) -> Result<(), TokenError> {
    let refused = |why| Err(TokenError::Entra(why));
    if *required(claims, "ver")? != *"2.0" {
        return refused(
            "its version is not 2.0 (set `requestedAccessTokenVersion` to 2 in the application's manifest)",
        );
    }
    if claims.get("aud").is_none_or(|audience| audience.string().as_deref() != Some(&*rules.application)) {
        return refused("it has another audience than the application alone");
    }
    if text(claims, "tid")?.as_deref() != Some(&rules.tenant) {
        return Err(TokenError::WrongTenant);
    }
    required(claims, "oid")?;
    let client = required(claims, "azp")?;
    if !rules.clients.is_empty() && !rules.clients.iter().any(|one| **one == *client) {
        return refused("its client is none of `clients`");
    }
    let scopes = text(claims, "scp")?.is_some_and(|scopes| !scopes.trim().is_empty());
    let is_app = text(claims, "idtyp")?.as_deref() == Some("app");
    match (scopes, is_app, rules.applications) {
        (true, false, _) | (false, true, Applications::Permitted) => Ok(()),
        (false, true, Applications::Refused) => refused("it is an application's own, and `applications` is `refused`"),
        (true, true, _) => refused("it is both a user's and an application's own"),
        // An identity token has neither, and the same audience where the application is its own client.
        (false, false, _) => refused(
            "it is neither for a user (`scp`) nor an application's own (`idtyp`, an optional claim to be added to access tokens)",
        ),
    }
}

/// A user, an application, or an agent (`xms_act_fct` and `xms_sub_fct` hold words; 11 is an agent identity, 13 an agent's user).
pub(crate) fn kind(claims: &Json) -> Kind {
    let facet = |claim: &str| {
        let value = claims.get(claim);
        let text = value.as_ref().and_then(Json::string).unwrap_or_default().into_owned();
        text.split(' ').any(|word| matches!(word, "11" | "13"))
    };
    let is_app = claims.get("idtyp").is_some_and(|kind| kind.string().as_deref() == Some("app"));
    match (facet("xms_act_fct") || facet("xms_sub_fct"), is_app) {
        (true, _) => Kind::Agent,
        (false, true) => Kind::Application,
        (false, false) => Kind::User,
    }
}

/// Whether there are more groups than go into a token. Where they are said to be is not looked at: it is the token that says so.
pub(crate) fn groups_are_elsewhere(claims: &Json) -> bool {
    let named = claims.get("_claim_names").is_some_and(|names| names.get("groups").is_some());
    let has = claims.get("hasgroups").is_some_and(|has| match has.boolean() {
        Some(has) => has,
        None => has.string().is_some_and(|text| text.eq_ignore_ascii_case("true")),
    });
    named || has
}

/// 8-4-4-4-12 hexadecimal digits in lower case, as tokens write them.
fn is_identifier(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let is_hex = |group: &str| group.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]) && groups.iter().all(|group| is_hex(group))
}

fn issuer_name(root: &str) -> String {
    format!("{root}/v2.0")
}

fn authority() -> String {
    "https://login.microsoftonline.com".to_owned()
}

/// 28 hours.
pub(crate) const LIFETIME_SECONDS: u32 = 100_800;
