//! Questions of servers that are open (legacy): who may answer them, once, and under which id.
//!
//! The id is ours and means nothing outside the session that was asked: no other session's reply finds the question, and the
//! server's own id never reaches a client. Nor does the token under which the server wants to hear of progress.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use sekisho_identity::SessionKey;
use sekisho_wire::server::{AskedOn, ServerRequest};
use sekisho_wire::{Id, ServerId};

use crate::parked::Asked;

/// The open questions.
#[derive(Debug, Default)]
pub(crate) struct Questions(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    /// By session, and then by our id of it. No empty ones.
    open: HashMap<SessionKey, HashMap<i64, Arc<Question>>>,
    /// Those that stay open by themselves, the first to expire at the front: each has the same time.
    standing: VecDeque<(Instant, SessionKey, i64)>,
    last: i64,
}

/// A question that a server asked.
#[derive(Debug)]
pub struct Question {
    server: ServerId,
    id: Id,
    on: AskedOn,
    token: Option<Id>,
    asked: Asked,
    until: Instant,
    answered: OnceLock<Instant>,
}

/// Keeps a question open. Once it is dropped, no reply finds the question, unless that belongs to the connection: then it is open
/// until its time has passed.
#[derive(Debug)]
pub struct Asking {
    of: Arc<Questions>,
    session: SessionKey,
    number: i64,
    standing: bool,
}

/// A session may not be asked more at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{OPEN_MAX} questions to one session are open already")]
pub struct TooManyQuestions;

impl Question {
    /// Who asked.
    #[must_use]
    pub fn server(&self) -> &ServerId {
        &self.server
    }

    /// The server's own id of it.
    #[must_use]
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// Where it was asked.
    #[must_use]
    pub fn on(&self) -> AskedOn {
        self.on
    }

    /// Under which the server wants to hear of progress, if it does.
    #[must_use]
    pub fn token(&self) -> Option<&Id> {
        self.token.as_ref()
    }

    /// What was asked.
    #[must_use]
    pub fn asked(&self) -> &Asked {
        &self.asked
    }

    /// Takes the one answer that there is. False if it was taken before.
    pub fn take(&self) -> bool {
        self.answered.set(Instant::now()).is_ok()
    }

    /// Until when whoever waits for what comes of it should wait: for the answer, or for what the server does with it, which may take
    /// `after`.
    #[must_use]
    pub fn awaited_until(&self, after: Duration) -> Instant {
        self.answered.get().map_or(self.until, |answered| *answered + after)
    }

    /// Whether it waits for its answer.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.answered.get().is_none() && Instant::now() < self.until
    }
}

impl Questions {
    /// Opens a question of a server to a session, until a time that is never before that of the one before.
    pub(crate) fn open(
        self: &Arc<Self>,
        session: SessionKey,
        server: &ServerId,
        request: &ServerRequest,
        until: Instant,
    ) -> Result<Asking, TooManyQuestions> {
        let token = request.request.params.get("_meta").and_then(|meta| meta.get("progressToken"));
        let question = Question {
            server: server.clone(),
            id: request.id.clone(),
            on: request.on,
            token: token.and_then(|token| Id::read(&token).ok()),
            asked: Asked::of(&request.request),
            until,
            answered: OnceLock::new(),
        };
        let mut table = self.table();
        table.forget_expired(Instant::now());
        let own = table.open.entry(session).or_default();
        // Those that are answered say how long to wait for what comes of them; there is not much room for that.
        if own.len() >= OPEN_MAX {
            own.retain(|_, question| question.is_open());
        }
        if own.len() >= OPEN_MAX {
            return Err(TooManyQuestions);
        }
        table.last = table.last.wrapping_add(1);
        let (number, standing) = (table.last, request.on.standing);
        table.open.entry(session).or_default().insert(number, Arc::new(question));
        if standing {
            table.standing.push_back((until, session, number));
        }
        Ok(Asking { of: Arc::clone(self), session, number, standing })
    }

    /// The question that a session was asked under this id.
    pub(crate) fn find(&self, session: SessionKey, id: &Id) -> Option<Arc<Question>> {
        let Id::Integer(number) = id else { return None };
        let found = self.table().open.get(&session)?.get(number).cloned();
        found.filter(|question| question.until > Instant::now())
    }

    /// Closes a question that its server takes back: the id that the client has for it, if it was open.
    pub(crate) fn withdraw(&self, session: SessionKey, server: &ServerId, id: &Id, connection: u64) -> Option<Id> {
        let mut table = self.table();
        let meant = |question: &Question| {
            question.is_open()
                && question.server == *server
                && question.id == *id
                && question.on.connection == connection
        };
        let (number, _) = table.open.get(&session)?.iter().find(|(_, question)| meant(question))?;
        let number = *number;
        table.remove(session, number);
        Some(Id::Integer(number))
    }

    /// Closes all questions to a session: it has ended.
    pub(crate) fn forget(&self, session: SessionKey) {
        let closed = self.table().open.remove(&session);
        closed.iter().flat_map(HashMap::values).for_each(|question| {
            question.take();
        });
    }

    /// Until when to wait for what comes of the questions of a server to a session; see [`Question::awaited_until`]. Those that belong
    /// to one exchange alone are known to it.
    pub(crate) fn awaited_until(&self, session: SessionKey, server: &ServerId, after: Duration) -> Option<Instant> {
        let table = self.table();
        let standing = |question: &&Arc<Question>| question.on.standing && question.server == *server;
        let own = table.open.get(&session)?.values().filter(standing);
        own.map(|question| question.awaited_until(after)).max().filter(|until| *until > Instant::now())
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing between lock and unlock panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn forget_expired(&mut self, now: Instant) {
        while let Some((_, session, number)) = self.standing.pop_front_if(|(until, ..)| *until <= now) {
            self.remove(session, number);
        }
    }

    /// Whoever waits for what comes of it waits no longer than if it had been answered now.
    fn remove(&mut self, session: SessionKey, number: i64) {
        let Some(own) = self.open.get_mut(&session) else { return };
        if let Some(question) = own.remove(&number) {
            question.take();
        }
        if own.is_empty() {
            self.open.remove(&session);
        }
    }
}

impl Asking {
    /// Whether it waits for its answer.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let table = self.of.table();
        let question = table.open.get(&self.session).and_then(|own| own.get(&self.number));
        question.is_some_and(|question| question.is_open())
    }

    /// The question, while it is kept.
    #[must_use]
    pub fn question(&self) -> Option<Arc<Question>> {
        self.of.table().open.get(&self.session)?.get(&self.number).cloned()
    }

    /// Closes it, whomever it belongs to.
    pub fn close(mut self) {
        self.standing = false;
    }

    /// The id under which the client is asked.
    #[must_use]
    pub fn id(&self) -> Id {
        Id::Integer(self.number)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if !self.standing {
            self.of.table().remove(self.session, self.number);
        }
    }
}

/// LIMIT: questions that are open to one session.
const OPEN_MAX: usize = 32;
