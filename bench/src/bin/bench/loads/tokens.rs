//! Many distinct tokens: none of them is remembered when its turn comes again.

use sekisho_bench::load::{Stop, Tokens};
use sekisho_bench::site::Upstream;
use sekisho_e2e::client::Era;

use super::turns;
use crate::bars::Bar;
use crate::compare::Results;
use crate::options::Options;
use crate::stage::Stage;

/// A turn has as many calls as there are tokens. 2026-07-28, since a session belongs to who opened it, and tokens of one principal
/// would do there as well.
pub(super) fn run(options: &Options, stage: &Stage, results: &mut Results) -> anyhow::Result<Vec<Bar>> {
    let many = if options.short { 100 } else { MANY };
    let upstream = Upstream::start(&[])?;
    let stands = stage.sekishos(&upstream)?;
    let mut few = turns(options, &stands, "64 tokens")?;
    let mut all = turns(options, &stands, &format!("{many} tokens"))?;
    for turn in few.iter_mut().chain(&mut all) {
        turn.plan.era = Era::Modern;
    }
    for turn in &mut all {
        let endpoints: Vec<String> =
            turn.stand.sekisho.iter().map(|sekisho| sekisho.endpoint(sekisho_bench::site::SERVER)).collect();
        turn.plan.tokens = Tokens::PerCall(stage.people.tokens(&endpoints, many)?);
        turn.plan.warm_up = std::time::Duration::ZERO;
        turn.plan.stop = Stop::Calls(many);
    }
    few.append(&mut all);
    results.compare(LOAD, options.rounds().min(ROUNDS_MAX), &few)?;
    Ok(Vec::new())
}

const LOAD: &str = "tokens";
const MANY: u32 = 100_000;
const ROUNDS_MAX: u32 = 2;
