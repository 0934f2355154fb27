use super::*;
use crate::home::{Machine, System};
use crate::import::clients::candidates;

fn client(id: &str) -> &'static Client {
    let machine = Machine::new(System::Linux, "/h".into(), &|_| None);
    candidates(&machine, None).into_iter().find(|one| one.client.id == id).unwrap().client
}

fn wrapped(format: Format, id: &str, place: &str, text: &str, kept: &[&str]) -> Result<String, String> {
    let tree = parse(format, text)?;
    let node = tree.get(place).unwrap().entry("x").unwrap();
    let program = node.get(client(id).words.command).unwrap().as_text().unwrap_or("p").to_owned();
    let front = ["run", "--server", "x", "--", &program].map(str::to_owned).to_vec();
    let kept = kept.iter().map(|name| (*name).to_owned()).collect();
    let turn = Turn::Wrap { program: "/s".to_owned(), front, kept };
    rewrite(format, text, client(id), &[Change { place: vec![place.to_owned()], key: "x".to_owned(), turn }])
}

#[test]
fn arguments_come_before_those_that_are_there_in_their_layout() {
    for (before, after) in [
        (
            r#"{"s":{"x":{"command":"p","args":["a"]}}}"#,
            r#"{"s":{"x":{"command":"/s","args":["run", "--server", "x", "--", "p", "a"]}}}"#,
        ),
        (
            r#"{"s":{"x":{"command":"p","args":[]}}}"#,
            r#"{"s":{"x":{"command":"/s","args":["run", "--server", "x", "--", "p"]}}}"#,
        ),
        (
            r#"{"s":{"x":{"command":"p","args":null}}}"#,
            r#"{"s":{"x":{"command":"/s","args":["run", "--server", "x", "--", "p"]}}}"#,
        ),
        (
            r#"{"s":{"x":{"command":"p"}}}"#,
            r#"{"s":{"x":{"command":"/s", "args": ["run", "--server", "x", "--", "p"]}}}"#,
        ),
        (
            "{\"s\": {\"x\": {\n\t\"command\": \"p\" // c\n}}}",
            "{\"s\": {\"x\": {\n\t\"command\": \"/s\",\n\t\"args\": [\"run\", \"--server\", \"x\", \"--\", \"p\"] // c\n}}}",
        ),
        (
            "{\"s\": {\"x\": {\"args\": [\n  // first\n  \"a\" ], \"command\": \"p\"}}}",
            "{\"s\": {\"x\": {\"args\": [\n  // first\n  \"run\",\n  \"--server\",\n  \"x\",\n  \"--\",\n  \"p\",\n  \"a\" ], \"command\": \"/s\"}}}",
        ),
    ] {
        assert_eq!(wrapped(Format::Json, "cursor", "s", before, &[]).unwrap(), after);
    }
}

#[test]
fn variables_that_stay_stay_as_they_are_written() {
    for (before, after) in [
        (r#""env": {"A": "1", "B": "${B}"}"#, r#""env": { "B": "${B}" }"#),
        (r#""env": {"B": "${B}"}"#, r#""env": {"B": "${B}"}"#),
        (r#""env": {"A": "1"}"#, r#""env": {}"#),
        ("\"env\": {\n    \"A\": \"1\",\n    \"B\" : \"${B}\"\n  }", "\"env\": {\n    \"B\" : \"${B}\"\n  }"),
    ] {
        let text = |env: &str, command: &str| format!("{{\"s\": {{\n  \"x\": {{ {env}, {command} }} }} }}");
        let edited =
            wrapped(Format::Json, "cursor", "s", &text(before, r#""command": "p", "args": []"#), &["B"]).unwrap();
        assert_eq!(edited, text(after, r#""command": "/s", "args": ["run", "--server", "x", "--", "p"]"#));
    }
}

#[test]
fn yaml_is_changed_where_it_stands() {
    let before = "# top\ns:\n  x: # about\n    cmd: p # run\n    args: # list\n      - -a # first\n\n      - 'b'\n    envs: # vars\n      A: 1 # one\n      # two\n      B: |\n        x\n        y\n    z: 1\n  y: {cmd: q}\n";
    let after = "# top\ns:\n  x: # about\n    cmd: \"/s\" # run\n    args: # list\n      - \"run\"\n      - \"--server\"\n      - \"x\"\n      - \"--\"\n      - \"p\"\n      - -a # first\n\n      - 'b'\n    envs: # vars\n      {}\n    z: 1\n  y: {cmd: q}\n";
    assert_eq!(wrapped(Format::Yaml, "goose", "s", before, &[]).unwrap(), after);
    for (before, after) in [
        ("s: {x: {cmd: p}}\n", "s: {x: {cmd: \"/s\", \"args\": [\"run\", \"--server\", \"x\", \"--\", \"p\"]}}\n"),
        (
            "s:\n  x:\n    cmd: p\n    args: [a]\n",
            "s:\n  x:\n    cmd: \"/s\"\n    args: [\"run\", \"--server\", \"x\", \"--\", \"p\", a]\n",
        ),
        (
            "s:\n  x:\n    cmd: p\n    args:\n",
            "s:\n  x:\n    cmd: \"/s\"\n    args: [\"run\", \"--server\", \"x\", \"--\", \"p\"]\n",
        ),
        (
            "s:\n  x:\n    args:\n    - a\n    cmd: p",
            "s:\n  x:\n    args:\n    - \"run\"\n    - \"--server\"\n    - \"x\"\n    - \"--\"\n    - \"p\"\n    - a\n    cmd: \"/s\"",
        ),
        (
            "s:\n- name: x\n  cmd: p\n",
            "s:\n- name: x\n  cmd: \"/s\"\n  args: [\"run\", \"--server\", \"x\", \"--\", \"p\"]\n",
        ),
        (
            "s:\n- cmd: p\n  name: x\n",
            "s:\n- cmd: \"/s\"\n  args: [\"run\", \"--server\", \"x\", \"--\", \"p\"]\n  name: x\n",
        ),
    ] {
        assert_eq!(wrapped(Format::Yaml, "goose", "s", before, &[]).unwrap(), after);
    }
    let kept = wrapped(
        Format::Yaml,
        "goose",
        "s",
        "s:\n  x:\n    cmd: p\n    args: []\n    envs:\n      A: 1\n      B: 2\n    z: 1\n",
        &["B"],
    );
    assert!(kept.unwrap().ends_with("    envs:\n      B: 2\n    z: 1\n"));
}

#[test]
fn what_cannot_be_changed_by_itself_is_refused() {
    for text in [
        "s:\n  x:\n    cmd: >\n      p\n",
        "s:\n  x:\n    cmd: \"p\n      q\"\n",
        "s:\n  x: {cmd: p, args: &a [b]}\n  y: *a\n",
    ] {
        wrapped(Format::Yaml, "goose", "s", text, &[]).unwrap_err();
    }
}
