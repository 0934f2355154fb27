//! The gateway, with every check on.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sekisho_e2e::gateway::free_address;
use sekisho_e2e::process::Running;
use tempfile::TempDir;

use super::{Certificate, People};

/// How a gateway is set up.
#[derive(Debug, Clone)]
pub struct Shape<'a> {
    /// The program.
    pub binary: PathBuf,
    /// Names and endpoints of the servers.
    pub servers: Vec<(String, String)>,
    /// Who may do what.
    pub policies: Policies,
    /// Whether it speaks TLS.
    pub certificate: Option<&'a Certificate>,
    /// Threads that work; none: as many as there are cores.
    pub workers: Option<u32>,
    /// What stands for arguments and results in records: `sha256` or `blake3`.
    pub payload_digest: &'static str,
    /// The origin that clients reach it at, where something stands before it.
    pub public_url: Option<String>,
    /// After how many seconds without use a session has ended; none: the usual.
    pub session_idle_seconds: Option<u32>,
}

/// A set of policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policies {
    /// Twenty policies for several roles, servers and tools, as a company may have them.
    Corridor,
    /// The same, and one that reads an argument of every call.
    Arguments,
}

impl Policies {
    fn text(self) -> String {
        let corridor = include_str!("../../policies/corridor.cedar");
        match self {
            Self::Corridor => corridor.to_owned(),
            Self::Arguments => corridor.to_owned() + include_str!("../../policies/arguments.cedar"),
        }
    }
}

/// A gateway that runs until this value is dropped.
#[derive(Debug)]
pub struct Sekisho {
    // Before the folder: the process ends before its files go.
    process: Running,
    folder: TempDir,
    address: SocketAddr,
    binary: PathBuf,
    workers: Option<u32>,
    origin: String,
    policies: Policies,
}

impl Sekisho {
    /// Starts it. It is not waited for.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(shape: &Shape<'_>, people: &People) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("sekisho-bench-").tempdir()?;
        let address = free_address()?;
        people.write_key_set(&folder.path().join("jwks.json"))?;
        fs::write(folder.path().join("policy.cedar"), shape.policies.text())?;
        let scheme = if shape.certificate.is_some() { "https" } else { "http" };
        let origin = shape.public_url.clone().unwrap_or_else(|| format!("{scheme}://{address}"));
        fs::write(folder.path().join("sekisho.toml"), configuration(shape, (address, &origin), people.issuer()))?;
        if let Some(certificate) = shape.certificate {
            certificate.write(folder.path())?;
        }
        let (binary, workers) = (shape.binary.clone(), shape.workers);
        let process = launch(&binary, workers, folder.path())?;
        Ok(Self { process, folder, address, binary, workers, origin, policies: shape.policies })
    }

    /// Starts it once more, with all that it left in its folder. It must have ended.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        self.process = launch(&self.binary, self.workers, self.folder.path())?;
        Ok(())
    }

    /// Its folder: `sekisho.toml`, `policy.cedar`, `certificate.pem`, `key.pem`, `data`, `log`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its process, to be told something.
    pub fn process(&mut self) -> &mut Running {
        &mut self.process
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The endpoint of one server, which is also the audience of tokens for it.
    #[must_use]
    pub fn endpoint(&self, server: &str) -> String {
        format!("{}/s/{server}/mcp", self.origin)
    }

    /// How it is set up, in one word.
    #[must_use]
    pub fn profile(&self) -> &'static str {
        match self.policies {
            Policies::Corridor => "corridor",
            Policies::Arguments => "arguments",
        }
    }

    /// What it said so far.
    #[must_use]
    pub fn log(&self) -> String {
        let log = fs::read(self.folder.path().join("log")).unwrap_or_default();
        format!("the gateway said:\n{}", String::from_utf8_lossy(&log))
    }

    /// The lines of its audit log, oldest first.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn records(&self) -> anyhow::Result<Vec<String>> {
        let mut segments = segments(&self.folder.path().join("data/audit"))?;
        segments.sort();
        let mut records = Vec::new();
        for segment in segments {
            records.extend(fs::read_to_string(segment)?.lines().map(ToOwned::to_owned));
        }
        Ok(records)
    }

    /// Removes the full segments of its audit log: a long bench would fill the disk. The one that is written to stays.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn forget(&self) -> anyhow::Result<()> {
        let mut segments = segments(&self.folder.path().join("data/audit"))?;
        segments.sort();
        segments.pop();
        for segment in segments {
            fs::remove_file(segment)?;
        }
        Ok(())
    }
}

fn launch(binary: &Path, workers: Option<u32>, folder: &Path) -> anyhow::Result<Running> {
    let log = File::options().create(true).append(true).open(folder.join("log"))?;
    let mut command = Command::new(binary);
    command
        .args(["serve", "--config", "sekisho.toml"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    if let Some(workers) = workers {
        command.env("TOKIO_WORKER_THREADS", workers.to_string());
    }
    Running::start(&mut command)
}

fn segments(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "jsonl") {
            segments.push(path);
        }
    }
    Ok(segments)
}

/// Nothing is throttled, and nothing is left out.
fn configuration(shape: &Shape<'_>, (address, origin): (SocketAddr, &str), issuer: &str) -> String {
    let tls = match shape.certificate {
        Some(_) => "[gateway.tls]\ncertificate_file = \"certificate.pem\"\nkey_file = \"key.pem\"\n\n",
        None => "",
    };
    let payload_digest = shape.payload_digest;
    let idle = shape.session_idle_seconds.map(|seconds| format!("idle_seconds = {seconds}\n")).unwrap_or_default();
    let mut text = format!(
        r#"data_dir = "data"

[gateway]
listen = "{address}"
public_url = "{origin}"

{tls}[identity.sessions]
per_principal_max = 50000
total_max = 50000
{idle}
[[identity.issuers]]
issuer = "{issuer}"
jwks_file = "jwks.json"
roles_claim = "roles"
groups_claim = "groups"

[policy]
files = ["policy.cedar"]

[limits]
requests_per_minute = 1000000
burst = 100000
concurrent_max = 10000

[audit]
level = "written"
payload_digest = "{payload_digest}"

# What is seen first counts as approved: a call is held against it as against a lock file.
[catalog]
dangerous_trust_on_first_use = true
"#
    );
    for (name, url) in &shape.servers {
        let _ = write!(
            text,
            "\n[servers.{name}]\nurl = \"{url}\"\nconnections_max = 10000\nper_principal_max = 10000\nidle_seconds = 3600\n"
        );
    }
    text
}
