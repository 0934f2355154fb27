//! Calls with every check on, beside nginx and the upstream alone.

use sekisho_bench::load::{Asked, Plan, Text};
use sekisho_bench::row::Row;
use sekisho_bench::site::Upstream;

use crate::bars::{Bar, CPU, Limit, P50, P99, RPS, difference, pick, ratio};
use crate::compare::{Case, Results};
use crate::options::Options;
use crate::stage::Stage;
use crate::table;

/// Three payloads, three numbers of connections.
pub(super) fn run(options: &Options, stage: &Stage, results: &mut Results) -> anyhow::Result<()> {
    let upstream = Upstream::start(&[])?;
    let mut stands = vec![stage.direct(&upstream)?, stage.nginx(&upstream)?];
    let binaries = options.binaries()?;
    for (name, binary) in &binaries {
        stands.push(stage.sekisho(name, binary, &upstream)?);
    }
    let text = if options.escaped { Text::Escaped } else { Text::Plain };
    for payload in options.payloads(&PAYLOADS) {
        for connections in options.concurrencies(&CONCURRENCIES) {
            let plan = |_: &_, usual| Plan { asked: Asked::Call { payload, text }, connections, ..usual };
            results.compare(options, &stands, &Case { load: LOAD, variant: String::new(), plan: &plan })?;
        }
    }
    let mut bars = Vec::new();
    for (name, _) in &binaries {
        bars.extend(promises(&results.rows, name));
    }
    table::print(&results.rows, "nginx", &bars);
    Ok(())
}

fn promises(rows: &[Row], name: &str) -> Vec<Bar> {
    let mut bars = Vec::new();
    let mut cells: Vec<(u64, u32)> = rows.iter().map(|row| (row.payload, row.concurrency)).collect();
    cells.dedup();
    for (payload, connections) in cells {
        let of = |target: &str| {
            pick(rows, |row| {
                row.load == LOAD && row.target == target && row.payload == payload && row.concurrency == connections
            })
        };
        let (ours, nginx) = (of(name), of("nginx"));
        let mut promise = |what: &str, found, limit| {
            let promise = format!("{name}, {payload} B, {connections} connections: {what}");
            bars.push(Bar { promise, found, limit });
        };
        let most = if payload > 4096 { 2.0 } else { 1.8 };
        promise("CPU per call, x nginx", ratio(&ours, &nginx, CPU), Limit::AtMost(most));
        if connections == 1 {
            promise("p50, us above nginx", difference(&ours, &nginx, P50), Limit::AtMost(60.0));
            promise("p99, us above nginx", difference(&ours, &nginx, P99), Limit::AtMost(1000.0));
        } else {
            promise("calls a second, x nginx", ratio(&ours, &nginx, RPS), Limit::AtLeast(0.55));
        }
    }
    bars
}

const LOAD: &str = "corridor";
const PAYLOADS: [usize; 3] = [256, 4096, 65_536];
const CONCURRENCIES: [u32; 3] = [1, 16, 64];
