//! A relay that breaks a connection off in the middle of a stream, once, and sees whether the stream is taken up again.

use std::io::{Read, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The relay. Its threads end with the process.
#[derive(Debug)]
pub(super) struct Breaker {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    armed: AtomicBool,
    resumed: AtomicBool,
}

impl Breaker {
    /// Takes a free port; nothing is relayed yet.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn bind() -> anyhow::Result<(Self, TcpListener)> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        Ok((Self { address: listener.local_addr()?, state: Arc::default() }, listener))
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Relays every connection to `to`.
    pub(super) fn relay(&self, listener: TcpListener, to: SocketAddr) {
        let state = Arc::clone(&self.state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A connection that breaks is seen by both sides.
                let _ = relay(client, to, &state);
            }
        });
    }

    /// Breaks the next connection off that has told a progress.
    pub(super) fn arm(&self) {
        self.state.resumed.store(false, Ordering::SeqCst);
        self.state.armed.store(true, Ordering::SeqCst);
    }

    /// Whether a connection was broken off, and a stream taken up after that.
    pub(super) fn was_resumed(&self) -> bool {
        !self.state.armed.load(Ordering::SeqCst) && self.state.resumed.load(Ordering::SeqCst)
    }
}

fn relay(client: TcpStream, to: SocketAddr, state: &Arc<State>) -> std::io::Result<()> {
    let server = TcpStream::connect(to)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (requests, answers) = ((client.try_clone()?, server.try_clone()?), (server, client));
    let states = (Arc::clone(state), Arc::clone(state));
    std::thread::spawn(move || {
        pump(requests.0, requests.1, |seen| {
            if contains(seen, b"last-event-id:") {
                states.0.resumed.store(true, Ordering::SeqCst);
            }
            true
        });
    });
    std::thread::spawn(move || {
        let state = states.1;
        pump(answers.0, answers.1, |seen| {
            !(contains(seen, b"notifications/progress") && state.armed.swap(false, Ordering::SeqCst))
        });
    });
    Ok(())
}

/// Copies until an end, or until `look` at what came last has enough; then both directions end.
fn pump(mut from: TcpStream, mut to: TcpStream, mut look: impl FnMut(&[u8]) -> bool) {
    let mut seen = Vec::new();
    let mut buffer = [0; 8 * 1024];
    while let Ok(count) = from.read(&mut buffer) {
        let read = buffer.get(..count).unwrap_or_default();
        if read.is_empty() || to.write_all(read).is_err() {
            break;
        }
        // A word may lie in two pieces, and an event is whole at its end.
        seen.extend_from_slice(read);
        if seen.ends_with(b"\n") || seen.len() > SEEN_BYTES_MAX {
            if !look(&seen) {
                break;
            }
            seen.clear();
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word))
}

const SEEN_BYTES_MAX: usize = 64 * 1024;
