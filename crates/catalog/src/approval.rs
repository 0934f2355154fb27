//! What people approved, and what becomes of the rest.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use sekisho_wire::{ListKind, ServerId};

use crate::change::Flaw;
use crate::config::{ServerConfig, Transport};
use crate::definition::{DefinitionDigest, Pinned};
use crate::lineage::{Face, Kin};
use crate::lock::{Identity, Introduction, Lock, Locked, Pin, ProgramDigest};
use crate::rules::{Mark, Neighbours, Rules};

/// What people approved of all servers, as a catalog is made of it.
#[derive(Debug, Default)]
pub struct Approvals {
    lock: Lock,
    programs: BTreeMap<String, ProgramDigest>,
    unapproved: Unapproved,
}

/// What becomes of a definition that nobody has approved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unapproved {
    /// It is withheld.
    #[default]
    Withheld,
    /// The first one that is seen under a name counts as approved, until the process ends or the server is another one.
    TrustedOnFirstUse,
}

impl Approvals {
    /// These. `programs`: of the servers whose command names a file that is their program, by name.
    #[must_use]
    pub fn new(lock: Lock, programs: BTreeMap<String, ProgramDigest>, unapproved: Unapproved) -> Approvals {
        Approvals { lock, programs, unapproved }
    }

    /// None, and whatever is seen first counts as approved.
    #[must_use]
    pub fn of_first_use() -> Approvals {
        Approvals { unapproved: Unapproved::TrustedOnFirstUse, ..Approvals::default() }
    }

    /// What is in the lock file.
    #[must_use]
    pub fn lock(&self) -> &Lock {
        &self.lock
    }

    /// Who a server of this configuration is now.
    pub(crate) fn identity(&self, name: &str, config: &ServerConfig, transport: &Transport) -> Identity {
        Identity::of(config, transport, self.programs.get(name).copied())
    }

    pub(crate) fn of(&self, id: &ServerId, identity: &Identity, config: &ServerConfig) -> Approval {
        let locked = self.lock.server(id);
        let stranger = locked.and_then(|locked| identity.differs_from(locked.identity()));
        Approval {
            locked: locked.cloned().map(Arc::new),
            stranger: stranger.map(String::into_boxed_str),
            unapproved: self.unapproved,
            open: config.unpinned_resources.iter().map(|prefix| prefix.as_str().into()).collect(),
            kin: Default::default(),
        }
    }
}

/// What is approved of one server.
#[derive(Debug, Default)]
pub(crate) struct Approval {
    locked: Option<Arc<Locked>>,
    stranger: Option<Box<str>>,
    unapproved: Unapproved,
    open: Vec<Box<str>>,
    /// What is approved of each kind, to know a thing again that was renamed; made when something is not approved.
    kin: [OnceLock<Kin>; 4],
}

impl PartialEq for Approval {
    fn eq(&self, other: &Approval) -> bool {
        // The rest follows from these.
        self.locked == other.locked
            && self.stranger == other.stranger
            && self.unapproved == other.unapproved
            && self.open == other.open
    }
}

/// What becomes of a definition.
#[derive(Debug)]
pub(crate) enum Judgement {
    /// It is approved: this is the definition to use.
    Approved(Pinned),
    /// It is, if no other one was used under its name before.
    FirstUse(Pinned),
    /// Another one is approved, which has this digest.
    Differs(DefinitionDigest),
    /// It is not used.
    Withheld(Flaw),
}

impl Approval {
    /// What becomes of a definition that was seen. `neighbours`: what other servers offer, where nobody has looked at all of it.
    pub(crate) fn judge(&self, kind: ListKind, seen: Pinned, neighbours: &Neighbours) -> Judgement {
        if let Some(why) = &self.stranger {
            return Judgement::Withheld(Flaw::Stranger(why.clone()));
        }
        let pins = self.pins(kind, seen.name());
        if let Some(pin) = pins.iter().find(|pin| pin.pinned().digest() == seen.digest()) {
            // Whoever approved it saw what the rules marked then; those of this release may mark more.
            // What others offer besides is no fault of it.
            let marked = marked(kind, pin.pinned(), pin.accepted(), &Neighbours::none());
            return marked.map_or_else(|| Judgement::Approved(pin.pinned().clone()), Judgement::Withheld);
        }
        if let Some(pin) = pins.first() {
            return Judgement::Differs(pin.pinned().digest());
        }
        let is_open = kind == ListKind::Resources && self.open.iter().any(|prefix| seen.name().starts_with(&**prefix));
        if !is_open && self.unapproved == Unapproved::Withheld {
            // What a rule marks is more than something that nobody has looked at yet.
            let flaw = marked(kind, &seen, &[], neighbours).unwrap_or_else(|| self.unknown(kind, &seen));
            return Judgement::Withheld(flaw);
        }
        match marked(kind, &seen, &[], neighbours) {
            Some(flaw) => Judgement::Withheld(flaw),
            None if is_open => Judgement::Approved(seen),
            None => Judgement::FirstUse(seen),
        }
    }

