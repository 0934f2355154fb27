//! `sekisho`: wires the rooms together, and decides nothing.
//!
//! The way in is [`cli::Cli`]: one file per command in `cli/`. [`config`] reads `sekisho.toml`, [`assemble`] makes the rooms of it,
//! [`run`] keeps the gateway running and reloads it. What an operator meets is a [`problem::Problem`] with a stable code.
//!
//! *Depth still missing*: administration over the network.
#![forbid(unsafe_code)]

mod assemble;
mod broker;
mod cli;
mod clock;
mod config;
mod developer;
mod drift;
mod export;
mod folder;
mod home;
mod import;
mod keys;
mod known;
mod local;
mod operator;
mod pins;
mod problem;
mod run;
mod schema;
mod shut_out;
mod status;
mod streams;
mod strict;
mod survey;
mod telemetry;
mod watch;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    if sekisho_sandbox::is_launcher() {
        sekisho_sandbox::launch();
    }
    end_in_peace_where_nobody_reads();
    match cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problems) => {
            problem::print(&problems);
            ExitCode::FAILURE
        }
    }
}

/// `sekisho audit tail | head`: the reader has seen enough, which is no failure of ours.
fn end_in_peace_where_nobody_reads() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let words = panic.payload_as_str().unwrap_or_default();
        if words.starts_with("failed printing to stdout") && words.contains("Broken pipe") {
            std::process::exit(0);
        }
        usual(panic);
    }));
}
