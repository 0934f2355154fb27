//! Secrets in files that give nothing away: sealed for one purpose, with a key that lies elsewhere.
//!
//! A sealed file is text of four lines: which form it has, what it is for, which key it needs, and the rest in base64: a nonce, the
//! secret and a tag (AES-256-GCM, NIST SP 800-38D). The first three lines are authenticated with the secret, so a file that was moved to
//! another server or variable, or from another key, opens nothing.

use std::ffi::OsString;
use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::files;

/// What a secret is for. One that was sealed for something else is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose<'a> {
    /// A variable or header of a server.
    Server {
        /// The server.
        server: &'a str,
        /// The variable or header.
        name: &'a str,
    },
    /// What this gateway has to say who it is to the provider that logs people in.
    Provider,
    /// The secret of a client of this gateway.
    Client {
        /// Its id.
        id: &'a str,
    },
    /// A header that a collector of traces and metrics is sent.
    Collector {
        /// The header.
        name: &'a str,
    },
}

/// The key that secrets of this user are sealed with.
pub struct SealingKey {
    path: PathBuf,
    /// What tells it from others: the beginning of its digest.
    id: String,
    key: RandomizedNonceKey,
}

/// Why a secret cannot be sealed or opened. No variant holds anything of it.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The user has no place for a key.
    #[error("this user has no home to keep a key in; set HOME or XDG_DATA_HOME to an absolute path")]
    NoHome,
    /// The key, or the folder that it lies in, cannot be used.
    #[error("the key `{}` that secrets are sealed with cannot be used", path.display())]
    Key {
        /// The key.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// There is no key.
    #[error(
        "the key `{}` that secrets are sealed with is not there; bring it back from the machine they were sealed on, or set them anew with \
         `sekisho secret set`",
        path.display()
    )]
    NoKey {
        /// Where it would be.
        path: PathBuf,
    },
    /// Others can read the key, or put another one in its place.
    #[error("`{}` has mode {mode:04o}, open to others; take that away with `chmod go-rwx`", path.display())]
    Exposed {
        /// The key or its folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key is none.
    #[error("`{}` is no key, or is damaged; bring it back from a copy", path.display())]
    KeyDamaged {
        /// The key.
        path: PathBuf,
    },
    /// It is no sealed file, or not a whole one.
    #[error("it is no sealed secret, or is cut off; set it anew with `sekisho secret set`")]
    Form,
    /// A form that this program does not know.
    #[error("it has a form that this version does not know; it may be from a later one")]
    Version,
    /// It was sealed for something else.
    #[error("it was sealed for something else than {wanted}; set it anew with `sekisho secret set`")]
    OtherPurpose {
        /// What it is used for.
        wanted: String,
    },
    /// It was sealed with another key.
    #[error(
        "it was sealed with another key than `{}`; bring that one back from the machine it was sealed on, or set it anew with \
         `sekisho secret set`",
        path.display()
    )]
    OtherKey {
        /// The key that is there.
        path: PathBuf,
    },
    /// It is not what was sealed.
    #[error("it was changed since it was sealed; set it anew with `sekisho secret set`")]
    Tampered,
    /// The name of what it is for cannot stand in a sealed file.
    #[error("a secret cannot be sealed for a name with spaces or control characters")]
    Name,
    /// It is empty, or longer than what is read.
    #[error("a secret has 1 to {SECRET_BYTES_MAX} bytes")]
    Length,
    /// The machine has no randomness to give.
    #[error("the machine has no random bytes to give")]
    Random,
}

impl Purpose<'_> {
    /// Whether something can be sealed for it.
    ///
    /// # Errors
    /// [`SealError::Name`]
    pub fn check(self) -> Result<(), SealError> {
        self.line().map(drop)
    }

    /// As it stands in a sealed file: one line.
    fn line(self) -> Result<String, SealError> {
        let line = self.to_string();
        let is_plain = line.bytes().filter(|byte| *byte == b' ').count() == 1 && !line.contains(char::is_control);
        if is_plain { Ok(line) } else { Err(SealError::Name) }
    }
}

