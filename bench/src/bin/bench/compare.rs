//! Alternating rounds: what the machine does meanwhile falls on all targets alike.

use std::fs::File;
use std::io::Write as _;

use anyhow::Context as _;
use sekisho_bench::load::{self, Plan, Stop};
use sekisho_bench::row::Row;
use sekisho_bench::site::Stand;

use crate::options::Options;

/// All rows of a run, written down as they come.
pub(crate) struct Results {
    pub(crate) rows: Vec<Row>,
    file: Option<File>,
}

/// What every target is asked in turn.
pub(crate) struct Case<'a> {
    /// The load's name.
    pub(crate) load: &'static str,
    /// What sets these rows apart from others of the load.
    pub(crate) variant: String,
    /// Makes a stand's plan out of its usual one. Times are set by the options.
    pub(crate) plan: &'a dyn Fn(&Stand, Plan) -> Plan,
}

impl Results {
    /// # Errors
    /// When the file cannot be made.
    pub(crate) fn new(options: &Options) -> anyhow::Result<Self> {
        let create = |path: &std::path::PathBuf| {
            File::create(path).with_context(|| format!("{} cannot be written", path.display()))
        };
        Ok(Self { rows: Vec::new(), file: options.json.as_ref().map(create).transpose()? })
    }

    /// Takes a row in.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub(crate) fn add(&mut self, row: Row) -> anyhow::Result<()> {
        eprintln!(
            "bench: {} {} {} B x {} round {} {}: {:.0} a second, p50 {:.0} us, p99 {:.0} us, CPU {:.1} us a call, {} errors",
            row.load,
            row.variant,
            row.payload,
            row.concurrency,
            row.round,
            row.target,
            row.report.rps,
            row.report.p50_us,
            row.report.p99_us,
            row.report.cpu_us_per_call,
            row.report.errors
        );
        if let Some(file) = &mut self.file {
            writeln!(file, "{}", row.line()?)?;
        }
        self.rows.push(row);
        Ok(())
    }

    /// Asks each stand once a round, in an order that turns.
    ///
    /// # Errors
    /// When a stand cannot be reached at all.
    pub(crate) fn compare(&mut self, options: &Options, stands: &[Stand], case: &Case<'_>) -> anyhow::Result<()> {
        for round in 0..options.rounds() {
            let first = usize::try_from(round)?.checked_rem(stands.len()).unwrap_or(0);
            for stand in stands.iter().cycle().skip(first).take(stands.len()) {
                let row = turn(options, stand, case).with_context(|| stand.name.clone())?;
                self.add(Row { round, ..row })?;
            }
        }
        Ok(())
    }

    /// Fails if any call was not answered as it should be.
    ///
    /// # Errors
    /// What was wrong with the first one.
    pub(crate) fn demand_no_errors(&self) -> anyhow::Result<()> {
        match self.rows.iter().find(|row| row.report.errors > 0) {
            None => Ok(()),
            Some(row) => {
                let Row { load, target, report, .. } = row;
                anyhow::bail!("{load}: {target} gave {} errors: {:?}", report.errors, report.error_kinds)
            }
        }
    }
}

fn turn(options: &Options, stand: &Stand, case: &Case<'_>) -> anyhow::Result<Row> {
    let usual = Plan { warm_up: options.warm_up(), stop: Stop::After(options.turn()?), ..stand.plan() };
    let plan = (case.plan)(stand, usual);
    let report = load::run(&plan)?;
    if let Some(sekisho) = &stand.sekisho {
        sekisho.forget()?;
    }
    let row = Row::new(case.load, &plan, report);
    let variant = if case.variant.is_empty() { row.variant.clone() } else { case.variant.clone() };
    Ok(Row { variant, target: stand.name.clone(), profile: stand.profile, checks: stand.checks, ..row })
}
