//! Which connections to one server are open, whose they are, and how many there may be.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sekisho_identity::PrincipalKey;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::caller::Owner;
use crate::error::Fault;
use crate::link::Link;

/// The connections to one server.
pub(crate) struct Pool {
    counts: Arc<Mutex<Counts>>,
    places: Mutex<HashMap<Owner, Arc<Place>>>,
    /// Streams of requests that are their own connections. Apart: whoever listens takes no call's place.
    streams: Arc<Semaphore>,
}

/// Where an owner's connection is, or will be. It outlives a connection that broke, so that its pauses do, too.
pub(crate) struct Place {
    state: Mutex<State>,
}

struct State {
    /// Shared with the process that was started here last, until that is reaped.
    slot: Arc<Slot>,
    link: Arc<OnceCell<Arc<Link>>>,
    backoff: Backoff,
    used: Instant,
    visitors: usize,
}

/// One of the connections that a server may have. Given back when dropped.
pub(crate) struct Slot {
    counts: Arc<Mutex<Counts>>,
    principal: PrincipalKey,
    of: Use,
}

/// What a slot is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// A session or a process.
    Connection,
    /// A request that is its own connection.
    Request,
}

#[derive(Default)]
struct Counts {
    total: usize,
    requests: usize,
    by_principal: HashMap<PrincipalKey, usize>,
    total_max: usize,
    principal_max: usize,
}

/// Where an owner's connection is, or is to be made by whoever comes first.
pub(crate) struct Berth {
    pub(crate) link: Arc<OnceCell<Arc<Link>>>,
    /// Whether a connection that was there has ended.
    pub(crate) restarted: bool,
}

/// The use of a place by one exchange: while there is one, the place is not idle.
pub(crate) struct Visit(Arc<Place>);

impl Pool {
    pub(crate) fn new(connections_max: usize, per_principal_max: usize) -> Pool {
        let counts = Counts { total_max: connections_max, principal_max: per_principal_max, ..Counts::default() };
        let streams = Arc::new(Semaphore::new(STREAMS_MAX));
        Pool { counts: Arc::new(Mutex::new(counts)), places: Mutex::new(HashMap::new()), streams }
    }

    /// Takes one of the connections that are permitted.
    ///
    /// # Errors
    /// [`Fault::Busy`] where there is none left, for all or for this principal.
    pub(crate) fn slot(&self, principal: PrincipalKey, of: Use) -> Result<Slot, Fault> {
        Slot::take(&self.counts, principal, of)
    }

    /// Takes one of the streams that are permitted.
    ///
    /// # Errors
    /// [`Fault::Busy`] where there is none left.
    pub(crate) fn stream(&self) -> Result<OwnedSemaphorePermit, Fault> {
        let full = |_| Fault::Busy(format!("all {STREAMS_MAX} streams are in use").into());
        Arc::clone(&self.streams).try_acquire_owned().map_err(full)
    }

    /// Enters the owner's place, which is made where there is none.
    ///
    /// # Errors
    /// [`Fault::Busy`].
    pub(crate) fn visit(&self, owner: Owner, principal: PrincipalKey) -> Result<Visit, Fault> {
        let place = match lock(&self.places).entry(owner) {
            Entry::Occupied(entry) => {
                entry.get().enter();
                entry.get().clone()
            }
            Entry::Vacant(entry) => {
                let place = entry.insert(Arc::new(Place::new(self.slot(principal, Use::Connection)?)));
                place.enter();
                place.clone()
            }
        };
        Ok(Visit(place))
    }

    /// The owner's living connection.
    pub(crate) fn link(&self, owner: Owner) -> Option<Arc<Link>> {
        let place = lock(&self.places).get(&owner).cloned()?;
        place.link().filter(|link| !link.is_over())
    }

    /// Closes the owner's connection, if there is one.
    pub(crate) fn close(&self, owner: Owner) {
        let place = lock(&self.places).remove(&owner);
        if let Some(link) = place.and_then(|place| place.link()) {
            link.close();
        }
    }

    /// Closes what nobody has used for `idle`.
    pub(crate) fn sweep(&self, idle: Duration) {
        let now = Instant::now();
        let mut ended = Vec::new();
        lock(&self.places).retain(|_, place| {
            let stays = !place.is_idle(now, idle);
            if !stays {
                ended.extend(place.link());
            }
            stays
        });
        for link in ended {
            link.close();
        }
    }

    /// Closes everything.
    pub(crate) fn clear(&self) {
        let places: Vec<Arc<Place>> = lock(&self.places).drain().map(|(_, place)| place).collect();
        for link in places.iter().filter_map(|place| place.link()) {
            link.close();
        }
    }

