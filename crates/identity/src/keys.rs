//! Key sets (RFC 7517): which public keys an issuer signs with, each bound to the algorithms it may be used for.

use std::fmt;

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sekisho_wire::Json;
use sekisho_wire::json::{DecodeError, Limits};

use crate::config::Algorithm;
use crate::principal::sha256;

/// Longest key set document, in bytes.
pub(crate) const KEY_SET_BYTES_MAX: usize = 256 * 1024;
/// Most keys in a set.
const KEYS_MAX: usize = 64;

const LIMITS: Limits = Limits { bytes_max: KEY_SET_BYTES_MAX, depth_max: 8, nodes_max: 8192 };

/// Members that only a private or symmetric key has (RFC 7518 sections 6.2.2, 6.3.2 and 6.4; `priv` is COSE's).
const PRIVATE_MEMBERS: [&str; 4] = ["d", "p", "k", "priv"];

/// The public keys of one issuer. Never empty.
#[derive(Debug)]
pub(crate) struct KeySet {
    keys: Vec<Key>,
}

/// One public key.
struct Key {
    id: Option<Box<str>>,
    /// The algorithms it verifies, each with the key as that algorithm takes it. What is not here cannot be used: a
    /// token's `alg` never decides how a key is read (RFC 8725 section 3.1).
    uses: Vec<(Algorithm, ParsedPublicKey)>,
}

/// Why a key set is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// It is no strict JSON.
    #[error("the key set is not strict JSON")]
    Json(#[source] DecodeError),
    /// It has no array `keys` of objects.
    #[error("the key set is not an object with an array `keys` of objects")]
    Shape,
    /// It is longer than anyone needs.
    #[error("the key set has more than {keys_max} keys")]
    TooManyKeys {
        /// The bound.
        keys_max: usize,
    },
    /// A symmetric or private key stands in a public document, so whoever reads it can sign.
    #[error("the key set holds a symmetric or private key")]
    SecretKey,
    /// Nothing in it could verify anything.
    #[error("the key set has no usable signature key")]
    NoUsableKey,
}

impl KeySet {
    /// Reads a key set. A key of an unknown kind, for another use, too weak or malformed is left out (RFC 7517 section 5).
    pub(crate) fn parse(text: bytes::Bytes) -> Result<KeySet, KeySetError> {
        let document = Json::decode(text, &LIMITS).map_err(KeySetError::Json)?;
        let list = document.get("keys").ok_or(KeySetError::Shape)?;
        if list.kind() != sekisho_wire::json::Kind::Array {
            return Err(KeySetError::Shape);
        }
        let mut keys = Vec::new();
        for (at, entry) in list.elements().enumerate() {
            if at == KEYS_MAX {
                return Err(KeySetError::TooManyKeys { keys_max: KEYS_MAX });
            }
            if entry.kind() != sekisho_wire::json::Kind::Object {
                return Err(KeySetError::Shape);
            }
            if PRIVATE_MEMBERS.iter().any(|member| entry.get(member).is_some())
                || text_of(&entry, "kty").as_deref() == Some("oct")
            {
                return Err(KeySetError::SecretKey);
            }
            match Key::read(&entry) {
                Some(key) => keys.push(key),
                None => tracing::debug!(at, "key left out: unknown kind, other use, too weak or malformed"),
            }
        }
        if keys.is_empty() { Err(KeySetError::NoUsableKey) } else { Ok(KeySet { keys }) }
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The one key that is called `id` and verifies `algorithm`, with its name. Without an id: the only key that verifies it. None if
    /// there are several, since then which key signed would be a guess.
    pub(crate) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<(Option<&str>, &ParsedPublicKey)> {
        let mut fitting = self
            .keys
            .iter()
            .filter(|key| id.is_none() || key.id.as_deref() == id)
            .flat_map(|key| key.uses.iter().map(|used| (key.id.as_deref(), used)))
            .filter(|(_, (usable_for, _))| *usable_for == algorithm)
            .map(|(id, (_, key))| (id, key));
        let first = fitting.next()?;
        if fitting.next().is_some() { None } else { Some(first) }
    }
}

/// The public key that a proof brings (RFC 9449 section 4.2), for one algorithm, and its thumbprint (RFC 7638). None if it is malformed,
/// too weak, not for that algorithm, or more than a public key.
pub(crate) fn brought(jwk: &Json, algorithm: Algorithm) -> Option<(ParsedPublicKey, [u8; 32])> {
    let secret = PRIVATE_MEMBERS.iter().any(|member| jwk.get(member).is_some());
    if secret || text_of(jwk, "kty").as_deref() == Some("oct") || !verifies(jwk) {
        return None;
    }
    if jwk.get("alg").is_some_and(|declared| declared.string().as_deref() != Some(algorithm.as_str())) {
        return None;
    }
    let key = Key::material(jwk)?.into_iter().find(|(usable_for, _)| *usable_for == algorithm)?.1;
    Some((key, thumbprint(jwk)?))
}

/// RFC 7638 section 3: the required members of the key's kind, in order and without white space. They are strict base64url and
/// registered names by now, which no JSON writes in two ways.
fn thumbprint(jwk: &Json) -> Option<[u8; 32]> {
    let of = |member| text_of(jwk, member);
    let canonical = match &*of("kty")? {
        "EC" => format!(r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#, of("crv")?, of("x")?, of("y")?),
        "OKP" => format!(r#"{{"crv":"{}","kty":"OKP","x":"{}"}}"#, of("crv")?, of("x")?),
        "RSA" => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, of("e")?, of("n")?),
        // No key was read of any other kind.
        _ => return None,
    };
    Some(sha256(&[canonical.as_bytes()]))
}

impl Key {
    /// Reads one key; none if it is not for verifying signatures here.
    fn read(entry: &Json) -> Option<Key> {
        if !verifies(entry) {
            return None;
        }
        let id = match entry.get("kid") {
            None => None,
            Some(id) => Some(Box::from(id.string()?)),
        };
        let mut uses = Key::material(entry)?;
        if let Some(declared) = entry.get("alg") {
            let declared = Algorithm::parse(&declared.string()?)?;
            uses.retain(|(algorithm, _)| *algorithm == declared);
        }
        if uses.is_empty() { None } else { Some(Key { id, uses }) }
    }

    /// The key as each algorithm of its type takes it.
    fn material(entry: &Json) -> Option<Vec<(Algorithm, ParsedPublicKey)>> {
        match (text_of(entry, "kty")?.as_ref(), text_of(entry, "crv").as_deref()) {
            ("EC", Some("P-256")) => {
                let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point(entry, P256_BYTES)?).ok()?;
                Some(vec![(Algorithm::ES256, key)])
            }
            ("EC", Some("P-384")) => {
                let key = ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point(entry, P384_BYTES)?).ok()?;
                Some(vec![(Algorithm::ES384, key)])
            }
            ("EC", Some("P-521")) => {
                let key = ParsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, point(entry, P521_BYTES)?).ok()?;
                Some(vec![(Algorithm::ES512, key)])
            }
            ("OKP", Some("Ed25519")) => {
                let x = octets(entry, "x").filter(|x| x.len() == ED25519_BYTES)?;
                let key = || ParsedPublicKey::new(&ED25519, &x).ok();
                Some(vec![(Algorithm::EdDSA, key()?), (Algorithm::Ed25519, key()?)])
            }
            ("RSA", None) => {
                let n = octets(entry, "n").filter(|n| RSA_BITS.contains(&bits(n)))?;
                let parts = PublicKeyComponents { n, e: octets(entry, "e")? };
                RSA.iter()
                    .map(|(algorithm, parameters)| Some((*algorithm, parts.to_parsed_public_key(parameters).ok()?)))
                    .collect()
            }
            // A kind that is not spoken here is left out, never guessed at (RFC 7517 section 5).
            (_, _) => None,
        }
    }
}

