//! Revoked credentials: by token, subject, client, key, session at the issuer, issuer, or all there are (2.3, 8.3).
//!
//! What is revoked is known in memory, so that a request asks nobody, and is in the store before whoever revoked it hears so: a
//! restart brings no revoked token back.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use sekisho_store::{Store, Table};
use sekisho_wire::Json;
use sekisho_wire::json::{Limits, Object};
use tokio::sync::{Mutex, watch};

use crate::issuer::CLOCK_SKEW_SECONDS_MAX;
use crate::principal::{Credential, Principal, sha256};
use crate::token::TokenError;

/// What is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One token, by its `jti`.
    Token {
        /// `iss`
        issuer: String,
        /// `jti`
        id: String,
    },
    /// Every token of a subject that was issued until then.
    Subject {
        /// `iss`
        issuer: String,
        /// `sub`; `oid` for Entra ID.
        subject: String,
    },
    /// Every token that a client got until then.
    Client {
        /// `iss`
        issuer: String,
        /// `client_id`, or `azp`.
        client: String,
    },
    /// Every token of a session at the issuer, those issued later too for as long as it is kept: a week at least.
    IssuerSession {
        /// `iss`
        issuer: String,
        /// `sid`
        id: String,
    },
    /// A key of an issuer: whatever it signed, and will sign.
    Key {
        /// `iss`
        issuer: String,
        /// `kid`
        id: String,
    },
    /// Every token of an issuer that was issued until then.
    Issuer {
        /// `iss`
        issuer: String,
    },
    /// Every token that was issued until then.
    Everything,
}

/// Who revokes by a command on this machine. No issuer is called so: issuers are URLs.
pub const OPERATOR: &str = "operator";

/// What was revoked, when, why, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// What.
    pub target: Target,
    /// Since when. What is issued later is not touched, except of a token or a key, and of a session at the issuer for as long as it is kept.
    pub at: SystemTime,
    /// Why; may be empty.
    pub reason: String,
    /// Who did it: [`OPERATOR`], or the issuer that says so.
    pub by: String,
}

/// What is revoked, and who waits for more.
pub struct Revocations {
    index: RwLock<HashMap<Name, Entry>>,
    /// So that nothing is looked up where nothing is revoked.
    any: AtomicBool,
    /// Whether nobody can say what is revoked: then everybody is.
    lost: AtomicBool,
    changes: watch::Sender<()>,
    store: OnceLock<Arc<Store>>,
    /// Held while one is written down, so that what is kept comes in the order of what is in force.
    writing: Mutex<()>,
}

/// Why something is not revoked for good.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// It is in force, and a restart would end that.
    #[error("it is revoked until this process ends, but could not be written into the store")]
    Store(#[source] sekisho_store::PutError),
    /// Nobody can say what is in the store.
    #[error("what was revoked before cannot be read")]
    Read(#[source] sekisho_store::ReadError),
    /// A row of the store has no form that is known here.
    #[error("the store holds a revocation that cannot be read; it is not skipped")]
    Garbled,
    /// The task that writes was cut off.
    #[error("it is revoked until this process ends; whether it is in the store is unknown")]
    CutOff,
    /// There is no room for one more, not even in memory.
    #[error(
        "nothing more can be revoked: {ENTRIES_MAX} revocations are remembered, and it is NOT in force; revoke a whole issuer, or everything"
    )]
    Full,
    /// A name that no credential has.
    #[error("what is to be revoked has an empty name, or one longer than {NAME_BYTES_MAX} bytes")]
    Name,
    /// More words than are kept.
    #[error("the reason is longer than {REASON_BYTES_MAX} bytes")]
    Reason,
}

/// SHA-256 over kind and names: what credentials are looked up by.
pub(crate) type Name = [u8; 32];

struct Entry {
    /// What was issued until then is revoked. None: whatever will be issued, too.
    at: Option<SystemTime>,
    until: SystemTime,
}

