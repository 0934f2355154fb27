//! Requests under way, so that `notifications/cancelled` finds its own session's request and no other (UT-06).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sekisho_identity::SessionKey;
use sekisho_wire::Id;
use tokio::sync::Notify;

type Key = (SessionKey, Id);

/// The table. Its size is bounded by the concurrency that `limits` admits.
#[derive(Default)]
pub(crate) struct InFlight {
    /// By the first byte of the session's key, so that no two calls wait for each other without need.
    shards: [Shard; SHARDS],
}

type Shard = Mutex<HashMap<Key, Vec<Arc<Notify>>>>;

/// One entry; leaves the table when dropped.
pub(crate) struct Entry {
    table: Arc<InFlight>,
    key: Option<Key>,
    cancelled: Arc<Notify>,
}

impl InFlight {
    /// Enters a request. Outside a session nothing can name it, so nothing is kept.
    pub(crate) fn enter(self: &Arc<Self>, session: Option<SessionKey>, id: &Id) -> Entry {
        let cancelled = Arc::new(Notify::new());
        let key = session.map(|session| (session, id.clone()));
        if let Some(key) = &key {
            self.shard(key.0).entry(key.clone()).or_default().push(Arc::clone(&cancelled));
        }
        Entry { table: Arc::clone(self), key, cancelled }
    }

    /// Cancels a session's request; unknown ones are ignored, as races are normal (UT-06).
    pub(crate) fn cancel(&self, session: SessionKey, id: &Id) {
        let requests = self.shard(session);
        let named = requests.get(&(session, id.clone()));
        named.into_iter().flatten().for_each(|cancelled| cancelled.notify_one());
    }

    /// Cancels all that a session has under way: it has ended.
    pub(crate) fn cancel_all(&self, session: SessionKey) {
        let requests = self.shard(session);
        let own = requests.iter().filter(|((of, _), _)| *of == session);
        own.flat_map(|(_, cancelled)| cancelled).for_each(|cancelled| cancelled.notify_one());
    }

    fn shard(&self, session: SessionKey) -> MutexGuard<'_, HashMap<Key, Vec<Arc<Notify>>>> {
        let [first, ..] = *session.as_bytes();
        let [zero, ..] = &self.shards;
        let shard = self.shards.get(usize::from(first) % SHARDS).unwrap_or(zero);
        // Nothing between lock and unlock panics.
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Ends those of the same name that were entered before: a session has one stream of its own, and of the one before its client may
    /// have lost sight (HT-12: each message on exactly one stream).
    pub(crate) fn supersede(&self) {
        let Some(key) = &self.key else { return };
        let requests = self.table.shard(key.0);
        let before = requests.get(key).into_iter().flatten();
        before.take_while(|one| !Arc::ptr_eq(one, &self.cancelled)).for_each(|one| one.notify_one());
    }

    /// Whether the session has nothing else under way, but for what has the id `but_for`.
    pub(crate) fn is_alone(&self, but_for: &Id) -> bool {
        let Some((session, id)) = &self.key else { return true };
        let requests = self.table.shard(*session);
        let others = requests.keys().filter(|(of, other)| of == session && other != id && other != but_for);
        others.count() == 0
    }

    /// Waits until the request is cancelled.
    pub(crate) async fn cancelled(&self) {
        self.cancelled.notified().await;
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        let mut requests = self.table.shard(key.0);
        let Some(waiting) = requests.get_mut(&key) else { return };
        waiting.retain(|cancelled| !Arc::ptr_eq(cancelled, &self.cancelled));
        if waiting.is_empty() {
            requests.remove(&key);
        }
    }
}

const SHARDS: usize = 32;
