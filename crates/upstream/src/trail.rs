//! What goes along with a message to its servers: the trace it is part of, and who hears how each question to a server ended. Plain
//! data; nothing is decided by it, and without a trace nothing of it reaches a server.

use std::borrow::Cow;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderName, HeaderValue};
use sekisho_catalog::Server;
use sekisho_wire::message::Meta;
use sekisho_wire::{Answer, Call, FromServer, Json, Method, ServerId, Trace};

use crate::error::SendError;

/// Who hears of every question to a server, once and after it is over. Must not wait.
pub type Tell = Arc<dyn Fn(&Hop<'_>) + Send + Sync>;

/// Goes along with one message.
#[derive(Clone, Default)]
pub struct Trail {
    /// The part of a trace that questions to servers come from. Without one, what the client's `_meta` carries goes on as it is.
    pub trace: Option<Trace>,
    /// `tracestate` of that trace, well formed.
    pub state: Option<Arc<str>>,
    /// Who hears.
    pub tell: Option<Tell>,
}

/// One question to one server, over.
#[derive(Debug)]
pub struct Hop<'a> {
    /// The server.
    pub server: &'a ServerId,
    /// How it is reached.
    pub transport: Transport,
    /// What it was asked.
    pub method: Method,
    /// The tool, prompt or resource, as the server knows it. Known of a sampled trace only.
    pub item: Option<&'a str>,
    /// The question's own part of the trace, as the server was told.
    pub trace: Option<Trace>,
    /// The part that it comes from.
    pub parent: Option<[u8; 8]>,
    /// From before a connection was there until the last word.
    pub took: Duration,
    /// How it ended.
    pub ended: Ended,
}

/// How one side reaches the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Streamable HTTP.
    Http,
    /// Standard input and output of a process.
    Stdio,
}

/// How a question ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With a result.
    Answered,
    /// With a JSON-RPC error of the server's.
    Error(i64),
    /// With none of the two.
    Trouble(&'static str),
    /// Nobody waited for its end.
    Left,
}

/// A question under way. Tells when it is dropped.
pub(crate) struct Leg(Option<Asked>);

struct Asked {
    tell: Tell,
    state: Option<Arc<str>>,
    server: Arc<Server>,
    transport: Transport,
    method: Method,
    item: Option<Box<str>>,
    trace: Option<Trace>,
    parent: Option<[u8; 8]>,
    began: Instant,
    ended: Ended,
}

impl Ended {
    /// Every word that [`Ended::Trouble`] has.
    pub const TROUBLES: [&'static str; 7] =
        ["unreachable", "timed_out", "garbled", "wrong_era", "ended", "busy", "denied"];
}

impl Leg {
    /// A question begins. Where nobody listens this costs nothing.
    pub(crate) fn begin(trail: &Trail, server: &Arc<Server>, transport: Transport, call: &Call) -> Leg {
        let Some(tell) = &trail.tell else { return Leg(None) };
        let trace = trail.trace.map(|of| Trace { span: span(), ..of });
        Leg(Some(Asked {
            tell: tell.clone(),
            state: trail.state.clone(),
            server: server.clone(),
            transport,
            method: call.method(),
            item: trace.filter(|trace| trace.sampled).and_then(|_| item(call)).map(Into::into),
            trace,
            parent: trail.trace.map(|of| of.span),
            began: Instant::now(),
            ended: Ended::Left,
        }))
    }

    /// What the server is told of the trace.
    pub(crate) fn context(&self) -> Option<Context<'_>> {
        let asked = self.0.as_ref()?;
        Some(Context { trace: asked.trace?, state: asked.state.as_deref() })
    }

    /// Notes that it came to nothing.
    pub(crate) fn failed(&mut self, error: SendError) -> SendError {
        self.ends(Ended::Trouble(word(&error)));
        error
    }

    /// Notes what was heard, if that was the end.
    pub(crate) fn heard(&mut self, said: &Result<FromServer, SendError>) {
        match said {
            Ok(FromServer::End(Answer::Error(error))) => self.ends(Ended::Error(error.code)),
            Ok(said) if said.ends() => self.ends(Ended::Answered),
            Ok(_) => {}
            Err(error) => self.ends(Ended::Trouble(word(error))),
        }
    }

    /// The first end is the end.
    fn ends(&mut self, ended: Ended) {
        let Some(mut asked) = self.0.take() else { return };
        asked.ended = ended;
        asked.tells();
    }
}

impl Drop for Leg {
    fn drop(&mut self) {
        self.ends(Ended::Left);
    }
}

impl Asked {
    fn tells(&self) {
        (self.tell)(&Hop {
            server: self.server.id(),
            transport: self.transport,
            method: self.method,
            item: self.item.as_deref(),
            trace: self.trace,
            parent: self.parent,
            took: self.began.elapsed(),
            ended: self.ended,
        });
    }
}

