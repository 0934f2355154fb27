//! What a server uses: read from `/proc`, of every process that descends from its first one (proc(5)).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a server and all that it started use at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processes.
    pub processes: u32,
    /// Open files, sockets and pipes.
    pub files: u32,
    /// Memory that is resident, in bytes; what two processes share counts twice.
    pub memory_bytes: u64,
    /// Processor time so far, of those that have ended, too.
    pub cpu: Duration,
}

/// What the first process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// The first one of a namespace: of it only what it reaped counts, for it is ours.
    Reaper,
    /// The server itself.
    Server,
}

impl Usage {
    /// Of the process `first` and its descendants. None: it is gone, or cannot be looked at.
    #[must_use]
    pub fn of(first: u32, root: Root) -> Option<Usage> {
        Usage::read(Path::new("/proc"), first, root)
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Usage) -> Usage {
        Usage {
            processes: self.processes.saturating_add(other.processes),
            files: self.files.saturating_add(other.files),
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
            cpu: self.cpu.saturating_add(other.cpu),
        }
    }

    /// The most of both, thing by thing.
    #[must_use]
    pub fn peak(self, other: Usage) -> Usage {
        Usage {
            processes: self.processes.max(other.processes),
            files: self.files.max(other.files),
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
            cpu: self.cpu.max(other.cpu),
        }
    }

    fn read(proc: &Path, first: u32, root: Root) -> Option<Usage> {
        let mut usage = Usage::default();
        let own = Stat::read(proc, first)?;
        let mut waiting = children(proc, first);
        let mut ticks = own.reaped_ticks;
        match root {
            Root::Reaper => {}
            Root::Server => {
                ticks = ticks.saturating_add(own.ticks);
                usage.add(proc, first, &own);
            }
        }
        while let Some(process) = waiting.pop() {
            if usage.processes >= PROCESSES_MAX {
                break;
            }
            // It may have ended meanwhile.
            let Some(stat) = Stat::read(proc, process) else { continue };
            ticks = ticks.saturating_add(stat.ticks).saturating_add(stat.reaped_ticks);
            usage.add(proc, process, &stat);
            waiting.extend(children(proc, process));
        }
        usage.cpu = Duration::from_millis(ticks.saturating_mul(MILLISECONDS_A_TICK));
        Some(usage)
    }

    fn add(&mut self, proc: &Path, process: u32, stat: &Stat) {
        let fd = folder(proc, process).join("fd");
        // Since Linux 6.2 the folder tells how many it holds. Before, they are counted, up to a bound: a server decides how many there are.
        let is_kernels = proc == Path::new("/proc");
        let told = fs::metadata(&fd).ok().filter(|_| is_kernels).and_then(|about| usize::try_from(about.len()).ok());
        let counted = || fs::read_dir(&fd).map(|entries| entries.take(FILES_COUNTED_MAX).count()).unwrap_or(0);
        let files = told.filter(|told| *told > 0).unwrap_or_else(counted);
        self.processes = self.processes.saturating_add(1);
        self.files = self.files.saturating_add(u32::try_from(files).unwrap_or(u32::MAX));
        self.memory_bytes = self.memory_bytes.saturating_add(stat.resident_pages.saturating_mul(page_bytes()));
    }
}

/// What `stat` of a process tells.
struct Stat {
    ticks: u64,
    reaped_ticks: u64,
    resident_pages: u64,
}

impl Stat {
    fn read(proc: &Path, process: u32) -> Option<Stat> {
        let text = fs::read_to_string(folder(proc, process).join("stat")).ok()?;
        // The name stands in brackets, and may hold brackets and spaces itself.
        let (_, rest) = text.rsplit_once(") ")?;
        let fields: Vec<u64> = rest.split(' ').map(|field| field.trim().parse().unwrap_or(0)).collect();
        let field = |number: usize| fields.get(number.checked_sub(FIRST_FIELD)?).copied();
        Some(Stat {
            ticks: field(14)?.saturating_add(field(15)?),
            reaped_ticks: field(16)?.saturating_add(field(17)?),
            resident_pages: field(24)?,
        })
    }
}

fn children(proc: &Path, process: u32) -> Vec<u32> {
    let tasks = fs::read_dir(folder(proc, process).join("task")).into_iter().flatten().flatten();
    let listed = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    listed.flat_map(|text| text.split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<u32>>()).collect()
}

fn folder(proc: &Path, process: u32) -> PathBuf {
    proc.join(process.to_string())
}

fn page_bytes() -> u64 {
    u64::try_from(rustix::param::page_size()).unwrap_or(4096)
}

/// The third field is the first one behind the name.
const FIRST_FIELD: usize = 3;
/// The kernel tells times to programs in hundredths of a second, whatever it counts in itself.
const MILLISECONDS_A_TICK: u64 = 10;
/// LIMIT: processes of one server that are looked at.
const PROCESSES_MAX: u32 = 1024;
/// LIMIT: open files of one process that are counted.
const FILES_COUNTED_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn process(proc: &Path, (number, name): (u32, &str), [ticks, reaped, pages]: [u64; 3], children: &str, files: u32) {
        let folder = folder(proc, number);
        fs::create_dir_all(folder.join("fd")).unwrap();
        fs::create_dir_all(folder.join(format!("task/{number}"))).unwrap();
        let mut fields = vec![0_u64; 50];
        fields[14 - 4] = ticks;
        fields[16 - 4] = reaped;
        fields[24 - 4] = pages;
        let fields: Vec<String> = fields.iter().map(u64::to_string).collect();
        fs::write(folder.join("stat"), format!("{number} ({name}) S {}\n", fields.join(" "))).unwrap();
        fs::write(folder.join(format!("task/{number}/children")), children).unwrap();
        for file in 0..files {
            fs::write(folder.join(format!("fd/{file}")), "").unwrap();
        }
    }

    #[test]
    fn server_and_all_that_it_started_are_counted_and_the_reaper_is_not() {
        let proc = tempfile::tempdir().unwrap();
        process(proc.path(), (7, "sekisho"), [500, 3, 1000], "8 ", 4);
        process(proc.path(), (8, "a (b) c"), [10, 2, 100], "9 10 ", 3);
        process(proc.path(), (9, "child"), [5, 0, 50], "", 2);
        let usage = Usage::read(proc.path(), 7, Root::Reaper).unwrap();
        let expected = Usage {
            processes: 2,
            files: 5,
            memory_bytes: 150 * page_bytes(),
            cpu: Duration::from_millis((3 + 12 + 5) * 10),
        };
        assert_eq!(usage, expected, "the tenth process has ended meanwhile");
        assert_eq!(Usage::read(proc.path(), 11, Root::Reaper), None);
    }

    #[test]
    fn server_that_is_looked_at_itself_is_counted() {
        let proc = tempfile::tempdir().unwrap();
        process(proc.path(), (7, "server"), [4, 0, 10], "", 1);
        let usage = Usage::read(proc.path(), 7, Root::Server).unwrap();
        assert_eq!((usage.processes, usage.files, usage.cpu), (1, 1, Duration::from_millis(40)));
    }
}
