//! How much may be used: limits of processes, and of control groups where some were made.

use std::fs;
use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::plan::Bounds;

/// Enters the control groups that were made for it.
pub(crate) fn enter(groups: &[String]) -> io::Result<()> {
    groups.iter().try_for_each(|group| fs::write(format!("{group}/cgroup.procs"), "0"))
}

/// Sets the limits of this process, which all that it starts inherit.
pub(crate) fn set(bounds: &Bounds) -> nix::Result<()> {
    let limits = [
        // Not the address space: engines such as V8 reserve far more of it than they use.
        (Resource::RLIMIT_DATA, bounds.memory_bytes_max),
        (Resource::RLIMIT_NPROC, u64::from(bounds.processes_max)),
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

const MEMLOCK_BYTES_MAX: u64 = 8 * 1024 * 1024;
