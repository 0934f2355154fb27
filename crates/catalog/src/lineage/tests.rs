use bytes::Bytes;
use proptest::prelude::*;
use sekisho_wire::json::Limits;

use super::*;

const PATH: &str = r#"{"type":"object","properties":{"path":{"type":"string"}}}"#;
const SEARCH: &str =
    r#"{"type":"object","properties":{"query":{"type":"string"},"limit":{"type":"integer"},"sort":{"type":"string"}}}"#;

fn face(name: &str, description: &str, schema: &str) -> Face {
    let (name, description) = (Json::text(name), Json::text(description));
    let text = format!(r#"{{"name":{},"description":{},"inputSchema":{schema}}}"#, name.as_str(), description.as_str());
    of(ListKind::Tools, &text)
}

fn of(kind: ListKind, text: &str) -> Face {
    Face::of(kind, &Json::decode(Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).expect("strict JSON"))
}

fn are_kin(one: &Face, other: &Face) -> bool {
    let likeness = one.likeness(other);
    assert_eq!(likeness, other.likeness(one), "likeness has no direction");
    likeness.is_kin()
}

#[test]
fn the_same_description_and_schema_under_another_name_is_kin() {
    let text = "Finds notes of the user that have all of the words.";
    for schema in [SEARCH, PATH, "{}"] {
        assert!(are_kin(&face("search_notes", text, schema), &face("zebra", text, schema)), "{schema}");
    }
    // White space and order do not make another schema, nor punctuation another text.
    let spaced = r#"{ "properties": {"path": {"type": "string"} }, "type": "object" }"#;
    assert!(are_kin(
        &face("a", text, PATH),
        &face("zebra", "finds notes of the user that have all of the words", spaced)
    ));
}

#[test]
fn small_edits_of_name_and_description_are_kin() {
    let one = face("search_notes", "Search all notes of the user for a word.", SEARCH);
    for (name, description, schema) in [
        ("find_notes", "Search all notes of the user for a given word.", SEARCH),
        ("search_notes_v2", "Search all notes of the user for one word.", SEARCH),
        ("searchNotes", "Search all notes of the user for a word!", PATH),
        ("notes_search", "Search all the notes of the user for a word.", SEARCH),
    ] {
        assert!(
            are_kin(&one, &face(name, description, schema)),
            "{name}: {:?}",
            one.likeness(&face(name, description, schema))
        );
    }
    for (name, description) in [("search_mails", "Send a mail to all of the users."), ("find", "Weather for a city.")] {
        assert!(!are_kin(&one, &face(name, description, SEARCH)), "{name}");
    }
}

#[test]
fn a_common_schema_alone_makes_no_kin() {
    for schema in [PATH, "{}", r#"{"type":"object"}"#, SEARCH] {
        let (one, other) = (face("stat", "Tells the size of it.", schema), face("purge", "Removes old logs.", schema));
        assert!(!are_kin(&one, &other), "{schema}");
        assert!(!are_kin(&face("stat", "", schema), &face("purge", "", schema)), "{schema}");
        assert!(!are_kin(&face("stat", "Run it", schema), &face("purge", "Run it", schema)), "{schema}");
    }
}

#[test]
fn a_telling_schema_and_a_near_name_are_kin_unless_the_descriptions_differ() {
    assert!(are_kin(&face("search_notes", "", SEARCH), &face("search_note", "", SEARCH)));
    assert!(!are_kin(&face("search_notes", "", PATH), &face("search_note", "", PATH)));
    let (one, other) = ("Finds notes that were written lately.", "Deletes whatever matches, without asking anybody.");
    assert!(!are_kin(&face("search_notes", one, SEARCH), &face("search_note", other, SEARCH)));
}

#[test]
fn tools_of_one_family_are_no_kin() {
    let families = [
        vec![
            face("read_file", "Read a file.", PATH),
            face("write_file", "Write a file.", PATH),
            face("list_files", "List files in a directory.", PATH),
            face("delete_file", "Delete a file.", PATH),
        ],
        vec![
            face("read_file", "Read the contents of a file at the given path", PATH),
            face("write_file", "Write the contents of a file at the given path", PATH),
        ],
        vec![
            face("list_issues", "Returns a paginated list of issues for the given repository owner and name", SEARCH),
            face("list_pulls", "Returns a paginated list of pulls for the given repository owner and name", SEARCH),
            face("list_forks", "Returns a paginated list of forks for the given repository owner and name", SEARCH),
        ],
    ];
    for family in families {
        for (at, one) in family.iter().enumerate() {
            for other in family.iter().skip(at + 1) {
                assert!(!are_kin(one, other), "{one:?} {other:?} {:?}", one.likeness(other));
            }
        }
    }
}

#[test]
fn tools_of_one_family_whose_descriptions_nearly_agree_are_kin() {
    let text = "the whole of one file from the disk of this machine as text in UTF-8, with line ends as they are there, and stops at the first byte that is not text";
    let (one, other) =
        (face("read_file", &format!("Read {text}"), PATH), face("fetch_file", &format!("Fetch {text}"), PATH));
    assert!(are_kin(&one, &other), "{:?}", one.likeness(&other));
}

#[test]
fn a_changed_schema_with_the_same_description_is_kin_if_half_of_it_is_left() {
    let text = "Finds notes of the user that have all of the words.";
    let more = SEARCH.replacen("{\"query\"", "{\"context\":{},\"query\"", 1);
    assert!(are_kin(&face("search", text, SEARCH), &face("zebra", text, &more)));
    assert!(!are_kin(&face("search", text, SEARCH), &face("zebra", text, PATH)));
}

#[test]
fn things_of_different_kinds_are_no_kin() {
    let text = r#"{"name":"a","uri":"a","description":"Finds notes of the user."}"#;
    assert!(are_kin(&of(ListKind::Prompts, text), &of(ListKind::Prompts, text)));
    assert!(!are_kin(&of(ListKind::Prompts, text), &of(ListKind::Tools, text)));
    assert!(are_kin(&of(ListKind::Resources, text), &of(ListKind::Resources, text)));
}

#[test]
fn prompts_are_recognised_by_their_arguments() {
    let with =
        |name: &str, arguments: &str| of(ListKind::Prompts, &format!(r#"{{"name":"{name}","arguments":{arguments}}}"#));
    let three = r#"[{"name":"city"},{"name":"day"},{"name":"unit"}]"#;
    assert!(are_kin(&with("weather_at", three), &with("weather_in", three)));
    assert!(!are_kin(&with("weather_at", three), &with("weather_in", r#"[{"name":"city"}]"#)));
}

#[test]
fn a_face_is_small_however_long_its_definition_is() {
    for words in ["many different words ", "たくさんの言葉 ", "🦀🦀 "] {
        let long = words.repeat(1000);
        let face = face(&long, &long, PATH);
        let bytes = size_of::<Face>() + face.name.len();
        assert!(bytes <= 300 && !face.name.is_empty(), "{bytes}");
    }
}

#[test]
fn the_nearest_kin_is_found_among_thousands_and_nothing_where_there_is_none() {
    let verbs = ["Reads", "Writes", "Moves", "Counts", "Sorts", "Checks", "Paints", "Sends", "Opens", "Closes"];
    let known = (0..10_000_usize).map(|at| {
        let text =
            format!("{} thing {at} of shelf {} in the room {} for everybody.", verbs[at % 10], at * 7 % 997, at % 89);
        let name = format!("tool_{at}");
        let face = face(&name, &text, PATH);
        (name.into(), face)
    });
    let kin = Kin::of(known);
    let renamed = face("zebra", "Writes thing 1231 of shelf 641 in the room 74 for everybody.", PATH);
    assert_eq!(kin.nearest(&renamed).map(|(name, likeness)| (name, likeness.description)), Some(("tool_1231", 100)));
    let edited = face("tool1231", "Writes the thing 1231 of shelf 641 in the room 74 for everybody.", PATH);
    assert_eq!(kin.nearest(&edited).map(|(name, _)| name), Some("tool_1231"));
    assert_eq!(kin.nearest(&face("weather", "Tells what the weather of a city will be.", PATH)), None);
    assert_eq!(kin.nearest(&face("weather", "", PATH)), None);
    assert_eq!(Kin::default().nearest(&renamed), None);
}

#[test]
fn thousands_that_are_all_alike_have_one_of_them_as_nearest() {
    let text = "Finds notes of the user that have all of the words.";
    let kin = Kin::of((0..10_000).map(|at| (format!("t{at}").into(), face(&format!("t{at}"), text, PATH))));
    assert!(kin.nearest(&face("zebra", text, PATH)).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_has_a_description_is_its_own_kin_under_any_name(
        name in "[a-z_]{1,20}",
        other in "\\PC{1,20}",
        words in proptest::collection::btree_set("[a-z]{2,9}", 3..60),
    ) {
        let text = words.into_iter().collect::<Vec<_>>().join(" ");
        let (one, other) = (face(&name, &text, PATH), face(&other, &text, PATH));
        prop_assert!(are_kin(&one, &other));
        let kin = Kin::of([(name.as_str().into(), one)]);
        prop_assert_eq!(kin.nearest(&other).map(|(name, _)| name.to_owned()), Some(name));
    }

    #[test]
    fn a_long_description_with_one_word_changed_is_kin_and_found(
        words in proptest::collection::btree_set("[a-z]{3,9}", 20..60),
        at in any::<proptest::sample::Index>(),
    ) {
        let mut words: Vec<String> = words.into_iter().collect();
        let one = face("search_notes", &words.join(" "), PATH);
        let at = at.index(words.len());
        words[at] = "QQ".to_owned();
        let other = face("search_note", &words.join(" "), PATH);
        prop_assert!(are_kin(&one, &other), "{:?}", one.likeness(&other));
        let kin = Kin::of([("search_notes".into(), one)]);
        prop_assert!(kin.nearest(&other).is_some());
    }
}
