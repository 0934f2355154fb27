//! What a message addresses.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sekisho_identity::{Authenticated, PrincipalKey, SessionKey};
use sekisho_wire::{
    Answer, Call, Endpoint, Era, Filter, Inbound, Json, ListKind, Reference, Reply, Resumed, RpcError, Sanitized,
    ServerId, TaskVerb, uri,
};

use crate::change::{Flaw, noun};
use crate::config::Transport;
use crate::definition::Pinned;
use crate::names;
use crate::offers::Known;
use crate::parked::{self, Answered, Parking};
use crate::questions::Question;
use crate::tasks::{self, Kept};
use crate::unknown::Unknown;
use crate::{Catalog, Server, cursor};

/// A message and the proof of what it addresses. Made by [`Catalog::address`] and [`Catalog::address_at`] alone:
///
/// ```compile_fail,E0451
/// use sekisho_catalog::{Addressed, Target};
/// fn forge(real: Addressed) -> Addressed {
///     Addressed { message: Box::new(real.into_message()), target: Box::new(Target::Gateway) }
/// }
/// ```
#[derive(Debug)]
pub struct Addressed {
    // Boxed, for every room after this one hands them on.
    message: Box<Authenticated<Inbound>>,
    target: Box<Target>,
}

/// What is addressed.
#[derive(Debug)]
pub enum Target {
    /// Answered here: handshake, discovery, ping, notifications.
    Gateway,
    /// One server, with the call as that server will see it: its own names, URIs, references.
    One(Route),
    /// The servers of a list.
    Many {
        /// Of what.
        kind: ListKind,
        /// Each server in the order of names, with the cursor that it gave.
        routes: Vec<(Arc<Server>, Option<Box<str>>)>,
    },
    /// The servers that are listened to, in the order of names, each with what is wanted of it in its own words.
    Listen(Vec<Ear>),
    /// The server that asked: a reply to its question.
    Reply(Replied),
}

/// What is wanted of one server that is listened to.
#[derive(Debug, Clone)]
pub struct Ear {
    /// Which.
    pub server: Arc<Server>,
    /// What.
    pub filter: Filter,
}

/// A reply on its way to the server that asked.
#[derive(Debug)]
pub struct Replied {
    server: Arc<Server>,
    question: Arc<Question>,
    answer: Answer,
}

/// One call on its way to one server.
#[derive(Debug)]
pub struct Route {
    server: Arc<Server>,
    call: Call,
    addressee: Addressee,
    // Both are rare.
    input: Option<Box<Answered>>,
    task: Option<Box<Json>>,
}

/// The thing on the server that a call is about.
#[derive(Debug, Clone)]
pub enum Addressee {
    /// A tool.
    Tool(Pinned),
    /// A prompt.
    Prompt(Pinned),
    /// A resource, or for a completion a resource template.
    Resource {
        /// Its URI (or URI template), as the server writes it.
        uri: Box<str>,
        /// If exactly this was listed.
        definition: Option<Pinned>,
    },
    /// The server as a whole (logging level).
    Server,
}

impl Addressed {
    /// The message.
    #[must_use]
    pub fn message(&self) -> &Authenticated<Inbound> {
        &self.message
    }

    /// What it addresses.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The message alone.
    #[must_use]
    pub fn into_message(self) -> Authenticated<Inbound> {
        *self.message
    }
}

impl Route {
    /// Where it goes.
    #[must_use]
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// The call in the server's own names.
    #[must_use]
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// What the call is about.
    #[must_use]
    pub fn addressee(&self) -> &Addressee {
        &self.addressee
    }

    /// That the client wants the call to become a task (legacy).
    #[must_use]
    pub fn task(&self) -> Option<&Json> {
        self.task.as_deref()
    }

    /// What the client brings that the server asked for before.
    #[must_use]
    pub fn input(&self) -> Option<&Answered> {
        self.input.as_deref()
    }
}

impl Replied {
    /// Where it goes.
    #[must_use]
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// What it answers.
    #[must_use]
    pub fn question(&self) -> &Question {
        &self.question
    }

    /// What it says.
    #[must_use]
    pub fn answer(&self) -> &Answer {
        &self.answer
    }
}

