//! JSON-RPC request ids.

use crate::json::Json;

/// A request id: a string or an integer, never null, never a fraction (BP-02).
///
/// Two ids are equal only when type and value are: `1` is not `"1"`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Id {
    /// An integer that fits 64 bits.
    Integer(i64),
    /// A string, decoded.
    Text(Box<str>),
}

impl Id {
    /// Reads an id.
    ///
    /// # Errors
    /// [`BadId`] for anything but a string or an integer of 64 bits (`1.0` and `1e0` are none).
    pub fn read(value: &Json) -> Result<Id, BadId> {
        if let Some(text) = value.string() {
            return Ok(Id::Text(text.into()));
        }
        value.number().and_then(|number| number.integer()).map(Id::Integer).ok_or(BadId)
    }

    /// The id as JSON.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Id::Integer(number) => Json::integer(*number),
            Id::Text(text) => Json::text(text),
        }
    }
}

/// The id was neither a string nor an integer of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("request id is neither a string nor a 64-bit integer")]
pub struct BadId;
