//! `sekisho demo`: two small MCP servers over standard input and output, to try the gateway with.

mod files;
mod notes;
mod protocol;
mod shelf;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Outcome;
use crate::problem::{Code, Problem};

/// Run a small MCP server over standard input and output
#[derive(Debug, Args)]
pub(crate) struct Demo {
    #[command(subcommand)]
    which: Which,
}

#[derive(Debug, Subcommand)]
enum Which {
    /// Files of one folder: list, read and write
    #[command(after_help = "Example:\n  sekisho demo files --root ./shared")]
    Files {
        /// The folder; nothing outside of it is reached
        #[arg(long, value_name = "DIR")]
        root: PathBuf,
    },
    /// Notes, kept in one folder: add, list and delete
    #[command(after_help = "Example:\n  sekisho demo notes --dir ./notes")]
    Notes {
        /// The folder that the notes are kept in
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
    },
}

impl Demo {
    pub(super) fn run(self) -> Outcome {
        let (stdin, stdout) = (std::io::stdin().lock(), std::io::stdout().lock());
        let ended = match self.which {
            Which::Files { root } => files::Files::open(&root).and_then(|demo| protocol::serve(demo, stdin, stdout)),
            Which::Notes { dir } => notes::Notes::open(&dir).and_then(|demo| protocol::serve(demo, stdin, stdout)),
        };
        ended.map_err(|error| vec![Problem::new(Code::System, format!("the demo server cannot go on: {error}"))])
    }
}
