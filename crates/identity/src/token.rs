//! The credential as it is presented, the proof that it was verified, and what can be wrong with it.

use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderName};
use http::{HeaderMap, Method};
use secrecy::{ExposeSecret as _, SecretString};
use sekisho_wire::Endpoint;

use crate::jwt::Parts;
use crate::principal::{Lease, Principal, sha256};

/// Longest token, in bytes.
pub(crate) const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Longest proof of possession, in bytes.
pub(crate) const PROOF_BYTES_MAX: usize = 8 * 1024;
/// Where a proof of possession stands (RFC 9449 section 4.1).
pub(crate) const DPOP: HeaderName = HeaderName::from_static("dpop");

/// A token as somebody presented it, with all that came along to prove that it is theirs. Unverified; never shown.
#[derive(Debug)]
pub struct Presented {
    token: SecretString,
    scheme: Scheme,
    method: Method,
    /// The proof, if it came in the one header that holds one.
    proof: Option<Box<str>>,
    channel: Channel,
}

/// How a token was presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// RFC 6750.
    Bearer,
    /// RFC 9449 section 7.1.
    Dpop,
}

/// What the connection proves of its client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Channel {
    certificate: Option<[u8; 32]>,
}

impl Channel {
    /// The client showed this certificate (DER) and proved to have its key (RFC 8705). Who issued it is another matter.
    #[must_use]
    pub fn with_certificate(der: &[u8]) -> Channel {
        Channel { certificate: Some(sha256(&[der])) }
    }
}

/// The proof that a token was verified for an endpoint.
#[derive(Debug)]
pub struct Verified {
    pub(crate) who: Arc<Principal>,
    pub(crate) lease: Lease,
    pub(crate) endpoint: Endpoint,
}

/// What is wrong with a proof of possession.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// There is none, or there are several.
    #[error("the token is bound to a key, and there is no proof of it, or several")]
    Missing,
    /// Not three parts of base64url and strict JSON.
    #[error("the proof is not a well-formed JSON web token")]
    Garbled,
    /// Its header lacks type, algorithm or public key, or has more than that.
    #[error("the proof's header is not that of a proof")]
    Header,
    /// A claim is missing or has the wrong form.
    #[error("the proof lacks a claim")]
    Claims,
    /// It was made with another key than the token is bound to.
    #[error("the proof is by another key than the token's")]
    AnotherKey,
    /// The signature is not the key's.
    #[error("the proof's signature is wrong")]
    Signature,
    /// It was made for another method or URI.
    #[error("the proof was made for another method or URI")]
    Elsewhere,
    /// It was made for another token.
    #[error("the proof was made for another token")]
    AnotherToken,
    /// It is too old, or not of this time yet.
    #[error("the proof is too old, or from the future")]
    Time,
    /// It was seen before.
    #[error("the proof was used before")]
    Replayed,
}

