//! Proofs of possession (RFC 9449): whoever shows a token that is bound to a key proves with each request that they have the key.
//!
//! A proof is good for one method, one URI, one token and one use, and for a short time.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, Method};
use sekisho_wire::Json;
use url::Url;

use crate::config::{Algorithm, DpopConfig, NonceUse};
use crate::jwt::{self, text};
use crate::keys;
use crate::principal::sha256;
use crate::token::{DPOP, PROOF_BYTES_MAX, ProofError, TokenError};

/// Most seconds that a proof may be old.
pub(crate) const PROOF_AGE_SECONDS_MAX: u32 = 300;
/// Most seconds that one nonce is given out.
pub(crate) const NONCE_SECONDS_MAX: u32 = 3600;

/// What proofs are checked by, and which were seen.
pub(crate) struct Proofs {
    age_max: Duration,
    nonces: Nonces,
    required: bool,
    /// Proofs that were made before this are taken by nobody: they may have been used before a restart.
    since: u64,
    seen: Mutex<Seen>,
    seen_max: usize,
    /// Of one key.
    own_max: u32,
}

/// What a proof has to be about.
pub(crate) struct About<'a> {
    pub(crate) method: &'a Method,
    /// The endpoint, as clients know it.
    pub(crate) uri: &'a str,
    pub(crate) token: &'a str,
    /// The thumbprint that the token is bound to.
    pub(crate) key: [u8; 32],
}

/// The proofs of a span of time and of the one before. Each is as long as a proof may be old, so whatever could be taken again is in here.
#[derive(Default)]
struct Seen {
    /// The latest moment that was. Time does not go back here: whoever was refused as too late stays so, and nothing that was seen is
    /// forgotten, when a clock is set back.
    latest: u64,
    span: u64,
    now: Portion,
    before: Portion,
}

#[derive(Default)]
struct Portion {
    proofs: HashSet<u128>,
    /// How many each key has.
    by_key: HashMap<u64, u32>,
}

/// Nonces that nobody has to remember: a span of time, and a code over it by a key that only this process has.
struct Nonces {
    key: hmac::Key,
    seconds: u64,
}

impl Proofs {
    /// Without randomness nothing could be told from a forgery.
    pub(crate) fn new(config: &DpopConfig, now: SystemTime) -> Option<Proofs> {
        Some(Proofs {
            since: seconds(now),
            age_max: Duration::from_secs(u64::from(config.proof_age_seconds_max)),
            nonces: Nonces::new(u64::from(config.nonce_seconds))?,
            required: config.nonce == NonceUse::Required,
            seen: Mutex::default(),
            seen_max: usize::try_from(config.proofs_max).unwrap_or(usize::MAX),
            own_max: (config.proofs_max / SHARES).max(OWN_MIN),
        })
    }

    /// The nonce to use from now on, where proofs need one.
    pub(crate) fn nonce(&self, now: SystemTime) -> Option<String> {
        self.required.then(|| self.nonces.at(seconds(now)))
    }

    /// Checks a proof (RFC 9449 section 4.3), and takes it: a second time it is none.
    pub(crate) fn take(&self, proof: &str, about: &About<'_>, now: SystemTime) -> Result<(), TokenError> {
        let (claims, _) = signed_by(proof, Some(&about.key))?;
        let token = text(&claims, "ath")?.ok_or(ProofError::Claims)?;
        self.is_about(&claims, about.method, about.uri)?;
        if *token != *URL_SAFE_NO_PAD.encode(sha256(&[about.token.as_bytes()])) {
            return Err(ProofError::AnotherToken.into());
        }
        self.is_fresh(&claims, &about.key, now)
    }

    fn is_about(&self, claims: &Json, method: &Method, uri: &str) -> Result<(), TokenError> {
        let htm = text(claims, "htm")?.ok_or(ProofError::Claims)?;
        let htu = text(claims, "htu")?.ok_or(ProofError::Claims)?;
        if *htm == *method.as_str() && is_at(&htu, uri) { Ok(()) } else { Err(ProofError::Elsewhere.into()) }
    }

