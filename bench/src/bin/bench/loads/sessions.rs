//! Sessions: one for each call, and many that nobody uses.

use std::time::Duration;

use sekisho_bench::load::{self, Plan, Sessions};
use sekisho_bench::row::Row;
use sekisho_bench::site::Upstream;
use sekisho_bench::usage;

use super::turns;
use crate::bars::{Bar, Limit, middle, pick};
use crate::compare::{Results, Turn, row};
use crate::options::Options;
use crate::stage::Stage;
use crate::table::single;

/// Calls that open and end a session each, then sessions that stay.
pub(super) fn run(options: &Options, stage: &Stage, results: &mut Results) -> anyhow::Result<Vec<Bar>> {
    let upstream = Upstream::start(&[])?;
    let mut stands = vec![stage.nginx(&upstream)?];
    stands.extend(stage.sekishos(&upstream)?);
    let mut each = turns(options, &stands, "session per call")?;
    for turn in &mut each {
        turn.plan.sessions = Sessions::PerCall;
    }
    results.compare(LOAD, options.rounds(), &each)?;
    drop(each);
    drop(stands);
    idle(options, stage, results)
}

/// Opens many sessions, makes one call in each, and looks at the memory a moment later.
fn idle(options: &Options, stage: &Stage, results: &mut Results) -> anyhow::Result<Vec<Bar>> {
    let many = if options.short { 50 } else { MANY };
    let upstream = Upstream::start(&[])?;
    for stand in stage.sekishos(&upstream)? {
        let mut turn = Turn::new(options, &stand, IDLE)?;
        turn.plan = Plan { connections: super::CONNECTIONS, sessions: Sessions::PerCall, ..turn.plan };
        let used = load::hold(&turn.plan, many, || {
            std::thread::sleep(SETTLE);
            Ok(usage::of(&stand.target.pids))
        })?;
        let row = row(LOAD, &turn, single(Duration::ZERO, used));
        results.add(Row { variant: format!("{many} {IDLE}"), method: "none", ..row })?;
    }
    let bar = |name: &str| {
        let rows = pick(&results.rows, |row| row.target == name && row.variant == format!("{many} {IDLE}"));
        let found = middle(&rows, |row| row.report.rss_mib);
        Bar::new(&format!("{name}: memory with {many} open sessions, MiB"), found, Limit::AtMost(150.0))
    };
    Ok(stage.binaries.iter().map(|(name, _)| bar(name)).collect())
}

const LOAD: &str = "sessions";
const IDLE: &str = "idle sessions";
const MANY: u32 = 10_000;
const SETTLE: Duration = Duration::from_millis(500);
