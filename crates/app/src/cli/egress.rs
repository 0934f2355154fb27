//! `sekisho egress`

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use sekisho_egress::{AddressRefused, BadDestination, Client, Judged, ResolveError, Verdict};
use serde_json::{Value, json};
use url::{Host, Url};

use super::Outcome;
use crate::problem::{Code, Problem};
use crate::{assemble, config};

/// Tell where the gateway goes over HTTP, and where it does not
#[derive(Debug, Args)]
pub(crate) struct Egress {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Check(Check),
}

/// Tell whether a URL may be asked, and at which addresses
///
/// The rules are the same for servers, key sets, metadata and collectors: https (http on loopback only), no user, password or
/// fragment, and addresses that are public, or private and permitted by `[egress]`. The host is looked up, and nothing is
/// connected to. Exit code 0: it may be asked.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sekisho egress check https://mcp.example.com/mcp
  sekisho egress check https://idp.corp.example --config /etc/sekisho/sekisho.toml
  sekisho egress check https://10.1.2.3/ --json")]
struct Check {
    /// The URL. User and password of it are never printed
    url: String,
    /// The configuration file; if not given, `sekisho.toml`, or the defaults where there is none
    #[arg(long = "config", short = 'c', value_name = "FILE")]
    config: Option<PathBuf>,
    /// As JSON, for machines
    #[arg(long)]
    json: bool,
}

impl Egress {
    pub(super) fn run(self) -> Outcome {
        match self.what {
            What::Check(check) => check.run(),
        }
    }
}

impl Check {
    fn run(self) -> Outcome {
        let url = Url::parse(&self.url).map_err(|error| vec![no_url(error)])?;
        let file = self.file();
        let client = client(file.as_deref())?;
        let verdict = look_up(&client, &url)?;
        if self.json {
            println!("{:#}", as_json(&url, &verdict, file.as_deref()));
        } else {
            print!("{}", as_text(&url, &verdict));
        }
        refused(&url, &verdict).map_or(Ok(()), |problem| Err(vec![problem]))
    }

    /// The configuration to go by; none if none is named and none is here. One that is here and cannot be read is an error.
    fn file(&self) -> Option<PathBuf> {
        let here = || match Path::new(FILE).symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Ok(_) | Err(_) => Some(PathBuf::from(FILE)),
        };
        self.config.clone().or_else(here)
    }
}

fn client(file: Option<&Path>) -> Result<Arc<Client>, Vec<Problem>> {
    if let Some(file) = file {
        return assemble::egress(&config::load(file)?).map_err(|problem| vec![problem]);
    }
    eprintln!("there is no {FILE} here: the defaults of `[egress]` are gone by");
    let client = Client::new(&sekisho_egress::Config::default(), Path::new("."));
    client.map(Arc::new).map_err(|error| vec![Problem::of(Code::Certificates, &error)])
}

fn look_up(client: &Client, url: &Url) -> Result<Verdict, Vec<Problem>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| vec![Problem::new(Code::System, error.to_string())])?;
    let deadline = Instant::now().checked_add(LOOK_UP_WITHIN).unwrap_or_else(Instant::now);
    let verdict = runtime.block_on(client.check(url, deadline));
    // The system's resolver cannot be interrupted, and is not waited for.
    runtime.shutdown_background();
    Ok(verdict)
}

fn as_text(url: &Url, verdict: &Verdict) -> String {
    let host = url.host_str().unwrap_or("a URL without a host");
    let mut text = match verdict {
        Verdict::Permitted(_) => format!("{host} may be asked\n"),
        Verdict::BadDestination(_) | Verdict::Unresolved(_) | Verdict::Refused(_) => {
            format!("{host} may not be asked\n")
        }
    };
    for judged in verdict.addresses() {
        let word = if judged.verdict.is_ok() { "permitted" } else { "refused" };
        text.push_str(&format!("  {word}: {}\n", why(&judged)));
    }
    text
}

fn as_json(url: &Url, verdict: &Verdict, file: Option<&Path>) -> Value {
    let address =
        |judged: &Judged| json!({ "address": judged.address, "permitted": judged.verdict.is_ok(), "why": why(judged) });
    let refused = refused(url, verdict);
    json!({
        "host": url.host_str(),
        "permitted": refused.is_none(),
        "why": refused.as_ref().map(ToString::to_string),
        "code": refused.as_ref().map(|problem| problem.code_of().as_str()),
        "addresses": verdict.addresses().iter().map(address).collect::<Vec<_>>(),
        "configuration": file,
    })
}

fn why(judged: &Judged) -> String {
    match judged.verdict {
        Ok(permitted) => format!("{} {permitted}", judged.address),
        Err(refused) => refused.to_string(),
    }
}

