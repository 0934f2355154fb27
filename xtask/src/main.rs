//! The project's own chores.
#![forbid(unsafe_code)]

mod bench;
mod peers;
mod place;
mod run;
mod suite;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::place::Place;

/// Chores of the project: `cargo xtask <chore>`.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Installs what the tests need, builds, and runs every test.
    Test {
        /// Only tests whose names contain one of these.
        filter: Vec<String>,
    },
    /// Installs the real MCP clients and servers that the tests run against.
    Peers,
    /// Checks what the compiler does not: arrows between crates, sizes, names of tests, dependencies, paths, workflows, translations.
    Tidy,
    /// Runs the public conformance suite directly and through the gateway, and compares.
    Conformance {
        /// Writes one row per check into this file.
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// Tries every official client with every server through the gateway, verb by verb.
    Matrix {
        /// Only clients whose names contain this.
        #[arg(long, default_value = "")]
        client: String,
        /// Only servers whose names contain this.
        #[arg(long, default_value = "")]
        server: String,
    },
    /// Plays public incidents and their benign twins, without the gateway and through it.
    Museum {
        /// Only exhibits whose ids contain this.
        #[arg(long, default_value = "")]
        exhibit: String,
        /// Writes one row per exhibit and era into this file.
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// Measures the gateway beside nginx: `cargo xtask bench corridor`, `cargo xtask bench --help`.
    #[command(disable_help_flag = true)]
    Bench {
        /// Given to the bench as they are.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Everything that blocks a merge: format, lints, tidy, conformance, tests.
    Ci,
}

fn main() -> ExitCode {
    let done = Place::find().and_then(|place| chore(&place, Arguments::parse().chore));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn chore(place: &Place, chore: Chore) -> anyhow::Result<()> {
    match chore {
        Chore::Test { filter } => suite::test(place, &filter),
        Chore::Peers => peers::install(place),
        Chore::Tidy => tidy::run(place),
        Chore::Conformance { json } => suite::conformance(place, json.as_deref()),
        Chore::Matrix { client, server } => suite::matrix(place, &client, &server),
        Chore::Museum { exhibit, json } => suite::museum(place, &exhibit, json.as_deref()),
        Chore::Bench { arguments } => bench::bench(place, &arguments),
        Chore::Ci => suite::ci(place),
    }
}
