//! The way of a request through the browser: asked, agreed to, sent to the provider, and back (RFC 6749 section 4.1, M3).

use std::time::{Duration, SystemTime};

use sekisho_audit::Outcome;
use sekisho_identity::{Endpoints, LoginAsk, ProviderError, Tokens};
use url::form_urlencoded;

use crate::answers::{self, OauthError, Reply, done, refused};
use crate::broker::{Broker, Knock};
use crate::codes::GiveError;
use crate::consents::{self, Consent};
use crate::cookies::Jar;
use crate::flows::{self, BeginError, Flow, NoFlow, Page};
use crate::grants::{Grant, Upstream};
use crate::kept::NotKept;
use crate::pages;
use crate::parameters::Parameters;
use crate::people::User;
use crate::problems::Problem;
use crate::redirect::RedirectKind;
use crate::request::{Authorize, ErrorCode, PageError, Refused, requested};
use crate::secrets::{digest_text, random};
use crate::wanted::Wanted;
use crate::{consent, devices, logins};

/// What stops a walk through the browser: a page of ours, or an answer to the client.
pub(crate) type Stop = Box<Reply>;

/// `GET /oauth/authorize`: the page that asks, or the provider at once where this very thing was agreed to in this browser.
pub(crate) async fn ask(broker: &Broker, knock: &Knock<'_>) -> Reply {
    let asked = match what_is_asked(broker, knock) {
        Ok(asked) => asked,
        Err(problem) => return broker.problem(knock, AT, problem, &"the parameters cannot be read"),
    };
    let wanted = match read(broker, knock, AT, &asked).await {
        Ok(wanted) => wanted,
        Err(stop) => return *stop,
    };
    let user = match broker.known(knock).await {
        Ok(user) => user,
        Err(down) => return broker.problem(knock, AT, Problem::NotKept, &down),
    };
    let page = Page {
        asked,
        client_digest: wanted.client().digest().to_string().into(),
        user: user.as_ref().map(|user| user.subject.clone()),
        device: None,
    };
    match remembered(broker, knock, &wanted, user.as_ref()).await {
        Ok(Some(consent)) => again(broker, knock, page, &wanted, consent).await,
        Ok(None) => consent::show(broker, knock, page, &wanted, user.as_ref()).await,
        Err(down) => broker.problem(knock, AT, Problem::NotKept, &down),
    }
}

/// `POST /oauth/par` (RFC 9126).
pub(crate) async fn push(broker: &Broker, knock: &Knock<'_>) -> Reply {
    const AT: &str = "oauth/par";
    let parameters = match Parameters::of_form(knock) {
        Ok(parameters) => parameters,
        Err(error) => return OauthError::new("invalid_request", &error.to_string()).reply(AT),
    };
    let client = match broker.client_of(knock, &parameters).await {
        Ok(client) => client,
        Err(error) => return error.reply(AT),
    };
    // RFC 9126 section 2.1: a reference in place of what it refers to is refused there already.
    let uris = broker.resources.load_full();
    if let Err(refused) = requested(&client, &parameters, &uris.uris(), broker.clients.apps()) {
        let (error, why) = match refused {
            Refused::Page(PageError::Client) => ("invalid_client", "`client_id` names another client".into()),
            Refused::Page(PageError::Redirect) => ("invalid_request", "`redirect_uri` is none of the client's".into()),
            Refused::Back { code, why, .. } => (code.as_str(), why),
        };
        return OauthError::new(error, &why).reply(AT);
    }
    // What proved who asks is not carried on.
    let said = form_urlencoded::parse(&knock.body).filter(|(name, _)| name != "client_secret");
    let asked = form_urlencoded::Serializer::new(String::new()).extend_pairs(said).finish();
    match broker.pushed.keep(client.id().as_str(), &asked, broker.elapsed()) {
        Ok(reference) => {
            let document = sekisho_wire::json::Object::new()
                .text("request_uri", &reference)
                .unsigned("expires_in", crate::pushed::LIFE.as_secs())
                .finish();
            answers::json(http::StatusCode::CREATED, &document).into()
        }
        Err(error) => OauthError::new("temporarily_unavailable", "too many requests wait").because(&error).reply(AT),
    }
}

/// `GET /oauth/callback`: the provider's answer.
pub(crate) async fn came_back(broker: &Broker, knock: &Knock<'_>) -> Reply {
    match returned(broker, knock).await {
        Ok(reply) => reply,
        Err(stop) => *stop,
    }
}

