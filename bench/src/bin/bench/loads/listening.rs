//! Streams that stay open, and others that come and go beside them: whether memory and descriptors grow with how many there were.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use sekisho_bench::load::Tokens;
use sekisho_bench::site::Stand;
use sekisho_bench::usage;
use sekisho_e2e::client::{Client, Era};
use sekisho_e2e::raw::Stream;
use serde_json::{Value, json};

use crate::compare::{Results, Turn, row};
use crate::options::Options;
use crate::table::single;

/// Opens as many streams as are to be open at once, and replaces half of them again and again. `at`: the variants under which it is
/// looked at what is in use, behind the first tenth, half, and all.
pub(super) fn churn(
    options: &Options,
    stand: &Stand,
    (load, at): (&'static str, [String; 3]),
    results: &mut Results,
) -> anyhow::Result<()> {
    let (open, rounds) = if options.short { (32, 10) } else { (OPEN, ROUNDS) };
    let mut turn = Turn::new(options, stand, "")?;
    let mut streams = VecDeque::with_capacity(open);
    let [first, middle, last] = at;
    for round in 1..=rounds {
        streams.drain(..streams.len() / 2);
        while streams.len() < open {
            streams.push_back(listen(stand, &turn.plan.tokens, streams.len())?);
        }
        let variant = match round {
            round if round == rounds / 10 => &first,
            round if round == rounds / 2 => &middle,
            round if round == rounds => &last,
            _ => continue,
        };
        // Whoever has left is noticed in a moment.
        std::thread::sleep(SETTLE);
        turn.variant.clone_from(variant);
        results.add(row(load, &turn, single(Duration::ZERO, usage::of(&stand.target.pids))))?;
        stand.forget()?;
    }
    Ok(())
}

/// One stream that has begun.
fn listen(stand: &Stand, tokens: &Tokens, number: usize) -> anyhow::Result<Stream> {
    let (Tokens::PerConnection(tokens) | Tokens::PerCall(tokens)) = tokens;
    let token = tokens.get(number % tokens.len().max(1)).context("there is no token")?;
    let path = stand.target.paths.first().context("there is no endpoint")?;
    let url = format!("http://{}{path}", stand.target.authority);
    let mut client = Client::new(&url, Some(token), Era::Modern)?;
    let wanted = json!({"notifications": {"toolsListChanged": true}});
    let mut stream = client.open("subscriptions/listen", wanted)?;
    let begun = stream.message()?.context("the stream ended")?;
    let method = begun.get("method").and_then(Value::as_str);
    ensure!(method == Some("notifications/subscriptions/acknowledged"), "no stream: {begun}");
    Ok(stream)
}

/// Streams that are open at once.
const OPEN: usize = 1000;
/// How often half of them are replaced.
const ROUNDS: usize = 40;
const SETTLE: Duration = Duration::from_millis(1500);
