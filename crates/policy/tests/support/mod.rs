//! Real proofs for tests: tokens of a test issuer, and every room before and behind this one.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends where something is not as expected"
)]

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use sekisho_catalog::{Approvals, Asking, Catalog, Target};
use sekisho_flow::{Flow, Labelled};
use sekisho_guard::{Guard, Obliged as _};
use sekisho_identity::{
    Authenticated, Channel, Identity, IssuerConfig, Local, Presented, Revocations, SessionKey, SessionToken,
};
use sekisho_limits::Limits;
use sekisho_policy::{Authorized, Challenge, Decision, ForbidReason, Forbidden, Policy, Releasable};
use sekisho_wire::message::Spoken;
use sekisho_wire::server::{Item, ServerRequest};
use sekisho_wire::{
    Askable, Endpoint, Era, FromServer, Id, Inbound, Items, Json, ListKind, ServerId, Sheets, Version, back, front,
    json,
};
use serde_json::{Value, json};

const HOUR: Duration = Duration::from_secs(3600);
/// What stands for the client's certificate.
const CERTIFICATE: &[u8] = b"certificate";
const ISSUER: &str = "https://issuer.example";
const SERVERS: &str = r#"
[servers.files]
command = ["files"]
[servers.notes]
command = ["notes"]
trust = "trusted"
[servers.bank]
command = ["bank"]
confidentiality = "confidential"
"#;

/// Somebody: the claims of a token beside the ordinary ones.
#[derive(Debug)]
pub(crate) struct Who(Value);

/// Somebody without any claim worth naming.
pub(crate) fn alice() -> Who {
    who("alice", json!({}))
}

/// Somebody with these claims.
pub(crate) fn who(subject: &str, claims: Value) -> Who {
    let mut all = json!({"sub": subject, "client_id": "agent"});
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    Who(all)
}

/// The same with a token that is bound to the certificate of the connection.
pub(crate) fn with_certificate(who: Who) -> Who {
    let mut claims = who.0;
    let thumbprint = digest(&SHA256, CERTIFICATE);
    claims["cnf"] = json!({"x5t#S256": BASE64.encode(thumbprint)});
    Who(claims)
}

/// What becomes of a call.
#[derive(Debug)]
pub(crate) enum Outcome {
    Permitted,
    Challenged(Box<Challenge>),
    Forbidden(ForbidReason),
}

/// The rooms, and an issuer that they believe.
pub(crate) struct World {
    runtime: tokio::runtime::Runtime,
    key: EcdsaKeyPair,
    identity: Identity,
    pub(crate) catalog: Catalog,
    limits: Limits,
    pub(crate) guard: Guard,
    _dir: tempfile::TempDir,
}

