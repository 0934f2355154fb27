//! The whole way, once, over a restart, and a thousand times at once.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use sekisho_e2e::facade::{fetch, random};
use sekisho_e2e::issuer::now;

use super::*;

#[test]
fn whole_flow_connects_a_client_that_the_provider_does_not_know() {
    let stand = stand();
    let origin = stand.origin();
    for name in ["oauth-authorization-server", "openid-configuration"] {
        let response = fetch(&origin, &format!("/.well-known/{name}")).expect("an answer");
        assert_eq!(response.status, 200, "{name} {}", response.text());
        let metadata = document(&response);
        assert_eq!(metadata["issuer"], json!(origin), "{metadata}");
        assert_eq!(metadata["code_challenge_methods_supported"], json!(["S256"]), "{metadata}");
        assert_eq!(metadata["authorization_response_iss_parameter_supported"], json!(true), "{metadata}");
        assert_eq!(metadata["response_types_supported"], json!(["code"]), "{metadata}");
        assert_eq!(metadata["authorization_endpoint"], json!(format!("{origin}/oauth/authorize")), "{metadata}");
        assert_eq!(metadata["token_endpoint"], json!(format!("{origin}/oauth/token")), "{metadata}");
        assert_eq!(metadata["registration_endpoint"], json!(format!("{origin}/oauth/register")), "{metadata}");
        let other = fetch(&origin, &format!("/.well-known/{name}/other")).expect("an answer");
        assert_eq!(other.status, 404, "{name} of another issuer");
    }
    let resource = fetch(&origin, "/.well-known/oauth-protected-resource/mcp").expect("an answer");
    let resource = document(&resource);
    assert_eq!(resource["resource"], json!(stand.all()), "{resource}");
    let servers = resource["authorization_servers"].as_array().expect("servers");
    assert!(servers.contains(&json!(origin)) && !servers.contains(&json!(stand.oidc.issuer())), "{resource}");

    // The provider knows nothing of it.
    let unknown = format!("/auth?client_id=test-app&response_type=code&scope=openid&redirect_uri={LOOPBACK}");
    assert_eq!(stand.oidc.ask(&unknown).expect("an answer").status, 400);

    let (mut browser, flow) = (Browser::default(), stand.flow());
    let page = flow.open(&mut browser).expect("a page");
    assert_eq!((page.status(), page.next()), (200, None), "{}", page.text());
    assert!(page.text().contains("Test App"), "{}", page.text());
    // Without consent there is no code, whatever is said at the callback.
    let form = page.form().expect("a form");
    let states = form.hidden.iter().map(|(_, value)| value.clone()).chain([random().expect("randomness")]);
    for state in states {
        let early = browser.get(&format!("{origin}/oauth/callback?code=x&state={state}")).expect("an answer");
        assert_refused(&early, "nothing was allowed");
    }
    assert_eq!(stand.asked(), 0, "the provider was asked for tokens");

    let code = flow.code(&mut browser).expect("a code");
    let tokens = Tokens::read(&flow.redeem(&code).expect("an answer")).expect("tokens");
    assert!(
        tokens.all["token_type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")),
        "{}",
        tokens.all
    );
    assert!(tokens.all["expires_in"].as_u64().is_some_and(|seconds| seconds > 0), "{}", tokens.all);
    let ticked: BTreeSet<&str> = tokens.scope.split(' ').collect();
    assert_eq!(ticked, BTreeSet::from(["tools:read", "tools:destructive"]));
    assert_eq!(stand.list(&tokens.access), 200, "{}", stand.gateway.log());
    assert_eq!(call(&stand.all(), &tokens.access, "echo").status, 200);
    assert_eq!(stand.up.calls().len() + stand.side.calls().len(), 1);
    let arrived = format!("{:?} {:?}", stand.up.arrived(), stand.side.arrived());
    assert!(!arrived.contains(&tokens.access), "no token goes further than the gateway");
    for server in ["up", "side"] {
        assert_eq!(list(&stand.gateway.endpoint(server), &tokens.access), 401, "{server}");
    }

    // The provider's own tokens are for the gateway, not for its endpoints.
    let claims = json!({"iss": stand.oidc.issuer(), "sub": "ann", "aud": stand.all(), "client_id": "sekisho",
        "scope": "tools:read tools:destructive", "iat": now(), "exp": now() + 300});
    let minted = stand.oidc.control("mint", &json!({"claims": claims})).expect("a token");
    assert_eq!(stand.list(minted["token"].as_str().expect("a token")), 401);
    assert_eq!(stand.list(&tokens.refresh), 401, "a refresh token is no access token");

    let fresh = Tokens::read(&flow.renew(&tokens.refresh, &[]).expect("an answer")).expect("fresh tokens");
    assert_ne!(fresh.access, tokens.access);
    assert_eq!(stand.list(&fresh.access), 200);
    assert_eq!(error(&flow.renew(&tokens.access, &[]).expect("an answer")), "invalid_grant");
}

