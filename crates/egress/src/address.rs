//! Which addresses may be connected to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// An address that is not connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressRefused {
    /// The URL does not name loopback, but its address is.
    #[error("{0} is a loopback address, which the URL does not name")]
    Loopback(IpAddr),
    /// The URL names loopback, but its address is not.
    #[error("{0} is not a loopback address, though the URL names loopback")]
    NotLoopback(IpAddr),
    /// It is in a private network, which the configuration does not permit this host.
    #[error(
        "{0} is in a private network (the URL's host is not in `internal_hosts`, and `dangerous_allow_private_networks` is off)"
    )]
    Private(IpAddr),
    /// It is link-local, shared, multicast, translated, documentation, a cloud's metadata service, or otherwise nothing that a
    /// server can be at.
    #[error("{0} is a special-purpose address")]
    Special(IpAddr),
}

/// Why an address may be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressPermitted {
    /// It is a public one.
    Public,
    /// The URL names loopback, and its address is.
    Loopback,
    /// It is in a private network, and `internal_hosts` has the URL's host.
    InternalHost,
    /// It is in a private network, and `dangerous_allow_private_networks` is on.
    PrivateNetworks,
}

impl AddressRefused {
    /// The address.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        match self {
            AddressRefused::Loopback(address)
            | AddressRefused::NotLoopback(address)
            | AddressRefused::Private(address)
            | AddressRefused::Special(address) => *address,
        }
    }
}

/// What comes behind the address in a sentence.
impl fmt::Display for AddressPermitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressPermitted::Public => "is a public address",
            AddressPermitted::Loopback => "is a loopback address, which the URL names",
            AddressPermitted::InternalHost => "is in a private network, and `internal_hosts` has the URL's host",
            AddressPermitted::PrivateNetworks => {
                "is in a private network, and `dangerous_allow_private_networks` is on"
            }
        })
    }
}

/// What a configuration says of private networks, to one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Private {
    /// This host may be there.
    Internal,
    /// Every host may.
    Everybody,
    /// This host may not.
    Refuse,
}

/// What the host of a URL says about where it leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    Loopback,
    Elsewhere,
}

impl Named {
    /// Only this very name is loopback's: RFC 6761 section 6.3 leaves the names below it to resolvers, which may ask outside.
    pub(crate) fn by(name: &str) -> Named {
        if name.eq_ignore_ascii_case("localhost") { Named::Loopback } else { Named::Elsewhere }
    }

    pub(crate) fn by_literal(address: IpAddr) -> Named {
        if address.is_loopback() { Named::Loopback } else { Named::Elsewhere }
    }
}

/// Checks one address that a host is or resolved to.
pub(crate) fn check(address: IpAddr, named: Named, private: Private) -> Result<AddressPermitted, AddressRefused> {
    match (kind(address), named) {
        (Kind::Loopback, Named::Loopback) => Ok(AddressPermitted::Loopback),
        (Kind::Public, Named::Elsewhere) => Ok(AddressPermitted::Public),
        (Kind::Loopback, Named::Elsewhere) => Err(AddressRefused::Loopback(address)),
        (Kind::Public | Kind::Private | Kind::Special, Named::Loopback) => Err(AddressRefused::NotLoopback(address)),
        (Kind::Private, Named::Elsewhere) => match private {
            Private::Internal => Ok(AddressPermitted::InternalHost),
            Private::Everybody => Ok(AddressPermitted::PrivateNetworks),
            Private::Refuse => Err(AddressRefused::Private(address)),
        },
        (Kind::Special, Named::Elsewhere) => Err(AddressRefused::Special(address)),
    }
}

/// Whether it is in a private network.
pub(crate) fn is_private(address: IpAddr) -> bool {
    match kind(address) {
        Kind::Private => true,
        Kind::Loopback | Kind::Public | Kind::Special => false,
    }
}

enum Kind {
    Loopback,
    Public,
    Private,
    Special,
}

fn kind(address: IpAddr) -> Kind {
    match address {
        IpAddr::V4(address) => kind_of_v4(address),
        IpAddr::V6(address) => kind_of_v6(address),
    }
}

fn kind_of_v4(address: Ipv4Addr) -> Kind {
    if address.is_loopback() {
        Kind::Loopback
    } else if address.is_private() {
        Kind::Private
    } else if SPECIAL_V4.iter().any(|net| net.contains(&address)) {
        Kind::Special
    } else {
        Kind::Public
    }
}

fn kind_of_v6(address: Ipv6Addr) -> Kind {
    if address.is_loopback() {
        Kind::Loopback
    } else if SPECIAL_V6.iter().any(|net| net.contains(&address)) {
        Kind::Special
    } else if UNIQUE_LOCAL.contains(&address) {
        Kind::Private
    } else if GLOBAL_UNICAST.contains(&address) {
        Kind::Public
    } else {
        // Among them every address that carries an IPv4 address in disguise: mapped ::ffff:0:0/96, compatible ::/96, and
        // translated 64:ff9b::/96 and 64:ff9b:1::/48 (RFC 4291 section 2.5.5, RFC 6052, RFC 8215); and the unspecified one, which
        // Linux connects to itself.
        Kind::Special
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), bits)
}

const fn v6(groups: [u16; 8], bits: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = groups;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), bits)
}

