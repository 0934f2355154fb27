//! A real OpenTelemetry collector: what reaches it is judged by what it prints.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tempfile::TempDir;

use crate::gateway::free_address;
use crate::peers;
use crate::process::Running;

/// What is printed: one kind only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Numbers.
    Metrics,
}

/// Rotel, printing what it takes. It is ended when this value is dropped.
#[derive(Debug)]
pub struct Collector {
    // Before the folder: the process ends before its files go.
    _process: Running,
    folder: TempDir,
    address: SocketAddr,
}

impl Collector {
    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(signal: Signal) -> anyhow::Result<Self> {
        Self::start_at(signal, free_address()?)
    }

    /// The same at an address that nobody listens on.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_at(signal: Signal, address: SocketAddr) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("sekisho-e2e-").tempdir()?;
        let log = File::create(folder.path().join("log"))?;
        let signal = match signal {
            Signal::Traces => "traces",
            Signal::Metrics => "metrics",
        };
        let mut command = Command::new(peers::rotel()?);
        command
            .args(["start", "--exporter", "blackhole", "--debug-log", signal, "--debug-log-verbosity", "detailed"])
            .args(["--otlp-http-endpoint", &address.to_string(), "--otlp-grpc-endpoint", &free_address()?.to_string()])
            .current_dir(folder.path())
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let collector = Self { _process: Running::start(&mut command)?, folder, address };
        let start = Instant::now();
        while TcpStream::connect_timeout(&address, POLL).is_err() {
            anyhow::ensure!(start.elapsed() < START, "the collector does not listen: {}", collector.printed());
            std::thread::sleep(POLL);
        }
        Ok(collector)
    }

    /// What `otlp_endpoint` has to be.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything it printed so far.
    #[must_use]
    pub fn printed(&self) -> String {
        let log = fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Waits until what it printed is as wanted.
    ///
    /// # Errors
    /// When it still is not after a while.
    pub fn wait_for<T>(&self, wanted: impl Fn(&str) -> Option<T>) -> anyhow::Result<T> {
        let start = Instant::now();
        loop {
            if let Some(found) = wanted(&self.printed()) {
                return Ok(found);
            }
            let late = start.elapsed() >= ARRIVE;
            (!late).then_some(()).with_context(|| format!("the collector printed only:\n{}", self.printed()))?;
            std::thread::sleep(POLL);
        }
    }
}

const START: Duration = Duration::from_secs(20);
const ARRIVE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);
