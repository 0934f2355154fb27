//! What a server was seen to offer: one table for each era and kind.

use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock};

use sekisho_wire::{Endpoint, Era, Json, ListKind, ServerId};

use crate::change::{Change, Flaw, What};
use crate::definition::{DefinitionDigest, Pinned};
use crate::names::exposed_name;

/// Everything that a server was seen to offer. Locks are held for look-ups and single changes only, never across a wait.
#[derive(Debug, Default)]
pub(crate) struct Offers {
    legacy: Tables,
    modern: Tables,
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
    /// Sum of the remembered definitions' lengths.
    bytes: usize,
    told_no_room: bool,
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
    /// Remembers one server's definitions of one page.
    pub(crate) fn learn(&self, server: &ServerId, era: Era, kind: ListKind, page: &[&Json]) -> Vec<Change> {
        let lock = self.table(era, kind);
        let sightings = sightings(kind, page);
        let news: Vec<Sighting> = {
            let table = lock.read().unwrap_or_else(PoisonError::into_inner);
            sightings.into_iter().filter(|sighting| !table.knows(sighting)).collect()
        };
        if news.is_empty() {
            return Vec::new();
        }
        // Read and copied before the lock that others wait for is taken.
        let entries: Vec<(Box<str>, Entry)> = news.into_iter().map(|news| news.read(server, kind)).collect();
        let mut table = lock.write().unwrap_or_else(PoisonError::into_inner);
        let mut changes = Vec::new();
        for (name, entry) in entries {
            let whats = table.put(server, kind, &name, entry);
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

    /// Whether an item of that name may be shown at `endpoint`. Withheld in one era, it is shown in none; not remembered, a
    /// tool or prompt is not shown, since no call could reach it. (A resource is read by its URI, remembered or not.)
    pub(crate) fn shows(&self, endpoint: &Endpoint, server: &ServerId, kind: ListKind, name: &str) -> bool {
        let known = [Era::Legacy, Era::Modern].map(|era| match (endpoint, kind) {
            (Endpoint::All, ListKind::Tools | ListKind::Prompts) => {
                self.exposed(era, kind, &exposed_name(server, name))
            }
            (Endpoint::All, ListKind::Resources | ListKind::Templates) | (Endpoint::One(_), _) => {
                self.named(era, kind, name)
            }
        });
        let withheld = known.iter().any(|known| matches!(known, Known::Withheld));
        let offered = known.iter().any(|known| matches!(known, Known::Offered(_)));
        let by_uri = match kind {
            ListKind::Tools | ListKind::Prompts => false,
            ListKind::Resources | ListKind::Templates => true,
        };
        !withheld && (offered || by_uri)
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

    fn knows(&self, sighting: &Sighting) -> bool {
        match self.entries.get(&sighting.name) {
            Some(Entry::Offered(pinned)) => !sighting.duplicate && pinned.digest() == sighting.digest,
            Some(Entry::Withheld { flaw, digest }) => {
                *digest == sighting.digest && (*flaw == Flaw::Duplicate) == sighting.duplicate
            }
            None => false,
        }
    }

    fn put(&mut self, server: &ServerId, kind: ListKind, name: &str, entry: Entry) -> Vec<What> {
        let old = self.entries.remove(name);
        self.bytes = self.bytes.saturating_sub(old.as_ref().map_or(0, Entry::bytes));
        let no_room = self.entries.len() >= DEFINITIONS_MAX || self.bytes.saturating_add(entry.bytes()) > BYTES_MAX;
        if no_room {
            // The older definition is gone, too: it is no longer what the server offers.
            let told = std::mem::replace(&mut self.told_no_room, true);
            return if told { Vec::new() } else { vec![What::Withheld { flaw: Flaw::NoRoom }] };
        }
        let mut whats = Vec::from_iter(entry.differs_from(old.as_ref()));
        whats.extend(self.collision(server, kind, name));
        self.bytes += entry.bytes();
        self.entries.insert(name.into(), entry);
        whats
    }

    /// Enters a tool's or prompt's exposed name; a name that is not alone is reported once, when it comes.
    fn collision(&mut self, server: &ServerId, kind: ListKind, name: &str) -> Option<What> {
        match kind {
            ListKind::Tools | ListKind::Prompts => {}
            ListKind::Resources | ListKind::Templates => return None,
        }
        let exposed: Box<str> = exposed_name(server, name).into();
        let names = self.exposed.entry(exposed.clone()).or_default();
        if names.iter().any(|known| **known == *name) {
            return None;
        }
        let other = names.first().cloned();
        names.push(name.into());
        other.map(|other| What::Collision { other, exposed })
    }
}

impl Entry {
    fn bytes(&self) -> usize {
        match self {
            Entry::Offered(pinned) => pinned.json().bytes().len(),
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

/// Most definitions of one kind that are remembered of one server in one era.
const DEFINITIONS_MAX: usize = 10_000;
/// Most bytes that they have together.
const BYTES_MAX: usize = 32 * 1024 * 1024;

#[cfg(test)]
mod tests;
