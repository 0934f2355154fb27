//! The key that this gateway signs its own tokens with: ECDSA over P-256 (ES256, RFC 7518 section 3.4), in a file.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::{files, sealed};

/// A key that signs.
pub struct SigningKey {
    pair: EcdsaKeyPair,
    id: String,
    public: String,
}

/// Why there is no such key.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// The file cannot be made or read.
    #[error("the key `{}` cannot be used", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Others can read it, or put another one in its place.
    #[error("`{}` has mode {mode:04o}, open to others: whoever has read it can make tokens; remove it, and a new one is made", path.display())]
    Exposed {
        /// The file or its folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is no key, or another kind of key.
    #[error("`{}` holds no P-256 key in PKCS #8; bring it back from a copy, or remove it, and a new one is made", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The system.
    #[error("no key can be made")]
    Make,
}

/// A signature could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key does not sign")]
pub struct SignError;

impl SigningKey {
    /// The key at `path`, made (mode 0600) where there is none. Two that make one at once get the same.
    ///
    /// # Errors
    /// [`SigningKeyError`]: nothing wrong with a file is mended silently.
    pub fn open(path: &Path) -> Result<SigningKey, SigningKeyError> {
        let failed = |source| SigningKeyError::File { path: path.to_owned(), source };
        if !path.exists() {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| SigningKeyError::Make)?;
            let document = pair.to_pkcs8v1().map_err(|_| SigningKeyError::Make)?;
            sealed::create(path, pem(document.as_ref()).as_bytes()).map_err(failed)?;
        }
        let (bytes, mode) = files::read(path, BYTES_MAX).map_err(failed)?;
        let folder = path.parent().unwrap_or(path);
        let folder_mode = folder.metadata().map_err(failed)?.permissions().mode() & 0o7777;
        for (path, mode, open) in [(path, mode, 0o077), (folder, folder_mode, 0o022)] {
            if mode & open != 0 {
                return Err(SigningKeyError::Exposed { path: path.to_owned(), mode });
            }
        }
        SigningKey::read(&bytes).ok_or_else(|| SigningKeyError::Damaged { path: path.to_owned() })
    }

    /// A key of this process, which ends with it.
    ///
    /// # Errors
    /// [`SigningKeyError::Make`]
    pub fn passing() -> Result<SigningKey, SigningKeyError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| SigningKeyError::Make)?;
        SigningKey::of(pair).ok_or(SigningKeyError::Make)
    }

    fn read(bytes: &[u8]) -> Option<SigningKey> {
        let text = std::str::from_utf8(bytes).ok()?.trim();
        let body = text.strip_prefix(BEGIN)?.strip_suffix(END)?;
        let body: Zeroizing<String> = Zeroizing::new(body.split_ascii_whitespace().collect());
        let document = Zeroizing::new(STANDARD.decode(body.as_bytes()).ok()?);
        SigningKey::of(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &document).ok()?)
    }

    fn of(pair: EcdsaKeyPair) -> Option<SigningKey> {
        // SEC 1 section 2.3.3: 0x04, then both coordinates.
        let point = pair.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(point.get(1..33)?), URL_SAFE_NO_PAD.encode(point.get(33..65)?));
        // RFC 7638 section 3.2: these members, in this order, without white space.
        let thumbprint = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let id = URL_SAFE_NO_PAD.encode(digest(&SHA256, thumbprint.as_bytes()));
        let public =
            format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}","kid":"{id}","alg":"ES256","use":"sig"}}"#);
        Some(SigningKey { pair, id, public })
    }

    /// Its id: the thumbprint of RFC 7638.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.id
    }

    /// Its public half (RFC 7517), a JSON object.
    #[must_use]
    pub fn public_jwk(&self) -> &str {
        &self.public
    }

    /// A compact JSON web signature (RFC 7515) over these claims, which are a JSON text. `kind` is `typ`, a word.
    ///
    /// # Errors
    /// [`SignError`]
    #[expect(clippy::unused_async, reason = "a key that lies in hardware is waited for")]
    pub async fn sign_jwt(&self, kind: &str, claims: &str) -> Result<SecretString, SignError> {
        let header = self.header(kind);
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).map_err(|_| SignError)?;
        Ok(SecretString::from(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }

    /// The claims of a compact serialisation that this key signed as this kind; none of any other text.
    #[must_use]
    pub fn verify_jwt(&self, kind: &str, token: &str) -> Option<Vec<u8>> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        // Exactly as it is written here: what else a header may say has no meaning then.
        if URL_SAFE_NO_PAD.decode(header).ok()? != self.header(kind).as_bytes() {
            return None;
        }
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.pair.public_key().as_ref());
        key.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
        URL_SAFE_NO_PAD.decode(claims).ok()
    }

    fn header(&self, kind: &str) -> String {
        format!(r#"{{"alg":"ES256","typ":"{kind}","kid":"{}"}}"#, self.id)
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.id)
    }
}

