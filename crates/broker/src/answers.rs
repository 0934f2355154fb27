//! Answers, in the forms that OAuth has for them: documents, errors, redirects. Pages are in [`crate::pages`].

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode};
use sekisho_audit::{Event, EventKind, Outcome, PrincipalRef};
use sekisho_identity::Revocation;
use sekisho_wire::Json;
use sekisho_wire::json::Object;

/// What comes of a request: an answer that is given only once everything else of it is done.
#[derive(Debug)]
pub struct Reply {
    /// What the client or browser gets.
    pub response: Response<Bytes>,
    /// What has to be in the record before that.
    pub events: Vec<Event<'static>>,
    /// What has to be revoked before that.
    pub revocations: Vec<Revocation>,
}

impl From<Response<Bytes>> for Reply {
    fn from(response: Response<Bytes>) -> Reply {
        Reply { response, events: Vec::new(), revocations: Vec::new() }
    }
}

impl Reply {
    pub(crate) fn noting(mut self, event: Event<'static>) -> Reply {
        self.events.push(event);
        self
    }

    pub(crate) fn revoking(mut self, revocations: impl IntoIterator<Item = Revocation>) -> Reply {
        self.revocations.extend(revocations);
        self
    }

    /// With a cookie set.
    pub(crate) fn setting(mut self, cookie: &str) -> Reply {
        if let Ok(value) = HeaderValue::try_from(cookie) {
            self.response.headers_mut().append(header::SET_COOKIE, value);
        }
        self
    }
}

/// An error as RFC 6749 section 5.2 writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OauthError {
    pub(crate) status: StatusCode,
    pub(crate) error: &'static str,
    /// For whoever wrote the client.
    pub(crate) description: Box<str>,
    /// For the operator, where that is more.
    pub(crate) reason: Box<str>,
}

impl OauthError {
    pub(crate) fn new(error: &'static str, description: &str) -> OauthError {
        let status = match error {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            "temporarily_unavailable" | "server_error" => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        OauthError { status, error, description: description.into(), reason: description.into() }
    }

    /// The same; why, in full, is for the operator alone.
    pub(crate) fn because(self, reason: &(impl std::fmt::Display + ?Sized)) -> OauthError {
        OauthError { reason: reason.to_string().into(), ..self }
    }

    /// The same where nothing happened that the record would have to tell.
    pub(crate) fn quietly(self) -> Reply {
        let mut reply = self.reply("");
        reply.events.clear();
        reply
    }

    pub(crate) fn reply(self, at: &'static str) -> Reply {
        let document = Object::new().text("error", self.error).text("error_description", &plain(&self.description));
        let mut event = refused(at, &self.reason);
        event.detail.push(("error".into(), self.error.into()));
        Reply::from(json(self.status, &document.finish())).noting(event)
    }
}

/// RFC 6749 section 5.2: visible ASCII without `"` and `\`.
fn plain(text: &str) -> String {
    text.chars()
        .map(|char| if matches!(char, ' '..='~') && !matches!(char, '"' | '\\') { char } else { '\'' })
        .collect()
}

/// A document.
pub(crate) fn json(status: StatusCode, document: &Json) -> Response<Bytes> {
    let mut response = Response::new(document.bytes().clone());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // No credential of a browser counts at these paths, so any page may read what it would be given anyway.
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// What a browser is told that asks beforehand (Fetch, CORS preflight).
pub(crate) fn preflight() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, dpop, mcp-protocol-version"),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Sends the browser elsewhere.
pub(crate) fn redirect(to: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    // 303: whatever it sent here is not sent there (RFC 9700 section 4.12).
    *response.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(to) = HeaderValue::try_from(to) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

/// A page.
pub(crate) fn page(status: StatusCode, html: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(html));
    *response.status_mut() = status;
    for (name, value) in crate::pages::headers() {
        if let Ok(name) = HeaderName::try_from(name) {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

/// The one style of all pages.
pub(crate) fn style() -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(crate::pages::STYLE.as_bytes()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8"));
    response
}

pub(crate) fn wrong_method(allowed: &'static str) -> Response<Bytes> {
    let mut response = json(StatusCode::METHOD_NOT_ALLOWED, &Object::new().text("error", "invalid_request").finish());
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

pub(crate) fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Something was refused.
pub(crate) fn refused(at: &'static str, reason: &str) -> Event<'static> {
    let mut event = Event::new(EventKind::Refusal, Outcome::Refused);
    event.method = Some(at.into());
    event.reason = Some(reason.to_owned().into());
    event
}

/// Something was decided or done, for somebody.
pub(crate) fn done(at: &'static str, outcome: Outcome, who: Option<(&str, &str, &str)>) -> Event<'static> {
    let kind =
        if outcome == Outcome::Permit || outcome == Outcome::Forbid { EventKind::Decision } else { EventKind::Outcome };
    let mut event = Event::new(kind, outcome);
    event.method = Some(at.into());
    event.principal = who.map(|(issuer, subject, client)| PrincipalRef {
        issuer: issuer.to_owned().into(),
        subject: subject.to_owned().into(),
        client: client.to_owned().into(),
    });
    event
}
