//! One question to a server, and what is heard until its answer.

use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use sekisho_wire::json::Object;
use sekisho_wire::message::Meta;
use sekisho_wire::outgoing::{self, Input, OutMeta};
use sekisho_wire::server::{ServerNotice, ServerRequest};
use sekisho_wire::{Answer, Askable, Call, Era, Id, Json, Told, Version, headers};

use crate::error::Fault;
use crate::trail::Context;

/// A question, ready to be written as soon as its id is known.
pub(crate) struct Ask<'a> {
    pub(crate) kind: AskKind<'a>,
    /// The client's own progress token, if it has one.
    pub(crate) token: Option<Id>,
    /// Whether log messages are wanted.
    pub(crate) logs: Logs,
    /// The trace context that it goes out with, in place of the client's.
    pub(crate) context: Option<Context<'a>>,
}

/// What is asked.
pub(crate) enum AskKind<'a> {
    /// The opening of a legacy conversation.
    Initialize { version: Version, askable: Askable },
    /// A call of the corridor or of a probe.
    Call { question: Question<'a>, meta: &'a Meta, askable: Askable, version: Version },
}

/// A call, and what goes along with it.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) call: &'a Call,
    /// Its headers come from this.
    pub(crate) schema: Option<&'a Json>,
    /// What the server asked for before.
    pub(crate) input: Option<&'a Input>,
}

impl<'a> Question<'a> {
    /// A call alone.
    pub(crate) fn of(call: &'a Call) -> Question<'a> {
        Question { call, schema: None, input: None }
    }
}

/// Whether log messages are wanted (2026-07-28: only with `logLevel` in the request's `_meta`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logs {
    Wanted,
    Unwanted,
}

/// What is heard of an exchange.
#[derive(Debug)]
pub(crate) enum Heard {
    Notice(ServerNotice),
    Ask(ServerRequest),
    /// A question of the server's own is taken back.
    Withdrawn(Id),
    Told(Told),
    Answer(Answer),
}

impl<'a> Ask<'a> {
    pub(crate) fn initialize(version: Version, askable: Askable) -> Ask<'a> {
        Ask { kind: AskKind::Initialize { version, askable }, token: None, logs: Logs::Unwanted, context: None }
    }

    pub(crate) fn call(question: Question<'a>, meta: &'a Meta, askable: Askable, version: Version) -> Ask<'a> {
        let logs = match version.era() {
            Era::Legacy => Logs::Wanted,
            Era::Modern if meta.log_level.is_some() => Logs::Wanted,
            Era::Modern => Logs::Unwanted,
        };
        let kind = AskKind::Call { question, meta, askable, version };
        Ask { kind, token: meta.progress.clone(), logs, context: None }
    }

    /// The same as part of a trace.
    pub(crate) fn within(self, context: Option<Context<'a>>) -> Ask<'a> {
        Ask { context, ..self }
    }

    /// Its bytes. The progress token is the request's own id: unique on the connection, and no word of the client's.
    pub(crate) fn write(&self, id: u64) -> Bytes {
        match &self.kind {
            AskKind::Initialize { version, askable } => {
                outgoing::initialize(id, *version, &askable.written(), &ourselves())
            }
            AskKind::Call { question, meta, askable, version } => {
                let progress = self.token.as_ref().map(|_| own_id(id));
                let meta = OutMeta {
                    client: ourselves(),
                    capabilities: askable.written(),
                    progress,
                    log_level: meta.log_level.clone(),
                    carried: self.context.map_or_else(|| meta.carried.clone(), |context| context.carried(meta)),
                };
                outgoing::request(id, question.call, question.input, &meta, *version)
            }
        }
    }

    /// The headers that mirror it, computed from what is sent and from nothing else (HT-23, HT-28).
    ///
    /// # Errors
    /// [`Fault::Garbled`] where the pinned schema asks for headers that cannot be written.
    pub(crate) fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, Fault> {
        let AskKind::Call { question: Question { call, schema, .. }, version, .. } = &self.kind else {
            return Ok(Vec::new());
        };
        match version.era() {
            Era::Modern => {
                headers::mirror(call, *version, *schema).map_err(|error| Fault::Garbled(error.to_string().into()))
            }
            Era::Legacy => {
                let mut headers = Vec::with_capacity(HEADERS_USUAL);
                headers.push(version_header(*version));
                Ok(headers)
            }
        }
    }

    /// The trace context as headers; none where it goes out with none of ours.
    pub(crate) fn trace_headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        self.context.map(|context| context.headers()).unwrap_or_default()
    }

    /// Whether it asks to be told of changes from now on.
    pub(crate) fn listens(&self) -> bool {
        matches!(&self.kind, AskKind::Call { question: Question { call: Call::Listen { .. }, .. }, .. })
    }

    /// Whether it opens a conversation. Such a request must not be cancelled (2025-11-25, Cancellation).
    pub(crate) fn opens(&self) -> bool {
        matches!(self.kind, AskKind::Initialize { .. })
    }
}

/// The progress notification with the client's token in place of ours, if it is about request `id`.
pub(crate) fn own_progress(notice: ServerNotice, id: u64, token: Option<&Id>) -> Option<ServerNotice> {
    let named = Id::read(&notice.params.get(TOKEN)?).ok()?;
    let params = (named == own_id(id)).then(|| token.map(|token| notice.params.with(TOKEN, &token.to_json())))??;
    Some(ServerNotice { kind: notice.kind, params })
}

/// The id of our request as a server writes it. Ids count from 1 and never reach 2^63.
pub(crate) fn own_id(id: u64) -> Id {
    Id::Integer(i64::try_from(id).unwrap_or(i64::MAX))
}

/// `clientInfo` towards servers.
pub(crate) fn ourselves() -> Json {
    static OURSELVES: LazyLock<Json> =
        LazyLock::new(|| Object::new().text("name", "sekisho").text("version", env!("CARGO_PKG_VERSION")).finish());
    OURSELVES.clone()
}

pub(crate) fn version_header(version: Version) -> (HeaderName, HeaderValue) {
    (HeaderName::from_static(headers::PROTOCOL_VERSION), HeaderValue::from_static(version.as_str()))
}

const TOKEN: &str = "progressToken";
/// With what comes behind it: the session and a trace.
const HEADERS_USUAL: usize = 4;
