//! The front door: an HTTP head and a body, or a line, become an [`Inbound`] or a [`Refused`].
//!
//! Which era a message belongs to is decided by its body (BP-24): the protocol version in `_meta` makes
//! it modern, and then every mirrored header must say what the body says (HT-21 to HT-24).

mod head;
mod meta;
mod params;

use bytes::Bytes;
use http::HeaderMap;

use crate::envelope::{BadEnvelope, Envelope, WrittenId};
use crate::headers;
use crate::id::Id;
use crate::input::Resumed;
use crate::json::{self, Json};
use crate::message::{Call, Inbound, Mirrored, Notice, NoticeKind, Reply, Request, Spoken};
use crate::method::Method;
use crate::server::{Answer, RpcError};
use crate::version::{Era, Version};

/// Decodes the body of a POST to an MCP endpoint and checks the headers against it.
///
/// # Errors
/// [`Refused`] for whatever is not one message with one meaning, or is not what its headers say.
pub fn decode(headers: &HeaderMap, body: Bytes, limits: &json::Limits) -> Result<Inbound, Refused> {
    Door { headers: Some(headers), unsaid: Spoken::LegacyUnsaid }.read(body, limits)
}

/// The revision that a GET speaks: it has no body, so its version header says so, or the session does.
///
/// # Errors
/// [`Why`]: the header stands twice, or names no revision that is spoken (HT-20).
pub fn spoken_by_get(of: &HeaderMap) -> Result<Spoken, Why> {
    match head::single(Some(of), headers::PROTOCOL_VERSION)? {
        None => Ok(Spoken::LegacyUnsaid),
        Some(written) => match Version::parse(written) {
            Some(version) if version.era() == Era::Legacy => Ok(Spoken::Legacy(version)),
            Some(version) => Ok(Spoken::Modern(version)),
            None => Err(Why::BadVersionHeader),
        },
    }
}

/// Decodes a line of stdio, where no headers speak. `unsaid`: the revision of notifications and replies, which need not say it
/// themselves (BP-12); a request that does not is one of the legacy era.
///
/// # Errors
/// [`Refused`] for whatever is not one message with one meaning.
pub fn decode_line(line: Bytes, unsaid: Spoken, limits: &json::Limits) -> Result<Inbound, Refused> {
    Door { headers: None, unsaid }.read(line, limits)
}

/// Why a message is refused before anyone asks who sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the message is refused before it is read")]
pub struct Refused {
    /// Its id, if it could be read.
    pub id: Option<Id>,
    /// The revision it claims to speak, if it came that far.
    pub spoken: Option<Spoken>,
    /// What is wrong.
    #[source]
    pub why: Why,
}

impl Refused {
    /// Whether somebody waits for an answer, on a connection where none belongs to any message by itself: whoever sent a request, or what
    /// may have been meant as one; not whoever notified or replied (JSON-RPC 2.0, section 5).
    #[must_use]
    pub fn calls_for_an_answer(&self) -> bool {
        match self.why {
            Why::Json(_)
            | Why::Batch
            | Why::NotAnObject
            | Why::EnvelopeCase { .. }
            | Why::UnknownMember
            | Why::Version
            | Why::BadId
            | Why::NoMethod
            | Why::ResultAndError => true,
            Why::BadReply | Why::ReplyInModern | Why::UnknownNotice => false,
            Why::MissingMeta { .. }
            | Why::BadMeta { .. }
            | Why::HeaderMissing { .. }
            | Why::HeaderRepeated { .. }
            | Why::HeaderMismatch { .. }
            | Why::HeaderMalformed { .. }
            | Why::UnsupportedVersion { .. }
            | Why::BadVersionHeader
            | Why::UnknownMethod
            | Why::BadParams { .. } => self.id.is_some(),
        }
    }
}