/// The trace context of one question.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    trace: Trace,
    state: Option<&'a str>,
}

impl Context<'_> {
    /// What `_meta` carries, with this context in place of the client's (SEP-414: `traceparent` and `tracestate`, unprefixed).
    pub(crate) fn carried(&self, meta: &Meta) -> Vec<(Box<str>, Json)> {
        let others = meta.carried.iter().filter(|(key, _)| !matches!(&**key, TRACEPARENT | TRACESTATE));
        let own =
            [(TRACEPARENT, Some(Cow::Owned(self.trace.to_string()))), (TRACESTATE, self.state.map(Cow::Borrowed))];
        let own = own.into_iter().filter_map(|(key, value)| Some((key.into(), Json::text(&value?))));
        others.cloned().chain(own).collect()
    }

    /// The same as HTTP headers.
    pub(crate) fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let parent = HeaderValue::try_from(self.trace.to_string()).ok();
        let state = self.state.and_then(|state| HeaderValue::try_from(state).ok());
        let named = [(TRACEPARENT, parent), (TRACESTATE, state)];
        named.into_iter().filter_map(|(name, value)| Some((HeaderName::from_static(name), value?))).collect()
    }
}

fn item(call: &Call) -> Option<&str> {
    match call {
        Call::CallTool { name, .. } | Call::GetPrompt { name, .. } => Some(name),
        Call::ReadResource { uri } | Call::Subscribe { uri } | Call::Unsubscribe { uri } => Some(uri),
        Call::Initialize(_)
        | Call::Discover
        | Call::Ping
        | Call::List { .. }
        | Call::Complete { .. }
        | Call::Listen { .. }
        | Call::Task { .. }
        | Call::SetLogLevel { .. } => None,
    }
}

fn word(error: &SendError) -> &'static str {
    match error {
        SendError::Unreachable(_) => "unreachable",
        SendError::TimedOut(_) => "timed_out",
        SendError::Garbled(_) => "garbled",
        SendError::WrongEra(_) => "wrong_era",
        SendError::Ended(_) => "ended",
        SendError::Busy(_) => "busy",
        SendError::Denied(_) => "denied",
    }
}

/// An id for one more part of a trace. It has to differ from the others of its trace; nothing secret rests on it.
fn span() -> [u8; 8] {
    // All zeros mean no span (W3C Trace Context, section 3.2.2.4).
    RandomState::new().build_hasher().finish().max(1).to_be_bytes()
}

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Fault;
    use crate::tests::support::json;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";

    fn carried(context: Context<'_>, pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let carried = pairs.iter().map(|(key, value)| ((*key).into(), json(value))).collect();
        let meta = Meta { carried, ..Meta::default() };
        let said = |(key, value): (Box<str>, Json)| (key.into(), value.as_str().to_owned());
        context.carried(&meta).into_iter().map(said).collect()
    }

    #[test]
    fn the_clients_context_is_replaced_and_all_else_of_its_meta_stays() {
        let trace = Trace::parse(PARENT).unwrap();
        let context = Context { trace: Trace { span: [7; 8], ..trace }, state: None };
        let theirs = [
            ("com.example/a", "1"),
            ("traceparent", "\"00-11111111111111111111111111111111-2222222222222222-01\""),
            ("tracestate", "\"theirs=1\""),
            ("baggage", "\"a=b\""),
        ];
        let parent = "\"00-0af7651916cd43dd8448eb211c80319c-0707070707070707-01\"";
        let expected = [("com.example/a", "1"), ("baggage", "\"a=b\""), ("traceparent", parent)];
        assert_eq!(carried(context, &theirs), expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        let with_state = Context { state: Some("ours=1"), ..context };
        assert!(carried(with_state, &theirs).contains(&("tracestate".to_owned(), "\"ours=1\"".to_owned())));
    }

    #[test]
    fn headers_say_the_same_as_the_meta() {
        let context = Context { trace: Trace::parse(PARENT).unwrap(), state: Some("a=1") };
        let headers = context.headers();
        let said: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(said, [("traceparent", PARENT), ("tracestate", "a=1")]);
    }

    #[test]
    fn every_trouble_has_a_word_that_is_listed() {
        let why = || std::borrow::Cow::Borrowed("x");
        let faults = [
            Fault::Unreachable(why()),
            Fault::TimedOut(why()),
            Fault::Garbled(why()),
            Fault::WrongEra(why()),
            Fault::Ended(why()),
            Fault::Busy(why()),
            Fault::Denied(why()),
        ];
        let words = faults.map(|fault| word(&fault.about(None)));
        assert_eq!(words, Ended::TROUBLES);
    }

    #[test]
    fn spans_are_never_zero_and_not_alike() {
        let spans: std::collections::BTreeSet<[u8; 8]> = (0..1000).map(|_| span()).collect();
        assert!(spans.len() == 1000 && !spans.contains(&[0; 8]));
    }
}