/// The parameters of the request, encoded: those that were pushed where it refers to them.
fn what_is_asked(broker: &Broker, knock: &Knock<'_>) -> Result<Box<str>, Problem> {
    let query = knock.query.unwrap_or_default();
    let parameters = Parameters::read(query.as_bytes()).map_err(|_| Problem::BadRequest)?;
    match (parameters.get("request_uri"), parameters.get("client_id")) {
        (Some(reference), Some(client)) if reference.starts_with("urn:ietf:params:oauth:request_uri:") => {
            broker.pushed.take(reference, client, broker.elapsed()).ok_or(Problem::PageGone)
        }
        (Some(_) | None, _) => Ok(query.into()),
    }
}

/// Reads what is asked: at first, when it is agreed to, and once more before a code is given out.
pub(crate) async fn read(broker: &Broker, knock: &Knock<'_>, at: &'static str, asked: &str) -> Result<Wanted, Stop> {
    let stop = |problem, why: &dyn std::fmt::Display| Box::new(broker.problem(knock, at, problem, why));
    let parameters = Parameters::read(asked.as_bytes()).map_err(|error| stop(Problem::BadRequest, &error))?;
    let id = parameters.get("client_id").ok_or_else(|| stop(Problem::BadRequest, &"`client_id` is missing"))?;
    let client = broker.clients.find(id, knock.now).await;
    let client = client.map_err(|error| stop(Problem::UnknownClient, &crate::chain(&error)))?;
    let resources = broker.resources.load_full();
    match requested(&client, &parameters, &resources.uris(), broker.clients.apps()) {
        Ok(asked) => Ok(Wanted::Code(Box::new(asked))),
        Err(Refused::Page(error)) => {
            let problem = match error {
                PageError::Client => Problem::UnknownClient,
                PageError::Redirect => Problem::Redirect,
            };
            Err(stop(problem, &error))
        }
        Err(refused) => Err(Box::new(broker.sent_back(at, &refused))),
    }
}

/// A consent that makes another page needless: this user's, in this browser, for this client as it is, for all that is asked now.
///
/// Where the answer goes to the user's own machine it never does: any program there can say that it is this client (RFC 8252 section 8.6).
async fn remembered(
    broker: &Broker,
    knock: &Knock<'_>,
    wanted: &Wanted,
    user: Option<&User>,
) -> Result<Option<Consent>, NotKept> {
    let is_web = wanted.redirect().is_some_and(|redirect| redirect.uri().kind() == RedirectKind::Web);
    let (Some(user), true, Wanted::Code(asked)) = (user, is_web, wanted) else { return Ok(None) };
    if asked.wants_consent() {
        return Ok(None);
    }
    let found = consents::find(&broker.kept, wanted.consent_of(&user.subject), knock.now).await?;
    let digest = wanted.client().digest().to_string();
    // Who names no scope of tools has what was agreed to; who names some must have them all.
    let scopes = asked.scopes().iter().map(crate::request::Scope::as_str);
    Ok(found.filter(|consent| consent.covers(scopes.filter(|scope| broker.knows(scope)), &digest)))
}

/// On to the provider without a page.
async fn again(broker: &Broker, knock: &Knock<'_>, page: Page, wanted: &Wanted, consent: Consent) -> Reply {
    let offered = wanted.offered(broker);
    let scopes = consent.scopes.into_iter().filter(|scope| offered.contains(scope)).collect();
    match on_to_provider(broker, knock, page, wanted, (scopes, None)).await {
        Ok((url, cookie)) => Reply::from(answers::redirect(&url)).setting(&cookie),
        Err(stop) => *stop,
    }
}

