//! The corridor. Read this first.
//!
//! [`walk`] is the way in: one line a room, each taking the proof of the one before. [`release`] is the way back, the same for
//! every message a server sends. Nothing else leads from a client to a server or back.

use std::sync::Arc;
use std::time::SystemTime;

use sekisho_audit::Recorded;
use sekisho_catalog::{Addressed, Question, Target, Unknown};
use sekisho_guard::Cleared;
use sekisho_identity::{Authenticated, SessionKey, SessionToken};
use sekisho_policy::{Authorized, Decision, Facts, Releasable};
use sekisho_upstream::{Exchange, Replying, SendError, Used};
use sekisho_wire::{Call, Era, FromServer, Id, Inbound, Items, TaskVerb, text};
use tokio::time::Instant;

use crate::inflight::InFlight;
use crate::instruments::Room;
use crate::own;
use crate::progress::{Progress, Stage};
use crate::record::{self, Seen};
use crate::refusal::{Code, Refusal};
use crate::snapshot::Rooms;

/// What a listener may write: nothing else comes out of the corridor.
pub(crate) type Released = Recorded<Cleared<Releasable>>;

/// The way in.
pub(crate) async fn walk(
    rooms: &Rooms,
    under_way: UnderWay<'_>,
    seen: &Seen,
    message: Box<Authenticated<Inbound>>,
    now: SystemTime,
) -> Result<(Way, Conversation), Refusal> {
    let addressed = match rooms.catalog.address(*message, now) {
        Ok(addressed) => addressed,
        // Rare, and large: every call's memory would hold it.
        Err(refused) => Box::pin(look_up(rooms, seen, *refused, now)).await?,
    };
    seen.clock.lap(Room::CATALOG);
    let (way, recorded) = permit(rooms, seen, addressed, now).await?;
    under_way.progress.reach(Stage::Begun);
    let conversation = match recorded.get().of().addressed().target() {
        Target::Gateway => {
            let own = own::answer(rooms, under_way.inflight, seen, recorded, now).await;
            seen.clock.lap(Room::OWN);
            own?
        }
        Target::Reply(_) => {
            let told = rooms.upstream.reply(recorded).await;
            seen.clock.lap(Room::UPSTREAM);
            match told? {
                Replying::Told => Conversation::Absorbed,
                Replying::NothingAsked => return Err(Refusal::from(&Unknown::NothingAsked)),
            }
        }
        Target::One(_) | Target::Many { .. } | Target::Listen(_) => {
            let opened = rooms.upstream.open(recorded, seen.clock.trail()).await;
            seen.clock.lap(Room::UPSTREAM);
            Conversation::Upstream(Box::new(opened?))
        }
    };
    Ok((way, conversation))
}

/// From an addressed message to one that may be sent: the rooms, in their order.
async fn permit(rooms: &Rooms, seen: &Seen, addressed: Addressed, now: SystemTime) -> Result<Permitted, Refusal> {
    let admitted = rooms.limits.admit(addressed)?;
    seen.clock.lap(Room::LIMITS);
    let inspected = rooms.guard.inspect(admitted);
    seen.clock.lap(Room::GUARD);
    let labelled = rooms.flow.label(inspected);
    seen.clock.lap(Room::FLOW);
    let decision = rooms.policy.decide(labelled, now);
    seen.clock.lap(Room::POLICY);
    let authorized = match decision {
        Decision::Permit(authorized) => authorized,
        Decision::Challenge(challenge) => return Err(rooms.challenges.refusal(*challenge, now)),
        Decision::Forbid(forbidden) => return Err((*forbidden).into()),
    };
    let message = authorized.addressed().message().message();
    let way = Way { facts: authorized.facts(), call: may_wait(message), task: asked_task(message) };
    let decision = record::permitted(seen, &authorized);
    seen.clock.lap(Room::AUDIT);
    let cleared = rooms.guard.clear(authorized)?;
    seen.clock.lap(Room::GUARD);
    let recorded = rooms.audit.record(decision, cleared).await;
    seen.clock.lap(Room::AUDIT);
    Ok((way, recorded?))
}

/// The way back, for every message.
pub(crate) async fn release(
    rooms: &Rooms,
    facts: &Facts,
    seen: &Seen,
    message: FromServer,
    now: SystemTime,
) -> Result<Released, Refusal> {
    seen.clock.waited();
    if let FromServer::Page(items) = &message {
        remember(rooms, seen, facts.era, items, now).await?;
    }
    seen.clock.lap(Room::BACK_CATALOG);
    let examined = rooms.guard.examine(&facts.subject, message);
    seen.clock.lap(Room::BACK_GUARD);
    let carried = rooms.flow.carry(facts.labels, examined);
    seen.clock.lap(Room::BACK_FLOW);
    let releasable = rooms.policy.release(facts, carried, now)?;
    seen.clock.lap(Room::BACK_POLICY);
    let cleared = rooms.guard.clear_answer(releasable)?;
    seen.clock.lap(Room::BACK_GUARD);
    seen.clock.hears(cleared.of().message());
    let outcome = record::released(seen, facts, cleared.of());
    let recorded = rooms.audit.record(outcome, cleared).await;
    seen.clock.lap(Room::BACK_AUDIT);
    Ok(recorded?)
}

