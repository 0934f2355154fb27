//! Sessions narrow, and never authenticate (M2, M4, HT-16, HT-17, HT-20, BP-24).

use http::{HeaderMap, HeaderValue};
use sekisho_identity::{Authenticated, SessionError, SessionToken, Verified};
use sekisho_wire::{Askable, Endpoint, Inbound, Json, ListKind, ServerId, Version, front, json::Limits};
use serde_json::{Value, json};

use crate::support::*;

const LEGACY: &str = "2025-11-25";
const MODERN: &str = "2026-07-28";

fn message(version: Option<&str>, body: &Value) -> Inbound {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("accept", HeaderValue::from_static("application/json, text/event-stream"));
    if let Some(version) = version {
        headers.insert("mcp-protocol-version", HeaderValue::from_str(version).unwrap());
    }
    if let Some(method) = body["method"].as_str() {
        headers.insert("mcp-method", HeaderValue::from_str(method).unwrap());
    }
    front::decode(&headers, body.to_string().into(), &Limits::default()).unwrap()
}

fn initialize() -> Inbound {
    message(
        None,
        &json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": LEGACY, "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } } }),
    )
}

fn list(version: Option<&str>) -> Inbound {
    message(version, &json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" }))
}

fn initialized() -> Inbound {
    message(Some(LEGACY), &json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))
}

fn modern_list() -> Inbound {
    message(
        Some(MODERN),
        &json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/list", "params": { "_meta": {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": { "name": "t", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {} } } }),
    )
}

struct Caller<'a> {
    room: &'a Room,
    token: String,
    endpoint: Endpoint,
}

