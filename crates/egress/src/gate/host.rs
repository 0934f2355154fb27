//! Hosts and ports as requests and rules write them, in one spelling.

use std::fmt;
use std::net::IpAddr;

use crate::internal::{is_name, without_last_dot};

/// A host in its one spelling: whatever leads to the same place is equal to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Host {
    /// In lower case, IDNA done, without the dot that may end it.
    Name(String),
    Address(IpAddr),
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) host: Host,
    pub(crate) port: u16,
}

/// Why a text is no host, or no host and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPlace {
    /// The host is no name and no address.
    #[error("the host is neither a name nor an address")]
    Host,
    /// There is no port where one must be.
    #[error("there is no port")]
    NoPort,
    /// The port is no number from 1 to 65535, written without a sign and leading zeros.
    #[error("the port is no number from 1 to 65535")]
    Port,
}

impl Host {
    /// The URL standard's parser turns every way to write an address (octal, hexadecimal, shortened, in other scripts' digits, with a
    /// dot behind it) into the address, and every name into one spelling but for its last dot.
    pub(crate) fn parse(text: &str) -> Result<Host, BadPlace> {
        // What it would decode or cut off never gets to it: no client needs percent signs in a host.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') || !c.is_ascii();
        let is_address = text.starts_with('[');
        if text.len() > TEXT_BYTES_MAX || !(is_address || text.chars().all(is_plain)) {
            return Err(BadPlace::Host);
        }
        match url::Host::parse(text).map_err(|_| BadPlace::Host)? {
            url::Host::Ipv4(address) => Ok(Host::Address(address.into())),
            url::Host::Ipv6(address) => Ok(Host::Address(address.into())),
            url::Host::Domain(name) => match without_last_dot(&name) {
                name if is_name(name) => Ok(Host::Name(name.to_owned())),
                _ => Err(BadPlace::Host),
            },
        }
    }
}

impl Place {
    /// `host:port`.
    pub(crate) fn parse(text: &str) -> Result<Place, BadPlace> {
        match split(text)? {
            (host, Some(port)) => Ok(Place { host: Host::parse(host)?, port: parse_port(port)? }),
            (_, None) => Err(BadPlace::NoPort),
        }
    }

    /// `host:port`, or `host` alone.
    pub(crate) fn parse_or(text: &str, port_default: u16) -> Result<Place, BadPlace> {
        let (host, port) = split(text)?;
        Ok(Place { host: Host::parse(host)?, port: port.map_or(Ok(port_default), parse_port)? })
    }
}

/// Host and port as they are written.
pub(super) fn split(text: &str) -> Result<(&str, Option<&str>), BadPlace> {
    if text.starts_with('[') {
        let (host, rest) = text
            .split_inclusive(']')
            .next()
            .map_or((text, ""), |host| (host, text.strip_prefix(host).unwrap_or_default()));
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(BadPlace::Host),
        };
    }
    match text.split_once(':') {
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((text, None)),
    }
}

pub(super) fn parse_port(text: &str) -> Result<u16, BadPlace> {
    // `parse` alone would take `+443` and `0443`, too.
    let is_canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    let port = if is_canonical { text.parse().ok() } else { None };
    port.ok_or(BadPlace::Port)
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Address(IpAddr::V4(address)) => address.fmt(f),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A name of 253 bytes with its last dot, and as much again for scripts that IDNA makes shorter.
const TEXT_BYTES_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> String {
        Host::parse(text).map_or_else(|error| error.to_string(), |host| host.to_string())
    }

    #[test]
    fn every_spelling_of_an_address_is_the_address() {
        for (spelling, address) in [
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.1.", "127.0.0.1"),
            ("0x7f.1", "127.0.0.1"),
            ("0X7F.0.0.1", "127.0.0.1"),
            ("0177.0.0.1", "127.0.0.1"),
            ("2130706433", "127.0.0.1"),
            ("0x7f000001", "127.0.0.1"),
            ("127.1", "127.0.0.1"),
            ("１２７.0.0.1", "127.0.0.1"),
            ("127。0。0。1", "127.0.0.1"),
            ("①②⑦.0.0.1", "127.0.0.1"),
            ("0", "0.0.0.0"),
            ("2852039166", "169.254.169.254"),
            ("[::1]", "[::1]"),
            ("[0:0::0:1]", "[::1]"),
            ("[::FFFF:127.0.0.1]", "[::ffff:127.0.0.1]"),
            ("[::ffff:7f00:1]", "[::ffff:127.0.0.1]"),
        ] {
            assert_eq!(host(spelling), address, "{spelling}");
        }
    }

    #[test]
    fn every_spelling_of_a_name_is_the_name() {
        for (spelling, name) in [
            ("api.github.com", "api.github.com"),
            ("API.GitHub.com.", "api.github.com"),
            ("ａｐｉ.github.com", "api.github.com"),
            ("api。github．com", "api.github.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("LOCALHOST.", "localhost"),
            ("a_b.example", "a_b.example"),
        ] {
            assert_eq!(host(spelling), name, "{spelling}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let long_label = format!("{}.example", "a".repeat(64));
        let long_name = format!("{}b", "a.".repeat(127));
        for text in [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a..",
            "localhost..",
            "a b",
            "a@b",
            "a/b",
            "a\\b",
            "a%2eb",
            "%61",
            "a:b",
            "::1",
            "[::1",
            "::1]",
            "[fe80::1%eth0]",
            "[::1]x",
            "a\0b",
            "a\u{202e}b",
            "1.2.3.4.5",
            "256.1.1.1",
            "0x1g.1.1.1",
            "*",
            "*.example",
            &long_label,
            &long_name,
        ] {
            assert_eq!(Host::parse(text), Err(BadPlace::Host), "{text}");
        }
        let longest = format!("{}b", "a.".repeat(126));
        assert_eq!((longest.len(), host(&longest) == longest), (253, true));
    }

    #[test]
    fn port_is_a_number_in_its_one_spelling() {
        for (text, port) in [("a.b:1", 1), ("a.b:65535", 65535), ("[::1]:443", 443)] {
            assert_eq!(Place::parse(text).unwrap().port, port, "{text}");
        }
        for text in ["a.b:0", "a.b:65536", "a.b:", "a.b:+443", "a.b:0443", "a.b: 443", "a.b:443:1", "a.b:x", "[::1]:"] {
            assert_eq!(Place::parse(text), Err(BadPlace::Port), "{text}");
        }
        for text in ["a.b", "[::1]"] {
            assert_eq!(Place::parse(text), Err(BadPlace::NoPort), "{text}");
            assert_eq!(Place::parse_or(text, 80).unwrap().port, 80, "{text}");
        }
        assert_eq!(Place::parse("::1:443"), Err(BadPlace::Host), "an IPv6 address without brackets");
        assert_eq!(Place::parse("[::1]443"), Err(BadPlace::Host));
    }
}
