//! The room: all servers, and the door to them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use sekisho_audit::{Audit, Recorded};
use sekisho_catalog::{Addressee, Declared, Question, Route, Server, Target};
use sekisho_egress::Client;
use sekisho_guard::Cleared;
use sekisho_identity::SessionKey;
use sekisho_policy::{Authorized, Facts, Listed, Shown};
use sekisho_wire::outgoing::{self, Input};
use sekisho_wire::{Answer, Askable, Call, Endpoint, Era, FromServer, Items, Json, ListKind, RpcError, ServerId};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::ask::Question as Asks;
use crate::caller::{Caller, Owner};
use crate::config::Config;
use crate::error::{Fault, SendError};
use crate::exchange::{Course, Exchange, Wanted, gather};
use crate::hello::{Hello, Probing};
use crate::listening::{Ear, Listening};
use crate::notes::Notes;
use crate::offer::{Offer, Spoken, Status};
use crate::peer::Peer;
use crate::process::PATIENCE;
use crate::setup::{Common, Secrets, Setup, StartError};
use crate::tasks::Tasks;
use crate::trail::Trail;

/// What became of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replying {
    /// The server has it.
    Told,
    /// The question was answered before.
    NothingAsked,
}

/// The room: a connection, or a way to make one, for every server.
pub struct Upstream {
    config: Arc<Config>,
    egress: Arc<Client>,
    audit: Arc<Audit>,
    tasks: Tasks,
    probing: Probing,
    peers: ArcSwap<Peers>,
}

/// One server of a list, and the cursor that it gave.
type Hop = (Arc<Server>, Option<Box<str>>);

/// One server of a list that the caller may have.
struct Shelf {
    server: Arc<Server>,
    cursor: Option<Box<str>>,
    askable: Askable,
}

type Peers = BTreeMap<ServerId, Arc<Peer>>;

