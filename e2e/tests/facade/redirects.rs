//! An answer goes to where the client said it listens, and nowhere else.

use sekisho_e2e::facade::encoded;

use super::*;

#[test]
fn redirect_uris_are_exact() {
    let stand = stand();
    let mut browser = Browser::default();
    let foreign = [
        "",
        "https://app.example",
        "https://app.example/",
        "https://app.example/c",
        "https://app.example/cb/",
        "https://app.example/cbx",
        "https://app.example/cb/..",
        "https://app.example/x/../cb",
        "https://app.example/./cb",
        "https://app.example//cb",
        "https://app.example/cb?x=1",
        "https://app.example/cb#f",
        "https://app.example/cb#",
        "https://app.example/%63b",
        "https://app.example/CB",
        "https://APP.example/cb",
        "https://app.example./cb",
        "https://app.example:8443/cb",
        "https://user@app.example/cb",
        "https://app.example@evil.example/cb",
        "https://app.example\\@evil.example/cb",
        "https://app.example%40evil.example/cb",
        "https://app.example.evil.example/cb",
        "https://evil.example/cb",
        "https://evil.example/?https://app.example/cb",
        "http://app.example/cb",
        "//evil.example/cb",
        "/cb",
        "javascript:alert(1)",
        "data:text/html,x",
        " https://app.example/cb",
        "https://app.example/cb\r\nSet-Cookie: a=b",
        "https://app.example/c\tb",
        "http://127.0.0.1/other",
        "http://127.0.0.1:4000/other",
        "http://127.0.0.1:4000/cb/",
        "http://127.0.0.1:4000/cb?x=1",
        "http://127.0.0.1:4000/cb#f",
        "https://127.0.0.1:4000/cb",
        "http://127.0.0.2:4000/cb",
        "http://127.1:4000/cb",
        "http://2130706433:4000/cb",
        "http://[::1]:4000/cb",
        "http://localhost:4000/cb",
        "http://user@127.0.0.1:4000/cb",
        "http://127.0.0.1:4000@evil.example/cb",
        "http://127.0.0.1.evil.example:4000/cb",
        "http://127.0.0.1:99999/cb",
    ];
    for uri in foreign {
        let page = stand.flow().with("redirect_uri", uri).open(&mut browser).expect("an answer");
        assert_page(&page, 400, uri);
        assert!(page.response.header("set-cookie").is_none_or(|cookie| !cookie.starts_with("a=")), "{uri}");
    }
    assert_page(&stand.flow().without("redirect_uri").open(&mut browser).expect("an answer"), 400, "none of two");
    for client in ["unknown", "other-app"] {
        let flow = stand.flow().with("client_id", client).with("redirect_uri", WEB);
        assert_page(&flow.open(&mut browser).expect("an answer"), 400, client);
    }
    // Two of one name are none, in either order.
    for (first, second) in [(WEB, "https://evil.example/cb"), ("https://evil.example/cb", WEB)] {
        let flow = stand.flow().with("redirect_uri", first);
        let second = encoded(&[("redirect_uri".to_owned(), second.to_owned())]);
        assert_page(&browser.get(&format!("{}&{second}", flow.url())).expect("an answer"), 400, "two");
    }

    for uri in [WEB, LOOPBACK, "http://127.0.0.1:1/cb", "http://127.0.0.1:53682/cb", "http://127.0.0.1:65535/cb"] {
        let flow = stand.flow().with("redirect_uri", uri);
        assert_eq!(stand.list(&flow.tokens(&mut browser).expect("tokens").access), 200, "{uri}");
        // The code is redeemed by who names the same one.
        let code = flow.code(&mut Browser::default()).expect("a code");
        let other = if uri == WEB { LOOPBACK } else { WEB };
        let refused = flow.redeem_with(&code, &[("redirect_uri", other)]).expect("an answer");
        assert_eq!(error(&refused), "invalid_grant", "{uri}");
    }
}
