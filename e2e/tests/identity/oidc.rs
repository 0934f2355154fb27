//! `oidc-provider` as the issuer, `openid-client` as the client.

use std::sync::Mutex;
use std::time::Instant;

use sekisho_e2e::idp::{self, Oidc};
use sekisho_e2e::issuer::now;

use super::*;

const OTHER: &str = "https://other.example/mcp";
const BRIEF: &str = "https://brief.example/mcp";

/// A client that gets tokens for itself, and one that gets them for people.
pub(crate) fn clients() -> Value {
    json!([
        {"client_id": "robot", "client_secret": "secret-of-robot", "grant_types": ["client_credentials"], "response_types": [],
         "redirect_uris": [], "token_endpoint_auth_method": "client_secret_post"},
        {"client_id": "app", "token_endpoint_auth_method": "none", "grant_types": ["authorization_code", "refresh_token"],
         "redirect_uris": ["http://127.0.0.1/callback"]},
    ])
}

pub(crate) fn provider(options: &Value) -> Oidc {
    let mut all = json!({"clients": clients(), "accounts": {"alice": {}, "bob": {}}});
    for (name, value) in options.as_object().expect("an object") {
        all[name] = value.clone();
    }
    Oidc::start(&all).expect("the provider")
}

/// The table of an issuer that is discovered.
pub(crate) fn believed(oidc: &Oidc, lines: &str) -> String {
    format!("[[identity.issuers]]\nissuer = \"{}\"\nclock_skew_seconds = 0\n{lines}\n", oidc.issuer())
}

/// A gateway that believes these providers, whose tokens are for it from now on.
pub(crate) fn stand_for(oidcs: &[&Oidc], tables: &str) -> (Gateway, Recorder) {
    let issuers: String = oidcs.iter().map(|oidc| believed(oidc, "")).collect();
    let (gateway, recorder) = stand(&format!("{issuers}{tables}"));
    oidcs.iter().for_each(|oidc| offer(oidc, &gateway.endpoint("up")));
    (gateway, recorder)
}

/// Tokens are given for this resource, for another one, and for one whose tokens live a few seconds.
pub(crate) fn offer(oidc: &Oidc, resource: &str) {
    let brief = json!({"scopes": ["mcp"], "lifetime_seconds": 4});
    let resources = json!({resource: {"scopes": ["mcp"]}, OTHER: {"scopes": ["mcp"]}, BRIEF: brief});
    oidc.control("resources", &resources).expect("resources");
}

/// What the robot, or alice with her app, gets for a resource.
pub(crate) fn options(oidc: &Oidc, grant: &str, resource: Option<&str>) -> Value {
    let who = match grant {
        "client_credentials" => json!({"client_id": "robot", "client_secret": "secret-of-robot"}),
        _ => json!({"client_id": "app", "login_hint": "alice", "scope": "openid mcp"}),
    };
    let mut options = json!({"issuer": oidc.issuer(), "grant": grant, "resource": resource});
    if grant == "client_credentials" {
        options["scope"] = json!("mcp");
    }
    with(options, &who)
}

pub(crate) fn with(mut options: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().expect("an object") {
        options[name] = value.clone();
    }
    options
}

pub(crate) fn login(options: &Value) -> Value {
    let report = idp::login(options).expect("a report");
    assert!(report.get("failed").is_none(), "{options} {report}");
    report
}

/// Gets a token and calls with it, all by `openid-client`.
pub(crate) fn login_and_call(options: Value, url: &str) -> Value {
    login(&with(options, &json!({"call": {"url": url, "message": message(), "headers": mirrored()}})))
}

const GRANTS: [&str; 2] = ["client_credentials", "code"];

