//! What is sliced and remembered decides as what is neither: the same policies, written so that each is evaluated for every call.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends where something is not as expected")]

mod support;

use std::time::SystemTime;

use proptest::prelude::*;
use sekisho_policy::{Challenge, Decision, Policy};
use sekisho_wire::{Endpoint, ListKind};
use serde_json::json;
use support::{Reading, World, page_of, policy, who, with_certificate};

const EFFECTS: [&str; 2] = ["permit", "forbid"];
/// Scopes of tools, each as the scope says it and as a condition does.
const RESOURCES: [(&str, &str); 5] = [
    ("resource", "true"),
    ("resource == Sekisho::Tool::\"notes/add_note\"", "resource == Sekisho::Tool::\"notes/add_note\""),
    ("resource == Sekisho::Tool::\"files/read_file\"", "resource == Sekisho::Tool::\"files/read_file\""),
    ("resource in Sekisho::Server::\"notes\"", "resource in Sekisho::Server::\"notes\""),
    ("resource is Sekisho::Tool in Sekisho::Server::\"bank\"", "resource in Sekisho::Server::\"bank\""),
];
const PRINCIPALS: [(&str, &str); 3] = [
    ("principal", "true"),
    (
        "principal == Sekisho::User::\"https://issuer.example#alice\"",
        "principal == Sekisho::User::\"https://issuer.example#alice\"",
    ),
    ("principal is Sekisho::User", "true"),
];
const CONDITIONS: [&str; 32] = [
    "true",
    "principal.subject like \"a*\"",
    "principal.client == \"agent\"",
    "principal.roles.contains(\"writer\")",
    "principal.groups.contains(\"staff\") || principal.roles.contains(\"writer\")",
    "principal.hasTag(\"team\") && principal.getTag(\"team\") == \"blue\"",
    "principal.hasTag(resource.name)",
    "resource.name like \"*_note\"",
    "resource.server.trust == \"trusted\"",
    "context.confidentiality == \"confidential\"",
    "context.text.hasTag(\"path\") && context.text.getTag(\"path\") == \"a\"",
    "context.number.hasTag(\"n\") && context.number.getTag(\"n\") * 9223372036854775807 > 0",
    "Sekisho::User::\"https://issuer.example#bob\".client == \"agent\"",
    "[principal].contains(Sekisho::User::\"https://issuer.example#alice\")",
    "context.time < datetime(\"2020-01-01\")",
    "datetime(\"2020-01-01T00:00:00Z\") <= context.time",
    "context.time.toTime() >= duration(\"0ms\")",
    "context.decimal.hasTag(\"n\") || context.flag.hasTag(\"path\")",
    "context.era == \"legacy\" && principal.scopes.isEmpty()",
    "Sekisho::Server::\"notes\".trust == resource.server.trust",
    "principal.tenant == \"north\"",
    "principal.kind == \"application\"",
    "principal.acr == \"urn:mfa\"",
    "principal.amr.contains(\"otp\")",
    "principal.acrs.contains(\"c1\")",
    "principal.bound_by.contains(\"mtls\")",
    "principal has auth_time",
    "principal has auth_time && principal.auth_time > datetime(\"2020-01-01\")",
    "principal has auth_time && context.time.durationSince(principal.auth_time) < duration(\"15m\")",
    "principal.hasTag(\"site\") && principal.getTag(\"site\") == \"7\"",
    "principal.groups.contains(\"staff\") && context.text.hasTag(\"path\")",
    "principal.scopes.contains(\"notes:write\")",
];
const ANNOTATIONS: [&str; 5] =
    ["", "@scope(\"notes:write\")", "@acr_values(\"urn:mfa\") @amr(\"otp\")", "@acrs(\"c1\")", "@max_age(\"900\")"];
const TOOLS: [&str; 5] =
    ["notes__add_note", "notes__delete_note", "files__read_file", "files__write_file", "bank__pay"];

