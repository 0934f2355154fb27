//! What it costs to hold arguments against a schema, on one core: `cargo bench -p sekisho-guard`.
//!
//! Each figure is what inspection does for a call: the look-up of the compiled schema by the digest that its definition has, the tree of
//! the arguments, the bounds on work, and the check itself. Docs: `docs/performance.md`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench ends where something is not as it should be")]

use divan::Bencher;
use sekisho_catalog::Declared;
use sekisho_guard::{Config, Guard, UnknownArguments};
use sekisho_wire::Json;
use sekisho_wire::json::Limits;
use serde_json::{Value, json};

fn main() {
    divan::main();
}

fn wire(value: &Value) -> Json {
    Json::decode(value.to_string().into(), &Limits::default()).unwrap()
}

/// What a tool of a few parameters declares.
fn typical() -> Value {
    json!({
        "type": "object",
        "properties": {
            "owner": {"type": "string", "description": "Whose repository it is"},
            "repo": {"type": "string", "maxLength": 100},
            "title": {"type": "string", "minLength": 1},
            "state": {"type": "string", "enum": ["open", "closed", "all"]},
            "page": {"type": "integer", "minimum": 1},
            "per_page": {"type": "integer", "minimum": 1, "maximum": 100},
            "draft": {"type": "boolean", "default": false},
            "labels": {"type": "array", "items": {"type": "string"}},
            "range": {
                "type": "object",
                "properties": {"since": {"type": "string"}, "until": {"type": "string"}},
                "required": ["since"],
            },
        },
        "required": ["owner", "repo", "title"],
    })
}

/// About 256 bytes.
fn arguments() -> Value {
    json!({
        "owner": "an-organization",
        "repo": "a-repository-with-a-name",
        "title": "What a model asks for when it looks for issues",
        "state": "open",
        "page": 3,
        "per_page": 50,
        "labels": ["bug", "good first issue"],
        "range": {"since": "2026-01-01T00:00:00Z", "until": "2026-06-30T23:59:59Z"},
    })
}

/// The same parameters many times over, 64 KiB of them; `number` makes it one that was not seen.
fn large(number: u64) -> Value {
    let mut properties = serde_json::Map::new();
    while serde_json::to_string(&properties).unwrap().len() < 63 * 1024 {
        let mut group = typical();
        group["title"] = json!(format!("Group {}", properties.len()));
        properties.insert(format!("group_{}", properties.len()), group);
    }
    json!({"type": "object", "title": number.to_string(), "properties": properties})
}

fn guard(unknown_arguments: UnknownArguments) -> Guard {
    Guard::new(&Config { unknown_arguments, ..Config::default() })
}

/// Arguments that fit a schema that is known.
#[divan::bench]
fn arguments_that_fit(bencher: Bencher<'_, '_>) {
    let (guard, schema) = (guard(UnknownArguments::AsSchema), Declared::of(wire(&typical())));
    let arguments = wire(&arguments());
    assert!(guard.misfits(&schema, &arguments).is_empty());
    bencher.bench_local(|| guard.misfits(&schema, &arguments));
}

/// The same, where what is not mentioned is refused.
#[divan::bench]
fn arguments_that_fit_strictly(bencher: Bencher<'_, '_>) {
    let (guard, schema) = (guard(UnknownArguments::Refuse), Declared::of(wire(&typical())));
    let arguments = wire(&arguments());
    assert!(guard.misfits(&schema, &arguments).is_empty());
    bencher.bench_local(|| guard.misfits(&schema, &arguments));
}

/// Arguments with a type that is wrong and a name that is missing, and the words for both.
#[divan::bench]
fn arguments_that_do_not_fit(bencher: Bencher<'_, '_>) {
    let (guard, schema) = (guard(UnknownArguments::AsSchema), Declared::of(wire(&typical())));
    let mut wrong = arguments();
    wrong["page"] = json!("3");
    wrong.as_object_mut().unwrap().remove("title");
    let wrong = wire(&wrong);
    assert_eq!(guard.misfits(&schema, &wrong).len(), 2);
    bencher.bench_local(|| guard.misfits(&schema, &wrong));
}

/// A schema that was not seen before, and a call with it.
#[divan::bench(args = ["typical", "64 KiB"], sample_count = 20, sample_size = 1)]
fn schema_that_is_new(bencher: Bencher<'_, '_>, which: &str) {
    let guard = guard(UnknownArguments::AsSchema);
    let mut number = 0_u64;
    let arguments = wire(&json!({"owner": "a", "repo": "b", "title": "c"}));
    bencher
        .with_inputs(|| {
            number += 1;
            let mut schema = if which == "typical" { typical() } else { large(number) };
            schema["title"] = json!(number.to_string());
            Declared::of(wire(&schema))
        })
        .bench_local_values(|schema| guard.misfits(&schema, &arguments));
}
