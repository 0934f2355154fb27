//! A test issuer with keys of three kinds, and the room that believes it.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, Method};
use sekisho_egress::Client;
use sekisho_identity::{Channel, Config, Identity, Presented, Revocations, TokenError, Verified};
use sekisho_wire::Endpoint;
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

pub(crate) const ISSUER: &str = "https://as.example";
pub(crate) const PUBLIC_URL: &str = "https://gate.example";
pub(crate) const AUDIENCE: &str = "https://gate.example/mcp";
/// The test's present, in seconds since 1970.
pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

pub(crate) fn now() -> SystemTime {
    at(NOW)
}

pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// One private key per kind, made once for all tests.
pub(crate) struct Keys {
    pub(crate) ec: EcdsaKeyPair,
    pub(crate) p384: EcdsaKeyPair,
    pub(crate) p521: EcdsaKeyPair,
    pub(crate) ed: Ed25519KeyPair,
    pub(crate) rsa: RsaKeyPair,
}

pub(crate) fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(Keys::generate)
}

impl Keys {
    pub(crate) fn generate() -> Keys {
        Keys {
            ec: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            p384: EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap(),
            p521: EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).unwrap(),
            ed: Ed25519KeyPair::generate().unwrap(),
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
        }
    }

    pub(crate) fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let rsa = |padding| {
            let mut signature = vec![0; self.rsa.public_modulus_len()];
            self.rsa.sign(padding, &random, message, &mut signature).unwrap();
            signature
        };
        match algorithm {
            "ES256" => self.ec.sign(&random, message).unwrap().as_ref().to_vec(),
            "ES384" => self.p384.sign(&random, message).unwrap().as_ref().to_vec(),
            "ES512" => self.p521.sign(&random, message).unwrap().as_ref().to_vec(),
            "EdDSA" | "Ed25519" => self.ed.sign(message).as_ref().to_vec(),
            "RS256" => rsa(&RSA_PKCS1_SHA256),
            "PS256" => rsa(&RSA_PSS_SHA256),
            other => panic!("no key for {other}"),
        }
    }

    pub(crate) fn ec_jwk(&self) -> Value {
        let point = self.ec.public_key().as_ref();
        json!({ "kty": "EC", "crv": "P-256", "kid": "ec", "use": "sig", "alg": "ES256",
                "x": b64(&point[1..33]), "y": b64(&point[33..65]) })
    }

    /// Those of the longer curves.
    pub(crate) fn long_jwks(&self) -> [Value; 2] {
        let of = |pair: &EcdsaKeyPair, curve: &str, bytes: usize| {
            let point = pair.public_key().as_ref();
            json!({ "kty": "EC", "crv": curve, "kid": curve, "x": b64(&point[1..=bytes]), "y": b64(&point[bytes + 1..]) })
        };
        [of(&self.p384, "P-384", 48), of(&self.p521, "P-521", 66)]
    }

    pub(crate) fn ed_jwk(&self) -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": b64(self.ed.public_key()) })
    }

    /// Without `alg`: usable for every RSA algorithm that configuration permits.
    pub(crate) fn rsa_jwk(&self) -> Value {
        let (n, e) = rsa_numbers(self.rsa.public_key().as_ref());
        json!({ "kty": "RSA", "kid": "rsa", "n": b64(n), "e": b64(e) })
    }

    pub(crate) fn key_set(&self) -> Value {
        json!({ "keys": [self.ec_jwk(), self.ed_jwk(), self.rsa_jwk()] })
    }
}

/// Modulus and exponent out of an RSAPublicKey (RFC 8017 appendix A.1.1).
pub(crate) fn rsa_numbers(der: &[u8]) -> (Vec<u8>, Vec<u8>) {
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

/// What a good token says.
pub(crate) fn claims() -> Value {
    json!({ "iss": ISSUER, "sub": "alice", "aud": AUDIENCE, "client_id": "app",
            "iat": NOW - 10, "exp": NOW + 300, "scope": "mcp:tools  mcp:prompts", "jti": "1" })
}

pub(crate) fn claims_with(change: Value) -> Value {
    let mut claims = claims();
    for (key, value) in change.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(key);
        } else {
            claims[key] = value.clone();
        }
    }
    claims
}

pub(crate) fn header(algorithm: &str, key_id: &str) -> Value {
    json!({ "alg": algorithm, "typ": "at+jwt", "kid": key_id })
}

/// A token of exactly these texts, signed by the test issuer's key for `algorithm`.
pub(crate) fn signed_text(algorithm: &str, header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", b64(header), b64(claims));
    let signature = keys().sign(algorithm, signed.as_bytes());
    format!("{signed}.{}", b64(signature))
}

pub(crate) fn signed(header: &Value, claims: &Value) -> String {
    signed_text(header["alg"].as_str().unwrap(), &header.to_string(), &claims.to_string())
}

/// An ES256 token that says `claims`.
pub(crate) fn token(claims: &Value) -> String {
    signed(&header("ES256", "ec"), claims)
}

pub(crate) fn client() -> Arc<Client> {
    let config = sekisho_egress::Config::default();
    Arc::new(Client::new(&config, std::path::Path::new("/")).unwrap())
}

/// The room that believes [`ISSUER`], with more lines for its `[[issuers]]` entry.
pub(crate) struct Room {
    pub(crate) identity: Identity,
    pub(crate) dir: TempDir,
}

impl Room {
    pub(crate) fn new() -> Room {
        Room::with("")
    }

    pub(crate) fn with(lines: &str) -> Room {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("jwks.json"), keys().key_set().to_string()).unwrap();
        let config = config(&format!("[[issuers]]\nissuer = \"{ISSUER}\"\njwks_file = \"jwks.json\"\n{lines}"));
        let identity =
            Identity::new(&config, dir.path(), &Url::parse(PUBLIC_URL).unwrap(), client(), passing()).unwrap();
        Room { identity, dir }
    }

    pub(crate) async fn verify(&self, token: &str) -> Result<Verified, TokenError> {
        self.verify_at(token, &Endpoint::All, now()).await
    }

    pub(crate) async fn verify_at(
        &self,
        token: &str,
        endpoint: &Endpoint,
        now: SystemTime,
    ) -> Result<Verified, TokenError> {
        self.identity.verify(&present(token)?, endpoint, now).await
    }
}

pub(crate) fn config(text: &str) -> Config {
    toml::from_str(text).unwrap()
}

pub(crate) fn present(token: &str) -> Result<Presented, TokenError> {
    presented(&format!("Bearer {token}"), &[], Channel::default())
}

/// A request with this `Authorization`, these proofs, and what its connection proves.
pub(crate) fn presented(authorization: &str, proofs: &[&str], channel: Channel) -> Result<Presented, TokenError> {
    let mut headers = HeaderMap::new();
    let value = |text: &str| HeaderValue::from_str(text).map_err(|_| TokenError::Malformed);
    headers.insert("authorization", value(authorization)?);
    for proof in proofs {
        headers.append("dpop", value(proof)?);
    }
    Presented::from_request(&Method::POST, &headers, channel)
}

pub(crate) fn passing() -> Arc<Revocations> {
    Arc::new(Revocations::passing())
}
