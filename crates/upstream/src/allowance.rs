//! How much a server may say within one exchange before its answer.

use std::time::Duration;

use sekisho_wire::Json;
use sekisho_wire::json::Object;
use sekisho_wire::server::{ServerNotice, ServerNoticeKind};
use tokio::time::Instant;

use crate::ask::Heard;
use crate::notes::Notes;

/// What is left of it. A server that says more than anybody reads fills neither a client's stream, nor the log, nor memory.
#[derive(Debug)]
pub(crate) struct Allowance {
    notices_left: u32,
    asks_left: u32,
    /// How long its server may still be kept waiting for a slow reader.
    wait_left: Duration,
    noted: bool,
    /// How far it has come, if it says so.
    progress: Option<f64>,
    /// When it was filled last, if it is filled again and again: for a stream that has no end.
    filled: Option<Instant>,
}

impl Default for Allowance {
    fn default() -> Allowance {
        Allowance {
            notices_left: NOTICES_MAX,
            asks_left: ASKS_MAX,
            wait_left: WAIT_MAX,
            noted: false,
            progress: None,
            filled: None,
        }
    }
}

impl Allowance {
    /// The same amount each minute.
    pub(crate) fn standing() -> Allowance {
        Allowance { filled: Some(Instant::now()), ..Allowance::default() }
    }

    fn fill(&mut self) {
        if self.filled.is_some_and(|filled| filled.elapsed() >= FILLED_EVERY) {
            *self = Allowance { noted: self.noted, progress: self.progress, ..Allowance::standing() };
        }
    }

    /// Lets a message pass that came as `bytes` bytes, while there is room for it. Of those that are dropped the first is noted.
    pub(crate) fn pass(&mut self, heard: Heard, bytes: usize, notes: &Notes) -> Option<Heard> {
        self.fill();
        if !self.goes_on(&heard) {
            return None;
        }
        let (left, bytes_max) = match &heard {
            Heard::Ask(_) | Heard::Withdrawn(_) => (&mut self.asks_left, ASK_BYTES_MAX),
            Heard::Notice(_) | Heard::Told(_) => (&mut self.notices_left, INTERIM_BYTES_MAX),
            Heard::Answer(_) => return Some(heard),
        };
        let passes = Allowance::take(left, bytes <= bytes_max);
        if !passes {
            self.note(notes);
        }
        passes.then_some(heard)
    }

    /// UT-05: progress is a number, and increases. What falls back is of no use to anybody; what stays is a sign of life.
    fn goes_on(&mut self, heard: &Heard) -> bool {
        let Heard::Notice(ServerNotice { kind: ServerNoticeKind::Progress, params }) = heard else { return true };
        let said = params.get("progress").and_then(|said| said.number()?.as_str().parse::<f64>().ok());
        let goes_on = said.is_some_and(|said| self.progress.is_none_or(|before| before <= said));
        if goes_on {
            self.progress = said;
        }
        goes_on
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

    /// How long the server may be kept waiting now for a reader that has no room.
    pub(crate) fn wait_max(&self) -> Duration {
        self.wait_left.min(WAIT_ONCE_MAX)
    }

    /// It was kept waiting. A reader that took nothing meanwhile is not waited for again.
    pub(crate) fn waited(&mut self, waited: Duration, in_vain: bool) {
        self.wait_left = if in_vain { Duration::ZERO } else { self.wait_left.saturating_sub(waited) };
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
/// LIMIT: a process waits no longer than this for the reader of one exchange, in all: others hear it over the same pipe.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Who reads nothing for that long is not waited for.
const WAIT_ONCE_MAX: Duration = Duration::from_secs(1);
/// Most notifications that are passed on within one exchange.
pub(crate) const NOTICES_MAX: u32 = 1000;
/// Most questions of the server that are passed on within one exchange.
pub(crate) const ASKS_MAX: u32 = 64;
/// Longest question of the server, in bytes.
pub(crate) const ASK_BYTES_MAX: usize = 256 * 1024;
/// Longest notification before the answer, in bytes.
pub(crate) const INTERIM_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::support::json;

    #[test]
    fn a_server_waits_for_a_reader_that_reads_and_not_for_one_that_does_not() {
        let mut allowance = Allowance::default();
        assert_eq!(allowance.wait_max(), WAIT_ONCE_MAX);
        allowance.waited(WAIT_MAX.saturating_sub(Duration::from_millis(10)), false);
        assert_eq!(allowance.wait_max(), Duration::from_millis(10));
        allowance.waited(Duration::from_secs(1), false);
        assert_eq!(allowance.wait_max(), Duration::ZERO);
        let mut allowance = Allowance::default();
        allowance.waited(WAIT_ONCE_MAX, true);
        assert_eq!(allowance.wait_max(), Duration::ZERO);
    }

    #[test]
    fn progress_that_falls_back_is_not_passed_on() {
        let mut allowance = Allowance::default();
        let mut goes_on =
            |kind, params: &str| allowance.goes_on(&Heard::Notice(ServerNotice { kind, params: json(params) }));
        let said = [
            ("0", true),
            ("0", true),
            ("0.5", true),
            ("0.25", false),
            ("-1", false),
            ("1e2", true),
            ("\"200\"", false),
        ];
        for (progress, passes) in said {
            let params = format!(r#"{{"progress":{progress}}}"#);
            assert_eq!(goes_on(ServerNoticeKind::Progress, &params), passes, "{progress}");
        }
        assert!(!goes_on(ServerNoticeKind::Progress, "{}"));
        assert!(goes_on(ServerNoticeKind::Message, r#"{"progress":1}"#), "a log message is none");
    }
}
