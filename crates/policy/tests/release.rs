//! The rules of the way back.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not as expected")]

mod support;

use proptest::prelude::*;
use sekisho_policy::ForbidReason;
use sekisho_wire::message::Inbound;
use sekisho_wire::server::{AskedOn, ServerNotice, ServerNoticeKind, ServerRequest};
use sekisho_wire::{Answer, Endpoint, FromServer, Id, InputRequired, ListKind, RpcError, ServerId, input};
use serde_json::{Value, json};
use support::{World, alice, item, offers, one, policy, who, wire};

const CONNECT: &str = r#"permit(principal, action in Sekisho::Action::"connect", resource);"#;

#[test]
fn a_list_shows_what_a_call_could_reach_and_nothing_else() {
    let world = World::new();
    let text = format!(
        r#"{CONNECT}
        permit(principal, action == Sekisho::Action::"tools/call", resource in Sekisho::Server::"notes");
        permit(principal, action == Sekisho::Action::"tools/call", resource == Sekisho::Tool::"files/read_file")
        when {{ context.text.hasTag("path") && context.text.getTag("path") like "/srv/*" }};
        permit(principal, action == Sekisho::Action::"tools/call", resource == Sekisho::Tool::"files/write_file")
        when {{ context.text.hasTag("path") && principal.groups.contains("editors") }};
        forbid(principal, action, resource == Sekisho::Tool::"notes/delete_note") unless {{ principal.groups.contains("editors") }};"#
    );
    let policy = policy(&text);
    let shown = world.shown(&policy, &alice(), ListKind::Tools).unwrap();
    assert_eq!(shown, ["files/read_file", "notes/add_note", "notes/typed"]);
    let editor = who("bob", json!({"groups": ["editors"]}));
    let shown = world.shown(&policy, &editor, ListKind::Tools).unwrap();
    assert_eq!(shown, ["files/read_file", "files/write_file", "notes/add_note", "notes/delete_note", "notes/typed"]);
}

#[test]
fn what_is_withheld_is_named_with_its_reason() {
    let world = World::new();
    let text = format!(
        r#"{CONNECT} permit(principal, action, resource in Sekisho::Server::"files");
        forbid(principal, action == Sekisho::Action::"tools/list", resource == Sekisho::Server::"bank");
        forbid(principal, action, resource == Sekisho::Tool::"files/write_file") when {{ context.number.hasTag("n") || true }};"#
    );
    let policy = policy(&text);
    let list = world.modern(&alice(), &Endpoint::All, "tools/list", json!({}));
    let authorized = world.decide(&policy, list).unwrap_or_else(|no| panic!("{no:?}"));
    let released = world.release(&policy, &authorized, FromServer::Page(offers(ListKind::Tools))).unwrap();
    let withheld: Vec<(&str, String)> =
        released.withheld().iter().map(|(at, why)| (&**at, format!("{why:?}"))).collect();
    let named: Vec<(&str, &str)> = withheld.iter().map(|(at, why)| (*at, why.split('(').next().unwrap())).collect();
    assert_eq!(
        named,
        [
            ("files/write_file", "Forbidden"),
            ("files/remote", "ToolUnusable"),
            ("notes/add_note", "NoPermit"),
            ("notes/delete_note", "NoPermit"),
            ("notes/typed", "NoPermit"),
            ("bank/pay", "Forbidden"),
        ]
    );
}

#[test]
fn items_of_a_server_that_was_not_asked_for_are_withheld() {
    let world = World::new();
    let all = policy("permit(principal, action, resource);");
    let list = world.modern(&alice(), &one("notes"), "tools/list", json!({}));
    let authorized = world.decide(&all, list).unwrap_or_else(|no| panic!("{no:?}"));
    let released = world.release(&all, &authorized, FromServer::Page(offers(ListKind::Tools))).unwrap();
    let FromServer::Page(items) = released.message() else { panic!("a page") };
    assert!(items.entries.iter().all(|item| item.server.as_str() == "notes"));
    assert_eq!(items.entries.len(), 3);
    let call = world.call(&all, &alice(), "notes__add_note", json!({})).unwrap_or_else(|no| panic!("{no:?}"));
    let released = world.release(&all, &call, FromServer::Page(offers(ListKind::Tools))).unwrap();
    assert!(matches!(released.message(), FromServer::Page(items) if items.entries.is_empty()));
}

