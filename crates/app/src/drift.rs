//! How what servers offer compares with what is approved.

use std::collections::{BTreeMap, BTreeSet};

use sekisho_catalog::{
    Difference, Effect, Face as Likeable, Flaw, Identity, Introduction, Kin, Lock, Locked, Mark, Neighbours, Pin,
    Rules, differences,
};
use sekisho_wire::{Era, ListKind, ServerId};

use crate::problem::Problem;
use crate::survey::{Face, Surveyed};

/// One server, compared.
pub(crate) struct Compared {
    pub(crate) id: ServerId,
    /// Who it is now.
    pub(crate) identity: Identity,
    /// Whether anything of it is approved.
    pub(crate) is_known: bool,
    /// How it differs from the server that was approved.
    pub(crate) stranger: Option<String>,
    /// What it says of itself, as it would be approved, with what rules mark in it.
    pub(crate) introductions: Vec<(Introduction, Vec<Mark>)>,
    /// Whether that is not what was approved.
    pub(crate) says_something_else: bool,
    /// Everything that it offers or that is approved of it; or why it could not be looked at.
    pub(crate) items: Result<Vec<Item>, Problem>,
}

/// One thing that is offered, or approved.
pub(crate) struct Item {
    pub(crate) kind: ListKind,
    pub(crate) name: Box<str>,
    pub(crate) state: State,
    /// The definitions that are offered.
    pub(crate) faces: Vec<Seen>,
}

/// A definition that is offered.
pub(crate) struct Seen {
    /// As it would be approved, or why it cannot be.
    pub(crate) pin: Result<Pin, Flaw>,
    pub(crate) eras: Vec<Era>,
    /// What rules mark in it.
    pub(crate) marks: Vec<Mark>,
}

/// How a thing stands.
pub(crate) enum State {
    /// It is as it was approved.
    Approved,
    /// It needs no approval: configuration says so of resources of this kind.
    Open,
    /// Nobody has approved it; it may be much like something that was approved.
    Unapproved { like: Option<String> },
    /// It is not as it was approved; a difference for each definition that was not.
    Changed(Vec<Difference>),
    /// It was approved, and is offered no more.
    Gone,
    /// It cannot be used, whoever approves it.
    Unusable(Flaw),
}

impl Item {
    /// The rules that withhold it, unless it is approved despite them.
    pub(crate) fn withholding(&self) -> impl Iterator<Item = &Mark> {
        self.marks().filter(|mark| mark.effect == Effect::Withhold)
    }

    /// What rules mark in it.
    pub(crate) fn marks(&self) -> impl Iterator<Item = &Mark> {
        self.faces.iter().flat_map(|face| &face.marks)
    }

    /// Rules that withhold it and that it was not approved despite.
    pub(crate) fn unaccepted(&self) -> Vec<&Mark> {
        let each =
            self.faces.iter().map(|face| (face.pin.as_ref().map(Pin::accepted).unwrap_or_default(), &face.marks));
        each.flat_map(|(accepted, marks)| marks.iter().filter(|mark| mark.withholds_despite(accepted))).collect()
    }

    /// Whether it differs from what is approved, or may not be used as it is.
    pub(crate) fn needs_a_look(&self) -> bool {
        !matches!(self.state, State::Approved | State::Open) || !self.unaccepted().is_empty()
    }
}

impl Compared {
    /// Rules that withhold what it says of itself and that it was not approved despite.
    pub(crate) fn unaccepted(&self) -> Vec<&Mark> {
        let each = self.introductions.iter();
        each.flat_map(|(said, marks)| marks.iter().filter(|mark| mark.withholds_despite(said.accepted()))).collect()
    }
}

/// Compares what was seen with what is approved.
pub(crate) fn compare(surveyed: Vec<Surveyed>, lock: &Lock) -> Vec<Compared> {
    let names = names(&surveyed, lock);
    let approved_names = names_approved(lock);
    let compare = |surveyed: Surveyed| {
        let Surveyed { id, identity, open, introductions, offered } = surveyed;
        let locked = lock.server(&id);
        let each = |names: &'_ [Named]| Neighbours::new(&id, names.iter().map(|(id, kind, name)| (id, *kind, &**name)));
        let (neighbours, approved_neighbours) = (each(&names), each(&approved_names));
        let stranger = locked.and_then(|locked| identity.differs_from(locked.identity()));
        let approved = locked.map(Locked::introductions).unwrap_or_default();
        let known = |said: &Introduction| approved.iter().find(|known| known.digest() == said.digest()).cloned();
        let says_something_else = locked.is_some() && introductions.iter().any(|said| known(said).is_none());
        let introductions = introductions.into_iter().map(|said| {
            let marks = said.marks();
            (known(&said).unwrap_or(said), marks)
        });
        let introductions = introductions.collect();
        let items = offered.map(|offered| {
            let nothing = Locked::new(identity.clone());
            let locked = locked.unwrap_or(&nothing);
            let judge = Judge {
                id: &id,
                locked,
                open: &open,
                neighbours: &neighbours,
                approved: &approved_neighbours,
                kin: BTreeMap::new(),
            };
            judge.items(offered)
        });
        Compared { is_known: locked.is_some(), id, identity, stranger, introductions, says_something_else, items }
    };
    surveyed.into_iter().map(compare).collect()
}

