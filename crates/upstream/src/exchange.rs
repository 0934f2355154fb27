//! One exchange: what the server says until it ends, and the lists of many servers as one.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use sekisho_audit::Recorded;
use sekisho_catalog::Question;
use sekisho_guard::Cleared;
use sekisho_policy::Authorized;
use sekisho_wire::server::{AskedOn, ServerRequest};
use sekisho_wire::task::About;
use sekisho_wire::{Answer, Askable, Era, FromServer, Id, Items, ListKind, RpcError, ServerId, Sheets, back};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::ask::Heard;
use crate::caller::Caller;
use crate::error::{Fault, SendError, chain, words};
use crate::kept::Setting;
use crate::lessons::empty;
use crate::link::Flight;
use crate::listening::Listening;
use crate::peer::{Hold, Peer};
use crate::stdio::METHOD_NOT_FOUND;
use crate::trail::Leg;
use crate::watch::Used;

/// One request under way. Dropping it before its end cancels it upstream. It holds the request's proofs, hence its permits.
pub struct Exchange {
    course: Course,
    used: Option<Used>,
    // Held, not read: the permits inside are given back when the exchange ends.
    _of: Recorded<Cleared<Authorized>>,
}

/// What is still to come of an exchange.
pub(crate) enum Course {
    Running(Box<Running>),
    Listening(Box<Listening>),
    Ready(FromServer),
    Over,
}

/// A request that a server is answering.
pub(crate) struct Running {
    server: ServerId,
    era: Era,
    page: Option<Page>,
    about: About,
    sets: Option<Setting>,
    // Before `hold`: the connection is let go after the flight has said its last word.
    flight: Flight,
    hold: Hold,
    leg: Leg,
    /// How long the server may take for a call.
    time: Duration,
}

/// What an answer is read as, beside the end of its exchange.
#[derive(Default)]
pub(crate) struct Reads {
    pub(crate) page: Option<Page>,
    pub(crate) about: About,
    /// What counts from then on.
    pub(crate) sets: Option<Setting>,
}

/// The list that an answer is read as.
pub(crate) struct Page {
    pub(crate) kind: ListKind,
    pub(crate) server: ServerId,
    /// The pages that this server gave before.
    pub(crate) sheets: Arc<Sheets>,
}

/// The page that one server of a list is asked for.
pub(crate) struct Wanted {
    pub(crate) server: ServerId,
    pub(crate) peer: Result<Arc<Peer>, SendError>,
    pub(crate) cursor: Option<Box<str>>,
    /// What the server may ask of the client.
    pub(crate) askable: Askable,
}

impl Exchange {
    pub(crate) fn new(course: Course, of: Recorded<Cleared<Authorized>>) -> Exchange {
        Exchange { course, used: None, _of: of }
    }

    /// The server's next message; none after `End`, `Park`, `Page` or an error. Safe to drop and call again.
    ///
    /// # Errors
    /// Once, and as the last thing: see [`SendError`].
    pub async fn next(&mut self) -> Option<Result<FromServer, SendError>> {
        self.course.next_and(&mut self.used).await
    }

    /// What the server's process used meanwhile, once the exchange is over. None where it is no process of ours, or was looked at a moment ago.
    #[must_use]
    pub fn used(&self) -> Option<&Used> {
        self.used.as_ref()
    }

    /// Tells the server that its question may not be asked.
    pub fn decline(&mut self, id: &Id) {
        self.course.decline(id);
    }

    /// Leaves more time to all that may wait for the answer to a question.
    pub fn wait_for(&mut self, question: Arc<Question>) {
        match &mut self.course {
            Course::Running(running) => running.wait_for(question),
            Course::Listening(listening) => listening.wait_for(question),
            Course::Ready(_) | Course::Over => {}
        }
    }

    /// Leaves more time to an exchange whose server may take longer than others.
    pub fn wait_until(&mut self, until: Instant) {
        if let Course::Running(running) = &mut self.course {
            running.listen_until(until);
        }
    }
}

