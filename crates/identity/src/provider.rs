//! The OpenID provider that logs people in for the OAuth facade. Nobody logs in here: it is asked, as the one client that it knows, and what it
//! answers is verified like any other token (OpenID Connect Core 1.0, sections 3.1.2 and 3.1.3).

mod config;
mod endpoints;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use secrecy::{ExposeSecret as _, SecretString};
use sekisho_egress::{BadDestination, BodyError, Client, SendError};
use sekisho_wire::json::{Kind, Limits};
use sekisho_wire::text::Sanitized;
use sekisho_wire::{Endpoint, Json};
use subtle::ConstantTimeEq as _;
use url::{Url, form_urlencoded};

pub use config::{ProviderAuthentication, ProviderConfig, ProviderConfigError};
pub use endpoints::Endpoints;

use crate::claims::{self, Door, strings};
use crate::issuer::Issuer;
use crate::jwt::{Jwt, text};
use crate::principal::Principal;
use crate::rules::{Claim, Dialect, Implied};
use crate::token::{TOKEN_BYTES_MAX, TokenError};
use crate::verifier::verified_by;

use endpoints::Metadata;

/// The provider.
pub struct Provider {
    issuer: Issuer,
    metadata: Metadata,
    client: Arc<Client>,
    id: Box<str>,
    secret: Option<SecretString>,
    authentication: ProviderAuthentication,
    scopes: Box<str>,
    more: Vec<(String, String)>,
    subject: Option<Claim>,
}

/// What a login is asked for with.
#[derive(Debug, Clone, Copy)]
pub struct LoginAsk<'a> {
    /// Where the answer goes.
    pub redirect_uri: &'a str,
    /// What it comes back with.
    pub state: &'a str,
    /// What the identity token has to hold.
    pub nonce: &'a str,
    /// The PKCE challenge, S256.
    pub challenge: &'a str,
    /// How old a login may be, in seconds.
    pub max_age: Option<u64>,
    /// Classes of a login, the preferred one first.
    pub acr_values: Option<&'a str>,
}

/// What the provider gave for a code or a refresh token. It stays here.
#[derive(Debug)]
pub struct Tokens {
    /// Who logged in.
    pub id_token: Option<SecretString>,
    /// By which the provider can be asked again.
    pub refresh_token: Option<SecretString>,
}

/// Somebody who logged in: the proof that an identity token was verified.
#[derive(Debug)]
pub struct Login {
    who: Principal,
    subject: Box<str>,
}

