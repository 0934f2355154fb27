//! The incident museum: each public incident is stopped, and its benign twin passes, in both eras.

#![allow(clippy::expect_used, clippy::panic, reason = "a test ends where something is not as it should be")]

use std::fs;
use std::path::Path;

use sekisho_e2e::client::Era;
use sekisho_e2e::museum::{self, Confidence, Exhibit, Manifest, Row};
use tempfile::TempDir;

const ERAS: [Era; 2] = [Era::Legacy, Era::Modern];

/// Plays an exhibit in both eras.
fn holds(id: &str) {
    let exhibit = Exhibit::read(&museum::folder().join(id)).expect("an exhibit");
    let rows = ERAS.map(|era| museum::play(&exhibit, era));
    let failures: Vec<String> = rows.iter().flat_map(Row::failures).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn whatsapp_poison_is_stopped_and_its_twin_passes() {
    holds("01-whatsapp-poison");
}

#[test]
fn supabase_trifecta_is_stopped_and_its_twin_passes() {
    holds("03-supabase-trifecta");
}

#[test]
fn escaperoute_prefix_is_stopped_and_its_twin_passes() {
    holds("07-escaperoute-prefix");
}

#[test]
fn mcpoison_is_stopped_and_its_twin_passes() {
    holds("09-mcpoison");
}

#[test]
fn figma_framelink_is_stopped_and_its_twin_passes() {
    holds("10-figma-framelink");
}

#[test]
fn postmark_bcc_is_stopped_and_its_twin_passes() {
    holds("11-postmark-bcc");
}

#[test]
fn git_arguments_are_stopped_and_their_twin_passes() {
    holds("14-git-arguments");
}

#[test]
fn go_sdk_keys_are_stopped_and_their_twin_passes() {
    holds("16-go-sdk-keys");
}

#[test]
fn mcpwnfluence_path_is_stopped_and_its_twin_passes() {
    holds("17-mcpwnfluence-path");
}

#[test]
fn nginx_ui_twin_route_is_stopped_and_its_twin_passes() {
    holds("20-nginx-ui-twin-route");
}

#[test]
fn npm_homoglyph_is_stopped_and_its_twin_passes() {
    holds("26-npm-homoglyph");
}

#[test]
fn kong_not_classified_is_stopped_and_its_twin_passes() {
    holds("27-kong-not-classified");
}

#[test]
fn header_body_mismatch_is_stopped_and_its_twin_passes() {
    holds("29-header-body");
}

#[test]
fn rename_that_evades_a_pin_is_stopped_and_its_twin_passes() {
    holds("30-rename-evades-pin");
}

#[test]
fn split_view_is_stopped_and_its_twin_passes() {
    holds("31-split-view");
}

#[test]
fn poison_at_first_sight_is_stopped_and_its_twin_passes() {
    holds("36-poisoned-at-first-sight");
}

#[test]
fn every_exhibit_has_a_test_and_a_line_in_the_readme() {
    let source = include_str!("museum.rs");
    let readme = fs::read_to_string(museum::folder().join("README.md")).expect("a readme");
    for exhibit in museum::exhibits().expect("the exhibits") {
        let played = format!("holds(\"{}\")", exhibit.id());
        assert!(source.contains(&played), "{} is played by no test", exhibit.id());
        let Manifest { id, title, confidence, control, requirements, .. } = &exhibit.manifest;
        let confidence = match confidence {
            Confidence::High => "H",
            Confidence::Medium => "M",
            Confidence::Low => "L",
            Confidence::Research => "research",
        };
        let line = format!("| {id} | {title} | {confidence} | {control} | {} |", requirements.join(", "));
        assert!(readme.contains(&line), "museum/README.md lacks the line\n{line}");
    }
}

#[test]
fn every_exhibit_succeeds_without_the_gateway() {
    for exhibit in museum::exhibits().expect("the exhibits") {
        for era in ERAS {
            if let Err(error) = museum::succeeds_alone(&exhibit, era) {
                panic!("{} in {}: {error:#}", exhibit.id(), era.version());
            }
        }
    }
}

#[test]
fn exhibits_name_reserved_domains_only() {
    for exhibit in museum::exhibits().expect("the exhibits") {
        for entry in fs::read_dir(&exhibit.folder).expect("a folder").flatten() {
            let text = fs::read_to_string(entry.path()).expect("a text");
            for host in text.split("://").skip(1).chain(text.split('@').skip(1)) {
                let end = host.find(|char: char| !(char.is_ascii_alphanumeric() || char == '.' || char == '-'));
                let host = host.get(..end.unwrap_or(host.len())).unwrap_or_default().trim_end_matches('.');
                let is_reserved = host.ends_with("example.invalid") || !host.contains('.');
                assert!(is_reserved, "{} names {host}", entry.path().display());
            }
        }
    }
}

const SCRIPT: &str = r#"{"name": "s", "faces": {"f": {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}}, "show": [{"face": "f"}]}"#;

const MANIFEST: &str = r#"
id = "99-small"
title = "t"
date = "2026"
confidence = "L"
happened = "h"
played = "p"
sources = []
requirements = []
control = "c"
rule = "r"
canary = "CANARY-99"

[[server]]
name = "small"
script = "script.json"

[[attack]]
do = "call"
server = "small"
tool = "echo"
arguments = { text = "CANARY-99" }
strikes = true

[[twin]]
do = "list"
"#;

/// A folder with an exhibit of this manifest.
fn small(manifest: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let exhibit = folder.path().join("99-small");
    fs::create_dir(&exhibit).expect("a folder");
    fs::write(exhibit.join("script.json"), SCRIPT).expect("a script");
    fs::write(exhibit.join("manifest.toml"), manifest).expect("a manifest");
    folder
}

fn read(folder: &Path) -> anyhow::Result<Exhibit> {
    Exhibit::read(&folder.join("99-small"))
}

#[test]
fn a_wrong_manifest_is_refused_with_its_file_and_the_reason() {
    assert!(read(small(MANIFEST).path()).is_ok(), "the neighbour that is right");
    for (part, instead, reason) in [
        ("title = \"t\"", "titel = \"t\"", "titel"),
        ("date = \"2026\"\n", "", "date"),
        ("confidence = \"L\"", "confidence = \"sure\"", "sure"),
        ("99-small", "98-small", "is not the name of its folder"),
        ("canary = \"CANARY-99\"", "canary = \"bird\"", "does not begin with `CANARY`"),
        ("script.json", "nowhere.json", "there is no `nowhere.json`"),
        ("server = \"small\"", "server = \"tall\"", "which is no server of the exhibit"),
        ("strikes = true", "", "nothing strikes"),
        ("strikes = true", "strikes = true\nonly = \"legacy\"", "only"),
        ("do = \"call\"", "do = \"think\"", "think"),
        ("do = \"list\"\n", "do = \"obey\"\nmarker = \"m\"\nserver = \"small\"\ntool = \"echo\"\n", "the twin strikes"),
    ] {
        assert!(MANIFEST.contains(part), "{part}");
        let folder = small(&MANIFEST.replace(part, instead));
        let error = format!("{:#}", read(folder.path()).expect_err(instead));
        assert!(error.contains("99-small/manifest.toml") && error.contains(reason), "{instead}: {error}");
    }
}

#[test]
fn an_attack_that_nothing_stops_and_one_that_does_nothing_are_told() {
    let exhibit = |manifest: &str| {
        let folder = small(manifest);
        let exhibit = read(folder.path()).expect("an exhibit");
        (folder, exhibit)
    };
    let (_folder, open) = exhibit(MANIFEST);
    let row = museum::play(&open, Era::Legacy);
    assert!(row.stopped.as_ref().is_err_and(|why| why.contains("the canary reached a server")), "{row:?}");
    assert!(row.passed.is_ok() && !row.holds(), "{row:?}");
    let (_folder, idle) = exhibit(&MANIFEST.replace("text = \"CANARY-99\"", "text = \"bird\""));
    let row = museum::play(&idle, Era::Modern);
    assert!(row.stopped.as_ref().is_err_and(|why| why.contains("the exhibit proves nothing")), "{row:?}");
}
