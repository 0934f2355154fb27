//! The rules of decisions, with real proofs from every room before.

mod support;

use sekisho_guard::Rule;
use sekisho_policy::ForbidReason;
use sekisho_wire::Endpoint;
use serde_json::json;
use support::{World, alice, many, one, policy, who};

const ALL: &str = "permit(principal, action, resource);";

#[test]
fn what_no_policy_permits_is_forbidden_and_the_refusal_says_what_would_permit_it() {
    let world = World::new();
    let notes = policy(
        r#"@id("notes") permit(principal, action in Sekisho::Action::"use", resource in Sekisho::Server::"notes");"#,
    );
    let permitted = world.call(&notes, &alice(), "notes__add_note", json!({})).unwrap_or_else(|no| panic!("{no:?}"));
    assert_eq!(*permitted.basis().policies, ["notes".into()]);
    let forbidden = world.call(&notes, &alice(), "files__read_file", json!({})).err().unwrap();
    assert_eq!(forbidden.reason, ForbidReason::NoPermit);
    let needed = r#"permit(principal == Sekisho::User::"https://issuer.example#alice", action == Sekisho::Action::"tools/call", resource == Sekisho::Tool::"files/read_file");"#;
    assert!(forbidden.needed.ends_with(needed), "{}", forbidden.needed);
    // And it is true.
    let both = policy(&format!("{needed}\n"));
    assert_eq!(world.refusal(&both, &alice(), "files__read_file", json!({})), None);
    assert!(world.refusal(&both, &who("bob", json!({})), "files__read_file", json!({})).is_some());
}

#[test]
fn a_forbid_wins_over_every_permit() {
    let world = World::new();
    let text = format!(
        r#"{ALL} {ALL} @id("never") forbid(principal, action, resource == Sekisho::Tool::"notes/delete_note");"#
    );
    let policy = policy(&text);
    assert_eq!(world.refusal(&policy, &alice(), "notes__add_note", json!({})), None);
    let forbidden = world.call(&policy, &alice(), "notes__delete_note", json!({})).err().unwrap();
    assert_eq!((forbidden.reason, forbidden.basis.policies), (ForbidReason::Forbidden, ["never".into()].into()));
    assert!(forbidden.needed.starts_with("forbidden by never"));
}

#[test]
fn a_policy_that_errs_refuses_even_what_another_permits() {
    let world = World::new();
    let call = r#"action == Sekisho::Action::"tools/call""#;
    let overflow = policy(&format!(
        r#"{ALL} @id("sum") permit(principal, {call}, resource) when {{ context.number.hasTag("n") && context.number.getTag("n") * 9223372036854775807 > 0 }};"#
    ));
    let failed = world.call(&overflow, &alice(), "notes__add_note", json!({"n": 2})).err().unwrap();
    assert_eq!((failed.reason, failed.basis.policies), (ForbidReason::EvaluationFailed, ["sum".into()].into()));
    assert_eq!(world.refusal(&overflow, &alice(), "notes__add_note", json!({"n": 1})), None);
    // Of an entity that is named but not at hand nothing can be read.
    let absent = policy(&format!(
        r#"{ALL} forbid(principal, {call}, resource) when {{ Sekisho::User::"https://issuer.example#bob".client == "x" }};"#
    ));
    assert_eq!(world.refusal(&absent, &alice(), "notes__add_note", json!({})), Some(ForbidReason::EvaluationFailed));
}

#[test]
fn a_condition_may_ask_about_any_action() {
    let world = World::new();
    let text = format!(
        r#"{ALL} forbid(principal, action, resource) when {{ Sekisho::Action::"ping" in Sekisho::Action::"connect" }};"#
    );
    assert_eq!(world.refusal(&policy(&text), &alice(), "notes__add_note", json!({})), Some(ForbidReason::Forbidden));
    let text = text.replace("\"connect\"", "\"use\"");
    assert_eq!(world.refusal(&policy(&text), &alice(), "notes__add_note", json!({})), None);
}

