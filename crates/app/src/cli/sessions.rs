//! `sekisho sessions`

use clap::{Args, Subcommand};
use sekisho_wire::Json;
use sekisho_wire::json::{Array, Object};

use super::{Outcome, Place};
use crate::local::{self, Order};
use crate::operator::{self, Row};
use crate::problem::{Code, Problem};

/// Show the open sessions of 2025-11-25 and older, or end some
///
/// A session opens nothing by itself: whoever has a good token begins another. To take that away, see `sekisho revoke`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  sekisho sessions\n  sekisho sessions --json\n  sekisho sessions end 3fa85f64"
)]
pub(crate) struct Sessions {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    place: Place,
    /// Print them as one line of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    End(End),
}

/// End a session, and all that it has under way
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sekisho sessions end 3fa85f64")]
struct End {
    /// Its tag, as `sekisho sessions` and the audit log show it: 8 hexadecimal digits
    tag: String,
    #[command(flatten)]
    place: Place,
}

impl Sessions {
    pub(super) fn run(self) -> Outcome {
        if let Some(What::End(end)) = self.what {
            return end.run();
        }
        let told = local::tell_all(&self.place.folders()?, &Order::Sessions).map_err(|problem| vec![problem])?;
        let mut rows = Vec::new();
        for (folder, told) in &told {
            let at = folder.label().unwrap_or_else(|| "gateway".to_owned());
            rows.extend(told.get("sessions").iter().flat_map(Json::elements).map(|row| {
                let members = row.members();
                members.fold(Object::new().text("at", &at), |object, (name, value)| object.json(&name, &value)).finish()
            }));
        }
        if self.json {
            let mut sessions = Array::new();
            rows.iter().for_each(|row| sessions.push(row));
            println!("{}", Object::new().json("sessions", &sessions.finish()).finish().as_str());
            return Ok(());
        }
        if rows.is_empty() {
            println!("no session is open");
            return Ok(());
        }
        let heads = ["TAG", "SUBJECT", "CLIENT", "AT", "ENDPOINT", "OPEN S", "IDLE S"];
        let keys = ["tag", "subject", "client", "at", "endpoint", "age_s", "idle_s"];
        print!("{}", operator::table(heads, rows.iter().map(|row| Row::of(row, keys))));
        Ok(())
    }
}

impl End {
    fn run(self) -> Outcome {
        let order = Order::EndSessions(self.tag.to_ascii_lowercase());
        let told = local::tell_all(&self.place.folders()?, &order).map_err(|problem| vec![problem])?;
        let ended = |told: &Json| told.get("sessions").and_then(|count| count.number()?.integer()).unwrap_or_default();
        match told.iter().map(|(_, told)| ended(told)).fold(0_i64, i64::saturating_add) {
            0 => {
                let words = format!("no session has the tag `{}`", self.tag);
                Err(vec![Problem::new(Code::Revocation, words).help("`sekisho sessions` shows those that are open")])
            }
            ended => {
                println!("{ended} ended");
                Ok(())
            }
        }
    }
}