/// Why the provider gives nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It says nowhere where to log in, or in a way that is not believed.
    #[error("the provider's metadata cannot be used")]
    Metadata(#[from] endpoints::MetadataError),
    /// The address of its tokens may not be asked.
    #[error("the provider's token endpoint may not be asked")]
    Destination(#[source] BadDestination),
    /// It does not answer.
    #[error("the provider's token endpoint does not answer")]
    Send(#[source] SendError),
    /// The answer did not come whole.
    #[error("the provider's answer was not received")]
    Body(#[source] BodyError),
    /// The answer is none.
    #[error("the provider's answer of status {status} is no strict JSON object with the members it must have")]
    Garbled {
        /// Its status.
        status: u16,
    },
    /// It refuses, and asking again will not help: the user has to log in anew.
    #[error("the provider has ended it: `{code}`")]
    Ended {
        /// As RFC 6749 and OpenID Connect call it.
        code: Box<str>,
    },
    /// It refuses.
    #[error("the provider refuses: `{code}`")]
    Refused {
        /// As RFC 6749 calls it.
        code: Box<str>,
    },
    /// A header cannot be written.
    #[error("the provider's secret cannot be written in a header")]
    Secret,
}

/// Why an identity token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// As any token.
    #[error("the identity token is refused: {0}")]
    Token(TokenError),
    /// It answers another request, or none (section 3.1.3.7, item 11).
    #[error("the identity token has another nonce than was asked with")]
    Nonce,
    /// It is for another client, too, and does not say that this one asked (items 3 to 5).
    #[error("the identity token is for another client")]
    Authorized,
    /// The claim that says who it is is missing or no text.
    #[error("the identity token lacks the claim that says who it is")]
    Subject,
}

impl From<TokenError> for LoginError {
    fn from(error: TokenError) -> LoginError {
        LoginError::Token(error)
    }
}

impl Provider {
    /// Checks the configuration; fetches nothing.
    ///
    /// # Errors
    /// [`ProviderConfigError`]
    pub fn new(
        config: &ProviderConfig,
        secret: Option<SecretString>,
        client: Arc<Client>,
    ) -> Result<Provider, ProviderConfigError> {
        config.check()?;
        let parts = (Arc::new(Implied::default()), Dialect::Standard);
        let issuer = Issuer::build(&config.as_issuer(), parts, Path::new("/"), &client)?;
        let url = Url::parse(&config.issuer).map_err(|_| ProviderConfigError::Empty("issuer"))?;
        let subject = match &config.subject_claim {
            None => None,
            Some(claim) => Some(Claim::parse(claim).ok_or(ProviderConfigError::Empty("subject_claim"))?),
        };
        Ok(Provider {
            metadata: Metadata::new(&config.issuer, url, Arc::clone(&client)),
            issuer,
            client,
            id: config.client_id.as_str().into(),
            authentication: config.authentication(secret.is_some())?,
            secret,
            scopes: config.scopes.join(" ").into(),
            more: config.authorization_parameters.clone().into_iter().collect(),
            subject,
        })
    }

    /// `iss`, byte for byte.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer.name
    }

    /// Where it is asked. Fetched at first need, and every ten minutes.
    ///
    /// # Errors
    /// [`ProviderError::Metadata`]
    pub async fn endpoints(&self, now: SystemTime) -> Result<Arc<Endpoints>, ProviderError> {
        Ok(self.metadata.current(now).await?)
    }

    /// Where a browser goes to log in.
    #[must_use]
    pub fn authorization_url(&self, at: &Endpoints, ask: &LoginAsk<'_>) -> Url {
        let mut url = at.authorization().clone();
        let mut query = url.query_pairs_mut();
        for (name, value) in [
            ("response_type", "code"),
            ("client_id", &self.id),
            ("redirect_uri", ask.redirect_uri),
            ("scope", &self.scopes),
            ("state", ask.state),
            ("nonce", ask.nonce),
            ("code_challenge", ask.challenge),
            ("code_challenge_method", "S256"),
        ] {
            query.append_pair(name, value);
        }
        if let Some(seconds) = ask.max_age {
            query.append_pair("max_age", &seconds.to_string());
        }
        if let Some(values) = ask.acr_values {
            query.append_pair("acr_values", values);
        }
        query.extend_pairs(&self.more);
        drop(query);
        url
    }

    /// What it gives for a code.
    ///
    /// # Errors
    /// [`ProviderError`]
    pub async fn redeem(
        &self,
        at: &Endpoints,
        code: &str,
        verifier: &str,
        redirect_uri: &str,
    ) -> Result<Tokens, ProviderError> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", verifier),
            ("redirect_uri", redirect_uri),
        ];
        self.ask(at, &form).await
    }

    /// What it gives for a refresh token: whether the user may still log in there.
    ///
    /// # Errors
    /// [`ProviderError`]
    pub async fn refresh(&self, at: &Endpoints, token: &SecretString) -> Result<Tokens, ProviderError> {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token.expose_secret()), ("scope", &self.scopes)];
        self.ask(at, &form).await
    }

    /// Who an identity token says that logged in. `nonce` is what was asked with; none where it comes of a refresh.
    ///
    /// # Errors
    /// [`LoginError`]
    pub async fn verify(
        &self,
        token: &SecretString,
        nonce: Option<&str>,
        now: SystemTime,
    ) -> Result<Login, LoginError> {
        let token = token.expose_secret();
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Garbled.into());
        }
        let jwt = Jwt::take_apart(token)?;
        if text(&jwt.claims, "iss")?.is_none_or(|issuer| *issuer != *self.issuer.name) {
            return Err(TokenError::UnknownIssuer.into());
        }
        self.issuer.accepts(&jwt.header)?;
        let (_, key_id) = verified_by(&self.issuer, &jwt, now).await?;
        let claims = jwt.claims;
        if let Some(asked) = nonce {
            let said = text(&claims, "nonce")?.ok_or(LoginError::Nonce)?;
            if !bool::from(said.as_bytes().ct_eq(asked.as_bytes())) {
                return Err(LoginError::Nonce);
            }
        }
        self.is_for_us(&claims)?;
        let subject = match &self.subject {
            None => None,
            Some(claim) => {
                let found = claim.find(&claims).and_then(|value| value.string().map(Box::<str>::from));
                Some(found.filter(|subject| !subject.is_empty()).ok_or(LoginError::Subject)?)
            }
        };
        let door = Door { at: &Endpoint::All, canonical_uri: "" };
        let checked = claims::check(claims, &self.issuer, door, key_id.as_deref(), now)?;
        checked.window.check(now)?;
        let subject = subject.unwrap_or_else(|| checked.who.subject().into());
        Ok(Login { who: checked.who, subject })
    }

    /// That it is for this client is checked with the other claims; here, that it is for no other.
    fn is_for_us(&self, claims: &Json) -> Result<(), LoginError> {
        let audiences = strings(&claims.get("aud").ok_or(TokenError::MissingClaim("aud"))?)?;
        match text(claims, "azp")? {
            Some(party) if *party == *self.id => Ok(()),
            None if audiences.len() == 1 => Ok(()),
            Some(_) | None => Err(LoginError::Authorized),
        }
    }

    async fn ask(&self, at: &Endpoints, form: &[(&str, &str)]) -> Result<Tokens, ProviderError> {
        let to = self.client.destination(at.token()).map_err(ProviderError::Destination)?;
        let request = self.request(form)?;
        let deadline = Instant::now().checked_add(TIMEOUT).unwrap_or_else(Instant::now);
        // No redirect is followed: the secret and the code are for this address alone.
        let answer = self.client.send(&to, request, deadline).await.map_err(ProviderError::Send)?;
        let status = answer.status();
        let body = answer.into_body().bounded(ANSWER_BYTES_MAX, TIMEOUT).collect_by(deadline).await;
        read(status, body.map_err(ProviderError::Body)?)
    }

    fn request(&self, form: &[(&str, &str)]) -> Result<Request<Full<Bytes>>, ProviderError> {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(form);
        let mut request = Request::new(Full::default());
        *request.method_mut() = Method::POST;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        match (&self.secret, self.authentication) {
            (Some(secret), ProviderAuthentication::ClientSecretBasic) => {
                let mut value = HeaderValue::try_from(basic(&self.id, secret)).map_err(|_| ProviderError::Secret)?;
                value.set_sensitive(true);
                headers.insert(AUTHORIZATION, value);
            }
            (Some(secret), ProviderAuthentication::ClientSecretPost) => {
                body.append_pair("client_id", &self.id).append_pair("client_secret", secret.expose_secret());
            }
            (None, _) | (Some(_), ProviderAuthentication::None) => {
                body.append_pair("client_id", &self.id);
            }
        }
        *request.body_mut() = Full::new(Bytes::from(body.finish()));
        Ok(request)
    }
}

