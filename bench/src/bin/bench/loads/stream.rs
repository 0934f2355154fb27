//! An upstream that answers with event streams, beside one that answers with JSON.

use sekisho_bench::site::Upstream;

use super::turns;
use crate::bars::{Bar, CPU, Limit, pick, ratio};
use crate::compare::Results;
use crate::options::Options;
use crate::stage::Stage;

/// Both upstreams in the same rounds.
pub(super) fn run(options: &Options, stage: &Stage, results: &mut Results) -> anyhow::Result<Vec<Bar>> {
    let (plain, streaming) = (Upstream::start(&[])?, Upstream::start(&["--stream"])?);
    let mut all = Vec::new();
    for (upstream, variant) in [(&plain, PLAIN), (&streaming, STREAM)] {
        let mut stands = vec![stage.nginx(upstream)?];
        stands.extend(stage.sekishos(upstream)?);
        all.push((stands, variant));
    }
    let mut both = Vec::new();
    for (stands, variant) in &all {
        both.extend(turns(options, stands, variant)?);
    }
    results.compare(LOAD, options.rounds(), &both)?;
    let bar = |name: &str| {
        let of =
            |variant: &str| pick(&results.rows, |row| row.load == LOAD && row.target == name && row.variant == variant);
        let found = ratio(&of(STREAM), &of(PLAIN), CPU);
        Bar::new(&format!("{name}: CPU per call with event streams, x JSON"), found, Limit::AtMost(1.25))
    };
    Ok(stage.binaries.iter().map(|(name, _)| bar(name)).collect())
}

const LOAD: &str = "stream";
const PLAIN: &str = "json";
const STREAM: &str = "event stream";
