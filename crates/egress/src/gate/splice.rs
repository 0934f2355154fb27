//! Bytes from one socket to another without a copy of them: the kernel hands its pages on, through a pipe (splice(2)). That is
//! little more than half the work of reading and writing, which alone is as much as both ends have.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;

use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use nix::unistd::pipe2;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use crate::gate::budget::Way;
use crate::gate::passage::Outcome;
use crate::gate::tunnel::{Meter, broken};

/// What a pipe carries from a socket to another.
#[derive(Debug)]
pub(super) struct Pipe {
    out: OwnedFd,
    into: OwnedFd,
}

impl Pipe {
    pub(super) fn new() -> io::Result<Pipe> {
        let (out, into) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
        // Whoever has many pipes open gets the size that there is.
        let _ = fcntl(&into, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
        Ok(Pipe { out, into })
    }

    /// All that comes until it ends, then the end. The pipe is empty before anything is taken in.
    pub(super) async fn pass_all(
        self,
        from: &mut ReadHalf<'_>,
        to: &mut WriteHalf<'_>,
        way: Way,
        meter: &Meter<'_>,
    ) -> Result<(), Outcome> {
        let mut is_first = true;
        loop {
            let count = match self.take(from.as_ref()).await {
                Err(error) if is_first && is_unknown(&error) => return meter.pass_all(from, to, way).await,
                taken => taken.map_err(broken)?,
            };
            is_first = false;
            if count == 0 {
                // The other end may be gone by itself.
                let _ = to.shutdown().await;
                return Ok(());
            }
            let going = meter.spend(way, count, Instant::now());
            self.give(to.as_ref(), going).await.map_err(broken)?;
            meter.count(way, going, count)?;
        }
    }

    async fn take(&self, from: &TcpStream) -> io::Result<usize> {
        let take = || Ok(splice(from, None, &self.into, None, TAKEN_BYTES_MAX, SpliceFFlags::SPLICE_F_NONBLOCK)?);
        from.async_io(Interest::READABLE, take).await
    }

    async fn give(&self, to: &TcpStream, bytes: usize) -> io::Result<()> {
        let mut left = bytes;
        while left > 0 {
            let give = || Ok(splice(&self.out, None, to, None, left, SpliceFFlags::SPLICE_F_NONBLOCK)?);
            match to.async_io(Interest::WRITABLE, give).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                given => left = left.saturating_sub(given),
            }
        }
        Ok(())
    }
}

/// Whether there is no splicing here, as in some containers.
fn is_unknown(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied)
}

const PIPE_BYTES: i32 = 256 * 1024;
const TAKEN_BYTES_MAX: usize = 1024 * 1024;
