//! Names to addresses, checked before anything connects to them.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

use crate::address::AddressRefused;
use crate::internal::Rules;
use crate::verdict::Judged;

/// Why a name leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The system's resolver failed.
    #[error("the host name cannot be resolved")]
    Lookup(#[source] io::Error),
    /// The system's resolver took too long.
    #[error("the host name was not resolved in time")]
    Late,
    /// The name has no address at all.
    #[error("the host name has no address")]
    Nothing,
    /// All its addresses are refused; this is why the last one is.
    #[error("the host name leads to no address that may be connected to")]
    Refused(#[source] AddressRefused),
}

/// The system's resolver, and a filter behind it. What passes is connected to as it is: no second look-up can answer otherwise
/// (DNS rebinding).
#[derive(Debug, Clone)]
pub(crate) struct Resolver(pub(crate) Arc<Rules>);

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = ResolveError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ResolveError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ResolveError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let rules = Arc::clone(&self.0);
        Box::pin(async move {
            let judged = judged(name.as_str(), &rules).await?;
            permitted(name.as_str(), judged).map(Vec::into_iter)
        })
    }
}

/// The addresses of a name, each with its verdict.
pub(crate) async fn judged(name: &str, rules: &Rules) -> Result<Vec<Judged>, ResolveError> {
    let found = tokio::net::lookup_host((name, ANY_PORT)).await.map_err(ResolveError::Lookup)?;
    Ok(judge(name, found.map(|address| address.ip()), rules))
}

fn judge(name: &str, found: impl Iterator<Item = IpAddr>, rules: &Rules) -> Vec<Judged> {
    let judged = |address| Judged { address, verdict: rules.check_resolved(name, address) };
    found.take(ADDRESSES_MAX).map(judged).collect()
}

/// The addresses that may be connected to. One among refused ones still is: networks with DNS64 (RFC 6147) give a translated
/// address, which we refuse, beside the server's own.
fn permitted(name: &str, judged: Vec<Judged>) -> Result<Vec<SocketAddr>, ResolveError> {
    let mut permitted = Vec::new();
    let mut refused = None;
    for Judged { address, verdict } in judged {
        match verdict {
            Ok(_why) => permitted.push(SocketAddr::new(address, ANY_PORT)),
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
/// Stands for the port of the request.
const ANY_PORT: u16 = 0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn of(name: &str, addresses: &[&str]) -> Result<Vec<String>, ResolveError> {
        of_with(&Config::default(), name, addresses)
    }

    fn of_with(config: &Config, name: &str, addresses: &[&str]) -> Result<Vec<String>, ResolveError> {
        let found = addresses.iter().map(|address| address.parse().unwrap());
        let kept = permitted(name, judge(name, found, &Rules::of(config)))?;
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
        // Other rooms know loopback by the one spelling; no other may lead there.
        for spelling in ["localhost.", "localhost..", "a.localhost", "localhost.localdomain", "ip6-localhost"] {
            assert!(matches!(of(spelling, &["127.0.0.1", "::1"]), Err(ResolveError::Refused(_))), "{spelling}");
        }
    }

    #[test]
    fn internal_name_leads_to_private_and_public_addresses_alone() {
        let config: Config = toml::from_str("internal_hosts = ['idp.corp.example']").unwrap();
        let everything = ["127.0.0.1", "10.0.0.1", "169.254.169.254", "1.1.1.1", "fd00:ec2::254", "fd12::1"];
        let led = |name| of_with(&config, name, &everything).unwrap();
        assert_eq!(led("idp.corp.example"), ["10.0.0.1", "1.1.1.1", "fd12::1"]);
        assert_eq!(led("idp.corp.example."), ["10.0.0.1", "1.1.1.1", "fd12::1"]);
        assert_eq!(led("mcp.corp.example"), ["1.1.1.1"]);
        let refused = of_with(&config, "idp.corp.example", &["169.254.169.254", "127.0.0.1"]);
        assert!(matches!(refused, Err(ResolveError::Refused(_))), "{refused:?}");
    }

    #[test]
    fn name_without_addresses_is_refused() {
        assert!(matches!(of("mcp.example", &[]), Err(ResolveError::Nothing)));
    }
}
