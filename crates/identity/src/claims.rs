//! What a token with a good signature must say (RFC 9068 section 4), and the principal it speaks of.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sekisho_wire::json::Kind as JsonKind;
use sekisho_wire::{Endpoint, Json};

use crate::bonds::Bonds;
use crate::entra;
use crate::issuer::Issuer;
use crate::jwt::text;
use crate::logout;
use crate::principal::{Authentication, Binding, Credential, Groups, Kind, Principal, PrincipalKey};
use crate::revocation::CredentialFacts;
use crate::rules::{Claim, Dialect, Rules};
use crate::token::TokenError;

/// Longest subject or client identifier, in bytes. It goes into keys and records.
pub(crate) const NAME_BYTES_MAX: usize = 1024;

/// Last moment a claim may name, in seconds since 1970: the end of the year 9999.
const SECONDS_MAX: u64 = 253_402_300_799;

const LOGOUT_HOLDS: Duration = Duration::from_secs(120);

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

/// What follows from a token's claims.
pub(crate) struct Checked {
    pub(crate) who: Principal,
    pub(crate) window: Window,
    pub(crate) bonds: Bonds,
    pub(crate) credential: Arc<Credential>,
}

/// Where a token is shown: an endpoint and its canonical URI.
#[derive(Clone, Copy)]
pub(crate) struct Door<'a> {
    pub(crate) at: &'a Endpoint,
    pub(crate) canonical_uri: &'a str,
}

/// Checks the claims of a token whose signature was verified with the key `key_id` of `issuer`.
pub(crate) fn check(
    claims: Json,
    issuer: &Issuer,
    door: Door<'_>,
    key_id: Option<&str>,
    now: SystemTime,
) -> Result<Checked, TokenError> {
    if *required(&claims, "iss")? != *issuer.name {
        return Err(TokenError::UnknownIssuer);
    }
    // Where types do not tell, its event does (RFC 8725 section 3.12).
    if logout::is_logout(&claims) {
        return Err(TokenError::WrongType);
    }
    check_audience(&claims, issuer.audiences_of(door.at), door.canonical_uri)?;
    let window = window(&claims, issuer)?;
    window.check(now)?;
    if let Dialect::Entra(rules) = &issuer.rules.dialect {
        entra::check(&claims, rules)?;
    }
    check_rules(&claims, &issuer.rules)?;
    let bonds = Bonds::read(&claims)?;
    bonds.satisfy(issuer.sender_constraint)?;
    let who = principal(claims, issuer, bonds.names())?;
    let credential = credential(&who, key_id, issuer)?;
    Ok(Checked { who, window, bonds, credential: Arc::new(credential) })
}

/// When a logout token holds, and when it was issued: from `iat` to `exp`, for two minutes at most (OpenID Connect Back-Channel Logout section 2.4).
pub(crate) fn window_of_logout(claims: &Json, issuer: &Issuer) -> Result<(Window, SystemTime), TokenError> {
    let issued = moment(claims, "iat")?.ok_or(TokenError::MissingClaim("iat"))?;
    let latest = issued.saturating_add(LOGOUT_HOLDS);
    let expires = moment(claims, "exp")?.map_or(latest, |expires| expires.min(latest));
    Ok((between(issued, expires, issuer)?, at(issued)?))
}

/// Ours, byte for byte, and not any we know: else a token stolen from another server works here (RFC 8707 section 2; M1).
fn check_audience(claims: &Json, accepted: &[String], canonical_uri: &str) -> Result<(), TokenError> {
    let named = strings(&claims.get("aud").ok_or(TokenError::MissingClaim("aud"))?)?;
    let ours = |audience: &str| {
        if accepted.is_empty() { audience == canonical_uri } else { accepted.iter().any(|one| one == audience) }
    };
    if named.iter().any(|audience| ours(audience)) { Ok(()) } else { Err(TokenError::WrongAudience) }
}

