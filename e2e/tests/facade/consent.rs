//! Consent is that of one browser, for one client, each time anew; and it ends when it is taken back.

use super::*;

#[test]
fn consent_in_one_browser_is_not_finished_in_another() {
    let stand = stand();
    for has_own in [false, true] {
        let (mut victim, mut attacker) = (Browser::default(), Browser::default());
        if has_own {
            stand.flow().allow(&mut victim).expect("allowed");
        }
        let flow = stand.flow();
        let allowed = flow.allow(&mut attacker).expect("allowed");
        let callback = flow.callback(&mut victim, &allowed).expect("a callback");
        let asked = stand.asked();
        let page = victim.get(&callback).expect("an answer");
        assert_page(&page, 403, "another browser");
        assert!(page.text().contains("SK3008"), "{}", page.text());
        assert_refused(&attacker.get(&callback).expect("an answer"), "the state is spent");
        let page = flow.go_on(&mut attacker, &allowed).expect("an answer");
        assert_refused(&page, "the state is spent, with a code of one's own too");
        assert_eq!(stand.asked(), asked, "the provider was asked for tokens");
    }
    // The same steps in one browser.
    let (mut browser, flow) = (Browser::default(), stand.flow());
    let allowed = flow.allow(&mut browser).expect("allowed");
    let callback = flow.callback(&mut browser, &allowed).expect("a callback");
    let page = browser.get(&callback).expect("an answer");
    let code = flow.code_of(&page).expect("a code");
    assert_refused(&browser.get(&callback).expect("an answer"), "a callback is good once");
    let tokens = Tokens::read(&flow.redeem(&code).expect("an answer")).expect("tokens");
    assert_eq!(stand.list(&tokens.access), 200);
}

#[test]
fn a_remembered_login_never_skips_the_page() {
    let stand = stand();
    let mut browser = Browser::default();
    let tokens = stand.flow().tokens(&mut browser).expect("tokens");
    assert_eq!(stand.list(&tokens.access), 200);
    let asked = stand.asked();
    for client in ["test-app", "other-app"] {
        let flow = stand.flow_of(client, &stand.all());
        let page = flow.open(&mut browser).expect("a page");
        assert_eq!((page.status(), page.next()), (200, None), "{client} {}", page.text());
        let form = page.form().expect("a form");
        assert!(["csrf", "flow"].iter().all(|field| form.hidden.iter().any(|(name, _)| name == field)), "{form:?}");
        assert!(!form.boxes.is_empty(), "{form:?}");
        // Nor does it for who asks for no page.
        let silent = stand.flow_of(client, &stand.all()).with("prompt", "none").open(&mut browser).expect("an answer");
        assert_eq!(silent.answer("code"), None, "{client}");
        assert!(silent.next().is_none_or(|to| !to.starts_with(stand.oidc.issuer())), "{client} {:?}", silent.next());
    }
    assert_eq!(stand.asked(), asked, "the provider was asked for tokens");
    let other = stand.flow_of("other-app", &stand.all()).tokens(&mut browser).expect("tokens");
    assert_eq!(stand.list(&other.access), 200);
}

#[test]
fn forms_of_others_are_refused() {
    let stand = stand();
    let decision = [("decision", "allow")];
    let replaced = |fields: &[(String, String)], name: &str, value: Option<&str>| {
        let others = fields.iter().filter(|(field, _)| field != name).cloned();
        others.chain(value.map(|value| (name.to_owned(), value.to_owned()))).collect::<Vec<_>>()
    };
    let cases = [
        "no cookie",
        "another browser",
        "our form, another's flow",
        "another's form token",
        "no form token",
        "an empty one",
        "a made up one",
        "no flow",
        "a made up flow",
        "another site",
        "no site",
        "no decision",
        "another decision",
    ];
    for case in cases {
        let (mut own, mut other) = (Browser::default(), Browser::default());
        let page = stand.flow().open(&mut own).expect("a page");
        let form = page.form().expect("a form");
        let others = stand.flow().open(&mut other).expect("a page").form().expect("a form");
        let hidden = |form: &sekisho_e2e::facade::Form, name: &str| {
            let found = form.hidden.iter().find(|(field, _)| field == name);
            found.map(|(_, value)| value.clone()).unwrap_or_else(|| panic!("no {name} in {form:?}"))
        };
        let (fields, others_fields) = (form.filled(|_| true, &decision), others.filled(|_| true, &decision));
        let to = &form.action;
        let answer = match case {
            "no cookie" => Browser::default().post(to, &fields),
            "another browser" => other.post(to, &fields),
            "our form, another's flow" => own.post(to, &replaced(&fields, "flow", Some(&hidden(&others, "flow")))),
            "another's form token" => own.post(to, &replaced(&fields, "csrf", Some(&hidden(&others, "csrf")))),
            "no form token" => own.post(to, &replaced(&fields, "csrf", None)),
            "an empty one" => own.post(to, &replaced(&fields, "csrf", Some(""))),
            "a made up one" => {
                own.post(to, &replaced(&fields, "csrf", Some("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")))
            }
            "no flow" => own.post(to, &replaced(&fields, "flow", None)),
            "a made up flow" => {
                own.post(to, &replaced(&fields, "flow", Some("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")))
            }
            "another site" => own.post_from("https://evil.example", to, &fields),
            "no site" => own.post_from("null", to, &fields),
            "no decision" => own.post(to, &replaced(&fields, "decision", None)),
            _ => own.post(to, &replaced(&fields, "decision", Some("maybe"))),
        };
        assert_refused(&answer.expect("an answer"), case);
        // The neighbour's own form is good.
        let good = other.post(&others.action, &others_fields).expect("an answer");
        let leads_on = good.next().is_some_and(|to| to.starts_with(stand.oidc.issuer()));
        // A flow that somebody else's browser tried to answer may be over, as may one whose browser answered another's.
        let is_touched = ["another browser", "our form, another's flow"].contains(&case);
        assert!(leads_on || is_touched, "{case}: {} {}", good.status(), good.text());
    }

    let (mut browser, flow) = (Browser::default(), stand.flow());
    let page = flow.open(&mut browser).expect("a page");
    let denied = flow.decide(&mut browser, &page, "deny", |_| true).expect("an answer");
    assert_back(&stand, &flow, &denied, "access_denied");
    let again = flow.decide(&mut browser, &page, "allow", |_| true).expect("an answer");
    assert_refused(&again, "no is no");
    assert_eq!(stand.asked(), 0, "the provider was asked for tokens");
    assert_eq!(stand.list(&stand.flow().tokens(&mut browser).expect("tokens").access), 200);
}

