//! `sekisho revoke`

use std::time::SystemTime;

use clap::{Args, Subcommand};
use sekisho_identity::{LOCAL_ISSUER, OPERATOR, Revocation, Target};
use sekisho_wire::Json;

use super::{Outcome, Running};
use crate::config::{self, Loaded};
use crate::local::{self, Order};
use crate::operator::{self, Row};
use crate::problem::{Code, Problem};
use crate::shut_out::ShutOut;

/// Revoke tokens: at once, for good, and with the streams and sessions that go with them
///
/// A running gateway is told; where none runs, what is revoked is written down for the next start. Except of one token, of a key, and for a
/// week of a session at the issuer, what is issued afterwards is good: to shut somebody out, forbid them by policy. Users of this machine
/// (`--issuer local`) have no tokens: they are shut out until `sekisho revoke lift`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sekisho revoke subject ann                                  every token of ann that there is
  sekisho revoke token 7f3a9c --reason \"seen in a log\"        one token, by its `jti`
  sekisho revoke key key-2026-11 --issuer https://as.example  whatever this key signed, and will sign
  sekisho revoke everything                                   every token there is; everybody logs in again
  sekisho revoke subject --issuer local ann                   the user ann of this machine, in every `sekisho run` and `stdio`
  sekisho revoke lift ann                                     lets ann in again
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
    /// Every token of a subject: `sub` (Entra ID: `oid`); with `--issuer local` a user of this machine
    #[command(
        alias = "user",
        after_help = "Examples:\n  sekisho revoke subject ann\n  sekisho revoke subject --issuer local ann"
    )]
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
    /// Let a user of this machine in again who was revoked with `--issuer local`
    #[command(after_help = "Examples:\n  sekisho revoke lift ann\n  sekisho revoke lift")]
    Lift(Lift),
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
struct Lift {
    /// The user; if not given, what `sekisho revoke issuer --issuer local` did to all of them
    name: Option<String>,
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
            What::Lift(lift) => return lift.run(),
            What::List(list) => return list.run(),
        };
        if common.issuer.as_deref() == Some(LOCAL_ISSUER) {
            return shut_out(kind, name, common);
        }
        let mut loaded = config::load(&common.config.path())?;
        crate::broker::believe(&mut loaded, sekisho_broker::Keys::LookedFor).map_err(|problem| vec![problem])?;
        let issuer = if kind == "everything" { String::new() } else { issuer(&loaded, common.issuer)? };
        revoke(&loaded, [kind.to_owned(), issuer, name, common.reason])
    }
}

/// A user of this machine, wherever one is served over standard input and output. Whatever is wrong with the configuration, this works.
fn shut_out(kind: &str, name: String, common: Common) -> Outcome {
    let folder = config::folder_of(&common.config.path())?;
    // Everything of this machine is all of its users.
    let kind = if kind == "everything" { "issuer" } else { kind };
    let target = Target::of(kind, LOCAL_ISSUER, &name).filter(|_| kind == "issuer" || !name.is_empty());
    let target = target.ok_or_else(|| vec![Problem::new(Code::Revocation, "there is nobody of an empty name")])?;
    let revocation = Revocation { target, at: SystemTime::now(), reason: common.reason, by: OPERATOR.to_owned() };
    ShutOut::of(&folder).add(revocation).map_err(|problem| vec![problem])?;
    println!(
        "revoked and written down, until `sekisho revoke lift`; in force within two seconds wherever a client is served over\nstandard input and output from `{}`",
        folder.path().display()
    );
    Ok(())
}

impl Lift {
    fn run(self) -> Outcome {
        let folder = config::folder_of(&self.config.path())?;
        let issuer = LOCAL_ISSUER.to_owned();
        let target = match self.name {
            Some(subject) => Target::Subject { issuer, subject },
            None => Target::Issuer { issuer },
        };
        ShutOut::of(&folder).remove(&target).map_err(|problem| vec![problem])?;
        println!("let in again, within two seconds");
        Ok(())
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
        let shut_out = ShutOut::of(&folder).read().map_err(|problem| vec![problem])?;
        let told = match local::tell(&folder, &Order::Revocations) {
            // Where nothing was ever revoked of tokens, no store is made to say so.
            Err(problem) if problem.code_of() == Code::NotRunning && !folder.store().exists() => {
                operator::revocations_told(&[], 0)
            }
            Err(problem) if problem.code_of() == Code::NotRunning => {
                let kept = operator::revocations_kept(&folder).map_err(|problem| vec![problem])?;
                let latest = kept.list(operator::SHOWN_MAX);
                let latest = latest.map_err(|error| vec![Problem::of(Code::DataUnusable, &error)])?;
                operator::revocations_told(&latest, kept.count())
            }
            told => told.map_err(|problem| vec![problem])?,
        };
        let told = operator::with_shut_out(&told, &shut_out);
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
