//! What files are, by SHA-256: read once, and known by what the file system says of them from then on.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::statfs::{BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, FsType, OVERLAYFS_SUPER_MAGIC, XFS_SUPER_MAGIC, fstatfs};
use nix::unistd::Uid;
use sekisho_audit::Digest;

/// The digests of files that were read.
#[derive(Debug, Default)]
pub struct Digests(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    by_stamp: BTreeMap<Stamp, Digest>,
    /// Whether there is something that was not kept.
    fresh: bool,
}

/// By what a file is known to be as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    /// Nobody can set it.
    changed: (i64, i64),
}

impl Digests {
    /// Those of this process: what one server's program was found to be holds for all of them.
    #[must_use]
    pub fn shared() -> &'static Digests {
        static SHARED: Digests = Digests(Mutex::new(Known { by_stamp: BTreeMap::new(), fresh: false }));
        &SHARED
    }

    /// SHA-256 of a file's first gibibyte. One that is as it was at the last look is not read again.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of(&self, file: &Path) -> io::Result<Digest> {
        let open = File::open(file)?;
        // Whoever has changed a page of it in memory may go on to change that page, and no stamp tells, until it is written to the disk.
        let is_told = tells_of_changes(&open) && open.sync_data().is_ok();
        let stamp = Stamp::of(&open.metadata()?);
        if let Some(known) = self.known().by_stamp.get(&stamp).filter(|_| is_told) {
            return Ok(*known);
        }
        let digest = Digest::of_reader((&open).take(PROGRAM_BYTES_MAX))?;
        // A change within the same tick of the file system's clock would have the same stamp.
        if is_told && stamp == Stamp::of(&open.metadata()?) && stamp.is_settled(SystemTime::now()) {
            self.known().learn(stamp, digest);
        }
        Ok(digest)
    }

    /// Takes over what [`Digests::keep`] wrote since this machine was started: only from a file that nobody but this user can write.
    pub fn recall(&self, from: &Path) {
        let Some(text) = read_own(from) else { return };
        let mut lines = text.lines();
        if lines.next() != heading().as_deref() {
            return;
        }
        let mut known = self.known();
        for (stamp, digest) in lines.filter_map(read_line) {
            known.by_stamp.entry(stamp).or_insert(digest);
        }
    }

    /// Writes down what is known, if it is more than was kept before, for processes that start later.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&self, at: &Path) -> io::Result<()> {
        let mut known = self.known();
        let Some(mut text) = heading().filter(|_| known.fresh) else { return Ok(()) };
        for (stamp, digest) in &known.by_stamp {
            let Stamp { device, inode, size, modified, changed } = stamp;
            let ((m, m_ns), (c, c_ns)) = (modified, changed);
            // Writing to a String cannot fail.
            let _written = write!(text, "\n{device} {inode} {size} {m} {m_ns} {c} {c_ns} {digest}");
        }
        let beside = at.with_extension(format!("{}.next", std::process::id()));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        let written = file.write_all(text.as_bytes()).and_then(|()| std::fs::rename(&beside, at));
        written.inspect_err(|_| drop(std::fs::remove_file(&beside)))?;
        known.fresh = false;
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing here leaves it half changed, so a panic elsewhere does not spoil it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn learn(&mut self, stamp: Stamp, digest: Digest) {
        if self.by_stamp.len() >= KNOWN_MAX {
            self.by_stamp.pop_first();
        }
        self.by_stamp.insert(stamp, digest);
        self.fresh = true;
    }
}

impl Stamp {
    fn of(about: &Metadata) -> Stamp {
        Stamp {
            device: about.dev(),
            inode: about.ino(),
            size: about.size(),
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        }
    }

    fn is_settled(&self, now: SystemTime) -> bool {
        let changed = u64::try_from(self.changed.0).ok().and_then(|s| UNIX_EPOCH.checked_add(Duration::from_secs(s)));
        changed.is_some_and(|changed| now.duration_since(changed).is_ok_and(|age| age >= SETTLED_AFTER))
    }
}

/// Whether a file system is one of those that tell of each change of a file by its time, those by way of memory among them, and that
/// nobody but the kernel speaks for.
fn tells_of_changes(file: &File) -> bool {
    const KNOWN: [FsType; 4] = [EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC];
    fstatfs(file).is_ok_and(|about| KNOWN.contains(&about.filesystem_type()))
}

/// Numbers of devices mean the same until the machine is started anew.
fn heading() -> Option<String> {
    let start = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(format!("sekisho programs 1 {}", start.trim()))
}

fn read_own(file: &Path) -> Option<String> {
    let open = OpenOptions::new().read(true).custom_flags(nix::libc::O_NOFOLLOW).open(file).ok()?;
    let about = open.metadata().ok()?;
    let own = about.is_file() && about.uid() == Uid::effective().as_raw() && about.mode() & 0o022 == 0;
    let mut text = String::new();
    own.then(|| open.take(KEPT_BYTES_MAX).read_to_string(&mut text).ok()).flatten()?;
    Some(text)
}

