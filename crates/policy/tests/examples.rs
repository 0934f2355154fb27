//! The policies that are shipped and documented: each is loaded, and does what it says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not as expected")]

mod support;

use std::path::PathBuf;

use sekisho_policy::{Config, ForbidReason, Policy};
use sekisho_wire::{Endpoint, ListKind};
use serde_json::json;
use support::{Outcome, World, alice, who, with_certificate};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../policies")
}

fn load(file: &str) -> Policy {
    let config = Config { files: vec![file.into()] };
    Policy::load(&config, &folder(), &[]).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_example_is_exercised_here() {
    let mut files: Vec<String> = std::fs::read_dir(folder().join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, ["arguments.cedar", "labels.cedar", "read-only.cedar", "step-up.cedar"]);
}

#[test]
fn starter_lets_the_developer_use_the_demo_servers_alone() {
    let (world, policy) = (World::new(), load("starter.cedar"));
    let developer = who("me", json!({"client_id": "sekisho-developer"}));
    assert_eq!(world.refusal(&policy, &developer, "notes__delete_note", json!({})), None);
    assert_eq!(world.refusal(&policy, &developer, "files__read_file", json!({})), None);
    assert_eq!(world.refusal(&policy, &developer, "bank__pay", json!({})), Some(ForbidReason::NoPermit));
    assert_eq!(world.refusal(&policy, &alice(), "notes__add_note", json!({})), Some(ForbidReason::NoPermit));
    let hello = |who| world.legacy(who, &Endpoint::All, "initialize", json!({}));
    assert!(world.decide(&policy, hello(&developer)).is_ok());
    assert!(world.decide(&policy, hello(&alice())).is_err());
}

#[test]
fn the_forbid_that_starter_shows_in_a_comment_works() {
    let world = World::new();
    let starter = std::fs::read_to_string(folder().join("starter.cedar")).unwrap();
    let (written, shown) = starter.split_once("// @id(").unwrap();
    let shown: String = shown.lines().map(|line| line.trim_start_matches("//").to_owned() + "\n").collect();
    let text = format!("{written}@id({shown}");
    let policy = Policy::parse(&[("starter.cedar", &text)]).unwrap_or_else(|error| panic!("{error}"));
    let developer = who("me", json!({"client_id": "sekisho-developer"}));
    assert_eq!(world.refusal(&policy, &developer, "notes__delete_note", json!({})), Some(ForbidReason::Forbidden));
    assert_eq!(world.refusal(&policy, &developer, "notes__add_note", json!({})), None);
    let listed = world.shown(&policy, &developer, ListKind::Tools).unwrap();
    assert!(!listed.contains(&"notes/delete_note".to_owned()) && listed.contains(&"notes/add_note".to_owned()));
}

#[test]
fn read_only_leaves_writing_to_editors() {
    let (world, policy) = (World::new(), load("examples/read-only.cedar"));
    let editor = who("eve", json!({"groups": ["editors"]}));
    assert_eq!(world.refusal(&policy, &alice(), "files__read_file", json!({})), None);
    assert_eq!(world.refusal(&policy, &alice(), "files__write_file", json!({})), Some(ForbidReason::Forbidden));
    assert_eq!(world.refusal(&policy, &editor, "files__write_file", json!({})), None);
    assert_eq!(world.refusal(&policy, &editor, "notes__add_note", json!({})), Some(ForbidReason::NoPermit));
    assert_eq!(world.shown(&policy, &alice(), ListKind::Tools).unwrap(), ["files/read_file"]);
}

#[test]
fn arguments_decide_about_paths_amounts_and_force() {
    let (world, policy) = (World::new(), load("examples/arguments.cedar"));
    let read = |path: &str| world.refusal(&policy, &alice(), "files__read_file", json!({"path": path}));
    assert_eq!(read("/srv/a"), None);
    assert_eq!(read("/etc/passwd"), Some(ForbidReason::NoPermit));
    assert_eq!(read("/srv/../etc/passwd"), Some(ForbidReason::NoPermit));
    let forced = json!({"path": "/srv/a", "force": true});
    assert_eq!(world.refusal(&policy, &alice(), "files__read_file", forced), Some(ForbidReason::Forbidden));
    let treasurer = who("tom", json!({"roles": ["treasurer"]}));
    let pay = |who: &support::Who, amount: serde_json::Value| {
        world.refusal(&policy, who, "bank__pay", json!({"amount": amount, "currency": "EUR"}))
    };
    assert_eq!(pay(&alice(), json!(1000)), None);
    assert_eq!(pay(&alice(), json!(1000.01)), Some(ForbidReason::Forbidden));
    assert_eq!(pay(&treasurer, json!(1000.01)), None);
    assert_eq!(pay(&alice(), json!("1001")), Some(ForbidReason::NoPermit));
    assert_eq!(pay(&alice(), json!(0.00001)), Some(ForbidReason::NoPermit));
    assert_eq!(world.shown(&policy, &alice(), ListKind::Tools).unwrap(), ["files/read_file", "bank/pay"]);
}

#[test]
fn labels_clients_and_addresses_decide() {
    let (world, policy) = (World::new(), load("examples/labels.cedar"));
    let it = who("ivo", json!({"department": "it"}));
    let finance = who("fay", json!({"department": "finance"}));
    let reviewed = who("rex", json!({"department": "it", "client_id": "reviewed-agent"}));
    assert_eq!(world.refusal(&policy, &alice(), "notes__add_note", json!({})), Some(ForbidReason::NoPermit));
    assert_eq!(world.refusal(&policy, &it, "files__read_file", json!({})), None);
    assert_eq!(world.refusal(&policy, &finance, "files__read_file", json!({})), Some(ForbidReason::Forbidden));
    assert_eq!(world.refusal(&policy, &finance, "notes__add_note", json!({})), None);
    assert_eq!(world.refusal(&policy, &it, "bank__pay", json!({})), Some(ForbidReason::Forbidden));
    assert_eq!(world.refusal(&policy, &reviewed, "bank__pay", json!({})), None);
    assert_eq!(world.shown(&policy, &it, ListKind::Resources).unwrap(), ["files/file:///srv/a.txt"]);
    assert_eq!(world.shown(&policy, &it, ListKind::Templates).unwrap().len(), 1);
}

#[test]
fn a_step_up_is_told_to_whom_it_helps() {
    let (world, policy) = (World::new(), load("examples/step-up.cedar"));
    let told = |who: &support::Who, tool: &str| match world.outcome(&policy, who, tool, json!({})) {
        Outcome::Challenged(of) => {
            Ok((of.scopes.join(" "), of.acr_values.join(" "), of.max_age_s, of.context.map(String::from)))
        }
        Outcome::Forbidden(reason) => Err(Some(reason)),
        Outcome::Permitted => Err(None),
    };
    let (add, delete, pay) = ("notes__add_note", "notes__delete_note", "bank__pay");
    assert_eq!(told(&alice(), add), Ok(("notes:write".to_owned(), String::new(), None, None)));
    let writer = who("wanda", json!({"scope": "notes:read notes:write"}));
    assert_eq!(told(&writer, add), Err(None));
    let both = "notes:write".to_owned();
    assert_eq!(told(&alice(), delete), Ok((both.clone(), "urn:example:mfa".to_owned(), None, None)));
    assert_eq!(told(&writer, delete), Ok((String::new(), "urn:example:mfa".to_owned(), None, None)));
    let of_entra = who("eve", json!({"xms_cc": ["cp1"]}));
    assert_eq!(told(&of_entra, delete), Ok((both, String::new(), None, Some("c1".to_owned()))));
    let strong = who("sue", json!({"scope": "notes:write", "acr": "urn:example:mfa"}));
    assert_eq!(told(&strong, delete), Err(None));
    // No login makes a user of an application, or binds a token.
    assert_eq!(told(&who("agent", json!({})), add), Err(Some(ForbidReason::Forbidden)));
    assert_eq!(told(&alice(), pay), Err(Some(ForbidReason::Forbidden)));
    assert_eq!(told(&with_certificate(alice()), pay), Ok((String::new(), String::new(), Some(300), None)));
    let shown = world.shown(&policy, &alice(), ListKind::Tools).unwrap();
    assert_eq!(shown, ["notes/add_note", "notes/delete_note", "notes/typed"]);
}

#[test]
fn the_policies_in_the_guide_load() {
    let guide = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let policies: Vec<&str> = guide.split("```cedar\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(policies.len(), 5);
    for text in policies {
        Policy::parse(&[("README.md", text)]).unwrap_or_else(|error| panic!("{error}\n{text}"));
    }
}

#[test]
fn the_guide_names_every_action_and_every_field() {
    let guide = std::fs::read_to_string(folder().join("README.md")).unwrap();
    for method in sekisho_wire::Method::ALL {
        assert!(guide.contains(&format!("`{}`", method.as_str())), "{}", method.as_str());
    }
    for field in
        ["era", "time", "endpoint", "client_id", "trust", "confidentiality", "text", "number", "decimal", "flag"]
    {
        assert!(guide.contains(&format!("`context.{field}`")), "{field}");
    }
    let user = sekisho_policy::SCHEMA.split("entity User = {").nth(1).unwrap().split('}').next().unwrap();
    let attributes: Vec<&str> =
        user.lines().filter_map(|line| line.trim().strip_prefix('"')?.split('"').next()).collect();
    assert_eq!(attributes.len(), 13);
    for attribute in attributes {
        assert!(guide.contains(&format!("`principal.{attribute}`")), "{attribute}");
    }
    for annotation in ["scope", "acr_values", "max_age", "acrs", "amr"] {
        assert!(guide.contains(&format!("| `@{annotation}(")), "{annotation}");
    }
}
