//! Which calls are traced, and as part of which trace.
//!
//! The operator's ratio decides. What a client asks for by a sampled flag is honoured a few times a second, and past that counts as
//! nothing: a client must not be able to make us export everything. For the same reason chance decides and not the trace's id where
//! a client chose that id.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use http::HeaderMap;
use sekisho_identity::Authenticated;
use sekisho_upstream::Transport;
use sekisho_wire::message::{Meta, Spoken};
use sekisho_wire::trace::is_tracestate;
use sekisho_wire::{Call, Id, Inbound, Request, Trace};

/// How much is traced.
#[derive(Debug, Clone, Copy)]
pub struct Sampling {
    /// The share of calls, 0 to 1.
    pub ratio: f64,
    /// How often a second a client's sampled flag is honoured, for all clients together.
    pub client_sampled_per_second_max: u32,
}

pub(super) struct Sampler {
    /// Of [`WHOLE`].
    share: u64,
    budget: Budget,
}

/// What a client said about a trace.
#[derive(Default)]
pub(super) struct Brought {
    parent: Option<Trace>,
    state: Option<Arc<str>>,
    /// The transport's context, where `_meta` names another.
    link: Option<Trace>,
}

/// The place of one call in a trace.
pub(crate) struct Context {
    /// Its own part.
    pub(crate) own: Trace,
    /// The part it comes from; none if the trace begins here.
    pub(crate) parent: Option<[u8; 8]>,
    pub(crate) state: Option<Arc<str>>,
    pub(crate) link: Option<Trace>,
}

/// A call in a trace, with what its span tells beyond what is recorded anyway.
pub(crate) struct Traced {
    pub(crate) context: Context,
    pub(crate) said: Option<Said>,
    pub(crate) over: Transport,
}

/// Known of a sampled call only.
pub(crate) struct Said {
    /// The client's id of the request.
    pub(crate) id: String,
    pub(crate) version: &'static str,
    pub(crate) subject: Subject,
}

/// What a call is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    Tool,
    Prompt,
    Resource,
    Other,
}

impl Sampler {
    pub(super) fn new(sampling: &Sampling) -> Sampler {
        // What is no share is none: the configuration refuses it before.
        let share = Duration::try_from_secs_f64(sampling.ratio).unwrap_or_default();
        Sampler {
            share: u64::try_from(share.as_nanos()).unwrap_or(WHOLE),
            budget: Budget::new(sampling.client_sampled_per_second_max),
        }
    }

    /// None: the call is no part of any trace that we know of, and its servers are told of none.
    pub(super) fn decide(&self, brought: Brought) -> Option<Context> {
        self.decide_at(brought, Instant::now())
    }

    fn decide_at(&self, brought: Brought, now: Instant) -> Option<Context> {
        let Brought { parent, state, link } = brought;
        let chosen = chance() % WHOLE < self.share;
        match parent {
            None => chosen.then(fresh).flatten(),
            Some(parent) => {
                let sampled = chosen || (parent.sampled && self.budget.take(now));
                let own = Trace { span: random()?, sampled, ..parent };
                Some(Context { own, parent: Some(parent.span), state, link })
            }
        }
    }
}

impl Brought {
    /// `_meta` wins; the transport's own context becomes a link (OpenTelemetry, MCP conventions, "Context Propagation"). What is not
    /// well formed counts as nothing.
    pub(super) fn of(headers: &HeaderMap, meta: &Meta) -> Brought {
        let header = one(headers, TRACEPARENT).and_then(Trace::parse);
        let named = |wanted: &str| {
            let carried = meta.carried.iter().find(|(key, _)| &**key == wanted);
            carried.and_then(|(_, value)| value.string().map(String::from))
        };
        match named(TRACEPARENT).and_then(|text| Trace::parse(&text)) {
            Some(parent) => {
                let link = header.filter(|header| (header.id, header.span) != (parent.id, parent.span));
                Brought { parent: Some(parent), state: named(TRACESTATE).map(Into::into), link }
            }
            None => {
                let state = one(headers, TRACESTATE).filter(|state| is_tracestate(state));
                Brought { parent: header, state: header.and(state).map(Into::into), link: None }
            }
        }
    }
}

impl Traced {
    pub(super) fn of(context: Context, message: &Authenticated<Inbound>, request: &Request, over: Transport) -> Traced {
        let said = context.own.sampled.then(|| Said {
            id: match request.id() {
                Id::Integer(number) => number.to_string(),
                Id::Text(text) => text.chars().take(ID_CHARS_MAX).collect(),
            },
            version: match request.spoken() {
                Spoken::Modern(version) | Spoken::Legacy(version) => version.as_str(),
                Spoken::LegacyUnsaid => message.session().map_or("", |session| session.version().as_str()),
            },
            subject: match request.call() {
                Call::CallTool { .. } => Subject::Tool,
                Call::GetPrompt { .. } => Subject::Prompt,
                Call::ReadResource { .. } | Call::Subscribe { .. } | Call::Unsubscribe { .. } => Subject::Resource,
                Call::Initialize(_)
                | Call::Discover
                | Call::Ping
                | Call::List { .. }
                | Call::Complete { .. }
                | Call::Listen { .. }
                | Call::Task { .. }
                | Call::SetLogLevel { .. } => Subject::Other,
            },
        });
        Traced { context, said, over }
    }
}

