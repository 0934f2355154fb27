//! Cookies: each for this host alone, for its own purpose, and unreadable to scripts (RFC 6265bis section 4.1.3; SB-05).

use std::time::Duration;

use http::HeaderMap;
use http::header::COOKIE;

/// Which cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Jar {
    /// Of a browser that was shown a page, so that what it sends back is known to come from it.
    Page,
    /// Of one whose user agreed to something, until it comes back from the provider.
    Flow,
    /// Of one in which somebody is known.
    Login,
}

/// How cookies are written for this gateway.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cookies {
    /// It is reached over TLS: `__Host-` and `Secure`, so that neither a neighbour below the same domain nor somebody on the way sets one.
    /// Over plain HTTP, which is for loopback alone, browsers do not agree on taking those.
    pub(crate) is_secure: bool,
}

impl Cookies {
    /// The one value that a browser sent; none where it sent several, since nobody knows which of them is ours.
    pub(crate) fn read(self, headers: &HeaderMap, jar: Jar) -> Option<String> {
        let name = self.name(jar);
        let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut values = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value);
        match (values.next(), values.next()) {
            (Some(value), None) if is_plain(value) => Some(value.to_owned()),
            (Some(_) | None, _) => None,
        }
    }

    /// A header that sets it, for as long as the browser is open or for a time.
    pub(crate) fn set(self, jar: Jar, value: &str, lasts: Option<Duration>) -> String {
        let age = lasts.map(|lasts| format!("; Max-Age={}", lasts.as_secs())).unwrap_or_default();
        let secure = if self.is_secure { "; Secure" } else { "" };
        // Lax: the way back from the provider begins at another site.
        format!("{}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{age}", self.name(jar))
    }

    /// A header that takes it away.
    pub(crate) fn clear(self, jar: Jar) -> String {
        self.set(jar, "", Some(Duration::ZERO))
    }

    fn name(self, jar: Jar) -> &'static str {
        match (jar, self.is_secure) {
            (Jar::Page, true) => "__Host-sekisho-page",
            (Jar::Flow, true) => "__Host-sekisho-flow",
            (Jar::Login, true) => "__Host-sekisho-login",
            (Jar::Page, false) => "sekisho-page",
            (Jar::Flow, false) => "sekisho-flow",
            (Jar::Login, false) => "sekisho-login",
        }
    }
}

/// As we make them: base64url, 43 characters each, several with dots between.
fn is_plain(value: &str) -> bool {
    let is_ours = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=BYTES_MAX).contains(&value.len()) && value.bytes().all(is_ours)
}

/// LIMIT: of a value.
const BYTES_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str], is_secure: bool) -> Option<String> {
        let headers = lines.iter().map(|line| (COOKIE, line.parse().unwrap())).collect();
        Cookies { is_secure }.read(&headers, Jar::Flow)
    }

    #[test]
    fn the_one_value_of_ours_is_read() {
        assert_eq!(read(&["a=b; __Host-sekisho-flow=v; c"], true).as_deref(), Some("v"));
        assert_eq!(read(&["a=b", "sekisho-flow=v"], false).as_deref(), Some("v"));
        for tossed in [
            // Set by a neighbour below the same domain, or by somebody on the way.
            &["__Host-sekisho-flow=v; __Host-sekisho-flow=w"][..],
            &["__Host-sekisho-flow=v", "__Host-sekisho-flow=v"],
            &["sekisho-flow=v"],
            &["__host-sekisho-flow=v"],
            &["__Host-sekisho-flow=\"v\""],
            &["__Host-sekisho-flow="],
            &["x__Host-sekisho-flow=v"],
            &[],
        ] {
            assert_eq!(read(tossed, true), None, "{tossed:?}");
        }
    }

    #[test]
    fn what_is_set_is_for_this_host_alone() {
        let cookies = Cookies { is_secure: true };
        assert_eq!(
            cookies.set(Jar::Login, "v", Some(Duration::from_secs(60))),
            "__Host-sekisho-login=v; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=60"
        );
        assert!(cookies.clear(Jar::Page).ends_with("; Max-Age=0"));
        assert!(!Cookies { is_secure: false }.set(Jar::Page, "v", None).contains("Secure"));
    }
}
