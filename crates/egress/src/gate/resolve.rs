//! From a permitted host to the addresses that it may be connected to.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ipnet::Ipv6Net;
use nix::ifaddrs::getifaddrs;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::address::{self, AddressRefused, Named, Private};
use crate::gate::host::{Host, Place};
use crate::gate::passage::{AddressForbidden, Failure, Outcome, Refusal};
use crate::gate::rules::Reach;

/// Asks for the addresses of a name.
pub(super) type Lookup =
    Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> + Send + Sync>;

/// The addresses of a permitted host, every one of them checked. Only what has them is connected to, and only at these: no second
/// look-up can answer otherwise (DNS rebinding).
#[derive(Debug)]
pub(super) struct Checked {
    addresses: Vec<IpAddr>,
    port: u16,
    reach: Reach,
    /// Whether the gateway has this port on this machine.
    is_own_port: bool,
}

/// Finds addresses.
pub(super) struct Resolver {
    lookup: Lookup,
    /// A look-up that took too long still has a thread.
    threads: Arc<Semaphore>,
    own_ports: Vec<u16>,
}

impl Resolver {
    pub(super) fn new(lookup: Lookup, own_ports: Vec<u16>) -> Resolver {
        Resolver { lookup, threads: Arc::new(Semaphore::new(LOOKUPS_MAX)), own_ports }
    }

    /// The addresses of the place. One that is refused refuses all: an honest name has no such address, and a look-up is not asked
    /// twice in the hope for a better one.
    pub(super) async fn check(&self, place: &Place, reach: Reach) -> Result<Checked, Outcome> {
        let found = match &place.host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => without_translations(self.look_up(name).await.map_err(Outcome::Failed)?),
        };
        if found.is_empty() {
            return Err(Outcome::Failed(Failure::NoAddress));
        }
        let refused = |why| Outcome::Refused(Refusal::Address(why));
        let own = own_addresses().map_err(|_| refused(AddressForbidden::OwnUnknown))?;
        for address in &found {
            self.check_one(place, *address, reach, &own).map_err(refused)?;
        }
        let is_own_port = self.own_ports.contains(&place.port);
        Ok(Checked { addresses: found, port: place.port, reach, is_own_port })
    }

    async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, Failure> {
        let (threads, looking) = (Arc::clone(&self.threads), (self.lookup)(name.to_owned()));
        let found = async move {
            // It is never closed.
            let thread = threads.acquire_owned().await;
            // By itself: its thread is busy until the look-up is over, whether anybody still waits for it or not.
            let found = tokio::spawn(async move {
                let found = looking.await;
                drop(thread);
                found
            });
            found.await.unwrap_or_else(|gone| Err(io::Error::other(gone)))
        };
        let found = tokio::time::timeout(LOOKUP_WITHIN, found).await.map_err(|_| Failure::LookupLate)?;
        let mut addresses = Vec::new();
        for address in found.map_err(|error| Failure::Lookup(error.kind()))? {
            if !addresses.contains(&address) && addresses.len() < ADDRESSES_MAX {
                addresses.push(address);
            }
        }
        Ok(addresses)
    }

    fn check_one(&self, place: &Place, address: IpAddr, reach: Reach, own: &[IpAddr]) -> Result<(), AddressForbidden> {
        let is_own = address.is_loopback() || own.contains(&address);
        if is_own && self.own_ports.contains(&place.port) {
            return Err(AddressForbidden::OwnPort(SocketAddr::new(address, place.port)));
        }
        let (named, private) = match (reach, &place.host) {
            (Reach::Public, _) => (Named::Elsewhere, Private::Refuse),
            (Reach::Listed, Host::Name(name)) => (Named::by(name), Private::Internal),
            (Reach::Listed, Host::Address(literal)) => (Named::by_literal(*literal), Private::Internal),
        };
        address::check(address, named, private).map_err(forbidden)?;
        match reach {
            Reach::Public if is_own => Err(AddressForbidden::Own(address)),
            Reach::Public | Reach::Listed => Ok(()),
        }
    }
}

