//! How many register, of everybody together and of each address. Anybody can ask, so this comes before anything is read.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota};

use crate::registration::RegistrationError;

/// The rates of registration.
pub(crate) struct Rates {
    clock: DefaultClock,
    all: DefaultDirectRateLimiter,
    each: DefaultKeyedRateLimiter<IpAddr>,
}

/// The proof that one more may register now.
#[derive(Debug)]
pub(crate) struct InRate(());

impl Rates {
    pub(crate) fn new(per_minute: NonZeroU32) -> Rates {
        let share = NonZeroU32::new(per_minute.get() / SHARE).unwrap_or(NonZeroU32::MIN);
        Rates {
            clock: DefaultClock::default(),
            all: DefaultDirectRateLimiter::direct(Quota::per_minute(per_minute)),
            each: DefaultKeyedRateLimiter::dashmap(Quota::per_minute(share)),
        }
    }

    /// Counts one. First that of the address: whoever is past its share takes nothing away from others.
    pub(crate) fn count(&self, from: Option<IpAddr>) -> Result<InRate, RegistrationError> {
        let now = self.clock.now();
        if let Some(from) = from.map(network) {
            self.forget_the_idle()?;
            self.each.check_key(&from).map_err(|until| wait(until.wait_time_from(now)))?;
        }
        self.all.check().map_err(|until| wait(until.wait_time_from(now)))?;
        Ok(InRate(()))
    }

    fn forget_the_idle(&self) -> Result<(), RegistrationError> {
        if self.each.len() >= ADDRESSES_MAX {
            self.each.retain_recent();
        }
        if self.each.len() < ADDRESSES_MAX { Ok(()) } else { Err(wait(Duration::from_secs(60))) }
    }
}

impl std::fmt::Debug for Rates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rates")
    }
}

/// Whoever has one IPv6 address has the 2^64 of its network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & NETWORK).into(),
    }
}

fn wait(time: Duration) -> RegistrationError {
    let seconds = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
    RegistrationError::Rate { retry_after_s: u32::try_from(seconds).unwrap_or(u32::MAX).max(1) }
}

const NETWORK: u128 = !(u128::MAX >> 64);
/// One address has this part of the whole.
const SHARE: u32 = 3;
/// LIMIT: addresses that are counted. Past that, nobody with an address registers until some have been idle.
const ADDRESSES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_from_one_address_leaves_room_for_others_and_one_from_many_has_an_end() {
        let rates = Rates::new(NonZeroU32::new(9).unwrap());
        let from = |text: &str| Some(text.parse().unwrap());
        for _ in 0..3 {
            assert!(rates.count(from("192.0.2.1")).is_ok());
        }
        for same in ["192.0.2.1", "::ffff:192.0.2.1"] {
            for _ in 0..100 {
                let refused = rates.count(from(same)).unwrap_err();
                assert!(matches!(refused, RegistrationError::Rate { retry_after_s: 1..=20 }), "{refused:?}");
            }
        }
        for host in ["2001:db8::1", "2001:db8::2", "2001:db8::ffff:3"] {
            assert!(rates.count(from(host)).is_ok(), "{host}");
        }
        assert!(rates.count(from("2001:db8::4")).is_err(), "one network");
        assert!(rates.count(from("2001:db8:0:1::4")).is_ok(), "another network");
        assert!(rates.count(None).is_ok() && rates.count(None).is_ok());
        assert!(rates.count(None).is_err() && rates.count(from("192.0.2.9")).is_err(), "all together");
    }

    #[test]
    fn no_more_addresses_are_counted_than_there_is_room_for() {
        let rates = Rates::new(NonZeroU32::MAX);
        let address = |n: usize| Some(IpAddr::V4(std::net::Ipv4Addr::from_bits(u32::try_from(n).unwrap())));
        for n in 0..ADDRESSES_MAX {
            assert!(rates.count(address(n)).is_ok(), "{n}");
        }
        let one_more = rates.count(address(ADDRESSES_MAX));
        // Those that came first may be idle again, as the share of one is large.
        assert!(rates.each.len() <= ADDRESSES_MAX, "{one_more:?}");
    }
}
