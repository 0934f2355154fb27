//! `sekisho revoke`

use std::time::SystemTime;

use clap::{Args, Subcommand};
use sekisho_identity::{OPERATOR, Revocation, Target};
use sekisho_wire::Json;

use super::{Outcome, Running};
use crate::config::{self, Loaded};
use crate::local::{self, Order};
use crate::operator::{self, Row};
use crate::problem::{Code, Problem};

/// Revoke tokens: at once, for good, and with the streams and sessions that go with them
///
/// A running gateway is told; where none runs, what is revoked is written down for the next start. Except of one token, of a key, and for a
/// week of a session at the issuer, what is issued afterwards is good: to shut somebody out, forbid them by policy.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sekisho revoke subject ann                                  every token of ann that there is
  sekisho revoke token 7f3a9c --reason \"seen in a log\"        one token, by its `jti`
  sekisho revoke key key-2026-11 --issuer https://as.example  whatever this key signed, and will sign
  sekisho revoke everything                                   every token there is; everybody logs in again
  sekisho revoke list                                         what is revoked")]
pub(crate) struct Revoke {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// One token, by its `jti` (Entra ID: `uti`)
    #[command(after_help = "Example:\n  sekisho revoke token 7f3a9c")]
    Token(Named),
    /// Every token of a subject: `sub` (Entra ID: `oid`)
    #[command(after_help = "Example:\n  sekisho revoke subject ann")]
    Subject(Named),
    /// Every token of a client: `client_id` or `azp`
    #[command(after_help = "Example:\n  sekisho revoke client desktop-app")]
    Client(Named),
    /// Every token of a session at the issuer: `sid`
    #[command(after_help = "Example:\n  sekisho revoke issuer-session 08a5019c")]
    IssuerSession(Named),
    /// A key of an issuer: `kid`
    #[command(after_help = "Example:\n  sekisho revoke key key-2026-11")]
    Key(Named),
    /// Every token of an issuer
    #[command(after_help = "Example:\n  sekisho revoke issuer --issuer https://as.example")]
    Issuer(Common),
    /// Every token there is
    #[command(after_help = "Example:\n  sekisho revoke everything")]
    Everything(Common),
    /// Show what is revoked
    #[command(after_help = "Examples:\n  sekisho revoke list\n  sekisho revoke list --json")]
    List(List),
}

#[derive(Debug, Args)]
struct Named {
    /// Its name at the issuer
    name: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// The issuer; not needed where one is configured
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// Why; written down with it
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    #[command(flatten)]
    config: Running,
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    config: Running,
    /// Print it as one line of JSON
    #[arg(long)]
    json: bool,
}

impl Revoke {
    pub(super) fn run(self) -> Outcome {
        let (kind, name, common) = match self.what {
            What::Token(named) => ("token", named.name, named.common),
            What::Subject(named) => ("subject", named.name, named.common),
            What::Client(named) => ("client", named.name, named.common),
            What::IssuerSession(named) => ("issuer-session", named.name, named.common),
            What::Key(named) => ("key", named.name, named.common),
            What::Issuer(common) => ("issuer", String::new(), common),
            What::Everything(common) => ("everything", String::new(), common),
            What::List(list) => return list.run(),
        };
        let loaded = config::load(&common.config.path())?;
        let issuer = if kind == "everything" { String::new() } else { issuer(&loaded, common.issuer)? };
        revoke(&loaded, [kind.to_owned(), issuer, name, common.reason])
    }
}

/// The one that is named, if it is configured; or the only one.
fn issuer(loaded: &Loaded, named: Option<String>) -> Result<String, Vec<Problem>> {
    let known = loaded.config.identity.issuer_names();
    let all = known.join(", ");
    match (named, known.as_slice()) {
        (Some(named), known) if known.contains(&named) => Ok(named),
        (None, [only]) => Ok(only.clone()),
        (Some(named), _) => {
            let words = format!("`{named}` is no configured issuer, so no token of it is accepted anyway");
            Err(vec![Problem::new(Code::Revocation, words).help(format!("configured are {all}"))])
        }
        (None, _) => {
            let words = "several issuers are configured, and each may have one of this name";
            Err(vec![Problem::new(Code::Revocation, words).help(format!("name one with `--issuer`: {all}"))])
        }
    }
}

fn revoke(loaded: &Loaded, words: [String; 4]) -> Outcome {
    let folder = loaded.folder();
    match local::tell(&folder, &Order::Revoke(words.clone())) {
        Ok(done) => {
            let ended = done.get("sessions").and_then(|count| count.number()?.integer()).unwrap_or_default();
            println!("revoked, in force and written down; {ended} sessions ended{}", again(&words));
            Ok(())
        }
        Err(problem) if problem.code_of() == Code::NotRunning => {
            let told = words.clone();
            let [kind, issuer, name, reason] = words;
            let target = Target::of(&kind, &issuer, &name)
                .ok_or_else(|| vec![Problem::new(Code::Revocation, format!("`{kind}` cannot be revoked"))])?;
            let at = SystemTime::now();
            let revocation = Revocation { target, at, reason, by: OPERATOR.to_owned() };
            folder.prepare().map_err(|problem| vec![problem])?;
            let revocations = operator::revocations_kept(&folder).map_err(|problem| vec![problem])?;
            let lifetime_max = loaded.config.identity.lifetime_max();
            operator::wait(revocations.revoke(revocation, lifetime_max))?
                .map_err(|error| vec![Problem::of(Code::Revocation, &error)])?;
            println!("revoked and written down; no gateway runs here now{}", again(&told));
            Ok(())
        }
        Err(problem) => Err(vec![problem]),
    }
}

/// What whoever logs in again should know.
fn again([kind, ..]: &[String; 4]) -> &'static str {
    match kind.as_str() {
        "subject" | "client" | "issuer" | "everything" => {
            ".\nTokens that are issued later are good, once the issuer's clock skew has passed (30 s by default): one that was issued before that stays\nrefused, and its client has to get another"
        }
        _ => "",
    }
}

impl List {
    fn run(self) -> Outcome {
        let folder = config::folder_of(&self.config.path())?;
        let told = match local::tell(&folder, &Order::Revocations) {
            Err(problem) if problem.code_of() == Code::NotRunning => {
                let kept = operator::revocations_kept(&folder).map_err(|problem| vec![problem])?;
                let latest = kept.list(operator::SHOWN_MAX);
                let latest = latest.map_err(|error| vec![Problem::of(Code::DataUnusable, &error)])?;
                operator::revocations_told(&latest, kept.count())
            }
            told => told.map_err(|problem| vec![problem])?,
        };
        if self.json {
            println!("{}", told.as_str());
            return Ok(());
        }
        let rows: Vec<Json> = told.get("revocations").iter().flat_map(Json::elements).collect();
        if rows.is_empty() {
            println!("nothing is revoked");
            return Ok(());
        }
        let count = told.get("count").and_then(|count| count.number()?.integer()).unwrap_or_default();
        if i64::try_from(rows.len()).is_ok_and(|shown| shown < count) {
            println!("{count} are revoked; the latest {}:", rows.len());
        }
        let heads = ["WHAT", "NAME", "ISSUER", "SINCE", "BY", "WHY"];
        print!(
            "{}",
            operator::table(
                heads,
                rows.iter().map(|row| Row::of(row, ["what", "name", "issuer", "at", "by", "reason"]))
            )
        );
        Ok(())
    }
}
