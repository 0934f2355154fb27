//! Legacy sessions: 256 bits of the operating system's randomness, stored hashed, bound to principal and endpoint (M4, 8.1, 8.2).

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use sekisho_wire::{Askable, Endpoint, Inbound, Json, Version};

use crate::Authenticated;
use crate::config::SessionsConfig;
use crate::principal::{Principal, PrincipalKey, hash_half, sha256};

/// A session of one principal at one endpoint.
#[derive(Debug)]
pub struct Session {
    key: SessionKey,
    who: Arc<Principal>,
    endpoint: Endpoint,
    version: Version,
    askable: Askable,
    client: Json,
    over: AtomicBool,
}

/// SHA-256 of the session id: what is stored, compared, and (first 8 hex digits) logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionKey(pub(crate) [u8; 32]);

impl Hash for SessionKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_half(&self.0, state);
    }
}

/// The id itself, on its way to the client; visible ASCII (HT-15). Shown once, kept nowhere.
pub struct SessionToken(SecretString);

/// Every open session; bounded in number (overall and per principal), expiring (idle and absolute).
pub struct Sessions {
    bounds: SessionsConfig,
    random: SystemRandom,
    table: Mutex<Table>,
}

/// A session, as it is now.
#[derive(Debug)]
pub struct SessionOverview {
    /// The session.
    pub session: Arc<Session>,
    /// How long it has been open.
    pub age: Duration,
    /// How long it has not been used.
    pub idle: Duration,
}

/// Why a message does not come with the session it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// 400 (HT-16).
    #[error("the request names no session")]
    Missing,
    /// 404 (HT-17). One answer for all of it: nobody learns that a session of somebody else exists.
    #[error("the session is unknown, has ended, or belongs to another principal")]
    Unknown,
    /// 400 (HT-20).
    #[error("the version header differs from the version the session negotiated")]
    VersionMismatch,
    /// A bound is reached, or the operating system gave no randomness.
    #[error("too many sessions are open")]
    TooMany,
}

#[derive(Default)]
struct Table {
    open: HashMap<SessionKey, Entry>,
    /// How many of the open ones belong to whom. No zeros.
    counts: HashMap<PrincipalKey, u32>,
    /// Ended ones that nobody was told of. At most as many as sessions may be open.
    ended: Vec<SessionKey>,
    /// How long those lived that ended since somebody asked. At most [`LIVES_MAX`].
    lives: Vec<Duration>,
}

struct Entry {
    session: Arc<Session>,
    opened_at: SystemTime,
    used_at: SystemTime,
}

impl Session {
    /// Its key.
    #[must_use]
    pub fn key(&self) -> SessionKey {
        self.key
    }

    /// Whose it is, as they were when it was opened.
    #[must_use]
    pub fn principal(&self) -> &Arc<Principal> {
        &self.who
    }

    /// Where it was opened.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The negotiated revision.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// What the client said that it can be asked. Self-asserted.
    #[must_use]
    pub fn askable(&self) -> Askable {
        self.askable
    }

    /// `clientInfo`, self-asserted.
    #[must_use]
    pub fn client(&self) -> &Json {
        &self.client
    }

    /// Whether it has ended. A message may have been bound to it a moment before.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }
}

