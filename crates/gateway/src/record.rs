//! Plain events for `audit`, built from what the rooms know. Digests stand for arguments and results (5.1, 5.3).

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use sekisho_audit::{Algorithm, Digest, Draft, Event, EventKind, Outcome, PayloadDigest, PrincipalRef, SessionTag};
use sekisho_catalog::{Addressee, Answered, Asked, Change, Flaw, Target};
use sekisho_guard::host_of;
use sekisho_identity::{Authenticated, Principal, Revocation, SessionKey};
use sekisho_policy::{Authorized, Facts, Releasable};
use sekisho_upstream::Used;
use sekisho_wire::json::Object;
use sekisho_wire::message::Meta;
use sekisho_wire::{
    Answer, Call, Endpoint, Era, Filter, FromServer, Inbound, InputKind, InputRequest, Reference, ServerId, Told, input,
};

use crate::instruments::Clock;
use crate::refusal::Refusal;

/// What is known of a request before anything is decided: enough to record how its walk ended.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) request: Arc<str>,
    payload_digest: Algorithm,
    /// How long it was where; and its trace.
    pub(crate) clock: Clock,
    pub(crate) endpoint: Option<Arc<str>>,
    principal: Option<Arc<Principal>>,
    pub(crate) session: Option<SessionTag>,
    pub(crate) method: Option<&'static str>,
    pub(crate) item: Option<Arc<str>>,
    era: Option<Era>,
    arguments: Option<PayloadDigest>,
    /// Of what the client's `_meta` carries for others.
    carried: Option<Digest>,
    /// What the server's process used for it, once that is known.
    used: Arc<OnceLock<Used>>,
}

impl Seen {
    /// A request of which nothing is known but that it came.
    pub(crate) fn arrived(request: Arc<str>, clock: Clock, payload_digest: Algorithm) -> Seen {
        Seen {
            request,
            clock,
            payload_digest,
            endpoint: None,
            principal: None,
            session: None,
            method: None,
            item: None,
            era: None,
            arguments: None,
            carried: None,
            used: Arc::default(),
        }
    }

    /// The server's process used this for it.
    pub(crate) fn uses(&self, used: &Used) {
        // The first end is the end.
        let _ = self.used.set(*used);
    }

    /// Whether nobody has vouched for the caller.
    pub(crate) fn is_anonymous(&self) -> bool {
        self.principal.is_none()
    }

    pub(crate) fn at(mut self, endpoint: &Endpoint) -> Seen {
        self.endpoint = Some(endpoint.path().into());
        self
    }

    pub(crate) fn by(mut self, principal: &Arc<Principal>) -> Seen {
        self.principal = Some(Arc::clone(principal));
        self
    }

    /// With all that a decoded, authenticated message of this caller, at this door, says.
    pub(crate) fn of(self, message: &Authenticated<Inbound>) -> Seen {
        let inbound = message.message();
        let ((item, arguments), carried) = match inbound {
            Inbound::Request(request) => (named(request.call(), self.payload_digest), carried(request.meta())),
            Inbound::Notice(_) | Inbound::Reply(_) => ((None, None), None),
        };
        Seen {
            session: message.session().map(|session| tag(session.key())),
            method: Some(inbound.method()),
            era: Some(inbound.spoken().era()),
            item,
            arguments,
            carried,
            ..self
        }
    }

