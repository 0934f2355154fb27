//! Alternating rounds: what the machine does meanwhile falls on all targets alike.

use std::fs::File;
use std::io::Write as _;

use anyhow::Context as _;
use sekisho_bench::load::{self, Plan, Report, Stop};
use sekisho_bench::row::Row;
use sekisho_bench::site::Stand;

use crate::options::Options;

/// All rows of a run, written down as they come.
pub(crate) struct Results {
    pub(crate) rows: Vec<Row>,
    file: Option<File>,
}

/// One of those that are compared: who is asked, and what.
pub(crate) struct Turn<'a> {
    pub(crate) stand: &'a Stand,
    /// What sets these rows apart from others of the load.
    pub(crate) variant: String,
    /// Times are those of the options, unless it says otherwise.
    pub(crate) plan: Plan,
}

impl<'a> Turn<'a> {
    /// The usual small calls for as long as the options say, to be changed.
    ///
    /// # Errors
    /// When the options name no time.
    pub(crate) fn new(options: &Options, stand: &'a Stand, variant: &str) -> anyhow::Result<Self> {
        let plan = Plan { warm_up: options.warm_up(), stop: Stop::After(options.turn()?), ..stand.plan() };
        Ok(Self { stand, variant: variant.to_owned(), plan })
    }
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

    /// Gives each its turn once a round, in an order that moves on.
    ///
    /// # Errors
    /// When somebody cannot be reached at all.
    pub(crate) fn compare(&mut self, load: &'static str, rounds: u32, turns: &[Turn<'_>]) -> anyhow::Result<()> {
        for round in 0..rounds {
            let first = usize::try_from(round)?.checked_rem(turns.len()).unwrap_or(0);
            for turn in turns.iter().cycle().skip(first).take(turns.len()) {
                let report = load::run(&turn.plan).with_context(|| turn.stand.failed())?;
                turn.stand.forget()?;
                self.add(Row { round, ..row(load, turn, report) })?;
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

/// The row of a turn, of the first round.
pub(crate) fn row(load: &'static str, turn: &Turn<'_>, report: Report) -> Row {
    let Stand { name, profile, checks, .. } = turn.stand;
    let row = Row::new(load, &turn.plan, report);
    Row { variant: turn.variant.clone(), target: name.clone(), profile, checks, ..row }
}