impl<'a> Caller<'a> {
    fn named(room: &'a Room, subject: &str) -> Caller<'a> {
        Caller {
            room,
            token: token(&claims_with(json!({ "sub": subject, "exp": NOW + 86_000 }))),
            endpoint: Endpoint::All,
        }
    }

    async fn verified(&self) -> Verified {
        self.room.verify_at(&self.token, &self.endpoint, now()).await.unwrap()
    }

    async fn send(
        &self,
        message: Inbound,
        session: Option<&str>,
        seconds: u64,
    ) -> Result<Authenticated<Inbound>, SessionError> {
        self.room.identity.authenticate(self.verified().await, message, session, at(seconds))
    }

    async fn open(&self, seconds: u64) -> Result<SessionToken, SessionError> {
        let caller = self.send(initialize(), None, seconds).await.unwrap();
        let empty = Json::empty_object();
        let sessions = self.room.identity.sessions();
        sessions.open(&caller, Version::V2025_11_25, Askable::default(), empty, at(seconds)).map(|(token, _)| token)
    }

    async fn uses(&self, session: &SessionToken, seconds: u64) -> Result<(), SessionError> {
        self.send(list(Some(LEGACY)), Some(session.expose()), seconds).await.map(drop)
    }
}

/// A room with small bounds.
fn small_room() -> Room {
    let room = Room::new();
    let config = config(&format!(
        "issuers = [{{ issuer = \"{ISSUER}\", jwks_file = \"jwks.json\" }}]\n\
         sessions = {{ idle_seconds = 60, absolute_seconds = 100, per_principal_max = 2, total_max = 3 }}"
    ));
    let url = url::Url::parse(PUBLIC_URL).unwrap();
    let identity = sekisho_identity::Identity::new(&config, room.dir.path(), &url, client(), passing()).unwrap();
    Room { identity, dir: room.dir }
}

#[tokio::test]
async fn a_legacy_request_needs_its_session_and_initialize_needs_none() {
    let room = Room::new();
    let alice = Caller::named(&room, "alice");
    assert!(alice.send(initialize(), None, NOW).await.unwrap().session().is_none());
    assert!(alice.send(initialize(), Some("whatever"), NOW).await.unwrap().session().is_none());
    let session = alice.open(NOW).await.unwrap();
    let bound = alice.send(list(Some(LEGACY)), Some(session.expose()), NOW).await.unwrap();
    assert_eq!(bound.session().unwrap().version(), Version::V2025_11_25);
    assert!(alice.send(initialized(), Some(session.expose()), NOW).await.is_ok());
    for refused in [list(Some(LEGACY)), list(None), initialized()] {
        assert_eq!(alice.send(refused, None, NOW).await.map(drop), Err(SessionError::Missing));
    }
}

#[tokio::test]
async fn the_modern_era_has_no_sessions() {
    let room = Room::new();
    let alice = Caller::named(&room, "alice");
    assert!(alice.send(modern_list(), None, NOW).await.unwrap().session().is_none());
    let session = alice.open(NOW).await.unwrap();
    assert!(alice.send(modern_list(), Some(session.expose()), NOW).await.unwrap().session().is_none());
    assert!(alice.send(modern_list(), Some("unknown"), NOW).await.unwrap().session().is_none());
}

#[tokio::test]
async fn the_version_is_the_one_that_was_negotiated() {
    let room = Room::new();
    let alice = Caller::named(&room, "alice");
    let session = alice.open(NOW).await.unwrap();
    let with = async |version| alice.send(list(version), Some(session.expose()), NOW).await.map(drop);
    assert_eq!(with(Some(LEGACY)).await, Ok(()));
    assert_eq!(with(None).await, Ok(()));
    assert_eq!(with(Some("2025-06-18")).await, Err(SessionError::VersionMismatch));
}

#[tokio::test]
async fn a_session_is_of_use_to_its_principal_at_its_endpoint_only() {
    let room = Room::new();
    let alice = Caller::named(&room, "alice");
    let mallory = Caller::named(&room, "mallory");
    let elsewhere = Caller {
        room: &room,
        token: token(&claims_with(json!({ "aud": "https://gate.example/s/files/mcp", "exp": NOW + 86_000 }))),
        endpoint: Endpoint::One(ServerId::parse("files").unwrap()),
    };
    let session = alice.open(NOW).await.unwrap();
    assert_eq!(mallory.uses(&session, NOW).await, Err(SessionError::Unknown));
    assert_eq!(elsewhere.uses(&session, NOW).await, Err(SessionError::Unknown));
    let guess = alice.send(list(Some(LEGACY)), Some("guess"), NOW).await.map(drop);
    assert_eq!(guess, Err(SessionError::Unknown));
    let stolen_end = room.identity.end(&mallory.verified().await, session.expose(), now());
    assert_eq!(stolen_end, Err(SessionError::Unknown));
    assert_eq!(alice.uses(&session, NOW).await, Ok(()));
}

#[tokio::test]
async fn a_list_on_a_callers_behalf_is_the_callers_with_the_same_lease_door_and_session() {
    let room = Room::new();
    let alice = Caller::named(&room, "alice");
    let session = alice.open(0).await.unwrap();
    for (message, session) in [(initialized(), Some(session.expose())), (modern_list(), None)] {
        let sent = alice.send(message, session, 0).await.unwrap();
        let list = sent.to_list(ListKind::Prompts);
        assert_eq!(list.message().method(), "prompts/list");
        assert_eq!(list.message().spoken(), sent.message().spoken());
        assert_eq!(list.principal().key(), sent.principal().key());
        assert_eq!(list.lease().ends_at(), sent.lease().ends_at());
        assert_eq!(list.endpoint(), sent.endpoint());
        assert_eq!(list.session().map(|session| session.key()), sent.session().map(|session| session.key()));
        assert_eq!(list.session().is_some(), session.is_some());
    }
}

#[tokio::test]
async fn an_ended_session_is_unknown() {
    let room = Room::new();
    let alice = Caller::named(&room, "alice");
    let session = alice.open(NOW).await.unwrap();
    let verified = alice.verified().await;
    assert_eq!(room.identity.sessions().count(), 1);
    // A message that was bound to it just before knows that it is over.
    let bound = alice.send(list(Some(LEGACY)), Some(session.expose()), NOW).await.unwrap();
    assert!(!bound.session().unwrap().is_over());
    assert!(room.identity.end(&verified, session.expose(), now()).is_ok());
    assert_eq!(room.identity.end(&verified, session.expose(), now()), Err(SessionError::Unknown));
    assert!(bound.session().unwrap().is_over());
    assert_eq!(alice.uses(&session, NOW).await, Err(SessionError::Unknown));
    assert_eq!(room.identity.sessions().count(), 0);
    assert_eq!(room.identity.sessions().sweep(at(NOW + 1_000_000)), []);
}

#[tokio::test]
async fn a_session_does_not_outlive_a_change_of_what_its_principal_may() {
    let room = Room::with("roles_claim = \"roles\"");
    let caller = |change: serde_json::Value| {
        let mut claims = json!({ "exp": NOW + 86_000 });
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        Caller { room: &room, token: token(&claims_with(claims)), endpoint: Endpoint::All }
    };
    let plain = caller(json!({}));
    // The same in another order, in another token, is the same.
    let again = caller(json!({ "jti": "2", "scope": "mcp:prompts mcp:tools" }));
    for change in [
        json!({ "scope": "mcp:tools" }),
        json!({ "scope": "mcp:tools mcp:prompts mcp:admin" }),
        json!({ "roles": ["admin"] }),
        json!({ "acr": "urn:mfa" }),
        json!({ "amr": ["otp"] }),
    ] {
        let session = plain.open(NOW).await.unwrap();
        assert_eq!(again.uses(&session, NOW).await, Ok(()));
        assert_eq!(caller(change.clone()).uses(&session, NOW).await, Err(SessionError::Unknown), "{change}");
        assert_eq!(plain.uses(&session, NOW).await, Err(SessionError::Unknown), "it has ended for all: {change}");
        assert_eq!(room.identity.sessions().sweep(at(NOW)).len(), 1, "and what hangs on it is ended");
    }
}

#[tokio::test]
async fn a_session_ends_with_the_revocation_of_its_principal() {
    let room = Room::new();
    let (alice, bob) = (Caller::named(&room, "alice"), Caller::named(&room, "bob"));
    let (hers, his) = (alice.open(NOW).await.unwrap(), bob.open(NOW).await.unwrap());
    let target = sekisho_identity::Target::Subject { issuer: ISSUER.to_owned(), subject: "alice".to_owned() };
    let revocation = sekisho_identity::Revocation { target, at: at(NOW), reason: String::new(), by: "test".to_owned() };
    let (ended, outcome) = room.identity.revoke(revocation).await;
    assert_eq!((ended.len(), outcome.is_ok()), (1, true));
    assert_eq!(room.identity.sessions().count(), 1);
    let caller = bob.verified().await;
    assert!(room.identity.end(&caller, hers.expose(), at(NOW)).is_err());
    assert_eq!(bob.uses(&his, NOW).await, Ok(()));
}

#[tokio::test]
async fn a_session_idles_out_and_grows_old() {
    let room = small_room();
    let alice = Caller::named(&room, "alice");
    let session = alice.open(NOW).await.unwrap();
    assert_eq!(alice.uses(&session, NOW + 59).await, Ok(()));
    assert_eq!(alice.uses(&session, NOW + 99).await, Ok(()));
    assert_eq!(alice.uses(&session, NOW + 100).await, Err(SessionError::Unknown));
    let idle = alice.open(NOW).await.unwrap();
    assert_eq!(alice.uses(&idle, NOW + 60).await, Err(SessionError::Unknown));
    assert_eq!(room.identity.sessions().sweep(at(NOW + 100)).len(), 2);
    assert_eq!(room.identity.sessions().sweep(at(NOW + 100)), []);
    assert_eq!(room.identity.sessions().count(), 0);
}

#[tokio::test]
async fn sessions_are_bounded_for_each_and_for_all() {
    let room = small_room();
    let (alice, bob) = (Caller::named(&room, "alice"), Caller::named(&room, "bob"));
    assert!(alice.open(NOW).await.is_ok());
    let second = alice.open(NOW).await.unwrap();
    assert_eq!(alice.open(NOW).await.map(drop), Err(SessionError::TooMany));
    assert!(bob.open(NOW).await.is_ok());
    assert_eq!(bob.open(NOW).await.map(drop), Err(SessionError::TooMany));
    // Ended ones make room for their principal once those who have to know were told.
    assert_eq!(alice.uses(&second, NOW + 30).await, Ok(()));
    assert_eq!(alice.open(NOW + 61).await.map(drop), Err(SessionError::TooMany));
    assert_eq!(room.identity.sessions().sweep(at(NOW + 61)).len(), 2);
    assert!(alice.open(NOW + 61).await.is_ok());
    assert_eq!(alice.uses(&second, NOW + 61).await, Ok(()));
}

#[tokio::test]
async fn session_ids_are_long_visible_and_never_alike() {
    let room = Room::new();
    let alice = Caller::named(&room, "alice");
    let (one, two) = (alice.open(NOW).await.unwrap(), alice.open(NOW).await.unwrap());
    assert_ne!(one.expose(), two.expose());
    assert_eq!(one.expose().len(), 43);
    assert!(one.expose().bytes().all(|byte| byte.is_ascii_graphic()));
}

#[tokio::test]
async fn a_reload_keeps_the_sessions() {
    let room = Room::new();
    let session = Caller::named(&room, "alice").open(NOW).await.unwrap();
    let other = Room::new();
    assert_eq!(Caller::named(&other, "alice").uses(&session, NOW).await, Err(SessionError::Unknown));
    let renewed = Room { identity: other.identity.keeping_sessions_of(&room.identity), dir: other.dir };
    assert_eq!(Caller::named(&renewed, "alice").uses(&session, NOW).await, Ok(()));
    assert_eq!(Caller::named(&renewed, "mallory").uses(&session, NOW).await, Err(SessionError::Unknown));
}

#[tokio::test]
async fn lives_of_ended_sessions_are_told_once_and_those_of_open_ones_are_not() {
    let room = small_room();
    let alice = Caller::named(&room, "alice");
    let sessions = room.identity.sessions();
    let session = alice.open(NOW).await.unwrap();
    alice.uses(&session, NOW + 50).await.unwrap();
    assert!(sessions.lives().is_empty());
    assert_eq!(sessions.sweep(at(NOW + 200)).len(), 1);
    assert_eq!(sessions.lives(), [std::time::Duration::from_secs(50)]);
    assert!(sessions.lives().is_empty());
}
