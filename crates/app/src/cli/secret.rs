//! `sekisho secret`

mod value;

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use sekisho_catalog::EnvValue;
use sekisho_keys::{Purpose, SealError, SealingKey, SecretRef, is_sealed};
use sekisho_wire::ServerId;
use sekisho_wire::text::visible;

use super::lock::alone;
use super::{Outcome, Running};
use crate::assemble::{references, variable};
use crate::config::{self, Loaded};
use crate::home::files;
use crate::import::secrets;
use crate::problem::{Code, Problem, chain};
use crate::survey::unknown;

/// Keep secrets of servers: sealed in files that give nothing away
///
/// What is sealed opens with the key of this user ($XDG_DATA_HOME/sekisho/key, or ~/.local/share/sekisho/key) and for the one server and
/// variable that it was sealed for: the configuration and its sealed files can be copied, synchronised and committed. `sekisho import`
/// keeps what it finds in clients' files in this way; here it is exchanged.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sekisho secret set github/GITHUB_PERSONAL_ACCESS_TOKEN
  sekisho secret set github/GITHUB_PERSONAL_ACCESS_TOKEN < token.txt
  sekisho secret list
  sekisho secret remove github/GITHUB_PERSONAL_ACCESS_TOKEN

In the configuration:
  [servers.github]
  env = { GITHUB_PERSONAL_ACCESS_TOKEN = \"sealed:secrets/github/GITHUB_PERSONAL_ACCESS_TOKEN.sealed\" }")]
pub(crate) struct Secret {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Seal a secret, in the place of the one that is there: from standard input, or asked for on the terminal without showing it
    #[command(
        after_help = "Examples:\n  sekisho secret set notes/TOKEN\n  sekisho secret set telemetry:Api-Key < key.txt"
    )]
    Set(Named),
    /// Show where each secret of the configuration is, and whether it can be had; never what it is
    #[command(after_help = "Example:\n  sekisho secret list")]
    List(List),
    /// Remove a sealed secret
    #[command(after_help = "Example:\n  sekisho secret remove notes/TOKEN")]
    Remove(Named),
}

#[derive(Debug, Args)]
struct Named {
    /// SERVER/VARIABLE, SERVER/HEADER for a server at an address, or telemetry:HEADER for one of `otlp_headers`
    #[arg(value_name = "NAME", value_parser = target)]
    target: Target,
    #[command(flatten)]
    config: Running,
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    config: Running,
}

/// Which secret.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    /// A variable or header of a server.
    Server(ServerId, String),
    /// A header for the collector of traces and metrics.
    Collector(String),
}

impl Secret {
    pub(super) fn run(self) -> Outcome {
        match self.what {
            What::Set(named) => named.set(),
            What::List(list) => list.run(),
            What::Remove(named) => named.remove(),
        }
    }
}

impl Named {
    fn set(self) -> Outcome {
        let loaded = config::load(&self.config.path())?;
        let there = self.target.find(&loaded).map_err(alone)?;
        let reference = self.target.reference(there.as_ref()).map_err(alone)?;
        let failed = |error: &dyn std::error::Error| {
            alone(Problem::new(Code::Secret, format!("{} cannot be sealed: {}", self.target, chain(error))))
        };
        let key = SealingKey::place(&variable).and_then(|path| SealingKey::ensure(&path));
        let key = key.map_err(|error| failed(&error))?;
        let value = value::read(&self.target.to_string()).map_err(alone)?;
        let sealed = key.seal(self.target.purpose(), &value).map_err(|error| failed(&error))?;
        let path = file(&loaded, &reference);
        secrets::put(&path, &sealed).map_err(|error| failed(&error))?;
        println!("sealed in {}, with the key {}", path.display(), key.path().display());
        if there.as_ref() == Some(&reference) {
            println!("What runs takes it over; a server that is started after this has it.");
        } else {
            println!("The configuration does not name it yet. In {}:", loaded.path.display());
            println!("{}", self.target.line(&loaded, &reference));
        }
        Ok(())
    }

    fn remove(self) -> Outcome {
        let loaded = config::load(&self.config.path())?;
        let there = self.target.find(&loaded).map_err(alone)?;
        let reference = self.target.reference(there.as_ref()).map_err(alone)?;
        let path = file(&loaded, &reference);
        remove(&path).map_err(|error| {
            let words = format!("{} cannot be removed from `{}`: {error}", self.target, path.display());
            alone(Problem::new(Code::Secret, words).help("`sekisho secret list` tells where each secret is"))
        })?;
        println!("removed {}", path.display());
        if there.as_ref() == Some(&reference) {
            println!(
                "The configuration names it still: nothing starts with it before it is set again or taken out there."
            );
        }
        Ok(())
    }
}

