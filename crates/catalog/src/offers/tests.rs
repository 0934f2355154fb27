//! What is remembered, what is withheld, and what is said of it.

use bytes::Bytes;
use sekisho_wire::json::Limits;

use super::*;

fn id() -> ServerId {
    ServerId::parse("notes").expect("a server name")
}

fn json(text: &str) -> Json {
    Json::decode(Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).expect("strict JSON")
}

fn tool(name: &str, title: &str) -> Json {
    json(&format!(r#"{{"name":"{name}","title":"{title}","inputSchema":{{"type":"object"}}}}"#))
}

fn learn(offers: &Offers, page: &[Json]) -> Vec<String> {
    learn_in(offers, Era::Legacy, ListKind::Tools, page)
}

fn learn_in(offers: &Offers, era: Era, kind: ListKind, page: &[Json]) -> Vec<String> {
    let page: Vec<&Json> = page.iter().collect();
    let changes = offers.learn(&id(), era, kind, &page);
    changes.iter().map(|change| format!("{}: {change}", change.name())).collect()
}

fn offered(offers: &Offers, name: &str) -> bool {
    matches!(offers.named(Era::Legacy, ListKind::Tools, name), Known::Offered(_))
}

fn shown_at_all(offers: &Offers, name: &str) -> bool {
    offers.shows(&Endpoint::All, &id(), ListKind::Tools, name)
}

fn shown_at_one(offers: &Offers, name: &str) -> bool {
    offers.shows(&Endpoint::One(id()), &id(), ListKind::Tools, name)
}

#[test]
fn a_definition_is_reported_when_first_seen_and_when_it_changes_and_not_otherwise() {
    let offers = Offers::default();
    let first = learn(&offers, &[tool("a", "one")]);
    assert!(matches!(first.as_slice(), [words] if words.starts_with("a: tool seen for the first time: sha256 ")));
    assert!(learn(&offers, &[tool("a", "one")]).is_empty());

    let Known::Offered(old) = offers.named(Era::Legacy, ListKind::Tools, "a") else { panic!("offered") };
    let changed = learn(&offers, &[tool("a", "two")]);
    let Known::Offered(new) = offers.named(Era::Legacy, ListKind::Tools, "a") else { panic!("offered") };
    let words = format!("a: tool changed: from sha256 {} to sha256 {}", old.digest(), new.digest());
    assert_eq!(changed, [words]);
    assert_eq!(new.json(), &tool("a", "two"), "the newer definition is used from then on");
    assert_eq!(old.json(), &tool("a", "one"), "who holds the older one still sees the older one");
}

#[test]
fn eras_and_kinds_are_kept_apart() {
    let offers = Offers::default();
    learn(&offers, &[tool("a", "one")]);
    assert!(matches!(offers.named(Era::Modern, ListKind::Tools, "a"), Known::Unseen));
    assert!(matches!(offers.named(Era::Legacy, ListKind::Prompts, "a"), Known::Unseen));
    let in_modern = learn_in(&offers, Era::Modern, ListKind::Tools, &[tool("a", "two")]);
    assert!(in_modern.iter().all(|words| words.contains("first time")), "{in_modern:?}");
}

#[test]
fn a_name_that_stands_twice_on_a_page_is_withheld_and_its_neighbour_is_not() {
    let offers = Offers::default();
    let page = [tool("a", "one"), tool("a", "two"), tool("b", "one")];
    let changes = learn(&offers, &page);
    assert!(changes.iter().any(|words| *words == "a: tool withheld: its name stands more than once in one list"));
    assert!(!offered(&offers, "a") && !shown_at_one(&offers, "a") && !shown_at_all(&offers, "a"));
    assert!(offered(&offers, "b") && shown_at_one(&offers, "b") && shown_at_all(&offers, "b"));
    assert!(learn(&offers, &page).is_empty(), "reported once");

    let mended = learn(&offers, &[tool("a", "one")]);
    assert!(matches!(mended.as_slice(), [words] if words.contains("first time")), "{mended:?}");
    assert!(offered(&offers, "a"));
}

#[test]
fn a_definition_that_was_good_and_turns_bad_is_withheld() {
    let offers = Offers::default();
    learn(&offers, &[tool("a", "one")]);
    let changes = learn(&offers, &[json(r#"{"name":"a"}"#)]);
    assert_eq!(changes, ["a: tool withheld: it is not what the protocol says it is"]);
    assert!(!offered(&offers, "a") && !shown_at_one(&offers, "a"));
}

#[test]
fn names_that_would_be_exposed_alike_are_both_withheld_at_the_door_of_all() {
    let offers = Offers::default();
    let bent = exposed_name(&id(), "a b");
    let twin = bent.strip_prefix("notes__").expect("the server's prefix");
    learn(&offers, &[tool("a b", "one"), tool("c", "one")]);
    assert!(shown_at_all(&offers, "a b"));

    let changes = learn(&offers, &[tool(twin, "one")]);
    assert!(
        changes.iter().any(|words| words.ends_with(&format!("it and `a b` would both be `{bent}`"))),
        "{changes:?}"
    );
    assert!(!shown_at_all(&offers, "a b") && !shown_at_all(&offers, twin) && shown_at_all(&offers, "c"));
    assert!(matches!(offers.exposed(Era::Legacy, ListKind::Tools, &bent), Known::Withheld));
    assert!(shown_at_one(&offers, "a b") && shown_at_one(&offers, twin), "names are untouched at the door of one");
    assert!(learn(&offers, &[tool("a b", "one"), tool(twin, "one")]).is_empty(), "reported once");
}

#[test]
fn what_is_withheld_in_one_era_is_shown_in_none() {
    let offers = Offers::default();
    learn(&offers, &[tool("a", "one")]);
    learn_in(&offers, Era::Modern, ListKind::Tools, &[tool("a", "one"), tool("a", "one")]);
    assert!(!shown_at_one(&offers, "a"));
}

#[test]
fn a_tool_that_was_never_learned_is_not_shown_and_a_resource_is() {
    let offers = Offers::default();
    assert!(!shown_at_one(&offers, "a"));
    assert!(offers.shows(&Endpoint::One(id()), &id(), ListKind::Resources, "file:///a"));
    let twice = [json(r#"{"uri":"file:///a"}"#), json(r#"{"uri":"file:///a"}"#)];
    learn_in(&offers, Era::Legacy, ListKind::Resources, &twice);
    assert!(!offers.shows(&Endpoint::All, &id(), ListKind::Resources, "file:///a"));
}

#[test]
fn definitions_are_remembered_up_to_the_bound_and_the_rest_is_withheld_and_reported_once() {
    let offers = Offers::default();
    let page: Vec<Json> = (0..DEFINITIONS_MAX).map(|number| tool(&format!("t{number}"), "")).collect();
    assert_eq!(learn(&offers, &page).len(), DEFINITIONS_MAX);
    let past = learn(&offers, &[tool("x", ""), tool("y", "")]);
    assert_eq!(past, ["x: tool withheld: the server offers more than is remembered"]);
    assert!(!offered(&offers, "x") && !shown_at_all(&offers, "x"));
    assert!(offered(&offers, "t0"), "what was remembered stays");
    assert_eq!(learn(&offers, &[tool("t0", "other")]).len(), 1, "and may change");
}

#[test]
fn bytes_are_bounded_and_given_back() {
    let offers = Offers::default();
    let long = "x".repeat(200 * 1024);
    let many: Vec<Json> = (0..200).map(|number| tool(&format!("t{number}"), &long)).collect();
    learn(&offers, &many);
    let bytes = |offers: &Offers| offers.legacy.tools.read().expect("not poisoned").bytes;
    assert!(bytes(&offers) <= BYTES_MAX && bytes(&offers) > BYTES_MAX - 300 * 1024);
    let short: Vec<Json> = (0..200).map(|number| tool(&format!("t{number}"), "")).collect();
    learn(&offers, &short);
    assert!(bytes(&offers) < 20 * 1024);
    assert!(offered(&offers, "t199"));
}