type Named = (ServerId, ListKind, Box<str>);

/// Every name that is offered or approved, once.
fn names(surveyed: &[Surveyed], lock: &Lock) -> Vec<Named> {
    let offered = surveyed.iter().flat_map(|server| {
        let offered = server.offered.iter().flat_map(BTreeMap::keys);
        offered.map(|(kind, name)| (server.id.clone(), *kind, name.clone()))
    });
    let mut names: Vec<_> = offered.chain(names_approved(lock)).collect();
    names.sort();
    names.dedup();
    names
}

fn names_approved(lock: &Lock) -> Vec<Named> {
    let approved = lock.servers().flat_map(|(id, locked)| {
        let of_kind = move |kind| locked.pins(kind).map(move |pin| (id.clone(), kind, pin.pinned().name().into()));
        ListKind::ALL.into_iter().flat_map(of_kind)
    });
    let mut names: Vec<_> = approved.collect();
    names.sort();
    names.dedup();
    names
}

struct Judge<'a> {
    id: &'a ServerId,
    locked: &'a Locked,
    /// Beginnings of URIs of resources that need no approval.
    open: &'a [String],
    neighbours: &'a Neighbours,
    /// Those that are approved: what somebody offers besides is no fault of a thing that was approved.
    approved: &'a Neighbours,
    kin: BTreeMap<ListKind, Kin>,
}

impl Judge<'_> {
    fn items(mut self, offered: crate::survey::Offered) -> Vec<Item> {
        let mut items = Vec::new();
        let mut gone: BTreeSet<(ListKind, Box<str>)> = BTreeSet::new();
        for kind in ListKind::ALL {
            for pin in self.locked.pins(kind) {
                let key = (kind, Box::from(pin.pinned().name()));
                if !offered.contains_key(&key) {
                    gone.insert(key);
                }
            }
        }
        for ((kind, name), faces) in offered {
            items.push(self.item(kind, name, faces));
        }
        items.extend(gone.into_iter().map(|(kind, name)| Item { kind, name, state: State::Gone, faces: Vec::new() }));
        items.sort_by(|one, other| (one.kind, &one.name).cmp(&(other.kind, &other.name)));
        items
    }

    fn item(&mut self, kind: ListKind, name: Box<str>, faces: Vec<Face>) -> Item {
        let is_doubled = faces.iter().enumerate().any(|(at, face)| {
            faces.iter().skip(at.saturating_add(1)).any(|other| face.eras.iter().any(|era| other.eras.contains(era)))
        });
        let approved = self.locked.named(kind, &name);
        let mut seen: Vec<Seen> = Vec::new();
        for face in faces {
            let pin = Pin::of(self.id, kind, &face.definition, Vec::new());
            let known = pin.as_ref().ok().and_then(|pin| approved.iter().find(|known| is_same(known, pin)).cloned());
            let neighbours = if known.is_some() { self.approved } else { self.neighbours };
            let marks = Rules::standard().look(kind, &face.definition, neighbours);
            let pin = pin.map(|pin| known.unwrap_or(pin));
            let same = |known: &&mut Seen| matches!((&known.pin, &pin), (Ok(known), Ok(pin)) if is_same(known, pin));
            match seen.iter_mut().find(same) {
                Some(known) => known.eras.extend(face.eras),
                None => seen.push(Seen { pin, eras: face.eras, marks }),
            }
        }
        let state =
            if is_doubled { State::Unusable(Flaw::Duplicate) } else { self.state((kind, &name), &seen, approved) };
        Item { kind, name, state, faces: seen }
    }

    fn state(&mut self, (kind, name): (ListKind, &str), seen: &[Seen], approved: &[Pin]) -> State {
        if let Some(flaw) = seen.iter().find_map(|face| face.pin.as_ref().err()) {
            return State::Unusable(flaw.clone());
        }
        let pins = || seen.iter().filter_map(|face| face.pin.as_ref().ok());
        let Some(before) = approved.first() else {
            if kind == ListKind::Resources && self.open.iter().any(|prefix| name.starts_with(prefix.as_str())) {
                return State::Open;
            }
            let like = pins().find_map(|pin| self.like(kind, pin));
            return State::Unapproved { like };
        };
        let unknown = pins().filter(|pin| !approved.iter().any(|known| is_same(known, pin)));
        let mut changes = Vec::new();
        let mut differs = false;
        for pin in unknown {
            differs = true;
            changes.extend(differences(kind, before.pinned().json(), pin.pinned().json()));
        }
        if differs { State::Changed(changes) } else { State::Approved }
    }

    /// What is approved that this is much like.
    fn like(&mut self, kind: ListKind, pin: &Pin) -> Option<String> {
        let locked = self.locked;
        let kin = self.kin.entry(kind).or_insert_with(|| {
            Kin::of(locked.pins(kind).map(|pin| (pin.pinned().name().into(), Likeable::of(kind, pin.pinned().json()))))
        });
        kin.nearest(&Likeable::of(kind, pin.pinned().json())).map(|(name, _)| name.to_owned())
    }
}

fn is_same(one: &Pin, other: &Pin) -> bool {
    one.pinned().digest() == other.pinned().digest()
}
