//! Who somebody is, as far as a verified token says it.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::digest::{Context, SHA256};
use sekisho_wire::Json;

use crate::rules::Implied;

/// A verified caller. Equal principals share sessions, limits and upstream connections.
#[derive(Debug)]
pub struct Principal {
    pub(crate) issuer: Box<str>,
    pub(crate) subject: Box<str>,
    pub(crate) client: Box<str>,
    pub(crate) scopes: Vec<Box<str>>,
    pub(crate) groups: Groups,
    pub(crate) roles: Vec<Box<str>>,
    pub(crate) kind: Kind,
    pub(crate) tenant: Box<str>,
    pub(crate) authentication: Authentication,
    pub(crate) bound_by: Vec<Binding>,
    pub(crate) attributes: Vec<(Box<str>, Box<str>)>,
    pub(crate) claims: Json,
    pub(crate) key: PrincipalKey,
    pub(crate) privileges: [u8; 32],
    /// What its scopes contain, for a supposition.
    pub(crate) implied: Arc<Implied>,
}

/// The groups of a principal, as far as the token says them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Groups {
    /// All of them.
    Known(Vec<Box<str>>),
    /// The issuer left them out because they are too many for a token (Entra ID's *groups overage*).
    Unknown,
}

/// What kind of principal acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A person, by means of a client.
    User,
    /// A client for itself (RFC 9068 section 2.2; Entra ID: `idtyp` is `app`).
    Application,
    /// An agent with an identity of its own (Entra Agent ID).
    Agent,
    /// One or the other: nothing tells.
    Unknown,
}

/// What holds a token to whoever may use it: it is of no use to anybody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Binding {
    /// A key that each request proves possession of (RFC 9449).
    Dpop,
    /// The client certificate of the connection (RFC 8705).
    Mtls,
    /// The process that writes to standard input.
    Process,
}