    fn is_fresh(&self, claims: &Json, key: &[u8; 32], now: SystemTime) -> Result<(), TokenError> {
        let id = text(claims, "jti")?.filter(|id| (1..=ID_BYTES_MAX).contains(&id.len())).ok_or(ProofError::Claims)?;
        if self.required {
            // Looked at before the time: with it, a client whose clock is wrong can do better (RFC 9449 section 11.1).
            let nonce = text(claims, "nonce")?.ok_or(TokenError::NonceWanted)?;
            if !self.nonces.are_ours(&nonce, seconds(now)) {
                return Err(TokenError::NonceWanted);
            }
        }
        let made = claims.get("iat").and_then(|iat| u64::try_from(iat.number()?.integer()?).ok());
        self.first_use(key, &id, made.ok_or(ProofError::Claims)?, now)
    }

    /// Looks at the time and remembers the proof. Where there is no room left it is refused: forgetting another one would let that one be
    /// replayed.
    fn first_use(&self, key: &[u8; 32], id: &str, made: u64, now: SystemTime) -> Result<(), TokenError> {
        let digest = sha256(&[key, id.as_bytes()]);
        let ([half, _], [whose, ..]) = (digest.as_chunks::<16>().0, key.as_chunks::<8>().0) else {
            return Err(TokenError::ProofsExhausted);
        };
        let (half, whose) = (u128::from_le_bytes(*half), u64::from_le_bytes(*whose));
        let mut seen = self.seen();
        let now = seen.advance(seconds(now), self.age_max.as_secs().saturating_add(AHEAD_SECONDS));
        // A clock may be a little ahead of ours.
        if made > now.saturating_add(AHEAD_SECONDS)
            || now > made.saturating_add(self.age_max.as_secs())
            || made < self.since
        {
            return Err(ProofError::Time.into());
        }
        if seen.before.proofs.contains(&half) || seen.now.proofs.contains(&half) {
            return Err(ProofError::Replayed.into());
        }
        let own = seen.now.by_key.get(&whose).copied().unwrap_or(0);
        if seen.now.proofs.len() >= self.seen_max || own >= self.own_max {
            return Err(TokenError::ProofsExhausted);
        }
        seen.now.proofs.insert(half);
        seen.now.by_key.insert(whose, own.saturating_add(1));
        Ok(())
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Nothing between lock and unlock panics.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Moves on to `now`, and forgets what is older than two spans. The latest moment that was.
    fn advance(&mut self, now: u64, span_seconds: u64) -> u64 {
        self.latest = self.latest.max(now);
        let span = self.latest / span_seconds.max(1);
        if span > self.span {
            let before = std::mem::take(&mut self.now);
            self.before = if self.span.saturating_add(1) == span { before } else { Portion::default() };
            self.span = span;
        }
        self.latest
    }
}

impl Nonces {
    fn new(seconds: u64) -> Option<Nonces> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok()?;
        Some(Nonces { key, seconds: seconds.max(1) })
    }

    fn at(&self, now: u64) -> String {
        self.of(now / self.seconds)
    }

    fn of(&self, span: u64) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.key, &span.to_be_bytes()))
    }

    /// That of this span or of the one before.
    fn are_ours(&self, nonce: &str, now: u64) -> bool {
        let Ok(code) = URL_SAFE_NO_PAD.decode(nonce) else { return false };
        let span = now / self.seconds;
        let is_of = |span: u64| hmac::verify(&self.key, &span.to_be_bytes(), &code).is_ok();
        is_of(span) || span.checked_sub(1).is_some_and(is_of)
    }
}

/// Proofs of possession at a token endpoint, where there is no token yet: whoever brings one gets a token that is bound to its key (RFC 9449
/// section 5).
pub struct KeyProofs(Proofs);

impl KeyProofs {
    /// None without randomness.
    #[must_use]
    pub fn new(config: &DpopConfig, now: SystemTime) -> Option<KeyProofs> {
        Proofs::new(config, now).map(KeyProofs)
    }

    /// The thumbprint (RFC 7638, in base64url) of the key that the request proves to have; none where it brings no proof.
    ///
    /// # Errors
    /// There are several, or it is not good: then nothing is given out, not even what is not bound.
    pub fn take(
        &self,
        headers: &HeaderMap,
        (method, uri): (&Method, &str),
        now: SystemTime,
    ) -> Result<Option<String>, TokenError> {
        let mut proofs = headers.get_all(DPOP).iter();
        let proof = match (proofs.next(), proofs.next()) {
            (None, _) => return Ok(None),
            (Some(one), None) => one.to_str().ok().filter(|proof| proof.len() <= PROOF_BYTES_MAX),
            (Some(_), Some(_)) => None,
        };
        let (claims, key) = signed_by(proof.ok_or(ProofError::Missing)?, None)?;
        self.0.is_about(&claims, method, uri)?;
        self.0.is_fresh(&claims, &key, now)?;
        Ok(Some(URL_SAFE_NO_PAD.encode(key)))
    }

