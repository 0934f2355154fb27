//! What a refused caller is told to do, and that it would help: policies propose, evaluation decides.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends where something is not as expected"
)]

mod support;

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

use proptest::prelude::*;
use sekisho_policy::{Challenge, ForbidReason, LoadError, Policy, Problem};
use sekisho_wire::{Endpoint, ListKind};
use serde_json::{Value, json};
use support::{Outcome, Who, World, alice, one, policy, who};

const TOOL: &str = "notes__add_note";
const CALL: &str = r#"action == Sekisho::Action::"tools/call""#;
const ALL: &str = r#"@id("all") permit(principal, action == Sekisho::Action::"tools/call", resource);"#;

fn somebody(claims: Value) -> Who {
    who("alice", claims)
}

/// Somebody who can be told of authentication contexts.
fn of_entra(claims: Value) -> Who {
    let mut all = json!({"xms_cc": ["cp1"]});
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    who("alice", all)
}

/// What a challenge asks for: scopes, values of `acr`, `max_age`, a context.
type Asked = (String, String, Option<u32>, Option<String>);

fn asked(challenge: &Challenge) -> Asked {
    let Challenge { scopes, acr_values, max_age_s, context, .. } = challenge;
    (scopes.join(" "), acr_values.join(" "), *max_age_s, context.as_deref().map(str::to_owned))
}

fn challenged(outcome: Outcome) -> Box<Challenge> {
    match outcome {
        Outcome::Challenged(challenge) => challenge,
        other @ (Outcome::Permitted | Outcome::Forbidden(_)) => panic!("{other:?}"),
    }
}

/// What the challenge of a call without arguments asks for.
fn told(world: &World, policy: &Policy, caller: &Who) -> Asked {
    asked(&challenged(world.outcome(policy, caller, TOOL, json!({}))))
}

fn refused(world: &World, policy: &Policy, caller: &Who, arguments: Value) -> ForbidReason {
    match world.outcome(policy, caller, TOOL, arguments) {
        Outcome::Forbidden(reason) => reason,
        other @ (Outcome::Permitted | Outcome::Challenged(_)) => panic!("{other:?}"),
    }
}

fn permitted(world: &World, policy: &Policy, caller: &Who) -> bool {
    matches!(world.outcome(policy, caller, TOOL, json!({})), Outcome::Permitted)
}

fn writers(annotation: &str) -> Policy {
    policy(&format!(
        r#"@id("writers") {annotation} permit(principal, {CALL}, resource) when {{ principal.scopes.contains("notes:write") }};"#
    ))
}

