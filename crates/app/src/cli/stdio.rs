//! `sekisho stdio`

use std::io;

use clap::Args;
use sekisho_identity::Local;
use sekisho_wire::{Endpoint, ServerId};

use super::{ConfigFile, Outcome, server};
use crate::config;
use crate::problem::{Code, Problem};
use crate::run::{Plan, run};
use crate::{survey, telemetry};

/// Serve one client over standard input and output
///
/// For clients that start their servers themselves: they name this command in the place of a server. Everything in the configuration
/// holds, but for the address, which is not listened on; the caller is the user of this machine that the process runs as, to policies
/// `principal.issuer == "local"`. Each client has a log of its own in `<data_dir>/stdio`. It ends with its client.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sekisho stdio --config ~/sekisho/sekisho.toml
  sekisho stdio --config ~/sekisho/sekisho.toml --server files

In a client's configuration:
  {\"mcpServers\": {\"sekisho\": {\"command\": \"sekisho\", \"args\": [\"stdio\", \"--config\", \"/home/me/sekisho/sekisho.toml\"]}}}")]
pub(crate) struct Stdio {
    #[command(flatten)]
    config: ConfigFile,
    /// Serve this server alone, its names untouched; all of them, names prefixed, if not given
    #[arg(long, value_name = "NAME", value_parser = server)]
    server: Option<ServerId>,
    #[command(flatten)]
    log: telemetry::Options,
}

impl Stdio {
    pub(super) fn run(self) -> Outcome {
        telemetry::start(&self.log);
        let caller = Local::of_process(&io::stdin(), &io::stdout()).map_err(|error| vec![unknown(&error)])?;
        let endpoint = match self.server {
            Some(server) => {
                check_configured(&self.config.path, &server)?;
                Endpoint::One(server)
            }
            None => Endpoint::All,
        };
        run(&Plan {
            path: &self.config.path,
            prepare: &|_| Ok(()),
            ready: &|_, _| {},
            client: Some(sekisho_gateway::Stdio { caller, endpoint }),
            elsewhere: "",
        })
    }
}

/// A name that is wrong would refuse every message.
fn check_configured(path: &std::path::Path, server: &ServerId) -> Result<(), Vec<Problem>> {
    let loaded = config::load(path)?;
    if loaded.config.servers.contains_key(server.as_str()) {
        return Ok(());
    }
    Err(vec![survey::unknown(&loaded, server)])
}

fn unknown(error: &sekisho_identity::LocalError) -> Problem {
    Problem::of(Code::Caller, error)
        .help("start it as the user it is for, over pipes; from other machines, connect over HTTP with a token")
}