/// What is wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Not strict JSON.
    #[error("the body is not strict JSON")]
    Json(#[source] json::DecodeError),
    /// An array of messages (HT-05).
    #[error("the body is a batch")]
    Batch,
    /// Neither array nor object.
    #[error("the body is not an object")]
    NotAnObject,
    /// A member that readers who ignore case would take for another.
    #[error("a member of the envelope is a case variant of `{member}`")]
    EnvelopeCase {
        /// The member it is a variant of.
        member: &'static str,
    },
    /// A member that JSON-RPC does not define.
    #[error("the envelope has a member that JSON-RPC does not define")]
    UnknownMember,
    /// `jsonrpc` is missing or not `"2.0"`.
    #[error("`jsonrpc` is not \"2.0\"")]
    Version,
    /// `id` is null, a fraction, an integer beyond 64 bits, or no scalar (BP-02).
    #[error("`id` is neither a string nor a 64-bit integer")]
    BadId,
    /// No `method`, no `result` and no `error`, or a `method` that is not a string.
    #[error("`method` is missing or not a string")]
    NoMethod,
    /// Two of `method`, `result` and `error` (BP-03).
    #[error("the message is more than one of request, result and error")]
    ResultAndError,
    /// A reply without an id, or whose result or error has the wrong shape.
    #[error("the reply has the wrong shape")]
    BadReply,
    /// A reply where clients give none (HT-05).
    #[error("clients do not reply in this revision")]
    ReplyInModern,
    /// A modern request lacks a required member of `_meta` (BP-12).
    #[error("`_meta` lacks `{key}`")]
    MissingMeta {
        /// Which one.
        key: &'static str,
    },
    /// A member of `_meta` is not what it must be.
    #[error("`{key}` in `_meta` has the wrong shape")]
    BadMeta {
        /// Which one; `_meta` if it is the whole.
        key: &'static str,
    },
    /// A required header is missing (HT-21, HT-23).
    #[error("header `{header}` is missing")]
    HeaderMissing {
        /// Which one, in lower case.
        header: &'static str,
    },
    /// A header stands twice, and readers would choose differently.
    #[error("header `{header}` stands twice")]
    HeaderRepeated {
        /// Which one, in lower case.
        header: &'static str,
    },
    /// A header says something else than the body (HT-24).
    #[error("header `{header}` does not match the body")]
    HeaderMismatch {
        /// Which one, in lower case.
        header: &'static str,
    },
    /// A header holds forbidden characters or broken Base64, or is too long (HT-24, HT-31).
    #[error("header `{header}` is malformed or too long")]
    HeaderMalformed {
        /// Which one, in lower case.
        header: &'static str,
    },
    /// The body asks for a revision that is not spoken in this way (BP-18).
    #[error("the protocol version is not supported")]
    UnsupportedVersion {
        /// As written, at most [`VERSION_BYTES_MAX`] bytes.
        requested: Box<str>,
    },
    /// The header of a legacy message names no revision that is spoken (HT-20).
    #[error("header `mcp-protocol-version` names no supported version")]
    BadVersionHeader,
    /// A request whose method this era does not have (HT-22).
    #[error("the method is not known")]
    UnknownMethod,
    /// A notification that this era does not have, or a request that lacks its id.
    #[error("the notification is not known")]
    UnknownNotice,
    /// The parameters of a known method have the wrong shape.
    #[error("the parameters are wrong: {what}")]
    BadParams {
        /// One clause, without anything of the content.
        what: &'static str,
    },
}

/// Longest protocol version that is read, in bytes.
pub const VERSION_BYTES_MAX: usize = 64;

/// Where a message came in.
struct Door<'a> {
    /// None on stdio.
    headers: Option<&'a HeaderMap>,
    /// The revision of what is no request and does not say it.
    unsaid: Spoken,
}

/// A refusal, and the revision spoken as far as that is clear.
type Stop = (Option<Spoken>, Why);

/// What a message is, judged by its members alone.
enum Shape {
    Request { id: Id, method: Box<str> },
    Notice { method: Box<str> },
    Reply { id: Id, answer: Answer },
}

/// A request's parameters, and the headers that mirror them.
struct Read {
    call: Call,
    meta: crate::message::Meta,
    mirrored: Vec<Mirrored>,
    resumed: Option<Box<Resumed>>,
    task: Option<Json>,
}

impl Door<'_> {
    fn read(&self, text: Bytes, limits: &json::Limits) -> Result<Inbound, Refused> {
        let envelope =
            Envelope::read(text, limits).map_err(|(id, why)| Refused { id, spoken: None, why: why.into() })?;
        let params = envelope.params.clone();
        let shape = Shape::of(envelope)?;
        let id = shape.id().cloned();
        self.inbound(shape, params).map_err(|(spoken, why)| Refused { id, spoken, why })
    }

    fn inbound(&self, shape: Shape, params: Option<Json>) -> Result<Inbound, Stop> {
        let meta = params.as_ref().and_then(|params| params.get(META));
        let spoken = self.spoken(&shape, meta.as_ref())?;
        let stop = |why| (Some(spoken), why);
        match shape {
            Shape::Request { id, method } => {
                let read = self.request(spoken.era(), &method, params, meta).map_err(stop)?;
                let Read { call, meta, mirrored, resumed, task } = read;
                Ok(Inbound::Request(Request { id, spoken, call, meta, mirrored, resumed, task }))
            }
            Shape::Notice { method } => {
                let kind = self.notice(spoken.era(), &method, params).map_err(stop)?;
                Ok(Inbound::Notice(Notice { spoken, kind }))
            }
            Shape::Reply { id, answer } => match spoken.era() {
                Era::Legacy => Ok(Inbound::Reply(Reply { id, spoken, answer })),
                Era::Modern => Err(stop(Why::ReplyInModern)),
            },
        }
    }

    /// Which revision a message speaks: the body decides, the header must agree.
    fn spoken(&self, shape: &Shape, meta: Option<&Json>) -> Result<Spoken, Stop> {
        let stop = |why| (None, why);
        let header = head::single(self.headers, headers::PROTOCOL_VERSION).map_err(stop)?;
        let Some(asked) = meta::version(meta).map_err(stop)? else {
            return match (shape, header) {
                (Shape::Notice { .. } | Shape::Reply { .. }, None) => Ok(self.unsaid),
                (Shape::Request { .. }, None) => Ok(Spoken::LegacyUnsaid),
                (_, Some(header)) => Spoken::by_header(shape, header),
            };
        };
        let known = Version::parse(&asked).filter(|version| version.era() == Era::Modern).map(Spoken::Modern);
        if self.headers.is_some() {
            // HT-21, and compared before the version is judged: a wrong header is the more specific fault.
            head::must_say(headers::PROTOCOL_VERSION, header, &asked).map_err(|why| (known, why))?;
        }
        known.ok_or((None, Why::UnsupportedVersion { requested: asked }))
    }

    fn request(&self, era: Era, method: &str, params: Option<Json>, meta: Option<Json>) -> Result<Read, Why> {
        let mirrors = self.headers.filter(|_| era == Era::Modern);
        if mirrors.is_some() {
            head::must_say(headers::METHOD, head::single(mirrors, headers::METHOD)?, method)?;
        }
        let method = Method::parse(method, era).ok_or(Why::UnknownMethod)?;
        let params = params::object(params)?;
        let meta = meta::read(meta.as_ref(), era)?;
        let call = params::call(method, &params)?;
        let mirrored = match mirrors {
            Some(headers) => head::mirrored(headers, &call)?,
            None => Vec::new(),
        };
        let (resumed, task) = match era {
            Era::Modern => (params::resumed(method, &params)?, None),
            Era::Legacy => (None, params::task(method, &params)?),
        };
        Ok(Read { call, meta, mirrored, resumed, task })
    }

    fn notice(&self, era: Era, method: &str, params: Option<Json>) -> Result<NoticeKind, Why> {
        let mirrors = self.headers.filter(|_| era == Era::Modern);
        // 2026-07-28 requires no headers of notifications beyond the version, but one that lies is refused.
        if let Some(said) = head::single(mirrors, headers::METHOD)? {
            head::must_say(headers::METHOD, Some(said), method)?;
        }
        params::notice(era, method, &params::object(params)?)
    }
}