impl fmt::Display for Purpose<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Purpose::Server { server, name } => write!(f, "servers.{server} {name}"),
            Purpose::Provider => f.write_str("broker provider"),
            Purpose::Client { id } => write!(f, "broker.clients {id}"),
            Purpose::Collector { name } => write!(f, "telemetry {name}"),
        }
    }
}

impl SealingKey {
    /// Where it is: `$XDG_DATA_HOME/sekisho/key`, or `~/.local/share/sekisho/key`. `env` looks up an environment variable.
    ///
    /// # Errors
    /// [`SealError::NoHome`]
    pub fn place(env: &dyn Fn(&str) -> Option<OsString>) -> Result<PathBuf, SealError> {
        // A relative path counts as unset (XDG Base Directory Specification 0.8).
        let named = |name: &str| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let data = named("XDG_DATA_HOME").or_else(|| named("HOME").map(|home| home.join(".local/share")));
        data.map(|data| data.join("sekisho/key")).ok_or(SealError::NoHome)
    }

    /// The key at `path`.
    ///
    /// # Errors
    /// It is not there, is open to others, or is none.
    pub fn load(path: &Path) -> Result<SealingKey, SealError> {
        let failed = |source| SealError::Key { path: path.to_owned(), source };
        let folder = path.parent().unwrap_or(path);
        let (bytes, mode) = match files::read(path, KEY_BYTES_MAX) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(SealError::NoKey { path: path.to_owned() });
            }
            Err(error) => return Err(failed(error)),
        };
        // Whoever may write the folder may put another key there, and then hand over secrets sealed with it.
        let folder_mode = folder.metadata().map_err(failed)?.permissions().mode() & 0o7777;
        for (path, mode, open) in [(path, mode, 0o077), (folder, folder_mode, 0o022)] {
            if mode & open != 0 {
                return Err(SealError::Exposed { path: path.to_owned(), mode });
            }
        }
        let damaged = || SealError::KeyDamaged { path: path.to_owned() };
        let text = std::str::from_utf8(&bytes).map_err(|_| damaged())?;
        let words = text.strip_prefix(KEY_FORM).and_then(|rest| rest.strip_suffix('\n')).ok_or_else(damaged)?;
        let key = STANDARD.decode(words).map(Zeroizing::new).map_err(|_| damaged())?;
        let key = Zeroizing::new(<[u8; KEY_BYTES]>::try_from(key.as_slice()).map_err(|_| damaged())?);
        let id = digest(&SHA256, key.as_slice()).as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let key = RandomizedNonceKey::new(&AES_256_GCM, key.as_slice()).map_err(|_| damaged())?;
        Ok(SealingKey { path: path.to_owned(), id, key })
    }

    /// The key at `path`, made if there is none. Two that make one at once get the same.
    ///
    /// # Errors
    /// It cannot be made, is open to others, or is none.
    pub fn ensure(path: &Path) -> Result<SealingKey, SealError> {
        match SealingKey::load(path) {
            Err(SealError::NoKey { .. }) => {}
            other => return other,
        }
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        aws_lc_rs::rand::fill(key.as_mut_slice()).map_err(|_| SealError::Random)?;
        let text = Zeroizing::new(format!("{KEY_FORM}{}\n", *Zeroizing::new(STANDARD.encode(key.as_slice()))));
        create(path, text.as_bytes()).map_err(|source| SealError::Key { path: path.to_owned(), source })?;
        SealingKey::load(path)
    }

    pub(crate) fn key(&self) -> &RandomizedNonceKey {
        &self.key
    }

    /// Where it was read from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The secret as the text of a sealed file.
    ///
    /// # Errors
    /// It is empty or too long, or the name of what it is for cannot stand there.
    pub fn seal(&self, purpose: Purpose<'_>, secret: &SecretString) -> Result<String, SealError> {
        let secret = secret.expose_secret();
        if secret.is_empty() || secret.len() > SECRET_BYTES_MAX {
            return Err(SealError::Length);
        }
        let head = self.head(&purpose.line()?);
        // Room for the tag, too, so that no half of it is left behind where a growing buffer was.
        let mut bytes = Zeroizing::new(Vec::with_capacity(secret.len().saturating_add(TAG_BYTES)));
        bytes.extend_from_slice(secret.as_bytes());
        let sealed = self.key.seal_in_place_append_tag(Aad::from(head.as_bytes()), &mut *bytes);
        let nonce = sealed.map_err(|_| SealError::Random)?;
        let whole = [nonce.as_ref().as_slice(), bytes.as_slice()].concat();
        Ok(format!("{head}{}\n", STANDARD.encode(whole)))
    }

    /// The secret of a sealed file.
    ///
    /// # Errors
    /// It is none, or not the one that was sealed with this key for this purpose.
    pub fn open(&self, purpose: Purpose<'_>, sealed: &[u8]) -> Result<SecretString, SealError> {
        let text = std::str::from_utf8(sealed).map_err(|_| SealError::Form)?;
        let mut lines = text.split_inclusive('\n');
        let mut line = || lines.next().and_then(|line| line.strip_suffix('\n'));
        match line() {
            Some(FORM) => {}
            Some(other) if other.starts_with(FORM_OF_ALL) => return Err(SealError::Version),
            Some(_) | None => return Err(SealError::Form),
        }
        let wanted = purpose.line()?;
        let (purpose, key, rest) = (line(), line(), line());
        let (Some(purpose), Some(key), Some(rest), None) = (purpose, key, rest, lines.next()) else {
            return Err(SealError::Form);
        };
        let purpose = purpose.strip_prefix(FOR).ok_or(SealError::Form)?;
        if key.strip_prefix(KEY).ok_or(SealError::Form)? != self.id {
            return Err(SealError::OtherKey { path: self.path.clone() });
        }
        if purpose != wanted {
            return Err(SealError::OtherPurpose { wanted: format!("`{wanted}`") });
        }
        let mut bytes = STANDARD.decode(rest).map(Zeroizing::new).map_err(|_| SealError::Form)?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN).ok_or(SealError::Form)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Form)?;
        let aad = Aad::from(self.head(&wanted).into_bytes());
        let secret = self.key.open_in_place(nonce, aad, sealed).map_err(|_| SealError::Tampered)?;
        let secret = std::str::from_utf8(secret).map_err(|_| SealError::Tampered)?;
        if secret.is_empty() { Err(SealError::Length) } else { Ok(SecretString::from(secret)) }
    }

    fn head(&self, purpose: &str) -> String {
        format!("{FORM}\n{FOR}{purpose}\n{KEY}{}\n", self.id)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({})", self.path.display())
    }
}

