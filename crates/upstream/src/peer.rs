//! One server: what it offers, the connections to it, and the questions that go over them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use sekisho_audit::Outcome;
use sekisho_catalog::Server;
use sekisho_wire::task::About;
use sekisho_wire::{Call, Era, Filter, Items, ListKind, ServerId, TaskVerb, outgoing};
use tokio::sync::{Notify, OwnedSemaphorePermit, watch};
use tokio::time::{Instant, interval, timeout_at};

use crate::ask::{Ask, Question};
use crate::caller::{Caller, Owner};
use crate::config::Config;
use crate::error::{Fault, SendError};
use crate::exchange::{Course, Page, Reads, Running};
use crate::hello::{Demand, Hello, Probing};
use crate::kept::Kept;
use crate::lessons::{Collected, LIST_BYTES_MAX, Lessons, copy};
use crate::link::Link;
use crate::notes::Notes;
use crate::offer::{Offer, Spoken, Status};
use crate::pool::{Pool, Slot, Visit};
use crate::setup::Setup;
use crate::trail::{Context, Leg};

mod opening;
mod probing;

/// One server and everything that is open to it.
pub(crate) struct Peer {
    server: Arc<Server>,
    setup: Setup,
    config: Arc<Config>,
    notes: Arc<Notes>,
    pool: Pool,
    seen: watch::Sender<Seen>,
    /// What it is to be asked.
    demand: watch::Sender<Demand>,
    /// The connection that it answered the one client's first question on, until that client takes it.
    spare: Mutex<Option<(Link, Instant)>>,
    recheck: Notify,
    /// It is configured or approved anew: one that was down is tried at once.
    moved: Notify,
    /// When the last probe began.
    probed: Mutex<Option<Instant>>,
    closing: watch::Sender<bool>,
    restarts: AtomicU64,
    lessons: Lessons<(Owner, ListKind, u64)>,
    kept: Arc<Kept>,
}

/// What the last probe found.
#[derive(Debug, Clone)]
enum Seen {
    NotYet,
    Up(Arc<Offer>),
    Down(Box<str>),
}

impl Seen {
    /// Whether it is known if the server speaks an era.
    fn tells(&self, era: Era) -> bool {
        match self {
            Seen::NotYet => false,
            Seen::Up(offer) => !offer.awaits(era),
            Seen::Down(_) => true,
        }
    }
}

/// What a connection is wanted for.
#[derive(Clone, Copy)]
enum Kind {
    Call,
    Listening,
}

/// What is held while a request is under way: the use of a connection.
pub(crate) enum Hold {
    Place { visit: Visit, connection: u64 },
    Slot { _counted: Slot },
    Stream { _counted: OwnedSemaphorePermit },
}

impl Peer {
    /// Takes a server up; it is probed in the background.
    pub(crate) fn start(
        server: Arc<Server>,
        setup: Setup,
        probing: Probing,
        (config, notes): (Arc<Config>, Arc<Notes>),
    ) -> Arc<Peer> {
        let bounds = &setup.bounds;
        let peer = Arc::new(Peer {
            pool: Pool::new(bounds.connections_max, bounds.per_principal_max),
            server,
            setup,
            config,
            notes,
            seen: watch::Sender::new(Seen::NotYet),
            demand: watch::Sender::new(probing.into()),
            spare: Mutex::default(),
            recheck: Notify::new(),
            moved: Notify::new(),
            closing: watch::Sender::new(false),
            restarts: AtomicU64::new(0),
            probed: Mutex::default(),
            lessons: Lessons::new(),
            kept: Arc::default(),
        });
        peer.setup.tasks.spawn(peer.clone().keep_probing());
        peer.setup.tasks.spawn(peer.clone().keep_sweeping());
        peer
    }

    pub(crate) fn id(&self) -> &ServerId {
        self.server.id()
    }

    /// The server as it was when this was set up.
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// It is kept, and its server is configured anew.
    pub(crate) fn move_to(&self, server: &Arc<Server>) {
        self.notes.move_to(server);
        self.moved.notify_one();
    }

