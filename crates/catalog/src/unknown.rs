//! Why a message addresses nothing.

use sekisho_wire::{ListKind, ServerId};

use crate::change::{Flaw, noun};

/// Why a message addresses nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// The endpoint names a server that is not configured.
    #[error("no server is called `{0}`")]
    Server(ServerId),
    /// The name was never seen on this server in this era, or stood more than once on the page that was seen last, which may
    /// have been another caller's: listing may help once (see [`Catalog::learn`]).
    #[error("no {} of that name was seen on `{server}`", noun(*kind))]
    NotSeen {
        /// Who might offer it.
        server: ServerId,
        /// What it would be.
        kind: ListKind,
        /// Its name: the server's own at the door of one server, the exposed one at the door of all.
        name: Box<str>,
    },
    /// What it names is withheld: it waits for an approval, or cannot be used.
    #[error("the {} is withheld", noun(*kind))]
    Withheld {
        /// Who offers it.
        server: ServerId,
        /// What it is.
        kind: ListKind,
        /// Its name as it was asked for: the server's own at the door of one server, the exposed one at the door of all.
        name: Box<str>,
        /// Why.
        #[source]
        why: Flaw,
    },
    /// The name has not the form of an exposed name.
    #[error("no {0} of that name is offered")]
    Name(&'static str),
    /// The URI has not the form of an exposed URI.
    #[error("no server offers that URI")]
    Uri,
    /// What should name a resource is no URI, hides characters, or climbs (`..`) (RE-01).
    #[error("that is no URI of a resource: it needs a scheme, visible characters, and no `..` in its path")]
    BadUri,
    /// The cursor was not given to this principal for this list, or a server of it is gone.
    #[error("the cursor is none of this list's")]
    Cursor,
    /// A method that needs one server, at the endpoint of all.
    #[error("the method is offered at `/s/<server>/mcp` only")]
    NeedsOneServer,
    /// A reply to a question that nobody asked, that was asked in another session, or that is answered.
    #[error("no server asked that")]
    NothingAsked,
    /// A client that does not declare the extension for tasks asks about one (modern, T6-02).
    #[error("the client does not declare `io.modelcontextprotocol/tasks`")]
    TasksUndeclared,
    /// No task of this principal has that name here.
    #[error("the caller has no such task")]
    Task,
    /// A request state that was not given to this principal for this very call, or was changed (MR-04).
    #[error("the request state is none of this call's")]
    State,
    /// A request state that is older than it may be.
    #[error("the request state has expired")]
    StateExpired,
    /// A request state that was used before, or is being used now.
    #[error("the request state was used before")]
    StateUsed,
    /// Too many request states were used lately for this one to be told from them.
    #[error("too many request states were used lately")]
    StatesBusy,
}
