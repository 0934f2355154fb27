//! Which core runs what. A process inherits the cores of the thread that starts it.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The cores of a comparison: one for the two ends, one for what stands between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cores {
    ends: usize,
    between: usize,
}

impl Cores {
    /// Takes the first two cores that this process may use; none where there is only one.
    ///
    /// # Errors
    /// When the operating system does not tell.
    pub fn find() -> anyhow::Result<Option<Self>> {
        let all = sched_getaffinity(this_thread())?;
        let mut usable = (0..CpuSet::count()).filter(|cpu| all.is_set(*cpu).unwrap_or(false));
        Ok(usable.next().zip(usable.next()).map(|(ends, between)| Self { ends, between }))
    }

    /// Holds this thread, and whatever it starts, on the core of the ends.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn stay(self) -> anyhow::Result<()> {
        hold(self.ends)
    }

    /// Runs `start` on the core of what stands between, so that the process it starts stays there.
    ///
    /// # Errors
    /// When the operating system refuses, or `start` fails.
    pub fn between<T>(self, start: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        hold(self.between)?;
        let started = start();
        hold(self.ends)?;
        started
    }
}

fn hold(cpu: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(sched_setaffinity(this_thread(), &set)?)
}

fn this_thread() -> Pid {
    Pid::from_raw(0)
}