    /// Everything that the server offers in an era: all pages of all four lists, of those that it says it has.
    ///
    /// # Errors
    /// As for [`Peer::ask`]; it refused a list, or offers more than is looked at.
    pub(crate) async fn survey(&self, spoken: &Spoken) -> Result<Vec<Items>, SendError> {
        let caller = Caller::surveying(spoken.version);
        let mut all = Vec::new();
        for kind in ListKind::ALL {
            let capability = match kind {
                ListKind::Tools => "tools",
                ListKind::Prompts => "prompts",
                ListKind::Resources | ListKind::Templates => "resources",
            };
            if spoken.capabilities.get(capability).is_some() {
                all.push(self.whole_list(&caller, kind).await?);
            }
        }
        Ok(all)
    }

    async fn whole_list(&self, caller: &Caller, kind: ListKind) -> Result<Items, SendError> {
        let deadline = Instant::now() + self.setup.bounds.timeout;
        let mut collected = Collected::new(kind, SURVEYED_MAX, LIST_BYTES_MAX);
        let (mut cursor, mut pages) = (None, 0);
        loop {
            let page = self.page_by(caller, kind, cursor, deadline).await?;
            let (count, more) = (page.entries.len(), !page.next.is_empty());
            let before = collected.count();
            cursor = collected.add(page);
            pages += 1;
            let is_cut = collected.count() - before < count || (more && cursor.is_none());
            if is_cut || (cursor.is_some() && pages >= SURVEYED_MAX) {
                return Err(Fault::Garbled("it offers more than is looked at".into()).of(self.id()));
            }
            if cursor.is_none() {
                return Ok(collected.into_items());
            }
        }
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
        let (usage, let_out, kept_in) = self.notes.watches().together();
        Status {
            server: self.id().clone(),
            up,
            eras,
            trouble,
            last_line: self.notes.last_line(),
            connections: self.pool.connections(),
            restarts: self.restarts.load(Ordering::Relaxed),
            tier: self.setup.way.tier(),
            usage,
            let_out,
            kept_in,
        }
    }

    /// Waits until the first probe is over.
    pub(crate) async fn settled(&self) {
        let is_whole = |seen: &Seen| [Era::Legacy, Era::Modern].into_iter().all(|era| seen.tells(era));
        let mut seen = self.seen.subscribe();
        // Cannot fail: the sender lives in `self`.
        let _probed = seen.wait_for(is_whole).await;
    }

    /// Closes what belongs to an owner.
    pub(crate) fn end(&self, owner: Owner) {
        self.pool.close(owner);
        self.kept.forget(owner);
    }