/// Whether the entry says nothing against its use for verifying signatures (RFC 7517 sections 4.2 and 4.3).
fn verifies(entry: &Json) -> bool {
    let use_fits = entry.get("use").is_none_or(|value| value.string().as_deref() == Some("sig"));
    let operation_fits = entry
        .get("key_ops")
        .is_none_or(|list| list.elements().any(|operation| operation.string().as_deref() == Some("verify")));
    use_fits && operation_fits
}

/// A point of an elliptic curve, uncompressed (SEC 1 section 2.3.3). Coordinates have their full length (RFC 7518 section 6.2.1.2).
fn point(entry: &Json, coordinate_bytes: usize) -> Option<Vec<u8>> {
    let x = octets(entry, "x").filter(|x| x.len() == coordinate_bytes)?;
    let y = octets(entry, "y").filter(|y| y.len() == coordinate_bytes)?;
    Some([[0x04].as_slice(), &x, &y].concat())
}

/// How many bits a big-endian number has; a leading zero octet counts as a number that is not canonical, hence as none.
fn bits(number: &[u8]) -> usize {
    match number.first() {
        None | Some(0) => 0,
        Some(first) => number.len() * 8 - usize::try_from(first.leading_zeros()).unwrap_or(8),
    }
}

/// A member of strict, unpadded base64url, decoded.
fn octets(entry: &Json, member: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(entry.get(member)?.string()?.as_bytes()).ok()
}

fn text_of(entry: &Json, member: &str) -> Option<Box<str>> {
    entry.get(member)?.string().map(Box::from)
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.id)
    }
}

const P256_BYTES: usize = 32;
const P384_BYTES: usize = 48;
const P521_BYTES: usize = 66;
const ED25519_BYTES: usize = 32;

/// Sizes of an RSA modulus, in bits (RFC 7518 section 3.3 sets the lower one).
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// What an RSA key verifies.
static RSA: [(Algorithm, &RsaParameters); 6] = [
    (Algorithm::RS256, &RSA_PKCS1_2048_8192_SHA256),
    (Algorithm::RS384, &RSA_PKCS1_2048_8192_SHA384),
    (Algorithm::RS512, &RSA_PKCS1_2048_8192_SHA512),
    (Algorithm::PS256, &RSA_PSS_2048_8192_SHA256),
    (Algorithm::PS384, &RSA_PSS_2048_8192_SHA384),
    (Algorithm::PS512, &RSA_PSS_2048_8192_SHA512),
];
