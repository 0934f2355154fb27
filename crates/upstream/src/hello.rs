//! How a client opens, and what is asked of servers because of that.

use sekisho_wire::{Askable, Era, Version};

use crate::probe::Eras;

/// How a client opens its conversation, as far as it concerns servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hello {
    /// By `initialize`: for which version, and what may be asked of it.
    Legacy {
        /// The newest that both sides speak.
        version: Version,
        /// What it declares.
        askable: Askable,
    },
    /// By any request of the modern era.
    Modern,
}

/// When servers are asked what they speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probing {
    /// At once, in both eras: there will be clients of both.
    AtOnce,
    /// When a client opens, and in its era alone until another one opens: there is one client, and the process that is asked serves it.
    OnDemand,
}

/// What is to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demand {
    Nothing,
    /// What the one client needs.
    First(Hello),
    Everything,
}

impl Hello {
    /// The era of the client.
    #[must_use]
    pub fn era(&self) -> Era {
        match self {
            Hello::Legacy { .. } => Era::Legacy,
            Hello::Modern => Era::Modern,
        }
    }

    /// As a client of a version opens.
    pub(crate) fn of(version: Version, askable: Askable) -> Hello {
        match version.era() {
            // What it may be asked within a call is declared with the call.
            Era::Modern => Hello::Modern,
            Era::Legacy => Hello::Legacy { version, askable },
        }
    }
}

impl From<Probing> for Demand {
    fn from(probing: Probing) -> Demand {
        match probing {
            Probing::AtOnce => Demand::Everything,
            Probing::OnDemand => Demand::Nothing,
        }
    }
}

impl Demand {
    /// What is to be asked once somebody opens like this.
    pub(crate) fn and(self, hello: Hello) -> Demand {
        match self {
            Demand::Nothing => Demand::First(hello),
            Demand::First(first) if first.era() == hello.era() => self,
            Demand::First(_) | Demand::Everything => Demand::Everything,
        }
    }

    /// How the one client opens, where that leaves an era out which would be asked for otherwise.
    pub(crate) fn alone(self, configured: Eras) -> Option<Hello> {
        match (self, configured) {
            (Demand::First(hello), Eras::Both) => Some(hello),
            (Demand::Nothing | Demand::First(_) | Demand::Everything, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_client_needs_is_asked_first_and_the_rest_when_somebody_opens_in_the_other_era() {
        let (old, new) =
            (Hello::of(Version::V2025_11_25, Askable::default()), Hello::of(Version::V2026_07_28, Askable::default()));
        let first = Demand::from(Probing::OnDemand).and(old);
        assert_eq!(first.alone(Eras::Both), Some(old));
        assert_eq!(first.and(old), first);
        assert_eq!(first.and(new), Demand::Everything);
        assert_eq!(first.and(new).alone(Eras::Both), None);
        assert_eq!(first.alone(Eras::Only(Era::Legacy)), None, "nothing is left out");
        assert_eq!(Demand::from(Probing::AtOnce).and(old), Demand::Everything);
    }
}