impl Revocations {
    /// None, and none is kept.
    #[must_use]
    pub fn passing() -> Revocations {
        let (any, lost, changes) = (AtomicBool::new(false), AtomicBool::new(false), watch::Sender::new(()));
        Revocations { index: RwLock::default(), any, lost, changes, store: OnceLock::new(), writing: Mutex::new(()) }
    }

    /// Takes in those of the store, and keeps whatever comes in it. Blocks.
    ///
    /// # Errors
    /// [`RevokeError::Read`], [`RevokeError::Garbled`]: then nobody may be let in.
    pub fn keep_in(&self, store: Arc<Store>) -> Result<(), RevokeError> {
        let mut index = self.write();
        for row in store.all(Table::Revocations).map_err(RevokeError::Read)? {
            let revocation = Revocation::read(row.value).ok_or(RevokeError::Garbled)?;
            index.insert(revocation.target.name(), Entry::of(&revocation, row.until));
        }
        self.any.store(!index.is_empty(), Ordering::Release);
        drop(index);
        // A second store changes nothing: the first has all there are.
        let _first = self.store.set(store);
        Ok(())
    }

    /// Takes these in the place of all there were, for as long as they stand there: of a file that others write.
    pub fn replace(&self, all: &[Revocation]) {
        let kept = |one: &Revocation| (one.target.name(), Entry::of(one, UNIX_EPOCH + FOR_EVER));
        let mut index = self.write();
        *index = all.iter().map(kept).collect();
        self.any.store(!index.is_empty(), Ordering::Release);
        self.lost.store(false, Ordering::Release);
        drop(index);
        self.changes.send_replace(());
    }

    /// Nobody can say any more what is revoked: everybody is, until [`Revocations::replace`].
    pub fn lose(&self) {
        self.lost.store(true, Ordering::Release);
        self.any.store(true, Ordering::Release);
        self.changes.send_replace(());
    }

    /// Revokes: at once for every request and stream, then for good. What was revoked later stays so.
    ///
    /// # Errors
    /// [`RevokeError`]; of those, [`RevokeError::Full`], [`RevokeError::Name`] and [`RevokeError::Reason`] leave nothing in force.
    pub async fn revoke(&self, revocation: Revocation, lifetime_max: Duration) -> Result<(), RevokeError> {
        if !revocation.target.is_nameable() {
            return Err(RevokeError::Name);
        }
        if revocation.reason.len() > REASON_BYTES_MAX || revocation.by.len() > NAME_BYTES_MAX {
            return Err(RevokeError::Reason);
        }
        let (name, until) = (revocation.target.name(), revocation.matters_until(lifetime_max));
        if !self.enforce(name, &revocation, until)? {
            return Ok(());
        }
        let Some(store) = self.store.get().cloned() else { return Ok(()) };
        let writing = self.writing.lock().await;
        // Another one may have come in between, and says more.
        if self.read().get(&name).is_some_and(|known| known.says_more_than(&revocation)) {
            return Ok(());
        }
        let value = revocation.written();
        let written = tokio::task::spawn_blocking(move || store.put(Table::Revocations, &name, value.bytes(), until));
        let written = written.await.map_err(|_| RevokeError::CutOff)?.map_err(RevokeError::Store);
        drop(writing);
        written
    }

    /// Puts it in force. False: what was revoked before says more.
    fn enforce(&self, name: Name, revocation: &Revocation, until: SystemTime) -> Result<bool, RevokeError> {
        let mut index = self.write();
        // Issuers send one for each logout. Room is kept for what an operator revokes.
        let most = if revocation.by == OPERATOR { ENTRIES_MAX } else { ENTRIES_MAX - RESERVED };
        if index.len() >= most && !index.contains_key(&name) {
            return Err(RevokeError::Full);
        }
        let entry = index.entry(name).or_insert_with(|| Entry::of(revocation, until));
        entry.until = entry.until.max(until);
        if entry.says_more_than(revocation) {
            return Ok(false);
        }
        entry.at = Entry::of(revocation, until).at;
        drop(index);
        self.any.store(true, Ordering::Release);
        self.changes.send_replace(());
        Ok(true)
    }

