//! The inner half: a small program with one thread that builds the cage around itself and then becomes the server.
//!
//! Three processes take part. The **launcher** makes the namespaces, watches the life line and hands on how the server ended. The
//! **first** process of the namespace builds the root, reaps whatever is left behind, and takes everything with it when it ends. The
//! **server** gives up what is left and executes the program.

use std::convert::Infallible;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::unistd::{Gid, Uid};
use rustix::process::Pid;

use crate::order::{LAUNCHER_WORD, Line, Order, Start};
use crate::tier::Tier;
use control::Control;

mod control;
mod exec;
mod family;
mod kernel;
mod landlock;
mod limits;
mod mounts;
mod names;
mod probe;
mod seccomp;

/// Whether this process was started to be the launcher.
#[must_use]
pub fn is_launcher() -> bool {
    let mut arguments = std::env::args_os();
    arguments.nth(1).is_some_and(|word| word == LAUNCHER_WORD) && arguments.next().is_none()
}

/// Is the launcher, and never returns. The process must have one thread; what it is told comes over descriptor 3.
pub fn launch() -> ! {
    let Some(control) = Control::take() else {
        eprintln!("this is part of sekisho: it is started by it, and by nobody else");
        std::process::exit(WRONG_USE);
    };
    let code = match control.order() {
        Some(Order::Start(start)) => confine(&start, &control),
        Some(Order::Probe {}) => probe::probe(&control),
        None => WRONG_USE,
    };
    std::process::exit(code)
}

/// A step that could not be taken. Nothing runs then.
pub(crate) struct Failed {
    step: &'static str,
    why: String,
}

/// A step of the way: what it is called where it fails.
pub(crate) fn step<T, E: std::fmt::Display>(step: &'static str, taken: Result<T, E>) -> Result<T, Failed> {
    taken.map_err(|error| Failed { step, why: error.to_string() })
}

fn confine(start: &Start, control: &Control) -> i32 {
    let ended = match start.plan.tier {
        Tier::Full => full(start, control),
        Tier::Partial => partial(start, control),
        Tier::None => {
            Err(Failed { step: "confine", why: "a server that is not confined needs no launcher".to_owned() })
        }
    };
    match ended {
        Ok(code) => code,
        Err(failed) => {
            control.say(&Line::Failed { step: failed.step.to_owned(), why: failed.why });
            NOT_STARTED
        }
    }
}

/// Everything: what it sees is a machine of its own.
fn full(start: &Start, control: &Control) -> Result<i32, Failed> {
    let plan = &start.plan;
    step("close what was inherited", kernel::close_all_but(control))?;
    step("hold back signals", hold_back_signals())?;
    step("enter the control groups", limits::enter(&start.groups))?;
    let (user, group) = (Uid::effective(), Gid::effective());
    step("leave the namespaces of the machine", names::leave())?;
    step("be one user alone", names::be_one_user(user, group))?;
    step("take a name", names::take_host_name())?;
    if plan.way_out {
        let listener = step("open the way out", names::open_way_out())?;
        step("hand over the way out", control.hand_over(&listener))?;
    }
    let first = step("start the first process", family::fork(|| first(start, control)))?;
    control.say_process(first, landlock::version());
    step("let go of the streams", family::let_go_of_streams())?;
    Ok(family::watch(first, control))
}

/// The first process of the namespace.
fn first(start: &Start, control: &Control) -> i32 {
    let built = || -> Result<Option<Pid>, Failed> {
        step("end with the launcher", family::end_with_parent())?;
        step("build the root", mounts::build(&start.plan))?;
        // Before there is anybody who could look.
        step("hide", kernel::hide())?;
        step("start the server", family::fork_and_exec(|| server(start, control)))
    };
    let server = match built() {
        Ok(Some(server)) => server,
        // The server has said why.
        Ok(None) => return NOT_STARTED,
        Err(failed) => {
            control.say(&Line::Failed { step: failed.step.to_owned(), why: failed.why });
            return NOT_STARTED;
        }
    };
    // It has nothing to do with the streams, and holds nothing that the server could take.
    let settled = family::let_go_of_streams().is_ok() && kernel::give_up_powers().is_ok();
    if !settled {
        control
            .say(&Line::Failed { step: "give up powers".to_owned(), why: "the first process keeps some".to_owned() });
        return NOT_STARTED;
    }
    control.say(&Line::Started);
    family::reap(server, control)
}

/// The server, until it becomes the program.
fn server(start: &Start, control: &Control) -> i32 {
    let Err(failed) = become_the_program(start);
    control.say(&Line::Failed { step: failed.step.to_owned(), why: failed.why });
    NOT_STARTED
}

fn become_the_program(start: &Start) -> Result<Infallible, Failed> {
    let plan = &start.plan;
    step("end with the first process", family::end_with_parent())?;
    step("go to its folder", exec::go_to(&plan.folder, &plan.home))?;
    step("set the limits", limits::set(plan))?;
    step("give up powers", kernel::give_up_powers())?;
    step("gain no privileges", rustix::thread::set_no_new_privs(true))?;
    step("fence off files, ports and scopes", landlock::fence(plan))?;
    let filters = step("compile the filters", seccomp::filters(plan))?;
    step("let signals through", let_signals_through())?;
    step("filter system calls", seccomp::install(&filters))?;
    step("execute the program", exec::execute(plan, &start.environment))
}

/// Without namespaces: the machine is seen, but neither read nor written where nothing was granted, and there are no sockets.
fn partial(start: &Start, control: &Control) -> Result<i32, Failed> {
    step("close what was inherited", kernel::close_all_but(control))?;
    step("hold back signals", hold_back_signals())?;
    step("enter the control groups", limits::enter(&start.groups))?;
    step("adopt what is left behind", family::adopt())?;
    let started = step("start the server", family::fork_and_exec(|| server(start, control)))?;
    let Some(server) = started else { return Ok(NOT_STARTED) };
    control.say_process(server, landlock::version());
    control.say(&Line::Started);
    step("let go of the streams", family::let_go_of_streams())?;
    step("watch the server", family::watch_without_namespace(server, control))
}

/// A signal to the group is the server's to heed: the launcher stays until that one has ended.
fn hold_back_signals() -> nix::Result<()> {
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&heeded()), None)
}

fn let_signals_through() -> nix::Result<()> {
    // Rust's own start has one ignored, too: that of a broken pipe.
    kernel::heed_all_signals()?;
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}

fn heeded() -> SigSet {
    let to_the_group =
        [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2];
    // Heard otherwise.
    to_the_group.into_iter().chain([Signal::SIGCHLD]).collect()
}

/// How the launcher ends when nothing was started, as shells say "cannot be executed".
const NOT_STARTED: i32 = 126;
const WRONG_USE: i32 = 2;
