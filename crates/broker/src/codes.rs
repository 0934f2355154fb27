//! Authorization codes: random, good for one use within a minute, and only for whoever asked (RFC 6749 section 4.1.2, RFC 9700
//! section 2.1.1). What is kept of one is its digest: whoever reads the memory of this process has no code.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sekisho_audit::Digest;

use crate::pkce::{Challenge, PkceError};
use crate::request::{Authorize, is_same_resource};

/// The codes that were given out. `G` is what was granted, which whoever redeems a code gets.
#[derive(Debug)]
pub struct Codes<G> {
    known: Mutex<HashMap<[u8; 32], Code<G>>>,
}

#[derive(Debug)]
struct Code<G> {
    bound: Bound,
    /// None: it was redeemed, or somebody tried to who may not.
    grant: Option<G>,
    /// What is revoked where it comes a second time.
    family: Box<str>,
    until: Duration,
}

/// Whom a code is for.
#[derive(Debug)]
struct Bound {
    client: Box<str>,
    redirect: Box<str>,
    challenge: Challenge,
    resource: Box<str>,
}

/// What a client brings to the token endpoint beside the code.
#[derive(Debug, Clone, Copy)]
pub struct Brought<'a> {
    /// `client_id`
    pub client: &'a str,
    /// `redirect_uri`, if it is said again; OAuth 2.1 does without it.
    pub redirect: Option<&'a str>,
    /// `code_verifier`
    pub verifier: &'a str,
    /// `resource`, if it is said again (RFC 8707 section 2.2).
    pub resource: Option<&'a str>,
}

/// Why no code is given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GiveError {
    /// Too many wait to be redeemed.
    #[error("{CODES_MAX} codes wait to be redeemed")]
    Full,
    /// There is nothing to make one of.
    #[error("the system gives no random numbers")]
    Random,
}

/// Why a code is worth nothing. Clients hear `invalid_grant` of all of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedeemError {
    /// Never given out, or too long ago.
    #[error("the code is not known, or not any more")]
    Unknown,
    /// Used before, by one of two: nobody knows which is the client, so what was issued for it has to be revoked.
    #[error("the code was used before")]
    Again {
        /// What was issued for it.
        family: Box<str>,
    },
    /// Given to another client.
    #[error("the code was given to another client")]
    Client,
    /// Sent to another redirect URI.
    #[error("the code was sent to another redirect URI")]
    Redirect,
    /// For another endpoint.
    #[error("the code is for another resource")]
    Resource,
    /// Somebody else asked.
    #[error("whoever brings the code has not asked for it")]
    Verifier(#[source] PkceError),
}

impl<G> Default for Codes<G> {
    fn default() -> Codes<G> {
        Codes { known: Mutex::default() }
    }
}

impl<G> Codes<G> {
    /// A code for what was asked and granted. `family` names whatever will be issued for it; `now` is any clock that does not go back.
    ///
    /// # Errors
    /// [`GiveError`]
    pub fn give(&self, asked: &Authorize, grant: G, family: &str, now: Duration) -> Result<String, GiveError> {
        let mut random = [0; 32];
        rand::fill(&mut random).map_err(|_| GiveError::Random)?;
        let code = URL_SAFE_NO_PAD.encode(random);
        let bound = Bound {
            client: asked.client().id().as_str().into(),
            redirect: asked.redirect().uri().as_str().into(),
            challenge: asked.challenge().clone(),
            resource: asked.resource().into(),
        };
        let entry = Code { bound, grant: Some(grant), family: family.into(), until: now.saturating_add(LIFE) };
        let mut known = self.known();
        if known.len() >= CODES_MAX {
            known.retain(|_, code| now < code.kept_until());
        }
        if known.len() >= CODES_MAX {
            return Err(GiveError::Full);
        }
        known.insert(key(&code), entry);
        Ok(code)
    }

