//! Through the real rooms: what `open` takes is made nowhere else.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use sekisho_audit::{Event, EventKind, Outcome, Recorded};
use sekisho_catalog::Addressed;
use sekisho_flow::Flow;
use sekisho_guard::{Cleared, Guard};
use sekisho_identity::Authenticated;
use sekisho_limits::{Limits, OverLimit};
use sekisho_policy::{Authorized, Decision, Policy};
use sekisho_wire::{Answer, Endpoint, Era, FromServer, Inbound, ListKind, ServerId, Trace};

use super::rooms::House;
use super::site::{Listening, Reply};
use super::support::words;
use crate::error::SendError;
use crate::trail::{Ended, Hop, Tell, Trail};

const ONE: &str = "[servers.one]\ncommand = ['python3', 'SCRIPT', 'both']\n";
const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

fn id(name: &str) -> ServerId {
    ServerId::parse(name).unwrap()
}

struct Corridor {
    limits: Limits,
    guard: Guard,
    policy: Policy,
}

impl Corridor {
    fn new() -> Corridor {
        Corridor::under("permit (principal, action, resource);")
    }

    fn under(policy: &str) -> Corridor {
        let limits = sekisho_limits::Config { concurrent_max: 1, ..sekisho_limits::Config::default() };
        Corridor {
            limits: Limits::new(&limits, None).unwrap(),
            guard: Guard::new(&sekisho_guard::Config::default()),
            policy: Policy::parse(&[("all.cedar", policy)]).unwrap(),
        }
    }

    async fn walk(&self, house: &House, m: Authenticated<Inbound>) -> Result<Recorded<Cleared<Authorized>>, OverLimit> {
        self.walk_on(house, house.catalog.address(m, SystemTime::now()).map_err(|refused| refused.0).unwrap()).await
    }

    /// The rest of the way.
    async fn walk_on(&self, house: &House, addressed: Addressed) -> Result<Recorded<Cleared<Authorized>>, OverLimit> {
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

/// The list that the gateway asks for in place of a message.
fn listing(house: &House, of: &Authenticated<Inbound>, server: &str) -> Addressed {
    let listing = of.to_list(ListKind::Tools);
    house.catalog.address_at(listing, &id(server)).map_err(|refused| refused.0).unwrap()
}

/// The gateway's own listing, so that tools can be addressed.
async fn learn(house: &House, corridor: &Corridor) {
    let listing = listing(house, &call(house, "echo").await, "one");
    let recorded = corridor.walk_on(house, listing).await.unwrap();
    let items = house.upstream.list(recorded, Trail::default()).await.unwrap();
    assert_eq!(house.catalog.learn(Era::Modern, &items, SystemTime::now()).len(), 3);
}

#[tokio::test]
async fn a_permitted_call_reaches_the_server_under_its_own_name_and_holds_its_place_until_it_ends() {
    let (house, corridor) = (House::new(ONE), Corridor::new());
    learn(&house, &corridor).await;
    let recorded = corridor.walk(&house, call(&house, "echo").await).await.unwrap();
    let mut exchange = house.upstream.open(recorded, Trail::default()).await.unwrap();
    let Some(Ok(FromServer::End(answer))) = exchange.next().await else { panic!("an end") };
    assert_eq!(words(answer), r#"{"n": 1.5}"#);
    assert!(exchange.next().await.is_none());

    let full = corridor.walk(&house, call(&house, "echo").await).await.err();
    assert_eq!(full, Some(OverLimit::Concurrency { concurrent_max: 1 }), "the exchange holds the permit");
    drop(exchange);
    assert!(corridor.walk(&house, call(&house, "echo").await).await.is_ok());
    house.upstream.shutdown().await;
}

/// A trail that writes down how each question ended.
fn watched() -> (Trail, Arc<Mutex<Vec<Ended>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = heard.clone();
    let trace = Trace::parse("00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01");
    let tell: Tell = Arc::new(move |hop: &Hop<'_>| {
        assert_eq!((hop.server.as_str(), hop.parent), ("one", trace.map(|trace| trace.span)));
        assert!(hop.trace.is_some_and(|own| Some(own.id) == trace.map(|t| t.id) && Some(own.span) != hop.parent));
        hears.lock().unwrap().push(hop.ended);
    });
    (Trail { trace, state: None, tell: Some(tell) }, heard)
}

#[tokio::test]
async fn each_question_to_a_server_is_told_once_however_it_ends() {
    let (house, corridor) = (House::new(ONE), Corridor::new());
    learn(&house, &corridor).await;
    let (trail, heard) = watched();
    let recorded = corridor.walk(&house, call(&house, "echo").await).await.unwrap();
    let mut exchange = house.upstream.open(recorded, trail.clone()).await.unwrap();
    assert!(matches!(exchange.next().await, Some(Ok(FromServer::End(_)))));
    drop(exchange);
    let recorded = corridor.walk(&house, call(&house, "echo").await).await.unwrap();
    drop(house.upstream.open(recorded, trail).await.unwrap());
    assert_eq!(*heard.lock().unwrap(), [Ended::Answered, Ended::Left]);

    let absent = House::new("[servers.one]\ncommand = ['/nonexistent/x']\n");
    let (trail, heard) = watched();
    let recorded = corridor.walk(&absent, list(&absent).await).await.unwrap();
    assert!(absent.upstream.open(recorded, trail).await.unwrap().next().await.is_some());
    assert_eq!(*heard.lock().unwrap(), [Ended::Trouble("unreachable")]);
    house.upstream.shutdown().await;
    absent.upstream.shutdown().await;
}

#[tokio::test]
async fn a_list_at_the_door_of_all_is_one_page_and_at_the_door_of_one_its_failure_is_the_answer() {
    let (house, corridor) = (House::new("[servers.one]\ncommand = ['/nonexistent/x']\n"), Corridor::new());
    let list = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{{META}}}}}"#);
    let recorded = corridor.walk(&house, house.caller("ann", &list, None).await).await.unwrap();
    let mut exchange = house.upstream.open(recorded, Trail::default()).await.unwrap();
    let Some(Ok(FromServer::Page(items))) = exchange.next().await else { panic!("a page") };
    assert_eq!((items.entries.len(), items.missing.len()), (0, 1));
    assert!(exchange.next().await.is_none());
    drop(exchange);

    let door = Endpoint::One(id("one"));
    let recorded = corridor.walk(&house, house.caller_at(&door, "ann", &list, None).await).await.unwrap();
    assert!(matches!(house.upstream.open(recorded, Trail::default()).await.err(), Some(SendError::Unreachable(_))));
    house.upstream.shutdown().await;
}

