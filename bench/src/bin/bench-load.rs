//! The load generator, as a process, for any MCP server at hand. It prints one line of JSON.
#![forbid(unsafe_code)]

use std::fs;
use std::net::ToSocketAddrs as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use sekisho_bench::load::{self, Asked, Groups, Plan, Sessions, Stop, Target, Text, Tokens, Transport, trusting};
use sekisho_e2e::client::Era;

/// Asks an MCP server in a closed loop, and checks every answer.
#[derive(Debug, Parser)]
struct Arguments {
    /// The endpoint, such as http://127.0.0.1:8700/s/notes/mcp.
    #[arg(long)]
    url: String,
    /// A file with one bearer token a line.
    #[arg(long)]
    tokens: Option<PathBuf>,
    /// Take another token for each call, not for each connection.
    #[arg(long)]
    token_per_call: bool,
    /// How many connections there are, each with one call under way.
    #[arg(long, default_value_t = 1)]
    connections: u32,
    /// What is asked.
    #[arg(long, value_enum, default_value_t = Method::Call)]
    method: Method,
    /// How long the message of a call is, in bytes.
    #[arg(long, default_value_t = 256)]
    payload: usize,
    /// What the message is made of.
    #[arg(long, value_enum, default_value_t = Kind::Plain)]
    payload_kind: Kind,
    /// How many tools a list must hold.
    #[arg(long, default_value_t = 20)]
    tools: usize,
    /// The revision that is spoken.
    #[arg(long, default_value = "2025-11-25")]
    protocol: String,
    /// Speak HTTP/2 in the clear.
    #[arg(long)]
    http2: bool,
    /// For https: the certificate to trust, as PEM.
    #[arg(long)]
    certificate: Option<PathBuf>,
    /// Open a session for each call.
    #[arg(long)]
    session_per_call: bool,
    /// How long calls are made that do not count, in seconds.
    #[arg(long, default_value_t = 0.4)]
    warm_up: f64,
    /// How long it takes, in seconds.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Stop after so many calls, however long they take.
    #[arg(long)]
    calls: Option<u32>,
    /// A process whose use is reported, its children included; may be given again.
    #[arg(long)]
    pid: Vec<u32>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Method {
    /// `tools/call` of `echo`.
    Call,
    /// `tools/list`.
    List,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Plain,
    Escaped,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let report = load::run(&plan(&arguments)?)?;
    println!("{}", serde_json::to_string(&report)?);
    anyhow::ensure!(report.calls > 0, "no call was answered: {:?}", report.error_kinds);
    Ok(())
}

fn plan(arguments: &Arguments) -> anyhow::Result<Plan> {
    let text = match arguments.payload_kind {
        Kind::Plain => Text::Plain,
        Kind::Escaped => Text::Escaped,
    };
    let tokens = tokens(arguments.tokens.as_deref())?;
    Ok(Plan {
        target: target(arguments)?,
        asked: match arguments.method {
            Method::Call => Asked::Call { payload: arguments.payload, text },
            Method::List => Asked::List { tools: arguments.tools },
        },
        era: [Era::Legacy, Era::Modern]
            .into_iter()
            .find(|era| era.version() == arguments.protocol)
            .context("--protocol is 2025-11-25 or 2026-07-28")?,
        tokens: if arguments.token_per_call { Tokens::PerCall(tokens) } else { Tokens::PerConnection(tokens) },
        connections: arguments.connections,
        sessions: if arguments.session_per_call { Sessions::PerCall } else { Sessions::Kept },
        warm_up: Duration::try_from_secs_f64(arguments.warm_up).context("--warm-up")?,
        stop: match arguments.calls {
            Some(calls) => Stop::Calls(calls),
            None => Stop::After(Duration::try_from_secs_f64(arguments.seconds).context("--seconds")?),
        },
    })
}

fn target(arguments: &Arguments) -> anyhow::Result<Target> {
    let (scheme, rest) = arguments.url.split_once("://").context("--url has no scheme")?;
    let (authority, path) = rest.split_once('/').context("--url has no path")?;
    let transport = match (scheme, &arguments.certificate) {
        ("http", None) if arguments.http2 => Transport::Http2,
        ("http", None) => Transport::Http1,
        ("https", Some(file)) => Transport::Tls(trusting(&read(file)?, Groups::PostQuantum)?),
        _ => anyhow::bail!("--url is http, or https with --certificate"),
    };
    let address = authority.to_socket_addrs().context("--url names no address and port")?.next();
    Ok(Target {
        address: address.context("--url names no address")?,
        authority: authority.to_owned(),
        paths: vec![format!("/{path}")],
        transport,
        pids: arguments.pid.clone(),
    })
}

/// Without a file a word is sent that nobody takes: servers that look at tokens then say so.
fn tokens(file: Option<&Path>) -> anyhow::Result<Arc<[String]>> {
    let text = file.map_or_else(|| Ok("none".to_owned()), read)?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(ToOwned::to_owned).collect())
}

fn read(file: &Path) -> anyhow::Result<String> {
    fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))
}