fn read_line(line: &str) -> Option<(Stamp, Digest)> {
    let mut words = line.split(' ');
    let mut number = || words.next()?.parse::<i64>().ok();
    let unsigned = |number: Option<i64>| u64::try_from(number?).ok();
    let (device, inode, size) = (unsigned(number())?, unsigned(number())?, unsigned(number())?);
    let stamp = Stamp { device, inode, size, modified: (number()?, number()?), changed: (number()?, number()?) };
    let digest = Digest::parse(words.next()?)?;
    words.next().is_none().then_some((stamp, digest))
}

/// LIMIT: of a program whose digest is taken.
pub(crate) const PROGRAM_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// How long a file must have been as it is, so that its stamp tells a change. File systems keep times by a few seconds at worst.
const SETTLED_AFTER: Duration = Duration::from_secs(3);
/// LIMIT: files that are known.
const KNOWN_MAX: usize = 512;
/// Longer than what is kept of that many.
const KEPT_BYTES_MAX: u64 = 256 * 1024;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_change_is_noticed_whatever_is_made_of_its_time_and_a_file_as_it_was_is_not_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let tool = dir.path().join("tool");
        fs::write(&tool, "one").unwrap();
        let digests = Digests::default();
        let before = digests.of(&tool).unwrap();
        assert_eq!(before, Digest::of(b"one"));
        assert!(digests.known().by_stamp.is_empty(), "a file that has just changed may change within the same moment");
        let modified = tool.metadata().unwrap().modified().unwrap();
        fs::write(&tool, "two").unwrap();
        File::options().write(true).open(&tool).unwrap().set_modified(modified).unwrap();
        assert_eq!(digests.of(&tool).unwrap(), Digest::of(b"two"));
        let settled = Path::new("/bin/sh");
        let digest = digests.of(settled).unwrap();
        assert_eq!(digest, Digest::of(&fs::read(settled).unwrap()));
        let stamp = Stamp::of(&settled.metadata().unwrap());
        // What is remembered is what is told, so it was not read.
        assert_eq!(digests.known().by_stamp.insert(stamp, before), Some(digest));
        assert_eq!(digests.of(settled).unwrap(), before);
    }

    #[test]
    fn a_page_that_somebody_changes_in_memory_is_noticed_however_late() {
        let dir = tempfile::tempdir().unwrap();
        let tool = dir.path().join("tool");
        fs::write(&tool, vec![b'a'; 4096]).unwrap();
        let script = "import mmap, sys\nfile = open(sys.argv[1], 'r+b')\npage = mmap.mmap(file.fileno(), 0)\nfile.close()\n\
                      for byte in b'bc':\n    page[0] = byte\n    print(flush=True)\n    sys.stdin.readline()\n";
        let mut python = std::process::Command::new(crate::tests::support::python());
        python.args(["-c", script]).arg(&tool).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut python = python.spawn().unwrap();
        let mut told = std::io::BufReader::new(python.stdout.take().unwrap());
        let mut changed = || std::io::BufRead::read_line(&mut told, &mut String::new()).unwrap();
        changed();
        std::thread::sleep(SETTLED_AFTER + Duration::from_secs(1));
        let digests = Digests::default();
        let before = digests.of(&tool).unwrap();
        let mut go_on = python.stdin.take().unwrap();
        go_on.write_all(b"\n").unwrap();
        changed();
        assert_ne!(digests.of(&tool).unwrap(), before);
        drop(go_on);
        python.wait().unwrap();
    }

    #[test]
    fn what_is_kept_is_recalled_from_an_own_file_of_this_start_of_the_machine_alone() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("programs");
        let digests = Digests::default();
        digests.of(Path::new("/bin/sh")).unwrap();
        digests.keep(&at).unwrap();
        let recalled = |file: &Path| {
            let digests = Digests::default();
            digests.recall(file);
            digests.known().by_stamp.clone()
        };
        assert_eq!(recalled(&at), digests.known().by_stamp);
        assert_eq!(recalled(&at).len(), 1);
        // Nothing new, so nothing is written.
        fs::remove_file(&at).unwrap();
        digests.keep(&at).unwrap();
        assert!(!at.exists());
        digests.known().fresh = true;
        digests.keep(&at).unwrap();
        let text = fs::read_to_string(&at).unwrap();
        let (head, line) = text.split_once('\n').unwrap();
        for (text, why) in [
            (format!("{head}0\n{line}"), "another start of the machine"),
            (format!("{head}\n{line} more"), "a line of another form"),
            (format!("{head}\n{}", line.get(..line.len() - 1).unwrap()), "half a line"),
            (format!("{head}\n-{line}"), "a device below none"),
        ] {
            fs::write(&at, text).unwrap();
            assert!(recalled(&at).is_empty(), "{why}");
        }
        fs::write(&at, &text).unwrap();
        assert_eq!(recalled(&at).len(), 1);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&at, &link).unwrap();
        assert!(recalled(&link).is_empty(), "a link");
        fs::set_permissions(&at, fs::Permissions::from_mode(0o620)).unwrap();
        assert!(recalled(&at).is_empty(), "a file that others can write");
    }

    #[test]
    fn what_is_known_is_bounded() {
        let mut known = Known::default();
        for size in 0..=u64::try_from(KNOWN_MAX).unwrap() {
            let stamp = Stamp { device: 1, inode: 1, size, modified: (0, 0), changed: (0, 0) };
            known.learn(stamp, Digest::of(b""));
        }
        assert_eq!(known.by_stamp.len(), KNOWN_MAX);
    }
}
