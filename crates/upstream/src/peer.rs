//! One server: what it offers, the connections to it, and the questions that go over them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sekisho_audit::Outcome;
use sekisho_catalog::Server;
use sekisho_wire::{Call, Era, Items, Json, ListKind, ServerId};
use tokio::sync::{Notify, OnceCell, watch};
use tokio::time::{Instant, interval, sleep, timeout_at};

use crate::ask::Ask;
use crate::backoff::{Backoff, PAUSE_FIRST, chance};
use crate::caller::{Caller, Owner};
use crate::config::Config;
use crate::error::{Fault, SendError};
use crate::exchange::{Course, Page, Running};
use crate::link::{Link, Way};
use crate::notes::Notes;
use crate::offer::{Offer, Spoken, Status};
use crate::pool::{Pool, Slot, Visit};
use crate::probe::probe;
use crate::setup::Setup;

/// One server and everything that is open to it.
pub(crate) struct Peer {
    server: Arc<Server>,
    setup: Setup,
    config: Arc<Config>,
    notes: Arc<Notes>,
    pool: Pool,
    seen: watch::Sender<Seen>,
    recheck: Notify,
    closing: watch::Sender<bool>,
    restarts: AtomicU64,
    learning: Mutex<HashMap<(Owner, ListKind), Arc<Lesson>>>,
}

/// What the last probe found.
#[derive(Debug, Clone)]
enum Seen {
    NotYet,
    Up(Arc<Offer>),
    Down(Box<str>),
}

/// What is held while a request is under way: the use of a connection.
pub(crate) enum Hold {
    Place(Visit),
    Slot { _counted: Slot },
}

/// A listing of the gateway's own, shared by all who ask for it meanwhile and shortly after.
struct Lesson {
    asked: Instant,
    items: OnceCell<Result<Items, SendError>>,
}

impl Peer {
    /// Takes a server up; probing begins in the background.
    pub(crate) fn start(server: Arc<Server>, setup: Setup, config: Arc<Config>, notes: Arc<Notes>) -> Arc<Peer> {
        let bounds = &setup.bounds;
        let peer = Arc::new(Peer {
            pool: Pool::new(bounds.connections_max, bounds.per_principal_max),
            server,
            setup,
            config,
            notes,
            seen: watch::Sender::new(Seen::NotYet),
            recheck: Notify::new(),
            closing: watch::Sender::new(false),
            restarts: AtomicU64::new(0),
            learning: Mutex::default(),
        });
        peer.setup.tasks.spawn(peer.clone().keep_probing());
        peer.setup.tasks.spawn(peer.clone().keep_sweeping());
        peer
    }

    pub(crate) fn id(&self) -> &ServerId {
        self.server.id()
    }

    pub(crate) fn setup(&self) -> &Setup {
        &self.setup
    }

    pub(crate) fn offer(&self) -> Option<Arc<Offer>> {
        match &*self.seen.borrow() {
            Seen::Up(offer) => Some(offer.clone()),
            Seen::NotYet | Seen::Down(_) => None,
        }
    }

    pub(crate) fn status(&self) -> Status {
        let seen = self.seen.borrow().clone();
        let (up, eras, trouble) = match seen {
            Seen::Up(offer) => (true, offer.eras(), None),
            Seen::NotYet => (false, Vec::new(), Some("not probed yet".into())),
            Seen::Down(why) => (false, Vec::new(), Some(why)),
        };
        Status {
            server: self.id().clone(),
            up,
            eras,
            trouble,
            connections: self.pool.connections(),
            restarts: self.restarts.load(Ordering::Relaxed),
        }
    }

    /// Waits until the first probe is over.
    pub(crate) async fn settled(&self) {
        let mut seen = self.seen.subscribe();
        // Cannot fail: the sender lives in `self`.
        let _probed = seen.wait_for(|seen| !matches!(seen, Seen::NotYet)).await;
    }

    /// Closes what belongs to an owner.
    pub(crate) fn end(&self, owner: Owner) {
        self.pool.close(owner);
    }

