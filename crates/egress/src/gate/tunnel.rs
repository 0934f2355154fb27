//! Bytes from one end to the other, counted.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use crate::gate::budget::{Ledger, Way};
use crate::gate::hello::{BadHello, Greeting};
use crate::gate::passage::{Cut, Failure, Outcome, Refusal};
#[cfg(target_os = "linux")]
use crate::gate::splice::Pipe;

/// What goes through a connection.
#[derive(Debug)]
pub(super) struct Meter<'a> {
    ledger: &'a Ledger,
    traffic: &'a Traffic,
    began: Instant,
    /// Of the last byte either way, counted from the beginning.
    last_ms: AtomicU64,
}

/// Bytes that have gone through a connection.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    up: AtomicU64,
    down: AtomicU64,
}

impl Traffic {
    pub(super) fn up(&self) -> u64 {
        self.up.load(Ordering::Relaxed)
    }

    pub(super) fn down(&self) -> u64 {
        self.down.load(Ordering::Relaxed)
    }

    fn of(&self, way: Way) -> &AtomicU64 {
        match way {
            Way::Up => &self.up,
            Way::Down => &self.down,
        }
    }
}

impl<'a> Meter<'a> {
    pub(super) fn new(ledger: &'a Ledger, traffic: &'a Traffic) -> Meter<'a> {
        Meter { ledger, traffic, began: Instant::now(), last_ms: AtomicU64::new(0) }
    }

    /// Writes these bytes as far as the budget goes.
    pub(super) async fn pass(&self, to: &mut (impl AsyncWrite + Unpin), way: Way, bytes: &[u8]) -> Result<(), Outcome> {
        let granted = self.spend(way, bytes.len(), Instant::now());
        to.write_all(bytes.get(..granted).unwrap_or(bytes)).await.map_err(broken)?;
        self.count(way, granted, bytes.len())
    }

    /// As many of these bytes as may go this way.
    pub(super) fn spend(&self, way: Way, bytes: usize, now: Instant) -> usize {
        self.touch();
        self.ledger.spend(way, bytes, now)
    }

    /// Counts what has gone this way. What could not is the end.
    pub(super) fn count(&self, way: Way, gone: usize, bytes: usize) -> Result<(), Outcome> {
        self.touch();
        self.traffic.of(way).fetch_add(u64::try_from(gone).unwrap_or(u64::MAX), Ordering::Relaxed);
        if gone < bytes { Err(Outcome::Cut(Cut::Budget(way.budget()))) } else { Ok(()) }
    }

    /// All that comes until it ends, then the end.
    pub(super) async fn pass_all(
        &self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        way: Way,
    ) -> Result<(), Outcome> {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let count = from.read(&mut chunk).await.map_err(broken)?;
            if count == 0 {
                // The other end may be gone by itself.
                let _ = to.shutdown().await;
                return Ok(());
            }
            self.pass(to, way, chunk.get(..count).unwrap_or_default()).await?;
        }
    }

    /// Ends when nothing has gone either way for so long.
    pub(super) async fn idle(&self, idle: Duration) -> Outcome {
        loop {
            let last = self.began + Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
            let due = last + idle;
            if Instant::now() >= due {
                return Outcome::Cut(Cut::Idle);
            }
            tokio::time::sleep_until(due.into()).await;
        }
    }

    fn touch(&self) {
        let since = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(since, Ordering::Relaxed);
    }
}

/// Lets the hello of TLS pass, once it has said the right name.
pub(super) async fn greet(
    client: &mut TcpStream,
    server: &mut TcpStream,
    first: &[u8],
    name: Option<&str>,
    meter: &Meter<'_>,
) -> Result<(), Outcome> {
    let mut greeting = Greeting::new(name);
    let hello = hear_hello(client, first, &mut greeting);
    tokio::time::timeout(HELLO_WITHIN, hello).await.unwrap_or(Err(Outcome::Refused(Refusal::Hello(BadHello::Late))))?;
    let cut = |why| Outcome::Cut(Cut::Hello(why));
    let (mut up, mut down) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
    loop {
        meter.pass(server, Way::Up, &greeting.take()).await?;
        if greeting.is_over() {
            return Ok(());
        }
        let room = up.len().min(greeting.room());
        let (way, count) = tokio::select! {
            count = client.read(up.get_mut(..room).unwrap_or_default()), if room > 0 => (Way::Up, count),
            count = server.read(&mut down) => (Way::Down, count),
        };
        match (way, count.map_err(broken)?) {
            (Way::Up | Way::Down, 0) => return Err(Outcome::Ended),
            (Way::Up, count) => greeting.up(up.get(..count).unwrap_or_default()).map_err(cut)?,
            (Way::Down, count) => {
                let said = down.get(..count).unwrap_or_default();
                greeting.down(said).map_err(cut)?;
                meter.pass(client, Way::Down, said).await?;
            }
        }
    }
}

async fn hear_hello(client: &mut TcpStream, first: &[u8], greeting: &mut Greeting) -> Result<(), Outcome> {
    let refused = |why| Outcome::Refused(Refusal::Hello(why));
    greeting.up(first).map_err(refused)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    while greeting.is_first() {
        let room = chunk.len().min(greeting.room());
        match client.read(chunk.get_mut(..room).unwrap_or_default()).await.map_err(broken)? {
            0 => return Err(Outcome::Failed(Failure::Left)),
            count => greeting.up(chunk.get(..count).unwrap_or_default()).map_err(refused)?,
        }
    }
    Ok(())
}

/// Carries a tunnel until both ends have closed it.
pub(super) async fn carry(client: &mut TcpStream, server: &mut TcpStream, meter: &Meter<'_>) -> Outcome {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let up = pass_all(&mut from_client, &mut to_server, Way::Up, meter);
    let down = pass_all(&mut from_server, &mut to_client, Way::Down, meter);
    match tokio::try_join!(up, down) {
        Ok(((), ())) => Outcome::Ended,
        Err(outcome) => outcome,
    }
}

/// By splicing where there is that, and else by reading and writing.
async fn pass_all(from: &mut ReadHalf<'_>, to: &mut WriteHalf<'_>, way: Way, meter: &Meter<'_>) -> Result<(), Outcome> {
    #[cfg(target_os = "linux")]
    if let Ok(pipe) = Pipe::new() {
        return pipe.pass_all(from, to, way, meter).await;
    }
    meter.pass_all(from, to, way).await
}

pub(super) fn broken(error: io::Error) -> Outcome {
    Outcome::Failed(Failure::Broken(error.kind()))
}

const CHUNK_BYTES: usize = 32 * 1024;
pub(super) const HELLO_WITHIN: Duration = Duration::from_secs(10);
