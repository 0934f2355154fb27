//! Logout tokens (OpenID Connect Back-Channel Logout 1.0): an issuer says that somebody's session has ended.

use std::time::SystemTime;

use sekisho_wire::Json;

use crate::claims::{NAME_BYTES_MAX, strings};
use crate::issuer::Issuer;
use crate::jwt::{Jwt, text};
use crate::revocation::{Revocation, Target};
use crate::token::TokenError;
use crate::verifier::{Verifier, verified_by};

/// Why a logout token ends nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogoutError {
    /// The token itself.
    #[error("the logout token is refused: {0}")]
    Token(TokenError),
    /// Its issuer has no `logout_audience`.
    #[error("no logout tokens are taken from this issuer (`logout_audience` is not set)")]
    NotTaken,
    /// It lacks the event, names nobody, or has a nonce, as identity tokens do (section 2.4).
    #[error("it is no logout token")]
    NotLogout,
}

impl From<TokenError> for LogoutError {
    fn from(error: TokenError) -> LogoutError {
        LogoutError::Token(error)
    }
}

impl Verifier {
    /// What a logout token ends (section 2.6).
    pub(crate) async fn logout(&self, token: &str, now: SystemTime) -> Result<Revocation, LogoutError> {
        let jwt = Jwt::take_apart(token)?;
        let issuer = self.issuer_named(&jwt)?;
        let audience = issuer.logout_audience.as_deref().ok_or(LogoutError::NotTaken)?;
        issuer.signs_with(&jwt.header)?;
        // Many issuers write none (section 2.4 only recommends it), or the plain one: what sets it apart is its event.
        if jwt.header.kind.as_ref().is_some_and(|own| !KINDS.iter().any(|kind| kind.eq_ignore_ascii_case(own))) {
            return Err(TokenError::WrongType.into());
        }
        verified_by(issuer, &jwt, now).await?;
        let claims = jwt.claims;
        if !strings(&claims.get("aud").ok_or(TokenError::MissingClaim("aud"))?)?.iter().any(|one| **one == *audience) {
            return Err(TokenError::WrongAudience.into());
        }
        let issued = in_time(&claims, issuer, now)?;
        let event = claims.get("events").and_then(|events| events.get(EVENT));
        if !event.is_some_and(|event| event.is_object())
            || claims.get("nonce").is_some()
            || text(&claims, "jti")?.is_none()
        {
            return Err(LogoutError::NotLogout);
        }
        ended(&claims, issuer, issued.min(now))
    }
}

/// Whether it says that somebody logged out.
pub(crate) fn is_logout(claims: &Json) -> bool {
    let event = claims.get("events").and_then(|events| events.get(EVENT));
    event.is_some_and(|event| event.is_object())
}

/// When it was issued. Taken a second time it ends nothing that was begun since.
fn in_time(claims: &Json, issuer: &Issuer, now: SystemTime) -> Result<SystemTime, LogoutError> {
    let (window, issued) = crate::claims::window_of_logout(claims, issuer)?;
    window.check(now)?;
    Ok(issued)
}

/// A session where one is named, else all of the subject's.
fn ended(claims: &Json, issuer: &Issuer, at: SystemTime) -> Result<Revocation, LogoutError> {
    let name = || issuer.name.to_string();
    let fits = |name: &str| (1..=NAME_BYTES_MAX).contains(&name.len());
    let target = match (text(claims, "sid")?, text(claims, "sub")?) {
        (Some(id), _) if fits(&id) => Target::IssuerSession { issuer: name(), id: id.into() },
        (None, Some(subject)) if fits(&subject) => Target::Subject { issuer: name(), subject: subject.into() },
        (Some(_) | None, _) => return Err(LogoutError::NotLogout),
    };
    Ok(Revocation { target, at, reason: "back-channel logout".to_owned(), by: name() })
}

const KINDS: [&str; 3] = ["logout+jwt", "application/logout+jwt", "JWT"];
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
