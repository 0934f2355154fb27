//! What a server's processes use beyond what they may, where nothing in the kernel holds them to it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sekisho_sandbox::{Config, HeldError, Usage, free_bytes, held_bytes};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::error::chain;

/// The bounds of a server that is confined. All of its processes share them.
pub(crate) struct Excess {
    home: PathBuf,
    home_bytes_max: u64,
    processes_max: u32,
    seen: Mutex<Option<Seen>>,
}

/// What its home held when it was looked at last.
struct Seen {
    at: Instant,
    held: Result<u64, HeldError>,
    free: u64,
}

impl Excess {
    pub(crate) fn new(home: PathBuf, sandbox: &Config) -> Arc<Excess> {
        let home_bytes_max = u64::from(sandbox.home_mib_max).saturating_mul(MIB);
        Arc::new(Excess { home, home_bytes_max, processes_max: sandbox.processes_max, seen: Mutex::default() })
    }

    /// Why a process that uses this much is to be stopped, if it is.
    pub(crate) async fn of(&self, usage: Option<Usage>, now: Instant) -> Option<String> {
        // The limit of the kernel does not hold for the superuser, and not everybody may make control groups.
        if let Some(usage) = usage.filter(|usage| usage.processes > self.processes_max) {
            return Some(format!("{} processes run, and `processes_max` is {}", usage.processes, self.processes_max));
        }
        self.of_home(now).await
    }

    async fn of_home(&self, now: Instant) -> Option<String> {
        let mut seen = self.seen.lock().await;
        let free = free_bytes(&self.home)?;
        if seen.as_ref().is_none_or(|seen| self.is_old(seen, free, now)) {
            let home = self.home.clone();
            match spawn_blocking(move || held_bytes(&home)).await.ok()? {
                // Such as too many open files of ours: it is tried again.
                Err(error @ HeldError::Failed(_)) => {
                    tracing::debug!(target: "upstream", error = chain(&error), "a home was not counted");
                }
                held => *seen = Some(Seen { at: now, held, free }),
            }
        }
        let (place, mib_max) = (self.home.display(), self.home_bytes_max / MIB);
        match &seen.as_ref()?.held {
            Ok(held) if *held <= self.home_bytes_max => None,
            Ok(held) => {
                Some(format!("its home `{place}` holds {} MiB, and `home_mib_max` is {mib_max}", held.div_ceil(MIB)))
            }
            Err(error) => Some(format!("it is not known what its home `{place}` holds: {}", chain(error))),
        }
    }

    /// Counting takes a while where there is much, so it is done each minute, and whenever so much of the disk was filled since that the
    /// home may be full.
    fn is_old(&self, seen: &Seen, free: u64, now: Instant) -> bool {
        let room = seen.held.as_ref().map_or(0, |held| self.home_bytes_max.saturating_sub(*held));
        let filled = seen.free.saturating_sub(free);
        let age = now.duration_since(seen.at);
        age >= COUNTED_EVERY || (filled > room && age >= COUNTED_AGAIN)
    }
}

const MIB: u64 = 1024 * 1024;
const COUNTED_EVERY: Duration = Duration::from_secs(60);
/// Somebody else may fill the disk.
const COUNTED_AGAIN: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_home_is_counted_each_minute_and_when_the_disk_fills_and_more_than_it_may_hold_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let sandbox = Config { home_mib_max: 1, processes_max: 4, ..Config::default() };
        let excess = Excess::new(dir.path().join("home"), &sandbox);
        std::fs::create_dir(dir.path().join("home")).unwrap();
        let usage = |processes| Some(Usage { processes, ..Usage::default() });
        let start = Instant::now();
        assert_eq!(excess.of(usage(4), start).await, None);
        let many = excess.of(usage(5), start).await.unwrap();
        assert_eq!(many, "5 processes run, and `processes_max` is 4");
        std::fs::write(dir.path().join("home/file"), vec![1; 2 << 20]).unwrap();
        // Whether the disk tells at once that it has less room differs; a minute later it is counted.
        let full = excess.of(None, start + COUNTED_EVERY).await.unwrap();
        assert!(full.contains("holds 3 MiB, and `home_mib_max` is 1") || full.contains("holds 2 MiB"), "{full}");
        std::fs::remove_file(dir.path().join("home/file")).unwrap();
        assert_eq!(excess.of(None, start + COUNTED_EVERY * 2).await, None);
        let is_old = |held, age, free| {
            let seen = Seen { at: start, held: Ok(held), free: 10 << 20 };
            excess.is_old(&seen, free, start + Duration::from_secs(age))
        };
        assert!(!is_old(0, 59, 9 << 20), "as much as there was room for");
        assert!(is_old(0, 2, (9 << 20) - 1) && !is_old(0, 1, 0));
        assert!(is_old(1 << 20, 2, (10 << 20) - 1) && is_old(0, 60, 10 << 20));
    }
}
