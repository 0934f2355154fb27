//! Servers that run, a gateway in front of them, and what they work on.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tempfile::TempDir;

use super::breaker::Breaker;
use super::server::{Kind, Server, Transport};
use super::{Eras, page};
use crate::client::Era;
use crate::fixture::{Everything, everything_command};
use crate::gateway::{Approved, Gateway, Setup, free_address, http_server, stdio_server};
use crate::process::Running;
use crate::{line, servers};

/// What the servers work on.
#[derive(Debug)]
pub(super) struct Ground {
    repository: TempDir,
    page: String,
}

impl Ground {
    fn lay() -> anyhow::Result<Self> {
        Ok(Self { repository: servers::repository()?, page: page::serve()? })
    }

    pub(super) fn repository(&self) -> PathBuf {
        self.repository.path().to_owned()
    }

    pub(super) fn file(&self) -> PathBuf {
        self.repository.path().join("hello.txt")
    }

    /// A name that nobody else has.
    pub(super) fn fresh() -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        format!("name {}", NEXT.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn page(&self) -> &str {
        &self.page
    }
}

/// A gateway with servers of the matrix behind it, until this value is dropped.
#[derive(Debug)]
pub struct Yard {
    // Before the servers: it ends before they do.
    gateway: Gateway,
    _running: Vec<Running>,
    _fixtures: Vec<Everything>,
    ground: Ground,
    breaker: Breaker,
}

impl Yard {
    /// Starts these servers, and waits until each answers.
    ///
    /// # Errors
    /// When one does not.
    pub fn start(servers: &[&Server]) -> anyhow::Result<Self> {
        let ground = Ground::lay()?;
        let mut started = Started::default();
        let mut tables = String::new();
        let mut servers = servers.to_vec();
        servers.sort_by_key(|server| server.name);
        servers.dedup_by_key(|server| server.name);
        for server in &servers {
            let table = started.table(server, &ground).with_context(|| format!("{} does not start", server.name))?;
            tables.push_str(&table);
        }
        let (breaker, listener) = Breaker::bind()?;
        let hosts = format!("allowed_hosts = [\"{}\"]\n", breaker.address());
        let gateway = Gateway::start(&Setup::open(&tables).approving(Approved::Locked).with_gateway(&hosts))?;
        breaker.relay(listener, gateway.address());
        servers.iter().try_for_each(|server| wait(&gateway, server))?;
        Ok(Self { gateway, _running: started.running, _fixtures: started.fixtures, ground, breaker })
    }

    /// The gateway.
    #[must_use]
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// The command that serves one client at a server over stdio, beside the gateway.
    pub(super) fn command(&self, server: &Server) -> anyhow::Result<Vec<String>> {
        Ok(words(&line::command(&self.gateway.folder().join("sekisho.toml"), Some(server.name))?))
    }

    pub(super) fn ground(&self) -> &Ground {
        &self.ground
    }

    pub(super) fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// The endpoint of a server behind the relay that breaks off.
    pub(super) fn breakable(&self, server: &Server) -> String {
        format!("http://{}/s/{}/mcp", self.breaker.address(), server.name)
    }
}

/// Waits until a server answers in every era that it speaks. On a busy machine the gateway may have found one of two at first.
fn wait(gateway: &Gateway, server: &Server) -> anyhow::Result<()> {
    let start = Instant::now();
    for era in [Era::Legacy, Era::Modern].into_iter().filter(|era| server.eras.have(*era)) {
        while let Err(why) = gateway.client(server.name, era).and_then(|mut client| client.list("tools/list")) {
            let version = era.version();
            anyhow::ensure!(start.elapsed() < ANSWERS, "{} does not speak {version}: {why:#}", server.name);
            std::thread::sleep(PAUSE);
        }
    }
    Ok(())
}

/// How long a server may take to answer: the gateway looks for an era that was missing once a minute.
const ANSWERS: Duration = Duration::from_secs(100);

/// How long to wait before a server that does not answer is asked again.
const PAUSE: Duration = Duration::from_millis(300);

#[derive(Default)]
struct Started {
    running: Vec<Running>,
    fixtures: Vec<Everything>,
}

impl Started {
    /// The configuration of a server, which is started before if the gateway does not do it.
    fn table(&mut self, server: &Server, ground: &Ground) -> anyhow::Result<String> {
        let (name, folder) = (server.name, ground.repository.path());
        match server.kind {
            Kind::Fixture(transport) => {
                let era = match server.eras {
                    Eras::Both => "both",
                    Eras::Only(Era::Legacy) => "legacy",
                    Eras::Only(Era::Modern) => "modern",
                };
                if transport == Transport::Stdio {
                    return Ok(stdio_server(name, &everything_command(&["--era", era])?));
                }
                let fixture = Everything::start(&["--era", era])?;
                let table = http_server(name, fixture.url());
                self.fixtures.push(fixture);
                Ok(table)
            }
            Kind::Everything => servers::everything_from_npm(name),
            Kind::Filesystem => servers::filesystem(name, folder),
            Kind::Memory => servers::memory(name, folder),
            Kind::Time => servers::time(name),
            Kind::Git => servers::git(name, folder),
            Kind::Fetch => servers::fetch(name, ground.page.trim_end_matches("/page.txt")),
            Kind::FastMcp(Transport::Stdio) => Ok(stdio_server(name, &words(&servers::fastmcp(None)?))),
            Kind::FastMcp(Transport::Http) => {
                let address = free_address()?;
                let mut command = servers::fastmcp(Some(address.port()))?;
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                self.running.push(Running::start(&mut command)?);
                Ok(http_server(name, &format!("http://{address}/mcp")))
            }
        }
    }
}

/// A command as a configuration has it.
fn words(command: &Command) -> Vec<String> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect()
}
