//! **Is it written down?** [`Recorded`] is the proof: the record of this value is in the log.
//!
//! The corridor forwards nothing without it (architecture, properties 1 and 8). The log is a folder of
//! append-only files, one JSON object a line, numbered without a gap. The room knows no other room: it takes
//! plain [`Event`]s. It never drops a record in silence, never waits without a bound, and never sees arguments,
//! results or tokens: only their digests come here.
//!
//! A record says what was decided, before it is done. So a record may stand for something that never happened: the
//! caller was refused because the log answered too late, or went away. The absence of an outcome record tells.
//!
//! *Depth still missing*: the Merkle tree with signed checkpoints and proofs (until then a record that somebody with
//! access to the folder alters or removes at the end is not noticed), receipts, an index for search, redaction and erasure,
//! retention, exporters, compression. A gap that a power failure leaves between two segments at level `written` is
//! found by whoever reads, not at the start.
#![forbid(unsafe_code)]

mod config;
mod digest;
mod event;
mod follow;
mod group;
mod line;
mod read;
mod render;
mod segment;

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

pub use config::{Algorithm, Config, Level};
pub use digest::{Digest, PayloadDigest, SessionTag};
pub use event::{Draft, Event, EventKind, Outcome, PrincipalRef};
pub use follow::{Follow, Since};
pub use group::LogDown;
pub use read::{ReadError, Records, find, read};
pub use render::render;
pub use segment::OpenError;

use group::{Entry, Group};
use segment::{Segment, Torn};

/// A value whose record is in the log. Only [`Audit::record`] makes it.
///
/// ```compile_fail,E0451
/// let forged = sekisho_audit::Recorded { value: (), seq: 1 };
/// ```
#[derive(Debug)]
#[must_use = "what was recorded was recorded to be done"]
pub struct Recorded<T> {
    value: T,
    seq: u64,
}

impl<T> Recorded<T> {
    /// The value.
    pub fn get(&self) -> &T {
        &self.value
    }

    /// The value; the proof ends here.
    pub fn into_inner(self) -> T {
        self.value
    }

    /// The number of its record; the first record of a log has 1.
    pub fn seq(&self) -> u64 {
        self.seq
    }
}

/// The room: one log folder, held by this process alone until this value is dropped and all who record have their answers.
#[derive(Debug)]
pub struct Audit {
    group: Arc<Group>,
    payload_digest: Algorithm,
}

impl Audit {
    /// Opens the log in `dir`, made with mode 0700 where it is missing, and goes on behind its last record.
    ///
    /// What a crash left of an unfinished record is moved to a file `<segment>.torn-<n>` beside it, and recorded at
    /// the time `now`.
    ///
    /// # Errors
    /// The folder cannot be used or is writable by others, another process holds it, or its last segment is damaged
    /// elsewhere than at its end.
    pub fn open(dir: &Path, config: &Config, now: SystemTime) -> Result<Audit, OpenError> {
        let (mut segment, torn) = Segment::open(dir, config)?;
        if let Some(torn) = torn {
            let source = segment.append([line::written(&torn_event(&torn), now).as_slice()].into_iter(), config.level);
            if let Err(source) = source {
                return Err(OpenError::Write { path: dir.into(), source });
            }
        }
        Ok(Audit { group: Arc::new(Group::new(segment, config)), payload_digest: config.payload_digest })
    }

    /// Writes the event down and stamps the value with the proof.
    ///
    /// The answer comes within 2 seconds. The time in the record is when the event became a [`Draft`]: at this call, if not before. If the returned
    /// future is dropped, the event is written all the same.
    ///
    /// # Errors
    /// The record is not in the log, or not in time; the value is gone with it, so nothing can be done with it.
    pub async fn record<T>(&self, event: impl Into<Draft>, value: T) -> Result<Recorded<T>, LogDown> {
        let Draft(line) = event.into();
        let seq = self.group.join(Entry::Line(line)).await?;
        Ok(Recorded { value, seq })
    }

    /// Writes down an event that nothing waits for.
    ///
    /// # Errors
    /// As for [`Audit::record`].
    pub async fn note(&self, event: impl Into<Draft>) -> Result<(), LogDown> {
        self.record(event, ()).await.map(Recorded::into_inner)
    }

    /// The same for many events, which are written with as few calls as they fit into.
    ///
    /// # Errors
    /// As for [`Audit::record`]; some of them may be written all the same.
    pub async fn note_all(&self, events: impl Iterator<Item = impl Into<Draft>>) -> Result<(), LogDown> {
        let lines: Vec<Entry> = events.map(|event| Entry::Line(event.into().0)).collect();
        self.group.join_all(lines).await
    }

    /// How the digests of arguments and results are made.
    #[must_use]
    pub fn payload_digest(&self) -> Algorithm {
        self.payload_digest
    }

    /// Whether the last attempt to write succeeded. An unhealthy log is tried again by every record.
    #[must_use]
    pub fn healthy(&self) -> bool {
        self.group.healthy()
    }

    /// Waits until everything recorded so far is on the disk itself.
    ///
    /// # Errors
    /// The log is down or too slow.
    pub async fn flush(&self) -> Result<(), LogDown> {
        self.group.join(Entry::Flush).await.map(drop)
    }

    /// Refuses further records, then flushes. Further calls to `record` get [`LogDown::Closed`].
    ///
    /// # Errors
    /// As for [`Audit::flush`]; the log is closed nonetheless.
    pub async fn close(&self) -> Result<(), LogDown> {
        self.group.join(Entry::Close).await.map(drop)
    }
}

/// What a crash did to the log, as a record of its own.
fn torn_event(torn: &Torn) -> Event<'static> {
    let mut event = Event::new(EventKind::Security, Outcome::Noted);
    event.reason = Some("the log ended in an unfinished record, which was moved to a file of its own".into());
    event.detail = vec![
        ("torn_file".into(), torn.kept_in.display().to_string().into()),
        ("torn_bytes".into(), torn.bytes.to_string().into()),
    ];
    event
}