    /// Forgets what no token can be touched by any more. Blocks.
    pub fn sweep(&self, now: SystemTime) {
        let over: Vec<Name> =
            self.read().iter().filter(|(_, entry)| entry.until <= now).map(|(name, _)| *name).collect();
        // In portions: requests look things up meanwhile.
        for portion in over.chunks(PORTION) {
            let mut index = self.write();
            for name in portion {
                if index.get(name).is_some_and(|entry| entry.until <= now) {
                    index.remove(name);
                }
            }
            self.any.store(!index.is_empty() || self.lost.load(Ordering::Acquire), Ordering::Release);
        }
        if let Some(Err(error)) = self.store.get().map(|store| store.sweep(now)) {
            tracing::warn!(error = %error, "what is revoked no more could not be removed from the store");
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.read().len()
    }

    /// Those that are kept, the latest first, and at most `most` of them. Blocks.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn list(&self, most: usize) -> Result<Vec<Revocation>, RevokeError> {
        let Some(store) = self.store.get() else { return Ok(Vec::new()) };
        let rows = store.all(Table::Revocations).map_err(RevokeError::Read)?;
        let read = |row: sekisho_store::Entry| Revocation::read(row.value).ok_or(RevokeError::Garbled);
        let mut all: Vec<Revocation> = rows.into_iter().map(read).collect::<Result<_, _>>()?;
        all.sort_by(|one, other| other.at.cmp(&one.at).then_with(|| one.target.name().cmp(&other.target.name())));
        all.truncate(most);
        Ok(all)
    }

    /// Whether a credential is revoked.
    #[must_use]
    pub fn cover(&self, credential: &Credential) -> bool {
        self.check(credential).is_err()
    }

    /// Whether what an issuer granted to a user and their client at that time is revoked: by any of them, by its session, or with
    /// everything. Where nobody can say, it is.
    #[must_use]
    pub fn cover_grant(&self, issuer: &str, (subject, client): (&str, &str), session: &str, since: SystemTime) -> bool {
        self.cover(&Credential::new(&CredentialFacts {
            issuer,
            subject,
            client,
            id: None,
            issuer_session: Some(session),
            key_id: None,
            issued_from: since,
        }))
    }

    /// Tells of every change. Whoever holds a stream looks again then.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Whether a credential still counts.
    pub(crate) fn check(&self, credential: &Credential) -> Result<(), TokenError> {
        if !self.any.load(Ordering::Acquire) {
            return Ok(());
        }
        if self.lost.load(Ordering::Acquire) {
            return Err(TokenError::RevocationsUnknown);
        }
        let index = self.read();
        let mut found = credential.names.iter().filter_map(|name| index.get(name));
        let revoked = found.any(|entry| entry.at.is_none_or(|at| credential.issued_from <= at));
        if revoked { Err(TokenError::Revoked) } else { Ok(()) }
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<Name, Entry>> {
        // Nothing between lock and unlock panics.
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<Name, Entry>> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn of(revocation: &Revocation, until: SystemTime) -> Entry {
        Entry { at: (!revocation.target.is_for_ever()).then_some(revocation.at), until }
    }

    fn says_more_than(&self, revocation: &Revocation) -> bool {
        self.at.is_some_and(|at| at > revocation.at)
    }
}

impl Target {
    /// What it is called in the store, on the command line and in records.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Target::Token { .. } => "token",
            Target::Subject { .. } => "subject",
            Target::Client { .. } => "client",
            Target::IssuerSession { .. } => "issuer-session",
            Target::Key { .. } => "key",
            Target::Issuer { .. } => "issuer",
            Target::Everything => "everything",
        }
    }

