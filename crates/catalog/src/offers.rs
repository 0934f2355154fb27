//! What a server was seen to offer: one table for each era and kind.

mod table;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sekisho_wire::{Endpoint, Era, Json, ListKind, Remembered, ServerId, Sheet};

use crate::approval::{Approval, Judgement};
use crate::change::{Change, Flaw, What};
use crate::definition::{DEFINITION_BYTES_MAX, DefinitionDigest, Pinned};
use crate::names::exposed_name;
use crate::rules::Neighbours;

use table::{Reading, Table, told};

/// What other servers offer, made when a definition is to be compared with it.
pub(crate) type Others<'a> = &'a dyn Fn() -> Neighbours;

/// Everything that a server was seen to offer. Locks are held for look-ups and single changes only, never across a wait.
#[derive(Debug, Default)]
pub(crate) struct Offers {
    approval: Approval,
    /// Bytes of definitions that were written down.
    written: AtomicUsize,
    legacy: Tables,
    modern: Tables,
    shown_at_one: RwLock<Remembered<Shown>>,
    shown_at_all: RwLock<Remembered<Shown>>,
}

/// A whole page as it is shown at a door, and the states of both eras' tables that say so.
#[derive(Debug)]
struct Shown {
    states: [u64; 2],
    array: Json,
}

#[derive(Debug, Default)]
struct Tables {
    tools: Shelf,
    prompts: Shelf,
    resources: Shelf,
    templates: Shelf,
}

#[derive(Debug, Default)]
struct Shelf {
    table: RwLock<Table>,
    /// When the server was last asked, in seconds since 1970; 0: not yet, or it says that something changed since.
    looked: AtomicU64,
}

/// What is known of a name.
#[derive(Debug)]
pub(crate) enum Known {
    /// It is offered.
    Offered(Pinned),
    /// It was seen, and is not used.
    Withheld(Flaw),
    /// It stood more than once on the page that was seen last. Another page may have it once: a server may answer one caller
    /// otherwise than another.
    Ambiguous,
    /// It was never seen.
    Unseen,
}

/// A definition that was seen, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What it defines.
    pub kind: ListKind,
    /// In which era it was seen.
    pub era: Era,
    /// Its name (or URI, or URI template), as the server says it.
    pub name: Box<str>,
    /// Which one it is; of one that is withheld, the one that was seen last.
    pub digest: DefinitionDigest,
    /// Why it is withheld. None: it is offered.
    pub withheld: Option<Flaw>,
}

/// A definition on a page.
struct Sighting {
    name: Box<str>,
    definition: Json,
    digest: DefinitionDigest,
    duplicate: bool,
    /// Another definition of that name on the same page.
    twin: Option<(Json, DefinitionDigest)>,
}

impl Offers {
    /// Nothing was seen yet; this is what is approved.
    pub(crate) fn new(approval: Approval) -> Offers {
        Offers { approval, ..Offers::default() }
    }

    /// What was seen so far, where the same is still approved, frozen or not: whoever approves one thing has not looked at another.
    pub(crate) fn after(old: &Offers, server: &ServerId, approval: Approval) -> Offers {
        let offers = Offers::new(approval);
        for era in [Era::Legacy, Era::Modern] {
            for kind in ListKind::ALL {
                let same = |name: &str| offers.approval.is_as_before(&old.approval, kind, name);
                let kept =
                    old.table(era, kind).read().unwrap_or_else(PoisonError::into_inner).kept(server, kind, &same);
                *offers.table(era, kind).write().unwrap_or_else(PoisonError::into_inner) = kept;
            }
        }
        offers
    }

    /// Forgets what was seen under a name, what froze as well: somebody has looked at it. An empty name is all of them.
    pub(crate) fn forget(&self, server: &ServerId, name: &str) {
        for era in [Era::Legacy, Era::Modern] {
            for kind in ListKind::ALL {
                self.shelf(era, kind).looked.store(0, Ordering::Relaxed);
                let mut table = self.table(era, kind).write().unwrap_or_else(PoisonError::into_inner);
                table.forget(server, kind, name);
            }
        }
    }

