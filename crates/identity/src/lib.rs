//! **Who sent it?** [`Authenticated`] is the proof: this message came with a credential of its own that was verified.
//!
//! The room never trusts a session (requirement M2: a session only narrows what a credential already opened) and never
//! forwards a token. What it keeps of a token is its digest, its claims and its end.
//!
//! Nobody else makes the proof:
//!
//! ```compile_fail,E0451
//! fn forge(message: sekisho_wire::Inbound, real: &sekisho_identity::Verified) -> sekisho_identity::Authenticated<sekisho_wire::Inbound> {
//!     sekisho_identity::Authenticated {
//!         message,
//!         who: real.principal().clone(),
//!         lease: real.lease().clone(),
//!         endpoint: real.endpoint().clone(),
//!         session: None,
//!     }
//! }
//! ```
//!
//! *Depth still missing*: groups that Entra ID leaves out of a token (they are *unknown* then, and what needs them is refused), nonces,
//! proofs and sessions that several gateways share, sessions that outlive a restart.
#![forbid(unsafe_code)]

mod address;
mod bonds;
mod claims;
mod config;
pub mod developer;
mod dpop;
mod entra;
mod explain;
mod files;
mod issuer;
mod jwt;
mod keys;
mod local;
mod logout;
mod principal;
mod provider;
mod remote;
mod revocation;
mod rules;
mod seal;
mod session;
mod shared;
mod token;
mod verifier;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sekisho_egress::Client;
use sekisho_wire::message::Spoken;
use sekisho_wire::{Call, Endpoint, Inbound, ListKind};
use url::Url;

pub use config::{
    Algorithm, Config, ConfigError, DpopConfig, IssuerConfig, NonceUse, ScopesConfig, SenderConstraint, SessionsConfig,
};
pub use dpop::KeyProofs;
pub use entra::{Applications, EntraConfig};
pub use explain::{Explanation, Step};
pub use issuer::IssuerOverview;
pub use keys::KeySetError;
pub use local::{LOCAL_ISSUER, Local, LocalError};
pub use logout::LogoutError;
pub use principal::{Authentication, Binding, Credential, Groups, Kind, Lease, Principal, PrincipalKey, Supposed};
pub use provider::{
    Endpoints, Login, LoginAsk, LoginError, Provider, ProviderAuthentication, ProviderConfig, ProviderConfigError,
    ProviderError, Tokens,
};
pub use revocation::{ENTRIES_MAX as REVOCATIONS_MAX, OPERATOR, Revocation, Revocations, RevokeError, Target};
pub use seal::{Bond, Opened, Seals, Ticket, Unusable};
pub use session::{Session, SessionError, SessionKey, SessionOverview, SessionToken, Sessions};
pub use shared::{SHARED_MAX, SharedError, is_local, read_shared, write_shared};
pub use token::{Channel, Presented, ProofError, Scheme, TokenError, Verified};

use dpop::Proofs;
use issuer::Issuer;
use rules::{Dialect, Implied};
use verifier::Verifier;

/// A message and the proof of who sent it.
#[derive(Debug)]
pub struct Authenticated<M> {
    message: M,
    who: Arc<Principal>,
    lease: Lease,
    endpoint: Endpoint,
    session: Option<Arc<Session>>,
}

impl<M> Authenticated<M> {
    /// What was sent.
    #[must_use]
    pub fn message(&self) -> &M {
        &self.message
    }

    /// Who sent it.
    #[must_use]
    pub fn principal(&self) -> &Arc<Principal> {
        &self.who
    }

    /// How long that may be relied on.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// The door it came through; the credential's audience is this door's.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The legacy session it belongs to; none for `initialize` and for the modern era.
    #[must_use]
    pub fn session(&self) -> Option<&Arc<Session>> {
        self.session.as_ref()
    }
}

impl Authenticated<Inbound> {
    /// The same caller, lease, door and session with a list in place of the message: what the gateway asks for on the caller's
    /// behalf before it can answer. Nobody gains by it, since the caller may ask for the same list, and the lease stays.
    #[must_use]
    pub fn to_list(&self, kind: ListKind) -> Authenticated<Inbound> {
        Authenticated {
            message: self.message.listing(kind),
            who: Arc::clone(&self.who),
            lease: self.lease.clone(),
            endpoint: self.endpoint.clone(),
            session: self.session.clone(),
        }
    }
}