/// RFC 6890 and the IANA IPv4 Special-Purpose Address Registry, and metadata services beyond them.
const SPECIAL_V4: [Ipv4Net; 13] = [
    v4(0, 0, 0, 0, 8),        // this network; 0.0.0.0 connects to the own machine
    v4(100, 64, 0, 0, 10),    // shared by carriers (RFC 6598); Alibaba's metadata 100.100.100.200
    v4(168, 63, 129, 16, 32), // Azure's wire server, a public address by the registry
    v4(169, 254, 0, 0, 16),   // link-local; the metadata service of most clouds 169.254.169.254
    v4(192, 0, 0, 0, 24),     // IETF protocol assignments; Oracle's metadata 192.0.0.192
    v4(192, 0, 2, 0, 24),     // documentation
    v4(192, 88, 99, 0, 24),   // 6to4 relays
    v4(198, 18, 0, 0, 15),    // benchmarks
    v4(198, 51, 100, 0, 24),  // documentation
    v4(203, 0, 113, 0, 24),   // documentation
    v4(224, 0, 0, 0, 4),      // multicast
    v4(240, 0, 0, 0, 4),      // reserved, and broadcast
    v4(192, 31, 196, 0, 24),  // AS112
];

/// What is special within the global and unique local ranges (IANA IPv6 Special-Purpose Address Registry), and metadata services.
const SPECIAL_V6: [Ipv6Net; 11] = [
    v6([0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0], 32), // AWS's metadata fd00:ec2::254
    v6([0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0], 32), // Google's metadata fd20:ce::254
    v6([0xfd00, 0x00c1, 0, 0, 0, 0, 0xa9fe, 0xa9fe], 128), // Oracle's metadata
    v6([0xfd00, 0x0042, 0, 0, 0, 0, 0, 0x0042], 128), // Scaleway's metadata
    v6([0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1], 128), // Akamai's metadata
    v6([0xfd00, 0x0100, 0, 0, 0, 0, 0x0100, 0x0200], 128), // Alibaba's metadata
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),      // IETF protocol assignments, Teredo among them
    v6([0x2001, 0x0db8, 0, 0, 0, 0, 0, 0], 32), // documentation
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),      // 6to4: an IPv4 address in disguise
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),      // documentation
    v6([0x2620, 0x004f, 0x8000, 0, 0, 0, 0, 0], 48), // AS112
];

const UNIQUE_LOCAL: Ipv6Net = v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7);
const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(address: &str, private: Private) -> Result<AddressPermitted, AddressRefused> {
        check(address.parse().unwrap(), Named::Elsewhere, private)
    }

    #[test]
    fn public_addresses_are_permitted() {
        for address in ["1.1.1.1", "172.15.255.255", "172.32.0.0", "100.63.255.255", "100.128.0.0", "168.63.129.17"] {
            assert_eq!(verdict(address, Private::Refuse), Ok(AddressPermitted::Public), "{address}");
        }
        for address in ["2606:4700::1111", "2a00:1450:4001:81b::200e", "2001:4860:4860::8888"] {
            assert_eq!(verdict(address, Private::Refuse), Ok(AddressPermitted::Public), "{address}");
        }
    }

    #[test]
    fn private_addresses_need_a_listed_host_or_the_dangerous_option() {
        for address in ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd12:3456::1"] {
            assert!(matches!(verdict(address, Private::Refuse), Err(AddressRefused::Private(_))), "{address}");
            assert_eq!(verdict(address, Private::Internal), Ok(AddressPermitted::InternalHost), "{address}");
            assert_eq!(verdict(address, Private::Everybody), Ok(AddressPermitted::PrivateNetworks), "{address}");
            assert!(is_private(address.parse().unwrap()), "{address}");
        }
        for address in ["9.255.255.255", "11.0.0.0", "127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "fd00:ec2::254"]
        {
            assert!(!is_private(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn special_addresses_are_refused_whatever_is_configured() {
        let special = [
            "0.0.0.0",
            "0.1.2.3",
            "100.64.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "169.254.169.254",
            "169.254.0.1",
            "192.0.0.192",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:1.1.1.1",
            "::7f00:1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::a00:1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "fd00:c1::a9fe:a9fe",
            "fd00:42::42",
            "fd00:a9fe:a9fe::1",
            "fd00:100::100:200",
        ];
        for address in special {
            for private in [Private::Refuse, Private::Internal, Private::Everybody] {
                assert!(matches!(verdict(address, private), Err(AddressRefused::Special(_))), "{address}");
            }
        }
    }

    #[test]
    fn loopback_is_permitted_to_whom_names_it_and_nothing_else_is() {
        for address in ["127.0.0.1", "127.255.255.254", "::1"] {
            for private in [Private::Refuse, Private::Internal, Private::Everybody] {
                assert!(matches!(verdict(address, private), Err(AddressRefused::Loopback(_))), "{address}");
            }
            let named = check(address.parse().unwrap(), Named::Loopback, Private::Refuse);
            assert_eq!(named, Ok(AddressPermitted::Loopback), "{address}");
        }
        for address in ["1.1.1.1", "10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "2606:4700::1111"] {
            let verdict = check(address.parse().unwrap(), Named::Loopback, Private::Everybody);
            assert!(matches!(verdict, Err(AddressRefused::NotLoopback(_))), "{address}");
        }
    }
}
