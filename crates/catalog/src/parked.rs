//! Calls that wait for input (2026-07-28, MRTR): what the client brings when it comes again is sealed, and answers what was asked.
//!
//! The state is bound to principal, endpoint, method, name and arguments, good for an hour and for one use (MR-04). The server's own
//! state is inside, to the byte.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sekisho_identity::{Bond, PrincipalKey, Seals, Ticket, Unusable};
use sekisho_wire::json::{Limits, Object};
use sekisho_wire::{Call, Endpoint, InputKind, InputRequest, InputRequired, Json, Resumed, ServerId};

use crate::Unknown;
use crate::canonical::exact;
use crate::definition::Declared;

/// What a server asked: all that an answer to it is judged by.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Which question.
    pub kind: InputKind,
    /// `requestedSchema` of a form.
    pub form: Option<Declared>,
}

impl Asked {
    /// What of a question counts for its answer.
    #[must_use]
    pub fn of(request: &InputRequest) -> Asked {
        let form = match request.kind {
            InputKind::Form => request.params.get(SCHEMA).map(|schema| Declared::of(schema.detached())),
            InputKind::Url { .. } | InputKind::Sampling { .. } | InputKind::Roots => None,
        };
        Asked { kind: request.kind.clone(), form }
    }

    /// What it takes to remember it, about.
    pub(crate) fn bytes(&self) -> usize {
        let kind = if let InputKind::Url { url } = &self.kind { url.len() } else { 0 };
        kind + self.form.as_ref().map_or(0, |form| form.schema().bytes().len()) + size_of::<Asked>()
    }

    fn written(request: &InputRequest) -> Json {
        let object = Object::new();
        match &request.kind {
            InputKind::Form => object.maybe("form", request.params.get(SCHEMA).as_ref()),
            InputKind::Url { url } => object.text("url", url),
            InputKind::Sampling { tools, context } => object.bool("tools", *tools).bool("context", *context),
            InputKind::Roots => object,
        }
        .finish()
    }

    fn read(written: &Json) -> Option<Asked> {
        let flag = |key: &str| written.get(key).and_then(|flag| flag.boolean());
        let (kind, form) = if let Some(schema) = written.get("form") {
            (InputKind::Form, Some(Declared::of(schema)))
        } else if let Some(url) = written.get("url") {
            (InputKind::Url { url: url.string()?.into() }, None)
        } else if let (Some(tools), Some(context)) = (flag("tools"), flag("context")) {
            (InputKind::Sampling { tools, context }, None)
        } else {
            (InputKind::Roots, None)
        };
        Some(Asked { kind, form })
    }
}

/// What a client brings back for a call that waits, or for a task.
#[derive(Debug)]
pub struct Answered {
    state: Option<Box<str>>,
    asks: bool,
    answers: Vec<(Box<str>, Asked, Json)>,
    /// None for what a task requires: its server alone knows what is answered already.
    ticket: Option<Ticket>,
}

impl Answered {
    /// What a client brings for a task.
    pub(crate) fn of_task(answers: Vec<(Box<str>, Asked, Json)>) -> Answered {
        Answered { state: None, asks: true, answers, ticket: None }
    }

    /// The server's own state, as it gave it.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// The answers to what was asked, each under the server's key. What nobody asked for is not among them (MR-05).
    #[must_use]
    pub fn answers(&self) -> &[(Box<str>, Asked, Json)] {
        &self.answers
    }

    /// The answers as the server gets them; none if it asked nothing.
    #[must_use]
    pub fn responses(&self) -> Option<Json> {
        let object = || self.answers.iter().fold(Object::new(), |object, (key, _, answer)| object.json(key, answer));
        self.asks.then(|| object().finish())
    }

    /// The state is used up: the call goes on.
    pub fn spend(&self) {
        self.ticket.iter().for_each(Ticket::spend);
    }

    /// The call did not go on, for certain: the state may be brought once more.
    pub fn unspend_after(&self, certain: bool) {
        if certain {
            self.ticket.iter().for_each(Ticket::unspend);
        }
    }
}

/// The call that a state belongs to, as the client wrote it.
#[derive(Debug, Clone, Copy)]
pub struct Parking<'a> {
    /// Through which door it came.
    pub endpoint: &'a Endpoint,
    /// Who called.
    pub who: PrincipalKey,
    /// What.
    pub call: &'a Call,
}

