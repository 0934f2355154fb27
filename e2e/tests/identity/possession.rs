//! Tokens that are bound to a key (RFC 9449) or a certificate (RFC 8705): whoever has the token alone has nothing.

use std::time::Instant;

use sekisho_e2e::dpop::Holder;
use sekisho_e2e::idp::{self, Oidc};
use sekisho_e2e::issuer::{Issuer, now};
use sekisho_e2e::tls::{Authority, Caller, Files, Pair};
use tempfile::TempDir;

use super::oidc::{believed, login, login_and_call, offer, options, provider, stand_for, with};
use super::*;

/// A robot whose tokens are bound to a key.
fn bound_robot() -> Value {
    json!([{"client_id": "robot", "client_secret": "secret-of-robot", "grant_types": ["client_credentials"], "response_types": [],
        "redirect_uris": [], "token_endpoint_auth_method": "client_secret_post", "dpop_bound_access_tokens": true}])
}

/// Calls with exactly these credentials.
fn call_with(gateway: &Gateway, authorization: &str, proofs: &[&str]) -> Response {
    raw::send(gateway.address(), &bytes_with(gateway, authorization, proofs), LIMIT).expect("an answer")
}

fn bytes_with(gateway: &Gateway, authorization: &str, proofs: &[&str]) -> Vec<u8> {
    let client = Client::new(&gateway.endpoint("up"), None, Era::Modern).expect("a client");
    let plain = String::from_utf8(client.bytes(&message())).expect("text");
    let proofs: String = proofs.iter().map(|proof| format!("DPoP: {proof}\r\n")).collect();
    plain.replacen("\r\n", &format!("\r\nAuthorization: {authorization}\r\n{proofs}"), 1).into_bytes()
}

