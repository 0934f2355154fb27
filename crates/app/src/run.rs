//! A gateway from start to stop: signals, reloads, status.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use sekisho_audit::{Audit, Event, EventKind, Outcome as Ended};
use sekisho_broker::Keys;
use sekisho_gateway::{Gateway, Instruments, Parts, Running, Span, StartError, Stdio};
use sekisho_identity::Revocations;
use sekisho_store::Store;
use sekisho_upstream::Probing;
use sekisho_wire::{Endpoint, ServerId};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::block_in_place;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::assemble::{self, Rooms, Standing, refused_admin, refused_gateway};
use crate::broker;
use crate::clock;
use crate::config::{self, Loaded};
use crate::export::{Export, Sender};
use crate::folder::Folder;
use crate::local::Socket;
use crate::operator;
use crate::pins;
use crate::problem::{Code, Problem};
use crate::shut_out::{News, Watched};
use crate::status::Report;
use crate::streams;
use crate::watch::Watch;

/// What differs between the commands that run a gateway.
pub(crate) struct Plan<'a> {
    /// The configuration file.
    pub(crate) path: &'a std::path::Path,
    /// Done before the rooms are made, at the start and at each reload.
    pub(crate) prepare: &'a dyn Fn(&Loaded) -> Result<(), Problem>,
    /// Done once the gateway listens at an address.
    pub(crate) ready: &'a dyn Fn(&Loaded, SocketAddr),
    /// The one client at standard input and output, where nobody else is served.
    pub(crate) client: Option<Stdio>,
    /// How another port is chosen.
    pub(crate) elsewhere: &'a str,
}

/// Runs a gateway until it is told to stop.
///
/// # Errors
/// Why it does not start, or did not stop in peace.
pub(crate) fn run(plan: &Plan<'_>) -> Result<(), Vec<Problem>> {
    raise_open_files();
    let loaded = plan.load()?;
    let runtime = runtime(loaded.config.gateway.workers, plan.client.is_some())
        .map_err(|error| vec![system("the runtime cannot start", &error)])?;
    let ended = runtime.block_on(async {
        let mut signals = Signals::new().map_err(|error| vec![system("signals cannot be received", &error)])?;
        let mut house = Box::pin(House::open(plan, loaded)).await?;
        Box::pin(house.keep(plan, &mut signals)).await;
        Box::pin(house.close(&mut signals)).await
    });
    // Whatever still blocks must not keep the process.
    runtime.shutdown_background();
    ended
}

impl Plan<'_> {
    fn load(&self) -> Result<Loaded, Vec<Problem>> {
        let mut loaded = config::load(self.path)?;
        match self.client {
            // Nobody gets tokens over the streams of a process.
            Some(_) => loaded.config.broker = None,
            None => broker::believe(&mut loaded, Keys::Made).map_err(alone)?,
        }
        if let Some(client) = &self.client {
            loaded.config.identity.sessions = loaded.config.identity.sessions.lasting();
            // Nobody asks the others for anything, so they are not started.
            if let Endpoint::One(server) = &client.endpoint {
                loaded.keep_only(server);
            }
        }
        Ok(loaded)
    }

    /// The folder of this gateway and its log. Each client over stdio has its own, so that many can be served from one configuration,
    /// beside a gateway that listens.
    fn open_log(&self, loaded: &Loaded, now: SystemTime) -> Result<(Folder, Arc<Audit>), Problem> {
        let (folder, config) = (loaded.folder(), &loaded.config.audit);
        let (folder, audit) = match self.client {
            Some(_) => folder.take_place(config, now)?,
            None => {
                let audit = folder.open_audit(config, now)?;
                (folder, audit)
            }
        };
        Ok((folder, Arc::new(audit)))
    }

    /// Takes in what is revoked: of tokens what this gateway keeps, of users of this machine what all processes share.
    fn know_revoked(&self, loaded: &Loaded, folder: &Folder, revocations: &Revocations) -> Result<Remembered, Problem> {
        if self.client.is_none() {
            return operator::keep(revocations, folder).map(Remembered::Kept);
        }
        let (watched, all) = Watched::begin(&loaded.folder())?;
        revocations.replace(&all);
        Ok(Remembered::Shared(watched))
    }

    async fn start(&self, parts: Parts) -> Result<Running, StartError> {
        match &self.client {
            Some(client) => Gateway::start_stdio(parts, client.clone(), streams::standard()).await,
            None => Gateway::start(parts).await,
        }
    }
}

