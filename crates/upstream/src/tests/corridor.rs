//! Through the real rooms: what `open` takes is made nowhere else.

use std::time::SystemTime;

use sekisho_audit::{Event, EventKind, Outcome, Recorded};
use sekisho_flow::Flow;
use sekisho_guard::{Cleared, Guard};
use sekisho_identity::Authenticated;
use sekisho_limits::{Limits, OverLimit};
use sekisho_policy::{Authorized, Decision, Policy};
use sekisho_wire::{Answer, Endpoint, Era, FromServer, Inbound, ListKind, ServerId};

use super::rooms::House;
use super::support::words;
use crate::error::SendError;

const ONE: &str = "[servers.one]\ncommand = ['python3', 'SCRIPT', 'both']\n";
const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

struct Corridor {
    limits: Limits,
    guard: Guard,
    policy: Policy,
}

impl Corridor {
    fn new() -> Corridor {
        let limits = sekisho_limits::Config { concurrent_max: 1, ..sekisho_limits::Config::default() };
        Corridor {
            limits: Limits::new(&limits, None).unwrap(),
            guard: Guard::new(&sekisho_guard::Config::default()),
            policy: Policy::parse(&[("all.cedar", "permit (principal, action, resource);")]).unwrap(),
        }
    }

    async fn walk(&self, house: &House, m: Authenticated<Inbound>) -> Result<Recorded<Cleared<Authorized>>, OverLimit> {
        let addressed = house.catalog.address(m).map_err(|refused| refused.0).unwrap();
        let inspected = self.guard.inspect(self.limits.admit(addressed)?);
        let Decision::Permit(authorized) = self.policy.decide(Flow.label(inspected), SystemTime::now()) else {
            panic!("everything is permitted");
        };
        let cleared = self.guard.clear(authorized).unwrap();
        Ok(house.ground.audit.record(Event::new(EventKind::Decision, Outcome::Permit), cleared).await.unwrap())
    }
}

async fn call(house: &House, tool: &str) -> Authenticated<Inbound> {
    let params = format!(r#"{{"name":"one__{tool}","arguments":{{"n":1.50}},{META}}}"#);
    house.caller("ann", &format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#), None).await
}

/// The gateway's own listing, so that tools can be addressed.
async fn learn(house: &House) {
    let ann = house.modern("ann").await;
    let items = house.upstream.list(house.server("one"), ListKind::Tools, &ann).await.unwrap();
    assert_eq!(house.catalog.learn(Era::Modern, &items).len(), 3);
}

#[tokio::test]
async fn a_permitted_call_reaches_the_server_under_its_own_name_and_holds_its_place_until_it_ends() {
    let (house, corridor) = (House::new(ONE), Corridor::new());
    learn(&house).await;
    let recorded = corridor.walk(&house, call(&house, "echo").await).await.unwrap();
    let mut exchange = house.upstream.open(recorded).await.unwrap();
    let Some(Ok(FromServer::End(answer))) = exchange.next().await else { panic!("an end") };
    assert_eq!(words(answer), r#"{"n": 1.5}"#);
    assert!(exchange.next().await.is_none());

    let full = corridor.walk(&house, call(&house, "echo").await).await.err();
    assert_eq!(full, Some(OverLimit::Concurrency { concurrent_max: 1 }), "the exchange holds the permit");
    drop(exchange);
    assert!(corridor.walk(&house, call(&house, "echo").await).await.is_ok());
    house.upstream.shutdown().await;
}

#[tokio::test]
async fn a_list_at_the_door_of_all_is_one_page_and_at_the_door_of_one_its_failure_is_the_answer() {
    let (house, corridor) = (House::new("[servers.one]\ncommand = ['/nonexistent/x']\n"), Corridor::new());
    let list = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{{META}}}}}"#);
    let recorded = corridor.walk(&house, house.caller("ann", &list, None).await).await.unwrap();
    let mut exchange = house.upstream.open(recorded).await.unwrap();
    let Some(Ok(FromServer::Page(items))) = exchange.next().await else { panic!("a page") };
    assert_eq!((items.entries.len(), items.missing.len()), (0, 1));
    assert!(exchange.next().await.is_none());
    drop(exchange);

    let door = Endpoint::One(ServerId::parse("one").unwrap());
    let recorded = corridor.walk(&house, house.caller_at(&door, "ann", &list, None).await).await.unwrap();
    assert!(matches!(house.upstream.open(recorded).await.err(), Some(SendError::Unreachable(_))));
    house.upstream.shutdown().await;
}

#[tokio::test]
async fn a_message_for_no_server_goes_to_none() {
    let (house, corridor) = (House::new(ONE), Corridor::new());
    let ping = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{{{META}}}}}"#);
    let recorded = corridor.walk(&house, house.caller("ann", &ping, None).await).await.unwrap();
    let mut exchange = house.upstream.open(recorded).await.unwrap();
    let Some(Ok(FromServer::End(Answer::Error(error)))) = exchange.next().await else { panic!("an error") };
    assert_eq!(error.code, -32601);
    assert_eq!(house.upstream.status().remove(0).connections, 0);
    house.upstream.shutdown().await;
}
