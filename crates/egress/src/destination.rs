//! Where a request may go.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderValue, Uri};
use url::{Host, Url};

use crate::address::{self, AddressRefused, Named, Private};

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

    pub(crate) fn new(url: &Url, private: Private) -> Result<Destination, BadDestination> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadDestination::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(BadDestination::Fragment);
        }
        // The URL standard's parser has turned every way to write an address (octal, hexadecimal, shortened) into the address.
        let (literal, named) = match url.host().ok_or(BadDestination::Authority)? {
            Host::Domain(name) => (None, Named::by(name)),
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
        destination.check(private).map_err(BadDestination::Address)?;
        Ok(destination)
    }

    /// Checks an address that stands in the URL itself: no resolver ever sees it.
    pub(crate) fn check(&self, private: Private) -> Result<(), AddressRefused> {
        let Some(address) = self.literal else {
            return Ok(());
        };
        let (_, named) = literal(address);
        address::check(address, named, private)
    }
}

fn literal(address: IpAddr) -> (Option<IpAddr>, Named) {
    (Some(address), if address.is_loopback() { Named::Loopback } else { Named::Elsewhere })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(url: &str, private: Private) -> Result<Destination, BadDestination> {
        Destination::new(&Url::parse(url).unwrap(), private)
    }

    fn refused(url: &str) -> BadDestination {
        destination(url, Private::Refuse).unwrap_err()
    }

    #[test]
    fn https_is_permitted_and_http_only_to_loopback() {
        for url in [
            "https://mcp.example/mcp",
            "http://localhost:1",
            "http://127.9.9.9/",
            "http://[::1]:8/x?y=z",
            "http://0x7f.1/",
        ] {
            assert!(destination(url, Private::Refuse).is_ok(), "{url}");
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
        for url in [
            "https://169.254.169.254/",
            "https://[fd00:ec2::254]/",
            "https://[::ffff:127.0.0.1]/",
            "https://0/",
            "https://0xa9fea9fe/",
        ] {
            let error = refused(url);
            assert!(matches!(error, BadDestination::Address(AddressRefused::Special(_))), "{url}: {error}");
        }
        for url in ["https://10.0.0.1/", "https://012.1/", "https://[fc00::1]/"] {
            assert!(matches!(refused(url), BadDestination::Address(AddressRefused::Private(_))), "{url}");
            assert!(destination(url, Private::Permit).is_ok(), "{url}");
        }
        assert!(destination("https://1.1.1.1/", Private::Refuse).is_ok());
    }

    #[test]
    fn origin_is_scheme_host_and_port() {
        let origin = |url| destination(url, Private::Refuse).unwrap().origin().to_owned();
        assert_eq!(origin("https://MCP.example:443/a?b"), "https://mcp.example");
        assert_eq!(origin("http://[::1]:8080/a"), "http://[::1]:8080");
    }
}