/// Where it stands what is revoked.
enum Remembered {
    /// In a store of this gateway's own.
    Kept(Arc<Store>),
    /// In a file that all processes of this machine share.
    Shared(Watched),
}

/// A gateway that runs, and all that belongs to it.
struct House {
    running: Running,
    loaded: Loaded,
    folder: Folder,
    rooms: Rooms,
    standing: Standing,
    watch: Watch,
    /// Users of this machine who are revoked; none where nobody is served over stdio.
    shut_out: Option<Watched>,
    socket: Option<Socket>,
    export: Option<Export>,
    // Held: it is open as long as this is.
    _admin: Option<sekisho_admin::Running>,
    started: SystemTime,
    /// Why the configuration on disk is not the one in use.
    not_used: Vec<String>,
    /// Whether the last reload was refused for a reason that may pass by itself.
    again: bool,
}

impl House {
    async fn open(plan: &Plan<'_>, mut loaded: Loaded) -> Result<House, Vec<Problem>> {
        let now = SystemTime::now();
        clock::check(now).map_err(alone)?;
        let folder = loaded.folder();
        folder.prepare().map_err(alone)?;
        (plan.prepare)(&loaded).map_err(alone)?;
        pins::missing(&loaded).map_or(Ok(()), |problem| Err(alone(problem)))?;
        let watch = Watch::of(&loaded);
        for problem in clock::from_the_future(&loaded.files(), now) {
            tracing::warn!(target: "app", code = problem.code_of().as_str(), "{}", problem.line());
        }
        // Another process tries what the machine can do, while this one reads the system's certificates.
        let machine = tokio::spawn(assemble::machine());
        let egress = block_in_place(|| assemble::egress(&loaded)).map_err(alone)?;
        let machine = machine.await.map_err(|error| alone(Problem::new(Code::Sandbox, error.to_string())))?;
        loaded.machine = machine.map_err(alone)?.tier();
        let revocations = Arc::new(Revocations::passing());
        let rooms = assemble::at_start(&loaded, &egress, &revocations, now)?;
        let sender = assemble::sender(&loaded, &egress)?;
        // One port cannot be that of every client's process.
        let admin = match plan.client {
            Some(_) => None,
            None => {
                sekisho_admin::Bound::take(&loaded.config.admin).await.map_err(|e| vec![refused_admin(&loaded, &e)])?
            }
        };
        let (instruments, spans) = instruments(&loaded, sender.as_ref(), admin.is_some());
        let (folder, audit) = plan.open_log(&loaded, now).map_err(alone)?;
        let remembered = block_in_place(|| plan.know_revoked(&loaded, &folder, &revocations)).map_err(alone)?;
        let (shut_out, broker) = match remembered {
            Remembered::Shared(watched) => (Some(watched), None),
            Remembered::Kept(store) => {
                let opened = block_in_place(|| broker::open(&loaded, &rooms, store, &egress, now));
                (None, opened.map_err(alone)?)
            }
        };
        // One client speaks one era, as a rule, and waits for its server.
        let probing = if plan.client.is_some() { Probing::OnDemand } else { Probing::AtOnce };
        let upstream = assemble::upstream(&loaded, &rooms, &egress, (&audit, probing)).map_err(alone)?;
        block_in_place(|| pins::keep_programs(&loaded));
        let standing = Standing { audit, egress, upstream, instruments, broker };
        let running = match plan.start(rooms.parts(&loaded, &standing)).await {
            Ok(running) => running,
            Err(error) => {
                standing.upstream.shutdown().await;
                return Err(vec![refused_gateway(&loaded, &error, plan.elsewhere)]);
            }
        };
        let socket = Socket::offer(&folder)
            .inspect_err(
                |problem| tracing::warn!(target: "app", code = problem.code_of().as_str(), "{}", problem.line()),
            )
            .ok();
        let readings = running.readings();
        let export = sender.zip(spans).map(|(sender, spans)| {
            let instruments = Arc::clone(&standing.instruments);
            Export::start(sender, &loaded.config.telemetry, spans, instruments, readings.clone())
        });
        let admin = admin.map(|admin| admin.open(readings));
        if let Some(admin) = &admin {
            tracing::info!(target: "app", address = %admin.local_addr(), "metrics and probes are offered");
        }
        announce(&loaded, &folder, running.local_addr());
        tell_who_is_unapproved(&rooms);
        if let Some(address) = running.local_addr() {
            (plan.ready)(&loaded, address);
        }
        Ok(House {
            running,
            loaded,
            folder,
            rooms,
            standing,
            watch,
            shut_out,
            socket,
            export,
            _admin: admin,
            started: now,
            not_used: Vec::new(),
            again: false,
        })
    }

