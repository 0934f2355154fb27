//! What a reference is, and what it leads to.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use sekisho_keys::{BadRef, Purpose, ResolveError, SecretRef};

const PURPOSE: Purpose<'_> = Purpose::Server { server: "notes", name: "TOKEN" };
const LITERAL: &str = "hunter2-s3cr3t";

fn reference(text: &str) -> SecretRef {
    text.parse().unwrap()
}

fn no_env(_: &str) -> Option<OsString> {
    None
}

fn from_file(content: &[u8], mode: u32) -> Result<SecretString, ResolveError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    reference("file:token").resolve(PURPOSE, dir.path(), &no_env)
}

fn text(secret: Result<SecretString, ResolveError>) -> String {
    secret.unwrap().expose_secret().to_owned()
}

#[test]
fn literal_secret_is_refused_and_not_repeated() {
    for literal in [LITERAL, "", "ENV:X", " env:X", "vault:x", "environment:X"] {
        let error = literal.parse::<SecretRef>().unwrap_err();
        assert_eq!(error, BadRef::Literal);
        assert!(literal.is_empty() || !format!("{error} {error:?}").contains(literal));
    }
    let error = serde_json::from_str::<SecretRef>(&format!("{LITERAL:?}")).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(LITERAL));
    for number in ["8675309", "-8675309", "0.8675309", "true"] {
        let error = serde_json::from_str::<SecretRef>(number).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("8675309"), "{error}");
    }
}

#[test]
fn name_and_path_must_look_like_one() {
    for bad in ["env:", "env:A B", "env:1A", "env:A=B", "env:Ä"] {
        assert_eq!(bad.parse::<SecretRef>().unwrap_err(), BadRef::Name, "{bad}");
    }
    for bad in ["file:", "file:///etc/token", "file:a\nb", "sealed:", "sealed://a", "sealed:a\nb"] {
        assert_eq!(bad.parse::<SecretRef>().unwrap_err(), BadRef::Path, "{bad}");
    }
    for good in [
        "env:_A1",
        "env:TOKEN",
        "file:/run/secrets/token",
        "file:secrets/token",
        "file:../token",
        "sealed:secrets/token",
    ] {
        let display = reference(good).to_string();
        assert_eq!(display, format!("`{good}`"));
        assert_eq!(serde_json::from_str::<SecretRef>(&format!("{good:?}")).unwrap(), reference(good));
    }
}

#[test]
fn environment_variable_is_taken_and_a_missing_or_empty_one_refused() {
    let env = |name: &str| match name {
        "TOKEN" => Some(OsString::from(LITERAL)),
        "EMPTY" => Some(OsString::new()),
        "LONG" => Some(OsString::from("x".repeat(64 * 1024 + 1))),
        _ => None,
    };
    let resolve = |text: &str| reference(text).resolve(PURPOSE, Path::new("/"), &env);
    assert_eq!(text(resolve("env:TOKEN")), LITERAL);
    assert!(matches!(resolve("env:EMPTY"), Err(ResolveError::Empty { .. })));
    assert!(matches!(resolve("env:MISSING"), Err(ResolveError::Unset { .. })));
    assert!(matches!(resolve("env:LONG"), Err(ResolveError::TooLong { .. })));
}

#[test]
fn one_line_feed_at_the_end_is_trimmed_and_no_more() {
    assert_eq!(text(from_file(b"secret", 0o600)), "secret");
    assert_eq!(text(from_file(b"secret\n", 0o600)), "secret");
    assert_eq!(text(from_file(b"secret\r\n", 0o600)), "secret");
    assert_eq!(text(from_file(b" secret \n\n", 0o600)), " secret \n");
    assert_eq!(text(from_file(b"secret\r", 0o600)), "secret\r");
}

#[test]
fn empty_file_and_other_than_text_are_refused() {
    assert!(matches!(from_file(b"", 0o600), Err(ResolveError::Empty { .. })));
    assert!(matches!(from_file(b"\n", 0o600), Err(ResolveError::Empty { .. })));
    assert!(matches!(from_file(b"\xff\xfe", 0o600), Err(ResolveError::NotText { .. })));
}

#[test]
fn file_at_its_bound_is_taken_and_one_past_is_refused() {
    assert_eq!(text(from_file(&vec![b'x'; 64 * 1024], 0o600)).len(), 64 * 1024);
    assert!(matches!(from_file(&vec![b'x'; 64 * 1024 + 1], 0o600), Err(ResolveError::TooLong { .. })));
}

#[test]
fn file_that_every_user_reaches_is_refused_and_group_readable_is_not() {
    for mode in [0o644, 0o604, 0o602, 0o666] {
        let error = from_file(b"secret", mode).unwrap_err();
        assert!(matches!(error, ResolveError::Exposed { .. }), "{mode:o}");
        assert!(error.to_string().contains("chmod o-rwx") && !error.to_string().contains("secret\""));
    }
    for mode in [0o600, 0o400, 0o440, 0o640] {
        assert_eq!(text(from_file(b"secret", mode)), "secret", "{mode:o}");
    }
}

#[test]
fn folder_device_and_missing_file_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let resolve = |text: &str| reference(text).resolve(PURPOSE, dir.path(), &no_env);
    assert!(matches!(resolve("file:."), Err(ResolveError::NotAFile { .. })));
    assert!(matches!(resolve("file:/dev/zero"), Err(ResolveError::NotAFile { .. })));
    assert!(matches!(resolve("file:nothing"), Err(ResolveError::Read { .. })));
}

#[test]
fn relative_path_starts_from_the_base_and_absolute_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    fs::write(&path, "secret").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(text(reference("file:token").resolve(PURPOSE, dir.path(), &no_env)), "secret");
    let absolute = reference(&format!("file:{}", path.display()));
    assert_eq!(text(absolute.resolve(PURPOSE, Path::new("/nowhere"), &no_env)), "secret");
}
