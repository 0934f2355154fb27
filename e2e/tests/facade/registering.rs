//! Dynamic registration (RFC 7591): bounded, and never for more places than one.

use sekisho_e2e::facade::{fetch, post_json};

use super::*;

fn register(stand: &Stand, metadata: &Value) -> Response {
    post_json(&stand.origin(), "/oauth/register", metadata).expect("an answer")
}

#[test]
fn registration_is_bounded_and_wildcards_are_refused() {
    let stand = stand();
    let here = "http://127.0.0.1/registered";
    let registered = register(
        &stand,
        &json!({"client_name": "Registered App", "redirect_uris": [here], "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"]}),
    );
    assert_eq!(registered.status, 201, "{}", registered.text());
    let registered = document(&registered);
    assert_eq!(registered["redirect_uris"], json!([here]), "{registered}");
    let id = registered["client_id"].as_str().expect("a client");
    let flow = Flow::new(&stand.origin(), id, "http://127.0.0.1:4711/registered", &stand.all()).expect("randomness");
    let mut browser = Browser::default();
    let page = flow.open(&mut browser).expect("a page");
    assert!(page.status() == 200 && page.text().contains("Registered App"), "{}", page.text());
    assert_eq!(stand.list(&flow.tokens(&mut browser).expect("tokens").access), 200);
    let foreign = flow.clone().with("redirect_uri", LOOPBACK).open(&mut browser).expect("an answer");
    assert_page(&foreign, 400, "another client's");

    let refused = [
        "https://*.example/cb",
        "https://app.example/*",
        "http://127.0.0.1:*/cb",
        "*",
        "https://*/cb",
        "http://app.example/cb",
        "https://user@app.example/cb",
        "https://app.example/cb#f",
        "https://app.example/cb?code=x",
        "https://APP.example/cb",
        "https://app.example/x/../cb",
        "javascript:alert(1)",
        "data:text/html,x",
        "/cb",
        "",
    ];
    for uri in refused {
        let answer = register(&stand, &json!({"client_name": "x", "redirect_uris": [uri]}));
        assert_eq!(error(&answer), "invalid_redirect_uri", "{uri}");
        let answer = register(&stand, &json!({"client_name": "x", "redirect_uris": [here, uri]}));
        assert_eq!(error(&answer), "invalid_redirect_uri", "{uri} behind a good one");
    }
    for metadata in
        [json!({"client_name": "x"}), json!({"redirect_uris": []}), json!({"redirect_uris": here}), json!([])]
    {
        assert!((400..500).contains(&register(&stand, &metadata).status), "{metadata}");
    }
    let many: Vec<String> = (0..10_000).map(|number| format!("https://app.example/{number}")).collect();
    let answer = register(&stand, &json!({"client_name": "x", "redirect_uris": many}));
    assert!((400..500).contains(&answer.status), "{}", answer.text());
    let answer = register(&stand, &json!({"client_name": "x".repeat(100_000), "redirect_uris": [here]}));
    assert!((400..500).contains(&answer.status), "{}", answer.text());
}

#[test]
fn registrations_are_counted_and_may_be_off() {
    let slow = stand_with(|broker| broker.replace("registrations_per_minute = 1000", "registrations_per_minute = 3"));
    let metadata = json!({"client_name": "x", "redirect_uris": ["http://127.0.0.1/registered"]});
    let statuses: Vec<u16> = (0..10).map(|_| register(&slow, &metadata).status).collect();
    let good = statuses.iter().filter(|status| **status == 201).count();
    assert!((1..=4).contains(&good) && statuses.last() == Some(&429), "{statuses:?}");

    let closed = stand_with(|broker| broker.replace("registration = true", "registration = false"));
    let answer = register(&closed, &metadata);
    assert!((400..500).contains(&answer.status), "{} {}", answer.status, answer.text());
    let document = document(&fetch(&closed.origin(), "/.well-known/oauth-authorization-server").expect("an answer"));
    assert_eq!(document.get("registration_endpoint"), None, "{document}");
    assert_eq!(closed.list(&tokens(&closed.flow()).access), 200);
}
