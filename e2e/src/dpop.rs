//! Proofs of possession (RFC 9449) that a test writes itself, good and bad. Good clients are those of `login.mjs`.

use std::hash::{BuildHasher as _, RandomState};

use anyhow::Context as _;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::issuer::now;

/// A key on P-256.
pub struct Holder {
    key: EncodingKey,
    jwk: Jwk,
}

impl std::fmt::Debug for Holder {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Holder").field("jwk", &self.jwk).finish_non_exhaustive()
    }
}

impl Holder {
    /// The key of a private JWK, as `login.mjs` reports it.
    ///
    /// # Errors
    /// When it is none on P-256.
    pub fn of(private: &Value) -> anyhow::Result<Self> {
        let member = |name: &str| -> anyhow::Result<Vec<u8>> {
            let text = private.get(name).and_then(Value::as_str).with_context(|| format!("the key has no {name}"))?;
            let bytes = URL_SAFE_NO_PAD.decode(text)?;
            anyhow::ensure!(bytes.len() == 32, "{name} has {} bytes", bytes.len());
            Ok(bytes)
        };
        // PKCS #8 (RFC 5958) around an EC private key (RFC 5915), which on this curve always has the same lengths.
        let pkcs8 = [PKCS8_HEAD, &member("d")?, PKCS8_POINT, &member("x")?, &member("y")?].concat();
        let key = EncodingKey::from_ec_der(&pkcs8);
        let jwk = Jwk::from_encoding_key(&key, Algorithm::ES256)?;
        Ok(Self { key, jwk })
    }

    /// A good proof for a POST to `uri` with `token`, but for these claims; `null` takes one away.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn proof(&self, uri: &str, token: &str, changes: &Value) -> anyhow::Result<String> {
        let ath = URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes()));
        let id = format!("{:016x}", RandomState::new().hash_one(token));
        let mut claims = json!({"jti": id, "htm": "POST", "htu": uri, "iat": now(), "ath": ath});
        for (name, value) in changes.as_object().into_iter().flatten() {
            if let Some(claims) = claims.as_object_mut() {
                claims.insert(name.clone(), value.clone());
            }
        }
        if let Some(claims) = claims.as_object_mut() {
            claims.retain(|_, value| !value.is_null());
        }
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some("dpop+jwt".to_owned());
        header.jwk = Some(self.jwk.clone());
        Ok(jsonwebtoken::encode(&header, &claims, &self.key)?)
    }
}

const PKCS8_HEAD: &[u8] = &[
    0x30, 0x81, 0x87, 0x02, 0x01, 0x00, // version
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, // id-ecPublicKey
    0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, // prime256v1
    0x04, 0x6d, 0x30, 0x6b, 0x02, 0x01, 0x01, 0x04, 0x20, // the number, 32 bytes
];
const PKCS8_POINT: &[u8] = &[0xa1, 0x44, 0x03, 0x42, 0x00, 0x04]; // the point, uncompressed
