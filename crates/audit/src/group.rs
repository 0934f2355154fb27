//! Group commit: who comes first has everything written that waits by then, with one call for all.
//!
//! A write goes to the page cache and takes microseconds, less than waking a thread for it, so it is done where the caller runs.
//! Once it was slow, and always where the disk itself is waited for, a thread that may block does it.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::config::{Config, Level};
use crate::segment::Segment;

/// Why something is not recorded, and so not done.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogDown {
    /// Too many records wait already.
    #[error("the audit queue is full")]
    Full,
    /// The record was not written in time.
    #[error("the audit log did not answer within {} ms", WAIT_MAX.as_millis())]
    Slow,
    /// The operating system refused the write.
    #[error("the audit log cannot be written")]
    Write(#[source] Arc<io::Error>),
    /// The writer ended without an answer.
    #[error("the audit writer ended early")]
    Abandoned,
    /// The log was closed.
    #[error("the audit log is closed")]
    Closed,
}

#[derive(Debug)]
pub(crate) struct Group {
    queue: Mutex<Queue>,
    // LOCKS: a leader holds this one and takes `queue` for moments; nobody does it the other way round.
    segment: Mutex<Segment>,
    healthy: AtomicBool,
    /// Whether the last write was quick enough for a thread that others wait for.
    swift: AtomicBool,
    level: Level,
    queue_max: usize,
    batch_bytes_max: usize,
    wait_max: Duration,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    next_ticket: u64,
    led: bool,
    closed: bool,
}

#[derive(Debug)]
struct Waiting {
    ticket: u64,
    entry: Entry,
    answer: oneshot::Sender<Answer>,
}

type Answer = Result<u64, LogDown>;

/// What waits in the queue.
#[derive(Debug)]
pub(crate) enum Entry {
    /// A record without its number.
    Line(Vec<u8>),
    /// All before it is to reach the disk.
    Flush,
    /// The same, and nothing comes after it.
    Close,
}

impl Entry {
    fn line(&self) -> Option<&[u8]> {
        match self {
            Entry::Line(line) => Some(line),
            Entry::Flush | Entry::Close => None,
        }
    }

    /// What it takes in the file.
    fn bytes(&self) -> usize {
        self.line().map_or(0, |line| line.len().saturating_add(LINE_BYTES_MORE))
    }
}

impl Group {
    pub(crate) fn new(segment: Segment, config: &Config) -> Group {
        Group {
            queue: Mutex::default(),
            segment: Mutex::new(segment),
            healthy: AtomicBool::new(true),
            swift: AtomicBool::new(config.level == Level::Written),
            level: config.level,
            queue_max: config.queue_max,
            batch_bytes_max: usize::try_from(config.segment_bytes_max).unwrap_or(BATCH_BYTES_MAX).min(BATCH_BYTES_MAX),
            wait_max: WAIT_MAX,
        }
    }

    pub(crate) fn healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    /// Waits until the entry is dealt with, and says the number of its line, or of the next one where it has none.
    pub(crate) async fn join(self: &Arc<Self>, entry: Entry) -> Result<u64, LogDown> {
        self.wait(self.enter(entry)?).await
    }

    async fn wait(self: &Arc<Self>, place: Place) -> Result<u64, LogDown> {
        let Place { ticket, mut answer, lead } = place;
        if let Some(lead) = lead {
            lead.take().await;
            if let Ok(answer) = answer.try_recv() {
                return answer;
            }
        }
        match tokio::time::timeout(self.wait_max, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(LogDown::Abandoned),
            Err(_) => {
                self.healthy.store(false, Ordering::Relaxed);
                self.withdraw(ticket);
                Err(LogDown::Slow)
            }
        }
    }

    /// Waits until all of them are dealt with. They enter the queue a part at a time, so that they never fill it alone.
    pub(crate) async fn join_all(self: &Arc<Self>, entries: Vec<Entry>) -> Result<(), LogDown> {
        let mut entries = entries.into_iter().peekable();
        while entries.peek().is_some() {
            let part = entries.by_ref().take(self.queue_max.div_ceil(QUEUE_SHARE));
            let places: Vec<Place> = part.map(|entry| self.enter(entry)).collect::<Result<_, _>>()?;
            for place in places {
                self.wait(place).await?;
            }
        }
        Ok(())
    }