#[test]
fn a_token_of_a_discovered_provider_opens_wherever_its_metadata_stands() {
    let both = ["openid-configuration", "oauth-authorization-server"];
    let places: [(&str, &[&str], &str); 4] = [
        ("", &both, "oidc"),
        ("", &both[..1], "oidc"),
        ("/tenants/one", &both[1..], "oauth2"),
        ("/tenants/two", &both[..1], "oidc"),
    ];
    let start = |(path, documents, _): &(&str, &[&str], &str)| provider(&json!({"path": path, "documents": documents}));
    let oidcs: Vec<Oidc> = places.iter().map(start).collect();
    let (gateway, recorder) = stand_for(&oidcs.iter().collect::<Vec<_>>(), "");
    let endpoint = gateway.endpoint("up");
    let mut tokens = Vec::new();
    for (oidc, (_, documents, metadata)) in oidcs.iter().zip(places) {
        for grant in GRANTS {
            let asked = with(options(oidc, grant, Some(&endpoint)), &json!({"metadata": metadata}));
            let report = login_and_call(asked, &endpoint);
            assert_eq!((&report["status"], &report["attempts"]), (&json!(200), &json!(1)), "{documents:?} {report}");
            tokens.push(text(&report, "access_token").to_owned());
        }
        assert_eq!(oidc.counts().expect("counts")["jwks"], 1, "{documents:?}");
    }
    assert_eq!(recorder.calls().len(), tokens.len());
    let arrived = format!("{:?}", recorder.arrived());
    assert!(tokens.iter().all(|token| !arrived.contains(token)), "no token goes further than the gateway");
}

#[test]
fn a_token_for_another_resource_or_for_none_or_past_its_time_opens_nothing() {
    let oidc = provider(&json!({"path": "/tenants/one"}));
    let issuer = believed(&oidc, &format!("endpoint_audiences = {{ all = [\"{BRIEF}\"] }}"));
    let (gateway, recorder) = stand(&issuer);
    let endpoint = gateway.endpoint("up");
    offer(&oidc, &endpoint);
    for grant in GRANTS {
        for resource in [Some(OTHER), Some(BRIEF), None] {
            let report = login(&options(&oidc, grant, resource));
            let refused = call(&gateway, text(&report, "access_token"));
            assert_eq!((refused.status, code(&refused).as_str()), (401, "SK1101"), "{grant} {resource:?}");
        }
        let unknown = idp::login(&options(&oidc, grant, Some("https://unknown.example/"))).expect("a report");
        assert_eq!(unknown["error"], "invalid_target", "{unknown}");
    }
    assert_eq!(recorder.calls().len(), 0);
    // The endpoint of all servers takes the brief ones, as long as they live.
    let list = |token: &str| {
        let mut client = Client::new(&gateway.endpoint_of_all(), Some(token), Era::Modern).expect("a client");
        client.send("tools/list", json!({})).expect("an answer").status
    };
    let brief = GRANTS.map(|grant| {
        let token = text(&login(&options(&oidc, grant, Some(BRIEF))), "access_token").to_owned();
        assert_eq!(list(&token), 200, "{grant}");
        token
    });
    let start = Instant::now();
    while brief.iter().any(|token| list(token) == 200) {
        assert!(start.elapsed() < LIMIT, "a token lives on");
        thread::sleep(Duration::from_millis(100));
    }
    for token in &brief {
        assert_eq!(list(token), 401);
    }
}

#[test]
fn a_challenge_leads_to_the_document_and_that_to_the_providers_metadata() {
    let oidc = provider(&json!({"path": "/tenants/one"}));
    let (gateway, _recorder) = stand_for(&[&oidc], "");
    let worn = oidc.control("mint", &json!({"claims": {"iss": oidc.issuer(), "exp": 1}})).expect("a token");
    let refused = call(&gateway, text(&worn, "token"));
    let challenge = refused.header("www-authenticate").expect("a challenge");
    let url = challenge.split("resource_metadata=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a URL");
    assert!(refused.status == 401 && challenge.starts_with("Bearer error=\"invalid_token\""), "{challenge}");
    let path = url.strip_prefix(&format!("http://{}", gateway.address())).expect("our own origin");
    let ask = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", gateway.address());
    let document = raw::send(gateway.address(), ask.as_bytes(), LIMIT).expect("an answer");
    let document = raw::parse(&document.text()).expect("JSON");
    assert_eq!(document["resource"], json!(gateway.endpoint("up")));
    let servers = document["authorization_servers"].as_array().expect("servers");
    assert!(servers.contains(&json!(oidc.issuer())), "{document}");
    let inserted = oidc.ask("/.well-known/oauth-authorization-server/tenants/one").expect("an answer");
    let metadata = raw::parse(&inserted.text()).expect("JSON");
    assert_eq!((inserted.status, &metadata["issuer"]), (200, &json!(oidc.issuer())));
    assert!(
        metadata["code_challenge_methods_supported"].as_array().is_some_and(|methods| methods.contains(&json!("S256")))
    );
}

