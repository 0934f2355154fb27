//! `sekisho conformance`

mod entra;

use clap::{Args, Subcommand};

use super::Outcome;

/// Hold a real system against what is expected of it
///
/// The tests of this project ask the same questions of a strict imitation; here they are asked of the real one.
#[derive(Debug, Args)]
pub(crate) struct Conformance {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Entra(entra::Entra),
}

impl Conformance {
    pub(super) fn run(self) -> Outcome {
        match self.what {
            What::Entra(entra) => entra.run(),
        }
    }
}
