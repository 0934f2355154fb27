//! What a second worker thread costs on one core. How far more cores carry is not asked here: both ends need one of their own.

use sekisho_bench::load::Transport;
use sekisho_bench::site::{Shape, Upstream};

use super::turns;
use crate::bars::Bar;
use crate::compare::Results;
use crate::options::Options;
use crate::stage::{Stage, shape};

/// One worker and two, in the same rounds.
pub(super) fn run(options: &Options, stage: &Stage, results: &mut Results) -> anyhow::Result<Vec<Bar>> {
    let upstream = Upstream::start(&[])?;
    let mut all = Vec::new();
    for (workers, variant) in [(1, "1 worker"), (2, "2 workers")] {
        let shaped = |binary: &std::path::Path| Shape { workers: Some(workers), ..shape(binary, &upstream) };
        all.push((stage.sekishos_of(shaped, &Transport::Http1)?, variant));
    }
    let mut both = Vec::new();
    for (stands, variant) in &all {
        both.extend(turns(options, stands, variant)?);
    }
    results.compare(LOAD, options.rounds(), &both)?;
    Ok(Vec::new())
}

const LOAD: &str = "workers";