/// Keeps what was agreed to; where the browser goes, and the cookie that it has to have when it comes back.
pub(crate) async fn on_to_provider(
    broker: &Broker,
    knock: &Knock<'_>,
    page: Page,
    wanted: &Wanted,
    (scopes, days): (Vec<Box<str>>, Option<u32>),
) -> Result<(String, String), Stop> {
    let stop = |problem, why: &dyn std::fmt::Display| Box::new(broker.problem(knock, AT, problem, why));
    // Where it leads is checked before anything is kept, or said to be on its way.
    let endpoints =
        endpoints(broker, knock.now).await.map_err(|error| stop(Problem::ProviderDown, &crate::chain(&error)))?;
    let begin = async {
        let (nonce, verifier) = (random()?, random()?);
        let flow = Flow { page, scopes, days, nonce: nonce.into(), verifier: verifier.into() };
        let begun = flows::begin(&broker.kept, &flow, knock.now).await?;
        Ok::<_, BeginError>((flow, begun))
    };
    let (flow, begun) = begin.await.map_err(|error| stop(Problem::NotKept, &error))?;
    let (acr_values, max_age) = match wanted {
        Wanted::Code(asked) => (asked.acr_values(), asked.max_age()),
        Wanted::Device(_) => (None, None),
    };
    let challenge = crate::pkce::challenge_of(&flow.verifier);
    let callback = broker.callback();
    let url = broker.provider.authorization_url(
        &endpoints,
        &LoginAsk {
            redirect_uri: &callback,
            state: &begun.state,
            nonce: &flow.nonce,
            challenge: &challenge,
            max_age,
            acr_values,
        },
    );
    let cookie = flows::with_one_more(broker.cookies.read(knock.headers, Jar::Flow).as_deref(), &begun.browser);
    Ok((url.into(), broker.cookies.set(Jar::Flow, &cookie, Some(flows::LIFE))))
}

async fn endpoints(broker: &Broker, now: SystemTime) -> Result<std::sync::Arc<Endpoints>, ProviderError> {
    broker.provider.endpoints(now).await
}

async fn returned(broker: &Broker, knock: &Knock<'_>) -> Result<Reply, Stop> {
    let stop = |problem, why: &dyn std::fmt::Display| Box::new(broker.problem(knock, CALLBACK, problem, why));
    let parameters = Parameters::read(knock.query.unwrap_or_default().as_bytes());
    let parameters = parameters.map_err(|error| stop(Problem::BadRequest, &error))?;
    let state = parameters.get("state").ok_or_else(|| stop(Problem::AnswerUnknown, &"`state` is missing"))?;
    let cookie = broker.cookies.read(knock.headers, Jar::Flow);
    let flow = flows::end(&broker.kept, state, cookie.as_deref(), knock.now).await.map_err(|error| {
        let problem = match error {
            NoFlow::Unknown => Problem::AnswerUnknown,
            NoFlow::AnotherBrowser => Problem::AnotherBrowser,
            NoFlow::NotKept(_) => Problem::NotKept,
        };
        stop(problem, &error)
    })?;
    let (user, tokens) = match login(broker, knock, &parameters, &flow).await {
        Ok(login) => login,
        Err(failed) => return Err(Box::new(failed_login(broker, knock, &flow, failed).await)),
    };
    if flow.page.user.as_ref().is_some_and(|named| *named != user.subject) {
        let reply =
            broker.problem(knock, CALLBACK, Problem::AnotherUser, &"another user logged in than the page named");
        // The next page names nobody.
        return Err(Box::new(reply.setting(&broker.cookies.clear(Jar::Login))));
    }
    let wanted = match &flow.page.device {
        None => read(broker, knock, CALLBACK, &flow.page.asked).await?,
        Some(code) => devices::read(broker, knock, code).await?,
    };
    // What was agreed to was said of the client as it was.
    if *wanted.client().digest().to_string() != *flow.page.client_digest {
        return Err(stop(Problem::ClientChanged, &"the client says something else of itself than the page did"));
    }
    if let Wanted::Code(asked) = &wanted
        && let Some(seconds) = asked.max_age()
        && !is_as_fresh(&user, Duration::from_secs(seconds), knock.now)
    {
        return Err(stop(
            Problem::LoginFailed,
            &"the login is older than the client asks for, or the provider does not say",
        ));
    }
    granted(broker, knock, (flow, wanted), user, tokens).await
}

/// OpenID Connect Core section 3.1.3.7, item 13.
fn is_as_fresh(user: &User, age_max: Duration, now: SystemTime) -> bool {
    let bound = age_max.saturating_add(SKEW);
    user.at.is_some_and(|at| now.duration_since(at).map_or_else(|ahead| ahead.duration() <= SKEW, |age| age <= bound))
}

/// Why a login is none.
enum LoginFailed {
    /// The provider said so: the client is told that the user is not in.
    Denied(Box<str>),
    /// It cannot be reached.
    Down(Box<str>),
    /// What it said cannot be believed: nobody is told but the user.
    Unbelievable(Box<str>),
}

