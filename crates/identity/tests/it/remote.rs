//! Keys that are fetched: discovery, rotation, outage, and what a stranger's token can cause.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sekisho_identity::{Identity, TokenError};
use sekisho_wire::Endpoint;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use url::Url;

use crate::support::*;

/// An authorization server: documents by path, and how often each was asked for.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) url: String,
    documents: Arc<Mutex<HashMap<String, String>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) async fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Server { url, documents: Arc::default(), asked: Arc::default() };
        let serving = server.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let server = serving.clone();
                let service = service_fn(move |request| {
                    let answer = server.answer(&request);
                    async move { Ok::<_, Infallible>(answer) }
                });
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
        server
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let document = self.documents.lock().unwrap().get(&path).cloned();
        self.asked.lock().unwrap().push(path);
        let status = if document.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
        let mut response = Response::new(Full::new(document.unwrap_or_default().into()));
        *response.status_mut() = status;
        response
    }

    pub(crate) fn put(&self, path: &str, document: &Value) {
        self.documents.lock().unwrap().insert(path.to_owned(), document.to_string());
    }

    fn remove(&self, path: &str) {
        self.documents.lock().unwrap().remove(path);
    }

    /// The paths asked for since the last look.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// The room that believes this server; `path` is the issuer's.
    fn room(&self, path: &str, lines: &str) -> Identity {
        let config = config(&format!("[[issuers]]\nissuer = \"{}{path}\"\n{lines}", self.url));
        let dir = tempfile::tempdir().unwrap();
        Identity::new(&config, dir.path(), &Url::parse(PUBLIC_URL).unwrap(), client(), passing()).unwrap()
    }

    fn room_with_key_set_at(&self, path: &str) -> Identity {
        self.room("", &format!("jwks_url = \"{}{path}\"", self.url))
    }

    fn token(&self, path: &str, algorithm: &str, key: &str) -> String {
        let claims = claims_with(json!({ "iss": format!("{}{path}", self.url), "exp": NOW + 80_000 }));
        signed(&header(algorithm, key), &claims)
    }
}

async fn verify(room: &Identity, token: &str, seconds: u64) -> Result<(), TokenError> {
    room.verify(&present(token).unwrap(), &Endpoint::All, at(seconds)).await.map(drop)
}

