//! Where clients get tokens, give them back, and ask about them (RFC 6749 section 3.2, RFC 7009, RFC 7662).

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use sekisho_audit::Outcome;
use sekisho_identity::{ProviderError, Revocation, Target, TokenError};
use sekisho_wire::json::Object;
use std::sync::Arc;

use crate::answers::{self, OauthError, Reply, done};
use crate::broker::{Broker, Knock};
use crate::client::Client;
use crate::codes::{Brought, RedeemError};
use crate::consents;
use crate::devices;
use crate::grants::{self, Grant, RefreshError, RefreshToken, Upstream, session_of};
use crate::mint;
use crate::parameters::Parameters;
use crate::paths;
use crate::people::User;
use crate::request::{Scope, is_same_resource};

/// `POST /oauth/token`
pub(crate) async fn exchange(broker: &Broker, knock: &Knock<'_>) -> Reply {
    let (client, parameters) = match asker(broker, knock).await {
        Ok(asker) => asker,
        Err(error) => return error.reply(AT),
    };
    // Looked at first, whatever else is wrong: a proof is good for one try.
    let at = format!("{}{}", broker.issuer, paths::TOKEN);
    let key = match broker.proofs.take(knock.headers, (&Method::POST, &at), knock.now) {
        Ok(key) => key,
        Err(error) => {
            let name = if error == TokenError::NonceWanted { "use_dpop_nonce" } else { "invalid_dpop_proof" };
            let mut reply = OauthError::new(name, "the proof of possession is refused").because(&error).reply(AT);
            if let Some(nonce) = broker.proofs.nonce(knock.now).and_then(|nonce| nonce.parse().ok()) {
                reply.response.headers_mut().insert("dpop-nonce", nonce);
            }
            return reply;
        }
    };
    let asked = Asked { client: &client, parameters: &parameters, key };
    match parameters.get("grant_type") {
        Some("authorization_code") => by_code(broker, knock, asked).await,
        Some("refresh_token") => by_refresh_token(broker, knock, asked).await,
        Some(devices::GRANT_TYPE) if broker.devices.is_some() => devices::poll(broker, knock, asked).await,
        Some(_) => OauthError::new("unsupported_grant_type", "this `grant_type` is not offered").reply(AT),
        None => OauthError::new("invalid_request", "`grant_type` is missing").reply(AT),
    }
}

/// Who asks at the token endpoint.
pub(crate) struct Asked<'a> {
    pub(crate) client: &'a Arc<Client>,
    pub(crate) parameters: &'a Parameters,
    /// The key that it has proven to have.
    pub(crate) key: Option<String>,
}

async fn by_code(broker: &Broker, knock: &Knock<'_>, asked: Asked<'_>) -> Reply {
    let Asked { client, parameters, key } = asked;
    let (Some(code), Some(verifier)) = (parameters.get("code"), parameters.get("code_verifier")) else {
        return OauthError::new("invalid_request", "`code` and `code_verifier` are needed").reply(AT);
    };
    let brought = Brought {
        client: client.id().as_str(),
        // OAuth 2.1 does without it; a client that has one redirect URI alone need not say it.
        redirect: parameters.get("redirect_uri"),
        verifier,
        resource: parameters.get("resource"),
    };
    let mut grant = match broker.codes.redeem(code, &brought, broker.elapsed()) {
        Ok(grant) => grant,
        Err(error) => return spoiled(broker, knock, error).await,
    };
    grant.bound_to = key.map(Into::into);
    give(broker, knock, grant, None).await
}

