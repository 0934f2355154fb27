//! `sekisho serve`

use clap::Args;

use super::{ConfigFile, Outcome};
use crate::run::{Plan, run};
use crate::telemetry;

/// Run the gateway
///
/// SIGTERM or SIGINT ends it once the calls under way are done, a second one at once. SIGHUP reads the configuration again; so
/// does every change of the files it names. A configuration that is wrong is not used: the old one stays, and the log says why.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sekisho serve
  sekisho serve --config /etc/sekisho/sekisho.toml --log json --log-level info")]
pub(crate) struct Serve {
    #[command(flatten)]
    config: ConfigFile,
    #[command(flatten)]
    log: telemetry::Options,
}

impl Serve {
    pub(super) fn run(self) -> Outcome {
        telemetry::start(&self.log);
        run(&Plan {
            path: &self.config.path,
            prepare: &|_| Ok(()),
            client: None,
            ready: &|_, _| {},
            elsewhere: "stop that one, or set another `listen` and `public_url` in `[gateway]`",
        })
    }
}
