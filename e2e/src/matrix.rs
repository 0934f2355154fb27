//! Which official client does what with which server through the gateway: every client, every server, every verb.
//!
//! A pair of a client and a server works in the era that both share. What a client or a server lacks there is declared, with the
//! reason ([`Client::lacks`], [`Server::ask`]); everything else has to work. So what stops working is a failure, and never a gap.

mod breaker;
mod client;
mod expect;
mod page;
mod run;
mod rust;
mod server;
mod table;
mod yard;

pub use client::{CLIENTS, Client};
pub use run::{Cell, Row, run};
pub use server::{SERVERS, Server};
pub use table::table;
pub use yard::Yard;

use crate::client::Era;

/// What a client can want of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Tools, prompts and resources are listed.
    List,
    /// A tool is called.
    Call,
    /// A resource is read.
    Read,
    /// A prompt is taken.
    Prompt,
    /// An argument is completed.
    Complete,
    /// The server asks the client's user.
    Elicit,
    /// The server asks the client's model.
    Sample,
    /// A resource is subscribed to, and a change of it is told.
    Subscribe,
    /// A call reports how far it is.
    Progress,
    /// A call is cancelled, and the server hears of it.
    Cancel,
    /// The stream of a call is taken up again after its connection broke off.
    Resume,
}

impl Verb {
    /// All of them, in the order in which they are tried.
    pub const ALL: [Self; 11] = [
        Self::List,
        Self::Call,
        Self::Read,
        Self::Prompt,
        Self::Complete,
        Self::Elicit,
        Self::Sample,
        Self::Subscribe,
        Self::Progress,
        Self::Cancel,
        Self::Resume,
    ];

    /// Its name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Call => "call",
            Self::Read => "read",
            Self::Prompt => "prompt",
            Self::Complete => "complete",
            Self::Elicit => "elicit",
            Self::Sample => "sample",
            Self::Subscribe => "subscribe",
            Self::Progress => "progress",
            Self::Cancel => "cancel",
            Self::Resume => "resume",
        }
    }
}

/// The eras that a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eras {
    /// Sessions and requests that describe themselves.
    Both,
    /// This one alone.
    Only(Era),
}

impl Eras {
    fn have(self, era: Era) -> bool {
        match self {
            Self::Both => true,
            Self::Only(only) => only == era,
        }
    }
}

/// The pairs that every test run looks at: each client, each server and each verb at least once. `cargo xtask matrix` looks at all.
pub const PART: [(&str, &str); 19] = [
    ("python legacy", "everything"),
    ("python auto", "fastmcp-http"),
    ("python 2026", "fixture-modern"),
    ("typescript v1", "fixture-legacy"),
    ("typescript v2 legacy", "fixture-http"),
    ("typescript v2 auto", "fixture-stdio"),
    ("typescript v2 2026", "git"),
    ("inspector legacy", "filesystem"),
    ("inspector auto", "time"),
    ("inspector 2026", "fetch"),
    ("rust legacy", "memory"),
    ("rust auto", "fastmcp-stdio"),
    ("rust 2026", "fixture-http"),
    ("python auto, stdio", "fixture-http"),
    ("typescript v1, stdio", "everything"),
    ("typescript v2 auto, stdio", "fixture-stdio"),
    ("inspector auto, stdio", "memory"),
    ("rust legacy, stdio", "fixture-stdio"),
    ("rust 2026, stdio", "fastmcp-http"),
];