#[tokio::test]
async fn a_message_for_no_server_goes_to_none() {
    let (house, corridor) = (House::new(ONE), Corridor::new());
    let ping = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{{{META}}}}}"#);
    let recorded = corridor.walk(&house, house.caller("ann", &ping, None).await).await.unwrap();
    let mut exchange = house.upstream.open(recorded, Trail::default()).await.unwrap();
    let Some(Ok(FromServer::End(Answer::Error(error)))) = exchange.next().await else { panic!("an error") };
    assert_eq!(error.code, -32601);
    assert_eq!(house.upstream.status().remove(0).connections, 0);
    house.upstream.shutdown().await;
}

async fn list(house: &House) -> Authenticated<Inbound> {
    let list = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{{META}}}}}"#);
    house.caller("ann", &list, None).await
}

/// A modern server with one tool; `stalls`, and it never lists it.
async fn site(stalls: bool) -> Listening {
    Listening::start(move |seen| match seen.method().as_str() {
        "tools/list" if stalls => Reply::json(200, "{").hold(),
        "tools/list" => seen.result(r#"{"tools":[{"name":"echo","inputSchema":{"type":"object"}}]}"#),
        _ => seen.result(r#"{"supportedVersions":["2026-07-28"],"capabilities":{}}"#),
    })
    .await
}

fn lists(site: &Listening) -> usize {
    site.methods().iter().filter(|method| *method == "POST tools/list").count()
}

#[tokio::test]
async fn a_server_whose_list_is_withheld_is_neither_asked_nor_named_and_the_others_are() {
    let (shown, withheld) = (site(false).await, site(false).await);
    let house = House::new(&format!("[servers.a]\nurl = '{}'\n[servers.b]\nurl = '{}'\n", shown.url, withheld.url));
    let corridor = Corridor::under(
        "permit (principal, action, resource);\n\
         forbid (principal, action == Sekisho::Action::\"tools/list\", resource == Sekisho::Server::\"b\");",
    );
    let recorded = corridor.walk(&house, list(&house).await).await.unwrap();
    let mut exchange = house.upstream.open(recorded, Trail::default()).await.unwrap();
    let Some(Ok(FromServer::Page(items))) = exchange.next().await else { panic!("a page") };
    let servers: Vec<&str> = items.entries.iter().map(|item| item.server.as_str()).collect();
    assert_eq!((servers, items.missing.len()), (vec!["a"], 0));
    assert_eq!((lists(&shown), lists(&withheld)), (1, 0));
    house.upstream.shutdown().await;
}

#[tokio::test]
async fn a_listing_is_a_list_of_one_server_from_its_beginning_and_nothing_else() {
    let (a, b) = (site(false).await, site(false).await);
    let house = House::new(&format!("[servers.a]\nurl = '{}'\n[servers.b]\nurl = '{}'\n", a.url, b.url));
    let corridor = Corridor::new();
    let discover = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{{{META}}}}}"#);
    for (m, names) in [(list(&house).await, Some("a")), (house.caller("ann", &discover, None).await, None)] {
        let refused = house.upstream.list(corridor.walk(&house, m).await.unwrap(), Trail::default()).await.unwrap_err();
        assert!(refused.to_string().contains("no list of one server"), "{refused}");
        assert_eq!(refused.trouble().server().map(ServerId::as_str), names);
    }
    let listing = listing(&house, &list(&house).await, "b");
    let items = house.upstream.list(corridor.walk_on(&house, listing).await.unwrap(), Trail::default()).await.unwrap();
    assert_eq!(items.entries.len(), 1);
    assert_eq!((lists(&a), lists(&b)), (0, 1));
    house.upstream.shutdown().await;
}

