//! Where a caged server may go, as a configuration says it.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::address::{self, AddressRefused, Named, Private};
use crate::gate::host::{self, BadPlace, Host, Place};

/// What goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Via {
    /// A tunnel of TLS for the very name that was asked for.
    Tls,
    /// A tunnel of any bytes.
    Tcp,
    /// One plain HTTP request and its answer.
    Http,
}

/// A host and port that a server in a cage may reach at public addresses: `api.github.com:443`, or `api.github.com` for the same;
/// `*.example.com:443` for exactly one label more, `**.example.com:443` for one or more, neither for `example.com` itself;
/// `1.1.1.1:443`; `tcp://db.example.com:5432` where it is not TLS that is spoken; `http://example.com:80` for plain HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRule {
    via: Via,
    hosts: Hosts,
    port: u16,
}

/// A host and port that a server in a cage may reach at a private or loopback address, exactly: `localhost:8443`, `10.0.0.5:443`,
/// `tcp://db.corp.example:5432`, `http://localhost:8080`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateHost {
    via: Via,
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    One(Host),
    /// Those with exactly one label more than this name.
    OneLabelBelow(String),
    /// Those with at least one label more than this name.
    Below(String),
}

/// Why a text is no rule. No variant repeats it: it may be a URL with a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadHostRule {
    /// Its scheme means nothing here.
    #[error(
        "a rule for a host is written `name:port` for TLS, `tcp://name:port` for any bytes or `http://name:port` for plain HTTP, without path or user"
    )]
    Shape,
    /// Its host or port is none.
    #[error("a rule for a host is written `name:port`, as in `api.github.com:443`")]
    Place(#[source] BadPlace),
    /// A wildcard stands elsewhere than in front, or where it may not.
    #[error("a wildcard is a whole label in front of a name, `*.example.com` or `**.example.com`, and nothing else")]
    Wildcard,
    /// A wildcard would cover a whole top-level domain.
    #[error("a wildcard needs a name of two labels at least behind it: `*.example.com`, not `*.com`")]
    WildcardTooWide,
    /// A tunnel of any bytes needs one exact name.
    #[error("a `tcp://` rule needs one exact host: nothing else is checked of what goes there")]
    WildcardTcp,
    /// It names a private host where public ones are named.
    #[error("`localhost`, loopback and private addresses belong into `dangerous_private_hosts`")]
    Private,
    /// It names an address that nothing can permit.
    #[error("{0} is link-local, a cloud's metadata service or otherwise special: no rule can permit it")]
    Special(IpAddr),
    /// It names a public address where private ones are named.
    #[error("{0} is a public address: it belongs into `hosts`")]
    Public(IpAddr),
    /// A private host is named exactly.
    #[error("a private host is named exactly, with its port and without wildcards, as in `localhost:5432`")]
    PrivateInexact,
    /// It writes an address in another way than the usual one.
    #[error("write the address as {0}")]
    Spelling(IpAddr),
}

/// What a rule permits: to be at which addresses, to speak what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Permission {
    pub(super) via: Via,
    pub(super) reach: Reach,
}

/// Which addresses a permitted host may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    Public,
    /// Private ones and, if it is named by `localhost` or by the address, loopback.
    Listed,
}

impl Permission {
    /// By the rules that cover the place. Where it is listed as private, what is said there counts alone: two rules do not permit
    /// together what neither does. A tunnel of any bytes may be one of TLS, too.
    pub(super) fn of(
        hosts: &[HostRule],
        private_hosts: &[PrivateHost],
        place: &Place,
        asked: Asking,
    ) -> Option<Permission> {
        let listed = private_hosts.iter().filter(|rule| rule.place == *place).map(|rule| rule.via);
        let public = hosts.iter().filter(|rule| rule.covers(place)).map(|rule| rule.via);
        let permission = |via, reach| Permission { via, reach };
        widest(listed, asked)
            .map(|via| permission(via, Reach::Listed))
            .or_else(|| widest(public, asked).map(|via| permission(via, Reach::Public)))
    }
}

/// What goes through by the widest of these that fits what was asked.
fn widest(rules: impl Iterator<Item = Via>, asked: Asking) -> Option<Via> {
    let fits = |via: &Via| match (asked, via) {
        (Asking::Tunnel, Via::Tls | Via::Tcp) | (Asking::Plain, Via::Http) => true,
        (Asking::Tunnel, Via::Http) | (Asking::Plain, Via::Tls | Via::Tcp) => false,
    };
    rules.filter(fits).reduce(|first, second| if second == Via::Tcp { second } else { first })
}

/// What a client asks the gate for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asking {
    Tunnel,
    Plain,
}