#[tokio::test]
async fn metadata_is_looked_for_in_order_and_keys_are_fetched_once() {
    let server = Server::start().await;
    let metadata = json!({ "issuer": format!("{}/t", server.url), "jwks_uri": format!("{}/keys", server.url) });
    server.put("/t/.well-known/openid-configuration", &metadata);
    server.put("/keys", &keys().key_set());
    let room = server.room("/t", "");
    let token = server.token("/t", "ES256", "ec");
    assert_eq!(verify(&room, &token, NOW).await, Ok(()));
    assert_eq!(
        server.asked(),
        [
            "/.well-known/oauth-authorization-server/t",
            "/.well-known/openid-configuration/t",
            "/t/.well-known/openid-configuration",
            "/keys"
        ]
    );
    assert_eq!(verify(&room, &token, NOW + 599).await, Ok(()));
    assert_eq!(verify(&room, &server.token("/t", "RS256", "rsa"), NOW + 599).await, Ok(()));
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn metadata_of_another_issuer_is_not_used() {
    let server = Server::start().await;
    server.put("/keys", &keys().key_set());
    let token = server.token("", "ES256", "ec");
    for issuer in [format!("{}/", server.url), "https://as.example".to_owned(), String::new()] {
        let metadata = json!({ "issuer": issuer, "jwks_uri": format!("{}/keys", server.url) });
        server.put("/.well-known/oauth-authorization-server", &metadata);
        assert_eq!(verify(&server.room("", ""), &token, NOW).await, Err(TokenError::KeysUnavailable), "{issuer}");
    }
    for uri in [json!("http://keys.example/"), json!("file:///etc/passwd"), json!(7), json!(null)] {
        server.put("/.well-known/oauth-authorization-server", &json!({ "issuer": server.url, "jwks_uri": uri }));
        assert_eq!(verify(&server.room("", ""), &token, NOW).await, Err(TokenError::KeysUnavailable), "{uri}");
    }
    let good = json!({ "issuer": server.url, "jwks_uri": format!("{}/keys", server.url) });
    server.put("/.well-known/oauth-authorization-server", &good);
    assert_eq!(verify(&server.room("", ""), &token, NOW).await, Ok(()));
}

#[tokio::test]
async fn a_key_that_is_added_is_found_but_not_at_any_price() {
    let server = Server::start().await;
    server.put("/keys", &json!({ "keys": [keys().ed_jwk()] }));
    let room = server.room_with_key_set_at("/keys");
    let known = server.token("", "EdDSA", "ed");
    let (added, next) = (server.token("", "ES256", "ec"), server.token("", "RS256", "rsa"));
    assert_eq!(verify(&room, &server.token("", "ES256", "made-up"), NOW).await, Err(TokenError::UnknownKey));
    assert_eq!(server.asked().len(), 1, "the keys were fetched for this very token");
    server.put("/keys", &json!({ "keys": [keys().ed_jwk(), keys().ec_jwk()] }));
    assert_eq!(
        verify(&room, &added, NOW + 1).await,
        Ok(()),
        "however short ago the keys were fetched for another reason"
    );
    assert_eq!(server.asked().len(), 1);
    server.put("/keys", &keys().key_set());
    assert_eq!(verify(&room, &next, NOW + 30).await, Err(TokenError::UnknownKey));
    assert!(server.asked().is_empty());
    assert_eq!(verify(&room, &next, NOW + 31).await, Ok(()));
    assert_eq!(verify(&room, &known, NOW + 31).await, Ok(()));
    assert_eq!(server.asked().len(), 1);
    for _ in 0..50 {
        assert_eq!(verify(&room, &server.token("", "ES256", "made-up"), NOW + 32).await, Err(TokenError::UnknownKey));
    }
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_token_whose_key_was_removed_is_forgotten_at_the_next_refresh() {
    let server = Server::start().await;
    server.put("/keys", &keys().key_set());
    let room = server.room_with_key_set_at("/keys");
    let token = server.token("", "ES256", "ec");
    assert_eq!(verify(&room, &token, NOW).await, Ok(()));
    server.put("/keys", &json!({ "keys": [keys().ed_jwk()] }));
    assert_eq!(verify(&room, &token, NOW + 599).await, Ok(()));
    assert_eq!(verify(&room, &token, NOW + 600).await, Err(TokenError::UnknownKey));
}

#[tokio::test]
async fn known_keys_outlive_an_outage_for_a_bounded_time() {
    let server = Server::start().await;
    server.put("/keys", &keys().key_set());
    let room = server.room_with_key_set_at("/keys");
    let token = server.token("", "ES256", "ec");
    assert_eq!(verify(&room, &token, NOW).await, Ok(()));
    server.remove("/keys");
    server.asked();
    assert_eq!(verify(&room, &token, NOW + 600).await, Ok(()));
    assert_eq!(verify(&room, &token, NOW + 604).await, Ok(()));
    assert_eq!(server.asked().len(), 1);
    assert_eq!(verify(&room, &token, NOW + 1199).await, Ok(()));
    assert_eq!(verify(&room, &token, NOW + 1200).await, Err(TokenError::KeysUnavailable));
    assert_eq!(verify(&room, &server.token("", "EdDSA", "ed"), NOW + 1201).await, Err(TokenError::KeysUnavailable));
    server.put("/keys", &keys().key_set());
    assert_eq!(verify(&room, &token, NOW + 1205).await, Ok(()));
}

#[tokio::test]
async fn a_clock_that_was_set_back_makes_keys_old() {
    let server = Server::start().await;
    server.put("/keys", &keys().key_set());
    let room = server.room_with_key_set_at("/keys");
    let token = server.token("", "ES256", "ec");
    assert_eq!(verify(&room, &token, NOW + 40).await, Ok(()));
    server.remove("/keys");
    assert_eq!(verify(&room, &token, NOW + 10).await, Ok(()));
    assert_eq!(verify(&room, &token, NOW + 9).await, Err(TokenError::KeysUnavailable));
}

#[tokio::test]
async fn a_key_set_that_is_refused_is_as_good_as_none() {
    let server = Server::start().await;
    let room = server.room_with_key_set_at("/keys");
    let token = server.token("", "ES256", "ec");
    for (wait, set) in
        [json!({ "keys": [] }), json!({ "keys": [{ "kty": "oct", "k": "AA" }] }), json!([])].iter().enumerate()
    {
        server.put("/keys", set);
        let seconds = NOW + 10 * u64::try_from(wait).unwrap();
        assert_eq!(verify(&room, &token, seconds).await, Err(TokenError::KeysUnavailable));
    }
    server.put("/keys", &keys().key_set());
    assert_eq!(verify(&room, &token, NOW + 60).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_come_at_once_share_one_fetch() {
    let server = Server::start().await;
    server.put("/keys", &keys().key_set());
    let room = Arc::new(server.room_with_key_set_at("/keys"));
    let token = server.token("", "ES256", "ec");
    let callers = (0..64).map(|_| {
        let (room, token) = (Arc::clone(&room), token.clone());
        tokio::spawn(async move { verify(&room, &token, NOW).await })
    });
    for caller in callers.collect::<Vec<_>>() {
        assert_eq!(caller.await.unwrap(), Ok(()));
    }
    assert_eq!(server.asked(), ["/keys"]);
}

#[tokio::test]
async fn a_caller_that_hangs_up_does_not_undo_the_fetch() {
    let server = Server::start().await;
    server.put("/keys", &keys().key_set());
    let room = server.room_with_key_set_at("/keys");
    let token = server.token("", "ES256", "ec");
    // Polled once, so that the fetch begins, and then dropped.
    tokio::select! {
        biased;
        outcome = verify(&room, &token, NOW) => panic!("did not wait: {outcome:?}"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(verify(&room, &token, NOW).await, Ok(()));
    assert_eq!(server.asked(), ["/keys"]);
}
