//! Listening to several servers at once, for as long as somebody listens: each is asked again when it breaks off (ST-08, SU-02).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use sekisho_catalog::Question;
use sekisho_wire::{Answer, Era, Filter, FromServer, Id, Listed, RpcError, ServerId, Told};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::backoff::{Backoff, chance};
use crate::caller::Caller;
use crate::error::SendError;
use crate::exchange::Running;
use crate::offer::Offer;
use crate::peer::Peer;
use crate::stdio::METHOD_NOT_FOUND;

/// What is heard of all servers. Dropped, it ends all that was opened for it.
pub(crate) struct Listening {
    heard: mpsc::Receiver<(ServerId, Heard)>,
    words: Vec<mpsc::Sender<Word>>,
    /// What came while it was not known yet what each server will tell.
    early: VecDeque<FromServer>,
    /// Whom to listen to. None: that has begun.
    ears: Option<Vec<Ear>>,
    tasks: JoinSet<()>,
}

/// What one server is listened to for.
pub(crate) struct Ear {
    pub(crate) peer: Arc<Peer>,
    pub(crate) caller: Caller,
    pub(crate) filter: Filter,
}

/// What is said to the one server that asks.
enum Word {
    /// Its question may not be asked.
    No(Id),
    /// Its question is asked.
    Wait(Arc<Question>),
}

enum Heard {
    /// What it will tell, as far as it is known.
    Begun(Filter),
    Said(FromServer),
}

impl Listening {
    pub(crate) fn new(ears: Vec<Ear>) -> Listening {
        let (_, heard) = mpsc::channel(1);
        let (words, early, tasks) = (Vec::new(), VecDeque::new(), JoinSet::new());
        Listening { heard, words, early, ears: Some(ears), tasks }
    }

    /// Begins to listen: not before it is asked what is heard, so that a listening that this one replaces has ended.
    fn start(&mut self, ears: Vec<Ear>) {
        let (send, heard) = mpsc::channel(HEARD_MAX);
        self.heard = heard;
        let alone = ears.len() == 1;
        for ear in ears {
            let (say, said) = mpsc::channel(WORDS_MAX);
            self.words.push(say);
            self.tasks.spawn(ear.listen(send.clone(), said, alone));
        }
    }

    /// What the servers will tell, once; then what they tell.
    pub(crate) async fn next(&mut self) -> Result<FromServer, SendError> {
        if let Some(ears) = self.ears.take() {
            let awaited = ears.len();
            self.start(ears);
            return Ok(FromServer::Listening(self.begin(awaited).await));
        }
        if let Some(said) = self.early.pop_front() {
            return Ok(said);
        }
        loop {
            match self.heard.recv().await {
                Some((_, Heard::Said(said))) => return Ok(said),
                Some((_, Heard::Begun(_))) => {}
                // Every server was left to itself: nothing is ever told, and the client may wait for that.
                None => std::future::pending().await,
            }
        }
    }

