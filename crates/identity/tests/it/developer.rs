//! The developer issuer: an issuer like any other, on this machine only, with files that are nobody else's.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use sekisho_identity::developer::{Developer, DeveloperError, FileError, LIFETIME_MAX};
use sekisho_identity::{Config, Identity, TokenError, Verified};
use sekisho_wire::Endpoint;
use tempfile::TempDir;
use url::Url;

use crate::support::{NOW, at, client, config, now, passing, present};

const URL: &str = "http://127.0.0.1:8700";

fn audiences() -> Vec<String> {
    vec![format!("{URL}/mcp"), format!("{URL}/s/files/mcp")]
}

fn open(dir: &Path, seconds: u64) -> Result<Developer, DeveloperError> {
    Developer::open(dir, &Url::parse(URL).unwrap(), "alice", &audiences(), at(seconds))
}

async fn verify(developer: &Developer, token: &SecretString) -> Result<Verified, TokenError> {
    let config = Config { issuers: vec![developer.issuer_config()], ..config("token_cache_max = 10") };
    let identity =
        Identity::new(&config, Path::new("/nowhere"), &Url::parse(URL).unwrap(), client(), passing()).unwrap();
    identity.verify(&present(token.expose_secret())?, &Endpoint::All, now()).await
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn files(dir: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(dir.path().join("dev-issuer")).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn its_token_is_accepted_by_the_room() {
    let dir = tempfile::tempdir().unwrap();
    let developer = open(dir.path(), NOW).unwrap();
    let verified = verify(&developer, developer.token()).await.unwrap();
    let who = verified.principal();
    assert_eq!(
        (who.issuer(), who.subject(), who.client()),
        ("http://127.0.0.1:8700/dev-issuer", "alice", "sekisho-developer")
    );
    assert_eq!(verified.lease().ends_at(), at(NOW + 12 * 3600 + 30));
    let minted = developer.mint("bob", &["a", "b"], Duration::from_secs(60), now()).unwrap();
    let bob = verify(&developer, &minted).await.unwrap();
    assert_eq!((bob.principal().subject(), bob.principal().scopes().len()), ("bob", 2));
}

#[tokio::test]
async fn a_token_of_another_machine_is_refused() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let foreign = open(there.path(), NOW).unwrap();
    let verified = verify(&open(here.path(), NOW).unwrap(), foreign.token()).await;
    assert_eq!(verified.map(drop), Err(TokenError::UnknownKey));
}

#[test]
fn it_serves_loopback_only() {
    let dir = tempfile::tempdir().unwrap();
    for url in ["http://10.0.0.1", "https://gate.example", "http://0.0.0.0:1", "http://localhost.example"] {
        let opened = Developer::open(dir.path(), &Url::parse(url).unwrap(), "alice", &audiences(), now());
        assert!(matches!(opened, Err(DeveloperError::NotLoopback { .. })), "{url}");
    }
    assert!(!dir.path().join("dev-issuer").exists());
}

#[test]
fn its_files_are_private_and_whole() {
    let dir = tempfile::tempdir().unwrap();
    let developer = open(dir.path(), NOW).unwrap();
    assert_eq!(files(&dir), ["jwks.json", "key.pem", "token"]);
    let folder = dir.path().join("dev-issuer");
    assert_eq!((mode(&folder), mode(&folder.join("key.pem")), mode(&folder.join("token"))), (0o700, 0o600, 0o600));
    assert_eq!(fs::read_to_string(developer.token_path()).unwrap(), developer.token().expose_secret());
}

#[test]
fn key_and_token_survive_a_restart_until_the_token_is_nearly_over() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path(), NOW).unwrap();
    let key = fs::read(dir.path().join("dev-issuer/key.pem")).unwrap();
    let same = |seconds| open(dir.path(), seconds).unwrap().token().expose_secret() == first.token().expose_secret();
    assert!(same(NOW + 1));
    assert!(same(NOW + 11 * 3600 - 1));
    assert!(!same(NOW + 11 * 3600));
    assert_eq!(fs::read(dir.path().join("dev-issuer/key.pem")).unwrap(), key);
}

#[test]
fn a_kept_token_that_says_something_else_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let url = Url::parse(URL).unwrap();
    let open = |subject: &str, audiences: &[String]| {
        let developer = Developer::open(dir.path(), &url, subject, audiences, now()).unwrap();
        developer.token().expose_secret().to_owned()
    };
    let first = open("alice", &audiences());
    let fewer = open("alice", &audiences()[..1]);
    assert_ne!(first, fewer);
    assert_ne!(fewer, open("bob", &audiences()[..1]));
    fs::write(dir.path().join("dev-issuer/token"), "garbage").unwrap();
    assert_ne!(open("alice", &audiences()), "garbage");
}

#[test]
fn files_that_others_may_use_are_refused_and_not_repaired() {
    for (name, wrong) in [("", 0o750), ("key.pem", 0o640), ("key.pem", 0o604), ("token", 0o644)] {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path(), NOW).unwrap();
        let path = dir.path().join("dev-issuer").join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(wrong)).unwrap();
        let opened = open(dir.path(), NOW);
        assert!(matches!(opened, Err(DeveloperError::File(FileError::Permissions { .. }))), "{name} {wrong:o}");
        assert_eq!(mode(&path), wrong);
    }
}

#[test]
fn a_link_in_place_of_a_file_is_refused() {
    for name in ["key.pem", "token"] {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path(), NOW).unwrap();
        let path = dir.path().join("dev-issuer").join(name);
        let elsewhere = dir.path().join("elsewhere");
        fs::rename(&path, &elsewhere).unwrap();
        symlink(&elsewhere, &path).unwrap();
        assert!(matches!(open(dir.path(), NOW), Err(DeveloperError::File(FileError::Kind { .. }))), "{name}");
    }
}

#[test]
fn a_key_file_without_a_key_is_refused_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path(), NOW).unwrap();
    let path = dir.path().join("dev-issuer/key.pem");
    let good = fs::read_to_string(&path).unwrap();
    for bad in
        ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", &good.replace("PRIVATE", "PUBLIC")]
    {
        fs::write(&path, bad).unwrap();
        assert!(matches!(open(dir.path(), NOW), Err(DeveloperError::BadKey { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), bad);
    }
}

#[test]
fn a_token_lives_twelve_hours_at_most_and_speaks_of_somebody() {
    let dir = tempfile::tempdir().unwrap();
    let developer = open(dir.path(), NOW).unwrap();
    let mint = |subject: &str, lifetime| developer.mint(subject, &[], lifetime, now()).map(drop);
    assert!(mint("bob", LIFETIME_MAX).is_ok());
    assert!(matches!(mint("bob", LIFETIME_MAX + Duration::from_secs(1)), Err(DeveloperError::Lifetime)));
    assert!(matches!(mint("bob", Duration::ZERO), Err(DeveloperError::Lifetime)));
    assert!(matches!(mint("", LIFETIME_MAX), Err(DeveloperError::Nobody)));
    let nowhere = tempfile::tempdir().unwrap();
    let opened = Developer::open(nowhere.path(), &Url::parse(URL).unwrap(), "alice", &[], now());
    assert!(matches!(opened, Err(DeveloperError::Nobody)));
}
