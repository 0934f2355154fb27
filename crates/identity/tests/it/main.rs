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
mod matrix;
mod remote;
mod sessions;
mod support;
