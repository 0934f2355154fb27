//! Where issuers say that somebody's session has ended (OpenID Connect Back-Channel Logout 1.0, section 2.5; requirement 8.3).

use std::sync::Arc;
use std::time::SystemTime;

use http::header::CONTENT_TYPE;
use http::request::Parts as Head;
use http::{Response, StatusCode};
use hyper::body::Incoming;
use sekisho_identity::{LogoutError, TokenError};
use sekisho_wire::json::Object;

use super::body::{self, Body};
use super::respond::Failed;
use super::{Door, respond};
use crate::record::{self, Seen};
use crate::refusal::{Code, Refusal};
use crate::snapshot::Rooms;

/// Public, because the token in the body is the credential.
pub(super) const PATH: &str = "/backchannel-logout";

/// Takes one logout token. Answers only once it is in force, and kept.
pub(super) async fn take(
    door: &Arc<Door>,
    rooms: &Arc<Rooms>,
    head: &Head,
    body: Incoming,
    seen: Seen,
) -> Result<Response<Body>, Box<Failed>> {
    let form = head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !form.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(FORM)) {
        return Err(seen.fails(Refusal::new(Code::ContentType, "a logout token comes in a form")));
    }
    let bounds = rooms.limits.bounds();
    let body = body::read(body, BODY_BYTES_MAX, bounds.body_read_timeout, &door.reading).await;
    let body = body.map_err(|refusal| seen.clone().fails(refusal))?;
    let token = token_in(&body).ok_or_else(|| {
        seen.clone().fails(Refusal::new(Code::LogoutRefused, "the form has no `logout_token`, or several"))
    })?;
    let ordered = rooms.identity.logout(&token, SystemTime::now()).await;
    let revocation = ordered.map_err(|error| seen.clone().fails(refused(error)))?;
    let (ending, door, rooms) = (seen.clone(), Arc::clone(door), Arc::clone(rooms));
    // A task of its own: an issuer that hangs up meanwhile does not leave half of it undone.
    let ended = tokio::spawn(async move { door.revoke(&rooms, revocation, &ending).await });
    let ended = ended.await.unwrap_or_else(|_| Err(Refusal::new(Code::ShuttingDown, "the task was dropped")));
    ended.map_err(|refusal| seen.fails(refusal))?;
    // Section 2.8: 200, and nothing is stored on the way.
    let done = Object::new().text("status", "ended").finish();
    Ok(respond::json(StatusCode::OK, done.bytes().clone()))
}

/// The one field of that name (application/x-www-form-urlencoded).
fn token_in(body: &[u8]) -> Option<String> {
    let mut named = url::form_urlencoded::parse(body).filter(|(name, _)| name == "logout_token");
    match (named.next(), named.next()) {
        (Some((_, token)), None) => Some(token.into_owned()),
        (None | Some(_), _) => None,
    }
}

fn refused(error: LogoutError) -> Refusal {
    let code = match error {
        LogoutError::Token(TokenError::KeysUnavailable) => Code::KeysUnavailable,
        LogoutError::Token(_) | LogoutError::NotTaken | LogoutError::NotLogout => Code::LogoutRefused,
    };
    Refusal::new(code, error.to_string())
}

impl Door {
    /// Revokes, records it, and ends what goes with it: sessions, and what they have under way. Streams and calls of the credential end
    /// by themselves.
    pub(crate) async fn revoke(
        &self,
        rooms: &Rooms,
        revocation: sekisho_identity::Revocation,
        seen: &Seen,
    ) -> Result<usize, Refusal> {
        // Before its record: less access is never put off.
        let (sessions, kept) = rooms.identity.revoke(revocation.clone()).await;
        self.clear(rooms, &sessions).await;
        rooms.audit.note(record::revoked(seen, &revocation)).await?;
        kept.map(|()| sessions.len()).map_err(|error| {
            let cause: &(dyn std::error::Error + 'static) = &error;
            tracing::error!(error = cause, "a revocation is not kept: a restart ends it, if it is in force at all");
            Refusal::new(Code::RevocationNotKept, error.to_string())
        })
    }
}

const FORM: &str = "application/x-www-form-urlencoded";
const BODY_BYTES_MAX: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_has_one_logout_token() {
        assert_eq!(token_in(b"logout_token=a.b.c").as_deref(), Some("a.b.c"));
        assert_eq!(token_in(b"x=1&logout_token=a%2Eb&y").as_deref(), Some("a.b"));
        for none in [&b""[..], b"token=a", b"logout_token=a&logout_token=b", b"\xff\xfe"] {
            assert_eq!(token_in(none), None);
        }
    }
}
