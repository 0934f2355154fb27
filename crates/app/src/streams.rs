//! This process's own standard streams, towards the one client that it serves.
//!
//! A pipe and a socket are waited for as any connection is. Whatever else it may be (a file, a terminal) is read and written by a
//! thread that blocks, which costs each message two changes of threads.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use nix::sys::stat::{SFlag, fstat};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::unix::pipe;

/// Where the client's messages come from.
pub(crate) type Input = Box<dyn AsyncRead + Send + Unpin>;
/// Where it reads.
pub(crate) type Output = Box<dyn AsyncWrite + Send + Unpin>;

/// Standard input and output. Must be called on a runtime.
pub(crate) fn standard() -> (Input, Output) {
    (input(), output())
}

fn input() -> Input {
    let stdin = std::io::stdin();
    let opened: Option<Input> = match kind(stdin.as_fd()) {
        // Opened anew: that it does not block is no business of whoever else has it open.
        Some(Kind::Pipe) => pipe::OpenOptions::new().open_receiver("/proc/self/fd/0").ok().map(from),
        // It cannot be opened anew, and lines of the log must not be lost where they go the same way.
        Some(Kind::Socket) if !is_same(stdin.as_fd(), std::io::stderr().as_fd()) => socket(stdin.as_fd()).map(from),
        Some(Kind::Socket) | None => None,
    };
    opened.unwrap_or_else(|| from(tokio::io::stdin()))
}

fn output() -> Output {
    let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
    let opened: Option<Output> = match kind(stdout.as_fd()) {
        Some(Kind::Pipe) => pipe::OpenOptions::new().open_sender("/proc/self/fd/1").ok().map(to),
        Some(Kind::Socket) if !is_same(stdout.as_fd(), stderr.as_fd()) => socket(stdout.as_fd()).map(to),
        Some(Kind::Socket) | None => None,
    };
    opened.unwrap_or_else(|| to(tokio::io::stdout()))
}

fn from(input: impl AsyncRead + Send + Unpin + 'static) -> Input {
    Box::new(input)
}

fn to(output: impl AsyncWrite + Send + Unpin + 'static) -> Output {
    Box::new(output)
}

enum Kind {
    Pipe,
    Socket,
}

fn kind(stream: BorrowedFd<'_>) -> Option<Kind> {
    let kind = SFlag::from_bits_truncate(fstat(stream).ok()?.st_mode) & SFlag::S_IFMT;
    match kind {
        SFlag::S_IFIFO => Some(Kind::Pipe),
        SFlag::S_IFSOCK => Some(Kind::Socket),
        _ => None,
    }
}

fn is_same(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> bool {
    let of = |stream| fstat(stream).map(|about| (about.st_dev, about.st_ino)).ok();
    of(one).is_none_or(|about| Some(about) == of(other))
}

fn socket(stream: BorrowedFd<'_>) -> Option<tokio::net::UnixStream> {
    let socket = UnixStream::from(stream.try_clone_to_owned().ok()?);
    // Of another family it has no such address.
    socket.local_addr().ok()?;
    socket.set_nonblocking(true).ok()?;
    tokio::net::UnixStream::from_std(socket).ok()
}
