//! Who somebody is, as far as a verified token says it.

use std::hash::{Hash, Hasher};
use std::time::SystemTime;

use aws_lc_rs::digest::{Context, SHA256};
use sekisho_wire::Json;

/// A verified caller. Equal principals share sessions, limits and upstream connections.
#[derive(Debug)]
pub struct Principal {
    pub(crate) issuer: Box<str>,
    pub(crate) subject: Box<str>,
    pub(crate) client: Box<str>,
    pub(crate) scopes: Vec<Box<str>>,
    pub(crate) groups: Vec<Box<str>>,
    pub(crate) roles: Vec<Box<str>>,
    pub(crate) claims: Json,
    pub(crate) key: PrincipalKey,
}

/// SHA-256 over issuer, subject and client, each with its length: the key of everything kept per principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PrincipalKey(pub(crate) [u8; 32]);

impl Hash for PrincipalKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_half(&self.0, state);
    }
}

impl PrincipalKey {
    /// The key of these three names. Each goes in with its length, so that no two triples run into the same bytes.
    #[must_use]
    pub fn of(issuer: &str, subject: &str, client: &str) -> PrincipalKey {
        let length = |part: &str| u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes();
        PrincipalKey(sha256(&[
            &length(issuer),
            issuer.as_bytes(),
            &length(subject),
            subject.as_bytes(),
            &length(client),
            client.as_bytes(),
        ]))
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Principal {
    /// `iss`, byte for byte.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// `sub`, never empty.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// `client_id` (RFC 9068) or `azp`; empty where the token names none.
    #[must_use]
    pub fn client(&self) -> &str {
        &self.client
    }

    /// The granted scopes, in the token's order.
    #[must_use]
    pub fn scopes(&self) -> &[Box<str>] {
        &self.scopes
    }

    /// The groups, from the claim that configuration names.
    #[must_use]
    pub fn groups(&self) -> &[Box<str>] {
        &self.groups
    }

    /// The roles, from the claim that configuration names.
    #[must_use]
    pub fn roles(&self) -> &[Box<str>] {
        &self.roles
    }

    /// Every claim, an object.
    #[must_use]
    pub fn claims(&self) -> &Json {
        &self.claims
    }

    /// The key of what is kept for this principal.
    #[must_use]
    pub fn key(&self) -> PrincipalKey {
        self.key
    }
}

/// How long an authentication holds.
#[derive(Debug, Clone, Copy)]
pub struct Lease {
    pub(crate) ends_at: SystemTime,
}

impl Lease {
    /// The first moment at which the credential is not accepted any more: its expiry plus the issuer's clock skew.
    #[must_use]
    pub fn ends_at(&self) -> SystemTime {
        self.ends_at
    }
}

/// Half of a digest tells keys apart as well as all of it does, and tables hash it in half the time.
pub(crate) fn hash_half<H: Hasher>(digest: &[u8; 32], state: &mut H) {
    let [half, _] = digest.as_chunks::<16>().0 else { return };
    state.write_u128(u128::from_le_bytes(*half));
}

/// SHA-256 over the parts, one after the other.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher as _, RandomState};

    use super::*;

    #[test]
    fn one_principal_has_one_hash_and_others_have_others() {
        let hasher = RandomState::new();
        let hash = |key: PrincipalKey| hasher.hash_one(key);
        let one = PrincipalKey::of("issuer", "subject", "client");
        assert_eq!(hash(one), hash(PrincipalKey::of("issuer", "subject", "client")));
        assert_ne!(hash(one), hash(PrincipalKey::of("issuer", "subject", "")));
        let mut digest = [0; 32];
        for at in 0..16 {
            digest[at] = 1;
            assert_ne!(hash(PrincipalKey(digest)), hash(PrincipalKey([0; 32])), "byte {at} counts");
            digest[at] = 0;
        }
    }
}
