//! One configured server.

use std::sync::Arc;

use sekisho_wire::{Era, ServerId};

use crate::config::{ConfigError, ServerConfig, Transport};
use crate::offers::Offers;

/// A configured server, and what it was seen to offer.
#[derive(Debug)]
pub struct Server {
    id: ServerId,
    config: ServerConfig,
    transport: Transport,
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

    pub(crate) fn offers(&self) -> &Offers {
        &self.offers
    }

    /// Reads one server of the configuration. `old` is the server that had the name: its offers are kept if this is still the
    /// same one.
    pub(crate) fn new<'a>(
        name: &str,
        config: &ServerConfig,
        old: impl FnOnce(&ServerId) -> Option<&'a Arc<Server>>,
    ) -> Result<Server, ConfigError> {
        let (id, transport) = config.read(name)?;
        let kept = old(&id)
            .filter(|old| old.transport == transport && old.config.cwd == config.cwd)
            .map(|old| Arc::clone(&old.offers));
        Ok(Server { id, config: config.clone(), transport, offers: kept.unwrap_or_default() })
    }
}
