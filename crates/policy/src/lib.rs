//! **May they?** [`Authorized`] is the proof on the way in, [`Releasable`] on the way back.
//!
//! The room never waits, never reads, and never skips a policy that errs. What no policy permits is forbidden,
//! and one function decides calls and lists alike: a list is a call whose arguments are not known yet.
//!
//! A rule that reads an argument reads the one the server will see, or nothing is decided: an argument in a
//! form that the rule does not read is refused as [`ForbidReason::Undecidable`].
//!
//! Of all policies a question meets those whose scope can match it, and an answer is remembered by exactly what they read; where
//! they read arguments, or the time otherwise than beside a fixed one, each call is evaluated.
//!
//! Whoever is refused is told what would help, if a policy proposes it and the policies would permit the request then: a [`Challenge`].
//! Groups that a token leaves out are unknown, and not none: what depends on them is refused.
//!
//! *Depth still missing*: approval challenges, risk, analysis, replay, synthesis; nested arguments; a listed tool may still be unreachable where only its schema keeps
//! a rule from ever matching.
#![forbid(unsafe_code)]

mod arguments;
mod asks;
mod caller;
mod config;
mod decide;
mod entities;
mod evaluate;
mod explain;
mod inputs;
mod listen;
mod load;
mod memory;
mod pages;
mod proposal;
mod reads;
mod release;
mod residual;
mod slice;
mod step_up;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use sekisho_catalog::{Addressed, Ear};
use sekisho_flow::{Labelled, Labels};
use sekisho_guard::{Finding, Maskable, Masked, Obligation, Obliged, Subject};
use sekisho_identity::Principal;
use sekisho_wire::{Askable, Endpoint, Era, Filter, FromServer, ServerId};

pub use config::Config;
pub use entities::Origin;
pub use load::{LoadError, Problem, SCHEMA, consent_policies};

use entities::Vocabulary;
use memory::Memory;
use pages::Pages;
use slice::Slices;

/// The proof that a policy permits this request.
pub struct Authorized {
    message: Labelled,
    basis: Basis,
    obligations: Vec<Obligation>,
    listed: Vec<Listed>,
    askable: Askable,
    listening: Vec<Ear>,
}

impl Authorized {
    /// The request.
    #[must_use]
    pub fn message(&self) -> &Labelled {
        &self.message
    }

    /// The addressed message inside.
    #[must_use]
    pub fn addressed(&self) -> &Addressed {
        self.message.message().message().message()
    }

    /// Which policies decided.
    #[must_use]
    pub fn basis(&self) -> &Basis {
        &self.basis
    }

    /// What may be listened to: of those servers that may be, what was asked for and is permitted.
    #[must_use]
    pub fn listening(&self) -> &[Ear] {
        &self.listening
    }

    /// What the one server may ask of the client.
    #[must_use]
    pub fn askable(&self) -> Askable {
        self.askable
    }

    /// What the way back needs to know of this request.
    #[must_use]
    pub fn facts(&self) -> Facts {
        release::facts(self)
    }
}

impl Obliged for Authorized {
    fn obligations(&self) -> &[Obligation] {
        &self.obligations
    }
}

/// Which policies decided, by id, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Basis {
    /// Their ids. Shared: what is decided alike is decided by the same ones.
    pub policies: Arc<[Box<str>]>,
}

/// Plain facts about a permitted request, for the way back.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Who asked.
    pub who: Arc<Principal>,
    /// Through which door.
    pub endpoint: Endpoint,
    /// In which era.
    pub era: Era,
    /// What an answer is examined against.
    pub subject: Subject,
    /// The labels of the request.
    pub labels: Labels,
    /// The name of its method.
    pub method: &'static str,
    /// The one server that answers; none where the gateway does, or many do.
    pub server: Option<Origin>,
    /// The servers of a list; empty for anything else.
    pub listed: Vec<Listed>,
    /// What is listened to, of each server.
    pub listening: Vec<(ServerId, Filter)>,
    /// What that one server may ask of the client: what the client declares, as far as policies permit it.
    pub askable: Askable,
}

/// A server of a list.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Which.
    pub server: Origin,
    /// Whether its list may be shown.
    pub shown: Shown,
    /// What it may ask of the client.
    pub askable: Askable,
}

/// Whether a server's part of a list may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// The list of this server is permitted.
    Permitted,
    /// It is not: its items are withheld.
    Withheld,
}

/// What becomes of a request.
#[must_use]
pub enum Decision {
    /// It may go on.
    Permit(Authorized),
    /// It may go on once the caller does something more.
    Challenge(Box<Challenge>),
    /// It ends here.
    Forbid(Box<Forbidden>),
}

/// A request that ends here, and what its caller could do so that it would be permitted: the least that was found. A proof of nothing.
pub struct Challenge {
    /// Why it is refused.
    pub reason: ForbidReason,
    /// Scopes to ask for: those that are granted, and those that are needed. Empty: none are lacking.
    pub scopes: Vec<Box<str>>,
    /// Values of `acr` that would do, the preferred one first (RFC 9470).
    pub acr_values: Vec<Box<str>>,
    /// How long ago a login may be, in seconds (RFC 9470).
    pub max_age_s: Option<u32>,
    /// An authentication context of Entra ID, for a caller that can be told of one.
    pub context: Option<Box<str>>,
    /// What such a login is supposed to bring (`amr`). No client can be told that.
    pub methods: Vec<Box<str>>,
    /// The policies that propose it.
    pub basis: Basis,
    /// For the operator: what would permit it.
    pub needed: Box<str>,
    /// The request.
    pub message: Labelled,
}