    /// What was granted, once. Whatever is wrong with it, a code that was brought is spent: whoever brought it may have stolen it.
    ///
    /// # Errors
    /// [`RedeemError`]
    pub fn redeem(&self, code: &str, brought: &Brought<'_>, now: Duration) -> Result<G, RedeemError> {
        let mut known = self.known();
        let entry = known.get_mut(&key(code)).filter(|entry| now < entry.kept_until()).ok_or(RedeemError::Unknown)?;
        let Some(grant) = entry.grant.take() else {
            return Err(RedeemError::Again { family: entry.family.clone() });
        };
        if now >= entry.until {
            return Err(RedeemError::Unknown);
        }
        entry.bound.admits(brought)?;
        Ok(grant)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<[u8; 32], Code<G>>> {
        // Nothing between lock and unlock leaves it half changed, so a panic elsewhere does not spoil it.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<G> Code<G> {
    /// That it comes a second time is noticed for as long as anything lives that was issued for it the first time.
    fn kept_until(&self) -> Duration {
        self.until.saturating_add(NOTICED_FOR)
    }
}

impl Bound {
    fn admits(&self, brought: &Brought<'_>) -> Result<(), RedeemError> {
        if *self.client != *brought.client {
            return Err(RedeemError::Client);
        }
        if brought.redirect.is_some_and(|redirect| *self.redirect != *redirect) {
            return Err(RedeemError::Redirect);
        }
        if brought.resource.is_some_and(|resource| !is_same_resource(resource, &self.resource)) {
            return Err(RedeemError::Resource);
        }
        self.challenge.met_by(brought.verifier).map_err(RedeemError::Verifier)
    }
}

fn key(code: &str) -> [u8; 32] {
    *Digest::of(code.as_bytes()).bytes()
}

/// How long a code is good. RFC 6749 recommends ten minutes at most; clients take a second.
const LIFE: Duration = Duration::from_secs(60);
/// As long as the longest access token.
const NOTICED_FOR: Duration = Duration::from_secs(15 * 60);
/// LIMIT: codes that are kept, those that were redeemed lately among them.
const CODES_MAX: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::tests::ask;

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const GOOD: Brought<'static> = Brought {
        client: "https://app.example/oauth/client.json",
        redirect: Some("https://app.example/cb"),
        verifier: VERIFIER,
        resource: Some("https://mcp.example/mcp/"),
    };
    const START: Duration = Duration::from_secs(1000);

    fn given() -> (Codes<&'static str>, String) {
        let codes = Codes::default();
        let code = codes.give(&ask(&[]).unwrap(), "ann may read", "f1", START).unwrap();
        (codes, code)
    }

    #[test]
    fn a_code_is_good_once_for_whoever_asked_and_a_second_time_revokes_what_it_was_for() {
        let (codes, code) = given();
        assert_eq!(codes.redeem("x", &GOOD, START), Err(RedeemError::Unknown));
        assert_eq!(codes.redeem(&code, &GOOD, START), Ok("ann may read"));
        let again = Err(RedeemError::Again { family: "f1".into() });
        assert_eq!(codes.redeem(&code, &GOOD, START), again);
        // As long as a token lives that was issued for it.
        assert_eq!(codes.redeem(&code, &GOOD, START + LIFE + NOTICED_FOR - Duration::from_secs(1)), again);
        assert_eq!(codes.redeem(&code, &GOOD, START + LIFE + NOTICED_FOR), Err(RedeemError::Unknown));
        assert_eq!(given().0.redeem(&code, &GOOD, START), Err(RedeemError::Unknown), "another gateway's");
    }

    #[test]
    fn a_code_is_good_for_a_minute() {
        let (codes, code) = given();
        assert!(codes.redeem(&code, &GOOD, START + LIFE - Duration::from_nanos(1)).is_ok());
        let (codes, code) = given();
        assert_eq!(codes.redeem(&code, &GOOD, START + LIFE), Err(RedeemError::Unknown));
    }

    #[test]
    fn a_code_that_somebody_else_brings_is_worth_nothing_and_spent() {
        for (brought, why) in [
            (Brought { client: "https://evil.example/c", ..GOOD }, RedeemError::Client),
            (Brought { redirect: Some("https://app.example/cb/"), ..GOOD }, RedeemError::Redirect),
            (Brought { resource: Some("https://mcp.example/s/notes/mcp"), ..GOOD }, RedeemError::Resource),
            (Brought { verifier: "", ..GOOD }, RedeemError::Verifier(PkceError::Verifier)),
            (Brought { verifier: &"a".repeat(43), ..GOOD }, RedeemError::Verifier(PkceError::Mismatch)),
        ] {
            let (codes, code) = given();
            assert_eq!(codes.redeem(&code, &brought, START), Err(why.clone()));
            assert_eq!(codes.redeem(&code, &GOOD, START), Err(RedeemError::Again { family: "f1".into() }), "{why}");
        }
        let (codes, code) = given();
        assert!(codes.redeem(&code, &Brought { resource: None, ..GOOD }, START).is_ok());
    }

    #[test]
    fn codes_are_never_alike_and_bounded_and_make_room_for_others_in_time() {
        let (codes, asked) = (Codes::default(), ask(&[]).unwrap());
        let give = |now| codes.give(&asked, (), "f", now);
        let mut seen = std::collections::HashSet::new();
        for _ in 0..CODES_MAX {
            let code = give(START).unwrap();
            assert_eq!(code.len(), 43);
            assert!(seen.insert(code));
        }
        assert_eq!(give(START + LIFE), Err(GiveError::Full));
        assert!(give(START + LIFE + NOTICED_FOR).is_ok());
        assert_eq!(codes.known().len(), 1);
    }

    #[test]
    fn of_two_who_bring_a_code_at_once_one_gets_it() {
        let (codes, code) = given();
        let redeemed: Vec<bool> = std::thread::scope(|scope| {
            let bring = || scope.spawn(|| codes.redeem(&code, &GOOD, START).is_ok());
            let threads: Vec<_> = std::iter::repeat_with(bring).take(8).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(redeemed.iter().filter(|redeemed| **redeemed).count(), 1);
    }
}
