//! Clients that speak HTTP/2 in the clear, beside those of HTTP/1.1.

use sekisho_bench::load::Transport;
use sekisho_bench::site::Upstream;

use super::turns;
use crate::bars::{Bar, CPU, Limit, pick, ratio};
use crate::compare::Results;
use crate::options::Options;
use crate::stage::Stage;

/// Both in the same rounds, on as many connections.
pub(super) fn run(options: &Options, stage: &Stage, results: &mut Results) -> anyhow::Result<Vec<Bar>> {
    let upstream = Upstream::start(&[])?;
    let nginx = [stage.nginx(&upstream)?];
    let stands = stage.sekishos(&upstream)?;
    let mut both = turns(options, &nginx, "")?;
    for transport in [Transport::Http1, Transport::Http2] {
        both.extend(turns(options, &stands, "")?.into_iter().map(|mut turn| {
            turn.plan.target.transport = transport.clone();
            turn
        }));
    }
    results.compare(LOAD, options.rounds(), &both)?;
    let bar = |name: &str| {
        let of = |http: &str| pick(&results.rows, |row| row.load == LOAD && row.target == name && row.http == http);
        let found = ratio(&of("h2c"), &of("http/1.1"), CPU);
        Bar::new(&format!("{name}: CPU per call over HTTP/2, x HTTP/1.1"), found, Limit::AtMost(1.5))
    };
    Ok(stage.binaries.iter().map(|(name, _)| bar(name)).collect())
}

const LOAD: &str = "h2";
