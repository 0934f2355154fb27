//! `sekisho config`

use std::time::SystemTime;

use clap::{Args, Subcommand};
use sekisho_broker::Keys;

use super::{ConfigFile, Outcome};
use crate::problem::{Code, Problem};
use crate::{assemble, clock, config, pins, schema};

mod explain;

/// Check or describe the configuration
#[derive(Debug, Args)]
pub(crate) struct Config {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Check a configuration and all that it names: policies, key sets, certificates, secret references
    ///
    /// Everything that is wrong is told at once. Secrets are looked for and never printed; nothing is started or written.
    #[command(
        after_help = "Examples:\n  sekisho config check\n  sekisho config check --config /etc/sekisho/sekisho.toml"
    )]
    Check(ConfigFile),
    Explain(explain::Explain),
    /// Print the JSON Schema of the configuration file, for editors
    #[command(after_help = "Example:\n  sekisho config schema > sekisho.schema.json")]
    Schema,
}

impl Config {
    pub(super) fn run(self) -> Outcome {
        match self.what {
            What::Check(file) => check(&file),
            What::Explain(explain) => explain.run(),
            What::Schema => print_schema(),
        }
    }
}

fn check(file: &ConfigFile) -> Outcome {
    let now = SystemTime::now();
    clock::check(now).map_err(|problem| vec![problem])?;
    let mut loaded = config::load(&file.path)?;
    crate::broker::believe(&mut loaded, Keys::LookedFor).map_err(|problem| vec![problem])?;
    crate::problem::print(&clock::from_the_future(&loaded.files(), now));
    let egress = assemble::egress(&loaded).map_err(|problem| vec![problem])?;
    let (rooms, sender) = (
        assemble::at_start(&loaded, &egress, &std::sync::Arc::new(sekisho_identity::Revocations::passing()), now)
            .map(drop),
        assemble::sender(&loaded, &egress).map(drop),
    );
    let problems: Vec<Problem> = [rooms, sender].into_iter().filter_map(Result::err).flatten().collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    crate::problem::print(&Vec::from_iter(pins::missing(&loaded)));
    for danger in loaded.dangers() {
        eprintln!("dangerous option is on: {danger}");
    }
    let (servers, policies) = (loaded.config.servers.len(), loaded.config.policy.files.len());
    println!("{} is good: {servers} servers, {policies} policy files", file.path.display());
    Ok(())
}

fn print_schema() -> Outcome {
    let text = serde_json::to_string_pretty(&schema::schema());
    println!("{}", text.map_err(|error| vec![Problem::new(Code::System, error.to_string())])?);
    Ok(())
}
