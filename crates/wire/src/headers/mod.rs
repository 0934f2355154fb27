//! The headers that mirror a message (MCP 2026-07-28, Streamable HTTP, "Request Metadata").
//!
//! What comes in is compared with the body; what goes out is computed from it. Nothing is copied.

mod annotation;

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderName, HeaderValue};

use crate::json::{Json, Kind};
use crate::message::{Call, Mirrored};
use crate::version::{Era, Version};

use annotation::{Annotation, annotations};
pub use annotation::{BadAnnotation, mirrored_names, valid_annotations};

/// `MCP-Protocol-Version`
pub const PROTOCOL_VERSION: &str = "mcp-protocol-version";
/// `Mcp-Method`
pub const METHOD: &str = "mcp-method";
/// `Mcp-Name`
pub const NAME: &str = "mcp-name";
/// What the name of every `Mcp-Param-*` begins with.
pub const PARAM_PREFIX: &str = "mcp-param-";
/// `Mcp-Session-Id` (legacy)
pub const SESSION_ID: &str = "mcp-session-id";
/// `Last-Event-ID` (legacy)
pub const LAST_EVENT_ID: &str = "last-event-id";

/// Longest value of a mirrored header, in bytes, before and after encoding.
pub const VALUE_BYTES_MAX: usize = 8192;
/// Most `Mcp-Param-*` headers of a message, and most annotations of a schema.
pub const PARAMS_MAX: usize = 64;

/// Why the headers of a request cannot be computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MirrorError {
    /// The tool's schema has an annotation that must not be used (HT-29).
    #[error("the tool's schema has an unusable header annotation")]
    Annotation(#[source] BadAnnotation),
    /// An annotated argument is no string, truth value or whole number in the safe range.
    #[error("the argument for header `{header}` cannot be a header")]
    Value {
        /// The header's full name.
        header: Box<str>,
    },
    /// The value is longer than [`VALUE_BYTES_MAX`].
    #[error("the value of header `{header}` is too long")]
    TooLong {
        /// The header's full name.
        header: Box<str>,
    },
}

/// How a tool call's `Mcp-Param-*` headers and its arguments differ (HT-24).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The argument is there, its header is not.
    #[error("header `{header}` is missing")]
    Missing {
        /// The header's full name.
        header: Box<str>,
    },
    /// The header is there, its argument is absent or null.
    #[error("header `{header}` has no argument")]
    Unexpected {
        /// The header's full name.
        header: Box<str>,
    },
    /// They say different things.
    #[error("header `{header}` differs from its argument")]
    Different {
        /// The header's full name.
        header: Box<str>,
    },
    /// The tool's schema has an annotation that must not be used, so that nothing can be compared.
    #[error("the tool's schema has an unusable header annotation")]
    Annotation(#[source] BadAnnotation),
}

/// The headers of a request that goes upstream; `schema` is the input schema of the tool it calls.
///
/// # Errors
/// [`MirrorError`] if a value cannot be said in a header.
pub fn mirror(
    call: &Call,
    version: Version,
    schema: Option<&Json>,
) -> Result<Vec<(HeaderName, HeaderValue)>, MirrorError> {
    let mut headers = mirror_notice(call.method().as_str(), version);
    match version.era() {
        Era::Modern => {}
        Era::Legacy => {
            // The version is what `initialize` is about to settle (HT-20).
            if matches!(call, Call::Initialize(_)) {
                headers.clear();
            }
            return Ok(headers);
        }
    }
    if let Some(name) = name(call) {
        headers.push(written(NAME, name)?);
    }
    if let (Call::CallTool { arguments, .. }, Some(schema)) = (call, schema) {
        for annotation in annotations(schema).map_err(MirrorError::Annotation)? {
            if let Some(value) = annotation.value(arguments) {
                headers.push(mirrored_argument(&annotation, &value)?);
            }
        }
    }
    Ok(headers)
}

/// The headers of a notification that goes upstream.
#[must_use]
pub fn mirror_notice(method: &'static str, version: Version) -> Vec<(HeaderName, HeaderValue)> {
    let said = (HeaderName::from_static(PROTOCOL_VERSION), HeaderValue::from_static(version.as_str()));
    match version {
        // These revisions did not have the header.
        Version::V2024_11_05 | Version::V2025_03_26 => Vec::new(),
        Version::V2025_06_18 | Version::V2025_11_25 => vec![said],
        Version::V2026_07_28 => {
            vec![said, (HeaderName::from_static(METHOD), HeaderValue::from_static(method))]
        }
    }
}

