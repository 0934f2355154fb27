//! `sekisho`: wires the rooms together, and decides nothing.
//!
//! The way in is [`cli::Cli`]: one file per command in `cli/`. [`config`] reads `sekisho.toml`, [`assemble`] makes the rooms of it,
//! [`run`] keeps the gateway running and reloads it. What an operator meets is a [`problem::Problem`] with a stable code.
//!
//! *Depth still missing*: `sekisho run` (the wrapper for one stdio server), `import`, administration over the network.
#![forbid(unsafe_code)]

mod assemble;
mod cli;
mod clock;
mod config;
mod developer;
mod export;
mod folder;
mod keys;
mod local;
mod problem;
mod run;
mod schema;
mod status;
mod strict;
mod telemetry;
mod watch;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problems) => {
            problem::print(&problems);
            ExitCode::FAILURE
        }
    }
}
