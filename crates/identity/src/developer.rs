//! The developer issuer: tokens for the first run on one's own machine, where there is no authorization server yet.
//!
//! It is an issuer like any other to the room (a key set file, `at+jwt`, audiences), has its key in the data folder, and
//! refuses to serve a gateway that others can reach.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use url::Url;
use zeroize::Zeroizing;

pub use crate::files::FileError;

use crate::address::{is_loopback, is_plain_web};
use crate::config::{Algorithm, IssuerConfig};
use crate::files::{self, Existing};
use crate::jwt::Jwt;
use crate::keys::KeySet;
use crate::principal::sha256;

/// Longest lifetime of a token.
pub const LIFETIME_MAX: Duration = Duration::from_secs(12 * 3600);
/// A kept token that expires within this time is replaced at the next start.
const REMAINING_MIN: Duration = Duration::from_secs(3600);
/// `client_id` of every token.
const CLIENT: &str = "sekisho-developer";

const FOLDER: &str = "dev-issuer";
const KEY_FILE: &str = "key.pem";
const KEY_SET_FILE: &str = "jwks.json";
const TOKEN_FILE: &str = "token";

/// The issuer, its key, and a token for whoever started the gateway.
pub struct Developer {
    issuer: String,
    audiences: Vec<String>,
    key: EcdsaKeyPair,
    key_id: String,
    key_set_path: PathBuf,
    token_path: PathBuf,
    token: SecretString,
}

