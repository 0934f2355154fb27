//! Why nothing came of it.

use std::borrow::Cow;
use std::fmt;

use sekisho_wire::{Sanitized, ServerId};

/// Why an exchange has no answer. A server's own JSON-RPC error is an answer, not this.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SendError {
    /// There is no connection and none can be made.
    #[error("{} cannot be reached: {}", .0.whom(), .0.why)]
    Unreachable(Trouble),
    /// The deadline of the exchange passed.
    #[error("{} did not answer in time: {}", .0.whom(), .0.why)]
    TimedOut(Trouble),
    /// It answered in no form of the protocol, or beyond a bound.
    #[error("{} answered what is not MCP: {}", .0.whom(), .0.why)]
    Garbled(Trouble),
    /// The caller's era is none of the server's. Nothing translates between eras.
    #[error("{} does not speak the caller's era: {}", .0.whom(), .0.why)]
    WrongEra(Trouble),
    /// The connection ended under the exchange; whether the server acted is not known.
    #[error("{} ended before it answered: {}", .0.whom(), .0.why)]
    Ended(Trouble),
    /// The server's connections, or the principal's share of them, are used up.
    #[error("too many connections to {}: {}", .0.whom(), .0.why)]
    Busy(Trouble),
    /// It refused the gateway's own credential. Never passed on as the gateway's own 401.
    #[error("{} refused the gateway's credential: {}", .0.whom(), .0.why)]
    Denied(Trouble),
}

/// What went wrong with which server, in words for the operator.
#[derive(Debug, Clone)]
pub struct Trouble {
    server: Option<ServerId>,
    why: Box<str>,
}

impl Trouble {
    /// The server; none where the message addresses none.
    #[must_use]
    pub fn server(&self) -> Option<&ServerId> {
        self.server.as_ref()
    }

    /// What went wrong. Visible characters only, bounded; never for the client.
    #[must_use]
    pub fn why(&self) -> &str {
        &self.why
    }

    fn whom(&self) -> String {
        self.server.as_ref().map_or_else(|| "no server".to_owned(), |server| format!("`{server}`"))
    }
}

impl SendError {
    /// The server and what went wrong.
    #[must_use]
    pub fn trouble(&self) -> &Trouble {
        match self {
            SendError::Unreachable(trouble)
            | SendError::TimedOut(trouble)
            | SendError::Garbled(trouble)
            | SendError::WrongEra(trouble)
            | SendError::Ended(trouble)
            | SendError::Busy(trouble)
            | SendError::Denied(trouble) => trouble,
        }
    }
}

/// What went wrong on a connection, before it is known which server that is.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    Unreachable(Cow<'static, str>),
    TimedOut(Cow<'static, str>),
    Garbled(Cow<'static, str>),
    WrongEra(Cow<'static, str>),
    Ended(Cow<'static, str>),
    Busy(Cow<'static, str>),
    Denied(Cow<'static, str>),
    /// The server has forgotten the session, so it did not process the request (HT-17).
    SessionLost,
}

impl Fault {
    pub(crate) fn of(self, server: &ServerId) -> SendError {
        self.about(Some(server))
    }

    /// The same where it may be that no server is addressed.
    pub(crate) fn about(self, server: Option<&ServerId>) -> SendError {
        let trouble = |why: &str| Trouble { server: server.cloned(), why: words(why) };
        match self {
            Fault::Unreachable(why) => SendError::Unreachable(trouble(&why)),
            Fault::TimedOut(why) => SendError::TimedOut(trouble(&why)),
            Fault::Garbled(why) => SendError::Garbled(trouble(&why)),
            Fault::WrongEra(why) => SendError::WrongEra(trouble(&why)),
            Fault::Ended(why) => SendError::Ended(trouble(&why)),
            Fault::Busy(why) => SendError::Busy(trouble(&why)),
            Fault::Denied(why) => SendError::Denied(trouble(&why)),
            Fault::SessionLost => SendError::Ended(trouble("its session was lost twice")),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Unreachable(why)
            | Fault::TimedOut(why)
            | Fault::Garbled(why)
            | Fault::WrongEra(why)
            | Fault::Ended(why)
            | Fault::Busy(why)
            | Fault::Denied(why) => f.write_str(why),
            Fault::SessionLost => f.write_str("its session was lost"),
        }
    }
}

/// The chain of an error's causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    for _ in 0..CAUSES_MAX {
        let Some(inner) = cause else { break };
        words.push_str(": ");
        words.push_str(&inner.to_string());
        cause = inner.source();
    }
    words
}

/// Text that a server may have written: cut, and its hidden characters made visible.
pub(crate) fn words(text: &str) -> Box<str> {
    let cut = text.get(..text.floor_char_boundary(WORDS_BYTES_MAX)).unwrap_or_default();
    Sanitized::new(&cut.replace(['\n', '\t'], " ")).as_str().into()
}

const WORDS_BYTES_MAX: usize = 300;
const CAUSES_MAX: usize = 8;
