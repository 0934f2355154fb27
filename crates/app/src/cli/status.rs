//! `sekisho status`

use clap::Args;

use super::{Outcome, Place};
use crate::local;

/// Show how the running gateway is: servers, sessions, audit log, policy, dangerous options
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  sekisho status\n  sekisho status --config /etc/sekisho/sekisho.toml --json")]
pub(crate) struct Status {
    #[command(flatten)]
    place: Place,
    /// Print the status as one line of JSON
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) fn run(self) -> Outcome {
        let folder = self.place.folder()?;
        let seen = local::ask(&folder).map_err(|problem| vec![problem])?;
        if self.json {
            println!("{}", seen.json());
        } else {
            print!("{seen}");
        }
        Ok(())
    }
}
