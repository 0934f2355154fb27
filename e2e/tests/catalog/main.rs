//! What servers offer is what was approved, or it is withheld: the lock file, its commands, and the running gateway.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test says what it expects and stops where it is not so"
)]

mod commands;
mod drift;
mod house;
mod reference;
