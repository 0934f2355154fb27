//! What one call sees of the configuration: all of it old, or all of it new.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sekisho_audit::Audit;
use sekisho_catalog::Catalog;
use sekisho_flow::Flow;
use sekisho_guard::Guard;
use sekisho_identity::{Identity, SessionKey};
use sekisho_limits::Limits;
use sekisho_policy::Policy;
use sekisho_upstream::Upstream;
use sekisho_wire::Endpoint;

use crate::annex::Annex;
use crate::challenges::Challenges;
use crate::config::Config;
use crate::hosts::Hosts;
use crate::instruments::Instruments;
use crate::refusal::{Code, Refusal};

/// Everything a gateway is made of. `app` puts it together.
pub struct Parts {
    /// `[gateway]`, checked here.
    pub config: Config,
    /// The folder that relative paths of the configuration start from.
    pub base: PathBuf,
    /// What tells this configuration from another in the record, such as the digest of its policies.
    pub revision: Box<str>,
    /// Who is calling.
    pub identity: Arc<Identity>,
    /// What servers offer.
    pub catalog: Arc<Catalog>,
    /// May it come now.
    pub limits: Arc<Limits>,
    /// What is in it.
    pub guard: Arc<Guard>,
    /// May they.
    pub policy: Arc<Policy>,
    /// The servers.
    pub upstream: Arc<Upstream>,
    /// What happened.
    pub audit: Arc<Audit>,
    /// What is measured. Those of the start are kept over reloads.
    pub instruments: Arc<Instruments>,
    /// Who answers at other paths.
    pub annex: Option<Arc<dyn Annex>>,
}

/// The rooms, in the order of the corridor.
pub(crate) struct Rooms {
    /// Which of all that this process has had it is: what was decided by one does not hold in another.
    pub(crate) epoch: u64,
    pub(crate) identity: Arc<Identity>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) guard: Arc<Guard>,
    pub(crate) flow: Flow,
    pub(crate) policy: Arc<Policy>,
    pub(crate) audit: Arc<Audit>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) hosts: Hosts,
    pub(crate) challenges: Challenges,
    pub(crate) annex: Option<Arc<dyn Annex>>,
}

impl Rooms {
    pub(crate) fn of(parts: Parts) -> Rooms {
        static EPOCHS: AtomicU64 = AtomicU64::new(0);
        Rooms {
            epoch: EPOCHS.fetch_add(1, Ordering::Relaxed),
            hosts: Hosts::of(&parts.config),
            identity: parts.identity,
            catalog: parts.catalog,
            limits: parts.limits,
            guard: parts.guard,
            flow: Flow,
            policy: parts.policy,
            audit: parts.audit,
            upstream: parts.upstream,
            challenges: Challenges::default(),
            annex: parts.annex,
        }
    }

    /// Whether an endpoint leads anywhere.
    ///
    /// # Errors
    /// It is that of a server that is not configured.
    pub(crate) fn knows(&self, endpoint: &Endpoint) -> Result<(), Refusal> {
        match endpoint {
            Endpoint::One(server) if self.catalog.server(server).is_none() => {
                Err(Refusal::new(Code::UnknownServer, format!("`{server}` is not configured")))
            }
            Endpoint::One(_) | Endpoint::All => Ok(()),
        }
    }

    /// Ends all that a session leaves here and at servers. The session itself has ended before.
    pub(crate) async fn end_session(&self, session: SessionKey) {
        self.catalog.end_session(session);
        self.upstream.end_session(session).await;
    }
}
