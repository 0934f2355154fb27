//! A byte-exact relay that adds an `Authorization` field to each request and changes nothing else.
//!
//! It lets clients that cannot be given a token speak to the gateway. `Host`, `Origin`, the spelling of every field and the order
//! of all of them stay as they were: a rewriting proxy would hide what the gateway has to judge.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use anyhow::Context as _;

/// A relay that runs until the process ends.
#[derive(Debug)]
pub struct Shim {
    address: SocketAddr,
}

impl Shim {
    /// Takes a free port on this machine.
    ///
    /// # Errors
    /// When there is none.
    pub fn bind() -> anyhow::Result<(Self, TcpListener)> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        Ok((Self { address: listener.local_addr()? }, listener))
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Relays every connection of `listener` to `to`, with `token` in each request.
pub fn relay(listener: TcpListener, to: SocketAddr, token: String) {
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let token = token.clone();
            std::thread::spawn(move || {
                // A connection that breaks is seen by both sides.
                let _ = relay_connection(client, to, &token);
            });
        }
    });
}

fn relay_connection(client: TcpStream, to: SocketAddr, token: &str) -> anyhow::Result<()> {
    let mut server = TcpStream::connect(to)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut answers, mut back) = (server.try_clone()?, client.try_clone()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut answers, &mut back);
        let _ = back.shutdown(Shutdown::Both);
    });
    let mut requests = BufReader::new(client);
    while relay_request(&mut requests, &mut server, token)? {}
    // The client is gone: in 2026-07-28 that is how it cancels, so the server must see it.
    server.shutdown(Shutdown::Both)?;
    Ok(())
}

/// Relays one request; `false` when there is none left.
fn relay_request(from: &mut BufReader<TcpStream>, to: &mut TcpStream, token: &str) -> anyhow::Result<bool> {
    let mut head = Vec::new();
    let mut length = 0;
    let mut chunked = false;
    loop {
        let start = head.len();
        if from.take(HEAD_BYTES_MAX).read_until(b'\n', &mut head)? == 0 {
            return Ok(false);
        }
        let line = String::from_utf8_lossy(head.get(start..).unwrap_or_default()).trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().context("content-length is no number")?;
        }
        chunked |= line.strip_prefix("transfer-encoding:").is_some_and(|coding| coding.contains("chunked"));
    }
    // Before the empty line, so that everything else stays where it was.
    let empty_line = if head.ends_with(b"\r\n") { 2 } else { 1 };
    let fields = head.len().saturating_sub(empty_line);
    to.write_all(head.get(..fields).unwrap_or_default())?;
    to.write_all(format!("Authorization: Bearer {token}\r\n\r\n").as_bytes())?;
    if chunked {
        relay_chunks(from, to)?;
    } else {
        std::io::copy(&mut from.take(length), to)?;
    }
    to.flush()?;
    Ok(true)
}

fn relay_chunks(from: &mut BufReader<TcpStream>, to: &mut TcpStream) -> anyhow::Result<()> {
    loop {
        let mut line = Vec::new();
        from.take(HEAD_BYTES_MAX).read_until(b'\n', &mut line)?;
        to.write_all(&line)?;
        let text = String::from_utf8_lossy(&line).into_owned();
        let size = u64::from_str_radix(text.split(';').next().unwrap_or_default().trim(), 16)?;
        // The chunk and the line break after it.
        std::io::copy(&mut from.take(size.saturating_add(2)), to)?;
        if size == 0 {
            return Ok(());
        }
    }
}

const HEAD_BYTES_MAX: u64 = 64 * 1024;