fn check_rules(claims: &Json, rules: &Rules) -> Result<(), TokenError> {
    if !rules.required.iter().all(|required| has(claims, required)) {
        return Err(TokenError::ClaimRefused);
    }
    let tenant = tenant(claims, rules)?;
    if !rules.tenants.is_empty() && !rules.tenants.iter().any(|one| **one == *tenant) {
        return Err(TokenError::WrongTenant);
    }
    Ok(())
}

/// Whether a claim has one of these values; of an array, one of its elements.
fn has(claims: &Json, (claim, accepted): &(Claim, Vec<String>)) -> bool {
    let is_accepted = |value: &Json| word(value).is_some_and(|word| accepted.iter().any(|one| *one == *word));
    claim.find(claims).is_some_and(|value| is_accepted(&value) || value.elements().any(|one| is_accepted(&one)))
}

fn tenant(claims: &Json, rules: &Rules) -> Result<Box<str>, TokenError> {
    let named = rules.tenant.as_ref().and_then(|claim| claim.find(claims));
    named.map_or_else(|| Ok(Box::default()), |value| value.string().map(Box::from).ok_or(TokenError::Garbled))
}

fn window(claims: &Json, issuer: &Issuer) -> Result<Window, TokenError> {
    let expires = moment(claims, "exp")?.ok_or(TokenError::MissingClaim("exp"))?;
    let issued = moment(claims, "iat")?.ok_or(TokenError::MissingClaim("iat"))?;
    let lifetime = expires.checked_sub(issued).ok_or(TokenError::Garbled)?;
    if lifetime > issuer.lifetime_max {
        return Err(TokenError::TooLongLived);
    }
    let begins = moment(claims, "nbf")?.map_or(issued, |not_before| not_before.max(issued));
    between(begins, expires, issuer)
}

/// The two moments, and the issuer's clock skew on either side.
fn between(begins: Duration, expires: Duration, issuer: &Issuer) -> Result<Window, TokenError> {
    Ok(Window {
        from: at(begins.saturating_sub(issuer.clock_skew))?,
        until: at(expires.saturating_add(issuer.clock_skew))?,
    })
}

fn at(since_epoch: Duration) -> Result<SystemTime, TokenError> {
    SystemTime::UNIX_EPOCH.checked_add(since_epoch).ok_or(TokenError::Garbled)
}

fn principal(claims: Json, issuer: &Issuer, bound_by: Vec<Binding>) -> Result<Principal, TokenError> {
    let rules = &issuer.rules;
    let (subject, client, kind) = match &rules.dialect {
        Dialect::Standard => {
            let subject = required(&claims, "sub")?;
            let client = client(&claims, rules)?;
            let kind = match &rules.application {
                // RFC 9068 section 2.2: where no person is involved, the subject is the client.
                _ if subject == client => Kind::Application,
                Some(marks) if marks.iter().any(|mark| has(&claims, mark)) => Kind::Application,
                Some(_) => Kind::User,
                None => Kind::Unknown,
            };
            (subject, client, kind)
        }
        Dialect::Entra(_) => (required(&claims, "oid")?, required(&claims, "azp")?, entra::kind(&claims)),
    };
    if subject.len() > NAME_BYTES_MAX || client.len() > NAME_BYTES_MAX {
        return Err(TokenError::Garbled);
    }
    let named = |claim: &Option<_>| named(&claims, claim.as_ref());
    let groups =
        if entra::groups_are_elsewhere(&claims) { Groups::Unknown } else { Groups::Known(named(&rules.groups)?) };
    let value = |(name, claim): &(Box<str>, _)| Some((name.clone(), word(&Claim::find(claim, &claims)?)?));
    let mut principal = Principal {
        key: PrincipalKey::of(&issuer.name, &subject, &client),
        issuer: issuer.name.clone(),
        subject,
        client,
        scopes: rules.implied.with_implied(scopes(&claims)?),
        groups,
        roles: named(&rules.roles)?,
        kind,
        tenant: tenant(&claims, rules)?,
        authentication: authentication(&claims)?,
        bound_by,
        attributes: rules.attributes.iter().filter_map(value).collect(),
        claims,
        privileges: [0; 32],
        implied: Arc::clone(&rules.implied),
    };
    principal.privileges = principal.digest_of_privileges();
    Ok(principal)
}

