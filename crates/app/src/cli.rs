//! The commands. Exit code 0: done; 1: refused or failed, with the reason on standard error; 2: wrong usage.

mod approve;
mod audit;
mod catalog;
mod config;
mod conformance;
mod consent;
mod demo;
mod doctor;
mod egress;
mod import;
mod lock;
mod revoke;
mod run;
mod secret;
mod serve;
mod sessions;
mod status;
mod stdio;
mod token;
mod up;
mod version;
mod why;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use sekisho_wire::ServerId;

use crate::config::folder_of as config_folder;
use crate::folder::{Folder, PLACES_MAX};
use crate::home;
use crate::problem::Problem;

/// How a command ends.
pub(crate) type Outcome = Result<(), Vec<Problem>>;

/// A zero-trust checkpoint for the Model Context Protocol
///
/// Sekisho stands between MCP clients and MCP servers. It lets a call pass only if the caller proved who they are, a policy
/// permits it, and the audit log holds it.
#[derive(Debug, Parser)]
#[command(
    name = "sekisho",
    version,
    after_help = "\
First steps:
  sekisho up                    start here: writes a configuration, starts a gateway with two demo servers
  sekisho config check          is the configuration good?
  sekisho lock                  what do the servers offer, and may it be used?
  sekisho why <REQUEST ID>      what happened to a request, and what would have permitted it

Exit codes: 0 done, 1 refused or failed, 2 wrong usage."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Up),
    Serve(serve::Serve),
    Stdio(stdio::Stdio),
    Run(run::Run),
    Status(status::Status),
    Why(why::Why),
    Catalog(catalog::Catalog),
    Lock(lock::Lock),
    Approve(approve::Approve),
    Rollback(approve::Rollback),
    Audit(audit::Audit),
    Token(token::Token),
    Revoke(revoke::Revoke),
    Sessions(sessions::Sessions),
    Consent(consent::Consent),
    Config(config::Config),
    Secret(secret::Secret),
    Egress(egress::Egress),
    Doctor(doctor::Doctor),
    Import(import::Import),
    Conformance(conformance::Conformance),
    Demo(demo::Demo),
    Version(version::Version),
}

impl Cli {
    /// Does what was asked for.
    ///
    /// # Errors
    /// All that stopped it.
    pub(crate) fn run(self) -> Outcome {
        match self.command {
            Command::Up(command) => command.run(),
            Command::Serve(command) => command.run(),
            Command::Stdio(command) => command.run(),
            Command::Run(command) => command.run(),
            Command::Status(command) => command.run(),
            Command::Why(command) => command.run(),
            Command::Catalog(command) => command.run(),
            Command::Lock(command) => command.run(),
            Command::Approve(command) => command.run(),
            Command::Rollback(command) => command.run(),
            Command::Audit(command) => command.run(),
            Command::Token(command) => command.run(),
            Command::Revoke(command) => command.run(),
            Command::Sessions(command) => command.run(),
            Command::Consent(command) => command.run(),
            Command::Config(command) => command.run(),
            Command::Secret(command) => command.run(),
            Command::Egress(command) => command.run(),
            Command::Doctor(command) => command.run(),
            Command::Import(command) => command.run(),
            Command::Conformance(command) => command.run(),
            Command::Demo(command) => command.run(),
            Command::Version(command) => command.run(),
        }
    }
}

/// Which configuration a command is about.
#[derive(Debug, Clone, Args)]
struct ConfigFile {
    /// The configuration file
    #[arg(long = "config", short = 'c', value_name = "FILE", default_value = "sekisho.toml")]
    path: PathBuf,
}

/// The configuration of a command about what runs or is pinned already.
#[derive(Debug, Clone, Args)]
struct Running {
    /// The configuration file; if not given, `sekisho.toml`, or where there is none, that of `sekisho run`
    #[arg(long = "config", short = 'c', value_name = "FILE")]
    named: Option<PathBuf>,
}

impl Running {
    /// The file. That it is not the one in this folder is told on standard error.
    fn path(&self) -> PathBuf {
        let here = PathBuf::from("sekisho.toml");
        let home = home::config_path().ok().filter(|home| home.is_file());
        match (&self.named, home) {
            (Some(named), _) => named.clone(),
            (None, Some(home)) if !here.exists() => {
                eprintln!("there is no `sekisho.toml` here: `{}` is used", home.display());
                home
            }
            (None, Some(_) | None) => here,
        }
    }
}

/// Which gateways a command is about that looks at some.
#[derive(Debug, Clone, Args)]
struct Place {
    #[command(flatten)]
    config: Running,
    /// Only the one that serves a client over stdio from this folder of `<data_dir>/stdio`
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..=i64::from(PLACES_MAX)))]
    stdio: Option<u8>,
}

impl Place {
    /// Their folders: that of the gateway that listens first, then those of clients over stdio; or the one that is named.
    ///
    /// # Errors
    /// The configuration cannot be read.
    fn folders(&self) -> Result<Vec<Folder>, Vec<Problem>> {
        let folder = config_folder(&self.config.path())?;
        Ok(match self.stdio {
            Some(number) => vec![folder.place(number)],
            None => std::iter::once(folder.clone()).chain(folder.places()).collect(),
        })
    }
}

/// A name of a server, as clap wants it.
fn server(text: &str) -> Result<ServerId, String> {
    ServerId::parse(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn commands_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        fn check(command: &clap::Command, path: &str) {
            for inner in command.get_subcommands() {
                let path = format!("{path} {}", inner.get_name());
                let help = inner.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(inner.has_subcommands() || help.contains("Example"), "{path} has no example");
                check(inner, &path);
            }
        }
        check(&Cli::command(), "sekisho");
    }
}