impl Challenge {
    /// Whose request it is.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        self.message.message().message().message().message().principal()
    }
}

impl std::fmt::Debug for Challenge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Challenge")
            .field("reason", &self.reason)
            .field("scopes", &self.scopes)
            .field("acr_values", &self.acr_values)
            .field("max_age_s", &self.max_age_s)
            .field("context", &self.context)
            .field("basis", &self.basis)
            .finish_non_exhaustive()
    }
}

/// A request that ends here, and why.
pub struct Forbidden {
    /// Why.
    pub reason: ForbidReason,
    /// The policies that decided, or that erred.
    pub basis: Basis,
    /// For the operator: what would have permitted it.
    pub needed: Box<str>,
    /// The request.
    pub message: Labelled,
}

impl std::fmt::Debug for Forbidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forbidden")
            .field("reason", &self.reason)
            .field("basis", &self.basis)
            .field("needed", &self.needed)
            .finish_non_exhaustive()
    }
}

/// Why something does not go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForbidReason {
    /// No policy permits it: what is not permitted is forbidden.
    #[error("no policy permits it")]
    NoPermit,
    /// A policy forbids it; no permit changes that.
    #[error("a policy forbids it")]
    Forbidden,
    /// It depends on groups of the caller that the token leaves out, and nobody knows them.
    #[error("it depends on the caller's groups, and the token leaves them out")]
    GroupsUnknown,
    /// A policy could not be evaluated, and none is skipped.
    #[error("a policy could not be evaluated")]
    EvaluationFailed,
    /// The arguments do not fit what the tool or prompt declares.
    #[error("the arguments do not fit what is declared")]
    Arguments(Vec<Finding>),
    /// A mirrored header differs from the arguments (HT-24).
    #[error("a mirrored header differs from the arguments")]
    HeaderMismatch(Finding),
    /// A policy reads this argument, but not in the form that it has here; or a completion gives it two values.
    #[error("policies cannot read the argument `{0}` exactly: it has a form that they do not read, or two values")]
    Undecidable(Box<str>),
    /// The tool's schemas cannot be used, so that no call to it can be inspected. The words quote what its server
    /// wrote: they are for the operator, and the client is told nothing of them.
    #[error("the tool cannot be used: {0}")]
    ToolUnusable(Box<str>),
    /// The answer does not fit what the tool declares.
    #[error("the answer does not fit what the tool declares")]
    Answer(Vec<Finding>),
    /// A server asks the client for something that was not offered to it: the client did not declare it, no policy permits it
    /// whatever it is, or it asks where nothing may be asked.
    #[error("the server asks for something that was not offered to it")]
    NotOffered,
    /// A server tells what was not asked for, or what the caller may not know.
    #[error("the caller may not hear of it, or did not ask to")]
    NotTold,
    /// A server asks the client for something, and policies do not permit it.
    #[error("the policy does not permit what the server asks the client for")]
    Ask(Box<NotAsked>),
    /// What a server asks the client for may not be asked in this way.
    #[error("the server's question is not one that a client may be asked")]
    Question(Vec<Finding>),
}

/// A question of a server that policies do not permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAsked {
    /// Its method.
    pub method: &'static str,
    /// Why not.
    pub reason: ForbidReason,
    /// The policies that decided, or that erred.
    pub basis: Basis,
    /// For the operator: what would have permitted it.
    pub needed: Box<str>,
}

/// The proof that this answer may go back.
pub struct Releasable {
    message: FromServer,
    withheld: Vec<(Box<str>, ForbidReason)>,
    obligations: Vec<Obligation>,
    basis: Basis,
}

impl Releasable {
    /// Which policies permit what it asks of the client; none where it asks nothing.
    #[must_use]
    pub fn basis(&self) -> &Basis {
        &self.basis
    }

    /// The answer, without what is withheld.
    #[must_use]
    pub fn message(&self) -> &FromServer {
        &self.message
    }

    /// The items that are withheld, as `<server>/<name>`, each with the reason.
    #[must_use]
    pub fn withheld(&self) -> &[(Box<str>, ForbidReason)] {
        &self.withheld
    }
}

impl Obliged for Releasable {
    fn obligations(&self) -> &[Obligation] {
        &self.obligations
    }
}

impl Maskable for Releasable {
    fn content(&self) -> &FromServer {
        &self.message
    }

    fn masked(mut self, by: Masked) -> Releasable {
        self.message = by.into_message();
        self
    }
}

/// The room: policies that were validated, and the words they are written in.
pub struct Policy {
    vocabulary: Vocabulary,
    slices: Slices,
    memory: Memory,
    pages: Pages,
    ids: BTreeSet<Box<str>>,
    /// The ids of all resources that policies mean by name.
    resources: HashSet<String>,
}
