//! Random texts that are worth something to whoever holds them, and the digests that are kept in their place.

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sekisho_audit::Digest;
use subtle::ConstantTimeEq as _;

/// The system gives no random numbers: nothing can be given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers")]
pub(crate) struct NoRandomness;

/// 256 random bits in base64url, 43 characters.
pub(crate) fn random() -> Result<String, NoRandomness> {
    let mut bytes = [0_u8; 32];
    rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// What is kept of such a text. `purpose` keeps those of one kind apart from those of another.
pub(crate) fn digest(purpose: &str, text: &str) -> [u8; 32] {
    *Digest::of(format!("sekisho {purpose}\n{text}").as_bytes()).bytes()
}

/// The same, as text.
pub(crate) fn digest_text(purpose: &str, text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(purpose, text))
}

/// Whether two texts are the same; how long it takes tells nothing of where they differ.
pub(crate) fn are_same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_its_own_and_purposes_are_kept_apart() {
        let (one, other) = (random().unwrap(), random().unwrap());
        assert_eq!((one.len(), one == other), (43, false));
        assert_eq!(digest("a", &one), digest("a", &one));
        assert_ne!(digest("a", &one), digest("b", &one));
        assert_ne!(digest("a", &one), digest("a", &other));
        assert!(are_same(&one, &one.clone()) && !are_same(&one, &other) && !are_same(&one, ""));
    }
}