async fn login(
    broker: &Broker,
    knock: &Knock<'_>,
    parameters: &Parameters,
    flow: &Flow,
) -> Result<(User, Tokens), LoginFailed> {
    let endpoints = endpoints(broker, knock.now).await.map_err(|error| LoginFailed::Down(crate::chain(&error)))?;
    // RFC 9207 section 2.4: whoever answers must be whom we asked, also where it is an error that is answered.
    match parameters.get("iss") {
        Some(issuer) if issuer == broker.provider.issuer() => {}
        None if !endpoints.says_issuer() => {}
        Some(_) | None => {
            return Err(LoginFailed::Unbelievable("the answer is another issuer's, or does not say whose".into()));
        }
    }
    if let Some(error) = parameters.get("error") {
        let error: String = error.chars().filter(char::is_ascii_graphic).take(64).collect();
        return Err(LoginFailed::Denied(format!("the provider answered `{error}`").into()));
    }
    let code = parameters.get("code").ok_or_else(|| LoginFailed::Unbelievable("`code` is missing".into()))?;
    let redeemed = broker.provider.redeem(&endpoints, code, &flow.verifier, &broker.callback()).await;
    let tokens = redeemed.map_err(|error| LoginFailed::Down(crate::chain(&error)))?;
    let id_token =
        tokens.id_token.as_ref().ok_or_else(|| LoginFailed::Unbelievable("there is no identity token".into()))?;
    let login = broker.provider.verify(id_token, Some(&flow.nonce), knock.now).await;
    let login = login.map_err(|error| LoginFailed::Unbelievable(crate::chain(&error)))?;
    Ok((User::of_login(&login, &broker.claims), tokens))
}

/// A login that failed: a page, or an answer to the client where the user is simply not let in.
async fn failed_login(broker: &Broker, knock: &Knock<'_>, flow: &Flow, failed: LoginFailed) -> Reply {
    let why = match failed {
        LoginFailed::Down(why) => return broker.problem(knock, CALLBACK, Problem::ProviderDown, &why),
        LoginFailed::Unbelievable(why) => return broker.problem(knock, CALLBACK, Problem::LoginFailed, &why),
        LoginFailed::Denied(why) => why,
    };
    match (&flow.page.device, read(broker, knock, CALLBACK, &flow.page.asked).await) {
        (None, Ok(Wanted::Code(asked))) => {
            broker.sent_back(CALLBACK, &asked.refused(ErrorCode::AccessDenied, "the user did not log in"))
        }
        (None, Ok(Wanted::Device(_)) | Err(_)) | (Some(_), _) => {
            broker.problem(knock, CALLBACK, Problem::LoginFailed, &why)
        }
    }
}

/// Keeps the consent, remembers who is here, and gives the client its code.
async fn granted(
    broker: &Broker,
    knock: &Knock<'_>,
    (flow, wanted): (Flow, Wanted),
    user: User,
    tokens: Tokens,
) -> Result<Reply, Stop> {
    let stop = |problem, why: &dyn std::fmt::Display| Box::new(broker.problem(knock, CALLBACK, problem, why));
    let now = knock.now;
    let later = |by: Duration| now.checked_add(by).unwrap_or(now);
    let agreed_now = flow.days.map(|days| Consent {
        subject: user.subject.clone(),
        client: wanted.client().id().as_str().into(),
        name: wanted.client().name().into(),
        redirect: wanted.goes_to().into(),
        resource: wanted.resource().into(),
        scopes: flow.scopes.clone(),
        client_digest: flow.page.client_digest.clone(),
        since: now,
        until: later(DAY.saturating_mul(days)),
    });
    let consent = match &agreed_now {
        Some(consent) => consent.clone(),
        // What was remembered is as it is: it lasts no longer, and it may have been taken back meanwhile.
        None => {
            let found = consents::find(&broker.kept, wanted.consent_of(&user.subject), now).await;
            let found = found.map_err(|error| stop(Problem::NotKept, &error))?;
            let is_good =
                |consent: &Consent| consent.covers(flow.scopes.iter().map(AsRef::as_ref), &flow.page.client_digest);
            found.filter(is_good).ok_or_else(|| stop(Problem::PageGone, &"the consent was taken back meanwhile"))?
        }
    };
    let family = random().map_err(|error| stop(Problem::NotKept, &error))?;
    let grant = Grant {
        family: family.clone().into(),
        client: consent.client.clone(),
        consent: consent.key(),
        resource: consent.resource.clone(),
        scopes: flow.scopes,
        bound_to: None,
        upstream: tokens.refresh_token.as_ref().map(|token| Upstream::fresh(token, now)),
        since: now,
        until: consent.until.min(later(broker.lifetimes.grant())),
        user,
    };
    if let Some(consent) = agreed_now {
        let kept = broker.kept.with(move |rows| consents::keep(rows, &consent)).await;
        kept.map_err(|error| stop(Problem::NotKept, &error))?;
    }
    let login = logins::begin(&broker.kept, &grant.user, broker.lifetimes.login(), now).await;
    let login = login.map_err(|error| stop(Problem::NotKept, &error))?;
    let event = agreed(broker, &consent);
    let reply = match wanted {
        Wanted::Code(asked) => answer(broker, knock, &asked, grant, &family)?,
        Wanted::Device(asked) => devices::granted(broker, knock, &asked, grant)?,
    };
    Ok(reply.noting(event).setting(&broker.cookies.set(Jar::Login, &login, Some(broker.lifetimes.login()))))
}

