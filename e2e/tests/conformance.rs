//! The public conformance suite, as a test: the server behind the gateway is in order, and the gateway makes it no worse.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test says what it expects and stops where it is not so"
)]

use std::process::Command;
use std::time::Duration;

use sekisho_e2e::process;

#[test]
fn the_gateway_is_nowhere_worse_than_the_server_behind_it() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conformance"));
    let ended = process::run(&mut command, "", LIMIT).expect("the comparison ends");
    assert!(ended.status.success(), "{}{}", ended.out, ended.err);
}

/// How long both runs of both revisions may take.
const LIMIT: Duration = Duration::from_secs(540);
