//! What is sealed opens for its purpose, with its key, as it was, and not otherwise.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::error::Error as _;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};
use sekisho_keys::{Purpose, ResolveError, SealError, SealingKey, SecretRef};
use tempfile::TempDir;

const LITERAL: &str = "hunter2-s3cr3t";
const TOKEN: Purpose<'_> = Purpose::Server { server: "notes", name: "TOKEN" };

/// A user's data folder, with a key in it.
struct User {
    dir: TempDir,
}

impl User {
    fn new() -> User {
        let user = User { dir: tempfile::tempdir().unwrap() };
        SealingKey::ensure(&user.place()).unwrap();
        user
    }

    fn place(&self) -> PathBuf {
        SealingKey::place(&|name| self.env(name)).unwrap()
    }

    fn key(&self) -> SealingKey {
        SealingKey::load(&self.place()).unwrap()
    }

    fn env(&self, name: &str) -> Option<OsString> {
        (name == "XDG_DATA_HOME").then(|| self.dir.path().join("data").into())
    }

    /// What a configuration gets that names a file with this text.
    fn resolve(&self, purpose: Purpose<'_>, sealed: impl AsRef<[u8]>) -> Result<SecretString, ResolveError> {
        fs::write(self.dir.path().join("sealed"), sealed).unwrap();
        "sealed:sealed".parse::<SecretRef>().unwrap().resolve(purpose, self.dir.path(), &|name| self.env(name))
    }

