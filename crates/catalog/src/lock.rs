//! `sekisho.lock`: what people approved of what servers offer. They commit it, as they do `Cargo.lock`.
//!
//! A definition that stands in it is used; one that differs from it, or does not stand in it, is withheld until it is approved.

mod identity;
mod introduction;
mod read;
mod write;

use std::collections::BTreeMap;

use sekisho_wire::{Json, ListKind, ServerId};

use crate::canonical::{exact, lasting};
use crate::change::Flaw;
use crate::definition::{DefinitionDigest, Pinned};

pub use identity::{Identity, Package, ProgramDigest};
pub use introduction::Introduction;
pub use read::LockError;

/// What is approved of every server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    servers: BTreeMap<ServerId, Locked>,
}

/// What is approved of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locked {
    identity: Identity,
    introductions: Vec<Introduction>,
    tools: Pins,
    prompts: Pins,
    resources: Pins,
    templates: Pins,
}

/// By name. More than one of a name: a server may define a thing otherwise in each of the protocol's eras.
type Pins = BTreeMap<Box<str>, Vec<Pin>>;

/// A definition that was approved.
#[derive(Debug, Clone)]
pub struct Pin {
    pinned: Pinned,
    accepted: Vec<Box<str>>,
}

impl PartialEq for Pin {
    fn eq(&self, other: &Pin) -> bool {
        self.pinned.digest() == other.pinned.digest() && self.accepted == other.accepted
    }
}

impl Eq for Pin {}

impl Pin {
    /// A definition as it is approved: what of it changes without meaning anything is left out.
    ///
    /// # Errors
    /// [`Flaw`]: it could not be used in any case.
    pub fn of(server: &ServerId, kind: ListKind, definition: &Json, accepted: Vec<Box<str>>) -> Result<Pin, Flaw> {
        let lasting = lasting(kind, definition);
        let digest = DefinitionDigest::of(kind, &lasting);
        // Sorted, so that what the lock file says does not hang on how a server writes.
        let sorted = Json::decode(exact(&lasting).into(), &read::LIMITS).map_err(|_| Flaw::TooLong)?;
        let pinned = Pinned::read(server, kind, &sorted, digest)?;
        Ok(Pin { pinned, accepted })
    }

    /// The definition.
    #[must_use]
    pub fn pinned(&self) -> &Pinned {
        &self.pinned
    }

    /// The same, approved despite these rules.
    #[must_use]
    pub fn accepting(self, accepted: Vec<Box<str>>) -> Pin {
        Pin { accepted, ..self }
    }

    /// The rules that it breaks and that it was approved despite.
    #[must_use]
    pub fn accepted(&self) -> &[Box<str>] {
        &self.accepted
    }
}

impl Locked {
    /// A server of which nothing is approved but who it is.
    #[must_use]
    pub fn new(identity: Identity) -> Locked {
        let (tools, prompts, resources, templates) = Default::default();
        Locked { identity, introductions: Vec::new(), tools, prompts, resources, templates }
    }

    /// Who it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What it may say of itself: one for each era in which that differs.
    #[must_use]
    pub fn introductions(&self) -> &[Introduction] {
        &self.introductions
    }

    /// Approves what it says of itself, in place of what it said before.
    pub fn introduce(&mut self, introductions: Vec<Introduction>) {
        self.introductions = introductions;
    }

    /// What is approved under a name.
    #[must_use]
    pub fn named(&self, kind: ListKind, name: &str) -> &[Pin] {
        self.of(kind).get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// All that is approved of a kind, in the order of names.
    pub fn pins(&self, kind: ListKind) -> impl Iterator<Item = &Pin> {
        self.of(kind).values().flatten()
    }

    /// How much is approved.
    #[must_use]
    pub fn count(&self) -> usize {
        ListKind::ALL.into_iter().map(|kind| self.pins(kind).count()).sum()
    }

    /// Approves definitions of one name in place of those that were. None: nothing of that name is approved any more.
    pub fn approve(&mut self, kind: ListKind, name: &str, pins: Vec<Pin>) {
        let of_kind = self.of_mut(kind);
        if pins.is_empty() {
            of_kind.remove(name);
        } else {
            of_kind.insert(name.into(), pins);
        }
    }

    /// The same under another identity.
    pub fn identify(&mut self, identity: Identity) {
        self.identity = identity;
    }

    fn of(&self, kind: ListKind) -> &Pins {
        match kind {
            ListKind::Tools => &self.tools,
            ListKind::Prompts => &self.prompts,
            ListKind::Resources => &self.resources,
            ListKind::Templates => &self.templates,
        }
    }

    fn of_mut(&mut self, kind: ListKind) -> &mut Pins {
        match kind {
            ListKind::Tools => &mut self.tools,
            ListKind::Prompts => &mut self.prompts,
            ListKind::Resources => &mut self.resources,
            ListKind::Templates => &mut self.templates,
        }
    }
}

impl Lock {
    /// Every server of which something is approved, in the order of names.
    pub fn servers(&self) -> impl Iterator<Item = (&ServerId, &Locked)> {
        self.servers.iter()
    }

    /// What is approved of a server.
    #[must_use]
    pub fn server(&self, id: &ServerId) -> Option<&Locked> {
        self.servers.get(id)
    }

    /// Approves a server in place of what was approved of it.
    pub fn put(&mut self, id: ServerId, locked: Locked) {
        self.servers.insert(id, locked);
    }

    /// Approves nothing of a server any more; whether something was.
    pub fn remove(&mut self, id: &ServerId) -> bool {
        self.servers.remove(id).is_some()
    }
}

/// LIMIT: definitions that are approved under one name: one for each era.
const FACES_MAX: usize = 2;

#[cfg(test)]
mod tests;