    /// What is approved.
    pub(crate) fn approval(&self) -> &Approval {
        &self.approval
    }

    /// Whether the server has to be asked again before what was seen counts: it was not asked for so long, or says that something
    /// changed.
    pub(crate) fn is_stale(&self, era: Era, kind: ListKind, now: SystemTime, at_most: Duration) -> bool {
        let (looked, now) = (self.shelf(era, kind).looked.load(Ordering::Relaxed), seconds(now));
        // A clock that was set back tells nothing.
        looked == 0 || now < looked || now.saturating_sub(looked) > at_most.as_secs()
    }

    /// The server was asked, to the end of its list: that is when. A part of a list tells nothing of the rest.
    fn look(&self, era: Era, kind: ListKind, now: Option<SystemTime>) {
        if let Some(now) = now {
            self.shelf(era, kind).looked.store(seconds(now), Ordering::Relaxed);
        }
    }

    /// The server says that something of this kind changed.
    pub(crate) fn tell_stale(&self, kind: ListKind) {
        for era in [Era::Legacy, Era::Modern] {
            self.shelf(era, kind).looked.store(0, Ordering::Relaxed);
        }
    }

    /// Whether there is room in the record for a definition of that length: a server that shows others on and on must not fill the disk.
    fn may_be_written(&self, bytes: usize) -> bool {
        let take = |written: usize| written.checked_add(bytes).filter(|written| *written <= WRITTEN_BYTES_MAX);
        self.written.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// The names of all that is offered, once for each era.
    pub(crate) fn names(&self) -> Vec<(ListKind, Box<str>)> {
        self.seen().into_iter().filter(|seen| seen.withheld.is_none()).map(|seen| (seen.kind, seen.name)).collect()
    }

    /// All that was seen, and what became of it.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let mut all = Vec::new();
        for era in [Era::Legacy, Era::Modern] {
            for kind in ListKind::ALL {
                self.table(era, kind).read().unwrap_or_else(PoisonError::into_inner).tell(era, kind, &mut all);
            }
        }
        all
    }

