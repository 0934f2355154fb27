//! Streams of legacy servers that break off, and are taken up again (HT-09, HT-13).

use std::sync::Mutex;
use std::time::Duration;

use sekisho_wire::message::Meta;
use tokio::time::Instant;

use super::site::{Listening, Reply, Seen};
use super::support::*;
use crate::ask::Heard;
use crate::error::Fault;
use crate::link::Link;

/// A server that begins a stream with `begun`, and gives the rest as `rest` says, once for each time it is asked.
async fn breaking(
    begun: &'static str,
    rest: impl Fn(usize, &Seen, &str) -> Reply + Send + Sync + 'static,
) -> Listening {
    let asked = Mutex::new((0, String::new()));
    Listening::start(move |seen| {
        if let Some(reply) = seen.handshake("s") {
            return reply;
        }
        let mut asked = asked.lock().unwrap();
        match seen.verb.as_str() {
            "POST" => {
                asked.1 = seen.text("done");
                Reply::stream(begun)
            }
            _ => {
                asked.0 += 1;
                rest(asked.0, seen, &asked.1)
            }
        }
    })
    .await
}

async fn answered(link: &Link, time: Duration) -> Result<String, Fault> {
    start_by(link, "echo", &Meta::default(), Instant::now() + time).await?.answer().await.map(words)
}

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_call_whose_stream_breaks_off_goes_on_behind_the_last_event_that_was_heard() {
    let ground = Ground::new();
    let site = breaking("id: a-1\nretry: 150\ndata: \n\n", |time, _, answer| match time {
        1 => Reply::stream("id: b 2\ndata: \n\n"),
        2 => Reply::status(503),
        _ => Reply::stream(&format!("id: c\ndata: {answer}\n\n")),
    })
    .await;
    let link = legacy(&site.way(&ground)).await;
    let began = Instant::now();
    assert_eq!(answered(&link, SOON).await.unwrap(), "done");
    assert!(
        began.elapsed() >= Duration::from_millis(450),
        "the server is left alone as it wants: {:?}",
        began.elapsed()
    );
    let gets: Vec<_> = site.seen().into_iter().filter(|seen| seen.verb == "GET").collect();
    assert_eq!(gets.iter().map(|seen| seen.header("last-event-id")).collect::<Vec<_>>(), ["a-1", "b 2", "b 2"]);
    for (name, value) in [
        ("mcp-session-id", "s"),
        ("accept", "text/event-stream"),
        ("mcp-protocol-version", "2025-11-25"),
        ("x-api-key", "s3cret"),
    ] {
        assert!(gets.iter().all(|seen| seen.header(name) == value), "{name}");
    }
    assert!(!site.methods().iter().any(|method| method.contains("cancelled")), "it was answered");
    assert_eq!(site.methods().iter().filter(|method| *method == "POST tools/call").count(), 1, "asked once");
}

#[tokio::test]
async fn a_stream_without_ids_or_that_is_not_given_again_ends_the_exchange_and_nothing_is_sent_twice() {
    let ground = Ground::new();
    let of_a_server = |begun, status| breaking(begun, move |_, _, _| Reply::status(status));
    for (begun, status, gets) in [
        ("data: \n\n", 200, 0),
        ("id: a\ndata: \n\nid: \ndata: \n\n", 200, 0),
        ("id: a\nretry: 100\ndata: \n\n", 405, 1),
        // The session is gone; that is no sign that the call was not done.
        ("id: a\nretry: 100\ndata: \n\n", 404, 1),
        ("id: a\nretry: 100\ndata: \n\n", 401, 1),
    ] {
        let site = of_a_server(begun, status).await;
        let link = legacy(&site.way(&ground)).await;
        let fault = answered(&link, SOON).await.unwrap_err();
        assert!(matches!(fault, Fault::Ended(_)), "{begun:?} {status}: {fault:?}");
        assert_eq!(site.seen().iter().filter(|seen| seen.verb == "GET").count(), gets, "{begun:?} {status}");
        assert_eq!(site.methods().iter().filter(|method| *method == "POST tools/call").count(), 1);
    }
}

#[tokio::test]
async fn tries_are_bounded_by_the_time_of_the_call_and_in_number() {
    let ground = Ground::new();
    let site = breaking("id: a\nretry: 0\ndata: \n\n", |_, _, _| Reply::stream("id: a\ndata: \n\n")).await;
    let link = legacy(&site.way(&ground)).await;
    assert!(matches!(answered(&link, Duration::from_millis(350)).await, Err(Fault::TimedOut(_))));
    let gets = |site: &Listening| site.seen().iter().filter(|seen| seen.verb == "GET").count();
    assert!((1..=3).contains(&gets(&site)), "at most each 100 ms: {}", gets(&site));
    let before = gets(&site);
    assert!(matches!(answered(&link, SOON).await, Err(Fault::Ended(_))));
    assert_eq!(gets(&site) - before, 20);
}

#[tokio::test]
async fn the_stream_of_a_session_is_taken_up_behind_the_last_event_too() {
    let ground = Ground::new();
    let changed = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
    let site = Listening::start(move |seen| match (seen.handshake("s"), seen.header("last-event-id")) {
        (Some(reply), _) => reply,
        (None, "") => Reply::stream(&format!("id: 7\nretry: 100\ndata: {changed}\n\n")),
        (None, _) => Reply::stream(&format!("data: {changed}\n\n")).hold(),
    })
    .await;
    let link = legacy(&site.way(&ground)).await;
    let mut flight = link.listen(soon()).await.unwrap();
    for _ in 0..2 {
        assert!(matches!(flight.next().await, Ok(Heard::Told(_))));
    }
    assert_eq!(site.seen().pop().unwrap().header("last-event-id"), "7");
}

#[tokio::test]
async fn a_server_that_knows_no_get_keeps_its_session() {
    let ground = Ground::new();
    let site = Listening::start(|seen| match (seen.handshake("s"), seen.verb.as_str()) {
        (Some(reply), _) => reply,
        (None, "GET") => Reply::status(404),
        (None, _) => Reply::json(200, &seen.text("hi")),
    })
    .await;
    let link = legacy(&site.way(&ground)).await;
    assert!(matches!(link.listen(soon()).await.map(drop), Err(Fault::WrongEra(_))));
    assert!(!link.is_over());
    assert_eq!(call(&link, "echo").await, "hi");
}
