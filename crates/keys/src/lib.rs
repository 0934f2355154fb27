//! **Where is the secret?** [`SecretRef`] names it, and is the only thing that a configuration can hold; [`SecretRef::resolve`]
//! fetches it into a [`SecretString`].
//!
//! Three places are known: a variable of the environment, a file that is the secret, and a file that it is sealed in ([`SealingKey`]).
//!
//! The room never takes a secret out of the configuration itself, never repeats a text that could be one (not in an error, not
//! in `Debug`), and never takes an empty one.
//!
//! [`SigningKey`] signs this gateway's own tokens, and [`Sealer`] seals what it keeps; both keys lie in files.
//!
//! *Depth still missing*: PKCS#11, cloud vaults, keyrings of desktops, rotation of the sealing key; a
//! file is read once, not watched.
#![forbid(unsafe_code)]

mod files;
mod sealed;
mod sealer;
mod signing;

use std::borrow::Cow;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use zeroize::{Zeroize, Zeroizing};

use sealed::{SEALED_BYTES_MAX, SECRET_BYTES_MAX};

pub use sealed::{Purpose, SealError, SealingKey, is_sealed};
pub use sealer::{Sealer, SealerError};
pub use signing::{SignError, SigningKey, SigningKeyError};

/// Where a secret is: `env:NAME`, `file:PATH` or `sealed:PATH`, with a path that is absolute or starts from the configuration's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRef(Place);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Environment(Box<str>),
    File(PathBuf),
    Sealed(PathBuf),
}

/// Why a text is no reference. The text is not repeated: it may well be the secret itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRef {
    /// It starts with neither `env:`, `file:` nor `sealed:`.
    #[error("a secret is not written here but named: `env:NAME`, `file:PATH` or `sealed:PATH`")]
    Literal,
    /// What follows `env:` is not a name of letters, digits and `_` that starts with no digit.
    #[error("`env:` must be followed by the name of an environment variable")]
    Name,
    /// What follows `file:` or `sealed:` is no path; a URL such as `file://…` is none either.
    #[error("`file:` and `sealed:` must be followed by a path")]
    Path,
}

/// Why a secret could not be fetched. No variant holds anything of it.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The environment variable is not set.
    #[error("environment variable `{name}` is not set")]
    Unset {
        /// Its name.
        name: Box<str>,
    },
    /// The file could not be read.
    #[error("secret file `{}` cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The path leads to a folder, a pipe or a device.
    #[error("secret file `{}` is not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Every user of this machine can read or change the file.
    #[error("secret file `{}` has mode {mode:04o}, open to every user; take that away with `chmod o-rwx`", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// What is sealed cannot be opened.
    #[error("sealed secret `{}` cannot be opened", path.display())]
    Sealed {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: SealError,
    },
    /// It is longer than 64 KiB.
    #[error("{place} holds more than {SECRET_BYTES_MAX} bytes")]
    TooLong {
        /// The reference.
        place: SecretRef,
    },
    /// It is not UTF-8.
    #[error("{place} is not UTF-8 text")]
    NotText {
        /// The reference.
        place: SecretRef,
    },
    /// There is nothing in it.
    #[error("{place} is empty")]
    Empty {
        /// The reference.
        place: SecretRef,
    },
}

impl SecretRef {
    /// Fetches the secret. One line feed (or carriage return and line feed) at its end is left out, but for one that is sealed.
    ///
    /// `purpose` is what it is for; `base` is the folder that relative paths start from; `env` looks up an environment variable.
    ///
    /// # Errors
    /// It is missing, empty, not text, longer than 64 KiB, in a file that every user can reach, or was sealed otherwise.
    pub fn resolve(
        &self,
        purpose: Purpose<'_>,
        base: &Path,
        env: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<SecretString, ResolveError> {
        let bytes = match &self.0 {
            Place::Environment(name) => {
                let value = env(name).ok_or_else(|| ResolveError::Unset { name: name.clone() })?;
                Zeroizing::new(value.into_encoded_bytes())
            }
            Place::File(path) => read_file(base.join(path))?,
            Place::Sealed(path) => return open(base.join(path), purpose, env),
        };
        if bytes.len() > SECRET_BYTES_MAX {
            return Err(ResolveError::TooLong { place: self.clone() });
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| ResolveError::NotText { place: self.clone() })?;
        let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
        if text.is_empty() {
            return Err(ResolveError::Empty { place: self.clone() });
        }
        Ok(SecretString::from(text))
    }

    /// Whether a text begins as references do. A mistyped one must not be taken for something else.
    #[must_use]
    pub fn begins(text: &str) -> bool {
        [ENVIRONMENT, FILE, SEALED].iter().any(|start| text.starts_with(start))
    }

    /// The file that the secret is in, if it is in one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match &self.0 {
            Place::Environment(_) => None,
            Place::File(path) | Place::Sealed(path) => Some(path),
        }
    }

    /// The file that it is sealed in.
    #[must_use]
    pub fn sealed(&self) -> Option<&Path> {
        match &self.0 {
            Place::Sealed(path) => Some(path),
            Place::Environment(_) | Place::File(_) => None,
        }
    }
}