    /// Remembers one server's definitions of one page, all of it. A page that has nothing new is not looked into again until
    /// something changes.
    pub(crate) fn learn_sheet(
        &self,
        server: &ServerId,
        (era, kind): (Era, ListKind),
        sheet: &Sheet,
        (now, others): (Option<SystemTime>, Others<'_>),
    ) -> Vec<Change> {
        self.look(era, kind, now);
        let lock = self.table(era, kind);
        let state = {
            let table = lock.read().unwrap_or_else(PoisonError::into_inner);
            if table.learned.of(sheet).is_some() {
                return Vec::new();
            }
            table.state
        };
        let page: Vec<&Json> = sheet.items().iter().map(|item| &item.definition).collect();
        let news = self.news(era, kind, &page);
        if news.is_empty() {
            lock.write().unwrap_or_else(PoisonError::into_inner).has_learned(sheet, state);
            return Vec::new();
        }
        self.take(server, (era, kind), news, others)
    }

    /// Remembers one server's definitions of one page.
    pub(crate) fn learn(
        &self,
        server: &ServerId,
        (era, kind): (Era, ListKind),
        page: &[&Json],
        (now, others): (Option<SystemTime>, Others<'_>),
    ) -> Vec<Change> {
        self.look(era, kind, now);
        let news = self.news(era, kind, page);
        if news.is_empty() { Vec::new() } else { self.take(server, (era, kind), news, others) }
    }

    fn news(&self, era: Era, kind: ListKind, page: &[&Json]) -> Vec<Sighting> {
        let sightings = sightings(kind, page);
        let table = self.table(era, kind).read().unwrap_or_else(PoisonError::into_inner);
        sightings
            .into_iter()
            .filter(|one| {
                !table.knows(kind, &one.name, (one.digest, one.duplicate), self.approval.names(kind, &one.name))
            })
            .collect()
    }

    fn take(
        &self,
        server: &ServerId,
        (era, kind): (Era, ListKind),
        news: Vec<Sighting>,
        others: Others<'_>,
    ) -> Vec<Change> {
        // Read and copied before the lock that others wait for is taken.
        let neighbours = others();
        let read: Vec<Reading> =
            news.into_iter().map(|news| news.judged(server, kind, &self.approval, &neighbours)).collect();
        let mut table = self.table(era, kind).write().unwrap_or_else(PoisonError::into_inner);
        let mut changes = Vec::new();
        for reading in read {
            let name = reading.name.clone();
            let definition =
                reading.unwritten.clone().filter(|definition| self.may_be_written(definition.bytes().len()));
            let whats = table.put(server, kind, reading);
            let name = told(kind, &name);
            let with = |what: What| {
                let definition = if matches!(what, What::Collision { .. }) { None } else { definition.clone() };
                Change::new(server, kind, &name, (what, definition))
            };
            changes.extend(whats.into_iter().map(with));
        }
        changes
    }

    /// What a server's own name addresses. Withheld in one era, it is called in none.
    pub(crate) fn addressed(&self, era: Era, kind: ListKind, name: &str) -> Known {
        self.in_both(era, kind, self.named(era, kind, name))
    }

    /// The same of an exposed name.
    pub(crate) fn addressed_exposed(&self, era: Era, kind: ListKind, exposed: &str) -> Known {
        self.in_both(era, kind, self.exposed(era, kind, exposed))
    }

    fn in_both(&self, era: Era, kind: ListKind, known: Known) -> Known {
        let Known::Offered(pinned) = known else { return known };
        let other = match era {
            Era::Legacy => Era::Modern,
            Era::Modern => Era::Legacy,
        };
        match self.named(other, kind, pinned.name()) {
            Known::Withheld(flaw) => Known::Withheld(flaw),
            Known::Ambiguous => Known::Withheld(Flaw::Duplicate),
            Known::Offered(_) | Known::Unseen => Known::Offered(pinned),
        }
    }

    /// What is known of a server's own name at the door of that server.
    pub(crate) fn named(&self, era: Era, kind: ListKind, name: &str) -> Known {
        self.table(era, kind).read().unwrap_or_else(PoisonError::into_inner).named(name)
    }

    /// What is known of an exposed tool or prompt name.
    pub(crate) fn exposed(&self, era: Era, kind: ListKind, exposed: &str) -> Known {
        self.table(era, kind).read().unwrap_or_else(PoisonError::into_inner).exposed(exposed)
    }

    /// Whether an item of exactly that name may be shown at `endpoint`. Withheld in one era, it is shown in none; what is not
    /// remembered is not shown, be it a resource: hidden characters in an item that is withheld are visible by the time it
    /// comes here, under a name that was never seen.
    pub(crate) fn shows(&self, endpoint: &Endpoint, server: &ServerId, kind: ListKind, name: &str) -> bool {
        let known = [Era::Legacy, Era::Modern].map(|era| match (endpoint, kind) {
            (Endpoint::All, ListKind::Tools | ListKind::Prompts) => {
                self.exposed(era, kind, &exposed_name(server, name))
            }
            (Endpoint::All, ListKind::Resources | ListKind::Templates) | (Endpoint::One(_), _) => {
                self.named(era, kind, name)
            }
        });
        let withheld = known.iter().any(|known| matches!(known, Known::Withheld(_) | Known::Ambiguous));
        // One that was forgotten must not be shown under the exposed name that another one has now.
        let offered = known.iter().any(|known| matches!(known, Known::Offered(pinned) if pinned.name() == name));
        offered && !withheld
    }

    /// A whole page as it is shown at `endpoint`; `make` makes it. It is made anew once any definition of that kind has changed.
    pub(crate) fn shown(
        &self,
        endpoint: &Endpoint,
        kind: ListKind,
        sheet: &Sheet,
        make: impl FnOnce() -> Json,
    ) -> Json {
        let lock = match endpoint {
            Endpoint::One(_) => &self.shown_at_one,
            Endpoint::All => &self.shown_at_all,
        };
        // Read before the page is made: what changes meanwhile makes it out of date from the start.
        let states = [Era::Legacy, Era::Modern]
            .map(|era| self.table(era, kind).read().unwrap_or_else(PoisonError::into_inner).state);
        let shown = lock.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(shown) = shown.of(sheet).filter(|shown| shown.states == states) {
            return shown.array.clone();
        }
        drop(shown);
        let array = make();
        let shown = Shown { states, array: array.clone() };
        lock.write().unwrap_or_else(PoisonError::into_inner).put(sheet, shown);
        array
    }

    fn table(&self, era: Era, kind: ListKind) -> &RwLock<Table> {
        &self.shelf(era, kind).table
    }

    fn shelf(&self, era: Era, kind: ListKind) -> &Shelf {
        let tables = match era {
            Era::Legacy => &self.legacy,
            Era::Modern => &self.modern,
        };
        match kind {
            ListKind::Tools => &tables.tools,
            ListKind::Prompts => &tables.prompts,
            ListKind::Resources => &tables.resources,
            ListKind::Templates => &tables.templates,
        }
    }
}

impl Sighting {
    fn judged(self, server: &ServerId, kind: ListKind, approval: &Approval, neighbours: &Neighbours) -> Reading {
        // What is not as it was approved has changed, whatever else is wrong with it: of two of one name, the one that is not.
        let (definition, digest) = match self.twin {
            Some((twin, other)) if approval.differs(kind, &self.name, other).is_some() => (twin, other),
            Some(_) | None => (self.definition, self.digest),
        };
        let judged = match approval.differs(kind, &self.name, digest) {
            Some(approved) => Judgement::Differs(approved),
            None if self.duplicate => Judgement::Withheld(Flaw::Duplicate),
            None => match Pinned::read(server, kind, &definition, digest) {
                Ok(seen) => approval.judge(kind, seen, neighbours),
                Err(flaw) => Judgement::Withheld(flaw),
            },
        };
        // What is in the lock file need not be written down again; what is too long is known by its digest.
        let is_short = definition.bytes().len() <= DEFINITION_BYTES_MAX;
        let is_unwritten = is_short && !approval.has(kind, &self.name, digest);
        let unwritten = is_unwritten.then(|| definition.detached());
        Reading { name: self.name, digest, judged, unwritten }
    }
}

/// The definitions of a page by name.
fn sightings(kind: ListKind, page: &[&Json]) -> Vec<Sighting> {
    let mut named: BTreeMap<Box<str>, Sighting> = BTreeMap::new();
    for definition in page {
        // Without a name it is withheld under the empty one.
        let name = definition.get(kind.key());
        let name: Box<str> = name.as_ref().and_then(Json::string).unwrap_or_default().into();
        let sighting = Sighting {
            name: name.clone(),
            definition: (*definition).clone(),
            digest: DefinitionDigest::of(kind, definition),
            duplicate: false,
            twin: None,
        };
        let again = (sighting.definition.clone(), sighting.digest);
        let doubled = |first: &mut Sighting| {
            first.duplicate = true;
            if first.digest != again.1 {
                first.twin = Some(again);
            }
        };
        named.entry(name).and_modify(doubled).or_insert(sighting);
    }
    named.into_values().collect()
}

/// LIMIT: definitions of one server that are written down whole, in bytes; past that, their digests are.
const WRITTEN_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Whole seconds since 1970, and never 0.
fn seconds(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs().max(1))
}

#[cfg(test)]
mod tests;
