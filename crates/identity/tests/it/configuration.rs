//! What the room refuses to start with.

use sekisho_identity::{ConfigError, Identity, KeySetError};
use sekisho_wire::{Endpoint, ServerId};
use serde_json::{Value, json};
use url::Url;

use crate::support::*;

fn build(text: &str, set: &Value) -> Result<Identity, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("jwks.json"), set.to_string()).unwrap();
    Identity::new(&config(text), dir.path(), &Url::parse(PUBLIC_URL).unwrap(), client(), passing())
}

fn build_issuer(lines: &str) -> Result<Identity, ConfigError> {
    build(&format!("[[issuers]]\n{lines}"), &keys().key_set())
}

fn build_set(set: &Value) -> Result<Identity, ConfigError> {
    build(&format!("[[issuers]]\nissuer = \"{ISSUER}\"\njwks_file = \"jwks.json\""), set)
}

#[test]
fn without_an_issuer_nothing_starts() {
    assert!(matches!(build("", &json!({})), Err(ConfigError::NoIssuer)));
    assert!(matches!(build("issuers = []", &json!({})), Err(ConfigError::NoIssuer)));
}

#[test]
fn an_issuer_is_an_https_url_or_on_this_machine() {
    let with = |issuer: &str| build_issuer(&format!("issuer = \"{issuer}\"\njwks_file = \"jwks.json\""));
    for good in ["https://as.example/tenant", "http://127.0.0.1:8700/dev-issuer", "http://localhost:1"] {
        assert!(with(good).is_ok(), "{good}");
    }
    assert!(matches!(with("http://as.example"), Err(ConfigError::PlainHttp { .. })));
    for bad in
        ["as.example", "https://as.example?x", "https://as.example#x", "https://u@as.example", "ftp://as.example", ""]
    {
        assert!(matches!(with(bad), Err(ConfigError::BadIssuer { .. })), "{bad}");
    }
}

#[test]
fn keys_come_from_one_place_that_can_be_trusted() {
    let with = |lines: &str| build_issuer(&format!("issuer = \"{ISSUER}\"\n{lines}"));
    assert!(with("").is_ok());
    assert!(with("jwks_url = \"https://keys.example/jwks\"").is_ok());
    let both = "jwks_file = \"jwks.json\"\njwks_url = \"https://keys.example/jwks\"";
    assert!(matches!(with(both), Err(ConfigError::TwoKeySources { .. })));
    for bad in ["http://keys.example/jwks", "https://localhost/jwks", "http://127.0.0.1/jwks", "jwks", "file:///jwks"] {
        assert!(matches!(with(&format!("jwks_url = \"{bad}\"")), Err(ConfigError::BadKeySetUrl { .. })), "{bad}");
    }
    assert!(matches!(with("jwks_file = \"missing.json\""), Err(ConfigError::ReadKeySet { .. })));
}

#[test]
fn one_issuer_has_one_entry() {
    let entry = format!("[[issuers]]\nissuer = \"{ISSUER}\"\njwks_file = \"jwks.json\"\n");
    assert!(matches!(build(&format!("{entry}{entry}"), &keys().key_set()), Err(ConfigError::IssuerTwice { .. })));
}

#[test]
fn bounds_hold_at_their_ends() {
    let with = |lines: &str| build_issuer(&format!("issuer = \"{ISSUER}\"\njwks_file = \"jwks.json\"\n{lines}"));
    assert!(with("clock_skew_seconds = 120").is_ok());
    assert!(matches!(with("clock_skew_seconds = 121"), Err(ConfigError::OutOfRange { .. })));
    assert!(matches!(with("lifetime_seconds_max = 0"), Err(ConfigError::OutOfRange { .. })));
    assert!(matches!(with("[sessions]\ntotal_max = 0"), Err(ConfigError::OutOfRange { .. })));
    for empty in ["algorithms = []", "token_types = []", "token_types = [\"\"]", "audiences = [\"\"]"] {
        assert!(matches!(with(empty), Err(ConfigError::Empty { .. })), "{empty}");
    }
}

