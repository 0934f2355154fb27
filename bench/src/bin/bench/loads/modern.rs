//! The same calls in 2025-11-25 and in 2026-07-28.

use sekisho_bench::site::Upstream;
use sekisho_e2e::client::Era;

use super::turns;
use crate::bars::{Bar, CPU, Limit, pick, ratio};
use crate::compare::Results;
use crate::options::Options;
use crate::stage::Stage;

/// Both eras in the same rounds.
pub(super) fn run(options: &Options, stage: &Stage, results: &mut Results) -> anyhow::Result<Vec<Bar>> {
    let upstream = Upstream::start(&[])?;
    let mut stands = vec![stage.nginx(&upstream)?];
    stands.extend(stage.sekishos(&upstream)?);
    let mut both = Vec::new();
    for era in [Era::Legacy, Era::Modern] {
        both.extend(turns(options, &stands, "")?.into_iter().map(|mut turn| {
            turn.plan.era = era;
            turn
        }));
    }
    results.compare(LOAD, options.rounds(), &both)?;
    let bar = |name: &str| {
        let of = |era: Era| {
            pick(&results.rows, |row| row.load == LOAD && row.target == name && row.protocol == era.version())
        };
        let found = ratio(&of(Era::Modern), &of(Era::Legacy), CPU);
        Bar::new(&format!("{name}: CPU per call of 2026-07-28, x 2025-11-25"), found, Limit::AtMost(1.25))
    };
    Ok(stage.binaries.iter().map(|(name, _)| bar(name)).collect())
}

const LOAD: &str = "modern";
