//! The room through its door: real keys, real files, real sockets on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "tests"
)]

mod configuration;
mod developer;
mod entra;
mod logout;
mod mapping;
mod matrix;
mod possession;
mod remote;
mod revocation;
mod sessions;
mod support;
