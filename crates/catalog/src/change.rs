//! What is new about a server's offers: for the record.

use std::fmt;

use sekisho_wire::headers::BadAnnotation;
use sekisho_wire::{Json, ListKind, ServerId, text};

use crate::definition::DefinitionDigest;
use crate::rules::RuleId;

/// Something about a server's offers that was not known before. Display gives it in words for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    server: ServerId,
    kind: ListKind,
    name: Box<str>,
    what: What,
    definition: Option<Json>,
}

/// What changed about a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It was seen for the first time.
    New {
        /// Which definition.
        digest: DefinitionDigest,
    },
    /// It is withheld: neither listed nor callable.
    Withheld {
        /// Why.
        flaw: Flaw,
        /// Which definition.
        digest: DefinitionDigest,
    },
    /// The definition that was approved is shown again after another one: the server shows different ones to different callers, or
    /// goes back and forth. It stays withheld.
    Split {
        /// The definition that was approved.
        approved: DefinitionDigest,
        /// The other one that is shown.
        other: DefinitionDigest,
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
    /// It and another one would have the same name at the door of all servers.
    #[error("it and another one would have the same name there")]
    Collision,
    /// It is not in the lock file.
    #[error("nobody has approved it")]
    Unapproved,
    /// It is not in the lock file, and is much like a thing that is: a rename is a change.
    #[error("nobody has approved it, and it is much like `{like}`, which was approved")]
    Renamed {
        /// What it is like.
        like: Box<str>,
    },
    /// It is not the definition that was approved. It stays withheld, whatever its server shows then, until it is approved.
    #[error("it changed: the definition that was approved is sha256 {approved}")]
    Changed {
        /// The definition that was approved.
        approved: DefinitionDigest,
    },
    /// Its server shows the approved definition, too: to other callers, or by turns.
    #[error("its server shows different definitions of it; the one that was approved is sha256 {approved}")]
    Split {
        /// The definition that was approved.
        approved: DefinitionDigest,
    },
    /// It does more than define, and was not approved despite that.
    #[error("{why} ({rule} at `{at}`)")]
    Marked {
        /// Which rule marks it.
        rule: RuleId,
        /// Where: a JSON pointer into the definition.
        at: Box<str>,
        /// What the rule says.
        why: &'static str,
    },
    /// The server is not the one that was approved.
    #[error("its server is not the one that was approved: {0}")]
    Stranger(Box<str>),
}

impl Flaw {
    /// Whether an approval would mend it.
    #[must_use]
    pub fn waits_for_approval(&self) -> bool {
        match self {
            Flaw::Unapproved
            | Flaw::Renamed { .. }
            | Flaw::Changed { .. }
            | Flaw::Split { .. }
            | Flaw::Marked { .. }
            | Flaw::Stranger(_) => true,
            Flaw::Duplicate
            | Flaw::Malformed
            | Flaw::HiddenCharacters
            | Flaw::Annotation(_)
            | Flaw::TooLong
            | Flaw::NoRoom
            | Flaw::Collision => false,
        }
    }

    /// Whether it is how an attack would look, and not only something that nobody has looked at yet.
    #[must_use]
    pub fn is_alarming(&self) -> bool {
        match self {
            Flaw::Renamed { .. }
            | Flaw::Changed { .. }
            | Flaw::Split { .. }
            | Flaw::Marked { .. }
            | Flaw::Stranger(_)
            | Flaw::Duplicate
            | Flaw::HiddenCharacters => true,
            Flaw::Unapproved
            | Flaw::Malformed
            | Flaw::Annotation(_)
            | Flaw::TooLong
            | Flaw::NoRoom
            | Flaw::Collision => false,
        }
    }
}

impl Change {
    pub(crate) fn new(
        server: &ServerId,
        kind: ListKind,
        name: &str,
        (what, definition): (What, Option<Json>),
    ) -> Change {
        Change { server: server.clone(), kind, name: name.into(), what, definition }
    }

    /// The definition itself, for the record: of one that is in no lock file, where it could be read again.
    #[must_use]
    pub fn definition(&self) -> Option<&Json> {
        self.definition.as_ref()
    }

    /// Whether it is how an attack would look.
    #[must_use]
    pub fn is_alarming(&self) -> bool {
        match &self.what {
            What::New { .. } | What::Collision { .. } => false,
            What::Withheld { flaw, .. } => flaw.is_alarming(),
            What::Split { .. } => true,
        }
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
            What::Withheld { flaw, digest } => write!(f, "{kind} withheld: {flaw}; this one is sha256 {digest}"),
            What::Split { approved, other } => {
                write!(
                    f,
                    "{kind} stays withheld: its server shows two definitions of it, sha256 {approved}, which was approved, and sha256 {other}"
                )
            }
            What::Collision { other, exposed } => {
                let other = text::visible(other);
                write!(f, "{kind} withheld at the endpoint of all servers: it and `{other}` would both be `{exposed}`")
            }
        }
    }
}

/// The word for one thing of a list.
#[must_use]
pub fn noun(kind: ListKind) -> &'static str {
    match kind {
        ListKind::Tools => "tool",
        ListKind::Prompts => "prompt",
        ListKind::Resources => "resource",
        ListKind::Templates => "resource template",
    }
}