    /// The issuer and the name at it; empty where it has none.
    #[must_use]
    pub fn names(&self) -> (&str, &str) {
        match self {
            Target::Token { issuer, id } | Target::IssuerSession { issuer, id } | Target::Key { issuer, id } => {
                (issuer, id)
            }
            Target::Subject { issuer, subject } => (issuer, subject),
            Target::Client { issuer, client } => (issuer, client),
            Target::Issuer { issuer } => (issuer, ""),
            Target::Everything => ("", ""),
        }
    }

    /// The target of these words; none if there is no such kind.
    #[must_use]
    pub fn of(kind: &str, issuer: &str, name: &str) -> Option<Target> {
        let (issuer, name) = (issuer.to_owned(), name.to_owned());
        Some(match kind {
            "token" => Target::Token { issuer, id: name },
            "subject" => Target::Subject { issuer, subject: name },
            "client" => Target::Client { issuer, client: name },
            "issuer-session" => Target::IssuerSession { issuer, id: name },
            "key" => Target::Key { issuer, id: name },
            "issuer" => Target::Issuer { issuer },
            "everything" => Target::Everything,
            _ => return None,
        })
    }

    /// Whether a legacy session of this principal goes with it. A token and a key do not tell whose.
    pub(crate) fn touches(&self, who: &Principal) -> bool {
        match self {
            Target::Token { .. } | Target::Key { .. } => false,
            Target::Subject { issuer, subject } => *who.issuer == **issuer && *who.subject == **subject,
            Target::Client { issuer, client } => *who.issuer == **issuer && *who.client == **client,
            Target::IssuerSession { issuer, id } => {
                *who.issuer == **issuer
                    && who.claims.get("sid").is_some_and(|sid| sid.string().as_deref() == Some(id.as_str()))
            }
            Target::Issuer { issuer } => *who.issuer == **issuer,
            Target::Everything => true,
        }
    }

    fn is_nameable(&self) -> bool {
        let (issuer, name) = self.names();
        let fits = |text: &str| (1..=NAME_BYTES_MAX).contains(&text.len());
        match self {
            Target::Everything => true,
            Target::Issuer { .. } => fits(issuer),
            Target::Token { .. }
            | Target::Subject { .. }
            | Target::Client { .. }
            | Target::IssuerSession { .. }
            | Target::Key { .. } => fits(issuer) && fits(name),
        }
    }

    /// Whether it is about whatever will be, too.
    fn is_for_ever(&self) -> bool {
        match self {
            // No identifier of a session is used again.
            Target::Token { .. } | Target::Key { .. } | Target::IssuerSession { .. } => true,
            Target::Subject { .. } | Target::Client { .. } | Target::Issuer { .. } | Target::Everything => false,
        }
    }

    fn name(&self) -> Name {
        let (issuer, name) = self.names();
        named(self.kind(), issuer, name)
    }
}

impl Credential {
    /// What these facts of a token are looked up by.
    pub(crate) fn new(facts: &CredentialFacts<'_>) -> Credential {
        let CredentialFacts { issuer, subject, client, id, issuer_session, key_id, issued_from } = *facts;
        let mut names =
            vec![named("everything", "", ""), named("issuer", issuer, ""), named("subject", issuer, subject)];
        if !client.is_empty() {
            names.push(named("client", issuer, client));
        }
        for (kind, value) in [("token", id), ("issuer-session", issuer_session), ("key", key_id)] {
            names.extend(value.map(|value| named(kind, issuer, value)));
        }
        Credential { names: names.into(), issued_from }
    }

    /// As one word: digests and a time, by which nobody learns whose it is. For whoever asks another process.
    #[must_use]
    pub fn written(&self) -> String {
        let issued = self.issued_from.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let names = self.names.iter().map(|name| URL_SAFE_NO_PAD.encode(name));
        names.fold(issued.to_string(), |word, name| word + "." + &name)
    }

