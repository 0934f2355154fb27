//! What happened, in plain words: the gateway builds it, this room only writes it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use crate::digest::{PayloadDigest, SessionTag};
use crate::line;

/// One thing that happened. Build it from [`Event::new`] and name the fields that are known.
///
/// No field may hold arguments, results or tokens. Text beyond 2 KiB and list entries beyond 32 are cut off in the
/// record, which then says `"clipped":true`.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    /// What sort of event it is.
    pub kind: EventKind,
    /// How it ended.
    pub outcome: Outcome,
    /// The gateway's own id of the request it belongs to, the one a refused client is told.
    pub request: Option<Cow<'a, str>>,
    /// Who caused it.
    pub principal: Option<PrincipalRef<'a>>,
    /// The door it came through.
    pub endpoint: Option<Cow<'a, str>>,
    /// The legacy session it belongs to.
    pub session: Option<SessionTag>,
    /// The upstream server it concerns.
    pub server: Option<Cow<'a, str>>,
    /// The MCP method.
    pub method: Option<Cow<'a, str>>,
    /// The tool, prompt or resource.
    pub item: Option<Cow<'a, str>>,
    /// The protocol era the client speaks.
    pub era: Option<Cow<'a, str>>,
    /// The stable code of a refusal.
    pub code: Option<&'static str>,
    /// Why, in full, for the operator; never shown to the client.
    pub reason: Option<Cow<'a, str>>,
    /// Ids of the policies that decided.
    pub policies: Arc<[Box<str>]>,
    /// What would have permitted it.
    pub needed: Option<Cow<'a, str>>,
    /// Digest of the argument bytes that were decided on.
    pub arguments: Option<PayloadDigest>,
    /// Digest of the result bytes that were released.
    pub result: Option<PayloadDigest>,
    /// The labels it carried, as name and value.
    pub labels: Pairs<'a>,
    /// How long it took, in microseconds.
    pub duration_us: Option<u64>,
    /// What else is worth knowing, as name and value.
    pub detail: Pairs<'a>,
}

impl<'a> Event<'a> {
    /// An event of which only this much is known.
    #[must_use]
    pub fn new(kind: EventKind, outcome: Outcome) -> Event<'a> {
        Event {
            kind,
            outcome,
            request: None,
            principal: None,
            endpoint: None,
            session: None,
            server: None,
            method: None,
            item: None,
            era: None,
            code: None,
            reason: None,
            policies: Arc::default(),
            needed: None,
            arguments: None,
            result: None,
            labels: Vec::new(),
            duration_us: None,
            detail: Vec::new(),
        }
    }

    /// Whether the record says less than the event.
    pub(crate) fn is_clipped(&self) -> bool {
        let long = |text: &Option<Cow<'_, str>>| text.as_deref().is_some_and(is_long);
        let pairs = |pairs: &[Pair<'_>]| {
            pairs.len() > ENTRIES_MAX || pairs.iter().any(|(name, value)| is_long(name) || is_long(value))
        };
        [&self.request, &self.endpoint, &self.server, &self.method, &self.item, &self.era, &self.reason, &self.needed]
            .into_iter()
            .any(long)
            || self.principal.as_ref().is_some_and(|p| is_long(&p.issuer) || is_long(&p.subject) || is_long(&p.client))
            || self.policies.len() > ENTRIES_MAX
            || self.policies.iter().any(|policy| is_long(policy))
            || pairs(&self.labels)
            || pairs(&self.detail)
    }
}

/// What sort of event it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// A decision, before its effect.
    Decision,
    /// How the effect of a decision ended.
    Outcome,
    /// Something was refused outside of a decision: undecodable, unauthenticated, unknown, over a limit.
    Refusal,
    /// A server's definition was seen or has changed.
    Definition,
    /// A server came up, went down, ended or wrote to its error stream.
    Server,
    /// A confined server wanted out: a connection was opened, ended or refused.
    Egress,
    /// The configuration was reloaded, or was not.
    Config,
    /// The gateway started or stopped.
    Lifecycle,
    /// Anything else a guard should look at, such as an answer that nobody asked for.
    Security,
}

impl EventKind {
    /// What a record calls it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            EventKind::Decision => "decision",
            EventKind::Outcome => "outcome",
            EventKind::Refusal => "refusal",
            EventKind::Definition => "definition",
            EventKind::Server => "server",
            EventKind::Egress => "egress",
            EventKind::Config => "config",
            EventKind::Lifecycle => "lifecycle",
            EventKind::Security => "security",
        }
    }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Policy permits it.
    Permit,
    /// Policy forbids it.
    Forbid,
    /// Policy would permit it after a further proof.
    Challenge,
    /// It was refused before or after the decision.
    Refused,
    /// It was done.
    Completed,
    /// It was tried and failed.
    Failed,
    /// It is only noted.
    Noted,
}

