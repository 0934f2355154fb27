//! How much may be used: limits of processes, and of control groups where some were made.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::plan::Plan;
use crate::tier::Tier;

/// Enters the control groups that were made for it.
pub(crate) fn enter(groups: &[String]) -> io::Result<()> {
    groups.iter().try_for_each(|group| fs::write(format!("{group}/cgroup.procs"), "0"))
}

/// Sets the limits of this process, which all that it starts inherit.
pub(crate) fn set(plan: &Plan) -> nix::Result<()> {
    let bounds = &plan.bounds;
    let others = match plan.tier {
        Tier::Full => 0,
        // Without a user namespace those of the user are counted together, whoever started them.
        Tier::Partial | Tier::None => threads_of_user(),
    };
    let limits = [
        // Not the address space: engines such as V8 reserve far more of it than they use.
        (Resource::RLIMIT_DATA, bounds.memory_bytes_max),
        (Resource::RLIMIT_NPROC, u64::from(bounds.processes_max).saturating_add(others)),
        (Resource::RLIMIT_NOFILE, u64::from(bounds.open_files_max)),
        (Resource::RLIMIT_FSIZE, bounds.file_bytes_max),
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_MEMLOCK, MEMLOCK_BYTES_MAX),
    ];
    for (resource, wanted) in limits {
        let (_, hard) = getrlimit(resource)?;
        let wanted = wanted.min(hard);
        setrlimit(resource, wanted, wanted)?;
    }
    Ok(())
}

/// Those that run now, as far as they are to be seen.
fn threads_of_user() -> u64 {
    let user = nix::unistd::Uid::current().as_raw();
    let processes = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let tasks = processes.filter_map(|process| fs::metadata(process.path().join("task")).ok());
    // A folder for each, beside those that every folder has.
    tasks.filter(|task| task.uid() == user).map(|task| task.nlink().saturating_sub(2)).sum()
}

const MEMLOCK_BYTES_MAX: u64 = 8 * 1024 * 1024;