/// Whether proofs of possession are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofsWanted {
    /// Of every token, whoever issued it.
    Always,
    /// Of some, or a certificate in their place.
    Sometimes,
    /// Of those alone that are bound to a key.
    Never,
}

/// The room.
pub struct Identity {
    verifier: Verifier,
    sessions: Arc<Sessions>,
    scopes: ScopesConfig,
    /// Origin and path that canonical URIs start with; no slash at the end.
    public_url: Box<str>,
}

impl Identity {
    /// Builds it. `base` is the folder that relative paths in the configuration start from; `public_url` the gateway's own
    /// origin, from which canonical URIs (the default audience of each endpoint) are made; `revocations` what is revoked already. Key
    /// files are read; nothing is fetched.
    ///
    /// # Errors
    /// [`ConfigError`] for whatever would leave it without somebody to believe, or believing the wrong one.
    pub fn new(
        config: &Config,
        base: &Path,
        public_url: &Url,
        client: Arc<Client>,
        revocations: Arc<Revocations>,
    ) -> Result<Identity, ConfigError> {
        let public_url = canonical_origin(public_url)?;
        check_bounds(config)?;
        let implied = Arc::new(Implied::new(&config.scopes)?);
        let standard = config.issuers.iter().map(|issuer| (issuer.clone(), Dialect::Standard));
        let entra: Vec<_> = config.entra.iter().map(EntraConfig::issuers).collect::<Result<_, _>>()?;
        let entra = entra.into_iter().flatten().map(|(issuer, rules)| (issuer, Dialect::Entra(rules)));
        let mut issuers: Vec<Arc<Issuer>> = Vec::new();
        for (each, dialect) in standard.chain(entra) {
            let issuer = Issuer::build(&each, (Arc::clone(&implied), dialect), base, &client)?;
            if issuers.iter().any(|known| known.name == issuer.name) {
                return Err(ConfigError::IssuerTwice { issuer: each.issuer });
            }
            issuers.push(Arc::new(issuer));
        }
        if issuers.is_empty() {
            return Err(ConfigError::NoIssuer);
        }
        let proofs = Arc::new(Proofs::new(&config.dpop, SystemTime::now()).ok_or(ConfigError::NoRandomness)?);
        Ok(Identity {
            verifier: Verifier::new(issuers, config.token_cache_max, proofs, revocations),
            sessions: Arc::new(Sessions::new(config.sessions)),
            scopes: config.scopes.clone(),
            public_url,
        })
    }

    /// The same, with the open sessions of `old` and their bounds, what is revoked, and the proofs that were seen: what a reload swaps in.
    /// No session authenticates, so none of them opens what the new configuration closes.
    #[must_use]
    pub fn keeping_sessions_of(self, old: &Identity) -> Identity {
        let Identity { verifier, scopes, public_url, .. } = self;
        let verifier = verifier.keeping(old.verifier.proofs(), old.verifier.revocations());
        Identity { sessions: Arc::clone(&old.sessions), verifier, scopes, public_url }
    }

    /// Verifies a token for the endpoint, and that it is shown by whom it is bound to. RS-04: before anything of the body is looked at.
    /// Waits only where an issuer's keys have to be fetched.
    ///
    /// # Errors
    /// [`TokenError`]: the first thing that is wrong with it.
    pub async fn verify(&self, token: &Presented, at: &Endpoint, now: SystemTime) -> Result<Verified, TokenError> {
        self.verifier.verify(token, at, || self.canonical_uri(at), now).await
    }

    /// What becomes of a token at an endpoint, check by check. For whoever runs the gateway; nothing is remembered of it.
    pub async fn explain(&self, token: &str, at: &Endpoint, now: SystemTime) -> Explanation {
        self.verifier.explain(token, at, &self.canonical_uri(at), now).await
    }

    /// Whether a lease is good still: its time has not come, and nobody has revoked what it was given for.
    #[must_use]
    pub fn holds(&self, lease: &Lease, now: SystemTime) -> bool {
        let revoked = |credential: &Arc<_>| self.verifier.revocations().check(credential).is_err();
        now < lease.ends_at && !lease.credential.as_ref().is_some_and(revoked)
    }

