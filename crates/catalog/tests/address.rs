//! What messages address, with real proofs from decoding and authentication.

#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod support;

use sekisho_catalog::{Addressed, Addressee, Approvals, Catalog, Flaw, Route, Target, Unknown};
use sekisho_identity::Authenticated;
use sekisho_wire::{Call, Endpoint, Era, Inbound, Json, ListKind, Reference};
use support::{Gate, catalog, config, id, json, learn, one, tool};

fn target(catalog: &Catalog, message: Authenticated<Inbound>) -> Result<Addressed, Unknown> {
    catalog.address(message, std::time::SystemTime::now()).map_err(|refused| refused.0)
}

fn route(addressed: &Addressed) -> &Route {
    let Target::One(route) = addressed.target() else { panic!("one server, not {:?}", addressed.target()) };
    route
}

fn many(addressed: &Addressed) -> Vec<(&str, Option<&str>)> {
    let Target::Many { routes, .. } = addressed.target() else { panic!("a list, not {:?}", addressed.target()) };
    routes.iter().map(|(server, cursor)| (server.id().as_str(), cursor.as_deref())).collect()
}

fn not_seen(server: &str, kind: ListKind, name: &str) -> Unknown {
    Unknown::NotSeen { server: id(server), kind, name: name.into() }
}

#[tokio::test]
async fn handshake_discovery_ping_and_notifications_address_the_gateway() {
    let (gate, catalog) = (Gate::new(&["notes"]), catalog(&["notes"]));
    for at in [Endpoint::All, one("notes")] {
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        let cancelled = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
        for message in [
            gate.initialize("alice", &at).await,
            gate.modern("alice", &at, "server/discover", "").await,
            gate.legacy("alice", &at, ping).await,
            gate.legacy("alice", &at, cancelled).await,
        ] {
            let addressed = target(&catalog, message).expect("the gateway");
            assert!(matches!(addressed.target(), Target::Gateway));
        }
    }
}

#[tokio::test]
async fn a_server_that_is_not_configured_is_unknown_whatever_is_asked() {
    let (gate, catalog) = (Gate::new(&["gone"]), catalog(&["notes"]));
    for message in
        [gate.initialize("alice", &one("gone")).await, gate.modern("alice", &one("gone"), "tools/list", "").await]
    {
        assert_eq!(target(&catalog, message).err(), Some(Unknown::Server(id("gone"))));
    }
}

