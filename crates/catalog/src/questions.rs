//! Questions of servers that are open (legacy): who may answer them, once, and under which id.
//!
//! The id is ours and means nothing outside the session that was asked: no other session's reply finds the question, and the
//! server's own id never reaches a client.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sekisho_identity::SessionKey;
use sekisho_wire::server::ServerRequest;
use sekisho_wire::{Id, ServerId};

use crate::parked::Asked;

/// The open questions.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    open: Mutex<Open>,
    last: AtomicI64,
}

/// By session, and then by our id of it. No empty ones.
type Open = HashMap<SessionKey, HashMap<i64, Arc<Question>>>;

/// A question that a server asked.
#[derive(Debug)]
pub struct Question {
    server: ServerId,
    id: Id,
    connection: u64,
    asked: Asked,
    answered: AtomicBool,
}

/// Keeps a question open. Once it is dropped, no reply finds the question.
#[derive(Debug)]
pub struct Asking {
    of: Arc<Questions>,
    session: SessionKey,
    number: i64,
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

    /// The connection that it was asked on.
    #[must_use]
    pub fn connection(&self) -> u64 {
        self.connection
    }

    /// What was asked.
    #[must_use]
    pub fn asked(&self) -> &Asked {
        &self.asked
    }

    /// Takes the one answer that there is. False if it was taken before.
    pub fn take(&self) -> bool {
        !self.answered.swap(true, Ordering::Relaxed)
    }
}

impl Questions {
    /// Opens a question of a server to a session.
    pub(crate) fn open(
        self: &Arc<Self>,
        session: SessionKey,
        server: &ServerId,
        request: &ServerRequest,
    ) -> Result<Asking, TooManyQuestions> {
        let question = Question {
            server: server.clone(),
            id: request.id.clone(),
            connection: request.connection,
            asked: Asked::of(&request.request),
            answered: AtomicBool::new(false),
        };
        let mut open = self.table();
        let own = open.entry(session).or_default();
        own.retain(|_, question| !question.answered.load(Ordering::Relaxed));
        if own.len() >= OPEN_MAX {
            return Err(TooManyQuestions);
        }
        let number = self.last.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        own.insert(number, Arc::new(question));
        Ok(Asking { of: Arc::clone(self), session, number })
    }

    /// The question that a session was asked under this id.
    pub(crate) fn find(&self, session: SessionKey, id: &Id) -> Option<Arc<Question>> {
        match id {
            Id::Integer(number) => self.table().get(&session)?.get(number).cloned(),
            Id::Text(_) => None,
        }
    }

    fn table(&self) -> MutexGuard<'_, Open> {
        // Nothing between lock and unlock panics.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asking {
    /// Whether it waits for its answer.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let open = self.of.table();
        let question = open.get(&self.session).and_then(|own| own.get(&self.number));
        question.is_some_and(|question| !question.answered.load(Ordering::Relaxed))
    }

    /// The id under which the client is asked.
    #[must_use]
    pub fn id(&self) -> Id {
        Id::Integer(self.number)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let mut open = self.of.table();
        let Some(own) = open.get_mut(&self.session) else { return };
        own.remove(&self.number);
        if own.is_empty() {
            open.remove(&self.session);
        }
    }
}

/// LIMIT: questions that are open to one session.
const OPEN_MAX: usize = 32;