    /// Closes everything; nothing is opened any more.
    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
        self.seen.send_replace(Seen::Down("it is not configured any more, or the gateway is shutting down".into()));
        self.pool.clear();
    }

    /// Sends a call on the caller's connection.
    ///
    /// # Errors
    /// No connection, none permitted, or the call could not be sent.
    pub(crate) async fn ask(&self, caller: &Caller, call: &Call, schema: Option<&Json>) -> Result<Running, SendError> {
        let deadline = Instant::now() + self.setup.bounds.timeout;
        let sent = self.send(caller, call, schema, deadline).await;
        let (flight, hold) = sent.map_err(|fault| self.failed(fault))?;
        let page = match call {
            Call::List { kind, .. } => Some(Page { kind: *kind, server: self.id().clone() }),
            Call::Initialize(_)
            | Call::Discover
            | Call::Ping
            | Call::CallTool { .. }
            | Call::ReadResource { .. }
            | Call::GetPrompt { .. }
            | Call::Complete { .. }
            | Call::SetLogLevel { .. } => None,
        };
        Ok(Running::new(self.id().clone(), caller.era(), page, flight, hold))
    }

    /// All pages of a list, for the gateway's own use. Who asks for the same again within [`LESSON_KEPT`] gets the same.
    ///
    /// # Errors
    /// As for [`Peer::ask`], or the server refused the list.
    pub(crate) async fn learn(&self, caller: &Caller, kind: ListKind) -> Result<Items, SendError> {
        let lesson = self.lesson((caller.owner, kind));
        let items = lesson.items.get_or_init(|| Box::pin(self.all_pages(caller, kind))).await;
        items.as_ref().map(copy).map_err(Clone::clone)
    }

    fn lesson(&self, about: (Owner, ListKind)) -> Arc<Lesson> {
        let mut learning = self.learning.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        learning.retain(|_, lesson| !lesson.items.initialized() || now.duration_since(lesson.asked) < LESSON_KEPT);
        let new = || Arc::new(Lesson { asked: now, items: OnceCell::new() });
        learning.entry(about).or_insert_with(new).clone()
    }

    async fn all_pages(&self, caller: &Caller, kind: ListKind) -> Result<Items, SendError> {
        let mut all = empty(kind);
        let mut cursor = None;
        for _ in 0..self.config.list_pages_max {
            let page = self.page(caller, kind, cursor).await?;
            all.entries.extend(page.entries);
            all.missing.extend(page.missing);
            cursor = page.next.into_iter().next().map(|(_, cursor)| cursor);
            if cursor.is_none() || all.entries.len() >= self.config.list_items_max {
                break;
            }
        }
        all.entries.truncate(self.config.list_items_max);
        Ok(all)
    }

    /// One page of a list. A server without such a list has an empty one; what it refuses otherwise is missing.
    pub(crate) async fn page(
        &self,
        caller: &Caller,
        kind: ListKind,
        cursor: Option<Box<str>>,
    ) -> Result<Items, SendError> {
        let call = Call::List { kind, cursor };
        let mut course = Course::from(self.ask(caller, &call, None).await?);
        course.page(kind, self.id()).await
    }

    async fn send(
        &self,
        caller: &Caller,
        call: &Call,
        schema: Option<&Json>,
        deadline: Instant,
    ) -> Result<(crate::link::Flight, Hold), Fault> {
        let spoken = self.spoken(caller.era(), deadline).await?;
        let mut tries = 0_u32;
        loop {
            let (link, hold) = self.link(caller, &spoken, deadline).await?;
            let ask = Ask::call(call, &caller.meta, schema, link.version());
            match link.ask(&ask, deadline).await {
                // The server has forgotten the session, so it did nothing: once more in a new one (HT-17).
                Err(Fault::SessionLost) if tries == 0 => {
                    self.notes.turn(Outcome::Noted, "the server lost a session, which is opened anew", "");
                    tries = 1;
                }
                sent => return sent.map(|flight| (flight, hold)),
            }
        }
    }

    /// What the server says of itself in an era; waits for the first probe.
    async fn spoken(&self, era: Era, deadline: Instant) -> Result<Spoken, Fault> {
        if timeout_at(deadline, self.settled()).await.is_err() {
            return Err(Fault::TimedOut("it has not been probed yet".into()));
        }
        let seen = self.seen.borrow().clone();
        match seen {
            Seen::NotYet => Err(Fault::Unreachable("it has not been probed yet".into())),
            Seen::Down(why) => Err(Fault::Unreachable(String::from(why).into())),
            Seen::Up(offer) => offer.of(era).cloned().ok_or_else(|| {
                let other = offer.eras().into_iter().next().map_or("nothing", Era::as_str);
                Fault::WrongEra(format!("it speaks {other} only").into())
            }),
        }
    }

    /// The caller's own connection: opened at first use, opened anew where it has ended.
    async fn link(&self, caller: &Caller, spoken: &Spoken, deadline: Instant) -> Result<(Arc<Link>, Hold), Fault> {
        if let (Era::Modern, Way::Http(_)) = (caller.era(), &self.setup.way) {
            // Stateless: the request is the connection (2026-07-28), so only how many there are is bounded.
            let slot = self.pool.slot(caller.principal)?;
            return Ok((Arc::new(Link::modern(&self.setup.way, spoken.version)?), Hold::Slot { _counted: slot }));
        }
        let visit = self.pool.visit(caller.owner, caller.principal)?;
        let berth = visit.berth(self.config.backoff_max(), chance());
        if berth.restarted {
            self.restarts.fetch_add(1, Ordering::Relaxed);
        }
        let open = berth.link.get_or_try_init(|| Box::pin(self.open(&visit, caller, spoken, deadline)));
        let late = |_| Err(Fault::TimedOut("its connection was not opened in time".into()));
        let link = timeout_at(deadline, open).await.unwrap_or_else(late)?.clone();
        // A shutdown or reload in between has not seen this connection.
        if *self.closing.borrow() {
            link.close();
            return Err(Fault::Unreachable("it is being closed".into()));
        }
        Ok((link, Hold::Place(visit)))
    }

    /// Opens a connection. Many may wait for it in a row: after a failure the next one does not try again before its time.
    async fn open(
        &self,
        visit: &Visit,
        caller: &Caller,
        spoken: &Spoken,
        deadline: Instant,
    ) -> Result<Arc<Link>, Fault> {
        visit.ready()?;
        let opened = match caller.era() {
            Era::Modern => Link::modern(&self.setup.way, spoken.version),
            Era::Legacy => {
                let opening = timeout_at(deadline, Link::legacy(&self.setup.way, caller.version, deadline)).await;
                let late = |_| Err(Fault::TimedOut("it did not answer initialize".into()));
                opening.unwrap_or_else(late).map(|(link, _)| link)
            }
        };
        opened.map(Arc::new).inspect_err(|_| visit.failed(self.config.backoff_max(), chance()))
    }

    /// Names the server in a fault. One that cannot be reached is probed again (BP-22).
    fn failed(&self, fault: Fault) -> SendError {
        match fault {
            Fault::Unreachable(_) | Fault::WrongEra(_) => self.recheck.notify_one(),
            Fault::TimedOut(_)
            | Fault::Garbled(_)
            | Fault::Ended(_)
            | Fault::Busy(_)
            | Fault::Denied(_)
            | Fault::SessionLost => {}
        }
        tracing::debug!(target: "upstream", server = %self.id(), %fault, "call not sent");
        fault.of(self.id())
    }

    async fn keep_probing(self: Arc<Self>) {
        let mut closing = self.closing.subscribe();
        let closed = closing.wait_for(|closing| *closing);
        tokio::select! {
            _ = closed => {}
            () = self.probe_for_ever() => {}
        }
    }

    async fn probe_for_ever(&self) {
        let mut backoff = Backoff::default();
        loop {
            let found = probe(&self.setup.way, self.setup.eras, self.config.probe_timeout()).await;
            let up = found.is_ok();
            self.publish(found);
            if up {
                backoff.reset();
                self.recheck.notified().await;
                // However often calls fail, probes keep a distance.
                sleep(PROBE_DISTANCE).await;
            } else {
                let pause = backoff.failed(Instant::now(), self.config.backoff_max(), chance());
                sleep(pause.max(PAUSE_FIRST)).await;
            }
        }
    }

    fn publish(&self, found: Result<Offer, Box<str>>) {
        let before = self.seen.borrow().clone();
        match found {
            Ok(offer) => {
                if !matches!(before, Seen::Up(_)) {
                    let eras: Vec<&str> = offer.eras().into_iter().map(Era::as_str).collect();
                    self.notes.turn(Outcome::Completed, "the server is up", &eras.join(", "));
                }
                self.see(Seen::Up(Arc::new(offer)));
            }
            Err(why) => {
                let said = matches!(&before, Seen::Down(earlier) if *earlier == why);
                if !said {
                    self.notes.turn(Outcome::Failed, "the server is down", &why);
                }
                self.see(Seen::Down(why));
            }
        }
    }

    /// Shows what was found, unless the peer was closed meanwhile.
    fn see(&self, found: Seen) {
        self.seen.send_if_modified(|seen| {
            let open = !*self.closing.borrow();
            if open {
                *seen = found;
            }
            open
        });
    }

    async fn keep_sweeping(self: Arc<Self>) {
        let idle = self.setup.bounds.idle;
        let mut closing = self.closing.subscribe();
        let mut tick = interval((idle / 4).clamp(SWEEP_MIN, SWEEP_MAX));
        loop {
            tokio::select! {
                _ = closing.wait_for(|closing| *closing) => return,
                _ = tick.tick() => self.pool.sweep(idle),
            }
        }
    }
}

