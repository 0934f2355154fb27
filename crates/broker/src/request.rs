//! What an authorization request asks for (RFC 6749 section 4.1.1, RFC 7636, RFC 8707, MCP "Authorization Flow").

use std::collections::BTreeSet;

use crate::client::Client;
use crate::parameters::Parameters;
use crate::pkce::{Challenge, PkceError};
use crate::redirect::{AppSchemes, Redirect};

/// A request of a known client that can be consented to. Made by [`requested`] alone.
#[derive(Debug)]
pub struct Authorize {
    client: Client,
    redirect: Redirect,
    challenge: Challenge,
    state: Option<Box<str>>,
    scopes: BTreeSet<Scope>,
    resource: Box<str>,
    wants_consent: bool,
    acr_values: Option<Box<str>>,
    max_age: Option<u64>,
}

/// One scope (RFC 6749 section 3.3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope(Box<str>);

/// Why a request goes no further.
#[derive(Debug)]
pub enum Refused {
    /// For the eyes of the user alone: nobody knows that the redirect URI is the client's.
    Page(PageError),
    /// For the client, at its redirect URI.
    Back {
        /// Where to.
        redirect: Redirect,
        /// What kind of error it is.
        code: ErrorCode,
        /// What is wrong, for whoever wrote the client.
        why: Box<str>,
        /// The client's own `state`.
        state: Option<Box<str>>,
    },
}

/// What is shown to the user, because it can be sent nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// It is another client's request, or nobody's.
    #[error("the request does not name this client")]
    Client,
    /// None of the client's.
    #[error("the redirect URI is none of the client's")]
    Redirect,
}

/// What is wrong, as RFC 6749 section 4.1.2.1 and RFC 8707 call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// Something is missing, or not what it has to be.
    InvalidRequest,
    /// Another answer than a code is wanted.
    UnsupportedResponseType,
    /// No such scope can be written.
    InvalidScope,
    /// It is not served here.
    InvalidTarget,
    /// The request is not passed in its parameters (OpenID Connect Core, section 3.1.2.6).
    RequestNotSupported,
    /// The user said no.
    AccessDenied,
    /// Something failed here.
    ServerError,
}

impl ErrorCode {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorCode::InvalidRequest => "invalid_request",
            ErrorCode::UnsupportedResponseType => "unsupported_response_type",
            ErrorCode::InvalidScope => "invalid_scope",
            ErrorCode::InvalidTarget => "invalid_target",
            ErrorCode::RequestNotSupported => "request_not_supported",
            ErrorCode::AccessDenied => "access_denied",
            ErrorCode::ServerError => "server_error",
        }
    }
}

impl Scope {
    /// Reads a space-separated list; what stands in it twice is there once.
    pub(crate) fn list(text: &str) -> Option<BTreeSet<Scope>> {
        let scopes: BTreeSet<Scope> = text.split(' ').map(Scope::parse).collect::<Option<_>>()?;
        (scopes.len() <= SCOPES_MAX).then_some(scopes)
    }

