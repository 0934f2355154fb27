//! Names to addresses, checked before anything connects to them.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

use crate::address::{self, AddressRefused, Named, Private};

/// Why a name leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The system's resolver failed.
    #[error("the host name cannot be resolved")]
    Lookup(#[source] io::Error),
    /// The name has no address at all.
    #[error("the host name has no address")]
    Nothing,
    /// All its addresses are refused; this is why the last one is.
    #[error("the host name leads to no address that may be connected to")]
    Refused(#[source] AddressRefused),
}

/// The system's resolver, and a filter behind it. What passes is connected to as it is: no second look-up can answer otherwise
/// (DNS rebinding).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resolver {
    pub(crate) private: Private,
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = ResolveError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ResolveError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ResolveError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let private = self.private;
        Box::pin(async move {
            // Port 0 stands for the port of the request.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(ResolveError::Lookup)?;
            permitted(name.as_str(), found, private).map(Vec::into_iter)
        })
    }
}

/// The addresses that may be connected to. One among refused ones still is: networks with DNS64 (RFC 6147) give a translated
/// address, which we refuse, beside the server's own.
fn permitted(
    name: &str,
    found: impl Iterator<Item = SocketAddr>,
    private: Private,
) -> Result<Vec<SocketAddr>, ResolveError> {
    let named = Named::by(name);
    let mut permitted = Vec::new();
    let mut refused = None;
    for address in found.take(ADDRESSES_MAX) {
        match address::check(address.ip(), named, private) {
            Ok(()) => permitted.push(address),
            Err(why) => {
                tracing::warn!(host = name, %why, "an address of the host is not connected to");
                refused = Some(why);
            }
        }
    }
    match (permitted.is_empty(), refused) {
        (false, _) => Ok(permitted),
        (true, Some(why)) => Err(ResolveError::Refused(why)),
        (true, None) => Err(ResolveError::Nothing),
    }
}

const ADDRESSES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, addresses: &[&str]) -> Result<Vec<String>, ResolveError> {
        let found = addresses.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 0));
        let kept = permitted(name, found, Private::Refuse)?;
        Ok(kept.into_iter().map(|address| address.ip().to_string()).collect())
    }

    #[test]
    fn public_name_that_resolves_inwards_is_refused() {
        for address in
            ["127.0.0.1", "::1", "10.0.0.1", "169.254.169.254", "fd00:ec2::254", "::ffff:10.0.0.1", "0.0.0.0"]
        {
            assert!(matches!(of("mcp.example", &[address]), Err(ResolveError::Refused(_))), "{address}");
        }
        assert_eq!(of("mcp.example", &["1.1.1.1"]).unwrap(), ["1.1.1.1"]);
    }

    #[test]
    fn only_the_permitted_addresses_of_a_name_are_left() {
        assert_eq!(of("mcp.example", &["64:ff9b::101:101", "127.0.0.1", "1.1.1.1"]).unwrap(), ["1.1.1.1"]);
    }

    #[test]
    fn localhost_leads_to_loopback_alone() {
        assert_eq!(of("localhost", &["1.1.1.1", "::1", "127.0.0.1"]).unwrap(), ["::1", "127.0.0.1"]);
        assert!(matches!(of("localhost", &["1.1.1.1"]), Err(ResolveError::Refused(_))));
    }

    #[test]
    fn name_without_addresses_is_refused() {
        assert!(matches!(of("mcp.example", &[]), Err(ResolveError::Nothing)));
    }
}
