//! The only way out of a cage: a proxy that goes where rules say, and says where it went.
//!
//! A server without a network of its own reaches it as an HTTP proxy. It takes `CONNECT` and, for `http://` rules, plain requests. What
//! it is asked for becomes one host and port ([`host`]); a rule must permit it ([`rules`]); every address that it has must be fit to be
//! connected to ([`resolve`]); that is recorded; and the connection goes to such an address. Of TLS the name that is said in clear must
//! be the one that was asked for ([`hello`]), and nothing else is read of what goes through.
//!
//! LIMIT: what TLS hides stays hidden. Who serves many names at one address can be told another one inside (domain fronting by
//! `Host`), and a permitted host can pass on whatever it is given.

mod answer;
mod budget;
mod chunks;
mod head;
mod hello;
mod host;
mod passage;
mod plain;
mod resolve;
mod rules;
#[doc(hidden)]
pub mod seen;
#[cfg(target_os = "linux")]
mod splice;
mod tunnel;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, watch};

use answer::Said;
use budget::Ledger;
use head::Request;
use resolve::{Lookup, Resolver};
use rules::Permission;
use tunnel::{Meter, Traffic};

pub use budget::{Budget, GateBudgets};
pub use head::BadHead;
pub use hello::BadHello;
pub use host::BadPlace;
pub use passage::{AddressForbidden, Asked, Cut, Failure, NotRecorded, Outcome, Passage, Refusal};
pub use rules::{BadHostRule, HostRule, PrivateHost, Via};

/// What one server in a cage may reach.
#[derive(Debug, Clone, Default)]
pub struct GateRules {
    /// Hosts at public addresses.
    pub hosts: Vec<HostRule>,
    /// Hosts at private and loopback addresses.
    pub private_hosts: Vec<PrivateHost>,
    /// How much of it.
    pub budgets: GateBudgets,
    /// Ports on this machine that are the gateway's own: never reached, whatever is listed.
    pub own_ports: Vec<u16>,
}

/// Why there can be no gate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadGateRules {
    /// There are too many rules.
    #[error("there are {count} rules for hosts, limit is {count_max}")]
    TooMany {
        /// How many.
        count: usize,
        /// How many there may be.
        count_max: usize,
    },
    /// A rule names the gateway itself.
    #[error("the private host `{0}` is the gateway itself, which a server in a cage never reaches")]
    OwnPort(PrivateHost),
}

/// The way out of one server's cages.
pub struct Gate {
    hosts: Vec<HostRule>,
    private_hosts: Vec<PrivateHost>,
    budgets: GateBudgets,
    ledger: Ledger,
    resolver: Resolver,
    report: Report,
    passages: AtomicU64,
}

type Report = Box<dyn Fn(Passage) -> Pin<Box<dyn Future<Output = Result<(), NotRecorded>> + Send>> + Send + Sync>;

