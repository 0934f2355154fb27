//! `sekisho audit`

use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::Path;

use clap::{Args, Subcommand};
use sekisho_audit::{Follow, ReadError, Since, read, render};
use sekisho_wire::Json;

use super::{Outcome, Place};
use crate::problem::{Code, Problem};

/// Read the audit log
#[derive(Debug, Args)]
pub(crate) struct Audit {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Tail(Tail),
}

/// Show the newest records; the gateway need not run
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sekisho audit tail\n  sekisho audit tail -f\n  sekisho audit tail -n 1000 --json | jq .outcome"
)]
struct Tail {
    #[command(flatten)]
    place: Place,
    /// Go on as records come
    #[arg(short, long)]
    follow: bool,
    /// How many records, at most 100000
    #[arg(short = 'n', long = "number", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    number: u32,
    /// Print each record as it is, one JSON object a line
    #[arg(long)]
    json: bool,
}

impl Audit {
    pub(super) fn run(self) -> Outcome {
        match self.what {
            What::Tail(tail) => tail.run(),
        }
    }
}

impl Tail {
    fn run(self) -> Outcome {
        let dir = self.place.folder()?.audit();
        // Before the newest are read, so that nothing falls between.
        let follow = if self.follow { Some(Follow::new(&dir, Since::Now).map_err(unreadable)?) } else { None };
        let newest = newest(&dir, usize::try_from(self.number).unwrap_or(usize::MAX)).map_err(unreadable)?;
        let mut out = io::stdout().lock();
        let mut seen = 0;
        for record in &newest {
            seen = number_of(record).unwrap_or(seen);
            if self.print(&mut out, record).is_break() {
                return Ok(());
            }
        }
        match follow {
            Some(follow) => self.follow(follow, seen, &mut out),
            None => Ok(()),
        }
    }

    /// Goes on behind the record `seen` until nobody reads any more.
    fn follow(&self, mut follow: Follow, seen: u64, out: &mut impl Write) -> Outcome {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|error| vec![Problem::new(Code::System, error.to_string())])?;
        loop {
            let records = match runtime.block_on(follow.wait()) {
                Ok(records) => records,
                Err(error @ (ReadError::Damaged { .. } | ReadError::Gap { .. })) => {
                    eprintln!("{error}");
                    continue;
                }
                Err(error @ ReadError::Io { .. }) => return Err(unreadable(error)),
            };
            for record in records.iter().filter(|record| number_of(record).is_none_or(|number| number > seen)) {
                if self.print(out, record).is_break() {
                    return Ok(());
                }
            }
        }
    }

    /// Breaks once nobody reads: `| head` is no failure.
    fn print(&self, out: &mut impl Write, record: &Json) -> std::ops::ControlFlow<()> {
        let written =
            if self.json { writeln!(out, "{}", record.as_str()) } else { writeln!(out, "{}", render(record)) };
        match written.and_then(|()| out.flush()) {
            Ok(()) => std::ops::ControlFlow::Continue(()),
            Err(_) => std::ops::ControlFlow::Break(()),
        }
    }
}

/// The newest `number` records. What is damaged is told on standard error.
fn newest(dir: &Path, number: usize) -> Result<VecDeque<Json>, ReadError> {
    let mut newest = VecDeque::new();
    for record in read(dir)? {
        match record {
            Ok(record) => newest.push_back(record),
            Err(error @ ReadError::Io { .. }) => return Err(error),
            Err(error @ (ReadError::Damaged { .. } | ReadError::Gap { .. })) => eprintln!("{error}"),
        }
        if newest.len() > number {
            newest.pop_front();
        }
    }
    Ok(newest)
}

fn number_of(record: &Json) -> Option<u64> {
    record.get("seq")?.number()?.as_str().parse().ok()
}

fn unreadable(error: ReadError) -> Vec<Problem> {
    vec![Problem::of(Code::LogUnreadable, &error)]
}
