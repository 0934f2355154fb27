//! **May it come now?** [`Admitted`] is the proof, and it holds the permits until the exchange ends.
//!
//! The room never grants what policy would refuse. What it counts is counted per verified principal, never per address or
//! session. It also owns the [`Bounds`] of the listener, so that all of them stand in one section.
//!
//! *Depth still missing*: layers by server, tool and session, quotas, shared counters, adaptive limits, shedding.
#![forbid(unsafe_code)]

mod config;
mod principals;

use std::sync::Arc;

use sekisho_catalog::Addressed;
use sekisho_identity::PrincipalKey;
use sekisho_wire::{Call, Inbound};
use tokio::sync::OwnedSemaphorePermit;

pub use config::{Bounds, Config, ConfigError};

use config::Share;
use principals::Principals;

/// A message that may come now. Its permits go back when it is dropped, wherever it is nested then. Made by [`Limits::admit`]
/// alone:
///
/// ```compile_fail,E0451
/// fn forge(message: sekisho_catalog::Addressed) -> sekisho_limits::Admitted {
///     sekisho_limits::Admitted { message, _place: None }
/// }
/// ```
#[derive(Debug)]
pub struct Admitted {
    message: Addressed,
    /// None for what is no request: see [`Limits::admit`].
    _place: Option<OwnedSemaphorePermit>,
}

impl Admitted {
    /// The message.
    #[must_use]
    pub fn message(&self) -> &Addressed {
        &self.message
    }
}

/// Why a message may not come now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OverLimit {
    /// The principal sends too fast.
    #[error("too many requests; try again in {retry_after_s} s")]
    Rate {
        /// Seconds until the next one may come, rounded up, at least 1.
        retry_after_s: u32,
    },
    /// The principal listens on too many streams.
    #[error("{streams_max} streams are already open")]
    Streams {
        /// How many may be.
        streams_max: u32,
    },
    /// The principal has too many requests under way.
    #[error("{concurrent_max} requests are already under way")]
    Concurrency {
        /// How many may be.
        concurrent_max: u32,
    },
}

/// The room.
pub struct Limits {
    bounds: Bounds,
    principals: Arc<Principals>,
}

impl Limits {
    /// Builds it. `old`: the one that is replaced; what it counted is kept unless the numbers per principal changed.
    ///
    /// # Errors
    /// [`ConfigError`], the first number outside its range.
    pub fn new(config: &Config, old: Option<&Limits>) -> Result<Limits, ConfigError> {
        let bounds = config.bounds()?;
        let share: Share = config.share()?;
        let kept = old.map(|old| &old.principals).filter(|principals| *principals.share() == share);
        let principals = kept.map_or_else(|| Arc::new(Principals::new(share)), Arc::clone);
        Ok(Limits { bounds, principals })
    }

    /// Admits a message if its principal is within its share.
    ///
    /// Every message counts for the rate. Requests alone take a place among those under way, or among the streams: a notification is over at once,
    /// and `notifications/cancelled` must come through just when every place is taken.
    ///
    /// # Errors
    /// [`OverLimit`]. A message that was refused for want of a place has still counted for the rate.
    pub fn admit(&self, m: Addressed) -> Result<Admitted, OverLimit> {
        let who = m.message().principal().key();
        let place = match m.message().message() {
            Inbound::Request(request) if matches!(request.call(), Call::Listen { .. }) => {
                Some(self.principals.listen(who)?)
            }
            Inbound::Request(_) => Some(self.principals.enter(who)?),
            Inbound::Notice(_) | Inbound::Reply(_) => {
                self.principals.count(who)?;
                None
            }
        };
        Ok(Admitted { message: m, _place: place })
    }

    /// Counts what is no message, such as taking up a stream again.
    ///
    /// # Errors
    /// [`OverLimit::Rate`].
    pub fn count(&self, who: PrincipalKey) -> Result<(), OverLimit> {
        self.principals.count(who)
    }

    /// The bounds of the listener.
    #[must_use]
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_section_is_the_default_and_a_zero_is_refused() {
        let config: Config = toml::from_str("").expect("an empty section");
        assert_eq!(config, Config::default());
        let limits = Limits::new(&config, None).expect("defaults");
        assert_eq!(limits.bounds().json, sekisho_wire::json::Limits::default());

        let config: Config = toml::from_str("burst = 0").expect("a section");
        let refused = Limits::new(&config, None).err();
        assert_eq!(refused, Some(ConfigError::OutOfRange { field: "burst", value: 0, min: 1, max: 100_000 }));
    }

    #[test]
    fn an_unknown_limit_is_refused() {
        assert!(toml::from_str::<Config>("bursts = 5").is_err());
    }

    #[test]
    fn a_reload_keeps_the_counts_unless_the_share_changed() {
        let config = Config::default();
        let old = Limits::new(&config, None).expect("defaults");
        let other_bounds = Config { connections_max: 5, ..config.clone() };
        let new = Limits::new(&other_bounds, Some(&old)).expect("in range");
        assert!(Arc::ptr_eq(&old.principals, &new.principals));
        assert_eq!(new.bounds().connections_max, 5);

        let other_share = Config { concurrent_max: 5, ..config };
        let new = Limits::new(&other_share, Some(&old)).expect("in range");
        assert!(!Arc::ptr_eq(&old.principals, &new.principals));
    }
}