impl Course {
    pub(crate) async fn next(&mut self) -> Option<Result<FromServer, SendError>> {
        self.next_and(&mut None).await
    }

    /// The same, and what was used where that was the end.
    async fn next_and(&mut self, used: &mut Option<Used>) -> Option<Result<FromServer, SendError>> {
        let said = match self {
            Course::Running(running) => running.next().await,
            Course::Listening(listening) => listening.next().await,
            Course::Ready(_) | Course::Over => match std::mem::replace(self, Course::Over) {
                Course::Ready(message) => return Some(Ok(message)),
                Course::Running(_) | Course::Listening(_) | Course::Over => return None,
            },
        };
        if said.as_ref().map_or(true, FromServer::ends) {
            if let Course::Running(running) = self {
                *used = running.flight.used();
            }
            *self = Course::Over;
        }
        Some(said)
    }

    fn decline(&mut self, id: &Id) {
        match self {
            Course::Running(running) => running.decline(id),
            Course::Listening(listening) => listening.decline(id),
            Course::Ready(_) | Course::Over => {}
        }
    }

    /// The page of a list; nothing else that is said on the way matters.
    ///
    /// # Errors
    /// The exchange failed, or the server refused the list. That it does not know the method means that it has no such list.
    pub(crate) async fn page(&mut self, kind: ListKind, server: &ServerId) -> Result<Items, SendError> {
        let garbled = |why: String| Fault::Garbled(why.into()).of(server);
        while let Some(said) = self.next().await {
            match said? {
                FromServer::Page(items) => return Ok(items),
                FromServer::End(Answer::Error(RpcError { code: METHOD_NOT_FOUND, .. })) => return Ok(empty(kind)),
                FromServer::End(Answer::Error(error)) => {
                    let said = words(&error.message);
                    return Err(garbled(format!("it refused the list with error {}: {said}", error.code)));
                }
                FromServer::End(Answer::Result(_)) | FromServer::Park(_) | FromServer::Task(_) => {
                    return Err(garbled("it answered a list with something else".into()));
                }
                FromServer::Ask(asked) => self.decline(&asked.id),
                FromServer::Notice { .. }
                | FromServer::Withdrawn { .. }
                | FromServer::Told { .. }
                | FromServer::Listening(_) => {}
            }
        }
        Err(garbled("it answered a list with nothing".into()))
    }
}

impl From<Running> for Course {
    fn from(running: Running) -> Course {
        Course::Running(Box::new(running))
    }
}

impl Running {
    pub(crate) fn new(
        server: ServerId,
        era: Era,
        reads: Reads,
        sent: (Flight, Hold),
        (leg, time): (Leg, Duration),
    ) -> Running {
        let ((flight, hold), Reads { page, about, sets }) = (sent, reads);
        Running { server, era, page, about, sets, flight, hold, leg, time }
    }

    /// Leaves more time, for a question that somebody has to answer.
    pub(crate) fn wait_for(&mut self, question: Arc<Question>) {
        self.flight.wait_for(question, self.time);
    }

    /// Leaves more time to whoever listens.
    pub(crate) fn listen_until(&mut self, until: Instant) {
        self.flight.listen_until(until);
    }

    /// Which connection it uses; see [`Hold::connection`].
    pub(crate) fn connection(&self) -> u64 {
        self.hold.connection()
    }

    /// Answers a question with a refusal.
    pub(crate) fn decline(&mut self, id: &Id) {
        self.flight.decline(id);
    }

    pub(crate) async fn next(&mut self) -> Result<FromServer, SendError> {
        let said = self.hear().await;
        self.leg.heard(&said);
        said
    }

