//! The way out of a cage, as a server in it meets it: by real sockets on loopback.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "gate/bounds.rs"]
mod bounds;
#[path = "gate/plain.rs"]
mod plain;
#[path = "gate/setting.rs"]
mod setting;
#[path = "gate/tunnels.rs"]
mod tunnels;
