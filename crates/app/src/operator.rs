//! What the operator does with credentials and sessions, on both ends of the control socket.

use std::fmt::Write as _;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use sekisho_broker::{Broker, Consent};
use sekisho_gateway::Running;
use sekisho_identity::{Credential, OPERATOR, REVOCATIONS_MAX, Revocation, Revocations, Target};
use sekisho_store::{OpenError, Store};
use sekisho_wire::Json;
use sekisho_wire::json::{Array, Object};
use sekisho_wire::text::visible;
use tokio::task::block_in_place;

use crate::folder::Folder;
use crate::local::Order;
use crate::problem::{Code, Problem, chain};

/// Does what was ordered; one line of JSON. `report` is how the gateway is.
pub(crate) async fn obey(
    (running, broker): (&Running, Option<&Broker>),
    order: Option<Order>,
    report: impl FnOnce() -> String,
    look_again: impl AsyncFnOnce(&str, &str) -> bool,
) -> String {
    let answer = match order {
        None => refused("the order is not understood"),
        Some(Order::Status) => return report(),
        Some(Order::Sessions) => sessions_told(running),
        Some(Order::Revocations) => match block_in_place(|| running.revocations().list(SHOWN_MAX)) {
            Ok(latest) => revocations_told(&latest, running.revocations().count()),
            Err(error) => refused(&chain(&error)),
        },
        Some(Order::IsRevoked(credential)) => match Credential::read(&credential) {
            Some(credential) => Object::new().bool("revoked", running.revocations().cover(&credential)).finish(),
            None => refused("there is no such credential"),
        },
        Some(Order::Revoke([kind, issuer, name, reason])) => match Target::of(&kind, &issuer, &name) {
            None => refused("there is nothing of that kind to revoke"),
            Some(target) => {
                let revocation = Revocation { target, at: SystemTime::now(), reason, by: OPERATOR.to_owned() };
                counted(running.revoke(revocation).await)
            }
        },
        Some(Order::LookAgain([server, name])) => match look_again(&server, &name).await {
            true => Object::new().bool("looks_again", true).finish(),
            false => refused("there is no such server, or it could not be written down"),
        },
        Some(Order::EndSessions(tag)) => counted(running.end_sessions(&tag).await),
        Some(Order::Consents(subject)) => match broker {
            None => refused(NO_BROKER),
            Some(broker) => {
                let subject = Some(&*subject).filter(|subject| !subject.is_empty());
                let found = broker.consents(subject, SystemTime::now()).await;
                found.map_or_else(|error| refused(&error.to_string()), |consents| consents_told(&consents))
            }
        },
        Some(Order::RevokeConsent(id)) => match broker {
            None => refused(NO_BROKER),
            Some(broker) => revoked_consent(running, broker, &id).await,
        },
    };
    format!("{}\n", answer.as_str())
}

fn counted(ended: Result<usize, sekisho_gateway::refusal::Refusal>) -> Json {
    match ended {
        Ok(count) => Object::new().unsigned("sessions", u64::try_from(count).unwrap_or(u64::MAX)).finish(),
        Err(refusal) => refused(&format!("{}: {}", refusal.message(), refusal.reason)),
    }
}

/// What users agreed to, as the control socket tells it.
fn consents_told(consents: &[(String, Consent)]) -> Json {
    let mut rows = Array::new();
    for (id, consent) in consents {
        let row = Object::new()
            .text("id", id)
            .text("subject", &consent.subject)
            .text("client", &consent.client)
            .text("name", &consent.name)
            .text("redirect_uri", &consent.redirect)
            .text("resource", &consent.resource)
            .text("scopes", &consent.scopes.join(" "))
            .text("since", &moment(consent.since))
            .text("until", &moment(consent.until));
        rows.push(&row.finish());
    }
    Object::new().json("consents", &rows.finish()).finish()
}

/// Takes a consent back: nothing can be refreshed any more, and what was given out is revoked.
async fn revoked_consent(running: &Running, broker: &Broker, id: &str) -> Json {
    let revocations = match broker.revoke_consent(id, SystemTime::now()).await {
        Ok((_, revocations)) => revocations,
        Err(error) => return refused(&error.to_string()),
    };
    let mut count = 0_u64;
    for revocation in revocations {
        count = count.saturating_add(1);
        if let Err(refusal) = running.revoke(revocation).await {
            return refused(&format!("{}: {}", refusal.message(), refusal.reason));
        }
    }
    Object::new().unsigned("grants", count).finish()
}

fn moment(of: SystemTime) -> String {
    Timestamp::try_from(of).map_or_else(|_| "?".to_owned(), |time| time.to_string())
}

fn refused(why: &str) -> Json {
    Object::new().text("refused", why).finish()
}

fn sessions_told(running: &Running) -> Json {
    let mut sessions = Array::new();
    for one in running.sessions() {
        let who = one.session.principal();
        let row = Object::new()
            .text("tag", &one.session.key().short())
            .text("issuer", who.issuer())
            .text("subject", who.subject())
            .text("client", who.client())
            .text("endpoint", &one.session.endpoint().path())
            .text("version", one.session.version().as_str())
            .unsigned("age_s", one.age.as_secs())
            .unsigned("idle_s", one.idle.as_secs());
        sessions.push(&row.finish());
    }
    Object::new().json("sessions", &sessions.finish()).finish()
}

