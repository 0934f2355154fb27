//! Back-channel logout: what a provider ends is over here, too.

use std::time::Instant;

use sekisho_e2e::fixture::Everything;
use sekisho_e2e::idp::Oidc;
use sekisho_e2e::issuer::now;

use super::oidc::{believed, clients, login, offer, options, provider, with};
use super::*;

#[test]
fn a_logout_at_the_provider_ends_tokens_and_streams_of_that_session_and_of_no_other() {
    let oidc = provider(&json!({}));
    let server = Everything::start(&[]).expect("the fixture");
    let issuer = believed(&oidc, "logout_audience = \"app\"");
    let gateway = Gateway::start(&Setup::open(&http_server("up", server.url())).with_more(&issuer)).expect("a gateway");
    gateway.wait_for_servers(&["up"]).expect("the server is probed");
    let endpoint = gateway.endpoint("up");
    offer(&oidc, &endpoint);
    let mut clients = clients();
    clients[1]["backchannel_logout_uri"] = json!(format!("http://{}/backchannel-logout", gateway.address()));
    clients[1]["backchannel_logout_session_required"] = json!(true);
    oidc.control("clients", &clients).expect("clients");
    let token = |name: &str| {
        let report = login(&with(options(&oidc, "code", Some(&endpoint)), &json!({"login_hint": name})));
        text(&report, "access_token").to_owned()
    };
    let (alice, bob) = (token("alice"), token("bob"));
    let open = |token: &str| {
        let mut client = Client::connect(&endpoint, Some(token), Era::Modern).expect("a client");
        let wanted = json!({"notifications": {"toolsListChanged": true}});
        let mut stream = client.open("subscriptions/listen", wanted).expect("a stream");
        stream.message().expect("readable").expect("it has begun");
        (client, stream)
    };
    let (mut hers, mut his) = (open(&alice), open(&bob));
    let ended = oidc.control("end-session", &json!({"account": "alice"})).expect("an end");
    let start = Instant::now();
    assert_eq!((ended["ended"].as_u64(), &ended["failed"]), (Some(1), &json!([])), "{ended}");
    assert_eq!(
        (&ended["delivered"][0]["client_id"], &ended["delivered"][0]["account"]),
        (&json!("app"), &json!("alice")),
        "{ended}"
    );
    while hers.1.message().expect("an end").is_some() {}
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let lists = |client: &mut Client| client.send("tools/list", json!({})).expect("an answer").status;
    assert_eq!((lists(&mut hers.0), lists(&mut his.0)), (401, 200));
    his.0.call("test_trigger_tool_change", json!({})).expect("a result");
    assert_eq!(his.1.message().expect("readable").expect("a message")["method"], "notifications/tools/list_changed");
    // Who logs in again has another session.
    hers.0.set_token(Some(&token("alice")));
    assert_eq!(lists(&mut hers.0), 200);
}

/// A logout token for alice, with changes.
fn logout_token(oidc: &Oidc, changes: &Value) -> String {
    let made =
        oidc.control("logout-token", &with(json!({"account": "alice", "client_id": "app"}), changes)).expect("a token");
    assert!(made["sid"].is_string(), "{made}");
    text(&made, "logout_token").to_owned()
}

/// What the gateway says to it.
fn log_out(gateway: &Gateway, token: &str) -> u16 {
    let body = format!("logout_token={token}");
    let request = format!(
        "POST /backchannel-logout HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{body}",
        gateway.address(),
        body.len()
    );
    raw::send(gateway.address(), request.as_bytes(), LIMIT).expect("an answer").status
}

#[test]
fn a_logout_token_that_is_sent_again_ends_nothing_that_began_since() {
    let oidc = provider(&json!({}));
    let (gateway, _recorder) = stand(&believed(&oidc, "logout_audience = \"app\""));
    let endpoint = gateway.endpoint("up");
    offer(&oidc, &endpoint);
    let token = || text(&login(&options(&oidc, "code", Some(&endpoint))), "access_token").to_owned();
    let before = token();
    // Of the person, not of one session.
    let logout = logout_token(&oidc, &json!({"claims": {"sid": null}}));
    let made = now();
    assert_eq!((log_out(&gateway, &logout), status(&gateway, &before)), (200, 401));
    // Times in tokens are whole seconds: what is of the same one counts as before.
    while now() <= made {
        thread::sleep(Duration::from_millis(20));
    }
    let since = token();
    assert_eq!(status(&gateway, &since), 200);
    log_out(&gateway, &logout);
    assert_eq!((status(&gateway, &since), status(&gateway, &before)), (200, 401));
}

#[test]
fn a_logout_token_that_is_changed_in_one_member_ends_nothing() {
    let oidc = provider(&json!({}));
    let issuer = believed(&oidc, "logout_audience = \"app\"");
    let (gateway, _recorder) = stand(&issuer);
    let endpoint = gateway.endpoint("up");
    offer(&oidc, &endpoint);
    let report = login(&options(&oidc, "code", Some(&endpoint)));
    let token = text(&report, "access_token");
    for changes in [
        json!({"claims": {"aud": "another"}}),
        json!({"claims": {"iss": "https://other.example"}}),
        json!({"claims": {"events": null}}),
        json!({"claims": {"events": {}}}),
        json!({"claims": {"nonce": "n"}}),
        json!({"claims": {"iat": null}}),
        json!({"claims": {"exp": now() - 60, "iat": now() - 120}}),
        json!({"claims": {"iat": now() + 3600, "exp": now() + 3700}}),
        json!({"claims": {"jti": null}}),
        json!({"claims": {"sid": null, "sub": null}}),
        json!({"header": {"typ": "at+jwt"}}),
        json!({"header": {"alg": "none"}}),
        json!({"header": {"kid": "another"}}),
    ] {
        assert_eq!(
            (log_out(&gateway, &logout_token(&oidc, &changes)), status(&gateway, token)),
            (400, 200),
            "{changes}"
        );
    }
    assert_eq!((log_out(&gateway, &logout_token(&oidc, &json!({}))), status(&gateway, token)), (200, 401));
}
