//! A real Prometheus that scrapes one target.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::gateway::free_address;
use crate::process::Running;
use crate::{peers, raw};

/// Prometheus from Debian. It is ended when this value is dropped.
#[derive(Debug)]
pub struct Prometheus {
    // Before the folder: the process ends before its files go.
    _process: Running,
    folder: TempDir,
    address: SocketAddr,
}

impl Prometheus {
    /// Starts it; it asks `target` for `/metrics` every second.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(target: SocketAddr) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("sekisho-e2e-").tempdir()?;
        let address = free_address()?;
        let config = format!(
            "global:\n  scrape_interval: 1s\nscrape_configs:\n  - job_name: sekisho\n    static_configs:\n      - targets: ['{target}']\n"
        );
        fs::write(folder.path().join("prometheus.yml"), config)?;
        let log = File::create(folder.path().join("log"))?;
        let mut command = peers::prometheus()?;
        command
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .arg(format!("--web.listen-address={address}"))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let process = Running::start(&mut command)?;
        Ok(Self { _process: process, folder, address })
    }

    /// What its HTTP interface answers, once `wanted` finds in it what it looks for.
    ///
    /// # Errors
    /// When it still does not after a while.
    pub fn wait_for<T>(&self, path: &str, wanted: impl Fn(&Value) -> Option<T>) -> anyhow::Result<T> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        let start = Instant::now();
        loop {
            let answer = raw::send(self.address, request.as_bytes(), POLL_LIMIT);
            let said = answer.as_ref().ok().and_then(|answer| raw::parse(&answer.text()).ok());
            if let Some(found) = said.as_ref().and_then(&wanted) {
                return Ok(found);
            }
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            anyhow::ensure!(start.elapsed() < LIMIT, "{path} is answered {said:?}; Prometheus said:\n{}", log());
            std::thread::sleep(POLL);
        }
    }
}

const LIMIT: Duration = Duration::from_secs(40);
const POLL_LIMIT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(200);
