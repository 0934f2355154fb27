//! What processes use: time on a core, and memory.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

/// What a process and its children have used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Time on a core, user and kernel, of all threads that are and were.
    pub cpu: Duration,
    /// Memory in use, in MiB.
    pub rss_mib: f64,
    /// Most memory that was in use, in MiB.
    pub peak_rss_mib: f64,
    /// Open descriptors: files, connections, pipes.
    pub descriptors: u64,
}

/// Adds up the processes `roots` and all that they have started. A process that is gone adds nothing.
#[must_use]
pub fn of(roots: &[u32]) -> Usage {
    sum(&tree(roots))
}

/// What this process uses, its children left out.
#[must_use]
pub fn own() -> Usage {
    sum(&[std::process::id()])
}

fn sum(ids: &[u32]) -> Usage {
    let mut sum = Usage::default();
    for id in ids.iter().copied() {
        sum.cpu = sum.cpu.saturating_add(cpu(id).unwrap_or_default());
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        sum.rss_mib += mib(&status, "VmRSS:");
        sum.peak_rss_mib += mib(&status, "VmHWM:");
        sum.descriptors = sum.descriptors.saturating_add(descriptors(id));
    }
    sum
}

/// The clock of a process: exact to the nanosecond, threads that have ended included.
fn cpu(id: u32) -> Option<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(id).ok()?)).ok()?;
    Some(Duration::from(clock.now().ok()?))
}

/// None where the process is gone or another user's.
fn descriptors(id: u32) -> u64 {
    let open = fs::read_dir(format!("/proc/{id}/fd")).map(Iterator::count).unwrap_or(0);
    u64::try_from(open).unwrap_or(u64::MAX)
}

fn mib(status: &str, field: &str) -> f64 {
    let kib = status.lines().find_map(|line| line.strip_prefix(field)?.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

/// The processes `roots`, and all that they have started, behind them.
#[must_use]
pub fn tree(roots: &[u32]) -> Vec<u32> {
    let parents = parents();
    let mut found = roots.to_vec();
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        let children = parents.iter().filter(|(child, of)| **of == parent && !found.contains(child));
        let children: Vec<u32> = children.map(|(child, _)| *child).collect();
        found.extend(children);
        at = at.saturating_add(1);
    }
    found
}

/// Each process and its parent.
fn parents() -> BTreeMap<u32, u32> {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = names.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter_map(|id| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name of the program stands in brackets, and may hold any.
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        Some((id, parent))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_and_memory_of_this_process_are_seen_and_of_none_are_not() {
        let before = own();
        let sum: u64 = (0..20_000_000_u64).map(std::hint::black_box).sum();
        let after = own();
        assert!(after.cpu > before.cpu, "{sum}");
        assert!(after.rss_mib > 1.0 && after.peak_rss_mib >= after.rss_mib);
        assert_eq!(of(&[]), Usage::default());
        let more: Vec<fs::File> = (0..50).map(|_| fs::File::open("/proc/self/stat").unwrap()).collect();
        assert!(own().descriptors >= 50 && before.descriptors > 0, "{more:?}");
    }

    #[test]
    fn children_belong_to_the_tree() {
        let mut child = std::process::Command::new("sleep").arg("30").spawn().unwrap();
        let tree = tree(&[std::process::id()]);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(tree.contains(&child.id()));
    }
}
