//! How an event is written: one JSON object, its members in a fixed order.

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use sekisho_wire::json::Object;

use crate::config::Algorithm;
use crate::digest::{PayloadDigest, SessionTag};
use crate::event::{ENTRIES_MAX, Event, Pair, PrincipalRef, clip};

/// The record as a JSON object that still lacks its number.
pub(crate) fn written(event: &Event<'_>, at: SystemTime) -> Vec<u8> {
    let mut line = Object::with_room(LINE_BYTES_USUAL)
        .text("time", &timestamp(at))
        .text("kind", event.kind.word())
        .text("outcome", event.outcome.word())
        .maybe_text("request", event.request.as_deref().map(clip));
    if let Some(principal) = &event.principal {
        line = line.object("principal", |inner| named(inner, principal));
    }
    line = line
        .maybe_text("endpoint", event.endpoint.as_deref().map(clip))
        .maybe_text("session", event.session.as_ref().map(SessionTag::hex).as_deref())
        .maybe_text("server", event.server.as_deref().map(clip))
        .maybe_text("method", event.method.as_deref().map(clip))
        .maybe_text("item", event.item.as_deref().map(clip))
        .maybe_text("era", event.era.as_deref().map(clip))
        .maybe_text("code", event.code)
        .maybe_text("reason", event.reason.as_deref().map(clip));
    if !event.policies.is_empty() {
        line = line.texts("policies", event.policies.iter().take(ENTRIES_MAX).map(|policy| clip(policy)));
    }
    line = line.maybe_text("needed", event.needed.as_deref().map(clip));
    line = payload(line, ["arguments_sha256", "arguments_blake3"], event.arguments.as_ref());
    line = payload(line, ["result_sha256", "result_blake3"], event.result.as_ref());
    line = pairs(line, "labels", &event.labels);
    if let Some(took) = event.duration_us {
        line = line.unsigned("duration_us", took);
    }
    line = pairs(line, "detail", &event.detail);
    if event.is_clipped() {
        line = line.bool("clipped", true);
    }
    line.into_vec()
}

fn named(inner: Object, principal: &PrincipalRef<'_>) -> Object {
    inner
        .text("issuer", clip(&principal.issuer))
        .text("subject", clip(&principal.subject))
        .text("client", clip(&principal.client))
}

/// Under a name that says how it was made: SHA-256's, then BLAKE3's.
fn payload(line: Object, [sha256, blake3]: [&str; 2], value: Option<&PayloadDigest>) -> Object {
    let Some(value) = value else { return line };
    let name = match value.algorithm() {
        Algorithm::Blake3 => blake3,
        Algorithm::Sha256 => sha256,
    };
    line.text(name, &value.hex())
}

/// An object; a name that comes more than once has all its values in one array, since a key that stands twice makes a
/// JSON text unreadable (RFC 8259 section 4).
fn pairs(line: Object, name: &str, pairs: &[Pair<'_>]) -> Object {
    if pairs.is_empty() {
        return line;
    }
    let pairs = || pairs.iter().take(ENTRIES_MAX).map(|(name, value)| (clip(name), clip(value)));
    line.object(name, |mut inner| {
        for (at, (name, value)) in pairs().enumerate() {
            if pairs().take(at).any(|(earlier, _)| earlier == name) {
                continue;
            }
            let of_that_name = || pairs().filter(|(other, _)| *other == name).map(|(_, value)| value);
            inner = match of_that_name().nth(1) {
                Some(_) => inner.texts(name, of_that_name()),
                None => inner.text(name, value),
            };
        }
        inner
    })
}

/// RFC 3339 in UTC with microseconds.
fn timestamp(at: SystemTime) -> String {
    // A clock past the year 9999 gets the last instant that can be written.
    let at = Timestamp::try_from(at).unwrap_or(Timestamp::MAX);
    let mut text = String::with_capacity(TIME_BYTES);
    // Writing into a String cannot fail.
    let _ = DateTimePrinter::new().precision(Some(6)).print_timestamp(&at, &mut text);
    text
}

/// What the printer asks for: the longest timestamp there can be, and a little more.
const TIME_BYTES: usize = 48;
const LINE_BYTES_USUAL: usize = 1024;
