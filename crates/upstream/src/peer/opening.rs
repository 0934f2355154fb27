//! Whose connection a request goes over, and how it is opened: by the first request of its owner, on the process that answered the
//! owner's hello if there is one, or anew.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use sekisho_audit::Outcome;
use sekisho_wire::message::Meta;
use sekisho_wire::{Answer, Call, Era, Version};
use tokio::time::{Instant, timeout_at};

use super::{Hold, Kind, Peer, Seen, speaks_only};
use crate::ask::{Ask, Question};
use crate::backoff::chance;
use crate::caller::Caller;
use crate::error::Fault;
use crate::hello::Hello;
use crate::link::{Asked, Link, Way};
use crate::pool::{Slot, Use, Visit};

impl Peer {
    /// Asks for what a client needs who opens like this, and waits until it is known whether the server speaks its era.
    pub(crate) async fn greeted(&self, hello: Hello) {
        // Of almost every call.
        if self.knows(hello.era()) {
            return;
        }
        self.demand.send_if_modified(|demand| {
            let before = std::mem::replace(demand, demand.and(hello));
            *demand != before
        });
        let mut seen = self.seen.subscribe();
        let _known = seen.wait_for(|seen| seen.tells(hello.era())).await;
    }

    /// Whether it is up, and known to speak an era or not.
    pub(crate) fn knows(&self, era: Era) -> bool {
        matches!(&*self.seen.borrow(), Seen::Up(offer) if !offer.awaits(era))
    }

    /// The version that the server speaks in an era; waits until that is known.
    pub(super) async fn spoken(&self, hello: Hello, deadline: Instant) -> Result<Version, Fault> {
        let unprobed = || Fault::TimedOut("it has not been probed yet".into());
        timeout_at(deadline, self.greeted(hello)).await.map_err(|_| unprobed())?;
        match &*self.seen.borrow() {
            Seen::NotYet => Err(unprobed()),
            Seen::Down(why) => Err(Fault::Unreachable(why.to_string().into())),
            Seen::Up(offer) => match offer.of(hello.era()) {
                Some(spoken) => Ok(spoken.version),
                None => Err(Fault::WrongEra(speaks_only(offer).into())),
            },
        }
    }

    /// The caller's own connection: opened at first use, opened anew where it has ended.
    pub(super) async fn link(
        &self,
        caller: &Caller,
        (version, kind): (Version, Kind),
        deadline: Instant,
    ) -> Result<(Arc<Link>, Hold), Fault> {
        if let (Era::Modern, Way::Http(_)) = (caller.era(), &self.setup.way) {
            // Stateless: the request is the connection (2026-07-28), so only how many there are is bounded.
            let hold = match kind {
                Kind::Call => Hold::Slot { _counted: self.pool.slot(caller.principal, Use::Request)? },
                Kind::Listening => Hold::Stream { _counted: self.pool.stream()? },
            };
            return Ok((Arc::new(Link::modern(&self.setup.way, version, None)?), hold));
        }
        let visit = self.pool.visit(caller.owner, caller.principal)?;
        let berth = visit.berth(self.config.backoff_max(), chance());
        if berth.restarted {
            self.restarts.fetch_add(1, Ordering::Relaxed);
        }
        let link = match berth.link.get() {
            Some(link) => link.clone(),
            None => {
                let open = Box::pin(berth.link.get_or_try_init(|| self.open(&visit, caller, version, deadline)));
                let late = |_| Err(Fault::TimedOut("its connection was not opened in time".into()));
                timeout_at(deadline, open).await.unwrap_or_else(late)?.clone()
            }
        };
        // A shutdown or reload in between has not seen this connection.
        if *self.closing.borrow() {
            link.close();
            return Err(Fault::Unreachable("it is being closed".into()));
        }
        let connection = link.number();
        Ok((link, Hold::Place { visit, connection }))
    }

    /// Opens a connection. Many may wait for it in a row: after a failure the next one does not try again before its time.
    async fn open(
        &self,
        visit: &Visit,
        caller: &Caller,
        version: Version,
        deadline: Instant,
    ) -> Result<Arc<Link>, Fault> {
        visit.ready()?;
        let opened = self.begun(visit.slot()?, caller, version, deadline).await;
        let link = opened.inspect_err(|_| visit.failed(self.config.backoff_max(), chance()))?;
        if caller.era() == Era::Legacy {
            self.set_again(&link, caller, deadline).await;
        }
        Ok(Arc::new(link))
    }

    /// A connection for this client alone, ready for its first request: the spare one, or a new one.
    async fn begun(
        &self,
        slot: Arc<Slot>,
        caller: &Caller,
        version: Version,
        deadline: Instant,
    ) -> Result<Link, Fault> {
        let spare = self.take_spare(Hello::of(caller.version, caller.askable), version);
        let asked = Asked { version: caller.version, askable: caller.askable };
        match (spare, caller.era()) {
            (Some(link), Era::Modern) => {
                link.occupy(slot);
                Ok(link)
            }
            (Some(link), Era::Legacy) => {
                link.occupy(slot);
                link.begin(deadline).await.map(|()| link)
            }
            (None, Era::Modern) => Link::modern(&self.setup.way, version, Some(slot)),
            (None, Era::Legacy) => {
                let opening = Link::legacy(&self.setup.way, asked, Some(slot), deadline);
                let late = |_| Err(Fault::TimedOut("it did not answer initialize".into()));
                timeout_at(deadline, opening).await.unwrap_or_else(late).map(|(link, _)| link)
            }
        }
    }

    /// The connection that is there already, if it was opened as this client opens. Nobody has asked anything on it. Whoever comes
    /// first takes it away: it is of no use to anybody later.
    fn take_spare(&self, hello: Hello, version: Version) -> Option<Link> {
        let (link, _) = self.spare().take()?;
        let alike = match hello {
            Hello::Legacy { version, askable } => link.is_opened_for(Asked { version, askable }),
            Hello::Modern => link.version() == version,
        };
        (alike && !link.is_over()).then_some(link)
    }

    pub(super) fn spare(&self) -> MutexGuard<'_, Option<(Link, Instant)>> {
        // Nothing between lock and unlock panics.
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets what the session had set on a connection that was there before. Each of it was decided then.
    async fn set_again(&self, link: &Link, caller: &Caller, deadline: Instant) {
        // The call that the connection is opened for needs time, too.
        let left = deadline.saturating_duration_since(Instant::now()) / 2;
        let deadline = Instant::now() + left.min(SET_AGAIN_WITHIN);
        let meta = Meta::default();
        for call in self.kept.calls(caller.owner) {
            let ask = Ask::call(Question::of(&call), &meta, caller.askable, link.version());
            let answered = async { link.ask(&ask, deadline).await?.answer().await };
            let about = if let Call::Subscribe { uri } = &call { &**uri } else { "" };
            let what = format!("{} {about}", call.method().as_str());
            match answered.await {
                Ok(Answer::Result(_)) => self.notes.turn(Outcome::Noted, "a setting was made again", &what),
                Ok(Answer::Error(_)) => self.notes.turn(Outcome::Failed, "a setting was refused this time", &what),
                // The rest would not come further.
                Err(_) => return self.notes.turn(Outcome::Failed, "a setting could not be made again", &what),
            }
        }
    }
}

/// LIMIT: how long it may take to make all settings of a session again.
const SET_AGAIN_WITHIN: Duration = Duration::from_secs(10);