/// A code that is worth nothing. One that came twice takes all with it that was given for it.
async fn spoiled(broker: &Broker, knock: &Knock<'_>, error: RedeemError) -> Reply {
    let refused =
        OauthError::new("invalid_grant", "the code is not good, or not any more").because(&crate::chain(&error));
    match error {
        RedeemError::Again { family } => {
            let ended = grants::end(&broker.kept, &family, knock.now).await;
            let revoked = [broker.revocation(&session_of(&family), "a code was used twice", knock.now)];
            match ended {
                Ok(_) => refused.reply(AT).revoking(revoked),
                Err(down) => unavailable(&down).reply(AT).revoking(revoked),
            }
        }
        RedeemError::Unknown
        | RedeemError::Client
        | RedeemError::Redirect
        | RedeemError::Resource
        | RedeemError::Verifier(_) => refused.reply(AT),
    }
}

/// Answers with tokens for a grant that begins.
pub(crate) async fn give(broker: &Broker, knock: &Knock<'_>, grant: Grant, resource: Option<&str>) -> Reply {
    debug_assert!(resource.is_none_or(|resource| is_same_resource(resource, &grant.resource)));
    if broker.is_revoked(&grant) {
        return OauthError::new("invalid_grant", "what was granted is revoked").reply(AT);
    }
    let refresh_token = match grants::begin(&broker.kept, &grant, knock.now).await {
        Ok(token) => token,
        // The user took the consent back before the client came.
        Err(RefreshError::Unknown) => {
            return OauthError::new("invalid_grant", "the consent has been taken back").reply(AT);
        }
        Err(error) => return unavailable(&error).reply(AT),
    };
    let scopes = grant.scopes.clone();
    tokens(broker, knock, &grant, &scopes, &refresh_token).await
}

async fn by_refresh_token(broker: &Broker, knock: &Knock<'_>, asked: Asked<'_>) -> Reply {
    let Asked { client, parameters, key } = asked;
    let token = parameters.get("refresh_token");
    let Some(token) = token else {
        return OauthError::new("invalid_request", "`refresh_token` is missing").reply(AT);
    };
    let bad = |reason: &dyn std::fmt::Display| {
        OauthError::new("invalid_grant", "the refresh token is not good, or not any more").because(&reason.to_string())
    };
    let Some(token) = RefreshToken::parse(token) else { return bad(&"it is none of ours").reply(AT) };
    let looked = grants::look(&broker.kept, token, client.id().as_str(), key.as_deref(), knock.now).await;
    let mut grant = match looked {
        Ok(grant) => grant,
        Err(error) => return broker.unrefreshed(error, knock.now),
    };
    if parameters.get("resource").is_some_and(|resource| !is_same_resource(resource, &grant.resource)) {
        return OauthError::new("invalid_target", "the refresh token is for another resource").reply(AT);
    }
    if let Err(reply) = still_agreed(broker, knock, client, &mut grant).await {
        return *reply;
    }
    let scopes = match narrowed(parameters.get("scope"), &grant) {
        Ok(scopes) => scopes,
        Err(error) => return error.reply(AT),
    };
    if let Err(reply) = still_welcome(broker, knock, &mut grant).await {
        return *reply;
    }
    match grants::turn(&broker.kept, token, grant.clone(), knock.now).await {
        Ok(refresh_token) => tokens(broker, knock, &grant, &scopes, &refresh_token).await,
        Err(error) => broker.unrefreshed(error, knock.now),
    }
}

/// RFC 6749 section 6: what was granted, or less. What is asked for beyond it was not agreed to.
fn narrowed(asked: Option<&str>, grant: &Grant) -> Result<Vec<Box<str>>, OauthError> {
    let Some(asked) = asked else { return Ok(grant.scopes.clone()) };
    let asked = Scope::list(asked).ok_or_else(|| OauthError::new("invalid_scope", "`scope` is no list of scopes"))?;
    let is_asked = |scope: &str| asked.iter().any(|asked| asked.as_str() == scope);
    let scopes: Vec<Box<str>> = grant.scopes.iter().filter(|scope| is_asked(scope)).cloned().collect();
    let is_all = asked.iter().all(|asked| scopes.iter().any(|scope| **scope == *asked.as_str()));
    match is_all && !scopes.is_empty() {
        true => Ok(scopes),
        false => Err(OauthError::new("invalid_scope", "`scope` has one that was not granted")),
    }
}

