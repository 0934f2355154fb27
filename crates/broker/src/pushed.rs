//! Pushed authorization requests (RFC 9126): what is asked comes first, from the client itself, and the browser carries a reference to it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::secrets::{NoRandomness, digest, random};

/// Those that wait for their browser.
#[derive(Debug, Default)]
pub(crate) struct Pushed {
    known: Mutex<HashMap<[u8; 32], Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    client: Box<str>,
    /// The parameters, encoded.
    asked: Box<str>,
    until: Duration,
}

/// Why nothing is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PushError {
    /// Too many wait.
    #[error("{WAITING_MAX} pushed requests wait for their browsers")]
    Full,
    /// The system.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

impl Pushed {
    /// Keeps one; `request_uri`.
    pub(crate) fn keep(&self, client: &str, asked: &str, now: Duration) -> Result<String, PushError> {
        let reference = random()?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= WAITING_MAX {
            known.retain(|_, waiting| now < waiting.until);
        }
        if known.len() >= WAITING_MAX {
            return Err(PushError::Full);
        }
        let waiting = Waiting { client: client.into(), asked: asked.into(), until: now.saturating_add(LIFE) };
        known.insert(digest("pushed request", &reference), waiting);
        Ok(format!("{START}{reference}"))
    }

    /// What this client pushed under this reference, once.
    pub(crate) fn take(&self, reference: &str, client: &str, now: Duration) -> Option<Box<str>> {
        let key = digest("pushed request", reference.strip_prefix(START)?);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Another client's stays where it is: whoever guesses must not be able to take it away.
        let is_its = known.get(&key).is_some_and(|waiting| *waiting.client == *client && now < waiting.until);
        if is_its { known.remove(&key).map(|waiting| waiting.asked) } else { None }
    }
}

const START: &str = "urn:ietf:params:oauth:request_uri:";
/// How long a browser may take to come (RFC 9126 section 2.2 recommends 5 to 600 seconds).
pub(crate) const LIFE: Duration = Duration::from_secs(90);
/// LIMIT: those that wait.
const WAITING_MAX: usize = 2000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_pushed_is_its_clients_once_and_for_a_while() {
        let (pushed, start) = (Pushed::default(), Duration::from_secs(100));
        let reference = pushed.keep("app", "a=b", start).unwrap();
        assert_eq!(pushed.take(&reference, "other", start), None);
        assert_eq!(pushed.take("urn:ietf:params:oauth:request_uri:x", "app", start), None);
        assert_eq!(pushed.take("https://evil.example/request", "app", start), None);
        assert_eq!(pushed.take(&reference, "app", start).as_deref(), Some("a=b"));
        assert_eq!(pushed.take(&reference, "app", start), None);
        let late = pushed.keep("app", "a=b", start).unwrap();
        assert_eq!(pushed.take(&late, "app", start + LIFE), None);
    }

    #[test]
    fn what_waits_is_bounded_and_what_is_past_makes_room() {
        let (pushed, start) = (Pushed::default(), Duration::ZERO);
        for _ in 0..WAITING_MAX {
            pushed.keep("app", "", start).unwrap();
        }
        assert_eq!(pushed.keep("app", "", start), Err(PushError::Full));
        assert!(pushed.keep("app", "", LIFE).is_ok());
    }
}
