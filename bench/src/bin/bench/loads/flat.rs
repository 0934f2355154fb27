//! Whether many calls cost more than few: nothing may grow with what was done before.

use sekisho_bench::load::Stop;
use sekisho_bench::site::Upstream;

use super::turns;
use crate::bars::{Bar, CPU, Limit, P50, pick, ratio};
use crate::compare::Results;
use crate::options::Options;
use crate::stage::Stage;

/// Both numbers of calls in the same rounds, on the same gateways, one connection.
pub(super) fn run(options: &Options, stage: &Stage, results: &mut Results) -> anyhow::Result<Vec<Bar>> {
    let upstream = Upstream::start(&[])?;
    let mut stands = vec![stage.nginx(&upstream)?];
    stands.extend(stage.sekishos(&upstream)?);
    let (few, many) = if options.short { (20, 200) } else { (200, 20_000) };
    let mut both = Vec::new();
    for calls in [few, many] {
        both.extend(turns(options, &stands, &format!("{calls} calls"))?.into_iter().map(|mut turn| {
            turn.plan.stop = Stop::Calls(calls);
            turn.plan.connections = 1;
            turn
        }));
    }
    results.compare(LOAD, options.rounds(), &both)?;
    let mut bars = Vec::new();
    for (name, _) in &stage.binaries {
        let of = |calls: u32| {
            let variant = format!("{calls} calls");
            pick(&results.rows, move |row| row.load == LOAD && row.target == *name && row.variant == variant)
        };
        for (what, figure) in [("CPU per call", CPU), ("p50", P50)] {
            let promise = format!("{name}: {what} of {many} calls, x {few} calls");
            bars.push(Bar::new(&promise, ratio(&of(many), &of(few), figure), Limit::AtMost(1.05)));
        }
    }
    Ok(bars)
}

const LOAD: &str = "flat";
