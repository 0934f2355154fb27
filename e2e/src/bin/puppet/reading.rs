//! How the server reads: as careful ones do, or as careless ones do.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::script::Keys;

/// Reads one message; none if it is no JSON object.
pub(crate) fn message(text: &[u8], keys: Keys) -> Option<Value> {
    match keys {
        Keys::Exact => parse(text),
        Keys::AnyCase => {
            let mut message = folded(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text))?;
            if let Some(params) = message.get("params").and_then(Value::as_str) {
                let params = folded(params.as_bytes())?;
                message.insert("params".to_owned(), Value::Object(params));
            }
            message.into_iter().map(|(key, value)| Some((key, plain(value)?))).collect()
        }
    }
}

/// The members of an object by the names that are known, whatever case they are in, each as it is written, in a string. The last of
/// several counts.
fn folded(text: &[u8]) -> Option<Map<String, Value>> {
    let Members(members) = parse(text)?;
    let known =
        |key: &String| KNOWN.iter().find(|known| known.eq_ignore_ascii_case(key)).map(|known| (*known).to_owned());
    Some(members.into_iter().map(|(key, value)| (known(&key).unwrap_or(key), value.get().into())).collect())
}

/// What the strings of [`folded`] say.
fn plain(value: Value) -> Option<Value> {
    match value {
        Value::String(written) => parse(written.as_bytes()),
        Value::Object(members) => members
            .into_iter()
            .map(|(key, value)| Some((key, plain(value)?)))
            .collect::<Option<Map<_, _>>>()
            .map(Value::Object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    }
}

fn parse<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Option<T> {
    #[expect(clippy::disallowed_methods, reason = "this server has no part of the gateway, and may be careless")]
    serde_json::from_slice(text).ok()
}

/// The members of an object in their order, however often a key stands there.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(EachMember)
    }
}

struct EachMember;

impl<'de> Visitor<'de> for EachMember {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

/// Members that a message or its parameters have.
const KNOWN: [&str; 8] = ["jsonrpc", "id", "method", "params", "name", "arguments", "protocolVersion", "_meta"];
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
