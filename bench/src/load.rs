//! A load generator in a closed loop: each connection sends its next request when the last one is answered.
//!
//! Sessions are opened before the clock starts. Every answer is checked: its status, its id, and what it echoes. A phase begins and ends
//! with no call under way, so what processes used in between belongs to the calls that were counted, and to nothing else.

mod answer;
mod caller;
mod connection;
mod handshake;
mod http1;
mod http2;
mod request;
mod tally;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustls::ClientConfig;
use sekisho_e2e::client::Era;
use tokio::task::LocalSet;

use crate::usage;
use caller::Caller;
use tally::Tally;

pub use handshake::{Groups, handshakes, trusting};
pub use tally::Report;

/// Who is asked.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// What `Host` says.
    pub authority: String,
    /// Paths of endpoints; connections take them in turn.
    pub paths: Vec<String>,
    /// How it is spoken to.
    pub transport: Transport,
    /// The processes whose use is reported.
    pub pids: Vec<u32>,
}

/// How a target is spoken to.
#[derive(Debug, Clone)]
pub enum Transport {
    /// HTTP/1.1 in the clear.
    Http1,
    /// HTTP/2 in the clear, from the first byte on.
    Http2,
    /// HTTP/1.1 over TLS.
    Tls(Arc<ClientConfig>),
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// `tools/call` of `echo` with a message.
    Call {
        /// How long the message is, in bytes.
        payload: usize,
        /// What it is made of.
        text: Text,
    },
    /// `tools/list`, all of its pages; they are one call.
    List {
        /// How many tools there must be.
        tools: usize,
    },
}

/// What a message is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// Words in plain ASCII.
    Plain,
    /// The same with quotes, backslashes, line breaks and other scripts: JSON has to escape some of it.
    Escaped,
}

/// Whose calls they are.
#[derive(Debug, Clone)]
pub enum Tokens {
    /// A token for each connection, in turn.
    PerConnection(Arc<[String]>),
    /// A token for each call, in turn; 2026-07-28 only, since sessions belong to who opened them.
    PerCall(Arc<[String]>),
}

/// How long a session lasts (2025-11-25).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sessions {
    /// One for each connection.
    Kept,
    /// One for each call; opening and ending it count as part of the call.
    PerCall,
}

/// When a phase ends.
#[derive(Debug, Clone, Copy)]
pub enum Stop {
    /// After this time.
    After(Duration),
    /// After this many calls, of all connections together.
    Calls(u32),
    /// Once this is set.
    Told(&'static AtomicBool),
}

/// A load.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Who is asked.
    pub target: Target,
    /// What is asked.
    pub asked: Asked,
    /// The revision that is spoken.
    pub era: Era,
    /// Whose calls they are.
    pub tokens: Tokens,
    /// How many connections there are; each has a session of its own.
    pub connections: u32,
    /// How long a session lasts.
    pub sessions: Sessions,
    /// How long calls are made that do not count.
    pub warm_up: Duration,
    /// When it ends.
    pub stop: Stop,
}

/// Runs a load on this thread. Pin the thread before, if it is to stay on one core.
///
/// # Errors
/// When the target cannot be reached, or refuses a session at the start. What goes wrong later is counted in the report.
pub fn run(plan: &Plan) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, measure(Rc::new(plan.clone())))
}

/// Opens sessions, makes one call in each, and leaves them be: what they hold is seen while `look` runs. The plan must open a session
/// per call, so that none is opened beside those.
///
/// # Errors
/// As [`run`], and what `look` says.
pub fn hold<T>(plan: &Plan, sessions: u32, look: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let plan = Rc::new(plan.clone());
    LocalSet::new().block_on(&runtime, async move {
        let mut callers = open(&plan).await?;
        for number in 0..sessions {
            let at = usize::try_from(number)?.checked_rem(callers.len()).context("a load has no connection")?;
            let caller = callers.get_mut(at).context("a caller is missing")?;
            caller.use_another_session().await.with_context(|| format!("session {number}"))?;
        }
        look()
    })
}

async fn measure(plan: Rc<Plan>) -> anyhow::Result<Report> {
    let callers = open(&plan).await?;
    let mut warm = Tally::new()?;
    let callers = phase(callers, Stop::After(plan.warm_up), &mut warm).await?;
    let mut tally = Tally::new()?;
    let (before, own) = (usage::of(&plan.target.pids), usage::own());
    let start = Instant::now();
    let callers = phase(callers, plan.stop, &mut tally).await?;
    let seconds = start.elapsed();
    let (after, own_after) = (usage::of(&plan.target.pids), usage::own());
    leave(callers, &mut tally).await;
    tally.blame(warm);
    Ok(tally.report(seconds, (before, after), own_after.cpu.saturating_sub(own.cpu)))
}

async fn open(plan: &Rc<Plan>) -> anyhow::Result<Vec<Caller>> {
    let mut callers = Vec::new();
    for number in 0..plan.connections {
        callers.push(Caller::open(plan, number).await.with_context(|| format!("connection {number}"))?);
    }
    Ok(callers)
}

/// Ends sessions as a client should, after the clock has stopped.
async fn leave(callers: Vec<Caller>, tally: &mut Tally) {
    for mut caller in callers {
        if let Err(error) = caller.leave().await {
            tally.fail(&error);
        }
    }
}

/// All callers ask until it is over, each at its own pace.
async fn phase(callers: Vec<Caller>, stop: Stop, into: &mut Tally) -> anyhow::Result<Vec<Caller>> {
    let end = Rc::new(End::new(stop));
    let mut tasks = Vec::new();
    for mut caller in callers {
        let end = Rc::clone(&end);
        let mut tally = Tally::new()?;
        tasks.push(tokio::task::spawn_local(async move {
            while end.goes_on() && tally.is_bearable() {
                let start = Instant::now();
                match caller.exchange().await {
                    Ok(()) => tally.count(start.elapsed()),
                    Err(error) => tally.fail(&error),
                }
            }
            (caller, tally)
        }));
    }
    let mut callers = Vec::new();
    for task in tasks {
        let (caller, tally) = task.await?;
        into.add(&tally)?;
        callers.push(caller);
    }
    Ok(callers)
}

/// Whether a phase goes on.
enum End {
    At(Instant),
    Left(std::cell::Cell<u32>),
    Told(&'static AtomicBool),
}

impl End {
    fn new(stop: Stop) -> Self {
        match stop {
            Stop::After(time) => Self::At(Instant::now() + time),
            Stop::Calls(calls) => Self::Left(std::cell::Cell::new(calls)),
            Stop::Told(over) => Self::Told(over),
        }
    }

    /// Whether one more call may be made; it counts then.
    fn goes_on(&self) -> bool {
        match self {
            Self::At(end) => Instant::now() < *end,
            Self::Left(left) => left.get().checked_sub(1).inspect(|less| left.set(*less)).is_some(),
            Self::Told(over) => !over.load(Ordering::Relaxed),
        }
    }
}
