//! Where a request may go.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderValue, Uri};
use url::{Host, Url};

use crate::address::{AddressRefused, Named};
use crate::internal::{Rules, without_last_dot};

/// A URL that may be asked: made by [`Client::destination`](crate::Client::destination) alone.
///
/// ```compile_fail,E0451
/// let uri = http::Uri::from_static("https://169.254.169.254/");
/// let (path, host) = (uri.clone(), http::HeaderValue::from_static("internal"));
/// let forged = sekisho_egress::Destination { uri, path, host, origin: "".into(), literal: None };
/// ```
#[derive(Debug)]
pub struct Destination {
    uri: Uri,
    /// What a request line of HTTP/1.1 says of it.
    path: Uri,
    /// What `Host` says of it.
    host: HeaderValue,
    origin: Arc<str>,
    literal: Option<IpAddr>,
}

/// Why a URL may not be asked. No variant repeats it: it may hold a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadDestination {
    /// It is neither `https` nor `http` to loopback.
    #[error("the URL must be https (http only to localhost, 127.0.0.0/8 or [::1])")]
    Scheme,
    /// It has a user name or password; these end up in logs.
    #[error("the URL must not have a user name or password")]
    UserInfo,
    /// It has a fragment, which no server ever sees.
    #[error("the URL must not have a fragment")]
    Fragment,
    /// Its host name has an empty label, or is `localhost` with a dot behind it. Any other name may end in one dot.
    #[error("the URL's host name has a dot too many")]
    Dots,
    /// Its host or port cannot be connected to.
    #[error("the URL must have a host, and no port 0")]
    Authority,
    /// It is not a URI in the sense of RFC 3986.
    #[error("the URL cannot be written in a request")]
    Unwritable,
    /// Its host is an address that is not connected to.
    #[error("the URL has an address that is not connected to")]
    Address(#[source] AddressRefused),
}

impl Destination {
    /// Scheme, host and port, as in `https://mcp.example:8443`; what credentials are bound to (RFC 6454 section 6.2).
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The whole URI, normalised.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    pub(crate) fn shared_origin(&self) -> &Arc<str> {
        &self.origin
    }

    pub(crate) fn path(&self) -> &Uri {
        &self.path
    }

    pub(crate) fn host(&self) -> &HeaderValue {
        &self.host
    }

    pub(crate) fn literal(&self) -> Option<IpAddr> {
        self.literal
    }

    pub(crate) fn new(url: &Url, rules: &Rules) -> Result<Destination, BadDestination> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadDestination::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(BadDestination::Fragment);
        }
        // The URL standard's parser has turned every way to write an address (octal, hexadecimal, shortened, percent-encoded, in
        // other scripts' digits, with a dot behind it) into the address, and every name into one spelling but for its last dot.
        let (literal, named) = match url.host().ok_or(BadDestination::Authority)? {
            Host::Domain(name) => (None, of_name(name)?),
            Host::Ipv4(v4) => literal(v4.into()),
            Host::Ipv6(v6) => literal(v6.into()),
        };
        match (url.scheme(), named) {
            ("https", Named::Loopback | Named::Elsewhere) | ("http", Named::Loopback) => {}
            (_, Named::Loopback | Named::Elsewhere) => return Err(BadDestination::Scheme),
        }
        if url.port_or_known_default().is_none_or(|port| port == 0) {
            return Err(BadDestination::Authority);
        }
        let uri: Uri = url.as_str().parse().map_err(|_| BadDestination::Unwritable)?;
        let unwritable = BadDestination::Unwritable;
        let path = uri.path_and_query().cloned().ok_or(unwritable)?.into();
        // The URL standard leaves a scheme's own port out.
        let authority = uri.authority().ok_or(BadDestination::Authority)?;
        let host = HeaderValue::try_from(authority.as_str()).map_err(|_| unwritable)?;
        let origin = url.origin().ascii_serialization().into();
        let destination = Destination { uri, path, host, origin, literal };
        destination.check(rules).map_err(BadDestination::Address)?;
        Ok(destination)
    }

    /// Checks an address that stands in the URL itself: no resolver ever sees it.
    pub(crate) fn check(&self, rules: &Rules) -> Result<(), AddressRefused> {
        self.literal.map_or(Ok(()), |address| rules.check_literal(address).map(|_why| ()))
    }
}

