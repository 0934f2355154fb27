//! Files of one folder and nothing else. Every step is an `openat(2)` that follows no symbolic link, from a folder that is held
//! open: no path is looked up twice, so nothing can be exchanged between check and use.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;

/// A folder that is held open.
#[derive(Debug)]
pub(super) struct Shelf {
    root: OwnedFd,
    path: PathBuf,
}

/// A file that was found.
#[derive(Debug)]
pub(super) struct Found {
    /// Its path within the folder, with `/` between the names.
    pub(super) path: String,
    /// Its size in bytes.
    pub(super) bytes: u64,
}

/// Why a file is not reached. The words are for the caller, and say nothing about what lies outside of the folder.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("a path is relative and made of plain names, such as `letters/first.txt`")]
    Path,
    #[error("there is no such file")]
    Missing,
    #[error("that is not a regular file of this folder")]
    NotAFile,
    #[error("the file is not UTF-8 text")]
    NotText,
    #[error("the file is larger than {FILE_BYTES_MAX} bytes")]
    TooLarge,
    #[error("the file cannot be used")]
    Unusable,
}

impl Shelf {
    pub(super) fn open(root: &Path) -> io::Result<Shelf> {
        DirBuilder::new().recursive(true).mode(0o700).create(root)?;
        let path = root.canonicalize()?;
        let root = open(&path, FOLDER, Mode::empty())?;
        Ok(Shelf { root, path })
    }

    /// The files, in the order of their paths; links and deep folders are passed over.
    pub(super) fn list(&self) -> Result<Vec<Found>, Refused> {
        let mut found = Vec::new();
        let mut ahead = vec![(self.path.clone(), String::new(), 0)];
        while let Some((folder, prefix, depth)) = ahead.pop() {
            for entry in std::fs::read_dir(folder).map_err(|_| Refused::Unusable)? {
                let Ok(entry) = entry else { continue };
                // Not followed: `DirEntry::metadata` is that of a link itself.
                let (Ok(metadata), Ok(name)) = (entry.metadata(), entry.file_name().into_string()) else { continue };
                let path = format!("{prefix}{name}");
                if metadata.is_dir() && depth < DEPTH_MAX {
                    ahead.push((entry.path(), format!("{path}/"), depth + 1));
                } else if metadata.is_file() && found.len() < FILES_MAX {
                    found.push(Found { path, bytes: metadata.len() });
                }
            }
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    pub(super) fn read(&self, path: &str) -> Result<String, Refused> {
        let file = self.reach(path, OFlag::O_RDONLY)?;
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX.saturating_add(1)).read_to_end(&mut bytes).map_err(|_| Refused::Unusable)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
            return Err(Refused::TooLarge);
        }
        String::from_utf8(bytes).map_err(|_| Refused::NotText)
    }

    /// Replaces what is in the file, or makes it; its folder must be there.
    pub(super) fn write(&self, path: &str, text: &str) -> Result<(), Refused> {
        if u64::try_from(text.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
            return Err(Refused::TooLarge);
        }
        // Emptied only once it is known to be a file.
        let mut file = self.reach(path, OFlag::O_WRONLY | OFlag::O_CREAT)?;
        file.set_len(0).and_then(|()| file.write_all(text.as_bytes())).map_err(|_| Refused::Unusable)
    }

    fn reach(&self, path: &str, how: OFlag) -> Result<File, Refused> {
        let names: Vec<&str> = path.split('/').collect();
        let plain = |name: &&str| !matches!(*name, "" | "." | "..") && !name.contains(['\0', '\\']);
        if path.len() > PATH_BYTES_MAX || !names.iter().all(plain) {
            return Err(Refused::Path);
        }
        let (last, folders) = names.split_last().ok_or(Refused::Path)?;
        let mut folder = self.root.try_clone().map_err(|_| Refused::Unusable)?;
        for name in folders {
            folder = openat(&folder, OsStr::new(name), FOLDER, Mode::empty()).map_err(refused)?;
        }
        // Not blocking: to open a pipe would wait for its other end.
        let how = how | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let file = File::from(openat(&folder, OsStr::new(last), how, mode).map_err(refused)?);
        let metadata = file.metadata().map_err(|_| Refused::Unusable)?;
        if metadata.is_file() { Ok(file) } else { Err(Refused::NotAFile) }
    }
}