impl FromStr for SecretRef {
    type Err = BadRef;

    fn from_str(text: &str) -> Result<SecretRef, BadRef> {
        if let Some(name) = text.strip_prefix(ENVIRONMENT) {
            return if is_name(name) { Ok(SecretRef(Place::Environment(name.into()))) } else { Err(BadRef::Name) };
        }
        if let Some(path) = text.strip_prefix(FILE) {
            return path_of(path).map(|path| SecretRef(Place::File(path)));
        }
        if let Some(path) = text.strip_prefix(SEALED) {
            return path_of(path).map(|path| SecretRef(Place::Sealed(path)));
        }
        Err(BadRef::Literal)
    }
}

impl std::fmt::Display for SecretRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Place::Environment(name) => write!(f, "`{ENVIRONMENT}{name}`"),
            Place::File(path) => write!(f, "`{FILE}{}`", path.display()),
            Place::Sealed(path) => write!(f, "`{SEALED}{}`", path.display()),
        }
    }
}

impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<SecretRef, D::Error> {
        from.deserialize_any(Visitor)
    }
}

/// Takes strings alone. Serde's own message for another type repeats the value, which may be the secret (a number, say).
struct Visitor;

impl serde::de::Visitor<'_> for Visitor {
    type Value = SecretRef;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("`env:NAME`, `file:PATH` or `sealed:PATH`")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<SecretRef, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_string<E: serde::de::Error>(self, mut text: String) -> Result<SecretRef, E> {
        let parsed = text.parse().map_err(E::custom);
        text.zeroize();
        parsed
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<SecretRef, E> {
        Err(E::custom(BadRef::Literal))
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<SecretRef, E> {
        Err(E::custom(BadRef::Literal))
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<SecretRef, E> {
        Err(E::custom(BadRef::Literal))
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<SecretRef, E> {
        Err(E::custom(BadRef::Literal))
    }
}

impl JsonSchema for SecretRef {
    fn schema_name() -> Cow<'static, str> {
        "SecretRef".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "writeOnly": true,
            "description": "Where a secret is: an environment variable, `env:NAME`, a file that holds it, `file:PATH`, or a file that \
                it is sealed in, `sealed:PATH`, written by `sekisho secret set`. A relative path starts from the folder of this configuration.",
            "pattern": "^(env:[A-Za-z_][A-Za-z0-9_]*|(file|sealed):.+)$"
        })
    }
}

fn path_of(text: &str) -> Result<PathBuf, BadRef> {
    let is_path = !text.is_empty() && !text.starts_with("//") && !text.contains(char::is_control);
    if is_path { Ok(text.into()) } else { Err(BadRef::Path) }
}

fn is_name(name: &str) -> bool {
    // POSIX.1-2024, section 8.1: names in the portable character set.
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn read_file(path: PathBuf) -> Result<Zeroizing<Vec<u8>>, ResolveError> {
    let (bytes, mode) = read(&path, SECRET_BYTES_MAX)?;
    // The group may read: services commonly get their secrets as root:service 0640.
    if mode & 0o007 != 0 {
        return Err(ResolveError::Exposed { path, mode });
    }
    Ok(bytes)
}

/// Its mode does not matter: what is sealed gives nothing away, and what another puts in its place does not open.
fn open(
    path: PathBuf,
    purpose: Purpose<'_>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<SecretString, ResolveError> {
    let (sealed, _) = read(&path, SEALED_BYTES_MAX)?;
    let opened = SealingKey::place(env).and_then(|key| SealingKey::load(&key)?.open(purpose, &sealed));
    opened.map_err(|source| ResolveError::Sealed { path, source })
}

fn read(path: &Path, bytes_max: usize) -> Result<(Zeroizing<Vec<u8>>, u32), ResolveError> {
    let path = path.to_owned();
    files::read(&path, bytes_max).map_err(|source| {
        let is_none = source.kind() == io::ErrorKind::InvalidInput;
        if is_none { ResolveError::NotAFile { path } } else { ResolveError::Read { path, source } }
    })
}

const ENVIRONMENT: &str = "env:";
const FILE: &str = "file:";
const SEALED: &str = "sealed:";
