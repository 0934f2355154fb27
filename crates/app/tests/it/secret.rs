//! `sekisho secret`, as its users meet it.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use nix::pty::openpty;
use nix::sys::termios::{LocalFlags, tcgetattr};

use crate::support::{Home, Said};

const LITERAL: &str = "hunter2-s3cr3t";
const SEALED: &str = "secrets/absent/TOKEN.sealed";

/// A configuration whose server takes sealed secrets.
fn home() -> Home {
    let home = Home::new();
    let env = "env = { TOKEN = \"sealed:secrets/absent/TOKEN.sealed\", OTHER_KEY = \"sealed:other\" }\n";
    home.write("sekisho.toml", &(home.config() + env));
    home
}

fn command(home: &Home, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho"));
    command.args(arguments).current_dir(home.dir.path()).env("NO_COLOR", "1").env("XDG_DATA_HOME", home.path("data"));
    command
}

fn run(home: &Home, arguments: &[&str], input: &str) -> Said {
    let mut command = command(home, arguments);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    // Whoever refuses before does not read it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let ended = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: ended.status.code().unwrap_or(-1), out: text(ended.stdout), err: text(ended.stderr) }
}

fn check(home: &Home) -> Said {
    run(home, &["config", "check"], "")
}

fn refused(said: &Said, parts: &[&str]) {
    let told = said.err.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
    assert!(said.code == 1 && told.contains("SK0109"), "{said:?}");
    for part in parts {
        assert!(told.contains(part), "{part} in {told}");
    }
    assert!(!format!("{said:?}").contains(LITERAL), "{said:?}");
}

#[test]
fn secret_is_sealed_from_standard_input_listed_exchanged_and_removed() {
    let home = home();
    refused(&check(&home), &["TOKEN.sealed"]);
    for (name, value) in [("absent/TOKEN", LITERAL), ("absent/OTHER_KEY", "one"), ("absent/TOKEN", "another\n")] {
        let said = run(&home, &["secret", "set", name], value);
        assert!(said.code == 0 && said.out.contains("takes it over"), "{said:?}");
        assert!(!format!("{said:?}").contains(LITERAL));
    }
    let said = check(&home);
    assert_eq!(said.code, 0, "{said:?}");
    let listed = run(&home, &["secret", "list"], "");
    assert_eq!(
        listed.out,
        "NAME              WHERE                               STATE\n\
         absent/OTHER_KEY  sealed:other                        is there\n\
         absent/TOKEN      sealed:secrets/absent/TOKEN.sealed  is there\n"
    );
    let said = run(&home, &["secret", "remove", "absent/TOKEN"], "");
    assert!(said.code == 0 && said.out.contains("names it still"), "{said:?}");
    assert!(run(&home, &["secret", "list"], "").out.contains("cannot be read"));
    refused(&run(&home, &["secret", "remove", "absent/TOKEN"], ""), &["secret list"]);
    refused(&check(&home), &["TOKEN.sealed"]);
}

#[test]
fn exchanged_tampered_and_truncated_secrets_and_another_key_are_refused_with_what_to_do() {
    let home = home();
    let set = |name: &str| assert_eq!(run(&home, &["secret", "set", name], LITERAL).code, 0);
    set("absent/TOKEN");
    set("absent/OTHER_KEY");
    assert_eq!(check(&home).code, 0);
    let (token, other) = (home.path(SEALED), home.path("other"));
    let text = std::fs::read_to_string(&token).unwrap();
    std::fs::copy(&other, &token).unwrap();
    refused(&check(&home), &["sealed for something else than `servers.absent TOKEN`", "sekisho secret set"]);
    std::fs::write(&token, text.replace("1\n", "1\r\n")).unwrap();
    refused(&check(&home), &["a form that this version does not know"]);
    std::fs::write(&token, text.trim_end()).unwrap();
    refused(&check(&home), &["is cut off"]);
    let (mut changed, at) = (text.clone().into_bytes(), text.len() - 10);
    changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
    std::fs::write(&token, changed).unwrap();
    refused(&check(&home), &["was changed since it was sealed"]);
    std::fs::write(&token, &text).unwrap();
    assert_eq!(check(&home).code, 0);

    let key = home.path("data/sekisho/key");
    let mode = |mode| std::fs::set_permissions(&key, PermissionsExt::from_mode(mode)).unwrap();
    mode(0o644);
    refused(&check(&home), &["chmod go-rwx"]);
    mode(0o600);
    let moved = home.path("data/moved");
    std::fs::rename(&key, &moved).unwrap();
    refused(&check(&home), &["data/sekisho/key", "is not there", "sekisho secret set"]);
    set("absent/OTHER_KEY");
    refused(&check(&home), &["was sealed with another key"]);
    std::fs::rename(&moved, &key).unwrap();
    std::fs::write(&other, "somebody's notes").unwrap();
    for command in ["set", "remove"] {
        refused(&run(&home, &["secret", command, "absent/OTHER_KEY"], LITERAL), &["and stays"]);
    }
    assert_eq!(std::fs::read_to_string(&other).unwrap(), "somebody's notes");
}