    fn event(&self, kind: EventKind, outcome: Outcome) -> Event<'_> {
        let mut event = Event::new(kind, outcome);
        event.request = Some((&*self.request).into());
        event.principal = self.principal.as_ref().map(|who| PrincipalRef {
            issuer: who.issuer().into(),
            subject: who.subject().into(),
            client: who.client().into(),
        });
        event.endpoint = self.endpoint.as_deref().map(Into::into);
        event.method = self.method.map(Into::into);
        event.item = self.item.as_deref().map(Into::into);
        event.era = self.era.map(|era| era.as_str().into());
        event.arguments = self.arguments;
        event.session = self.session;
        if let Some(carried) = &self.carried {
            event.detail.push(("meta_sha256".into(), carried.to_string().into()));
        }
        event
    }

    fn elapsed_us(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// The digest of what a client's `_meta` carries past us: vendors' members and trace context.
fn carried(meta: &Meta) -> Option<Digest> {
    if meta.carried.is_empty() {
        return None;
    }
    let whole = meta.carried.iter().fold(Object::new(), |object, (key, value)| object.json(key, value)).finish();
    Some(Digest::of(whole.bytes()))
}

/// The name a call gives to what it wants, and the digest of what it hands over.
fn named(call: &Call, by: Algorithm) -> (Option<Arc<str>>, Option<PayloadDigest>) {
    match call {
        Call::CallTool { name, arguments } | Call::GetPrompt { name, arguments } => {
            (Some((&**name).into()), Some(PayloadDigest::of(by, arguments.bytes())))
        }
        Call::ReadResource { uri } => (Some((&**uri).into()), None),
        Call::Complete { reference, argument, .. } => {
            let name = match reference {
                Reference::Prompt { name } => name,
                Reference::Resource { uri } => uri,
            };
            (Some((&**name).into()), Some(PayloadDigest::of(by, argument.bytes())))
        }
        Call::Subscribe { uri } | Call::Unsubscribe { uri } => (Some((&**uri).into()), None),
        Call::Listen { filter } => (None, Some(PayloadDigest::of(by, filter.written().bytes()))),
        Call::SetLogLevel { level } => (Some((&**level).into()), None),
        Call::Task { id, .. } => (Some((&**id).into()), None),
        Call::Initialize(_) | Call::Discover | Call::Ping | Call::List { .. } => (None, None),
    }
}

/// Before the effect: this was permitted, by these policies, with these labels.
pub(crate) fn permitted(seen: &Seen, authorized: &Authorized) -> Draft {
    let mut event = seen.event(EventKind::Decision, Outcome::Permit);
    event.policies = authorized.basis().policies.clone();
    let labels = authorized.message().labels();
    event.labels = vec![
        ("trust".into(), labels.trust.as_str().into()),
        ("confidentiality".into(), labels.confidentiality.as_str().into()),
    ];
    event.server = server(authorized).map(|server| server.as_str().into());
    let findings = authorized.message().message().findings();
    event.detail.extend(findings.iter().map(|f| (f.rule.as_str().into(), (&*f.at).into())));
    event.detail.extend(answers(authorized));
    event.detail.extend(about_task(authorized));
    event.into()
}

/// The tool that a task is about; or that a call is to become a task.
fn about_task(authorized: &Authorized) -> Option<Detail> {
    let Target::One(route) = authorized.addressed().target() else { return None };
    match (route.call(), route.addressee()) {
        (Call::Task { .. }, Addressee::Tool(tool)) => Some(("tool".into(), tool.name().to_owned().into())),
        _ if route.task().is_some() => Some(("task".into(), "wanted".into())),
        _ => None,
    }
}

/// What a client answers that a server asked: by digest, as arguments are.
fn answers(authorized: &Authorized) -> Vec<Detail> {
    let detail = |asked: &Asked, answer: &[u8]| {
        ("answers".into(), format!("{} sha256:{}", asked.kind.method(), Digest::of(answer)).into())
    };
    match authorized.addressed().target() {
        Target::One(route) => {
            let answers = route.input().map_or(&[][..], Answered::answers).iter();
            answers.map(|(_, asked, answer)| detail(asked, answer.bytes())).collect()
        }
        Target::Reply(reply) => {
            let answer = match reply.answer() {
                Answer::Result(result) => result.bytes().clone(),
                Answer::Error(error) => error.written().bytes().clone(),
            };
            vec![detail(reply.question().asked(), &answer)]
        }
        Target::Gateway | Target::Many { .. } | Target::Listen(_) => Vec::new(),
    }
}

/// What a server asks: enough to know what was shown, and by its digest exactly which words.
fn asked_detail(request: &InputRequest) -> Detail {
    let count = |key: &str| request.params.get(key).map_or(0, |list| list.elements().count());
    let what = match &request.kind {
        InputKind::Form => "form".to_owned(),
        InputKind::Url { url } => format!("page at {}", host_of(url).unwrap_or_default()),
        InputKind::Sampling { .. } => format!("{} messages, {} tools", count("messages"), count("tools")),
        InputKind::Roots => "folders".to_owned(),
    };
    let (bytes, digest) = (request.params.bytes().len(), Digest::of(request.params.bytes()));
    ("asks".into(), format!("{} ({what}), {bytes} bytes, sha256:{digest}", request.kind.method()).into())
}

type Detail = (Cow<'static, str>, Cow<'static, str>);

/// The one server a request goes to, if it is one.
pub(crate) fn server(authorized: &Authorized) -> Option<&ServerId> {
    match authorized.addressed().target() {
        Target::One(route) => Some(route.server().id()),
        Target::Reply(reply) => Some(reply.server().id()),
        Target::Gateway | Target::Many { .. } | Target::Listen(_) => None,
    }
}

/// After the effect: what goes back, and what was withheld from it.
pub(crate) fn released(seen: &Seen, facts: &Facts, releasable: &Releasable) -> Draft {
    let outcome = match releasable.message() {
        FromServer::End(Answer::Error(_)) => Outcome::Failed,
        FromServer::End(Answer::Result(_)) | FromServer::Page(_) | FromServer::Task(_) => Outcome::Completed,
        FromServer::Notice { .. }
        | FromServer::Ask(_)
        | FromServer::Withdrawn { .. }
        | FromServer::Park(_)
        | FromServer::Told { .. }
        | FromServer::Listening(_) => Outcome::Noted,
    };
    let mut event = seen.event(EventKind::Outcome, outcome);
    event.duration_us = Some(seen.elapsed_us());
    event.server = facts.server.as_ref().map(|server| server.id.as_str().into());
    match releasable.message() {
        FromServer::Task(task) => {
            event.detail.push(("task".into(), task.status().into_string().into()));
            task.requests.iter().for_each(|(_, request)| event.detail.push(asked_detail(request)));
            if let Some(Answer::Result(result)) = &task.outcome {
                event.result = Some(PayloadDigest::of(seen.payload_digest, result.bytes()));
            }
        }
        FromServer::End(Answer::Result(result)) => {
            event.result = Some(PayloadDigest::of(seen.payload_digest, result.bytes()));
        }
        FromServer::End(Answer::Error(error)) => {
            event.detail.push(("upstream error".into(), error.code.to_string().into()));
            let pages = input::asked_by(error).and_then(Result::ok).unwrap_or_default();
            pages.iter().for_each(|page| event.detail.push(asked_detail(page)));
        }
        FromServer::Page(items) => {
            event.detail.push(("items".into(), items.entries.len().to_string().into()));
            event.detail.extend(
                items.missing.iter().map(|(server, why)| (format!("missing {server}").into(), (&**why).into())),
            );
        }
        FromServer::Notice { server, notice } => {
            event.server = Some(server.as_str().to_owned().into());
            event.detail.push(("notice".into(), notice.kind.as_str().into()));
        }
        FromServer::Withdrawn { id, .. } => {
            event.detail.push(("withdraws".into(), id.to_json().as_str().to_owned().into()));
        }
        FromServer::Listening(filters) => {
            let told = |(server, filter): &(ServerId, Filter)| {
                (format!("listens to {server}").into(), filter.written().as_str().to_owned().into())
            };
            event.detail.extend(filters.iter().map(told));
        }
        FromServer::Told { server, told } => {
            let what = match told {
                Told::Changed(list) => list.notice().into(),
                Told::Updated { uri } => format!("updated {uri}").into(),
                Told::Acknowledged(_) => "acknowledged".into(),
            };
            event.server = Some(server.as_str().to_owned().into());
            event.detail.push(("tells".into(), what));
        }
        FromServer::Ask(asked) => event.detail.push(asked_detail(&asked.request)),
        FromServer::Park(required) => {
            event.detail.extend(required.requests.iter().map(|(_, request)| asked_detail(request)));
        }
    }
    event.policies = releasable.basis().policies.clone();
    if let Some(used) = seen.used.get() {
        event.detail.push(("process".into(), used_words(used).into()));
    }
    let withheld = releasable.withheld().iter();
    event.detail.extend(withheld.map(|(item, why)| (format!("withheld {item}").into(), why.to_string().into())));
    event.into()
}

/// What a server's process used since it was looked at last, and holds now.
fn used_words(used: &Used) -> String {
    format!(
        "cpu {} ms, memory {} MiB, {} processes, {} open files, {} connections let out, {} refused",
        used.cpu.as_millis(),
        used.usage.memory_bytes.div_ceil(1024 * 1024),
        used.usage.processes,
        used.usage.files,
        used.let_out,
        used.kept_in
    )
}

/// A list that the gateway asks for on a caller's behalf, to find a name.
pub(crate) fn looked_up(seen: &Seen, items: usize) -> Event<'_> {
    let mut event = seen.event(EventKind::Outcome, Outcome::Completed);
    event.detail.push(("items".into(), items.to_string().into()));
    event
}

