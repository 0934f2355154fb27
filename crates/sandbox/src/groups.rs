//! Control groups, where some can be made: all processes of a server together get so much and no more (cgroups(7)).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use crate::plan::Bounds;

/// The control groups of one server. Dropped, they are removed.
#[derive(Debug)]
pub struct Groups {
    made: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    folder: PathBuf,
    version: Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    /// One hierarchy for each controller.
    V1,
    /// One for all.
    V2,
}

impl Groups {
    /// None at all.
    #[must_use]
    pub fn none() -> Groups {
        Groups { made: Vec::new() }
    }

    /// Whether any can be made here.
    #[must_use]
    pub fn can_be_made() -> bool {
        let bounds = Bounds { memory_bytes_max: 1 << 30, processes_max: 64, open_files_max: 64, file_bytes_max: 1 };
        !Groups::make(&bounds).made.is_empty()
    }

    /// Those that this process may make. Where it may make none, the limits of processes do what they can.
    #[must_use]
    pub(crate) fn make(bounds: &Bounds) -> Groups {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Groups::make_in(Path::new("/sys/fs/cgroup"), &own, bounds, &next_name())
    }

    fn make_in(root: &Path, own: &str, bounds: &Bounds, name: &str) -> Groups {
        let mut made = Vec::new();
        for line in own.lines() {
            let mut fields = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
                continue;
            };
            let path = path.trim_start_matches('/');
            let group = match controllers {
                "" => unified(root, path, bounds, name),
                "memory" => {
                    single(&root.join("memory").join(path), name, &[("memory.limit_in_bytes", bounds.memory_bytes_max)])
                }
                "pids" => single(&root.join("pids").join(path), name, &[("pids.max", u64::from(bounds.processes_max))]),
                _ => None,
            };
            made.extend(group);
        }
        Groups { made }
    }

    /// Their folders.
    #[must_use]
    pub(crate) fn folders(&self) -> Vec<String> {
        self.made.iter().filter_map(|group| group.folder.to_str().map(String::from)).collect()
    }

    /// The most memory that was used at once, in bytes, as far as the kernel counts it.
    #[must_use]
    pub fn memory_peak_bytes(&self) -> Option<u64> {
        self.made.iter().find_map(|group| {
            let file = match group.version {
                Version::V1 => "memory.max_usage_in_bytes",
                Version::V2 => "memory.peak",
            };
            fs::read_to_string(group.folder.join(file)).ok()?.trim().parse().ok()
        })
    }

    /// How often the kernel ended a process for want of memory.
    #[must_use]
    pub fn out_of_memory(&self) -> u64 {
        let count = |group: &Group| {
            let file = match group.version {
                Version::V1 => "memory.oom_control",
                Version::V2 => "memory.events",
            };
            let text = fs::read_to_string(group.folder.join(file)).ok()?;
            text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
        };
        self.made.iter().find_map(count).unwrap_or(0)
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for group in &self.made {
            // Whoever is still in it is ended, and then it is empty within moments.
            group.end_all();
            for _ in 0..REMOVE_TRIES {
                match fs::remove_dir(&group.folder) {
                    Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                        group.end_all();
                        std::thread::yield_now();
                    }
                    Ok(()) | Err(_) => break,
                }
            }
        }
    }
}

impl Group {
    fn end_all(&self) {
        match self.version {
            Version::V1 => {
                let members = fs::read_to_string(self.folder.join("cgroup.procs")).unwrap_or_default();
                for member in members.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)) {
                    let _ = kill_process(member, Signal::KILL);
                }
            }
            Version::V2 => drop(fs::write(self.folder.join("cgroup.kill"), "1")),
        }
    }
}