#[test]
fn secret_that_the_configuration_does_not_name_yet_is_sealed_with_the_line_for_it() {
    let home = Home::new();
    let said = run(&home, &["secret", "set", "absent/NEW_TOKEN"], LITERAL);
    let line = "[servers.absent]\n  env = { NEW_TOKEN = \"sealed:secrets/absent/NEW_TOKEN.sealed\" }\n";
    assert!(said.code == 0 && said.out.contains(line), "{said:?}");
    let said = run(&home, &["secret", "set", "telemetry:Api-Key"], LITERAL);
    let line = "[telemetry]\n  otlp_headers = { Api-Key = \"sealed:secrets/telemetry-Api-Key.sealed\" }\n";
    assert!(said.code == 0 && said.out.contains(line), "{said:?}");
    let config = home.config()
        + "env = { NEW_TOKEN = \"sealed:secrets/absent/NEW_TOKEN.sealed\" }\n[telemetry]\notlp_endpoint = \"http://127.0.0.1:1\"\n\
           otlp_headers = { Api-Key = \"sealed:secrets/telemetry-Api-Key.sealed\" }\n";
    home.write("sekisho.toml", &config);
    assert_eq!(check(&home).code, 0, "{:?}", check(&home));
    home.write("sekisho.toml", &config.replace("Api-Key =", "Other-Key ="));
    refused(&check(&home), &["sealed for something else than `telemetry Other-Key`"]);
}

#[test]
fn what_is_no_secret_or_no_name_is_refused() {
    let home = home();
    for (input, words) in
        [("", "it is empty"), ("\n", "it is empty"), (&*"x".repeat(64 * 1024 + 1), "longer than 64 KiB")]
    {
        refused(&run(&home, &["secret", "set", "absent/TOKEN"], input), &[words]);
    }
    assert_eq!(run(&home, &["secret", "set", "absent/TOKEN"], &"x".repeat(64 * 1024)).code, 0);
    for name in [LITERAL, "absent/", "/TOKEN", "Absent/TOKEN"] {
        let said = run(&home, &["secret", "set", name], LITERAL);
        assert_eq!(said.code, 2, "{said:?}");
    }
    refused(&run(&home, &["secret", "set", "absent/A B"], LITERAL), &["spaces"]);
    let said = run(&home, &["secret", "set", "nobody/TOKEN"], LITERAL);
    assert!(said.code == 1 && said.err.contains("SK0112") && said.err.contains("absent"), "{said:?}");
}

#[test]
fn terminal_shows_nothing_of_the_secret_and_is_as_before_afterwards() {
    let home = home();
    for (typed, code) in [(format!("{LITERAL}\n"), 0), (format!("{LITERAL}\u{3}"), 1)] {
        let pty = openpty(None, None).unwrap();
        let mut command = command(&home, &["secret", "set", "absent/TOKEN"]);
        let slave = || Stdio::from(pty.slave.try_clone().unwrap());
        command.stdin(slave()).stdout(slave()).stderr(slave());
        let mut child = command.spawn().unwrap();
        let (mut master, mut shown) = (std::fs::File::from(pty.master.try_clone().unwrap()), String::new());
        let mut read = |until: &str| {
            let mut bytes = [0; 1024];
            while !shown.contains(until) {
                let count = master.read(&mut bytes).unwrap();
                assert!(count > 0, "{until} in {shown}");
                shown.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
            }
            shown.clone()
        };
        read("(not shown): ");
        assert!(!tcgetattr(&pty.slave).unwrap().local_flags.contains(LocalFlags::ECHO));
        std::fs::File::from(pty.master.try_clone().unwrap()).write_all(typed.as_bytes()).unwrap();
        let shown = read(if code == 0 { "sealed in" } else { "given up" });
        assert!(!shown.contains(LITERAL), "{shown}");
        assert_eq!(child.wait().unwrap().code(), Some(code));
        let after = tcgetattr(&pty.slave).unwrap().local_flags;
        assert!(after.contains(LocalFlags::ECHO | LocalFlags::ISIG));
    }
    assert!(run(&home, &["secret", "list"], "").out.contains("TOKEN.sealed  is there"));
}