/// Compares the `Mcp-Param-*` headers of a tool call with its arguments. Headers that the tool's
/// `schema` does not name have no meaning and are ignored.
///
/// # Errors
/// [`Mismatch`] at the first annotated argument whose header differs.
pub fn check_mirrored(mirrored: &[Mirrored], schema: &Json, arguments: &Json) -> Result<(), Mismatch> {
    for annotation in annotations(schema).map_err(Mismatch::Annotation)? {
        let header = annotation.header();
        let said = mirrored.iter().find(|said| said.name.eq_ignore_ascii_case(annotation.name()));
        match (annotation.value(arguments), said) {
            (None, None) => {}
            (Some(_), None) => return Err(Mismatch::Missing { header }),
            (None, Some(_)) => return Err(Mismatch::Unexpected { header }),
            (Some(value), Some(said)) if says(&said.value, &value) => {}
            (Some(_), Some(_)) => return Err(Mismatch::Different { header }),
        }
    }
    Ok(())
}

/// What `Mcp-Name` mirrors, for the calls that have it (HT-23).
pub(crate) fn name(call: &Call) -> Option<&str> {
    match call {
        Call::CallTool { name, .. } | Call::GetPrompt { name, .. } => Some(name),
        Call::ReadResource { uri } => Some(uri),
        Call::Task { id, .. } => Some(id),
        Call::Initialize(_)
        | Call::Discover
        | Call::Ping
        | Call::List { .. }
        | Call::Complete { .. }
        | Call::SetLogLevel { .. }
        | Call::Listen { .. }
        | Call::Subscribe { .. }
        | Call::Unsubscribe { .. } => None,
    }
}

/// The value that a header says; nothing if it claims to be Base64 and is none of UTF-8 text.
///
/// The markers are matched exactly; without both, the value is itself ("Value Encoding").
pub(crate) fn decode_value(said: &str) -> Option<Cow<'_, str>> {
    let Some(encoded) = said.strip_prefix(MARK_BEFORE).and_then(|rest| rest.strip_suffix(MARK_BEHIND)) else {
        return Some(Cow::Borrowed(said));
    };
    let bytes = BASE64_STANDARD.decode(encoded).ok()?;
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// RFC 9110 section 5.6.2.
pub(crate) fn is_token(text: &str) -> bool {
    let tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(tchar)
}

fn says(said: &str, value: &Json) -> bool {
    match value.kind() {
        Kind::String => value.string().is_some_and(|text| text == said),
        Kind::Boolean => value.as_str() == said,
        // "Servers SHOULD compare numerically": `42.0` and `42` are the same.
        Kind::Number => value.number().is_some_and(|number| number.denotes(said)),
        Kind::Null | Kind::Array | Kind::Object => false,
    }
}

fn mirrored_argument(annotation: &Annotation, value: &Json) -> Result<(HeaderName, HeaderValue), MirrorError> {
    let header = annotation.header();
    let text: Option<String> = match value.kind() {
        Kind::String => value.string().map(Cow::into_owned),
        Kind::Boolean => Some(value.as_str().to_owned()),
        Kind::Number => value.number().and_then(|number| number.whole()).map(|whole| whole.to_string()),
        Kind::Null | Kind::Array | Kind::Object => None,
    };
    let Some(text) = text else {
        return Err(MirrorError::Value { header });
    };
    written(&header, &text)
}

fn written(header: &str, value: &str) -> Result<(HeaderName, HeaderValue), MirrorError> {
    let encoded = encode_value(value);
    if encoded.len() > VALUE_BYTES_MAX {
        return Err(MirrorError::TooLong { header: header.into() });
    }
    let name = HeaderName::from_bytes(header.as_bytes());
    match (name, HeaderValue::from_str(&encoded)) {
        (Ok(name), Ok(value)) => Ok((name, value)),
        (Err(_), _) | (Ok(_), Err(_)) => Err(MirrorError::Value { header: header.into() }),
    }
}

fn encode_value(value: &str) -> Cow<'_, str> {
    let blank = [' ', '\t'];
    // What looks encoded is encoded, so that decoding is unambiguous.
    let marked = value.starts_with(MARK_BEFORE) && value.ends_with(MARK_BEHIND);
    let padded = value.starts_with(blank) || value.ends_with(blank);
    let plain = !marked && !padded && value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if plain {
        return Cow::Borrowed(value);
    }
    Cow::Owned(format!("{MARK_BEFORE}{}{MARK_BEHIND}", BASE64_STANDARD.encode(value)))
}

