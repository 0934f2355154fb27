//! Policies that read an argument of every call.

use sekisho_bench::load::Transport;
use sekisho_bench::site::{Policies, Shape, Upstream};

use super::turns;
use crate::bars::{Bar, CPU, Limit, pick, ratio};
use crate::compare::Results;
use crate::options::Options;
use crate::stage::{Stage, shape};

/// Beside nginx, and beside the policies of the corridor.
pub(super) fn run(options: &Options, stage: &Stage, results: &mut Results) -> anyhow::Result<Vec<Bar>> {
    let upstream = Upstream::start(&[])?;
    let nginx = [stage.nginx(&upstream)?];
    let usual = stage.sekishos(&upstream)?;
    let reading = |binary: &std::path::Path| Shape { policies: Policies::Arguments, ..shape(binary, &upstream) };
    let reading = stage.sekishos_of(reading, &Transport::Http1)?;
    let mut all = turns(options, &nginx, "")?;
    all.extend(turns(options, &usual, "usual policies")?);
    all.extend(turns(options, &reading, READING)?);
    results.compare(LOAD, options.rounds(), &all)?;
    let of = |target: &str, variant: &str| {
        pick(&results.rows, |row| row.load == LOAD && row.target == target && row.variant == variant)
    };
    let bar = |name: &str| {
        let found = ratio(&of(name, READING), &of("nginx", ""), CPU);
        Bar::new(&format!("{name}: CPU per call where policies read arguments, x nginx"), found, Limit::AtMost(3.0))
    };
    Ok(stage.binaries.iter().map(|(name, _)| bar(name)).collect())
}

const LOAD: &str = "arguments";
const READING: &str = "policies read arguments";
