//! Callers and servers as the rooms before this one make them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use secrecy::ExposeSecret;
use sekisho_catalog::{Approvals, Catalog};
use sekisho_egress::Client;
use sekisho_identity::developer::Developer;
use sekisho_identity::{Authenticated, Identity, Presented, SessionKey};
use sekisho_sandbox::{Launcher, Tier};
use sekisho_wire::json::Limits;
use sekisho_wire::message::Spoken;
use sekisho_wire::{Askable, Call, Endpoint, FromServer, Inbound, Items, Json, ListKind, ServerId, Version, front};
use url::Url;

use super::support::{Ground, json, python, words};
use crate::ask::Question;
use crate::caller::Caller;
use crate::config::Config;
use crate::error::SendError;
use crate::exchange::Course;
use crate::upstream::Upstream;
use crate::{Cages, Probing, Secrets, StartError};

/// The rooms before this one, and this one.
pub(crate) struct House {
    pub(crate) ground: Ground,
    pub(crate) identity: Identity,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) catalog: Catalog,
    developer: Developer,
}

impl House {
    /// `servers` is the part of the configuration behind `[servers]`; `SCRIPT` in it is the test server's path.
    pub(crate) fn new(servers: &str) -> House {
        House::try_new(servers).expect("a house")
    }

    pub(crate) fn try_new(servers: &str) -> Result<House, StartError> {
        let config = Config { probe_timeout_seconds: 5, restart_backoff_max_seconds: 1, ..Config::default() };
        House::with(servers, &config)
    }

    pub(crate) fn with(servers: &str, upstream: &Config) -> Result<House, StartError> {
        House::probing(servers, upstream, Probing::AtOnce)
    }

    pub(crate) fn probing(servers: &str, upstream: &Config, probing: Probing) -> Result<House, StartError> {
        let ground = Ground::new();
        let folder = ground.folder.path();
        let url: Url = "http://127.0.0.1:8700".parse().unwrap();
        let egress = Arc::new(Client::new(&sekisho_egress::Config::default(), folder).unwrap());
        let audiences = ["/mcp", "/s/one/mcp"].map(|path| format!("http://127.0.0.1:8700{path}"));
        let developer = Developer::open(folder, &url, "ann", &audiences, SystemTime::now()).unwrap();
        let config = sekisho_identity::Config {
            issuers: vec![developer.issuer_config()],
            sessions: sekisho_identity::SessionsConfig::default(),
            token_cache_max: 100,
            entra: Vec::new(),
            scopes: sekisho_identity::ScopesConfig::default(),
            dpop: sekisho_identity::DpopConfig::default(),
        };
        let identity =
            Identity::new(&config, folder, &url, egress.clone(), Arc::new(sekisho_identity::Revocations::passing()))
                .unwrap();
        let catalog = catalog(&ground, servers, None);
        let servers = catalog.servers().cloned();
        let upstream =
            secrets(&ground, |s| Upstream::start(servers, upstream, egress, ground.audit.clone(), (s, probing)))?;
        Ok(House { ground, identity, upstream, catalog, developer })
    }

    /// Puts another configuration in the place of this one.
    pub(crate) fn reload(&mut self, servers: &str) -> Result<(), StartError> {
        self.catalog = catalog(&self.ground, servers, Some(&self.catalog));
        let servers = self.catalog.servers().cloned();
        secrets(&self.ground, |s| self.upstream.reload(servers, s))
    }

    pub(crate) async fn caller(&self, who: &str, line: &str, session: Option<&str>) -> Authenticated<Inbound> {
        self.caller_at(&Endpoint::All, who, line, session).await
    }

    pub(crate) async fn caller_at(
        &self,
        endpoint: &Endpoint,
        who: &str,
        line: &str,
        session: Option<&str>,
    ) -> Authenticated<Inbound> {
        let now = SystemTime::now();
        let token = self.developer.mint(who, &[], Duration::from_secs(3600), now).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, format!("Bearer {}", token.expose_secret()).parse().unwrap());
        let presented =
            Presented::from_request(&http::Method::POST, &headers, sekisho_identity::Channel::default()).unwrap();
        let verified = self.identity.verify(&presented, endpoint, now).await.unwrap();
        let message = front::decode_line(line.to_owned().into(), Spoken::LegacyUnsaid, &Limits::default()).unwrap();
        self.identity.authenticate(verified, message, session, now).unwrap()
    }

    /// A message of the modern era.
    pub(crate) async fn modern(&self, who: &str) -> Authenticated<Inbound> {
        let meta = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
        let line = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{"_meta":{meta}}}}}"#);
        self.caller(who, &line, None).await
    }

    /// A message of a session that is opened for it.
    pub(crate) async fn legacy(&self, who: &str) -> Authenticated<Inbound> {
        let params = r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}"#;
        let line = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{params}}}"#);
        let opening = self.caller(who, &line, None).await;
        let nothing = Json::empty_object;
        let sessions = self.identity.sessions();
        let opened = sessions.open(&opening, Version::V2025_11_25, Askable::default(), nothing(), SystemTime::now());
        let (id, _) = opened.unwrap();
        self.caller(who, r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#, Some(id.expose())).await
    }

    /// The gateway's own listing, below the door.
    pub(crate) async fn learn(&self, server: &str, caller: &Authenticated<Inbound>) -> Result<Items, SendError> {
        let peer = self.upstream.peer(&ServerId::parse(server).unwrap())?;
        peer.learn(&Caller::of(caller).unwrap(), ListKind::Tools).await
    }

    pub(crate) async fn start(
        &self,
        server: &str,
        tool: &str,
        caller: &Authenticated<Inbound>,
    ) -> Result<Course, SendError> {
        let call = Call::CallTool { name: tool.into(), arguments: json("{}") };
        let caller = Caller::of(caller).unwrap();
        let peer = self.upstream.peer(&ServerId::parse(server).unwrap())?;
        Ok(peer.ask(&caller, Question::of(&call)).await?.into())
    }

    /// Calls a tool and gives the text of its answer.
    pub(crate) async fn call(
        &self,
        server: &str,
        tool: &str,
        caller: &Authenticated<Inbound>,
    ) -> Result<String, SendError> {
        let mut course = self.start(server, tool, caller).await?;
        loop {
            if let FromServer::End(answer) = course.next().await.expect("an end")? {
                return Ok(words(answer));
            }
        }
    }
}

pub(crate) fn session_of(caller: &Authenticated<Inbound>) -> SessionKey {
    caller.session().unwrap().key()
}

fn catalog(ground: &Ground, servers: &str, old: Option<&Catalog>) -> Catalog {
    let text = servers.replace("SCRIPT", &ground.script()).replace("python3", python());
    let mut config: sekisho_catalog::Config = toml::from_str(&text).unwrap();
    // The launcher is not in this program; confined ones run in e2e.
    let unconfined = sekisho_sandbox::Config { dangerous_unconfined: true, ..Default::default() };
    for server in config.servers.values_mut().filter(|server| server.command.is_some()) {
        server.sandbox = unconfined.clone();
    }
    Catalog::new(&config, &Approvals::of_first_use(), old).unwrap()
}

fn secrets<T>(ground: &Ground, with: impl FnOnce(&Secrets<'_>) -> T) -> T {
    let cages = Cages {
        tier: Tier::None,
        launcher: &Launcher::own(),
        homes: ground.folder.path(),
        hidden: &[],
        own_ports: &[],
    };
    with(&Secrets { base: ground.folder.path(), env: &|name| std::env::var_os(name), cages })
}