impl Gate {
    /// A gate with these rules. It tells every connection to `report`: with [`Outcome::Opened`] before anything goes out, and nothing
    /// does if that is not recorded; and at its end, whether anything went out or not.
    ///
    /// # Errors
    /// See [`BadGateRules`].
    pub fn new<F, R>(rules: GateRules, report: F) -> Result<Gate, BadGateRules>
    where
        F: Fn(Passage) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), NotRecorded>> + Send + 'static,
    {
        let report: Report = Box::new(move |passage| Box::pin(report(passage)));
        Gate::with_lookup(rules, report, resolve::system())
    }

    fn with_lookup(rules: GateRules, report: Report, lookup: Lookup) -> Result<Gate, BadGateRules> {
        let GateRules { hosts, private_hosts, budgets, own_ports } = rules;
        let count = hosts.len().saturating_add(private_hosts.len());
        if count > RULES_MAX {
            return Err(BadGateRules::TooMany { count, count_max: RULES_MAX });
        }
        if let Some(own) = private_hosts.iter().find(|rule| resolve::is_own_port(rule.place(), &own_ports)) {
            return Err(BadGateRules::OwnPort(own.clone()));
        }
        let ledger = Ledger::new(&budgets, Instant::now());
        let resolver = Resolver::new(lookup, own_ports);
        Ok(Gate { hosts, private_hosts, budgets, ledger, resolver, report, passages: AtomicU64::new(0) })
    }

    /// Serves who connects, until this future is dropped; what is open is cut then, and told. Many may be served at once, and share the
    /// budgets.
    ///
    /// # Errors
    /// Ends with the last error when the listener has failed many times in a row.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) -> io::Error {
        // Whoever waits for it hears that it is gone.
        let (_open, closed) = watch::channel(());
        let mut failures: u32 = 0;
        loop {
            match listener.accept().await {
                Ok((client, _)) => {
                    failures = 0;
                    let place = self.ledger.admit(Instant::now());
                    let is_storm = matches!(place, Err(Budget::ConnectionsPerMinute));
                    tokio::spawn(Arc::clone(&self).serve_one(client, place, closed.clone()));
                    if is_storm {
                        // Who is refused is recorded, too: the rest waits in the kernel.
                        tokio::time::sleep(STORM_PAUSE).await;
                    }
                }
                Err(error) if failures >= ACCEPT_FAILURES_MAX => return error,
                Err(error) => {
                    // Out of file descriptors, most likely: waiting lets some come free.
                    tracing::warn!(%error, "a connection from a cage could not be accepted");
                    failures = failures.saturating_add(1);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// One connection, from its first byte to its record.
    async fn serve_one(
        self: Arc<Self>,
        mut client: TcpStream,
        place: Result<OwnedSemaphorePermit, Budget>,
        closed: watch::Receiver<()>,
    ) {
        let traffic = Traffic::default();
        let mut note = Note::new(self.passages.fetch_add(1, Ordering::Relaxed));
        let outcome = match &place {
            Err(budget) => Outcome::Refused(Refusal::Budget(*budget)),
            Ok(_place) => tokio::select! {
                ended = self.walk(&mut client, &mut note, &traffic) => ended.unwrap_or_else(|outcome| outcome),
                () = gone(closed) => Outcome::Cut(Cut::Closed),
            },
        };
        let asked = note.request.as_ref().map(|request| (request.asking(), request.place()));
        let said = if traffic.down() > 0 { Said::Part } else { note.said };
        answer::tell(&mut client, said, asked, &outcome).await;
        if self.record(note.passage(outcome, &traffic)).await.is_err() {
            tracing::warn!("the end of a connection from a cage could not be recorded");
        }
        drop(place);
        answer::linger(client).await;
    }

    /// The way of a connection, as long as nothing speaks against it.
    async fn walk(&self, client: &mut TcpStream, note: &mut Note, traffic: &Traffic) -> Result<Outcome, Outcome> {
        let (request, first) = hear(client).await?;
        let request = note.request.insert(request);
        let permission = Permission::of(&self.hosts, &self.private_hosts, request.place(), request.asking())
            .ok_or(Outcome::Refused(Refusal::NoRule))?;
        note.via = Some(permission.via);
        check_alone(request, &first)?;
        let checked = self.resolver.check(request.place(), permission.reach).await?;
        note.addresses = checked.addresses().to_vec();
        let opened = note.passage(Outcome::Opened, traffic);
        self.record(opened).await.map_err(|NotRecorded| Outcome::Refused(Refusal::NotRecorded))?;
        let (server, address) = checked.connect().await?;
        note.addresses = vec![address];
        let meter = Meter::new(&self.ledger, traffic);
        let carried = carry(client, server, note, &first, &meter);
        let carried = tokio::time::timeout(self.budgets.life(), carried);
        tokio::select! {
            carried = carried => carried.unwrap_or(Ok(Outcome::Cut(Cut::Life))),
            idle = meter.idle(self.budgets.idle()) => Ok(idle),
        }
    }

    async fn record(&self, passage: Passage) -> Result<(), NotRecorded> {
        let recorded = (self.report)(passage);
        tokio::time::timeout(RECORD_WITHIN, recorded).await.unwrap_or(Err(NotRecorded))
    }
}

/// What is known of a connection so far.
#[derive(Debug)]
struct Note {
    number: u64,
    began: Instant,
    request: Option<Request>,
    via: Option<Via>,
    addresses: Vec<std::net::IpAddr>,
    said: Said,
}

impl Note {
    fn new(number: u64) -> Note {
        Note { number, began: Instant::now(), request: None, via: None, addresses: Vec::new(), said: Said::Nothing }
    }

    fn passage(&self, outcome: Outcome, traffic: &Traffic) -> Passage {
        let place = self.request.as_ref().map(Request::place);
        Passage {
            number: self.number,
            asked: place.map(|place| Asked { host: place.host.to_string(), port: place.port }),
            via: self.via,
            addresses: self.addresses.clone(),
            outcome,
            bytes_up: traffic.up(),
            bytes_down: traffic.down(),
            duration: self.began.elapsed(),
        }
    }
}

/// Hears a request, and what came behind it.
async fn hear(client: &mut TcpStream) -> Result<(Request, Vec<u8>), Outcome> {
    let refused = |why| Outcome::Refused(Refusal::Head(why));
    let head = tokio::time::timeout(HEAD_WITHIN, hear_head(client));
    let (head, first) = head.await.unwrap_or(Err(BadHead::Late)).map_err(refused)?;
    let gate = client.local_addr().map_err(tunnel::broken)?;
    Ok((head::parse(&head, gate).map_err(refused)?, first))
}

async fn hear_head(client: &mut TcpStream) -> Result<(Vec<u8>, Vec<u8>), BadHead> {
    let mut come = Vec::new();
    let mut chunk = vec![0; HEAD_CHUNK_BYTES];
    loop {
        match head::end(&come) {
            Some(end) if end <= HEAD_BYTES_MAX => {
                let first = come.split_off(end);
                return Ok((come, first));
            }
            None if come.len() < HEAD_BYTES_MAX => {}
            Some(_) | None => return Err(BadHead::TooLong),
        }
        match client.read(&mut chunk).await {
            Ok(0) | Err(_) => return Err(BadHead::Left),
            Ok(count) => come.extend_from_slice(chunk.get(..count).unwrap_or_default()),
        }
    }
}

/// One plain request to a connection: a second one could be to anybody.
fn check_alone(request: &Request, first: &[u8]) -> Result<(), Outcome> {
    match request {
        Request::Plain(request) if plain::has_more(request.body, first) => {
            Err(Outcome::Refused(Refusal::Head(BadHead::SecondRequest)))
        }
        Request::Plain(_) | Request::Tunnel(_) => Ok(()),
    }
}

async fn carry(
    client: &mut TcpStream,
    mut server: TcpStream,
    note: &mut Note,
    first: &[u8],
    meter: &Meter<'_>,
) -> Result<Outcome, Outcome> {
    client.set_nodelay(true).map_err(tunnel::broken)?;
    let place = match &note.request {
        Some(Request::Plain(request)) => return Ok(plain::exchange(client, &mut server, request, first, meter).await),
        Some(Request::Tunnel(place)) => place,
        None => return Err(Outcome::Refused(Refusal::NoRule)),
    };
    client.write_all(ESTABLISHED).await.map_err(tunnel::broken)?;
    note.said = Said::Established;
    match note.via {
        Some(Via::Tls) => tunnel::greet(client, &mut server, first, place.host.name(), meter).await?,
        Some(Via::Tcp) => meter.pass(&mut server, budget::Way::Up, first).await?,
        Some(Via::Http) | None => return Err(Outcome::Refused(Refusal::NoRule)),
    }
    Ok(tunnel::carry(client, &mut server, meter).await)
}

async fn gone(mut closed: watch::Receiver<()>) {
    while closed.changed().await.is_ok() {}
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate")
            .field("hosts", &self.hosts)
            .field("private_hosts", &self.private_hosts)
            .field("budgets", &self.budgets)
            .finish_non_exhaustive()
    }
}

const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";
const RULES_MAX: usize = 512;
const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEAD_CHUNK_BYTES: usize = 4 * 1024;
const HEAD_WITHIN: Duration = Duration::from_secs(10);
const RECORD_WITHIN: Duration = Duration::from_secs(5);
const STORM_PAUSE: Duration = Duration::from_millis(250);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const ACCEPT_FAILURES_MAX: u32 = 100;

#[cfg(test)]
mod tests;
