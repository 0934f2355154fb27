//! Which questions of servers are open, to whom, and for how long (legacy).
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use sekisho_catalog::Catalog;
use sekisho_identity::SessionKey;
use sekisho_wire::server::{AskedOn, ServerRequest};
use sekisho_wire::{Endpoint, Id, input};

use support::{Gate, catalog, id};

const MINUTE: Duration = Duration::from_secs(60);
/// How many may be open to one session.
const OPEN_MAX: usize = 32;

fn asked(on: AskedOn) -> ServerRequest {
    ServerRequest { id: Id::Integer(7), request: input::request("roots/list", None).unwrap(), on }
}

fn on(connection: u64, standing: bool) -> AskedOn {
    AskedOn { connection, standing }
}

async fn world() -> (Catalog, SessionKey, SessionKey) {
    let gate = Gate::new(&["notes"]);
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let (a, b) = (gate.legacy("alice", &Endpoint::All, ping).await, gate.legacy("bob", &Endpoint::All, ping).await);
    (catalog(&["notes"]), a.session().unwrap().key(), b.session().unwrap().key())
}

#[tokio::test]
async fn a_question_of_a_connection_outlives_the_exchange_that_heard_it_and_one_of_a_call_does_not() {
    let ((catalog, a, b), server) = (world().await, id("notes"));
    let until = Instant::now() + MINUTE;
    for standing in [true, false] {
        let asking = catalog.ask(a, &server, &asked(on(1, standing)), until).unwrap();
        let ours = asking.id();
        assert!(catalog.asked(a, &ours).is_some() && catalog.asked(b, &ours).is_none());
        assert_eq!(catalog.awaited_until(a, &server, MINUTE), standing.then_some(until));
        drop(asking);
        assert_eq!(catalog.asked(a, &ours).is_some(), standing);
        assert_eq!(catalog.withdraw(a, &server, &Id::Integer(7), 1).is_some(), standing);
        assert_eq!(catalog.awaited_until(a, &server, MINUTE), None);
    }
}

#[tokio::test]
async fn a_question_is_open_until_its_time_has_passed_and_takes_no_room_then() {
    let ((catalog, a, b), server) = (world().await, id("notes"));
    let late = catalog.ask(a, &server, &asked(on(1, true)), Instant::now()).unwrap();
    assert!(!late.is_open() && catalog.asked(a, &late.id()).is_none());
    assert_eq!(catalog.awaited_until(a, &server, MINUTE), None);
    for _ in 0..OPEN_MAX * 2 {
        catalog.ask(a, &server, &asked(on(1, true)), Instant::now()).expect("what expired takes no room");
    }
    let soon = Instant::now() + MINUTE;
    for _ in 0..OPEN_MAX {
        catalog.ask(b, &server, &asked(on(1, true)), soon).unwrap();
    }
    assert!(catalog.ask(b, &server, &asked(on(1, true)), soon).is_err());
    assert!(catalog.ask(a, &server, &asked(on(1, true)), soon).is_ok(), "the other session has its own room");
}

#[tokio::test]
async fn an_answer_leaves_its_server_a_while_and_no_more() {
    let ((catalog, a, _), server) = (world().await, id("notes"));
    let hour = Instant::now() + MINUTE * 60;
    let asking = catalog.ask(a, &server, &asked(on(1, true)), hour).unwrap();
    assert_eq!(catalog.awaited_until(a, &server, MINUTE), Some(hour));
    let question = asking.question().unwrap();
    assert!(question.take() && !question.take());
    let until = catalog.awaited_until(a, &server, MINUTE).unwrap();
    assert!(until <= Instant::now() + MINUTE);
    assert_eq!(catalog.awaited_until(a, &server, Duration::ZERO), None);
}

#[tokio::test]
async fn a_question_is_taken_back_by_its_own_server_on_its_own_connection_and_once() {
    let ((catalog, a, b), server, seven) = (world().await, id("notes"), Id::Integer(7));
    let asking = catalog.ask(a, &server, &asked(on(1, true)), Instant::now() + MINUTE).unwrap();
    assert_eq!(catalog.withdraw(a, &id("other"), &seven, 1), None);
    assert_eq!(catalog.withdraw(b, &server, &seven, 1), None);
    assert_eq!(catalog.withdraw(a, &server, &Id::Integer(8), 1), None);
    assert_eq!(catalog.withdraw(a, &server, &seven, 2), None);
    assert!(asking.is_open());
    assert_eq!(catalog.withdraw(a, &server, &seven, 1), Some(asking.id()));
    assert!(!asking.is_open() && catalog.asked(a, &asking.id()).is_none());
    assert_eq!(catalog.withdraw(a, &server, &seven, 1), None);
}
