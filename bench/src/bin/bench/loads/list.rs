//! `tools/list` of a few and of many tools: each of them is decided about.

use sekisho_bench::load::Asked;
use sekisho_bench::site::Upstream;

use super::turns;
use crate::bars::{Bar, CPU, Limit, P50, difference, middle, pick};
use crate::compare::Results;
use crate::options::Options;
use crate::stage::Stage;

/// Twenty tools, and five thousand.
pub(super) fn run(options: &Options, stage: &Stage, results: &mut Results) -> anyhow::Result<Vec<Bar>> {
    let many = if options.short { 200 } else { MANY };
    for tools in [FEW, many] {
        let upstream = Upstream::start(&["--tools", &tools.to_string(), "--page", PAGE])?;
        let mut stands = vec![stage.direct(&upstream)?, stage.nginx(&upstream)?];
        stands.extend(stage.sekishos(&upstream)?);
        let mut turns = turns(options, &stands, &format!("{tools} tools"))?;
        for turn in &mut turns {
            turn.plan.asked = Asked::List { tools };
            turn.plan.connections = 1;
        }
        results.compare(LOAD, options.rounds(), &turns)?;
    }
    let mut bars = Vec::new();
    for (name, _) in &stage.binaries {
        let of = |target: &str| {
            pick(&results.rows, |row| {
                row.load == LOAD && row.target == target && row.variant == format!("{many} tools")
            })
        };
        let (ours, nginx) = (of(name), of("nginx"));
        let promise = |what: &str| format!("{name}: list of {many} tools, {what}");
        bars.push(Bar::new(&promise("CPU per list, us"), middle(&ours, CPU), Limit::AtMost(LIST_US)));
        let more = difference(&ours, &nginx, P50);
        bars.push(Bar::new(&promise("p50, us above nginx"), more, Limit::AtMost(LIST_US)));
    }
    Ok(bars)
}

const LOAD: &str = "list";
/// Tools on a page: servers with many have pages, and the gateway takes no more than 4,096 at once.
const PAGE: &str = "1000";
const FEW: usize = 20;
const MANY: usize = 5000;
const LIST_US: f64 = 5000.0;