/// Those of a process that was ended before it could remove them. One that is in use stays: the kernel removes only what is empty.
fn sweep(parent: &Path) {
    let entries = fs::read_dir(parent).into_iter().flatten().filter_map(Result::ok);
    for entry in entries {
        let name = entry.file_name();
        let maker = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split_once('-')?.0.parse::<u32>().ok());
        if maker.is_some_and(|maker| !Path::new(&format!("/proc/{maker}")).exists()) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// In a hierarchy of one controller: below the group that this process is in.
fn single(own: &Path, name: &str, limits: &[(&str, u64)]) -> Option<Group> {
    let folder = own.join(name);
    fs::create_dir(&folder).ok()?;
    sweep(own);
    limited(folder, Version::V1, limits)
}

/// In the hierarchy of all: below the nearest group above that gives these controllers to those below it, and is ours to change. Below the
/// own one no group can be made that counts memory, since this process is in it.
fn unified(root: &Path, own: &str, bounds: &Bounds, name: &str) -> Option<Group> {
    let root = if root.join("unified").is_dir() { root.join("unified") } else { root.to_owned() };
    let gives = |folder: &Path| {
        let given = fs::read_to_string(folder.join("cgroup.subtree_control")).unwrap_or_default();
        ["memory", "pids"].iter().all(|wanted| given.split_whitespace().any(|given| given == *wanted))
    };
    let own = root.join(own);
    let above = own.ancestors().take_while(|folder| folder.starts_with(&root));
    let folder = above
        .filter(|folder| gives(folder))
        .map(|folder| folder.join(name))
        .find(|folder| fs::create_dir(folder).is_ok())?;
    folder.parent().into_iter().for_each(sweep);
    let limits = [("memory.max", bounds.memory_bytes_max), ("pids.max", u64::from(bounds.processes_max))];
    limited(folder, Version::V2, &limits)
}

/// With its limits; removed again if one of them cannot be set.
fn limited(folder: PathBuf, version: Version, limits: &[(&str, u64)]) -> Option<Group> {
    let set = limits.iter().try_for_each(|(file, limit)| fs::write(folder.join(file), limit.to_string()));
    if set.is_err() {
        let _ = fs::remove_dir(&folder);
        return None;
    }
    if version == Version::V2 {
        // What cannot be kept in memory ends the server, and does not slow the machine. Not every machine has a swap to forbid.
        let _ = fs::write(folder.join("memory.swap.max"), "0");
        let _ = fs::write(folder.join("memory.oom.group"), "1");
    }
    Some(Group { folder, version })
}

fn next_name() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    format!("{PREFIX}{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

const PREFIX: &str = "sekisho-";
/// LIMIT: a group that is not empty by then stays; nothing in it runs.
const REMOVE_TRIES: u32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds =
        Bounds { memory_bytes_max: 64 << 20, processes_max: 7, open_files_max: 8, file_bytes_max: 9 };

    fn tree(folders: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (folder, given) in folders {
            fs::create_dir_all(root.path().join(folder)).unwrap();
            fs::write(root.path().join(folder).join("cgroup.subtree_control"), given).unwrap();
        }
        root
    }

    fn read(root: &Path, file: &str) -> String {
        fs::read_to_string(root.join(file)).unwrap()
    }

    #[test]
    fn unified_group_is_made_below_the_nearest_that_gives_its_controllers() {
        let root = tree(&[
            ("user.slice/user@1000.service", "memory pids"),
            ("user.slice/user@1000.service/app.slice", "memory pids"),
            ("user.slice/user@1000.service/app.slice/claude.scope", ""),
        ]);
        let own = "0::/user.slice/user@1000.service/app.slice/claude.scope\n";
        let groups = Groups::make_in(root.path(), own, &BOUNDS, "s");
        let folder = "user.slice/user@1000.service/app.slice/s";
        assert_eq!(groups.folders(), [root.path().join(folder).to_str().unwrap()]);
        assert_eq!(read(root.path(), &format!("{folder}/memory.max")), (64 << 20).to_string());
        assert_eq!(read(root.path(), &format!("{folder}/pids.max")), "7");
    }

    #[test]
    fn without_controllers_no_group_is_made() {
        let root = tree(&[("a", "cpu pids"), ("a/b", "memory")]);
        assert!(Groups::make_in(root.path(), "0::/a/b\n", &BOUNDS, "s").folders().is_empty());
        assert!(Groups::make_in(root.path(), "", &BOUNDS, "s").folders().is_empty());
        assert!(Groups::make_in(root.path(), "nonsense", &BOUNDS, "s").folders().is_empty());
    }

    #[test]
    fn hierarchies_of_one_controller_have_a_group_each() {
        let root = tree(&[("memory/x", ""), ("pids", "")]);
        let groups = Groups::make_in(root.path(), "8:pids:/\n4:memory:/x\n1:cpu:/\n0::/\n", &BOUNDS, "s");
        assert_eq!(groups.folders().len(), 2);
        assert_eq!(read(root.path(), "memory/x/s/memory.limit_in_bytes"), (64 << 20).to_string());
        assert_eq!(read(root.path(), "pids/s/pids.max"), "7");
        fs::write(root.path().join("memory/x/s/memory.max_usage_in_bytes"), "4096\n").unwrap();
        fs::write(root.path().join("memory/x/s/memory.oom_control"), "under_oom 0\noom_kill 2\n").unwrap();
        assert_eq!(groups.memory_peak_bytes(), Some(4096));
        assert_eq!(groups.out_of_memory(), 2);
    }

    #[test]
    fn what_a_process_that_is_gone_has_left_is_removed_and_nothing_else() {
        let root = tree(&[("memory", ""), ("pids", "")]);
        let own = format!("sekisho-{}-9", std::process::id());
        // No process has this number (PID_MAX_LIMIT).
        for folder in ["sekisho-4194305-1", "sekisho-x-1", "docker-4194305-1", own.as_str()] {
            fs::create_dir(root.path().join("memory").join(folder)).unwrap();
        }
        let _groups = Groups::make_in(root.path(), "4:memory:/\n", &BOUNDS, "s");
        assert!(!root.path().join("memory/sekisho-4194305-1").exists());
        for kept in ["memory/sekisho-x-1", "memory/docker-4194305-1", &format!("memory/{own}"), "memory/s"] {
            assert!(root.path().join(kept).exists(), "{kept}");
        }
    }
}