    /// The nonce to use from now on, where proofs need one.
    #[must_use]
    pub fn nonce(&self, now: SystemTime) -> Option<String> {
        self.0.nonce(now)
    }
}

/// The claims of a proof that was signed by the key which it brings itself, and the thumbprint of that; of this one where it has to be.
fn signed_by(proof: &str, thumbprint: Option<&[u8; 32]>) -> Result<(Json, [u8; 32]), TokenError> {
    let parts = jwt::Parts::split(proof).map_err(|_| ProofError::Garbled)?;
    let header = parts.header().map_err(|_| ProofError::Garbled)?;
    if jwt::brings_more_than_a_key(&header) {
        return Err(ProofError::Header.into());
    }
    let kind = text(&header, "typ")?.ok_or(ProofError::Header)?;
    let algorithm = text(&header, "alg")?.and_then(|name| Algorithm::parse(&name)).ok_or(ProofError::Header)?;
    if !kind.eq_ignore_ascii_case(KIND) {
        return Err(ProofError::Header.into());
    }
    let jwk = header.get("jwk").ok_or(ProofError::Header)?;
    let (key, its_thumbprint) = keys::brought(&jwk, algorithm).ok_or(ProofError::Header)?;
    // Before the signature, which costs more: nobody else's key needs to be tried.
    if thumbprint.is_some_and(|wanted| its_thumbprint != *wanted) {
        return Err(ProofError::AnotherKey.into());
    }
    let signature = parts.signature().map_err(|_| ProofError::Garbled)?;
    key.verify_sig(parts.signed.as_bytes(), &signature).map_err(|_| ProofError::Signature)?;
    Ok((parts.claims().map_err(|_| ProofError::Garbled)?, its_thumbprint))
}

/// Whether a proof's `htu` names the endpoint: compared as URIs, without query and fragment (RFC 9449 section 4.3, item 9).
fn is_at(htu: &str, uri: &str) -> bool {
    let (Ok(mut named), Ok(own)) = (Url::parse(htu), Url::parse(uri)) else { return false };
    named.set_query(None);
    named.set_fragment(None);
    named == own
}

