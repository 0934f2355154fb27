//! `sekisho run`: one local server for the client that started it, from the home configuration, without a gateway; and looking through
//! all that runs.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test ends where something is not as it should be"
)]

mod home;
mod launch;
mod looks;
mod revoked;
mod runs;

use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);