impl Hold {
    /// Notes that the connection works.
    pub(crate) fn succeeded(&self) {
        match self {
            Hold::Place(visit) => visit.succeeded(),
            Hold::Slot { .. } => {}
        }
    }
}

/// A list with nothing on it.
pub(crate) fn empty(kind: ListKind) -> Items {
    Items { kind, entries: Vec::new(), next: Vec::new(), missing: Vec::new(), ttl_ms: None, meta: None }
}

/// The same list again; its texts are shared.
fn copy(items: &Items) -> Items {
    let copied = |item: &sekisho_wire::server::Item| sekisho_wire::server::Item {
        server: item.server.clone(),
        definition: item.definition.clone(),
    };
    Items {
        kind: items.kind,
        entries: items.entries.iter().map(copied).collect(),
        next: items.next.clone(),
        missing: items.missing.clone(),
        ttl_ms: items.ttl_ms,
        meta: items.meta.clone(),
    }
}

/// How long a listing of the gateway's own is good for: misses may come in swarms.
const LESSON_KEPT: Duration = Duration::from_secs(2);
const PROBE_DISTANCE: Duration = Duration::from_secs(1);
const SWEEP_MIN: Duration = Duration::from_millis(250);
const SWEEP_MAX: Duration = Duration::from_secs(30);
