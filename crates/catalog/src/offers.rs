//! What a server was seen to offer: one table for each era and kind.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock};

use sekisho_wire::{Endpoint, Era, Json, ListKind, Remembered, ServerId, Sheet};

use crate::change::{Change, Flaw, What};
use crate::definition::{DefinitionDigest, Pinned, name_bytes_max};
use crate::names::exposed_name;

/// Everything that a server was seen to offer. Locks are held for look-ups and single changes only, never across a wait.
#[derive(Debug, Default)]
pub(crate) struct Offers {
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
    tools: RwLock<Table>,
    prompts: RwLock<Table>,
    resources: RwLock<Table>,
    templates: RwLock<Table>,
}

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<Box<str>, Entry>,
    /// Tools and prompts by the name they have at the door of all servers; more than one is a collision.
    exposed: HashMap<Box<str>, Vec<Box<str>>>,
    /// Length of all that is remembered: definitions and every copy of a name.
    bytes: usize,
    told_no_room: bool,
    told_long_name: bool,
    /// Which state of it this is: a new one whenever anything is changed.
    state: u64,
    /// Pages that this state has nothing to learn from.
    learned: Remembered<()>,
}

#[derive(Debug)]
enum Entry {
    Offered(Pinned),
    /// `digest`: of the definition that was withheld, so that it is reported once.
    Withheld {
        flaw: Flaw,
        digest: DefinitionDigest,
    },
}

/// What is known of a name.
#[derive(Debug)]
pub(crate) enum Known {
    /// It is offered.
    Offered(Pinned),
    /// It was seen, and cannot be used.
    Withheld,
    /// It stood more than once on the page that was seen last. Another page may have it once: a server may answer one caller
    /// otherwise than another.
    Ambiguous,
    /// It was never seen.
    Unseen,
}

/// A definition on a page.
struct Sighting {
    name: Box<str>,
    definition: Json,
    digest: DefinitionDigest,
    duplicate: bool,
}

impl Offers {
    /// Remembers one server's definitions of one page, all of it. A page that has nothing new is not looked into again until
    /// something changes.
    pub(crate) fn learn_sheet(&self, server: &ServerId, era: Era, kind: ListKind, sheet: &Sheet) -> Vec<Change> {
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
        self.take(server, era, kind, news)
    }

    /// Remembers one server's definitions of one page.
    pub(crate) fn learn(&self, server: &ServerId, era: Era, kind: ListKind, page: &[&Json]) -> Vec<Change> {
        let news = self.news(era, kind, page);
        if news.is_empty() { Vec::new() } else { self.take(server, era, kind, news) }
    }

    fn news(&self, era: Era, kind: ListKind, page: &[&Json]) -> Vec<Sighting> {
        let sightings = sightings(kind, page);
        let table = self.table(era, kind).read().unwrap_or_else(PoisonError::into_inner);
        sightings.into_iter().filter(|sighting| !table.knows(kind, sighting)).collect()
    }

