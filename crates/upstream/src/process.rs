//! One child process that speaks MCP on its standard streams: its start, its streams and its end.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{self, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use secrecy::{ExposeSecret, SecretString};
use sekisho_audit::Outcome;
use sekisho_wire::Era;
use sekisho_wire::lines::Lines;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::error::{Fault, words};
use crate::launch::Launch;
use crate::link::Stdio;
use crate::notes::Notes;
use crate::pool::Slot;
use crate::stdio::{Line, Talk};

/// What is executed, without a shell, with nothing of the gateway's environment but [`INHERITED`].
pub(crate) struct Program {
    /// What it is, looked at before each start.
    pub(crate) launch: Box<Launch>,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) inherited: Vec<(&'static str, OsString)>,
    pub(crate) configured: Vec<(String, SecretString)>,
    pub(crate) folder: Option<PathBuf>,
}

/// A running process. Dropped, it is stopped.
pub(crate) struct Process {
    talk: Arc<Talk>,
    course: watch::Sender<Course>,
}

/// What is to become of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    Run,
    /// Its output has ended: it is about to end by itself, or of no use any more.
    Mute,
    Stop,
}

impl Process {
    /// Starts a process for a conversation of one era. It keeps its slot until it is reaped, not until it is let go: a process
    /// that takes its time to end counts.
    ///
    /// # Errors
    /// [`Fault::Unreachable`] where it cannot be executed.
    pub(crate) fn start(stdio: &Stdio, era: Era, slot: Option<Arc<Slot>>) -> Result<Process, Fault> {
        let Stdio { program, config, notes, tasks } = stdio;
        let unreachable = |error: std::io::Error| Fault::Unreachable(format!("it cannot be started: {error}").into());
        let path = program.launch.check(&notes.server(), notes)?;
        let mut child = program.command(&path).spawn().map_err(unreachable)?;
        let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = streams else {
            return Err(Fault::Unreachable("its standard streams are not there".into()));
        };
        let (talk, lines) = Talk::new(era, config.answer_limits(), notes.clone());
        let course = watch::Sender::new(Course::Run);
        let reader = Reader {
            talk: talk.clone(),
            notes: notes.clone(),
            line_bytes_max: config.answer_bytes_max,
            garbage_lines_max: config.garbage_lines_max,
        };
        let life = Life {
            child,
            writer: tokio::spawn(write(stdin, lines)),
            reader: tokio::spawn(reader.read(stdout, course.clone())),
            stderr: tokio::spawn(read_stderr(stderr, config.stderr_line_bytes_max, notes.clone())),
            talk: talk.clone(),
            notes: notes.clone(),
            slot,
        };
        tasks.spawn(life.live(course.subscribe()));
        Ok(Process { talk, course })
    }

    pub(crate) fn talk(&self) -> &Arc<Talk> {
        &self.talk
    }

