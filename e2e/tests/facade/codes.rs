//! A code is good once, for who began, and for what was ticked.

use std::thread;

use super::*;

#[test]
fn codes_are_good_once_and_a_second_use_takes_the_tokens_back() {
    let stand = stand();
    let neighbour = tokens(&stand.flow());
    let flow = stand.flow();
    let code = flow.code(&mut Browser::default()).expect("a code");
    let first = Tokens::read(&flow.redeem(&code).expect("an answer")).expect("tokens");
    assert_eq!(stand.list(&first.access), 200);
    assert_eq!(error(&flow.redeem(&code).expect("an answer")), "invalid_grant");
    assert_eq!(stand.list(&first.access), 401, "the tokens of a code that was used twice");
    assert_eq!(error(&flow.renew(&first.refresh, &[]).expect("an answer")), "invalid_grant");
    assert_eq!(stand.list(&neighbour.access), 200);

    // Several at once are no better.
    let flow = stand.flow();
    let code = flow.code(&mut Browser::default()).expect("a code");
    let answers: Vec<Response> = thread::scope(|scope| {
        let redeem = || flow.redeem(&code).expect("an answer");
        let callers: Vec<_> = (0..8).map(|_| scope.spawn(redeem)).collect();
        callers.into_iter().map(|caller| caller.join().expect("no panic")).collect()
    });
    let good: Vec<Tokens> = answers.iter().filter_map(|answer| Tokens::read(answer).ok()).collect();
    assert!(good.len() <= 1, "{answers:?}");
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(error(answer), "invalid_grant");
    }
    for tokens in &good {
        assert_eq!(stand.list(&tokens.access), 401);
    }

    // Another client does not redeem it.
    let flow = stand.flow();
    let code = flow.code(&mut Browser::default()).expect("a code");
    let stolen = flow.redeem_with(&code, &[("client_id", "other-app")]).expect("an answer");
    assert_eq!(error(&stolen), "invalid_grant");
    for code in ["x", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        assert_eq!(error(&flow.redeem(code).expect("an answer")), "invalid_grant");
    }
}

#[test]
fn pkce_is_needed_and_met() {
    let stand = stand();
    let mut browser = Browser::default();
    let cases = [
        ("no challenge", stand.flow().without("code_challenge").without("code_challenge_method")),
        ("a method alone", stand.flow().without("code_challenge")),
        ("no method, which is plain", stand.flow().without("code_challenge_method")),
        ("plain", stand.flow().with("code_challenge_method", "plain")),
        ("another case", stand.flow().with("code_challenge_method", "s256")),
        ("an unknown method", stand.flow().with("code_challenge_method", "S512")),
        ("a short challenge", stand.flow().with("code_challenge", "abc")),
        ("an empty challenge", stand.flow().with("code_challenge", "")),
    ];
    for (case, flow) in cases {
        let page = flow.open(&mut browser).expect("an answer");
        assert!(page.next().is_some(), "{case}: {} {}", page.status(), page.text());
        assert_back(&stand, &flow, &page, "invalid_request");
    }
    let other = sekisho_e2e::facade::random().expect("randomness");
    let flow = stand.flow();
    let challenge = flow.field("code_challenge").to_owned();
    for verifier in ["", "x", &other, &challenge] {
        let code = flow.code(&mut browser).expect("a code");
        let refused = error(&flow.redeem_with(&code, &[("code_verifier", verifier)]).expect("an answer"));
        let is_as_it_should = ["invalid_grant", "invalid_request"].contains(&&*refused);
        assert!(is_as_it_should && (verifier != other || refused == "invalid_grant"), "{verifier:?} {refused}");
    }
    assert_eq!(stand.list(&flow.tokens(&mut browser).expect("tokens").access), 200);
}

