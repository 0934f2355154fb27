//! `_meta` of a request: what has a meaning here is read, what belongs to vendors is carried, all else
//! is dropped.

use super::{META, VERSION_BYTES_MAX, Why};
use crate::id::Id;
use crate::json::Json;
use crate::message::Meta;
use crate::trace::{is_traceparent, is_tracestate};
use crate::version::Era;

pub(super) const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CLIENT: &str = "io.modelcontextprotocol/clientInfo";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
const PROGRESS: &str = "progressToken";

/// The protocol version that `_meta` names; nothing if it names none.
pub(super) fn version(meta: Option<&Json>) -> Result<Option<Box<str>>, Why> {
    let Some(version) = meta.and_then(|meta| meta.get(VERSION)) else {
        return Ok(None);
    };
    match version.string() {
        Some(text) if text.len() <= VERSION_BYTES_MAX => Ok(Some(text.into())),
        Some(_) | None => Err(Why::BadMeta { key: VERSION }),
    }
}

/// Reads `_meta`. What only modern messages have is not seen in legacy ones.
pub(super) fn read(meta: Option<&Json>, era: Era) -> Result<Meta, Why> {
    let mut read = Meta::default();
    let Some(meta) = meta else { return Ok(read) };
    if !meta.is_object() {
        return Err(Why::BadMeta { key: META });
    }
    for (key, value) in meta.members() {
        match (&*key, era) {
            (PROGRESS, _) => {
                read.progress = Some(Id::read(&value).map_err(|_| Why::BadMeta { key: PROGRESS })?);
            }
            (CLIENT, Era::Modern) => read.client = Some(object(value, CLIENT)?),
            (CAPABILITIES, Era::Modern) => read.capabilities = Some(object(value, CAPABILITIES)?),
            (LOG_LEVEL, Era::Modern) => {
                let level = value.string().filter(|level| is_log_level(level));
                read.log_level = Some(level.ok_or(Why::BadMeta { key: LOG_LEVEL })?.into());
            }
            (other, _) if is_carried(other, &value) => read.carried.push((other.into(), value)),
            // BP-16: other reserved keys have no meaning that could be relied on here.
            (_, Era::Legacy | Era::Modern) => {}
        }
    }
    let carried_bytes: usize = read.carried.iter().map(|(key, value)| key.len() + value.bytes().len()).sum();
    if read.carried.len() > CARRIED_MAX || carried_bytes > CARRIED_BYTES_MAX {
        return Err(Why::BadMeta { key: META });
    }
    match (era, &read.capabilities) {
        (Era::Modern, None) => Err(Why::MissingMeta { key: CAPABILITIES }),
        (Era::Modern, Some(_)) | (Era::Legacy, _) => Ok(read),
    }
}

/// The eight levels of RFC 5424.
pub(super) fn is_log_level(level: &str) -> bool {
    let levels = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];
    levels.contains(&level)
}

fn object(value: Json, key: &'static str) -> Result<Json, Why> {
    if value.is_object() { Ok(value) } else { Err(Why::BadMeta { key }) }
}

fn is_carried(key: &str, value: &Json) -> bool {
    let text = || value.string();
    match key {
        "traceparent" => text().is_some_and(|text| is_traceparent(&text)),
        "tracestate" => text().is_some_and(|text| is_tracestate(&text)),
        "baggage" => text().is_some_and(|text| is_baggage(&text)),
        vendor => is_vendor_key(vendor),
    }
}

