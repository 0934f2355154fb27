//! The real binary, as its users meet it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail like tests: loudly"
)]

mod caged;
mod config;
mod demo;
mod egress;
mod import;
mod lock;
mod running;
mod secret;
mod support;
mod up;
