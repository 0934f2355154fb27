//! One child process that speaks MCP on its standard streams: its start, its streams and its end.

use std::process::ExitStatus;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use sekisho_audit::Outcome;
use sekisho_sandbox::Tier;
use sekisho_wire::Era;
use sekisho_wire::lines::Lines;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, timeout};

use crate::confined;
use crate::error::{Fault, words};
use crate::excess::Excess;
use crate::link::Stdio;
use crate::notes::Notes;
use crate::pool::{Slot, lock};
use crate::program::Begun;
use crate::stdio::{Line, Talk};
use crate::watch::Watch;

/// A running process. Dropped, it is stopped.
pub(crate) struct Process {
    talk: Arc<Talk>,
    course: watch::Sender<Course>,
    slot: Place,
}

/// Where the slot of a process is, if it has one: until it is reaped.
type Place = Arc<Mutex<Option<Arc<Slot>>>>;

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
        let Begun { mut child, speech } = program.start(notes)?;
        let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = streams else {
            return Err(Fault::Unreachable("its standard streams are not there".into()));
        };
        let watch = notes.watches().begin(program.tier());
        if let (Tier::None, Some(id)) = (program.tier(), child.id()) {
            watch.sees(id);
        }
        let (talk, lines) = Talk::new(era, config.answer_limits(), notes.clone(), watch.clone());
        let (course, slot) = (watch::Sender::new(Course::Run), Arc::new(Mutex::new(slot)));
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
            slot: Arc::clone(&slot),
            cage: speech.map(|speech| {
                let (tier, gate) = (program.tier(), program.gate());
                tokio::spawn(confined::listen(speech, tier, gate, watch.clone(), notes.clone()))
            }),
            watch,
            excess: program.excess(),
        };
        tasks.spawn(life.live(course.subscribe()));
        Ok(Process { talk, course, slot })
    }

    pub(crate) fn talk(&self) -> &Arc<Talk> {
        &self.talk
    }

    /// It counts for whoever has this slot from now on.
    pub(crate) fn occupy(&self, slot: Arc<Slot>) {
        *lock(&self.slot) = Some(slot);
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

/// Owns the child until it is reaped.
struct Life {
    child: Child,
    writer: JoinHandle<()>,
    reader: JoinHandle<()>,
    stderr: JoinHandle<()>,
    talk: Arc<Talk>,
    notes: Arc<Notes>,
    slot: Place,
    /// What its launcher tells; none where it is not confined. It holds the life line.
    cage: Option<JoinHandle<Option<Box<str>>>>,
    watch: Arc<Watch>,
    excess: Option<Arc<Excess>>,
}

impl Life {
    async fn live(mut self, mut course: watch::Receiver<Course>) {
        let group = self.child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        let mut too_much = None;
        let mut ended = tokio::select! {
            ended = self.child.wait() => Some(ended),
            _ = course.wait_for(|course| *course != Course::Run) => None,
            () = self.talk.hangs() => {
                self.notes.turn(Outcome::Failed, "the process is stopped: it answers nothing any more", "");
                self.talk.end("it answered nothing any more");
                None
            }
            why = uses_too_much(&self.watch, self.excess.as_deref()) => {
                too_much = Some(why);
                None
            }
        };
        if let Some(why) = too_much {
            self.notes.turn(Outcome::Failed, "the process is stopped: it uses more than it may", &why);
            self.talk.end(format!("it was stopped: {why}"));
            // Not asked to end: meanwhile it would use more.
            self.kill(group).await;
        }
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
        self.notes.used(&self.watch.peak());
        // What it started and left behind ends with it. The group outlives its leader as long as it has members, and the number of
        // a group without members is not given out again within moments. A descendant that made a session of its own ends with its
        // namespace. LIMIT: one that is not confined does not.
        signal(group, Signal::SIGKILL);
        // Before anybody is told, so that the next one can take its place.
        drop(lock(&self.slot).take());
        // What it wrote last may still be in the pipe; somebody else may hold the pipe open, so not for long.
        self.talk.hurry();
        let _in_time = timeout(DRAIN, &mut self.reader).await;
        let uncaged = self.why_it_was_not_started().await;
        self.talk.end(uncaged.map_or_else(|| exit_words(&ended), String::from));
        self.reader.abort();
        self.stderr.abort();
    }

    /// The launcher has ended: what it said last is heard at once.
    async fn why_it_was_not_started(&mut self) -> Option<Box<str>> {
        let cage = self.cage.as_mut()?;
        timeout(DRAIN, cage).await.ok()?.ok()?
    }

    /// Ends it at once: its launcher ends all that it left, and the group is ended beside.
    async fn kill(&mut self, group: Option<Pid>) {
        match &self.cage {
            Some(cage) => cage.abort(),
            None => signal(group, Signal::SIGKILL),
        }
        let _in_time = timeout(PATIENCE, self.child.wait()).await;
    }

    /// Wait, SIGTERM, wait, SIGKILL (ST-07). A launcher ends whatever its server has left, once its life line has ended; it could not if
    /// it were killed at once.
    async fn end(&mut self, group: Option<Pid>) -> std::io::Result<ExitStatus> {
        if let Ok(ended) = timeout(PATIENCE, self.child.wait()).await {
            return ended;
        }
        signal(group, Signal::SIGTERM);
        if let Ok(ended) = timeout(PATIENCE, self.child.wait()).await {
            return ended;
        }
        if let Some(cage) = &self.cage {
            cage.abort();
            if let Ok(ended) = timeout(PATIENCE, self.child.wait()).await {
                return ended;
            }
        }
        signal(group, Signal::SIGKILL);
        self.child.wait().await
    }
}

/// Looks at a process now and then, until it uses more than it may. Why that is.
async fn uses_too_much(watch: &Watch, excess: Option<&Excess>) -> String {
    let mut tick = interval(LOOK_EVERY);
    loop {
        tick.tick().await;
        let usage = watch.glance();
        if let Some(excess) = excess
            && let Some(why) = excess.of(usage, Instant::now()).await
        {
            return why;
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.writer.abort();
        self.reader.abort();
        self.stderr.abort();
        if let Some(cage) = &self.cage {
            cage.abort();
        }
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
                self.talk.catch_up().await;
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

/// How long a process may take to end by itself, and again after SIGTERM.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
/// How often what a process uses is looked at, beside at each call.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const DRAIN: Duration = Duration::from_millis(200);
const CHUNK_BYTES: usize = 64 * 1024;