impl Checked {
    pub(super) fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// Connects to the first of the addresses that takes it.
    pub(super) async fn connect(self) -> Result<(TcpStream, IpAddr), Outcome> {
        let deadline = Instant::now() + CONNECT_WITHIN;
        let mut failed = io::ErrorKind::TimedOut;
        for address in self.addresses {
            let patience = deadline.min(Instant::now() + CONNECT_ONE_WITHIN);
            match tokio::time::timeout_at(patience, TcpStream::connect((address, self.port))).await {
                Ok(Ok(stream)) => {
                    check_end(&stream, address, self.reach, self.is_own_port)?;
                    return Ok((stream, address));
                }
                Ok(Err(error)) => failed = error.kind(),
                Err(_) => failed = io::ErrorKind::TimedOut,
            }
        }
        Err(Outcome::Failed(Failure::Connect(failed)))
    }
}

/// Whoever talks to the own machine has its address on both ends: known even if the machine got it a moment ago.
fn check_end(stream: &TcpStream, address: IpAddr, reach: Reach, is_own_port: bool) -> Result<(), Outcome> {
    let failed = |error: io::Error| Outcome::Failed(Failure::Connect(error.kind()));
    let refused = |why| Err(Outcome::Refused(Refusal::Address(why)));
    stream.set_nodelay(true).map_err(failed)?;
    let is_own = stream.local_addr().map_err(failed)?.ip() == address;
    match (reach, is_own) {
        (Reach::Public, true) => refused(AddressForbidden::Own(address)),
        (Reach::Listed, true) if is_own_port => refused(AddressForbidden::OwnPort(stream.peer_addr().map_err(failed)?)),
        (Reach::Listed, true) | (Reach::Public | Reach::Listed, false) => Ok(()),
    }
}

/// Whether a place is the gateway by its very name.
pub(super) fn is_own_port(place: &Place, own_ports: &[u16]) -> bool {
    let is_loopback = match &place.host {
        Host::Name(name) => Named::by(name),
        Host::Address(address) => Named::by_literal(*address),
    } == Named::Loopback;
    is_loopback && own_ports.contains(&place.port)
}

/// The system's resolver.
pub(super) fn system() -> Lookup {
    Arc::new(|name| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, ANY_PORT)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

/// Networks with DNS64 (RFC 6147) give the translation of an address beside the address. The translation is never connected to, and
/// is no reason to refuse the address that it stands for.
fn without_translations(found: Vec<IpAddr>) -> Vec<IpAddr> {
    let stands_by_itself = |address: &IpAddr| translated(*address).is_none_or(|of| !found.contains(&of));
    found.iter().copied().filter(stands_by_itself).collect()
}

fn translated(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V6(address) if WELL_KNOWN_PREFIX.contains(&address) => {
            let [.., a, b, c, d] = address.octets();
            Some(Ipv4Addr::new(a, b, c, d).into())
        }
        IpAddr::V6(_) | IpAddr::V4(_) => None,
    }
}

fn own_addresses() -> io::Result<Vec<IpAddr>> {
    let address = |storage: &nix::sys::socket::SockaddrStorage| {
        let v4 = storage.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| storage.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    };
    Ok(getifaddrs()?.filter_map(|interface| interface.address.as_ref().and_then(address)).collect())
}

fn forbidden(why: AddressRefused) -> AddressForbidden {
    match why {
        AddressRefused::Loopback(address) => AddressForbidden::Loopback(address),
        AddressRefused::NotLoopback(address) => AddressForbidden::NotLoopback(address),
        AddressRefused::Private(address) => AddressForbidden::Private(address),
        AddressRefused::Special(address) => AddressForbidden::Special(address),
    }
}

/// RFC 6052 section 2.1.
const WELL_KNOWN_PREFIX: Ipv6Net = Ipv6Net::new_assert(std::net::Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);
const LOOKUP_WITHIN: Duration = Duration::from_secs(5);
const LOOKUPS_MAX: usize = 16;
const ADDRESSES_MAX: usize = 64;
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
const CONNECT_ONE_WITHIN: Duration = Duration::from_secs(3);
/// The look-up wants a port and gives it back.
const ANY_PORT: u16 = 0;

#[cfg(test)]
mod tests;
