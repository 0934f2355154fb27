//! What policies can read of a caller, and groups that nobody knows.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not as expected")]

mod support;

use proptest::prelude::*;
use sekisho_policy::{ForbidReason, Policy};
use sekisho_wire::ListKind;
use serde_json::{Value, json};
use support::{Outcome, Who, World, alice, policy, who, with_certificate};

const TOOL: &str = "notes__add_note";

fn when(condition: &str) -> Policy {
    policy(&format!(
        r#"@id("it") permit(principal, action == Sekisho::Action::"tools/call", resource) when {{ {condition} }};"#
    ))
}

#[test]
fn tenant_kind_login_binding_and_attributes_are_read() {
    let world = World::new();
    let somebody = |claims| who("alice", claims);
    for (condition, caller) in [
        (r#"principal.tenant == "north""#, somebody(json!({"tenant": "north"}))),
        (r#"principal.kind == "application""#, who("agent", json!({}))),
        (r#"principal.acr == "urn:mfa""#, somebody(json!({"acr": "urn:mfa"}))),
        (r#"principal.amr.containsAll(["pwd", "otp"])"#, somebody(json!({"amr": ["pwd", "otp"]}))),
        (r#"principal.acrs.contains("c1")"#, somebody(json!({"acrs": ["c2", "c1"]}))),
        (
            r#"principal has auth_time && principal.auth_time == datetime("2026-01-02T03:04:05Z")"#,
            somebody(json!({"auth_time": 1_767_323_045})),
        ),
        (r#"principal.bound_by.contains("mtls")"#, with_certificate(alice())),
        (r#"principal.hasTag("site") && principal.getTag("site") == "7""#, somebody(json!({"office": {"site": 7}}))),
    ] {
        let policy = when(condition);
        assert_eq!(world.refusal(&policy, &caller, TOOL, json!({})), None, "{condition}");
        assert_eq!(world.refusal(&policy, &alice(), TOOL, json!({})), Some(ForbidReason::NoPermit), "{condition}");
    }
    for (condition, caller) in [
        (r#"principal.kind == "user" && principal.tenant == "" && principal.acr == """#, alice()),
        (r#"!(principal has auth_time) && principal.amr.isEmpty() && principal.bound_by.isEmpty()"#, alice()),
    ] {
        assert_eq!(world.refusal(&when(condition), &caller, TOOL, json!({})), None, "{condition}");
    }
}

#[test]
fn a_mapped_attribute_counts_where_a_claim_has_its_name() {
    let world = World::new();
    let finance = when(r#"principal.hasTag("department") && principal.getTag("department") == "finance""#);
    let refusal = |claims| world.refusal(&finance, &who("alice", claims), TOOL, json!({}));
    assert_eq!(refusal(json!({"department": "finance"})), None);
    assert_eq!(refusal(json!({"department": "it", "office": {"department": "finance"}})), None);
    let spoken_of_itself = json!({"department": "finance", "office": {"department": "it"}});
    assert_eq!(refusal(spoken_of_itself), Some(ForbidReason::NoPermit));
}

#[test]
fn a_server_can_be_for_tokens_that_are_bound_alone() {
    let world = World::new();
    let policy = policy(
        r#"permit(principal, action == Sekisho::Action::"tools/call", resource);
           forbid(principal, action == Sekisho::Action::"tools/call", resource in Sekisho::Server::"bank")
           unless { principal.bound_by.containsAny(["dpop", "mtls"]) };"#,
    );
    let refusal = |caller: &Who, tool: &str| world.refusal(&policy, caller, tool, json!({}));
    assert_eq!(refusal(&with_certificate(alice()), "bank__pay"), None);
    assert_eq!(refusal(&alice(), "bank__pay"), Some(ForbidReason::Forbidden));
    assert_eq!(refusal(&alice(), TOOL), None);
}

#[test]
fn what_holds_a_token_is_told_apart_whoever_asked_before() {
    let world = World::new();
    let policy = when(r#"principal.bound_by.contains("process")"#);
    for _ in 0..2 {
        let local = world.outcome_of(&policy, world.local_call(TOOL, json!({})));
        assert!(matches!(local, Outcome::Permitted), "{local:?}");
        let bound = world.outcome(&policy, &with_certificate(alice()), TOOL, json!({}));
        assert!(matches!(bound, Outcome::Forbidden(ForbidReason::NoPermit)), "{bound:?}");
    }
}

/// Alice, of whose groups there are too many for a token.
fn of_many_groups() -> Who {
    who("alice", json!({"_claim_names": {"groups": "src1"}}))
}

#[test]
fn what_depends_on_unknown_groups_is_refused_and_nothing_else() {
    let world = World::new();
    let any = r#"@id("any") permit(principal, action == Sekisho::Action::"tools/call", resource)"#;
    let some = r#"@id("some") forbid(principal, action == Sekisho::Action::"tools/call", resource)"#;
    let editors = r#"principal.groups.contains("editors")"#;
    let outcome = |text: &str| world.refusal(&policy(text), &of_many_groups(), TOOL, json!({}));
    let unknown = Some(ForbidReason::GroupsUnknown);
    for (text, expected) in [
        (format!("{any};"), None),
        (format!("{any} when {{ {editors} }};"), unknown.clone()),
        (format!("{any} unless {{ {editors} }};"), unknown.clone()),
        (format!("{any} when {{ principal.groups.isEmpty() }};"), unknown.clone()),
        (format!("{any}; {some} when {{ {editors} }};"), unknown.clone()),
        (format!("{any}; {some} unless {{ {editors} }};"), unknown.clone()),
        // What is settled by something else does not hang on groups.
        (format!("{any} when {{ {editors} && principal.client == \"other\" }};"), Some(ForbidReason::NoPermit)),
        (format!("{any} when {{ {editors} || principal.client == \"agent\" }};"), None),
        (format!("{any} when {{ principal.client == \"agent\" || {editors} }};"), None),
        (format!("{any}; {some} when {{ {editors} && context.trust == \"untrusted\" }};"), None),
        (format!("{any}; {some} when {{ {editors} || true }};"), Some(ForbidReason::Forbidden)),
        (format!("{any} when {{ {editors} }}; {some};"), Some(ForbidReason::Forbidden)),
        (format!("{any}; permit(principal, action, resource) when {{ {editors} }};"), None),
        (format!("{some} when {{ {editors} }};"), Some(ForbidReason::NoPermit)),
        // It errs for editors, and nobody knows whether this is one; also where it could not forbid anything.
        (
            format!("{any}; {some} when {{ ({editors} && Sekisho::User::\"x\".client == \"x\") && false }};"),
            unknown.clone(),
        ),
        (
            format!(
                "{any}; permit(principal, action, resource) when {{ {editors} && Sekisho::User::\"x\".client == \"x\" }};"
            ),
            unknown.clone(),
        ),
    ] {
        assert_eq!(outcome(&text), expected, "{text}");
    }
    let refused = world.call(&policy(&format!("{any} when {{ {editors} }};")), &of_many_groups(), TOOL, json!({}));
    let refused = refused.err().unwrap();
    assert_eq!(*refused.basis.policies, ["any".into()]);
    assert!(refused.needed.contains("groups overage") && refused.needed.contains("by any"), "{}", refused.needed);
}

#[test]
fn groups_that_a_token_holds_are_known_and_none_are_none() {
    let world = World::new();
    let policy = when(r#"!principal.groups.contains("blocked")"#);
    assert_eq!(world.refusal(&policy, &alice(), TOOL, json!({})), None);
    let (blocked, other) = (who("bob", json!({"groups": ["blocked"]})), who("bob", json!({"groups": ["other"]})));
    assert_eq!(world.refusal(&policy, &other, TOOL, json!({})), None);
    assert_eq!(world.refusal(&policy, &blocked, TOOL, json!({})), Some(ForbidReason::NoPermit));
    assert_eq!(world.refusal(&policy, &of_many_groups(), TOOL, json!({})), Some(ForbidReason::GroupsUnknown));
}

#[test]
fn a_list_hides_what_hangs_on_unknown_groups_and_shows_what_arguments_may_settle() {
    let world = World::new();
    let call = r#"action == Sekisho::Action::"tools/call""#;
    let policy = policy(&format!(
        r#"permit(principal, action in Sekisho::Action::"connect", resource);
        permit(principal, {call}, resource == Sekisho::Tool::"files/read_file");
        permit(principal, {call}, resource == Sekisho::Tool::"files/write_file") when {{ principal.groups.contains("editors") }};
        permit(principal, {call}, resource == Sekisho::Tool::"notes/add_note")
        when {{ context.flag.hasTag("draft") || principal.groups.contains("editors") }};
        permit(principal, {call}, resource == Sekisho::Tool::"notes/delete_note")
        when {{ context.flag.hasTag("draft") && principal.groups.contains("editors") }};
        permit(principal, {call}, resource == Sekisho::Tool::"bank/pay");
        forbid(principal, {call}, resource == Sekisho::Tool::"bank/pay") unless {{ principal.groups.contains("tellers") }};"#
    ));
    assert_eq!(
        world.shown(&policy, &of_many_groups(), ListKind::Tools).unwrap(),
        ["files/read_file", "notes/add_note"]
    );
    let call = |tool: &str, arguments: Value| world.refusal(&policy, &of_many_groups(), tool, arguments);
    assert_eq!(call("notes__add_note", json!({"draft": true})), None);
    assert_eq!(call("notes__add_note", json!({})), Some(ForbidReason::GroupsUnknown));
    assert_eq!(call("notes__delete_note", json!({"draft": true})), Some(ForbidReason::GroupsUnknown));
    assert_eq!(call("notes__delete_note", json!({})), Some(ForbidReason::NoPermit));
    let editor = who("bob", json!({"groups": ["editors", "tellers"]}));
    assert_eq!(world.shown(&policy, &editor, ListKind::Tools).unwrap().len(), 5);
}

fn condition() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        3 => Just(r#"principal.groups.contains("editors")"#.to_owned()),
        2 => Just(r#"principal.groups.containsAny(["staff", resource.name])"#.to_owned()),
        1 => Just("principal.groups.isEmpty()".to_owned()),
        1 => Just(r#"principal.client == "agent""#.to_owned()),
        1 => Just(r#"context.trust == "trusted""#.to_owned()),
        1 => Just(r#"context.text.hasTag("a") && context.text.getTag("a") like "x*""#.to_owned()),
        1 => Just(r#"context.number.hasTag("n") && context.number.getTag("n") * 9223372036854775807 > 0"#.to_owned()),
        1 => Just(r#"Sekisho::User::"nobody".client == "x""#.to_owned()),
        1 => Just(r#"context.time > datetime("2020-01-01")"#.to_owned()),
        1 => Just(r#"[principal.groups.contains("editors")].contains(true)"#.to_owned()),
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
    let effect = prop_oneof![3 => Just("permit"), 2 => Just("forbid")];
    let clause = prop_oneof![Just("when"), Just("unless")];
    (effect, clause, condition()).prop_map(|(effect, clause, condition)| {
        format!(r#"{effect}(principal, action == Sekisho::Action::"tools/call", resource) {clause} {{ {condition} }};"#)
    })
}

#[test]
fn what_is_decided_without_groups_holds_for_any_groups() {
    let world = World::new();
    let groups = [json!([]), json!(["editors"]), json!(["staff"]), json!(["editors", "staff"]), json!(["add_note"])];
    let known = groups.map(|groups| who("alice", json!({ "groups": groups })));
    let arguments = [json!({}), json!({"a": "x"}), json!({"n": 2}), json!({"n": 1, "a": "y"})];
    let met = std::cell::Cell::new([0_u32; 3]);
    let strategy = (proptest::collection::vec(rule(), 1..4), 0..arguments.len());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(200));
    runner
        .run(&strategy, |(rules, given)| {
            let text =
                format!("permit(principal, action, resource) when {{ principal.acr != \"x\" }};\n{}", rules.join("\n"));
            let Ok(policy) = Policy::parse(&[("random.cedar", &text)]) else { return Ok(()) };
            let outcome = |caller: &Who| world.outcome(&policy, caller, TOOL, arguments[given].clone());
            let permitted = known.iter().filter(|caller| matches!(outcome(caller), Outcome::Permitted)).count();
            let mut counts = met.get();
            match outcome(&of_many_groups()) {
                Outcome::Permitted => {
                    prop_assert_eq!(permitted, known.len(), "{}", text);
                    counts[0] += 1;
                }
                Outcome::Forbidden(ForbidReason::GroupsUnknown) => counts[1] += 1,
                Outcome::Forbidden(_) => {
                    prop_assert_eq!(permitted, 0, "{}", text);
                    counts[2] += 1;
                }
                Outcome::Challenged(challenge) => panic!("{challenge:?}"),
            }
            met.set(counts);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(met.get().iter().all(|count| *count > 10), "{:?}: each was met, or the test says nothing", met.get());
}