/// Addresses a message whose name was not seen yet or lately, or is withheld: it is looked for once, by a list on the caller's own
/// connection, which walks the corridor like any other.
async fn look_up(
    rooms: &Rooms,
    seen: &Seen,
    (unknown, message): (Unknown, Authenticated<Inbound>),
    now: SystemTime,
) -> Result<Addressed, Refusal> {
    let (Unknown::NotSeen { server, kind, .. } | Unknown::Withheld { server, kind, .. }) = &unknown else {
        return Err(Refusal::from(&unknown));
    };
    let era = message.message().spoken().era();
    let list = message.to_list(*kind);
    let seen = &seen.clone().of(&list);
    let list = rooms.catalog.address_at(list, server).map_err(|refused| Refusal::from(&refused.0))?;
    // Who may not see the list hears what anybody hears of a name that is not there.
    let Ok((_, permitted)) = permit(rooms, seen, list, now).await.map(Ok).or_else(hidden)? else {
        let hidden = Unknown::NotSeen { server: server.clone(), kind: *kind, name: Box::default() };
        let seen = rooms.catalog.address_as_seen(message, now);
        return seen.map_err(|_| Refusal::from(&hidden));
    };
    let items = rooms.upstream.list(permitted, seen.clock.trail()).await?;
    remember(rooms, seen, era, &items, now).await?;
    rooms.audit.note(record::looked_up(seen, items.entries.len())).await?;
    rooms.catalog.address(message, now).map_err(|refused| Refusal::from(&refused.0))
}

/// The call of a request that may wait for input (MR-01).
fn may_wait(message: &Inbound) -> Option<Call> {
    let Inbound::Request(request) = message else { return None };
    let waits = matches!(request.call(), Call::CallTool { .. } | Call::GetPrompt { .. } | Call::ReadResource { .. });
    (waits && request.spoken().era() == Era::Modern).then(|| request.call().clone())
}

fn asked_task(message: &Inbound) -> Option<(TaskVerb, Box<str>)> {
    let Inbound::Request(request) = message else { return None };
    if let Call::Task { verb, id } = request.call() { Some((*verb, id.clone())) } else { None }
}

type Permitted = (Way, Recorded<Cleared<Authorized>>);

/// A list that policy forbids is no error of the caller's.
fn hidden(refusal: Refusal) -> Result<Result<Permitted, Refusal>, Refusal> {
    if refusal.code == Code::Forbidden { Ok(Err(refusal)) } else { Err(refusal) }
}

/// Remembers the definitions of a page before anybody sees them. Its changes are written down together.
async fn remember(rooms: &Rooms, seen: &Seen, era: Era, items: &Items, now: SystemTime) -> Result<(), Refusal> {
    let changes = rooms.catalog.learn(era, items, now);
    for change in changes.iter().filter(|change| change.is_alarming()) {
        let (server, item) = (change.server(), text::visible(change.name()));
        tracing::warn!(target: "catalog", %server, item = &*item, "withheld until somebody looks at it: {change}");
    }
    rooms.audit.note_all(changes.iter().flat_map(|change| record::changed(seen, era, change))).await?;
    Ok(())
}

/// What a walk touches beside the rooms.
#[derive(Clone, Copy)]
pub(crate) struct UnderWay<'a> {
    /// The requests that can be cancelled.
    pub(crate) inflight: &'a InFlight,
    /// How far this one has come.
    pub(crate) progress: &'a Progress,
}

/// What the way back needs to know of the way in.
pub(crate) struct Way {
    pub(crate) facts: Facts,
    /// The call, if it may have to come again with what its server asks for (modern).
    pub(crate) call: Option<Call>,
    /// The task that it is about, as the client names it.
    pub(crate) task: Option<(TaskVerb, Box<str>)>,
}

/// What follows a permitted, recorded request.
pub(crate) enum Conversation {
    /// A server answers.
    Upstream(Box<Exchange>),
    /// The gateway answers.
    Own(Box<Own>),
    /// A notification was taken in; nothing comes back.
    Absorbed,
}

/// An answer of the gateway itself. It walks back like any other.
pub(crate) struct Own {
    pub(crate) answer: Option<FromServer>,
    /// The id of the session that `initialize` opened, for the response's header.
    pub(crate) session: Option<Opened>,
    /// Held until the answer is written: the request's proofs and permits.
    pub(crate) _held: Recorded<Cleared<Authorized>>,
}

/// A session that `initialize` opened: of use once its id has reached the client.
pub(crate) struct Opened {
    pub(crate) token: SessionToken,
    pub(crate) key: SessionKey,
}

impl Conversation {
    /// The next message, untrusted whoever said it.
    pub(crate) async fn next(&mut self) -> Option<Result<FromServer, SendError>> {
        match self {
            Conversation::Upstream(exchange) => exchange.next().await,
            Conversation::Own(own) => own.answer.take().map(Ok),
            Conversation::Absorbed => None,
        }
    }

    /// What the server's process used, once it is over.
    pub(crate) fn used(&self) -> Option<&Used> {
        match self {
            Conversation::Upstream(exchange) => exchange.used(),
            Conversation::Own(_) | Conversation::Absorbed => None,
        }
    }

    /// Tells a server that its question may not be asked.
    pub(crate) fn decline(&mut self, id: &Id) {
        match self {
            Conversation::Upstream(exchange) => exchange.decline(id),
            Conversation::Own(_) | Conversation::Absorbed => {}
        }
    }

    /// Leaves more time to all that may wait for the client's answer to a question.
    pub(crate) fn wait_for(&mut self, question: Arc<Question>) {
        match self {
            Conversation::Upstream(exchange) => exchange.wait_for(question),
            Conversation::Own(_) | Conversation::Absorbed => {}
        }
    }

    /// Leaves more time, for what takes longer than a call.
    pub(crate) fn wait_until(&mut self, until: Instant) {
        match self {
            Conversation::Upstream(exchange) => exchange.wait_until(until),
            Conversation::Own(_) | Conversation::Absorbed => {}
        }
    }

    /// The id of a session that was opened, once.
    pub(crate) fn session(&mut self) -> Option<Opened> {
        match self {
            Conversation::Own(own) => own.session.take(),
            Conversation::Upstream(_) | Conversation::Absorbed => None,
        }
    }
}