    fn take(&self, server: &ServerId, era: Era, kind: ListKind, news: Vec<Sighting>) -> Vec<Change> {
        // Read and copied before the lock that others wait for is taken.
        let entries: Vec<(Box<str>, Entry)> = news.into_iter().map(|news| news.read(server, kind)).collect();
        let mut table = self.table(era, kind).write().unwrap_or_else(PoisonError::into_inner);
        let mut changes = Vec::new();
        for (name, entry) in entries {
            let whats = table.put(server, kind, &name, entry);
            let name = told(kind, &name);
            changes.extend(whats.into_iter().map(|what| Change::new(server, kind, &name, what)));
        }
        changes
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
        let withheld = known.iter().any(|known| matches!(known, Known::Withheld | Known::Ambiguous));
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

impl Table {
    fn named(&self, name: &str) -> Known {
        match self.entries.get(name) {
            Some(Entry::Offered(pinned)) => Known::Offered(pinned.clone()),
            Some(Entry::Withheld { flaw: Flaw::Duplicate, .. }) => Known::Ambiguous,
            Some(Entry::Withheld { .. }) => Known::Withheld,
            None => Known::Unseen,
        }
    }

    fn exposed(&self, exposed: &str) -> Known {
        match self.exposed.get(exposed).map(Vec::as_slice) {
            Some([name]) => self.named(name),
            // Two of them: never guessed.
            Some(_) => Known::Withheld,
            None => Known::Unseen,
        }
    }

    fn knows(&self, kind: ListKind, sighting: &Sighting) -> bool {
        if sighting.name.len() > name_bytes_max(kind) {
            return self.told_long_name;
        }
        match self.entries.get(&sighting.name) {
            Some(Entry::Offered(pinned)) => !sighting.duplicate && pinned.digest() == sighting.digest,
            Some(Entry::Withheld { flaw, digest }) => {
                *digest == sighting.digest && (*flaw == Flaw::Duplicate) == sighting.duplicate
            }
            None => false,
        }
    }

    fn has_learned(&mut self, sheet: &Sheet, state: u64) {
        if self.state == state {
            self.learned.put(sheet, ());
        }
    }

    fn put(&mut self, server: &ServerId, kind: ListKind, name: &str, entry: Entry) -> Vec<What> {
        self.state = self.state.saturating_add(1);
        self.learned.clear();
        if name.len() > name_bytes_max(kind) {
            let told = std::mem::replace(&mut self.told_long_name, true);
            return if told { Vec::new() } else { vec![What::Withheld { flaw: Flaw::TooLong }] };
        }
        let old = self.remove(server, kind, name);
        let bytes = self.bytes.saturating_add(held_bytes(server, kind, name, &entry));
        if self.entries.len() >= DEFINITIONS_MAX || bytes > BYTES_MAX {
            // The older definition is gone, too: it is no longer what the server offers.
            let told = std::mem::replace(&mut self.told_no_room, true);
            return if told { Vec::new() } else { vec![What::Withheld { flaw: Flaw::NoRoom }] };
        }
        let mut whats = Vec::from_iter(entry.differs_from(old.as_ref()));
        // A collision of one that was there before was reported when the later of the two came.
        whats.extend(self.expose(server, kind, name).filter(|_| old.is_none()));
        self.bytes = bytes;
        self.entries.insert(name.into(), entry);
        whats
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
    /// The definition, and the name that is read from it.
    fn bytes(&self) -> usize {
        match self {
            Entry::Offered(pinned) => pinned.json().bytes().len() + pinned.name().len(),
            Entry::Withheld { .. } => 0,
        }
    }

    fn digest(&self) -> DefinitionDigest {
        match self {
            Entry::Offered(pinned) => pinned.digest(),
            Entry::Withheld { digest, .. } => *digest,
        }
    }

    /// What is to be said when this takes the place of `old`.
    fn differs_from(&self, old: Option<&Entry>) -> Option<What> {
        match (self, old) {
            (Entry::Withheld { flaw, .. }, _) => Some(What::Withheld { flaw: flaw.clone() }),
            // Two pages were learned at once, and the other one was first.
            (Entry::Offered(new), Some(Entry::Offered(old))) if old.digest() == new.digest() => None,
            (Entry::Offered(new), Some(old)) if old.digest() != new.digest() => {
                Some(What::Changed { old: old.digest(), new: new.digest() })
            }
            (Entry::Offered(new), Some(_) | None) => Some(What::New { digest: new.digest() }),
        }
    }
}

impl Sighting {
    fn read(self, server: &ServerId, kind: ListKind) -> (Box<str>, Entry) {
        let read = if self.duplicate {
            Err(Flaw::Duplicate)
        } else {
            Pinned::read(server, kind, &self.definition, self.digest)
        };
        let entry = match read {
            Ok(pinned) => Entry::Offered(pinned),
            Err(flaw) => Entry::Withheld { flaw, digest: self.digest },
        };
        (self.name, entry)
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
            digest: DefinitionDigest::of(definition),
            duplicate: false,
        };
        named.entry(name).and_modify(|first| first.duplicate = true).or_insert(sighting);
    }
    named.into_values().collect()
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
fn told(kind: ListKind, name: &str) -> Cow<'_, str> {
    if name.len() <= name_bytes_max(kind) {
        return name.into();
    }
    format!("{}…", name.chars().take(TOLD_CHARS).collect::<String>()).into()
}

/// What is told of a name that is too long.
const TOLD_CHARS: usize = 64;
/// Most definitions of one kind that are remembered of one server in one era, those included that are withheld.
const DEFINITIONS_MAX: usize = 10_000;
/// Most bytes that they and their names have together.
const BYTES_MAX: usize = 32 * 1024 * 1024;

#[cfg(test)]
mod tests;
