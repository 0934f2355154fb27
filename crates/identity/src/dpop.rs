//! Proofs of possession (RFC 9449): whoever shows a token that is bound to a key proves with each request that they have the key.
//!
//! A proof is good for one method, one URI, one token and one use, and for a short time.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use sekisho_wire::Json;
use url::Url;

use crate::config::{Algorithm, DpopConfig, NonceUse};
use crate::jwt::{self, text};
use crate::keys;
use crate::principal::sha256;
use crate::token::{ProofError, TokenError};

/// Most seconds that a proof may be old.
pub(crate) const PROOF_AGE_SECONDS_MAX: u32 = 300;
/// Most seconds that one nonce is given out.
pub(crate) const NONCE_SECONDS_MAX: u32 = 3600;

/// What proofs are checked by, and which were seen.
pub(crate) struct Proofs {
    age_max: Duration,
    nonces: Nonces,
    required: bool,
    seen: Mutex<Seen>,
    seen_max: usize,
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
    span: u64,
    now: HashSet<u128>,
    before: HashSet<u128>,
}

/// Nonces that nobody has to remember: a span of time, and a code over it by a key that only this process has.
struct Nonces {
    key: hmac::Key,
    seconds: u64,
}

impl Proofs {
    /// Without randomness nothing could be told from a forgery.
    pub(crate) fn new(config: &DpopConfig) -> Option<Proofs> {
        Some(Proofs {
            age_max: Duration::from_secs(u64::from(config.proof_age_seconds_max)),
            nonces: Nonces::new(u64::from(config.nonce_seconds))?,
            required: config.nonce == NonceUse::Required,
            seen: Mutex::default(),
            seen_max: usize::try_from(config.proofs_max).unwrap_or(usize::MAX),
        })
    }

    /// The nonce to use from now on, where proofs need one.
    pub(crate) fn nonce(&self, now: SystemTime) -> Option<String> {
        self.required.then(|| self.nonces.at(seconds(now)))
    }

    /// Checks a proof (RFC 9449 section 4.3), and takes it: a second time it is none.
    pub(crate) fn take(&self, proof: &str, about: &About<'_>, now: SystemTime) -> Result<(), TokenError> {
        let claims = signed_by(proof, &about.key)?;
        let id = text(&claims, "jti")?.filter(|id| (1..=ID_BYTES_MAX).contains(&id.len())).ok_or(ProofError::Claims)?;
        let method = text(&claims, "htm")?.ok_or(ProofError::Claims)?;
        let uri = text(&claims, "htu")?.ok_or(ProofError::Claims)?;
        let token = text(&claims, "ath")?.ok_or(ProofError::Claims)?;
        if *method != *about.method.as_str() || !is_at(&uri, about.uri) {
            return Err(ProofError::Elsewhere.into());
        }
        if *token != *URL_SAFE_NO_PAD.encode(sha256(&[about.token.as_bytes()])) {
            return Err(ProofError::AnotherToken.into());
        }
        if self.required {
            // Looked at before the time: with it, a client whose clock is wrong can do better (RFC 9449 section 11.1).
            let nonce = text(&claims, "nonce")?.ok_or(TokenError::NonceWanted)?;
            if !self.nonces.are_ours(&nonce, seconds(now)) {
                return Err(TokenError::NonceWanted);
            }
        }
        self.in_time(&claims, now)?;
        self.first_use(&about.key, &id, now)
    }

    fn in_time(&self, claims: &Json, now: SystemTime) -> Result<(), TokenError> {
        let made = claims.get("iat").and_then(|iat| u64::try_from(iat.number()?.integer()?).ok());
        let made = made.ok_or(ProofError::Claims)?;
        let now = seconds(now);
        // A clock may be a little ahead of ours.
        if made > now.saturating_add(AHEAD_SECONDS) || now > made.saturating_add(self.age_max.as_secs()) {
            return Err(ProofError::Time.into());
        }
        Ok(())
    }

