//! A connection to a server, over whichever transport, and how it is opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderValue;
use sekisho_catalog::Question;
use sekisho_sandbox::Tier;
use sekisho_wire::back::{self, Initialized};
use sekisho_wire::{Answer, Askable, Era, Id, RpcError, Version, outgoing};
use tokio::time::Instant;

use crate::ask::{Ask, Heard};
use crate::config::Config;
use crate::error::{Fault, chain, words};
use crate::notes::Notes;
use crate::pool::Slot;
use crate::process::Process;
use crate::program::Program;
use crate::stdio::StdioFlight;
use crate::streamable::{HttpTalk, Site};
use crate::streamed::HttpFlight;
use crate::tasks::Tasks;
use crate::trail::Transport;
use crate::watch::Used;

/// How a server is reached.
pub(crate) enum Way {
    Http(Arc<Site>),
    Stdio(Stdio),
}

impl Way {
    /// How well its processes are confined; none where it has none.
    pub(crate) fn tier(&self) -> Option<Tier> {
        match self {
            Way::Http(_) => None,
            Way::Stdio(stdio) => Some(stdio.program.tier()),
        }
    }

    pub(crate) fn transport(&self) -> Transport {
        match self {
            Way::Http(_) => Transport::Http,
            Way::Stdio(_) => Transport::Stdio,
        }
    }

    /// Whether the same file is run, where any is.
    pub(crate) fn is_same_program(&self, other: &Way) -> bool {
        match (self, other) {
            (Way::Stdio(one), Way::Stdio(other)) => one.program.launch.is_same(&other.program.launch),
            (Way::Http(_), _) | (_, Way::Http(_)) => true,
        }
    }
}

/// What is needed to start a process.
pub(crate) struct Stdio {
    pub(crate) program: Program,
    pub(crate) config: Arc<Config>,
    pub(crate) notes: Arc<Notes>,
    pub(crate) tasks: Tasks,
}

/// What the opening of a legacy conversation asks for and offers.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) version: Version,
    pub(crate) askable: Askable,
}

/// An open connection.
pub(crate) struct Link {
    version: Version,
    /// What it was opened with (legacy).
    asked: Asked,
    /// No two connections have the same one.
    number: u64,
    talk: Talk,
}

enum Talk {
    Http(Arc<HttpTalk>),
    Process(Process),
}

/// One request under way. Dropped before its answer, it is cancelled upstream.
pub(crate) enum Flight {
    Http(Box<HttpFlight>),
    Stdio(StdioFlight),
}

impl Link {
    /// A connection for modern requests: nothing is negotiated. A process keeps `slot` until it is reaped; a probe has none.
    ///
    /// # Errors
    /// A process cannot be started.
    pub(crate) fn modern(way: &Way, version: Version, slot: Option<Arc<Slot>>) -> Result<Link, Fault> {
        let talk = Talk::start(way, version, slot)?;
        let asked = Asked { version, askable: Askable::default() };
        Ok(Link { version, asked, number: next_number(), talk })
    }

    /// A connection for one legacy session: `initialize` with the version that is asked for, then `notifications/initialized` (BP-25).
    /// Returns what the server said of itself, too. For `slot` see [`Link::modern`].
    ///
    /// # Errors
    /// The server cannot be reached, refuses, or answers with a version that is not spoken here (BP-27).
    pub(crate) async fn legacy(
        way: &Way,
        asked: Asked,
        slot: Option<Arc<Slot>>,
        deadline: Instant,
    ) -> Result<(Link, Initialized), Fault> {
        let (link, said) = Link::initialize(way, asked, slot, deadline).await?;
        link.begin(deadline).await?;
        Ok((link, said))
    }

    /// The same, but that the session does not begin until [`Link::begin`]: a server may ask something as soon as it does, and nobody
    /// may be there yet.
    ///
    /// # Errors
    /// As for [`Link::legacy`].
    pub(crate) async fn initialize(
        way: &Way,
        asked: Asked,
        slot: Option<Arc<Slot>>,
        deadline: Instant,
    ) -> Result<(Link, Initialized), Fault> {
        let talk = Talk::start(way, asked.version, slot)?;
        let (answer, session) = talk.answer(&Ask::initialize(asked.version, asked.askable), deadline).await?;
        let result = match answer {
            Answer::Result(result) => result,
            Answer::Error(error) => {
                let words = format!("it refused initialize with error {}: {}", error.code, words(&error.message));
                return Err(Fault::WrongEra(words.into()));
            }
        };
        let said = back::initialized(&result).map_err(|error| Fault::Garbled(chain(&error).into()))?;
        let version = Version::parse(&said.version).filter(|version| version.era() == Era::Legacy);
        let version = version.ok_or_else(|| {
            Fault::WrongEra(format!("it answered initialize with version {}", words(&said.version)).into())
        })?;
        Ok((Link { version, asked, number: next_number(), talk: talk.opened(version, session) }, said))
    }

    /// Begins a legacy session that was initialized.
    ///
    /// # Errors
    /// The server takes nothing.
    pub(crate) async fn begin(&self, deadline: Instant) -> Result<(), Fault> {
        self.tell(outgoing::initialized(), deadline).await
    }

    /// Somebody takes it over, who has this slot: a process keeps it until it is reaped.
    pub(crate) fn occupy(&self, slot: Arc<Slot>) {
        match &self.talk {
            // It is no process, and ends with whoever has it.
            Talk::Http(_) => {}
            Talk::Process(process) => process.occupy(slot),
        }
    }

    /// Which connection it is, of all that there ever were.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Whether the server may ask for the client's folders.
    pub(crate) fn asks_for_roots(&self) -> bool {
        self.asked.askable.roots
    }

