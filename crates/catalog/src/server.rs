//! One configured server.

use std::sync::Arc;

use sekisho_sandbox::Tier;
use sekisho_wire::{Era, Json, ListKind, Listed, ServerId};

use crate::approval::Approvals;
use crate::change::Flaw;
use crate::config::{ConfigError, ServerConfig, Transport};
use crate::lock::{Identity, Introduction, Locked};
use crate::offers::{Offers, Seen};

/// A configured server, and what it was seen to offer.
#[derive(Debug)]
pub struct Server {
    id: ServerId,
    config: ServerConfig,
    transport: Transport,
    identity: Identity,
    tier: Option<Tier>,
    // Shared with the same server of the configuration before, so that calls under way and calls to come see one memory.
    offers: Arc<Offers>,
}

impl Server {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> &ServerId {
        &self.id
    }

    /// What is said of it.
    #[must_use]
    pub fn config(&self) -> &ServerConfig {
        &self.config
    }

    /// How it is reached.
    #[must_use]
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Whether `era` may be spoken with it. Whether it does speak it, `upstream` finds out.
    #[must_use]
    pub fn permits(&self, era: Era) -> bool {
        self.config.era.permits(era)
    }

    /// Who it is, for approvals.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// How well its processes are confined. None: it is reached over HTTP, and is confined by somebody else or nobody.
    #[must_use]
    pub fn tier(&self) -> Option<Tier> {
        self.tier
    }

    /// What is approved of it, if anything is.
    #[must_use]
    pub fn locked(&self) -> Option<&Locked> {
        self.offers.approval().locked()
    }

    /// Whether nothing of it can be used, for nobody has approved it.
    #[must_use]
    pub fn is_unapproved(&self) -> bool {
        self.locked().is_none() && !self.offers.approval().uses_what_nobody_saw()
    }

    /// Why nothing of it may be used: nobody has approved it, or it is not the server that was approved. Its program is not even started.
    #[must_use]
    pub fn withholds_all(&self) -> Option<Flaw> {
        self.offers.approval().refuses_all()
    }

    /// All that it was seen to offer, and what became of it.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.offers.seen()
    }

    /// Whether it may say this of itself to clients: `serverInfo` and `instructions`.
    ///
    /// # Errors
    /// Why it may not.
    pub fn introduces(&self, info: &Json, instructions: Option<&str>) -> Result<(), Flaw> {
        self.offers.approval().judge_introduction(&Introduction::of(info, instructions))
    }

    /// Forgets what it was seen to offer under a name, and that it was withheld: somebody has looked at it. An empty name is all of them.
    pub fn forget(&self, name: &str) {
        self.offers.forget(&self.id, name);
    }

    /// The server says that its list changed: it is asked again before the next call.
    pub fn changed(&self, listed: Listed) {
        let kinds: &[ListKind] = match listed {
            Listed::Tools => &[ListKind::Tools],
            Listed::Prompts => &[ListKind::Prompts],
            Listed::Resources => &[ListKind::Resources, ListKind::Templates],
        };
        kinds.iter().for_each(|kind| self.offers.tell_stale(*kind));
    }

    pub(crate) fn offers(&self) -> &Offers {
        &self.offers
    }

    /// Reads one server of the configuration. `old` is the server that had the name: its offers are kept if this is still the
    /// same one, and the same is approved of it.
    pub(crate) fn new<'a>(
        name: &str,
        config: &ServerConfig,
        (approvals, machine): (&Approvals, Tier),
        old: impl FnOnce(&ServerId) -> Option<&'a Arc<Server>>,
    ) -> Result<Server, ConfigError> {
        let (id, transport) = config.read(name)?;
        let identity = approvals.identity(name, config, &transport);
        let approval = approvals.of(&id, &identity, config);
        let same = old(&id).filter(|old| old.transport == transport && old.config.cwd == config.cwd);
        let offers = match same {
            Some(old) if *old.offers.approval() == approval => Arc::clone(&old.offers),
            Some(old) => Arc::new(Offers::after(&old.offers, &id, approval)),
            None => Arc::new(Offers::new(approval)),
        };
        let tier = match transport {
            Transport::Http { .. } => None,
            Transport::Stdio { .. } if config.sandbox.dangerous_unconfined => Some(Tier::None),
            Transport::Stdio { .. } => Some(machine),
        };
        Ok(Server { id, config: config.clone(), transport, identity, tier, offers })
    }
}
