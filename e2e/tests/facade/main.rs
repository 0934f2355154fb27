//! The gateway as the authorization server of clients that the company's provider does not know: whoever did not see its page and say
//! yes gets nothing, and whoever did gets what was ticked and no more.
//!
//! The provider is `oidc-provider`. The browser follows whatever leads on, keeps cookies and fills in forms; it is told where to stop.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test ends where something is not as it should be"
)]

mod codes;
mod consent;
mod devices;
mod flows;
mod redirects;
mod refreshing;
mod registering;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use sekisho_e2e::client::{Client, Era};
use sekisho_e2e::facade::{Browser, Flow, Page, Tokens};
use sekisho_e2e::gateway::{Gateway, Setup, http_server};
use sekisho_e2e::idp::Oidc;
use sekisho_e2e::issuer::Issuer;
use sekisho_e2e::raw::{self, Response};
use sekisho_e2e::recorder::Recorder;
use serde_json::{Value, json};

const SECRET: &str = "the-secret-of-the-gateway-at-the-provider";

/// What an application on the user's own machine has registered, and where it really listens.
const LOOPBACK: &str = "http://127.0.0.1/cb";

/// What one on the web has registered.
const WEB: &str = "https://app.example/cb";

/// A gateway in front of a provider, with two servers.
struct Stand {
    gateway: Gateway,
    oidc: Oidc,
    up: Recorder,
    side: Recorder,
}

impl Stand {
    fn origin(&self) -> String {
        origin(&self.gateway)
    }

    fn all(&self) -> String {
        self.gateway.endpoint_of_all()
    }

    /// A flow of the application on the user's machine, for all servers.
    fn flow(&self) -> Flow {
        self.flow_of("test-app", &self.all())
    }

    fn flow_of(&self, client: &str, resource: &str) -> Flow {
        Flow::new(&self.origin(), client, LOOPBACK, resource).expect("randomness")
    }

    /// The status of a list of all tools.
    fn list(&self, token: &str) -> u16 {
        list(&self.all(), token)
    }

    /// How often the provider was asked for tokens.
    fn asked(&self) -> u64 {
        self.oidc.counts().expect("counts")["token"].as_u64().expect("a number")
    }

    /// Restarts the gateway, with all that it has on disk.
    fn restarted(self) -> Self {
        let gateway = self.gateway.restarted(|_| Ok(())).expect("a restart");
        gateway.wait_for_servers(&["up", "side"]).expect("the servers are probed");
        Self { gateway, ..self }
    }
}

fn stand() -> Stand {
    stand_with(|broker| broker)
}

/// The same, after `change` had its way with the tables of the authorization server.
fn stand_with(change: impl FnOnce(String) -> String) -> Stand {
    let oidc = Oidc::start(&json!({"accounts": {"ann": {}, "bob": {}}})).expect("the provider");
    let up = Recorder::start_modern().expect("a port");
    let side = Recorder::start_modern().expect("a port");
    up.offer(json!([
        {"name": "echo", "description": "Says it again", "inputSchema": {"type": "object"}},
        {"name": "look", "description": "Looks at it", "inputSchema": {"type": "object"},
         "annotations": {"readOnlyHint": true, "openWorldHint": false}},
    ]));
    let servers = format!("{}\n{}", http_server("up", &up.url()), http_server("side", &side.url()));
    let broker = change(broker(oidc.issuer()));
    let limits = "[limits]\nrequests_per_minute = 1000000\nburst = 100000\nconcurrent_max = 1000\n";
    let setup = Setup::open(&servers).with_more(&format!("{limits}\n{broker}"));
    let issuer = Issuer::es256("http://127.0.0.1:9/issuer").expect("a key");
    let mut gateway = Gateway::launch_with(&setup, issuer, |folder, configuration| {
        let file = folder.join("provider-secret");
        fs::write(&file, SECRET).expect("a file");
        fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("a file of our own");
        configuration.replace("SECRET-FILE", &file.display().to_string())
    })
    .expect("a process");
    let ours = json!([{"client_id": "sekisho", "client_secret": SECRET, "response_types": ["code"],
        "grant_types": ["authorization_code", "refresh_token"], "token_endpoint_auth_method": "client_secret_basic",
        "redirect_uris": [format!("{}/oauth/callback", origin(&gateway))]}]);
    oidc.control("clients", &ours).expect("a client of the provider");
    gateway.wait_until_ready().expect("ready");
    gateway.wait_for_servers(&["up", "side"]).expect("the servers are probed");
    Stand { gateway, oidc, up, side }
}

