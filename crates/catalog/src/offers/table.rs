//! What one server was seen to offer of one kind in one era.

use std::borrow::Cow;
use std::collections::HashMap;

use sekisho_wire::{Era, Json, ListKind, Remembered, ServerId, Sheet};

use super::{Known, Seen};
use crate::approval::Judgement;
use crate::change::{Flaw, What};
use crate::definition::{DefinitionDigest, Pinned, name_bytes_max};
use crate::names::exposed_name;

#[derive(Debug, Default)]
pub(super) struct Table {
    entries: HashMap<Box<str>, Entry>,
    /// Tools and prompts by the name they have at the door of all servers; more than one is a collision.
    exposed: HashMap<Box<str>, Vec<Box<str>>>,
    /// Length of all that is remembered: definitions and every copy of a name.
    bytes: usize,
    told_no_room: bool,
    told_long_name: bool,
    /// Which state of it this is: a new one whenever anything is changed.
    pub(super) state: u64,
    /// Pages that this state has nothing to learn from.
    pub(super) learned: Remembered<()>,
}

/// What is remembered under a name.
#[derive(Debug)]
struct Entry {
    state: State,
    /// The definition that was used first: where that is trusted, it stays the one that is.
    first: Option<DefinitionDigest>,
    /// How often something was said of it.
    told: usize,
}

#[derive(Debug)]
enum State {
    Offered(Pinned),
    /// `digest`: of the definition that was withheld, so that it is reported once.
    Withheld {
        flaw: Flaw,
        digest: DefinitionDigest,
    },
    Frozen(Frozen),
}

/// A name under which something else was seen than what was approved. It stays so whatever is seen then: else a server that shows the
/// one and the other by turns would have the other one used by turns.
#[derive(Debug, Clone)]
struct Frozen {
    approved: DefinitionDigest,
    /// What else was seen, the latest last; never empty.
    seen: Vec<DefinitionDigest>,
    /// Whether the approved one was seen since.
    split: bool,
}

/// A definition of a page, read and judged.
pub(super) struct Reading {
    pub(super) name: Box<str>,
    pub(super) digest: DefinitionDigest,
    pub(super) judged: Judgement,
    /// The definition, where no lock file has it.
    pub(super) unwritten: Option<Json>,
}

impl Table {
    pub(super) fn named(&self, name: &str) -> Known {
        self.entries.get(name).map_or(Known::Unseen, Entry::known)
    }

    pub(super) fn exposed(&self, exposed: &str) -> Known {
        let names = self.exposed.get(exposed).map(Vec::as_slice).unwrap_or_default();
        // What is withheld takes nobody's name.
        let mut offered = names.iter().filter(|name| matches!(self.named(name), Known::Offered(_)));
        match (offered.next(), offered.next(), names) {
            (Some(name), None, _) => self.named(name),
            // Two of them: never guessed.
            (Some(_), Some(_), _) => Known::Withheld(Flaw::Collision),
            (None, _, [name, ..]) => self.named(name),
            (None, _, []) => Known::Unseen,
        }
    }

    /// Whether there is nothing to learn from this definition.
    pub(super) fn knows(
        &self,
        kind: ListKind,
        name: &str,
        (digest, duplicate): (DefinitionDigest, bool),
        is_approved: bool,
    ) -> bool {
        if name.len() > name_bytes_max(kind) {
            return self.told_long_name;
        }
        match self.entries.get(name).map(|entry| &entry.state) {
            Some(State::Offered(pinned)) => !duplicate && pinned.digest() == digest,
            Some(State::Withheld { flaw, digest: known }) => {
                *known == digest && (*flaw == Flaw::Duplicate) == duplicate
            }
            Some(State::Frozen(frozen)) => frozen.knows(digest),
            // There is no room for it, and that was told.
            None => self.told_no_room && self.entries.len() >= DEFINITIONS_MAX && !is_approved,
        }
    }

    /// One without anything in it, in a state that there was not before.
    pub(super) fn emptied(&self) -> Table {
        Table { state: self.state.saturating_add(1), ..Table::default() }
    }

    /// Forgets a name; an empty one is all of them.
    pub(super) fn forget(&mut self, server: &ServerId, kind: ListKind, name: &str) {
        if name.is_empty() {
            *self = self.emptied();
            return;
        }
        self.state = self.state.saturating_add(1);
        self.learned.clear();
        let _forgotten = self.remove(server, kind, name);
    }

