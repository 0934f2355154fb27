//! Who starts whom, how ends are told, and that nobody is left.

use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use secrecy::SecretString;
use sekisho_sandbox::{Said, Tier};

use crate::support::{BOTH, Live, Yard, eventually, processes_with, run_with};

fn pid(number: u32) -> Pid {
    Pid::from_raw(i32::try_from(number).unwrap())
}

/// An argument that no other process has.
fn mark(yard: &Yard) -> String {
    yard.at("")
        .display()
        .to_string()
        .rsplit('/')
        .find(|name| !name.is_empty())
        .unwrap()
        .trim_start_matches('.')
        .to_owned()
}

/// A server that leaves a daemon behind, with the mark in its name, and goes on.
fn with_daemon(yard: &Yard, tier: Tier, then: &str) -> Live {
    let mark = mark(yard);
    // Away from its group, its session and its parent.
    let daemon =
        format!("(setsid sh -c 'exec 0<&- 1>&- 2>&-; : {mark}; while :; do sleep 1; done' & ) ; echo up; {then}");
    yard.live("", tier, &daemon)
}

#[tokio::test]
async fn end_is_told_as_it_was() {
    let yard = Yard::new();
    for tier in BOTH {
        for (script, expected) in [("exit 0", 0), ("exit 3", 3), ("exit 255", 255)] {
            let run = yard.sh("", tier, script).await;
            assert!(matches!(run.said.last(), Some(Said::Exited(code)) if *code == expected), "{tier} {run:#?}");
            assert_eq!(run.status.code(), Some(expected), "{tier}");
        }
        for signal in [Signal::SIGSEGV, Signal::SIGKILL, Signal::SIGTERM, Signal::SIGPIPE, Signal::SIGABRT] {
            let run = yard.sh("", tier, &format!("kill -{} $$; sleep 5", &signal.as_str()[3..])).await;
            let told = matches!(run.said.last(), Some(Said::Killed(number)) if *number == signal as i32);
            assert!(told, "{tier} {signal} {run:#?}");
            assert_eq!(std::os::unix::process::ExitStatusExt::signal(&run.status), Some(signal as i32), "{tier}");
        }
        let run = yard.python("", tier, "family.py", &["trace", "0"]).await;
        assert!(
            matches!(run.said.last(), Some(Said::Killed(number)) if *number == Signal::SIGSYS as i32),
            "{tier} {run:#?}"
        );
        assert_eq!(run.out, "");
    }
}

#[tokio::test]
async fn program_that_is_not_there_is_not_started() {
    let yard = Yard::new();
    for tier in BOTH {
        for command in ["/no/such/program", "/etc/hostname"] {
            let run = crate::support::run(yard.plan("", tier, &[command])).await;
            let told = matches!(run.said.last(), Some(Said::Failed { step, .. }) if step == "execute the program");
            assert!(told && !run.said.iter().any(|said| matches!(said, Said::Started)), "{tier} {run:#?}");
        }
    }
}

#[tokio::test]
async fn signal_to_the_group_is_the_servers_to_heed() {
    let yard = Yard::new();
    for tier in BOTH {
        let mut live = yard.live("", tier, "trap 'echo heard; exit 7' TERM; echo up; while :; do sleep 0.05; done");
        assert_eq!(live.line().await, "up");
        killpg(pid(live.child.id().unwrap()), Signal::SIGTERM).unwrap();
        let (said, status) = live.end().await;
        assert!(matches!(said, Some(Said::Exited(7))), "{tier} {said:?} {status}");
    }
}

