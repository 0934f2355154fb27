//! The room: everything that it is made of, and which request goes where.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::ACCEPT_LANGUAGE;
use http::{HeaderMap, Method, StatusCode};
use secrecy::SecretString;
use sekisho_identity::{DpopConfig, KeyProofs, Provider, Revocations};
use sekisho_keys::{ResolveError, SealError, Sealer, SecretRef, SigningKey, SigningKeyError};
use sekisho_store::Store;
use url::Url;

use crate::answers::{self, Reply};
use crate::clients::Clients;
use crate::codes::Codes;
use crate::config::{Config, ConfigError, Lifetimes};
use crate::consent::Denials;
use crate::cookies::Cookies;
use crate::devices::Devices;
use crate::discovery::{self, Offered};
use crate::grants::Grant;
use crate::kept::Kept;
use crate::pages::Language;
use crate::pushed::Pushed;
use crate::resources::{Resources, scope_of};
use crate::trust::ClientsConfigError;
use crate::{account, authorize, consent, devices, operator, paths, token};

/// The room.
pub struct Broker {
    /// Our issuer, which is the gateway's own origin.
    pub(crate) issuer: Box<str>,
    pub(crate) provider: Provider,
    pub(crate) provider_host: Box<str>,
    pub(crate) clients: Clients,
    has_secrets: bool,
    pub(crate) lifetimes: Lifetimes,
    /// Scopes that may be asked for.
    pub(crate) scopes: Vec<Box<str>>,
    /// Claims that are said again.
    pub(crate) claims: Vec<String>,
    pub(crate) resources: ArcSwap<Resources>,
    pub(crate) key: SigningKey,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) kept: Kept,
    pub(crate) codes: Codes<Grant>,
    pub(crate) pushed: Pushed,
    pub(crate) denials: Denials,
    pub(crate) devices: Option<Devices>,
    pub(crate) proofs: KeyProofs,
    pub(crate) revocations: Arc<Revocations>,
    pub(crate) cookies: Cookies,
    started: Instant,
}

/// What the room is made of.
pub struct Parts<'a> {
    /// `[broker]`
    pub config: &'a Config,
    /// The gateway's own URL.
    pub public_url: &'a Url,
    /// The folder that keys are kept in; it is there.
    pub folder: &'a Path,
    /// The provider's secret for us, if there is one.
    pub provider_secret: Option<SecretString>,
    /// Fetches the secret of the configured client with this id.
    pub client_secret: &'a dyn Fn(&str, &SecretRef) -> Result<SecretString, ResolveError>,
    /// How proofs of possession are taken.
    pub dpop: &'a DpopConfig,
    /// The way to the provider.
    pub egress: Arc<sekisho_egress::Client>,
    /// The way to documents of clients, which are wherever anybody says: it leads to no internal host.
    pub documents: Arc<sekisho_egress::Client>,
    /// What is revoked.
    pub revocations: Arc<Revocations>,
    /// Where what lasts is kept.
    pub store: Arc<Store>,
    /// What is served.
    pub resources: Resources,
}