impl Addressee {
    /// The definition, where there is one.
    #[must_use]
    pub fn pinned(&self) -> Option<&Pinned> {
        match self {
            Addressee::Tool(pinned) | Addressee::Prompt(pinned) => Some(pinned),
            Addressee::Resource { definition, .. } => definition.as_ref(),
            Addressee::Server => None,
        }
    }
}

impl Catalog {
    /// Finds what a message addresses.
    ///
    /// # Errors
    /// [`Unknown`], and the message, so that it can be tried again after a listing.
    pub fn address(
        &self,
        m: Authenticated<Inbound>,
        now: SystemTime,
    ) -> Result<Addressed, Box<(Unknown, Authenticated<Inbound>)>> {
        self.address_within(m, now, self.recheck)
    }

    /// The same by what was seen however long ago, unless its server said meanwhile that it changed: for callers who may not have it
    /// listed.
    ///
    /// # Errors
    /// As for [`Catalog::address`].
    pub fn address_as_seen(
        &self,
        m: Authenticated<Inbound>,
        now: SystemTime,
    ) -> Result<Addressed, Box<(Unknown, Authenticated<Inbound>)>> {
        self.address_within(m, now, Duration::MAX)
    }

    fn address_within(
        &self,
        m: Authenticated<Inbound>,
        now: SystemTime,
        recheck: Duration,
    ) -> Result<Addressed, Box<(Unknown, Authenticated<Inbound>)>> {
        let door = Door {
            catalog: self,
            endpoint: m.endpoint(),
            era: m.message().spoken().era(),
            who: m.principal().key(),
            session: m.session().map(|session| session.key()),
            now,
            recheck,
        };
        match door.target(m.message()) {
            Ok(target) => Ok(Addressed { message: Box::new(m), target: Box::new(target) }),
            Err(unknown) => Err(Box::new((unknown, m))),
        }
    }

    /// Finds what a list of one server addresses, whichever door it came through: what the gateway asks for when it looks for
    /// a name that was not seen.
    ///
    /// # Errors
    /// [`Unknown::Server`] for a server that is not configured and, at the door of one server, for any other;
    /// [`Unknown::Name`] for anything but a list, and [`Unknown::Cursor`] for one that goes on. The message comes back with it.
    pub fn address_at(
        &self,
        m: Authenticated<Inbound>,
        server: &ServerId,
    ) -> Result<Addressed, Box<(Unknown, Authenticated<Inbound>)>> {
        match self.start_of_list(&m, server) {
            Ok(target) => Ok(Addressed { message: Box::new(m), target: Box::new(target) }),
            Err(unknown) => Err(Box::new((unknown, m))),
        }
    }

    fn start_of_list(&self, m: &Authenticated<Inbound>, server: &ServerId) -> Result<Target, Unknown> {
        let is_behind_the_door = match m.endpoint() {
            Endpoint::One(of) => of == server,
            Endpoint::All => true,
        };
        let found = self.server(server).filter(|_| is_behind_the_door);
        let found = found.ok_or_else(|| Unknown::Server(server.clone()))?;
        match m.message() {
            Inbound::Request(request) => match request.call() {
                Call::List { kind, cursor: None } => {
                    Ok(Target::Many { kind: *kind, routes: vec![(Arc::clone(found), None)] })
                }
                Call::List { cursor: Some(_), .. } => Err(Unknown::Cursor),
                Call::Initialize(_)
                | Call::Discover
                | Call::Ping
                | Call::CallTool { .. }
                | Call::ReadResource { .. }
                | Call::GetPrompt { .. }
                | Call::Complete { .. }
                | Call::SetLogLevel { .. }
                | Call::Listen { .. }
                | Call::Subscribe { .. }
                | Call::Unsubscribe { .. }
                | Call::Task { .. } => Err(Unknown::Name(LIST)),
            },
            Inbound::Notice(_) | Inbound::Reply(_) => Err(Unknown::Name(LIST)),
        }
    }
}

