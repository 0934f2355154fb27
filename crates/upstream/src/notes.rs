//! What is written down about a server outside of any call, at a bounded rate.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use sekisho_audit::{Audit, Draft, Event, EventKind, Outcome};
use sekisho_catalog::Server;
use sekisho_egress::{NotRecorded, Outcome as Passed, Passage};
use sekisho_sandbox::Usage;
use sekisho_wire::{ServerId, Told};
use tokio::time::Instant;

use crate::error::words;
use crate::tasks::Tasks;
use crate::watch::Watches;

/// Notes about one server. A hostile server cannot fill the log with them: past a bound a minute they are counted only, and the
/// next note says how many there were.
#[derive(Debug)]
pub(crate) struct Notes {
    server: ServerId,
    /// As it is configured now: a peer may be kept while what is approved of its server changes.
    catalog: ArcSwap<Server>,
    /// How often the server said that a list changed.
    changes: AtomicU64,
    audit: Arc<Audit>,
    tasks: Tasks,
    security: Mutex<Budget>,
    stderr: Mutex<Budget>,
    /// What its processes wrote last on their error streams.
    last_line: Mutex<Option<Box<str>>>,
    watches: Watches,
}

impl Notes {
    pub(crate) fn new(server: &Arc<Server>, audit: Arc<Audit>, tasks: Tasks, stderr_lines_max: u32) -> Notes {
        let budget = |a_minute| Mutex::new(Budget { a_minute, since: None, spent: 0, unsaid: 0 });
        Notes {
            server: server.id().clone(),
            catalog: ArcSwap::new(Arc::clone(server)),
            changes: AtomicU64::new(0),
            audit,
            tasks,
            security: budget(SECURITY_A_MINUTE),
            stderr: budget(stderr_lines_max),
            last_line: Mutex::default(),
            watches: Watches::default(),
        }
    }

    /// From now on it is this one, configured anew.
    pub(crate) fn move_to(&self, server: &Arc<Server>) {
        self.catalog.store(Arc::clone(server));
    }

    /// The server, as it is configured now.
    pub(crate) fn server(&self) -> Arc<Server> {
        self.catalog.load_full()
    }

    /// The server tells something, whether anybody listens or not: what it offers is looked at again before the next call.
    pub(crate) fn told(&self, told: &Told) {
        match told {
            Told::Changed(listed) => {
                // First, so that nobody is given a listing from before.
                self.changes.fetch_add(1, Ordering::AcqRel);
                self.catalog.load().changed(*listed);
            }
            Told::Updated { .. } | Told::Acknowledged(_) => {}
        }
    }

    /// What its processes are seen to do.
    pub(crate) fn watches(&self) -> &Watches {
        &self.watches
    }

    /// How often the server said that a list changed.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Something that a server should not do, such as an answer that nobody asked for.
    pub(crate) fn suspicious(&self, what: &'static str, detail: &str) {
        tracing::debug!(target: "upstream", server = %self.server, what, "noted");
        if let Some(unsaid) = spend(&self.security) {
            self.write(event(EventKind::Security, Outcome::Noted, what, detail), unsaid);
        }
    }

    /// Its program is not started, for it may be another one than was approved.
    pub(crate) fn alarm(&self, why: &str) {
        tracing::warn!(target: "upstream", server = %self.server, "{}", words(why));
        if let Some(unsaid) = spend(&self.security) {
            let mut event = Event::new(EventKind::Security, Outcome::Noted);
            event.reason = Some(String::from(words(why)).into());
            self.write(event, unsaid);
        }
    }

    /// A line of a process's error stream: free text, no sign of an error (ST-03).
    pub(crate) fn stderr(&self, line: &str) {
        let line = words(line);
        tracing::debug!(target: "upstream", server = %self.server, %line, "stderr");
        if !line.trim().is_empty() {
            *self.last_line.lock().unwrap_or_else(PoisonError::into_inner) = Some(line.clone());
        }
        if let Some(unsaid) = spend(&self.stderr) {
            self.write(event(EventKind::Server, Outcome::Noted, "error stream", &line), unsaid);
        }
    }

