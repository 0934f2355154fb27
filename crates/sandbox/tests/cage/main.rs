//! The cage and the kernel: real processes, looked at from inside and from outside.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    clippy::string_slice,
    reason = "tests"
)]

mod family;
mod files;
mod kernel;
mod limits;
mod network;
mod support;
