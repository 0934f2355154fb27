//! One gateway in front of 1 to 64 servers, all of which are called.

use sekisho_bench::site::{Shape, Upstream};

use super::turns;
use crate::bars::Bar;
use crate::compare::Results;
use crate::options::Options;
use crate::stage::{Stage, shape};

/// The servers are one process under many names: what is measured is what the gateway keeps apart. Each connection has a server of its
/// own, as long as there are enough.
pub(super) fn run(options: &Options, stage: &Stage, results: &mut Results) -> anyhow::Result<Vec<Bar>> {
    let upstream = Upstream::start(&[])?;
    let numbers: &[u32] = if options.short { &[1, 4] } else { &[1, 4, 16, 64] };
    let mut all = Vec::new();
    for number in numbers {
        let servers: Vec<_> = (0..*number).map(|server| (format!("server-{server:02}"), upstream.url())).collect();
        let many = |binary: &std::path::Path| Shape { servers: servers.clone(), ..shape(binary, &upstream) };
        let stands = stage.sekishos_of(many, &sekisho_bench::load::Transport::Http1)?;
        all.push((stands, format!("{number} servers")));
    }
    let mut each = Vec::new();
    for (stands, variant) in &all {
        each.extend(turns(options, stands, variant)?.into_iter().map(|mut turn| {
            turn.plan.connections = 64;
            turn
        }));
    }
    results.compare(LOAD, options.rounds(), &each)?;
    Ok(Vec::new())
}

const LOAD: &str = "servers";