    pub(crate) fn parse(text: &str) -> Option<Scope> {
        let is_of_it = |byte: u8| byte.is_ascii_graphic() && !b"\"\\".contains(&byte);
        let is_scope = (1..=SCOPE_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_of_it);
        is_scope.then(|| Scope(text.into()))
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Reads a request of this client for one of these resources.
///
/// A resource is meant with and without a slash at its end, as clients send both; the request then has it as it is served here.
///
/// # Errors
/// [`Refused`]: on a page until the redirect URI is known to be the client's, and at that URI from then on.
pub fn requested(
    client: &Client,
    parameters: &Parameters,
    resources: &[&str],
    apps: &AppSchemes,
) -> Result<Authorize, Refused> {
    if parameters.get("client_id") != Some(client.id().as_str()) {
        return Err(Refused::Page(PageError::Client));
    }
    let redirect = client.redirect(parameters.get("redirect_uri"), apps);
    let redirect = redirect.ok_or(Refused::Page(PageError::Redirect))?;
    let state = parameters.get("state").map(Box::<str>::from);
    match asked(parameters, resources) {
        Ok(Asked { challenge, scopes, resource, acr_values, max_age }) => {
            let wants_consent =
                parameters.get("prompt").is_some_and(|prompt| prompt.split(' ').any(|prompt| prompt == "consent"));
            let client = client.clone();
            Ok(Authorize { client, redirect, challenge, state, scopes, resource, wants_consent, acr_values, max_age })
        }
        Err((code, why)) => {
            // One that was never of use to its client is not sent back.
            let state = state.filter(|state| state.len() <= STATE_BYTES_MAX);
            Err(Refused::Back { redirect, code, why, state })
        }
    }
}

struct Asked {
    challenge: Challenge,
    scopes: BTreeSet<Scope>,
    resource: Box<str>,
    acr_values: Option<Box<str>>,
    max_age: Option<u64>,
}

fn asked(parameters: &Parameters, resources: &[&str]) -> Result<Asked, (ErrorCode, Box<str>)> {
    let wrong = |code, why: &str| Err((code, why.into()));
    // What it says would have to be fetched or believed; PAR says it beforehand.
    if parameters.get("request").or(parameters.get("request_uri")).is_some() {
        return wrong(ErrorCode::RequestNotSupported, "`request` and `request_uri` are not taken");
    }
    match parameters.get("response_type") {
        Some("code") => {}
        Some(_) => return wrong(ErrorCode::UnsupportedResponseType, "`response_type` must be `code`"),
        None => return wrong(ErrorCode::InvalidRequest, "`response_type` is missing; it must be `code`"),
    }
    if parameters.get("response_mode").is_some_and(|mode| mode != "query") {
        return wrong(ErrorCode::InvalidRequest, "`response_mode` must be `query`");
    }
    if parameters.get("state").is_some_and(|state| state.len() > STATE_BYTES_MAX) {
        return wrong(ErrorCode::InvalidRequest, "`state` is too long");
    }
    let Some(challenge) = parameters.get("code_challenge") else {
        return wrong(ErrorCode::InvalidRequest, "`code_challenge` is missing: PKCE with S256 is required");
    };
    let challenge = Challenge::read(challenge, parameters.get("code_challenge_method"))
        .map_err(|error: PkceError| (ErrorCode::InvalidRequest, error.to_string().into()))?;
    let scopes = match parameters.get("scope") {
        None => BTreeSet::new(),
        Some(scopes) => match Scope::list(scopes) {
            Some(scopes) => scopes,
            None => {
                return wrong(ErrorCode::InvalidScope, "`scope` is no list of scopes, each once, one space between");
            }
        },
    };
    let Some(resource) = parameters.get("resource") else {
        return wrong(
            ErrorCode::InvalidTarget,
            "`resource` is missing: it must be the MCP endpoint that the token is for",
        );
    };
    let Some(resource) = resources.iter().find(|known| is_same_resource(known, resource)) else {
        return wrong(ErrorCode::InvalidTarget, "`resource` is no MCP endpoint of this server");
    };
    let acr_values = parameters.get("acr_values");
    // They go on to the provider.
    if acr_values.is_some_and(|values| values.len() > ACR_BYTES_MAX || Scope::list(values).is_none()) {
        return wrong(ErrorCode::InvalidRequest, "`acr_values` is no list of classes, one space between");
    }
    let max_age = parameters.get("max_age").map(str::parse).transpose();
    let Ok(max_age) = max_age else {
        return wrong(ErrorCode::InvalidRequest, "`max_age` is no number of seconds");
    };
    Ok(Asked { challenge, scopes, resource: Box::from(*resource), acr_values: acr_values.map(Box::from), max_age })
}

/// Whether both mean one resource: a slash at the end means nothing.
pub(crate) fn is_same_resource(one: &str, other: &str) -> bool {
    one.strip_suffix('/').unwrap_or(one) == other.strip_suffix('/').unwrap_or(other)
}

impl Authorize {
    /// Who asks.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Where the answer goes.
    #[must_use]
    pub fn redirect(&self) -> &Redirect {
        &self.redirect
    }

    /// What whoever brings the code has to know the origin of.
    #[must_use]
    pub fn challenge(&self) -> &Challenge {
        &self.challenge
    }

    /// What the client wants back with the answer.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// What it asks for; nothing: it leaves that to us.
    #[must_use]
    pub fn scopes(&self) -> &BTreeSet<Scope> {
        &self.scopes
    }

    /// The endpoint that the token is for, as it is served here.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// Whether the client wants its user to be asked, whatever they agreed to before (OpenID Connect Core section 3.1.2.1).
    #[must_use]
    pub fn wants_consent(&self) -> bool {
        self.wants_consent
    }

    /// Classes of a login that the client wants (RFC 9470 section 4).
    #[must_use]
    pub fn acr_values(&self) -> Option<&str> {
        self.acr_values.as_deref()
    }

    /// How old a login may be, in seconds.
    #[must_use]
    pub fn max_age(&self) -> Option<u64> {
        self.max_age
    }

    /// The answer to a request that was consented to, at the client's redirect URI; `issuer` tells who answers (RFC 9207).
    #[must_use]
    pub fn granted(&self, code: &str, issuer: &str) -> String {
        let state = self.state.as_deref().map(|state| ("state", state));
        self.redirect.with([("code", code), ("iss", issuer)].into_iter().chain(state))
    }

    /// The answer to one that was not.
    #[must_use]
    pub fn refused(self, code: ErrorCode, why: &str) -> Refused {
        Refused::Back { redirect: self.redirect, code, why: why.into(), state: self.state }
    }
}

impl Refused {
    /// Where the user's browser goes with it. None: nowhere, for what is wrong is shown to the user.
    #[must_use]
    pub fn answer(&self, issuer: &str) -> Option<String> {
        match self {
            Refused::Page(_) => None,
            Refused::Back { redirect, code, why, state } => {
                let state = state.as_deref().map(|state| ("state", state));
                let error = [("error", code.as_str()), ("error_description", why), ("iss", issuer)];
                Some(redirect.with(error.into_iter().chain(state)))
            }
        }
    }
}

/// LIMIT: of a client's `state`, which is carried through the whole flow.
const STATE_BYTES_MAX: usize = 2048;
/// LIMIT: of the classes of a login that a client asks for.
const ACR_BYTES_MAX: usize = 512;
/// LIMIT: scopes of a request.
const SCOPES_MAX: usize = 32;
/// LIMIT: of one scope.
const SCOPE_BYTES_MAX: usize = 128;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::client::tests::client;

    const RESOURCES: [&str; 2] = ["https://mcp.example/mcp", "https://mcp.example/s/notes/mcp"];
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    /// A good request, with some parameters in place of others. An empty one is left out.
    pub(crate) fn ask(changes: &[(&str, &str)]) -> Result<Authorize, Refused> {
        let good = [
            ("client_id", "https://app.example/oauth/client.json"),
            ("redirect_uri", "https://app.example/cb"),
            ("response_type", "code"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("state", "s1"),
            ("scope", "tools:read tools:call"),
            ("resource", "https://mcp.example/mcp"),
        ];
        let unchanged = good.into_iter().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(unchanged.chain(changes.iter().copied()))
            .finish();
        let client = client(r#"["https://app.example/cb","http://127.0.0.1/cb"]"#);
        requested(&client, &Parameters::read(query.as_bytes()).unwrap(), &RESOURCES, &AppSchemes::default())
    }

    #[test]
    fn a_good_request_is_read_whole_and_answered_where_it_came_from() {
        let asked =
            ask(&[("redirect_uri", "http://127.0.0.1:5151/cb"), ("resource", "https://mcp.example/mcp/")]).unwrap();
        assert_eq!(asked.resource(), "https://mcp.example/mcp");
        assert_eq!(asked.scopes().iter().map(Scope::as_str).collect::<Vec<_>>(), ["tools:call", "tools:read"]);
        assert_eq!((asked.state(), asked.client().name()), (Some("s1"), "App"));
        assert!(asked.challenge().met_by("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").is_ok());
        assert_eq!(
            asked.granted("c0de", "https://mcp.example"),
            "http://127.0.0.1:5151/cb?code=c0de&iss=https%3A%2F%2Fmcp.example&state=s1"
        );
        let denied = asked.refused(ErrorCode::AccessDenied, "the user said no").answer("https://mcp.example").unwrap();
        assert_eq!(
            denied,
            "http://127.0.0.1:5151/cb?error=access_denied&error_description=the+user+said+no&iss=https%3A%2F%2Fmcp.example&state=s1"
        );
    }

    #[test]
    fn nothing_is_sent_to_a_redirect_uri_that_is_not_the_clients() {
        for (changes, page) in [
            (&[("client_id", "https://evil.example/c")][..], PageError::Client),
            (&[("client_id", "")], PageError::Client),
            (&[("redirect_uri", "https://app.example/cb/x")], PageError::Redirect),
            (&[("redirect_uri", "https://app.example.evil.example/cb")], PageError::Redirect),
            (&[("redirect_uri", "https://app.example/cb?x=y")], PageError::Redirect),
            (&[("redirect_uri", "")], PageError::Redirect),
            // However much else is wrong.
            (&[("redirect_uri", "https://evil.example/"), ("response_type", "token")], PageError::Redirect),
        ] {
            let refused = ask(changes).unwrap_err();
            assert!(refused.answer("https://mcp.example").is_none(), "{changes:?}");
            assert!(matches!(refused, Refused::Page(told) if told == page), "{changes:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_to_the_client_by_its_name() {
        use ErrorCode::*;
        let long = "s".repeat(STATE_BYTES_MAX + 1);
        let scopes = (0..=SCOPES_MAX).map(|n| format!("s{n}")).collect::<Vec<_>>().join(" ");
        for (changes, code) in [
            (&[("response_type", "token")][..], UnsupportedResponseType),
            (&[("response_type", "code id_token")], UnsupportedResponseType),
            (&[("response_type", "")], InvalidRequest),
            (&[("response_mode", "fragment")], InvalidRequest),
            (&[("code_challenge", "")], InvalidRequest),
            (&[("code_challenge", "short")], InvalidRequest),
            (&[("code_challenge_method", "")], InvalidRequest),
            (&[("code_challenge_method", "plain")], InvalidRequest),
            (&[("state", &long)], InvalidRequest),
            (&[("scope", "a  b")], InvalidScope),
            (&[("scope", "a\"b")], InvalidScope),
            (&[("scope", "a\nb")], InvalidScope),
            (&[("scope", &scopes)], InvalidScope),
            (&[("resource", "")], InvalidTarget),
            (&[("resource", "https://mcp.example/other")], InvalidTarget),
            (&[("resource", "https://mcp.example/mcp//")], InvalidTarget),
            (&[("resource", "https://mcp.example.evil.example/mcp")], InvalidTarget),
            (&[("request", "eyJ")], RequestNotSupported),
            (&[("request_uri", "https://evil.example/r")], RequestNotSupported),
        ] {
            let refused = ask(changes).unwrap_err();
            let answer = refused.answer("https://mcp.example").expect("an answer");
            assert!(
                answer.starts_with(&format!("https://app.example/cb?error={}&", code.as_str())),
                "{changes:?} {answer}"
            );
            assert!(answer.contains("&iss=https%3A%2F%2Fmcp.example"), "{answer}");
            assert_eq!(answer.contains("&state=s1"), !changes.iter().any(|(name, _)| *name == "state"), "{answer}");
        }
        assert!(ask(&[("scope", ""), ("state", ""), ("response_mode", "query")]).unwrap().scopes().is_empty());
    }
}
