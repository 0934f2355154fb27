//! **What is addressed, and is it the approved one?** [`Addressed`] is the proof: one server and a [`Pinned`] definition, the
//! servers of a list, or the gateway itself.
//!
//! The room never guesses and never falls back: a name that was not seen is unknown, and of two things of one name neither is
//! offered.
//!
//! A definition is used if it is in the lock file, and else withheld ([`Approvals`]): what is new, changed, renamed, shown otherwise to
//! others or marked by a rule ([`Rules`]) is neither listed nor called until somebody approves it.
//!
//! *Depth still missing*: a look at servers on a schedule of its own, what froze over a restart, expiry of cursors before the process
//! ends, duplicates across pages. What a server was seen to offer is one memory for all callers: a server that tells them apart can
//! have a thing withheld from all of them.
#![forbid(unsafe_code)]

mod address;
mod approval;
mod canonical;
mod change;
mod config;
mod cursor;
mod definition;
mod diff;
mod icons;
mod impact;
pub mod launch;
mod lineage;
mod lock;
mod names;
mod offers;
mod parked;
mod questions;
mod results;
mod rules;
mod server;
mod tasks;
mod unknown;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use sekisho_identity::{PrincipalKey, Seals, SessionKey};
use sekisho_wire::json::Array;
use sekisho_wire::server::ServerRequest;
use sekisho_wire::{Endpoint, Era, Id, InputRequest, InputRequired, Items, Json, ListKind, ServerId, Task};

pub use address::{Addressed, Addressee, Ear, Replied, Route, Target};
pub use approval::{Approvals, Unapproved};
pub use change::{Change, Flaw, What, noun};
pub use config::{
    Confidentiality, Config, ConfigError, EnvValue, EraChoice, PinConfig, ServerConfig, Transport, Trust,
};
pub use definition::{Declared, DefinitionDigest, Pinned, PromptArgument};
pub use diff::{Difference, Meaning, Risk, differences, risk};
pub use icons::with_safe_icons;
pub use impact::Impact;
pub use lineage::{Face, Kin, Likeness};
pub use lock::{Identity, Introduction, Lock, LockError, Locked, Package, Pin, ProgramDigest};
pub use names::{exposed_name, exposed_uri};
pub use offers::Seen;
pub use parked::{Answered, Asked, Parking};
pub use questions::{Asking, Question, TooManyQuestions};
pub use rules::{Effect, Mark, Neighbours, Part, RuleId, Rules};
pub use server::Server;
pub use tasks::Home;
pub use unknown::Unknown;

use questions::Questions;
use tasks::Tasks;

/// The room: which servers there are and what they were seen to offer.
#[derive(Debug)]
pub struct Catalog {
    servers: BTreeMap<ServerId, Arc<Server>>,
    recheck: Duration,
    seals: Arc<Seals>,
    questions: Arc<Questions>,
    tasks: Arc<Tasks>,
}

impl Catalog {
    /// Builds it, with what was approved. `old`: the one that is replaced; cursors, states, tasks and open questions stay valid, and what a server was seen to offer is kept if it is still
    /// reached at the same place.
    ///
    /// # Errors
    /// [`ConfigError`], the first that is found; [`Config::problems`] has all.
    pub fn new(config: &Config, approvals: &Approvals, old: Option<&Catalog>) -> Result<Catalog, ConfigError> {
        if config.servers.is_empty() {
            return Err(ConfigError::NoServers);
        }
        // Compiled before the first message comes.
        let _rules = Rules::standard();
        let mut servers = BTreeMap::new();
        for (name, server) in &config.servers {
            let server =
                Server::new(name, server, (approvals, config.machine), |id| old.and_then(|old| old.server(id)))?;
            servers.insert(server.id().clone(), Arc::new(server));
        }
        let seals = match old {
            Some(old) => Arc::clone(&old.seals),
            None => Arc::new(Seals::new().map_err(|_| ConfigError::NoRandomness)?),
        };
        let questions = old.map(|old| Arc::clone(&old.questions)).unwrap_or_default();
        let tasks = old.map(|old| Arc::clone(&old.tasks)).unwrap_or_default();
        let recheck = Duration::from_secs(u64::from(config.catalog.recheck_seconds));
        Ok(Catalog { servers, recheck, seals, questions, tasks })
    }

    /// Every server, in the order of names.
    pub fn servers(&self) -> impl Iterator<Item = &Arc<Server>> {
        self.servers.values()
    }

    /// The server of that name.
    #[must_use]
    pub fn server(&self, id: &ServerId) -> Option<&Arc<Server>> {
        self.servers.get(id)
    }

    /// Remembers what servers were seen to offer in an era; says what is seen first, what changed and what is withheld. Called
    /// for every page before anybody sees it.
    #[must_use]
    pub fn learn(&self, era: Era, items: &Items, now: SystemTime) -> Vec<Change> {
        let of = (era, items.kind);
        // Where the list goes on, nobody knows what comes.
        let looked = |id: &ServerId| (!items.next.iter().any(|(goes_on, _)| goes_on == id)).then_some(now);
        if let Some(sheet) = items.whole() {
            let server = self.server(sheet.server());
            return server.map_or_else(Vec::new, |server| {
                server.offers().learn_sheet(server.id(), of, sheet, (looked(sheet.server()), &|| self.others(server)))
            });
        }
        let mut pages: BTreeMap<&ServerId, Vec<&Json>> = BTreeMap::new();
        for item in &items.entries {
            pages.entry(&item.server).or_default().push(&item.definition);
        }
        let learned = |(id, page): (&ServerId, Vec<&Json>)| {
            let server = self.server(id)?;
            Some(server.offers().learn(id, of, &page, (looked(id), &|| self.others(server))))
        };
        pages.into_iter().filter_map(learned).flatten().collect()
    }

