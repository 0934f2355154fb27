use super::super::{Mark, Rules};
use super::*;
use sekisho_wire::Json;

fn server(name: &str) -> ServerId {
    ServerId::parse(name).unwrap()
}

/// What is marked of a tool of `own` beside these tools of `own` and of `other`.
fn marked(name: &str, own: &[&str], others: &[&str]) -> Vec<&'static str> {
    let (here, there) = (server("own"), server("other"));
    let own = own.iter().map(|name| (&here, ListKind::Tools, *name));
    let others = others.iter().map(|name| (&there, ListKind::Tools, *name));
    let neighbours = Neighbours::new(&here, own.chain(others));
    let definition = Json::empty_object().with("name", &Json::text(name));
    let marks = Rules::standard().look(ListKind::Tools, &definition, &neighbours);
    marks.iter().map(|mark: &Mark| mark.rule.as_str()).collect()
}

#[test]
fn a_name_that_looks_like_another_one_is_marked() {
    assert_eq!(marked("listl", &[], &["list1"]), ["name-confusable"]);
    assert_eq!(marked("modern_tool", &[], &["rnodern_tool"]), ["name-confusable"]);
    assert_eq!(marked("re\u{430}d_file", &[], &["read_file"]), ["name-disguised", "name-confusable"]);
    assert_eq!(marked("listl", &["listl", "list1"], &[]), ["name-confusable"]);
    assert_eq!(marked("list2", &["list2", "list1"], &["list3"]), [""; 0]);
}

#[test]
fn a_name_that_differs_in_spelling_only_is_marked() {
    assert_eq!(marked("Read_File", &[], &["read_file"]), ["name-differs-in-spelling-only"]);
    assert_eq!(marked("ｒead_file", &[], &["read_file"]), ["name-differs-in-spelling-only"]);
    assert_eq!(marked("read_File", &["read_File", "read_file"], &[]), ["name-differs-in-spelling-only"]);
    assert_eq!(marked("read_file", &["read_file"], &[]), [""; 0]);
}

#[test]
fn a_name_that_another_server_has_is_told() {
    assert_eq!(marked("search", &["search"], &["search"]), ["name-of-another-server"]);
    assert_eq!(marked("search", &["search"], &["research"]), [""; 0]);
}

#[test]
fn a_name_that_is_nearly_that_of_another_server_is_told() {
    for near in
        ["read_files", "read_fil", "read_fils", "xead_file", "read__file", "read_file_", "readFile", "-read-file"]
    {
        assert_eq!(marked(near, &[], &["read_file"]), ["name-near-another"], "{near}");
    }
    for far in ["read_folder", "write_file", "red_fil", "file_read"] {
        assert_eq!(marked(far, &[], &["read_file"]), [""; 0], "{far}");
    }
    // Short ones are near to many; a server's own are its own affair, and so is what it has as well.
    assert_eq!(marked("lists", &[], &["list"]), [""; 0]);
    assert_eq!(marked("read_files", &["read_file"], &[]), [""; 0]);
    assert_eq!(marked("read_files", &["read_files", "read_file"], &["read_file"]), [""; 0]);
}

#[test]
fn kinds_are_compared_apart() {
    let (here, there) = (server("own"), server("other"));
    let neighbours = Neighbours::new(&here, [(&there, ListKind::Prompts, "summary")].into_iter());
    let definition = Json::empty_object().with("name", &Json::text("summary"));
    assert!(Rules::standard().look(ListKind::Tools, &definition, &neighbours).is_empty());
    assert_eq!(Rules::standard().look(ListKind::Prompts, &definition, &neighbours).len(), 1);
}

#[test]
fn names_that_differ_by_one_character_have_a_digest_in_common() {
    let common = |one: &str, other: &str| near_digests(one).iter().any(|digest| near_digests(other).contains(digest));
    for (one, other) in [
        ("read_file", "read_files"),
        ("read_file", "ead_file"),
        ("read_file", "read-file"),
        ("日本語の道具", "日本語の工具"),
    ] {
        assert!(common(one, other) && differs_by_one(one, other), "{one} {other}");
    }
    assert!(!common("read_file", "write_file") && !differs_by_one("read_file", "write_file"));
    assert!(near_digests("short").is_empty() && near_digests(&"long".repeat(17)).is_empty());
}
