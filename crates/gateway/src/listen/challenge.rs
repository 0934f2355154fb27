//! `WWW-Authenticate`: what a client without a good token is told (RFC 6750 section 3, RFC 9449 section 7.1, RFC 9728 section 5.1).
//!
//! It tells where to get a token and which scopes to begin with. What is wrong with the one that came stands in the record alone.

use http::HeaderValue;
use sekisho_identity::{Algorithm, Presented, ProofsWanted, Scheme, TokenError};
use sekisho_wire::Endpoint;

use super::public::METADATA;
use crate::snapshot::Rooms;

/// What was tried, as far as it shows without being believed: that must not tell which check failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tried {
    scheme: Scheme,
    /// The token says that it is bound to a key.
    is_bound: bool,
}

impl Tried {
    pub(super) fn of(presented: &Presented) -> Tried {
        Tried { scheme: presented.scheme(), is_bound: presented.looks_bound_to_a_key() }
    }
}

/// The challenge for a token that is missing or not good.
pub(super) fn of_token(rooms: &Rooms, at: &Endpoint, tried: Option<Tried>, error: &TokenError) -> Option<HeaderValue> {
    let initial = &rooms.identity.scopes().initial;
    let challenge = |scheme: &Scheme| {
        let mut challenge = Challenge::new(*scheme);
        if let Some(error) = named(error) {
            challenge.put("error", error);
        }
        if *scheme == Scheme::Dpop {
            challenge.put("algs", &Algorithm::names().collect::<Vec<_>>().join(" "));
        }
        if !initial.is_empty() {
            challenge.put("scope", &initial.join(" "));
        }
        challenge.put("resource_metadata", &metadata_of(rooms, at));
        challenge.0
    };
    let all: Vec<String> = fitting(tried, rooms.identity.proofs_wanted()).iter().map(challenge).collect();
    HeaderValue::try_from(all.join(", ")).ok()
}

/// The schemes that would do (RFC 9449 section 7.1).
fn fitting(tried: Option<Tried>, wanted: ProofsWanted) -> &'static [Scheme] {
    match (wanted, tried) {
        (ProofsWanted::Always, _) | (_, Some(Tried { is_bound: true, .. })) => &[Scheme::Dpop],
        (ProofsWanted::Sometimes, _) => &[Scheme::Bearer, Scheme::Dpop],
        (ProofsWanted::Never, _) => &[Scheme::Bearer],
    }
}

/// Where the metadata of an endpoint stands (RS-02).
pub(super) fn metadata_of(rooms: &Rooms, at: &Endpoint) -> String {
    let resource = rooms.identity.canonical_uri(at);
    let origin = resource.strip_suffix(&at.path()).unwrap_or(&resource);
    format!("{origin}{METADATA}{}", at.path())
}

/// Without a token there is no error to name. Whatever is wrong with one has one name.
fn named(error: &TokenError) -> Option<&'static str> {
    if matches!(error, TokenError::Missing) {
        None
    } else if matches!(error, TokenError::Malformed) {
        Some("invalid_request")
    } else if matches!(error, TokenError::NonceWanted) {
        Some("use_dpop_nonce")
    } else if matches!(error, TokenError::Proof(_)) {
        Some("invalid_dpop_proof")
    } else {
        Some("invalid_token")
    }
}

/// One challenge with all its parameters: clients that read one header value only see all of it.
pub(super) struct Challenge(String);

impl Challenge {
    pub(super) fn new(scheme: Scheme) -> Challenge {
        Challenge(match scheme {
            Scheme::Bearer => "Bearer".to_owned(),
            Scheme::Dpop => "DPoP".to_owned(),
        })
    }

    /// A parameter as a quoted string (RFC 9110 section 5.6.4). What would end it early is left out.
    pub(super) fn put(&mut self, name: &str, value: &str) {
        self.0.push_str(if self.0.contains(' ') { ", " } else { " " });
        self.0.push_str(name);
        self.0.push_str("=\"");
        self.0.extend(value.chars().filter(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\')));
        self.0.push('"');
    }

    pub(super) fn finish(self) -> Option<HeaderValue> {
        HeaderValue::try_from(self.0).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_quoted_and_none_ends_early() {
        let mut challenge = Challenge::new(Scheme::Bearer);
        challenge.put("error", "invalid_token");
        challenge.put("scope", "a\", evil=\"b\\ c\r\nX: y\u{e9}");
        assert_eq!(challenge.finish().unwrap(), "Bearer error=\"invalid_token\", scope=\"a, evil=b cX: y\"");
        assert_eq!(Challenge::new(Scheme::Dpop).finish().unwrap(), "DPoP");
    }

    #[test]
    fn the_scheme_that_would_do_is_named() {
        let tried = |scheme, is_bound| Some(Tried { scheme, is_bound });
        let (bearer, dpop) = (&[Scheme::Bearer][..], &[Scheme::Dpop][..]);
        for (tried, wanted, expected) in [
            (None, ProofsWanted::Never, bearer),
            (None, ProofsWanted::Always, dpop),
            (None, ProofsWanted::Sometimes, &[Scheme::Bearer, Scheme::Dpop]),
            (tried(Scheme::Bearer, false), ProofsWanted::Never, bearer),
            (tried(Scheme::Bearer, true), ProofsWanted::Never, dpop),
            (tried(Scheme::Dpop, true), ProofsWanted::Never, dpop),
            (tried(Scheme::Dpop, false), ProofsWanted::Never, bearer),
            (tried(Scheme::Bearer, false), ProofsWanted::Always, dpop),
        ] {
            assert_eq!(fitting(tried, wanted), expected, "{tried:?} {wanted:?}");
        }
    }

    #[test]
    fn whatever_is_wrong_with_a_token_has_one_name() {
        for error in [TokenError::Expired, TokenError::Revoked, TokenError::UnknownIssuer, TokenError::WrongScheme] {
            assert_eq!(named(&error), Some("invalid_token"));
        }
        assert_eq!(named(&TokenError::Missing), None);
        assert_eq!(named(&TokenError::NonceWanted), Some("use_dpop_nonce"));
    }
}
