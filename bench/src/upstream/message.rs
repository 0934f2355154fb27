//! One pass over a message: what is not looked at is skipped, what is echoed stays as it came.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A message of a client.
#[derive(Debug, Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    pub(super) jsonrpc: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) method: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) params: Params<'a>,
}

/// The parameters of every method that there is.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Params<'a> {
    pub(super) name: Option<String>,
    #[serde(borrow)]
    pub(super) arguments: Option<Arguments<'a>>,
    pub(super) cursor: Option<String>,
    pub(super) protocol_version: Option<String>,
    #[serde(rename = "_meta", default)]
    pub(super) meta: Meta,
}

/// The arguments of every tool.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments<'a> {
    #[serde(borrow)]
    pub(super) message: &'a RawValue,
    #[serde(rename = "limit")]
    _limit: Option<u32>,
    #[serde(rename = "tags")]
    _tags: Option<Vec<String>>,
}

/// What a request of 2026-07-28 says of itself.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Meta {
    #[serde(rename = "io.modelcontextprotocol/protocolVersion")]
    pub(super) version: Option<String>,
}

/// Reads a message; none if it is not one.
pub(super) fn read(body: &[u8]) -> Option<Message<'_>> {
    #[expect(clippy::disallowed_methods, reason = "a server of its own, with a parser that is not the gateway's")]
    let message: Message<'_> = serde_json::from_slice(body).ok()?;
    (message.jsonrpc == "2.0").then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_a_call_stays_as_it_came() {
        let body = br#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","arguments":{"message":"a\u0062"}}}"#;
        let message = read(body).unwrap();
        assert_eq!(message.id.unwrap().get(), "7");
        assert_eq!(message.params.arguments.unwrap().message.get(), r#""a\u0062""#);
    }

    #[test]
    fn an_argument_that_no_tool_has_is_refused() {
        let call = |arguments: &str| {
            format!(
                r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"echo","arguments":{arguments}}}}}"#
            )
        };
        assert!(read(call(r#"{"message":"a","limit":3}"#).as_bytes()).is_some());
        assert!(read(call(r#"{"message":"a","more":3}"#).as_bytes()).is_none());
        assert!(read(call(r#"{"limit":3}"#).as_bytes()).is_none());
    }
}
