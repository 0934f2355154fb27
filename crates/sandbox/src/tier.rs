//! How well a server is confined.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How well a server is confined. The order is that of strength: none is less.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Not at all: it can do whatever the user can.
    None,
    /// Landlock, seccomp and limits, where the system has no user namespaces to give. There are no sockets, so no network.
    Partial,
    /// Namespaces, a root of its own, Landlock, seccomp and limits.
    #[default]
    Full,
}

impl Tier {
    /// The word in records and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Tier::None => "none",
            Tier::Partial => "partial",
            Tier::Full => "full",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
