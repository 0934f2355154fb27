//! A client's file, read so that it can be put back exactly as it was.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::clients::Format;
use super::tree::Node;
use super::{json, toml, yaml};
use crate::home::files;

/// A file that is there.
#[derive(Clone)]
pub(crate) struct Source {
    /// Where it is, behind all links.
    pub(crate) target: PathBuf,
    /// What it says.
    pub(crate) text: String,
    /// Its mode, for who looks at the copy of it.
    pub(crate) mode: u32,
}

impl std::fmt::Debug for Source {
    // Never the text: it holds secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Source({})", self.target.display())
    }
}

/// Reads the file at `path`, if there is one. Links lead nowhere outside of `root`.
///
/// # Errors
/// Why it is not touched.
pub(crate) fn read(path: &Path, root: &Path) -> Result<Option<Source>, String> {
    match path.symlink_metadata() {
        Ok(_) => {}
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(format!("it cannot be looked at: {error}")),
    }
    let target = path.canonicalize().map_err(|error| format!("it is a link that leads nowhere: {error}"))?;
    let root = root.canonicalize().map_err(|error| format!("`{}` cannot be looked at: {error}", root.display()))?;
    if !target.starts_with(&root) {
        return Err(format!("it leads to `{}`, outside of `{}`", target.display(), root.display()));
    }
    let metadata = target.metadata().map_err(|error| format!("it cannot be looked at: {error}"))?;
    if !metadata.is_file() {
        return Err("it is no regular file".to_owned());
    }
    if metadata.nlink() > 1 {
        return Err("it has a second name (a hard link), which would go on with the old content".to_owned());
    }
    let bytes = files::read(&target, BYTES_MAX).map_err(|error| format!("it cannot be read: {error}"))?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len > BYTES_MAX) {
        return Err("it is larger than 4 MiB".to_owned());
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(
            "it begins with a byte order mark, which some clients cannot read: save it as UTF-8 without one".to_owned()
        );
    }
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())?;
    Ok(Some(Source { target, text, mode: metadata.mode() & 0o7777 }))
}

/// What the text says.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(format: Format, text: &str) -> Result<Node, String> {
    match format {
        Format::Json => json::read(text),
        Format::Toml => toml::read(text),
        Format::Yaml => yaml::read(text),
    }
}

/// LIMIT: of a client's file.
const BYTES_MAX: u64 = 4 * 1024 * 1024;