    /// Whether a server may say this of itself.
    pub(crate) fn judge_introduction(&self, said: &Introduction) -> Result<(), Flaw> {
        if let Some(why) = &self.stranger {
            return Err(Flaw::Stranger(why.clone()));
        }
        if said.said().bytes().len() > INTRODUCTION_BYTES_MAX {
            return Err(Flaw::TooLong);
        }
        let approved = self.locked.as_ref().map(|locked| locked.introductions()).unwrap_or_default();
        let known = approved.iter().find(|known| known.digest() == said.digest());
        let accepted = known.map(Introduction::accepted).unwrap_or_default();
        if let Some(Mark { rule, at, why, .. }) = said.unaccepted(accepted) {
            return Err(Flaw::Marked { rule, at, why });
        }
        match (known, approved.first(), self.unapproved) {
            (Some(_), _, _) | (None, None, Unapproved::TrustedOnFirstUse) => Ok(()),
            (None, Some(other), _) => Err(Flaw::Changed { approved: other.digest() }),
            (None, None, Unapproved::Withheld) => Err(Flaw::Unapproved),
        }
    }

    /// Why nothing of the server may be used at all, be it listed or not.
    pub(crate) fn refuses_all(&self) -> Option<Flaw> {
        if let Some(why) = &self.stranger {
            return Some(Flaw::Stranger(why.clone()));
        }
        (self.locked.is_none() && self.unapproved == Unapproved::Withheld).then_some(Flaw::Unapproved)
    }

    /// Whether the same is approved under a name as was before.
    pub(crate) fn is_as_before(&self, before: &Approval, kind: ListKind, name: &str) -> bool {
        self.unapproved == before.unapproved
            && self.stranger == before.stranger
            && (kind != ListKind::Resources || self.open == before.open)
            && self.pins(kind, name) == before.pins(kind, name)
    }

    /// What is approved under a name, if this is not: whatever else is wrong with it, it changed.
    pub(crate) fn differs(&self, kind: ListKind, name: &str, digest: DefinitionDigest) -> Option<DefinitionDigest> {
        let pins = self.pins(kind, name);
        let is_other = self.stranger.is_none() && !pins.iter().any(|pin| pin.pinned().digest() == digest);
        pins.first().filter(|_| is_other).map(|pin| pin.pinned().digest())
    }

    /// Whether anything is approved under a name.
    pub(crate) fn names(&self, kind: ListKind, name: &str) -> bool {
        !self.pins(kind, name).is_empty()
    }

    /// Whether this very definition is in the lock file.
    pub(crate) fn has(&self, kind: ListKind, name: &str, digest: DefinitionDigest) -> bool {
        self.pins(kind, name).iter().any(|pin| pin.pinned().digest() == digest)
    }

    fn pins(&self, kind: ListKind, name: &str) -> &[Pin] {
        self.locked.as_ref().map(|locked| locked.named(kind, name)).unwrap_or_default()
    }

    pub(crate) fn locked(&self) -> Option<&Locked> {
        self.locked.as_deref()
    }

    /// Whether definitions may be used that nobody has looked at.
    pub(crate) fn uses_what_nobody_saw(&self) -> bool {
        self.unapproved == Unapproved::TrustedOnFirstUse
    }

    fn unknown(&self, kind: ListKind, seen: &Pinned) -> Flaw {
        let Some(locked) = &self.locked else { return Flaw::Unapproved };
        let [tools, prompts, resources, templates] = &self.kin;
        let kin = match kind {
            ListKind::Tools => tools,
            ListKind::Prompts => prompts,
            ListKind::Resources => resources,
            ListKind::Templates => templates,
        };
        let face = |pinned: &Pinned| Face::of(kind, pinned.json());
        let known = || locked.pins(kind).map(|pin| (pin.pinned().name().into(), face(pin.pinned())));
        match kin.get_or_init(|| Kin::of(known())).nearest(&face(seen)) {
            Some((like, _)) => Flaw::Renamed { like: like.into() },
            None => Flaw::Unapproved,
        }
    }
}

/// The first rule that withholds a definition and that it was not approved despite.
fn marked(kind: ListKind, definition: &Pinned, accepted: &[Box<str>], neighbours: &Neighbours) -> Option<Flaw> {
    let marks = Rules::standard().look(kind, definition.json(), neighbours);
    let Mark { rule, at, why, .. } = marks.into_iter().find(|mark| mark.withholds_despite(accepted))?;
    Some(Flaw::Marked { rule, at, why })
}

/// LIMIT: what a server says of itself.
const INTRODUCTION_BYTES_MAX: usize = 256 * 1024;