    /// Waits a moment for what each server will tell. One that is down or slow may tell more once it is there.
    async fn begin(&mut self, awaited: usize) -> Vec<(ServerId, Filter)> {
        let until = Instant::now() + BEGUN_WITHIN;
        let mut begun: Vec<(ServerId, Filter)> = Vec::new();
        while begun.len() < awaited {
            match timeout_at(until, self.heard.recv()).await {
                // The first word of each counts: what is said again is said of another try.
                Ok(Some((server, Heard::Begun(filter)))) => {
                    if begun.iter().all(|(known, _)| *known != server) {
                        begun.push((server, filter));
                    }
                }
                Ok(Some((_, Heard::Said(said)))) if self.early.len() < HEARD_MAX => self.early.push_back(said),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        begun.sort_by(|one, other| one.0.cmp(&other.0));
        begun
    }

    pub(crate) fn decline(&mut self, id: &Id) {
        self.say(Word::No(id.clone()));
    }

    /// Leaves more time to all that may wait for the answer.
    pub(crate) fn wait_for(&mut self, question: Arc<Question>) {
        self.say(Word::Wait(question));
    }

    /// Only where one server is listened to can it ask, so that it is the one that asked.
    fn say(&self, word: Word) {
        if let [alone] = self.words.as_slice() {
            // Full only if the server asks faster than it can be told; then it is left without an answer.
            let _told = alone.try_send(word);
        }
    }
}

impl Ear {
    async fn listen(self, send: mpsc::Sender<(ServerId, Heard)>, mut words: mpsc::Receiver<Word>, alone: bool) {
        let mut backoff = Backoff::default();
        let mut connection = None;
        loop {
            let again = match self.peer.listen(&self.caller, &self.filter).await {
                Ok(running) => {
                    let began = Instant::now();
                    let now = running.connection();
                    if connection.replace(now).is_some_and(|before| before != now) {
                        self.tell_of_all(&send).await;
                    }
                    let again = self.hear(running, &send, alone.then_some(&mut words)).await;
                    // Who ends it at once will do so again.
                    if began.elapsed() >= PAUSE_MAX {
                        backoff.reset();
                    }
                    self.begun(&send, Filter::default()).await;
                    again
                }
                Err(error) => {
                    let again = !matches!(error, SendError::WrongEra(_));
                    self.begun(&send, Filter::default()).await;
                    tracing::debug!(target: "upstream", server = %self.peer.id(), %error, "not listening");
                    again
                }
            };
            if !again || send.is_closed() {
                return;
            }
            sleep(backoff.failed(Instant::now(), PAUSE_MAX, chance()).max(PAUSE_MIN)).await;
        }
    }

    /// Whether it makes sense to listen again.
    async fn hear(
        &self,
        mut running: Running,
        send: &mpsc::Sender<(ServerId, Heard)>,
        mut words: Option<&mut mpsc::Receiver<Word>>,
    ) -> bool {
        if self.caller.era() == Era::Legacy {
            self.begun(send, self.offered()).await;
        }
        loop {
            let said = tokio::select! {
                said = running.next() => said,
                Some(word) = next_word(words.as_deref_mut()) => {
                    match word {
                        Word::No(id) => running.decline(&id),
                        Word::Wait(question) => running.wait_for(question),
                    }
                    continue;
                }
            };
            match said {
                Ok(FromServer::Told { told: Told::Acknowledged(filter), .. }) => {
                    self.begun(send, filter.and(&self.filter)).await;
                }
                Ok(FromServer::End(Answer::Error(RpcError { code: METHOD_NOT_FOUND, .. }))) => {
                    self.begun(send, Filter::default()).await;
                    return false;
                }
                Ok(
                    FromServer::End(_)
                    | FromServer::Park(_)
                    | FromServer::Task(_)
                    | FromServer::Page(_)
                    | FromServer::Listening(_),
                ) => {
                    return true;
                }
                // Of several servers nobody could tell which one asks.
                Ok(FromServer::Ask(asked)) if words.is_none() => running.decline(&asked.id),
                Ok(
                    said @ (FromServer::Told { .. }
                    | FromServer::Notice { .. }
                    | FromServer::Ask(_)
                    | FromServer::Withdrawn { .. }),
                ) => {
                    // A slow client slows its own servers down, and nobody else.
                    if send.send((self.peer.id().clone(), Heard::Said(said))).await.is_err() {
                        return false;
                    }
                }
                Err(_) => return true,
            }
        }
    }

    /// A process or session was replaced: nobody knows what changed meanwhile, so all of it may have.
    async fn tell_of_all(&self, send: &mpsc::Sender<(ServerId, Heard)>) {
        let (wanted, uris) = match self.caller.era() {
            Era::Legacy => (self.offered(), self.peer.subscribed(self.caller.owner)),
            Era::Modern => (self.filter.clone(), self.filter.uris.clone()),
        };
        let lists = Listed::ALL.into_iter().filter(|list| wanted.wants(*list)).map(Told::Changed);
        for told in lists.chain(uris.into_iter().map(|uri| Told::Updated { uri })) {
            let said = Heard::Said(FromServer::Told { server: self.peer.id().clone(), told });
            // Nobody listens any more if it fails.
            let _sent = send.send((self.peer.id().clone(), said)).await;
        }
    }

    async fn begun(&self, send: &mpsc::Sender<(ServerId, Heard)>, filter: Filter) {
        // Nobody listens any more if it fails.
        let _sent = send.send((self.peer.id().clone(), Heard::Begun(filter))).await;
    }

    /// What a legacy server says that it tells.
    fn offered(&self) -> Filter {
        let offer = self.peer.offer();
        let has = |of: &str, flag: &str| {
            let spoken = offer.as_deref().and_then(|offer: &Offer| offer.of(Era::Legacy));
            let capability = spoken.and_then(|spoken| spoken.capabilities.get(of)?.get(flag)?.boolean());
            capability == Some(true)
        };
        let offered = Filter {
            tools: has("tools", "listChanged"),
            prompts: has("prompts", "listChanged"),
            resources: has("resources", "listChanged"),
            uris: self.filter.uris.clone(),
            session: true,
            tasks: false,
        };
        offered.and(&self.filter)
    }
}

async fn next_word(words: Option<&mut mpsc::Receiver<Word>>) -> Option<Word> {
    match words {
        Some(words) => words.recv().await,
        None => std::future::pending().await,
    }
}

/// How long a client waits to hear what it will be told.
const BEGUN_WITHIN: Duration = Duration::from_secs(3);
const HEARD_MAX: usize = 64;
const WORDS_MAX: usize = 8;
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
