use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use sekisho_e2e::issuer::Issuer;
use sekisho_e2e::{place, process};

fn check(folder: &std::path::Path) -> process::Output {
    let mut command = Command::new(place::binary("sekisho").expect("the binary"));
    command.args(["config", "check", "--config"]).arg(folder.join("sekisho.toml"));
    process::run(&mut command, "", LIMIT).expect("it ends")
}

#[test]
fn the_example_for_a_team_is_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    for file in ["sekisho.toml", "policy.cedar"] {
        let from = place::source("../examples/team").join(file);
        fs::copy(from, folder.path().join(file)).expect("copied");
    }
    let before = check(folder.path());
    assert!(!before.status.success(), "without its files it is refused");
    for named in ["cert.pem", "jwks.json", "tickets-token"] {
        assert!(before.err.contains(named), "{named} is missing, says it: {}", before.err);
    }
    let key = rcgen::generate_simple_self_signed(vec!["mcp.example.com".to_owned()]).expect("a certificate");
    fs::create_dir(folder.path().join("tls")).expect("a folder");
    fs::write(folder.path().join("tls/cert.pem"), key.cert.pem()).expect("written");
    fs::write(folder.path().join("tls/key.pem"), key.signing_key.serialize_pem()).expect("written");
    Issuer::es256("https://login.example.com/")
        .expect("keys")
        .write_key_set(&folder.path().join("jwks.json"))
        .expect("written");
    fs::create_dir(folder.path().join("secrets")).expect("a folder");
    let secret = folder.path().join("secrets/tickets-token");
    fs::write(&secret, "Bearer of-the-gateway").expect("written");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("closed");
    let after = check(folder.path());
    assert!(after.status.success(), "{}{}", after.out, after.err);
    assert!(!format!("{}{}", after.out, after.err).contains("of-the-gateway"));
}

#[test]
fn the_examples_for_issuers_are_whole() {
    for example in ["entra", "oidc", "facade"] {
        let folder = tempfile::tempdir().expect("a folder");
        for file in ["sekisho.toml", "policy.cedar"] {
            let from = place::source("../examples").join(example).join(file);
            fs::copy(from, folder.path().join(file)).expect("copied");
        }
        let before = check(folder.path());
        assert!(!before.status.success() && before.err.contains("cert.pem"), "{example}: {}", before.err);
        let key = rcgen::generate_simple_self_signed(vec!["mcp.example.com".to_owned()]).expect("a certificate");
        fs::create_dir(folder.path().join("tls")).expect("a folder");
        fs::write(folder.path().join("tls/cert.pem"), key.cert.pem()).expect("written");
        fs::write(folder.path().join("tls/key.pem"), key.signing_key.serialize_pem()).expect("written");
        let after = check(folder.path());
        assert!(after.status.success(), "{example}: {}{}", after.out, after.err);
    }
}