/// How and when somebody logged in, as far as the token says it (RFC 9470 section 6; OpenID Connect Core section 2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authentication {
    /// `acr`; empty if the token has none.
    pub class: Box<str>,
    /// `amr`
    pub methods: Vec<Box<str>>,
    /// `acrs`: the authentication contexts of Entra ID that were satisfied.
    pub contexts: Vec<Box<str>>,
    /// `auth_time`
    pub at: Option<SystemTime>,
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
        PrincipalKey(sha256(&[
            &length(issuer.len()),
            issuer.as_bytes(),
            &length(subject.len()),
            subject.as_bytes(),
            &length(client.len()),
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
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// The roles, from the claim that configuration names.
    #[must_use]
    pub fn roles(&self) -> &[Box<str>] {
        &self.roles
    }

    /// What kind of principal it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The tenant, from the claim that configuration names (Entra ID: `tid`); empty where there is none.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// How and when somebody logged in.
    #[must_use]
    pub fn authentication(&self) -> &Authentication {
        &self.authentication
    }

    /// What the token is bound to, in order and without doubles. Each was proven for this very request.
    #[must_use]
    pub fn bound_by(&self) -> &[Binding] {
        &self.bound_by
    }

    /// Attributes that configuration maps out of claims, by name. Where a claim has the same name, this is what counts.
    #[must_use]
    pub fn attributes(&self) -> &[(Box<str>, Box<str>)] {
        &self.attributes
    }

    /// Whether it can be told which context would be needed (Entra ID: the client capability `cp1` in `xms_cc`).
    #[must_use]
    pub fn takes_claims_challenges(&self) -> bool {
        let named = self.claims.get("xms_cc");
        let is_it = |value: Json| value.string().is_some_and(|text| text.eq_ignore_ascii_case("cp1"));
        named.is_some_and(|named| named.elements().any(is_it) || is_it(named))
    }

    /// The same caller with more granted, newly logged in: what a token would say after a step-up. Nobody is let in by it;
    /// policies are asked whether it would help.
    #[must_use]
    pub fn supposing(&self, supposed: &Supposed) -> Principal {
        let with = |have: &[Box<str>], more: &[Box<str>]| {
            let mut all = have.to_vec();
            all.extend(more.iter().filter(|one| !have.contains(one)).cloned());
            all
        };
        let known = &self.authentication;
        let authentication = Authentication {
            class: supposed.class.clone().unwrap_or_else(|| known.class.clone()),
            methods: with(&known.methods, &supposed.methods),
            contexts: with(&known.contexts, &supposed.contexts),
            at: supposed.at.or(known.at),
        };
        let mut principal = Principal {
            issuer: self.issuer.clone(),
            subject: self.subject.clone(),
            client: self.client.clone(),
            scopes: self.implied.with_implied(with(&self.scopes, &supposed.scopes)),
            groups: self.groups.clone(),
            roles: self.roles.clone(),
            kind: self.kind,
            tenant: self.tenant.clone(),
            authentication,
            bound_by: self.bound_by.clone(),
            attributes: self.attributes.clone(),
            claims: self.claims.clone(),
            key: self.key,
            privileges: [0; 32],
            implied: Arc::clone(&self.implied),
        };
        principal.privileges = principal.digest_of_privileges();
        principal
    }

    /// SHA-256 over all that makes this caller more or less than it was: a session does not outlive a change of it (8.3).
    pub(crate) fn privileges(&self) -> &[u8; 32] {
        &self.privileges
    }

    pub(crate) fn digest_of_privileges(&self) -> [u8; 32] {
        let Authentication { class, methods, contexts, at: _ } = &self.authentication;
        let (unknown, groups) = match &self.groups {
            Groups::Known(groups) => ("", groups.as_slice()),
            Groups::Unknown => ("unknown", [].as_slice()),
        };
        let pair = |(name, value): &(Box<str>, Box<str>)| format!("{}:{name}{value}", name.len()).into_boxed_str();
        let attributes: Vec<Box<str>> = self.attributes.iter().map(pair).collect();
        let bindings = self.bound_by.iter().map(|binding| binding.as_str());
        let mut context = Context::new(&SHA256);
        // Each word with its length and each list with its own, so that no two callers run into the same bytes.
        let mut put = |words: &[&str]| {
            context.update(&length(words.len()));
            for word in words {
                context.update(&length(word.len()));
                context.update(word.as_bytes());
            }
        };
        put(&[&self.tenant, self.kind.as_str(), class, unknown]);
        put(&bindings.collect::<Vec<_>>());
        let lists: [&[Box<str>]; 6] = [&self.scopes, groups, &self.roles, methods, contexts, &attributes];
        for list in lists {
            // An issuer may write a set in any order.
            let mut words: Vec<&str> = list.iter().map(|word| &**word).collect();
            words.sort_unstable();
            words.dedup();
            put(&words);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        digest
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

impl Groups {
    /// Those that are known.
    #[must_use]
    pub fn known(&self) -> &[Box<str>] {
        match self {
            Groups::Known(groups) => groups,
            Groups::Unknown => &[],
        }
    }
}

impl Kind {
    /// Its name in policies and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::User => "user",
            Kind::Application => "application",
            Kind::Agent => "agent",
            Kind::Unknown => "unknown",
        }
    }
}

impl Binding {
    /// Its name in policies and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Binding::Dpop => "dpop",
            Binding::Mtls => "mtls",
            Binding::Process => "process",
        }
    }
}

/// What a token would say beyond what it says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Supposed {
    /// More scopes.
    pub scopes: Vec<Box<str>>,
    /// Another `acr`.
    pub class: Option<Box<str>>,
    /// More `amr`.
    pub methods: Vec<Box<str>>,
    /// More `acrs`.
    pub contexts: Vec<Box<str>>,
    /// Another `auth_time`.
    pub at: Option<SystemTime>,
}

/// How long an authentication holds: until its end, and as long as nobody revokes it.
#[derive(Debug, Clone)]
pub struct Lease {
    pub(crate) ends_at: SystemTime,
    /// What it can be revoked by; none of what cannot be.
    pub(crate) credential: Option<Arc<Credential>>,
}

impl Lease {
    /// The first moment at which the credential is not accepted any more: its expiry plus the issuer's clock skew.
    #[must_use]
    pub fn ends_at(&self) -> SystemTime {
        self.ends_at
    }
}

/// What a token is revoked by.
#[derive(Debug, PartialEq, Eq)]
pub struct Credential {
    /// Everything that a revocation could name it by.
    pub(crate) names: Box<[crate::revocation::Name]>,
    /// The earliest moment at which it may have been issued: `iat`, less the issuer's clock skew.
    pub(crate) issued_from: SystemTime,
}

fn length(length: usize) -> [u8; 8] {
    u64::try_from(length).unwrap_or(u64::MAX).to_be_bytes()
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
