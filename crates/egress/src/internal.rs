//! Which hosts may be in private networks, and what else a configuration permits.

use std::fmt;
use std::net::IpAddr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use url::Host;

use crate::address::{self, AddressPermitted, AddressRefused, Named, Private};
use crate::config::Config;

/// Hosts that may be at private addresses, as an operator lists them: by exact name, or by the address itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<InternalHost>")]
pub struct InternalHosts(Vec<InternalHost>);

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
enum InternalHost {
    /// Without the dot that may end it.
    Name(String),
    Address(IpAddr),
}

/// Why a list of internal hosts is refused. No variant repeats an entry: it may be a URL with a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadInternalHosts {
    /// An entry has nothing in it.
    #[error("an internal host must not be empty")]
    Empty,
    /// An entry stands for more than one name.
    #[error("an internal host must not have a wildcard: list every name")]
    Wildcard,
    /// An entry could never be equal to the host of a URL.
    #[error("an internal host must be in lower case")]
    UpperCase,
    /// An entry is more or less than a host.
    #[error(
        "an internal host must be a name such as `idp.corp.example`, or an address such as `10.1.2.3` or `fd12::1`, without scheme, port and path"
    )]
    NoHost,
    /// An entry is loopback's name, which leads to loopback alone.
    #[error("`localhost` needs no permission to be on loopback, and has none to be elsewhere")]
    Loopback,
    /// An entry is an address that no list can permit, or that needs none.
    #[error("{0} is no private address: those are in 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 and fc00::/7")]
    NotPrivate(IpAddr),
    /// There are too many.
    #[error("there are {count} internal hosts, limit is {count_max}")]
    TooMany {
        /// How many.
        count: usize,
        /// How many there may be.
        count_max: usize,
    },
}

/// What a configuration permits.
#[derive(Debug)]
pub(crate) struct Rules {
    internal: InternalHosts,
    /// To hosts that are not internal.
    private: Private,
}

impl Rules {
    pub(crate) fn of(config: &Config) -> Rules {
        let private = if config.dangerous_allow_private_networks { Private::Everybody } else { Private::Refuse };
        Rules { internal: config.internal_hosts.clone(), private }
    }

    /// Checks an address that a name resolved to.
    pub(crate) fn check_resolved(&self, name: &str, address: IpAddr) -> Result<AddressPermitted, AddressRefused> {
        address::check(address, Named::by(name), self.private(|host| host.is_named(name)))
    }

    /// Checks an address that stands in a URL itself.
    pub(crate) fn check_literal(&self, address: IpAddr) -> Result<AddressPermitted, AddressRefused> {
        address::check(
            address,
            Named::by_literal(address),
            self.private(|host| *host == InternalHost::Address(address)),
        )
    }

    fn private(&self, is_it: impl Fn(&InternalHost) -> bool) -> Private {
        if self.internal.0.iter().any(is_it) { Private::Internal } else { self.private }
    }
}

impl InternalHost {
    fn is_named(&self, name: &str) -> bool {
        match self {
            InternalHost::Name(listed) => listed.eq_ignore_ascii_case(without_last_dot(name)),
            // A name that resolves to a listed address is not what was listed.
            InternalHost::Address(_) => false,
        }
    }
}

impl TryFrom<Vec<InternalHost>> for InternalHosts {
    type Error = BadInternalHosts;

    fn try_from(hosts: Vec<InternalHost>) -> Result<InternalHosts, BadInternalHosts> {
        match hosts.len() {
            count if count > HOSTS_MAX => Err(BadInternalHosts::TooMany { count, count_max: HOSTS_MAX }),
            _ => Ok(InternalHosts(hosts)),
        }
    }
}

impl TryFrom<&str> for InternalHost {
    type Error = BadInternalHosts;