/// Seals the state of a call. None without randomness.
pub(crate) fn seal(
    seals: &Seals,
    of: Parking<'_>,
    server: &ServerId,
    required: &InputRequired,
    now: SystemTime,
) -> Option<String> {
    let until = now.checked_add(LIFE)?.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    let asked = |object: Object| {
        required.requests.iter().fold(object, |object, (key, request)| object.json(key, &Asked::written(request)))
    };
    let text = Object::new().text("server", server.as_str()).unsigned("until", until);
    let text = text.maybe_text("state", required.state.as_deref()).object("asked", asked).finish();
    bound(of, |bond| seals.seal(bond, text.bytes()))
}

/// Opens what a client brings, if it was sealed for this call on this server.
pub(crate) fn open(
    seals: &Arc<Seals>,
    of: Parking<'_>,
    server: &ServerId,
    resumed: &Resumed,
    now: SystemTime,
) -> Result<Answered, Unknown> {
    let opened = bound(of, |bond| seals.open(bond, &resumed.state, SEALED_CHARS_MAX)).ok_or(Unknown::State)?;
    let text = Json::decode(Bytes::copy_from_slice(&opened.text), &SEALED_TEXT).map_err(|_| Unknown::State)?;
    let (until, state, asked) = read(&text, server).ok_or(Unknown::State)?;
    if until <= now {
        return Err(Unknown::StateExpired);
    }
    let ticket = seals.claim(&opened, until, now).map_err(|unusable| match unusable {
        Unusable::Used => Unknown::StateUsed,
        Unusable::TooMany => Unknown::StatesBusy,
    })?;
    let asks = !asked.is_empty();
    let answer = |(key, asked): (Box<str>, Asked)| {
        let answer = resumed.responses.get(&key)?;
        Some((key, asked, answer))
    };
    Ok(Answered { state, asks, answers: asked.into_iter().filter_map(answer).collect(), ticket: Some(ticket) })
}

type Sealed = (SystemTime, Option<Box<str>>, Vec<(Box<str>, Asked)>);

fn read(text: &Json, server: &ServerId) -> Option<Sealed> {
    // A name may have moved to another server since.
    text.get("server")?.string().filter(|sealed| *sealed == *server.as_str())?;
    let until = u64::try_from(text.get("until")?.number()?.whole()?).ok()?;
    let until = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(until))?;
    let state = text.get("state").and_then(|state| state.string().map(|state| state.into()));
    let asked = text.get("asked")?;
    let asked = asked.members().map(|(key, asked)| Some((key.as_ref().into(), Asked::read(&asked)?)));
    Some((until, state, asked.collect::<Option<_>>()?))
}

fn bound<T>(of: Parking<'_>, with: impl FnOnce(Bond<'_>) -> Option<T>) -> Option<T> {
    let (name, arguments) = match of.call {
        Call::CallTool { name, arguments } | Call::GetPrompt { name, arguments } => (name, exact(arguments)),
        Call::ReadResource { uri } => (uri, String::new()),
        // Nothing else waits (MR-01).
        Call::Initialize(_)
        | Call::Discover
        | Call::Ping
        | Call::List { .. }
        | Call::Complete { .. }
        | Call::SetLogLevel { .. }
        | Call::Listen { .. }
        | Call::Subscribe { .. }
        | Call::Unsubscribe { .. }
        | Call::Task { .. } => return None,
    };
    let path = of.endpoint.path();
    let parts: [&[u8]; 4] =
        [path.as_bytes(), of.call.method().as_str().as_bytes(), name.as_bytes(), arguments.as_bytes()];
    with(Bond { purpose: "request state", who: of.who, of: &parts })
}

const SCHEMA: &str = "requestedSchema";
/// How long a call waits.
const LIFE: Duration = Duration::from_secs(3600);
/// Longest sealed state in characters: of the longest one of a server every byte may have to be escaped (six for one), forms and
/// URLs are as long at most, and Base64 takes four characters for three bytes.
const SEALED_CHARS_MAX: usize = 1024 * 1024;
const SEALED_TEXT: Limits = Limits { bytes_max: SEALED_CHARS_MAX, depth_max: 128, nodes_max: 200_000 };
