//! The outer half: the launcher is started, told what to do, and listened to.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream as Pair;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncWriteExt as _, Interest};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use crate::groups::Groups;
use crate::order::{CONTROL, LAUNCHER_WORD, Line, ORDER_BYTES_MAX, Order, Start};
use crate::plan::Plan;
use crate::probe::{Ability, Found, Machine};
use crate::tier::Tier;

/// The program that builds the cage.
#[derive(Debug, Clone)]
pub struct Launcher(PathBuf);

/// A plan, ready to be carried out any number of times.
#[derive(Debug)]
pub struct Cage {
    plan: Plan,
    launcher: Launcher,
}

/// A server that was started. Dropped, nothing of it is left within moments.
#[derive(Debug)]
pub struct Confined {
    /// The process, its streams with it. It ends as the server does.
    pub child: Child,
    /// What becomes of it.
    pub speech: Speech,
}

/// What the launcher says. Held, it is the life line: once it is dropped, the server ends.
#[derive(Debug)]
pub struct Speech {
    stream: UnixStream,
    /// What is still to be told, secrets in it.
    order: Zeroizing<Vec<u8>>,
    heard: Vec<u8>,
    fds: VecDeque<OwnedFd>,
    groups: Groups,
}

/// What became of a server.
#[derive(Debug)]
pub enum Said {
    /// What it descends from, seen from outside, and the version of Landlock that holds.
    Process {
        /// The process id.
        process: u32,
        /// The version.
        landlock: u32,
    },
    /// Whoever connects here is the server, and wants out.
    WayOut(std::net::TcpListener),
    /// It runs, confined as was asked for.
    Started,
    /// It was not started.
    Failed {
        /// Which step could not be taken.
        step: String,
        /// Why.
        why: String,
    },
    /// It ended with this code.
    Exited(i32),
    /// It was ended by this signal.
    Killed(i32),
}

