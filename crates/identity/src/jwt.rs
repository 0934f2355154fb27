//! A JSON web token taken apart (RFC 7515, RFC 7519). Nothing in it is believed here.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sekisho_wire::Json;
use sekisho_wire::json::{Kind, Limits};

use crate::config::Algorithm;
use crate::token::{TOKEN_BYTES_MAX, TokenError};

const LIMITS: Limits = Limits { bytes_max: TOKEN_BYTES_MAX, depth_max: 16, nodes_max: 2048 };

/// Longest key id, in bytes.
const KEY_ID_BYTES_MAX: usize = 512;

/// Header members by which a token would bring its own key. A key comes from the issuer's set, or not at all (RFC 8725 section 3.10).
const KEY_MEMBERS: [&str; 4] = ["jwk", "jku", "x5u", "x5c"];

/// Header members that change what is signed or how it is to be understood. None of them is spoken here, so whoever
/// requires one must be refused (RFC 7515 section 4.1.11; RFC 7797).
const CRITICAL_MEMBERS: [&str; 2] = ["crit", "b64"];

/// A token's parts.
pub(crate) struct Jwt<'a> {
    pub(crate) header: Header,
    /// An object.
    pub(crate) claims: Json,
    /// What the signature is over: header, dot and claims, as they came.
    pub(crate) signed: &'a str,
    pub(crate) signature: Vec<u8>,
}

/// What the header says, as far as it has a meaning here.
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    /// `typ`
    pub(crate) kind: Option<Box<str>>,
    /// `kid`
    pub(crate) key_id: Option<Box<str>>,
}

/// The three parts of a compact serialisation, not decoded yet.
pub(crate) struct Parts<'a> {
    header: &'a str,
    claims: &'a str,
    signature: &'a str,
    /// What the signature is over: header, dot and claims, as they came.
    pub(crate) signed: &'a str,
}

impl<'a> Parts<'a> {
    /// Splits it; a fourth part is found where the last one is decoded.
    pub(crate) fn split(token: &'a str) -> Result<Parts<'a>, TokenError> {
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Garbled)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Garbled)?;
        Ok(Parts { header, claims, signature, signed })
    }

    pub(crate) fn header(&self) -> Result<Json, TokenError> {
        object(self.header)
    }

    pub(crate) fn claims(&self) -> Result<Json, TokenError> {
        object(self.claims)
    }

    pub(crate) fn signature(&self) -> Result<Vec<u8>, TokenError> {
        octets(self.signature)
    }
}

impl<'a> Jwt<'a> {
    /// Takes a compact serialisation apart: three parts, each strict base64url without padding.
    pub(crate) fn take_apart(token: &'a str) -> Result<Jwt<'a>, TokenError> {
        let parts = Parts::split(token)?;
        Ok(Jwt {
            header: Header::read(&parts.header()?)?,
            claims: parts.claims()?,
            signed: parts.signed,
            signature: parts.signature()?,
        })
    }
}

/// Whether a proof's header has anything beside its own key that says what to verify it by, or how.
pub(crate) fn brings_more_than_a_key(header: &Json) -> bool {
    let others = KEY_MEMBERS.iter().filter(|member| **member != "jwk");
    others.chain(&CRITICAL_MEMBERS).any(|member| header.get(member).is_some())
}

impl Header {
    fn read(header: &Json) -> Result<Header, TokenError> {
        if CRITICAL_MEMBERS.iter().any(|member| header.get(member).is_some()) {
            return Err(TokenError::CriticalHeader);
        }
        if KEY_MEMBERS.iter().any(|member| header.get(member).is_some()) {
            return Err(TokenError::KeyInHeader);
        }
        let algorithm = text(header, "alg")?.and_then(|name| Algorithm::parse(&name));
        let key_id = text(header, "kid")?;
        if key_id.as_ref().is_some_and(|id| id.len() > KEY_ID_BYTES_MAX) {
            return Err(TokenError::Garbled);
        }
        Ok(Header { algorithm: algorithm.ok_or(TokenError::AlgorithmRefused)?, kind: text(header, "typ")?, key_id })
    }
}

/// A string member; an error if it is there and is none.
pub(crate) fn text(object: &Json, member: &str) -> Result<Option<Box<str>>, TokenError> {
    match object.get(member) {
        None => Ok(None),
        Some(value) => value.string().map(|text| Some(Box::from(text))).ok_or(TokenError::Garbled),
    }
}

/// One part as a JSON object. The strict decoder refuses a member that stands twice, which two readers could take differently.
fn object(part: &str) -> Result<Json, TokenError> {
    let json = Json::decode(octets(part)?.into(), &LIMITS).map_err(|_| TokenError::Garbled)?;
    if json.kind() == Kind::Object { Ok(json) } else { Err(TokenError::Garbled) }
}

/// Strict: no padding, no foreign characters (a fourth part's dot is one), no stray bits in the last character.
fn octets(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Garbled)
}