/// Whether the text of a file begins as sealed ones do: what does not is nothing that a sealed one may take the place of.
#[must_use]
pub fn is_sealed(text: &[u8]) -> bool {
    text.starts_with(FORM_OF_ALL.as_bytes())
}

/// Writes a file that is not there, whole or not at all: what is there by then, since another was faster, stays.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut name = [0; 8];
    aws_lc_rs::rand::fill(&mut name).map_err(|_| io::Error::other("the machine has no random bytes to give"))?;
    let beside = folder.join(format!(".key-{:016x}", u64::from_ne_bytes(name)));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    // A link is refused where something is; a rename would take its place.
    let linked = written.and_then(|()| match std::fs::hard_link(&beside, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    });
    std::fs::remove_file(&beside)?;
    linked.and_then(|()| File::open(folder)?.sync_all())
}

const FORM: &str = "sekisho-sealed 1";
const FORM_OF_ALL: &str = "sekisho-sealed ";
const FOR: &str = "for ";
const KEY: &str = "key ";
const KEY_FORM: &str = "sekisho-key 1 ";
const KEY_BYTES: usize = 32;
const KEY_BYTES_MAX: usize = 128;
const TAG_BYTES: usize = 16;
pub(crate) const SECRET_BYTES_MAX: usize = 64 * 1024;
/// LIMIT: of a sealed file: the longest secret in base64, and the lines before it.
pub(crate) const SEALED_BYTES_MAX: usize = 96 * 1024;