/// What was granted holds as far as the user agrees to it now, and for the client as they saw it.
async fn still_agreed(
    broker: &Broker,
    knock: &Knock<'_>,
    client: &Client,
    grant: &mut Grant,
) -> Result<(), Box<Reply>> {
    if broker.is_revoked(grant) {
        return Err(Box::new(ended(broker, knock, grant, "the user, the client or all of it was revoked").await));
    }
    let found = consents::find(&broker.kept, grant.consent.clone(), knock.now).await;
    let found = found.map_err(|down| Box::new(unavailable(&down).reply(AT)))?;
    let digest = client.digest().to_string();
    let agreed = found.filter(|consent| *consent.client_digest == *digest).map(|consent| consent.scopes);
    grant.scopes.retain(|scope| agreed.iter().flatten().any(|agreed| agreed == scope));
    if grant.scopes.is_empty() {
        let why = "the consent has ended, or the client says something else of itself than its user has seen";
        return Err(Box::new(ended(broker, knock, grant, why).await));
    }
    Ok(())
}

/// Asks the provider, now and then, whether the user may still log in there.
async fn still_welcome(broker: &Broker, knock: &Knock<'_>, grant: &mut Grant) -> Result<(), Box<Reply>> {
    let now = knock.now;
    let Some(upstream) = &grant.upstream else { return Ok(()) };
    let is_recent = now.duration_since(upstream.asked).is_ok_and(|ago| ago < broker.lifetimes.recheck());
    if is_recent {
        return Ok(());
    }
    let refreshed = async {
        let endpoints = broker.provider.endpoints(now).await?;
        broker.provider.refresh(&endpoints, &upstream.secret()).await
    };
    match refreshed.await {
        Ok(tokens) => {
            if let Some(id_token) = &tokens.id_token {
                let login = broker.provider.verify(id_token, None, now).await;
                let user = login.map(|login| User::of_login(&login, &broker.claims));
                // OpenID Connect Core section 12.2: it must be the same user.
                match user {
                    Ok(user) if user.subject == grant.user.subject => {
                        grant.user = User { at: grant.user.at, ..user };
                    }
                    Ok(_) => {
                        return Err(Box::new(ended(broker, knock, grant, "the provider refreshed another user").await));
                    }
                    Err(error) => return Err(Box::new(unavailable(&crate::chain(&error)).reply(AT))),
                }
            }
            // Providers that do not turn theirs leave it good.
            let token = tokens.refresh_token.as_ref().map(|token| Upstream::fresh(token, now));
            let same = Upstream { asked: now, ..upstream.clone() };
            grant.upstream = Some(token.unwrap_or(same));
            Ok(())
        }
        Err(ProviderError::Ended { .. }) => {
            Err(Box::new(ended(broker, knock, grant, "the provider has ended the user's session").await))
        }
        Err(error) => Err(Box::new(unavailable(&crate::chain(&error)).reply(AT))),
    }
}

async fn ended(broker: &Broker, knock: &Knock<'_>, grant: &Grant, why: &str) -> Reply {
    let gone = grants::end(&broker.kept, &grant.family, knock.now).await;
    let error = OauthError::new("invalid_grant", "the user has to log in again").because(why);
    let error = gone.map_or_else(|down| unavailable(&down), |_| error);
    error.reply(AT).revoking([broker.revocation(&grant.session(), why, knock.now)])
}