fn error_of(response: &Response) -> String {
    let challenge = response.header("www-authenticate").expect("a challenge");
    challenge.split("error=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned()
}

/// A gateway, and a token that the robot got for it with a key, and used once.
struct Bound {
    gateway: Gateway,
    recorder: Recorder,
    // Ends with the test.
    _oidc: Oidc,
    report: Value,
    holder: Holder,
}

impl Bound {
    fn get() -> Bound {
        let oidc = provider(&json!({"clients": bound_robot()}));
        let (gateway, recorder) = stand_for(&[&oidc], "");
        let endpoint = gateway.endpoint("up");
        let asked = options(&oidc, "client_credentials", Some(&endpoint));
        let unproven = idp::login(&asked).expect("a report");
        assert_eq!(unproven["error"], "invalid_grant", "the provider gives none away unbound: {unproven}");
        let report = login_and_call(with(asked, &json!({"binding": "dpop"})), &endpoint);
        assert_eq!((&report["status"], &report["attempts"]), (&json!(200), &json!(1)), "{report}");
        assert_eq!(recorder.calls().len(), 1);
        let holder = Holder::of(&report["dpop_private_jwk"]).expect("a key");
        Bound { gateway, recorder, _oidc: oidc, report, holder }
    }

    fn token(&self) -> &str {
        text(&self.report, "access_token")
    }

    /// A good proof, but for these claims.
    fn proof(&self, changes: &Value) -> String {
        self.holder.proof(&self.gateway.endpoint("up"), self.token(), changes).expect("a proof")
    }

    fn refuses(&self, what: &str, authorization: &str, proofs: &[&str]) -> String {
        let answer = call_with(&self.gateway, authorization, proofs);
        assert_eq!(answer.status, 401, "{what}");
        error_of(&answer)
    }
}

#[test]
fn a_token_that_is_bound_to_a_key_is_good_with_fresh_proofs_of_that_key_and_with_nothing_else() {
    let bound = Bound::get();
    let (endpoint, token) = (bound.gateway.endpoint("up"), bound.token());
    let call = json!({"url": endpoint, "message": message(), "headers": mirrored()});
    let stolen = json!({"access_token": token, "binding": "dpop", "call": call});
    let thief = login(&stolen);
    assert_eq!((&thief["status"], &thief["attempts"]), (&json!(401), &json!(1)), "another key: {thief}");
    let owner = login(&with(stolen, &json!({"dpop_private_jwk": bound.report["dpop_private_jwk"]})));
    assert_eq!(owner["status"], 200, "{owner}");
    let (dpop, bearer) = (format!("DPoP {token}"), format!("Bearer {token}"));
    let (first, second) = (bound.proof(&json!({})), bound.proof(&json!({})));
    assert_eq!(bound.refuses("as Bearer", &bearer, &[]), "invalid_token");
    assert_eq!(bound.refuses("as Bearer with a proof", &bearer, &[&first]), "invalid_token");
    assert_eq!(bound.refuses("without a proof", &dpop, &[]), "invalid_dpop_proof");
    assert_eq!(bound.refuses("with two proofs", &dpop, &[&first, &second]), "invalid_dpop_proof");
    let unbound = bound.gateway.token("alice", &endpoint).expect("a token");
    let proven = bound.holder.proof(&endpoint, &unbound, &json!({})).expect("a proof");
    assert_eq!(bound.refuses("one that is not bound", &format!("DPoP {unbound}"), &[&proven]), "invalid_token");
    assert_eq!(bound.recorder.calls().len(), 2, "hers alone");
    let arrived = format!("{:?}", bound.recorder.arrived());
    assert!(!arrived.contains(token) && !arrived.contains("dpop"), "neither token nor proof goes further");
}

#[test]
fn a_proof_is_good_for_one_request_and_for_no_other_method_address_token_or_time() {
    let bound = Bound::get();
    let (endpoint, all) = (bound.gateway.endpoint("up"), bound.gateway.endpoint_of_all());
    let dpop = format!("DPoP {}", bound.token());
    for (what, changes) in [
        ("another method", json!({"htm": "GET"})),
        ("the method in small letters", json!({"htm": "post"})),
        ("another address", json!({"htu": all})),
        ("another scheme", json!({"htu": endpoint.replace("http:", "https:")})),
        ("another host", json!({"htu": endpoint.replace("127.0.0.1", "localhost")})),
        ("another token", json!({"ath": "a".repeat(43)})),
        ("no token", json!({"ath": null})),
        ("no id", json!({"jti": null})),
        ("no method", json!({"htm": null})),
        ("no address", json!({"htu": null})),
        ("no time", json!({"iat": null})),
        ("long ago", json!({"iat": now() - 120})),
        ("in the future", json!({"iat": now() + 60})),
    ] {
        assert_eq!(bound.refuses(what, &dpop, &[&bound.proof(&changes)]), "invalid_dpop_proof", "{what}");
    }
    assert_eq!(bound.recorder.calls().len(), 1);
    // The very bytes that were good once: seen on the way, and sent again.
    let bytes = bytes_with(&bound.gateway, &dpop, &[&bound.proof(&json!({}))]);
    let send = || raw::send(bound.gateway.address(), &bytes, LIMIT).expect("an answer");
    assert_eq!(send().status, 200);
    for _ in 0..3 {
        let again = send();
        assert_eq!((again.status, error_of(&again).as_str()), (401, "invalid_dpop_proof"));
    }
    assert_eq!(bound.recorder.calls().len(), 2);
}

#[test]
fn where_an_issuers_tokens_must_be_bound_one_that_is_not_opens_nothing() {
    let free = json!({"client_id": "free", "client_secret": "secret-of-free", "grant_types": ["client_credentials"], "response_types": [],
        "redirect_uris": [], "token_endpoint_auth_method": "client_secret_post"});
    let oidc = provider(&json!({"clients": [bound_robot()[0], free]}));
    for (constraint, bound) in [("dpop", 200), ("either", 200), ("optional", 200)] {
        let (gateway, _recorder) = stand(&believed(&oidc, &format!("sender_constraint = \"{constraint}\"")));
        let endpoint = gateway.endpoint("up");
        offer(&oidc, &endpoint);
        let asked = options(&oidc, "client_credentials", Some(&endpoint));
        let report = login_and_call(with(asked.clone(), &json!({"binding": "dpop"})), &endpoint);
        assert_eq!(report["status"], bound, "{constraint}: {report}");
        let free = login(&with(asked, &json!({"client_id": "free", "client_secret": "secret-of-free"})));
        let unbound = if constraint == "optional" { 200 } else { 401 };
        assert_eq!(status(&gateway, text(&free, "access_token")), unbound, "{constraint}");
    }
}

#[test]
fn where_a_nonce_is_required_a_client_learns_it_from_the_challenge_and_proofs_made_ahead_are_refused() {
    let oidc = provider(&json!({"clients": bound_robot(), "dpop_nonce": true}));
    let (gateway, recorder) = stand_for(&[&oidc], "[identity.dpop]\nnonce = \"required\"\n");
    let endpoint = gateway.endpoint("up");
    let report = login_and_call(
        with(options(&oidc, "client_credentials", Some(&endpoint)), &json!({"binding": "dpop"})),
        &endpoint,
    );
    assert_eq!((&report["status"], &report["attempts"]), (&json!(200), &json!(2)), "{report}");
    assert_eq!(recorder.calls().len(), 1);
    let token = text(&report, "access_token");
    let holder = Holder::of(&report["dpop_private_jwk"]).expect("a key");
    let dpop = format!("DPoP {token}");
    let send = |changes: Value| {
        let proof = holder.proof(&endpoint, token, &changes).expect("a proof");
        call_with(&gateway, &dpop, &[&proof])
    };
    for (what, changes) in [
        ("none", json!({})),
        ("a made-up one", json!({"nonce": "a".repeat(43)})),
        ("an empty one", json!({"nonce": ""})),
    ] {
        let refused = send(changes);
        assert_eq!((refused.status, error_of(&refused).as_str()), (401, "use_dpop_nonce"), "{what}");
        assert!(refused.header("dpop-nonce").is_some(), "{what}");
    }
    let nonce = send(json!({})).header("dpop-nonce").expect("a nonce").to_owned();
    assert_eq!(send(json!({"nonce": nonce})).status, 200);
}

/// Files for a gateway and a provider with TLS, and two clients.
struct Certificates {
    folder: TempDir,
    authority: Authority,
    server: Pair,
    own: (Pair, Files),
    other: (Pair, Files),
}

impl Certificates {
    fn new() -> Certificates {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Authority::new().expect("an authority");
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).expect("written");
        let server = authority.issue().expect("a certificate");
        server.write(folder.path(), "server").expect("written");
        let client = |name: &str| {
            let pair = Pair::self_signed().expect("a certificate");
            let files = pair.write(folder.path(), name).expect("written");
            (pair, files)
        };
        let (own, other) = (client("own"), client("other"));
        Certificates { authority, server, own, other, folder }
    }

    fn at(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn shown(&self, files: &Files) -> Value {
        json!({"cert": files.certificate, "key": files.key, "ca": self.at("ca.pem")})
    }
}

/// A gateway that speaks TLS and asks for certificates, and its endpoint.
fn stand_tls(certificates: &Certificates, tables: &str) -> (Gateway, Recorder, String) {
    let recorder = Recorder::start_modern().expect("a port");
    let tls = "[gateway.tls]\ncertificate_file = \"server.pem\"\nkey_file = \"server.key\"\nclient_certificates = \"requested\"\n";
    let setup = Setup::open(&http_server("up", &recorder.url())).with_more(&format!("{tls}{tables}"));
    let issuer = Issuer::es256("http://127.0.0.1:9/issuer").expect("keys");
    let gateway = Gateway::launch_with(&setup, issuer, |folder, text| {
        certificates.server.write(folder, "server").expect("written");
        text.replace("public_url = \"http://127.0.0.1:", "public_url = \"https://localhost:")
    });
    let gateway = gateway.expect("a gateway");
    let endpoint = format!("https://localhost:{}/s/up/mcp", gateway.address().port());
    (gateway, recorder, endpoint)
}

/// One call over TLS, with more header fields.
fn call_over(caller: &Caller, gateway: &Gateway, token: &str, more: &str) -> anyhow::Result<Response> {
    let client = Client::new(&gateway.endpoint("up"), Some(token), Era::Modern)?;
    let plain = String::from_utf8(client.bytes(&message()))?;
    let secure = plain.replacen("Host: 127.0.0.1:", &format!("{more}Host: localhost:"), 1);
    caller.send(gateway.address(), secure.as_bytes(), LIMIT)
}

#[test]
fn a_token_that_is_bound_to_a_certificate_is_good_over_its_connection_alone() {
    let certificates = Certificates::new();
    let robot = json!([{"client_id": "robot", "grant_types": ["client_credentials"], "response_types": [], "redirect_uris": [],
        "token_endpoint_auth_method": "self_signed_tls_client_auth", "tls_client_certificate_bound_access_tokens": true,
        "certificate": certificates.own.1.certificate}]);
    let tls = json!({"cert": certificates.at("server.pem"), "key": certificates.at("server.key")});
    let oidc = provider(&json!({"clients": robot, "tls": tls}));
    let (gateway, recorder, endpoint) = stand_tls(&certificates, &believed(&oidc, ""));
    offer(&oidc, &endpoint);
    let caller = |own: Option<&Pair>| Caller::new(&certificates.authority, own).expect("a client");
    let (own, other, none) = (caller(Some(&certificates.own.0)), caller(Some(&certificates.other.0)), caller(None));
    // Until it listens, and its server was probed.
    let start = Instant::now();
    let plain = gateway.token("alice", &endpoint).expect("a token");
    while !call_over(&none, &gateway, &plain, "").is_ok_and(|answer| answer.text().contains("\"result\"")) {
        assert!(start.elapsed() < LIMIT, "{}", gateway.log());
        thread::sleep(Duration::from_millis(50));
    }
    let before = recorder.calls().len();
    let asked = with(options(&oidc, "client_credentials", Some(&endpoint)), &json!({"auth": "tls", "binding": "mtls"}));
    let mine = with(asked.clone(), &certificates.shown(&certificates.own.1));
    let mine = with(mine, &json!({"client_secret": null}));
    let report = login_and_call(mine, &endpoint);
    assert_eq!(report["status"], 200, "{report}");
    let token = text(&report, "access_token");
    let stranger = with(asked, &certificates.shown(&certificates.other.1));
    let stranger = idp::login(&with(stranger, &json!({"client_secret": null}))).expect("a report");
    assert_eq!(stranger["error"], "invalid_client", "{stranger}");

    let stolen = json!({"access_token": token, "binding": "mtls", "call": {"url": endpoint, "message": message(), "headers": mirrored()}});
    let thief = login(&with(stolen, &certificates.shown(&certificates.other.1)));
    assert_eq!(thief["status"], 401, "{thief}");
    let sent = |caller: &Caller, token: &str| call_over(caller, &gateway, token, "").expect("an answer");
    assert_eq!(recorder.calls().len(), before + 1);
    for connection in ["a connection", "one that is taken up again (RFC 8446 section 2.2)"] {
        assert_eq!(sent(&own, token).status, 200, "{connection}");
    }
    for (what, caller) in [("another certificate", &other), ("no certificate", &none)] {
        let refused = sent(caller, token);
        assert_eq!((refused.status, code(&refused).as_str()), (401, "SK1101"), "{what}");
        assert_eq!(error_of(&refused), "invalid_token");
    }
    let der = certificates.own.0.certificate.lines().filter(|line| !line.starts_with('-')).collect::<String>();
    let told =
        format!("Client-Cert: :{der}:\r\nX-Forwarded-Client-Cert: Cert=\"{der}\"\r\nX-SSL-Client-Cert: {der}\r\n");
    let refused = call_over(&none, &gateway, token, &told).expect("an answer");
    assert_eq!(refused.status, 401, "whoever may write a header has no key (RFC 9440 section 4)");
    assert_eq!(recorder.calls().len(), before + 3);
    // A certificate alone opens nothing, and a token that is not bound does without one.
    assert_eq!(sent(&own, "abc").status, 401);
    for caller in [&own, &other, &none] {
        assert_eq!(sent(caller, &plain).status, 200);
    }
}
