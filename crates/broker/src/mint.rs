//! Access tokens of ours: RFC 9068, for one endpoint, for minutes.

use std::time::{Duration, SystemTime};

use secrecy::SecretString;
use sekisho_keys::{SignError, SigningKey};
use sekisho_wire::Json;
use sekisho_wire::json::{Limits, Object};

use crate::grants::Grant;
use crate::people::{seconds, text};
use crate::secrets::{NoRandomness, random};

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MintError {
    /// The key.
    #[error("the token cannot be signed")]
    Sign(#[from] SignError),
    /// Its id.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

/// An access token for what was granted, with these of its scopes.
pub(crate) async fn access_token(
    key: &SigningKey,
    issuer: &str,
    (grant, scopes): (&Grant, &[Box<str>]),
    lifetime: Duration,
    now: SystemTime,
) -> Result<SecretString, MintError> {
    let issued = seconds(now);
    let mut claims = Object::new()
        .text("iss", issuer)
        .text("sub", &grant.user.subject)
        .text("aud", &grant.resource)
        .text("client_id", &grant.client)
        .text("scope", &scopes.join(" "))
        .unsigned("iat", issued)
        .unsigned("exp", issued.saturating_add(lifetime.as_secs()))
        .text("jti", &random()?)
        .text("sid", &grant.session());
    // What the provider does not say is not made up: policies ask how old a login is.
    if let Some(at) = grant.user.at {
        claims = claims.unsigned("auth_time", seconds(at));
    }
    for (name, value) in grant.user.claims.members().filter(|(name, _)| !is_ours(name)) {
        claims = claims.json(&name, &value);
    }
    if let Some(thumbprint) = &grant.bound_to {
        claims = claims.object("cnf", |cnf| cnf.text("jkt", thumbprint));
    }
    Ok(key.sign_jwt("at+jwt", claims.finish().as_str()).await?)
}

/// What one of our access tokens says, for whoever asks about it.
pub(crate) struct Claims {
    pub(crate) subject: Box<str>,
    pub(crate) client: Box<str>,
    /// `jti`
    pub(crate) id: Box<str>,
    scope: Box<str>,
    audience: Box<str>,
    issued: u64,
    expires: u64,
}

/// Reads a token that is ours and has not expired. Whether it was revoked, the endpoints know.
pub(crate) fn read(key: &SigningKey, issuer: &str, token: &str, now: SystemTime) -> Option<Claims> {
    let claims = Json::decode(key.verify_jwt("at+jwt", token)?.into(), &LIMITS).ok()?;
    let number = |name: &str| u64::try_from(claims.get(name)?.number()?.integer()?).ok();
    let read = Claims {
        subject: text(&claims, "sub")?,
        client: text(&claims, "client_id")?,
        id: text(&claims, "jti")?,
        scope: text(&claims, "scope")?,
        audience: text(&claims, "aud")?,
        issued: number("iat")?,
        expires: number("exp")?,
    };
    (*text(&claims, "iss")? == *issuer && seconds(now) < read.expires).then_some(read)
}

impl Claims {
    /// RFC 7662 section 2.2.
    pub(crate) fn document(&self) -> Json {
        Object::new()
            .bool("active", true)
            .text("sub", &self.subject)
            .text("client_id", &self.client)
            .text("scope", &self.scope)
            .text("aud", &self.audience)
            .text("jti", &self.id)
            .unsigned("iat", self.issued)
            .unsigned("exp", self.expires)
            .finish()
    }
}

/// Claims that say what the token is; a provider has no say in them.
pub(crate) fn is_ours(claim: &str) -> bool {
    OURS.contains(&claim)
}

const OURS: [&str; 14] =
    ["iss", "sub", "aud", "client_id", "azp", "scope", "iat", "nbf", "exp", "jti", "sid", "auth_time", "cnf", "act"];
const LIMITS: Limits = Limits { bytes_max: 16 * 1024, depth_max: 16, nodes_max: 2048 };