    /// Until the first signal to stop.
    async fn keep(&mut self, plan: &Plan<'_>, signals: &mut Signals) {
        let mut tick = ticking();
        let upstream = Arc::clone(&self.standing.upstream);
        let mut settled = Box::pin(upstream.settle(SETTLE));
        // Those of one client are asked when it opens, and it is told then.
        let mut settling = plan.client.is_none();
        loop {
            tokio::select! {
                () = self.running.ended() => return,
                wanted = signals.wanted() => match wanted {
                    Wanted::Stop => return,
                    Wanted::Reload => self.reload(plan).await,
                },
                _ = tick.tick() => {
                    self.look_who_is_shut_out().await;
                    if block_in_place(|| self.watch.changed()) || self.again {
                        self.reload(plan).await;
                    }
                }
                () = &mut settled, if settling => {
                    settling = false;
                    self.tell_who_is_down();
                }
                mut caller = next_caller(self.socket.as_ref()) => {
                    let order = caller.order().await;
                    let report = || self.report().line();
                    let line = operator::obey((&self.running, self.standing.broker.as_deref()), order, report, async |id, name| self.look_again(id, name).await).await;
                    caller.tell(&line).await;
                }
            }
        }
    }

    async fn close(self, signals: &mut Signals) -> Result<(), Vec<Problem>> {
        let House { running, standing, socket, export, .. } = self;
        tracing::info!(target: "app", "stopping: calls under way may end; a second signal stops at once");
        drop(socket);
        tokio::select! {
            () = Box::pin(running.shutdown()) => {}
            () = signals.stop() => {
                return Err(vec![Problem::new(Code::System, "stopped at once: calls under way were cut off")]);
            }
        }
        if let Some(export) = export {
            export.finish().await;
        }
        if let Err(error) = standing.audit.close().await {
            return Err(vec![Problem::of(Code::DataUnusable, &error)]);
        }
        tracing::info!(target: "app", "stopped");
        Ok(())
    }

    /// Takes over what is on disk, or keeps what is in use and says why.
    async fn reload(&mut self, plan: &Plan<'_>) {
        let problems = match self.take_over(plan).await {
            Ok(()) => {
                self.not_used.clear();
                tracing::info!(target: "app", config = %self.loaded.path.display(), "the changed configuration is in use");
                return;
            }
            Err(problems) => problems,
        };
        self.not_used = problems.iter().map(Problem::line).collect();
        for line in &self.not_used {
            let code = Code::ReloadRefused.as_str();
            tracing::warn!(target: "app", code, "the changed configuration is not used, the old one stays: {line}");
        }
        let mut event = Event::new(EventKind::Config, Ended::Failed);
        event.code = Some(Code::ReloadRefused.as_str());
        event.reason = Some(self.not_used.join("; ").into());
        if self.standing.audit.note(event).await.is_err() {
            tracing::error!(target: "app", "the audit log does not hold the refused reload");
        }
    }