fn literal(address: IpAddr) -> (Option<IpAddr>, Named) {
    (Some(address), Named::by_literal(address))
}

/// `localhost.` is refused here already, and not taken for loopback: other rooms judge URLs by that name too, in its one
/// spelling, and one that passed them as a stranger must not arrive as the machine itself.
fn of_name(name: &str) -> Result<Named, BadDestination> {
    let bare = without_last_dot(name);
    if bare.split('.').any(str::is_empty) {
        return Err(BadDestination::Dots);
    }
    match Named::by(bare) {
        Named::Loopback if bare.len() < name.len() => Err(BadDestination::Dots),
        named @ (Named::Loopback | Named::Elsewhere) => Ok(named),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn destination(url: &str, config: &str) -> Result<Destination, BadDestination> {
        let config: Config = toml::from_str(config).unwrap();
        Destination::new(&Url::parse(url).unwrap(), &Rules::of(&config))
    }

    fn refused(url: &str) -> BadDestination {
        destination(url, "").unwrap_err()
    }

    #[test]
    fn https_is_permitted_and_http_only_to_loopback() {
        for url in [
            "https://mcp.example/mcp",
            "https://mcp.example./mcp",
            "http://localhost:1",
            "http://LOCALHOST/",
            "http://127.9.9.9/",
            "http://127.0.0.1./",
            "http://[::1]:8/x?y=z",
            "http://0x7f.1/",
        ] {
            assert!(destination(url, "").is_ok(), "{url}");
        }
        for url in [
            "http://mcp.example/",
            "http://localhost.example/",
            "http://a.localhost/",
            "http://1.1.1.1/",
            "ftp://localhost/",
        ] {
            assert_eq!(refused(url), BadDestination::Scheme, "{url}");
        }
        for url in ["file:///etc/passwd", "data:,x", "unix:/run/docker.sock"] {
            assert_eq!(refused(url), BadDestination::Authority, "{url}");
        }
        let internal = destination("http://idp.corp.example/", "internal_hosts = ['idp.corp.example']");
        assert_eq!(internal.unwrap_err(), BadDestination::Scheme, "an internal host is asked by https as all are");
    }

    #[test]
    fn credentials_fragments_and_port_0_are_refused_unrepeated() {
        assert_eq!(refused("https://ann@mcp.example/"), BadDestination::UserInfo);
        assert_eq!(refused("https://:hunter2@mcp.example/"), BadDestination::UserInfo);
        assert!(!refused("https://:hunter2@mcp.example/").to_string().contains("hunter2"));
        assert_eq!(refused("https://mcp.example/#x"), BadDestination::Fragment);
        assert_eq!(refused("https://mcp.example:0/"), BadDestination::Authority);
    }

    #[test]
    fn address_in_the_url_is_checked_however_it_is_written() {
        let special = [
            "https://169.254.169.254/",
            "https://169.254.169.254./",
            "https://2852039166/",
            "https://0xa9fea9fe/",
            "https://0XA9FEA9FE/",
            "https://0xa9.0xfe.0xa9.0xfe/",
            "https://0251.0376.0251.0376/",
            "https://0251.0xfe.43518/",
            "https://169.254.43518/",
            "https://169.16689662/",
            "https://%31%36%39.254.169.254/",
            "https://169%2E254%2E169%2E254/",
            "https://１６９.２５４.１６９.２５４/",
            "https://①⑥⑨.254.169.254/",
            "https://169。254．169｡254/",
            "https://1\u{ad}69.254.169.254/",
            "https:\\\\169.254.169.254\\",
            "https:169.254.169.254",
            "\thttps://169.254.\n169.254/",
            "https://0/",
            "https://224.0.0.1/",
            "https://[fd00:ec2::254]/",
            "https://[FD00:0EC2:0:0:0:0:0:254]/",
            "https://[fe80::1]/",
            "https://[ff02::1]/",
            "https://[::]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:7f00:1]/",
            "https://[::ffff:169.254.169.254]/",
            "https://[::127.0.0.1]/",
            "https://[64:ff9b::169.254.169.254]/",
            "https://[64:ff9b::a9fe:a9fe]/",
            "https://[64:ff9b:1::a9fe:a9fe]/",
            "https://[2002:a9fe:a9fe::]/",
            "https://[2001:0:a9fe:a9fe::]/",
        ];
        for url in special {
            for config in ["", "dangerous_allow_private_networks = true"] {
                let error = destination(url, config).unwrap_err();
                assert!(matches!(error, BadDestination::Address(AddressRefused::Special(_))), "{url}: {error}");
            }
        }
        // What carries loopback in disguise does not name it.
        for url in ["http://[::ffff:127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://0/"] {
            assert_eq!(refused(url), BadDestination::Scheme, "{url}");
        }
        assert!(destination("https://1.1.1.1/", "").is_ok());
    }

    #[test]
    fn private_address_in_the_url_needs_an_entry_or_the_dangerous_option_however_it_is_written() {
        for url in
            ["https://10.0.0.1/", "https://012.1/", "https://0xa000001/", "https://１０.0.0.1./", "https://[fc00::1]/"]
        {
            assert!(matches!(refused(url), BadDestination::Address(AddressRefused::Private(_))), "{url}");
            assert!(destination(url, "dangerous_allow_private_networks = true").is_ok(), "{url}");
            assert!(destination(url, "internal_hosts = ['10.0.0.1', 'fc00::1']").is_ok(), "{url}");
            let neighbours = destination(url, "internal_hosts = ['10.0.0.2', 'fc00::2', 'idp.corp.example']");
            let refused = neighbours.unwrap_err();
            assert!(matches!(refused, BadDestination::Address(AddressRefused::Private(_))), "{url}");
        }
        let disguised = destination("https://[::ffff:10.0.0.1]/", "internal_hosts = ['10.0.0.1']");
        assert!(matches!(disguised.unwrap_err(), BadDestination::Address(AddressRefused::Special(_))));
    }

    #[test]
    fn name_may_end_in_one_dot_unless_it_is_localhost() {
        assert!(destination("https://mcp.example./", "").is_ok());
        for url in [
            "https://localhost./",
            "http://localhost./",
            "http://LOCALHOST./",
            "http://local%68ost./",
            "http://ｌｏｃａｌｈｏｓｔ。/",
            "https://mcp.example../",
            "https://mcp..example/",
            "https://.mcp.example/",
            "https://./",
            "https://169.254.169.254../",
            "https://metadata.google.internal../",
        ] {
            assert_eq!(refused(url), BadDestination::Dots, "{url}");
        }
    }

    #[test]
    fn proof_of_another_client_is_checked_by_the_rules_of_this_one() {
        let permits = "internal_hosts = ['10.0.0.1']";
        let proved = destination("https://10.0.0.1/", permits).unwrap();
        let rules = |config: &str| Rules::of(&toml::from_str(config).unwrap());
        assert_eq!(proved.check(&rules(permits)), Ok(()));
        assert!(matches!(proved.check(&rules("")), Err(AddressRefused::Private(_))));
    }

    #[test]
    fn origin_is_scheme_host_and_port() {
        let origin = |url| destination(url, "").unwrap().origin().to_owned();
        assert_eq!(origin("https://MCP.example:443/a?b"), "https://mcp.example");
        assert_eq!(origin("http://[::1]:8080/a"), "http://[::1]:8080");
        assert_ne!(origin("https://mcp.example./"), origin("https://mcp.example/"));
    }
}
