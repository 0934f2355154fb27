//! What is remembered, what is withheld, and what is said of it.

use bytes::Bytes;
use sekisho_wire::json::Limits;

use super::table::{BYTES_MAX, DEFINITIONS_MAX};
use super::*;
use crate::approval::Approvals;
use crate::lock::{Identity, Lock, Locked, Pin};

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

/// Nothing seen yet, and what is seen first counts as approved.
fn trusting() -> Offers {
    approving(&Approvals::of_first_use())
}

fn approving(approvals: &Approvals) -> Offers {
    Offers::new(approvals.of(&id(), &identity(), &config_of("[servers.notes]\ncommand = ['notes']")))
}

fn config_of(text: &str) -> crate::ServerConfig {
    let config: crate::Config = toml::from_str(text).expect("a configuration");
    config.servers.get("notes").expect("a server").clone()
}

fn identity() -> Identity {
    Identity::Stdio { command: vec!["notes".into()], cwd: None, env: Vec::new(), program: None }
}

/// A lock file with these tools.
fn locking(tools: &[Json]) -> Approvals {
    let mut locked = Locked::new(identity());
    for tool in tools {
        let pin = Pin::of(&id(), ListKind::Tools, tool, Vec::new()).expect("a tool");
        locked.approve(ListKind::Tools, pin.pinned().name(), vec![pin.clone()]);
    }
    let mut lock = Lock::default();
    lock.put(id(), locked);
    Approvals::new(lock, BTreeMap::new(), crate::Unapproved::Withheld)
}

fn sha(tool: &Json) -> DefinitionDigest {
    DefinitionDigest::of(ListKind::Tools, tool)
}

fn why(offers: &Offers, name: &str) -> Option<Flaw> {
    match offers.named(Era::Legacy, ListKind::Tools, name) {
        Known::Withheld(flaw) => Some(flaw),
        Known::Offered(_) | Known::Ambiguous | Known::Unseen => None,
    }
}

/// There is no other server.
fn alone() -> Neighbours {
    Neighbours::new(&id(), std::iter::empty())
}

/// How many entries and exposed names there are.
fn held(offers: &Offers) -> (usize, usize) {
    let table = offers.legacy.tools.table.read().expect("not poisoned");
    table.held()
}

fn learn(offers: &Offers, page: &[Json]) -> Vec<String> {
    learn_in(offers, Era::Legacy, ListKind::Tools, page)
}