impl Spoken {
    /// The revision of a message whose body names none, and whose header does.
    fn by_header(shape: &Shape, header: &str) -> Result<Spoken, Stop> {
        let version = Version::parse(header);
        match (shape, version.map(|version| (version, version.era()))) {
            (_, Some((version, Era::Legacy))) => Ok(Spoken::Legacy(version)),
            // `initialize` asks for its version in its parameters, whatever the header says.
            (Shape::Request { method, .. }, _) if **method == *Method::Initialize.as_str() => Ok(Spoken::LegacyUnsaid),
            (Shape::Request { .. }, Some((version, Era::Modern))) => {
                Err((Some(Spoken::Modern(version)), Why::MissingMeta { key: meta::VERSION }))
            }
            // Only requests must describe themselves (BP-12).
            (Shape::Notice { .. } | Shape::Reply { .. }, Some((version, Era::Modern))) => Ok(Spoken::Modern(version)),
            (Shape::Request { .. } | Shape::Notice { .. } | Shape::Reply { .. }, None) => {
                Err((None, Why::BadVersionHeader))
            }
        }
    }
}

impl Shape {
    fn of(envelope: Envelope) -> Result<Shape, Refused> {
        let Envelope { id, method, params, result, error } = envelope;
        let refused = |id: Option<Id>, why| Refused { id, spoken: None, why };
        match (method, result, error) {
            (Some(method), None, None) => match id {
                WrittenId::Read(id) => Ok(Shape::Request { id, method }),
                WrittenId::Absent => Ok(Shape::Notice { method }),
                WrittenId::Null | WrittenId::Bad => Err(refused(None, Why::BadId)),
            },
            (None, None, None) => Err(refused(id.into_read(), Why::NoMethod)),
            (None, Some(result), None) => {
                Shape::reply(id, params, result.is_object().then_some(Answer::Result(result)))
            }
            (None, None, Some(error)) => Shape::reply(id, params, RpcError::read(&error).map(Answer::Error)),
            (Some(_), _, _) | (None, Some(_), Some(_)) => Err(refused(id.into_read(), Why::ResultAndError)),
        }
    }

    fn reply(id: WrittenId, params: Option<Json>, answer: Option<Answer>) -> Result<Shape, Refused> {
        match (id.into_read(), answer.filter(|_| params.is_none())) {
            (Some(id), Some(answer)) => Ok(Shape::Reply { id, answer }),
            (id, _) => Err(Refused { id, spoken: None, why: Why::BadReply }),
        }
    }

    fn id(&self) -> Option<&Id> {
        match self {
            Shape::Request { id, .. } | Shape::Reply { id, .. } => Some(id),
            Shape::Notice { .. } => None,
        }
    }
}

impl From<BadEnvelope> for Why {
    fn from(why: BadEnvelope) -> Why {
        match why {
            BadEnvelope::Json(error) => Why::Json(error),
            BadEnvelope::Batch => Why::Batch,
            BadEnvelope::NotAnObject => Why::NotAnObject,
            BadEnvelope::CaseVariant { member } => Why::EnvelopeCase { member },
            BadEnvelope::UnknownMember => Why::UnknownMember,
            BadEnvelope::Version => Why::Version,
            BadEnvelope::Method => Why::NoMethod,
        }
    }
}

const META: &str = "_meta";