    /// One in which the same is offered and frozen, where `still` says so of its name.
    pub(super) fn kept(&self, server: &ServerId, kind: ListKind, still: &dyn Fn(&str) -> bool) -> Table {
        let mut table = self.emptied();
        for (name, entry) in self.entries.iter().filter(|(name, _)| still(name)) {
            let state = match &entry.state {
                State::Frozen(frozen) => Some(State::Frozen(frozen.clone())),
                State::Offered(pinned) => Some(State::Offered(pinned.clone())),
                State::Withheld { .. } => None,
            };
            if let Some(state) = state {
                let entry = Entry { state, first: entry.first, told: entry.told };
                // A collision was told when it began.
                let _told = table.enter(server, kind, name, entry);
            }
        }
        table
    }

    pub(super) fn has_learned(&mut self, sheet: &Sheet, state: u64) {
        if self.state == state {
            self.learned.put(sheet, ());
        }
    }

    /// All that was seen, for people.
    pub(super) fn tell(&self, era: Era, kind: ListKind, all: &mut Vec<Seen>) {
        for (name, entry) in &self.entries {
            let withheld = match entry.known() {
                Known::Offered(_) | Known::Unseen => None,
                Known::Withheld(flaw) => Some(flaw),
                Known::Ambiguous => Some(Flaw::Duplicate),
            };
            all.push(Seen { kind, era, name: name.clone(), digest: entry.digest(), withheld });
        }
    }

    /// Enters a definition that there is something to learn from; what is to be said of it.
    pub(super) fn put(&mut self, server: &ServerId, kind: ListKind, seen: Reading) -> Vec<What> {
        self.state = self.state.saturating_add(1);
        self.learned.clear();
        let name = seen.name.clone();
        if name.len() > name_bytes_max(kind) {
            let told = std::mem::replace(&mut self.told_long_name, true);
            let withheld = What::Withheld { flaw: Flaw::TooLong, digest: seen.digest };
            return if told { Vec::new() } else { vec![withheld] };
        }
        let old = self.remove(server, kind, &name);
        let was_there = old.is_some();
        let is_approved = matches!(seen.judged, Judgement::Approved(_) | Judgement::Differs(_));
        let (entry, what) = Entry::next(old, seen);
        let bytes = self.bytes.saturating_add(held_bytes(server, kind, &name, &entry));
        // What is approved always has room: it is held by the lock file already, and bounded with it.
        let is_full = self.entries.len() >= DEFINITIONS_MAX || bytes > BYTES_MAX;
        if is_full && !is_approved {
            let withheld = What::Withheld { flaw: Flaw::NoRoom, digest: entry.digest() };
            if was_there {
                // Its place is kept: what was used first must not be forgotten by way of one that has no room.
                self.enter(server, kind, &name, entry.without_room());
            }
            let told = std::mem::replace(&mut self.told_no_room, true);
            return if told { Vec::new() } else { vec![withheld] };
        }
        let mut whats = Vec::from_iter(what);
        // A collision of one that was there before was reported when the later of the two came.
        whats.extend(self.enter(server, kind, &name, entry).filter(|_| !was_there));
        whats
    }

    fn enter(&mut self, server: &ServerId, kind: ListKind, name: &str, entry: Entry) -> Option<What> {
        let collision = self.expose(server, kind, name);
        self.bytes = self.bytes.saturating_add(held_bytes(server, kind, name, &entry));
        self.entries.insert(name.into(), entry);
        collision
    }

    /// Forgets a name wherever it stands.
    fn remove(&mut self, server: &ServerId, kind: ListKind, name: &str) -> Option<Entry> {
        let old = self.entries.remove(name)?;
        self.bytes = self.bytes.saturating_sub(held_bytes(server, kind, name, &old));
        if let Some(exposed) = exposed_as(server, kind, name)
            && let Some(names) = self.exposed.get_mut(&exposed)
        {
            names.retain(|known| **known != *name);
            if names.is_empty() {
                self.exposed.remove(&exposed);
            }
        }
        Some(old)
    }

    /// Enters a tool's or prompt's exposed name; says so if the name is not alone.
    fn expose(&mut self, server: &ServerId, kind: ListKind, name: &str) -> Option<What> {
        let exposed = exposed_as(server, kind, name)?;
        let names = self.exposed.entry(exposed.clone()).or_default();
        let other = names.first().cloned();
        names.push(name.into());
        other.map(|other| What::Collision { other, exposed })
    }
}

