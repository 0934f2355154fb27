//! What it costs to know who is calling, on one core: `cargo bench -p sekisho-identity`.
//!
//! Each figure is one verification as the listener asks for it, headers read and audience compared. Docs: `docs/identity.md`, "What it costs".

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench ends where something is not as it should be"
)]

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use divan::Bencher;
use http::{HeaderMap, HeaderValue, Method};
use sekisho_egress::Client;
use sekisho_identity::{Channel, Identity, Presented, Revocation, Revocations, Target};
use sekisho_wire::Endpoint;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

const ISSUER: &str = "https://as.example";
const AUDIENCE: &str = "https://gate.example/mcp";
const NOW: u64 = 1_800_000_000;
/// As many as a bench is expected to ask for; it begins anew then, and what was forgotten meanwhile is new again.
const MANY: usize = 20_000;

fn main() {
    divan::main();
}

/// An issuer's keys, and the key of a client.
struct Keys {
    ec: EcdsaKeyPair,
    rsa: RsaKeyPair,
    client: EcdsaKeyPair,
}

/// The room, and a runtime to ask it in.
struct Room {
    identity: Identity,
    runtime: Runtime,
    _folder: tempfile::TempDir,
}

impl Keys {
    fn new() -> Keys {
        let ec = || EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Keys { ec: ec(), rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(), client: ec() }
    }

    fn set(&self) -> Value {
        let mut ec = point(&self.ec);
        ec["kid"] = json!("ec");
        let (n, e) = numbers(self.rsa.public_key().as_ref());
        json!({ "keys": [ec, { "kty": "RSA", "kid": "rsa", "n": b64(n), "e": b64(e) }] })
    }

    fn signed(&self, algorithm: &str, header: &Value, claims: &Value) -> String {
        let text = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        let random = SystemRandom::new();
        let signature = match algorithm {
            "ES256" => self.ec.sign(&random, text.as_bytes()).unwrap().as_ref().to_vec(),
            "client" => self.client.sign(&random, text.as_bytes()).unwrap().as_ref().to_vec(),
            _ => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                self.rsa.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature).unwrap();
                signature
            }
        };
        format!("{text}.{}", b64(signature))
    }

    /// A token of usual size.
    fn token(&self, algorithm: &str, key: &str, number: usize, more: &Value) -> String {
        let mut claims = json!({ "iss": ISSUER, "sub": format!("user-{}", number % 64), "aud": AUDIENCE, "client_id": "desktop",
            "iat": NOW - 10, "exp": NOW + 3600, "jti": format!("token-{number}"), "scope": "mcp:tools mcp:prompts",
            "roles": ["reader", "writer"], "department": "research" });
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.signed(algorithm, &json!({ "alg": algorithm, "typ": "at+jwt", "kid": key }), &claims)
    }

    fn bound(&self) -> String {
        let jwk = point(&self.client);
        let text = format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, jwk["x"], jwk["y"]);
        self.token("ES256", "ec", 0, &json!({ "cnf": { "jkt": b64(digest(&SHA256, text.as_bytes())) } }))
    }

    fn proof(&self, token: &str, number: usize) -> String {
        let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": point(&self.client) });
        let claims = json!({ "jti": format!("proof-{number}"), "htm": "POST", "htu": AUDIENCE, "iat": NOW,
            "ath": b64(digest(&SHA256, token.as_bytes())) });
        self.signed("client", &header, &claims)
    }
}

impl Room {
    fn new(keys: &Keys, more: &str) -> Room {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("jwks.json"), keys.set().to_string()).unwrap();
        let text =
            format!("{more}\n[[issuers]]\nissuer = \"{ISSUER}\"\njwks_file = \"jwks.json\"\nroles_claim = \"roles\"");
        let client = Client::new(&sekisho_egress::Config::default(), folder.path()).unwrap();
        let url = url::Url::parse("https://gate.example").unwrap();
        let config = toml::from_str(&text).unwrap();
        let revocations = Arc::new(Revocations::passing());
        let identity = Identity::new(&config, folder.path(), &url, Arc::new(client), revocations).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Room { identity, runtime, _folder: folder }
    }

    fn verify(&self, presented: &Presented) {
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        let verified = self.runtime.block_on(self.identity.verify(presented, &Endpoint::All, now));
        divan::black_box(verified.expect("a good token"));
    }
}