#[tokio::test]
async fn a_listing_holds_its_permits_until_it_ends() {
    let stalled = site(true).await;
    let (house, corridor) = (House::new(&format!("[servers.one]\nurl = '{}'\n", stalled.url)), Corridor::new());
    let of = list(&house).await;
    let recorded = corridor.walk_on(&house, listing(&house, &of, "one")).await.unwrap();
    let mut under_way = Box::pin(house.upstream.list(recorded, Trail::default()));
    let asked = async {
        while lists(&stalled) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        ended = &mut under_way => panic!("it stalls: {ended:?}"),
        () = asked => {}
    }
    let full = corridor.walk_on(&house, listing(&house, &of, "one")).await.err();
    assert_eq!(full, Some(OverLimit::Concurrency { concurrent_max: 1 }));
    drop(under_way);
    assert!(corridor.walk_on(&house, listing(&house, &of, "one")).await.is_ok());
    house.upstream.shutdown().await;
}

#[tokio::test]
async fn what_was_decided_for_a_server_as_it_was_before_goes_nowhere() {
    let site = site(false).await;
    let with = |idle: u32| format!("[servers.one]\nurl = '{}'\nidle_seconds = {idle}\n", site.url);
    let (mut house, corridor) = (House::new(&with(60)), Corridor::new());
    let recorded = corridor.walk_on(&house, listing(&house, &list(&house).await, "one")).await.unwrap();
    let found = house.catalog.learn(
        Era::Modern,
        &house.upstream.list(recorded, Trail::default()).await.unwrap(),
        SystemTime::now(),
    );
    assert_eq!(found.len(), 1);
    let (echo, listed) = (call(&house, "echo").await, list(&house).await);
    let echo = corridor.walk(&house, echo).await.unwrap();
    house.reload(&with(60)).unwrap();
    assert!(house.upstream.open(echo, Trail::default()).await.is_ok(), "nothing has changed");

    let listed = corridor.walk(&house, listed).await.unwrap();
    house.reload(&with(61)).unwrap();
    let mut exchange = house.upstream.open(listed, Trail::default()).await.unwrap();
    let Some(Ok(FromServer::Page(items))) = exchange.next().await else { panic!("a page") };
    assert_eq!(&*items.missing[0].1, "its configuration has just changed");
    drop(exchange);

    let echo = corridor.walk(&house, call(&house, "echo").await).await.unwrap();
    house.reload(&with(62)).unwrap();
    let refused = house.upstream.open(echo, Trail::default()).await.err();
    let changed = |error: &SendError| error.trouble().why() == "its configuration has just changed";
    assert!(matches!(&refused, Some(error @ SendError::Unreachable(_)) if changed(error)), "{refused:?}");
    house.upstream.shutdown().await;
}
