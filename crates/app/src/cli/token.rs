//! `sekisho token`

mod explain;

pub(super) use explain::from_standard_input;

use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use secrecy::ExposeSecret as _;

use super::{ConfigFile, Outcome};
use crate::problem::{Code, Problem};
use crate::{config, developer};

/// Show where the developer token is, mint another one, or explain any token
///
/// The first two work where the configuration believes the developer issuer, as one written by `sekisho up` does: on loopback addresses.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  sekisho token                                    print the path of the token, renewed if it is about to expire
  sekisho token --mint                             print a token for yourself
  sekisho token --mint --subject ann --minutes 5   print one for `ann`, good for five minutes
  sekisho token explain < token.txt                what becomes of a token, check by check"
)]
pub(crate) struct Token {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    config: ConfigFile,
    /// Mint a token and print it; it is written nowhere
    #[arg(long)]
    mint: bool,
    /// Whose token it is; your own name if not given
    #[arg(long, value_name = "NAME", requires = "mint")]
    subject: Option<String>,
    /// A scope of the token; may be repeated
    #[arg(long = "scope", value_name = "SCOPE", requires = "mint")]
    scopes: Vec<String>,
    /// How long it is good for, in minutes, at most 12 hours
    #[arg(long, value_name = "N", default_value_t = 60, requires = "mint", value_parser = clap::value_parser!(u64).range(1..=720))]
    minutes: u64,
}

#[derive(Debug, Subcommand)]
enum What {
    Explain(explain::Explain),
}

impl Token {
    pub(super) fn run(self) -> Outcome {
        if let Some(What::Explain(explain)) = self.what {
            return explain.run();
        }
        let loaded = config::load(&self.config.path)?;
        if !developer::is_believed(&loaded) {
            let words = "this configuration does not believe the developer issuer, so a token of it would open nothing";
            let help = "get a token from one of the configured issuers; `sekisho up` in an empty folder sets the developer issuer up";
            return Err(vec![Problem::new(Code::Developer, words).help(help)]);
        }
        let now = SystemTime::now();
        let opened = loaded.folder().prepare().and_then(|()| developer::open(&loaded, now));
        let developer = opened.map_err(|problem| vec![problem])?;
        if !self.mint {
            println!("{}", developer.token_path().display());
            return Ok(());
        }
        let subject = self.subject.unwrap_or_else(developer::user);
        let scopes: Vec<&str> = self.scopes.iter().map(String::as_str).collect();
        let lifetime = Duration::from_secs(self.minutes.saturating_mul(60));
        let token = developer
            .mint(&subject, &scopes, lifetime, now)
            .map_err(|error| vec![Problem::of(Code::Developer, &error)])?;
        println!("{}", token.expose_secret());
        Ok(())
    }
}