impl World {
    /// With the servers `files`, `notes` and `bank`, that offer what [`offers`] says.
    pub(crate) fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap();
        let (x, y) = key.public_key().as_ref()[1..].split_at(32);
        let (x, y) = (BASE64.encode(x), BASE64.encode(y));
        let keys =
            json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "k", "alg": "ES256", "use": "sig", "x": x, "y": y}]});
        std::fs::write(dir.path().join("jwks.json"), keys.to_string()).unwrap();
        let mut issuer = IssuerConfig::with_key_file(ISSUER.to_owned(), "jwks.json".into());
        issuer.audiences = vec!["https://gateway.example/mcp".to_owned()];
        issuer.groups_claim = Some("groups".to_owned());
        issuer.roles_claim = Some("roles".to_owned());
        issuer.tenant_claim = Some("tenant".to_owned());
        // Whoever is no application is a user.
        issuer.application_claims = Some(Default::default());
        issuer.attributes = [("site", "/office/site"), ("department", "/office/department")]
            .map(|(name, claim)| (name.to_owned(), claim.to_owned()))
            .into();
        let config = sekisho_identity::Config {
            issuers: vec![issuer],
            sessions: sekisho_identity::SessionsConfig { per_principal_max: 10_000, ..Default::default() },
            token_cache_max: 100,
            entra: Vec::new(),
            scopes: sekisho_identity::ScopesConfig::default(),
            dpop: sekisho_identity::DpopConfig::default(),
        };
        let client = sekisho_egress::Client::new(&sekisho_egress::Config::default(), dir.path()).unwrap();
        let url = url::Url::parse("https://gateway.example").unwrap();
        let revocations = Arc::new(Revocations::passing());
        let identity = Identity::new(&config, dir.path(), &url, Arc::new(client), revocations).unwrap();
        let catalog = Catalog::new(&toml::from_str(SERVERS).unwrap(), &Approvals::of_first_use(), None).unwrap();
        let limits = sekisho_limits::Config {
            requests_per_minute: 1_000_000,
            burst: 100_000,
            concurrent_max: 10_000,
            ..sekisho_limits::Config::default()
        };
        let world = World {
            runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
            key,
            identity,
            catalog,
            limits: Limits::new(&limits, None).unwrap(),
            guard: Guard::new(&sekisho_guard::Config::default()),
            _dir: dir,
        };
        for era in [Era::Legacy, Era::Modern] {
            for kind in ListKind::ALL {
                let _changes = world.catalog.learn(era, &offers(kind), SystemTime::now());
            }
        }
        world
    }

    /// A message of the modern era; `params` is an object.
    pub(crate) fn modern(&self, who: &Who, at: &Endpoint, method: &str, params: Value) -> Authenticated<Inbound> {
        self.modern_with(who, at, (method, params), json!({}))
    }

    /// The same at the door of all servers, from a client of these capabilities.
    pub(crate) fn modern_able(
        &self,
        who: &Who,
        method: &str,
        params: Value,
        capabilities: Value,
    ) -> Authenticated<Inbound> {
        self.modern_with(who, &Endpoint::All, (method, params), capabilities)
    }

    fn modern_with(
        &self,
        who: &Who,
        at: &Endpoint,
        (method, params): (&str, Value),
        capabilities: Value,
    ) -> Authenticated<Inbound> {
        let mut params = params;
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": capabilities,
        });
        let line = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        self.message(who, at, &line, None)
    }

    /// A reply of the legacy era to a question of `server`, in a session of its own: an error if it has a code. The question is open while the second lives.
    pub(crate) fn reply(
        &self,
        who: &Who,
        server: &str,
        question: &ServerRequest,
        answer: &Value,
    ) -> (Authenticated<Inbound>, Asking) {
        let at = Endpoint::All;
        let session = self.session(who, &at);
        let opened =
            self.catalog.ask(session.1, &ServerId::parse(server).unwrap(), question, Instant::now() + HOUR).unwrap();
        let Id::Integer(id) = opened.id() else { panic!("a number") };
        let member = if answer.get("code").is_some() { "error" } else { "result" };
        let line = json!({"jsonrpc": "2.0", "id": id, member: answer});
        (self.message(who, &at, &line, Some(session.0.expose())), opened)
    }

    fn session(&self, who: &Who, at: &Endpoint) -> (SessionToken, SessionKey) {
        let hello = self.message(who, at, &hello(), None);
        let (version, empty, now) = (Version::V2025_11_25, Json::empty_object(), SystemTime::now());
        let opened = self.identity.sessions().open(&hello, version, Askable::default(), empty, now).unwrap();
        (opened.0, opened.1.key())
    }

    /// A message of the legacy era in a session of its own; `id` is left out of notifications.
    pub(crate) fn legacy(&self, who: &Who, at: &Endpoint, method: &str, params: Value) -> Authenticated<Inbound> {
        if method == "initialize" {
            return self.message(who, at, &hello(), None);
        }
        let (session, _) = self.session(who, at);
        let mut line = json!({"jsonrpc": "2.0", "method": method, "params": params});
        if !method.starts_with("notifications/") {
            line["id"] = json!(1);
        }
        self.message(who, at, &line, Some(session.expose()))
    }

    fn message(&self, who: &Who, at: &Endpoint, line: &Value, session: Option<&str>) -> Authenticated<Inbound> {
        let now = SystemTime::now();
        let bearer = format!("Bearer {}", self.token(who, now));
        let headers = http::HeaderMap::from_iter([(http::header::AUTHORIZATION, bearer.parse().unwrap())]);
        let bound = who.0.get("cnf").is_some();
        let channel = if bound { Channel::with_certificate(CERTIFICATE) } else { Channel::default() };
        let presented = Presented::from_request(&http::Method::POST, &headers, channel).unwrap();
        let caller = self.runtime.block_on(self.identity.verify(&presented, at, now)).unwrap();
        let inbound =
            front::decode_line(line.to_string().into(), Spoken::LegacyUnsaid, &json::Limits::default()).unwrap();
        self.identity.authenticate(caller, inbound, session, now).unwrap()
    }

    /// A call of whoever runs this process, as over stdio.
    pub(crate) fn local_call(&self, tool: &str, arguments: Value) -> Authenticated<Inbound> {
        let (reader, writer) = std::io::pipe().unwrap();
        let now = SystemTime::now();
        let caller =
            Local::of_process(&reader, &writer).unwrap().at(&Endpoint::All, &Revocations::passing(), now).unwrap();
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let params = json!({"name": tool, "arguments": arguments, "_meta": meta});
        let line = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let inbound =
            front::decode_line(line.to_string().into(), Spoken::LegacyUnsaid, &json::Limits::default()).unwrap();
        self.identity.authenticate(caller, inbound, None, now).unwrap()
    }

    fn token(&self, who: &Who, now: SystemTime) -> String {
        let now = now.duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut claims = who.0.clone();
        let times =
            json!({"iss": ISSUER, "aud": "https://gateway.example/mcp", "iat": now, "exp": now + 600, "jti": "j"});
        claims.as_object_mut().unwrap().extend(times.as_object().unwrap().clone());
        let head = json!({"alg": "ES256", "typ": "at+jwt", "kid": "k"});
        let signed = format!("{}.{}", BASE64.encode(head.to_string()), BASE64.encode(claims.to_string()));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64.encode(signature))
    }

    /// Through the rooms up to this one.
    pub(crate) fn labelled(&self, message: Authenticated<Inbound>) -> Labelled {
        let addressed =
            self.catalog.address(message, SystemTime::now()).unwrap_or_else(|refused| panic!("{}", refused.0));
        let admitted = self.limits.admit(addressed).unwrap();
        Flow.label(self.guard.inspect(admitted))
    }

    /// Decides a call of the modern era at the door of all servers.
    pub(crate) fn call(
        &self,
        policy: &Policy,
        who: &Who,
        tool: &str,
        arguments: Value,
    ) -> Result<Authorized, Box<Forbidden>> {
        let params = json!({"name": tool, "arguments": arguments});
        self.decide(policy, self.modern(who, &Endpoint::All, "tools/call", params))
    }

    pub(crate) fn decide(
        &self,
        policy: &Policy,
        message: Authenticated<Inbound>,
    ) -> Result<Authorized, Box<Forbidden>> {
        match policy.decide(self.labelled(message), SystemTime::now()) {
            Decision::Permit(authorized) => Ok(authorized),
            Decision::Challenge(challenge) => panic!("{challenge:?}"),
            Decision::Forbid(forbidden) => Err(forbidden),
        }
    }

    /// What becomes of a call of the modern era at the door of all servers.
    pub(crate) fn outcome(&self, policy: &Policy, who: &Who, tool: &str, arguments: Value) -> Outcome {
        let params = json!({"name": tool, "arguments": arguments});
        self.outcome_of(policy, self.modern(who, &Endpoint::All, "tools/call", params))
    }

    pub(crate) fn outcome_of(&self, policy: &Policy, message: Authenticated<Inbound>) -> Outcome {
        match policy.decide(self.labelled(message), SystemTime::now()) {
            Decision::Permit(_) => Outcome::Permitted,
            Decision::Challenge(challenge) => Outcome::Challenged(challenge),
            Decision::Forbid(forbidden) => Outcome::Forbidden(forbidden.reason),
        }
    }

    /// Why a call is refused; none if it is permitted.
    pub(crate) fn refusal(&self, policy: &Policy, who: &Who, tool: &str, arguments: Value) -> Option<ForbidReason> {
        self.call(policy, who, tool, arguments).err().map(|forbidden| forbidden.reason)
    }

    /// What of a list is shown at the door of all servers, as `<server>/<name>`; the refusal if none is.
    pub(crate) fn shown(&self, policy: &Policy, who: &Who, kind: ListKind) -> Result<Vec<String>, ForbidReason> {
        let message = self.modern(who, &Endpoint::All, kind.method().as_str(), json!({}));
        let authorized = self.decide(policy, message).map_err(|forbidden| forbidden.reason)?;
        let releasable = self.release(policy, &authorized, FromServer::Page(offers(kind)))?;
        let FromServer::Page(items) = releasable.message() else { panic!("a page stays a page") };
        let name = |item: &Item| item.definition.get(kind.key()).unwrap().string().unwrap().into_owned();
        Ok(items.entries.iter().map(|item| format!("{}/{}", item.server, name(item))).collect())
    }

    /// What of the page of one server is shown at its door, and what is withheld and why.
    pub(crate) fn page(&self, policy: &Policy, who: &Who, page: &Items, reading: Reading) -> Page {
        let at = Endpoint::One(page.entries[0].server.clone());
        let message = self.modern(who, &at, page.kind.method().as_str(), json!({}));
        let authorized = self.decide(policy, message).map_err(|forbidden| forbidden.reason)?;
        let sheet = match reading {
            Reading::AsKnown => page.sheet.clone(),
            Reading::Anew => None,
        };
        let page =
            Items { entries: page.entries.clone(), sheet, next: Vec::new(), missing: Vec::new(), meta: None, ..*page };
        let releasable = self.release(policy, &authorized, FromServer::Page(page))?;
        let FromServer::Page(items) = releasable.message() else { panic!("a page stays a page") };
        let shown = items.entries.iter().map(|item| item.definition.as_str().to_owned()).collect();
        Ok((shown, releasable.withheld().to_vec()))
    }

    /// The way back.
    pub(crate) fn release(
        &self,
        policy: &Policy,
        of: &Authorized,
        message: FromServer,
    ) -> Result<Releasable, ForbidReason> {
        assert!(of.obligations().is_empty());
        let facts = of.facts();
        let carried = Flow.carry(facts.labels, self.guard.examine(&facts.subject, message));
        policy.release(&facts, carried, SystemTime::now())
    }
}

