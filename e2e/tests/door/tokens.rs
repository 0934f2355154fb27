use super::*;
use serde_json::json;

#[test]
fn every_path_and_method_without_a_token_is_401() {
    let (gateway, recorder) = stand();
    let before = recorder.arrived().len();
    let public = [
        "/healthz",
        "/readyz",
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-protected-resource/s/up/mcp",
    ];
    let private = [
        "/",
        "/mcp",
        "/mcp/",
        "/s/up/mcp",
        "/s/other/mcp",
        "/s//mcp",
        "/status",
        "/metrics",
        "/admin",
        "/register",
        "/authorize",
        "/token",
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-protected-resource/s/other/mcp",
        "/mcp/../healthz",
        "/healthz/x",
        "/%6dcp",
    ];
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "QUERY"] {
        for path in private.iter().chain(&public) {
            let reads = matches!(method, "GET" | "HEAD");
            let wanted = if reads && public.contains(path) { 200 } else { 401 };
            let bytes = format!(
                "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                gateway.address()
            );
            if method == "HEAD" {
                // A response to HEAD has fields that speak of a body it does not have.
                assert_eq!(status_of(&gateway, bytes.as_bytes()), wanted, "{method} {path}");
                continue;
            }
            let response = raw::send(gateway.address(), bytes.as_bytes(), LIMIT).expect("an answer");
            assert_eq!(response.status, wanted, "{method} {path}");
            if wanted == 401 {
                let challenge = response.header("www-authenticate").expect("a challenge");
                assert!(challenge.starts_with("Bearer ") && challenge.contains("resource_metadata="), "{challenge}");
                assert!(!challenge.contains("error="), "no token, no error: {challenge}");
            }
        }
    }
    assert_eq!(recorder.arrived().len(), before, "nothing was forwarded");
}

fn status_of(gateway: &Gateway, request: &[u8]) -> u16 {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(gateway.address()).expect("a connection");
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    stream.write_all(request).expect("sent");
    let mut head = String::new();
    stream.read_to_string(&mut head).expect("a head");
    head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
}

#[test]
fn metadata_and_challenge_lead_to_the_issuer() {
    let (gateway, _recorder) = stand();
    let refused = request(&gateway, "POST /s/up/mcp", &MEDIA, INITIALIZE);
    let challenge = refused.header("www-authenticate").expect("a challenge");
    let url = challenge.split('"').nth(1).expect("a quoted URL");
    let path = url.strip_prefix(&format!("http://{}", gateway.address())).expect("our own origin");
    let metadata = request(&gateway, &format!("GET {path}"), &[], b"");
    let document = raw::parse(&metadata.text()).expect("a document");
    assert_eq!(document["resource"], json!(format!("http://{}/s/up/mcp", gateway.address())));
    assert_eq!(document["authorization_servers"], json!([gateway.issuer().name()]));
}

#[test]
fn forged_foreign_and_worn_tokens_open_nothing() {
    let (gateway, recorder) = stand();
    let before = recorder.arrived().len();
    let audience = format!("http://{}/s/up/mcp", gateway.address());
    let issuer = gateway.issuer();
    let good = issuer.token("alice", &audience).expect("a token");
    let claims = issuer.claims("alice", &audience);
    let with = |key: &str, value: serde_json::Value| {
        let mut claims = claims.clone();
        claims[key] = value;
        issuer.mint(&claims).expect("a token")
    };
    let stranger = sekisho_e2e::issuer::Issuer::es256(issuer.name()).expect("keys");
    let tampered = format!("{}x", good.trim_end_matches(|c: char| c.is_alphanumeric()));
    let unsigned = {
        let payload = good.split('.').nth(1).expect("three parts");
        format!("eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.{payload}.")
    };
    let bad = [
        ("another key", stranger.mint(&claims).expect("a token")),
        ("tampered", tampered),
        ("alg none", unsigned),
        ("expired", with("exp", json!(sekisho_e2e::issuer::now() - 3600))),
        ("not yet", with("nbf", json!(sekisho_e2e::issuer::now() + 3600))),
        ("another issuer", with("iss", json!("https://other.example/"))),
        ("audience of all", with("aud", json!(format!("http://{}/mcp", gateway.address())))),
        ("audience with a slash", with("aud", json!(format!("{audience}/")))),
        ("audience in capitals", with("aud", json!(audience.to_uppercase()))),
        ("many audiences without us", with("aud", json!(["https://a.example", "https://b.example"]))),
        ("no subject", with("sub", json!(""))),
        ("a word", "hello".to_owned()),
    ];
    for (what, token) in &bad {
        let bearer = format!("Authorization: Bearer {token}");
        let response = request(&gateway, "POST /s/up/mcp", &[MEDIA[0], MEDIA[1], &bearer], INITIALIZE);
        assert_eq!(response.status, 401, "{what}");
        assert!(response.header("www-authenticate").is_some_and(|c| c.contains("invalid_token")), "{what}");
        assert!(!response.text().contains("alice") && !response.text().contains("signature"), "no inner words: {what}");
    }
    let bearer = format!("Authorization: Bearer {good}");
    let twice = request(&gateway, "POST /s/up/mcp", &[MEDIA[0], MEDIA[1], &bearer, &bearer], INITIALIZE);
    assert_eq!(twice.status, 400, "two tokens");
    assert_eq!(recorder.arrived().len(), before, "nothing was forwarded");
    let permitted = request(&gateway, "POST /s/up/mcp", &[MEDIA[0], MEDIA[1], &bearer], INITIALIZE);
    assert_eq!(permitted.status, 200, "the good one: {}", permitted.text());
}

