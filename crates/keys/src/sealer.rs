//! Rows and pages of this gateway that lie where others may come to see them: sealed with a key that lies elsewhere (AES-256-GCM).

use std::fmt;
use std::path::Path;

use aws_lc_rs::aead::{Aad, NONCE_LEN, Nonce};
use zeroize::Zeroizing;

use crate::sealed::{SealError, SealingKey};

/// Seals and opens with a key in a file.
pub struct Sealer(SealingKey);

/// It could not be sealed, or is not what was sealed with this key for this purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it cannot be sealed, or is not what was sealed with this key for this purpose")]
pub struct SealerError;

impl Sealer {
    /// With the key at `path`, made where there is none.
    ///
    /// # Errors
    /// It cannot be made, is open to others, or is none.
    pub fn open(path: &Path) -> Result<Sealer, SealError> {
        SealingKey::ensure(path).map(Sealer)
    }

    /// Seals bytes for a purpose: they open for that one alone.
    ///
    /// # Errors
    /// [`SealerError`]: no randomness, or past 2^32 seals.
    pub fn seal(&self, purpose: &str, plain: &[u8]) -> Result<Vec<u8>, SealerError> {
        let mut sealed = plain.to_vec();
        let key = self.0.key();
        let nonce =
            key.seal_in_place_append_tag(Aad::from(purpose.as_bytes()), &mut sealed).map_err(|_| SealerError)?;
        Ok([nonce.as_ref().as_slice(), &sealed].concat())
    }

    /// Opens what was sealed for this purpose.
    ///
    /// # Errors
    /// [`SealerError`]
    pub fn unseal(&self, purpose: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealerError> {
        let mut bytes = Zeroizing::new(sealed.to_vec());
        let (nonce, sealed) = bytes.split_first_chunk_mut::<NONCE_LEN>().ok_or(SealerError)?;
        let nonce = Nonce::from(&*nonce);
        let opened = self.0.key().open_in_place(nonce, Aad::from(purpose.as_bytes()), sealed);
        opened.map(|opened| Zeroizing::new(opened.to_vec())).map_err(|_| SealerError)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_for_its_purpose_with_its_key_and_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let sealer = |name: &str| Sealer::open(&folder.path().join(name)).unwrap();
        let sealed = sealer("key").seal("grant 1", b"secret").unwrap();
        let open = |name: &str, purpose: &str, sealed: &[u8]| sealer(name).unseal(purpose, sealed).map(|p| p.to_vec());
        assert_eq!(open("key", "grant 1", &sealed).as_deref(), Ok(&b"secret"[..]));
        assert_ne!(sealer("key").seal("grant 1", b"secret").unwrap(), sealed);
        assert_eq!(open("key", "grant 2", &sealed), Err(SealerError));
        assert_eq!(open("other", "grant 1", &sealed), Err(SealerError));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(open("key", "grant 1", &changed), Err(SealerError), "byte {at}");
            assert_eq!(open("key", "grant 1", &sealed[..at]), Err(SealerError), "{at} bytes");
        }
    }
}
