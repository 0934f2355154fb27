//! From a token to its principal, with a memory for tokens that were verified already.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::signature::ParsedPublicKey;
use moka::sync::Cache;
use secrecy::ExposeSecret as _;
use sekisho_wire::Endpoint;

use crate::bonds::Bonds;
use crate::claims::{self, Checked, Door, Window};
use crate::dpop::Proofs;
use crate::issuer::Issuer;
use crate::jwt::{Header, Jwt};
use crate::principal::{Credential, Lease, Principal, sha256};
use crate::remote::Loaded;
use crate::revocation::Revocations;
use crate::token::{Presented, TokenError, Verified};

/// The issuers, and the tokens of theirs that are known.
pub(crate) struct Verifier {
    issuers: Vec<Arc<Issuer>>,
    /// By SHA-256 over token and endpoint: neither a token nor an answer for another endpoint is in here.
    known: Cache<[u8; 32], Arc<Known>>,
    proofs: Arc<Proofs>,
    revocations: Arc<Revocations>,
}

/// A token that nobody shows for so long is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(3600);

struct Known {
    issuer: Arc<Issuer>,
    /// The key set that verified it. Another key set, and it counts for nothing.
    key_set: [u8; 32],
    who: Arc<Principal>,
    window: Window,
    bonds: Bonds,
    credential: Arc<Credential>,
}

impl Verifier {
    pub(crate) fn new(
        issuers: Vec<Arc<Issuer>>,
        known_max: u32,
        proofs: Arc<Proofs>,
        revocations: Arc<Revocations>,
    ) -> Verifier {
        let known = Cache::builder().max_capacity(u64::from(known_max)).time_to_idle(FORGET_AFTER).build();
        Verifier { issuers, known, proofs, revocations }
    }

    /// The same, with the proofs that were seen and what is revoked from before.
    pub(crate) fn keeping(self, proofs: &Arc<Proofs>, revocations: &Arc<Revocations>) -> Verifier {
        Verifier { proofs: Arc::clone(proofs), revocations: Arc::clone(revocations), ..self }
    }

    pub(crate) fn issuers(&self) -> &[Arc<Issuer>] {
        &self.issuers
    }

    /// The longest that a token of any issuer may live.
    pub(crate) fn lifetime_max(&self) -> Duration {
        self.issuers.iter().map(|issuer| issuer.lifetime_max).max().unwrap_or_default()
    }

    pub(crate) fn proofs(&self) -> &Arc<Proofs> {
        &self.proofs
    }

    pub(crate) fn revocations(&self) -> &Arc<Revocations> {
        &self.revocations
    }

    /// Verifies a token for the endpoint `at`, whose canonical URI is `canonical_uri`. What is remembered of it are signature and
    /// claims alone: that it is not revoked, and whose it is, is looked at each time.
    pub(crate) async fn verify(
        &self,
        presented: &Presented,
        at: &Endpoint,
        canonical_uri: impl Fn() -> String,
        now: SystemTime,
    ) -> Result<Verified, TokenError> {
        let token = presented.secret().expose_secret();
        let digest = sha256(&[token.as_bytes(), b"\n", at.path().as_bytes()]);
        let known = match self.recall(&digest, now).await? {
            Some(known) => known,
            None => {
                let known = Arc::new(self.examine(token, at, &canonical_uri(), now).await?);
                self.known.insert(digest, Arc::clone(&known));
                known
            }
        };
        self.revocations.check(&known.credential)?;
        known.bonds.prove(presented, canonical_uri, &self.proofs, now)?;
        let lease = Lease { ends_at: known.window.until(), credential: Some(Arc::clone(&known.credential)) };
        Ok(Verified { who: Arc::clone(&known.who), lease, endpoint: at.clone() })
    }

    /// What is known of a token, if it still holds and its issuer's keys are still those that verified it.
    async fn recall(&self, digest: &[u8; 32], now: SystemTime) -> Result<Option<Arc<Known>>, TokenError> {
        let Some(known) = self.known.get(digest) else {
            return Ok(None);
        };
        let keys = known.issuer.keys(now).await?;
        if keys.version != known.key_set {
            self.known.invalidate(digest);
            return Ok(None);
        }
        if let Err(error) = known.window.check(now) {
            self.known.invalidate(digest);
            return Err(error);
        }
        Ok(Some(known))
    }

    async fn examine(
        &self,
        token: &str,
        at: &Endpoint,
        canonical_uri: &str,
        now: SystemTime,
    ) -> Result<Known, TokenError> {
        let jwt = Jwt::take_apart(token)?;
        let issuer = self.issuer_named(&jwt)?;
        issuer.accepts(&jwt.header)?;
        let (loaded, checked) = examine_by(issuer, jwt, Door { at, canonical_uri }, now).await?;
        let Checked { who, window, bonds, credential } = checked;
        Ok(Known { issuer: Arc::clone(issuer), key_set: loaded, who: Arc::new(who), window, bonds, credential })
    }

    /// The issuer that the token claims to be from; only that one's keys are tried.
    pub(crate) fn issuer_named(&self, jwt: &Jwt<'_>) -> Result<&Arc<Issuer>, TokenError> {
        let claim = jwt.claims.get("iss").ok_or(TokenError::MissingClaim("iss"))?;
        let name = claim.string().ok_or(TokenError::Garbled)?;
        self.issuers.iter().find(|issuer| *issuer.name == *name).ok_or(TokenError::UnknownIssuer)
    }
}

async fn examine_by(
    issuer: &Issuer,
    jwt: Jwt<'_>,
    door: Door<'_>,
    now: SystemTime,
) -> Result<([u8; 32], Checked), TokenError> {
    let (loaded, key_id) = verified_by(issuer, &jwt, now).await?;
    let checked = claims::check(jwt.claims, issuer, door, key_id.as_deref(), now)?;
    Ok((loaded.version, checked))
}

/// The key set with which the signature is right, and the name that the key has there.
pub(crate) async fn verified_by(
    issuer: &Issuer,
    jwt: &Jwt<'_>,
    now: SystemTime,
) -> Result<(Arc<Loaded>, Option<Box<str>>), TokenError> {
    let mut loaded = issuer.keys(now).await?;
    if key_for(&loaded, &jwt.header).is_none() {
        loaded = issuer.keys_beyond(&loaded, now).await.ok_or(TokenError::UnknownKey)?;
    }
    let (id, key) = key_for(&loaded, &jwt.header).ok_or(TokenError::UnknownKey)?;
    key.verify_sig(jwt.signed.as_bytes(), &jwt.signature).map_err(|_| TokenError::BadSignature)?;
    let id = id.map(Box::from);
    Ok((loaded, id))
}

fn key_for<'a>(loaded: &'a Loaded, header: &Header) -> Option<(Option<&'a str>, &'a ParsedPublicKey)> {
    loaded.keys.find(header.key_id.as_deref(), header.algorithm)
}