fn client(claims: &Json, rules: &Rules) -> Result<Box<str>, TokenError> {
    if let Some(named) = &rules.client {
        let value = named.find(claims).map(|value| value.string().map(Box::from).ok_or(TokenError::Garbled));
        return Ok(value.transpose()?.unwrap_or_default());
    }
    match text(claims, "client_id")? {
        Some(client) => Ok(client),
        None => Ok(text(claims, "azp")?.unwrap_or_default()),
    }
}

fn authentication(claims: &Json) -> Result<Authentication, TokenError> {
    let list = |claim| claims.get(claim).map_or_else(|| Ok(Vec::new()), |value| strings(&value));
    let at = moment(claims, "auth_time")?.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
    Ok(Authentication {
        class: text(claims, "acr")?.unwrap_or_default(),
        methods: list("amr")?,
        contexts: list("acrs")?,
        at,
    })
}

fn credential(who: &Principal, key_id: Option<&str>, issuer: &Issuer) -> Result<Credential, TokenError> {
    let issued = moment(&who.claims, "iat")?.ok_or(TokenError::MissingClaim("iat"))?;
    let issued_from = SystemTime::UNIX_EPOCH.checked_add(issued.saturating_sub(issuer.clock_skew));
    // Entra ID calls it otherwise, and says so nowhere.
    let id = match text(&who.claims, "jti")? {
        None => text(&who.claims, "uti")?,
        id => id,
    };
    Ok(Credential::new(&CredentialFacts {
        issuer: &who.issuer,
        subject: &who.subject,
        client: &who.client,
        id: id.as_deref(),
        issuer_session: text(&who.claims, "sid")?.as_deref(),
        key_id,
        issued_from: issued_from.ok_or(TokenError::Garbled)?,
    }))
}

/// `scope` is one string (RFC 9068 section 2.2.3); `scp` is what some issuers write instead, as a string or an array.
fn scopes(claims: &Json) -> Result<Vec<Box<str>>, TokenError> {
    // Entra ID writes a slash where no scope is meant.
    let words = |text: &str| text.split(' ').filter(|word| !word.is_empty() && *word != "/").map(Box::from).collect();
    if let Some(scope) = text(claims, "scope")? {
        return Ok(words(&scope));
    }
    match claims.get("scp") {
        None => Ok(Vec::new()),
        Some(list) if list.kind() == JsonKind::Array => strings(&list),
        Some(text) => text.string().map(|text| words(&text)).ok_or(TokenError::Garbled),
    }
}

/// The strings of the claim that configuration names; none where there is no such claim.
fn named(claims: &Json, claim: Option<&Claim>) -> Result<Vec<Box<str>>, TokenError> {
    claim.and_then(|claim| claim.find(claims)).map_or_else(|| Ok(Vec::new()), |value| strings(&value))
}

/// A value as one word: a string as it is, a number and a boolean as JSON writes them.
fn word(value: &Json) -> Option<Box<str>> {
    match value.kind() {
        JsonKind::String => value.string().map(Box::from),
        JsonKind::Number | JsonKind::Boolean => Some(value.as_str().into()),
        JsonKind::Null | JsonKind::Array | JsonKind::Object => None,
    }
}

/// A string or an array of strings, none of them empty.
pub(crate) fn strings(value: &Json) -> Result<Vec<Box<str>>, TokenError> {
    let text = |value: &Json| value.string().filter(|text| !text.is_empty()).map(Box::from).ok_or(TokenError::Garbled);
    match value.kind() {
        JsonKind::String => Ok(vec![text(value)?]),
        JsonKind::Array => value.elements().map(|element| text(&element)).collect(),
        JsonKind::Null | JsonKind::Boolean | JsonKind::Number | JsonKind::Object => Err(TokenError::Garbled),
    }
}

/// A string that must be there and not be empty.
pub(crate) fn required(claims: &Json, claim: &'static str) -> Result<Box<str>, TokenError> {
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