    /// What other servers are seen to offer. Where everything was approved, whoever approved it has seen all of it together.
    fn others(&self, server: &Server) -> Neighbours {
        let unseen = server.offers().approval().uses_what_nobody_saw();
        let others = self.servers().filter(|_| unseen);
        let names: Vec<_> = others.map(|other| (other.id(), other.offers().names())).collect();
        let each = names.iter().flat_map(|(id, names)| names.iter().map(move |(kind, name)| (*id, *kind, &**name)));
        Neighbours::new(server.id(), each)
    }

    /// The items of a list as clients see them at `endpoint`, as an array: [`Catalog::exposed`] of each.
    #[must_use]
    pub fn exposed_page(&self, endpoint: &Endpoint, items: &Items) -> Json {
        let make = || self.exposed_array(endpoint, items);
        let Some(sheet) = items.whole() else { return make() };
        let behind_the_door = match endpoint {
            Endpoint::One(of) => of == sheet.server(),
            Endpoint::All => true,
        };
        match self.server(sheet.server()).filter(|_| behind_the_door) {
            Some(server) => server.offers().shown(endpoint, items.kind, sheet, make),
            None => make(),
        }
    }

    fn exposed_array(&self, endpoint: &Endpoint, items: &Items) -> Json {
        let mut array = Array::new();
        for item in &items.entries {
            if let Some(shown) = self.exposed(endpoint, &item.server, items.kind, &item.definition) {
                array.push(&shown);
            }
        }
        array.finish()
    }

    /// An item of a list as clients see it at `endpoint`: under its exposed name there, without icons that are not safe to load
    /// (BP-30), and otherwise unchanged. None if it is withheld.
    #[must_use]
    pub fn exposed(&self, endpoint: &Endpoint, server: &ServerId, kind: ListKind, definition: &Json) -> Option<Json> {
        let offers = self.server(server)?.offers();
        let name = definition.get(kind.key())?;
        let name = name.string()?;
        if !offers.shows(endpoint, server, kind, &name) {
            return None;
        }
        match endpoint {
            Endpoint::One(of) => (of == server).then(|| with_safe_icons(definition)),
            Endpoint::All => {
                let exposed = match kind {
                    ListKind::Tools | ListKind::Prompts => names::exposed_name(server, &name),
                    ListKind::Resources | ListKind::Templates => exposed_uri(endpoint, server, &name),
                };
                Some(with_safe_icons(definition).with(kind.key(), &Json::text(&exposed)))
            }
        }
    }

    /// A server's result of `method` with the URIs in it as clients see them at `endpoint`; nothing else is changed.
    #[must_use]
    pub fn expose_result(&self, endpoint: &Endpoint, server: &ServerId, method: &str, result: &Json) -> Json {
        results::expose(endpoint, server, method, result)
    }

    /// One cursor for where each server's page ended, good for this principal and this list alone. None if nothing goes on.
    #[must_use]
    pub fn seal_cursor(&self, who: PrincipalKey, kind: ListKind, next: &[(ServerId, Box<str>)]) -> Option<String> {
        cursor::seal(&self.seals, who, kind, next)
    }

    /// What a client brings when it comes again with a call that requires input, good for that very call of this principal, for an
    /// hour, and once. None without randomness.
    #[must_use]
    pub fn park(
        &self,
        of: Parking<'_>,
        server: &ServerId,
        required: &InputRequired,
        now: SystemTime,
    ) -> Option<String> {
        parked::seal(&self.seals, of, server, required, now)
    }

    /// Keeps a task that has begun and gives it the name that its principal's clients have for it. None without randomness, or where all
    /// together have too many.
    #[must_use]
    pub fn begin_task(&self, who: PrincipalKey, home: Home, task: &Task, now: SystemTime) -> Option<Box<str>> {
        self.tasks.begin(who, home, task, now)
    }

    /// Remembers what the server of a task asks for now.
    pub fn task_requires(&self, who: PrincipalKey, name: &str, requests: &[(Box<str>, InputRequest)], now: SystemTime) {
        self.tasks.requires(who, name, requests, now);
    }

    /// Opens a question of a server to a session until a time that is never before that of the last one: a reply is addressed by the
    /// id that it has now. See [`Asking`].
    ///
    /// # Errors
    /// [`TooManyQuestions`].
    pub fn ask(
        &self,
        session: SessionKey,
        server: &ServerId,
        request: &ServerRequest,
        until: Instant,
    ) -> Result<Asking, TooManyQuestions> {
        self.questions.open(session, server, request, until)
    }

    /// The question that a session was asked under this id.
    #[must_use]
    pub fn asked(&self, session: SessionKey, id: &Id) -> Option<Arc<Question>> {
        self.questions.find(session, id)
    }

    /// Closes a question that its server takes back: the id that the client has for it, if it was open.
    #[must_use]
    pub fn withdraw(&self, session: SessionKey, server: &ServerId, id: &Id, connection: u64) -> Option<Id> {
        self.questions.withdraw(session, server, id, connection)
    }

    /// Closes all questions to a session: it has ended.
    pub fn end_session(&self, session: SessionKey) {
        self.questions.forget(session);
    }

    /// Until when to wait for what comes of the questions that a server asked on its connection for a session: for the answers, and
    /// `after` them. None if there is nothing to wait for.
    #[must_use]
    pub fn awaited_until(&self, session: SessionKey, server: &ServerId, after: Duration) -> Option<Instant> {
        self.questions.awaited_until(session, server, after)
    }
}