    /// Whether anything is open to the server: a connection, or a request that is one.
    pub(crate) fn is_alive(&self) -> bool {
        let lives = |place: &Arc<Place>| place.link().is_some_and(|link| !link.is_over());
        lock(&self.counts).requests > 0 || lock(&self.places).values().any(lives)
    }

    /// How many connections are in use, processes included that are still to be reaped.
    pub(crate) fn connections(&self) -> usize {
        lock(&self.counts).total
    }
}

impl Place {
    fn new(slot: Slot) -> Place {
        let (slot, used) = (Arc::new(slot), Instant::now());
        Place {
            state: Mutex::new(State { slot, link: Arc::default(), backoff: Backoff::default(), used, visitors: 0 }),
        }
    }

    fn enter(&self) {
        let mut state = lock(&self.state);
        state.visitors = state.visitors.saturating_add(1);
    }

    fn leave(&self) {
        let mut state = lock(&self.state);
        state.visitors = state.visitors.saturating_sub(1);
        state.used = Instant::now();
    }

    fn link(&self) -> Option<Arc<Link>> {
        lock(&self.state).link.get().cloned()
    }

    fn is_idle(&self, now: Instant, idle: Duration) -> bool {
        let state = lock(&self.state);
        let kept = if state.link.get().is_some_and(|link| !link.is_over()) { idle } else { idle.min(BROKEN_KEPT) };
        state.visitors == 0 && now.duration_since(state.used) >= kept
    }
}

impl Visit {
    /// Where the place's connection is or is to be made. One that has ended is left behind for a new one.
    pub(crate) fn berth(&self, pause_max: Duration, chance: u32) -> Berth {
        let now = Instant::now();
        let mut state = lock(&self.0.state);
        let restarted = state.link.get().is_some_and(|link| link.is_over());
        if restarted {
            state.link = Arc::default();
            state.backoff.failed(now, pause_max, chance);
        }
        Berth { link: state.link.clone(), restarted }
    }

    /// The place's slot, for a connection that is to be made. Where a process that is not reaped yet has it, another one is taken.
    ///
    /// # Errors
    /// [`Fault::Busy`].
    pub(crate) fn slot(&self) -> Result<Arc<Slot>, Fault> {
        let mut state = lock(&self.0.state);
        if Arc::strong_count(&state.slot) > 1 {
            state.slot = Arc::new(Slot::take(&state.slot.counts, state.slot.principal, Use::Connection)?);
        }
        Ok(state.slot.clone())
    }

    /// Whether a connection may be made now.
    ///
    /// # Errors
    /// [`Fault::Unreachable`] while one that failed before must not be tried again.
    pub(crate) fn ready(&self) -> Result<(), Fault> {
        let Some(pause) = lock(&self.0.state).backoff.pause(Instant::now()) else { return Ok(()) };
        Err(Fault::Unreachable(format!("it failed before and is tried again in {} ms", pause.as_millis()).into()))
    }

    /// Notes that the connection could not be made.
    pub(crate) fn failed(&self, pause_max: Duration, chance: u32) {
        lock(&self.0.state).backoff.failed(Instant::now(), pause_max, chance);
    }

    /// Notes that an exchange had its answer.
    pub(crate) fn succeeded(&self) {
        lock(&self.0.state).backoff.reset();
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Slot {
    fn take(counts: &Arc<Mutex<Counts>>, principal: PrincipalKey, of: Use) -> Result<Slot, Fault> {
        let mut locked = lock(counts);
        if locked.total >= locked.total_max {
            return Err(Fault::Busy(format!("all {} are in use", locked.total_max).into()));
        }
        let principal_max = locked.principal_max;
        let own = locked.by_principal.entry(principal).or_insert(0);
        if *own >= principal_max {
            return Err(Fault::Busy(format!("the principal's share of {principal_max} is in use").into()));
        }
        *own = own.saturating_add(1);
        locked.total = locked.total.saturating_add(1);
        locked.requests = locked.requests.saturating_add(of.requests());
        Ok(Slot { counts: counts.clone(), principal, of })
    }
}

impl Use {
    fn requests(self) -> usize {
        match self {
            Use::Connection => 0,
            Use::Request => 1,
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = lock(&self.counts);
        counts.total = counts.total.saturating_sub(1);
        counts.requests = counts.requests.saturating_sub(self.of.requests());
        if let Some(own) = counts.by_principal.get_mut(&self.principal) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                counts.by_principal.remove(&self.principal);
            }
        }
    }
}

/// Nothing here leaves its state half done, so a panic elsewhere does not spoil it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// LIMIT: streams of one server on which requests listen (modern). How many one principal has is bounded where it asks for them.
const STREAMS_MAX: usize = 1024;
/// How long a place without a living connection is remembered: longer than the longest pause between tries should be.
const BROKEN_KEPT: Duration = Duration::from_secs(60);