#[test]
fn revoked_consents_end_access() {
    let stand = stand();
    let (mut browser, mut stranger) = (Browser::default(), Browser::default());
    let (flow, neighbour) = (stand.flow(), stand.flow_of("other-app", &stand.all()));
    let tokens = flow.tokens(&mut browser).expect("tokens");
    let neighbours = neighbour.tokens(&mut browser).expect("tokens");
    let url = format!("{}/oauth/consents", stand.origin());
    let page = browser.get(&url).expect("a page");
    assert_eq!(page.status(), 200, "{}", page.text());
    assert!(page.text().contains("Test App") && page.text().contains("Other App"), "{}", page.text());
    let seen = stranger.get(&url).expect("an answer");
    assert!(!seen.text().contains("Test App"), "{}", seen.text());

    let form = page.behind("Test App").expect("it").form().expect("a form");
    let mut fields = form.filled(|_| true, &[]);
    fields.extend(form.buttons.first().cloned());
    assert_refused(&stranger.post(&form.action, &fields).expect("an answer"), "a stranger");
    assert_refused(
        &browser.post_from("https://evil.example", &form.action, &fields).expect("an answer"),
        "another site",
    );
    let without: Vec<_> = fields.iter().filter(|(name, _)| name != "csrf").cloned().collect();
    assert_ne!(without, fields, "{form:?}");
    assert_refused(&browser.post(&form.action, &without).expect("an answer"), "no form token");
    assert_eq!(stand.list(&tokens.access), 200);

    let revoked = browser.post(&form.action, &fields).expect("an answer");
    assert!((200..400).contains(&revoked.status()), "{} {}", revoked.status(), revoked.text());
    assert_eq!(error(&flow.renew(&tokens.refresh, &[]).expect("an answer")), "invalid_grant");
    assert_eq!(stand.list(&tokens.access), 401);
    let after = browser.get(&url).expect("a page").text();
    assert!(!after.contains("Test App") && after.contains("Other App"), "{after}");
    assert_eq!(stand.list(&neighbours.access), 200);
    let fresh = Tokens::read(&neighbour.renew(&neighbours.refresh, &[]).expect("an answer")).expect("fresh tokens");
    assert_eq!(stand.list(&fresh.access), 200);
}

#[test]
fn a_consent_is_remembered_for_a_client_at_a_host_and_in_this_browser_alone() {
    let stand = stand();
    let (mut browser, web) = (Browser::default(), "https://app.example/cb");
    let flow = || stand.flow().with("redirect_uri", web).with("scope", "tools:read");
    let shown = |browser: &mut Browser, flow: &Flow| flow.open(browser).expect("an answer").status() == 200;
    assert!(shown(&mut browser, &flow()), "nobody has agreed");
    let tokens = flow().tokens(&mut browser).expect("tokens");
    assert_eq!(stand.list(&tokens.access), 200);
    let again = flow();
    let page = again.open(&mut browser).expect("an answer");
    assert!(
        page.status() == 303 && page.next().is_some_and(|to| to.starts_with(stand.oidc.issuer())),
        "{}",
        page.text()
    );
    let answer = again.go_on(&mut browser, &page).expect("an answer");
    let code = again.code_of(&answer).expect("a code");
    let tokens = Tokens::read(&again.redeem(&code).expect("an answer")).expect("tokens");
    assert_eq!(stand.list(&tokens.access), 200);
    for (what, flow) in [
        ("more", flow().with("scope", "tools:read tools:destructive")),
        ("another endpoint", flow().with("resource", &stand.gateway.endpoint("up"))),
        ("a program on this machine", flow().with("redirect_uri", "http://127.0.0.1:4000/cb")),
        ("asked to ask", flow().with("prompt", "consent")),
        ("another client", flow().with("client_id", "other-app").with("redirect_uri", "http://127.0.0.1:4000/cb")),
    ] {
        assert!(shown(&mut browser, &flow), "{what}");
    }
    assert!(shown(&mut Browser::default(), &flow()), "another browser");
}
