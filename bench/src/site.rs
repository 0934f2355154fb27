//! Both ends, and what stands between them, as processes.

mod certificate;
mod nginx;
mod people;
mod sekisho;
mod upstream;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use sekisho_e2e::client::Era;

use crate::load::{self, Asked, Plan, Report, Sessions, Stop, Target, Text, Tokens, Transport};

pub use certificate::Certificate;
pub use nginx::Nginx;
pub use people::People;
pub use sekisho::{Policies, Sekisho, Shape};
pub use upstream::Upstream;

/// Something that answers MCP requests, and can be compared with others.
pub struct Stand {
    /// What it is called in rows.
    pub name: String,
    /// How it is set up.
    pub profile: &'static str,
    /// Which checks it makes.
    pub checks: &'static str,
    /// Where it is asked.
    pub target: Target,
    /// Tokens that it takes, each of another principal.
    pub tokens: Arc<[String]>,
    /// The gateway, where it is one.
    pub sekisho: Option<Sekisho>,
    // Ends the process when dropped.
    _nginx: Option<Nginx>,
}

impl Stand {
    /// The upstream itself: what is lost to both ends alone.
    ///
    /// # Errors
    /// When tokens cannot be signed.
    pub fn direct(upstream: &Upstream, people: &People) -> anyhow::Result<Self> {
        let target = target(upstream.address(), "/mcp", vec![upstream.id()]);
        Self::plain("direct", target, people)
    }

    /// nginx in front of the upstream.
    ///
    /// # Errors
    /// As [`Self::direct`].
    pub fn nginx(nginx: Nginx, people: &People) -> anyhow::Result<Self> {
        let target = target(nginx.address(), "/mcp", vec![nginx.id()]);
        Ok(Self { _nginx: Some(nginx), ..Self::plain("nginx", target, people)? })
    }

    /// The gateway, asked at its endpoints for `servers`, of which there are 1, 2, 4 and so on up to 64.
    ///
    /// # Errors
    /// As [`Self::direct`].
    pub fn sekisho(name: &str, sekisho: Sekisho, servers: &[&str], people: &People) -> anyhow::Result<Self> {
        let mut target = target(sekisho.address(), "", vec![sekisho.id()]);
        target.paths = servers.iter().map(|server| format!("/s/{server}/mcp")).collect();
        // Connections take endpoints and tokens in turn, so each token is for the endpoint whose turn it is.
        let endpoints: Vec<String> = servers.iter().map(|server| sekisho.endpoint(server)).collect();
        let tokens = people.tokens(&endpoints, PRINCIPALS)?;
        let profile = sekisho.profile();
        let sekisho = Some(sekisho);
        Ok(Self { name: name.to_owned(), profile, checks: "all", target, tokens, sekisho, _nginx: None })
    }

    /// The same stand, spoken to in another way.
    #[must_use]
    pub fn over(mut self, transport: Transport) -> Self {
        self.target.transport = transport;
        self
    }

    /// A load of small calls on one connection, to be changed.
    #[must_use]
    pub fn plan(&self) -> Plan {
        Plan {
            target: self.target.clone(),
            asked: Asked::Call { payload: 256, text: Text::Plain },
            era: Era::Legacy,
            tokens: Tokens::PerConnection(Arc::clone(&self.tokens)),
            connections: 1,
            sessions: Sessions::Kept,
            warm_up: Duration::ZERO,
            stop: Stop::Calls(1),
        }
    }

    /// Asks until the first good answer, and says how it was.
    ///
    /// # Errors
    /// When there is none for half a minute.
    pub fn wait(&self, era: Era) -> anyhow::Result<Report> {
        let start = Instant::now();
        let plan = Plan { era, ..self.plan() };
        loop {
            let why = match load::run(&plan) {
                Ok(report) if report.errors == 0 => return Ok(report),
                Ok(report) => anyhow::anyhow!("{:?}", report.error_kinds),
                Err(error) => error,
            };
            if start.elapsed() >= READY {
                return Err(why).with_context(|| self.failed());
            }
            std::thread::sleep(POLL);
        }
    }

    /// Words for a failure: who it was, and what it said last.
    #[must_use]
    pub fn failed(&self) -> String {
        let log = self.sekisho.as_ref().map(Sekisho::log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(LOG_LINES_MAX).collect();
        format!(
            "{} does not answer as it should\n{}",
            self.name,
            lines.into_iter().rev().collect::<Vec<_>>().join("\n")
        )
    }

    /// Frees what a turn has left on the disk.
    ///
    /// # Errors
    /// When that fails.
    pub fn forget(&self) -> anyhow::Result<()> {
        self.sekisho.as_ref().map_or(Ok(()), Sekisho::forget)
    }

    fn plain(name: &str, target: Target, people: &People) -> anyhow::Result<Self> {
        // As long as the others, so that as much is carried.
        let tokens = people.tokens(&[format!("http://{}/s/{SERVER}/mcp", target.authority)], PRINCIPALS)?;
        Ok(Self {
            name: name.to_owned(),
            profile: "plain",
            checks: "none",
            target,
            tokens,
            sekisho: None,
            _nginx: None,
        })
    }
}

fn target(address: SocketAddr, path: &str, pids: Vec<u32>) -> Target {
    let (authority, paths) = (address.to_string(), vec![path.to_owned()]);
    Target { address, authority, paths, transport: Transport::Http1, pids }
}

/// The server's name in the gateway's configuration, where there is one server.
pub const SERVER: &str = "bench";

/// How many principals call: the gateway counts each for itself, and permits a million calls a minute to one.
pub const PRINCIPALS: u32 = 64;

/// How long a start may take on a busy machine.
const READY: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(2);
const LOG_LINES_MAX: usize = 10;