impl Entry {
    /// What is remembered once this was seen, and what is to be said of it.
    fn next(old: Option<Entry>, seen: Reading) -> (Entry, Option<What>) {
        let (first, told, before) = old.map_or((None, 0, None), |old| (old.first, old.told, Some(old.state)));
        let digest = seen.digest;
        let judged = match (seen.judged, first) {
            (Judgement::FirstUse(_), Some(first)) if first != digest => Judgement::Differs(first),
            (judged, _) => judged,
        };
        let (state, what) = match (before, judged) {
            (Some(State::Frozen(frozen)), judged) => frozen.thaws_not(digest, &judged),
            // Two pages were learned at once, and the other one was first.
            (Some(State::Offered(old)), Judgement::Approved(pinned) | Judgement::FirstUse(pinned))
                if old.digest() == pinned.digest() =>
            {
                (State::Offered(pinned), None)
            }
            (_, Judgement::Approved(pinned) | Judgement::FirstUse(pinned)) => {
                (State::Offered(pinned), Some(What::New { digest }))
            }
            (_, Judgement::Differs(approved)) => {
                let frozen = Frozen { approved, seen: vec![digest], split: false };
                let withheld = What::Withheld { flaw: Flaw::Changed { approved }, digest };
                (State::Frozen(frozen), Some(withheld))
            }
            (_, Judgement::Withheld(flaw)) => {
                (State::Withheld { flaw: flaw.clone(), digest }, Some(What::Withheld { flaw, digest }))
            }
        };
        let first = first.or(match &state {
            State::Offered(pinned) => Some(pinned.digest()),
            State::Withheld { .. } | State::Frozen(_) => None,
        });
        // Whoever shows another one each time is told of a few times, and no more.
        let what = what.filter(|_| told < TOLD_MAX);
        let told = if what.is_some() { told.saturating_add(1) } else { told };
        (Entry { state, first, told }, what)
    }

    fn known(&self) -> Known {
        match &self.state {
            State::Offered(pinned) => Known::Offered(pinned.clone()),
            State::Withheld { flaw: Flaw::Duplicate, .. } => Known::Ambiguous,
            State::Withheld { flaw, .. } => Known::Withheld(flaw.clone()),
            State::Frozen(Frozen { approved, split: true, .. }) => Known::Withheld(Flaw::Split { approved: *approved }),
            State::Frozen(Frozen { approved, .. }) => Known::Withheld(Flaw::Changed { approved: *approved }),
        }
    }

    /// The definition, and the name that is read from it.
    fn bytes(&self) -> usize {
        match &self.state {
            State::Offered(pinned) => pinned.json().bytes().len() + pinned.name().len(),
            State::Withheld { .. } | State::Frozen(_) => 0,
        }
    }

    fn digest(&self) -> DefinitionDigest {
        match &self.state {
            State::Offered(pinned) => pinned.digest(),
            State::Withheld { digest, .. } => *digest,
            State::Frozen(frozen) => frozen.seen.last().copied().unwrap_or(frozen.approved),
        }
    }

    fn without_room(self) -> Entry {
        let digest = self.digest();
        match &self.state {
            State::Offered(_) | State::Withheld { .. } => {
                Entry { state: State::Withheld { flaw: Flaw::NoRoom, digest }, ..self }
            }
            State::Frozen(_) => self,
        }
    }
}

impl Frozen {
    fn knows(&self, digest: DefinitionDigest) -> bool {
        if digest == self.approved {
            self.split
        } else {
            self.seen.contains(&digest) || self.seen.len() >= FACES_TOLD_MAX
        }
    }

    /// Whatever is seen, it stays frozen.
    fn thaws_not(mut self, digest: DefinitionDigest, judged: &Judgement) -> (State, Option<What>) {
        let approved = self.approved;
        let what = match judged {
            Judgement::Approved(_) | Judgement::FirstUse(_) if self.split => None,
            Judgement::Approved(_) | Judgement::FirstUse(_) => {
                self.split = true;
                self.seen.last().map(|other| What::Split { approved, other: *other })
            }
            Judgement::Differs(_) | Judgement::Withheld(_) if self.knows(digest) => None,
            Judgement::Differs(_) => {
                self.seen.push(digest);
                Some(What::Withheld { flaw: Flaw::Changed { approved }, digest })
            }
            Judgement::Withheld(flaw) => {
                self.seen.push(digest);
                Some(What::Withheld { flaw: flaw.clone(), digest })
            }
        };
        (State::Frozen(self), what)
    }
}