/// Why nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The launcher cannot be executed.
    #[error("the launcher cannot be started")]
    Launcher(#[source] io::Error),
    /// A variable or argument is longer than can be told, or cannot be written.
    #[error("what it is to be started with is longer than {ORDER_BYTES_MAX} bytes")]
    TooLong,
    /// The folder that is to be its home cannot be made.
    #[error("`{}`, which is to be its home, cannot be made", path.display())]
    Home {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

impl Launcher {
    /// This very program, even where its file was replaced since.
    #[must_use]
    pub fn own() -> Launcher {
        Launcher(PathBuf::from("/proc/self/exe"))
    }

    /// Another program that calls [`launch`](crate::launch()) first of all.
    #[must_use]
    pub fn at(path: &Path) -> Launcher {
        Launcher(path.to_owned())
    }

    /// What this machine can enforce, found out by trying. Waits for some milliseconds.
    ///
    /// # Errors
    /// The launcher cannot be started.
    pub async fn probe(&self) -> Result<Machine, StartError> {
        let order = write(&Order::Probe {})?;
        let (mut child, mut speech) = self.start(order, Groups::none(), |command| {
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        })?;
        let mut machine = Machine::default();
        while let Some(line) = speech.line().await {
            match line {
                Line::Ability { name, found, words } => {
                    if let Some(ability) = Ability::parse(&name) {
                        machine.found.push(Found { ability, found, words });
                    }
                }
                Line::Failed { step, why } => tracing::debug!(target: "sandbox", step, why, "probed"),
                Line::Process { .. } | Line::WayOut | Line::Started | Line::Exited { .. } | Line::Killed { .. } => {}
            }
        }
        let _reaped = child.wait().await;
        Ok(machine)
    }

    fn start(
        &self,
        order: Zeroizing<Vec<u8>>,
        groups: Groups,
        set: impl FnOnce(&mut Command),
    ) -> Result<(Child, Speech), StartError> {
        let (ours, theirs) = Pair::pair().map_err(StartError::Launcher)?;
        ours.set_nonblocking(true).map_err(StartError::Launcher)?;
        let stream = UnixStream::from_std(ours).map_err(StartError::Launcher)?;
        let mut command = Command::new(&self.0);
        // Not ended when it is dropped: the end of the life line tells it to end what it has started, and itself then.
        command.arg(LAUNCHER_WORD).env_clear().current_dir("/").kill_on_drop(false);
        set(&mut command);
        hand_over(&mut command, theirs.into());
        let child = command.spawn().map_err(StartError::Launcher)?;
        Ok((child, Speech { stream, order, heard: Vec::new(), fds: VecDeque::new(), groups }))
    }
}

impl Cage {
    /// A cage of this plan.
    #[must_use]
    pub fn new(plan: Plan, launcher: Launcher) -> Cage {
        Cage { plan, launcher }
    }

    /// What it is made of.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Starts the server with the plan's variables and these, which win. Nothing else of the environment reaches it.
    ///
    /// # Errors
    /// See [`StartError`]; what fails later is heard from [`Speech::next`].
    pub fn start(&self, environment: &[(String, SecretString)]) -> Result<Confined, StartError> {
        self.make_home()?;
        let temporary = match self.plan.tier {
            Tier::Full => "/tmp",
            // The one of the machine is everybody's.
            Tier::Partial | Tier::None => self.plan.own_home.as_str(),
        };
        let set_here =
            [("HOME", self.plan.home.as_str()), ("TMPDIR", temporary), ("USER", "server"), ("LOGNAME", "server")];
        let set_here = set_here.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut variables: Vec<(String, String)> =
            set_here.into_iter().chain(self.plan.variables.iter().cloned()).collect();
        for (name, value) in environment {
            variables.retain(|(set, _)| set != name);
            variables.push((name.clone(), value.expose_secret().to_owned()));
        }
        let groups = Groups::make(&self.plan.bounds);
        let start = Start { plan: self.plan.clone(), environment: variables, groups: groups.folders() };
        let order = write(&Order::Start(Box::new(start)))?;
        let (child, speech) = self.launcher.start(order, groups, |command| {
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        })?;
        Ok(Confined { child, speech })
    }

    fn make_home(&self) -> Result<(), StartError> {
        let path = Path::new(&self.plan.own_home);
        let mut builder = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let made = builder.recursive(true).create(path);
        made.map_err(|source| StartError::Home { path: path.to_owned(), source })
    }
}

impl Speech {
    /// What is said next. None: the launcher has ended.
    pub async fn next(&mut self) -> Option<Said> {
        loop {
            let said = match self.line().await? {
                Line::Process { process, landlock } => Said::Process { process, landlock },
                Line::Started => Said::Started,
                Line::Failed { step, why } => Said::Failed { step, why },
                Line::Exited { code } => Said::Exited(code),
                Line::Killed { signal } => Said::Killed(signal),
                Line::WayOut => match self.fds.pop_front() {
                    Some(fd) => Said::WayOut(std::net::TcpListener::from(fd)),
                    None => continue,
                },
                Line::Ability { .. } => continue,
            };
            return Some(said);
        }
    }

    /// How much the server and what it started use, as far as its control groups tell.
    #[must_use]
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    async fn line(&mut self) -> Option<Line> {
        if !self.order.is_empty() {
            let order = std::mem::take(&mut self.order);
            self.stream.write_all(&order).await.ok()?;
        }
        loop {
            if let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.heard.drain(..=end).collect();
                match Line::read(&String::from_utf8_lossy(&line)) {
                    Some(line) => return Some(line),
                    None => continue,
                }
            }
            if self.heard.len() > LINE_BYTES_MAX {
                return None;
            }
            self.hear().await.ok().filter(|heard| *heard > 0)?;
        }
    }

    async fn hear(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 1024];
        loop {
            self.stream.readable().await?;
            let fds = &mut self.fds;
            let heard = self.stream.try_io(Interest::READABLE, || {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
                let mut ancillary = RecvAncillaryBuffer::new(&mut space);
                let flags = RecvFlags::CMSG_CLOEXEC;
                let heard = recvmsg(&self.stream, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, flags)?;
                for message in ancillary.drain() {
                    if let RecvAncillaryMessage::ScmRights(rights) = message {
                        fds.extend(rights);
                    }
                }
                Ok(heard.bytes)
            });
            match heard {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
                Ok(heard) => {
                    self.heard.extend(bytes.iter().take(heard));
                    return Ok(heard);
                }
            }
        }
    }
}

fn write(order: &Order) -> Result<Zeroizing<Vec<u8>>, StartError> {
    let text = Zeroizing::new(toml::to_string(order).map_err(|_| StartError::TooLong)?);
    let length =
        u32::try_from(text.len()).ok().filter(|length| *length <= ORDER_BYTES_MAX).ok_or(StartError::TooLong)?;
    let mut order = Zeroizing::new(length.to_be_bytes().to_vec());
    order.extend_from_slice(text.as_bytes());
    Ok(order)
}

/// The program finds its end of the socket at a number that both know, and has no terminal: a server that could open ours would write
/// into it what it likes. Its session is a group of its own, too, so that a Ctrl-C does not reach it.
fn hand_over(command: &mut Command, end: OwnedFd) {
    let hand_over = move || {
        rustix::process::setsid()?;
        let from = end.as_raw_fd();
        // SAFETY: duplicates a descriptor that this closure owns onto one that nothing in the child uses yet.
        #[expect(unsafe_code, reason = "no wrapper takes a number as the target")]
        let moved = unsafe { libc::dup2(from, CONTROL) };
        // Where it is the number already, nothing was duplicated, and it would close when the program is executed.
        // SAFETY: sets the flags of a descriptor that was just put there.
        #[expect(unsafe_code, reason = "no wrapper takes a number as the target")]
        let kept = unsafe { libc::fcntl(CONTROL, libc::F_SETFD, 0) };
        if moved == CONTROL && kept == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: after the fork the closure makes three system calls, and none allocates nor locks.
    #[expect(unsafe_code, reason = "code between fork and exec must not allocate or lock")]
    unsafe {
        command.pre_exec(hand_over);
    }
}

/// LIMIT: a line of the launcher, in bytes.
const LINE_BYTES_MAX: usize = 64 * 1024;
