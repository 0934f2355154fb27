//! `sekisho consent`

use clap::{Args, Subcommand};
use sekisho_wire::Json;

use super::{Outcome, Running, config_folder};
use crate::local::{self, Order};
use crate::operator::{self, Row};
use crate::problem::{Code, Problem};

/// Show what users agreed to, or take a consent back
///
/// A consent is one user's, for one client, at one endpoint. Where it is taken back, its client can refresh nothing any more, and what it was
/// given is revoked at once. Users see and take back their own at `/oauth/consents`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  sekisho consent\n  sekisho consent --subject 0a1b2c --json\n  sekisho consent revoke 6f1d"
)]
pub(crate) struct Consent {
    #[command(subcommand)]
    what: Option<What>,
    /// Only those of this user, as tokens name them in `sub`
    #[arg(long, default_value = "", hide_default_value = true)]
    subject: String,
    #[command(flatten)]
    config: Running,
    /// Print them as one line of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    Revoke(Revoke),
}

/// Take a consent back
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sekisho consent revoke 6f1d")]
struct Revoke {
    /// Its id, as `sekisho consent` shows it, or the beginning of it if that is of one alone
    id: String,
    #[command(flatten)]
    config: Running,
}

impl Consent {
    pub(super) fn run(self) -> Outcome {
        if let Some(What::Revoke(revoke)) = self.what {
            return revoke.run();
        }
        let told = ask(&self.config, &Order::Consents(self.subject))?;
        if self.json {
            println!("{}", told.as_str());
            return Ok(());
        }
        let rows: Vec<Json> = listed(&told).collect();
        if rows.is_empty() {
            println!("nobody has agreed to anything");
            return Ok(());
        }
        let heads = ["ID", "SUBJECT", "CLIENT", "NAME", "ENDPOINT", "SCOPES", "UNTIL"];
        let keys = ["id", "subject", "client", "name", "resource", "scopes", "until"];
        print!("{}", operator::table(heads, rows.iter().map(|row| Row::of(&short(row), keys))));
        Ok(())
    }
}

impl Revoke {
    fn run(self) -> Outcome {
        let told = ask(&self.config, &Order::Consents(String::new()))?;
        let id = |row: Json| row.get("id").and_then(|id| id.string().map(String::from));
        let wanted = self.id.to_ascii_lowercase();
        // The first half names the user, the second what they agreed to.
        let is_it = |id: &String| {
            let half = id.get(id.len() / 2..).unwrap_or_default();
            !wanted.is_empty() && (id == &wanted || half.starts_with(&*wanted))
        };
        let found: Vec<String> = listed(&told).filter_map(id).filter(is_it).collect();
        let [id] = &*found else {
            let words = match found.len() {
                0 => format!("no consent has the id `{}`", self.id),
                count => format!("{count} consents have an id that begins with `{}`", self.id),
            };
            return Err(vec![Problem::new(Code::Revocation, words).help("`sekisho consent` shows them")]);
        };
        let told = ask(&self.config, &Order::RevokeConsent(id.clone()))?;
        let grants = told.get("grants").and_then(|count| count.number()?.integer()).unwrap_or_default();
        println!("taken back; {grants} grants ended with it");
        Ok(())
    }
}

fn ask(config: &Running, order: &Order) -> Result<Json, Vec<Problem>> {
    local::tell(&config_folder(&config.path())?, order).map_err(|problem| vec![problem])
}

fn listed(told: &Json) -> impl Iterator<Item = Json> {
    told.get("consents").into_iter().flat_map(|list| list.elements().collect::<Vec<_>>())
}

/// Ids are long; eight digits of what was agreed to tell them apart.
fn short(row: &Json) -> Json {
    let id = row.get("id").and_then(|id| id.string().map(String::from)).unwrap_or_default();
    let half = id.get(id.len() / 2..).unwrap_or_default();
    row.with("id", &Json::text(half.get(..8).unwrap_or(half)))
}