#[test]
fn state_survives_a_restart_between_consent_and_callback() {
    let stand = stand();
    let (mut browser, flow) = (Browser::default(), stand.flow());
    let (mut other, others) = (Browser::default(), stand.flow());
    let allowed = flow.allow(&mut browser).expect("allowed");
    let allowed_by_other = others.allow(&mut other).expect("allowed");
    let stand = stand.restarted();
    // A restart forgets nothing, neither whose consent it was.
    let callback = others.callback(&mut Browser::default(), &allowed_by_other).expect("a callback");
    assert_page(&Browser::default().get(&callback).expect("an answer"), 403, "another browser");
    let page = flow.go_on(&mut browser, &allowed).expect("an answer");
    let code = flow.code_of(&page).expect("a code");
    let tokens = Tokens::read(&flow.redeem(&code).expect("an answer")).expect("tokens");
    assert_eq!(stand.list(&tokens.access), 200);

    let stand = stand.restarted();
    assert_eq!(stand.list(&tokens.access), 200);
    let fresh = Tokens::read(&flow.renew(&tokens.refresh, &[]).expect("an answer")).expect("fresh tokens");
    assert_eq!(stand.list(&fresh.access), 200);

    // And what is taken back stays so.
    assert_eq!(error(&flow.renew(&tokens.refresh, &[]).expect("an answer")), "invalid_grant");
    assert_eq!(stand.list(&fresh.access), 401);
    let stand = stand.restarted();
    assert_eq!(error(&flow.redeem(&code).expect("an answer")), "invalid_grant");
    assert_eq!(error(&flow.renew(&fresh.refresh, &[]).expect("an answer")), "invalid_grant");
    assert_eq!(stand.list(&fresh.access), 401, "what was taken back comes back with a restart");
    assert_eq!(stand.list(&self::tokens(&stand.flow()).access), 200);
}

#[test]
fn a_thousand_flows_at_once_lose_nothing() {
    const THREADS: usize = 16;
    let usual = if cfg!(debug_assertions) { 50 } else { 200 };
    let flows = std::env::var("FACADE_FLOWS").ok().map_or(usual, |text| text.parse().expect("a number"));
    let stand = stand();
    let next = AtomicUsize::new(0);
    let one = |number: usize| {
        let (flow, mut browser) = (stand.flow(), Browser::default());
        let code = flow.code(&mut browser)?;
        if number.is_multiple_of(10) {
            // A code is its own flow's alone.
            assert_eq!(error(&stand.flow().redeem(&code)?), "invalid_grant", "{number}");
            let again = Tokens::read(&flow.redeem(&flow.code(&mut browser)?)?)?;
            assert_eq!(stand.list(&again.access), 200, "{number}");
            return Ok(again.access);
        }
        let tokens = Tokens::read(&flow.redeem(&code)?)?;
        assert_eq!(stand.list(&tokens.access), 200, "{number}");
        let fresh = Tokens::read(&flow.renew(&tokens.refresh, &[])?)?;
        assert_eq!(stand.list(&fresh.access), 200, "{number}");
        assert_eq!(error(&flow.renew(&tokens.refresh, &[])?), "invalid_grant", "{number}");
        assert_eq!(stand.list(&fresh.access), 401, "{number}");
        anyhow::Ok(tokens.access)
    };
    let worker = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= flows {
                return done;
            }
            done.push(one(number).unwrap_or_else(|error| panic!("flow {number}: {error:#}; {}", stand.gateway.log())));
        }
    };
    let all: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS.min(flows)).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no panic")).collect()
    });
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), flows, "a token for each");
}
