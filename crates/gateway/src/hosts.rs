//! Host and Origin, each checked alone against the configuration (HT-01; 8.4): a page on another site, or a name that
//! was made to point here (DNS rebinding), is refused before anything else is looked at.

use std::net::IpAddr;

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, Uri};
use url::{Host, Url};

use crate::config::Config;

/// The hosts and origins that are accepted.
pub(crate) struct Hosts {
    authorities: Vec<String>,
    origins: Vec<String>,
}

/// Which of the two is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stranger {
    Host,
    Origin,
}

impl Hosts {
    pub(crate) fn of(config: &Config) -> Hosts {
        let mut authorities: Vec<String> = config.allowed_hosts.iter().map(|h| h.to_ascii_lowercase()).collect();
        let mut origins = config.allowed_origins.clone();
        for url in aliases(&config.public_url) {
            origins.push(url.origin().ascii_serialization());
            authorities.extend(authority_forms(&url));
        }
        authorities.retain(|known| known.parse::<Authority>().is_ok_and(|parsed| !parsed.as_str().contains('@')));
        Hosts { authorities, origins }
    }

    /// Checks one request. HTTP/2 has its host in the target, HTTP/1.1 in the header; if both are there both must do.
    pub(crate) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Stranger> {
        let mut named = headers.get_all(HOST).iter().peekable();
        if named.peek().is_none() && uri.authority().is_none() {
            return Err(Stranger::Host);
        }
        let host_good = named.all(|value| value.to_str().is_ok_and(|host| self.knows(host)));
        let target_good = uri.authority().is_none_or(|authority| self.knows(authority.as_str()));
        if !host_good || !target_good || headers.get_all(HOST).iter().count() > 1 {
            return Err(Stranger::Host);
        }
        let origin_good = headers
            .get_all(ORIGIN)
            .iter()
            .all(|value| value.to_str().is_ok_and(|origin| self.origins.iter().any(|known| known == origin)));
        if origin_good { Ok(()) } else { Err(Stranger::Origin) }
    }

    /// Whether it is one of ours; those are valid, so that what is not stays out without being parsed.
    fn knows(&self, authority: &str) -> bool {
        self.authorities.iter().any(|known| known.eq_ignore_ascii_case(authority))
    }
}

/// `localhost`, `127.0.0.1` and `[::1]` are one machine: whoever names one in `public_url` means them all.
fn aliases(public_url: &Url) -> Vec<Url> {
    let loopback = match public_url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    let mut urls = vec![public_url.clone()];
    if loopback {
        for name in ["localhost", "127.0.0.1", "[::1]"] {
            let mut alias = public_url.clone();
            if alias.set_host(Some(name)).is_ok() && alias != *public_url {
                urls.push(alias);
            }
        }
    }
    urls
}

/// An authority with its default port written and left out: clients send either.
fn authority_forms(url: &Url) -> Vec<String> {
    let host = url.host_str().unwrap_or_default();
    match (url.port(), url.port_or_known_default()) {
        (Some(port), _) => vec![format!("{host}:{port}")],
        (None, Some(default)) => vec![host.to_owned(), format!("{host}:{default}")],
        (None, None) => vec![host.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Hosts {
        let text = r#"{"listen":"127.0.0.1:1","public_url":"http://127.0.0.1:8700"}"#;
        Hosts::of(&config(text))
    }

    #[expect(clippy::disallowed_methods, reason = "test configuration")]
    fn config(text: &str) -> Config {
        serde_json::from_str(text).unwrap()
    }

    fn check(pairs: &[(&str, &str)]) -> Result<(), Stranger> {
        let headers = pairs.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
        hosts().check(&Uri::from_static("/mcp"), &headers)
    }

    #[test]
    fn own_host_and_its_loopback_names_are_accepted() {
        for host in ["127.0.0.1:8700", "localhost:8700", "LOCALHOST:8700", "[::1]:8700"] {
            assert_eq!(check(&[("host", host)]), Ok(()), "{host}");
        }
    }

    #[test]
    fn foreign_missing_or_doubled_host_is_refused() {
        for host in ["evil.example", "127.0.0.1:8701", "127.0.0.1", "u@127.0.0.1:8700", "127.0.0.1:8700.evil.example"] {
            assert_eq!(check(&[("host", host)]), Err(Stranger::Host), "{host}");
        }
        assert_eq!(check(&[]), Err(Stranger::Host));
        assert_eq!(check(&[("host", "127.0.0.1:8700"), ("host", "127.0.0.1:8700")]), Err(Stranger::Host));
    }

    #[test]
    fn origin_is_checked_alone() {
        let host = ("host", "127.0.0.1:8700");
        assert_eq!(check(&[host, ("origin", "http://localhost:8700")]), Ok(()));
        for origin in ["https://evil.example", "null", "http://127.0.0.1:8700/", "https://127.0.0.1:8700"] {
            assert_eq!(check(&[host, ("origin", origin)]), Err(Stranger::Origin), "{origin}");
        }
    }

    #[test]
    fn default_port_may_be_left_out() {
        let text = r#"{"listen":"127.0.0.1:1","public_url":"https://mcp.example.com"}"#;
        let hosts = Hosts::of(&config(text));
        assert!(hosts.knows("mcp.example.com") && hosts.knows("mcp.example.com:443"));
        assert!(!hosts.knows("mcp.example.com:80") && !hosts.knows("localhost"));
    }
}