/// The name of a tool or prompt at the door of all servers; resources have none but their URI.
fn exposed_as(server: &ServerId, kind: ListKind, name: &str) -> Option<Box<str>> {
    match kind {
        ListKind::Tools | ListKind::Prompts => Some(exposed_name(server, name).into()),
        ListKind::Resources | ListKind::Templates => None,
    }
}

/// What a table holds for one name: the entry, and the name as it stands in the table's own maps.
fn held_bytes(server: &ServerId, kind: ListKind, name: &str, entry: &Entry) -> usize {
    let exposed = exposed_as(server, kind, name).map_or(0, |exposed| exposed.len() + name.len());
    entry.bytes() + name.len() + exposed
}

/// The name as it is reported: one that is too long to be remembered is too long for a record as well.
pub(super) fn told(kind: ListKind, name: &str) -> Cow<'_, str> {
    if name.len() <= name_bytes_max(kind) {
        return name.into();
    }
    format!("{}…", name.chars().take(TOLD_CHARS).collect::<String>()).into()
}

/// What is told of a name that is too long.
const TOLD_CHARS: usize = 64;
/// Most definitions of one kind that are remembered of one server in one era, those included that are withheld.
pub(super) const DEFINITIONS_MAX: usize = 10_000;
/// Most bytes that they and their names have together.
pub(super) const BYTES_MAX: usize = 32 * 1024 * 1024;
/// LIMIT: definitions that are remembered of a name that is frozen, beside the one that is approved.
const FACES_TOLD_MAX: usize = 8;
/// LIMIT: how often something is said of one name.
const TOLD_MAX: usize = 12;

#[cfg(test)]
mod tests {
    use sekisho_wire::json::Limits;

    use super::*;

    impl Table {
        /// How many entries and exposed names there are.
        pub(in crate::offers) fn held(&self) -> (usize, usize) {
            (self.entries.len(), self.exposed.len())
        }

        pub(in crate::offers) fn bytes(&self) -> usize {
            self.bytes
        }
    }

    fn id() -> ServerId {
        ServerId::parse("notes").expect("a server name")
    }

    fn reading(name: &str, read: Result<usize, Flaw>) -> Reading {
        let text = |filler: usize| format!(r#"{{"name":"{name}","x":"{}","inputSchema":{{}}}}"#, "x".repeat(filler));
        let json = |filler| Json::decode(text(filler).into(), &Limits::default()).expect("strict JSON");
        let definition = json(read.as_ref().copied().unwrap_or_default());
        let digest = DefinitionDigest::of(ListKind::Tools, &definition);
        let read = read.map(|_| Pinned::read(&id(), ListKind::Tools, &definition, digest).expect("a tool"));
        let judged = read.map_or_else(Judgement::Withheld, Judgement::FirstUse);
        Reading { name: name.into(), digest, judged, unwritten: None }
    }

    fn withheld(whats: &[What]) -> Option<&Flaw> {
        match whats {
            [What::Withheld { flaw, .. }] => Some(flaw),
            _ => None,
        }
    }

    #[test]
    fn bytes_are_remembered_at_the_bound_and_not_past_it() {
        // Its key, its exposed name `notes__a` and what that leads to.
        let needed = "a".len() + "notes__a".len() + "a".len();
        for (bytes, room) in [(BYTES_MAX - needed, true), (BYTES_MAX - needed + 1, false)] {
            let mut table = Table { bytes, ..Table::default() };
            let told = table.put(&id(), ListKind::Tools, reading("a", Err(Flaw::Malformed)));
            let flaw = if room { Flaw::Malformed } else { Flaw::NoRoom };
            assert_eq!(withheld(&told), Some(&flaw));
            assert_eq!(table.held(), if room { (1, 1) } else { (0, 0) });
        }
    }

    #[test]
    fn what_has_no_room_any_more_keeps_its_place_and_what_was_used_first() {
        let mut table = Table::default();
        table.put(&id(), ListKind::Tools, reading("a", Ok(1)));
        assert!(matches!(table.named("a"), Known::Offered(_)));
        table.put(&id(), ListKind::Tools, reading("a", Err(Flaw::Malformed)));
        table.bytes = BYTES_MAX;
        let told = table.put(&id(), ListKind::Tools, reading("a", Ok(1)));
        assert_eq!(withheld(&told), Some(&Flaw::NoRoom));
        assert_eq!(table.held(), (1, 1));
        table.bytes = 100;
        table.put(&id(), ListKind::Tools, reading("a", Ok(2)));
        assert!(matches!(table.named("a"), Known::Withheld(Flaw::Changed { .. })));
    }
}