/// RFC 6749 section 2.3.1: each form-encoded, then as RFC 7617 writes it.
fn basic(id: &str, secret: &SecretString) -> String {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret.expose_secret()))))
}

fn read(status: StatusCode, body: Bytes) -> Result<Tokens, ProviderError> {
    let garbled = || ProviderError::Garbled { status: status.as_u16() };
    let answer = Json::decode(body, &ANSWER).map_err(|_| garbled())?;
    if answer.kind() != Kind::Object {
        return Err(garbled());
    }
    let text = |name: &str| answer.get(name).and_then(|value| value.string().map(String::from));
    if status == StatusCode::OK && answer.get("error").is_none() {
        let secret = |name: &str| text(name).filter(|value| !value.is_empty()).map(SecretString::from);
        return Ok(Tokens { id_token: secret("id_token"), refresh_token: secret("refresh_token") });
    }
    // It goes into records, so nothing but a word of the standards' form is taken.
    let is_code =
        |code: &String| (1..=64).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let code: Box<str> = text("error").filter(is_code).ok_or_else(garbled)?.into();
    match &*code {
        "invalid_grant"
        | "interaction_required"
        | "login_required"
        | "consent_required"
        | "account_selection_required" => Err(ProviderError::Ended { code }),
        _ => Err(ProviderError::Refused { code }),
    }
}