/// How often a second something may be. One word: the second in its upper half, how many were taken in the lower one.
struct Budget {
    began: Instant,
    per_second_max: u32,
    taken: AtomicU64,
}

impl Budget {
    fn new(per_second_max: u32) -> Budget {
        Budget { began: Instant::now(), per_second_max, taken: AtomicU64::new(0) }
    }

    fn take(&self, now: Instant) -> bool {
        let second = now.saturating_duration_since(self.began).as_secs() & u64::from(u32::MAX);
        let taken = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            let count = if word >> 32 == second { word & u64::from(u32::MAX) } else { 0 };
            (count < u64::from(self.per_second_max)).then_some(second << 32 | (count + 1))
        });
        taken.is_ok()
    }
}

/// A trace that begins here.
fn fresh() -> Option<Context> {
    let own = Trace { id: random()?, span: random()?, sampled: true };
    Some(Context { own, parent: None, state: None, link: None })
}

/// Without randomness there is no trace.
fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).ok()?;
    (bytes != [0; N]).then_some(bytes)
}

/// Cheap and unpredictable enough: nothing but a sample rests on it.
fn chance() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// The one value of a header; none if it stands twice.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

/// Shares are counted in billionths.
const WHOLE: u64 = 1_000_000_000;
const ID_CHARS_MAX: usize = 64;
const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

#[cfg(test)]
mod tests {
    use super::*;
    use sekisho_wire::Json;

    const META: &str = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";
    const HEADER: &str = "00-11111111111111111111111111111111-2222222222222222-01";

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap())).collect()
    }

    fn meta(pairs: &[(&str, &str)]) -> Meta {
        let carried = pairs.iter().map(|(key, value)| ((*key).into(), Json::text(value))).collect();
        Meta { carried, ..Meta::default() }
    }

    fn trace(text: &str) -> Trace {
        Trace::parse(text).unwrap()
    }

    fn sampler(ratio: f64, client_sampled_per_second_max: u32) -> Sampler {
        Sampler::new(&Sampling { ratio, client_sampled_per_second_max })
    }

    fn brought(text: &str) -> Brought {
        Brought { parent: Some(trace(text)), ..Brought::default() }
    }

    #[test]
    fn meta_wins_and_the_header_becomes_a_link() {
        let both = Brought::of(
            &headers(&[("traceparent", HEADER), ("tracestate", "h=1")]),
            &meta(&[("traceparent", META), ("tracestate", "m=1")]),
        );
        assert_eq!((both.parent, both.link), (Some(trace(META)), Some(trace(HEADER))));
        assert_eq!(both.state.as_deref(), Some("m=1"));
        let same = Brought::of(&headers(&[("traceparent", META)]), &meta(&[("traceparent", META)]));
        assert_eq!((same.parent, same.link), (Some(trace(META)), None));
        let header = Brought::of(&headers(&[("traceparent", HEADER), ("tracestate", "h=1")]), &meta(&[]));
        assert_eq!((header.parent, header.link, header.state.as_deref()), (Some(trace(HEADER)), None, Some("h=1")));
    }

    #[test]
    fn malformed_or_doubled_context_counts_as_none() {
        let twice = headers(&[("traceparent", HEADER), ("traceparent", META)]);
        for headers in [twice, headers(&[("traceparent", "00-1-2-01")]), headers(&[("tracestate", "h=1")])] {
            let brought = Brought::of(&headers, &meta(&[]));
            assert!(brought.parent.is_none() && brought.state.is_none() && brought.link.is_none());
        }
        let state = Brought::of(&headers(&[("traceparent", HEADER), ("tracestate", "Bad State")]), &meta(&[]));
        assert!(state.parent.is_some() && state.state.is_none());
    }

    #[test]
    fn the_ratio_decides_where_no_client_does() {
        assert!((0..1000).all(|_| sampler(0.0, 10).decide(Brought::default()).is_none()));
        let all = sampler(1.0, 0);
        assert!((0..1000).all(|_| all.decide(Brought::default()).is_some_and(|c| c.own.sampled && c.parent.is_none())));
        let tenth = sampler(0.1, 0);
        let chosen = (0..20_000).filter(|_| tenth.decide(Brought::default()).is_some()).count();
        assert!((1_600..2_400).contains(&chosen), "{chosen}");
    }

    #[test]
    fn a_clients_flag_is_honoured_within_the_budget_and_ignored_past_it() {
        let sampler = sampler(0.0, 2);
        let now = Instant::now();
        let sampled = |at| sampler.decide_at(brought(META), at).unwrap().own.sampled;
        assert_eq!([sampled(now), sampled(now), sampled(now), sampled(now)], [true, true, false, false]);
        let later = now + Duration::from_secs(1);
        assert_eq!([sampled(later), sampled(later), sampled(later)], [true, true, false]);
    }

    #[test]
    fn a_call_that_is_not_sampled_stays_in_its_trace_with_a_part_of_its_own() {
        let unsampled = META.replace("-01", "-00");
        let context = sampler(0.0, 10).decide(brought(&unsampled)).unwrap();
        assert_eq!((context.own.id, context.own.sampled), (trace(META).id, false));
        assert_eq!(context.parent, Some(trace(META).span));
        assert_ne!(context.own.span, trace(META).span);
    }
}