/// Why there is no developer issuer, or no token of it.
#[derive(Debug, thiserror::Error)]
pub enum DeveloperError {
    /// Whoever reaches the gateway from elsewhere must not be let in by a token that lies in a file here.
    #[error("the developer issuer serves loopback addresses only, and `{url}` is none")]
    NotLoopback {
        /// The gateway's public URL.
        url: String,
    },
    /// A token for nobody, by nobody, or for nowhere.
    #[error("a developer token needs a subject and at least one audience")]
    Nobody,
    /// The asked lifetime is zero or longer than twelve hours.
    #[error("a developer token lives between one second and {} hours", LIFETIME_MAX.as_secs() / 3600)]
    Lifetime,
    /// A file or the folder cannot be used.
    #[error("the developer issuer's files cannot be used")]
    File(#[from] FileError),
    /// The key file holds no P-256 key in PKCS #8.
    #[error("`{path}` holds no P-256 key in PKCS #8; remove it to have one made")]
    BadKey {
        /// The key file.
        path: PathBuf,
    },
    /// The data folder has no absolute path.
    #[error("the folder `{path}` cannot be found")]
    Folder {
        /// The data folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The cryptography or the clock failed.
    #[error("the token could not be signed")]
    Sign,
}

impl Developer {
    /// Opens the issuer in `dir` (the data folder, which exists), or makes it. `subject` is the name of the operating
    /// system's user, `audiences` the canonical URIs of all endpoints. The key stays from start to start; so does the
    /// token, unless it expires within an hour or says something else than it would now.
    ///
    /// # Errors
    /// [`DeveloperError`]; nothing wrong with a file is repaired silently.
    pub fn open(
        dir: &Path,
        public_url: &Url,
        subject: &str,
        audiences: &[String],
        now: SystemTime,
    ) -> Result<Developer, DeveloperError> {
        if !is_loopback(public_url) || !is_plain_web(public_url) {
            return Err(DeveloperError::NotLoopback { url: public_url.to_string() });
        }
        let dir = dir.canonicalize().map_err(|source| DeveloperError::Folder { path: dir.to_owned(), source })?;
        let folder = dir.join(FOLDER);
        files::private_folder(&folder)?;
        let key = open_key(&folder.join(KEY_FILE))?;
        let (key_id, key_set) = public_half(&key)?;
        let mut developer = Developer {
            issuer: format!("{}/{FOLDER}", public_url.as_str().trim_end_matches('/')),
            audiences: audiences.to_vec(),
            key,
            key_id,
            key_set_path: folder.join(KEY_SET_FILE),
            token_path: folder.join(TOKEN_FILE),
            token: SecretString::default(),
        };
        // The key set follows from the key, so it is written anew rather than trusted.
        files::write(&developer.key_set_path, &key_set, Existing::Replace)?;
        developer.token = developer.open_token(subject, &key_set, now)?;
        Ok(developer)
    }

    /// `iss` of its tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// What the configuration has to say for its tokens to be believed.
    #[must_use]
    pub fn issuer_config(&self) -> IssuerConfig {
        IssuerConfig {
            algorithms: vec![Algorithm::ES256],
            lifetime_seconds_max: u32::try_from(LIFETIME_MAX.as_secs()).unwrap_or(1),
            // It mints tokens for people alone.
            application_claims: Some(BTreeMap::new()),
            ..IssuerConfig::with_key_file(self.issuer.clone(), self.key_set_path.clone())
        }
    }

    /// The token of the user who started the gateway.
    #[must_use]
    pub fn token(&self) -> &SecretString {
        &self.token
    }

    /// The file that token lies in.
    #[must_use]
    pub fn token_path(&self) -> &Path {
        &self.token_path
    }

    /// Makes a token for every endpoint. It is written nowhere.
    ///
    /// # Errors
    /// [`DeveloperError::Lifetime`] above [`LIFETIME_MAX`], [`DeveloperError::Nobody`] without a subject.
    pub fn mint(
        &self,
        subject: &str,
        scopes: &[&str],
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<SecretString, DeveloperError> {
        if lifetime.as_secs() == 0 || lifetime > LIFETIME_MAX {
            return Err(DeveloperError::Lifetime);
        }
        if subject.is_empty() || self.audiences.is_empty() {
            return Err(DeveloperError::Nobody);
        }
        let issued = now.duration_since(UNIX_EPOCH).map_err(|_| DeveloperError::Sign)?.as_secs();
        let mut claims = json!({
            "iss": self.issuer,
            "sub": subject,
            "aud": self.audiences,
            "client_id": CLIENT,
            "iat": issued,
            "exp": issued.saturating_add(lifetime.as_secs()),
            "jti": random_id()?,
        });
        if let (Some(claims), false) = (claims.as_object_mut(), scopes.is_empty()) {
            claims.insert("scope".to_owned(), json!(scopes.join(" ")));
        }
        self.sign(&claims)
    }

    fn sign(&self, claims: &serde_json::Value) -> Result<SecretString, DeveloperError> {
        let header = json!({ "alg": Algorithm::ES256.as_str(), "typ": "at+jwt", "kid": self.key_id });
        let part = |json: &serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).map_err(|_| DeveloperError::Sign)?;
        Ok(SecretString::from(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }

    /// The token in the file if it is still good, else a fresh one.
    fn open_token(&self, subject: &str, key_set: &str, now: SystemTime) -> Result<SecretString, DeveloperError> {
        if let Some(kept) = files::read(&self.token_path)?
            && self.still_good(kept.trim_end(), subject, key_set, now)
        {
            return Ok(SecretString::from(kept.trim_end()));
        }
        let token = self.mint(subject, &[], LIFETIME_MAX, now)?;
        files::write(&self.token_path, token.expose_secret(), Existing::Replace)?;
        Ok(token)
    }

    /// Whether a kept token says what a fresh one would, and for long enough. Any doubt means no.
    fn still_good(&self, token: &str, subject: &str, key_set: &str, now: SystemTime) -> bool {
        let Ok(jwt) = Jwt::take_apart(token) else {
            return false;
        };
        let signed_here = KeySet::parse(key_set.to_owned().into()).is_ok_and(|keys| {
            keys.find(jwt.header.key_id.as_deref(), jwt.header.algorithm)
                .is_some_and(|(_, key)| key.verify_sig(jwt.signed.as_bytes(), &jwt.signature).is_ok())
        });
        let says = |claim: &str, text: &str| {
            jwt.claims.get(claim).is_some_and(|value| value.string().as_deref() == Some(text))
        };
        let audiences = jwt.claims.get("aud").is_some_and(|list| {
            list.elements().map(|one| one.string().map(|one| one.into_owned())).eq(self
                .audiences
                .iter()
                .cloned()
                .map(Some))
        });
        let lasts = now
            .checked_add(REMAINING_MIN)
            .and_then(|until| until.duration_since(UNIX_EPOCH).ok())
            .zip(jwt.claims.get("exp").and_then(|exp| exp.number().and_then(|exp| exp.integer())))
            .is_some_and(|(until, exp)| u64::try_from(exp).is_ok_and(|exp| exp > until.as_secs()));
        signed_here
            && says("iss", &self.issuer)
            && says("sub", subject)
            && says("client_id", CLIENT)
            && audiences
            && lasts
    }
}

/// The key in the file, or a fresh one in a fresh file.
fn open_key(path: &Path) -> Result<EcdsaKeyPair, DeveloperError> {
    if files::read(path)?.is_none() {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| DeveloperError::Sign)?;
        let document = key.to_pkcs8v1().map_err(|_| DeveloperError::Sign)?;
        files::write(path, &to_pem(document.as_ref()), Existing::Keep)?;
    }
    let bad = || DeveloperError::BadKey { path: path.to_owned() };
    let pem = files::read(path)?.ok_or_else(bad)?;
    let document = from_pem(&pem).ok_or_else(bad)?;
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &document).map_err(|_| bad())
}

/// The key's id (RFC 7638 thumbprint) and the key set that has it.
fn public_half(key: &EcdsaKeyPair) -> Result<(String, String), DeveloperError> {
    let point = key.public_key().as_ref();
    // SEC 1 section 2.3.3: 0x04, then both coordinates.
    let (Some(x), Some(y)) = (point.get(1..33), point.get(33..65)) else {
        return Err(DeveloperError::Sign);
    };
    let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
    // RFC 7638 section 3.2: these members, in this order, without white space.
    let thumbprint = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    let id = URL_SAFE_NO_PAD.encode(sha256(&[thumbprint.as_bytes()]));
    let entry = json!({
        "kty": "EC", "crv": "P-256", "x": x, "y": y,
        "kid": id, "alg": Algorithm::ES256.as_str(), "use": "sig",
    });
    Ok((id, json!({ "keys": [entry] }).to_string()))
}

fn random_id() -> Result<String, DeveloperError> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| DeveloperError::Sign)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// RFC 7468, lines of 64 characters.
fn to_pem(document: &[u8]) -> Zeroizing<String> {
    let text = Zeroizing::new(STANDARD.encode(document));
    let mut pem = Zeroizing::new(String::with_capacity(text.len() * 2 + 64));
    pem.push_str(PEM_BEGIN);
    for (at, letter) in text.chars().enumerate() {
        if at % 64 == 0 {
            pem.push('\n');
        }
        pem.push(letter);
    }
    pem.push('\n');
    pem.push_str(PEM_END);
    pem.push('\n');
    pem
}

fn from_pem(pem: &str) -> Option<Zeroizing<Vec<u8>>> {
    let body = pem.trim().strip_prefix(PEM_BEGIN)?.strip_suffix(PEM_END)?;
    let text: Zeroizing<String> = Zeroizing::new(body.split_ascii_whitespace().collect());
    STANDARD.decode(text.as_bytes()).ok().map(Zeroizing::new)
}

const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";