fn broker(issuer: &str) -> String {
    format!(
        r#"[broker]
device_flow = true
scopes = ["notes"]

[broker.provider]
issuer = "{issuer}"
client_id = "sekisho"
client_secret = "file:SECRET-FILE"
scopes = ["openid", "offline_access"]
authorization_parameters = {{ login_hint = "ann", prompt = "consent" }}

[broker.clients]
registration = true
registrations_per_minute = 1000

[[broker.clients.configured]]
id = "test-app"
name = "Test App"
redirect_uris = ["{LOOPBACK}", "{WEB}"]

[[broker.clients.configured]]
id = "other-app"
name = "Other App"
redirect_uris = ["{LOOPBACK}"]
"#
    )
}

fn origin(gateway: &Gateway) -> String {
    format!("http://{}", gateway.address())
}

fn client(endpoint: &str, token: &str) -> Client {
    Client::new(endpoint, Some(token), Era::Modern).expect("a client")
}

/// The status of a list of tools.
fn list(endpoint: &str, token: &str) -> u16 {
    client(endpoint, token).send("tools/list", json!({})).expect("an answer").status
}

/// Calls the tool of an endpoint whose name ends like this.
fn call(endpoint: &str, token: &str, tool: &str) -> Response {
    let mut client = client(endpoint, token);
    let names = client.list("tools/list").expect("a list");
    let name = names.iter().find(|name| name.ends_with(tool)).unwrap_or_else(|| panic!("no {tool} in {names:?}"));
    client.send("tools/call", json!({"name": name, "arguments": {}})).expect("an answer")
}

fn document(response: &Response) -> Value {
    raw::parse(&response.text()).expect("JSON")
}

/// The `error` of a token endpoint's refusal, which is 400 or 401.
fn error(response: &Response) -> String {
    let text = response.text();
    assert!([400, 401].contains(&response.status), "{} {text}", response.status);
    document(response)["error"].as_str().unwrap_or_else(|| panic!("no error in {text}")).to_owned()
}

/// What is refused on a page, and leads nowhere.
#[track_caller]
fn assert_page(page: &Page, status: u16, what: &str) {
    assert_eq!((page.status(), page.next()), (status, None), "{what}: {}", page.text());
}

/// What is refused on some page, and leads nowhere.
#[track_caller]
fn assert_refused(page: &Page, what: &str) {
    assert!((400..500).contains(&page.status()), "{what}: {} {}", page.status(), page.text());
    assert_eq!(page.next(), None, "{what}");
}

/// What leads back to the application with this error, its state and our name, and without a code.
#[track_caller]
fn assert_back(stand: &Stand, flow: &Flow, page: &Page, error: &str) {
    let to = page.next().unwrap_or_else(|| panic!("{error}: {} {}", page.status(), page.text()));
    assert!(flow.is_answer(&to), "{to}");
    assert_eq!(page.answer("error").as_deref(), Some(error), "{to}");
    assert_eq!(page.answer("state").as_deref(), Some(flow.field("state")), "{to}");
    assert_eq!(page.answer("iss"), Some(stand.origin()), "{to}");
    assert_eq!(page.answer("code"), None, "{to}");
}

/// Tokens of a fresh browser.
fn tokens(flow: &Flow) -> Tokens {
    flow.tokens(&mut Browser::default()).expect("tokens")
}
