//! Child processes that end when their test does.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// A process and its children. They are ended when this value is dropped: asked first, then forced.
#[derive(Debug)]
pub struct Running {
    child: Child,
}

impl Running {
    /// Starts `command` in a process group of its own.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(command: &mut Command) -> anyhow::Result<Self> {
        let child = command.process_group(0).spawn().with_context(|| format!("{command:?} cannot be started"))?;
        Ok(Self { child })
    }

    /// Starts `command` with both of its streams in our hands.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn talking(command: &mut Command) -> anyhow::Result<(Self, ChildStdin, ChildStdout)> {
        let mut running = Self::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let streams = running.child.stdin.take().zip(running.child.stdout.take());
        let (input, output) = streams.context("the streams are not piped")?;
        Ok((running, input, output))
    }

    /// The first line of its standard output, which must be piped. The rest is read and dropped.
    ///
    /// # Errors
    /// When no line comes within `limit`.
    pub fn first_line(&mut self, limit: Duration) -> anyhow::Result<String> {
        let output = self.child.stdout.take().context("the standard output is not piped")?;
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(output);
            let mut line = String::new();
            if reader.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
                let _ = sender.send(line.trim_end().to_owned());
            }
            let _ = std::io::copy(&mut reader, &mut std::io::sink());
        });
        receiver.recv_timeout(limit).context("the process printed no line")
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The memory that it holds, in KiB.
    ///
    /// # Errors
    /// When it is gone.
    pub fn resident_kib(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no memory")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// Whether it has ended, and how.
    ///
    /// # Errors
    /// When the operating system does not tell.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Sends a signal to this process alone.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(nix::sys::signal::kill(pid(self.child.id())?, signal)?)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it is still there after `limit`.
    pub fn wait(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            anyhow::ensure!(start.elapsed() < limit, "process {} did not end within {limit:?}", self.child.id());
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Ok(group) = pid(self.child.id()) else { return };
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = nix::sys::signal::kill(group, Signal::SIGTERM);
            let _ = self.wait(GRACE);
        }
        // What is left of the group, its leader included. The group is ours: `start` made it.
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// What a process that ran to its end has left.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it said on standard output.
    pub out: String,
    /// What it said on standard error.
    pub err: String,
}

/// Runs a program to its end, feeding it `input`.
///
/// # Errors
/// When it cannot be started, or is not done within `limit`; it is ended then.
pub fn run(command: &mut Command, input: &str, limit: Duration) -> anyhow::Result<Output> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running::start(command)?;
    if let Some(mut stdin) = running.child.stdin.take() {
        // A program that reads nothing may have closed it already.
        let _ = stdin.write_all(input.as_bytes());
    }
    let out = gather(running.child.stdout.take());
    let err = gather(running.child.stderr.take());
    let status = running.wait(limit).with_context(|| format!("{command:?}"))?;
    drop(running);
    let text = |reader: std::thread::JoinHandle<Vec<u8>>| {
        String::from_utf8_lossy(&reader.join().unwrap_or_default()).into_owned()
    };
    Ok(Output { status, out: text(out), err: text(err) })
}

fn gather(stream: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(stream) = stream {
            let _ = stream.take(OUTPUT_BYTES_MAX).read_to_end(&mut bytes);
        }
        bytes
    })
}

fn pid(id: u32) -> anyhow::Result<Pid> {
    Ok(Pid::from_raw(i32::try_from(id)?))
}

/// How often a process that should end is looked at.
const POLL: Duration = Duration::from_millis(10);

/// How long a process may take to end when asked.
const GRACE: Duration = Duration::from_secs(5);

/// Most output that is kept of one stream.
const OUTPUT_BYTES_MAX: u64 = 16 * 1024 * 1024;
