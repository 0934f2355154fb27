//! What would be done with a URL, told without doing it.

use std::net::IpAddr;

use crate::address::{AddressPermitted, AddressRefused};
use crate::destination::BadDestination;
use crate::resolver::ResolveError;

/// What would be done with a URL. It proves nothing: what is sent is checked again.
#[derive(Debug)]
#[must_use]
pub enum Verdict {
    /// It may be asked, at those of these addresses that are permitted: one at least.
    Permitted(Vec<Judged>),
    /// It may not, whatever its host resolves to: no resolver was asked.
    BadDestination(BadDestination),
    /// It may not, since its host has no addresses.
    Unresolved(ResolveError),
    /// It may not, since every one of its host's addresses is refused.
    Refused(Vec<Judged>),
}

/// An address, and whether it may be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    /// The address.
    pub address: IpAddr,
    /// Why, or why not.
    pub verdict: Result<AddressPermitted, AddressRefused>,
}

impl Verdict {
    pub(crate) fn of(addresses: Vec<Judged>) -> Verdict {
        if addresses.is_empty() {
            Verdict::Unresolved(ResolveError::Nothing)
        } else if addresses.iter().any(|judged| judged.verdict.is_ok()) {
            Verdict::Permitted(addresses)
        } else {
            Verdict::Refused(addresses)
        }
    }

    /// The addresses that were judged, in the order of the resolver.
    #[must_use]
    pub fn addresses(&self) -> Vec<Judged> {
        match self {
            Verdict::Permitted(addresses) | Verdict::Refused(addresses) => addresses.clone(),
            Verdict::BadDestination(BadDestination::Address(why)) => {
                vec![Judged { address: why.address(), verdict: Err(*why) }]
            }
            Verdict::BadDestination(
                BadDestination::Scheme
                | BadDestination::UserInfo
                | BadDestination::Fragment
                | BadDestination::Dots
                | BadDestination::Authority
                | BadDestination::Unwritable,
            )
            | Verdict::Unresolved(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_permitted_address_is_enough_and_none_is_not() {
        let judged = |verdict| Judged { address: IpAddr::from([10, 0, 0, 1]), verdict };
        let good = judged(Ok(AddressPermitted::InternalHost));
        let bad = judged(Err(AddressRefused::Private(IpAddr::from([10, 0, 0, 1]))));
        assert!(matches!(Verdict::of(vec![bad, good, bad]), Verdict::Permitted(all) if all == [bad, good, bad]));
        assert!(matches!(Verdict::of(vec![bad, bad]), Verdict::Refused(all) if all == [bad, bad]));
        assert!(matches!(Verdict::of(Vec::new()), Verdict::Unresolved(ResolveError::Nothing)));
    }
}