impl HostRule {
    fn covers(&self, place: &Place) -> bool {
        self.port == place.port
            && match (&self.hosts, &place.host) {
                (Hosts::One(host), asked) => host == asked,
                (Hosts::OneLabelBelow(name), Host::Name(asked)) => {
                    below(asked, name).is_some_and(|labels| !labels.contains('.'))
                }
                (Hosts::Below(name), Host::Name(asked)) => below(asked, name).is_some(),
                (Hosts::OneLabelBelow(_) | Hosts::Below(_), Host::Address(_)) => false,
            }
    }
}

/// The labels that a name has in front of another, at least one of them.
fn below<'a>(name: &'a str, apex: &str) -> Option<&'a str> {
    name.strip_suffix(apex)?.strip_suffix('.').filter(|labels| !labels.is_empty())
}

impl PrivateHost {
    pub(super) fn place(&self) -> &Place {
        &self.place
    }
}

impl FromStr for HostRule {
    type Err = BadHostRule;

    fn from_str(text: &str) -> Result<HostRule, BadHostRule> {
        let (via, authority) = scheme(text)?;
        let (host, port) = host::split(authority).map_err(BadHostRule::Place)?;
        let port = match (port, via) {
            (Some(port), _) => host::parse_port(port).map_err(BadHostRule::Place)?,
            (None, Via::Tls) => HTTPS,
            (None, Via::Http) => HTTP,
            (None, Via::Tcp) => return Err(BadHostRule::Place(BadPlace::NoPort)),
        };
        let hosts = hosts(host)?;
        match (via, &hosts) {
            (Via::Tcp, Hosts::OneLabelBelow(_) | Hosts::Below(_)) => Err(BadHostRule::WildcardTcp),
            (Via::Tcp | Via::Tls | Via::Http, _) => Ok(HostRule { via, hosts, port }),
        }
    }
}

fn hosts(text: &str) -> Result<Hosts, BadHostRule> {
    let (wildcard, name) = match (text.strip_prefix("**."), text.strip_prefix("*.")) {
        (Some(name), _) => (Wildcard::AnyDepth, name),
        (None, Some(name)) => (Wildcard::OneLabel, name),
        (None, None) => (Wildcard::None, text),
    };
    if name.contains('*') {
        return Err(BadHostRule::Wildcard);
    }
    match (wildcard, exact(name)?) {
        (Wildcard::None, host) => check_public(&host).map(|()| Hosts::One(host)),
        (Wildcard::OneLabel | Wildcard::AnyDepth, Host::Address(_)) => Err(BadHostRule::Wildcard),
        (Wildcard::OneLabel | Wildcard::AnyDepth, Host::Name(name)) if !name.contains('.') => {
            Err(BadHostRule::WildcardTooWide)
        }
        (Wildcard::OneLabel, Host::Name(name)) => Ok(Hosts::OneLabelBelow(name)),
        (Wildcard::AnyDepth, Host::Name(name)) => Ok(Hosts::Below(name)),
    }
}

enum Wildcard {
    None,
    OneLabel,
    AnyDepth,
}

/// A host of a rule. People read rules, so that an address is written as everybody writes it.
fn exact(text: &str) -> Result<Host, BadHostRule> {
    let host = Host::parse(text).map_err(BadHostRule::Place)?;
    match host {
        Host::Address(address) if !host.to_string().eq_ignore_ascii_case(text) => Err(BadHostRule::Spelling(address)),
        Host::Address(_) | Host::Name(_) => Ok(host),
    }
}

fn check_public(host: &Host) -> Result<(), BadHostRule> {
    match host {
        Host::Name(name) => match Named::by(name) {
            Named::Loopback => Err(BadHostRule::Private),
            Named::Elsewhere => Ok(()),
        },
        Host::Address(address) => match address::check(*address, Named::Elsewhere, Private::Refuse) {
            Ok(_public) => Ok(()),
            Err(AddressRefused::Loopback(_) | AddressRefused::Private(_)) => Err(BadHostRule::Private),
            Err(AddressRefused::Special(address) | AddressRefused::NotLoopback(address)) => {
                Err(BadHostRule::Special(address))
            }
        },
    }
}

impl FromStr for PrivateHost {
    type Err = BadHostRule;

    fn from_str(text: &str) -> Result<PrivateHost, BadHostRule> {
        let (via, authority) = scheme(text)?;
        if authority.contains('*') {
            return Err(BadHostRule::PrivateInexact);
        }
        let (host, port) = host::split(authority).map_err(BadHostRule::Place)?;
        let port = host::parse_port(port.ok_or(BadHostRule::PrivateInexact)?).map_err(BadHostRule::Place)?;
        let host = exact(host)?;
        check_private(&host)?;
        Ok(PrivateHost { via, place: Place { host, port } })
    }
}