#[test]
fn a_token_in_the_query_is_refused() {
    let (gateway, _recorder) = stand();
    let token = gateway.token("alice", &gateway.endpoint("up")).expect("a token");
    let bearer = format!("Authorization: Bearer {token}");
    let line = format!("POST /s/up/mcp?access_token={token}");
    assert_eq!(request(&gateway, &line, &[MEDIA[0], MEDIA[1], &bearer], INITIALIZE).status, 400);
    assert_eq!(request(&gateway, "POST /s/up/mcp?other=1", &[MEDIA[0], MEDIA[1], &bearer], INITIALIZE).status, 200);
}

#[test]
fn a_session_id_opens_nothing_and_another_principals_session_is_unknown() {
    let (gateway, _recorder) = stand();
    let id = session(&gateway, "/s/up/mcp");
    let named = format!("Mcp-Session-Id: {id}");
    let ping: &[u8] = br#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#;
    assert_eq!(post(&gateway, "/s/up/mcp", &[&named], ping).status, 200);
    assert_eq!(
        request(&gateway, "POST /s/up/mcp", &[MEDIA[0], MEDIA[1], &named], ping).status,
        401,
        "the session alone"
    );
    let mallory = gateway.token("mallory", &gateway.endpoint("up")).expect("a token");
    let bearer = format!("Authorization: Bearer {mallory}");
    let theirs = request(&gateway, "POST /s/up/mcp", &[MEDIA[0], MEDIA[1], &bearer, &named], ping);
    let unknown = request(&gateway, "POST /s/up/mcp", &[MEDIA[0], MEDIA[1], &bearer, "Mcp-Session-Id: nonsense"], ping);
    assert_eq!((theirs.status, code(&theirs)), (404, "SK1202".to_owned()));
    assert_eq!((unknown.status, code(&unknown)), (404, "SK1202".to_owned()), "the same answer");
    assert_eq!(post(&gateway, "/s/up/mcp", &[], ping).status, 400, "no session at all");
    let deleted = request(&gateway, "DELETE /s/up/mcp", &[&bearer, &named], b"");
    assert_eq!(deleted.status, 404, "nobody ends another's session");
    assert_eq!(post(&gateway, "/s/up/mcp", &[&named], ping).status, 200, "it goes on");
}

#[test]
fn the_clients_credentials_never_reach_an_upstream() {
    let (gateway, recorder) = stand();
    let id = session(&gateway, "/s/up/mcp");
    let named = format!("Mcp-Session-Id: {id}");
    let more = [
        named.as_str(),
        "Cookie: a=secret-cookie",
        "X-Forwarded-For: 203.0.113.9",
        "Forwarded: for=203.0.113.9",
        "Proxy-Authorization: Basic c2VjcmV0",
        "X-Api-Key: secret-key",
        "X-Custom: secret-custom",
    ];
    let call: &[u8] = br#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","arguments":{}}}"#;
    let answered = post(&gateway, "/s/up/mcp", &more, call);
    assert_eq!(answered.status, 200, "{}", answered.text());
    assert_eq!(recorder.calls().len(), 1);
    let allowed = [
        "host",
        "content-type",
        "content-length",
        "accept",
        "user-agent",
        "mcp-protocol-version",
        "mcp-method",
        "mcp-session-id",
    ];
    for request in recorder.arrived() {
        for (name, value) in &request.headers {
            assert!(allowed.contains(&name.as_str()), "{name}: {value}");
            assert!(
                !value.contains("secret") && !value.contains("203.0.113.9") && !value.contains(&id),
                "{name}: {value}"
            );
        }
    }
}
