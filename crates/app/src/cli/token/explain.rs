//! `sekisho token explain`

use std::io::Read as _;
use std::sync::Arc;
use std::time::SystemTime;

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};
use sekisho_identity::{Explanation, Identity, Revocations};
use sekisho_wire::json::{Array, Object};
use sekisho_wire::text::visible;
use sekisho_wire::{Endpoint, Json, ServerId};

use super::super::{ConfigFile, Outcome};
use crate::config::{self, Loaded};
use crate::folder::Folder;
use crate::local::{self, Order};
use crate::problem::{Code, Problem};
use crate::{assemble, operator};

/// Tell what becomes of a token, check by check, and what policies see of it
///
/// The token is read from standard input: there it stands in no list of processes and in no history. It is written nowhere, and no request is
/// made but for the keys of its issuer. Exit code 1: it would be refused.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sekisho token explain < token.txt
  sekisho token --mint | sekisho token explain --at notes")]
pub(super) struct Explain {
    #[command(flatten)]
    config: ConfigFile,
    /// The server whose endpoint it is shown at; without it, the endpoint of all
    #[arg(long, value_name = "SERVER")]
    at: Option<String>,
    /// Print it as one line of JSON
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub(super) fn run(self) -> Outcome {
        let mut loaded = config::load(&self.config.path)?;
        crate::broker::believe(&mut loaded, sekisho_broker::Keys::LookedFor).map_err(|problem| vec![problem])?;
        let endpoint = self.endpoint(&loaded)?;
        let token = from_standard_input()?;
        let identity = identity(&loaded)?;
        let mut told = operator::wait(identity.explain(token.expose_secret(), &endpoint, SystemTime::now()))?;
        ask_the_gateway(&loaded.folder(), &mut told)?;
        if self.json {
            println!("{}", json(&told).as_str());
        } else {
            print!("{}", text(&told, &endpoint));
        }
        match told.refused {
            None => Ok(()),
            Some(error) => Err(vec![Problem::new(Code::Token, format!("the token would be refused: {error}"))]),
        }
    }

    fn endpoint(&self, loaded: &Loaded) -> Result<Endpoint, Vec<Problem>> {
        let Some(name) = &self.at else { return Ok(Endpoint::All) };
        let server = ServerId::parse(name).ok().filter(|_| loaded.config.servers.contains_key(name));
        let unknown = || {
            let known: Vec<&str> = loaded.config.servers.keys().map(String::as_str).collect();
            let words = format!("no server `{name}` is configured");
            vec![Problem::new(Code::Server, words).help(format!("configured are {}", known.join(", ")))]
        };
        server.map(Endpoint::One).ok_or_else(unknown)
    }
}

/// A token, as it is or as it stands in a header.
///
/// # Errors
/// There is none.
pub(in crate::cli) fn from_standard_input() -> Result<SecretString, Vec<Problem>> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(TOKEN_BYTES_MAX).read_to_string(&mut text);
    let text = SecretString::from(text);
    read.map_err(|error| vec![Problem::new(Code::Token, format!("standard input cannot be read: {error}"))])?;
    let token = text.expose_secret().trim();
    // As people copy it out of a header.
    let token = token.strip_prefix("Bearer ").or_else(|| token.strip_prefix("DPoP ")).unwrap_or(token).trim();
    if token.is_empty() {
        return Err(vec![
            Problem::new(Code::Token, "no token came on standard input").help("sekisho token explain < token.txt"),
        ]);
    }
    Ok(SecretString::from(token))
}

/// The room as a gateway would have it, with what is revoked in its folder. A gateway that runs has that for itself, and is asked below.
fn identity(loaded: &Loaded) -> Result<Identity, Vec<Problem>> {
    let egress = assemble::egress(loaded).map_err(|problem| vec![problem])?;
    let (folder, revocations) = (loaded.folder(), Arc::new(Revocations::passing()));
    if folder.store().exists() && !local::runs(&folder) {
        operator::keep(&revocations, &folder).map_err(|problem| vec![problem])?;
    }
    let config = &loaded.config;
    Identity::new(&config.identity, &loaded.base, &config.gateway.public_url, egress, revocations)
        .map_err(|error| vec![Problem::of(Code::Identity, &error)])
}

/// Asks the gateway that runs, if one does, whether a token that is good otherwise was revoked.
fn ask_the_gateway(folder: &Folder, told: &mut Explanation) -> Outcome {
    let Some(credential) = told.credential.as_ref().filter(|_| told.refused.is_none()) else { return Ok(()) };
    let answer = match local::tell(folder, &Order::IsRevoked(credential.written())) {
        Err(problem) if problem.code_of() == Code::NotRunning => return Ok(()),
        answer => answer.map_err(|problem| vec![problem])?,
    };
    // What is not said clearly is no.
    if answer.get("revoked").and_then(|revoked| revoked.boolean()) != Some(false) {
        told.revoked();
    }
    Ok(())
}

fn text(told: &Explanation, endpoint: &Endpoint) -> String {
    let mut lines = format!("at {}\n", endpoint.path());
    for step in &told.steps {
        let (mark, words) = match &step.outcome {
            Ok(found) => ("ok", found),
            Err(why) => ("REFUSED", why),
        };
        lines.push_str(&format!("  {mark:<8} {:<20} {}\n", step.check, visible(words)));
    }
    if !told.principal.is_empty() {
        lines.push_str("\nwhat policies see\n");
    }
    for (name, value) in told.principal.iter().filter(|(_, value)| !value.is_empty()) {
        lines.push_str(&format!("  {name:<12} {}\n", visible(value)));
    }
    lines
}

fn json(told: &Explanation) -> Json {
    let mut steps = Array::new();
    for step in &told.steps {
        let (ok, words) = match &step.outcome {
            Ok(found) => (true, found),
            Err(why) => (false, why),
        };
        steps.push(&Object::new().text("check", step.check).bool("ok", ok).text("words", words).finish());
    }
    let principal = told.principal.iter().fold(Object::new(), |all, (name, value)| all.text(name, value)).finish();
    let accepted = told.refused.is_none();
    Object::new().bool("accepted", accepted).json("steps", &steps.finish()).json("principal", &principal).finish()
}

const TOKEN_BYTES_MAX: u64 = 64 * 1024;