/// Why it may not be asked; none if it may.
fn refused(url: &Url, verdict: &Verdict) -> Option<Problem> {
    let problem = |error: &dyn std::error::Error| Problem::of(Code::Destination, error);
    match verdict {
        Verdict::Permitted(_) => None,
        Verdict::BadDestination(error) => Some(problem(error).help(mend(url, *error))),
        Verdict::Unresolved(error) => {
            Some(problem(error).help("a gateway on this machine asks the same resolver, and would not find it either"))
        }
        Verdict::Refused(addresses) => {
            // As when it is sent: of many, the last one says why.
            let last = addresses.iter().rev().find_map(|judged| judged.verdict.err())?;
            Some(problem(&ResolveError::Refused(last)).help(mend_address(url, last)))
        }
    }
}

fn mend(url: &Url, error: BadDestination) -> String {
    match error {
        BadDestination::Scheme => "write it with https; http is for development on loopback".to_owned(),
        BadDestination::UserInfo => {
            "leave it out; what a server must be told stands in its `headers`, as a reference to a secret".to_owned()
        }
        BadDestination::Fragment => "leave out what is behind the `#`".to_owned(),
        BadDestination::Dots => "write the name without it".to_owned(),
        BadDestination::Authority | BadDestination::Unwritable => WHOLE.to_owned(),
        BadDestination::Address(refused) => mend_address(url, refused),
    }
}

fn mend_address(url: &Url, refused: AddressRefused) -> String {
    match refused {
        AddressRefused::Private(_) => {
            let entry = match url.host() {
                Some(Host::Domain(name)) => name.to_owned(),
                Some(Host::Ipv4(address)) => address.to_string(),
                Some(Host::Ipv6(address)) => address.to_string(),
                None => String::new(),
            };
            format!("if it is yours and shall be asked there, write `internal_hosts = [\"{entry}\"]` into `[egress]`")
        }
        AddressRefused::Loopback(_) => {
            "a server on this machine is reached by a URL that says so: `localhost`, or the address itself".to_owned()
        }
        AddressRefused::NotLoopback(_) => "`localhost` must lead to this machine: look at its hosts file".to_owned(),
        AddressRefused::Special(_) => {
            "no configuration permits it: metadata services and the like are at such addresses, and no MCP server is"
                .to_owned()
        }
    }
}

fn no_url(error: url::ParseError) -> Problem {
    Problem::new(Code::Destination, format!("this is no URL: {error}")).help(WHOLE)
}

const FILE: &str = "sekisho.toml";
const WHOLE: &str = "write it whole, such as `https://mcp.example.com/mcp`";
const LOOK_UP_WITHIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn told(url: &str, config: &str) -> (Verdict, Url) {
        let config: sekisho_egress::Config = toml::from_str(config).unwrap();
        let client = Client::new(&config, Path::new("/")).unwrap();
        let url = Url::parse(url).unwrap();
        (look_up(&client, &url).unwrap(), url)
    }

    #[test]
    fn private_address_is_refused_with_the_entry_that_would_permit_it_and_permitted_with_it() {
        for (url, entry) in [("https://10.1.2.3/", "10.1.2.3"), ("https://[fd12::1]/", "fd12::1")] {
            let (verdict, parsed) = told(url, "");
            let line = refused(&parsed, &verdict).unwrap().line();
            let setting = format!("internal_hosts = [\"{entry}\"]");
            assert!(line.contains(&setting) && line.ends_with("(SK0306)"), "{line}");
            let (verdict, parsed) = told(url, &setting);
            assert!(refused(&parsed, &verdict).is_none(), "{verdict:?}");
            assert!(as_text(&parsed, &verdict).contains(&format!("permitted: {entry} is in a private network")));
        }
    }

    #[test]
    fn user_and_password_of_the_url_are_never_told() {
        for url in ["https://ann:hunter2@mcp.example/", "https://hunter2@10.0.0.1/#x", "http://:hunter2@localhost/"] {
            let (verdict, parsed) = told(url, "dangerous_allow_private_networks = true");
            let problem = refused(&parsed, &verdict).unwrap();
            let all = format!("{}{}{}", as_text(&parsed, &verdict), as_json(&parsed, &verdict, None), problem.line());
            assert!(!all.contains("hunter2") && !all.contains("ann"), "{all}");
            assert!(all.contains("must not have a user name or password"), "{all}");
        }
        for no_url_at_all in ["https://ann:hunter2@/", "https://ann:hunter2@a:b/", "//ann:hunter2@mcp.example/"] {
            let line = no_url(Url::parse(no_url_at_all).unwrap_err()).line();
            assert!(!line.contains("hunter2") && line.ends_with("(SK0306)"), "{line}");
        }
    }
}