    /// Remembers it. Where there is no room left it is refused: forgetting another one would let that one be replayed.
    fn first_use(&self, key: &[u8; 32], id: &str, now: SystemTime) -> Result<(), TokenError> {
        let digest = sha256(&[key, id.as_bytes()]);
        let [half, _] = digest.as_chunks::<16>().0 else { return Err(TokenError::ProofsExhausted) };
        let half = u128::from_le_bytes(*half);
        let span = seconds(now) / self.age_max.as_secs().saturating_add(AHEAD_SECONDS).max(1);
        let mut seen = self.seen();
        seen.advance_to(span);
        if seen.before.contains(&half) || seen.now.contains(&half) {
            return Err(ProofError::Replayed.into());
        }
        if seen.now.len() >= self.seen_max {
            return Err(TokenError::ProofsExhausted);
        }
        seen.now.insert(half);
        Ok(())
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Nothing between lock and unlock panics.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Forgets what cannot be taken again: it is too old, or, where a clock was set back far, from the future. A clock that was set back
    /// a little lets nothing be forgotten.
    fn advance_to(&mut self, span: u64) {
        if span.saturating_add(2) <= self.span {
            *self = Seen { span, ..Seen::default() };
        } else if span > self.span {
            let before = std::mem::take(&mut self.now);
            self.before = if self.span.saturating_add(1) == span { before } else { HashSet::new() };
            self.span = span;
        }
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

/// The claims of a proof that was signed by the key of this thumbprint, which it brings itself.
fn signed_by(proof: &str, thumbprint: &[u8; 32]) -> Result<Json, TokenError> {
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
    if its_thumbprint != *thumbprint {
        return Err(ProofError::AnotherKey.into());
    }
    let signature = parts.signature().map_err(|_| ProofError::Garbled)?;
    key.verify_sig(parts.signed.as_bytes(), &signature).map_err(|_| ProofError::Signature)?;
    parts.claims().map_err(|_| ProofError::Garbled.into())
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
/// Longest `jti` of a proof, in bytes.
const ID_BYTES_MAX: usize = 512;
/// How far a client's clock may be ahead.
const AHEAD_SECONDS: u64 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn proofs(config: DpopConfig) -> Proofs {
        Proofs::new(&config).unwrap()
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_proof_is_taken_once_for_as_long_as_it_could_be_taken_again() {
        let proofs = proofs(DpopConfig { proof_age_seconds_max: 60, ..DpopConfig::default() });
        let key = [1; 32];
        for start in [1_000_000, 1_000_033, 1_000_064] {
            let id = format!("{start}");
            assert_eq!(proofs.first_use(&key, &id, at(start)), Ok(()));
            for later in [0, 1, 30, 59, 60, 65] {
                let again = proofs.first_use(&key, &id, at(start + later));
                assert_eq!(again, Err(TokenError::Proof(ProofError::Replayed)), "{start} + {later}");
            }
        }
        // A clock that is set back a little brings none back.
        assert_eq!(proofs.first_use(&key, "1000064", at(1_000_064)), Err(TokenError::Proof(ProofError::Replayed)));
        // Another key's id is another one.
        assert_eq!(proofs.first_use(&[2; 32], "1000064", at(1_000_130)), Ok(()));
    }

    #[test]
    fn where_no_room_is_left_proofs_are_refused_and_none_is_forgotten() {
        let proofs = proofs(DpopConfig { proofs_max: 2, ..DpopConfig::default() });
        assert_eq!(proofs.first_use(&[1; 32], "a", at(1_000_000)), Ok(()));
        assert_eq!(proofs.first_use(&[1; 32], "b", at(1_000_000)), Ok(()));
        assert_eq!(proofs.first_use(&[1; 32], "c", at(1_000_000)), Err(TokenError::ProofsExhausted));
        assert_eq!(proofs.first_use(&[1; 32], "a", at(1_000_000)), Err(TokenError::Proof(ProofError::Replayed)));
        assert_eq!(proofs.first_use(&[1; 32], "c", at(1_000_200)), Ok(()), "room comes with time");
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