const MARK_BEFORE: &str = "=?base64?";
const MARK_BEHIND: &str = "?=";

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::json::Limits;

    fn json(text: &str) -> Json {
        Json::decode(Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).expect("strict JSON")
    }

    fn schema() -> Json {
        json(
            r#"{"type":"object","properties":{
                "region":{"type":"string","x-mcp-header":"Region"},
                "count":{"type":"integer","x-mcp-header":"Count"},
                "where":{"type":"object","properties":{"deep":{"type":"boolean","x-mcp-header":"Deep"}}},
                "query":{"type":"string"}}}"#,
        )
    }

    fn said(pairs: &[(&str, &str)]) -> Vec<Mirrored> {
        pairs.iter().map(|(name, value)| Mirrored { name: (*name).into(), value: (*value).into() }).collect()
    }

    fn call(name: &str, arguments: &str) -> Call {
        Call::CallTool { name: name.into(), arguments: json(arguments) }
    }

    fn shown(headers: Vec<(HeaderName, HeaderValue)>) -> Vec<String> {
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("ASCII"))).collect()
    }

    #[test]
    fn the_specifications_examples_are_encoded_as_it_says() {
        for (value, encoded) in [
            ("us-west1", "us-west1"),
            ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            (" padded ", "=?base64?IHBhZGRlZCA=?="),
            ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
            ("", ""),
            ("a b", "a b"),
        ] {
            assert_eq!(encode_value(value), encoded);
            assert_eq!(decode_value(encoded).as_deref(), Some(value));
        }
    }

    #[test]
    fn half_a_marker_is_a_literal_and_broken_base64_is_refused() {
        for literal in ["SGVsbG8=", "=?base64?SGVsbG8=", "SGVsbG8=?=", "=?BASE64?SGVsbG8=?=", "=?base64?="] {
            assert_eq!(decode_value(literal).as_deref(), Some(literal));
        }
        assert_eq!(decode_value("=?base64?SGVsbG8=?=").as_deref(), Some("Hello"));
        for broken in ["=?base64?SGVsbG8?=", "=?base64?SGVs!!!bG8=?=", "=?base64?/w==?=", "=?base64?SGVsbG9=?="] {
            assert_eq!(decode_value(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_modern_tool_call_mirrors_version_method_name_and_annotated_arguments() {
        let call = call("crème", r#"{"region":"us","count":4.20e1,"where":{"deep":true},"query":"q"}"#);
        let headers = mirror(&call, Version::V2026_07_28, Some(&schema())).expect("mirrored");
        let mut shown = shown(headers);
        shown.sort();
        assert_eq!(
            shown,
            [
                "mcp-method: tools/call",
                "mcp-name: =?base64?Y3LDqG1l?=",
                "mcp-param-count: 42",
                "mcp-param-deep: true",
                "mcp-param-region: us",
                "mcp-protocol-version: 2026-07-28",
            ]
        );
    }

    #[test]
    fn absent_and_null_arguments_are_not_mirrored() {
        let call = call("t", r#"{"region":null,"where":{}}"#);
        let headers = mirror(&call, Version::V2026_07_28, Some(&schema())).expect("mirrored");
        assert_eq!(headers.len(), 3);
    }

    #[test]
    fn an_argument_that_cannot_be_a_header_is_refused() {
        for arguments in [r#"{"region":{}}"#, r#"{"count":1.5}"#, r#"{"count":9007199254740992}"#] {
            let result = mirror(&call("t", arguments), Version::V2026_07_28, Some(&schema()));
            assert!(matches!(result, Err(MirrorError::Value { .. })), "{arguments}");
        }
        let long = format!(r#"{{"region":"{}"}}"#, "a".repeat(VALUE_BYTES_MAX + 1));
        let result = mirror(&call("t", &long), Version::V2026_07_28, Some(&schema()));
        assert!(matches!(result, Err(MirrorError::TooLong { .. })));
    }

    #[test]
    fn legacy_requests_say_their_version_alone_and_initialize_says_nothing() {
        let headers = mirror(&call("t", "{}"), Version::V2025_11_25, Some(&schema())).expect("mirrored");
        assert_eq!(shown(headers), ["mcp-protocol-version: 2025-11-25"]);
        let older = mirror(&Call::Ping, Version::V2025_03_26, None).expect("mirrored");
        assert!(older.is_empty());
    }

    #[test]
    fn mirrored_headers_must_say_what_the_arguments_say() {
        let arguments = json(r#"{"region":"us","count":42,"where":{"deep":false}}"#);
        let good = [("region", "us"), ("count", "42.0"), ("deep", "false"), ("unknown", "x")];
        assert_eq!(check_mirrored(&said(&good), &schema(), &arguments), Ok(()));
        for bad in [("region", "US"), ("count", "43"), ("count", "0x2a"), ("deep", "False")] {
            let mut pairs: Vec<_> = good.into_iter().filter(|pair| pair.0 != bad.0).collect();
            pairs.push(bad);
            let result = check_mirrored(&said(&pairs), &schema(), &arguments);
            assert!(matches!(result, Err(Mismatch::Different { .. })), "{bad:?}");
        }
    }

    #[test]
    fn a_header_is_missing_exactly_where_its_argument_is_present() {
        let none = json(r#"{"region":null}"#);
        assert_eq!(check_mirrored(&[], &schema(), &none), Ok(()));
        let some = json(r#"{"region":"us"}"#);
        let header = "mcp-param-region".into();
        assert_eq!(check_mirrored(&[], &schema(), &some), Err(Mismatch::Missing { header }));
        let header = "mcp-param-region".into();
        assert_eq!(check_mirrored(&said(&[("region", "us")]), &schema(), &none), Err(Mismatch::Unexpected { header }));
    }
}