#[tokio::test]
async fn daemon_ends_with_the_server_the_life_line_and_the_launcher() {
    for tier in BOTH {
        let yard = Yard::new();
        let mark = mark(&yard);
        let mut live = with_daemon(&yard, tier, "cat > /dev/null");
        assert_eq!(live.line().await, "up");
        assert!(!processes_with(&mark).is_empty(), "{tier}: it runs");
        drop(live.child.stdin.take());
        let (said, _) = live.end().await;
        assert!(matches!(said, Some(Said::Exited(0))), "{tier} {said:?}");
        assert!(processes_with(&mark).is_empty(), "{tier}: it is gone when the end is told");

        let live = with_daemon(&yard, tier, "while :; do sleep 1; done");
        let Live { mut child, speech, out } = started(live).await;
        drop(speech);
        let _ended = child.wait().await.unwrap();
        drop(out);
        assert!(processes_with(&mark).is_empty(), "{tier}: the life line");

        let mut live = started(with_daemon(&yard, tier, "while :; do sleep 1; done")).await;
        kill(pid(live.child.id().unwrap()), Signal::SIGKILL).unwrap();
        let _ended = live.end().await;
        drop(live);
        // LIMIT: without namespaces, and without a control group either, a daemon outlives a launcher that is killed. The server does not.
        let left_max = usize::from(tier == Tier::Partial);
        eventually("nobody is left", || processes_with(&mark).len() <= left_max).await;
        for left in processes_with(&mark) {
            let _ = kill(pid(left), Signal::SIGKILL);
        }
    }
}

async fn started(mut live: Live) -> Live {
    assert_eq!(live.line().await, "up");
    live
}

#[tokio::test]
async fn server_that_is_dropped_is_gone() {
    for tier in BOTH {
        let yard = Yard::new();
        let mark = mark(&yard);
        let live = started(with_daemon(&yard, tier, "while :; do sleep 1; done")).await;
        assert!(!processes_with(&mark).is_empty());
        drop(live);
        eventually("nobody is left", || processes_with(&mark).is_empty()).await;
    }
}

#[tokio::test]
async fn orphans_are_reaped() {
    let yard = Yard::new();
    for tier in BOTH {
        // Each leaves one behind, which ends at once: of its group, and of another.
        let script = "for i in 1 2 3 4 5 6 7 8 9 10; do (sh -c 'sleep 0.1' & ); (setsid sh -c 'sleep 0.1' & ); done; echo up; cat > /dev/null";
        let mut live = yard.live("", tier, script);
        assert_eq!(live.line().await, "up");
        let launcher = live.child.id().unwrap();
        eventually("no zombie", || zombies_of(launcher) == 0 && children_of(launcher).len() == 1).await;
        drop(live.child.stdin.take());
        let (said, _) = live.end().await;
        assert!(matches!(said, Some(Said::Exited(0))), "{tier} {said:?}");
    }
}

fn children_of(process: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    text.split_whitespace().map(|word| word.parse().unwrap()).collect()
}

/// Among all its descendants.
fn zombies_of(process: u32) -> usize {
    let children = children_of(process);
    let is_zombie =
        |child: &&u32| std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default().contains(") Z ");
    children.iter().filter(is_zombie).count() + children.iter().map(|child| zombies_of(*child)).sum::<usize>()
}

#[tokio::test]
async fn processes_outside_are_out_of_reach_and_its_own_are_not() {
    let yard = Yard::new();
    for tier in BOTH {
        let mut bystander = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
        let number = bystander.id().to_string();
        let run = yard.python("", tier, "family.py", &["all", &number]).await;
        let works: Vec<&str> = run.printed().lines().filter_map(|line| line.strip_suffix("=0")).collect();
        // All that it can reach are itself and its own; it is not in the same namespace, or not in the same domain.
        let harmless = ["slow_down_all", "end_all"];
        let reached: Vec<&&str> = works.iter().filter(|name| !harmless.contains(name)).collect();
        assert_eq!(reached, [&"own_limit", &"own_child"], "{tier} {run:#?}");
        assert!(bystander.try_wait().unwrap().is_none(), "{tier}: it lives");
        let nice = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap();
        let nice = nice.rsplit(')').next().unwrap().split_whitespace().nth(16).unwrap().to_owned();
        assert_eq!(nice, "0", "{tier}: it is not slowed down");
        bystander.kill().unwrap();
        bystander.wait().unwrap();
    }
}

