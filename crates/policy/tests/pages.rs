//! What was decided of a page is decided anew where anything differs that it depended on.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not as expected")]

mod support;

use std::time::{Duration, UNIX_EPOCH};

use sekisho_flow::Flow;
use sekisho_policy::ForbidReason;
use sekisho_wire::{FromServer, Items};
use serde_json::json;
use support::{Reading, World, alice, one, page_of, policy, sheet_of, who};

const LISTS: &str = r#"permit(principal, action in Sekisho::Action::"connect", resource);"#;
const WRITERS: &str = r#"permit(principal, action == Sekisho::Action::"tools/call", resource);
    forbid(principal, action == Sekisho::Action::"tools/call", resource) when { resource.name like "delete_*" }
    unless { principal.roles.contains("writer") };"#;

#[test]
fn another_principal_gets_another_page_and_the_same_one_the_same() {
    let (world, policy, page) = (World::new(), policy(&format!("{LISTS}{WRITERS}")), page_of("notes"));
    let writer = who("wanda", json!({"roles": ["writer"]}));
    for _ in 0..3 {
        let (shown, withheld) = world.page(&policy, &alice(), &page, Reading::AsKnown).unwrap();
        assert_eq!((shown.len(), withheld), (2, vec![("notes/delete_note".into(), ForbidReason::Forbidden)]));
        let (shown, withheld) = world.page(&policy, &writer, &page, Reading::AsKnown).unwrap();
        assert_eq!((shown.len(), withheld), (3, Vec::new()));
    }
}

#[test]
fn who_can_be_told_of_a_step_up_gets_another_page_than_who_cannot() {
    let (world, page) = (World::new(), page_of("notes"));
    let policy = policy(&format!(
        r#"{LISTS} permit(principal, action == Sekisho::Action::"tools/call", resource);
        @acrs("c1") forbid(principal, action == Sekisho::Action::"tools/call", resource == Sekisho::Tool::"notes/add_note")
        unless {{ principal.acrs.contains("c1") }};"#
    ));
    let of_entra = who("alice", json!({"xms_cc": ["cp1"]}));
    for _ in 0..3 {
        for (caller, count) in [(&alice(), 2), (&of_entra, 3)] {
            assert_eq!(world.page(&policy, caller, &page, Reading::AsKnown).unwrap().0.len(), count);
        }
    }
}

#[test]
fn a_page_that_hangs_on_when_somebody_would_log_in_is_decided_each_time() {
    let world = World::new();
    let policy = policy(&format!(
        r#"{LISTS} @max_age("60") permit(principal, action == Sekisho::Action::"tools/call", resource)
        when {{ principal has auth_time && principal.auth_time > datetime("2030-01-01") }};"#
    ));
    let list = world.modern(&alice(), &one("notes"), "tools/list", json!({}));
    let facts = world.decide(&policy, list).unwrap_or_else(|no| panic!("{no:?}")).facts();
    let page = page_of("notes");
    let again = || {
        let (entries, sheet) = (page.entries.clone(), page.sheet.clone());
        FromServer::Page(Items { entries, sheet, next: Vec::new(), missing: Vec::new(), meta: None, ..page })
    };
    // In 2029, and in 2031.
    for (seconds, withheld) in [(1_870_000_000, 3), (1_930_000_000, 0), (1_870_000_000, 3)] {
        let carried = Flow.carry(facts.labels, world.guard.examine(&facts.subject, again()));
        let released = policy.release(&facts, carried, UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        assert_eq!(released.withheld().len(), withheld, "{seconds}");
    }
}

#[test]
fn another_set_of_policies_decides_anew() {
    let (world, page) = (World::new(), page_of("notes"));
    let count = |text: &str| {
        let policy = policy(&format!("{LISTS}{text}"));
        let shown = || world.page(&policy, &alice(), &page, Reading::AsKnown).unwrap().0.len();
        (shown(), shown())
    };
    assert_eq!(count(WRITERS), (2, 2));
    assert_eq!(count(r#"permit(principal, action == Sekisho::Action::"tools/call", resource);"#), (3, 3));
    assert_eq!(count(""), (0, 0));
}

#[test]
fn a_page_that_differs_in_one_name_is_another_page() {
    let (world, policy) = (World::new(), policy(&format!("{LISTS}{WRITERS}")));
    let tool = |name: &str| format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#);
    for (name, count) in [("remove_note", 1), ("delete_note", 0), ("remove_note", 1)] {
        let page = sheet_of("notes", &tool(name));
        assert_eq!(world.page(&policy, &alice(), &page, Reading::AsKnown).unwrap().0.len(), count, "{name}");
    }
}

#[test]
fn a_tool_that_cannot_be_used_is_withheld_from_whoever_might_call_it() {
    let (world, policy, page) = (World::new(), policy(&format!("{LISTS}{WRITERS}")), page_of("files"));
    for _ in 0..3 {
        let (shown, withheld) = world.page(&policy, &alice(), &page, Reading::AsKnown).unwrap();
        assert_eq!(shown.len(), 2);
        assert!(matches!(withheld.as_slice(), [(at, ForbidReason::ToolUnusable(_))] if &**at == "files/remote"));
    }
}
