//! The bench's own MCP server, as a process.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use sekisho_e2e::place;
use sekisho_e2e::process::Running;

/// A server that runs until this value is dropped.
#[derive(Debug)]
pub struct Upstream {
    process: Running,
    address: SocketAddr,
}

impl Upstream {
    /// Starts it with these options, such as `--tools 5000`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(options: &[&str]) -> anyhow::Result<Self> {
        let mut command = Command::new(place::binary("bench-upstream")?);
        command.args(options).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut process = Running::start(&mut command)?;
        let url = process.first_line(START)?;
        let address = url.strip_prefix("http://").and_then(|rest| rest.strip_suffix("/mcp")?.parse().ok());
        let address = address.with_context(|| format!("{url:?} is no endpoint"))?;
        Ok(Self { process, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its endpoint.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

const START: Duration = Duration::from_secs(20);