    /// Closes everything; nothing is opened any more.
    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
        self.seen.send_replace(Seen::Down("it is not configured any more, or the gateway is shutting down".into()));
        self.pool.clear();
        drop(self.spare().take());
    }

    /// Why the server has nothing for an era, if its probe has shown so.
    pub(crate) fn lacks(&self, era: Era) -> Option<String> {
        match &*self.seen.borrow() {
            Seen::Up(offer) if offer.of(era).is_none() && !offer.awaits(era) => Some(speaks_only(offer)),
            Seen::Up(_) | Seen::NotYet | Seen::Down(_) => None,
        }
    }

    /// Sends a call on the caller's connection.
    ///
    /// # Errors
    /// No connection, none permitted, or the call could not be sent.
    pub(crate) async fn ask(&self, caller: &Caller, question: Question<'_>) -> Result<Running, SendError> {
        self.ask_by(caller, question, Instant::now() + self.setup.bounds.timeout).await
    }

    async fn ask_by(&self, caller: &Caller, question: Question<'_>, deadline: Instant) -> Result<Running, SendError> {
        let call = question.call;
        let mut leg = Leg::begin(&caller.trail, &self.server, self.setup.way.transport(), call);
        let sent = self.send(caller, (question, leg.context()), deadline).await;
        let sent = sent.map_err(|fault| leg.failed(self.failed(fault)))?;
        let (era, server) = (caller.era(), self.id().clone());
        let (page, about) = match (call, era) {
            (Call::List { kind, .. }, _) => {
                let sheets = Arc::clone(&self.setup.sheets);
                (Some(Page { kind: *kind, server: server.clone(), sheets }), About::Nothing)
            }
            (Call::Task { verb: TaskVerb::Get, .. }, _) | (Call::Task { verb: TaskVerb::Cancel, .. }, Era::Legacy) => {
                (None, About::State)
            }
            // Who did not ask for it cannot get a task (T5-01, T6-01).
            (Call::CallTool { .. }, Era::Legacy) if question.input.is_some_and(|input| input.task.is_some()) => {
                (None, About::Beginning)
            }
            (Call::CallTool { .. }, Era::Modern) if caller.askable.tasks => (None, About::Beginning),
            _ => (None, About::Nothing),
        };
        let sets = self.kept.setting(caller.owner, call);
        Ok(Running::new(server, era, Reads { page, about, sets }, sent, (leg, self.setup.bounds.timeout)))
    }

    /// Policies may have changed: what was set is decided again before it is set again.
    pub(crate) fn forget_settings(&self) {
        self.kept.clear();
    }

    /// What a session subscribes to (legacy).
    pub(crate) fn subscribed(&self, owner: Owner) -> Vec<Box<str>> {
        self.kept.uris(owner)
    }

    /// Tells the server what it asked, on the owner's connection that it asked on: another one knows nothing of it, or means another
    /// question by its id. False where that is gone.
    ///
    /// # Errors
    /// The connection takes nothing.
    pub(crate) async fn tell(&self, owner: Owner, connection: u64, message: Bytes) -> Result<bool, SendError> {
        let deadline = Instant::now() + self.setup.bounds.timeout;
        let Some(link) = self.pool.link(owner).filter(|link| link.number() == connection) else { return Ok(false) };
        link.tell(message, deadline).await.map(|()| true).map_err(|fault| self.failed(fault))
    }

    /// Tells the server that the client's folders are others now, if it may ask for them.
    pub(crate) async fn tell_roots_changed(&self, owner: Owner) {
        let Some(link) = self.pool.link(owner).filter(|link| link.asks_for_roots()) else { return };
        let told = link.tell(outgoing::roots_changed(), Instant::now() + self.setup.bounds.timeout).await;
        if let Err(fault) = told {
            tracing::debug!(target: "upstream", server = %self.id(), %fault, "a message was not delivered");
        }
    }

    /// Begins to listen: by a request (modern), or to what the server tells the session (legacy).
    ///
    /// # Errors
    /// As for [`Peer::ask`]; [`SendError::WrongEra`] where the server never tells anything.
    pub(crate) async fn listen(&self, caller: &Caller, filter: &Filter) -> Result<Running, SendError> {
        let deadline = Instant::now() + self.setup.bounds.timeout;
        let call = Call::Listen { filter: filter.clone() };
        let mut running = match caller.era() {
            Era::Modern => self.ask_by(caller, Question::of(&call), deadline).await?,
            Era::Legacy => {
                let mut leg = Leg::begin(&caller.trail, &self.server, self.setup.way.transport(), &call);
                let sent = self.hear(caller, deadline).await.map_err(|fault| leg.failed(self.failed(fault)))?;
                Running::new(self.id().clone(), Era::Legacy, Reads::default(), sent, (leg, self.setup.bounds.timeout))
            }
        };
        // However long it takes: whoever listens ends it.
        running.listen_until(Instant::now() + ENDLESS);
        Ok(running)
    }

    async fn hear(&self, caller: &Caller, deadline: Instant) -> Result<(crate::link::Flight, Hold), Fault> {
        let version = self.spoken(Hello::of(caller.version, caller.askable), deadline).await?;
        let (link, hold) = self.link(caller, (version, Kind::Listening), deadline).await?;
        Ok((link.listen(deadline).await?, hold))
    }

    /// All pages of a list, for the gateway's own use, within the time that one call may take. Who asks for the same again within
    /// 2 seconds gets the same, unless the server said meanwhile that a list changed.
    ///
    /// # Errors
    /// As for [`Peer::ask`], or the server refused the list.
    pub(crate) async fn learn(&self, caller: &Caller, kind: ListKind) -> Result<Items, SendError> {
        let lesson = self.lessons.about((caller.owner, kind, self.notes.changes()), Instant::now());
        let items = lesson.items.get_or_init(|| Box::pin(self.all_pages(caller, kind))).await;
        items.as_ref().map(copy).map_err(Clone::clone)
    }

    async fn all_pages(&self, caller: &Caller, kind: ListKind) -> Result<Items, SendError> {
        let deadline = Instant::now() + self.setup.bounds.timeout;
        let mut collected = Collected::new(kind, self.config.list_items_max, LIST_BYTES_MAX);
        let mut cursor = None;
        for _ in 0..self.config.list_pages_max {
            cursor = collected.add(self.page_by(caller, kind, cursor, deadline).await?);
            if cursor.is_none() {
                break;
            }
        }
        Ok(collected.into_items())
    }

    /// One server's page of a list of many, within the time that it has for it. A server without such a list has an empty one; what
    /// it refuses otherwise is missing.
    pub(crate) async fn page(
        &self,
        caller: &Caller,
        kind: ListKind,
        cursor: Option<Box<str>>,
    ) -> Result<Items, SendError> {
        let at_most = self.config.list_timeout().min(self.setup.bounds.timeout);
        self.page_by(caller, kind, cursor, Instant::now() + at_most).await
    }

    async fn page_by(
        &self,
        caller: &Caller,
        kind: ListKind,
        cursor: Option<Box<str>>,
        deadline: Instant,
    ) -> Result<Items, SendError> {
        let call = Call::List { kind, cursor };
        let mut course = Course::from(self.ask_by(caller, Question::of(&call), deadline).await?);
        // A list waits for no question.
        let late = |_| Err(Fault::TimedOut("its list did not come in time".into()).of(self.id()));
        timeout_at(deadline, course.page(kind, self.id())).await.unwrap_or_else(late)
    }

    async fn send(
        &self,
        caller: &Caller,
        (question, context): (Question<'_>, Option<Context<'_>>),
        deadline: Instant,
    ) -> Result<(crate::link::Flight, Hold), Fault> {
        let version = self.spoken(Hello::of(caller.version, caller.askable), deadline).await?;
        let kind = if matches!(question.call, Call::Listen { .. }) { Kind::Listening } else { Kind::Call };
        let mut tries = 0_u32;
        loop {
            let (link, hold) = self.link(caller, (version, kind), deadline).await?;
            let ask = Ask::call(question, &caller.meta, caller.askable, link.version()).within(context);
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

    async fn keep_sweeping(self: Arc<Self>) {
        let idle = self.setup.bounds.idle;
        let mut closing = self.closing.subscribe();
        let mut tick = interval((idle / 4).clamp(SWEEP_MIN, SWEEP_MAX));
        loop {
            tokio::select! {
                _ = closing.wait_for(|closing| *closing) => return,
                _ = tick.tick() => {
                    self.pool.sweep(idle);
                    self.spare().take_if(|(_, since)| since.elapsed() >= idle);
                    self.lessons.sweep(Instant::now());
                }
            }
        }
    }
}

impl Hold {
    /// Notes that the connection works.
    pub(crate) fn succeeded(&self) {
        match self {
            Hold::Place { visit, .. } => visit.succeeded(),
            Hold::Slot { .. } | Hold::Stream { .. } => {}
        }
    }

    /// Which connection it is; 0 for a request that is its own, on which nothing is asked.
    pub(crate) fn connection(&self) -> u64 {
        match self {
            Hold::Place { connection, .. } => *connection,
            Hold::Slot { .. } | Hold::Stream { .. } => 0,
        }
    }
}

/// In words for the operator.
fn speaks_only(offer: &Offer) -> String {
    format!("it speaks {} only", offer.eras().into_iter().next().map_or("nothing", Era::as_str))
}

/// LIMIT: things of one list, and pages of it, that are looked at to be approved: as many as are remembered.
const SURVEYED_MAX: usize = 10_000;
/// Longer than any token lives.
pub(crate) const ENDLESS: Duration = Duration::from_secs(365 * 24 * 3600);
const SWEEP_MIN: Duration = Duration::from_millis(250);
const SWEEP_MAX: Duration = Duration::from_secs(30);
