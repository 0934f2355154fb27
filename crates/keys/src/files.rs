//! Reading small files of unknown kind.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use zeroize::Zeroizing;

/// At most `bytes_max` bytes and one more of a regular file, and its permission bits.
///
/// # Errors
/// It cannot be read, or is a folder, a pipe or a device ([`io::ErrorKind::InvalidInput`]).
pub(crate) fn read(path: &Path, bytes_max: usize) -> io::Result<(Zeroizing<Vec<u8>>, u32)> {
    let other = || io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file");
    // Looked at before it is opened: to open a pipe waits for its writer. Looked at again afterwards: it may be another by then.
    if !std::fs::metadata(path)?.is_file() {
        return Err(other());
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(other());
    }
    // Room for all of it at once, so that no half of it is left behind where a growing buffer was.
    let bound = bytes_max.saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::with_capacity(bound));
    file.take(u64::try_from(bound).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
    Ok((bytes, metadata.permissions().mode() & 0o7777))
}