async fn tokens(broker: &Broker, knock: &Knock<'_>, grant: &Grant, scopes: &[Box<str>], refresh_token: &str) -> Reply {
    use secrecy::ExposeSecret as _;
    let left = grant.until.duration_since(knock.now).unwrap_or_default();
    // None outlives what it comes of.
    let lifetime = broker.lifetimes.access_token().min(left);
    let minted = mint::access_token(&broker.key, &broker.issuer, (grant, scopes), lifetime, knock.now).await;
    let token = match minted {
        Ok(token) => token,
        Err(error) => return unavailable(&crate::chain(&error)).reply(AT),
    };
    let kind = if grant.bound_to.is_some() { "DPoP" } else { "Bearer" };
    let document = Object::new()
        .text("access_token", token.expose_secret())
        .text("token_type", kind)
        .unsigned("expires_in", lifetime.as_secs())
        .text("refresh_token", refresh_token)
        .text("scope", &scopes.join(" "))
        .finish();
    note_use(broker, &grant.client, knock.now).await;
    let who = (&*broker.issuer, &*grant.user.subject, &*grant.client);
    let mut event = done(AT, Outcome::Completed, Some(who));
    event.detail = vec![
        ("resource".into(), grant.resource.to_string().into()),
        ("scopes".into(), scopes.join(" ").into()),
        ("sid".into(), grant.session().into()),
        ("seconds".into(), lifetime.as_secs().to_string().into()),
    ];
    Reply::from(answers::json(StatusCode::OK, &document)).noting(event)
}

