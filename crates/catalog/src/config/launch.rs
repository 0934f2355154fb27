//! What a server's command may do beyond starting its program.

use sekisho_wire::ServerId;

use super::{ConfigError, ServerConfig};
use crate::launch::{self, Escape, Weight};

impl ServerConfig {
    /// What its command and variables do beyond starting its program.
    #[must_use]
    pub fn escapes(&self) -> Vec<Escape> {
        launch::escapes(self.command.as_deref().unwrap_or_default(), self.env.keys().map(String::as_str))
    }

    pub(super) fn check_launch(&self, server: &ServerId) -> Result<(), ConfigError> {
        let escapes = self.escapes();
        let refused = escapes.iter().filter(|escape| escape.weight == Weight::Refused);
        let unsaid: Vec<&Escape> =
            refused.filter(|escape| !self.dangerous_launch.iter().any(|id| **id == *escape.id)).collect();
        if !unsaid.is_empty() {
            let what = unsaid.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let ids = escapes.iter().filter(|escape| escape.weight == Weight::Refused);
            let ids = ids.map(|escape| format!("\"{}\"", escape.id)).collect::<Vec<_>>().join(", ");
            return Err(ConfigError::Launch { server: server.clone(), what, ids });
        }
        // A danger that is gone, or was never there, is no longer looked for by whoever reads this.
        match self.dangerous_launch.iter().find(|id| !escapes.iter().any(|escape| *escape.id == ***id)) {
            Some(id) => Err(ConfigError::NoDanger { server: server.clone(), id: id.clone() }),
            None => Ok(()),
        }
    }
}