/// What is shown, and what is withheld and why; or why there is no page.
pub(crate) type Page = Result<(Vec<String>, Vec<(Box<str>, ForbidReason)>), ForbidReason>;

/// Whether a page is known as one that was read before.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reading {
    AsKnown,
    Anew,
}

/// The tools of one server as a page of its own.
pub(crate) fn page_of(server: &str) -> Items {
    let tools = offers(ListKind::Tools).entries;
    let tools = tools.iter().filter(|tool| tool.server.as_str() == server).map(|tool| tool.definition.as_str());
    sheet_of(server, &tools.collect::<Vec<_>>().join(","))
}

/// These tools as a page of one server.
pub(crate) fn sheet_of(server: &str, tools: &str) -> Items {
    let result = format!(r#"{{"tools":[{tools}]}}"#);
    let result = Json::decode(result.into(), &json::Limits::default()).unwrap();
    back::items(&Sheets::default(), ListKind::Tools, &ServerId::parse(server).unwrap(), &result).unwrap()
}

/// What the servers offer.
pub(crate) fn offers(kind: ListKind) -> Items {
    let tool =
        |server: &str, name: &str, schema: Value| (server.to_owned(), json!({"name": name, "inputSchema": schema}));
    let object = || json!({"type": "object"});
    let entries = match kind {
        ListKind::Tools => {
            let typed = json!({"name": "typed", "inputSchema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
                "outputSchema": {"type": "object", "required": ["sum"]}});
            vec![
                tool("files", "read_file", object()),
                tool("files", "write_file", object()),
                tool("files", "remote", json!({"type": "object", "allOf": [{"$ref": "https://example.com/s"}]})),
                tool("notes", "add_note", object()),
                tool("notes", "delete_note", object()),
                ("notes".to_owned(), typed),
                tool("bank", "pay", object()),
            ]
        }
        ListKind::Prompts => {
            let arguments = json!([{"name": "style", "required": true}, {"name": "length"}]);
            vec![("notes".to_owned(), json!({"name": "summarize", "arguments": arguments}))]
        }
        ListKind::Resources => vec![
            ("files".to_owned(), json!({"uri": "file:///srv/a.txt", "name": "a"})),
            ("files".to_owned(), json!({"uri": "file:///srv/secrets/b.txt", "name": "b"})),
        ],
        ListKind::Templates => vec![("files".to_owned(), json!({"uriTemplate": "file:///srv/{path}", "name": "srv"}))],
    };
    Items {
        kind,
        entries: entries.into_iter().map(|(server, definition)| item(&server, &definition)).collect(),
        next: Vec::new(),
        missing: Vec::new(),
        ttl_ms: None,
        meta: None,
        sheet: None,
    }
}

pub(crate) fn item(server: &str, definition: &Value) -> Item {
    Item { server: ServerId::parse(server).unwrap(), definition: wire(definition) }
}

pub(crate) fn wire(value: &Value) -> Json {
    Json::decode(value.to_string().into(), &json::Limits::default()).unwrap()
}

pub(crate) fn one(server: &str) -> Endpoint {
    Endpoint::One(ServerId::parse(server).unwrap())
}

/// Policies from a text.
pub(crate) fn policy(text: &str) -> Policy {
    Policy::parse(&[("test.cedar", text)]).unwrap_or_else(|error| panic!("{error}"))
}

/// Whether a request addresses many servers.
pub(crate) fn many(authorized: &Authorized) -> bool {
    matches!(authorized.addressed().target(), Target::Many { .. })
}

fn hello() -> Value {
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params":
        {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}})
}
