//! What a token with a good signature must say (RFC 9068 section 4), and the principal it speaks of.

use std::time::{Duration, SystemTime};

use sekisho_wire::Json;
use sekisho_wire::json::Kind;

use crate::issuer::Issuer;
use crate::jwt::text;
use crate::principal::{Principal, PrincipalKey};
use crate::token::TokenError;

/// Longest subject or client identifier, in bytes. It goes into keys and records.
const NAME_BYTES_MAX: usize = 1024;

/// Last moment a claim may name, in seconds since 1970: the end of the year 9999.
const SECONDS_MAX: u64 = 253_402_300_799;

/// When a token holds, with the clock skew counted in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    from: SystemTime,
    /// The first moment at which it does not hold any more.
    until: SystemTime,
}

impl Window {
    /// Whether it holds now.
    pub(crate) fn check(&self, now: SystemTime) -> Result<(), TokenError> {
        if now < self.from {
            return Err(TokenError::NotYet);
        }
        if now >= self.until {
            return Err(TokenError::Expired);
        }
        Ok(())
    }

    pub(crate) fn until(&self) -> SystemTime {
        self.until
    }
}

/// Checks the claims of a token whose signature was verified with a key of `issuer`. `canonical_uri` is the endpoint's.
pub(crate) fn check(
    claims: Json,
    issuer: &Issuer,
    canonical_uri: &str,
    now: SystemTime,
) -> Result<(Principal, Window), TokenError> {
    if *required(&claims, "iss")? != *issuer.name {
        return Err(TokenError::UnknownIssuer);
    }
    check_audience(&claims, &issuer.audiences, canonical_uri)?;
    let window = window(&claims, issuer)?;
    window.check(now)?;
    Ok((principal(claims, issuer)?, window))
}

/// Ours, byte for byte, and not any we know: else a token stolen from another server works here (RFC 8707 section 2; M1).
fn check_audience(claims: &Json, accepted: &[String], canonical_uri: &str) -> Result<(), TokenError> {
    let named = strings(&claims.get("aud").ok_or(TokenError::MissingClaim("aud"))?)?;
    let ours = |audience: &str| {
        if accepted.is_empty() { audience == canonical_uri } else { accepted.iter().any(|one| one == audience) }
    };
    if named.iter().any(|audience| ours(audience)) { Ok(()) } else { Err(TokenError::WrongAudience) }
}

fn window(claims: &Json, issuer: &Issuer) -> Result<Window, TokenError> {
    let expires = moment(claims, "exp")?.ok_or(TokenError::MissingClaim("exp"))?;
    let issued = moment(claims, "iat")?.ok_or(TokenError::MissingClaim("iat"))?;
    let lifetime = expires.checked_sub(issued).ok_or(TokenError::Garbled)?;
    if lifetime > issuer.lifetime_max {
        return Err(TokenError::TooLongLived);
    }
    let begins = moment(claims, "nbf")?.map_or(issued, |not_before| not_before.max(issued));
    let at = |since: Duration| SystemTime::UNIX_EPOCH.checked_add(since).ok_or(TokenError::Garbled);
    Ok(Window {
        from: at(begins.saturating_sub(issuer.clock_skew))?,
        until: at(expires.saturating_add(issuer.clock_skew))?,
    })
}

fn principal(claims: Json, issuer: &Issuer) -> Result<Principal, TokenError> {
    let subject = required(&claims, "sub")?;
    let client = match text(&claims, "client_id")? {
        Some(client) => client,
        None => text(&claims, "azp")?.unwrap_or_default(),
    };
    if subject.len() > NAME_BYTES_MAX || client.len() > NAME_BYTES_MAX {
        return Err(TokenError::Garbled);
    }
    Ok(Principal {
        key: PrincipalKey::of(&issuer.name, &subject, &client),
        issuer: issuer.name.clone(),
        subject,
        client,
        scopes: scopes(&claims)?,
        groups: named(&claims, issuer.groups_claim.as_deref())?,
        roles: named(&claims, issuer.roles_claim.as_deref())?,
        claims,
    })
}

/// `scope` is one string (RFC 9068 section 2.2.3); `scp` is what some issuers write instead, as a string or an array.
fn scopes(claims: &Json) -> Result<Vec<Box<str>>, TokenError> {
    let words = |text: &str| text.split(' ').filter(|word| !word.is_empty()).map(Box::from).collect();
    if let Some(scope) = text(claims, "scope")? {
        return Ok(words(&scope));
    }
    match claims.get("scp") {
        None => Ok(Vec::new()),
        Some(list) if list.kind() == Kind::Array => strings(&list),
        Some(text) => text.string().map(|text| words(&text)).ok_or(TokenError::Garbled),
    }
}

/// The strings of the claim that configuration names; none where there is no such claim.
fn named(claims: &Json, claim: Option<&str>) -> Result<Vec<Box<str>>, TokenError> {
    claim.and_then(|claim| claims.get(claim)).map_or_else(|| Ok(Vec::new()), |value| strings(&value))
}

/// A string or an array of strings, none of them empty.
fn strings(value: &Json) -> Result<Vec<Box<str>>, TokenError> {
    let word = |value: &Json| value.string().filter(|text| !text.is_empty()).map(Box::from).ok_or(TokenError::Garbled);
    match value.kind() {
        Kind::String => Ok(vec![word(value)?]),
        Kind::Array => value.elements().map(|element| word(&element)).collect(),
        Kind::Null | Kind::Boolean | Kind::Number | Kind::Object => Err(TokenError::Garbled),
    }
}

/// A string that must be there and not be empty.
fn required(claims: &Json, claim: &'static str) -> Result<Box<str>, TokenError> {
    text(claims, claim)?.filter(|text| !text.is_empty()).ok_or(TokenError::MissingClaim(claim))
}

/// A time claim, since 1970: a whole number of seconds, not before 1970 and not after 9999.
fn moment(claims: &Json, claim: &str) -> Result<Option<Duration>, TokenError> {
    let Some(value) = claims.get(claim) else {
        return Ok(None);
    };
    let seconds = value.number().and_then(|number| number.integer()).and_then(|seconds| u64::try_from(seconds).ok());
    match seconds {
        Some(seconds) if seconds <= SECONDS_MAX => Ok(Some(Duration::from_secs(seconds))),
        Some(_) | None => Err(TokenError::Garbled),
    }
}