impl List {
    fn run(self) -> Outcome {
        let loaded = config::load(&self.config.path())?;
        let mut rows: Vec<[String; 3]> = Vec::new();
        let mut row = |name: String, place: &SecretRef, purpose: Purpose<'_>| {
            let state = match place.resolve(purpose, &loaded.base, &variable) {
                Ok(_) => "is there".to_owned(),
                Err(error) => chain(&error),
            };
            rows.push([name, place.to_string().trim_matches('`').to_owned(), state]);
        };
        for (server, config) in &loaded.config.servers {
            for ([_, name], place) in references(config) {
                row(format!("{server}/{name}"), place, Purpose::Server { server, name });
            }
        }
        for (name, place) in &loaded.config.telemetry.otlp_headers {
            row(format!("telemetry:{name}"), place, Purpose::Collector { name });
        }
        if rows.is_empty() {
            println!("`{}` names no secret.", loaded.path.display());
            return Ok(());
        }
        let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
        let (name, place) = (width(0).unwrap_or(0).max(4), width(1).unwrap_or(0).max(5));
        println!("{:name$}  {:place$}  STATE", "NAME", "WHERE");
        for [one, two, three] in &rows {
            println!("{}", visible(&format!("{one:name$}  {two:place$}  {three}")));
        }
        Ok(())
    }
}

impl Target {
    fn purpose(&self) -> Purpose<'_> {
        match self {
            Target::Server(server, name) => Purpose::Server { server: server.as_str(), name },
            Target::Collector(name) => Purpose::Collector { name },
        }
    }

    /// How the configuration names it today. A setting that is written out is none.
    ///
    /// # Errors
    /// The configuration has no such server.
    fn find(&self, loaded: &Loaded) -> Result<Option<SecretRef>, Problem> {
        let (server, name) = match self {
            Target::Collector(name) => return Ok(loaded.config.telemetry.otlp_headers.get(name).cloned()),
            Target::Server(server, name) => (server, name),
        };
        let Some(config) = loaded.config.servers.get(server.as_str()) else {
            return Err(unknown(loaded, server));
        };
        let variable = config.env.get(name).and_then(|value| match value {
            EnvValue::Secret(place) => Some(place),
            EnvValue::Literal(_) => None,
        });
        Ok(variable.or_else(|| config.headers.get(name)).cloned())
    }

    /// Where it is sealed: where the configuration says, or where an import would.
    fn reference(&self, there: Option<&SecretRef>) -> Result<SecretRef, Problem> {
        if let Some(place) = there.filter(|place| place.sealed().is_some()) {
            return Ok(place.clone());
        }
        self.purpose().check().map_err(|error: SealError| Problem::of(Code::Secret, &error))?;
        let text = match self {
            Target::Server(server, name) => secrets::reference(server, name),
            Target::Collector(name) => format!("sealed:secrets/telemetry-{}.sealed", secrets::file_name(name)),
        };
        text.parse().map_err(|error| Problem::of(Code::Secret, &error))
    }

    /// The line of the configuration that names it.
    fn line(&self, loaded: &Loaded, reference: &SecretRef) -> String {
        let reference = reference.to_string().replace('`', "\"");
        match self {
            Target::Collector(name) => format!("  [telemetry]\n  otlp_headers = {{ {name} = {reference} }}"),
            Target::Server(server, name) => {
                let is_remote = loaded.config.servers.get(server.as_str()).is_some_and(|config| config.url.is_some());
                let table = if is_remote { "headers" } else { "env" };
                format!("  [servers.{server}]\n  {table} = {{ {name} = {reference} }}")
            }
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::Server(server, name) => write!(f, "secret `{name}` of server `{server}`"),
            Target::Collector(name) => write!(f, "header `{name}` for the collector"),
        }
    }
}

fn target(text: &str) -> Result<Target, String> {
    if let Some(name) = text.strip_prefix("telemetry:").filter(|name| !name.is_empty()) {
        return Ok(Target::Collector(name.to_owned()));
    }
    // What else stands there is not repeated: it may be the secret itself.
    let (server, name) = text.split_once('/').ok_or("it must be SERVER/NAME; the secret itself is asked for")?;
    if name.is_empty() {
        return Err("it must be SERVER/NAME".to_owned());
    }
    ServerId::parse(server).map(|server| Target::Server(server, name.to_owned())).map_err(|error| error.to_string())
}

fn remove(path: &Path) -> io::Result<()> {
    if !is_sealed(&files::read(path, BYTES_MAX)?) {
        return Err(io::Error::other("that is no sealed file, and stays"));
    }
    std::fs::remove_file(path).and_then(|()| files::flush_folder(path))
}

fn file(loaded: &Loaded, reference: &SecretRef) -> PathBuf {
    loaded.base.join(reference.sealed().unwrap_or(&loaded.base))
}

/// Of a file, to see what it is.
const BYTES_MAX: u64 = 64;
