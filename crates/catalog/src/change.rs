//! What is new about a server's offers: for the record.

use std::fmt;

use sekisho_wire::headers::BadAnnotation;
use sekisho_wire::{ListKind, ServerId, text};

use crate::definition::DefinitionDigest;

/// Something about a server's offers that was not known before. Display gives it in words for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    server: ServerId,
    kind: ListKind,
    name: Box<str>,
    what: What,
}

/// What changed about a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It was seen for the first time.
    New {
        /// Which definition.
        digest: DefinitionDigest,
    },
    /// It differs from what was seen before, and is used from now on.
    Changed {
        /// The definition so far.
        old: DefinitionDigest,
        /// The definition from now on.
        new: DefinitionDigest,
    },
    /// It is withheld: neither listed nor callable.
    Withheld {
        /// Why.
        flaw: Flaw,
    },
    /// It and another one would have the same name at the door of all servers: both are withheld there.
    Collision {
        /// The other one's name.
        other: Box<str>,
        /// The name that both would have.
        exposed: Box<str>,
    },
}

/// Why a definition is withheld.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Its name stands more than once on one page: which one would a call mean?
    #[error("its name stands more than once in one list")]
    Duplicate,
    /// It lacks what the protocol requires, or something has the wrong type.
    #[error("it is not what the protocol says it is")]
    Malformed,
    /// Its name has characters that a reader does not see, or reads as if they were written out (`\u{202e}`).
    #[error("its name has hidden characters")]
    HiddenCharacters,
    /// Its `x-mcp-header` annotations cannot be used (HT-29).
    #[error("its `x-mcp-header` annotations cannot be used: {0}")]
    Annotation(BadAnnotation),
    /// It is longer than 256 KiB, or nests deeper than 256 levels, or its name is longer than 1 KiB (a URI: 8 KiB). Such a name
    /// is reported once for each list, cut; the rest is withheld as silently as it came.
    #[error("it is too long or nests too deep")]
    TooLong,
    /// The server has offered more than is remembered. Reported once; the rest is withheld as silently as it came.
    #[error("the server offers more than is remembered")]
    NoRoom,
}

impl Change {
    pub(crate) fn new(server: &ServerId, kind: ListKind, name: &str, what: What) -> Change {
        Change { server: server.clone(), kind, name: name.into(), what }
    }

    /// Whose definition.
    #[must_use]
    pub fn server(&self) -> &ServerId {
        &self.server
    }

    /// What it defines.
    #[must_use]
    pub fn kind(&self) -> ListKind {
        self.kind
    }

    /// Its name (or URI, or URI template), as the server says it; cut, and with an ellipsis, if it is too long to be remembered.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What changed.
    #[must_use]
    pub fn what(&self) -> &What {
        &self.what
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = noun(self.kind);
        match &self.what {
            What::New { digest } => write!(f, "{kind} seen for the first time: sha256 {digest}"),
            What::Changed { old, new } => write!(f, "{kind} changed: from sha256 {old} to sha256 {new}"),
            What::Withheld { flaw } => write!(f, "{kind} withheld: {flaw}"),
            What::Collision { other, exposed } => {
                let other = text::visible(other);
                write!(f, "{kind} withheld at the endpoint of all servers: it and `{other}` would both be `{exposed}`")
            }
        }
    }
}

/// The word for one thing of a list.
pub(crate) fn noun(kind: ListKind) -> &'static str {
    match kind {
        ListKind::Tools => "tool",
        ListKind::Prompts => "prompt",
        ListKind::Resources => "resource",
        ListKind::Templates => "resource template",
    }
}
