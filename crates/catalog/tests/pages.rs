//! Pages that are known again: learned once, shown as they were, and both anew where anything has changed.

#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod support;

use std::time::SystemTime;

use sekisho_catalog::Catalog;
use sekisho_wire::{Endpoint, Era, Items, Json, ListKind, Sheets, back};
use support::{catalog, id, json, learn, one, tool};

fn page(sheets: &Sheets, tools: &[Json]) -> Items {
    let tools = tools.iter().map(Json::as_str).collect::<Vec<_>>().join(" , ");
    let result = json(&format!(r#"{{"tools":[{tools}]}}"#));
    back::items(sheets, ListKind::Tools, &id("notes"), &result).expect("a page")
}

/// The same page, as if it were not known.
fn fresh(page: &Items) -> Items {
    let (next, missing) = (page.next.clone(), page.missing.clone());
    Items { entries: page.entries.clone(), next, missing, meta: None, sheet: None, ..*page }
}

fn titled(name: &str, title: &str) -> Json {
    json(&format!(r#"{{"name":"{name}","title":"{title}","inputSchema":{{"type":"object"}}}}"#))
}

/// At both doors, as it is made and as it is remembered.
fn shown(catalog: &Catalog, page: &Items) -> [String; 2] {
    [one("notes"), Endpoint::All].map(|at| {
        let made = catalog.exposed_page(&at, &fresh(page));
        assert_eq!(catalog.exposed_page(&at, page), made);
        assert_eq!(catalog.exposed_page(&at, page), made);
        made.as_str().to_owned()
    })
}

#[test]
fn a_page_is_learned_once_and_again_after_anything_changed() {
    let (catalog, sheets) = (catalog(&["notes"]), Sheets::default());
    let (first, second) =
        (page(&sheets, &[titled("a", "1"), tool("b")]), page(&sheets, &[titled("a", "2"), tool("b")]));
    let count = |items: &Items| catalog.learn(Era::Legacy, items, SystemTime::now()).len();
    assert_eq!([count(&first), count(&first), count(&first)], [2, 0, 0]);
    assert_eq!([count(&second), count(&second), count(&second)], [1, 0, 0]);
    assert_eq!([count(&first), count(&first)], [1, 0], "changed back is told");
    assert_eq!(catalog.learn(Era::Modern, &first, SystemTime::now()).len(), 2, "eras are kept apart");
}

#[test]
fn a_part_of_a_page_is_learned_as_what_it_is() {
    let (catalog, sheets) = (catalog(&["notes"]), Sheets::default());
    let mut part = page(&sheets, &[tool("a"), tool("b")]);
    part.entries.truncate(1);
    assert_eq!(catalog.learn(Era::Legacy, &part, SystemTime::now()).len(), 1);
    assert_eq!(shown(&catalog, &part)[0], format!("[{}]", tool("a").as_str()));
}

#[test]
fn a_page_is_shown_as_its_items_are_whatever_changed_before() {
    let (catalog, sheets) = (catalog(&["notes", "files"]), Sheets::default());
    let whole = page(&sheets, &[tool("a"), titled("b", "1")]);
    assert_eq!(shown(&catalog, &whole), ["[]", "[]"], "nothing was learned");
    let _changes = catalog.learn(Era::Legacy, &whole, SystemTime::now());
    let both = shown(&catalog, &whole);
    assert_eq!(both[0], format!("[{},{}]", tool("a").as_str(), titled("b", "1").as_str()));
    assert!(both[1].contains("notes__a") && both[1].contains("notes__b"));
    assert_eq!(catalog.exposed_page(&one("files"), &whole).as_str(), "[]", "not at another server's door");

    learn(&catalog, Era::Modern, "notes", ListKind::Tools, &[tool("a"), tool("a")]);
    assert_eq!(
        shown(&catalog, &whole)[0],
        format!("[{}]", titled("b", "1").as_str()),
        "withheld in one era, shown in none"
    );
    learn(&catalog, Era::Modern, "notes", ListKind::Tools, &[tool("a")]);
    assert_eq!(shown(&catalog, &whole), both);
    // It and `a b` would both have that name at the door of all.
    let twin = catalog_name(&catalog, &sheets);
    learn(&catalog, Era::Legacy, "notes", ListKind::Tools, &[tool(&twin)]);
    let spaced = page(&sheets, &[tool("a b")]);
    assert_eq!(shown(&catalog, &spaced), [format!("[{}]", tool("a b").as_str()), "[]".to_owned()]);
}

/// What `a b` is called at the door of all, without the server's part.
fn catalog_name(catalog: &Catalog, sheets: &Sheets) -> String {
    let spaced = page(sheets, &[tool("a b")]);
    let _changes = catalog.learn(Era::Legacy, &spaced, SystemTime::now());
    let exposed = catalog.exposed_page(&Endpoint::All, &spaced);
    let name = exposed.elements().next().and_then(|tool| tool.get("name")).expect("a name");
    name.string().expect("text").strip_prefix("notes__").expect("the server's part").to_owned()
}