impl SessionKey {
    /// The hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 8 hex digits, for logs and records.
    #[must_use]
    pub fn short(&self) -> String {
        self.0.iter().take(4).fold(String::with_capacity(8), |mut text, byte| {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    fn of(id: &str) -> SessionKey {
        SessionKey(sha256(&[id.as_bytes()]))
    }
}

impl SessionToken {
    /// The id, for the response's header and nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl Sessions {
    pub(crate) fn new(bounds: SessionsConfig) -> Sessions {
        Sessions { bounds, random: SystemRandom::new(), table: Mutex::default() }
    }

    /// Opens a session for the caller, at the endpoint it came through.
    ///
    /// # Errors
    /// [`SessionError::TooMany`] if the caller, or all together, have as many as they may; ended ones do not count.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is one fact of the handshake, and no two have the same type but the last"
    )]
    pub fn open(
        &self,
        caller: &Authenticated<Inbound>,
        version: Version,
        askable: Askable,
        client: Json,
        now: SystemTime,
    ) -> Result<(SessionToken, Arc<Session>), SessionError> {
        let principal = caller.principal().key();
        let id = self.fresh_id()?;
        let key = SessionKey::of(id.expose());
        let endpoint = caller.endpoint().clone();
        let who = Arc::clone(caller.principal());
        let session = Arc::new(Session { key, who, endpoint, version, askable, client, over: AtomicBool::new(false) });
        let mut table = self.table();
        self.make_room(&mut table, principal, now)?;
        table.insert(Entry { session: Arc::clone(&session), opened_at: now, used_at: now });
        Ok((id, session))
    }

    /// Ends a session. Nobody is told by [`Sessions::sweep`]: the caller knows. False if there is none.
    pub fn close(&self, key: SessionKey) -> bool {
        self.table().remove(key).is_some()
    }

    /// Keeps a session from idling out that somebody listens to. False if there is none, or its time is over.
    pub fn touch(&self, key: SessionKey, now: SystemTime) -> bool {
        let mut table = self.table();
        let Some(entry) = table.open.get_mut(&key).filter(|entry| !expired(&self.bounds, entry, now)) else {
            return false;
        };
        entry.used_at = entry.used_at.max(now);
        true
    }

    /// Ends what is past its time. Answers with all that ended since the last sweep by itself, so that what hangs on
    /// them upstream can be ended too. To be called regularly: until then ended sessions take up room.
    pub fn sweep(&self, now: SystemTime) -> Vec<SessionKey> {
        let mut table = self.table();
        self.end_expired(&mut table, now, None);
        std::mem::take(&mut table.ended)
    }

    /// How long the sessions lived that ended since this was asked last, from their opening to their last use.
    #[must_use]
    pub fn lives(&self) -> Vec<Duration> {
        std::mem::take(&mut self.table().lives)
    }

    /// How many are open, those included that are past their time and not yet swept.
    #[must_use]
    pub fn count(&self) -> usize {
        self.table().open.len()
    }

    /// Ends those that `touched` is true of, with the moment at which they were opened; nobody is told by [`Sessions::sweep`].
    pub(crate) fn close_where(&self, touched: impl Fn(&Session, SystemTime) -> bool) -> Vec<SessionKey> {
        let mut table = self.table();
        let named = table.open.values().filter(|entry| touched(&entry.session, entry.opened_at));
        let keys: Vec<SessionKey> = named.map(|entry| entry.session.key).collect();
        keys.iter().for_each(|key| drop(table.remove(*key)));
        keys
    }

    /// Ends those whose key begins like that ([`SessionKey::short`]); nobody is told by [`Sessions::sweep`].
    pub fn close_tagged(&self, tag: &str) -> Vec<SessionKey> {
        self.close_where(|session, _| session.key.short() == tag)
    }

    /// Those that are open, the latest first.
    #[must_use]
    pub fn list(&self, now: SystemTime) -> Vec<SessionOverview> {
        let table = self.table();
        let age = |then: SystemTime| now.duration_since(then).unwrap_or_default();
        let of = |entry: &Entry| SessionOverview {
            session: Arc::clone(&entry.session),
            age: age(entry.opened_at),
            idle: age(entry.used_at),
        };
        let mut all: Vec<SessionOverview> = table.open.values().map(of).collect();
        all.sort_by_key(|one| one.age);
        all
    }

    /// The open session called `id`, if it is `who`'s at `endpoint`. Using it keeps it from idling out.
    pub(crate) fn find(
        &self,
        id: &str,
        who: &Principal,
        endpoint: &Endpoint,
        now: SystemTime,
    ) -> Result<Arc<Session>, SessionError> {
        // Looked up by its hash: how long that takes tells nothing about the ids there are.
        let key = SessionKey::of(id);
        let mut table = self.table();
        let entry = table.open.get_mut(&key).ok_or(SessionError::Unknown)?;
        let session = Arc::clone(&entry.session);
        if session.who.key() != who.key() || session.endpoint != *endpoint || expired(&self.bounds, entry, now) {
            return Err(SessionError::Unknown);
        }
        if session.who.privileges() != who.privileges() {
            // Whoever may do more or less than before begins anew, with another id: the old one may have been seen by somebody (8.3;
            // OWASP Session Management, "Renew the Session ID After Any Privilege Level Change").
            table.remove(key);
            table.ended.push(key);
            return Err(SessionError::Unknown);
        }
        entry.used_at = entry.used_at.max(now);
        Ok(session)
    }

    fn make_room(&self, table: &mut Table, principal: PrincipalKey, now: SystemTime) -> Result<(), SessionError> {
        let of_principal = |table: &Table| table.counts.get(&principal).copied().unwrap_or(0);
        if of_principal(table) >= self.bounds.per_principal_max {
            self.end_expired(table, now, Some(principal));
        }
        let total_max = usize::try_from(self.bounds.total_max).unwrap_or(usize::MAX);
        // The ended ones count too: were nobody to sweep, their list would grow without a bound.
        if table.open.len().saturating_add(table.ended.len()) >= total_max {
            self.end_expired(table, now, None);
        }
        let full = table.open.len().saturating_add(table.ended.len()) >= total_max;
        if full || of_principal(table) >= self.bounds.per_principal_max {
            return Err(SessionError::TooMany);
        }
        Ok(())
    }

    /// Moves what is past its time, of one principal or of all, to the list of ended ones.
    fn end_expired(&self, table: &mut Table, now: SystemTime, whose: Option<PrincipalKey>) {
        let over: Vec<SessionKey> = table
            .open
            .values()
            .filter(|entry| whose.is_none_or(|principal| entry.session.who.key() == principal))
            .filter(|entry| expired(&self.bounds, entry, now))
            .map(|entry| entry.session.key)
            .collect();
        for key in over {
            table.remove(key);
            table.ended.push(key);
        }
    }

    fn fresh_id(&self) -> Result<SessionToken, SessionError> {
        let mut bytes = [0; 32];
        self.random.fill(&mut bytes).map_err(|_| SessionError::TooMany)?;
        Ok(SessionToken(SecretString::from(URL_SAFE_NO_PAD.encode(bytes))))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing between lock and unlock panics, and each step leaves the table whole.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn insert(&mut self, entry: Entry) {
        let count = self.counts.entry(entry.session.who.key()).or_insert(0);
        *count = count.saturating_add(1);
        self.open.insert(entry.session.key, entry);
    }

    fn remove(&mut self, key: SessionKey) -> Option<Entry> {
        let entry = self.open.remove(&key)?;
        entry.session.over.store(true, Ordering::Release);
        if self.lives.len() < LIVES_MAX {
            self.lives.push(entry.used_at.duration_since(entry.opened_at).unwrap_or_default());
        }
        let principal = entry.session.who.key();
        match self.counts.get_mut(&principal) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => {
                self.counts.remove(&principal);
            }
        }
        Some(entry)
    }
}

/// Whether it idled out or is too old. A clock that was set back ends nothing by itself, and prolongs nothing: `used_at`
/// never goes back, and the absolute age counts from the opening.
fn expired(bounds: &SessionsConfig, entry: &Entry, now: SystemTime) -> bool {
    let since = |then| now.duration_since(then).unwrap_or(Duration::ZERO);
    since(entry.used_at) >= Duration::from_secs(u64::from(bounds.idle_seconds))
        || since(entry.opened_at) >= Duration::from_secs(u64::from(bounds.absolute_seconds))
}

/// LIMIT: ended sessions whose lives nobody has asked for.
const LIVES_MAX: usize = 10_000;