fn learn_in(offers: &Offers, era: Era, kind: ListKind, page: &[Json]) -> Vec<String> {
    let page: Vec<&Json> = page.iter().collect();
    let changes = offers.learn(&id(), (era, kind), &page, (Some(SystemTime::now()), &alone));
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
    let offers = trusting();
    let first = learn(&offers, &[tool("a", "one")]);
    assert!(matches!(first.as_slice(), [words] if words.starts_with("a: tool seen for the first time: sha256 ")));
    assert!(learn(&offers, &[tool("a", "one")]).is_empty());

    assert!(learn(&offers, &[json(r#"{"inputSchema":{"type":"object"},  "title":"one","name":"a"}"#)]).is_empty());
}

#[test]
fn a_definition_that_changed_is_frozen_whatever_is_shown_afterwards_and_its_neighbour_is_not() {
    for approvals in [Approvals::of_first_use(), locking(&[tool("a", "one"), tool("b", "one")])] {
        let offers = approving(&approvals);
        learn(&offers, &[tool("a", "one"), tool("b", "one")]);
        let (one, two) = (sha(&tool("a", "one")), sha(&tool("a", "two")));
        let changed = learn(&offers, &[tool("a", "two"), tool("b", "one")]);
        let words = format!(
            "a: tool withheld: it changed: the definition that was approved is sha256 {one}; this one is sha256 {two}"
        );
        assert_eq!(changed, [words]);
        assert_eq!(why(&offers, "a"), Some(Flaw::Changed { approved: one }));
        assert!(!shown_at_one(&offers, "a") && !shown_at_all(&offers, "a"));
        assert!(offered(&offers, "b") && shown_at_one(&offers, "b"));
        assert!(learn(&offers, &[tool("a", "two")]).is_empty(), "reported once");

        let back = learn(&offers, &[tool("a", "one")]);
        assert!(matches!(back.as_slice(), [words] if words.contains("shows two definitions of it")), "{back:?}");
        assert!(back[0].contains(&one.to_string()) && back[0].contains(&two.to_string()), "{back:?}");
        assert_eq!(why(&offers, "a"), Some(Flaw::Split { approved: one }));
    }
}

#[test]
fn a_server_that_flaps_makes_one_incident_and_no_storm() {
    let offers = approving(&locking(&[tool("a", "one")]));
    let told: usize =
        (0..100).map(|turn| learn(&offers, &[tool("a", if turn % 2 == 0 { "one" } else { "two" })]).len()).sum();
    assert_eq!(told, 3, "first seen, changed, and changed back");
    let told: usize = (0..100).map(|turn| learn(&offers, &[tool("a", &format!("turn {turn}"))]).len()).sum();
    assert_eq!(told, 7, "a few more, and no more");
    assert!(why(&offers, "a").is_some());
}

#[test]
fn what_nobody_approved_is_withheld_and_what_somebody_did_is_not() {
    let offers = approving(&locking(&[tool("a", "one")]));
    let told = learn(&offers, &[tool("a", "one"), tool("b", "one")]);
    assert!(
        told.iter().any(|words| words.starts_with("b: tool withheld: nobody has approved it; this one is sha256 ")),
        "{told:?}"
    );
    assert!(offered(&offers, "a") && shown_at_all(&offers, "a"));
    assert_eq!(why(&offers, "b"), Some(Flaw::Unapproved));
    assert!(!shown_at_one(&offers, "b") && !shown_at_all(&offers, "b"));

    let stranger =
        Offers::new(Approvals::default().of(&id(), &identity(), &config_of("[servers.notes]\ncommand = ['notes']")));
    learn(&stranger, &[tool("a", "one")]);
    assert_eq!(why(&stranger, "a"), Some(Flaw::Unapproved), "no lock file approves nothing");
}

#[test]
fn what_was_approved_of_another_server_is_withheld() {
    let approvals = locking(&[tool("a", "one")]);
    let elsewhere = Identity::Stdio { command: vec!["other".into()], cwd: None, env: Vec::new(), program: None };
    let offers = Offers::new(approvals.of(&id(), &elsewhere, &config_of("[servers.notes]\ncommand = ['other']")));
    learn(&offers, &[tool("a", "one")]);
    assert_eq!(why(&offers, "a"), Some(Flaw::Stranger("its command changed".into())));
    assert!(!shown_at_one(&offers, "a"));
}

#[test]
fn resources_may_come_and_go_where_configuration_says_so_and_nowhere_else() {
    let config = config_of("[servers.notes]\ncommand = ['notes']\nunpinned_resources = ['note://']");
    let offers = Offers::new(locking(&[]).of(&id(), &identity(), &config));
    learn_in(&offers, Era::Legacy, ListKind::Resources, &[resource("note://1"), resource("file:///etc")]);
    learn_in(&offers, Era::Legacy, ListKind::Templates, &[json(r#"{"uriTemplate":"note://{id}"}"#)]);
    let at = Endpoint::One(id());
    assert!(offers.shows(&at, &id(), ListKind::Resources, "note://1"));
    assert!(!offers.shows(&at, &id(), ListKind::Resources, "file:///etc"));
    assert!(!offers.shows(&at, &id(), ListKind::Templates, "note://{id}"));
}

#[test]
fn what_was_used_first_is_not_forgotten_by_way_of_a_flaw() {
    let offers = trusting();
    let one = tool("a", "one");
    for flawed in [vec![one.clone(), one.clone()], vec![json(r#"{"name":"a"}"#)]] {
        learn(&offers, std::slice::from_ref(&one));
        assert!(offered(&offers, "a"));
        learn(&offers, &flawed);
        assert!(!offered(&offers, "a"));
    }
    learn(&offers, &[tool("a", "two")]);
    assert_eq!(why(&offers, "a"), Some(Flaw::Changed { approved: sha(&one) }));
}

#[test]
fn a_server_is_asked_again_after_a_while_and_at_once_when_it_says_that_something_changed() {
    let offers = trusting();
    let (now, minute) = (SystemTime::now(), Duration::from_secs(60));
    let stale = |kind, at| offers.is_stale(Era::Legacy, kind, at, minute);
    assert!(stale(ListKind::Tools, now), "it was never asked");
    offers.learn(&id(), (Era::Legacy, ListKind::Tools), &[], (Some(now), &alone));
    assert!(!stale(ListKind::Tools, now) && !stale(ListKind::Tools, now + minute));
    assert!(stale(ListKind::Tools, now + minute + Duration::from_secs(1)));
    assert!(stale(ListKind::Tools, now - minute), "the clock was set back");
    assert!(stale(ListKind::Prompts, now));
    offers.tell_stale(ListKind::Prompts);
    assert!(!stale(ListKind::Tools, now));
    offers.tell_stale(ListKind::Tools);
    assert!(stale(ListKind::Tools, now));
}

#[test]
fn eras_and_kinds_are_kept_apart() {
    let offers = trusting();
    learn(&offers, &[tool("a", "one")]);
    assert!(matches!(offers.named(Era::Modern, ListKind::Tools, "a"), Known::Unseen));
    assert!(matches!(offers.named(Era::Legacy, ListKind::Prompts, "a"), Known::Unseen));
    let in_modern = learn_in(&offers, Era::Modern, ListKind::Tools, &[tool("a", "two")]);
    assert!(in_modern.iter().all(|words| words.contains("first time")), "{in_modern:?}");
}

#[test]
fn a_name_that_stands_twice_on_a_page_is_withheld_and_its_neighbour_is_not() {
    let offers = trusting();
    let page = [tool("a", "one"), tool("a", "two"), tool("b", "one")];
    let changes = learn(&offers, &page);
    assert!(
        changes.iter().any(|words| words.starts_with("a: tool withheld: its name stands more than once in one list; "))
    );
    assert!(!offered(&offers, "a") && !shown_at_one(&offers, "a") && !shown_at_all(&offers, "a"));
    assert!(offered(&offers, "b") && shown_at_one(&offers, "b") && shown_at_all(&offers, "b"));
    assert!(learn(&offers, &page).is_empty(), "reported once");

    let mended = learn(&offers, &[tool("a", "one")]);
    assert!(matches!(mended.as_slice(), [words] if words.contains("first time")), "{mended:?}");
    assert!(offered(&offers, "a"));
}

#[test]
fn a_definition_that_was_good_and_turns_bad_is_withheld() {
    let offers = trusting();
    learn(&offers, &[tool("a", "one")]);
    let changes = learn(&offers, &[json(r#"{"name":"a"}"#)]);
    assert!(
        matches!(changes.as_slice(), [words] if words.starts_with("a: tool withheld: it is not what the protocol says it is; ")),
        "{changes:?}"
    );
    assert!(!offered(&offers, "a") && !shown_at_one(&offers, "a"));
}

#[test]
fn names_that_would_be_exposed_alike_are_both_withheld_at_the_door_of_all() {
    let offers = trusting();
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
    assert!(matches!(offers.exposed(Era::Legacy, ListKind::Tools, &bent), Known::Withheld(_)));
    assert!(shown_at_one(&offers, "a b") && shown_at_one(&offers, twin), "names are untouched at the door of one");
    assert!(learn(&offers, &[tool("a b", "one"), tool(twin, "one")]).is_empty(), "reported once");
}

#[test]
fn what_is_withheld_in_one_era_is_shown_in_none() {
    let offers = trusting();
    learn(&offers, &[tool("a", "one")]);
    learn_in(&offers, Era::Modern, ListKind::Tools, &[tool("a", "one"), tool("a", "one")]);
    assert!(!shown_at_one(&offers, "a"));
}

#[test]
fn what_was_never_learned_is_not_shown_and_what_was_is() {
    let offers = trusting();
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
    let offers = trusting();
    let (longest, too_long) = ("メ".repeat(341) + "x", "メ".repeat(342));
    assert_eq!((longest.len(), too_long.len()), (1024, 1026));
    learn(&offers, &[tool(&longest, "")]);
    assert!(offered(&offers, &longest) && shown_at_all(&offers, &longest));
    let before = held(&offers);
    let told = learn(&offers, &[tool(&too_long, ""), tool("b", "")]);
    let cut = format!("{}…: tool withheld: it is too long or nests too deep; ", "メ".repeat(64));
    assert!(told.iter().any(|words| words.starts_with(&cut)), "{told:?}");
    assert!(offered(&offers, "b") && !shown_at_one(&offers, &too_long));
    assert!(matches!(offers.named(Era::Legacy, ListKind::Tools, &too_long), Known::Unseen));
    assert_eq!(held(&offers), (before.0 + 1, before.1 + 1), "`b` alone was remembered");
    let more = [tool(&too_long, "other"), tool(&"y".repeat(1025), ""), tool(&"y".repeat(1025), "")];
    assert!(learn(&offers, &more).is_empty(), "reported once");
}

#[test]
fn names_count_even_where_their_definitions_are_withheld() {
    let offers = trusting();
    let uri = |number: usize| format!("x:{number:08190}");
    let page: Vec<Json> = (0..5000).flat_map(|number| [resource(&uri(number)), resource(&uri(number))]).collect();
    let changes = learn_in(&offers, Era::Legacy, ListKind::Resources, &page);
    let table = offers.legacy.resources.table.read().expect("not poisoned");
    assert_eq!((table.held().0, table.bytes()), (BYTES_MAX / 8192, BYTES_MAX));
    assert_eq!(changes.len(), BYTES_MAX / 8192 + 1, "the rest is reported once");
}

#[test]
fn a_name_that_stood_twice_may_be_looked_up_again_and_one_with_another_flaw_may_not() {
    let offers = trusting();
    learn(&offers, &[tool("twice", ""), tool("twice", ""), json(r#"{"name":"flawed"}"#)]);
    let known = |name: &str| offers.named(Era::Legacy, ListKind::Tools, name);
    assert!(matches!(known("twice"), Known::Ambiguous));
    assert!(matches!(known("flawed"), Known::Withheld(_)));
    assert!(matches!(offers.exposed(Era::Legacy, ListKind::Tools, "notes__twice"), Known::Ambiguous));
}

#[test]
fn definitions_are_remembered_up_to_the_bound_and_the_rest_is_withheld_and_reported_once() {
    let offers = trusting();
    let page: Vec<Json> = (0..DEFINITIONS_MAX).map(|number| tool(&format!("t{number}"), "")).collect();
    assert_eq!(learn(&offers, &page).len(), DEFINITIONS_MAX);
    let past = learn(&offers, &[tool("x", ""), tool("y", "")]);
    assert!(
        matches!(past.as_slice(), [words] if words.starts_with("x: tool withheld: the server offers more than is remembered; ")),
        "{past:?}"
    );
    assert!(!offered(&offers, "x") && !shown_at_all(&offers, "x"));
    assert!(offered(&offers, "t0"), "what was remembered stays");
    assert_eq!(learn(&offers, &[tool("t0", "other")]).len(), 1, "and may change");
}

#[test]
fn bytes_are_bounded_and_given_back() {
    let offers = trusting();
    let long = "x".repeat(200 * 1024);
    let many: Vec<Json> = (0..200).map(|number| tool(&format!("t{number}"), &long)).collect();
    learn(&offers, &many);
    let bytes = |offers: &Offers| offers.legacy.tools.table.read().expect("not poisoned").bytes();
    assert!(bytes(&offers) <= BYTES_MAX && bytes(&offers) > BYTES_MAX - 300 * 1024);
    let short: Vec<Json> = (0..200).map(|number| tool(&format!("t{number}"), "")).collect();
    learn(&offers, &short);
    assert!(bytes(&offers) < 20 * 1024);
    assert!(offered(&offers, "t99") && why(&offers, "t0").is_some(), "the last in order had no room before");
}

#[test]
fn what_is_withheld_in_one_era_is_called_in_none() {
    let offers = approving(&locking(&[tool("a", "one"), tool("b", "one")]));
    learn(&offers, &[tool("a", "one"), tool("b", "one")]);
    learn_in(&offers, Era::Modern, ListKind::Tools, &[tool("a", "two"), tool("b", "one")]);
    let called = |name: &str| matches!(offers.addressed(Era::Legacy, ListKind::Tools, name), Known::Offered(_));
    let called_at_all =
        |name: &str| matches!(offers.addressed_exposed(Era::Legacy, ListKind::Tools, name), Known::Offered(_));
    assert!(!called("a") && !called_at_all("notes__a"));
    assert!(called("b") && called_at_all("notes__b"));
}

#[test]
fn what_is_not_as_approved_freezes_whatever_else_is_wrong_with_it() {
    let one = tool("a", "one");
    let long = tool("a", &"x".repeat(300 * 1024));
    for wrong in [vec![json(r#"{"name":"a"}"#)], vec![long], vec![one.clone(), tool("a", "two")]] {
        let offers = approving(&locking(std::slice::from_ref(&one)));
        learn(&offers, std::slice::from_ref(&one));
        learn(&offers, &wrong);
        learn(&offers, std::slice::from_ref(&one));
        assert!(matches!(why(&offers, "a"), Some(Flaw::Split { .. })), "{:?}", why(&offers, "a"));
    }
    let offers = approving(&locking(std::slice::from_ref(&one)));
    learn(&offers, &[one.clone(), one.clone()]);
    learn(&offers, std::slice::from_ref(&one));
    assert!(offered(&offers, "a"), "twice the same is no change");
}

#[test]
fn a_number_that_no_double_holds_is_in_no_lock_file() {
    let endless = json(r#"{"name":"a","inputSchema":{"maximum":1e400}}"#);
    assert_eq!(Pin::of(&id(), ListKind::Tools, &endless, Vec::new()).err(), Some(Flaw::Malformed));
    let offers = trusting();
    learn(&offers, &[endless]);
    assert_eq!(why(&offers, "a"), Some(Flaw::Malformed));
}

#[test]
fn what_nobody_approved_crowds_out_nothing_and_takes_nobodys_name() {
    let approved = tool("a b", "one");
    let offers = approving(&locking(std::slice::from_ref(&approved)));
    let page: Vec<Json> = (0..DEFINITIONS_MAX + 5).map(|number| tool(&format!("t{number}"), "")).collect();
    learn(&offers, &page);
    let bent = exposed_name(&id(), "a b");
    let twin = bent.strip_prefix("notes__").expect("the server's prefix");
    learn(&offers, &[approved.clone(), tool(twin, "one")]);
    assert!(offered(&offers, "a b") && shown_at_all(&offers, "a b"));
    assert!(matches!(offers.addressed_exposed(Era::Legacy, ListKind::Tools, &bent), Known::Offered(_)));
    assert!(learn(&offers, &page).is_empty(), "told once");
}

#[test]
fn a_part_of_a_list_does_not_make_the_rest_fresh() {
    let offers = trusting();
    let now = SystemTime::now();
    let stale = || offers.is_stale(Era::Legacy, ListKind::Tools, now, Duration::from_secs(60));
    offers.learn(&id(), (Era::Legacy, ListKind::Tools), &[], (None, &alone));
    assert!(stale());
    offers.learn(&id(), (Era::Legacy, ListKind::Tools), &[], (Some(now), &alone));
    assert!(!stale());
}

#[test]
fn what_was_used_first_stays_what_is_trusted_after_a_change_of_something_else() {
    let old = trusting();
    learn(&old, &[tool("a", "one")]);
    let config = config_of("[servers.notes]\ncommand = ['notes']\nunpinned_resources = ['note://']");
    let new = Offers::after(&old, &id(), Approvals::of_first_use().of(&id(), &identity(), &config));
    learn(&new, &[tool("a", "two")]);
    assert_eq!(why(&new, "a"), Some(Flaw::Changed { approved: sha(&tool("a", "one")) }));
    new.forget(&id(), "a");
    learn(&new, &[tool("a", "two")]);
    assert!(offered(&new, "a"), "somebody has looked at it");
}
