//! What the gate's parsers make of bytes, for the fuzz targets: none of it opens anything.

use std::net::{Ipv4Addr, SocketAddr};

use crate::gate::BadHello;
use crate::gate::chunks::Chunks;
use crate::gate::head::{self, Request};
use crate::gate::hello::Greeting;
use crate::gate::host::Place;

/// What a head asks for: its place, and for a plain request the head that goes on.
#[must_use]
pub fn request(bytes: &[u8]) -> Option<(String, Option<Vec<u8>>)> {
    match head::parse(bytes, SocketAddr::from((Ipv4Addr::LOCALHOST, GATE_PORT))).ok()? {
        Request::Tunnel(place) => Some((place.to_string(), None)),
        Request::Plain(plain) => Some((plain.place.to_string(), Some(plain.head))),
    }
}

/// A place in its one spelling.
#[must_use]
pub fn place(text: &str) -> Option<String> {
    Place::parse(text).ok().map(|place| place.to_string())
}

/// What goes out of a tunnel to this name, when its client and then its server say this in parts of so many bytes.
///
/// # Errors
/// See [`BadHello`].
pub fn greeting(name: &str, client: &[u8], server: &[u8], part_bytes: usize) -> Result<Vec<u8>, BadHello> {
    let mut greeting = Greeting::new(Some(name));
    let mut gone = Vec::new();
    for part in client.chunks(part_bytes.max(1)) {
        greeting.up(part)?;
        gone.extend(greeting.take());
    }
    for part in server.chunks(part_bytes.max(1)) {
        greeting.down(part)?;
        gone.extend(greeting.take());
    }
    Ok(gone)
}

/// How much of what comes in parts of so many bytes is a chunked body, if its end is there.
#[must_use]
pub fn chunked(bytes: &[u8], part_bytes: usize) -> Option<usize> {
    let (mut chunks, mut length) = (Chunks::default(), 0_usize);
    for part in bytes.chunks(part_bytes.max(1)) {
        length = length.saturating_add(chunks.scan(part).ok()?);
    }
    chunks.is_over().then_some(length)
}

const GATE_PORT: u16 = 3128;
