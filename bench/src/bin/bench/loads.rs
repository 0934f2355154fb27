//! The loads.

mod arguments;
mod corridor;
mod flat;
mod h2;
mod life;
mod list;
mod listening;
mod modern;
mod profile;
mod servers;
mod sessions;
mod start;
mod stream;
mod tls;
mod tokens;
mod workers;

use clap::ValueEnum as _;
use sekisho_bench::site::Stand;

use crate::bars::Bar;
use crate::compare::{Results, Turn};
use crate::options::{Load, Options};
use crate::stage::Stage;
use crate::table;

/// Runs the load that was asked for, and shows what was found.
///
/// # Errors
/// When something does not start, or a call was not answered as it should be.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let stage = Stage::new(options.binaries()?)?;
    let mut results = Results::new(options)?;
    let all = Load::value_variants().iter().filter(|load| !matches!(load, Load::All | Load::Profile));
    let wanted: Vec<Load> = if options.load == Load::All { all.copied().collect() } else { vec![options.load] };
    for load in wanted {
        run_one(load, options, &stage, &mut results)?;
    }
    results.demand_no_errors()
}

fn run_one(load: Load, options: &Options, stage: &Stage, results: &mut Results) -> anyhow::Result<()> {
    let before = results.rows.len();
    let bars: Vec<Bar> = match load {
        Load::Corridor => corridor::run(options, stage, results)?,
        Load::List => list::run(options, stage, results)?,
        Load::Modern => modern::run(options, stage, results)?,
        Load::Stream => stream::run(options, stage, results)?,
        Load::H2 => h2::run(options, stage, results)?,
        Load::Tls => tls::run(options, stage, results)?,
        Load::Sessions => sessions::run(options, stage, results)?,
        Load::Tokens => tokens::run(options, stage, results)?,
        Load::Servers => servers::run(options, stage, results)?,
        Load::Arguments => arguments::run(options, stage, results)?,
        Load::Start => start::run(options, stage, results)?,
        Load::Flat => flat::run(options, stage, results)?,
        Load::Life => life::run(options, stage, results)?,
        Load::Workers => workers::run(options, stage, results)?,
        Load::Profile => profile::run(options, stage, results)?,
        Load::All => Vec::new(),
    };
    let rows = results.rows.get(before..).unwrap_or_default();
    table::print(rows, "nginx", &bars);
    let mut names = stage.binaries.iter().map(|(name, _)| name.clone());
    let (first, others) = (names.next(), names.collect::<Vec<_>>());
    if let Some(first) = first.filter(|_| !others.is_empty()) {
        table::versus(rows, &first, &others);
    }
    Ok(())
}

/// A turn of small calls over as many connections as are usual, for each stand.
fn turns<'a>(options: &Options, stands: &'a [Stand], variant: &str) -> anyhow::Result<Vec<Turn<'a>>> {
    let mut turns = Vec::new();
    for stand in stands {
        let mut turn = Turn::new(options, stand, variant)?;
        turn.plan.connections = CONNECTIONS;
        turns.push(turn);
    }
    Ok(turns)
}

/// Connections of a load that does not vary them.
const CONNECTIONS: u32 = 16;