    fn enter(self: &Arc<Self>, entry: Entry) -> Result<Place, LogDown> {
        let (to, answer) = oneshot::channel();
        let mut queue = self.queue();
        let bytes = queue.bytes.saturating_add(entry.bytes());
        match entry {
            // Closing needs no room: a full queue must not keep the log open.
            Entry::Close => queue.closed = true,
            Entry::Line(_) | Entry::Flush if queue.closed => return Err(LogDown::Closed),
            Entry::Line(_) | Entry::Flush => {
                if queue.waiting.len() >= self.queue_max || bytes > QUEUE_BYTES_MAX {
                    return Err(LogDown::Full);
                }
            }
        }
        let ticket = queue.next_ticket;
        queue.next_ticket = ticket.wrapping_add(1);
        queue.bytes = bytes;
        queue.waiting.push_back(Waiting { ticket, entry, answer: to });
        let led = std::mem::replace(&mut queue.led, true);
        let lead = (!led).then(|| Elected(Some(Lead { group: Arc::clone(self), done: false })));
        Ok(Place { ticket, answer, lead })
    }

    /// Takes an entry back that nobody has begun to write: its caller was told that it is not recorded.
    fn withdraw(&self, ticket: u64) {
        let mut queue = self.queue();
        if let Ok(at) = queue.waiting.binary_search_by_key(&ticket, |waiting| waiting.ticket)
            && let Some(gone) = queue.waiting.remove(at)
        {
            queue.bytes = queue.bytes.saturating_sub(gone.entry.bytes());
        }
    }

    /// The next entries to write; none ends the lead, in the same moment as nobody waits.
    fn next_batch(&self) -> Vec<Waiting> {
        let mut queue = self.queue();
        let mut batch: Vec<Waiting> = Vec::new();
        let mut bytes: usize = 0;
        while let Some(next) = queue.waiting.front() {
            bytes = bytes.saturating_add(next.entry.bytes());
            if bytes > self.batch_bytes_max && !batch.is_empty() {
                break;
            }
            batch.extend(queue.waiting.pop_front());
        }
        let taken = batch.iter().map(|waiting| waiting.entry.bytes()).sum();
        queue.bytes = queue.bytes.saturating_sub(taken);
        queue.led = !batch.is_empty();
        batch
    }

    /// Whether somebody came meanwhile. If nobody did, nobody leads any more.
    fn goes_on(&self) -> bool {
        let mut queue = self.queue();
        queue.led = !queue.waiting.is_empty();
        queue.led
    }

    fn write(&self, segment: &mut Segment, batch: Vec<Waiting>) -> Answers {
        let begun = Instant::now();
        let written = segment.append(batch.iter().filter_map(|waiting| waiting.entry.line()), self.level);
        let flush = batch.iter().any(|waiting| waiting.entry.line().is_none());
        let flushed = if flush { segment.sync() } else { Ok(()) };
        self.swift.store(self.level == Level::Written && begun.elapsed() < SWIFT, Ordering::Relaxed);
        self.note_health(written.as_ref().err().or(flushed.as_ref().err()));
        let flushed = flushed.map_err(|error| LogDown::Write(Arc::new(error)));
        let (mut numbers, written) = match written {
            Ok(numbers) => (numbers, Ok(())),
            Err(error) => (0..0, Err(LogDown::Write(Arc::new(error)))),
        };
        let answers = batch.into_iter().map(|Waiting { entry, answer, .. }| {
            let said = match entry {
                Entry::Line(_) => written.clone().and_then(|()| numbers.next().ok_or(LogDown::Abandoned)),
                Entry::Flush | Entry::Close => written.clone().and(flushed.clone()).map(|()| numbers.start),
            };
            (answer, said)
        });
        Answers(answers.collect())
    }