    async fn hear(&mut self) -> Result<FromServer, SendError> {
        let heard = self.flight.next().await.map_err(|fault| fault.of(&self.server))?;
        let answer = match heard {
            Heard::Notice(notice) => return Ok(FromServer::Notice { server: self.server.clone(), notice }),
            Heard::Ask(request) => {
                let on = AskedOn { connection: self.hold.connection(), ..request.on };
                return Ok(FromServer::Ask(ServerRequest { on, ..request }));
            }
            Heard::Withdrawn(id) => return Ok(FromServer::Withdrawn { id, connection: self.hold.connection() }),
            Heard::Told(told) => return Ok(FromServer::Told { server: self.server.clone(), told }),
            Heard::Answer(answer) => answer,
        };
        self.hold.succeeded();
        if let (Answer::Result(_), Some(setting)) = (&answer, self.sets.take()) {
            setting.agreed();
        }
        let garbled = |error: back::BadMessage| Fault::Garbled(chain(&error).into()).of(&self.server);
        match (back::conclude(self.era, self.about, answer).map_err(garbled)?, &self.page) {
            (FromServer::End(Answer::Result(result)), Some(page)) => {
                back::items(&page.sheets, page.kind, &page.server, &result).map(FromServer::Page).map_err(garbled)
            }
            (FromServer::End(Answer::Error(error)), _) => Ok(FromServer::End(Answer::Error(of_theirs(error)))),
            (said, _) => Ok(said),
        }
    }
}

/// A server's error, unless its code is one of the gateway's own: nobody shall take a server's words for the gateway's (BP-09).
fn of_theirs(error: RpcError) -> RpcError {
    if OWN_CODES.contains(&error.code) { RpcError { code: INTERNAL_ERROR, data: None, ..error } } else { error }
}

/// Asks all servers of a list at once. A slow or dead one is missing from the page and hides no other.
pub(crate) async fn gather(caller: Caller, kind: ListKind, wanted: Vec<Wanted>) -> Items {
    let alone = wanted.len() == 1;
    // Until it has answered, a server is missing: whatever becomes of its task, it is not forgotten.
    let mut pages: BTreeMap<ServerId, Result<Items, Box<str>>> =
        wanted.iter().map(|one| (one.server.clone(), Err("its listing failed".into()))).collect();
    let mut asked = JoinSet::new();
    for Wanted { server, peer, cursor, askable } in wanted {
        let caller = caller.clone().offering(askable);
        asked.spawn(async move {
            let why = |error: SendError| error.trouble().why().into();
            let page = match peer {
                // Known already, so that no call fails over it and no probe follows.
                Ok(peer) => match peer.lacks(caller.era()) {
                    Some(lacking) => Err(lacking.into()),
                    None => peer.page(&caller, kind, cursor).await.map_err(why),
                },
                Err(error) => Err(why(error)),
            };
            (server, page)
        });
    }
    while let Some(answered) = asked.join_next().await {
        if let Ok((server, page)) = answered {
            pages.insert(server, page);
        }
    }
    join(kind, pages, alone)
}

fn join(kind: ListKind, pages: BTreeMap<ServerId, Result<Items, Box<str>>>, alone: bool) -> Items {
    let mut all = empty(kind);
    for (server, page) in pages {
        match page {
            Ok(page) => {
                all.entries.extend(page.entries);
                all.next.extend(page.next);
                all.missing.extend(page.missing);
                all.ttl_ms = [all.ttl_ms, page.ttl_ms].into_iter().flatten().min();
                all.meta = page.meta.filter(|_| alone);
                all.sheet = page.sheet.filter(|_| alone);
            }
            Err(why) => all.missing.push((server, why)),
        }
    }
    all
}

/// The codes of the gateway's own refusals.
const OWN_CODES: RangeInclusive<i64> = -31099..=-31001;
/// JSON-RPC "internal error".
const INTERNAL_ERROR: i64 = -32603;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::support::json;

    #[test]
    fn a_servers_error_keeps_its_code_unless_that_is_one_of_the_gateways_own() {
        let coded = |code| {
            let error = of_theirs(RpcError { code, message: "no".into(), data: Some(json("{}")) });
            assert_eq!(&*error.message, "no");
            (error.code, error.data.is_some())
        };
        for own in [-31001, -31009, -31099] {
            assert_eq!(coded(own), (INTERNAL_ERROR, false));
        }
        for theirs in [-31000, -31100, -32000, -32603, 1] {
            assert_eq!(coded(theirs), (theirs, true));
        }
    }
}
