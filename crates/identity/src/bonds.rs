//! What a token is bound to (RFC 7800): a key that each request proves, a certificate of the connection, or nothing.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::ExposeSecret as _;
use sekisho_wire::Json;

use crate::config::SenderConstraint;
use crate::dpop::{About, Proofs};
use crate::principal::Binding;
use crate::token::{Presented, ProofError, Scheme, TokenError};

/// The confirmations of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bonds {
    /// `jkt`: the thumbprint of a key (RFC 9449 section 6).
    key: Option<[u8; 32]>,
    /// `x5t#S256`: the digest of a certificate (RFC 8705 section 3.1).
    certificate: Option<[u8; 32]>,
}

impl Bonds {
    /// Reads `cnf`. Whatever is not spoken makes the token useless: leaving it out would set it free.
    pub(crate) fn read(claims: &Json) -> Result<Bonds, TokenError> {
        let mut bonds = Bonds { key: None, certificate: None };
        let Some(confirmation) = claims.get("cnf") else { return Ok(bonds) };
        if !confirmation.is_object() {
            return Err(TokenError::Garbled);
        }
        for (member, value) in confirmation.members() {
            let slot = match &*member {
                "jkt" => &mut bonds.key,
                "x5t#S256" => &mut bonds.certificate,
                _ => return Err(TokenError::ConfirmationUnknown),
            };
            *slot = Some(digest(&value).ok_or(TokenError::Garbled)?);
        }
        if bonds.key.is_none() && bonds.certificate.is_none() {
            Err(TokenError::ConfirmationUnknown)
        } else {
            Ok(bonds)
        }
    }

    /// Whether the token is bound as its issuer's must be.
    pub(crate) fn satisfy(&self, constraint: SenderConstraint) -> Result<(), TokenError> {
        let bound = match constraint {
            SenderConstraint::Optional => true,
            SenderConstraint::Dpop => self.key.is_some(),
            SenderConstraint::Mtls => self.certificate.is_some(),
            SenderConstraint::Either => self.key.is_some() || self.certificate.is_some(),
        };
        if bound { Ok(()) } else { Err(TokenError::Unbound) }
    }

    /// What they are called.
    pub(crate) fn names(&self) -> Vec<Binding> {
        let named = [(self.key.is_some(), Binding::Dpop), (self.certificate.is_some(), Binding::Mtls)];
        named.into_iter().filter_map(|(is_there, binding)| is_there.then_some(binding)).collect()
    }

    /// Checks what came along with the token, at each request; `uri` is the endpoint's, as clients know it.
    pub(crate) fn prove(
        &self,
        presented: &Presented,
        uri: impl FnOnce() -> String,
        proofs: &Proofs,
        now: SystemTime,
    ) -> Result<(), TokenError> {
        if let Some(certificate) = &self.certificate
            && presented.certificate() != Some(certificate)
        {
            return Err(TokenError::AnotherCertificate);
        }
        match (self.key, presented.scheme()) {
            (None, Scheme::Bearer) => Ok(()),
            // RFC 9449 section 7.1: a bound token is no bearer token, whoever has a proof; and the other way round.
            (Some(_), Scheme::Bearer) | (None, Scheme::Dpop) => Err(TokenError::WrongScheme),
            (Some(key), Scheme::Dpop) => {
                let proof = presented.proof().ok_or(ProofError::Missing)?;
                let token = presented.secret().expose_secret();
                proofs.take(proof, &About { method: presented.method(), uri: &uri(), token, key }, now)
            }
        }
    }
}

/// 32 bytes in strict base64url.
fn digest(value: &Json) -> Option<[u8; 32]> {
    URL_SAFE_NO_PAD.decode(value.string()?.as_bytes()).ok()?.try_into().ok()
}