fn answer(broker: &Broker, knock: &Knock<'_>, asked: &Authorize, grant: Grant, family: &str) -> Result<Reply, Stop> {
    match broker.codes.give(asked, grant, family, broker.elapsed()) {
        Ok(code) => Ok(answers::redirect(&asked.granted(&code, &broker.issuer)).into()),
        Err(error @ (GiveError::Full | GiveError::Random)) => {
            Err(Box::new(broker.problem(knock, CALLBACK, Problem::NotKept, &error)))
        }
    }
}

fn agreed(broker: &Broker, consent: &Consent) -> sekisho_audit::Event<'static> {
    let mut event = done("oauth/consent", Outcome::Permit, Some((&broker.issuer, &consent.subject, &consent.client)));
    event.detail = vec![
        ("resource".into(), consent.resource.to_string().into()),
        ("redirect_uri".into(), consent.redirect.to_string().into()),
        ("scopes".into(), consent.scopes.join(" ").into()),
        ("consent".into(), consent.key().id().into()),
    ];
    event
}

impl Broker {
    /// A page that says what cannot go on; the record says why.
    pub(crate) fn problem(
        &self,
        knock: &Knock<'_>,
        at: &'static str,
        problem: Problem,
        why: &(impl std::fmt::Display + ?Sized),
    ) -> Reply {
        let mut event = refused(at, &why.to_string());
        event.code = Some(problem.code());
        let html = pages::problem(problem.words(knock.language()), problem.code(), knock.request, knock.language());
        Reply::from(answers::page(problem.status(), html)).noting(event)
    }

    /// An error for the client, by way of the browser.
    pub(crate) fn sent_back(&self, at: &'static str, refused: &Refused) -> Reply {
        let (to, code, why) = match (refused.answer(&self.issuer), refused) {
            (Some(to), Refused::Back { code, why, .. }) => (to, code.as_str(), why.clone()),
            (_, Refused::Back { .. } | Refused::Page(_)) => return answers::wrong_method("GET").into(),
        };
        let mut event = answers::refused(at, &why);
        event.detail.push(("error".into(), code.into()));
        Reply::from(answers::redirect(&to)).noting(event)
    }

    /// Who is known in this browser.
    pub(crate) async fn known(&self, knock: &Knock<'_>) -> Result<Option<User>, NotKept> {
        match self.cookies.read(knock.headers, Jar::Login) {
            Some(cookie) => logins::find(&self.kept, &cookie, knock.now).await,
            None => Ok(None),
        }
    }

    /// Whether a scope is one of ours.
    pub(crate) fn knows(&self, scope: &str) -> bool {
        self.scopes.iter().any(|known| **known == *scope)
    }

    /// What forms of this browser have to bring, so that no other page can send them.
    pub(crate) fn csrf(cookie: &str) -> String {
        digest_text("form", cookie)
    }
}

const AT: &str = "oauth/authorize";
const CALLBACK: &str = "oauth/callback";
const DAY: Duration = Duration::from_secs(24 * 3600);
/// How far the provider's clock may be from ours.
const SKEW: Duration = Duration::from_secs(60);
