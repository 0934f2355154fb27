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
//!         lease: *real.lease(),
//!         endpoint: real.endpoint().clone(),
//!         session: None,
//!     }
//! }
//! ```
//!
//! *Depth still missing*: sender-constrained tokens (DPoP, mTLS-bound), Entra ID's claims, nested claims for roles and
//! groups, revocation before expiry, step-up facts, back-channel logout, session rotation on a change of privilege,
//! sessions that outlive a restart or are shared by several gateways.
#![forbid(unsafe_code)]

mod address;
mod claims;
mod config;
pub mod developer;
mod files;
mod issuer;
mod jwt;
mod keys;
mod local;
mod principal;
mod remote;
mod seal;
mod session;
mod token;
mod verifier;

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use secrecy::ExposeSecret as _;
use sekisho_egress::Client;
use sekisho_wire::message::Spoken;
use sekisho_wire::{Call, Endpoint, Inbound, ListKind};
use url::Url;

pub use config::{Algorithm, Config, ConfigError, IssuerConfig, SessionsConfig};
pub use keys::KeySetError;
pub use local::{LOCAL_ISSUER, Local, LocalError};
pub use principal::{Lease, Principal, PrincipalKey};
pub use seal::{Bond, Opened, Seals, Ticket, Unusable};
pub use session::{Session, SessionError, SessionKey, SessionToken, Sessions};
pub use token::{Presented, TokenError, Verified};

use issuer::Issuer;
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
            lease: self.lease,
            endpoint: self.endpoint.clone(),
            session: self.session.clone(),
        }
    }
}

/// The room.
pub struct Identity {
    verifier: Verifier,
    sessions: Arc<Sessions>,
    /// Origin and path that canonical URIs start with; no slash at the end.
    public_url: Box<str>,
}

impl Identity {
    /// Builds it. `base` is the folder that relative paths in the configuration start from; `public_url` the gateway's own
    /// origin, from which canonical URIs (the default audience of each endpoint) are made. Key files are read; nothing is fetched.
    ///
    /// # Errors
    /// [`ConfigError`] for whatever would leave it without somebody to believe, or believing the wrong one.
    pub fn new(config: &Config, base: &Path, public_url: &Url, client: Arc<Client>) -> Result<Identity, ConfigError> {
        let public_url = canonical_origin(public_url)?;
        check_bounds(config)?;
        if config.issuers.is_empty() {
            return Err(ConfigError::NoIssuer);
        }
        let mut issuers: Vec<Arc<Issuer>> = Vec::new();
        for each in &config.issuers {
            let issuer = Issuer::build(each, base, &client)?;
            if issuers.iter().any(|known| known.name == issuer.name) {
                return Err(ConfigError::IssuerTwice { issuer: each.issuer.clone() });
            }
            issuers.push(Arc::new(issuer));
        }
        Ok(Identity {
            verifier: Verifier::new(issuers, config.token_cache_max),
            sessions: Arc::new(Sessions::new(config.sessions)),
            public_url,
        })
    }

    /// The same, with the open sessions of `old` and their bounds: what a reload swaps in. No session authenticates, so
    /// none of them opens what the new configuration closes.
    #[must_use]
    pub fn keeping_sessions_of(self, old: &Identity) -> Identity {
        Identity { sessions: Arc::clone(&old.sessions), ..self }
    }

    /// Verifies a bearer token for the endpoint. RS-04: before anything of the body is looked at. Waits only where an
    /// issuer's keys have to be fetched.
    ///
    /// # Errors
    /// [`TokenError`]: the first thing that is wrong with it.
    pub async fn verify(&self, token: &Presented, at: &Endpoint, now: SystemTime) -> Result<Verified, TokenError> {
        self.verifier.verify(token.secret().expose_secret(), at, || self.canonical_uri(at), now).await
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
        self.verifier.issuers().map(str::to_owned).collect()
    }

    fn named_session(
        &self,
        caller: &Verified,
        session: Option<&str>,
        now: SystemTime,
    ) -> Result<Arc<Session>, SessionError> {
        let id = session.ok_or(SessionError::Missing)?;
        self.sessions.find(id, caller.principal().key(), caller.endpoint(), now)
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
    Ok(())
}

/// Largest number that makes sense for any bound of this room.
pub(crate) const BOUND_MAX: u32 = 10_000_000;