/// RFC 7468, lines of 64 characters.
fn pem(document: &[u8]) -> Zeroizing<String> {
    let text = Zeroizing::new(STANDARD.encode(document));
    let mut pem = Zeroizing::new(String::with_capacity(text.len().saturating_mul(2).saturating_add(64)));
    pem.push_str(BEGIN);
    for (at, letter) in text.chars().enumerate() {
        if at % 64 == 0 {
            pem.push('\n');
        }
        pem.push(letter);
    }
    pem.push('\n');
    pem.push_str(END);
    pem.push('\n');
    pem
}

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
/// LIMIT: of the file.
const BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use secrecy::ExposeSecret as _;

    use super::*;

    fn signed(key: &SigningKey, claims: &str) -> String {
        let Poll::Ready(token) = pin!(key.sign_jwt("at+jwt", claims)).poll(&mut Context::from_waker(Waker::noop()))
        else {
            panic!("a key in a file is not waited for")
        };
        token.unwrap().expose_secret().to_owned()
    }

    #[test]
    fn a_key_is_made_once_and_its_signatures_are_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let key = SigningKey::open(&path).unwrap();
        let again = SigningKey::open(&path).unwrap();
        assert_eq!((key.key_id(), key.public_jwk()), (again.key_id(), again.public_jwk()));
        let token = signed(&key, r#"{"a":1}"#);
        assert_eq!(again.verify_jwt("at+jwt", &token).as_deref(), Some(&br#"{"a":1}"#[..]));
        assert_eq!(again.verify_jwt("JWT", &token), None, "another kind");
        let other = SigningKey::open(&folder.path().join("other.pem")).unwrap();
        assert_eq!(other.verify_jwt("at+jwt", &token), None, "another key");
        let (signed_part, signature) = token.rsplit_once('.').unwrap();
        let (header, _) = signed_part.split_once('.').unwrap();
        let forged = format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(r#"{"a":2}"#));
        let none = format!("{}.e30.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"at+jwt"}"#));
        let cut: String = token.chars().skip(1).collect();
        for bad in [forged.as_str(), &none, "", "a.b.c", &format!("{token}.x"), &cut] {
            assert_eq!(key.verify_jwt("at+jwt", bad), None, "{bad}");
        }
    }

    #[test]
    fn a_key_that_others_could_have_read_or_that_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        SigningKey::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(SigningKey::open(&path), Err(SigningKeyError::Exposed { mode: 0o640, .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o770)).unwrap();
        assert!(matches!(SigningKey::open(&path), Err(SigningKeyError::Exposed { mode: 0o770, .. })));
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let good = fs::read_to_string(&path).unwrap();
        let half: String = good.chars().take(good.len() / 2).collect();
        for bad in ["", "x", &half, &good.replacen('M', "N", 1)] {
            fs::write(&path, bad).unwrap();
            assert!(matches!(SigningKey::open(&path), Err(SigningKeyError::Damaged { .. })), "{bad}");
        }
    }
}
