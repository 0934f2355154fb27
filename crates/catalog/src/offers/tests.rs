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

fn resource(uri: &str) -> Json {
    json(&format!(r#"{{"uri":"{uri}"}}"#))
}

/// How many entries and exposed names there are.
fn held(offers: &Offers) -> (usize, usize) {
    let table = offers.legacy.tools.read().expect("not poisoned");
    (table.entries.len(), table.exposed.len())
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
fn what_was_never_learned_is_not_shown_and_what_was_is() {
    let offers = Offers::default();
    assert!(!shown_at_one(&offers, "a"));
    let shown =
        |uri: &str| [Endpoint::All, Endpoint::One(id())].map(|at| offers.shows(&at, &id(), ListKind::Resources, uri));
    assert_eq!(shown("file:///a"), [false, false]);
    learn_in(&offers, Era::Legacy, ListKind::Resources, &[resource("file:///a")]);
    assert_eq!(shown("file:///a"), [true, true]);
    assert_eq!(shown("file:///b"), [false, false]);
    learn_in(&offers, Era::Legacy, ListKind::Resources, &[resource("file:///a"), resource("file:///a")]);
    assert_eq!(shown("file:///a"), [false, false], "which of the two?");
}

#[test]
fn a_name_too_long_to_be_remembered_is_withheld_and_reported_once_and_cut() {
    let offers = Offers::default();
    let (longest, too_long) = ("メ".repeat(341) + "x", "メ".repeat(342));
    assert_eq!((longest.len(), too_long.len()), (1024, 1026));
    learn(&offers, &[tool(&longest, "")]);
    assert!(offered(&offers, &longest) && shown_at_all(&offers, &longest));
    let before = held(&offers);
    let told = learn(&offers, &[tool(&too_long, ""), tool("b", "")]);
    let cut = format!("{}…: tool withheld: it is too long or nests too deep", "メ".repeat(64));
    assert!(told.contains(&cut), "{told:?}");
    assert!(offered(&offers, "b") && !shown_at_one(&offers, &too_long));
    assert!(matches!(offers.named(Era::Legacy, ListKind::Tools, &too_long), Known::Unseen));
    assert_eq!(held(&offers), (before.0 + 1, before.1 + 1), "`b` alone was remembered");
    let more = [tool(&too_long, "other"), tool(&"y".repeat(1025), ""), tool(&"y".repeat(1025), "")];
    assert!(learn(&offers, &more).is_empty(), "reported once");
}

#[test]
fn names_count_even_where_their_definitions_are_withheld() {
    let offers = Offers::default();
    let uri = |number: usize| format!("x:{number:08190}");
    let page: Vec<Json> = (0..5000).flat_map(|number| [resource(&uri(number)), resource(&uri(number))]).collect();
    let changes = learn_in(&offers, Era::Legacy, ListKind::Resources, &page);
    let table = offers.legacy.resources.read().expect("not poisoned");
    assert_eq!(table.entries.len(), BYTES_MAX / 8192);
    assert_eq!(table.bytes, BYTES_MAX);
    assert_eq!(changes.len(), BYTES_MAX / 8192 + 1, "the rest is reported once");
}

#[test]
fn bytes_are_remembered_at_the_bound_and_not_past_it() {
    let entry = || Entry::Withheld { flaw: Flaw::Malformed, digest: DefinitionDigest::of(&json("{}")) };
    // Its key, its exposed name `notes__a` and what that leads to.
    let needed = "a".len() + "notes__a".len() + "a".len();
    assert_eq!(held_bytes(&id(), ListKind::Tools, "a", &entry()), needed);
    for (bytes, room) in [(BYTES_MAX - needed, true), (BYTES_MAX - needed + 1, false)] {
        let mut table = Table { bytes, ..Table::default() };
        let told = table.put(&id(), ListKind::Tools, "a", entry());
        let flaw = if room { Flaw::Malformed } else { Flaw::NoRoom };
        assert_eq!(told, [What::Withheld { flaw }]);
        assert_eq!((table.entries.len(), table.exposed.len()), if room { (1, 1) } else { (0, 0) });
    }
}

#[test]
fn an_exposed_name_goes_with_its_entry_and_frees_the_one_that_shared_it() {
    let offers = Offers::default();
    let bent = exposed_name(&id(), "a b");
    let twin = bent.strip_prefix("notes__").expect("the server's prefix");
    learn(&offers, &[tool("a b", ""), tool(twin, "")]);
    assert!(!shown_at_all(&offers, "a b") && !shown_at_all(&offers, twin));
    offers.legacy.tools.write().expect("not poisoned").bytes = BYTES_MAX;
    let told = learn(&offers, &[tool(twin, &"x".repeat(1000))]);
    assert!(matches!(told.as_slice(), [words] if words.ends_with("offers more than is remembered")), "{told:?}");
    assert!(shown_at_all(&offers, "a b") && !shown_at_all(&offers, twin), "who is gone collides no more");
    assert_eq!(held(&offers), (1, 1));
}

#[test]
fn a_name_that_stood_twice_may_be_looked_up_again_and_one_with_another_flaw_may_not() {
    let offers = Offers::default();
    learn(&offers, &[tool("twice", ""), tool("twice", ""), json(r#"{"name":"flawed"}"#)]);
    let known = |name: &str| offers.named(Era::Legacy, ListKind::Tools, name);
    assert!(matches!(known("twice"), Known::Ambiguous));
    assert!(matches!(known("flawed"), Known::Withheld));
    assert!(matches!(offers.exposed(Era::Legacy, ListKind::Tools, "notes__twice"), Known::Ambiguous));
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
