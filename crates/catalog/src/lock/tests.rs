//! The lock file: written and read again, and refused where anything is wrong.

use bytes::Bytes;
use sekisho_wire::json::Limits;

use super::*;

fn id(name: &str) -> ServerId {
    ServerId::parse(name).expect("a server name")
}

fn json(text: &str) -> Json {
    Json::decode(Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).expect("strict JSON")
}

fn stdio(command: &str) -> Identity {
    let command = command.split(' ').map(Box::from).collect();
    Identity::Stdio {
        command,
        cwd: Some("data".into()),
        env: vec!["TOKEN".into()],
        program: Some(ProgramDigest([7; 32])),
    }
}

fn approve(locked: &mut Locked, server: &str, kind: ListKind, definitions: &[&str]) {
    let pins = definitions
        .iter()
        .map(|text| Pin::of(&id(server), kind, &json(text), vec!["poison-x".into()]).expect("a definition"));
    let pins: Vec<Pin> = pins.collect();
    let name = pins[0].pinned().name().to_owned();
    locked.approve(kind, &name, pins);
}

fn lock() -> Lock {
    let mut notes = Locked::new(stdio("npx -y notes@1.2"));
    let tool =
        "{\"name\":\"add\",\"description\":\"Adds a note.\\nSays \\u202e so\",\"inputSchema\":{\"type\":\"object\"}}";
    approve(&mut notes, "notes", ListKind::Tools, &[tool, r#"{"inputSchema":{},"name":"add"}"#]);
    approve(&mut notes, "notes", ListKind::Prompts, &[r#"{"name":"daily"}"#]);
    approve(&mut notes, "notes", ListKind::Resources, &[r#"{"uri":"note://1","name":"n","size":3}"#]);
    approve(&mut notes, "notes", ListKind::Templates, &[r#"{"uriTemplate":"note://{id}","name":"n"}"#]);
    let info = json(r#"{"name":"notes","version":"1.2","title":"Notes"}"#);
    let said = Introduction::of(&info, Some("Add notes one by one."));
    notes.introduce(vec![said.accepting(vec!["poison-y".into()]), Introduction::of(&info, None)]);
    let mut lock = Lock::default();
    lock.put(id("notes"), notes);
    let (url, headers) = ("https://mcp.example.com/mcp".into(), vec!["authorization".into()]);
    lock.put(id("web"), Locked::new(Identity::Http { url, headers }));
    lock
}

fn read(text: &str) -> Result<Lock, LockError> {
    Lock::read(Bytes::copy_from_slice(text.as_bytes()))
}

/// What is wrong, and the line.
fn wrong(text: &str) -> (String, usize) {
    let error = read(text).expect_err(text);
    assert!(!error.help().is_empty());
    (error.to_string(), text.split_at(error.at().start).0.lines().count())
}

#[test]
fn what_is_written_is_read_and_written_alike() {
    let text = lock().to_text();
    assert_eq!(read(&text).as_ref(), Ok(&lock()));
    assert_eq!(read(&text).expect("a lock").to_text(), text);
    assert!(text.ends_with("}\n") && text.lines().all(|line| line.trim_end() == line));
    for part in [
        "\"lockVersion\": 1",
        "\"tls\": \"1.3\"",
        "\"programSha256\": \"0707",
        "\"version\": \"1.2\"",
        "Says \\u202e so",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("\"size\""), "what belongs to the content is left out");
}

#[test]
fn who_a_server_is_differs_by_every_part_of_it() {
    let known = stdio("npx notes");
    assert_eq!(known.differs_from(&known), None);
    let changed = |command: &str, cwd: Option<&str>, env: &[&str], program: u8| {
        let command = command.split(' ').map(Box::from).collect();
        let (cwd, env) = (cwd.map(Box::from), env.iter().map(|name| Box::from(*name)).collect());
        let other = Identity::Stdio { command, cwd, env, program: Some(ProgramDigest([program; 32])) };
        other.differs_from(&known)
    };
    assert_eq!(changed("npx notes", Some("data"), &["TOKEN"], 7), None);
    assert_eq!(changed("npx notes -x", Some("data"), &["TOKEN"], 7).as_deref(), Some("its command changed"));
    assert_eq!(changed("npx notes", None, &["TOKEN"], 7).as_deref(), Some("its working folder changed"));
    let env = changed("npx notes", Some("data"), &["LD_PRELOAD", "TOKEN"], 7);
    assert_eq!(env.as_deref(), Some("the environment variables that it is given changed"));
    let both = changed("npx other", Some("data"), &["TOKEN"], 8);
    assert_eq!(both.as_deref(), Some("its command and the file of its program changed"));
    let web = |url: &str| Identity::Http { url: url.into(), headers: Vec::new() };
    assert_eq!(web("https://a/").differs_from(&web("https://a/")), None);
    assert_eq!(web("http://a/").differs_from(&web("https://a/")).as_deref(), Some("its URL changed"));
    assert_eq!(web("https://a/").differs_from(&known).as_deref(), Some("its transport changed"));
}

#[test]
fn a_file_that_was_edited_by_hand_is_refused_at_its_line() {
    let text = lock().to_text();
    let (words, line) = wrong(&text.replace("Adds a note.", "Adds a note!"));
    assert!(words.contains("the tool `add` of `notes` is not the one that was approved"), "{words}");
    assert!(text.lines().nth(line - 1).is_some_and(|line| line.contains("sha256")), "line {line}");
    let (words, _) = wrong(&text.replace("Add notes one by one.", "Add notes two by two."));
    assert!(words.contains("what `notes` says of itself is not what was approved"), "{words}");
    for (from, to, expected) in [
        ("\"accepted\"", "\"excepted\"", "nothing is known here that is called `excepted`"),
        ("\"tls\": \"1.3\"", "\"tls\": \"none\"", "there is no such expectation of TLS"),
        ("\"tls\": \"1.3\",\n", "", "`tls` is missing here"),
        ("\"notes\": {", "\"No tes\": {", "server name `No tes` is not"),
        ("\"name\": \"daily\"", "\"nane\": \"daily\"", "a prompt of `notes` cannot be used"),
        ("\"command\": [", "\"command\": 1, \"env\": [", "object key stands twice"),
        ("\"lockVersion\": 1", "\"lockVersion\": 0", "no version that there ever was"),
    ] {
        let (words, _) = wrong(&text.replacen(from, to, 1));
        assert!(words.contains(expected), "{words}");
    }
}

#[test]
fn a_file_of_a_newer_version_a_short_one_and_one_with_a_conflict_are_refused_with_the_mend() {
    let text = lock().to_text();
    let (words, line) = wrong(&text.replace("\"lockVersion\": 1", "\"lockVersion\": 2"));
    assert_eq!((words.as_str(), line), ("it is of version 2; this program reads version 1", 3));
    let newer = read(&text.replace("\"lockVersion\": 1", "\"lockVersion\": 2")).expect_err("newer");
    assert!(newer.help().contains("update this program"));
    for length in [0, 1, 40, text.len() / 2, text.len() - 2] {
        let (words, _) = wrong(text.split_at(length).0);
        assert!(words.contains("ends too early") || words.contains("not JSON"), "{length}: {words}");
    }
    let conflict = text.replacen("    \"web\"", "<<<<<<< HEAD\n    \"web\"", 1);
    let (words, line) = wrong(&conflict);
    assert_eq!(words, "a merge left a conflict here");
    assert!(conflict.lines().nth(line).is_some_and(|line| line.starts_with("<<<<<<<")), "line {line}");
}

#[test]
fn a_definition_stands_once_and_in_two_faces_at_most() {
    let mut locked = Locked::new(stdio("notes"));
    let faces: Vec<String> = (0..3).map(|n| format!(r#"{{"name":"add","title":"{n}","inputSchema":{{}}}}"#)).collect();
    let faces: Vec<&str> = faces.iter().map(String::as_str).collect();
    let text = |locked: &Locked| {
        let mut lock = Lock::default();
        lock.put(id("notes"), locked.clone());
        lock.to_text()
    };
    approve(&mut locked, "notes", ListKind::Tools, &faces[..2]);
    assert!(read(&text(&locked)).is_ok());
    approve(&mut locked, "notes", ListKind::Tools, &faces);
    assert!(wrong(&text(&locked)).0.contains("the tool `add` of `notes` stands too often"));
    approve(&mut locked, "notes", ListKind::Tools, &[faces[0], faces[0]]);
    assert!(wrong(&text(&locked)).0.contains("stands too often"));
}

#[test]
fn a_version_is_no_part_of_what_a_server_says_of_itself_and_all_else_is() {
    let of = |info: &str, said| Introduction::of(&json(info), said).digest();
    let known = of(r#"{"name":"notes","version":"1"}"#, Some("a"));
    assert_eq!(known, of(r#"{"version":"2","name":"notes"}"#, Some("a")));
    assert_ne!(known, of(r#"{"name":"notes","version":"1"}"#, Some("b")));
    assert_ne!(known, of(r#"{"name":"notes","version":"1"}"#, None));
    assert_ne!(known, of(r#"{"name":"notes","version":"1","title":"x"}"#, Some("a")));
}
