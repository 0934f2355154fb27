//! Measures the gateway beside nginx, in alternating rounds: `cargo xtask bench <load>`.
//!
//! [`compare`] runs the rounds, [`bars`] holds what is promised against what was found, [`table`] shows both. Each load is a file of
//! its own in `loads/`; [`blame`] reads what `perf` saw. A run fails when a call was not answered as it should be, never for being slow: machines differ.
#![forbid(unsafe_code)]

mod bars;
mod blame;
mod compare;
mod loads;
mod options;
mod stage;
mod stop;
mod table;

use clap::Parser as _;

use crate::options::Options;

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    stop::watch()?;
    loads::run(&options)
}
