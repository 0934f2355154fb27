//! The gateway's own listings: shared by all who ask for the same at the same time, and bounded.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sekisho_wire::server::Item;
use sekisho_wire::{Items, ListKind};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::allowance::detached;
use crate::error::SendError;

/// The listings of one server that are under way or were made a moment ago.
pub(crate) struct Lessons<K>(Mutex<HashMap<K, Arc<Lesson>>>);

/// One of them. Whoever asks first makes it; if they go away, the next one who waits does.
pub(crate) struct Lesson {
    asked: Instant,
    pub(crate) items: OnceCell<Result<Items, SendError>>,
}

impl<K: Eq + Hash> Lessons<K> {
    pub(crate) fn new() -> Lessons<K> {
        Lessons(Mutex::default())
    }

    /// The listing that whoever asks for this shares.
    pub(crate) fn about(&self, about: K, now: Instant) -> Arc<Lesson> {
        let mut lessons = self.lock();
        lessons.retain(|_, lesson| lesson.is_kept(now));
        let new = || Arc::new(Lesson { asked: now, items: OnceCell::new() });
        lessons.entry(about).or_insert_with(new).clone()
    }

    /// Forgets what nobody waits for and is too old to be given again.
    pub(crate) fn sweep(&self, now: Instant) {
        self.lock().retain(|_, lesson| lesson.is_kept(now));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Arc<Lesson>>> {
        // Nothing here leaves it half changed, so a panic elsewhere does not spoil it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lesson {
    /// One that everybody left before it was made is kept by nobody but the table.
    fn is_kept(self: &Arc<Self>, now: Instant) -> bool {
        let awaited = !self.items.initialized() && Arc::strong_count(self) > 1;
        awaited || now.saturating_duration_since(self.asked) < LESSON_KEPT
    }
}

/// All pages of a list as one.
pub(crate) struct Collected {
    all: Items,
    items_max: usize,
    bytes_left: usize,
}

impl Collected {
    /// Takes `items_max` items, and `bytes_max` bytes of them.
    pub(crate) fn new(kind: ListKind, items_max: usize, bytes_max: usize) -> Collected {
        Collected { all: empty(kind), items_max, bytes_left: bytes_max }
    }

    /// Takes a page; the cursor of the next one, where there is one and room for it.
    pub(crate) fn add(&mut self, page: Items) -> Option<Box<str>> {
        self.all.missing.extend(page.missing);
        for Item { server, definition } in page.entries {
            let left = self.bytes_left.checked_sub(definition.bytes().len());
            let left = left.filter(|_| self.all.entries.len() < self.items_max)?;
            self.bytes_left = left;
            self.all.entries.push(Item { server, definition: detached(&definition) });
        }
        let cursor = page.next.into_iter().next().map(|(_, cursor)| cursor);
        cursor.filter(|_| self.all.entries.len() < self.items_max)
    }

    /// How many items were taken.
    pub(crate) fn count(&self) -> usize {
        self.all.entries.len()
    }

    /// What was taken.
    pub(crate) fn into_items(self) -> Items {
        self.all
    }
}

/// A list with nothing on it.
pub(crate) fn empty(kind: ListKind) -> Items {
    Items { kind, entries: Vec::new(), next: Vec::new(), missing: Vec::new(), ttl_ms: None, meta: None, sheet: None }
}

/// The same list again; its texts are shared.
pub(crate) fn copy(items: &Items) -> Items {
    Items {
        kind: items.kind,
        entries: items.entries.clone(),
        next: items.next.clone(),
        missing: items.missing.clone(),
        ttl_ms: items.ttl_ms,
        meta: items.meta.clone(),
        sheet: items.sheet.clone(),
    }
}

/// How long a listing is good for: misses may come in swarms.
const LESSON_KEPT: Duration = Duration::from_secs(2);
/// Most bytes of definitions that one listing collects.
pub(crate) const LIST_BYTES_MAX: usize = 32 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::support::{json, server_id};

    fn page(bytes: &[usize]) -> Items {
        let item =
            |bytes: &usize| Item { server: server_id(), definition: json(&format!("\"{}\"", "x".repeat(bytes - 2))) };
        let next = vec![(server_id(), "more".into())];
        Items { entries: bytes.iter().map(item).collect(), next, ..empty(ListKind::Tools) }
    }

    fn collect(items_max: usize, pages: &[Items]) -> (usize, bool) {
        let mut collected = Collected::new(ListKind::Tools, items_max, 100);
        let more = pages.iter().map(copy).all(|page| collected.add(page).is_some());
        (collected.into_items().entries.len(), more)
    }

    #[test]
    fn a_listing_takes_bytes_and_items_up_to_their_bounds_and_none_past_them() {
        assert_eq!(collect(9, &[page(&[50]), page(&[50])]), (2, true));
        assert_eq!(collect(9, &[page(&[50]), page(&[51])]), (1, false));
        assert_eq!(collect(2, &[page(&[9]), page(&[9, 9])]), (2, false));
        assert_eq!(collect(3, &[page(&[9]), page(&[9])]), (2, true));
    }

    #[test]
    fn what_is_collected_keeps_nothing_of_its_page() {
        let text = json(&format!(r#"{{"name":"x","padding":"{}"}}"#, "y".repeat(4096)));
        let definition = text.get("name").unwrap();
        let mut collected = Collected::new(ListKind::Tools, 9, 100);
        collected.add(Items { entries: vec![Item { server: server_id(), definition }], ..empty(ListKind::Tools) });
        let taken = collected.into_items().entries.remove(0).definition;
        assert_eq!(taken.as_str(), "\"x\"");
        assert!(!text.bytes().as_ptr_range().contains(&taken.bytes().as_ptr()));
    }

    #[test]
    fn a_listing_that_everybody_left_is_forgotten_and_one_that_is_awaited_is_not() {
        let (lessons, now) = (Lessons::new(), Instant::now());
        drop(lessons.about("left", now));
        let awaited = lessons.about("awaited", now);
        lessons.sweep(now);
        assert_eq!(lessons.lock().len(), 2, "moments ago");
        lessons.sweep(now + LESSON_KEPT);
        assert_eq!(lessons.lock().len(), 1);
        assert!(Arc::ptr_eq(&lessons.about("awaited", now + LESSON_KEPT), &awaited));
    }
}