/// Whether the key stands under a vendor's prefix (MCP 2026-07-28, Overview, "`_meta`"). A prefix whose
/// first or second label is MCP's own is reserved in one revision or another.
fn is_vendor_key(key: &str) -> bool {
    let Some((prefix, name)) = key.split_once('/') else {
        return false;
    };
    let edges = |text: &str, edge: fn(char) -> bool| text.starts_with(edge) && text.ends_with(edge);
    let alphanumeric = |char: char| char.is_ascii_alphanumeric();
    let label = |label: &str| {
        label.starts_with(|char: char| char.is_ascii_alphabetic())
            && label.ends_with(alphanumeric)
            && label.chars().all(|char| alphanumeric(char) || char == '-')
    };
    let own = |label: &str| label.eq_ignore_ascii_case("mcp") || label.eq_ignore_ascii_case("modelcontextprotocol");
    let name_char = |char: char| alphanumeric(char) || matches!(char, '-' | '_' | '.');
    key.len() <= KEY_BYTES_MAX
        && prefix.split('.').all(label)
        && !prefix.split('.').take(2).any(own)
        && (name.is_empty() || edges(name, |char| char.is_ascii_alphanumeric()))
        && name.chars().all(name_char)
}

/// W3C Baggage, section 3.3.1: members `key=value;property`, at most 64 of them and 8192 bytes.
fn is_baggage(text: &str) -> bool {
    let value_byte = |byte: u8| matches!(byte, b' '..=b'~' | b'\t') && !matches!(byte, b'"' | b'\\' | b',');
    let member = |member: &str| {
        let Some((key, value)) = member.split_once('=') else {
            return false;
        };
        crate::headers::is_token(key.trim_matches([' ', '\t'])) && value.bytes().all(value_byte)
    };
    text.len() <= 8192 && text.split(',').count() <= 64 && text.split(',').all(member)
}

/// Most members of `_meta` that are carried on.
const CARRIED_MAX: usize = 32;
/// Most bytes that they have together, keys and values as written. The largest baggage fits (8192 bytes).
const CARRIED_BYTES_MAX: usize = 16 * 1024;
/// Longest key that is carried on, in bytes.
const KEY_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vendors_keys_are_carried_and_reserved_ones_are_not() {
        for carried in ["com.example/key", "com.example.mcp/key", "example/", "x-y.z1/a_b.c-d"] {
            assert!(is_vendor_key(carried), "{carried}");
        }
        for dropped in [
            "plain",
            "io.modelcontextprotocol/related-task",
            "dev.MCP/key",
            "com.mcp.tools/key",
            "mcp.dev/key",
            "/key",
            "1a/key",
            "a-/key",
            "a..b/key",
            "com.example/-key",
            "com.example/a/b",
            "com.example/a b",
        ] {
            assert!(!is_vendor_key(dropped), "{dropped}");
        }
    }

    #[test]
    fn what_is_carried_fits_the_bound_and_one_byte_past_it_is_refused() {
        let of_bytes = |bytes: usize| {
            let (first, second) = ("com.example/a", "com.example/b");
            let rest = bytes - first.len() - "1".len() - second.len() - r#""""#.len();
            let text = format!(r#"{{"{first}":1,"{second}":"{}","dropped":"{0}"}}"#, "x".repeat(rest));
            let meta = Json::decode(text.into(), &crate::json::Limits::default()).expect("strict JSON");
            read(Some(&meta), Era::Legacy)
        };
        assert_eq!(of_bytes(CARRIED_BYTES_MAX).expect("fits").carried.len(), 2);
        assert_eq!(of_bytes(CARRIED_BYTES_MAX + 1).err(), Some(Why::BadMeta { key: META }));
    }

    #[test]
    fn trace_context_is_carried_only_if_well_formed() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";
        assert!(is_traceparent(good));
        for bad in [
            "ff-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01",
            "00-0AF7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7",
            "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01-x",
            "",
        ] {
            assert!(!is_traceparent(bad), "{bad}");
        }
        assert!(is_tracestate("congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"));
        assert!(!is_tracestate("Congo=1"));
        assert!(!is_tracestate("a=\u{e9}"));
        assert!(is_baggage("userId=alice,serverNode=DF%2028;propertyKey=1"));
        assert!(!is_baggage("user id=alice"));
        assert!(!is_baggage("userId=a\"b"));
    }
}
