//! How much a server may use. What it asks for beyond that it does not get, and the machine goes on.

use std::time::{Duration, Instant};

use sekisho_sandbox::{Said, Tier};

use crate::support::{BOTH, Run, Yard, is_superuser};

/// What a bomb in Python tells: how far it came, and what stopped it.
async fn bomb(yard: &Yard, config: &str, tier: Tier, what: &str) -> Run {
    yard.python(config, tier, "bombs.py", &[what]).await
}

fn reached(run: &Run) -> u64 {
    let line = run.out.lines().next().unwrap_or_else(|| panic!("{run:#?}"));
    line.split(' ').next().unwrap().parse().unwrap()
}

/// Whether processes are counted: those of the superuser are not (setrlimit(2)), but in a control group.
fn are_counted() -> bool {
    !is_superuser() || std::fs::metadata("/sys/fs/cgroup/pids").is_ok()
}

#[tokio::test]
async fn processes_end_at_their_bound_and_below_it_they_do_not() {
    let yard = Yard::new();
    assert!(are_counted(), "this machine counts no processes of the superuser");
    for tier in BOTH {
        let run = bomb(&yard, "processes_max = 32", tier, "processes").await;
        let processes = reached(&run);
        // Without a user namespace those of other tests, which end meanwhile, are counted, too.
        let most = if tier == Tier::Full { 32 } else { 200 };
        assert!((20..=most).contains(&processes), "{tier} {processes} {run:#?}");
        let run = bomb(&yard, "processes_max = 64", tier, "few_processes").await;
        assert_eq!(run.printed(), "20 all", "{tier}");
    }
}

#[tokio::test]
async fn bomb_of_processes_does_not_hold_the_machine_up_and_ends_with_its_server() {
    let yard = Yard::new();
    for tier in BOTH {
        let start = Instant::now();
        let run = yard
            .sh("processes_max = 48", tier, "b() { b | b & }; for i in 1 2 3 4 5 6; do b; done; sleep 0.5; exit 0")
            .await;
        assert!(!matches!(run.said.last(), Some(Said::Failed { .. }) | None), "{tier} {:?}", run.said);
        assert!(start.elapsed() < Duration::from_secs(20), "{tier}");
    }
}

#[tokio::test]
async fn memory_ends_at_its_bound_and_below_it_there_is_enough() {
    let yard = Yard::new();
    for tier in BOTH {
        let run = bomb(&yard, "memory_mib_max = 128", tier, "memory").await;
        let stopped = run.out.contains("MemoryError") && reached(&run) <= 128;
        let ended = matches!(run.said.last(), Some(Said::Killed(9) | Said::Exited(137)));
        assert!(stopped || ended, "{tier} {run:#?}");
        let run = bomb(&yard, "memory_mib_max = 512", tier, "some_memory").await;
        assert_eq!(run.printed(), "64 all", "{tier}");
    }
}

#[tokio::test]
async fn file_ends_at_its_bound_and_below_it_is_whole() {
    let yard = Yard::new();
    for tier in BOTH {
        let run = bomb(&yard, "file_mib_max = 2", tier, "file").await;
        assert_eq!((reached(&run), run.out.contains("27")), (2, true), "{tier} EFBIG {run:#?}");
        let run = bomb(&yard, "file_mib_max = 8", tier, "small_file").await;
        assert_eq!(run.printed(), "2 all", "{tier}");
    }
}

#[tokio::test]
async fn open_files_end_at_their_bound() {
    let yard = Yard::new();
    for tier in BOTH {
        let run = bomb(&yard, "open_files_max = 64", tier, "descriptors").await;
        assert!((50..=64).contains(&reached(&run)) && run.out.contains("24"), "{tier} EMFILE {run:#?}");
        let run = bomb(&yard, "open_files_max = 256", tier, "few_descriptors").await;
        assert_eq!(run.printed(), "50 all", "{tier}");
    }
}

#[tokio::test]
async fn temporary_folders_are_full_at_their_bound() {
    let yard = Yard::new();
    for (folder, what) in [("/tmp", "disk"), ("/dev/shm", "shared")] {
        let run = bomb(&yard, "file_mib_max = 4", Tier::Full, what).await;
        assert!(reached(&run) <= 4 && run.out.contains("28"), "{folder} ENOSPC {run:#?}");
    }
    let run = bomb(&yard, "file_mib_max = 4", Tier::Full, "names").await;
    assert!(reached(&run) <= 100_000 && run.out.contains("28"), "ENOSPC {run:#?}");
}

#[tokio::test]
async fn limits_cannot_be_raised_again() {
    let yard = Yard::new();
    for tier in BOTH {
        let run = bomb(&yard, "open_files_max = 64", tier, "raise").await;
        assert_eq!(run.printed(), "0 refused", "{tier}");
    }
}