    fn refused(&self, purpose: Purpose<'_>, sealed: impl AsRef<[u8]>) -> SealError {
        let error = self.resolve(purpose, sealed).unwrap_err();
        let words = format!("{error} {:?} {:?}", error.source(), error);
        assert!(!words.contains(LITERAL), "{words}");
        let ResolveError::Sealed { source, .. } = error else { panic!("{error}") };
        source
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn sealed_secret_opens_to_the_byte_and_its_file_gives_nothing_away() {
    let user = User::new();
    for secret in [LITERAL, "x", "with a line end\n", "日本", &"x".repeat(64 * 1024)] {
        let sealed = user.key().seal(TOKEN, &secret.into()).unwrap();
        assert!(!sealed.contains(LITERAL) && sealed.starts_with("sekisho-sealed 1\nfor servers.notes TOKEN\nkey "));
        assert_ne!(sealed, user.key().seal(TOKEN, &secret.into()).unwrap(), "the same twice looks otherwise");
        assert_eq!(user.resolve(TOKEN, &sealed).unwrap().expose_secret(), secret);
    }
    for secret in ["", &"x".repeat(64 * 1024 + 1)] {
        assert!(matches!(user.key().seal(TOKEN, &secret.into()), Err(SealError::Length)));
    }
    assert!(!format!("{:?}", user.key()).contains(fs::read_to_string(user.place()).unwrap().trim()));
}

#[test]
fn sealed_secret_of_another_server_variable_or_header_is_refused() {
    let user = User::new();
    let sealed = user.key().seal(TOKEN, &LITERAL.into()).unwrap();
    assert!(user.resolve(TOKEN, &sealed).is_ok());
    for other in [
        Purpose::Server { server: "notes", name: "OTHER" },
        Purpose::Server { server: "files", name: "TOKEN" },
        Purpose::Collector { name: "TOKEN" },
    ] {
        let refused = user.refused(other, &sealed);
        assert!(matches!(refused, SealError::OtherPurpose { .. }) && refused.to_string().contains("secret set"));
        // To say that it is for the other does not help.
        let renamed = sealed.replace(&TOKEN.to_string(), &other.to_string());
        assert!(matches!(user.refused(other, renamed), SealError::Tampered));
    }
    for name in ["A B", "A\nB", "A\u{7}"] {
        let odd = Purpose::Server { server: "notes", name };
        assert!(matches!(user.key().seal(odd, &LITERAL.into()), Err(SealError::Name)));
    }
}

#[test]
fn another_key_opens_nothing() {
    let (user, other) = (User::new(), User::new());
    let sealed = other.key().seal(TOKEN, &LITERAL.into()).unwrap();
    assert!(other.resolve(TOKEN, &sealed).is_ok());
    let refused = user.refused(TOKEN, &sealed);
    assert!(matches!(refused, SealError::OtherKey { .. }) && refused.to_string().contains("bring that one back"));
    let own = user.key().seal(TOKEN, &LITERAL.into()).unwrap();
    let key_of = |text: &str| text.lines().nth(2).unwrap().to_owned();
    assert!(matches!(user.refused(TOKEN, sealed.replace(&key_of(&sealed), &key_of(&own))), SealError::Tampered));
    fs::remove_file(user.place()).unwrap();
    assert!(matches!(user.refused(TOKEN, &own), SealError::NoKey { .. }));
}

#[test]
fn changed_and_cut_off_files_are_refused_wherever_it_is() {
    let user = User::new();
    let sealed = user.key().seal(TOKEN, &LITERAL.into()).unwrap();
    for end in 0..sealed.len() {
        user.refused(TOKEN, &sealed.as_bytes()[..end]);
    }
    for at in 0..sealed.len() {
        let mut bytes = sealed.clone().into_bytes();
        bytes[at] ^= 1;
        user.refused(TOKEN, bytes);
    }
    for odd in [format!("{sealed}\n"), format!("{sealed}{sealed}"), format!(" {sealed}")] {
        assert!(matches!(user.refused(TOKEN, odd), SealError::Form));
    }
    for odd in [sealed.replace("sealed 1", "sealed 2"), sealed.replace('\n', "\r\n")] {
        assert!(matches!(user.refused(TOKEN, odd), SealError::Version));
    }
    assert!(matches!(user.refused(TOKEN, LITERAL), SealError::Form), "a plain one is not taken");
    assert!(user.resolve(TOKEN, &sealed).is_ok());
}

#[test]
fn key_is_made_once_for_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b/key");
    assert!(matches!(SealingKey::load(&path), Err(SealError::NoKey { .. })));
    let sealed = std::thread::scope(|scope| {
        let one = || SealingKey::ensure(&path).unwrap().seal(TOKEN, &LITERAL.into()).unwrap();
        let all: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<String>>()
    });
    let key = SealingKey::load(&path).unwrap();
    assert!(sealed.iter().all(|sealed| key.open(TOKEN, sealed.as_bytes()).is_ok()), "all have the same");
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    // A link that leads nowhere is none that a key is written through.
    let link = dir.path().join("a/link");
    std::os::unix::fs::symlink(dir.path().join("elsewhere"), &link).unwrap();
    assert!(SealingKey::ensure(&link).is_err() && !dir.path().join("elsewhere").exists());
}

#[test]
fn key_that_others_reach_or_that_is_none_is_refused() {
    let user = User::new();
    let (path, sealed) = (user.place(), user.key().seal(TOKEN, &LITERAL.into()).unwrap());
    let folder = path.parent().unwrap();
    for (of, mode) in [(&*path, 0o640), (&*path, 0o604), (folder, 0o720), (folder, 0o702)] {
        let before = of.metadata().unwrap().permissions().mode();
        set_mode(of, mode);
        assert!(matches!(user.refused(TOKEN, &sealed), SealError::Exposed { .. }), "{mode:o}");
        assert!(matches!(SealingKey::ensure(&path), Err(SealError::Exposed { .. })), "{mode:o}");
        set_mode(of, before);
    }
    for (of, mode) in [(&*path, 0o400), (folder, 0o755)] {
        set_mode(of, mode);
        assert!(user.resolve(TOKEN, &sealed).is_ok(), "{mode:o}");
        set_mode(of, 0o700);
    }
    for none in ["", "x", "sekisho-key 1 \n", "sekisho-key 2 AAAA\n", "sekisho-key 1 AAAA\n", &"x".repeat(1000)] {
        fs::write(&path, none).unwrap();
        set_mode(&path, 0o600);
        assert!(matches!(user.refused(TOKEN, &sealed), SealError::KeyDamaged { .. }), "{none}");
        assert!(SealingKey::ensure(&path).is_err(), "what is there is not overwritten");
    }
    let nowhere = |name: &str| (name == "XDG_DATA_HOME").then(|| OsString::from("relative"));
    assert!(matches!(SealingKey::place(&nowhere), Err(SealError::NoHome)));
    let home = |name: &str| (name == "HOME").then(|| OsString::from("/h"));
    assert_eq!(SealingKey::place(&home).unwrap(), Path::new("/h/.local/share/sekisho/key"));
}