    fn note_health(&self, error: Option<&io::Error>) {
        let was_healthy = self.healthy.swap(error.is_none(), Ordering::Relaxed);
        match error {
            Some(error) if was_healthy => {
                tracing::error!(%error, "the audit log cannot be written; calls are refused")
            }
            None if !was_healthy => tracing::warn!("the audit log can be written again"),
            Some(_) | None => {}
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // No panic leaves the queue half changed.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn segment(&self) -> MutexGuard<'_, Segment> {
        // A segment's fields change only after the file did, so its next use starts from the last good record.
        self.segment.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue.
struct Place {
    ticket: u64,
    answer: oneshot::Receiver<Answer>,
    /// Who came first has everybody's entries written.
    lead: Option<Elected>,
}

/// A lead that nobody has taken yet. Its caller may be gone before it does; then a thread takes it.
struct Elected(Option<Lead>);

impl Elected {
    async fn take(mut self) {
        let flushes = |group: &Group| group.queue().waiting.iter().any(|waiting| waiting.entry.line().is_none());
        if self.0.as_ref().is_some_and(|lead| lead.group.swift.load(Ordering::Relaxed) && !flushes(&lead.group)) {
            // Who is about to record gets there first, and is written with the rest.
            tokio::task::yield_now().await;
            if let Some(lead) = self.0.take() {
                lead.write_here();
            }
        }
    }
}

impl Drop for Elected {
    fn drop(&mut self) {
        if let (Some(lead), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            drop(runtime.spawn_blocking(move || lead.run()));
        }
    }
}

/// The one who writes for all.
struct Lead {
    group: Arc<Group>,
    done: bool,
}

impl Lead {
    /// On a thread that may block: until nobody waits.
    fn run(mut self) {
        let mut answers = Answers::default();
        let mut segment = self.group.segment();
        loop {
            let batch = self.group.next_batch();
            if batch.is_empty() {
                break;
            }
            answers.send();
            answers = self.group.write(&mut segment, batch);
        }
        drop(segment);
        self.done = true;
        // The last answers go out when this lead holds nothing any more: who got them all and drops the log has it closed.
        drop(self);
        answers.send();
    }

    /// On a thread that others wait for: one batch, and a task for who came meanwhile.
    fn write_here(mut self) {
        let group = Arc::clone(&self.group);
        let Ok(mut segment) = group.segment.try_lock() else {
            drop(Elected(Some(self)));
            return;
        };
        let batch = group.next_batch();
        if batch.is_empty() {
            self.done = true;
            return;
        }
        let answers = group.write(&mut segment, batch);
        drop(segment);
        if group.goes_on() {
            drop(tokio::spawn(Elected(Some(self)).take()));
        } else {
            self.done = true;
            drop(self);
        }
        drop(group);
        answers.send();
    }
}

/// What is to be said to whom.
#[derive(Default)]
struct Answers(Vec<(oneshot::Sender<Answer>, Answer)>);

impl Answers {
    fn send(self) {
        for (to, answer) in self.0 {
            // Who is gone needs no answer: a dropped call, or one that was told `Slow` and so does nothing.
            drop(to.send(answer));
        }
    }
}

impl Drop for Lead {
    /// A lead that ended early, with its runtime or by a panic, must not look as if it went on.
    fn drop(&mut self) {
        if self.done {
            return;
        }
        self.group.healthy.store(false, Ordering::Relaxed);
        let mut queue = self.group.queue();
        queue.led = false;
        queue.bytes = 0;
        queue.waiting.clear();
    }
}

/// What part of the queue one caller fills at a time.
const QUEUE_SHARE: usize = 8;
const WAIT_MAX: Duration = Duration::from_secs(2);
/// How long a write may hold up the tasks of a runtime thread before the next one is left to a thread of its own.
const SWIFT: Duration = Duration::from_millis(5);
const BATCH_BYTES_MAX: usize = 1024 * 1024;
const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What the number of a line adds to it: `"seq":`, 20 digits, a comma and the line feed.
const LINE_BYTES_MORE: usize = 28;

#[cfg(test)]
mod tests {
    use super::*;

    fn group(dir: &std::path::Path, config: &Config) -> Group {
        let (segment, _) = Segment::open(dir, config).unwrap();
        Group { wait_max: Duration::from_millis(50), ..Group::new(segment, config) }
    }

    fn line(text: &str) -> Entry {
        Entry::Line(format!("{{\"text\":\"{text}\"}}").into_bytes())
    }

    fn log(dir: &std::path::Path) -> String {
        std::fs::read_to_string(dir.join("00000000000000000001.jsonl")).unwrap()
    }

    #[tokio::test]
    async fn write_that_hangs_refuses_in_time_and_its_line_is_withdrawn() {
        let dir = tempfile::tempdir().unwrap();
        let group = Arc::new(group(&dir.path().join("log"), &Config::default()));
        let hanging = Arc::clone(&group);
        let (release, released) = std::sync::mpsc::channel::<()>();
        let (holds, held) = oneshot::channel();
        let hang = std::thread::spawn(move || {
            let _segment = hanging.segment();
            holds.send(()).unwrap();
            released.recv().unwrap();
        });
        held.await.unwrap();

        assert!(matches!(group.join(line("late")).await, Err(LogDown::Slow)));
        assert!(!group.healthy());
        assert_eq!(group.queue().bytes, 0);

        release.send(()).unwrap();
        hang.join().unwrap();
        assert_eq!(group.join(line("next")).await.unwrap(), 1);
        assert!(group.healthy());
        assert_eq!(log(&dir.path().join("log")), "{\"seq\":1,\"text\":\"next\"}\n");
    }

    #[tokio::test]
    async fn queue_takes_its_bound_and_refuses_one_more() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { queue_max: 2, ..Config::default() };
        let group = Arc::new(group(&dir.path().join("log"), &config));
        let hanging = Arc::clone(&group);
        let segment = hanging.segment();
        let first = group.enter(line("first")).unwrap();
        let second = group.enter(line("second")).unwrap();
        assert!(matches!(group.enter(line("third")), Err(LogDown::Full)));
        drop(segment);
        assert!(second.lead.is_none());
        first.lead.unwrap().take().await;
        assert_eq!(first.answer.await.unwrap().unwrap(), 1);
        assert_eq!(second.answer.await.unwrap().unwrap(), 2);
    }

    #[tokio::test]
    async fn who_comes_first_and_goes_away_leaves_nobody_behind() {
        let dir = tempfile::tempdir().unwrap();
        let group = Arc::new(group(&dir.path().join("log"), &Config::default()));
        let first = group.enter(line("first")).unwrap();
        let second = group.enter(line("second")).unwrap();
        drop(first);
        assert_eq!(second.answer.await.unwrap().unwrap(), 2);
        assert!(group.healthy());
        assert_eq!(group.join(line("third")).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn after_a_slow_write_a_thread_writes_until_it_is_swift_again() {
        let dir = tempfile::tempdir().unwrap();
        let group = Arc::new(group(&dir.path().join("log"), &Config::default()));
        group.swift.store(false, Ordering::Relaxed);
        assert_eq!(group.join(line("first")).await.unwrap(), 1);
        assert!(group.swift.load(Ordering::Relaxed));
        let durable = Config { level: Level::Durable, ..Config::default() };
        let group = Arc::new(self::group(&dir.path().join("durable"), &durable));
        assert_eq!(group.join(line("first")).await.unwrap(), 1);
        assert!(!group.swift.load(Ordering::Relaxed));
    }

    #[test]
    fn lead_that_dies_with_its_runtime_leaves_the_log_usable() {
        let dir = tempfile::tempdir().unwrap();
        let group = Arc::new(group(&dir.path().join("log"), &Config::default()));
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        drop(Lead { group: Arc::clone(&group), done: false });
        assert!(!group.healthy());
        assert_eq!(runtime().block_on(group.join(line("next"))).unwrap(), 1);
    }
}