    /// Waits until a lease is good no more.
    pub async fn outlived(&self, lease: &Lease) {
        let mut changes = self.verifier.revocations().changes();
        loop {
            let now = SystemTime::now();
            if !self.holds(lease, now) {
                return;
            }
            let left = lease.ends_at.duration_since(now).unwrap_or_default().min(LOOKS_EVERY);
            // Nobody revokes any more: then it ends with its time.
            let _changed_or_late = tokio::time::timeout(left, changes.changed()).await;
        }
    }

    /// Revokes, and ends the sessions that go with it; their keys, so that what hangs on them can be ended, too.
    ///
    /// # Errors
    /// [`RevokeError`]: it may be in force in this process and no longer; the sessions are ended all the same.
    pub async fn revoke(&self, revocation: Revocation) -> (Vec<SessionKey>, Result<(), RevokeError>) {
        let (target, until) = (revocation.target.clone(), revocation.at.checked_add(SESSION_SKEW));
        let revoked = self.verifier.revocations().revoke(revocation, self.verifier.lifetime_max()).await;
        // One that was begun later was begun with another token.
        let is_touched = |session: &Session, opened_at| {
            target.touches(session.principal()) && until.is_none_or(|until| opened_at <= until)
        };
        (self.sessions.close_where(is_touched), revoked)
    }

    /// Whether there is an issuer whose logout tokens are taken.
    #[must_use]
    pub fn takes_logouts(&self) -> bool {
        self.verifier.issuers().iter().any(|issuer| issuer.logout_audience.is_some())
    }

    /// Whether tokens must be bound to keys, as their issuers are configured.
    #[must_use]
    pub fn proofs_wanted(&self) -> ProofsWanted {
        let mut constraints = self.verifier.issuers().iter().map(|issuer| issuer.sender_constraint);
        if constraints.clone().all(|constraint| constraint == SenderConstraint::Dpop) {
            return ProofsWanted::Always;
        }
        match constraints.any(|constraint| matches!(constraint, SenderConstraint::Dpop | SenderConstraint::Either)) {
            true => ProofsWanted::Sometimes,
            false => ProofsWanted::Never,
        }
    }

    /// What a logout token of an issuer ends (OpenID Connect Back-Channel Logout); to be handed to [`Identity::revoke`].
    ///
    /// # Errors
    /// [`LogoutError`]: it is none, or not for this gateway.
    pub async fn logout(&self, token: &str, now: SystemTime) -> Result<Revocation, LogoutError> {
        self.verifier.logout(token, now).await
    }

    /// What is revoked.
    #[must_use]
    pub fn revocations(&self) -> &Arc<Revocations> {
        self.verifier.revocations()
    }

    /// The nonce that the next proof of possession must hold; none where proofs need none (RFC 9449 section 9).
    #[must_use]
    pub fn proof_nonce(&self, now: SystemTime) -> Option<String> {
        self.verifier.proofs().nonce(now)
    }

    /// Scopes: which there are, and which to ask for first.
    #[must_use]
    pub fn scopes(&self) -> &ScopesConfig {
        &self.scopes
    }

    /// The issuers, as they are now.
    #[must_use]
    pub fn overview(&self, now: SystemTime) -> Vec<IssuerOverview> {
        self.verifier.issuers().iter().map(|issuer| issuer.overview(now)).collect()
    }

    /// Binds a message to the verified caller, and to the session it names (`session` is the value of `Mcp-Session-Id`, if any).
    /// Legacy, not `initialize`: session required, must belong to the same principal and endpoint, and the version header must
    /// be the session's (HT-16, HT-17, HT-20). Modern, and `initialize`: the header has no meaning and is not looked at (BP-24).
    ///
    /// # Errors
    /// [`SessionError`], never [`SessionError::TooMany`].
    pub fn authenticate(
        &self,
        caller: Verified,
        message: Inbound,
        session: Option<&str>,
        now: SystemTime,
    ) -> Result<Authenticated<Inbound>, SessionError> {
        let session = match (message.spoken(), opens_session(&message)) {
            (Spoken::Modern(_), _) | (Spoken::Legacy(_) | Spoken::LegacyUnsaid, true) => None,
            (Spoken::Legacy(version), false) => {
                let found = self.named_session(&caller, session, now)?;
                if found.version() != version {
                    return Err(SessionError::VersionMismatch);
                }
                Some(found)
            }
            // Known otherwise: what the session negotiated holds (2025-11-25, Transports, "Protocol Version Header").
            (Spoken::LegacyUnsaid, false) => Some(self.named_session(&caller, session, now)?),
        };
        let Verified { who, lease, endpoint } = caller;
        Ok(Authenticated { message, who, lease, endpoint, session })
    }

