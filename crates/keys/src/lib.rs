//! **Where is the secret?** [`SecretRef`] names it, and is the only thing that a configuration can hold; [`SecretRef::resolve`]
//! fetches it into a [`SecretString`].
//!
//! The room never takes a secret out of the configuration itself, never repeats a text that could be one (not in an error, not
//! in `Debug`), and never takes an empty one.
//!
//! *Depth still missing*: signing keys and their trait, PKCS#11, cloud vaults, envelope encryption, rotation; a file is
//! read once, not watched.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use zeroize::{Zeroize, Zeroizing};

/// Where a secret is: `env:NAME`, or `file:PATH` with a path that is absolute or starts from the configuration's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRef(Place);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Environment(Box<str>),
    File(PathBuf),
}

/// Why a text is no reference. The text is not repeated: it may well be the secret itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRef {
    /// It starts with neither `env:` nor `file:`.
    #[error("a secret is not written here but named: `env:NAME` or `file:PATH`")]
    Literal,
    /// What follows `env:` is not a name of letters, digits and `_` that starts with no digit.
    #[error("`env:` must be followed by the name of an environment variable")]
    Name,
    /// What follows `file:` is no path; a URL such as `file://…` is none either.
    #[error("`file:` must be followed by a path")]
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
    /// Fetches the secret, without one line feed (or carriage return and line feed) at its end.
    ///
    /// `base` is the folder that relative paths start from; `env` looks up an environment variable.
    ///
    /// # Errors
    /// It is missing, empty, not text, longer than 64 KiB, or in a file that every user can reach.
    pub fn resolve(&self, base: &Path, env: &dyn Fn(&str) -> Option<OsString>) -> Result<SecretString, ResolveError> {
        let bytes = match &self.0 {
            Place::Environment(name) => {
                let value = env(name).ok_or_else(|| ResolveError::Unset { name: name.clone() })?;
                Zeroizing::new(value.into_encoded_bytes())
            }
            Place::File(path) => read_file(base.join(path))?,
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
}

impl FromStr for SecretRef {
    type Err = BadRef;

    fn from_str(text: &str) -> Result<SecretRef, BadRef> {
        if let Some(name) = text.strip_prefix(ENVIRONMENT) {
            return if is_name(name) { Ok(SecretRef(Place::Environment(name.into()))) } else { Err(BadRef::Name) };
        }
        if let Some(path) = text.strip_prefix(FILE) {
            let is_path = !path.is_empty() && !path.starts_with("//") && !path.contains(char::is_control);
            return if is_path { Ok(SecretRef(Place::File(path.into()))) } else { Err(BadRef::Path) };
        }
        Err(BadRef::Literal)
    }
}

impl std::fmt::Display for SecretRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Place::Environment(name) => write!(f, "`{ENVIRONMENT}{name}`"),
            Place::File(path) => write!(f, "`{FILE}{}`", path.display()),
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
        f.write_str("`env:NAME` or `file:PATH`")
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
            "description": "Where a secret is: an environment variable, `env:NAME`, or a file, `file:PATH`. A relative path \
                starts from the folder of this configuration.",
            "pattern": "^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$"
        })
    }
}

fn is_name(name: &str) -> bool {
    // POSIX.1-2024, section 8.1: names in the portable character set.
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn read_file(path: PathBuf) -> Result<Zeroizing<Vec<u8>>, ResolveError> {
    let failed = |source| ResolveError::Read { path: path.clone(), source };
    // Looked at before it is opened: to open a pipe waits for its writer. Looked at again afterwards: it may be another by then.
    if !std::fs::metadata(&path).map_err(failed)?.is_file() {
        return Err(ResolveError::NotAFile { path });
    }
    let file = File::open(&path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(ResolveError::NotAFile { path });
    }
    // The group may read: services commonly get their secrets as root:service 0640.
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o007 != 0 {
        return Err(ResolveError::Exposed { path, mode });
    }
    // Room for all of it at once, so that no half of it is left behind where a growing buffer was.
    let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_BYTES_MAX.saturating_add(1)));
    let bound = u64::try_from(SECRET_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    file.take(bound).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

const ENVIRONMENT: &str = "env:";
const FILE: &str = "file:";
const SECRET_BYTES_MAX: usize = 64 * 1024;