#[tokio::test]
async fn a_reply_that_nobody_asked_for_is_refused() {
    let (gate, catalog) = (Gate::new(&["notes"]), catalog(&["notes"]));
    let message = gate.legacy("alice", &one("notes"), r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
    assert_eq!(target(&catalog, message).err(), Some(Unknown::NothingAsked));
}

#[tokio::test]
async fn a_tool_is_addressed_once_it_was_seen_and_in_its_own_words() {
    let (gate, catalog) = (Gate::new(&["notes"]), catalog(&["notes"]));
    let params = r#""name":"add.note","arguments":{"a":1.0}"#;
    let refused =
        catalog.address(gate.modern("alice", &one("notes"), "tools/call", params).await, std::time::SystemTime::now());
    let (unknown, message) = *refused.expect_err("was not seen");
    assert_eq!(unknown, not_seen("notes", ListKind::Tools, "add.note"));

    assert_eq!(learn(&catalog, Era::Modern, "notes", ListKind::Tools, &[tool("add.note")]), 1);
    let addressed = target(&catalog, message).expect("the same message, tried again");
    let Call::CallTool { name, arguments } = route(&addressed).call() else { panic!("a call of a tool") };
    assert_eq!((&**name, arguments.as_str()), ("add.note", r#"{"a":1.0}"#));
    let Addressee::Tool(pinned) = route(&addressed).addressee() else { panic!("a tool") };
    assert_eq!((pinned.name(), pinned.server(), pinned.json()), ("add.note", &id("notes"), &tool("add.note")));
}

#[tokio::test]
async fn the_name_that_a_list_shows_is_the_name_that_a_call_reaches() {
    let (gate, catalog) = (Gate::new(&["notes"]), catalog(&["notes", "files"]));
    let names = ["add_note", "add.note", "メモ", &"long".repeat(30)];
    let page: Vec<Json> = names.iter().map(|name| tool(name)).collect();
    learn(&catalog, Era::Modern, "notes", ListKind::Tools, &page);
    for (name, definition) in names.iter().zip(&page) {
        let shown = catalog.exposed(&Endpoint::All, &id("notes"), ListKind::Tools, definition).expect("shown");
        assert_eq!(shown.get("inputSchema"), definition.get("inputSchema"));
        let exposed = shown.get("name").expect("a name");
        let params = format!(r#""name":{},"arguments":{{}}"#, exposed.as_str());
        let addressed =
            target(&catalog, gate.modern("alice", &Endpoint::All, "tools/call", &params).await).expect("reached");
        assert_eq!(route(&addressed).addressee().pinned().map(|pinned| pinned.name()), Some(*name));
        assert_eq!(route(&addressed).server().id(), &id("notes"));
        let at_one = catalog.exposed(&one("notes"), &id("notes"), ListKind::Tools, definition);
        assert_eq!(at_one.as_ref(), Some(definition), "untouched at the door of one server");
    }
}

#[tokio::test]
async fn names_of_other_forms_servers_and_eras_are_refused() {
    let (gate, catalog) = (Gate::new(&["notes"]), catalog(&["notes"]));
    let bad = json(r#"{"name":"bad"}"#);
    learn(&catalog, Era::Modern, "notes", ListKind::Tools, &[tool("add"), tool("dup"), tool("dup"), bad]);
    let refused = async |at: &Endpoint, name: &str| {
        let params = format!(r#""name":"{name}","arguments":{{}}"#);
        target(&catalog, gate.modern("alice", at, "tools/call", &params).await).err()
    };
    let all = Endpoint::All;
    assert_eq!(refused(&all, "notes__add").await, None);
    assert_eq!(refused(&all, "add").await, Some(Unknown::Name("tool")), "no prefix");
    assert_eq!(refused(&all, "files__add").await, Some(Unknown::Name("tool")), "no such server");
    let withheld = Unknown::Withheld {
        server: id("notes"),
        kind: ListKind::Tools,
        name: "notes__bad".into(),
        why: Flaw::Malformed,
    };
    assert_eq!(refused(&all, "notes__bad").await, Some(withheld));
    for (at, name) in [(&all, "notes__dup"), (&one("notes"), "dup")] {
        let again = not_seen("notes", ListKind::Tools, name);
        assert_eq!(refused(at, name).await, Some(again), "another caller's list may have it once");
    }
    let unseen = not_seen("notes", ListKind::Tools, "notes__other");
    assert_eq!(refused(&all, "notes__other").await, Some(unseen));
    assert_eq!(refused(&one("notes"), "add").await, None);
    let prefixed = not_seen("notes", ListKind::Tools, "notes__add");
    assert_eq!(refused(&one("notes"), "notes__add").await, Some(prefixed), "the prefix is for the other door");

    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add"}}"#;
    let other_era = target(&catalog, gate.legacy("alice", &one("notes"), call).await).err();
    assert_eq!(other_era, Some(not_seen("notes", ListKind::Tools, "add")));
}

#[tokio::test]
async fn adding_a_server_renames_nothing() {
    let names = |catalog: &Catalog| {
        let page = [tool("add.note"), tool("list")];
        learn(catalog, Era::Modern, "notes", ListKind::Tools, &page);
        page.map(|tool| catalog.exposed(&Endpoint::All, &id("notes"), ListKind::Tools, &tool).expect("shown"))
    };
    let alone = names(&catalog(&["notes"]));
    let among_others = catalog(&["aaa", "notes", "notes-2", "zzz"]);
    learn(&among_others, Era::Modern, "aaa", ListKind::Tools, &[tool("add.note"), tool("list")]);
    assert_eq!(alone, names(&among_others));
}

#[tokio::test]
async fn resources_are_addressed_by_uri_at_either_door() {
    let (gate, catalog) = (Gate::new(&["notes"]), catalog(&["notes", "files"]));
    let listed = json(r#"{"uri":"file:///a","name":"a"}"#);
    learn(&catalog, Era::Modern, "notes", ListKind::Resources, std::slice::from_ref(&listed));
    let read = async |at: &Endpoint, uri: &str| {
        let params = format!(r#""uri":"{uri}""#);
        target(&catalog, gate.modern("alice", at, "resources/read", &params).await)
    };
    for (at, uri, own, is_listed) in [
        (Endpoint::All, "sekisho+notes:file:///a", "file:///a", true),
        (Endpoint::All, "sekisho+notes:file:///b", "file:///b", false),
        (one("notes"), "file:///a", "file:///a", true),
        (one("notes"), "sekisho+files:x", "sekisho+files:x", false),
    ] {
        let addressed = read(&at, uri).await.expect("a server");
        let Addressee::Resource { uri, definition } = route(&addressed).addressee() else { panic!("a resource") };
        assert_eq!((&**uri, definition.is_some()), (own, is_listed));
        assert_eq!(route(&addressed).server().id(), &id("notes"));
        let Call::ReadResource { uri } = route(&addressed).call() else { panic!("a read") };
        assert_eq!(&**uri, own);
    }
    for uri in ["file:///a", "sekisho+gone:file:///a", "sekisho+notes"] {
        assert_eq!(read(&Endpoint::All, uri).await.err(), Some(Unknown::Uri), "{uri}");
    }
    let shown = catalog.exposed(&Endpoint::All, &id("notes"), ListKind::Resources, &listed).expect("shown");
    assert_eq!(shown.as_str(), r#"{"uri":"sekisho+notes:file:///a","name":"a"}"#);
}

#[tokio::test]
async fn prompts_and_completions_reach_what_was_seen() {
    let (gate, catalog) = (Gate::new(&["notes"]), catalog(&["notes"]));
    learn(&catalog, Era::Modern, "notes", ListKind::Prompts, &[json(r#"{"name":"sum.up"}"#)]);
    learn(&catalog, Era::Modern, "notes", ListKind::Templates, &[json(r#"{"uriTemplate":"note://{id}"}"#)]);
    let shown = catalog
        .exposed(&Endpoint::All, &id("notes"), ListKind::Prompts, &json(r#"{"name":"sum.up"}"#))
        .and_then(|shown| shown.get("name"))
        .expect("shown");

    let params = format!(r#""name":{}"#, shown.as_str());
    let got = target(&catalog, gate.modern("alice", &Endpoint::All, "prompts/get", &params).await).expect("a prompt");
    assert!(matches!(route(&got).call(), Call::GetPrompt { name, .. } if &**name == "sum.up"));
    assert!(matches!(route(&got).addressee(), Addressee::Prompt(_)));

    let complete = async |reference: &str| {
        let params = format!(r#""ref":{reference},"argument":{{"name":"a","value":"b"}}"#);
        target(&catalog, gate.modern("alice", &Endpoint::All, "completion/complete", &params).await)
    };
    let prompt = complete(&format!(r#"{{"type":"ref/prompt","name":{}}}"#, shown.as_str())).await.expect("a prompt");
    let Call::Complete { reference, .. } = route(&prompt).call() else { panic!("a completion") };
    assert_eq!(*reference, Reference::Prompt { name: "sum.up".into() });
    let unseen = complete(r#"{"type":"ref/prompt","name":"notes__other"}"#).await.err();
    assert_eq!(unseen, Some(not_seen("notes", ListKind::Prompts, "notes__other")));

    let template = complete(r#"{"type":"ref/resource","uri":"sekisho+notes:note://{id}"}"#).await.expect("a template");
    let Call::Complete { reference, .. } = route(&template).call() else { panic!("a completion") };
    assert_eq!(*reference, Reference::Resource { uri: "note://{id}".into() });
    assert!(matches!(route(&template).addressee(), Addressee::Resource { definition: Some(_), .. }));
    assert_eq!(complete(r#"{"type":"ref/resource","uri":"note://{id}"}"#).await.err(), Some(Unknown::Uri));
}

#[tokio::test]
async fn the_log_level_is_set_at_the_door_of_one_server_only() {
    let (gate, catalog) = (Gate::new(&["notes"]), catalog(&["notes"]));
    let set = r#"{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"info"}}"#;
    let at_one = target(&catalog, gate.legacy("alice", &one("notes"), set).await).expect("one server");
    assert!(matches!(route(&at_one).addressee(), Addressee::Server));
    let at_all = target(&catalog, gate.legacy("alice", &Endpoint::All, set).await).err();
    assert_eq!(at_all, Some(Unknown::NeedsOneServer));
}

#[tokio::test]
async fn a_list_goes_to_every_server_of_the_era_or_to_the_one_with_its_own_cursor() {
    let gate = Gate::new(&["b"]);
    let catalog = Catalog::new(
        &config("[servers.b]\ncommand=['b']\n[servers.a]\ncommand=['a']\n[servers.old]\ncommand=['o']\nera='legacy'"),
        &Approvals::of_first_use(),
        None,
    )
    .expect("servers");
    let all = target(&catalog, gate.modern("alice", &Endpoint::All, "tools/list", "").await).expect("a list");
    assert_eq!(many(&all), [("a", None), ("b", None)]);
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let all = target(&catalog, gate.legacy("alice", &Endpoint::All, list).await).expect("a list");
    assert_eq!(many(&all), [("a", None), ("b", None), ("old", None)]);
    for cursor in ["", "page 2"] {
        let params = format!(r#""cursor":"{cursor}""#);
        let at_one = target(&catalog, gate.modern("alice", &one("b"), "tools/list", &params).await).expect("a list");
        assert_eq!(many(&at_one), [("b", Some(cursor))], "an empty cursor is one, too");
    }
}

#[tokio::test]
async fn a_list_on_a_callers_behalf_goes_to_the_one_server_behind_the_same_door() {
    let (gate, catalog) = (Gate::new(&["a"]), catalog(&["a", "b"]));
    let at = async |door: &Endpoint, server: &str| {
        let call = gate.modern("alice", door, "tools/call", r#""name":"x","arguments":{}"#).await;
        catalog.address_at(call.to_list(ListKind::Prompts), &id(server)).map_err(|refused| refused.0)
    };
    let addressed = at(&Endpoint::All, "b").await.expect("a list of b");
    assert_eq!(many(&addressed), [("b", None)]);
    assert!(matches!(addressed.target(), Target::Many { kind: ListKind::Prompts, .. }));
    assert_eq!(addressed.message().endpoint(), &Endpoint::All);
    assert_eq!(addressed.message().message().method(), "prompts/list");
    assert_eq!(many(&at(&one("a"), "a").await.expect("its own door")), [("a", None)]);
    assert_eq!(at(&one("a"), "b").await.err(), Some(Unknown::Server(id("b"))), "not behind this door");
    assert_eq!(at(&Endpoint::All, "gone").await.err(), Some(Unknown::Server(id("gone"))));
}

#[tokio::test]
async fn nothing_but_the_start_of_a_list_is_addressed_at_a_server_of_the_gateways_choice() {
    let (gate, catalog) = (Gate::new(&[]), catalog(&["a"]));
    let refused = async |method: &str, params: &str| {
        let message = gate.modern("alice", &Endpoint::All, method, params).await;
        catalog.address_at(message, &id("a")).err().map(|refused| refused.0)
    };
    assert_eq!(refused("tools/list", "").await, None);
    assert_eq!(refused("tools/list", r#""cursor":"""#).await, Some(Unknown::Cursor));
    let call = r#""name":"x","arguments":{}"#;
    assert_eq!(refused("tools/call", call).await, Some(Unknown::Name("list")));
    assert_eq!(refused("server/discover", "").await, Some(Unknown::Name("list")));
    let cancelled = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    let notice = gate.legacy("alice", &Endpoint::All, cancelled).await;
    assert_eq!(catalog.address_at(notice, &id("a")).err().map(|refused| refused.0), Some(Unknown::Name("list")));
}

#[tokio::test]
async fn a_sealed_cursor_leads_its_principal_on_and_nobody_else_and_nowhere_else() {
    let gate = Gate::new(&[]);
    let two = config("[servers.a]\ncommand=['a']\n[servers.b]\ncommand=['b']");
    let catalog = Catalog::new(&two, &Approvals::of_first_use(), None).expect("servers");
    let who = gate.modern("alice", &Endpoint::All, "tools/list", "").await.principal().key();
    let sealed = catalog.seal_cursor(who, ListKind::Tools, &[(id("b"), "b2".into())]).expect("goes on");
    let list = async |catalog: &Catalog, who: &str, method: &str, cursor: &str| {
        let params = format!(r#""cursor":"{cursor}""#);
        target(catalog, gate.modern(who, &Endpoint::All, method, &params).await)
    };
    let onwards = list(&catalog, "alice", "tools/list", &sealed).await.expect("her own");
    assert_eq!(many(&onwards), [("b", Some("b2"))]);

    let refused = Some(Unknown::Cursor);
    assert_eq!(list(&catalog, "bob", "tools/list", &sealed).await.err(), refused);
    assert_eq!(list(&catalog, "alice", "prompts/list", &sealed).await.err(), refused);
    assert_eq!(list(&catalog, "alice", "tools/list", "b2").await.err(), refused);
    assert_eq!(list(&catalog, "alice", "tools/list", "").await.err(), refused);
    let other_process = Catalog::new(&two, &Approvals::of_first_use(), None).expect("servers");
    assert_eq!(list(&other_process, "alice", "tools/list", &sealed).await.err(), refused);

    let reloaded = Catalog::new(&two, &Approvals::of_first_use(), Some(&catalog)).expect("servers");
    assert_eq!(many(&list(&reloaded, "alice", "tools/list", &sealed).await.expect("hers")), [("b", Some("b2"))]);
    let without_b = Catalog::new(&config("[servers.a]\ncommand=['a']"), &Approvals::of_first_use(), Some(&catalog))
        .expect("servers");
    assert_eq!(list(&without_b, "alice", "tools/list", &sealed).await.err(), refused, "its server is gone");
}

#[tokio::test]
async fn a_reload_keeps_what_was_seen_of_servers_that_stayed_where_they_are() {
    let gate = Gate::new(&["notes"]);
    let of = |command: &str, trust: &str| config(&format!("[servers.notes]\ncommand=['{command}']\ntrust='{trust}'"));
    let old = Catalog::new(&of("notes", "untrusted"), &Approvals::of_first_use(), None).expect("servers");
    learn(&old, Era::Modern, "notes", ListKind::Tools, &[tool("add")]);
    let call = async |catalog: &Catalog| {
        let params = r#""name":"add","arguments":{}"#;
        target(catalog, gate.modern("alice", &one("notes"), "tools/call", params).await)
    };
    let same = Catalog::new(&of("notes", "trusted"), &Approvals::of_first_use(), Some(&old)).expect("servers");
    assert!(call(&same).await.is_ok());
    learn(&old, Era::Modern, "notes", ListKind::Tools, &[tool("late")]);
    assert_eq!(learn(&same, Era::Modern, "notes", ListKind::Tools, &[tool("late")]), 0, "one memory");

    let moved = Catalog::new(&of("other", "trusted"), &Approvals::of_first_use(), Some(&old)).expect("servers");
    assert_eq!(call(&moved).await.err(), Some(not_seen("notes", ListKind::Tools, "add")));
}

#[test]
fn an_item_withheld_for_hidden_characters_is_not_shown_once_they_are_visible() {
    for kind in ListKind::ALL {
        let catalog = catalog(&["notes"]);
        let item = |name: &str| json(&format!(r#"{{"{}":"{name}","inputSchema":{{}}}}"#, kind.key()));
        // The last one is named as the first one looks.
        let (hidden, plain, written) = (item(r"x:\u202ea"), item("x:a"), item(r"x:\\u{202e}a"));
        learn(&catalog, Era::Modern, "notes", kind, &[hidden.clone(), plain.clone()]);
        for at in [Endpoint::All, one("notes")] {
            let shown = |definition: &Json| catalog.exposed(&at, &id("notes"), kind, definition).is_some();
            assert!(shown(&plain), "{kind:?} as learned");
            assert!(!shown(&hidden) && !shown(&written), "{kind:?} as withheld, and made visible");
            learn(&catalog, Era::Modern, "notes", kind, std::slice::from_ref(&written));
            assert!(!shown(&written), "{kind:?} in disguise");
        }
    }
}

#[test]
fn an_item_is_not_shown_as_another_servers() {
    let catalog = catalog(&["notes", "files"]);
    learn(&catalog, Era::Legacy, "notes", ListKind::Tools, &[tool("add")]);
    assert!(catalog.exposed(&one("notes"), &id("notes"), ListKind::Tools, &tool("add")).is_some());
    assert!(catalog.exposed(&one("files"), &id("notes"), ListKind::Tools, &tool("add")).is_none());
    assert!(catalog.exposed(&Endpoint::All, &id("files"), ListKind::Tools, &tool("add")).is_none());
    assert!(catalog.exposed(&Endpoint::All, &id("gone"), ListKind::Tools, &tool("add")).is_none());
}