    fn try_from(text: &str) -> Result<InternalHost, BadInternalHosts> {
        if text.is_empty() {
            return Err(BadInternalHosts::Empty);
        }
        if text.contains('*') {
            return Err(BadInternalHosts::Wildcard);
        }
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(BadInternalHosts::UpperCase);
        }
        if let Ok(address) = text.parse() {
            let is_private = address::is_private(address);
            return if is_private {
                Ok(InternalHost::Address(address))
            } else {
                Err(BadInternalHosts::NotPrivate(address))
            };
        }
        let name = without_last_dot(text);
        // The URL standard's parser has the last word: to it, `10.1` and `0x7f.1` are addresses.
        let parsed = Host::parse(name).map_err(|_| BadInternalHosts::NoHost)?;
        if !is_name(name) || parsed != Host::Domain(name.to_owned()) {
            return Err(BadInternalHosts::NoHost);
        }
        match Named::by(name) {
            Named::Loopback => Err(BadInternalHosts::Loopback),
            Named::Elsewhere => Ok(InternalHost::Name(name.to_owned())),
        }
    }
}

impl<'de> Deserialize<'de> for InternalHost {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<InternalHost, D::Error> {
        deserializer.deserialize_str(Entry)
    }
}

/// Refuses an entry while it is read, so that the place of the error is the entry and not the list.
struct Entry;

impl Visitor<'_> for Entry {
    type Value = InternalHost;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a host name or a private address")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<InternalHost, E> {
        InternalHost::try_from(text).map_err(E::custom)
    }
}

impl From<InternalHost> for String {
    fn from(host: InternalHost) -> String {
        match host {
            InternalHost::Name(name) => name,
            InternalHost::Address(address) => address.to_string(),
        }
    }
}

/// A name that ends in a dot is the same name, looked up in no domain but its own (RFC 1034 section 3.1).
pub(crate) fn without_last_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

pub(crate) fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    name.len() <= NAME_BYTES_MAX && name.split('.').all(is_label)
}

