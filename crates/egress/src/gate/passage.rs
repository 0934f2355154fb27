//! What became of a connection, for the record.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::gate::budget::Budget;
use crate::gate::head::BadHead;
use crate::gate::hello::BadHello;
use crate::gate::rules::Via;

/// One connection to the gate, as it is told: once when something is about to go out for it, and once at its end, whatever that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// Its number at this gate, the same both times.
    pub number: u64,
    /// What was asked for, in one spelling, if it could be read.
    pub asked: Option<Asked>,
    /// What a rule lets through, if one permits it.
    pub via: Option<Via>,
    /// Where it goes: first the addresses that it may be connected to, then the one that it is.
    pub addresses: Vec<IpAddr>,
    /// What became of it.
    pub outcome: Outcome,
    /// Bytes that went out.
    pub bytes_up: u64,
    /// Bytes that came in.
    pub bytes_down: u64,
    /// For how long it has been there.
    pub duration: Duration,
}

/// Host and port that were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// A name in lower case or an address: at most 253 characters of `[a-z0-9._:-]`, and `[` and `]` around an IPv6 address.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// What became of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is permitted and about to be connected: nothing has gone out yet.
    Opened,
    /// It was carried until one of its ends closed it.
    Ended,
    /// It was carried and then cut by the gate.
    Cut(Cut),
    /// It was refused: not a byte of it went out.
    Refused(Refusal),
    /// It was permitted, and could not be carried.
    Failed(Failure),
}

/// Why the gate cut a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Cut {
    /// Nothing went either way for too long.
    #[error("nothing went either way for too long")]
    Idle,
    /// It lived for too long.
    #[error("it was open for too long")]
    Life,
    /// The bytes of an hour are used up.
    #[error("{0}")]
    Budget(Budget),
    /// What came up after it was connected is not what a rule lets through.
    #[error("{0}")]
    Hello(BadHello),
    /// The body of a request is not what its head says.
    #[error("the body of the request is malformed")]
    Body,
    /// Whoever runs the gate has ended it.
    #[error("the gate was closed")]
    Closed,
}

/// Why a connection was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// What it said is no request that a proxy takes.
    #[error("{0}")]
    Head(BadHead),
    /// No rule permits where it wants to go.
    #[error("no rule permits it")]
    NoRule,
    /// Where it wants to go has an address that it may not be connected to.
    #[error("{0}")]
    Address(AddressForbidden),
    /// A budget is used up.
    #[error("{0}")]
    Budget(Budget),
    /// What came through the tunnel first is not what a rule lets through.
    #[error("{0}")]
    Hello(BadHello),
    /// It could not be recorded.
    #[error("it could not be recorded")]
    NotRecorded,
}

/// Why an address may not be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressForbidden {
    /// It is loopback's, which only `localhost` or the address itself, listed as private, leads to.
    #[error("{0} is a loopback address")]
    Loopback(IpAddr),
    /// `localhost` leads elsewhere.
    #[error("{0} is not a loopback address, though `localhost` leads to it")]
    NotLoopback(IpAddr),
    /// It is in a private network, and the host is not listed as private.
    #[error("{0} is in a private network")]
    Private(IpAddr),
    /// It is link-local, a cloud's metadata service, or otherwise nothing that a server can be at.
    #[error("{0} is a special-purpose address")]
    Special(IpAddr),
    /// It is this machine's own, and the host is not listed as private.
    #[error("{0} is an address of this machine")]
    Own(IpAddr),
    /// It is the gateway itself.
    #[error("{0} is a port of the gateway itself")]
    OwnPort(SocketAddr),
    /// It cannot be known which addresses are this machine's own.
    #[error("the addresses of this machine cannot be read")]
    OwnUnknown,
}

/// Why a permitted connection could not be carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The name could not be resolved.
    #[error("the name could not be resolved")]
    Lookup(io::ErrorKind),
    /// The name has no address.
    #[error("the name has no address")]
    NoAddress,
    /// The name was not resolved in time.
    #[error("the name was not resolved in time")]
    LookupLate,
    /// None of the addresses could be connected to.
    #[error("the host could not be connected to ({0})")]
    Connect(io::ErrorKind),
    /// It broke off on the way.
    #[error("the connection broke off ({0})")]
    Broken(io::ErrorKind),
    /// The server's answer is no HTTP.
    #[error("the server's answer is no HTTP/1.1")]
    Answer,
    /// The client left before there was anything to carry.
    #[error("the client left before anything was sent")]
    Left,
}

/// Whoever records could not. Nothing goes out then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection could not be recorded")]
pub struct NotRecorded;

impl Outcome {
    /// One word for it, of a closed set: for labels and records.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Opened => "opened",
            Outcome::Ended => "ended",
            Outcome::Cut(_) => "cut",
            Outcome::Refused(_) => "refused",
            Outcome::Failed(_) => "failed",
        }
    }

    /// Why, where there is something to say. It has no text of the client's or the server's in it.
    #[must_use]
    pub fn why(&self) -> Option<String> {
        match self {
            Outcome::Opened | Outcome::Ended => None,
            Outcome::Cut(why) => Some(why.to_string()),
            Outcome::Refused(why) => Some(why.to_string()),
            Outcome::Failed(why) => Some(why.to_string()),
        }
    }
}