fn presented(scheme: &str, token: &str, proof: Option<&str>) -> Presented {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_str(&format!("{scheme} {token}")).unwrap());
    if let Some(proof) = proof {
        headers.insert("dpop", HeaderValue::from_str(proof).unwrap());
    }
    Presented::from_request(&Method::POST, &headers, Channel::default()).unwrap()
}

/// Whoever comes again.
#[divan::bench]
fn known_token(bencher: Bencher<'_, '_>) {
    let keys = Keys::new();
    let room = Room::new(&keys, "");
    let token = presented("Bearer", &keys.token("ES256", "ec", 0, &json!({})), None);
    bencher.bench_local(|| room.verify(&token));
}

/// The same where 100,000 others are revoked.
#[divan::bench]
fn known_token_beside_100_000_revocations(bencher: Bencher<'_, '_>) {
    let keys = Keys::new();
    let room = Room::new(&keys, "");
    for number in 0..100_000 {
        let target = Target::Token { issuer: ISSUER.to_owned(), id: format!("revoked-{number}") };
        let revocation = Revocation { target, at: SystemTime::now(), reason: String::new(), by: "bench".to_owned() };
        room.runtime.block_on(room.identity.revoke(revocation)).1.unwrap();
    }
    let token = presented("Bearer", &keys.token("ES256", "ec", 0, &json!({})), None);
    bencher.bench_local(|| room.verify(&token));
}

/// Whoever comes for the first time.
#[divan::bench(args = ["ES256", "RS256"], sample_count = 50, sample_size = 100)]
fn new_token(bencher: Bencher<'_, '_>, algorithm: &str) {
    let keys = Keys::new();
    let room = Room::new(&keys, "token_cache_max = 1");
    let key = if algorithm == "ES256" { "ec" } else { "rsa" };
    let tokens: Vec<Presented> = (0..if algorithm == "ES256" { MANY } else { 5_000 })
        .map(|number| presented("Bearer", &keys.token(algorithm, key, number, &json!({})), None))
        .collect();
    let mut next = tokens.iter().cycle();
    bencher.bench_local(|| room.verify(next.next().unwrap()));
}

/// A known token with a new proof of possession.
#[divan::bench(sample_count = 50, sample_size = 100)]
fn proof_of_possession(bencher: Bencher<'_, '_>) {
    let keys = Keys::new();
    let room = Room::new(&keys, "");
    let token = keys.bound();
    let proofs: Vec<Presented> =
        (0..MANY).map(|number| presented("DPoP", &token, Some(&keys.proof(&token, number)))).collect();
    let mut next = proofs.iter();
    bencher.bench_local(|| room.verify(next.next().expect("no proof is good twice")));
}

fn point(pair: &EcdsaKeyPair) -> Value {
    let point = pair.public_key().as_ref();
    json!({ "kty": "EC", "crv": "P-256", "x": b64(&point[1..33]), "y": b64(&point[33..65]) })
}

/// Modulus and exponent out of an RSAPublicKey (RFC 8017 appendix A.1.1).
fn numbers(der: &[u8]) -> (Vec<u8>, Vec<u8>) {
    fn element(der: &[u8]) -> (&[u8], &[u8]) {
        let (length, from) = match der[1] {
            short @ 0..=0x7f => (usize::from(short), 2),
            0x81 => (usize::from(der[2]), 3),
            _ => (usize::from(der[2]) * 256 + usize::from(der[3]), 4),
        };
        der[from..].split_at(length)
    }
    let strip = |number: &[u8]| number.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<u8>>();
    let (n, rest) = element(element(der).0);
    (strip(n), strip(element(rest).0))
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