const HOSTS_MAX: usize = 64;
/// RFC 1035 section 2.3.4, as text.
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(entries: &[&str]) -> Result<InternalHosts, BadInternalHosts> {
        let hosts: Result<Vec<_>, _> = entries.iter().map(|entry| InternalHost::try_from(*entry)).collect();
        InternalHosts::try_from(hosts?)
    }

    fn rules(entries: &[&str]) -> Rules {
        Rules::of(&Config { internal_hosts: listed(entries).unwrap(), ..Config::default() })
    }

    #[test]
    fn names_and_private_addresses_are_taken_and_all_else_is_refused() {
        let long = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "a".repeat(61));
        for good in ["idp.corp.example", "idp", "idp.corp.example.", "xn--bcher-kva.example", "a_b.example", &long] {
            assert!(listed(&[good]).is_ok(), "{good}");
        }
        for good in ["10.0.0.0", "172.31.255.255", "192.168.1.1", "fd12::1", "fd12:0:0::1"] {
            assert!(listed(&[good]).is_ok(), "{good}");
        }
        assert_eq!(listed(&[""]), Err(BadInternalHosts::Empty));
        for wild in ["*", "*.corp.example", "10.0.0.*"] {
            assert_eq!(listed(&[wild]), Err(BadInternalHosts::Wildcard), "{wild}");
        }
        for upper in ["Idp.corp.example", "IDP", "FD12::1"] {
            assert_eq!(listed(&[upper]), Err(BadInternalHosts::UpperCase), "{upper}");
        }
        for loopback in ["localhost", "localhost."] {
            assert_eq!(listed(&[loopback]), Err(BadInternalHosts::Loopback), "{loopback}");
        }
        let no_hosts = [
            "https://idp.corp.example",
            "idp.corp.example:443",
            "idp.corp.example/path",
            "ann:hunter2@idp.corp.example",
            "idp..example",
            ".example",
            ".",
            "idp.corp.example..",
            "idp corp",
            "id\u{301}p.example",
            "１０.0.0.1",
            "%31%30.0.0.1",
            "10.0.0.0/8",
            "10.1",
            "10.0.0.1.",
            "0xa.0.0.1",
            "012.0.0.1",
            "167772161",
            "[fd12::1]",
            "fd12::1%eth0",
            "xn--a",
            &format!("{long}a"),
            &"a".repeat(64),
        ];
        for bad in no_hosts {
            let refused = listed(&[bad]).unwrap_err();
            assert_eq!(refused, BadInternalHosts::NoHost, "{bad}");
            assert!(!refused.to_string().contains("hunter2"));
        }
        let never =
            ["127.0.0.1", "::1", "1.1.1.1", "169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::a00:1", "fd00:ec2::254"];
        for never in never {
            assert!(matches!(listed(&[never]), Err(BadInternalHosts::NotPrivate(_))), "{never}");
        }
    }

    #[test]
    fn as_many_as_the_bound_are_taken_and_one_past_is_refused() {
        assert!(listed(&["idp"; HOSTS_MAX]).is_ok());
        let refused = listed(&["idp"; HOSTS_MAX + 1]);
        assert_eq!(refused, Err(BadInternalHosts::TooMany { count: 65, count_max: 64 }));
    }

    #[test]
    fn listed_name_may_be_at_private_addresses_and_no_other_name_may() {
        let rules = rules(&["idp.corp.example"]);
        let private: IpAddr = "10.1.2.3".parse().unwrap();
        for name in ["idp.corp.example", "idp.corp.example.", "IDP.corp.example"] {
            assert_eq!(rules.check_resolved(name, private), Ok(AddressPermitted::InternalHost), "{name}");
            let public = rules.check_resolved(name, "1.1.1.1".parse().unwrap());
            assert_eq!(public, Ok(AddressPermitted::Public), "{name}");
        }
        let others =
            ["corp.example", "a.idp.corp.example", "idp.corp.example.evil.example", "idp.corp.example..", "idp"];
        for name in others {
            assert_eq!(rules.check_resolved(name, private), Err(AddressRefused::Private(private)), "{name}");
        }
        assert_eq!(
            rules.check_literal(private),
            Err(AddressRefused::Private(private)),
            "what a name is at is not listed"
        );
    }

    #[test]
    fn listed_address_may_be_in_a_url_and_no_name_and_no_neighbour_may_lead_there() {
        let rules = rules(&["10.1.2.3", "fd12::1"]);
        for listed in ["10.1.2.3", "fd12:0::1"] {
            let address: IpAddr = listed.parse().unwrap();
            assert_eq!(rules.check_literal(address), Ok(AddressPermitted::InternalHost), "{listed}");
            assert_eq!(rules.check_resolved("mcp.example", address), Err(AddressRefused::Private(address)), "{listed}");
        }
        for neighbour in ["10.1.2.4", "fd12::2"] {
            assert!(
                matches!(rules.check_literal(neighbour.parse().unwrap()), Err(AddressRefused::Private(_))),
                "{neighbour}"
            );
        }
    }

    #[test]
    fn listed_name_leads_to_no_loopback_and_no_special_address() {
        let rules = rules(&["idp.corp.example", "metadata.google.internal"]);
        for name in ["idp.corp.example", "metadata.google.internal", "metadata.google.internal."] {
            for loopback in ["127.0.0.1", "::1"] {
                let refused = rules.check_resolved(name, loopback.parse().unwrap());
                assert!(matches!(refused, Err(AddressRefused::Loopback(_))), "{name} {loopback}");
            }
            for special in ["169.254.169.254", "fd00:ec2::254", "fe80::1", "224.0.0.1", "::ffff:10.0.0.1", "0.0.0.0"] {
                let refused = rules.check_resolved(name, special.parse().unwrap());
                assert!(matches!(refused, Err(AddressRefused::Special(_))), "{name} {special}");
            }
        }
    }
}
