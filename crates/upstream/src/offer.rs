//! What servers offer, and how they are, for those who look on.

use sekisho_sandbox::{Tier, Usage};
use sekisho_wire::{Era, Json, ServerId, Version};

/// What probing a server found. At least one era is there.
#[derive(Debug, Clone)]
pub struct Offer {
    /// By `initialize`.
    pub legacy: Option<Spoken>,
    /// By `server/discover`.
    pub modern: Option<Spoken>,
    /// It was asked in another era and did not answer in time: it may be slow, and not without that era.
    pub(crate) unsure: bool,
    /// The era that it has not been asked in, or not answered in yet.
    pub(crate) awaited: Option<Era>,
}

/// What a server said of itself in one era. Untrusted.
#[derive(Debug, Clone)]
pub struct Spoken {
    /// The version agreed on.
    pub version: Version,
    /// `capabilities`, an object.
    pub capabilities: Json,
    /// `serverInfo`, an object; empty where a modern server gave none.
    pub server: Json,
    /// `instructions`, as written.
    pub instructions: Option<Box<str>>,
}

/// A server as the operator sees it.
#[derive(Debug, Clone)]
pub struct Status {
    /// Which one.
    pub server: ServerId,
    /// Whether the last probe found it.
    pub up: bool,
    /// The eras that it speaks.
    pub eras: Vec<Era>,
    /// Why it is not up, in visible characters.
    pub trouble: Option<Box<str>>,
    /// The last line that its processes wrote on their error streams, in visible characters. Often it tells why the server is not up.
    pub last_line: Option<Box<str>>,
    /// Connections in use: legacy sessions, processes, modern requests over HTTP.
    pub connections: usize,
    /// Connections that ended by themselves and were made anew.
    pub restarts: u64,
    /// How well its processes are confined. None: it is reached over HTTP.
    pub tier: Option<Tier>,
    /// What its processes use at this moment, all together.
    pub usage: Usage,
    /// Connections that they were let out for so far.
    pub let_out: u64,
    /// Connections that they were refused so far.
    pub kept_in: u64,
}

impl Offer {
    /// What was found in one era, while the other is awaited.
    pub(crate) fn of_one(era: Era, spoken: Spoken) -> Offer {
        let (legacy, modern, awaited) = match era {
            Era::Legacy => (Some(spoken), None, Era::Modern),
            Era::Modern => (None, Some(spoken), Era::Legacy),
        };
        Offer { legacy, modern, unsure: false, awaited: Some(awaited) }
    }

    /// What is offered in an era.
    #[must_use]
    pub fn of(&self, era: Era) -> Option<&Spoken> {
        match era {
            Era::Legacy => self.legacy.as_ref(),
            Era::Modern => self.modern.as_ref(),
        }
    }

    /// Whether it is not known yet if it speaks an era.
    #[must_use]
    pub fn awaits(&self, era: Era) -> bool {
        self.awaited == Some(era)
    }

    /// The same, with what was known of an era in which it did not answer this time.
    pub(crate) fn after(self, earlier: &Offer) -> Offer {
        if !self.unsure {
            return self;
        }
        Offer { legacy: self.legacy.or(earlier.legacy.clone()), modern: self.modern.or(earlier.modern.clone()), ..self }
    }

    /// The eras that are spoken.
    #[must_use]
    pub fn eras(&self) -> Vec<Era> {
        [Era::Legacy, Era::Modern].into_iter().filter(|era| self.of(*era).is_some()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_era_is_forgotten_when_it_is_refused_and_not_when_nothing_was_said() {
        let spoken = |version| Spoken {
            version,
            capabilities: Json::empty_object(),
            server: Json::empty_object(),
            instructions: None,
        };
        let (old, new) = (spoken(Version::V2025_11_25), spoken(Version::V2026_07_28));
        let both = Offer { legacy: Some(old.clone()), modern: Some(new), unsure: false, awaited: None };
        let legacy = |unsure| Offer { legacy: Some(old.clone()), modern: None, unsure, awaited: None };
        assert_eq!(legacy(true).after(&both).eras(), [Era::Legacy, Era::Modern]);
        assert_eq!(legacy(false).after(&both).eras(), [Era::Legacy]);
    }
}
