//! From the start of the process to its first good answer, and the memory it then has.

use std::time::{Duration, Instant};

use sekisho_bench::row::Row;
use sekisho_bench::site::Upstream;
use sekisho_bench::usage;
use sekisho_e2e::client::Era;

use crate::bars::{Bar, Limit, P50, middle, pick};
use crate::compare::{Results, Turn, row};
use crate::options::Options;
use crate::stage::{Stage, shape};
use crate::table::single;

/// The key set is a file and the upstream runs, as at a restart. The first answer is that to a call: a session was opened for it.
pub(super) fn run(options: &Options, stage: &Stage, results: &mut Results) -> anyhow::Result<Vec<Bar>> {
    let upstream = Upstream::start(&[])?;
    for round in 0..options.rounds() {
        for (name, binary) in &stage.binaries {
            let start = Instant::now();
            let stand = stage.launch(name, &shape(binary, &upstream))?;
            stand.wait(Era::Legacy)?;
            let time = start.elapsed();
            std::thread::sleep(if options.short { Duration::ZERO } else { SETTLE });
            let report = single(time, usage::of(&stand.target.pids));
            let row = row(LOAD, &Turn::new(options, &stand, "to the first answer")?, report);
            results.add(Row { round, ..row })?;
        }
    }
    Ok(stage.binaries.iter().flat_map(|(name, _)| promises(&results.rows, name)).collect())
}

fn promises(rows: &[Row], name: &str) -> Vec<Bar> {
    let rows = pick(rows, |row| row.load == LOAD && row.target == name);
    vec![
        Bar::new(&format!("{name}: start to first answer, us"), middle(&rows, P50), Limit::AtMost(300_000.0)),
        Bar::new(
            &format!("{name}: memory when idle, MiB"),
            middle(&rows, |row| row.report.rss_mib),
            Limit::AtMost(30.0),
        ),
    ]
}

const LOAD: &str = "start";
const SETTLE: Duration = Duration::from_secs(2);