fn refused(error: Errno) -> Refused {
    // A link (ELOOP, or ENOTDIR where a folder was asked for), a folder where a file was asked for, a pipe without a reader.
    const NOT_A_FILE: [Errno; 4] = [Errno::ELOOP, Errno::ENOTDIR, Errno::EISDIR, Errno::ENXIO];
    if error == Errno::ENOENT {
        Refused::Missing
    } else if NOT_A_FILE.contains(&error) {
        Refused::NotAFile
    } else {
        Refused::Unusable
    }
}

const FOLDER: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);
const FILE_BYTES_MAX: u64 = 1024 * 1024;
const PATH_BYTES_MAX: usize = 1024;
const FILES_MAX: usize = 1000;
const DEPTH_MAX: u32 = 8;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn shelf() -> (tempfile::TempDir, Shelf) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir_all(root.join("letters")).unwrap();
        std::fs::write(root.join("letters/first.txt"), "hello").unwrap();
        std::fs::write(dir.path().join("secret.txt"), "secret").unwrap();
        symlink(dir.path().join("secret.txt"), root.join("link.txt")).unwrap();
        symlink(dir.path(), root.join("up")).unwrap();
        symlink(root.join("letters"), root.join("inner")).unwrap();
        let shelf = Shelf::open(&root).unwrap();
        (dir, shelf)
    }

    #[test]
    fn files_within_are_listed_read_and_written() {
        let (_dir, shelf) = shelf();
        let listed: Vec<String> = shelf.list().unwrap().into_iter().map(|found| found.path).collect();
        assert_eq!(listed, ["letters/first.txt"]);
        assert_eq!(shelf.read("letters/first.txt").unwrap(), "hello");
        shelf.write("letters/first.txt", "bye").unwrap();
        shelf.write("é b.txt", "x").unwrap();
        assert_eq!(shelf.read("letters/first.txt").unwrap(), "bye");
        assert_eq!(shelf.read("é b.txt").unwrap(), "x");
    }

    #[test]
    fn nothing_outside_is_reached_by_name_or_by_link() {
        let (dir, shelf) = shelf();
        for path in
            ["../secret.txt", "letters/../../secret.txt", "/etc/passwd", "", ".", "letters//first.txt", "a\\b", "a\0"]
        {
            assert_eq!(shelf.read(path).unwrap_err(), Refused::Path, "{path:?}");
            assert_eq!(shelf.write(path, "x").unwrap_err(), Refused::Path, "{path:?}");
        }
        for path in ["link.txt", "up/secret.txt", "inner/first.txt", "letters"] {
            assert_eq!(shelf.read(path).unwrap_err(), Refused::NotAFile, "{path}");
            assert_eq!(shelf.write(path, "x").unwrap_err(), Refused::NotAFile, "{path}");
        }
        assert_eq!(std::fs::read_to_string(dir.path().join("secret.txt")).unwrap(), "secret");
        assert_eq!(shelf.read("letters/none.txt").unwrap_err(), Refused::Missing);
        assert_eq!(shelf.write("none/none.txt", "x").unwrap_err(), Refused::Missing);
    }

    #[test]
    fn pipe_is_refused_without_waiting() {
        let (dir, shelf) = shelf();
        nix::unistd::mkfifo(&dir.path().join("root/pipe"), Mode::S_IRWXU).unwrap();
        assert_eq!(shelf.read("pipe").unwrap_err(), Refused::NotAFile);
        assert_eq!(shelf.write("pipe", "x").unwrap_err(), Refused::NotAFile);
    }

    #[test]
    fn file_at_the_bound_is_read_and_one_past_it_refused() {
        let (dir, shelf) = shelf();
        let file = dir.path().join("root/big");
        let bound = usize::try_from(FILE_BYTES_MAX).unwrap();
        std::fs::write(&file, "a".repeat(bound)).unwrap();
        assert_eq!(shelf.read("big").unwrap().len(), bound);
        std::fs::write(&file, "a".repeat(bound + 1)).unwrap();
        assert_eq!(shelf.read("big").unwrap_err(), Refused::TooLarge);
        assert_eq!(shelf.write("big", &"a".repeat(bound + 1)).unwrap_err(), Refused::TooLarge);
        std::fs::write(&file, [0xff]).unwrap();
        assert_eq!(shelf.read("big").unwrap_err(), Refused::NotText);
    }
}