    /// Whether it is as if it had been opened for this: a server that agreed on an older version than was asked for agrees on that again.
    pub(crate) fn is_opened_for(&self, asked: Asked) -> bool {
        (self.version == asked.version || self.asked.version == asked.version) && self.asked.askable == asked.askable
    }

    /// The version that is spoken on it.
    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// Sends a request.
    ///
    /// # Errors
    /// See [`Fault`].
    pub(crate) async fn ask(&self, ask: &Ask<'_>, deadline: Instant) -> Result<Flight, Fault> {
        self.talk.ask(ask, deadline).await
    }

    /// Listens to what the server tells the session (legacy).
    ///
    /// # Errors
    /// [`Fault::WrongEra`] where it never tells anything; else see [`Fault`].
    pub(crate) async fn listen(&self, deadline: Instant) -> Result<Flight, Fault> {
        match &self.talk {
            Talk::Http(talk) => talk.listen(deadline).await.map(Box::new).map(Flight::Http),
            Talk::Process(process) => process.talk().listen(deadline).map(Flight::Stdio),
        }
    }

    /// Whether nothing can be asked on it any more.
    pub(crate) fn is_over(&self) -> bool {
        match &self.talk {
            Talk::Http(talk) => talk.is_over(),
            Talk::Process(process) => process.talk().is_over(),
        }
    }

    /// Ends it, in the background.
    pub(crate) fn close(&self) {
        match &self.talk {
            Talk::Http(talk) => talk.close(),
            Talk::Process(process) => process.stop(),
        }
    }

    /// Sends a notification, or the answer to a question.
    ///
    /// # Errors
    /// It could not be sent.
    pub(crate) async fn tell(&self, message: bytes::Bytes, deadline: Instant) -> Result<(), Fault> {
        match &self.talk {
            Talk::Http(talk) => talk.tell(message).await,
            Talk::Process(process) => process.talk().say(&message, deadline).await,
        }
    }
}

impl Talk {
    fn start(way: &Way, version: Version, slot: Option<Arc<Slot>>) -> Result<Talk, Fault> {
        match way {
            Way::Http(site) => Ok(Talk::Http(HttpTalk::new(site.clone(), version))),
            Way::Stdio(stdio) => Process::start(stdio, version.era(), slot).map(Talk::Process),
        }
    }

    fn opened(self, version: Version, session: Option<HeaderValue>) -> Talk {
        match self {
            Talk::Http(talk) => Talk::Http(talk.opened(version, session)),
            Talk::Process(process) => Talk::Process(process),
        }
    }

    async fn ask(&self, ask: &Ask<'_>, deadline: Instant) -> Result<Flight, Fault> {
        match self {
            Talk::Http(talk) => talk.ask(ask, deadline).await.map(Box::new).map(Flight::Http),
            Talk::Process(process) => process.talk().ask(ask, deadline).await.map(Flight::Stdio),
        }
    }

    /// Asks and waits for the answer; all else that is heard is of no meaning yet.
    async fn answer(&self, ask: &Ask<'_>, deadline: Instant) -> Result<(Answer, Option<HeaderValue>), Fault> {
        let mut flight = self.ask(ask, deadline).await?;
        let answer = flight.answer().await?;
        Ok((answer, flight.session()))
    }
}

impl Flight {
    /// What the server's process used, if it is one of ours.
    pub(crate) fn used(&self) -> Option<Used> {
        match self {
            Flight::Http(_) => None,
            Flight::Stdio(flight) => flight.used(),
        }
    }

    /// What is heard next; nothing after the answer.
    ///
    /// # Errors
    /// See [`Fault`].
    pub(crate) async fn next(&mut self) -> Result<Heard, Fault> {
        match self {
            Flight::Http(flight) => flight.next().await,
            Flight::Stdio(flight) => flight.next().await,
        }
    }

    /// The answer; whatever comes before it is dropped, and questions are declined.
    ///
    /// # Errors
    /// See [`Fault`].
    pub(crate) async fn answer(&mut self) -> Result<Answer, Fault> {
        loop {
            match self.next().await? {
                Heard::Answer(answer) => return Ok(answer),
                Heard::Ask(request) => self.decline(&request.id),
                Heard::Notice(_) | Heard::Told(_) | Heard::Withdrawn(_) => {}
            }
        }
    }

    /// Answers a question of the server with an error, in the background.
    pub(crate) fn decline(&mut self, id: &Id) {
        let words = "the gateway's policy does not permit this question".into();
        let no = outgoing::error(Some(id), &RpcError { code: REJECTED, message: words, data: None });
        match self {
            Flight::Http(flight) => flight.tell_later(no),
            Flight::Stdio(flight) => flight.tell(&no),
        }
    }

    /// Leaves more time, for a question that somebody has to answer.
    pub(crate) fn wait_for(&mut self, question: Arc<Question>, after: Duration) {
        match self {
            Flight::Http(flight) => flight.wait_for(question, after),
            Flight::Stdio(flight) => flight.wait_for(question, after),
        }
    }

    /// Leaves more time to this one, which waits for no answer.
    pub(crate) fn listen_until(&mut self, until: Instant) {
        match self {
            Flight::Http(flight) => flight.listen_until(until),
            Flight::Stdio(flight) => flight.listen_until(until),
        }
    }

    fn session(&self) -> Option<HeaderValue> {
        match self {
            Flight::Http(flight) => flight.session().cloned(),
            Flight::Stdio(_) => None,
        }
    }
}

fn next_number() -> u64 {
    static NUMBERS: AtomicU64 = AtomicU64::new(1);
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

/// What a client answers that rejects a question (MCP, Sampling, "Error Handling").
const REJECTED: i64 = -1;