fn forbid(id: &str, annotations: &str, unless: &str) -> String {
    format!(r#"@id("{id}") {annotations} forbid(principal, {CALL}, resource) unless {{ {unless} }};"#)
}

#[test]
fn who_lacks_a_scope_is_told_which_and_keeps_those_it_has() {
    let world = World::new();
    let policy = writers(r#"@scope("notes:write")"#);
    let reader = somebody(json!({"scope": "notes:read offline_access"}));
    let challenge = challenged(world.outcome(&policy, &reader, TOOL, json!({})));
    assert_eq!(asked(&challenge), ("notes:read notes:write".into(), String::new(), None, None));
    assert_eq!((&challenge.reason, &*challenge.basis.policies), (&ForbidReason::NoPermit, &["writers".into()][..]));
    assert!(challenge.needed.contains("the scope notes:write") && challenge.needed.contains("writers"));
    assert!(permitted(&world, &policy, &somebody(json!({"scope": "notes:read notes:write"}))));
    assert_eq!(refused(&world, &writers(""), &reader, json!({})), ForbidReason::NoPermit, "nothing is proposed");
}

#[test]
fn a_proposal_that_would_not_help_is_not_told() {
    let world = World::new();
    for (annotation, condition) in [
        (r#"@scope("other")"#, r#"principal.scopes.contains("notes:write")"#),
        (r#"@scope("notes:write")"#, r#"principal.scopes.contains("notes:write") && principal.client == "other""#),
        (r#"@scope("notes:write")"#, r#"principal.roles.contains("writer")"#),
        (r#"@acr_values("urn:a")"#, r#"principal.acr == "urn:b""#),
        (r#"@max_age("900")"#, r#"principal.amr.contains("mfa")"#),
        (r#"@acr_values("urn:a")"#, r#"principal.acrs.contains("c1")"#),
    ] {
        let permit = policy(&format!("{annotation} permit(principal, {CALL}, resource) when {{ {condition} }};"));
        assert_eq!(refused(&world, &permit, &alice(), json!({})), ForbidReason::NoPermit, "{condition}");
        let forbid = policy(&format!("{ALL} {}", forbid("no", annotation, condition)));
        assert_eq!(refused(&world, &forbid, &alice(), json!({})), ForbidReason::Forbidden, "{condition}");
    }
    // Nor where something else forbids it.
    let never = policy(&format!(
        r#"@scope("s") permit(principal, {CALL}, resource) when {{ principal.scopes.contains("s") }};
           forbid(principal, {CALL}, resource == Sekisho::Tool::"notes/add_note");"#
    ));
    assert_eq!(refused(&world, &never, &alice(), json!({})), ForbidReason::Forbidden);
}

#[test]
fn who_logged_in_too_weakly_is_told_which_classes_would_do() {
    let world = World::new();
    let strong = forbid(
        "strong",
        r#"@acr_values("urn:key urn:mfa urn:sms")"#,
        r#"["urn:mfa", "urn:key"].contains(principal.acr)"#,
    );
    let policy = policy(&format!("{ALL} {strong}"));
    let weak = somebody(json!({"acr": "urn:pwd"}));
    // The order is the policy's; what would not do is left out.
    assert_eq!(told(&world, &policy, &weak), (String::new(), "urn:key urn:mfa".into(), None, None));
    assert!(permitted(&world, &policy, &somebody(json!({"acr": "urn:mfa"}))));
    assert!(!permitted(&world, &policy, &somebody(json!({"acr": "urn:sms"}))));
}

#[test]
fn who_logged_in_too_long_ago_is_told_how_long_ago_it_may_be() {
    let world = World::new();
    let recent = r#"principal has auth_time && context.time.durationSince(principal.auth_time) < duration("15m")"#;
    let policy = policy(&format!("{ALL} {}", forbid("recent", r#"@max_age("900")"#, recent)));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for old in [json!({}), json!({"auth_time": now - 1000}), json!({"auth_time": 0})] {
        assert_eq!(told(&world, &policy, &somebody(old)), (String::new(), String::new(), Some(900), None));
    }
    assert!(permitted(&world, &policy, &somebody(json!({"auth_time": now - 10}))));
}

#[test]
fn methods_are_what_a_login_is_supposed_to_bring() {
    let world = World::new();
    let mfa = forbid("mfa", r#"@acr_values("urn:mfa") @amr("mfa")"#, r#"principal.amr.contains("mfa")"#);
    let policy = policy(&format!("{ALL} {mfa}"));
    assert_eq!(told(&world, &policy, &somebody(json!({"amr": ["pwd"]}))).1, "urn:mfa");
    assert!(permitted(&world, &policy, &somebody(json!({"amr": ["pwd", "mfa"]}))));
}

#[test]
fn a_context_of_entra_is_told_to_whom_it_can_be_and_to_nobody_else() {
    let world = World::new();
    let context = forbid("c1", r#"@acrs("c1")"#, r#"principal.acrs.contains("c1")"#);
    let policy = policy(&format!("{ALL} {context}"));
    assert_eq!(told(&world, &policy, &of_entra(json!({}))), (String::new(), String::new(), None, Some("c1".into())));
    assert_eq!(refused(&world, &policy, &alice(), json!({})), ForbidReason::Forbidden);
    let other = somebody(json!({"xms_cc": ["cp2"]}));
    assert_eq!(refused(&world, &policy, &other, json!({})), ForbidReason::Forbidden);
    assert!(permitted(&world, &policy, &somebody(json!({"acrs": ["c1"]}))));
    // One policy for both kinds of issuers: each hears its own words.
    let either = r#"principal.acrs.contains("c1") || principal.acr == "urn:mfa""#;
    let both = forbid("both", r#"@acrs("c1") @acr_values("urn:mfa")"#, either);
    let policy = support::policy(&format!("{ALL} {both}"));
    assert_eq!(told(&world, &policy, &of_entra(json!({}))), (String::new(), String::new(), None, Some("c1".into())));
    assert_eq!(told(&world, &policy, &alice()), (String::new(), "urn:mfa".into(), None, None));
}

#[test]
fn the_least_that_helps_is_asked_for() {
    let world = World::new();
    let annotations = r#"@scope("notes:write") @acr_values("urn:mfa")"#;
    let whole = |unless: &str| policy(&format!("{ALL} {}", forbid("it", annotations, unless)));
    let (scope, acr) = (r#"principal.scopes.contains("notes:write")"#, r#"principal.acr == "urn:mfa""#);
    let ask = |unless: &str, caller: &Who| told(&world, &whole(unless), caller);
    let just_scope: Asked = ("notes:write".into(), String::new(), None, None);
    let just_acr: Asked = (String::new(), "urn:mfa".into(), None, None);
    let both: Asked = ("notes:write".into(), "urn:mfa".into(), None, None);
    assert_eq!(ask(&format!("{scope} || {acr}"), &alice()), just_scope);
    assert_eq!(ask(&format!("{scope} && {acr}"), &alice()), both);
    assert_eq!(ask(&format!("{scope} && {acr}"), &somebody(json!({"acr": "urn:mfa"}))), just_scope);
    assert_eq!(ask(&format!("{scope} && {acr}"), &somebody(json!({"scope": "notes:write"}))), just_acr);
    // Two policies, each with its own wish: who lacks one is asked for that one.
    let two = policy(&format!(
        "{ALL} {} {}",
        forbid("scoped", r#"@scope("notes:write")"#, scope),
        forbid("strong", r#"@acr_values("urn:mfa") @max_age("900")"#, acr)
    ));
    assert_eq!(told(&world, &two, &somebody(json!({"acr": "urn:mfa"}))), just_scope);
    assert_eq!(told(&world, &two, &somebody(json!({"scope": "notes:write"}))).2, Some(900));
    let challenge = challenged(world.outcome(&two, &alice(), TOOL, json!({})));
    assert_eq!(asked(&challenge), ("notes:write".into(), "urn:mfa".into(), Some(900), None));
    assert_eq!(*challenge.basis.policies, ["scoped".into(), "strong".into()]);
    assert!(challenge.needed.starts_with("forbidden by scoped, strong as it came"), "{}", challenge.needed);
}

#[test]
fn of_several_ways_in_one_is_named_and_scopes_of_other_tools_are_not_asked_for() {
    let world = World::new();
    let way = |tool: &str, scope: &str| {
        format!(
            r#"@id("{tool}-{scope}") @scope("{scope}") permit(principal, {CALL}, resource)
               when {{ resource.name == "{tool}" && principal.scopes.contains("{scope}") }};"#
        )
    };
    let mut text: String = (0..30).map(|n| way(&format!("tool{n}"), &format!("s{n}"))).collect();
    text.push_str(&way("add_note", "b"));
    text.push_str(&way("add_note", "a"));
    assert_eq!(told(&world, &policy(&text), &alice()).0, "a", "by the order of their ids");
    assert!(permitted(&world, &policy(&text), &somebody(json!({"scope": "b"}))));
    // A scope that would bring another forbid is no way.
    text.push_str(&format!(r#"forbid(principal, {CALL}, resource) when {{ principal.scopes.contains("a") }};"#));
    assert_eq!(told(&world, &policy(&text), &alice()).0, "b");
}

#[test]
fn what_would_be_refused_in_any_case_is_no_challenge() {
    let world = World::new();
    let scoped = r#"@scope("s") permit(principal, action == Sekisho::Action::"tools/call", resource) when { principal.scopes.contains("s") };"#;
    let refusal = |more: &str, caller: &Who, tool: &str, arguments: Value| match world.outcome(
        &policy(&format!("{scoped} {more}")),
        caller,
        tool,
        arguments,
    ) {
        Outcome::Forbidden(reason) => Some(reason),
        Outcome::Challenged(_) => None,
        Outcome::Permitted => panic!("permitted"),
    };
    assert_eq!(refusal("", &alice(), TOOL, json!({})), None);
    let overflow = format!(
        r#"permit(principal, {CALL}, resource) when {{ context.number.hasTag("n") && context.number.getTag("n") * 9223372036854775807 > 0 }};"#
    );
    assert_eq!(refusal(&overflow, &alice(), TOOL, json!({"n": 2})), Some(ForbidReason::EvaluationFailed));
    assert_eq!(refusal(&overflow, &alice(), TOOL, json!({"n": 0})), None);
    // It would err with the scope alone.
    let errs_then = format!(
        r#"permit(principal, {CALL}, resource) when {{ principal.scopes.contains("s") && Sekisho::User::"x".client == "y" }};"#
    );
    assert_eq!(refusal(&errs_then, &alice(), TOOL, json!({})), Some(ForbidReason::NoPermit));
    // An argument that a rule cannot read, with or without the scope.
    let small = format!(
        r#"forbid(principal, {CALL}, resource) when {{ context.number.hasTag("n") && context.number.getTag("n") > 5 }};"#
    );
    assert_eq!(refusal(&small, &alice(), TOOL, json!({"n": "7"})), Some(ForbidReason::NoPermit));
    assert_eq!(refusal(&small, &alice(), TOOL, json!({"n": 5})), None);
    // Groups that nobody knows.
    let many = somebody(json!({"hasgroups": true}));
    let blocked = format!(r#"forbid(principal, {CALL}, resource) when {{ principal.groups.contains("blocked") }};"#);
    let editors = format!(r#"permit(principal, {CALL}, resource) when {{ principal.groups.contains("editors") }};"#);
    assert_eq!(refusal(&editors, &many, TOOL, json!({})), Some(ForbidReason::GroupsUnknown));
    assert_eq!(refusal(&blocked, &many, TOOL, json!({})), Some(ForbidReason::NoPermit));
    assert_eq!(refusal(&blocked, &alice(), TOOL, json!({})), None);
    // Arguments and schemas that would not do.
    assert_eq!(refusal("", &alice(), "notes__typed", json!({"n": "1"})), Some(ForbidReason::NoPermit));
    assert_eq!(refusal("", &alice(), "notes__typed", json!({"n": 1})), None);
    assert_eq!(refusal("", &alice(), "files__remote", json!({})), Some(ForbidReason::NoPermit));
}

#[test]
fn a_supposition_lets_nobody_in() {
    let world = World::new();
    let policy = writers(r#"@scope("notes:write")"#);
    for _ in 0..3 {
        assert!(!permitted(&world, &policy, &alice()));
        assert!(permitted(&world, &policy, &somebody(json!({"scope": "notes:write"}))));
    }
}

#[test]
fn both_eras_are_told_alike_and_so_are_lists_and_prompts() {
    let world = World::new();
    let scoped = |action: &str, scope: &str| {
        format!(
            r#"@scope("{scope}") permit(principal, action == Sekisho::Action::"{action}", resource) when {{ principal.scopes.contains("{scope}") }};"#
        )
    };
    let policy = policy(
        &[
            scoped("tools/call", "call"),
            scoped("tools/list", "list"),
            scoped("prompts/get", "get"),
            scoped("resources/read", "read"),
            scoped("server/discover", "discover"),
        ]
        .concat(),
    );
    let told = |message| asked(&challenged(world.outcome_of(&policy, message))).0;
    let call = json!({"name": TOOL, "arguments": {}});
    assert_eq!(told(world.modern(&alice(), &Endpoint::All, "tools/call", call.clone())), "call");
    assert_eq!(told(world.legacy(&alice(), &Endpoint::All, "tools/call", call)), "call");
    let prompt = json!({"name": "summarize", "arguments": {"style": "s"}});
    assert_eq!(told(world.modern(&alice(), &one("notes"), "prompts/get", prompt)), "get");
    let resource = json!({"uri": "file:///srv/a.txt"});
    assert_eq!(told(world.modern(&alice(), &one("files"), "resources/read", resource)), "read");
    assert_eq!(told(world.modern(&alice(), &Endpoint::All, "server/discover", json!({}))), "discover");
    for at in [Endpoint::All, one("notes")] {
        assert_eq!(told(world.modern(&alice(), &at, "tools/list", json!({}))), "list");
    }
}

#[test]
fn a_list_shows_what_a_step_up_reaches_and_hides_what_none_does() {
    let world = World::new();
    let policy = policy(&format!(
        r#"permit(principal, action in Sekisho::Action::"connect", resource);
        @scope("read") permit(principal, {CALL}, resource == Sekisho::Tool::"files/read_file") when {{ principal.scopes.contains("read") }};
        permit(principal, {CALL}, resource == Sekisho::Tool::"files/write_file") when {{ principal.scopes.contains("write") }};
        @scope("t") permit(principal, {CALL}, resource == Sekisho::Tool::"notes/typed") when {{ principal.scopes.contains("t") }};
        @scope("u") permit(principal, {CALL}, resource == Sekisho::Tool::"notes/typed") when {{ principal.scopes.contains("u") }};
        forbid(principal, {CALL}, resource == Sekisho::Tool::"notes/typed");
        @scope("other") permit(principal, {CALL}, resource == Sekisho::Tool::"notes/add_note") when {{ principal.scopes.contains("add") }};
        permit(principal, {CALL}, resource == Sekisho::Tool::"notes/delete_note");
        @acrs("c1") forbid(principal, {CALL}, resource == Sekisho::Tool::"notes/delete_note") unless {{ principal.acrs.contains("c1") }};
        @scope("pay") permit(principal, {CALL}, resource == Sekisho::Tool::"bank/pay")
        when {{ principal.scopes.contains("pay") && context.number.hasTag("amount") && context.number.getTag("amount") < 100 }};"#
    ));
    assert_eq!(world.shown(&policy, &alice(), ListKind::Tools).unwrap(), ["files/read_file", "bank/pay"]);
    let entra = of_entra(json!({}));
    let shown = world.shown(&policy, &entra, ListKind::Tools).unwrap();
    assert_eq!(shown, ["files/read_file", "notes/delete_note", "bank/pay"]);
    // And a call says what is lacking, or that nothing helps.
    let outcome = |tool: &str, arguments: Value| world.outcome(&policy, &alice(), tool, arguments);
    assert!(matches!(outcome("files__read_file", json!({})), Outcome::Challenged(_)));
    assert!(matches!(outcome("bank__pay", json!({"amount": 99})), Outcome::Challenged(_)));
    assert!(matches!(outcome("bank__pay", json!({"amount": 100})), Outcome::Forbidden(ForbidReason::NoPermit)));
    assert!(matches!(outcome("notes__delete_note", json!({})), Outcome::Forbidden(ForbidReason::Forbidden)));
}

#[test]
fn a_list_shows_what_arguments_leave_to_a_step_up_although_groups_are_unknown() {
    let world = World::new();
    let caller = somebody(json!({"hasgroups": true}));
    let rules = |editors: &str| {
        policy(&format!(
            r#"permit(principal, action in Sekisho::Action::"connect", resource);
            permit(principal, {CALL}, resource == Sekisho::Tool::"notes/add_note") when {{ {editors} }};
            @scope("add") permit(principal, {CALL}, resource == Sekisho::Tool::"notes/add_note") when {{ principal.scopes.contains("add") }};"#
        ))
    };
    let drafts = rules(r#"context.flag.hasTag("draft") && principal.groups.contains("editors")"#);
    assert_eq!(told(&world, &drafts, &caller).0, "add");
    assert_eq!(refused(&world, &drafts, &caller, json!({"draft": true})), ForbidReason::GroupsUnknown);
    assert_eq!(world.shown(&drafts, &caller, ListKind::Tools).unwrap(), ["notes/add_note"]);
    let always = rules(r#"principal.groups.contains("editors")"#);
    assert_eq!(refused(&world, &always, &caller, json!({})), ForbidReason::GroupsUnknown);
    assert_eq!(world.shown(&always, &caller, ListKind::Tools).unwrap(), [""; 0]);
}

#[test]
fn an_annotation_that_cannot_be_used_is_refused_with_its_place() {
    let problems = |text: &str| -> Vec<Problem> {
        match Policy::parse(&[("a.cedar", text)]) {
            Err(LoadError::Invalid(problems)) => problems,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("loaded: {text}"),
        }
    };
    let text =
        "permit(principal, action, resource);\n@scope(\"a\")\n@max_age(\"0\")\npermit(principal, action, resource);\n";
    let found = problems(text);
    assert_eq!((found.len(), found[0].line, found[0].column, found[0].length), (1, 3, 1, 8));
    assert!(found[0].message.contains("no number of seconds") && found[0].help.is_some());
    let text = "@max_age(\"60\") permit(principal, action, resource);\n\n@max_age ( \"1h\" ) permit(principal, action, resource);";
    assert_eq!(problems(text)[0].line, 3);
    for bad in
        [r#"@scope("")"#, r#"@scope("offline_access")"#, "@scope", r#"@acrs("mfa")"#, r#"@amr("mfa")"#, r#"@acr("x")"#]
    {
        assert_eq!(problems(&format!("{bad} permit(principal, action, resource);")).len(), 1, "{bad}");
    }
}

/// Conditions over all that a step-up changes, and over some of what it does not.
fn condition() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        3 => Just(r#"principal.scopes.contains("a")"#.to_owned()),
        2 => Just(r#"principal.scopes.containsAll(["a", "b"])"#.to_owned()),
        2 => Just(r#"principal.acr == "urn:x""#.to_owned()),
        2 => Just(r#"["urn:x", "urn:y"].contains(principal.acr)"#.to_owned()),
        1 => Just(r#"principal.amr.contains("mfa")"#.to_owned()),
        2 => Just(r#"principal.acrs.contains("c1")"#.to_owned()),
        2 => Just(r#"principal has auth_time && context.time.durationSince(principal.auth_time) < duration("15m")"#.to_owned()),
        1 => Just(r#"context.text.hasTag("a")"#.to_owned()),
        1 => Just(r#"context.number.hasTag("n") && context.number.getTag("n") * 9223372036854775807 > 0"#.to_owned()),
        1 => Just(r#"principal.groups.contains("editors")"#.to_owned()),
        1 => Just(r#"resource.name like "*_note""#.to_owned()),
    ];
    leaf.prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(({a}) && ({b}))")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(({a}) || ({b}))")),
            inner.prop_map(|a| format!("!({a})")),
        ]
    })
}

fn rule() -> impl Strategy<Value = String> {
    let annotations = prop::sample::subsequence(
        vec![r#"@scope("a b")"#, r#"@acr_values("urn:y urn:x")"#, r#"@max_age("600")"#, r#"@acrs("c1")"#],
        0..=3,
    );
    let amr = prop::bool::ANY;
    let effect = prop_oneof![3 => Just("permit"), 2 => Just("forbid")];
    let clause = prop_oneof![Just("when"), Just("unless")];
    (annotations, amr, effect, clause, condition()).prop_map(|(annotations, amr, effect, clause, condition)| {
        let amr = if amr && annotations.iter().any(|one| !one.starts_with("@scope")) { r#"@amr("mfa")"# } else { "" };
        format!("{} {amr} {effect}(principal, {CALL}, resource) {clause} {{ {condition} }};", annotations.join(" "))
    })
}

#[test]
fn who_does_what_a_challenge_says_is_permitted_and_what_is_challenged_is_listed() {
    let world = World::new();
    let callers = [
        json!({}),
        json!({"scope": "b", "acr": "urn:y"}),
        json!({"xms_cc": "CP1"}),
        json!({"hasgroups": true, "xms_cc": "cp1"}),
    ];
    let arguments = [json!({}), json!({"a": "x"}), json!({"n": 2}), json!({"a": 1, "n": 0})];
    let met = Cell::new([0_u32; 4]);
    let strategy = (prop::collection::vec(rule(), 1..5), 0..callers.len());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(200));
    runner
        .run(&strategy, |(rules, caller)| {
            let connect = r#"permit(principal, action in Sekisho::Action::"connect", resource);"#;
            let text = format!("{connect}\n{}", rules.join("\n"));
            let Ok(policy) = Policy::parse(&[("random.cedar", &text)]) else { return Ok(()) };
            let shown = world.shown(&policy, &somebody(callers[caller].clone()), ListKind::Tools).unwrap();
            let listed = shown.contains(&"notes/add_note".to_owned());
            let mut counts = met.get();
            for given in &arguments {
                match world.outcome(&policy, &somebody(callers[caller].clone()), TOOL, given.clone()) {
                    Outcome::Permitted => {
                        prop_assert!(listed, "permitted, and not listed\n{}", text);
                        counts[0] += 1;
                    }
                    Outcome::Forbidden(_) => counts[if listed { 1 } else { 2 }] += 1,
                    Outcome::Challenged(challenge) => {
                        prop_assert!(listed, "{:?}, and not listed\n{}", challenge, text);
                        for caller in stepped_up(&callers[caller], &challenge) {
                            let then = world.outcome(&policy, &caller, TOOL, given.clone());
                            prop_assert!(matches!(then, Outcome::Permitted), "{:?}: {:?}\n{}", challenge, then, text);
                        }
                        counts[3] += 1;
                    }
                }
            }
            met.set(counts);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(met.get().iter().all(|count| *count > 20), "{:?}: each was met, or the test says nothing", met.get());
}

/// The caller with the token that the challenge asks for; one for each class that would do.
fn stepped_up(claims: &Value, challenge: &Challenge) -> Vec<Who> {
    let (scopes, classes, max_age, context) = asked(challenge);
    let mut claims = claims.clone();
    if !scopes.is_empty() {
        claims["scope"] = scopes.into();
    }
    if let Some(context) = &context {
        claims["acrs"] = json!([context]);
    }
    if max_age.is_some() || !classes.is_empty() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        claims["auth_time"] = now.into();
    }
    // What a login brings is what its policy says it brings.
    if !challenge.methods.is_empty() {
        claims["amr"] = json!(challenge.methods);
    }
    if classes.is_empty() {
        return vec![somebody(claims)];
    }
    let mut with = |class: &str| {
        claims["acr"] = class.into();
        somebody(claims.clone())
    };
    classes.split(' ').map(&mut with).collect()
}
