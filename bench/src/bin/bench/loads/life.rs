//! Long life: whether memory and descriptors grow with what was done.

use std::time::Duration;

use sekisho_bench::load::{self, Plan, Report, Sessions, Stop};
use sekisho_bench::row::Row;
use sekisho_bench::site::{Shape, Stand, Upstream};
use sekisho_bench::usage;

use super::{CONNECTIONS, listening};
use crate::bars::{Bar, Limit, pick};
use crate::compare::{Results, Turn, row};
use crate::options::Options;
use crate::stage::{Stage, shape};
use crate::table::single;

/// Many calls in few sessions, a session for each call, sessions that nobody ends, and streams that come and go.
pub(super) fn run(options: &Options, stage: &Stage, results: &mut Results) -> anyhow::Result<Vec<Bar>> {
    let upstream = Upstream::start(&[])?;
    let calls = options.calls();
    for stand in stage.sekishos(&upstream)? {
        stretch(options, &stand, (CALLS, Sessions::Kept, calls), results)?;
        stretch(options, &stand, (CHURN, Sessions::PerCall, calls / 10), results)?;
    }
    let short_lived = |binary: &std::path::Path| Shape { session_idle_seconds: Some(1), ..shape(binary, &upstream) };
    for stand in stage.sekishos_of(short_lived, &load::Transport::Http1)? {
        abandon(options, &stand, calls / 100, results)?;
    }
    for stand in stage.sekishos(&upstream)? {
        let at = [FIRST, MIDDLE, LAST].map(|until| format!("{STREAMS}, {until}"));
        listening::churn(options, &stand, (LOAD, at), results)?;
    }
    let names = stage.binaries.iter().map(|(name, _)| name);
    Ok(names
        .flat_map(|name| {
            [CALLS, CHURN, ABANDONED, STREAMS].into_iter().flat_map(|what| flat(&results.rows, name, what))
        })
        .collect())
}

/// One load in three pieces, with a look at the gateway behind each.
fn stretch(
    options: &Options,
    stand: &Stand,
    (what, sessions, calls): (&str, Sessions, u32),
    results: &mut Results,
) -> anyhow::Result<()> {
    for (percent, until) in [(10, FIRST), (40, MIDDLE), (50, LAST)] {
        let mut turn = Turn::new(options, stand, &format!("{what}, {until}"))?;
        let stop = Stop::Calls((calls / 100).saturating_mul(percent).max(1));
        turn.plan = Plan { stop, sessions, connections: CONNECTIONS, ..turn.plan };
        let report = load::run(&turn.plan)?;
        stand.forget()?;
        std::thread::sleep(SETTLE);
        results.add(row(LOAD, &turn, seen(stand, report)))?;
    }
    Ok(())
}

/// Sessions that are opened, used once and left, in ten portions (two where it is to be short). The next portion comes when those of the last one have ended.
fn abandon(options: &Options, stand: &Stand, sessions: u32, results: &mut Results) -> anyhow::Result<()> {
    let portions = if options.short { 2 } else { 10 };
    let each = (sessions / portions).max(1);
    for portion in 1..=portions {
        let mut turn = Turn::new(options, stand, "")?;
        turn.plan = Plan { sessions: Sessions::PerCall, connections: CONNECTIONS, ..turn.plan };
        load::hold(&turn.plan, each, || Ok(()))?;
        std::thread::sleep(ENDED);
        let until = if portion == portions {
            LAST
        } else if portion == 1 {
            FIRST
        } else if portion == portions / 2 {
            MIDDLE
        } else {
            continue;
        };
        turn.variant = format!("{ABANDONED}, {until}");
        let report = single(Duration::ZERO, usage::of(&stand.target.pids));
        results.add(row(LOAD, &turn, report))?;
    }
    Ok(())
}

/// The report with what is in use when nothing is under way.
fn seen(stand: &Stand, report: Report) -> Report {
    let used = usage::of(&stand.target.pids);
    Report { rss_mib: used.rss_mib, descriptors: used.descriptors, ..report }
}

/// What is in use at the end, held against what was in use after the first tenth.
fn flat(rows: &[Row], name: &str, what: &str) -> Vec<Bar> {
    let at = |until: &str| {
        let variant = format!("{what}, {until}");
        let found = pick(rows, |row| row.load == LOAD && row.target == name && row.variant == variant);
        found.first().map(|row| (row.report.rss_mib, descriptors(row)))
    };
    let (first, last) = (at(FIRST), at(LAST));
    let most = |first: Option<f64>| Limit::AtMost(first.map_or(0.0, |first| (first * 1.05 + 4.0).floor()));
    let promise = |unit: &str| format!("{name}: {what}: {unit} at the end");
    vec![
        Bar::new(&promise("MiB"), last.map(|(mib, _)| mib), most(first.map(|(mib, _)| mib))),
        Bar::new(&promise("descriptors"), last.map(|(_, open)| open), most(first.map(|(_, open)| open))),
    ]
}

fn descriptors(row: &Row) -> f64 {
    f64::from(u32::try_from(row.report.descriptors).unwrap_or(u32::MAX))
}

const LOAD: &str = "life";
const CALLS: &str = "calls";
const CHURN: &str = "a session for each call";
const ABANDONED: &str = "abandoned sessions";
const STREAMS: &str = "open streams";
const FIRST: &str = "a tenth";
const MIDDLE: &str = "half";
const LAST: &str = "all";
const SETTLE: Duration = Duration::from_millis(500);
/// A session idles out after one second, and is swept within five more.
const ENDED: Duration = Duration::from_millis(6500);
