//! Starting, reloading and stopping a gateway.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use sekisho_audit::{Event, EventKind, LogDown, Outcome};
use sekisho_identity::{IssuerOverview, Revocation, Revocations, SessionOverview};
use sekisho_upstream::Status;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::config::{Config, ConfigError, TlsConfig};
use crate::inflight::InFlight;
use crate::instruments::{self, Family};
use crate::listen::{Door, Stdio, listen, request_id, serve};
use crate::record::{self, Seen};
use crate::refusal::Refusal;
use crate::snapshot::{Parts, Rooms};
use crate::strangers::Strangers;
use crate::tls::{self, TlsError};

/// A gateway that can be started.
pub struct Gateway;

/// A gateway that runs.
pub struct Running {
    door: Arc<Door>,
    config: Config,
    /// None where one client is served over stdio.
    address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    /// None once it has ended.
    serving: Option<JoinHandle<()>>,
    sweeping: JoinHandle<()>,
}

/// New parts that were checked and written down.
pub struct Prepared {
    config: Config,
    tls: Option<Arc<ServerConfig>>,
    rooms: Rooms,
}

/// Why a gateway does not start, or keeps its old configuration.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// `[gateway]` is wrong.
    #[error("the `[gateway]` section cannot be used")]
    Config(#[from] ConfigError),
    /// Certificates are wrong.
    #[error("the certificates in `[gateway.tls]` cannot be used")]
    Tls(#[from] TlsError),
    /// The address cannot be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// Why: `AddrInUse` if another program has it.
        #[source]
        source: std::io::Error,
    },
    /// The audit log cannot be written.
    #[error("the audit log cannot be written")]
    Log(#[from] LogDown),
    /// A reload asks for what a process cannot change.
    #[error("`listen`, `workers` and the presence of `[gateway.tls]` change with a restart only")]
    NeedsRestart,
}

/// What is measured of a gateway.
#[derive(Clone)]
pub struct Readings {
    door: Arc<Door>,
}

/// A running gateway as the operator sees it.
#[derive(Debug)]
pub struct Overview {
    /// Each server.
    pub servers: Vec<Status>,
    /// Open legacy sessions.
    pub sessions: usize,
    /// How many revocations there are.
    pub revoked: usize,
    /// The issuers whose tokens are believed.
    pub issuers: Vec<IssuerOverview>,
    /// Whether the audit log can be written.
    pub log_healthy: bool,
}

impl Gateway {
    /// Starts listening.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub async fn start(parts: Parts) -> Result<Running, StartError> {
        let config = parts.config.clone();
        config.check()?;
        let tls = config.tls.as_ref().map(|tls| tls::load(&tls.rooted(&parts.base))).transpose()?;
        let refuse = |source| StartError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(refuse)?;
        let address = listener.local_addr().map_err(refuse)?;
        let bounds = parts.limits.bounds().clone();
        let (stop, stopped) = watch::channel(false);
        let door = open(parts, tls, stopped.clone()).await?;
        let patience = Duration::from_secs(config.shutdown_seconds);
        let serving = tokio::spawn(listen(listener, Arc::clone(&door), bounds, stopped.clone(), patience));
        let sweeping = tokio::spawn(sweep(Arc::clone(&door), stopped));
        Ok(Running { door, config, address: Some(address), stop, serving: Some(serving), sweeping })
    }

    /// Serves one client over these streams, and listens nowhere. [`Running::ended`] tells when the client has gone.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub async fn start_stdio<R, W>(parts: Parts, client: Stdio, streams: (R, W)) -> Result<Running, StartError>
    where
        R: AsyncRead + Unpin + Send + 'static,
        W: AsyncWrite + Unpin + Send + 'static,
    {
        let config = parts.config.clone();
        config.check()?;
        let (stop, stopped) = watch::channel(false);
        let door = open(parts, None, stopped.clone()).await?;
        let patience = Duration::from_secs(config.shutdown_seconds);
        let serving = tokio::spawn(serve(Arc::clone(&door), client, streams, stopped.clone(), patience));
        let sweeping = tokio::spawn(sweep(Arc::clone(&door), stopped));
        Ok(Running { door, config, address: None, stop, serving: Some(serving), sweeping })
    }
}