#[test]
fn principals_are_told_apart_by_issuer_subject_client_groups_roles_and_claims() {
    let world = World::new();
    for (condition, claims) in [
        (r#"principal.client == "reviewed""#, json!({"client_id": "reviewed"})),
        (r#"principal.groups.contains("editors")"#, json!({"groups": ["readers", "editors"]})),
        (r#"principal.roles.contains("admin")"#, json!({"roles": ["admin"]})),
        (r#"principal.scopes.contains("notes:write")"#, json!({"scope": "notes:read notes:write"})),
        (
            r#"principal.hasTag("department") && principal.getTag("department") == "finance""#,
            json!({"department": "finance"}),
        ),
        (r#"context.client_id == "reviewed""#, json!({"client_id": "reviewed"})),
    ] {
        let policy = policy(&format!(
            r#"permit(principal, action == Sekisho::Action::"tools/call", resource) when {{ {condition} }};"#
        ));
        assert_eq!(world.refusal(&policy, &who("alice", claims), "notes__add_note", json!({})), None, "{condition}");
        assert_eq!(
            world.refusal(&policy, &who("alice", json!({"department": "it"})), "notes__add_note", json!({})),
            Some(ForbidReason::NoPermit),
            "{condition}"
        );
    }
    let named = policy(r#"permit(principal == Sekisho::User::"https://issuer.example#alice", action, resource);"#);
    assert_eq!(world.refusal(&named, &alice(), "notes__add_note", json!({})), None);
    assert!(world.refusal(&named, &who("alicea", json!({})), "notes__add_note", json!({})).is_some());
}

#[test]
fn circumstances_and_labels_can_be_read() {
    let world = World::new();
    let permits = |condition: &str, tool: &str| {
        let policy = policy(&format!(
            r#"permit(principal, action == Sekisho::Action::"tools/call", resource) when {{ {condition} }};"#
        ));
        world.refusal(&policy, &alice(), tool, json!({})).is_none()
    };
    for (condition, tool) in [
        (r#"context.era == "modern""#, "notes__add_note"),
        (r#"context.endpoint == "/mcp""#, "notes__add_note"),
        (r#"context.trust == "trusted" && resource.server.trust == "trusted""#, "notes__add_note"),
        (r#"context.trust == "untrusted""#, "files__read_file"),
        (r#"context.confidentiality == "confidential""#, "bank__pay"),
        (r#"resource.server.id == "bank" && resource.name == "pay""#, "bank__pay"),
        (r#"context.time > datetime("2026-01-01") && context.time < datetime("2126-01-01")"#, "bank__pay"),
    ] {
        assert!(permits(condition, tool), "{condition}");
        assert!(!permits(&format!("!({condition})"), tool), "{condition}");
    }
}

#[test]
fn arguments_are_read_by_type() {
    let world = World::new();
    let permits = |condition: &str, arguments: serde_json::Value| {
        let policy = policy(&format!(
            r#"permit(principal, action == Sekisho::Action::"tools/call", resource) when {{ {condition} }};"#
        ));
        world.refusal(&policy, &alice(), "files__read_file", arguments)
    };
    let below = r#"context.text.hasTag("path") && context.text.getTag("path") like "/srv/*""#;
    assert_eq!(permits(below, json!({"path": "/srv/a"})), None);
    assert_eq!(permits(below, json!({"path": "/etc/passwd"})), Some(ForbidReason::NoPermit));
    assert_eq!(permits(below, json!({})), Some(ForbidReason::NoPermit));
    let small = r#"context.number.hasTag("n") && context.number.getTag("n") <= 10"#;
    assert_eq!(permits(small, json!({"n": 10})), None);
    assert_eq!(permits(small, json!({"n": 11})), Some(ForbidReason::NoPermit));
    let cheap = r#"context.decimal.hasTag("x") && context.decimal.getTag("x").lessThan(decimal("2.5"))"#;
    assert_eq!(permits(cheap, json!({"x": 2.4999})), None);
    assert_eq!(permits(cheap, json!({"x": 2})), None);
    assert_eq!(permits(cheap, json!({"x": 2.5})), Some(ForbidReason::NoPermit));
    let flag = r#"!(context.flag.hasTag("force") && context.flag.getTag("force"))"#;
    assert_eq!(permits(flag, json!({"force": false})), None);
    assert_eq!(permits(flag, json!({"force": true})), Some(ForbidReason::NoPermit));
}

#[test]
fn an_argument_that_a_rule_reads_but_not_in_that_form_is_undecidable() {
    let world = World::new();
    let text = format!(
        r#"{ALL} forbid(principal, action == Sekisho::Action::"tools/call", resource == Sekisho::Tool::"bank/pay")
        when {{ context.number.hasTag("amount") && context.number.getTag("amount") > 100 }};"#
    );
    let policy = policy(&text);
    let refusal =
        |tool: &str, amount: serde_json::Value| world.refusal(&policy, &alice(), tool, json!({"amount": amount}));
    assert_eq!(refusal("bank__pay", json!(100)), None);
    assert_eq!(refusal("bank__pay", json!(101)), Some(ForbidReason::Forbidden));
    for evasive in [json!("101"), json!(101.5), json!([101]), json!({"v": 101}), json!(1e18), json!(true)] {
        assert_eq!(refusal("bank__pay", evasive), Some(ForbidReason::Undecidable("amount".into())));
    }
    assert_eq!(refusal("bank__pay", json!(101.0)), Some(ForbidReason::Forbidden));
    // The rule has no say about other tools, and null is no amount.
    assert_eq!(refusal("files__read_file", json!("101")), None);
    assert_eq!(refusal("bank__pay", json!(null)), None);
}

#[test]
fn what_inspection_found_stands_against_a_permit_and_never_for_one() {
    let world = World::new();
    let all = policy(ALL);
    assert_eq!(world.refusal(&all, &alice(), "notes__typed", json!({"n": 1})), None);
    match world.refusal(&all, &alice(), "notes__typed", json!({"n": "1"})) {
        Some(ForbidReason::Arguments(found)) => assert_eq!((found[0].rule, &*found[0].at), (Rule::InputSchema, "/n")),
        other => panic!("{other:?}"),
    }
    assert!(matches!(world.refusal(&all, &alice(), "files__remote", json!({})), Some(ForbidReason::ToolUnusable(_))));
    // Hidden characters alone are no reason to refuse.
    assert_eq!(world.refusal(&all, &alice(), "notes__add_note", json!({"text": "a\u{202e}b"})), None);
    // Who may not call learns nothing of the schema.
    let none = policy("forbid(principal, action, resource);");
    assert_eq!(world.refusal(&none, &alice(), "notes__typed", json!({"n": "1"})), Some(ForbidReason::Forbidden));
}

#[test]
fn prompts_resources_and_completions_are_decided_alike() {
    let world = World::new();
    let at = Endpoint::All;
    let get = |arguments| {
        world.modern(&alice(), &at, "prompts/get", json!({"name": "notes__summarize", "arguments": arguments}))
    };
    let read =
        |uri: &str| world.modern(&alice(), &at, "resources/read", json!({"uri": format!("sekisho+files:{uri}")}));
    let complete = |value: &str| {
        let argument = json!({"name": "style", "value": value});
        world.modern(
            &alice(),
            &at,
            "completion/complete",
            json!({"ref": {"type": "ref/prompt", "name": "notes__summarize"}, "argument": argument}),
        )
    };
    let policy = policy(
        r#"permit(principal, action in [Sekisho::Action::"prompts/get", Sekisho::Action::"completion/complete"], resource)
           when { context.text.hasTag("style") && context.text.getTag("style") != "rude" };
           permit(principal, action == Sekisho::Action::"resources/read", resource in Sekisho::Server::"files")
           when { resource.scheme == "file" && !(resource.uri like "*/secrets/*") };"#,
    );
    let refusal = |message| world.decide(&policy, message).err().map(|forbidden| forbidden.reason);
    assert_eq!(refusal(get(json!({"style": "short"}))), None);
    assert_eq!(refusal(get(json!({"style": "rude"}))), Some(ForbidReason::NoPermit));
    assert_eq!(refusal(complete("sho")), None);
    assert_eq!(refusal(complete("rude")), Some(ForbidReason::NoPermit));
    assert_eq!(refusal(read("file:///srv/a.txt")), None);
    assert_eq!(refusal(read("FILE:///srv/a.txt")), None);
    assert_eq!(refusal(read("file:///srv/secrets/b.txt")), Some(ForbidReason::NoPermit));
    assert_eq!(refusal(read("http://127.0.0.1/")), Some(ForbidReason::NoPermit));
    let missing = support::policy(ALL);
    let required = world.decide(&missing, get(json!({}))).err().map(|forbidden| forbidden.reason);
    assert!(matches!(required, Some(ForbidReason::Arguments(_))));
}

#[test]
fn what_a_completion_was_given_before_is_read_and_has_one_value() {
    let world = World::new();
    let refusal = |policy: &sekisho_policy::Policy, value: &str, given: serde_json::Value| {
        let params = json!({"ref": {"type": "ref/prompt", "name": "notes__summarize"},
            "argument": {"name": "style", "value": value}, "context": {"arguments": given}});
        let message = world.modern(&alice(), &Endpoint::All, "completion/complete", params);
        world.decide(policy, message).err().map(|forbidden| forbidden.reason)
    };
    let short = policy(
        r#"permit(principal, action == Sekisho::Action::"completion/complete", resource)
           when { context.text.hasTag("length") && context.text.getTag("length") == "short" };"#,
    );
    assert_eq!(refusal(&short, "s", json!({"length": "short"})), None);
    assert_eq!(refusal(&short, "s", json!({"length": "long"})), Some(ForbidReason::NoPermit));
    assert_eq!(refusal(&short, "s", json!({})), Some(ForbidReason::NoPermit));
    // Whichever of two values a policy read, the server might use the other; even if no policy reads any.
    for rules in [&short, &policy(ALL)] {
        assert_eq!(refusal(rules, "s", json!({"length": "short", "style": "s"})), None);
        let two = refusal(rules, "s", json!({"length": "short", "style": "t"}));
        assert_eq!(two, Some(ForbidReason::Undecidable("style".into())));
    }
}

#[test]
fn a_list_of_many_servers_is_permitted_if_that_of_one_is() {
    let world = World::new();
    let list = |at: &Endpoint| world.modern(&alice(), at, "tools/list", json!({}));
    let notes =
        policy(r#"permit(principal, action in Sekisho::Action::"list", resource == Sekisho::Server::"notes");"#);
    assert!(many(&world.decide(&notes, list(&Endpoint::All)).unwrap_or_else(|no| panic!("{no:?}"))));
    assert!(world.decide(&notes, list(&one("notes"))).is_ok());
    let refused = world.decide(&notes, list(&one("files"))).err().map(|forbidden| forbidden.reason);
    assert_eq!(refused, Some(ForbidReason::NoPermit));
    let none = policy(r#"permit(principal, action in Sekisho::Action::"use", resource);"#);
    assert_eq!(world.decide(&none, list(&Endpoint::All)).err().map(|no| no.reason), Some(ForbidReason::NoPermit));
}

#[test]
fn both_eras_decide_alike() {
    let world = World::new();
    let policy = policy(
        r#"permit(principal, action in Sekisho::Action::"connect", resource);
           permit(principal, action == Sekisho::Action::"tools/call", resource == Sekisho::Tool::"notes/add_note");"#,
    );
    for (name, permitted) in [("notes__add_note", true), ("notes__delete_note", false)] {
        let params = json!({"name": name, "arguments": {}});
        let modern = world.modern(&alice(), &Endpoint::All, "tools/call", params.clone());
        let legacy = world.legacy(&alice(), &Endpoint::All, "tools/call", params);
        let modern = world.decide(&policy, modern).map(|p| p.basis().clone()).map_err(|no| no.reason);
        let legacy = world.decide(&policy, legacy).map(|p| p.basis().clone()).map_err(|no| no.reason);
        assert_eq!((modern.is_ok(), &modern), (permitted, &legacy));
    }
}

#[test]
fn every_message_of_the_protocol_is_an_action_and_none_is_free() {
    let world = World::new();
    let connect = policy(r#"permit(principal, action in Sekisho::Action::"connect", resource);"#);
    let nothing = policy(r#"permit(principal, action in Sekisho::Action::"use", resource);"#);
    let at = one("notes");
    let legacy = |method: &str, params| world.legacy(&alice(), &at, method, params);
    let modern = |method: &str| world.modern(&alice(), &at, method, json!({}));
    let messages = || {
        vec![
            legacy("initialize", json!({})),
            legacy("ping", json!({})),
            legacy("logging/setLevel", json!({"level": "info"})),
            legacy("notifications/initialized", json!({})),
            legacy("notifications/cancelled", json!({"requestId": 1})),
            legacy("notifications/roots/list_changed", json!({})),
            legacy("notifications/progress", json!({"progressToken": 1, "progress": 1})),
            modern("server/discover"),
            modern("tools/list"),
            modern("prompts/list"),
            modern("resources/list"),
            modern("resources/templates/list"),
        ]
    };
    for message in messages() {
        let method = message.message().method();
        assert!(world.decide(&connect, message).is_ok(), "{method}");
    }
    for message in messages() {
        let method = message.message().method();
        assert_eq!(world.decide(&nothing, message).err().map(|no| no.reason), Some(ForbidReason::NoPermit), "{method}");
    }
}
