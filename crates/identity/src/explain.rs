//! What a token becomes, check by check: for whoever sets up an issuer, never for a client.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::SystemTime;

use sekisho_wire::{Endpoint, Json};

use crate::claims::{Checked, Door};
use crate::issuer::Issuer;
use crate::jwt::Jwt;
use crate::principal::{Credential, Groups, Principal};
use crate::token::{TOKEN_BYTES_MAX, TokenError};
use crate::verifier::{Verifier, verified_by};

/// The checks in their order, up to the first that fails; and the principal, if none does.
#[derive(Debug)]
pub struct Explanation {
    /// Each check with its outcome.
    pub steps: Vec<Step>,
    /// What policies see: name and value, in order. Empty if the token is refused.
    pub principal: Vec<(&'static str, String)>,
    /// Why it is refused; none if it is accepted.
    pub refused: Option<TokenError>,
    /// What it could be revoked by, where its claims were read.
    pub credential: Option<Arc<Credential>>,
}

/// One check.
#[derive(Debug)]
pub struct Step {
    /// What is asked.
    pub check: &'static str,
    /// What was found, or why the token is refused.
    pub outcome: Result<String, String>,
}

impl Explanation {
    fn new() -> Explanation {
        Explanation { steps: Vec::new(), principal: Vec::new(), refused: None, credential: None }
    }

    /// Notes that the token was revoked, as another process says that has what is revoked.
    pub fn revoked(&mut self) {
        self.refused = Some(TokenError::Revoked);
        self.principal.clear();
        let known = self.steps.iter_mut().find(|step| step.check == REVOCATION);
        known.into_iter().for_each(|step| step.outcome = Err(TokenError::Revoked.to_string()));
    }

    /// Notes a check. None: it failed, and nothing that follows means anything.
    fn note<T>(
        &mut self,
        check: &'static str,
        outcome: Result<T, TokenError>,
        found: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        let words = match &outcome {
            Ok(value) => Ok(found(value)),
            Err(error) => {
                self.refused = Some(*error);
                Err(error.to_string())
            }
        };
        self.steps.push(Step { check, outcome: words });
        outcome.ok()
    }
}

impl Verifier {
    /// Explains a token at an endpoint. Nothing is remembered of it, and no proof of possession is asked for.
    pub(crate) async fn explain(
        &self,
        token: &str,
        at: &Endpoint,
        canonical_uri: &str,
        now: SystemTime,
    ) -> Explanation {
        let mut told = Explanation::new();
        let checked = self.steps(&mut told, token, Door { at, canonical_uri }, now).await;
        told.principal = checked.map(|who| facts(&who)).unwrap_or_default();
        told
    }

    async fn steps(&self, told: &mut Explanation, token: &str, door: Door<'_>, now: SystemTime) -> Option<Principal> {
        let short = if token.len() > TOKEN_BYTES_MAX { Err(TokenError::Malformed) } else { Ok(()) };
        told.note("length", short, |()| format!("{} bytes", token.len()))?;
        let jwt = told.note("form", Jwt::take_apart(token), |jwt| form(jwt))?;
        let issuer = told.note("issuer", self.issuer_named(&jwt).cloned(), |issuer| issuer.name.to_string())?;
        told.note("algorithm and type", issuer.accepts(&jwt.header), |()| {
            format!("{}, {}", jwt.header.algorithm.as_str(), jwt.header.kind.as_deref().unwrap_or("no type"))
        })?;
        let verified = verified_by(&issuer, &jwt, now).await;
        let (_, key_id) =
            told.note("signature", verified, |(_, id)| format!("key {}", id.as_deref().unwrap_or("without a name")))?;
        let checked = crate::claims::check(jwt.claims, &issuer, door, key_id.as_deref(), now);
        let Checked { who, bonds, credential, window } =
            told.note("claims", checked, |checked| claims(checked, &issuer, door))?;
        let left = window.until().duration_since(now).unwrap_or_default().as_secs();
        told.note("time", window.check(now), |()| format!("{left} s left, clock skew included"))?;
        told.credential = Some(Arc::clone(&credential));
        told.note(REVOCATION, self.revocations().check(&credential), |()| "not revoked".to_owned())?;
        let bound: Vec<&str> = bonds.names().iter().map(|binding| binding.as_str()).collect();
        told.note("binding", Ok(()), |()| match bound.as_slice() {
            [] => "none: whoever has it can use it".to_owned(),
            bound => format!("{}: each request needs its proof", bound.join(", ")),
        })?;
        Some(who)
    }
}

fn form(jwt: &Jwt<'_>) -> String {
    let mut words = String::from("a JSON web token");
    if let Some(id) = &jwt.header.key_id {
        // Writing into a String cannot fail.
        let _ = write!(words, ", key {id}");
    }
    words
}

fn claims(checked: &Checked, issuer: &Issuer, door: Door<'_>) -> String {
    let audience = match issuer.audiences_of(door.at) {
        [] => format!("audience {}", door.canonical_uri),
        accepted => format!("audience one of {}", accepted.join(", ")),
    };
    format!("{audience}; {} scopes", checked.who.scopes.len())
}

/// What a policy can read of a principal, as it is called there.
fn facts(who: &Principal) -> Vec<(&'static str, String)> {
    let list = |words: &[Box<str>]| words.join(", ");
    let authentication = who.authentication();
    let since = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs().to_string();
    let bound: Vec<&str> = who.bound_by().iter().map(|binding| binding.as_str()).collect();
    let tag = |(name, value): &(Box<str>, Box<str>)| format!("{name} = {value}");
    vec![
        ("principal", format!("Sekisho::User::\"{}#{}\"", who.issuer(), who.subject())),
        ("client", who.client().to_owned()),
        ("kind", who.kind().as_str().to_owned()),
        ("tenant", who.tenant().to_owned()),
        ("scopes", list(who.scopes())),
        ("roles", list(who.roles())),
        (
            "groups",
            match who.groups() {
                Groups::Known(groups) => list(groups),
                Groups::Unknown => "UNKNOWN: too many for a token, so whatever depends on them is refused".to_owned(),
            },
        ),
        ("acr", authentication.class.to_string()),
        ("amr", list(&authentication.methods)),
        ("acrs", list(&authentication.contexts)),
        ("auth_time", authentication.at.map(since).unwrap_or_default()),
        ("bound_by", bound.join(", ")),
        ("attributes", who.attributes().iter().map(tag).collect::<Vec<_>>().join(", ")),
        ("claims", names(who.claims())),
    ]
}

/// Names alone: values may be nobody's business.
fn names(claims: &Json) -> String {
    claims.members().map(|(name, _)| name.into_owned()).collect::<Vec<_>>().join(", ")
}

const REVOCATION: &str = "revocation";
