//! How much a server may say within one exchange before its answer.

use std::time::Duration;

use sekisho_wire::Json;
use sekisho_wire::json::Object;
use tokio::time::Instant;

use crate::ask::Heard;
use crate::notes::Notes;

/// What is left of it. A server that says more than anybody reads fills neither a client's stream, nor the log, nor memory.
#[derive(Debug)]
pub(crate) struct Allowance {
    notices_left: u32,
    asks_left: u32,
    noted: bool,
    /// When it was filled last, if it is filled again and again: for a stream that has no end.
    filled: Option<Instant>,
}

impl Default for Allowance {
    fn default() -> Allowance {
        Allowance { notices_left: NOTICES_MAX, asks_left: ASKS_MAX, noted: false, filled: None }
    }
}

impl Allowance {
    /// The same amount each minute.
    pub(crate) fn standing() -> Allowance {
        Allowance { filled: Some(Instant::now()), ..Allowance::default() }
    }

    fn fill(&mut self) {
        if self.filled.is_some_and(|filled| filled.elapsed() >= FILLED_EVERY) {
            *self = Allowance { noted: self.noted, ..Allowance::standing() };
        }
    }

    /// Lets a message pass that came as `bytes` bytes, while there is room for it. Of those that are dropped the first is noted.
    pub(crate) fn pass(&mut self, heard: Heard, bytes: usize, notes: &Notes) -> Option<Heard> {
        self.fill();
        let (left, bytes_max) = match &heard {
            Heard::Ask(_) => (&mut self.asks_left, ASK_BYTES_MAX),
            Heard::Notice(_) | Heard::Told(_) => (&mut self.notices_left, INTERIM_BYTES_MAX),
            Heard::Answer(_) => return Some(heard),
        };
        let passes = Allowance::take(left, bytes <= bytes_max);
        if !passes {
            self.note(notes);
        }
        passes.then_some(heard)
    }

    /// Whether one more answer may be sent that the server hears from us alone. It may ask again and again whether somebody is
    /// there, as long as an exchange lasts.
    pub(crate) fn answers(&mut self, bytes: usize, notes: &Notes) -> bool {
        self.fill();
        let answers = Allowance::take(&mut self.notices_left, bytes <= INTERIM_BYTES_MAX);
        if !answers {
            self.note(notes);
        }
        answers
    }

    fn take(left: &mut u32, fits: bool) -> bool {
        let Some(fewer) = left.checked_sub(1).filter(|_| fits) else { return false };
        *left = fewer;
        true
    }

    fn note(&mut self, notes: &Notes) {
        if !std::mem::replace(&mut self.noted, true) {
            let bounds = format!(
                "bounds: {NOTICES_MAX} notifications of {INTERIM_BYTES_MAX} bytes, {ASKS_MAX} questions of {ASK_BYTES_MAX} bytes"
            );
            notes.suspicious("it says more before its answer than is passed on", &bounds);
        }
    }
}

/// The same value in memory of its own: a slice would keep all that came with it, which the server chooses.
pub(crate) fn detached(value: &Json) -> Json {
    Object::new().json(ALONE, value).finish().get(ALONE).unwrap_or_else(|| value.clone())
}

const ALONE: &str = "_";
const FILLED_EVERY: Duration = Duration::from_secs(60);
/// Most notifications that are passed on within one exchange.
pub(crate) const NOTICES_MAX: u32 = 1000;
/// Most questions of the server that are passed on within one exchange.
pub(crate) const ASKS_MAX: u32 = 64;
/// Longest question of the server, in bytes.
pub(crate) const ASK_BYTES_MAX: usize = 256 * 1024;
/// Longest notification before the answer, in bytes.
pub(crate) const INTERIM_BYTES_MAX: usize = 64 * 1024;
