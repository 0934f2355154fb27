//! How much a server may say within one exchange before its answer.

use sekisho_wire::Json;
use sekisho_wire::json::Object;

use crate::ask::Heard;
use crate::notes::Notes;
use crate::stdio::PING;

/// What is left of it. A server that says more than anybody reads fills neither a client's stream, nor the log, nor memory.
#[derive(Debug)]
pub(crate) struct Allowance {
    notices_left: u32,
    asks_left: u32,
    noted: bool,
}

impl Default for Allowance {
    fn default() -> Allowance {
        Allowance { notices_left: NOTICES_MAX, asks_left: ASKS_MAX, noted: false }
    }
}

impl Allowance {
    /// Lets a message pass that came as `bytes` bytes, while there is room for it. Of those that are dropped the first is noted.
    pub(crate) fn pass(&mut self, heard: Heard, bytes: usize, notes: &Notes) -> Option<Heard> {
        let left = match &heard {
            // A server may ask again and again whether somebody is there, as long as an exchange lasts.
            Heard::Ask(request) if request.method.as_ref() == PING => &mut self.notices_left,
            Heard::Ask(_) => &mut self.asks_left,
            Heard::Notice(_) => &mut self.notices_left,
            Heard::Answer(_) => return Some(heard),
        };
        if let Some(fewer) = left.checked_sub(1).filter(|_| bytes <= INTERIM_BYTES_MAX) {
            *left = fewer;
            return Some(heard);
        }
        if !std::mem::replace(&mut self.noted, true) {
            let bounds =
                format!("bounds: {NOTICES_MAX} notifications, {ASKS_MAX} requests, {INTERIM_BYTES_MAX} bytes each");
            notes.suspicious("it says more before its answer than is passed on", &bounds);
        }
        None
    }
}

/// The same value in memory of its own: a slice would keep all that came with it, which the server chooses.
pub(crate) fn detached(value: &Json) -> Json {
    Object::new().json(ALONE, value).finish().get(ALONE).unwrap_or_else(|| value.clone())
}

const ALONE: &str = "_";
/// Most notifications that are passed on within one exchange.
pub(crate) const NOTICES_MAX: u32 = 1000;
/// Most requests of the server that are passed on or answered within one exchange.
pub(crate) const ASKS_MAX: u32 = 16;
/// Longest message before the answer, in bytes.
pub(crate) const INTERIM_BYTES_MAX: usize = 64 * 1024;
