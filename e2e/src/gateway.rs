//! The real binary, with a folder of its own.

use std::fs::{self, File};
use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;
use tempfile::TempDir;

use crate::client::{Client, Era};
use crate::issuer::Issuer;
use crate::line::{self, Line};
use crate::place;
use crate::process::Running;
use crate::raw;

/// What a test wants to have running.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The `[servers.…]` tables, as TOML.
    pub servers: String,
    /// The Cedar policy.
    pub policy: String,
    /// More lines of the `[gateway]` table.
    pub gateway: String,
    /// More tables.
    pub more: String,
    /// What is approved of what the servers offer.
    pub approved: Approved,
}

/// What is approved of what the servers offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approved {
    /// Whatever is seen first: for tests of something else.
    OnFirstUse,
    /// What `sekisho lock` finds before the start.
    Locked,
    /// What the test itself has written, or nothing.
    AsItIs,
}

impl Setup {
    /// These servers, and a policy that permits everything to whoever has a good token.
    #[must_use]
    pub fn open(servers: &str) -> Self {
        Self {
            servers: servers.to_owned(),
            policy: "@id(\"everything\") permit(principal, action, resource);\n".to_owned(),
            gateway: String::new(),
            more: String::new(),
            approved: Approved::OnFirstUse,
        }
    }

    /// The same with another approval.
    #[must_use]
    pub fn approving(mut self, approved: Approved) -> Self {
        self.approved = approved;
        self
    }

    /// The same with another policy.
    #[must_use]
    pub fn with_policy(mut self, policy: &str) -> Self {
        policy.clone_into(&mut self.policy);
        self
    }

    /// The same with more lines in `[gateway]`.
    #[must_use]
    pub fn with_gateway(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.gateway);
        self
    }

    /// The same with more tables.
    #[must_use]
    pub fn with_more(mut self, tables: &str) -> Self {
        tables.clone_into(&mut self.more);
        self
    }
}

/// The TOML of a server over HTTP.
#[must_use]
pub fn http_server(name: &str, url: &str) -> String {
    format!("[servers.{name}]\nurl = {url:?}\n")
}

/// The TOML of a server that is a process.
#[must_use]
pub fn stdio_server(name: &str, command: &[String]) -> String {
    format!("[servers.{name}]\ncommand = {command:?}\n")
}

/// The TOML of what a process may read, and what it may change, to go behind its table.
#[must_use]
pub fn granting(read: &[&Path], write: &[&Path]) -> String {
    format!("sandbox.read = {read:?}\nsandbox.write = {write:?}\n")
}

/// A gateway that runs until this value is dropped.
#[derive(Debug)]
pub struct Gateway {
    // Before the folder: the process ends before its files go.
    process: Running,
    folder: TempDir,
    address: SocketAddr,
    issuer: Issuer,
}

impl Gateway {
    /// Starts the gateway and waits until it says that it is ready.
    ///
    /// # Errors
    /// When it ends, or is not ready in time; with what it said.
    pub fn start(setup: &Setup) -> anyhow::Result<Self> {
        Self::start_with(setup, Issuer::es256(ISSUER)?)
    }