/// A registration that is used is kept for longer. Where that cannot be written it ends earlier, and its client registers anew.
async fn note_use(broker: &Broker, client: &str, now: SystemTime) {
    // Those that have a document are known by it, and it may be fetched each time.
    if !client.starts_with("https://")
        && let Ok(client) = broker.clients.find(client, now).await
        && let Err(error) = broker.clients.note_use(&client, now).await
    {
        let cause: &(dyn std::error::Error + 'static) = &error;
        tracing::warn!(error = cause, "that a client is in use cannot be kept");
    }
}

/// `POST /oauth/revoke`: whatever it is given, it ends what that was good for, and never tells whether there was anything.
pub(crate) async fn revoke(broker: &Broker, knock: &Knock<'_>) -> Reply {
    const AT: &str = "oauth/revoke";
    let (client, parameters) = match asker(broker, knock).await {
        Ok(asker) => asker,
        Err(error) => return error.reply(AT),
    };
    let Some(token) = parameters.get("token") else {
        return OauthError::new("invalid_request", "`token` is missing").reply(AT);
    };
    let id = client.id().as_str();
    let mut reply = Reply::from(answers::json(StatusCode::OK, &sekisho_wire::Json::empty_object()));
    if let Some(refresh_token) = RefreshToken::parse(token) {
        match grants::end_by(&broker.kept, refresh_token, id, knock.now).await {
            Ok(Some(grant)) => {
                let who = (&*broker.issuer, &*grant.user.subject, id);
                reply = reply.noting(done(AT, Outcome::Completed, Some(who)));
                // With it goes what came of it (RFC 7009 section 2.1).
                reply = reply.revoking([broker.revocation(&grant.session(), "the client gave it back", knock.now)]);
            }
            Ok(None) => {}
            Err(down) => return unavailable(&down).reply(AT),
        }
    } else if let Some(claims) = mint::read(&broker.key, &broker.issuer, token, knock.now)
        && *claims.client == *id
    {
        let target = Target::Token { issuer: broker.issuer.to_string(), id: claims.id.to_string() };
        reply = reply.noting(done(AT, Outcome::Completed, Some((&broker.issuer, &claims.subject, id))));
        reply = reply.revoking([broker.ordered(target, "the client gave it back", knock.now)]);
    }
    reply
}

/// `POST /oauth/introspect`: for clients that have a secret, about whatever token; what is revoked meanwhile, the endpoints know.
pub(crate) async fn introspect(broker: &Broker, knock: &Knock<'_>) -> Reply {
    const AT: &str = "oauth/introspect";
    let (client, parameters) = match asker(broker, knock).await {
        Ok(asker) => asker,
        Err(error) => return error.reply(AT),
    };
    // RFC 7662 section 2.1: nobody tries tokens here who could be anybody.
    if !client.has_secret() {
        return OauthError::new("invalid_client", "only clients with a secret may ask about tokens").reply(AT);
    }
    let token = parameters.get("token").unwrap_or_default();
    let document = match mint::read(&broker.key, &broker.issuer, token, knock.now) {
        Some(claims) => claims.document(),
        None => Object::new().bool("active", false).finish(),
    };
    answers::json(StatusCode::OK, &document).into()
}

/// The client, and what it says. A client with a secret proves it; one without names itself, and proves by its code or token what it may.
async fn asker(broker: &Broker, knock: &Knock<'_>) -> Result<(Arc<Client>, Parameters), OauthError> {
    let parameters =
        Parameters::of_form(knock).map_err(|error| OauthError::new("invalid_request", &error.to_string()))?;
    let client = broker.client_of(knock, &parameters).await?;
    Ok((client, parameters))
}

impl Broker {
    /// The client that a form comes from.
    pub(crate) async fn client_of(
        &self,
        knock: &Knock<'_>,
        parameters: &Parameters,
    ) -> Result<Arc<Client>, OauthError> {
        let bad = || OauthError::new("invalid_client", "the client is not known, or has not proven who it is");
        let basic = match knock.headers.get(AUTHORIZATION) {
            Some(value) => Some(value.to_str().ok().and_then(basic_of).ok_or_else(bad)?),
            None => None,
        };
        let (id, secret) = match (&basic, parameters.get("client_id"), parameters.get("client_secret")) {
            (Some((id, secret)), named, None) if named.is_none_or(|named| named == id) => (&**id, Some(&**secret)),
            (None, Some(id), secret) => (id, secret),
            // Two ways at once, or none (RFC 6749 section 2.3).
            (Some(_) | None, _, _) => return Err(bad()),
        };
        let client = self.clients.find(id, knock.now).await;
        let client = client.map_err(|error| bad().because(&crate::chain(&error)))?;
        client.authenticated_by(secret).map_err(|error| bad().because(&error))?;
        Ok(client)
    }

    /// Whether somebody has revoked what this grant comes of. Tokens that were given for it before are refused anyway.
    fn is_revoked(&self, grant: &Grant) -> bool {
        let who = (&*grant.user.subject, &*grant.client);
        self.revocations.cover_grant(&self.issuer, who, &grant.session(), grant.since)
    }

    /// The order to revoke all access tokens of a grant.
    pub(crate) fn revocation(&self, session: &str, why: &str, now: SystemTime) -> Revocation {
        self.ordered(Target::IssuerSession { issuer: self.issuer.to_string(), id: session.to_owned() }, why, now)
    }

    fn ordered(&self, target: Target, why: &str, at: SystemTime) -> Revocation {
        Revocation { target, at, reason: why.to_owned(), by: self.issuer.to_string() }
    }

    fn unrefreshed(&self, error: RefreshError, now: SystemTime) -> Reply {
        let refused =
            OauthError::new("invalid_grant", "the refresh token is not good, or not any more").because(&error);
        match error {
            RefreshError::Again { session } => {
                refused.reply(AT).revoking([self.revocation(&session, "a refresh token was used twice", now)])
            }
            RefreshError::Unknown | RefreshError::Client | RefreshError::Key => refused.reply(AT),
            RefreshError::NotKept(_) | RefreshError::Random(_) => unavailable(&error).reply(AT),
        }
    }
}

/// RFC 6749 section 2.3.1: form-encoded, then RFC 7617.
fn basic_of(value: &str) -> Option<(String, String)> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let decoded = |part: &str| {
        let spaced = part.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8().ok().map(String::from)
    };
    Some((decoded(id)?, decoded(secret)?))
}

pub(crate) fn unavailable(why: &(impl std::fmt::Display + ?Sized)) -> OauthError {
    OauthError::new("temporarily_unavailable", "this cannot be done at the moment").because(why)
}

const AT: &str = "oauth/token";