fn callers() -> [support::Who; 12] {
    [
        who("alice", json!({})),
        who("alice", json!({"roles": ["writer"], "team": "blue"})),
        who("bob", json!({"groups": ["staff"], "add_note": "yes"})),
        who("bob", json!({"groups": ["staff", "writer"], "team": "red"})),
        who("carol", json!({"roles": ["staff", "writer"]})),
        // Each differs from alice in what one fact says.
        who("alice", json!({"tenant": "north", "acr": "urn:mfa"})),
        who("alice", json!({"amr": ["otp"], "scope": "notes:write"})),
        who("alice", json!({"acrs": ["c1"], "auth_time": 0})),
        who("alice", json!({"auth_time": 1_780_000_000, "xms_cc": "cp1"})),
        with_certificate(who("alice", json!({"site": "8", "office": {"site": "7"}}))),
        who("alice", json!({"hasgroups": true, "site": "7"})),
        who("agent", json!({})),
    ]
}

/// Numbers that pick from the lists above.
type Rule = (usize, usize, usize, usize, usize);

fn as_written(rules: &[Rule]) -> Policy {
    let rule = |(at, &(effect, who, what, when, says)): (usize, &Rule)| {
        let (effect, who, what, when) = (EFFECTS[effect], PRINCIPALS[who].0, RESOURCES[what].0, CONDITIONS[when]);
        let (action, says) = ("action == Sekisho::Action::\"tools/call\"", ANNOTATIONS[says]);
        format!("@id(\"{at}\") {says} {effect}({who}, {action}, {what}) when {{ {when} }};\n")
    };
    with_lists(rules.iter().enumerate().map(rule).collect())
}

/// Each policy has every tool in its scope, and reads all that there is, so that all of it is there and it is evaluated each time.
fn evaluated(rules: &[Rule]) -> Policy {
    let rule = |(at, &(effect, who, what, when, says)): (usize, &Rule)| {
        let (effect, who, what, when) = (EFFECTS[effect], PRINCIPALS[who].1, RESOURCES[what].1, CONDITIONS[when]);
        let always = "[principal].contains(principal) && [resource].contains(resource) && [context].contains(context)";
        let (action, says) = ("action == Sekisho::Action::\"tools/call\"", ANNOTATIONS[says]);
        let when = format!("{always} && {who} && {what} && ({when})");
        format!("@id(\"{at}\") {says} {effect}(principal, {action}, resource) when {{ {when} }};\n")
    };
    with_lists(rules.iter().enumerate().map(rule).collect())
}

fn with_lists(rules: String) -> Policy {
    policy(&format!("{rules}@id(\"lists\") permit(principal, action in Sekisho::Action::\"connect\", resource);"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn slices_and_memory_change_no_decision(
        rules in prop::collection::vec((0..EFFECTS.len(), 0..PRINCIPALS.len(), 0..RESOURCES.len(), 0..CONDITIONS.len(), 0..ANNOTATIONS.len()), 1..6),
        questions in prop::collection::vec((0..12_usize, 0..TOOLS.len(), 0..4_usize), 12..24),
    ) {
        let (world, callers) = (World::new(), callers());
        let (fast, slow) = (as_written(&rules), evaluated(&rules));
        let pages = ["files", "notes", "bank"].map(page_of);
        let arguments = [json!({}), json!({"path": "a"}), json!({"n": 2}), json!({"path": "b", "n": 1})];
        for (caller, tool, given) in questions {
            let (caller, tool, given) = (&callers[caller], TOOLS[tool], &arguments[given]);
            let params = json!({"name": tool, "arguments": given});
            let decided = |policy: &Policy| {
                let message = world.modern(caller, &Endpoint::All, "tools/call", params.clone());
                match policy.decide(world.labelled(message), SystemTime::now()) {
                    Decision::Permit(permitted) => (None, None, permitted.basis().clone()),
                    Decision::Forbid(forbidden) => (Some(forbidden.reason), None, forbidden.basis),
                    Decision::Challenge(challenge) => {
                        let Challenge { reason, scopes, acr_values, max_age_s, context, basis, .. } = *challenge;
                        (Some(reason), Some((scopes, acr_values, max_age_s, context)), basis)
                    }
                }
            };
            prop_assert_eq!(decided(&fast), decided(&slow), "{} {}", tool, given);
            let shown = |policy: &Policy| world.shown(policy, caller, ListKind::Tools);
            prop_assert_eq!(shown(&fast), shown(&slow));
            for page in &pages {
                let fresh = world.page(&slow, caller, page, Reading::Anew);
                prop_assert_eq!(world.page(&fast, caller, page, Reading::AsKnown), fresh.clone());
                prop_assert_eq!(world.page(&fast, caller, page, Reading::AsKnown), fresh);
            }
        }
    }
}
