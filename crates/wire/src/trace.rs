//! Trace context (W3C Trace Context): which trace a message belongs to, and as which part of it. Plain data; nothing is decided by it.

use std::fmt;

/// The part of a trace that a message comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// The whole trace; not all zero.
    pub id: [u8; 16],
    /// The part of it; not all zero.
    pub span: [u8; 8],
    /// Whether whoever says so records it.
    pub sampled: bool,
}

impl Trace {
    /// What a `traceparent` says; nothing if it is not well formed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Trace> {
        if !is_traceparent(text) {
            return None;
        }
        let mut parts = text.split('-').skip(1);
        let id = bytes(parts.next()?)?;
        let span = bytes(parts.next()?)?;
        // Of the flags one has a meaning that holds in every version (section 3.2.2.5).
        let [flags] = bytes(parts.next()?)?;
        Some(Trace { id, span, sampled: flags & SAMPLED != 0 })
    }
}

impl fmt::Display for Trace {
    /// As `traceparent` of version 00.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("00-")?;
        self.id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("-")?;
        self.span.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(if self.sampled { "-01" } else { "-00" })
    }
}

/// W3C Trace Context, section 3.2: `version-traceid-parentid-flags`, lower case, ids not all zero.
#[must_use]
pub fn is_traceparent(text: &str) -> bool {
    let hex = |part: &str, len| part.len() == len && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let set = |part: &str| part.bytes().any(|byte| byte != b'0');
    match text.split('-').collect::<Vec<_>>().as_slice() {
        [version, trace, parent, flags] => {
            hex(version, 2)
                && *version != "ff"
                && hex(trace, 32)
                && set(trace)
                && hex(parent, 16)
                && set(parent)
                && hex(flags, 2)
        }
        _ => false,
    }
}

/// W3C Trace Context, section 3.3: at most 32 members `key=value`, 512 characters.
#[must_use]
pub fn is_tracestate(text: &str) -> bool {
    let key_byte = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    let value_byte = |byte: u8| matches!(byte, b' '..=b'~') && byte != b',' && byte != b'=';
    let member = |member: &str| {
        let member = member.trim_matches([' ', '\t']);
        let Some((key, value)) = member.split_once('=') else {
            return member.is_empty();
        };
        let key_starts = key.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        key_starts
            && key.len() <= 256
            && key.bytes().all(key_byte)
            && (1..=256).contains(&value.len())
            && value.bytes().all(value_byte)
    };
    text.len() <= 512 && text.split(',').count() <= 32 && text.split(',').all(member)
}

fn bytes<const N: usize>(hex: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        let from = at.checked_mul(2)?;
        *byte = u8::from_str_radix(hex.get(from..from.checked_add(2)?)?, 16).ok()?;
    }
    Some(bytes)
}

const SAMPLED: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";

    #[test]
    fn a_well_formed_context_is_read_and_written_again() {
        let trace = Trace::parse(GOOD).expect("well formed");
        assert_eq!((trace.id[0], trace.id[15], trace.span[1], trace.sampled), (0x0a, 0x9c, 0xf0, true));
        assert_eq!(trace.to_string(), GOOD);
        let unsampled = Trace::parse(&GOOD.replace("-01", "-fe")).expect("well formed");
        assert!(!unsampled.sampled && unsampled.to_string().ends_with("-00"));
    }

    #[test]
    fn a_context_that_is_not_well_formed_is_none() {
        for bad in [
            "ff-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01",
            "00-0AF7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7",
            "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01-x",
            " 00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01",
            "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-0\u{e9}",
            "",
        ] {
            assert_eq!(Trace::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_state_of_a_trace_is_a_list_of_members() {
        assert!(is_tracestate("congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"));
        assert!(!is_tracestate("Congo=1"));
        assert!(!is_tracestate("a=\u{e9}"));
        assert!(!is_tracestate(&format!("a={}", "x".repeat(512))));
    }
}
