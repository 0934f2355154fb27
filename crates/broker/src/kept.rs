//! What must outlive this process: rows in the store, sealed. Many callers share one commit, so that a thousand who come at once wait for
//! the disk a few times and not a thousand times.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::SystemTime;

use bytes::Bytes;
use sekisho_keys::Sealer;
use sekisho_store::{Entry, Kept as Put, Rows, RowsError, Store, Table};
use sekisho_wire::Json;
use sekisho_wire::json::Limits;
use tokio::sync::oneshot;

/// The store, behind one thread that waits for the disk.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    queue: mpsc::SyncSender<Job>,
    sealer: Arc<Sealer>,
}

/// Nothing could be read or written: whatever depends on it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotKept {
    /// The disk, or the queue in front of it.
    #[error("what must be kept cannot be written at the moment")]
    Down,
    /// The table is full, or the row too long.
    #[error("there is no room for more")]
    NoRoom,
}

/// Works within a commit, and has an answer once that is on the disk.
type Job = Box<dyn FnOnce(&mut Rows<'_>) -> Result<Tell, RowsError> + Send>;
type Tell = Box<dyn FnOnce() + Send>;

/// A row as it is: not sealed.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Json,
    pub(crate) until: SystemTime,
}

impl Kept {
    /// # Errors
    /// There is no thread to be had.
    pub(crate) fn new(store: Arc<Store>, sealer: Arc<Sealer>) -> std::io::Result<Kept> {
        let (queue, jobs) = mpsc::sync_channel(QUEUE_MAX);
        std::thread::Builder::new().name("sekisho-broker".to_owned()).spawn(move || work(&store, &jobs))?;
        Ok(Kept { queue, sealer })
    }

    /// Does something within a commit. What it answers is on the disk.
    pub(crate) async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Sealed<'_, '_>) -> Result<Result<T, NotKept>, RowsError> + Send + 'static,
    ) -> Result<T, NotKept> {
        let (told, answer) = oneshot::channel();
        let sealer = Arc::clone(&self.sealer);
        let job: Job = Box::new(move |rows| {
            let outcome = work(&mut Sealed { rows, sealer: &sealer })?;
            Ok(Box::new(move || {
                // Nobody waits any more: it is done all the same.
                let _gone = told.send(outcome);
            }))
        });
        // More than can be done in time: whoever waits longer gives up anyway.
        self.queue.try_send(job).map_err(|_| NotKept::Down)?;
        answer.await.map_err(|_| NotKept::Down)?
    }
}

/// Rows that are sealed on their way in and opened on their way out.
pub(crate) struct Sealed<'a, 'b> {
    rows: &'a mut Rows<'b>,
    sealer: &'a Sealer,
}

impl Sealed<'_, '_> {
    /// A row whose time has not come. One that does not open is none: it is not ours.
    pub(crate) fn get(&self, table: Table, key: &[u8], now: SystemTime) -> Result<Option<Row>, RowsError> {
        Ok(self.rows.get(table, key)?.and_then(|entry| self.opened(table, entry, now)))
    }

    /// Takes a row out.
    pub(crate) fn take(&mut self, table: Table, key: &[u8], now: SystemTime) -> Result<Option<Row>, RowsError> {
        let taken = self.rows.take(table, key)?;
        Ok(taken.and_then(|entry| self.opened(table, entry, now)))
    }

    /// Keeps a row, in place of the one that was there.
    pub(crate) fn set(&mut self, table: Table, row: &Row) -> Result<Result<(), NotKept>, RowsError> {
        let Ok(value) = self.sealer.seal(&purpose(table, &row.key), row.value.bytes()) else {
            return Ok(Err(NotKept::Down));
        };
        let entry = Entry { key: row.key.clone(), value, until: row.until };
        Ok(match self.rows.set(table, &entry)? {
            Put::Yes => Ok(()),
            Put::Full | Put::TooLong => Err(NotKept::NoRoom),
        })
    }

    /// How many rows there are.
    pub(crate) fn count(&self, table: Table) -> Result<u64, RowsError> {
        self.rows.count(table)
    }

    /// The rows whose key begins so.
    pub(crate) fn starting(
        &self,
        table: Table,
        start: &[u8],
        count_max: usize,
        now: SystemTime,
    ) -> Result<Vec<Row>, RowsError> {
        let found = self.rows.starting(table, start, count_max)?;
        Ok(found.into_iter().filter_map(|entry| self.opened(table, entry, now)).collect())
    }

    fn opened(&self, table: Table, entry: Entry, now: SystemTime) -> Option<Row> {
        if entry.until <= now {
            return None;
        }
        let text = self.sealer.unseal(&purpose(table, &entry.key), &entry.value).ok()?;
        let value = Json::decode(Bytes::copy_from_slice(&text), &LIMITS).ok()?;
        Some(Row { key: entry.key, value, until: entry.until })
    }
}

/// A row opens in its own place alone.
fn purpose(table: Table, key: &[u8]) -> String {
    key.iter().fold(format!("{table} "), |purpose, byte| format!("{purpose}{byte:02x}"))
}

fn work(store: &Store, jobs: &mpsc::Receiver<Job>) {
    while let Ok(first) = jobs.recv() {
        let batch: Vec<Job> = std::iter::once(first).chain(jobs.try_iter().take(BATCH_MAX)).collect();
        let done = store.transact(|rows| batch.into_iter().map(|job| job(rows)).collect::<Result<Vec<Tell>, _>>());
        match done {
            Ok(tells) => tells.into_iter().for_each(|tell| tell()),
            // Nobody is told that it worked: each hears that it did not.
            Err(error) => {
                let cause: &(dyn std::error::Error + 'static) = &error;
                tracing::error!(error = cause, "what users granted cannot be kept, so nothing is granted");
            }
        }
    }
}

/// LIMIT: what waits for the disk.
const QUEUE_MAX: usize = 4096;
/// LIMIT: of one commit, beside the first.
const BATCH_MAX: usize = 255;
/// LIMIT: of a row.
const LIMITS: Limits = Limits { bytes_max: 64 * 1024, depth_max: 16, nodes_max: 4096 };