    async fn take_over(&mut self, plan: &Plan<'_>) -> Result<(), Vec<Problem>> {
        self.again = false;
        let mut loaded = block_in_place(|| plan.load())?;
        loaded.machine = self.loaded.machine;
        let fixed = loaded.fixed_differing(&self.loaded);
        // From here on the new file's own files are looked at, so that mending one of them is noticed.
        self.watch = block_in_place(|| Watch::of(&loaded));
        if !fixed.is_empty() {
            let restart = |key: &&str| {
                Problem::new(Code::NeedsRestart, format!("a change of `{key}` needs a restart"))
                    .at(loaded.document.place_of(&[key]))
            };
            return Err(fixed.iter().map(restart).collect());
        }
        let rooms = block_in_place(|| {
            (plan.prepare)(&loaded).map_err(alone)?;
            pins::missing(&loaded).map_or(Ok(()), |problem| Err(alone(problem)))?;
            let revocations = self.rooms.revocations();
            assemble::rooms(&loaded, &self.standing.egress, revocations, Some(&self.rooms))
        })?;
        let prepared = match self.running.prepare(rooms.parts(&loaded, &self.standing)).await {
            Ok(prepared) => prepared,
            Err(error) => {
                // A log that is full now may have room later; all else waits for somebody to mend a file.
                self.again = matches!(error, StartError::Log(_));
                return Err(vec![refused_gateway(&loaded, &error, plan.elsewhere)]);
            }
        };
        rooms.move_in(&loaded, &self.standing).map_err(alone)?;
        self.running.commit(prepared);
        if let Some(broker) = &self.standing.broker {
            broker.serve(block_in_place(|| broker::resources(&loaded, rooms.catalog())));
        }
        for danger in loaded.dangers() {
            tracing::warn!(target: "app", option = danger, "a dangerous option is on");
        }
        tell_who_is_unapproved(&rooms);
        self.rooms = rooms;
        self.loaded = loaded;
        Ok(())
    }

    /// Whoever has looked at what froze of a server has it looked at anew.
    async fn look_again(&self, id: &str, name: &str) -> bool {
        let server = ServerId::parse(id).ok().and_then(|id| self.rooms.catalog().server(&id).cloned());
        let Some(server) = server else { return false };
        let mut event = Event::new(EventKind::Definition, Ended::Noted);
        event.server = Some(id.into());
        event.item = Some(name.into()).filter(|name: &std::borrow::Cow<'_, str>| !name.is_empty());
        event.reason = Some("the operator has looked at what it offers: what froze may thaw".into());
        if self.standing.audit.note(event).await.is_err() {
            return false;
        }
        server.forget(name);
        true
    }

    /// Whoever was revoked meanwhile is served no more, and whoever was let in again is.
    async fn look_who_is_shut_out(&mut self) {
        let news = self.shut_out.as_mut().and_then(|watched| block_in_place(|| watched.look()));
        match news {
            None => {}
            Some(News::All(all, new)) => {
                self.rooms.revocations().replace(&all);
                for revocation in new {
                    // It is in force; this ends what it touches and writes it down.
                    if let Err(refusal) = self.running.revoke(revocation).await {
                        tracing::error!(target: "app", reason = %refusal.reason, "the audit log does not hold a revocation");
                    }
                }
                tracing::info!(target: "app", count = all.len(), "the users of this machine who are revoked changed");
            }
            Some(News::Unknown(problem)) => {
                self.rooms.revocations().lose();
                let code = problem.code_of().as_str();
                tracing::error!(target: "app", code, "everybody is refused: {}", problem.line());
                let mut event = Event::new(EventKind::Security, Ended::Failed);
                event.code = Some(code);
                event.reason = Some(problem.line().into());
                if self.standing.audit.note(event).await.is_err() {
                    tracing::error!(target: "app", "the audit log does not hold that revocations cannot be read");
                }
            }
        }
    }

    fn tell_who_is_down(&self) {
        for server in self.standing.upstream.status().iter().filter(|server| !server.up) {
            let why = server.trouble.as_deref().unwrap_or("it has not answered yet");
            let code = Code::ServerDown.as_str();
            tracing::warn!(target: "app", code, server = %server.server, "a server is down and tried again: {why}");
        }
    }

    fn report(&self) -> Report {
        let (overview, address) = (self.running.overview(), self.running.local_addr());
        let listen = address.map_or_else(|| "standard input".to_owned(), |address| address.to_string());
        let at = (listen, self.folder.label());
        Report::new(overview, &self.loaded, &self.rooms, at, self.started).not_used(self.not_used.clone())
    }
}

/// What is measured: nothing where nobody wants to know.
fn instruments(
    loaded: &Loaded,
    sender: Option<&Sender>,
    shown: bool,
) -> (Arc<Instruments>, Option<mpsc::Receiver<Span>>) {
    match (sender, shown) {
        (Some(_), _) => {
            let (instruments, spans) = Instruments::tracing(&loaded.config.telemetry.sampling());
            (instruments, Some(spans))
        }
        (None, true) => (Instruments::counting(), None),
        (None, false) => (Instruments::off(), None),
    }
}

/// The signals a gateway listens to.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::hangup())?,
        })
    }

    /// The next signal.
    async fn wanted(&mut self) -> Wanted {
        tokio::select! {
            _ = self.terminate.recv() => Wanted::Stop,
            _ = self.interrupt.recv() => Wanted::Stop,
            _ = self.reload.recv() => Wanted::Reload,
        }
    }

    /// SIGTERM or SIGINT.
    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// What a signal asks for.