    /// The caller's session called `session`.
    ///
    /// # Errors
    /// [`SessionError::Unknown`] as in [`Identity::authenticate`].
    pub fn session(&self, caller: &Verified, session: &str, now: SystemTime) -> Result<Arc<Session>, SessionError> {
        self.named_session(caller, Some(session), now)
    }

    /// Ends the caller's session called `session` (DELETE, HT-18).
    ///
    /// # Errors
    /// [`SessionError::Unknown`] as in [`Identity::authenticate`].
    pub fn end(&self, caller: &Verified, session: &str, now: SystemTime) -> Result<SessionKey, SessionError> {
        let key = self.named_session(caller, Some(session), now)?.key();
        // Two at once: one of them ended it.
        if self.sessions.close(key) { Ok(key) } else { Err(SessionError::Unknown) }
    }

    /// The open sessions.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Canonical URI of an endpoint: `public_url` + path (RFC 8707 section 2; RS-14).
    #[must_use]
    pub fn canonical_uri(&self, at: &Endpoint) -> String {
        format!("{}{}", self.public_url, at.path())
    }

    /// `authorization_servers` of the RFC 9728 document: the configured issuers.
    #[must_use]
    pub fn issuers(&self) -> Vec<String> {
        self.verifier.issuers().iter().map(|issuer| issuer.name.to_string()).collect()
    }

    fn named_session(
        &self,
        caller: &Verified,
        session: Option<&str>,
        now: SystemTime,
    ) -> Result<Arc<Session>, SessionError> {
        let id = session.ok_or(SessionError::Missing)?;
        self.sessions.find(id, caller.principal(), caller.endpoint(), now)
    }
}

/// `initialize` is the one legacy message that comes before its session.
fn opens_session(message: &Inbound) -> bool {
    match message {
        Inbound::Request(request) => matches!(request.call(), Call::Initialize(_)),
        Inbound::Notice(_) | Inbound::Reply(_) => false,
    }
}

fn canonical_origin(public_url: &Url) -> Result<Box<str>, ConfigError> {
    if !address::is_plain_web(public_url) || public_url.query().is_some() {
        return Err(ConfigError::BadPublicUrl { url: public_url.to_string() });
    }
    Ok(public_url.as_str().trim_end_matches('/').into())
}

fn check_bounds(config: &Config) -> Result<(), ConfigError> {
    let sessions = &config.sessions;
    for (field, value) in [
        ("sessions.idle_seconds", sessions.idle_seconds),
        ("sessions.absolute_seconds", sessions.absolute_seconds),
        ("sessions.per_principal_max", sessions.per_principal_max),
        ("sessions.total_max", sessions.total_max),
        ("token_cache_max", config.token_cache_max),
    ] {
        if !(1..=BOUND_MAX).contains(&value) {
            return Err(ConfigError::OutOfRange { field, value, min: 1, max: BOUND_MAX });
        }
    }
    let dpop = &config.dpop;
    for (field, value, min, max) in [
        ("dpop.proof_age_seconds_max", dpop.proof_age_seconds_max, 1, dpop::PROOF_AGE_SECONDS_MAX),
        ("dpop.nonce_seconds", dpop.nonce_seconds, 10, dpop::NONCE_SECONDS_MAX),
        ("dpop.proofs_max", dpop.proofs_max, 1, BOUND_MAX),
    ] {
        if !(min..=max).contains(&value) {
            return Err(ConfigError::OutOfRange { field, value, min, max });
        }
    }
    Ok(())
}

/// How often at least it is looked whether a lease holds: clocks are set.
const LOOKS_EVERY: Duration = Duration::from_secs(60);
/// How far an issuer's clock may be behind ours where it says when somebody logged out.
const SESSION_SKEW: Duration = Duration::from_secs(120);
/// Largest number that makes sense for any bound of this room.
pub(crate) const BOUND_MAX: u32 = 10_000_000;