/// A walk that ended early.
pub(crate) fn refused<'a>(seen: &'a Seen, refusal: &'a Refusal) -> Event<'a> {
    let (decided, tried) = (refusal.code.is_decision(), refusal.code.is_after_the_attempt());
    let (kind, outcome) = match (decided, tried) {
        (true, _) if refusal.code.is_challenge() => (EventKind::Decision, Outcome::Challenge),
        (true, _) => (EventKind::Decision, Outcome::Forbid),
        (false, true) => (EventKind::Outcome, Outcome::Failed),
        (false, false) => (EventKind::Refusal, Outcome::Refused),
    };
    let mut event = seen.event(kind, outcome);
    event.code = Some(refusal.code.as_str());
    event.reason = Some((&*refusal.reason).into());
    event.policies = refusal.policies.clone();
    event.needed = refusal.needed.as_deref().map(Into::into);
    event.duration_us = Some(seen.elapsed_us());
    event
}

/// A notification that was taken in: nothing comes back for it.
pub(crate) fn absorbed(seen: &Seen) -> Event<'_> {
    let mut event = seen.event(EventKind::Outcome, Outcome::Completed);
    event.duration_us = Some(seen.elapsed_us());
    event
}

/// A definition that was seen for the first time, or is withheld: to whom it was shown, and in which request.
///
/// One that is in no lock file is written down whole, over as many records as it takes: what was shown can be looked at later.
pub(crate) fn changed<'a>(seen: &'a Seen, era: Era, change: &'a Change) -> Vec<Event<'a>> {
    let chunks = change.definition().map(|definition| chunks(definition.as_str())).unwrap_or_default();
    let mut events = vec![news(seen, era, change)];
    for (at, part) in chunks.chunks(CHUNKS_MAX).enumerate() {
        if at > 0 {
            let mut event = news(seen, era, change);
            event.kind = EventKind::Definition;
            event.reason = Some(format!("the definition goes on, part {}", at.saturating_add(1)).into());
            events.push(event);
        }
        if let Some(event) = events.last_mut() {
            let numbered =
                part.iter().zip(1..).map(|(chunk, number)| (format!("definition {number:02}").into(), (*chunk).into()));
            event.detail.extend(numbered);
        }
    }
    events
}