impl Outcome {
    /// What a record calls it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Outcome::Permit => "permit",
            Outcome::Forbid => "forbid",
            Outcome::Challenge => "challenge",
            Outcome::Refused => "refused",
            Outcome::Completed => "completed",
            Outcome::Failed => "failed",
            Outcome::Noted => "noted",
        }
    }
}

/// Who caused an event, as far as the verified token says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrincipalRef<'a> {
    /// Who vouches for the subject.
    pub issuer: Cow<'a, str>,
    /// The subject, unique within the issuer.
    pub subject: Cow<'a, str>,
    /// The client the subject uses.
    pub client: Cow<'a, str>,
}

/// A name and its value.
pub(crate) type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);
type Pairs<'a> = Vec<Pair<'a>>;

/// An event written down, without its number. Its time is when that was done, whoever made the event.
#[derive(Debug)]
pub struct Draft(pub(crate) Vec<u8>);

impl From<Event<'_>> for Draft {
    fn from(event: Event<'_>) -> Draft {
        // The one clock reading of this room.
        Draft(line::written(&event, SystemTime::now()))
    }
}

fn is_long(text: &str) -> bool {
    text.len() > TEXT_BYTES_MAX
}

/// The text up to its bound, cut between characters.
pub(crate) fn clip(text: &str) -> &str {
    text.get(..text.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or(text)
}

const TEXT_BYTES_MAX: usize = 2048;
pub(crate) const ENTRIES_MAX: usize = 32;

/// Longest line there can be. An event has at most 12 single texts, 32 policies and 2 × 32 pairs of texts, and JSON makes at
/// most 6 bytes of one.
pub(crate) const LINE_BYTES_MAX: usize = (12 + ENTRIES_MAX + 4 * ENTRIES_MAX) * (TEXT_BYTES_MAX + 1) * 6 + 4096;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn written(event: &Event<'_>) -> String {
        String::from_utf8(line::written(event, SystemTime::UNIX_EPOCH + Duration::from_micros(1_000_001))).unwrap()
    }

    #[test]
    fn time_is_rfc_3339_with_microseconds_in_utc() {
        let line = written(&Event::new(EventKind::Decision, Outcome::Permit));
        assert_eq!(line, r#"{"time":"1970-01-01T00:00:01.000001Z","kind":"decision","outcome":"permit"}"#);
    }

    #[test]
    fn text_cannot_leave_its_string() {
        let mut event = Event::new(EventKind::Refusal, Outcome::Refused);
        event.item = Some("x\",\"outcome\":\"permit\"}\n{\"seq\":1".into());
        let line = written(&event);
        assert!(!line.contains('\n'));
        assert!(line.ends_with(r#""item":"x\",\"outcome\":\"permit\"}\n{\"seq\":1"}"#), "{line}");
    }

    #[test]
    fn name_that_comes_twice_keeps_both_values() {
        let mut event = Event::new(EventKind::Decision, Outcome::Permit);
        event.labels = vec![("from".into(), "a".into()), ("to".into(), "b".into()), ("from".into(), "c".into())];
        assert!(written(&event).ends_with(r#""labels":{"from":["a","c"],"to":"b"}}"#));
    }

    #[test]
    fn text_at_its_bound_is_whole_and_one_past_is_clipped() {
        let mut event = Event::new(EventKind::Decision, Outcome::Permit);
        event.reason = Some("r".repeat(TEXT_BYTES_MAX).into());
        assert!(!written(&event).contains("clipped"));
        event.reason = Some("r".repeat(TEXT_BYTES_MAX + 1).into());
        assert!(written(&event).ends_with(&format!("{}\",\"clipped\":true}}", "r".repeat(TEXT_BYTES_MAX))));
    }

    #[test]
    fn longest_event_keeps_to_the_longest_line() {
        let text: Cow<'_, str> = "\u{1}".repeat(TEXT_BYTES_MAX + 1).into();
        let pairs: Vec<_> = (0..100).map(|at| (format!("{at}{text}").into(), text.clone())).collect();
        let mut event = Event::new(EventKind::Decision, Outcome::Permit);
        for field in [
            &mut event.request,
            &mut event.endpoint,
            &mut event.server,
            &mut event.method,
            &mut event.item,
            &mut event.era,
            &mut event.reason,
            &mut event.needed,
        ] {
            *field = Some(text.clone());
        }
        event.principal = Some(PrincipalRef { issuer: text.clone(), subject: text.clone(), client: text.clone() });
        event.policies = vec![Box::from(&*text); 100].into();
        event.labels = pairs.clone();
        event.detail = pairs;
        assert!(written(&event).len() <= LINE_BYTES_MAX);
    }
}
