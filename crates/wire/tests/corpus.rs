//! Others' test suites, and the fuzz corpus replayed through the functions that libFuzzer calls.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    unreachable_pub,
    reason = "a test; clippy.toml permits this only within test functions"
)]

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sekisho_wire::json::{Json, Limits};

#[path = "../../../fuzz/src/lib.rs"]
mod targets;

/// What the suite accepts and we refuse: a key that stands twice has two meanings (RFC 8259 section 4).
const STRICTER: [&str; 2] = ["y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"];

fn files(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("the folder is part of the repository")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read(&path).expect("a file"))
        })
        .collect();
    files.sort();
    files
}

fn replay(folder: &str, target: fn(&[u8])) {
    let files = files(&format!("../../fuzz/corpus/{folder}"));
    assert!(!files.is_empty());
    for (name, data) in files {
        eprintln!("{folder}/{name}");
        target(&data);
    }
}

#[test]
fn the_json_test_suite_is_decided_as_it_says_but_for_keys_that_stand_twice() {
    let limits = Limits { bytes_max: 1 << 20, depth_max: 500, nodes_max: 10_000 };
    let mut seen = [0, 0, 0];
    for (name, text) in files("tests/data/json-test-suite/test_parsing") {
        let accepted = Json::decode(Bytes::from(text), &limits).is_ok();
        match name.split('_').next() {
            Some("y") => {
                seen[0] += 1;
                assert_eq!(accepted, !STRICTER.contains(&name.as_str()), "{name}");
            }
            Some("n") => {
                seen[1] += 1;
                assert!(!accepted, "{name}");
            }
            // The suite leaves these open; here it counts that none panics.
            Some("i") => seen[2] += 1,
            _ => panic!("not a case: {name}"),
        }
    }
    assert_eq!(seen, [95, 188, 35]);
}

#[test]
fn the_json_test_suite_holds_for_the_fuzz_targets_too() {
    for (_, text) in files("tests/data/json-test-suite/test_parsing") {
        targets::json(&text);
        targets::front(&text);
        targets::back(&text);
        targets::sse(&text);
        targets::lines(&text);
    }
}

#[test]
fn the_json_corpus_is_replayed() {
    replay("json", targets::json);
}

#[test]
fn the_front_corpus_is_replayed() {
    replay("front", targets::front);
}

#[test]
fn the_back_corpus_is_replayed() {
    replay("back", targets::back);
}

#[test]
fn the_sse_corpus_is_replayed() {
    replay("sse", targets::sse);
}

#[test]
fn the_lines_corpus_is_replayed() {
    replay("lines", targets::lines);
}