impl Upstream {
    /// Takes all servers up; each is probed in the background, as `probing` says. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// A number is outside its range, a server's address is refused, or one of its secrets cannot be resolved. A server that is
    /// down is no error.
    pub fn start(
        servers: impl IntoIterator<Item = Arc<Server>>,
        config: &Config,
        egress: Arc<Client>,
        audit: Arc<Audit>,
        (secrets, probing): (&Secrets<'_>, Probing),
    ) -> Result<Arc<Upstream>, StartError> {
        config.check().map_err(StartError::Config)?;
        let upstream = Upstream {
            config: Arc::new(config.clone()),
            egress,
            audit,
            tasks: Tasks::new(),
            probing,
            peers: ArcSwap::default(),
        };
        upstream.reload(servers, secrets)?;
        Ok(Arc::new(upstream))
    }

    /// Takes new servers up, lets removed and changed ones go, and leaves the others and their exchanges alone. A server has
    /// changed if its configuration or one of its secrets has.
    ///
    /// # Errors
    /// As for [`Upstream::start`]; then nothing has changed.
    pub fn reload(
        &self,
        servers: impl IntoIterator<Item = Arc<Server>>,
        secrets: &Secrets<'_>,
    ) -> Result<(), StartError> {
        let before = self.peers.load_full();
        let common = Common { config: &self.config, egress: &self.egress, tasks: &self.tasks };
        let mut set_up = Vec::new();
        for server in servers {
            let notes = self.notes(&server);
            let setup = Setup::of(&server, &common, &notes, secrets)?;
            set_up.push((server, notes, setup));
        }
        let mut peers = Peers::new();
        for (server, notes, setup) in set_up {
            let id = server.id().clone();
            let kept = before.get(&id).filter(|peer| peer.setup().is_same(&setup)).cloned();
            kept.iter().for_each(|peer| peer.move_to(&server));
            let peer = kept.unwrap_or_else(|| Peer::start(server, setup, self.probing, (self.config.clone(), notes)));
            peers.insert(id, peer);
        }
        let peers = Arc::new(peers);
        self.peers.store(peers.clone());
        peers.values().for_each(|peer| peer.forget_settings());
        for (id, peer) in before.iter() {
            if !peers.get(id).is_some_and(|kept| Arc::ptr_eq(kept, peer)) {
                peer.close();
            }
        }
        Ok(())
    }

    /// Sends what was recorded, cleared and authorized; `trail` goes along.
    ///
    /// A list of many servers never fails: who does not answer is missing from it. Servers whose list is not permitted are neither
    /// asked nor named. A message that addresses no server ends at once
    /// with the error "method not found"; the gateway answers such messages itself.
    ///
    /// # Errors
    /// The one server that is addressed cannot be asked; see [`SendError`].
    pub async fn open(&self, m: Recorded<Cleared<Authorized>>, trail: Trail) -> Result<Exchange, SendError> {
        let authorized = m.get().of();
        let addressed = authorized.addressed();
        let caller = Caller::of(addressed.message()).map(|caller| caller.along(trail));
        let course = match addressed.target() {
            Target::Gateway | Target::Reply(_) => not_for_servers(),
            Target::One(route) => self.ask(caller.map(|caller| caller.offering(authorized.askable())), route).await?,
            Target::Listen(_) => self.listen(caller, authorized)?,
            Target::Many { kind, routes } => {
                // Who is withheld is not asked: that would be a call that the policy refused.
                let facts = authorized.facts();
                let shown = |(server, cursor): &Hop| {
                    let askable = shown(&facts, server.id())?.askable;
                    Some(Shelf { server: Arc::clone(server), cursor: cursor.clone(), askable })
                };
                let shelves: Vec<Shelf> = routes.iter().filter_map(shown).collect();
                let whole = addressed.message().endpoint() == &Endpoint::All;
                Box::pin(self.list_all(caller, *kind, &shelves, whole)).await?
            }
        };
        Ok(Exchange::new(course, m))
    }

    /// A listing that the gateway asks for on the caller's behalf and connection, so that a name called before it was listed can be
    /// addressed: all pages (bounded) of one server. Asked for again within 2 seconds, it gives what it gave. The message's permits
    /// are held until the end.
    ///
    /// # Errors
    /// As for [`Upstream::open`], the server refused the list, or the message is anything but a permitted list of one server from its
    /// beginning.
    pub async fn list(&self, m: Recorded<Cleared<Authorized>>, trail: Trail) -> Result<Items, SendError> {
        let authorized = m.get().of();
        let addressed = authorized.addressed();
        let (kind, server) = listed(addressed.target())?;
        let facts = authorized.facts();
        let Some(listed) = shown(&facts, server.id()) else {
            return Err(Fault::Unreachable("its list is not permitted".into()).of(server.id()));
        };
        let caller = Caller::of(addressed.message()).ok_or_else(|| no_session(server.id()))?;
        let caller = caller.along(trail).offering(listed.askable);
        let items = self.peer_of(server)?.learn(&caller, kind).await;
        drop(m);
        items
    }

    /// Tells a server what it asked (legacy). What is no reply, or is one to a question that is answered already, goes nowhere.
    ///
    /// # Errors
    /// The connection that it asked on is gone; see [`SendError`].
    pub async fn reply(&self, m: Recorded<Cleared<Authorized>>) -> Result<Replying, SendError> {
        let addressed = m.get().of().addressed();
        let Target::Reply(reply) = addressed.target() else { return Ok(Replying::NothingAsked) };
        let caller = Caller::of(addressed.message()).ok_or_else(|| no_session(reply.server().id()))?;
        if !reply.question().take() {
            return Ok(Replying::NothingAsked);
        }
        let told = outgoing::response(reply.question().id(), reply.answer());
        let (peer, asked_on) = (self.peer_of(reply.server())?, reply.question().on().connection);
        let heard = peer.tell(caller.owner, asked_on, told).await?;
        Ok(if heard { Replying::Told } else { Replying::NothingAsked })
    }

    /// Tells a server how far the client has come with its question (legacy), in the background.
    pub fn progressed(&self, session: SessionKey, question: &Question, said: &Json) {
        let Some(token) = question.token() else { return };
        let Ok(peer) = self.peer(question.server()) else { return };
        let (message, asked_on) = (outgoing::progress(token, said), question.on().connection);
        self.tasks.spawn(async move {
            if let Err(error) = peer.tell(Owner::Session(session), asked_on, message).await {
                tracing::debug!(target: "upstream", %error, "a message was not delivered");
            }
        });
    }

    /// Tells the servers of a session that its client's folders are others now (legacy), in the background: those that may ask for them.
    pub fn roots_changed(&self, session: SessionKey) {
        for peer in self.peers.load().values() {
            let peer = Arc::clone(peer);
            self.tasks.spawn(async move { peer.tell_roots_changed(Owner::Session(session)).await });
        }
    }

    /// Everything that a server offers and says of itself, era by era, for whoever is to approve it: asked for on a connection of its own, as nobody. No
    /// client hears anything of it.
    ///
    /// # Errors
    /// The server is down, refuses a list that it says it has, or offers more than is looked at.
    pub async fn survey(&self, server: &ServerId) -> Result<Vec<(Era, Spoken, Vec<Items>)>, SendError> {
        let peer = self.peer(server)?;
        let Some(offer) = peer.offer() else {
            let why = peer.status().trouble.unwrap_or_else(|| "it has not been probed yet".into());
            return Err(Fault::Unreachable(why.into_string().into()).of(server));
        };
        let mut eras = Vec::new();
        for era in [Era::Legacy, Era::Modern] {
            if let Some(spoken) = offer.of(era) {
                eras.push((era, spoken.clone(), Box::pin(peer.survey(spoken)).await?));
                peer.end(Owner::Surveyor);
            }
        }
        Ok(eras)
    }

    /// What the last probe found; none while the server is down.
    #[must_use]
    pub fn offer(&self, server: &ServerId) -> Option<Arc<Offer>> {
        self.peers.load().get(server)?.offer()
    }

    /// Lets the servers behind an endpoint know how a client of an era opens towards each, and waits until it is known whether they speak its
    /// era, for 15 seconds at most. Where servers are probed at once, that is for the one server of an endpoint alone, once it has answered in
    /// an era: at the endpoint of all nobody waits for somebody's server.
    pub async fn greet(&self, endpoint: &Endpoint, era: Era, hello: impl Fn(&Server) -> Hello) {
        let peers = self.peers.load_full();
        let behind: Vec<&Arc<Peer>> = match endpoint {
            Endpoint::All => peers.values().collect(),
            Endpoint::One(server) => peers.get(server).into_iter().collect(),
        };
        let mut greeted: JoinSet<()> = JoinSet::new();
        let waits = |peer: &&Arc<Peer>| match self.probing {
            Probing::OnDemand => true,
            Probing::AtOnce => *endpoint != Endpoint::All && peer.offer().is_some(),
        };
        for peer in behind.into_iter().filter(|peer| !peer.knows(era)).filter(waits) {
            let (peer, hello) = (Arc::clone(peer), hello(peer.server()));
            greeted.spawn(async move { peer.greeted(hello).await });
        }
        // Whoever is not known by then is not there.
        let _in_time = timeout(GREETED_WITHIN, greeted.join_all()).await;
    }

    /// Waits until every server has been probed once, or `at_most` has passed.
    pub async fn settle(&self, at_most: Duration) {
        let peers = self.peers.load_full();
        let all = async {
            for peer in peers.values() {
                peer.settled().await;
            }
        };
        // Whoever is not settled by then says so in its status.
        let _in_time = timeout(at_most, all).await;
    }

    /// How the servers are, by name.
    #[must_use]
    pub fn status(&self) -> Vec<Status> {
        self.peers.load().values().map(|peer| peer.status()).collect()
    }

    /// Closes what a downstream session had open at servers: their sessions and processes. Does not wait for them to end.
    #[expect(clippy::unused_async, reason = "callers await it; that the ends are not awaited is today's choice")]
    pub async fn end_session(&self, session: SessionKey) {
        for peer in self.peers.load().values() {
            peer.end(Owner::Session(session));
        }
    }

    /// Stops everything: sessions are ended, processes have their standard input closed, then wait, SIGTERM, wait, SIGKILL (ST-07).
    /// Takes about 5 seconds at most.
    pub async fn shutdown(&self) {
        for peer in self.peers.swap(Arc::default()).values() {
            peer.close();
        }
        self.tasks.finish(SHUTDOWN_MAX).await;
    }

    /// Listens to every server of which something is wanted and permitted.
    fn listen(&self, caller: Option<Caller>, authorized: &Authorized) -> Result<Course, SendError> {
        let Some(caller) = caller else { return Ok(not_for_servers()) };
        let facts = authorized.facts();
        let mut ears = Vec::new();
        for ear in authorized.listening().iter().filter(|ear| !ear.filter.is_empty()) {
            let askable = shown(&facts, ear.server.id()).map(|listed| listed.askable).unwrap_or_default();
            let peer = self.peer_of(&ear.server)?;
            ears.push(Ear { peer, caller: caller.clone().offering(askable), filter: ear.filter.clone() });
        }
        Ok(Course::Listening(Box::new(Listening::new(ears))))
    }

    async fn ask(&self, caller: Option<Caller>, route: &Route) -> Result<Course, SendError> {
        let id = route.server().id();
        let caller = caller.ok_or_else(|| no_session(id))?;
        let schema = match route.addressee() {
            Addressee::Tool(tool) => tool.input_schema().map(Declared::schema),
            Addressee::Prompt(_) | Addressee::Resource { .. } | Addressee::Server => None,
        };
        let peer = self.peer_of(route.server())?;
        let Some(answered) = route.input() else {
            let wanted = route.task().map(|task| Input { task: Some(task.clone()), ..Input::default() });
            let question = Asks { call: route.call(), schema, input: wanted.as_ref() };
            return Ok(peer.ask(&caller, question).await?.into());
        };
        let (state, responses) = (answered.state().map(Box::from), answered.responses());
        let input = Input { state, responses, task: None };
        // Before anything is sent: a caller who goes away meanwhile must not come twice.
        answered.spend();
        let asked = peer.ask(&caller, Asks { call: route.call(), schema, input: Some(&input) }).await;
        Ok(asked.inspect_err(|error| answered.unspend_after(is_before_sending(error)))?.into())
    }

    async fn list_all(
        &self,
        caller: Option<Caller>,
        kind: ListKind,
        shelves: &[Shelf],
        whole: bool,
    ) -> Result<Course, SendError> {
        let Some(caller) = caller else {
            return shelves.first().map_or_else(|| Ok(not_for_servers()), |of| Err(no_session(of.server.id())));
        };
        // At the endpoint of one server its failure is the answer; at the endpoint of all, one failure hides nothing.
        if let ([Shelf { server, cursor, askable }], false) = (shelves, whole) {
            let call = Call::List { kind, cursor: cursor.clone() };
            let caller = caller.offering(*askable);
            return Ok(self.peer_of(server)?.ask(&caller, Asks::of(&call)).await?.into());
        }
        let wanted = shelves.iter().map(|Shelf { server, cursor, askable }| Wanted {
            server: server.id().clone(),
            peer: self.peer_of(server),
            cursor: cursor.clone(),
            askable: *askable,
        });
        let page = gather(caller, kind, wanted.collect()).await;
        Ok(Course::Ready(FromServer::Page(page)))
    }

    /// Where calls to this server go. One that was decided for it as it was configured before goes nowhere.
    fn peer_of(&self, server: &Server) -> Result<Arc<Peer>, SendError> {
        let peer = self.peer(server.id())?;
        if std::ptr::eq(peer.server(), server) || peer.server().config() == server.config() {
            Ok(peer)
        } else {
            Err(Fault::Unreachable("its configuration has just changed".into()).of(server.id()))
        }
    }

    pub(crate) fn peer(&self, server: &ServerId) -> Result<Arc<Peer>, SendError> {
        let unknown = || Fault::Unreachable("it is not configured here any more".into()).of(server);
        self.peers.load().get(server).cloned().ok_or_else(unknown)
    }

    fn notes(&self, server: &Arc<Server>) -> Arc<Notes> {
        Arc::new(Notes::new(server, self.audit.clone(), self.tasks.clone(), self.config.stderr_lines_max))
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        for peer in self.peers.load().values() {
            peer.close();
        }
    }
}

fn no_session(server: &ServerId) -> SendError {
    Fault::Ended("the message belongs to no session".into()).of(server)
}

/// What is listed, and the one server whose list it is.
fn listed(target: &Target) -> Result<(ListKind, &Arc<Server>), SendError> {
    let server = match target {
        Target::Many { kind, routes } => match routes.as_slice() {
            [(server, None)] => return Ok((*kind, server)),
            routes => routes.first().map(|(server, _)| server),
        },
        Target::One(route) => Some(route.server()),
        Target::Reply(reply) => Some(reply.server()),
        Target::Gateway | Target::Listen(_) => None,
    };
    let fault = Fault::Unreachable("the message is no list of one server from its beginning".into());
    Err(fault.about(server.map(|server| server.id())))
}

/// The server of a list, if the policy permits that the caller has its list.
fn shown<'a>(facts: &'a Facts, server: &ServerId) -> Option<&'a Listed> {
    facts.listed.iter().find(|listed| listed.server.id == *server && listed.shown == Shown::Permitted)
}

/// Whether the server cannot have heard of it.
fn is_before_sending(error: &SendError) -> bool {
    match error {
        SendError::WrongEra(_) | SendError::Busy(_) => true,
        // A server that answers 500 counts as one that cannot be reached, and may have acted.
        SendError::Unreachable(_)
        | SendError::TimedOut(_)
        | SendError::Garbled(_)
        | SendError::Ended(_)
        | SendError::Denied(_) => false,
    }
}

fn not_for_servers() -> Course {
    let error = RpcError {
        code: crate::stdio::METHOD_NOT_FOUND,
        message: "the message addresses no server".into(),
        data: None,
    };
    Course::Ready(FromServer::End(Answer::Error(error)))
}

const GREETED_WITHIN: Duration = Duration::from_secs(15);
/// The two waits for processes, and a moment for what is written down about them.
const SHUTDOWN_MAX: Duration = PATIENCE.saturating_mul(2).saturating_add(Duration::from_secs(1));