    /// The last line that its processes wrote on their error streams: visible characters, bounded.
    pub(crate) fn last_line(&self) -> Option<Box<str>> {
        self.last_line.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The server came up, went down, ended or was restarted.
    pub(crate) fn turn(&self, outcome: Outcome, what: &'static str, detail: &str) {
        tracing::info!(target: "upstream", server = %self.server, detail = &*words(detail), "{what}");
        self.write(event(EventKind::Server, outcome, what, detail), 0);
    }

    /// A process of the server runs, confined so.
    pub(crate) fn confined(&self, how: &str) {
        tracing::debug!(target: "upstream", server = %self.server, how, "the process runs confined");
        self.write(event(EventKind::Server, Outcome::Noted, "the process runs confined", how), 0);
    }

    /// A process of the server has ended, and this is the most that it was seen to use.
    pub(crate) fn used(&self, peak: &Usage) {
        let words = format!(
            "{} processes, {} open files, {} MiB of memory, {} ms of processor time",
            peak.processes,
            peak.files,
            peak.memory_bytes.div_ceil(1024 * 1024),
            peak.cpu.as_millis()
        );
        tracing::debug!(target: "upstream", server = %self.server, words, "the most that a process used");
        self.write(event(EventKind::Server, Outcome::Noted, "the most that its process used", &words), 0);
    }

    /// A process of the server wanted out.
    ///
    /// # Errors
    /// It could not be written down.
    pub(crate) async fn passage(&self, passage: &Passage) -> Result<(), NotRecorded> {
        let outcome = match passage.outcome {
            Passed::Opened => Outcome::Permit,
            Passed::Ended => Outcome::Completed,
            Passed::Cut(_) | Passed::Failed(_) => Outcome::Failed,
            Passed::Refused(_) => Outcome::Refused,
        };
        match passage.outcome {
            Passed::Opened => self.watches.traffic().lets_out(),
            Passed::Refused(_) => self.watches.traffic().keeps_in(),
            Passed::Ended | Passed::Cut(_) | Passed::Failed(_) => {}
        }
        let mut event = Event::new(EventKind::Egress, outcome);
        event.server = Some(self.server.as_str().into());
        event.reason = Some(passage.outcome.why().map_or(passage.outcome.word().into(), Into::into));
        event.item = passage.asked.as_ref().map(|asked| format!("{}:{}", asked.host, asked.port).into());
        let addresses: Vec<String> = passage.addresses.iter().map(ToString::to_string).collect();
        for (name, value) in [
            ("number", passage.number.to_string()),
            ("addresses", addresses.join(" ")),
            ("bytes_up", passage.bytes_up.to_string()),
            ("bytes_down", passage.bytes_down.to_string()),
            ("milliseconds", passage.duration.as_millis().to_string()),
        ] {
            event.detail.push((name.into(), value.into()));
        }
        if let Some(why) = passage.outcome.why() {
            let asked = event.item.as_deref().unwrap_or("?");
            tracing::info!(target: "upstream", server = %self.server, asked, why, "a way out was not given or broke off");
        }
        self.audit.note(event).await.map(|_| ()).map_err(|_| NotRecorded)
    }

    fn write<'a>(&'a self, mut event: Event<'a>, unsaid: u64) {
        event.server = Some(self.server.as_str().into());
        if unsaid > 0 {
            event.detail.push(("not_recorded".into(), unsaid.to_string().into()));
        }
        let (audit, draft) = (self.audit.clone(), Draft::from(event));
        self.tasks.spawn(async move {
            if audit.note(draft).await.is_err() {
                tracing::warn!(target: "upstream", "a note about a server was not recorded");
            }
        });
    }
}

fn event(kind: EventKind, outcome: Outcome, what: &'static str, detail: &str) -> Event<'static> {
    let mut event = Event::new(kind, outcome);
    event.reason = Some(what.into());
    if !detail.is_empty() {
        event.detail.push(("words".into(), String::from(words(detail)).into()));
    }
    event
}

#[derive(Debug)]
struct Budget {
    a_minute: u32,
    since: Option<Instant>,
    spent: u32,
    unsaid: u64,
}

/// Takes one from the budget; how many were not said since the last time, or none if this one is not to be said either.
fn spend(budget: &Mutex<Budget>) -> Option<u64> {
    let mut budget = budget.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    if budget.since.is_none_or(|since| now.duration_since(since) >= MINUTE) {
        budget.since = Some(now);
        budget.spent = 0;
    }
    if budget.spent >= budget.a_minute {
        budget.unsaid = budget.unsaid.saturating_add(1);
        return None;
    }
    budget.spent = budget.spent.saturating_add(1);
    Some(std::mem::take(&mut budget.unsaid))
}

const MINUTE: Duration = Duration::from_secs(60);
const SECURITY_A_MINUTE: u32 = 30;
