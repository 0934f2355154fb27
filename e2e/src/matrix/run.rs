//! One pair, verb by verb.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::At;
use super::expect::Ask;
use super::{Client, Server, Verb, Yard};
use crate::client::Era;

/// What came of a verb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// It works.
    Works,
    /// Client and server share no era, and the client was told so.
    Refused,
    /// One of the two cannot do it, for this reason.
    Lacks(&'static str),
    /// It fails, and should not.
    Fails(String),
}

/// What came of a pair.
#[derive(Debug)]
pub struct Row {
    /// The client.
    pub client: &'static str,
    /// The server.
    pub server: &'static str,
    /// The era in which they speak, if they share one.
    pub era: Option<Era>,
    /// What came of each verb.
    pub cells: Vec<(Verb, Cell)>,
    /// How long it took.
    pub time: Duration,
}

impl Row {
    /// What fails and should not.
    pub fn failures(&self) -> impl Iterator<Item = String> {
        self.cells.iter().filter_map(|(verb, cell)| match cell {
            Cell::Fails(why) => Some(format!("{} - {}: {}: {why}", self.client, self.server, verb.name())),
            Cell::Works | Cell::Refused | Cell::Lacks(_) => None,
        })
    }
}

/// Tries everything that this client and this server both have.
#[must_use]
pub fn run(yard: &Yard, client: &Client, server: &Server) -> Row {
    let start = Instant::now();
    let era = client.era(server.eras);
    let cells = match era {
        Some(era) => shared(yard, client, server, era),
        None => vec![(Verb::List, refused(yard, client, server))],
    };
    Row { client: client.name, server: server.name, era, cells, time: start.elapsed() }
}

fn shared(yard: &Yard, client: &Client, server: &Server, era: Era) -> Vec<(Verb, Cell)> {
    let asks = Verb::ALL.map(|verb| {
        let lacks = client.lacks(verb, era).map_or(Ok(()), Err);
        (verb, lacks.and_then(|()| server.ask(verb, era, yard.ground())))
    });
    let endpoint = yard.gateway().endpoint(server.name);
    let at_once = asks.iter().filter(|(verb, _)| *verb != Verb::Resume);
    let steps: Vec<&Value> = at_once.filter_map(|(_, ask)| Some(&ask.as_ref().ok()?.step)).collect();
    let report = work(yard, client, server, &endpoint, &steps);
    let mut done = report.get("done").and_then(Value::as_array).cloned().unwrap_or_default().into_iter();
    let version = check_version(client, era, &report);
    let judge = |(verb, ask): (Verb, Result<Ask, &'static str>)| {
        let cell = match ask {
            Err(why) => Cell::Lacks(why),
            Ok(ask) if verb == Verb::Resume => resume(yard, client, server, &ask),
            Ok(ask) => {
                let came = done.next().map_or_else(
                    || Err(format!("nothing came of it: {report}")),
                    |done| client.check(&ask.expect, &done),
                );
                verdict(version.clone().and(came))
            }
        };
        (verb, cell)
    };
    asks.into_iter().map(judge).collect()
}

/// The same call behind a relay that breaks off.
fn resume(yard: &Yard, client: &Client, server: &Server, ask: &Ask) -> Cell {
    yard.breaker().arm();
    let report = work(yard, client, server, &yard.breakable(server), &[&ask.step]);
    let Some(done) = report.pointer("/done/0") else { return Cell::Fails(format!("nothing came of it: {report}")) };
    let resumed = if yard.breaker().was_resumed() { Ok(()) } else { Err("no stream was taken up again".to_owned()) };
    verdict(resumed.and_then(|()| ask.expect.check(done)))
}

/// A client and a server that share no era: the client has to be told, one way or another.
fn refused(yard: &Yard, client: &Client, server: &Server) -> Cell {
    let step = json!({"do": "list", "of": ["tools"]});
    let report = work(yard, client, server, &yard.gateway().endpoint(server.name), &[&step]);
    let was_told = [report.pointer("/failed"), report.pointer("/done/0/refused"), report.pointer("/done/0/tools")];
    let is_refused = was_told.into_iter().flatten().any(Value::is_string);
    if is_refused { Cell::Refused } else { Cell::Fails(format!("expected a refusal, not {report}")) }
}

/// What the client reports; what goes wrong before that is no answer to any step.
fn work(yard: &Yard, client: &Client, server: &Server, url: &str, steps: &[&Value]) -> Value {
    let subject = client.name.replace(' ', "-");
    let at = if client.is_over_stdio() {
        yard.command(server).map(|command| At::Stdio { command })
    } else {
        let token = yard.gateway().token(&subject, &yard.gateway().endpoint(server.name));
        token.map(|token| At::Http { url: url.to_owned(), token })
    };
    at.and_then(|at| client.work(&at, steps)).unwrap_or_else(|error| json!({"broken": format!("{error:#}")}))
}

fn check_version(client: &Client, era: Era, report: &Value) -> Result<(), String> {
    if !client.says_version() || report["version"] == era.version() {
        return Ok(());
    }
    Err(format!("expected revision {}: {report}", era.version()))
}

fn verdict(result: Result<(), String>) -> Cell {
    match result {
        Ok(()) => Cell::Works,
        Err(why) => Cell::Fails(why),
    }
}