/// What is wrong with a credential. The client hears `invalid_token` for most of them (RFC 6750 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No `Authorization` header, or one of another scheme. Challenge without an error code (RFC 6750 section 3.1).
    #[error("no bearer token is presented")]
    Missing,
    /// Several headers, or something that is no bearer token at all. 400, `invalid_request`.
    #[error("the authorization header stands twice or holds no bearer token of acceptable length")]
    Malformed,
    /// Not three parts of base64url and strict JSON, or a member has the wrong shape.
    #[error("the token is not a well-formed JSON web token")]
    Garbled,
    /// Its algorithm is unknown, or not one that its issuer may use.
    #[error("the token's signature algorithm is not accepted")]
    AlgorithmRefused,
    /// `typ` is not one that is accepted from its issuer.
    #[error("the token's type is not accepted")]
    WrongType,
    /// It brings its own key, or says where to fetch one.
    #[error("the token's header brings a key of its own")]
    KeyInHeader,
    /// Its header requires an extension.
    #[error("the token's header requires an extension that is not spoken")]
    CriticalHeader,
    /// Nobody that is believed issued it.
    #[error("the token's issuer is not configured")]
    UnknownIssuer,
    /// Its issuer has no such key for such an algorithm.
    #[error("the token's key is not in its issuer's key set, or is not for its algorithm")]
    UnknownKey,
    /// The signature is not the key's.
    #[error("the token's signature is wrong")]
    BadSignature,
    /// It was issued for somebody else.
    #[error("the token was not issued for this endpoint")]
    WrongAudience,
    /// It has expired.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYet,
    /// It would live longer than its issuer's tokens may.
    #[error("the token lives longer than is accepted from its issuer")]
    TooLongLived,
    /// A claim is missing or empty.
    #[error("the token has no claim `{0}`")]
    MissingClaim(&'static str),
    /// Its tenant is none of those that are believed.
    #[error("the token's tenant is not accepted")]
    WrongTenant,
    /// A claim that is required has another value.
    #[error("a claim that its issuer's tokens must have is missing or has another value")]
    ClaimRefused,
    /// Not a version 2.0 token of Entra ID, or neither for a user nor for an application, or for a client that is not accepted.
    #[error("the token is not one of Entra ID that is accepted here: {0}")]
    Entra(&'static str),
    /// Somebody revoked it, or all of its kind.
    #[error("the token was revoked")]
    Revoked,
    /// Somebody revoked the user of this machine whom a process serves over its standard streams.
    #[error("the user of this machine whom this process serves is revoked")]
    UserRevoked,
    /// Nobody can say what is revoked.
    #[error("what is revoked on this machine cannot be read, so nobody is let in")]
    RevocationsUnknown,
    /// It is bound by something that is not spoken here, so nobody could tell whose it is (RFC 7800 section 3.1).
    #[error("the token is bound in a way that is not spoken")]
    ConfirmationUnknown,
    /// Its issuer's tokens must be bound.
    #[error("the token is not bound to a key or certificate of its client, as its issuer's must be")]
    Unbound,
    /// Bound to a key, and presented as if it were not; or the other way round (RFC 9449 section 7.1).
    #[error("the token was presented with the wrong scheme")]
    WrongScheme,
    /// Bound to another certificate than the connection's, or there is none (RFC 8705 section 3).
    #[error("the token is bound to another client certificate than the connection's")]
    AnotherCertificate,
    /// The proof of possession.
    #[error("the proof of possession is refused: {0}")]
    Proof(ProofError),
    /// A proof needs a nonce of ours (RFC 9449 section 9).
    #[error("the proof of possession has no nonce of this gateway, or an old one")]
    NonceWanted,
    /// More proofs came than can be remembered. 503.
    #[error("too many proofs of possession came in a short time")]
    ProofsExhausted,
    /// The issuer's keys could not be fetched. 503: nothing is wrong with the token, as far as is known.
    #[error("the keys of the token's issuer are not available")]
    KeysUnavailable,
}

impl From<ProofError> for TokenError {
    fn from(error: ProofError) -> TokenError {
        TokenError::Proof(error)
    }
}

impl Presented {
    /// Takes the token out of the one `Authorization` header (RFC 6750 section 2.1, RFC 9449 section 7.1). No other place is looked
    /// at (RS-13).
    ///
    /// # Errors
    /// [`TokenError::Missing`] if there is none or it is of another scheme, [`TokenError::Malformed`] if there are
    /// several, or it is not of the form `b64token` of at most 16 KiB.
    pub fn from_request(method: &Method, headers: &HeaderMap, channel: Channel) -> Result<Presented, TokenError> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let value = values.next().ok_or(TokenError::Missing)?;
        if values.next().is_some() {
            return Err(TokenError::Malformed);
        }
        let value = value.to_str().map_err(|_| TokenError::Malformed)?;
        let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
        let scheme = match scheme {
            scheme if scheme.eq_ignore_ascii_case("bearer") => Scheme::Bearer,
            scheme if scheme.eq_ignore_ascii_case("dpop") => Scheme::Dpop,
            _ => return Err(TokenError::Missing),
        };
        let token = token.trim_start_matches(' ');
        if token.len() > TOKEN_BYTES_MAX || !is_b64token(token) {
            return Err(TokenError::Malformed);
        }
        let mut proofs = headers.get_all(DPOP).iter();
        let proof = match (proofs.next(), proofs.next()) {
            (Some(one), None) => one.to_str().ok().filter(|proof| proof.len() <= PROOF_BYTES_MAX).map(Box::from),
            (None | Some(_), _) => None,
        };
        Ok(Presented { token: SecretString::from(token), scheme, method: method.clone(), proof, channel })
    }

    /// How it was presented.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Whether the token says of itself that it is bound to a key. Nothing is verified: it tells how it might be presented, and no more.
    #[must_use]
    pub fn looks_bound_to_a_key(&self) -> bool {
        let claims = Parts::split(self.token.expose_secret()).and_then(|parts| parts.claims());
        claims.is_ok_and(|claims| claims.get("cnf").is_some_and(|confirmation| confirmation.get("jkt").is_some()))
    }

    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    pub(crate) fn proof(&self) -> Option<&str> {
        self.proof.as_deref()
    }

    pub(crate) fn certificate(&self) -> Option<&[u8; 32]> {
        self.channel.certificate.as_ref()
    }

    pub(crate) fn secret(&self) -> &SecretString {
        &self.token
    }
}

impl Verified {
    /// Whom the token speaks of.
    #[must_use]
    pub fn principal(&self) -> &Arc<Principal> {
        &self.who
    }

    /// How long it holds.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// The endpoint it was verified for.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

/// RFC 6750 section 2.1: `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`
fn is_b64token(text: &str) -> bool {
    let body = text.trim_end_matches('=').as_bytes();
    // A block at a time, without a branch: the compiler makes wide instructions of it, and tokens are long.
    let is_plain = |block: &[u8]| block.iter().fold(true, |plain, byte| plain & is_b64token_byte(*byte));
    !body.is_empty() && body.chunks(BLOCK).all(is_plain)
}

fn is_b64token_byte(byte: u8) -> bool {
    let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    // From the hyphen to the nine: `-`, `.`, `/` and the digits.
    letter | (byte.wrapping_sub(b'-') < 13) | (byte == b'_') | (byte == b'~') | (byte == b'+')
}

const BLOCK: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_token_are_those_of_rfc_6750() {
        for byte in 0..=u8::MAX {
            let listed = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
            assert_eq!(is_b64token_byte(byte), listed, "{byte}");
        }
    }

    #[test]
    fn a_token_is_one_byte_or_more_and_padding_stands_at_its_end() {
        for good in ["a", "a=", "a==", "eyJ.x-y_z~+/09", &"a".repeat(130)] {
            assert!(is_b64token(good), "{good}");
        }
        let long = |at: usize| "a".repeat(at) + " " + &"a".repeat(129 - at);
        for bad in ["", "=", "a=b", "a b", "\u{e9}", &long(0), &long(63), &long(64), &long(129)] {
            assert!(!is_b64token(bad), "{bad}");
        }
    }
}
