//! What it costs to say what changed, on one core: `cargo bench -p sekisho-catalog`.

#![allow(clippy::unwrap_used, reason = "a bench ends where something is not as it should be")]

use std::fmt::Write as _;

use divan::Bencher;
use sekisho_catalog::{Face, Kin, differences};
use sekisho_wire::json::Limits;
use sekisho_wire::{Json, ListKind};

fn main() {
    divan::main();
}

/// Two definitions of about so many bytes, of which every tenth property has another description and another bound.
#[divan::bench(args = [16 * 1024, 256 * 1024])]
fn differences_of_two(bencher: Bencher<'_, '_>, bytes: usize) {
    let (old, new) = (definition(bytes, "small"), definition(bytes, "large"));
    assert!(!differences(ListKind::Tools, &old, &new).is_empty());
    bencher.bench_local(|| differences(ListKind::Tools, divan::black_box(&old), divan::black_box(&new)));
}

/// The worst that is known: 200 KiB below ninety alternatives, one within the other.
#[divan::bench(sample_count = 10)]
fn differences_of_two_that_nest(bencher: Bencher<'_, '_>) {
    let of = |title: &str| {
        let properties: String = (0..8000).map(|at| format!(r#","p{at}":{{"title":"{title} {at}"}}"#)).collect();
        let inner = format!(r#"{{"properties":{{"p":{{}}{properties}}}}}"#);
        let nested = (0..90).fold(inner, |inner, _| format!(r#"{{"anyOf":[{inner},{{"title":"{title}"}}]}}"#));
        json(&format!(r#"{{"name":"t","inputSchema":{nested}}}"#))
    };
    let (old, new) = (of("a"), of("b"));
    bencher.bench_local(|| differences(ListKind::Tools, divan::black_box(&old), divan::black_box(&new)));
}

/// Each reference points elsewhere than it did, and what it points to refers to others.
#[divan::bench(sample_count = 10)]
fn differences_of_two_that_refer_in_circles(bencher: Bencher<'_, '_>) {
    let of = |shift: usize| {
        let parts = 3000;
        let mut text = String::from(r##"{"name":"t","inputSchema":{"$ref":"#/$defs/0","$defs":{"##);
        for part in 0..parts {
            let (left, right) = ((part + shift) % parts, (part + shift * 2) % parts);
            let comma = if part == 0 { "" } else { "," };
            write!(
                text,
                r##"{comma}"{part}":{{"items":{{"$ref":"#/$defs/{left}"}},"not":{{"$ref":"#/$defs/{right}"}}}}"##
            )
            .unwrap();
        }
        text.push_str("}}}");
        json(&text)
    };
    let (old, new) = (of(1), of(2));
    bencher.bench_local(|| differences(ListKind::Tools, divan::black_box(&old), divan::black_box(&new)));
}

/// The face of a definition.
#[divan::bench(args = [1024, 256 * 1024])]
fn face(bencher: Bencher<'_, '_>, bytes: usize) {
    let definition = definition(bytes, "small");
    bencher.bench_local(|| Face::of(ListKind::Tools, divan::black_box(&definition)));
}

/// One look-up among ten thousand, that finds the one or nothing; `alike`: all of them have the same description.
#[divan::bench(args = ["renamed", "unknown", "alike"])]
fn nearest_of_10_000(bencher: Bencher<'_, '_>, what: &str) {
    let text = |at: usize| match what {
        "alike" => "Finds what is on a shelf of some room, for everybody.".to_owned(),
        _ => format!("Finds thing {at} on shelf {} of the room {} for everybody.", at % 997, at % 89),
    };
    let kin = Kin::of((0..10_000).map(|at| (format!("tool_{at}").into(), tool(&format!("tool_{at}"), &text(at)))));
    let asked = match what {
        "unknown" => tool("weather", "Tells on which day the room and the shelf of everybody were dry."),
        _ => tool("renamed_tool", &text(1231)),
    };
    assert_eq!(kin.nearest(&asked).is_some(), what != "unknown");
    bencher.bench_local(|| kin.nearest(divan::black_box(&asked)).is_some());
}

/// The index over ten thousand faces.
#[divan::bench(sample_count = 10)]
fn index_of_10_000(bencher: Bencher<'_, '_>) {
    let faces: Vec<Face> =
        (0..10_000).map(|at| tool("t", &format!("Finds thing {at} on shelf {}.", at % 997))).collect();
    bencher.bench_local(|| Kin::of(faces.iter().map(|face| ("t".into(), face.clone()))));
}

fn tool(name: &str, description: &str) -> Face {
    let schema = r#"{"type":"object","properties":{"path":{"type":"string"}}}"#;
    let text = format!(r#"{{"name":"{name}","description":"{description}","inputSchema":{schema}}}"#);
    Face::of(ListKind::Tools, &json(&text))
}

fn definition(bytes: usize, size: &str) -> Json {
    let mut text =
        format!(r#"{{"name":"t","description":"Finds {size} things.","inputSchema":{{"properties":{{"p":{{}}"#);
    for at in 0.. {
        if text.len() >= bytes {
            break;
        }
        let (size, max) = if at % 10 == 0 { (size, size.len() + at % 7) } else { ("any", 7) };
        write!(
            text,
            r#","p{at}":{{"type":"string","maxLength":{max},"description":"Of {size} things, the number {at}."}}"#
        )
        .unwrap();
    }
    text.push_str("}}}");
    json(&text)
}

fn json(text: &str) -> Json {
    let limits = Limits { depth_max: 256, ..Limits::default() };
    Json::decode(text.to_owned().into(), &limits).unwrap()
}
