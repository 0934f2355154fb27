//! Proof Key for Code Exchange: whoever brings a code must be who asked for it (RFC 7636). `S256` alone, as OAuth 2.1 and MCP want it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sekisho_audit::Digest;
use subtle::ConstantTimeEq as _;

/// What a client committed to when it asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge([u8; 32]);

/// Why there is no challenge, or it is not met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PkceError {
    /// No method was named, which means `plain`, or another one.
    #[error("the code challenge method is not S256")]
    Method,
    /// Not 32 bytes in base64url.
    #[error("the code challenge is no SHA-256 digest in base64url")]
    Challenge,
    /// Not 43 to 128 unreserved characters.
    #[error("the code verifier is not 43 to 128 unreserved characters")]
    Verifier,
    /// Somebody else's.
    #[error("the code verifier is not the one that the challenge was made of")]
    Mismatch,
}

/// The challenge of a verifier of ours, for a provider.
pub(crate) fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Digest::of(verifier.as_bytes()).bytes())
}

impl Challenge {
    /// Reads `code_challenge` and `code_challenge_method`.
    ///
    /// # Errors
    /// [`PkceError::Method`], [`PkceError::Challenge`].
    pub fn read(challenge: &str, method: Option<&str>) -> Result<Challenge, PkceError> {
        if method != Some("S256") {
            return Err(PkceError::Method);
        }
        let bytes = URL_SAFE_NO_PAD.decode(challenge).map_err(|_| PkceError::Challenge)?;
        bytes.try_into().map(Challenge).map_err(|_| PkceError::Challenge)
    }

    /// Whether `code_verifier` is what it was made of.
    ///
    /// # Errors
    /// [`PkceError::Verifier`], [`PkceError::Mismatch`].
    pub fn met_by(&self, verifier: &str) -> Result<(), PkceError> {
        let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if !(43..=128).contains(&verifier.len()) || !verifier.bytes().all(is_unreserved) {
            return Err(PkceError::Verifier);
        }
        let is_met: bool = Digest::of(verifier.as_bytes()).bytes().ct_eq(&self.0).into();
        if is_met { Ok(()) } else { Err(PkceError::Mismatch) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn the_verifier_of_a_challenge_meets_it_and_no_other_does() {
        let challenge = Challenge::read(CHALLENGE, Some("S256")).unwrap();
        assert_eq!(challenge.met_by(VERIFIER), Ok(()));
        assert_eq!(challenge.met_by(&VERIFIER.replace('d', "e")), Err(PkceError::Mismatch));
        // A downgrade: the challenge is not its own verifier.
        assert_eq!(challenge.met_by(CHALLENGE), Err(PkceError::Mismatch));
        for wrong in [
            "",
            VERIFIER.get(..42).unwrap(),
            &"a".repeat(129),
            &VERIFIER.replace('d', " "),
            &VERIFIER.replace('d', "é"),
        ] {
            assert_eq!(challenge.met_by(wrong), Err(PkceError::Verifier), "{wrong}");
        }
    }

    #[test]
    fn no_method_and_any_but_s256_is_refused_and_so_is_what_is_no_digest() {
        for method in [None, Some("plain"), Some("s256"), Some("")] {
            assert_eq!(Challenge::read(CHALLENGE, method), Err(PkceError::Method));
        }
        let padded = format!("{CHALLENGE}=");
        // The last character has two bits that stand for nothing.
        let other_spelling = CHALLENGE.replace("cM", "cN");
        for challenge in [
            "",
            CHALLENGE.get(..42).unwrap(),
            &padded,
            &other_spelling,
            &CHALLENGE.replace('-', "+"),
            &CHALLENGE.repeat(2),
        ] {
            assert_eq!(Challenge::read(challenge, Some("S256")), Err(PkceError::Challenge), "{challenge}");
        }
    }
}