/// The latest that are revoked, and how many there are, as the control socket tells it.
pub(crate) fn revocations_told(latest: &[Revocation], count: usize) -> Json {
    let mut revocations = Array::new();
    for one in latest {
        let (issuer, name) = one.target.names();
        let row = Object::new()
            .text("what", one.target.kind())
            .text("issuer", issuer)
            .text("name", name)
            .text("at", &moment(one.at))
            .text("reason", &one.reason)
            .text("by", &one.by);
        revocations.push(&row.finish());
    }
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    Object::new().json("revocations", &revocations.finish()).unsigned("count", count).finish()
}

/// The same with the users of this machine who are shut out, first.
pub(crate) fn with_shut_out(told: &Json, shut_out: &[Revocation]) -> Json {
    let ours = revocations_told(shut_out, shut_out.len());
    let mut rows = Array::new();
    for told in [&ours, told] {
        told.get("revocations").iter().flat_map(Json::elements).for_each(|row| rows.push(&row));
    }
    let count = |told: &Json| told.get("count").and_then(|count| count.number()?.integer()).unwrap_or_default();
    let count = u64::try_from(count(&ours).saturating_add(count(told))).unwrap_or_default();
    Object::new().json("revocations", &rows.finish()).unsigned("count", count).finish()
}

/// What is revoked, out of the folder of a gateway that does not run.
///
/// # Errors
/// As [`keep`].
pub(crate) fn revocations_kept(folder: &Folder) -> Result<Revocations, Problem> {
    let revocations = Revocations::passing();
    keep(&revocations, folder).map(|_store| revocations)
}

/// Has what is revoked kept in the folder, and takes in what is there.
///
/// # Errors
/// The store cannot be read: then nobody may be let in.
pub(crate) fn keep(revocations: &Revocations, folder: &Folder) -> Result<Arc<Store>, Problem> {
    let entries_max = u64::try_from(REVOCATIONS_MAX).ok().and_then(NonZeroU64::new).unwrap_or(NonZeroU64::MIN);
    let store = Arc::new(Store::open(&folder.store(), entries_max).map_err(|error| unusable(folder, &error))?);
    revocations.keep_in(Arc::clone(&store)).map_err(|error| {
        Problem::of(Code::DataUnusable, &error).help(format!("the store is `{}`", folder.store().display()))
    })?;
    Ok(store)
}

fn unusable(folder: &Folder, error: &OpenError) -> Problem {
    let words = format!("what is revoked cannot be known: `{}`: {}", folder.store().display(), chain(error));
    let problem = Problem::new(Code::DataUnusable, words);
    match error {
        OpenError::InUse { .. } => problem.help("another process has it; is a gateway just starting or stopping?"),
        OpenError::Damaged { .. } | OpenError::Newer { .. } => problem.help(
            "bring a copy of the file back; without one, remove it and `sekisho revoke everything`, so that no revoked token is of use",
        ),
        OpenError::Exposed { .. } | OpenError::Io { .. } => problem,
    }
}

/// Runs one thing to its end, for commands.
///
/// # Errors
/// This machine gives no runtime.
pub(crate) fn wait<T>(of: impl Future<Output = T>) -> Result<T, Vec<Problem>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.map_err(|error| vec![Problem::new(Code::System, error.to_string())])?.block_on(of))
}

/// A row of a table.
pub(crate) struct Row<const N: usize>([String; N]);

impl<const N: usize> Row<N> {
    /// These members of an object, each on one line.
    pub(crate) fn of(object: &Json, names: [&str; N]) -> Row<N> {
        Row(names.map(|name| {
            let value = object.get(name);
            let text = value.as_ref().map(|value| value.string().unwrap_or_else(|| value.as_str().into()).into_owned());
            visible(&text.unwrap_or_default()).replace(['\n', '\t'], " ")
        }))
    }
}

impl<const N: usize> From<[String; N]> for Row<N> {
    fn from(cells: [String; N]) -> Row<N> {
        Row(cells)
    }
}

/// Rows under their heads, in columns.
pub(crate) fn table<const N: usize>(heads: [&str; N], rows: impl Iterator<Item = Row<N>>) -> String {
    let rows: Vec<[String; N]> = std::iter::once(heads.map(str::to_owned)).chain(rows.map(|row| row.0)).collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut table = String::new();
    for row in &rows {
        let mut line = String::from(" ");
        for (width, cell) in widths.iter().zip(row) {
            // Writing into a String cannot fail.
            let _ = write!(line, " {cell:<width$} ");
        }
        let _ = writeln!(table, "{}", line.trim_end());
    }
    table
}

const NO_BROKER: &str = "this gateway has no `[broker]`, so nobody agrees to anything here";
/// LIMIT: revocations that are shown at once.
pub(crate) const SHOWN_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_columns_and_hides_nothing() {
        let row = Object::new().text("a", "x\ny\u{1b}").unsigned("b", 7).finish();
        let table = table(["FIRST", "SECOND"], std::iter::once(Row::of(&row, ["a", "b"])));
        assert_eq!(table, "  FIRST      SECOND\n  x y\\u{1b}  7\n");
    }
}
