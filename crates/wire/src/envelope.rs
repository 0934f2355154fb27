//! The JSON-RPC envelope, read alike at both doors.

use bytes::Bytes;

use crate::id::Id;
use crate::json::{DecodeError, Json, Kind, Limits, Recall};

/// The members of a message, each as it was written.
pub(crate) struct Envelope {
    pub(crate) id: WrittenId,
    pub(crate) method: Option<Box<str>>,
    pub(crate) params: Option<Json>,
    pub(crate) result: Option<Json>,
    pub(crate) error: Option<Json>,
}

/// What stands under `id`.
pub(crate) enum WrittenId {
    Absent,
    Null,
    Bad,
    Read(Id),
}

/// Why a text is no JSON-RPC message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadEnvelope {
    /// Not strict JSON.
    #[error("the message is not strict JSON")]
    Json(#[source] DecodeError),
    /// An array: one message has one decision (HT-05).
    #[error("the message is a batch")]
    Batch,
    /// Neither array nor object.
    #[error("the message is not an object")]
    NotAnObject,
    /// A member that readers who ignore case would take for another.
    #[error("a member of the envelope is a case variant of `{member}`")]
    CaseVariant {
        /// The member it is a variant of.
        member: &'static str,
    },
    /// A member that JSON-RPC does not define.
    #[error("the envelope has a member that JSON-RPC does not define")]
    UnknownMember,
    /// `jsonrpc` is missing or not `"2.0"` (BP-01).
    #[error("`jsonrpc` is not \"2.0\"")]
    Version,
    /// `method` is there and not a string.
    #[error("`method` is not a string")]
    Method,
}

impl Envelope {
    /// Reads one message.
    ///
    /// # Errors
    /// [`BadEnvelope`], with the id of the message if that could be read.
    pub(crate) fn read(text: Bytes, limits: &Limits) -> Result<Envelope, (Option<Id>, BadEnvelope)> {
        Envelope::of(Json::decode(text, limits))
    }

    /// The same, without reading an array again that `recall` knows.
    pub(crate) fn read_knowing(
        text: Bytes,
        limits: &Limits,
        recall: Recall<'_>,
    ) -> Result<Envelope, (Option<Id>, BadEnvelope)> {
        Envelope::of(Json::decode_knowing(text, limits, recall))
    }

    fn of(message: Result<Json, DecodeError>) -> Result<Envelope, (Option<Id>, BadEnvelope)> {
        let message = message.map_err(|error| (None, BadEnvelope::Json(error)))?;
        match message.kind() {
            Kind::Object => {}
            Kind::Array => return Err((None, BadEnvelope::Batch)),
            Kind::Null | Kind::Boolean | Kind::Number | Kind::String => {
                return Err((None, BadEnvelope::NotAnObject));
            }
        }
        // The id of a message that is refused is looked for by itself: it may stand behind what is wrong.
        Envelope::members(&message)
            .map_err(|why| (message.get("id").map_or(WrittenId::Absent, |id| WrittenId::of(&id)).into_read(), why))
    }

    fn members(message: &Json) -> Result<Envelope, BadEnvelope> {
        let mut version = None;
        let mut method = None;
        let mut envelope = Envelope { id: WrittenId::Absent, method: None, params: None, result: None, error: None };
        for (key, value) in message.members() {
            match &*key {
                "id" => envelope.id = WrittenId::of(&value),
                "jsonrpc" => version = Some(value),
                "method" => method = Some(value),
                "params" => envelope.params = Some(value),
                "result" => envelope.result = Some(value),
                "error" => envelope.error = Some(value),
                other => return Err(foreign(other)),
            }
        }
        if version.and_then(|version| version.string().map(|text| text == "2.0")) != Some(true) {
            return Err(BadEnvelope::Version);
        }
        if let Some(method) = method {
            envelope.method = Some(method.string().ok_or(BadEnvelope::Method)?.into());
        }
        Ok(envelope)
    }
}

impl WrittenId {
    fn of(id: &Json) -> WrittenId {
        if id.is_null() { WrittenId::Null } else { Id::read(id).map_or(WrittenId::Bad, WrittenId::Read) }
    }

    pub(crate) fn into_read(self) -> Option<Id> {
        match self {
            WrittenId::Read(id) => Some(id),
            WrittenId::Absent | WrittenId::Null | WrittenId::Bad => None,
        }
    }
}

// Some parsers match member names without regard to case: `"Method"` behind `"method"` would win there.
fn foreign(key: &str) -> BadEnvelope {
    match MEMBERS.into_iter().find(|member| member.eq_ignore_ascii_case(key)) {
        Some(member) => BadEnvelope::CaseVariant { member },
        None => BadEnvelope::UnknownMember,
    }
}

const MEMBERS: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];