fn seconds(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

const KIND: &str = "dpop+jwt";
/// One key may have the SHARES-th part of what is remembered, and OWN_MIN at least.
const SHARES: u32 = 50;
const OWN_MIN: u32 = 1000;
/// Longest `jti` of a proof, in bytes.
const ID_BYTES_MAX: usize = 512;
/// How far a client's clock may be ahead.
const AHEAD_SECONDS: u64 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn proofs(config: DpopConfig) -> Proofs {
        Proofs::new(&config, UNIX_EPOCH).unwrap()
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// A proof of this moment.
    fn fresh(proofs: &Proofs, key: u8, id: &str, seconds: u64) -> Result<(), TokenError> {
        proofs.first_use(&[key; 32], id, seconds, at(seconds))
    }

    const REPLAYED: Result<(), TokenError> = Err(TokenError::Proof(ProofError::Replayed));
    const TIME: Result<(), TokenError> = Err(TokenError::Proof(ProofError::Time));

    #[test]
    fn a_proof_is_taken_once_for_as_long_as_it_could_be_taken_again() {
        let proofs = proofs(DpopConfig { proof_age_seconds_max: 60, ..DpopConfig::default() });
        for start in [1_000_000, 1_000_133, 1_000_264] {
            let id = format!("{start}");
            assert_eq!(fresh(&proofs, 1, &id, start), Ok(()));
            for later in [0, 1, 30, 59, 60] {
                let again = proofs.first_use(&[1; 32], &id, start, at(start + later));
                assert_eq!(again, REPLAYED, "{start} + {later}");
            }
            assert_eq!(proofs.first_use(&[1; 32], &id, start, at(start + 61)), TIME);
        }
        // Another key's id is another one.
        assert_eq!(fresh(&proofs, 2, "1000264", 1_000_330), Ok(()));
    }

    #[test]
    fn a_clock_that_is_set_back_brings_no_proof_back() {
        let proofs = proofs(DpopConfig { proof_age_seconds_max: 60, ..DpopConfig::default() });
        assert_eq!(fresh(&proofs, 1, "used", 1_000_000), Ok(()));
        // Far back, and on again.
        assert_eq!(fresh(&proofs, 1, "early", 999_800), TIME, "until the clock has caught up");
        assert_eq!(fresh(&proofs, 1, "used", 1_000_000), REPLAYED);
        // Somebody who waited is no other clock.
        assert_eq!(proofs.first_use(&[1; 32], "late", 999_995, at(999_990)), Ok(()));
        assert_eq!(fresh(&proofs, 1, "used", 1_000_000), REPLAYED);
    }

    #[test]
    fn a_proof_that_was_made_before_the_start_may_have_been_used_then() {
        let proofs = Proofs::new(&DpopConfig::default(), at(1_000_000)).unwrap();
        assert_eq!(proofs.first_use(&[1; 32], "before", 999_999, at(1_000_001)), TIME);
        assert_eq!(proofs.first_use(&[1; 32], "after", 1_000_000, at(1_000_001)), Ok(()));
    }

    #[test]
    fn where_no_room_is_left_proofs_are_refused_and_none_is_forgotten() {
        let proofs = proofs(DpopConfig { proofs_max: 2, ..DpopConfig::default() });
        assert_eq!(fresh(&proofs, 1, "a", 1_000_000), Ok(()));
        assert_eq!(fresh(&proofs, 1, "b", 1_000_000), Ok(()));
        assert_eq!(fresh(&proofs, 1, "c", 1_000_000), Err(TokenError::ProofsExhausted));
        assert_eq!(fresh(&proofs, 1, "a", 1_000_000), REPLAYED);
        assert_eq!(fresh(&proofs, 1, "c", 1_000_200), Ok(()), "room comes with time");
    }

    #[test]
    fn one_key_does_not_take_the_room_of_the_others() {
        let proofs = proofs(DpopConfig { proofs_max: 100_000, ..DpopConfig::default() });
        for number in 0..2000 {
            assert_eq!(fresh(&proofs, 1, &number.to_string(), 1_000_000), Ok(()));
        }
        assert_eq!(fresh(&proofs, 1, "more", 1_000_000), Err(TokenError::ProofsExhausted));
        assert_eq!(fresh(&proofs, 2, "another's", 1_000_000), Ok(()));
    }

    #[test]
    fn a_nonce_is_good_for_two_spans_and_for_the_process_that_made_it() {
        let proofs = proofs(DpopConfig { nonce: NonceUse::Required, nonce_seconds: 100, ..DpopConfig::default() });
        let nonce = proofs.nonce(at(1_000_000)).unwrap();
        for (seconds, good) in [(1_000_000, true), (1_000_199, true), (1_000_200, false), (999_999, false)] {
            assert_eq!(proofs.nonces.are_ours(&nonce, seconds), good, "{seconds}");
        }
        let others = Nonces::new(100).unwrap();
        assert!(!others.are_ours(&nonce, 1_000_000));
        for bad in ["", "x", "AAAA", &format!("{nonce}A")] {
            assert!(!proofs.nonces.are_ours(bad, 1_000_000), "{bad}");
        }
        assert_eq!(self::proofs(DpopConfig::default()).nonce(at(1)), None);
    }

    #[test]
    fn a_uri_is_compared_without_query_and_fragment_and_not_by_its_spelling() {
        let own = "https://gate.example/mcp";
        for good in
            [own, "HTTPS://GATE.example:443/mcp", "https://gate.example/mcp?x=1#y", "https://gate.example/a/../mcp"]
        {
            assert!(is_at(good, own), "{good}");
        }
        for bad in [
            "https://gate.example/mcp/",
            "https://gate.example/MCP",
            "http://gate.example/mcp",
            "https://gate.example:8443/mcp",
            "https://user@gate.example/mcp",
            "https://gate.example.evil/mcp",
            "/mcp",
            "",
        ] {
            assert!(!is_at(bad, own), "{bad}");
        }
    }
}
