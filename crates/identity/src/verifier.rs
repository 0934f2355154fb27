//! From a token to its principal, with a memory for tokens that were verified already.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::signature::ParsedPublicKey;
use moka::sync::Cache;
use sekisho_wire::Endpoint;

use crate::claims::{self, Window};
use crate::issuer::Issuer;
use crate::jwt::{Header, Jwt};
use crate::principal::{Lease, Principal, sha256};
use crate::remote::Loaded;
use crate::token::{TokenError, Verified};

/// The issuers, and the tokens of theirs that are known.
pub(crate) struct Verifier {
    issuers: Vec<Arc<Issuer>>,
    /// By SHA-256 over token and endpoint: neither a token nor an answer for another endpoint is in here.
    known: Cache<[u8; 32], Arc<Known>>,
}

/// A token that nobody shows for so long is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(3600);

struct Known {
    issuer: Arc<Issuer>,
    /// The key set that verified it. Another key set, and it counts for nothing.
    key_set: [u8; 32],
    who: Arc<Principal>,
    window: Window,
}

impl Verifier {
    pub(crate) fn new(issuers: Vec<Arc<Issuer>>, known_max: u32) -> Verifier {
        let known = Cache::builder().max_capacity(u64::from(known_max)).time_to_idle(FORGET_AFTER).build();
        Verifier { issuers, known }
    }

    pub(crate) fn issuers(&self) -> impl Iterator<Item = &str> {
        self.issuers.iter().map(|issuer| &*issuer.name)
    }

    /// Verifies a token for the endpoint `at`, whose canonical URI is `canonical_uri`.
    pub(crate) async fn verify(
        &self,
        token: &str,
        at: &Endpoint,
        canonical_uri: impl FnOnce() -> String,
        now: SystemTime,
    ) -> Result<Verified, TokenError> {
        let digest = sha256(&[token.as_bytes(), b"\n", at.path().as_bytes()]);
        let known = match self.recall(&digest, now).await? {
            Some(known) => known,
            None => {
                let known = Arc::new(self.examine(token, &canonical_uri(), now).await?);
                self.known.insert(digest, Arc::clone(&known));
                known
            }
        };
        let lease = Lease { ends_at: known.window.until() };
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

    async fn examine(&self, token: &str, canonical_uri: &str, now: SystemTime) -> Result<Known, TokenError> {
        let jwt = Jwt::take_apart(token)?;
        let issuer = self.issuer_named(&jwt)?;
        issuer.accepts(&jwt.header)?;
        let mut loaded = issuer.keys(now).await?;
        if key_for(&loaded, &jwt.header).is_none() {
            loaded = issuer.keys_beyond(&loaded, now).await.ok_or(TokenError::UnknownKey)?;
        }
        let key = key_for(&loaded, &jwt.header).ok_or(TokenError::UnknownKey)?;
        key.verify_sig(jwt.signed.as_bytes(), &jwt.signature).map_err(|_| TokenError::BadSignature)?;
        let (who, window) = claims::check(jwt.claims, issuer, canonical_uri, now)?;
        Ok(Known { issuer: Arc::clone(issuer), key_set: loaded.version, who: Arc::new(who), window })
    }

    /// The issuer that the token claims to be from; only that one's keys are tried.
    fn issuer_named(&self, jwt: &Jwt<'_>) -> Result<&Arc<Issuer>, TokenError> {
        let claim = jwt.claims.get("iss").ok_or(TokenError::MissingClaim("iss"))?;
        let name = claim.string().ok_or(TokenError::Garbled)?;
        self.issuers.iter().find(|issuer| *issuer.name == *name).ok_or(TokenError::UnknownIssuer)
    }
}

fn key_for<'a>(loaded: &'a Loaded, header: &Header) -> Option<&'a ParsedPublicKey> {
    loaded.keys.find(header.key_id.as_deref(), header.algorithm)
}