    /// The same, believing this issuer.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(setup: &Setup, issuer: Issuer) -> anyhow::Result<Self> {
        let mut gateway = Self::launch(setup, issuer)?;
        gateway.wait_until_ready()?;
        Ok(gateway)
    }

    /// Starts the gateway without waiting.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn launch(setup: &Setup, issuer: Issuer) -> anyhow::Result<Self> {
        Self::launch_with(setup, issuer, |_, configuration| configuration)
    }

    /// The same, after `prepare` put more files into the folder and had its way with the configuration.
    ///
    /// # Errors
    /// As [`Self::launch`].
    pub fn launch_with(
        setup: &Setup,
        issuer: Issuer,
        prepare: impl FnOnce(&Path, String) -> String,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("sekisho-e2e-").tempdir()?;
        let address = free_address()?;
        issuer.write_key_set(&folder.path().join("jwks.json"))?;
        fs::write(folder.path().join("policy.cedar"), &setup.policy)?;
        let configuration = prepare(folder.path(), configuration(setup, address, &issuer));
        fs::write(folder.path().join("sekisho.toml"), configuration)?;
        if setup.approved == Approved::Locked {
            lock(folder.path())?;
        }
        let process = serve(folder.path())?;
        Ok(Self { process, folder, address, issuer })
    }

    /// Stops it, has `between` have its way with the folder, and starts it again there.
    ///
    /// # Errors
    /// When it does not stop or is not ready again in time, or `between` fails.
    pub fn restarted(mut self, between: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<Self> {
        self.process.signal(nix::sys::signal::Signal::SIGTERM)?;
        self.process.wait(READY)?;
        between(self.folder.path())?;
        self.process = serve(self.folder.path())?;
        self.wait_until_ready()?;
        Ok(self)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its folder: `sekisho.toml`, `policy.cedar`, `jwks.json`, `data`, `log`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The issuer it believes.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Running {
        &mut self.process
    }

    /// The endpoint of one server, which is also the audience of tokens for it.
    #[must_use]
    pub fn endpoint(&self, server: &str) -> String {
        format!("http://{}/s/{server}/mcp", self.address)
    }

    /// The endpoint of all servers.
    #[must_use]
    pub fn endpoint_of_all(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// A good token of `subject` for an endpoint.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn token(&self, subject: &str, endpoint: &str) -> anyhow::Result<String> {
        self.issuer.token(subject, endpoint)
    }

    /// A client of one server with a good token.
    ///
    /// # Errors
    /// When the gateway refuses it.
    pub fn client(&self, server: &str, era: Era) -> anyhow::Result<Client> {
        let endpoint = self.endpoint(server);
        let token = self.token("alice", &endpoint)?;
        Client::connect(&endpoint, Some(&token), era).with_context(|| self.log())
    }

    /// A client over standard input and output of the same configuration, served by a process of its own.
    ///
    /// # Errors
    /// When that does not answer.
    pub fn line(&self, server: Option<&str>, era: Era, capabilities: Value) -> anyhow::Result<Line> {
        Line::open(&mut line::command(&self.folder().join("sekisho.toml"), server)?, era, capabilities)
    }

    /// What it said so far.
    #[must_use]
    pub fn log(&self) -> String {
        let log = fs::read(self.folder.path().join("log")).unwrap_or_default();
        format!("the gateway said:\n{}", String::from_utf8_lossy(&log))
    }

    /// Waits until every server of `names` answers a list in one of the eras, so that tests do not race the first probe. It asks as
    /// a principal of its own, so that the limits of others are not touched.
    ///
    /// # Errors
    /// When one still does not after a while.
    pub fn wait_for_servers(&self, names: &[&str]) -> anyhow::Result<()> {
        let start = Instant::now();
        for name in names {
            while let Err(why) = self.ask(name) {
                anyhow::ensure!(start.elapsed() < READY, "server {name} does not answer: {why:#}; {}", self.log());
                std::thread::sleep(PAUSE);
            }
        }
        Ok(())
    }

    /// Asks a server for its tools in either era.
    fn ask(&self, server: &str) -> anyhow::Result<Vec<String>> {
        let endpoint = self.endpoint(server);
        let token = self.token("e2e-probe", &endpoint)?;
        let tools = |era| Client::connect(&endpoint, Some(&token), era)?.list("tools/list");
        tools(Era::Modern).or_else(|_| tools(Era::Legacy))
    }

    /// Waits until it says that it is ready.
    ///
    /// # Errors
    /// When it ends, or is not ready in time; with what it said.
    pub fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        let question = format!("GET /readyz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        loop {
            if let Some(status) = self.process.ended()? {
                anyhow::bail!("the gateway ended with {status}; {}", self.log());
            }
            let answer = raw::send(self.address, question.as_bytes(), POLL_LIMIT);
            if answer.as_ref().is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            anyhow::ensure!(start.elapsed() < READY, "the gateway is not ready ({answer:?}); {}", self.log());
            std::thread::sleep(POLL);
        }
    }
}

fn serve(folder: &Path) -> anyhow::Result<Running> {
    let log = File::options().create(true).append(true).open(folder.join("log"))?;
    let mut command = Command::new(place::binary("sekisho")?);
    command
        .args(["serve", "--config"])
        .arg(folder.join("sekisho.toml"))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    Running::start(&mut command)
}

fn configuration(setup: &Setup, address: SocketAddr, issuer: &Issuer) -> String {
    let Setup { servers, gateway, more, .. } = setup;
    let issuer = issuer.name();
    let catalog = match setup.approved {
        Approved::OnFirstUse => "[catalog]\ndangerous_trust_on_first_use = true\n\n",
        Approved::Locked | Approved::AsItIs => "",
    };
    format!(
        "data_dir = \"data\"\n\n\
         [gateway]\nlisten = \"{address}\"\npublic_url = \"http://{address}\"\n{gateway}\n\n\
         [[identity.issuers]]\nissuer = \"{issuer}\"\njwks_file = \"jwks.json\"\n\n\
         [policy]\nfiles = [\"policy.cedar\"]\n\n{catalog}{servers}\n{more}\n"
    )
}

/// Approves all that the servers of a folder's configuration offer, once all of them are up.
///
/// # Errors
/// When they cannot be looked at in time, or something of it has to be approved by name.
pub fn lock(folder: &Path) -> anyhow::Result<()> {
    let start = Instant::now();
    loop {
        let locked = Command::new(place::binary("sekisho")?).args(["lock", "--yes"]).current_dir(folder).output()?;
        if locked.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&locked.stderr).into_owned();
        anyhow::ensure!(start.elapsed() < READY, "`sekisho lock` failed: {said}");
        std::thread::sleep(PAUSE);
    }
}

/// An address that nobody listens on at this moment. The public URL names the port, so it has to be known before the start. It is not one
/// that the kernel gives away itself (from 32,768 on), or another test would have it before the process that it is meant for.
///
/// # Errors
/// When there is none.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    for _ in 0..TRIES {
        let port = 10_000 + RandomState::new().hash_one(std::process::id()) % 22_000;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(port)?));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    anyhow::bail!("no free port among {TRIES}")
}

const TRIES: usize = 100;

/// What tokens have in `iss`. Nothing listens there: the key set is a file.
const ISSUER: &str = "http://127.0.0.1:9/issuer";

/// How long the start may take on a busy machine.
const READY: Duration = Duration::from_secs(30);

/// How long one look at it may take.
const POLL_LIMIT: Duration = Duration::from_secs(2);

/// How long to wait before a server that does not answer is asked again.
const PAUSE: Duration = Duration::from_millis(300);

/// How long to wait between two looks.
const POLL: Duration = Duration::from_millis(25);
