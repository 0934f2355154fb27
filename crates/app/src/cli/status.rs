//! `sekisho status`

use clap::Args;

use super::{Outcome, Place};
use crate::local::{self, Order};
use crate::status::{self, Seen};

/// Show how what runs is: servers, sessions, audit log, policy, dangerous options; and each `sekisho run` and `stdio`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sekisho status\n  sekisho status --stdio 3\n  sekisho status --config /etc/sekisho/sekisho.toml --json"
)]
pub(crate) struct Status {
    #[command(flatten)]
    place: Place,
    /// Print the status as JSON, a line for each process
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) fn run(self) -> Outcome {
        let told = local::tell_all(&self.place.folders()?, &Order::Status).map_err(|problem| vec![problem])?;
        let seen: Vec<(Option<String>, Seen)> =
            told.into_iter().map(|(folder, told)| (folder.label(), Seen::of(told))).collect();
        if self.json {
            seen.iter().for_each(|(_, seen)| println!("{}", seen.json()));
            return Ok(());
        }
        let is_whole = |label: &Option<String>| label.is_none() || self.place.stdio.is_some();
        for (_, seen) in seen.iter().filter(|(label, _)| is_whole(label)) {
            print!("{seen}");
        }
        let runs: Vec<(&str, &Seen)> = seen
            .iter()
            .filter(|(label, _)| !is_whole(label))
            .filter_map(|(at, seen)| Some((at.as_deref()?, seen)))
            .collect();
        if !runs.is_empty() {
            print!("{}", status::runs(&runs));
        }
        Ok(())
    }
}