    /// Begins its end; whoever waits for an answer is told at once.
    pub(crate) fn stop(&self) {
        self.talk.end("its connection was closed");
        self.course.send_replace(Course::Stop);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Program {
    fn command(&self, path: &Path) -> Command {
        let mut command = Command::new(path);
        if !self.launch.name().contains('/') {
            // As it would be called if it had been looked for by whoever starts it.
            command.arg0(self.launch.name());
        }
        command.args(&self.arguments).env_clear();
        for (name, value) in &self.inherited {
            command.env(name, value);
        }
        for (name, value) in &self.configured {
            command.env(name, value.expose_secret());
        }
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        // A group of its own, so that whatever it starts ends with it, and a Ctrl-C at our terminal does not reach it.
        let piped = process::Stdio::piped;
        command.stdin(piped()).stdout(piped()).stderr(piped()).process_group(0).kill_on_drop(true);
        command
    }
}

/// Owns the child until it is reaped.
struct Life {
    child: Child,
    writer: JoinHandle<()>,
    reader: JoinHandle<()>,
    stderr: JoinHandle<()>,
    talk: Arc<Talk>,
    notes: Arc<Notes>,
    slot: Option<Arc<Slot>>,
}

impl Life {
    async fn live(mut self, mut course: watch::Receiver<Course>) {
        let group = self.child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        let mut ended = tokio::select! {
            ended = self.child.wait() => Some(ended),
            _ = course.wait_for(|course| *course != Course::Run) => None,
        };
        if ended.is_none() && *course.borrow() == Course::Mute {
            ended = timeout(DRAIN, self.child.wait()).await.ok();
        }
        self.writer.abort();
        let ended = match ended {
            Some(ended) => {
                self.notes.turn(Outcome::Failed, "the process ended by itself", &exit_words(&ended));
                ended
            }
            None => {
                // Closes its standard input, which asks it to end (ST-07).
                let _aborted = (&mut self.writer).await;
                self.end(group).await
            }
        };
        // What it started and left behind ends with it. The group outlives its leader as long as it has members, and the number of
        // a group without members is not given out again within moments. LIMIT: a descendant that made a session of its own is the
        // sandbox's to end.
        signal(group, Signal::SIGKILL);
        // Before anybody is told, so that the next one can take its place.
        self.slot = None;
        // What it wrote last may still be in the pipe; somebody else may hold the pipe open, so not for long.
        let _in_time = timeout(DRAIN, &mut self.reader).await;
        self.talk.end(exit_words(&ended));
        self.reader.abort();
        self.stderr.abort();
    }

    /// Wait, SIGTERM, wait, SIGKILL (ST-07).
    async fn end(&mut self, group: Option<Pid>) -> std::io::Result<ExitStatus> {
        for next in [Signal::SIGTERM, Signal::SIGKILL] {
            if let Ok(ended) = timeout(PATIENCE, self.child.wait()).await {
                return ended;
            }
            signal(group, next);
        }
        self.child.wait().await
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.writer.abort();
        self.reader.abort();
        self.stderr.abort();
        self.talk.end("its connection was closed");
    }
}

/// Sends a signal to the process and what it started. One that is gone needs none.
fn signal(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group
        && let Err(error) = killpg(group, signal)
    {
        tracing::trace!(target: "upstream", %error, %signal, "signal not sent");
    }
}

fn exit_words(ended: &std::io::Result<ExitStatus>) -> String {
    match ended {
        Ok(status) => format!("its process ended ({status})"),
        Err(error) => format!("its process is lost ({error})"),
    }
}

async fn write(mut stdin: ChildStdin, mut lines: mpsc::Receiver<Bytes>) {
    while let Some(line) = lines.recv().await {
        let written = async {
            stdin.write_all(&line).await?;
            stdin.flush().await
        };
        if let Err(error) = written.await {
            tracing::debug!(target: "upstream", %error, "standard input is closed");
            return;
        }
    }
}

/// Takes the process's output apart.
struct Reader {
    talk: Arc<Talk>,
    notes: Arc<Notes>,
    line_bytes_max: usize,
    garbage_lines_max: u32,
}

impl Reader {
    /// Reads until the output ends or is nothing but garbage; either ends the process.
    async fn read(self, mut stdout: ChildStdout, course: watch::Sender<Course>) {
        let mut lines = Lines::new(self.line_bytes_max);
        let mut garbage = 0_u32;
        let mut ready = Vec::new();
        let mut chunk = vec![0; CHUNK_BYTES];
        while let Some(bytes) = read_chunk(&mut stdout, &mut chunk).await {
            lines.feed(bytes, &mut ready);
            for line in ready.drain(..) {
                let what = match line {
                    Ok(line) => self.talk.hear(line),
                    Err(error) => {
                        self.notes.suspicious("its output has too long a line", &error.to_string());
                        Line::Garbage
                    }
                };
                garbage = match what {
                    Line::Message => 0,
                    Line::Garbage => garbage.saturating_add(1),
                };
                if garbage > self.garbage_lines_max {
                    self.notes.turn(Outcome::Failed, "the process is stopped: its output is not MCP", "");
                    self.talk.end("its output is not MCP");
                    course.send_replace(Course::Stop);
                    return drain(stdout, chunk).await;
                }
            }
        }
        course.send_if_modified(|course| {
            let runs = *course == Course::Run;
            if runs {
                *course = Course::Mute;
            }
            runs
        });
    }
}

/// Reads on and throws away, so that a process that still writes can come to its end.
async fn drain(mut stdout: ChildStdout, mut chunk: Vec<u8>) {
    while read_chunk(&mut stdout, &mut chunk).await.is_some() {}
}

async fn read_stderr(mut stderr: impl AsyncRead + Unpin, line_bytes_max: usize, notes: Arc<Notes>) {
    let mut lines = Lines::new(line_bytes_max);
    let mut ready = Vec::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Some(bytes) = read_chunk(&mut stderr, &mut chunk).await {
        lines.feed(bytes, &mut ready);
        for line in ready.drain(..) {
            match line {
                Ok(line) => notes.stderr(&words(&String::from_utf8_lossy(&line))),
                Err(error) => notes.stderr(&error.to_string()),
            }
        }
    }
}

async fn read_chunk<'a>(from: &mut (impl AsyncRead + Unpin), chunk: &'a mut [u8]) -> Option<&'a [u8]> {
    let read = from.read(chunk).await.ok().filter(|read| *read > 0)?;
    chunk.get(..read)
}

/// What a process gets of our environment: where programs and the user's folder are, language, time zone and the place for
/// temporary files. Everything else may be a secret of ours or steer the process (`LD_PRELOAD`, `NODE_OPTIONS`); what a server
/// needs beyond this stands in its configuration.
pub(crate) const INHERITED: [&str; 10] =
    ["PATH", "HOME", "LANG", "LC_ALL", "LC_COLLATE", "LC_CTYPE", "LC_MESSAGES", "LC_TIME", "TMPDIR", "TZ"];

/// How long a process may take to end by itself, and again after SIGTERM.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
const DRAIN: Duration = Duration::from_millis(200);
const CHUNK_BYTES: usize = 64 * 1024;