#[tokio::test]
async fn environment_and_names_are_exactly_what_was_named() {
    let yard = Yard::new();
    for tier in BOTH {
        let mut plan = yard.plan("", tier, &["/usr/bin/env"]);
        plan.variables = vec![("OF_PROFILE".to_owned(), "1".to_owned()), ("TWICE".to_owned(), "profile".to_owned())];
        let home = plan.home.clone();
        let set = [("SECRET", "s3cret"), ("TWICE", "configured")];
        let set = set.map(|(name, value)| (name.to_owned(), SecretString::from(value)));
        let run = run_with(plan, &set).await;
        let mut lines: Vec<&str> = run.printed().lines().collect();
        lines.sort_unstable();
        let temporary = if tier == Tier::Full { "/tmp" } else { &home };
        let (home, temporary) = (format!("HOME={home}"), format!("TMPDIR={temporary}"));
        let mut expected = vec![
            &*home,
            "LOGNAME=server",
            "OF_PROFILE=1",
            "SECRET=s3cret",
            &*temporary,
            "TWICE=configured",
            "USER=server",
        ];
        expected.sort_unstable();
        assert_eq!(lines, expected, "{tier}");
    }
    let run = yard.sh("", Tier::Full, "uname -n; id -u; id -g; echo $0; pwd; ls /proc/self/fd | wc -l; grep -E '^(CapEff|CapBnd|CapPrm|NoNewPrivs|Seccomp|SigBlk|SigIgn):' /proc/self/status | tr -d '\\t' | sed 's/^SigIgn:00000000[08]/SigIgn:000000000/'").await;
    let home = yard.at("home").display().to_string();
    let none = "0000000000000000";
    // The fourth descriptor is what `ls` reads. Of the signals, that of the C library's own is not to be set by anybody.
    let expected = format!(
        "sandbox\n1000\n1000\n/bin/sh\n{home}\n4\nSigBlk:{none}\nSigIgn:{none}\nCapPrm:{none}\nCapEff:{none}\nCapBnd:{none}\nNoNewPrivs:1\nSeccomp:2"
    );
    assert_eq!(run.printed(), expected);
}

#[tokio::test]
async fn nothing_that_was_open_is_inherited_and_there_is_no_terminal() {
    let yard = Yard::new();
    let secret = std::fs::File::open(yard.at("home/.ssh/id_ed25519")).unwrap();
    // As careless code would leave it.
    let kept = nix::fcntl::fcntl(&secret, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()));
    assert!(kept.is_ok());
    for tier in BOTH {
        let run = yard.sh("", tier, "for i in 3 4 5 6 7 8 9; do (eval \"cat <&$i\") 2>/dev/null && echo $i; done; test -t 0 || test -t 1 || test -t 2 || echo none").await;
        assert_eq!(run.printed(), "none", "{tier}");
    }
    drop(secret);
}

#[tokio::test]
async fn many_starts_and_ends_leave_nothing() {
    let yard = Yard::new();
    let groups = || {
        let own = format!("sekisho-{}-", std::process::id());
        let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids"];
        let entries = roots.iter().filter_map(|root| std::fs::read_dir(root).ok()).flatten().filter_map(Result::ok);
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&own)).count()
    };
    let mark = mark(&yard);
    for tier in BOTH {
        for _start in 0..25 {
            let run = yard.sh("", tier, &format!(": {mark}; (setsid sh -c ': {mark}; sleep 30' & ) ; exit 0")).await;
            assert!(matches!(run.said.last(), Some(Said::Exited(0))), "{run:#?}");
        }
    }
    assert_eq!(processes_with(&mark), Vec::<u32>::new());
    // Other tests of this process may have theirs at this moment.
    eventually("no group is left", || groups() == 0).await;
}