#[test]
fn while_a_provider_changes_its_key_no_good_token_is_refused_and_the_key_set_is_fetched_once_more() {
    const CALLERS: usize = 4;
    const CALLS: usize = 300;
    let oidc = provider(&json!({}));
    let limits = "[limits]\nrequests_per_minute = 1000000\nburst = 100000\nconcurrent_max = 1000\n";
    let (gateway, recorder) = stand_for(&[&oidc], limits);
    let endpoint = gateway.endpoint("up");
    let claims = |subject: &str| {
        let times = json!({"iat": now(), "exp": now() + 300});
        with(json!({"iss": oidc.issuer(), "sub": subject, "aud": endpoint, "client_id": "app"}), &times)
    };
    let mint = |subject: &str| {
        let minted = oidc.control("mint", &json!({"claims": claims(subject)})).expect("a token");
        text(&minted, "token").to_owned()
    };
    let old = login(&options(&oidc, "client_credentials", Some(&endpoint)));
    let old = text(&old, "access_token");
    assert_eq!(status(&gateway, old), 200);
    let fetched = || oidc.counts().expect("counts")["jwks"].as_u64().expect("a number");
    let before = fetched();
    let tokens = Arc::new(Mutex::new(vec![old.to_owned()]));
    let made = AtomicUsize::new(0);
    let refused = thread::scope(|scope| {
        let caller = |number: usize| {
            let (gateway, tokens, made) = (&gateway, &tokens, &made);
            move || {
                let mut refused = Vec::new();
                for call in 0..CALLS {
                    let token = {
                        let tokens = tokens.lock().expect("no panic");
                        tokens[(number + call) % tokens.len()].clone()
                    };
                    let answer = self::call(gateway, &token);
                    if answer.status != 200 {
                        refused.push((call, answer.status, answer.text()));
                    }
                    made.fetch_add(1, Ordering::Relaxed);
                }
                refused
            }
        };
        let callers: Vec<_> = (0..CALLERS).map(|number| scope.spawn(caller(number))).collect();
        let start = Instant::now();
        while made.load(Ordering::Relaxed) < CALLERS * CALLS / 4 {
            assert!(start.elapsed() < LIMIT, "callers do not come along");
            thread::sleep(Duration::from_millis(5));
        }
        let rotated = oidc.control("rotate", &json!({"overlap_seconds": 120})).expect("a new key");
        assert_ne!(rotated["kid"], rotated["old_kid"]);
        // Several of the new key at once, so that several meet a key that is not known.
        let fresh: Vec<String> = (0..8).map(|number| mint(&format!("fresh-{number}"))).collect();
        tokens.lock().expect("no panic").extend(fresh);
        callers.into_iter().flat_map(|caller| caller.join().expect("no panic")).collect::<Vec<_>>()
    });
    assert!(refused.is_empty(), "{refused:?}");
    assert_eq!(fetched(), before + 1, "one fetch more");
    assert_eq!(recorder.calls().len(), 1 + CALLERS * CALLS);
    let unknown = oidc.control("mint", &json!({"claims": claims("x"), "header": {"kid": "unknown"}})).expect("a token");
    assert_eq!(
        (status(&gateway, text(&unknown, "token")), fetched()),
        (401, before + 1),
        "and no other because of a token"
    );
}