    /// The same again; none if it is no such word.
    #[must_use]
    pub fn read(word: &str) -> Option<Credential> {
        let mut parts = word.split('.').take(NAMES_MAX + 2);
        let issued_from = UNIX_EPOCH.checked_add(Duration::from_secs(parts.next()?.parse().ok()?))?;
        let names = parts.map(|name| URL_SAFE_NO_PAD.decode(name).ok()?.try_into().ok());
        let names: Box<[Name]> = names.collect::<Option<_>>()?;
        (1..=NAMES_MAX).contains(&names.len()).then_some(Credential { names, issued_from })
    }
}

/// What a token says that it can be revoked by.
#[derive(Clone, Copy)]
pub(crate) struct CredentialFacts<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) client: &'a str,
    pub(crate) id: Option<&'a str>,
    pub(crate) issuer_session: Option<&'a str>,
    pub(crate) key_id: Option<&'a str>,
    pub(crate) issued_from: SystemTime,
}

impl Revocation {
    /// Until when a token may be around that it touches, where none is accepted that lives longer than `lifetime_max`; at least a week,
    /// as that may be raised. A key can sign new ones for ever.
    fn matters_until(&self, lifetime_max: Duration) -> SystemTime {
        let skew = Duration::from_secs(2 * u64::from(CLOCK_SKEW_SECONDS_MAX));
        let longest = lifetime_max.max(KEPT_MIN).saturating_add(skew);
        let for_ever = UNIX_EPOCH + FOR_EVER;
        match &self.target {
            Target::Key { .. } => for_ever,
            Target::Token { .. }
            | Target::Subject { .. }
            | Target::Client { .. }
            | Target::IssuerSession { .. }
            | Target::Issuer { .. }
            | Target::Everything => self.at.checked_add(longest).unwrap_or(for_ever),
        }
    }

    pub(crate) fn written(&self) -> Json {
        let (issuer, name) = self.target.names();
        let at = self.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Object::new()
            .text("what", self.target.kind())
            .text("issuer", issuer)
            .text("name", name)
            .unsigned("at_ms", u64::try_from(at.as_millis()).unwrap_or(u64::MAX))
            .text("reason", &self.reason)
            .text("by", &self.by)
            .finish()
    }

    fn read(row: Vec<u8>) -> Option<Revocation> {
        Revocation::of(&Json::decode(Bytes::from(row), &ROW).ok()?)
    }

    pub(crate) fn of(row: &Json) -> Option<Revocation> {
        let text = |member: &str| row.get(member)?.string().map(String::from);
        let at = u64::try_from(row.get("at_ms")?.number()?.integer()?).ok()?;
        Some(Revocation {
            target: Target::of(&text("what")?, &text("issuer")?, &text("name")?)?,
            at: UNIX_EPOCH.checked_add(Duration::from_millis(at))?,
            reason: text("reason")?,
            by: text("by")?,
        })
    }
}

/// Each part goes in with its length, so that no two names run into the same bytes.
fn named(kind: &str, issuer: &str, name: &str) -> Name {
    let length = |part: &str| u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes();
    let lengths = (length(kind), length(issuer));
    sha256(&[&lengths.0, kind.as_bytes(), &lengths.1, issuer.as_bytes(), name.as_bytes()])
}

/// Longest issuer or name that can be revoked, in bytes: what a token may have, too.
const NAME_BYTES_MAX: usize = 1024;
/// How many names a credential has at most.
const NAMES_MAX: usize = 7;
/// LIMIT: revocations that are remembered.
pub const ENTRIES_MAX: usize = 500_000;
/// Of those, kept free for the operator.
const RESERVED: usize = 10_000;
/// LIMIT: longest reason, in bytes.
const REASON_BYTES_MAX: usize = 1024;
/// Shortest time that a revocation is remembered.
const KEPT_MIN: Duration = Duration::from_secs(7 * 24 * 3600);
/// How many are removed at once.
const PORTION: usize = 1000;
/// Room for four texts of the longest kind, each byte of them escaped.
const ROW: Limits = Limits { bytes_max: 32 * 1024, depth_max: 2, nodes_max: 16 };
/// The end of the year 9999.
const FOR_EVER: Duration = Duration::from_secs(253_402_300_799);