#[test]
fn symmetric_and_unknown_algorithms_have_no_name() {
    for name in ["none", "HS256", "HS512", "es256", "RSA-OAEP"] {
        let text = format!("issuers = [{{ issuer = \"{ISSUER}\", algorithms = [\"{name}\"] }}]");
        assert!(toml::from_str::<sekisho_identity::Config>(&text).is_err(), "{name}");
    }
    assert!(toml::from_str::<sekisho_identity::Config>("isuers = []").is_err());
}

#[test]
fn a_key_set_with_a_secret_is_refused() {
    let mut private = keys().ec_jwk();
    private["d"] = json!("AAAA");
    for secret in [json!({ "kty": "oct", "k": "c2VjcmV0" }), json!({ "kty": "oct" }), private] {
        let set = json!({ "keys": [keys().ec_jwk(), secret] });
        assert!(matches!(build_set(&set), Err(ConfigError::KeySet { source: KeySetError::SecretKey, .. })), "{set}");
    }
}

#[test]
fn keys_that_cannot_verify_are_left_out_and_a_set_of_them_is_refused() {
    let changed = |key: Value, member: &str, value: Value| {
        let mut key = key;
        key[member] = value;
        key
    };
    let weak = {
        let n = vec![0xff; 255];
        json!({ "kty": "RSA", "n": b64(n), "e": "AQAB" })
    };
    for useless in [
        changed(keys().ec_jwk(), "use", json!("enc")),
        changed(keys().ec_jwk(), "key_ops", json!(["sign"])),
        changed(keys().ec_jwk(), "alg", json!("ES384")),
        changed(keys().ec_jwk(), "alg", json!("HS256")),
        changed(keys().ec_jwk(), "crv", json!("secp256k1")),
        changed(keys().ec_jwk(), "kty", json!("XX")),
        changed(keys().ec_jwk(), "x", json!(b64([1; 32]))),
        changed(keys().ec_jwk(), "x", json!(b64([1; 31]))),
        changed(keys().ed_jwk(), "x", json!(b64([1; 31]))),
        changed(keys().rsa_jwk(), "n", json!("not base64!")),
        weak,
    ] {
        let alone = build_set(&json!({ "keys": [useless] }));
        assert!(matches!(alone, Err(ConfigError::KeySet { source: KeySetError::NoUsableKey, .. })), "{useless}");
        assert!(build_set(&json!({ "keys": [useless, keys().ec_jwk()] })).is_ok(), "{useless}");
    }
}

#[test]
fn a_key_set_has_a_shape_and_bounds() {
    for set in [json!([]), json!({}), json!({ "keys": {} }), json!({ "keys": [1] })] {
        assert!(matches!(build_set(&set), Err(ConfigError::KeySet { source: KeySetError::Shape, .. })), "{set}");
    }
    let many = |count: usize| json!({ "keys": vec![keys().ed_jwk(); count] });
    assert!(build_set(&many(64)).is_ok());
    assert!(matches!(build_set(&many(65)), Err(ConfigError::KeySet { source: KeySetError::TooManyKeys { .. }, .. })));
    let long = json!({ "keys": [keys().ed_jwk()], "x": "x".repeat(256 * 1024) });
    assert!(matches!(build_set(&long), Err(ConfigError::KeySet { source: KeySetError::Json(_), .. })));
}

#[test]
fn canonical_uris_are_the_public_url_and_the_path() {
    let dir = Room::new().dir;
    let text = format!("[[issuers]]\nissuer = \"{ISSUER}\"");
    let build = |url: &str| Identity::new(&config(&text), dir.path(), &Url::parse(url).unwrap(), client(), passing());
    let identity = build("HTTPS://Gate.Example:443/").unwrap();
    assert_eq!(identity.canonical_uri(&Endpoint::All), "https://gate.example/mcp");
    let files = Endpoint::One(ServerId::parse("files").unwrap());
    assert_eq!(identity.canonical_uri(&files), "https://gate.example/s/files/mcp");
    assert_eq!(identity.issuers(), [ISSUER]);
    for bad in ["https://gate.example/?x", "https://gate.example/#x", "https://u@gate.example", "unix:/x"] {
        assert!(matches!(build(bad), Err(ConfigError::BadPublicUrl { .. })), "{bad}");
    }
}