/// What every way in shares; the start is written down.
async fn open(
    parts: Parts,
    tls: Option<Arc<ServerConfig>>,
    stopping: watch::Receiver<bool>,
) -> Result<Arc<Door>, StartError> {
    let revision = parts.revision.clone();
    let instruments = Arc::clone(&parts.instruments);
    let secure = parts.config.public_url.scheme() == "https";
    let certificates = AtomicBool::new(asks_certificates(&parts.config));
    let rooms = Arc::new(Rooms::of(parts));
    rooms.audit.note(lifecycle(&format!("started: {revision}"))).await?;
    instruments.serve(rooms.catalog.servers());
    Ok(Arc::new(Door {
        rooms: ArcSwap::new(rooms),
        tls: ArcSwap::from_pointee(tls),
        inflight: Arc::new(InFlight::default()),
        streams: Arc::default(),
        instruments,
        reading: Semaphore::new(READING_KIB_MAX),
        strangers: Strangers::default(),
        certificates,
        secure,
        stopping,
        refusing: AtomicBool::new(false),
    }))
}

impl Running {
    /// Where it listens, if it does; the port is the real one even if 0 was configured.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Waits until it serves nobody any more: the one client over stdio has gone. Who listens at an address does not end by itself.
    pub async fn ended(&mut self) {
        if let Some(serving) = &mut self.serving {
            let _ = serving.await;
            self.serving = None;
        }
    }

    /// Checks new parts and writes down that they are taken over: all that can fail of a reload.
    ///
    /// # Errors
    /// [`StartError`]; the old parts stay in use.
    pub async fn prepare(&self, parts: Parts) -> Result<Prepared, StartError> {
        let config = parts.config.clone();
        config.check()?;
        // Over stdio no address is listened on.
        if self.address.is_some() && config.needs_restart_after(&self.config) {
            return Err(StartError::NeedsRestart);
        }
        let tls = config.tls.as_ref().filter(|_| self.address.is_some());
        let tls = tls.map(|tls| tls::load(&tls.rooted(&parts.base))).transpose()?;
        let mut event = Event::new(EventKind::Config, Outcome::Completed);
        event.reason = Some(format!("taken over: {}", parts.revision).into());
        parts.audit.note(event).await?;
        Ok(Prepared { config, tls, rooms: Rooms::of(parts) })
    }

    /// Swaps everything that can change while calls are under way. Calls that began with the old parts end with them.
    pub fn commit(&mut self, prepared: Prepared) {
        self.door.instruments.serve(prepared.rooms.catalog.servers());
        self.door.tls.store(Arc::new(prepared.tls));
        self.door.certificates.store(asks_certificates(&prepared.config), Ordering::Relaxed);
        self.door.rooms.store(Arc::new(prepared.rooms));
        self.config = prepared.config;
    }

    /// What is measured, for whoever exports it. Outlives the gateway.
    #[must_use]
    pub fn readings(&self) -> Readings {
        Readings { door: Arc::clone(&self.door) }
    }

    /// How it is.
    #[must_use]
    pub fn overview(&self) -> Overview {
        self.door.overview()
    }

    /// Takes no more calls, lets those under way end for `shutdown_seconds`, ends servers, and closes the log.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        self.ended().await;
        self.sweeping.abort();
        let rooms = self.door.rooms.load_full();
        rooms.upstream.shutdown().await;
        if rooms.audit.note(lifecycle("stopped")).await.is_err() {
            tracing::error!("the audit log does not hold the end of this run");
        }
    }
}

