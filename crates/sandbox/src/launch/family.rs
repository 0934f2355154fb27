//! Who starts whom, who waits for whom, and that nobody is left.

use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::time::Duration;

use nix::errno::Errno as PollErrno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal as NixSignal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{ForkResult, fork as split};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, WaitOptions, WaitStatus, kill_process, pidfd_open, setrlimit, wait,
    waitpid,
};

use super::control::Control;
use super::kernel;
use crate::order::Line;

/// Starts a process that does `what` and ends with what it returns.
pub(crate) fn fork(what: impl FnOnce() -> i32) -> io::Result<Pid> {
    // SAFETY: the process has one thread, so the child holds no lock that somebody else would have had to give back.
    #[expect(unsafe_code, reason = "fork is unsafe where there are threads")]
    let forked = unsafe { split() }?;
    match forked {
        ForkResult::Parent { child } => {
            Pid::from_raw(child.as_raw()).ok_or_else(|| io::Error::other("a child without a number"))
        }
        ForkResult::Child => std::process::exit(what()),
    }
}

/// Starts a process that is to become another program, and waits until it has. `what` returns only if it could not, and has told why.
/// None: it could not.
///
/// # Errors
/// No process can be made.
pub(crate) fn fork_and_exec(what: impl FnOnce() -> i32) -> io::Result<Option<Pid>> {
    // Both ends close by themselves when the program is executed.
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let child = fork(|| {
        let code = what();
        let _ = rustix::io::write(&writer, b"!");
        code
    })?;
    drop(writer);
    let mut byte = [0];
    let told = rustix::io::retry_on_intr(|| rustix::io::read(&reader, &mut byte))?;
    Ok((told == 0).then_some(child))
}

/// Ends as soon as whoever started this process does. That one has a single thread, which is what the kernel looks at.
pub(crate) fn end_with_parent() -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // It may have ended before. In a namespace of its own the first process has no parent that it could see.
    let orphaned = rustix::process::getppid().is_none() && std::process::id() != 1;
    if orphaned { Err(io::Error::other("whoever started it is gone")) } else { Ok(()) }
}

/// Whatever a descendant leaves behind becomes ours.
pub(crate) fn adopt() -> rustix::io::Result<()> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
}

/// The streams are the server's alone: whoever waits for their end waits for the server.
pub(crate) fn let_go_of_streams() -> io::Result<()> {
    let null = fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}

/// Reaps everything until the server has ended, tells how, and ends with it; the namespace ends with the first process.
pub(crate) fn reap(server: Pid, control: &Control) -> i32 {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((process, status))) if process == server => return tell_end(status, control),
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return NOBODY,
        }
    }
}

/// Waits for the first process or for the end of the life line, whichever comes first; ends as the server did.
pub(crate) fn watch(first: Pid, control: &Control) -> i32 {
    if is_closed_before_end(first, control) {
        let _ = kill_process(first, Signal::KILL);
    }
    let code = wait_for(first).map_or(NOBODY, code_of);
    end_like(code)
}

/// The same, where descendants are not held together by a namespace: what the server leaves behind is ours, and is reaped as it ends.
pub(crate) fn watch_without_namespace(server: Pid, control: &Control) -> io::Result<i32> {
    // The signal is held back since the start, so that none is missed.
    let told = SignalFd::with_flags(&SigSet::from(NixSignal::SIGCHLD), SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    let status = end_of(server, control, &told).or_else(|| {
        let _ = kill_process(server, Signal::KILL);
        wait_for(server)
    });
    let code = status.map_or(NOBODY, |status| tell_end(status, control));
    end_the_rest();
    Ok(end_like(code))
}

/// How the server has ended. None: the life line was closed before, or nobody can tell.
fn end_of(server: Pid, control: &Control, told: &SignalFd) -> Option<WaitStatus> {
    loop {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((process, status))) if process == server => return Some(status),
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => break,
                Err(_) => return None,
            }
        }
        let mut ends = [told.as_fd(), control.as_fd()].map(|end| PollFd::new(end, PollFlags::POLLIN));
        match poll(&mut ends, PollTimeout::NONE) {
            Ok(_) | Err(PollErrno::EINTR) => {}
            Err(_) => return None,
        }
        let [_, closed] = ends.map(|end| end.revents().is_some_and(|events| !events.is_empty()));
        if closed {
            return None;
        }
        // One word may stand for many that have ended.
        while let Ok(Some(_)) = told.read_signal() {}
    }
}

fn is_closed_before_end(process: Pid, control: &Control) -> bool {
    let Ok(handle) = pidfd_open(process, PidfdFlags::empty()) else { return true };
    loop {
        let mut ends = [
            PollFd::new(handle.as_fd(), PollFlags::POLLIN),
            // Nothing more is said to us: what can be read there is its end.
            PollFd::new(control.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut ends, PollTimeout::NONE) {
            Ok(_) => {
                let [ended, closed] = ends.map(|end| end.revents().is_some_and(|events| !events.is_empty()));
                if ended || closed {
                    return !ended;
                }
            }
            Err(PollErrno::EINTR) => {}
            Err(_) => return true,
        }
    }
}

pub(crate) fn wait_for_success(process: Pid) -> bool {
    wait_for(process).is_some_and(|status| status.exit_status() == Some(0))
}

fn wait_for(process: Pid) -> Option<WaitStatus> {
    rustix::io::retry_on_intr(|| waitpid(Some(process), WaitOptions::empty())).ok().flatten().map(|(_, status)| status)
}

/// Whatever became ours is ended, and whatever that leaves behind. LIMIT: rounds, so that one that forks faster than it is ended
/// cannot keep us; the group and the control group take the rest.
fn end_the_rest() {
    for _ in 0..ROUNDS_MAX {
        let children = fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
        for child in children.split_whitespace().filter_map(|word| word.parse().ok()).filter_map(Pid::from_raw) {
            let _ = kill_process(child, Signal::KILL);
        }
        match wait(WaitOptions::NOHANG) {
            Ok(None) => std::thread::sleep(Duration::from_millis(1)),
            Ok(Some(_)) => {}
            Err(_) => return,
        }
    }
}

fn tell_end(status: WaitStatus, control: &Control) -> i32 {
    match status.terminating_signal() {
        Some(signal) => control.say(&Line::Killed { signal }),
        None => control.say(&Line::Exited { code: code_of(status) }),
    }
    code_of(status)
}

/// As shells tell it.
fn code_of(status: WaitStatus) -> i32 {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => SIGNALLED.saturating_add(signal),
        (None, None) => NOBODY,
    }
}

/// A server that a signal ended looks like one from outside, too.
fn end_like(code: i32) -> i32 {
    if let Ok(signal) = NixSignal::try_from(code.saturating_sub(SIGNALLED)) {
        let _no_core = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
        // Rust's own start has a handler for some, which would return.
        let _ = kernel::heed(signal);
        let _ = SigSet::empty().thread_set_mask();
        let _ = nix::sys::signal::raise(signal);
    }
    code
}

/// As shells tell the end by a signal.
const SIGNALLED: i32 = 128;
const NOBODY: i32 = 125;
const ROUNDS_MAX: usize = 10_000;