impl Login {
    /// Who it is, by the claim that configuration names.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// All that the token says: roles, groups, tenant, how they logged in.
    #[must_use]
    pub fn who(&self) -> &Principal {
        &self.who
    }

    /// What they are called, for people to read. Providers let users choose it, so nothing depends on it.
    #[must_use]
    pub fn name(&self) -> String {
        let claims = self.who.claims();
        let text = |name: &&str| claims.get(name).and_then(|value| value.string().map(String::from));
        let names = ["name", "preferred_username", "email"];
        let name = names.iter().filter_map(text).find(|name| !name.trim().is_empty());
        let short: String = name.unwrap_or_else(|| self.subject.to_string()).chars().take(NAME_CHARS_MAX).collect();
        Sanitized::new(&short).as_str().replace(['\n', '\t'], " ")
    }
}

const TIMEOUT: Duration = Duration::from_secs(10);
/// LIMIT: of an answer of the token endpoint.
const ANSWER_BYTES_MAX: u64 = 128 * 1024;
const ANSWER: Limits = Limits { bytes_max: 128 * 1024, depth_max: 16, nodes_max: 4096 };
/// LIMIT: of a name.
const NAME_CHARS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &'static str) -> Result<Tokens, ProviderError> {
        read(StatusCode::from_u16(status).unwrap(), Bytes::from_static(body.as_bytes()))
    }

    #[test]
    fn answers_are_read_strictly_and_errors_by_their_name() {
        let tokens = answer(200, r#"{"id_token":"a","refresh_token":"","access_token":"x"}"#).unwrap();
        assert_eq!(tokens.id_token.map(|token| token.expose_secret().to_owned()).as_deref(), Some("a"));
        assert!(tokens.refresh_token.is_none());
        for (status, body, told) in [
            (400, r#"{"error":"invalid_grant","error_description":"x"}"#, "ended it: `invalid_grant`"),
            (400, r#"{"error":"interaction_required"}"#, "ended it"),
            (401, r#"{"error":"invalid_client"}"#, "refuses: `invalid_client`"),
            (200, r#"{"error":"invalid_grant"}"#, "ended it"),
            (400, r#"{"error":"<script>"}"#, "status 400 is no strict"),
            (400, r#"{"error":7}"#, "status 400 is no strict"),
            (200, "[]", "status 200 is no strict"),
            (200, r#"{"id_token":"a","id_token":"b"}"#, "status 200 is no strict"),
            (500, "oops", "status 500 is no strict"),
            (302, r#"{"id_token":"a"}"#, "status 302 is no strict"),
        ] {
            let error = answer(status, body).unwrap_err().to_string();
            assert!(error.contains(told), "{body}: {error}");
        }
    }

    #[test]
    fn id_and_secret_are_encoded_before_they_are_put_together() {
        let value = basic("a:b", &SecretString::from("p w%"));
        assert_eq!(value, format!("Basic {}", STANDARD.encode("a%3Ab:p+w%25")));
    }
}