/// What the operator does with credentials and sessions.
impl Running {
    /// The open legacy sessions, the latest first.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionOverview> {
        self.door.rooms.load().identity.sessions().list(SystemTime::now())
    }

    /// What is revoked.
    #[must_use]
    pub fn revocations(&self) -> Arc<Revocations> {
        Arc::clone(self.door.rooms.load().identity.revocations())
    }

    /// Revokes, and ends what goes with it; how many sessions that were.
    ///
    /// # Errors
    /// [`Refusal`]: it is in force in this process all the same, unless it has no name.
    pub async fn revoke(&self, revocation: Revocation) -> Result<usize, Refusal> {
        let rooms = self.door.rooms.load_full();
        let seen = self.door.operator(&rooms);
        self.door.revoke(&rooms, revocation, &seen).await
    }

    /// Ends the sessions whose tag (the first 8 hexadecimal digits of their hash) this is; how many that were.
    ///
    /// # Errors
    /// [`Refusal`] where it cannot be recorded; they are ended all the same.
    pub async fn end_sessions(&self, tag: &str) -> Result<usize, Refusal> {
        let rooms = self.door.rooms.load_full();
        let noted = rooms.audit.note(record::session_ended(&self.door.operator(&rooms), tag)).await;
        let ended = rooms.identity.sessions().close_tagged(tag);
        self.door.clear(&rooms, &ended).await;
        noted?;
        Ok(ended.len())
    }
}

impl Readings {
    /// Every number there is, as it is now.
    #[must_use]
    pub fn families(&self) -> Vec<Family> {
        let mut families = self.door.instruments.measured();
        families.extend(instruments::seen_now(&self.door.overview()));
        families
    }

    /// Whether calls can be served: the audit log can be written, and no shutdown is under way.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.door.rooms.load().audit.healthy() && !*self.door.stopping.borrow()
    }
}

impl Door {
    /// What the operator does is recorded like a request.
    fn operator(&self, rooms: &Rooms) -> Seen {
        Seen::arrived(request_id(), self.instruments.clock(), rooms.audit.payload_digest())
    }

    fn overview(&self) -> Overview {
        let rooms = self.rooms.load();
        Overview {
            servers: rooms.upstream.status(),
            sessions: rooms.identity.sessions().count(),
            revoked: rooms.identity.revocations().count(),
            issuers: rooms.identity.overview(SystemTime::now()),
            log_healthy: rooms.audit.healthy(),
        }
    }
}

fn lifecycle(words: &str) -> Event<'_> {
    let mut event = Event::new(EventKind::Lifecycle, Outcome::Completed);
    event.reason = Some(words.into());
    event
}

/// Ends expired sessions, and with them what they hold upstream.
async fn sweep(door: Arc<Door>, mut stopped: watch::Receiver<bool>) {
    let mut tick = tokio::time::interval(SWEEP_EVERY);
    let (mut swept, started) = (Instant::now(), (Instant::now(), SystemTime::now()));
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = stopped.changed() => return,
        }
        let rooms = door.rooms.load_full();
        for session in rooms.identity.sessions().sweep(SystemTime::now()) {
            rooms.end_session(session).await;
        }
        door.instruments.sessions_ended(&rooms.identity.sessions().lives());
        if swept.elapsed() >= FORGET_EVERY {
            swept = Instant::now();
            let (revocations, now) = (Arc::clone(rooms.identity.revocations()), no_later_than_it_can_be(started));
            // It writes into the store.
            let _forgotten = tokio::task::spawn_blocking(move || revocations.sweep(now)).await;
        }
    }
}

/// The time, unless a clock was set ahead: what is forgotten by a wrong time does not come back with the right one.
fn no_later_than_it_can_be((started, then): (Instant, SystemTime)) -> SystemTime {
    let (now, passed) = (SystemTime::now(), started.elapsed().saturating_add(FORGET_EVERY));
    then.checked_add(passed).map_or(now, |latest| now.min(latest))
}

fn asks_certificates(config: &Config) -> bool {
    config.tls.as_ref().is_some_and(TlsConfig::asks_for_certificates)
}

const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked which revocations no token can be touched by any more.
const FORGET_EVERY: Duration = Duration::from_secs(3600);
/// LIMIT: bodies that are being read at the same time, together: 256 MiB.
const READING_KIB_MAX: usize = 256 * 1024;