#[test]
fn scopes_are_what_was_ticked() {
    let stand = stand();
    let mut browser = Browser::default();
    let flow = stand.flow();
    let allowed = flow.allow_some(&mut browser, |scope| scope == "tools:read").expect("allowed");
    let page = flow.go_on(&mut browser, &allowed).expect("an answer");
    let code = flow.code_of(&page).expect("a code");
    let reading = Tokens::read(&flow.redeem(&code).expect("an answer")).expect("tokens");
    assert_eq!(reading.scope, "tools:read");
    assert_eq!(stand.list(&reading.access), 200);
    assert_eq!(call(&stand.all(), &reading.access, "look").status, 200);
    // Whatever does not say that it is harmless is not.
    let refused = call(&stand.all(), &reading.access, "echo");
    assert_eq!(refused.status, 403, "{}", refused.text());
    let challenge = refused.header("www-authenticate").expect("a challenge");
    assert!(challenge.contains("insufficient_scope") && challenge.contains("tools:destructive"), "{challenge}");
    let refused = flow.renew(&reading.refresh, &[("scope", "tools:read tools:destructive")]).expect("an answer");
    assert_eq!(error(&refused), "invalid_scope");

    // The neighbour with both.
    let flow = stand.flow();
    let both = flow.tokens(&mut browser).expect("tokens");
    assert_eq!(call(&stand.all(), &both.access, "echo").status, 200);
    let less = flow.renew(&both.refresh, &[("scope", "tools:read")]).expect("an answer");
    let less = Tokens::read(&less).expect("tokens");
    assert_eq!(less.scope, "tools:read");
    assert_eq!(call(&stand.all(), &less.access, "echo").status, 403);

    // What was not asked for cannot be ticked.
    let flow = stand.flow().with("scope", "tools:read notes");
    let page = flow.open(&mut browser).expect("a page");
    let form = page.form().expect("a form");
    let offered: Vec<&str> = form.boxes.iter().map(|(_, scope)| scope.as_str()).collect();
    assert!(offered.contains(&"notes") && !offered.contains(&"tools:destructive"), "{offered:?}");
    let more = [("scope", "tools:destructive"), ("decision", "allow")];
    let answer = browser.post(&form.action, &form.filled(|_| true, &more)).expect("an answer");
    if answer.next().is_some() {
        let page = flow.go_on(&mut browser, &answer).expect("an answer");
        let code = flow.code_of(&page).expect("a code");
        let tokens = Tokens::read(&flow.redeem(&code).expect("an answer")).expect("tokens");
        assert!(!tokens.scope.contains("tools:destructive"), "{}", tokens.scope);
    } else {
        assert_refused(&answer, "a scope that was not asked for");
    }
}

#[test]
fn resource_is_required_and_means_one_endpoint() {
    let stand = stand();
    let mut browser = Browser::default();
    let elsewhere = [
        "https://evil.example/mcp".to_owned(),
        stand.origin(),
        format!("{}/s/none/mcp", stand.origin()),
        format!("{}#f", stand.all()),
    ];
    let mut cases = vec![stand.flow().without("resource"), stand.flow().with("resource", "")];
    cases.extend(elsewhere.iter().map(|resource| stand.flow().with("resource", resource)));
    for flow in &cases {
        let page = flow.open(&mut browser).expect("an answer");
        assert_back(&stand, flow, &page, "invalid_target");
    }
    let endpoints = [stand.all(), stand.gateway.endpoint("up"), stand.gateway.endpoint("side")];
    for endpoint in &endpoints {
        let tokens = tokens(&stand.flow_of("test-app", endpoint));
        for other in &endpoints {
            let expected = if other == endpoint { 200 } else { 401 };
            assert_eq!(list(other, &tokens.access), expected, "{endpoint} at {other}");
        }
    }
    let slash = tokens(&stand.flow_of("test-app", &format!("{}/", stand.all())));
    assert_eq!(stand.list(&slash.access), 200);
    assert_eq!(list(&stand.gateway.endpoint("up"), &slash.access), 401);

    // Another one than was consented to is not to be had, neither for the code nor later.
    let up = stand.gateway.endpoint("up");
    let flow = stand.flow();
    let code = flow.code(&mut browser).expect("a code");
    let refused = error(&flow.redeem_with(&code, &[("resource", &up)]).expect("an answer"));
    assert!(["invalid_target", "invalid_grant"].contains(&&*refused), "{refused}");
    let tokens = tokens(&stand.flow());
    let refused = error(&flow.renew(&tokens.refresh, &[("resource", &up)]).expect("an answer"));
    assert!(["invalid_target", "invalid_grant"].contains(&&*refused), "{refused}");
}