fn check_private(host: &Host) -> Result<(), BadHostRule> {
    let Host::Address(address) = host else { return Ok(()) };
    match address::check(*address, Named::by_literal(*address), Private::Refuse) {
        Ok(address::AddressPermitted::Public) => Err(BadHostRule::Public(*address)),
        Ok(_loopback) => Ok(()),
        Err(AddressRefused::Private(_)) => Ok(()),
        Err(AddressRefused::Special(_) | AddressRefused::Loopback(_) | AddressRefused::NotLoopback(_)) => {
            Err(BadHostRule::Special(*address))
        }
    }
}

fn scheme(text: &str) -> Result<(Via, &str), BadHostRule> {
    let (via, authority) = match text.split_once("://") {
        None => (Via::Tls, text),
        Some(("tcp", authority)) => (Via::Tcp, authority),
        Some(("http", authority)) => (Via::Http, authority),
        Some(_) => return Err(BadHostRule::Shape),
    };
    if authority.contains(['/', '@', '?', '#', '\\']) { Err(BadHostRule::Shape) } else { Ok((via, authority)) }
}

impl fmt::Display for Via {
    /// What stands in front of a rule.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Via::Tls => "",
            Via::Tcp => "tcp://",
            Via::Http => "http://",
        })
    }
}

impl fmt::Display for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HostRule { via, hosts, port } = self;
        match hosts {
            Hosts::One(host) => write!(f, "{via}{host}:{port}"),
            Hosts::OneLabelBelow(name) => write!(f, "{via}*.{name}:{port}"),
            Hosts::Below(name) => write!(f, "{via}**.{name}:{port}"),
        }
    }
}

impl fmt::Display for PrivateHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.via, self.place)
    }
}

impl Serialize for HostRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for PrivateHost {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HostRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<HostRule, D::Error> {
        deserializer.deserialize_str(Entry(HostRule::from_str))
    }
}

impl<'de> Deserialize<'de> for PrivateHost {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PrivateHost, D::Error> {
        deserializer.deserialize_str(Entry(PrivateHost::from_str))
    }
}

/// Refuses an entry while it is read, so that the place of the error is the entry and not the list.
struct Entry<T>(fn(&str) -> Result<T, BadHostRule>);

impl<T> Visitor<'_> for Entry<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a host and port")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(|error| match error {
            BadHostRule::Place(why) => E::custom(format_args!("{error}: {why}")),
            BadHostRule::Shape
            | BadHostRule::Wildcard
            | BadHostRule::WildcardTooWide
            | BadHostRule::WildcardTcp
            | BadHostRule::Private
            | BadHostRule::Special(_)
            | BadHostRule::Public(_)
            | BadHostRule::PrivateInexact
            | BadHostRule::Spelling(_) => E::custom(error),
        })
    }
}

impl JsonSchema for HostRule {
    fn schema_name() -> Cow<'static, str> {
        "HostRule".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": RULE_LENGTH_MAX,
            "description": "A host and port at public addresses: `api.github.com:443` (or without `:443`), `*.example.com:443` for \
                exactly one label more, `**.example.com:443` for one or more, neither for `example.com` itself, `1.1.1.1:443`; \
                `tcp://db.example.com:5432` where it is not TLS that is spoken; `http://example.com:80` for plain HTTP.",
            "pattern": "^((http://)?(\\*\\*?\\.)?|tcp://)(\\[[0-9A-Fa-f:.]+\\]|[^\\s/@?#%*:\\[\\]\\\\]+)(:[1-9][0-9]{0,4})?$"
        })
    }
}

impl JsonSchema for PrivateHost {
    fn schema_name() -> Cow<'static, str> {
        "PrivateHost".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": RULE_LENGTH_MAX,
            "description": "A host and port at a private or loopback address, exactly: `localhost:8443`, `10.0.0.5:443`; \
                `tcp://db.corp.example:5432` where it is not TLS that is spoken; `http://localhost:8080` for plain HTTP. Link-local \
                and metadata addresses, and the gateway's own ports, stay refused.",
            "pattern": "^(tcp://|http://)?(\\[[0-9A-Fa-f:.]+\\]|[^\\s/@?#%*:\\[\\]\\\\]+):[1-9][0-9]{0,4}$"
        })
    }
}

const HTTPS: u16 = 443;
pub(super) const HTTP: u16 = 80;
const RULE_LENGTH_MAX: usize = 512;

#[cfg(test)]
mod tests;