/// What is known of a name, if that is something to call.
fn offered(server: &Server, kind: ListKind, name: &str, known: Known) -> Result<Pinned, Unknown> {
    match known {
        Known::Offered(pinned) => Ok(pinned),
        Known::Withheld(why) => Err(Unknown::Withheld { server: server.id().clone(), kind, name: name.into(), why }),
        Known::Unseen | Known::Ambiguous => {
            Err(Unknown::NotSeen { server: server.id().clone(), kind, name: name.into() })
        }
    }
}

/// What [`Catalog::address_at`] takes alone, as a refusal calls it.
const LIST: &str = "list";

/// What a message's target depends on, beside the message.
struct Door<'a> {
    catalog: &'a Catalog,
    endpoint: &'a Endpoint,
    era: Era,
    who: PrincipalKey,
    session: Option<SessionKey>,
    now: SystemTime,
    recheck: Duration,
}

impl Door<'_> {
    fn target(&self, message: &Inbound) -> Result<Target, Unknown> {
        if let Endpoint::One(server) = self.endpoint {
            self.server(server)?;
        }
        match message {
            Inbound::Request(request) => {
                if tasks::lacks(request) {
                    return Err(Unknown::TasksUndeclared);
                }
                let target = match (self.target_of(request.call())?, request.task()) {
                    (Target::One(route), Some(task)) => {
                        Target::One(Route { task: Some(Box::new(task.clone())), ..route })
                    }
                    (target, _) => target,
                };
                match (target, request.resumed()) {
                    (Target::One(route), Some(resumed)) => self.resume(route, request.call(), resumed),
                    (target, _) => Ok(target),
                }
            }
            Inbound::Notice(_) => Ok(Target::Gateway),
            Inbound::Reply(reply) => self.reply(reply),
        }
    }

    /// A call that comes again, with what its server asked for, or what a task requires.
    fn resume(&self, route: Route, call: &Call, resumed: &Resumed) -> Result<Target, Unknown> {
        if let Call::Task { id, .. } = call {
            let input = self.kept(id)?.answered(&resumed.responses);
            return Ok(Target::One(Route { input: Some(Box::new(input)), ..route }));
        }
        let of = Parking { endpoint: self.endpoint, who: self.who, call };
        let input = parked::open(&self.catalog.seals, of, route.server.id(), resumed, self.now)?;
        Ok(Target::One(Route { input: Some(Box::new(input)), ..route }))
    }

    fn reply(&self, reply: &Reply) -> Result<Target, Unknown> {
        let found = self.session.and_then(|session| self.catalog.questions.find(session, reply.id()));
        let question = found.ok_or(Unknown::NothingAsked)?;
        let server = Arc::clone(self.server(question.server())?);
        let answer = match reply.answer() {
            Answer::Result(result) => Answer::Result(result.clone()),
            // That there is none is all that an error has to say: nobody examines what else it carries.
            Answer::Error(error) => {
                let message = Sanitized::new(&error.message).as_str().into();
                Answer::Error(RpcError { code: error.code, message, data: None })
            }
        };
        Ok(Target::Reply(Replied { server, question, answer }))
    }

    fn target_of(&self, call: &Call) -> Result<Target, Unknown> {
        let route = match call {
            Call::Initialize(_) | Call::Discover | Call::Ping => return Ok(Target::Gateway),
            Call::List { kind, cursor } => {
                return self.list(*kind, cursor.as_deref());
            }
            Call::CallTool { name, arguments } => self.tool(name, arguments.clone())?,
            Call::ReadResource { uri } => {
                let (server, uri) = self.resource(uri)?;
                let addressee = self.about(&server, &uri, &[ListKind::Resources])?;
                Route { server, call: Call::ReadResource { uri }, addressee, input: None, task: None }
            }
            Call::GetPrompt { name, arguments } => {
                let (server, pinned) = self.named(ListKind::Prompts, name)?;
                let call = Call::GetPrompt { name: pinned.name().into(), arguments: arguments.clone() };
                Route { server, call, addressee: Addressee::Prompt(pinned), input: None, task: None }
            }
            Call::Complete { reference, argument, context } => {
                let (server, reference, addressee) = self.reference(reference)?;
                let call = Call::Complete { reference, argument: argument.clone(), context: context.clone() };
                Route { server, call, addressee, input: None, task: None }
            }
            Call::Listen { filter } => return self.listen(filter),
            Call::Subscribe { uri } | Call::Unsubscribe { uri } => {
                let begins = matches!(call, Call::Subscribe { .. });
                let (server, uri) = self.resource(uri)?;
                let addressee = self.about(&server, &uri, &[ListKind::Resources])?;
                let call = if begins { Call::Subscribe { uri } } else { Call::Unsubscribe { uri } };
                Route { server, call, addressee, input: None, task: None }
            }
            Call::Task { verb, id } => self.task(*verb, id)?,
            Call::SetLogLevel { .. } => match self.endpoint {
                Endpoint::All => return Err(Unknown::NeedsOneServer),
                Endpoint::One(server) => {
                    let server = Arc::clone(self.server(server)?);
                    Route { server, call: call.clone(), addressee: Addressee::Server, input: None, task: None }
                }
            },
        };
        Ok(Target::One(route))
    }

    /// Every server behind the door, with what is wanted of it: changes of its lists, and of those resources that are its own.
    fn listen(&self, filter: &Filter) -> Result<Target, Unknown> {
        let mut own: BTreeMap<ServerId, Vec<Box<str>>> = BTreeMap::new();
        for uri in &filter.uris {
            let (server, uri) = self.resource(uri)?;
            self.about(&server, &uri, &[ListKind::Resources])?;
            own.entry(server.id().clone()).or_default().push(uri);
        }
        let servers: Vec<&Arc<Server>> = match self.endpoint {
            Endpoint::One(server) => vec![self.server(server)?],
            Endpoint::All => self.catalog.servers().filter(|server| server.permits(self.era)).collect(),
        };
        let ear = |server: &Arc<Server>| Ear {
            server: Arc::clone(server),
            filter: Filter { uris: own.remove(server.id()).unwrap_or_default(), tasks: false, ..filter.clone() },
        };
        Ok(Target::Listen(servers.into_iter().map(ear).collect()))
    }

    fn tool(&self, name: &str, arguments: Json) -> Result<Route, Unknown> {
        let (server, pinned) = self.named(ListKind::Tools, name)?;
        let call = Call::CallTool { name: pinned.name().into(), arguments };
        Ok(Route { server, call, addressee: Addressee::Tool(pinned), input: None, task: None })
    }

    /// A task is about the tool that was called.
    fn task(&self, verb: TaskVerb, name: &str) -> Result<Route, Unknown> {
        let kept = self.kept(name)?;
        let server = Arc::clone(self.server(&kept.home.server)?);
        let (kind, tool) = (ListKind::Tools, &kept.home.tool);
        let pinned = offered(
            &server,
            kind,
            tool,
            self.fresh(&server, kind, || server.offers().addressed(self.era, kind, tool)),
        )?;
        let call = Call::Task { verb, id: kept.id.clone() };
        Ok(Route { server, call, addressee: Addressee::Tool(pinned), input: None, task: None })
    }

    /// A task of this principal, at the door and in the era that it began.
    fn kept(&self, name: &str) -> Result<Arc<Kept>, Unknown> {
        let kept = self.catalog.tasks.find(self.who, name, self.now);
        let kept = kept.filter(|kept| kept.home.endpoint == *self.endpoint && kept.home.era == self.era);
        kept.ok_or(Unknown::Task)
    }

    /// The servers of a list. At the door of one server the cursor is that server's, untouched.
    fn list(&self, kind: ListKind, cursor: Option<&str>) -> Result<Target, Unknown> {
        let routes = match (self.endpoint, cursor) {
            (Endpoint::One(server), cursor) => {
                vec![(Arc::clone(self.server(server)?), cursor.map(Box::from))]
            }
            (Endpoint::All, None) => {
                let speaking = self.catalog.servers().filter(|server| server.permits(self.era));
                speaking.map(|server| (Arc::clone(server), None)).collect()
            }
            (Endpoint::All, Some(written)) => {
                let ends = cursor::open(&self.catalog.seals, self.who, kind, written).ok_or(Unknown::Cursor)?;
                let route = |(server, end)| {
                    let server = self.catalog.server(&server).ok_or(Unknown::Cursor)?;
                    Ok((Arc::clone(server), Some(end)))
                };
                ends.into_iter().map(route).collect::<Result<_, _>>()?
            }
        };
        Ok(Target::Many { kind, routes })
    }

    /// The tool or prompt that a client calls `name`.
    fn named(&self, kind: ListKind, name: &str) -> Result<(Arc<Server>, Pinned), Unknown> {
        let (server, known) = match self.endpoint {
            Endpoint::One(server) => {
                let server = self.server(server)?;
                (server, self.fresh(server, kind, || server.offers().addressed(self.era, kind, name)))
            }
            Endpoint::All => {
                let server = names::server_of(name).ok_or(Unknown::Name(noun(kind)))?;
                let server = self.catalog.server(&server).ok_or(Unknown::Name(noun(kind)))?;
                (server, self.fresh(server, kind, || server.offers().addressed_exposed(self.era, kind, name)))
            }
        };
        // A program that is not started cannot be asked what it offers.
        if let (Transport::Stdio { .. }, Some(why)) = (server.transport(), server.withholds_all()) {
            return Err(Unknown::Withheld { server: server.id().clone(), kind, name: name.into(), why });
        }
        Ok((Arc::clone(server), offered(server, kind, name, known)?))
    }

    /// What is known, if that was not too long ago: else the server is asked first.
    fn fresh(&self, server: &Server, kind: ListKind, known: impl FnOnce() -> Known) -> Known {
        let is_stale = server.offers().is_stale(self.era, kind, self.now, self.recheck);
        if is_stale { Known::Unseen } else { known() }
    }

    /// The server of a URI, and the URI in its own words.
    fn resource(&self, uri: &str) -> Result<(Arc<Server>, Box<str>), Unknown> {
        let (server, uri) = match self.endpoint {
            Endpoint::One(server) => (self.server(server)?, uri),
            Endpoint::All => {
                let (server, uri) = names::original_uri(uri).ok_or(Unknown::Uri)?;
                (self.catalog.server(&server).ok_or(Unknown::Uri)?, uri)
            }
        };
        if uri::is_plain(uri) { Ok((Arc::clone(server), uri.into())) } else { Err(Unknown::BadUri) }
    }

    /// A resource need not be listed to be read, if its server is one that was approved; one that is listed and withheld is not read either.
    fn about(&self, server: &Server, uri: &str, kinds: &[ListKind]) -> Result<Addressee, Unknown> {
        let kind = kinds.first().copied().unwrap_or(ListKind::Resources);
        let withheld = |kind, why| Unknown::Withheld { server: server.id().clone(), kind, name: uri.into(), why };
        if let Some(why) = server.offers().approval().refuses_all() {
            return Err(withheld(kind, why));
        }
        if server.offers().is_stale(self.era, kind, self.now, self.recheck) {
            return Err(Unknown::NotSeen { server: server.id().clone(), kind, name: uri.into() });
        }
        let mut definition = None;
        for kind in kinds {
            match server.offers().addressed(self.era, *kind, uri) {
                Known::Offered(pinned) => definition = definition.or(Some(pinned)),
                Known::Withheld(why) => return Err(withheld(*kind, why)),
                Known::Ambiguous => return Err(withheld(*kind, Flaw::Duplicate)),
                Known::Unseen => {}
            }
        }
        Ok(Addressee::Resource { uri: uri.into(), definition })
    }

    fn reference(&self, reference: &Reference) -> Result<(Arc<Server>, Reference, Addressee), Unknown> {
        match reference {
            Reference::Prompt { name } => {
                let (server, pinned) = self.named(ListKind::Prompts, name)?;
                let reference = Reference::Prompt { name: pinned.name().into() };
                Ok((server, reference, Addressee::Prompt(pinned)))
            }
            Reference::Resource { uri } => {
                let (server, uri) = self.resource(uri)?;
                let addressee = self.about(&server, &uri, &[ListKind::Templates, ListKind::Resources])?;
                Ok((server, Reference::Resource { uri }, addressee))
            }
        }
    }

    fn server(&self, id: &ServerId) -> Result<&Arc<Server>, Unknown> {
        self.catalog.server(id).ok_or_else(|| Unknown::Server(id.clone()))
    }
}
