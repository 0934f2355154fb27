//! The device flow (RFC 8628): the code is typed by who sees the page, and the page is the same.

use std::thread;

use sekisho_e2e::facade::{SCOPES, fetch, owned, post};

use super::*;

/// What a device has in its hands.
struct Device {
    code: String,
    user_code: String,
    page: String,
    complete: Option<String>,
    interval: Duration,
}

fn device(stand: &Stand) -> Device {
    let all = stand.all();
    let fields = [("client_id", "test-app"), ("scope", SCOPES), ("resource", &all)];
    let fields: Vec<_> = owned(&fields).collect();
    let answer = post(&stand.origin(), "/oauth/device_authorization", &fields).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let all = document(&answer);
    let member = |name: &str| all[name].as_str().unwrap_or_else(|| panic!("no {name} in {all}")).to_owned();
    assert!(all["expires_in"].as_u64().is_some_and(|seconds| seconds > 0), "{all}");
    let interval = Duration::from_secs(all["interval"].as_u64().unwrap_or(5));
    let complete = all["verification_uri_complete"].as_str().map(ToOwned::to_owned);
    Device {
        code: member("device_code"),
        user_code: member("user_code"),
        page: member("verification_uri"),
        complete,
        interval,
    }
}

/// Asks for tokens once, as this client.
fn ask(stand: &Stand, device: &Device, client: &str) -> Response {
    let grant = "urn:ietf:params:oauth:grant-type:device_code";
    let fields = [("grant_type", grant), ("device_code", &device.code), ("client_id", client)];
    post(&stand.origin(), "/oauth/token", &owned(&fields).collect::<Vec<_>>()).expect("an answer")
}

/// The same, after as long as it has to wait.
fn poll(stand: &Stand, device: &Device) -> Response {
    thread::sleep(device.interval + Duration::from_millis(100));
    ask(stand, device, "test-app")
}

/// Types a code.
fn typed(browser: &mut Browser, device: &Device, code: &str) -> Page {
    let page = browser.get(&device.page).expect("a page");
    let form = page.form().expect("a form");
    let answer = browser.post(&form.action, &form.filled(|_| false, &[("user_code", code)])).expect("an answer");
    match answer.next() {
        Some(to) => browser.follow_until(&to, |_| false).expect("an answer"),
        None => answer,
    }
}

fn asks_for_consent(page: &Page) -> bool {
    page.form().is_ok_and(|form| form.hidden.iter().any(|(name, _)| name == "flow") && page.text().contains("Test App"))
}

#[test]
fn device_flow() {
    let stand = stand();
    let metadata = fetch(&stand.origin(), "/.well-known/oauth-authorization-server").expect("an answer");
    let at = format!("{}/oauth/device_authorization", stand.origin());
    assert_eq!(document(&metadata)["device_authorization_endpoint"], json!(at));
    let (mut device, neighbour) = (self::device(&stand), self::device(&stand));
    assert!(device.code != neighbour.code && device.user_code != neighbour.user_code);
    assert_eq!(error(&ask(&stand, &device, "test-app")), "authorization_pending");
    assert_eq!(error(&ask(&stand, &device, "test-app")), "slow_down");
    // From now on it has to wait five seconds longer (RFC 8628 section 3.5).
    device.interval += Duration::from_secs(5);

    let (mut browser, flow) = (Browser::default(), stand.flow());
    for code in ["", "x", "AAAA-AAAA", &device.code] {
        let page = typed(&mut browser, &device, code);
        assert!(!asks_for_consent(&page), "{code:?}: {}", page.text());
    }
    // A link with the code in it skips nothing.
    if let Some(complete) = &device.complete {
        let page = browser.get(complete).expect("a page");
        assert_eq!((page.status(), page.next()), (200, None), "{}", page.text());
    }
    let page = typed(&mut browser, &device, &device.user_code);
    assert!(page.status() == 200 && asks_for_consent(&page), "{} {}", page.status(), page.text());
    assert_eq!(stand.asked(), 0, "the provider was asked for tokens");
    let form = page.form().expect("a form");
    let fields = form.filled(|_| true, &[("decision", "allow")]);
    assert_refused(&Browser::default().post(&form.action, &fields).expect("an answer"), "another browser");
    let allowed = flow.decide(&mut browser, &page, "allow", |_| true).expect("an answer");
    let to = allowed.next().unwrap_or_else(|| panic!("{} {}", allowed.status(), allowed.text()));
    assert!(to.starts_with(stand.oidc.issuer()), "{to}");
    let done = browser.follow_until(&to, |_| false).expect("an answer");
    assert_eq!((done.status(), done.next()), (200, None), "{}", done.text());

    assert_eq!(error(&ask(&stand, &device, "other-app")), "invalid_grant", "another client");
    let tokens = Tokens::read(&poll(&stand, &device)).expect("tokens");
    assert_eq!(stand.list(&tokens.access), 200);
    let fresh = Tokens::read(&flow.renew(&tokens.refresh, &[]).expect("an answer")).expect("fresh tokens");
    assert_eq!(stand.list(&fresh.access), 200);
    assert_eq!(error(&poll(&stand, &device)), "invalid_grant", "a device code is good once");
    let again = typed(&mut browser, &device, &device.user_code);
    assert!(!asks_for_consent(&again), "a user code is good once: {}", again.text());

    // The neighbour was allowed nothing, and then it is denied.
    assert_eq!(error(&poll(&stand, &neighbour)), "authorization_pending");
    let page = typed(&mut browser, &neighbour, &neighbour.user_code);
    let denied = flow.decide(&mut browser, &page, "deny", |_| true).expect("an answer");
    assert!(denied.next().is_none_or(|to| !to.starts_with(stand.oidc.issuer())), "{:?}", denied.next());
    assert_eq!(error(&poll(&stand, &neighbour)), "access_denied");
}

#[test]
fn a_device_flow_that_is_off_is_not_there() {
    let stand = stand_with(|broker| broker.replace("device_flow = true", "device_flow = false"));
    let metadata = fetch(&stand.origin(), "/.well-known/oauth-authorization-server").expect("an answer");
    assert_eq!(document(&metadata).get("device_authorization_endpoint"), None);
    let all = stand.all();
    let fields = [("client_id", "test-app"), ("scope", SCOPES), ("resource", &all)];
    let answer =
        post(&stand.origin(), "/oauth/device_authorization", &owned(&fields).collect::<Vec<_>>()).expect("an answer");
    assert!((400..500).contains(&answer.status), "{} {}", answer.status, answer.text());
    assert_eq!(stand.list(&tokens(&stand.flow()).access), 200);
}
