//! Real proofs for tests: a developer issuer, its tokens, and messages that were decoded and authenticated with them.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use secrecy::ExposeSecret as _;
use sekisho_catalog::{Approvals, Catalog, Config};
use sekisho_identity::developer::Developer;
use sekisho_identity::{Authenticated, Identity, Presented, SessionToken};
use sekisho_wire::json::Limits;
use sekisho_wire::message::Spoken;
use sekisho_wire::server::Item;
use sekisho_wire::{Endpoint, Era, Inbound, Items, Json, ListKind, ServerId, Version, front};

/// Whoever authenticates.
pub(crate) struct Gate {
    identity: Identity,
    developer: Developer,
    _dir: tempfile::TempDir,
}

impl Gate {
    /// A gate with an endpoint for all servers and one for each of these.
    pub(crate) fn new(servers: &[&str]) -> Gate {
        let dir = tempfile::tempdir().expect("a folder");
        let url = url::Url::parse("http://127.0.0.1:8700").expect("a URL");
        let ends = servers.iter().map(|server| one(server)).chain([Endpoint::All]);
        let audiences: Vec<String> = ends.map(|end| format!("http://127.0.0.1:8700{}", end.path())).collect();
        let developer = Developer::open(dir.path(), &url, "alice", &audiences, SystemTime::now()).expect("an issuer");
        let config = sekisho_identity::Config {
            issuers: vec![developer.issuer_config()],
            sessions: sekisho_identity::SessionsConfig::default(),
            token_cache_max: 100,
            entra: Vec::new(),
            scopes: sekisho_identity::ScopesConfig::default(),
            dpop: sekisho_identity::DpopConfig::default(),
        };
        let client = sekisho_egress::Client::new(&sekisho_egress::Config::default(), dir.path()).expect("a client");
        let identity = Identity::new(
            &config,
            dir.path(),
            &url,
            Arc::new(client),
            Arc::new(sekisho_identity::Revocations::passing()),
        )
        .expect("an issuer is configured");
        Gate { identity, developer, _dir: dir }
    }

    /// A request of 2026-07-28. `params`: members of `params`, such as `"name":"x"`.
    pub(crate) async fn modern(&self, who: &str, at: &Endpoint, method: &str, params: &str) -> Authenticated<Inbound> {
        let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}"#;
        let comma = if params.is_empty() { "" } else { "," };
        let line = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}{comma}{meta}}}}}"#);
        self.message(who, at, &line, None).await
    }

    /// A message of 2025-11-25 in a session of its own.
    pub(crate) async fn legacy(&self, who: &str, at: &Endpoint, message: &str) -> Authenticated<Inbound> {
        let session = self.session(who, at).await;
        self.message(who, at, message, Some(session.expose())).await
    }

    /// `initialize`
    pub(crate) async fn initialize(&self, who: &str, at: &Endpoint) -> Authenticated<Inbound> {
        let line = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
        self.message(who, at, line, None).await
    }

    async fn session(&self, who: &str, at: &Endpoint) -> SessionToken {
        let hello = self.initialize(who, at).await;
        let opened = self.identity.sessions().open(
            &hello,
            Version::V2025_11_25,
            sekisho_wire::Askable::default(),
            Json::empty_object(),
            SystemTime::now(),
        );
        opened.expect("a session").0
    }

    async fn message(&self, who: &str, at: &Endpoint, line: &str, session: Option<&str>) -> Authenticated<Inbound> {
        let now = SystemTime::now();
        let token = self.developer.mint(who, &[], Duration::from_secs(600), now).expect("a token");
        let mut headers = http::HeaderMap::new();
        let bearer = format!("Bearer {}", token.expose_secret());
        headers.insert("authorization", bearer.parse().expect("a header value"));
        let presented = Presented::from_request(&http::Method::POST, &headers, sekisho_identity::Channel::default())
            .expect("a token");
        let caller = self.identity.verify(&presented, at, now).await.expect("a good token");
        let line = Bytes::copy_from_slice(line.as_bytes());
        let inbound = front::decode_line(line, Spoken::LegacyUnsaid, &Limits::default()).expect("a message");
        self.identity.authenticate(caller, inbound, session, now).expect("authentic")
    }
}

/// The door of one server.
pub(crate) fn one(server: &str) -> Endpoint {
    Endpoint::One(id(server))
}

pub(crate) fn id(server: &str) -> ServerId {
    ServerId::parse(server).expect("a server name")
}

pub(crate) fn json(text: &str) -> Json {
    Json::decode(Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).expect("strict JSON")
}

/// A catalog of these servers: TOML of `[servers.<name>]` tables.
pub(crate) fn config(text: &str) -> Config {
    toml::from_str(text).expect("a configuration")
}

/// A catalog of servers that are all commands and nothing else.
pub(crate) fn catalog(servers: &[&str]) -> Catalog {
    let tables: String = servers.iter().map(|name| format!("[servers.{name}]\ncommand = ['{name}']\n")).collect();
    Catalog::new(&config(&tables), &Approvals::of_first_use(), None).expect("servers")
}

/// A tool with nothing special about it.
pub(crate) fn tool(name: &str) -> Json {
    json(&format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#))
}

/// Lets the catalog see a page of one server; gives how many changes it reported.
pub(crate) fn learn(catalog: &Catalog, era: Era, server: &str, kind: ListKind, page: &[Json]) -> usize {
    let entries = page.iter().map(|definition| Item { server: id(server), definition: definition.clone() });
    let items = Items {
        kind,
        entries: entries.collect(),
        next: Vec::new(),
        missing: Vec::new(),
        ttl_ms: None,
        meta: None,
        sheet: None,
    };
    catalog.learn(era, &items, SystemTime::now()).len()
}