/// The text in parts that a record takes.
fn chunks(mut text: &str) -> Vec<&str> {
    let mut chunks = Vec::new();
    while !text.is_empty() {
        let (chunk, rest) = text.split_at(text.floor_char_boundary(CHUNK_BYTES));
        chunks.push(chunk);
        text = rest;
    }
    chunks
}

fn news<'a>(seen: &'a Seen, era: Era, change: &'a Change) -> Event<'a> {
    let kind = if change.is_alarming() { EventKind::Security } else { EventKind::Definition };
    let mut event = seen.event(kind, Outcome::Noted);
    event.era = Some(era.as_str().into());
    event.arguments = None;
    event.server = Some(change.server().as_str().into());
    event.item = Some(change.name().into());
    event.reason = Some(change.to_string().into());
    event
}

/// A server whose words of itself are withheld.
pub(crate) fn unsaid<'a>(seen: &'a Seen, server: &'a ServerId, flaw: &Flaw) -> Event<'a> {
    let kind = if flaw.is_alarming() { EventKind::Security } else { EventKind::Definition };
    let mut event = seen.event(kind, Outcome::Noted);
    event.server = Some(server.as_str().into());
    event.reason = Some(format!("what it says of itself is withheld: {flaw}").into());
    event
}

/// A legacy session that its client wants to end.
pub(crate) fn session_ends(seen: &Seen) -> Event<'_> {
    let mut event = seen.event(EventKind::Lifecycle, Outcome::Noted);
    event.reason = Some("the client ends its session".into());
    event
}

/// The operator ends the sessions of this tag.
pub(crate) fn session_ended<'a>(seen: &'a Seen, tag: &'a str) -> Event<'a> {
    let mut event = seen.event(EventKind::Security, Outcome::Noted);
    event.reason = Some("the operator ends a session".into());
    event.detail.push(("session".into(), tag.into()));
    event
}

/// Somebody's credentials are revoked.
pub(crate) fn revoked<'a>(seen: &'a Seen, revocation: &Revocation) -> Event<'a> {
    let mut event = seen.event(EventKind::Security, Outcome::Noted);
    let (issuer, name) = revocation.target.names();
    event.reason = Some(format!("revoked: {}", revocation.target.kind()).into());
    let detail = [("issuer", issuer), ("name", name), ("why", &revocation.reason), ("by", &revocation.by)];
    let told = detail.into_iter().filter(|(_, value)| !value.is_empty());
    event.detail.extend(told.map(|(key, value)| (key.into(), value.to_owned().into())));
    event
}

/// A stream that its client takes up again.
pub(crate) fn taken_up(seen: &Seen, after: u64) -> Event<'_> {
    let mut event = seen.event(EventKind::Lifecycle, Outcome::Noted);
    event.reason = Some(format!("the client takes up a stream behind event {after}").into());
    event
}

/// The part of a session's hash that may be written down.
fn tag(session: SessionKey) -> SessionTag {
    SessionTag::of(&Digest::from(*session.as_bytes()))
}

/// Bytes of a definition in one text of a record, and such texts in one record: within the bounds of `audit`.
const CHUNK_BYTES: usize = 2000;
const CHUNKS_MAX: usize = 28;