#[test]
fn resources_and_templates_are_shown_by_what_may_be_read() {
    let world = World::new();
    let shown = |rules: &str, kind: ListKind| {
        world.shown(&policy(&format!("{CONNECT} {rules}")), &alice(), kind).unwrap().len()
    };
    let read = r#"action == Sekisho::Action::"resources/read""#;
    let srv = format!(r#"permit(principal, {read}, resource) when {{ resource.uri like "file:///srv/*" }};"#);
    assert_eq!((shown(&srv, ListKind::Resources), shown(&srv, ListKind::Templates)), (2, 1));
    let no_secrets =
        format!(r#"{srv} forbid(principal, {read}, resource) when {{ resource.uri like "*/secrets/*" }};"#);
    assert_eq!((shown(&no_secrets, ListKind::Resources), shown(&no_secrets, ListKind::Templates)), (1, 1));
    let one = format!(r#"permit(principal, {read}, resource == Sekisho::Resource::"files/file:///srv/a.txt");"#);
    assert_eq!((shown(&one, ListKind::Resources), shown(&one, ListKind::Templates)), (1, 1));
    let elsewhere = format!(
        r#"permit(principal, {read}, resource in Sekisho::Server::"notes"); permit(principal, {read}, resource == Sekisho::Resource::"notes/x:y");"#
    );
    assert_eq!((shown(&elsewhere, ListKind::Resources), shown(&elsewhere, ListKind::Templates)), (0, 0));
    let never = format!(r#"{srv} forbid(principal, {read}, resource in Sekisho::Server::"files");"#);
    assert_eq!((shown(&never, ListKind::Resources), shown(&never, ListKind::Templates)), (0, 0));
    let prompts = r#"permit(principal, action == Sekisho::Action::"prompts/get", resource) when { context.text.hasTag("style") };"#;
    assert_eq!((shown(prompts, ListKind::Prompts), shown(&srv, ListKind::Prompts)), (1, 0));
}

#[test]
fn an_answer_that_breaks_its_promise_does_not_go_back() {
    let world = World::new();
    let all = policy("permit(principal, action, resource);");
    let typed = || world.call(&all, &alice(), "notes__typed", json!({"n": 1})).unwrap_or_else(|no| panic!("{no:?}"));
    let end = |result: Value| FromServer::End(Answer::Result(wire(&result)));
    assert!(world.release(&all, &typed(), end(json!({"content": [], "structuredContent": {"sum": 1}}))).is_ok());
    for broken in [json!({"content": []}), json!({"content": [], "structuredContent": {}})] {
        let refused = world.release(&all, &typed(), end(broken)).err();
        assert!(matches!(refused, Some(ForbidReason::Answer(found)) if found.len() == 1));
    }
    assert!(world.release(&all, &typed(), end(json!({"content": [], "isError": true}))).is_ok());
    let error = RpcError { code: -32000, message: "no".into(), data: None };
    assert!(world.release(&all, &typed(), FromServer::End(Answer::Error(error))).is_ok());
}

#[test]
fn a_client_that_declares_nothing_is_asked_nothing_and_notices_pass() {
    let world = World::new();
    let all = policy("permit(principal, action, resource);");
    let call = world.call(&all, &alice(), "notes__add_note", json!({})).unwrap_or_else(|no| panic!("{no:?}"));
    let request = input::request("roots/list", None).unwrap();
    let ask = FromServer::Ask(ServerRequest { id: Id::Integer(1), request: request.clone(), on: AskedOn::default() });
    let park = FromServer::Park(InputRequired { requests: vec![("r".into(), request)], state: None, meta: None });
    assert_eq!(world.release(&all, &call, ask).err(), Some(ForbidReason::NotOffered));
    assert_eq!(world.release(&all, &call, park).err(), Some(ForbidReason::NotOffered));
    let notice = ServerNotice { kind: ServerNoticeKind::Progress, params: wire(&json!({"progressToken": 1})) };
    assert!(
        world.release(&all, &call, FromServer::Notice { server: ServerId::parse("notes").unwrap(), notice }).is_ok()
    );
}

#[test]
fn an_error_that_makes_the_client_open_a_url_does_not_go_back() {
    let world = World::new();
    let all = policy("permit(principal, action, resource);");
    let call = world.call(&all, &alice(), "notes__add_note", json!({})).unwrap_or_else(|no| panic!("{no:?}"));
    let released = |code: i64| {
        let data = json!({"elicitations": [{"mode": "url", "url": "https://evil.example/", "elicitationId": "1"}]});
        let error = RpcError { code, message: "open this".into(), data: Some(wire(&data)) };
        world.release(&all, &call, FromServer::End(Answer::Error(error))).map(|_| ())
    };
    assert_eq!(released(-32042), Err(ForbidReason::NotOffered));
    for code in [-32002, -32041, -32043] {
        assert_eq!(released(code), Ok(()), "{code}");
    }
}

#[test]
fn every_answer_is_obliged_to_show_what_hides() {
    let world = World::new();
    let all = policy("permit(principal, action, resource);");
    let call = world.call(&all, &alice(), "notes__add_note", json!({})).unwrap_or_else(|no| panic!("{no:?}"));
    let hiding = json!({"content": [{"type": "text", "text": "a\u{e0041}b"}]});
    let released = world.release(&all, &call, FromServer::End(Answer::Result(wire(&hiding)))).unwrap();
    let cleared = world.guard.clear_answer(released).unwrap();
    let FromServer::End(Answer::Result(shown)) = cleared.of().message() else { panic!("a result") };
    assert!(shown.as_str().contains(r"a\\u{e0041}b"), "{}", shown.as_str());
}

#[test]
fn the_facts_of_a_request_are_those_of_its_proof() {
    let world = World::new();
    let all = policy("permit(principal, action, resource);");
    let call = world.call(&all, &alice(), "notes__typed", json!({"n": 1})).unwrap_or_else(|no| panic!("{no:?}"));
    let facts = call.facts();
    assert_eq!((facts.method, facts.who.subject(), facts.listed.len()), ("tools/call", "alice", 0));
    assert_eq!(facts.subject.pinned.unwrap().name(), "typed");
    assert!(matches!(call.addressed().message().message(), Inbound::Request(_)));
    let named = world.modern(&alice(), &Endpoint::All, "tools/list", json!({}));
    let facts = world.decide(&all, named).unwrap_or_else(|no| panic!("{no:?}")).facts();
    assert_eq!((facts.listed.len(), facts.subject.pinned.is_none()), (3, true));
    assert_eq!(item("notes", &json!({})).server.as_str(), "notes");
}

/// Conditions over what is known and what is not, nested at random.
fn condition() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("true".to_owned()),
        Just("false".to_owned()),
        Just(r#"principal.groups.contains("editors")"#.to_owned()),
        Just(r#"context.trust == "trusted""#.to_owned()),
        Just(r#"context.time > datetime("2020-01-01")"#.to_owned()),
        Just(r#"resource.name like "*_note""#.to_owned()),
        Just(r#"resource == Sekisho::Tool::"files/read_file""#.to_owned()),
        Just(r#"context.text.hasTag("a")"#.to_owned()),
        Just(r#"context.text.hasTag("a") && context.text.getTag("a") like "x*""#.to_owned()),
        Just(r#"context.number.hasTag("n") && context.number.getTag("n") > 5"#.to_owned()),
        Just(r#"context.number.hasTag("n") && context.number.getTag("n") * 9223372036854775807 > 0"#.to_owned()),
        Just(r#"context.flag.hasTag("f") && context.flag.getTag("f")"#.to_owned()),
        Just(r#"Sekisho::TextArguments::"call".hasTag("a")"#.to_owned()),
        Just(r#"Sekisho::User::"nobody".client == "x""#.to_owned()),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(({a}) && ({b}))")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(({a}) || ({b}))")),
            inner.clone().prop_map(|a| format!("!({a})")),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("(if ({a}) then ({b}) else ({c}))")),
        ]
    })
}

fn rule() -> impl Strategy<Value = String> {
    let effect = prop_oneof![3 => Just("permit"), 1 => Just("forbid")];
    let resource = prop_oneof![
        Just("resource"),
        Just(r#"resource in Sekisho::Server::"notes""#),
        Just(r#"resource == Sekisho::Tool::"files/read_file""#),
    ];
    let clause = prop_oneof![Just("when"), Just("unless")];
    (effect, resource, clause, condition()).prop_map(|(effect, resource, clause, condition)| {
        format!(
            r#"{effect}(principal, action == Sekisho::Action::"tools/call", {resource}) {clause} {{ {condition} }};"#
        )
    })
}

#[test]
fn what_is_not_listed_no_call_reaches() {
    let world = World::new();
    let tools = ["files/read_file", "files/write_file", "notes/add_note", "notes/delete_note", "bank/pay"];
    let arguments = [
        json!({}),
        json!({"a": "x"}),
        json!({"a": "y", "f": true}),
        json!({"n": 6}),
        json!({"n": 1, "a": "xy", "f": false}),
        json!({"n": -3, "f": true}),
        json!({"a": 1}),
    ];
    let of_many_groups = who("carol", json!({"hasgroups": true}));
    let people = [alice(), who("bob", json!({"groups": ["editors"]})), of_many_groups];
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(CASES));
    let strategy = (proptest::collection::vec(rule(), 1..4), 0..people.len());
    let met = std::cell::Cell::new((0_u32, 0_u32));
    runner
        .run(&strategy, |(rules, person)| {
            // Strict validation refuses some of them, such as a literal where a type is expected.
            let text = format!("{CONNECT}\n{}", rules.join("\n"));
            let Ok(policy) = sekisho_policy::Policy::parse(&[("random.cedar", &text)]) else { return Ok(()) };
            let shown = world.shown(&policy, &people[person], ListKind::Tools).unwrap();
            for tool in tools {
                let permitted = arguments
                    .iter()
                    .filter(|arguments| {
                        world
                            .refusal(&policy, &people[person], &tool.replace('/', "__"), (*arguments).clone())
                            .is_none()
                    })
                    .count();
                let listed = shown.contains(&tool.to_owned());
                prop_assert!(listed || permitted == 0, "{tool} is not listed, but can be called\n{text}");
                let (kept, left) = met.get();
                met.set(if listed { (kept + 1, left) } else { (kept, left + 1) });
            }
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    // Both sides were met, or the test says nothing.
    let (kept, left) = met.get();
    assert!(kept > 20 && left > 20, "{kept} listed, {left} not");
}

const CASES: u32 = 200;
