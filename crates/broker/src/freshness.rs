//! How long a document may be believed without asking again (RFC 9111), within bounds of our own.

use std::time::Duration;

use http::{HeaderMap, header};

/// How long an answer with these headers is kept; zero: not at all. Nothing is asked again more often than once a minute, but for what
/// its server will have nobody keep; and what says nothing is kept for an hour. We are no shared cache: what is meant for those alone
/// is passed over.
pub(crate) fn lifetime(headers: &HeaderMap) -> Duration {
    let mut said: Option<u64> = None;
    for value in headers.get_all(header::CACHE_CONTROL) {
        // What cannot be read is the strictest.
        let Ok(value) = value.to_str() else { return Duration::ZERO };
        for directive in value.split(',') {
            let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
            let seconds = match name.trim().to_ascii_lowercase().as_str() {
                "no-store" => return Duration::ZERO,
                "no-cache" => 0,
                // One that is no number is stale (section 4.2.1).
                "max-age" => argument.trim().trim_matches('"').parse().unwrap_or(0),
                _ => continue,
            };
            said = Some(said.map_or(seconds, |other| other.min(seconds)));
        }
    }
    let Some(seconds) = said else {
        // A date is not read: whoever sets one means less than we would keep it, or may.
        return if headers.contains_key(header::EXPIRES) { KEPT_MIN } else { KEPT_USUALLY };
    };
    let age = headers
        .get(header::AGE)
        .map_or(0, |age| age.to_str().ok().and_then(|age| age.parse().ok()).unwrap_or(u64::MAX));
    Duration::from_secs(seconds.saturating_sub(age)).clamp(KEPT_MIN, KEPT_MAX)
}

/// LIMIT: how often one document is asked for.
pub(crate) const KEPT_MIN: Duration = Duration::from_secs(60);
/// LIMIT: how long one is believed.
pub(crate) const KEPT_MAX: Duration = Duration::from_secs(24 * 3600);
const KEPT_USUALLY: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn documents_are_kept_as_their_server_says_and_within_our_bounds() {
        let kept = |said: &[(header::HeaderName, &'static str)]| {
            let mut all = HeaderMap::new();
            for (name, value) in said {
                all.append(name, HeaderValue::from_static(value));
            }
            lifetime(&all).as_secs()
        };
        let control = |value: &'static str| kept(&[(header::CACHE_CONTROL, value)]);
        assert_eq!(kept(&[]), 3600);
        for (value, seconds) in [
            ("max-age=600", 600),
            ("public, Max-Age=600", 600),
            ("max-age=\"600\"", 600),
            ("max-age=600, max-age=300", 300),
            ("max-age=60", 60),
            ("max-age=59", 60),
            ("max-age=0", 60),
            ("max-age=86400", 86_400),
            ("max-age=86401", 86_400),
            ("max-age=99999999999999999999", 60),
            ("max-age=-1", 60),
            ("max-age", 60),
            ("no-cache, max-age=600", 60),
            ("max-age=600, no-store", 0),
            ("NO-STORE", 0),
            ("s-maxage=600", 3600),
            ("must-revalidate", 3600),
        ] {
            assert_eq!(control(value), seconds, "{value}");
        }
        let aged = |age: &'static str| kept(&[(header::CACHE_CONTROL, "max-age=600"), (header::AGE, age)]);
        assert_eq!((aged("100"), aged("590"), aged("9999"), aged("x")), (500, 60, 60, 60));
        let both = [(header::CACHE_CONTROL, "max-age=600"), (header::CACHE_CONTROL, "no-store")];
        assert_eq!(kept(&both), 0);
        let expires = (header::EXPIRES, "Thu, 01 Dec 2044 16:00:00 GMT");
        assert_eq!(kept(std::slice::from_ref(&expires)), 60);
        assert_eq!(kept(&[expires, (header::CACHE_CONTROL, "max-age=600")]), 600);
    }
}
