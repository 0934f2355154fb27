//! Calls with every check on, beside nginx and the upstream alone.

use sekisho_bench::load::{Asked, Text, Transport};
use sekisho_bench::row::Row;
use sekisho_bench::site::{Shape, Upstream};

use super::turns;
use crate::bars::{Bar, CPU, Limit, P50, P99, RPS, difference, pick, ratio};
use crate::compare::Results;
use crate::options::Options;
use crate::stage::{Stage, shape};

/// Three payloads, three numbers of connections.
pub(super) fn run(options: &Options, stage: &Stage, results: &mut Results) -> anyhow::Result<Vec<Bar>> {
    let upstream = Upstream::start(&[])?;
    let mut stands = vec![stage.direct(&upstream)?, stage.nginx(&upstream)?];
    let payload_digest = if options.blake3 { "blake3" } else { "sha256" };
    let digesting = |binary: &std::path::Path| Shape { payload_digest, ..shape(binary, &upstream) };
    stands.extend(stage.sekishos_of(digesting, &Transport::Http1)?);
    let text = if options.escaped { Text::Escaped } else { Text::Plain };
    let mut bars = Vec::new();
    for payload in options.payloads(&PAYLOADS) {
        for connections in options.concurrencies(&CONCURRENCIES) {
            let mut turns = turns(options, &stands, "")?;
            for turn in &mut turns {
                turn.plan.asked = Asked::Call { payload, text };
                turn.plan.connections = connections;
            }
            let before = results.rows.len();
            results.compare(LOAD, options.rounds(), &turns)?;
            let rows = results.rows.get(before..).unwrap_or_default();
            for (name, _) in &stage.binaries {
                bars.extend(promises(rows, name, payload, connections));
            }
        }
    }
    Ok(bars)
}

/// What is promised of one cell.
fn promises(rows: &[Row], name: &str, payload: usize, connections: u32) -> Vec<Bar> {
    let of = |target: &str| pick(rows, |row| row.target == target);
    let (ours, nginx) = (of(name), of("nginx"));
    let bar = |what: &str, found, limit| {
        Bar::new(&format!("{name}, {payload} B, connections: {connections}: {what}"), found, limit)
    };
    let most = if payload > 4096 { 2.0 } else { 1.8 };
    let mut bars = vec![bar("CPU per call, x nginx", ratio(&ours, &nginx, CPU), Limit::AtMost(most))];
    if connections == 1 {
        bars.push(bar("p50, us above nginx", difference(&ours, &nginx, P50), Limit::AtMost(60.0)));
        bars.push(bar("p99, us above nginx", difference(&ours, &nginx, P99), Limit::AtMost(1000.0)));
    } else {
        bars.push(bar("calls a second, x nginx", ratio(&ours, &nginx, RPS), Limit::AtLeast(0.55)));
    }
    bars
}

const LOAD: &str = "corridor";
const PAYLOADS: [usize; 3] = [256, 4096, 65_536];
const CONCURRENCIES: [u32; 3] = [1, 16, 64];
