//! `sekisho audit`

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::time::Duration;

use clap::{Args, Subcommand};
use sekisho_audit::{Follow, ReadError, Since, read, render};
use sekisho_wire::Json;

use super::{Outcome, Place};
use crate::folder::Folder;
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
///
/// Those of clients over stdio are shown among them, in the order of their times, with the folder of each: `[stdio/3]`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sekisho audit tail\n  sekisho audit tail -f\n  sekisho audit tail --stdio 3\n  sekisho audit tail -n 1000 --json | jq .outcome"
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
    /// Print each record as it is, one JSON object a line; those of clients over stdio begin with their `log`
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
        let folders = self.place.folders()?;
        let mut logs = Vec::new();
        // One that was asked for is told that it is missing; of several, those count that are there.
        let single = folders.len() == 1;
        for folder in folders.iter().filter(|folder| single || folder.audit().is_dir()) {
            logs.push(Log::open(folder, Since::Now, !single).map_err(unreadable)?);
        }
        if logs.is_empty() {
            // It says why, and where it was looked for.
            logs.extend(
                folders.first().map(|folder| Log::open(folder, Since::Now, false)).transpose().map_err(unreadable)?,
            );
        }
        let number = usize::try_from(self.number).unwrap_or(usize::MAX);
        let mut newest: Vec<Line> = Vec::new();
        for log in &mut logs {
            newest.extend(log.newest(number).map_err(unreadable)?);
            newest.sort_by(|one, other| one.time.cmp(&other.time));
            newest.drain(..newest.len().saturating_sub(number));
        }
        let mut out = io::stdout().lock();
        if self.print_all(&mut out, &newest).is_break() || !self.follow {
            return Ok(());
        }
        drop(newest);
        self.follow(&folders, logs, &mut out)
    }

    /// Goes on until nobody reads any more, with clients that come later, too.
    fn follow(&self, folders: &[Folder], mut logs: Vec<Log>, out: &mut impl Write) -> Outcome {
        let single = folders.len() == 1;
        let mut since_looked = LOOKS_EVERY;
        loop {
            if !single && since_looked >= LOOKS_EVERY {
                since_looked = Duration::ZERO;
                let is_known = |folder: &&Folder| !logs.iter().any(|log| log.folder.path() == folder.path());
                let more: Vec<&Folder> = folders.iter().filter(|one| one.audit().is_dir()).filter(is_known).collect();
                for folder in more {
                    logs.push(Log::open(folder, Since::Start, true).map_err(unreadable)?);
                }
            }
            let mut lines = Vec::new();
            for log in &mut logs {
                lines.extend(log.poll().map_err(unreadable)?);
            }
            lines.sort_by(|one: &Line, other| one.time.cmp(&other.time));
            if self.print_all(out, &lines).is_break() {
                return Ok(());
            }
            if lines.is_empty() {
                std::thread::sleep(POLLS_EVERY);
                since_looked = since_looked.saturating_add(POLLS_EVERY);
            }
        }
    }

    /// Breaks once nobody reads: `| head` is no failure.
    fn print_all(&self, out: &mut impl Write, lines: &[Line]) -> ControlFlow<()> {
        let written = lines.iter().try_for_each(|line| writeln!(out, "{}", line.told(self.json)));
        match written.and_then(|()| out.flush()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

/// A log that is read.
struct Log {
    folder: Folder,
    /// What its records are told apart by, where there are other logs.
    label: Option<String>,
    // Began before the newest were read, so that nothing falls between.
    follow: Follow,
    seen: u64,
}

impl Log {
    fn open(folder: &Folder, since: Since, among_others: bool) -> Result<Log, ReadError> {
        let label = folder.label().filter(|_| among_others);
        Ok(Log { folder: folder.clone(), label, follow: Follow::new(&folder.audit(), since)?, seen: 0 })
    }

    /// The newest `number` records. What is damaged is told on standard error.
    fn newest(&mut self, number: usize) -> Result<Vec<Line>, ReadError> {
        let mut newest = std::collections::VecDeque::new();
        for record in read(&self.folder.audit())? {
            match record {
                Ok(record) => newest.push_back(record),
                Err(error @ ReadError::Io { .. }) => return Err(error),
                Err(error @ (ReadError::Damaged { .. } | ReadError::Gap { .. })) => eprintln!("{error}"),
            }
            if newest.len() > number {
                newest.pop_front();
            }
        }
        Ok(newest.into_iter().map(|record| self.line(record)).collect())
    }

    /// What has come since. What is damaged is told on standard error.
    fn poll(&mut self) -> Result<Vec<Line>, ReadError> {
        let records = match self.follow.poll() {
            Ok(records) => records,
            Err(error @ (ReadError::Damaged { .. } | ReadError::Gap { .. })) => {
                eprintln!("{error}");
                Vec::new()
            }
            Err(error @ ReadError::Io { .. }) => return Err(error),
        };
        let seen = self.seen;
        let unseen = records.into_iter().filter(|record| number_of(record).is_none_or(|number| number > seen));
        Ok(unseen.collect::<Vec<_>>().into_iter().map(|record| self.line(record)).collect())
    }

    fn line(&mut self, record: Json) -> Line {
        self.seen = number_of(&record).unwrap_or(self.seen);
        // RFC 3339 in UTC, with microseconds always: text sorts as the time does.
        let time = record.get("time").and_then(|time| time.string().map(String::from)).unwrap_or_default();
        Line { time, label: self.label.clone(), record }
    }
}

/// A record, and where it stands.
struct Line {
    time: String,
    label: Option<String>,
    record: Json,
}

impl Line {
    fn told(&self, json: bool) -> String {
        let record = self.record.as_str();
        match (&self.label, json) {
            (None, true) => record.to_owned(),
            // The bytes of the record stay as they are.
            (Some(label), true) => format!("{{\"log\":\"{label}\",{}", record.strip_prefix('{').unwrap_or(record)),
            (None, false) => render(&self.record),
            (Some(label), false) => format!("{} [{label}]", render(&self.record)),
        }
    }
}

fn number_of(record: &Json) -> Option<u64> {
    record.get("seq")?.number()?.as_str().parse().ok()
}

fn unreadable(error: ReadError) -> Vec<Problem> {
    vec![Problem::of(Code::LogUnreadable, &error)]
}

/// How often logs are looked at for more records.
const POLLS_EVERY: Duration = Duration::from_millis(200);
/// How often it is looked whether there are more logs.
const LOOKS_EVERY: Duration = Duration::from_secs(1);
