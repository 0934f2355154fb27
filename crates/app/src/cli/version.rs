//! `sekisho version`

use clap::Args;
use sekisho_wire::Version as Revision;

use super::Outcome;

/// Print the version, and the MCP revisions that are spoken
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sekisho version")]
pub(crate) struct Version {}

impl Version {
    pub(super) fn run(self) -> Outcome {
        let revisions: Vec<&str> = Revision::ALL.iter().map(|revision| revision.as_str()).collect();
        println!("sekisho {} (MCP {})", env!("CARGO_PKG_VERSION"), revisions.join(", "));
        Ok(())
    }
}