/// Why there is no facade.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// `[broker]`
    #[error("the section cannot be used")]
    Config(#[from] ConfigError),
    /// `[broker.provider]`
    #[error("`provider` cannot be used")]
    Provider(#[from] sekisho_identity::ProviderConfigError),
    /// `[broker.clients]`
    #[error("`clients` cannot be used")]
    Clients(#[from] ClientsConfigError),
    /// The key that tokens are signed with.
    #[error("the key that tokens are signed with cannot be used")]
    Key(#[from] SigningKeyError),
    /// The key that what is kept is sealed with.
    #[error("the key that grants are sealed with cannot be used")]
    Sealer(#[from] SealError),
    /// The system.
    #[error("the system gives no random numbers")]
    NoRandomness,
    /// The system.
    #[error("no thread can be started")]
    Thread(#[source] std::io::Error),
}

/// One request.
#[derive(Debug)]
pub struct Knock<'a> {
    /// How.
    pub method: &'a Method,
    /// Where.
    pub path: &'a str,
    /// With which query.
    pub query: Option<&'a str>,
    /// With which headers.
    pub headers: &'a HeaderMap,
    /// With which body; at most [`BODY_BYTES_MAX`].
    pub body: Bytes,
    /// From which address, if it is known.
    pub from: Option<IpAddr>,
    /// What it is called in the record, and on pages.
    pub request: &'a str,
    /// When.
    pub now: SystemTime,
}

/// Whether keys are made where there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// They are.
    Made,
    /// Nothing is written.
    LookedFor,
}

/// What a path is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Browsers: what they send along by themselves counts, so it matters which page made them send it.
    Page,
    /// Programs: nothing counts but what they say.
    Api,
}

impl Broker {
    /// Makes it; its keys are made where there are none. Nothing is fetched.
    ///
    /// # Errors
    /// [`StartError`]
    pub fn new(parts: Parts<'_>, now: SystemTime) -> Result<Broker, StartError> {
        let Parts {
            config,
            public_url,
            folder,
            provider_secret,
            client_secret,
            dpop,
            egress,
            documents,
            revocations,
            store,
            resources,
        } = parts;
        config.check()?;
        let sealer = Arc::new(Sealer::open(&folder.join(SEALING_KEY))?);
        let own = sekisho_catalog::Impact::ALL.into_iter().map(|impact| Box::from(scope_of(impact)));
        let scopes = own.chain(config.scopes.iter().map(|scope| Box::from(scope.as_str()))).collect();
        Ok(Broker {
            issuer: public_url.as_str().trim_end_matches('/').into(),
            provider: Provider::new(&config.provider, provider_secret, Arc::clone(&egress))?,
            provider_host: host_of(&config.provider.issuer),
            clients: Clients::new(&config.clients, client_secret, documents, Arc::clone(&store))?,
            has_secrets: config.clients.configured.iter().any(|client| client.secret.is_some()),
            lifetimes: config.lifetimes.clone(),
            scopes,
            claims: config.claims.clone(),
            resources: ArcSwap::from_pointee(resources),
            key: SigningKey::open(&folder.join(SIGNING_KEY))?,
            kept: Kept::new(store, Arc::clone(&sealer)).map_err(StartError::Thread)?,
            sealer,
            codes: Codes::default(),
            pushed: Pushed::default(),
            denials: Denials::default(),
            devices: config.device_flow.then(Devices::default),
            proofs: KeyProofs::new(dpop, now).ok_or(StartError::NoRandomness)?,
            revocations,
            cookies: Cookies { is_secure: public_url.scheme() == "https" },
            started: Instant::now(),
        })
    }

    /// The key set of a facade whose keys are in this folder. Where there are none, that of a key which nobody keeps, unless they are made.
    ///
    /// # Errors
    /// The key cannot be used.
    pub fn key_set_in(folder: &Path, keys: Keys) -> Result<Bytes, SigningKeyError> {
        let path = folder.join(SIGNING_KEY);
        let key = match keys {
            Keys::Made => SigningKey::open(&path)?,
            Keys::LookedFor if path.exists() => SigningKey::open(&path)?,
            Keys::LookedFor => SigningKey::passing()?,
        };
        Ok(discovery::key_set(&key).bytes().clone())
    }

    /// Serves these from now on.
    pub fn serve(&self, resources: Resources) {
        self.resources.store(Arc::new(resources));
    }

    /// `iss` of its tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// For whom a path is, if it is one of this room's.
    #[must_use]
    pub fn kind(path: &str) -> Option<Kind> {
        match path {
            paths::AUTHORIZE
            | paths::CONSENT
            | paths::CALLBACK
            | paths::DEVICE
            | paths::CONSENTS
            | paths::CONSENTS_REVOKE
            | paths::LOGOUT
            | paths::STYLE => Some(Kind::Page),
            paths::TOKEN
            | paths::REGISTER
            | paths::REVOKE
            | paths::INTROSPECT
            | paths::PUSH
            | paths::KEYS
            | paths::DEVICE_ASK
            | paths::METADATA
            | paths::OPENID => Some(Kind::Api),
            // Where clients look for the metadata of an issuer with a path: there is none, and that is no secret.
            _ if is_behind(path, paths::METADATA) || is_behind(path, paths::OPENID) => Some(Kind::Api),
            _ => None,
        }
    }

    /// Answers a request at one of its paths.
    pub async fn answer(&self, knock: &Knock<'_>) -> Reply {
        let reads = answers::reads(knock.method);
        match (knock.path, knock.method) {
            (path, &Method::OPTIONS) if Broker::kind(path) == Some(Kind::Api) => answers::preflight().into(),
            (paths::METADATA, _) if reads => answers::json(StatusCode::OK, &self.document(false)).into(),
            (paths::OPENID, _) if reads => answers::json(StatusCode::OK, &self.document(true)).into(),
            (path, _) if is_behind(path, paths::METADATA) || is_behind(path, paths::OPENID) => {
                let error = sekisho_wire::json::Object::new().text("error", "not_found").finish();
                answers::json(StatusCode::NOT_FOUND, &error).into()
            }
            (paths::KEYS, _) if reads => answers::json(StatusCode::OK, &discovery::key_set(&self.key)).into(),
            (paths::STYLE, _) if reads => answers::style().into(),
            (paths::AUTHORIZE, &Method::GET) => authorize::ask(self, knock).await,
            (paths::CONSENT, &Method::POST) => consent::answered(self, knock).await,
            (paths::CALLBACK, &Method::GET) => authorize::came_back(self, knock).await,
            (paths::TOKEN, &Method::POST) => token::exchange(self, knock).await,
            (paths::REVOKE, &Method::POST) => token::revoke(self, knock).await,
            (paths::INTROSPECT, &Method::POST) => token::introspect(self, knock).await,
            (paths::REGISTER, &Method::POST) => operator::register(self, knock).await,
            (paths::PUSH, &Method::POST) => authorize::push(self, knock).await,
            (paths::DEVICE_ASK, &Method::POST) => devices::ask(self, knock).await,
            (paths::DEVICE, &Method::GET | &Method::POST) => devices::page(self, knock).await,
            (paths::CONSENTS, &Method::GET) => account::list(self, knock).await,
            (paths::CONSENTS_REVOKE, &Method::POST) => account::revoke(self, knock).await,
            (paths::LOGOUT, &Method::POST) => account::log_out(self, knock).await,
            _ => answers::wrong_method("GET, POST").into(),
        }
    }

    /// How long this has been running: the clock of what does not outlive it.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn callback(&self) -> String {
        format!("{}{}", self.issuer, paths::CALLBACK)
    }

    fn document(&self, is_openid: bool) -> sekisho_wire::Json {
        let offered = Offered {
            issuer: &self.issuer,
            takes_documents: self.clients.read_documents(),
            takes_registrations: self.clients.take_registrations(),
            takes_devices: self.devices.is_some(),
            takes_secrets: self.has_secrets,
            scopes: &self.scopes,
        };
        discovery::document(&offered, is_openid)
    }
}

impl Knock<'_> {
    /// The language of whoever sits in front of the browser.
    pub(crate) fn language(&self) -> Language {
        Language::preferred(self.headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()))
    }
}

fn is_behind(path: &str, of: &str) -> bool {
    path.strip_prefix(of).is_some_and(|rest| rest.starts_with('/'))
}

fn host_of(url: &str) -> Box<str> {
    Url::parse(url).ok().and_then(|url| url.host_str().map(Box::from)).unwrap_or_default()
}

const SIGNING_KEY: &str = "signing-key.pem";
const SEALING_KEY: &str = "sealing-key";
/// LIMIT: of a request's body.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
