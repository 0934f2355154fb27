//! What can be said on the command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};

/// Measures the gateway beside nginx, in alternating rounds.
#[derive(Debug, Parser)]
#[command(name = "bench", bin_name = "cargo xtask bench")]
pub(crate) struct Options {
    /// The load.
    #[arg(value_enum)]
    pub(crate) load: Load,
    /// Writes one row per round and target into this file, as lines of JSON.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// How often each target has its turn.
    #[arg(long)]
    rounds: Option<u32>,
    /// How long a turn is, in seconds.
    #[arg(long)]
    seconds: Option<f64>,
    /// Tiny sizes and times: shows that everything works, and measures nothing.
    #[arg(long)]
    pub(crate) short: bool,
    /// A gateway to measure, `PATH` or `NAME=PATH`; may be given again. Without it: the one that was just built.
    #[arg(long, value_name = "[NAME=]PATH")]
    binary: Vec<String>,
    /// Lengths of messages, in bytes.
    #[arg(long, value_delimiter = ',')]
    payload: Vec<usize>,
    /// How many connections there are.
    #[arg(long, value_delimiter = ',')]
    concurrency: Vec<u32>,
    /// For `profile`: lists of so many tools in place of calls.
    #[arg(long)]
    pub(crate) tools: Option<usize>,
    /// For `life`: how many calls, 1,000,000 unless said.
    #[arg(long)]
    calls: Option<u32>,
    /// Messages with quotes, line breaks and other scripts in them.
    #[arg(long)]
    pub(crate) escaped: bool,
    /// For `corridor`: BLAKE3 digests of payloads in the audit log, in place of SHA-256.
    #[arg(long)]
    pub(crate) blake3: bool,
}

/// The loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Load {
    /// Calls with every check on, beside nginx.
    Corridor,
    /// `tools/list` of 20 and 5,000 tools.
    List,
    /// 2026-07-28 beside 2025-11-25.
    Modern,
    /// An upstream that answers with event streams.
    Stream,
    /// HTTP/2 beside HTTP/1.1.
    H2,
    /// TLS 1.3: handshakes and calls.
    Tls,
    /// A session for each call; 10,000 idle sessions.
    Sessions,
    /// 100,000 distinct tokens.
    Tokens,
    /// 1 to 64 servers.
    Servers,
    /// Policies that read an argument of every call.
    Arguments,
    /// Start to first answer; memory when idle.
    Start,
    /// 20,000 calls beside 200.
    Flat,
    /// A million calls, and sessions that come and go: memory and descriptors stay.
    Life,
    /// Two worker threads beside one.
    Workers,
    /// Where the time of a call goes, by `perf`.
    Profile,
    /// All of them, `profile` left out.
    All,
}

impl Options {
    /// How often each target has its turn.
    pub(crate) fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.short { 1 } else { 5 })
    }

    /// How many calls a long life has.
    pub(crate) fn calls(&self) -> u32 {
        self.calls.unwrap_or(if self.short { 3_000 } else { 1_000_000 })
    }

    /// How long a turn is.
    ///
    /// # Errors
    /// When that is no time.
    pub(crate) fn turn(&self) -> anyhow::Result<Duration> {
        let seconds = self.seconds.unwrap_or(if self.short { 0.1 } else { 2.0 });
        Duration::try_from_secs_f64(seconds).context("--seconds is no time")
    }

    /// How long a turn's calls do not count at first.
    pub(crate) fn warm_up(&self) -> Duration {
        Duration::from_millis(if self.short { 20 } else { 400 })
    }

    /// Lengths of messages, in bytes.
    pub(crate) fn payloads(&self, usual: &[usize]) -> Vec<usize> {
        if self.payload.is_empty() { usual.to_vec() } else { self.payload.clone() }
    }

    /// How many connections there are.
    pub(crate) fn concurrencies(&self, usual: &[u32]) -> Vec<u32> {
        if self.concurrency.is_empty() { usual.to_vec() } else { self.concurrency.clone() }
    }

    /// The gateways to measure, with their names.
    ///
    /// # Errors
    /// When there is none, or one name stands for two.
    pub(crate) fn binaries(&self) -> anyhow::Result<Vec<(String, PathBuf)>> {
        if self.binary.is_empty() {
            return Ok(vec![("sekisho".to_owned(), sekisho_e2e::place::binary("sekisho")?)]);
        }
        let mut binaries: Vec<(String, PathBuf)> = Vec::new();
        for given in &self.binary {
            let (name, path) = given.split_once('=').unwrap_or(("sekisho", given));
            anyhow::ensure!(binaries.iter().all(|(known, _)| known != name), "two binaries are called `{name}`");
            let path = std::path::absolute(path)?;
            anyhow::ensure!(path.is_file(), "{} is missing", path.display());
            binaries.push((name.to_owned(), path));
        }
        Ok(binaries)
    }
}