enum Wanted {
    Stop,
    Reload,
}

async fn next_caller(socket: Option<&Socket>) -> crate::local::Caller {
    match socket {
        Some(socket) => socket.caller().await,
        None => std::future::pending().await,
    }
}

fn announce(loaded: &Loaded, folder: &Folder, address: Option<SocketAddr>) {
    for danger in loaded.dangers() {
        tracing::warn!(target: "app", option = danger, "a dangerous option is on");
    }
    let (url, servers, version) =
        (&loaded.config.gateway.public_url, loaded.config.servers.len(), env!("CARGO_PKG_VERSION"));
    match address {
        Some(address) => tracing::info!(target: "app", %address, %url, servers, version, "listening"),
        None => {
            let folder = folder.path().display();
            tracing::info!(target: "app", %folder, servers, version, "serving one client over standard input and output");
        }
    }
}

/// Servers of which nobody has approved anything: clients see nothing of them.
fn tell_who_is_unapproved(rooms: &Rooms) {
    for server in rooms.catalog().servers().filter(|server| server.is_unapproved()) {
        let (code, id) = (Code::Drift.as_str(), server.id());
        tracing::warn!(target: "app", code, server = %id, "nothing that it offers is approved yet: `sekisho lock {id}` shows it");
    }
}

fn ticking() -> Interval {
    let mut tick = interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}

/// Every connection is an open file, and the usual soft limit of 1,024 is less than `connections_max`. What the system permits
/// anyway is taken, up to a number that programs which look at each possible file can bear.
fn raise_open_files() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    let wanted = hard.min(OPEN_FILES_MAX);
    if soft < wanted
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)
    {
        tracing::warn!(target: "app", %error, "the limit of open files stays at {soft}");
    }
}

/// One thread for each core, unless another number is configured; one for the only client there is, whose messages would else be
/// handed from thread to thread. Never the runtime of a single thread: files are read on a
/// worker while another takes over its calls.
fn runtime(workers: Option<u16>, one_client: bool) -> std::io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    if let Some(workers) = workers.or(one_client.then_some(1)) {
        builder.worker_threads(usize::from(workers));
    }
    builder.enable_all().build()
}

fn system(what: &str, error: &std::io::Error) -> Problem {
    Problem::new(Code::System, format!("{what}: {error}"))
}

fn alone(problem: Problem) -> Vec<Problem> {
    vec![problem]
}

/// How often files are looked at for changes.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After this long a server that has not answered counts as down at the start.
const SETTLE: Duration = Duration::from_secs(15);

const OPEN_FILES_MAX: u64 = 65_536;
