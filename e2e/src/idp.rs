//! Identity providers that others wrote or that others' clients judge, those clients, and a forger: all as processes.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::peers;
use crate::process::{self, Running};
use crate::raw::{self, Response};
use crate::tls::{Authority, Caller};

/// `oidc-provider`, a certified OpenID provider, set up by `idp/oidc.mjs`.
#[derive(Debug)]
pub struct Oidc {
    issuer: String,
    address: SocketAddr,
    // Ends when this value is dropped.
    _process: Running,
}

impl Oidc {
    /// Starts it with these options and waits until it listens.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(options: &Value) -> anyhow::Result<Self> {
        let (process, told) = started(peers::node_script("idp/oidc.mjs")?, options)?;
        let issuer = told.get("issuer").and_then(Value::as_str).context("no issuer")?.to_owned();
        Ok(Self { issuer, address: address(&told)?, _process: process })
    }

    /// What tokens have in `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Asks for a document, by path.
    ///
    /// # Errors
    /// When there is no response.
    pub fn ask(&self, path: &str) -> anyhow::Result<Response> {
        raw::send(self.address, &request("GET", path, self.address, ""), LIMIT)
    }

    /// Changes or makes something, as `idp/oidc.mjs` lists it.
    ///
    /// # Errors
    /// When that does not work.
    pub fn control(&self, name: &str, body: &Value) -> anyhow::Result<Value> {
        let request = request("POST", &format!("/control/{name}"), self.address, &body.to_string());
        answered(&raw::send(self.address, &request, LIMIT)?)
    }

    /// How often each document was fetched, and tokens were asked for.
    ///
    /// # Errors
    /// When it does not tell.
    pub fn counts(&self) -> anyhow::Result<Value> {
        answered(&self.ask("/control/counts")?)
    }
}

/// The stand-in for Entra ID in `idp/entra.mjs`, over TLS.
#[derive(Debug)]
pub struct Entra {
    origin: String,
    address: SocketAddr,
    caller: Caller,
    // Ends when this value is dropped.
    _process: Running,
}

impl Entra {
    /// Starts it with these options, among them `tls` with a certificate of `authority`, and waits until it listens.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(options: &Value, authority: &Authority) -> anyhow::Result<Self> {
        let (process, told) = started(peers::node_script("idp/entra.mjs")?, options)?;
        let origin = told.get("origin").and_then(Value::as_str).context("no origin")?.to_owned();
        Ok(Self { origin, address: address(&told)?, caller: Caller::new(authority, None)?, _process: process })
    }

    /// Its authority without a tenant: `https`, address and port.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// What tokens of a tenant have in `iss`.
    #[must_use]
    pub fn issuer(&self, tenant: &str) -> String {
        format!("{}/{tenant}/v2.0", self.origin)
    }

    /// Signs these claims as they are with the key of a tenant; `header` changes the header.
    ///
    /// # Errors
    /// When that does not work.
    pub fn mint(&self, tenant: &str, claims: &Value, header: &Value) -> anyhow::Result<String> {
        let body = json!({"tid": tenant, "claims": claims, "header": header}).to_string();
        let request = request("POST", "/control/mint", self.address, &body);
        let minted = answered(&self.caller.send(self.address, &request, LIMIT)?)?;
        Ok(minted.get("token").and_then(Value::as_str).context("no token")?.to_owned())
    }

    /// How often metadata, keys and tokens were asked for.
    ///
    /// # Errors
    /// When it does not tell.
    pub fn counts(&self) -> anyhow::Result<Value> {
        let request = request("GET", "/control/counts", self.address, "");
        answered(&self.caller.send(self.address, &request, LIMIT)?)
    }
}

/// What `openid-client` gets from a provider, and from the resource server that it then calls: the report of `idp/login.mjs`.
///
/// # Errors
/// When it does not report.
pub fn login(options: &Value) -> anyhow::Result<Value> {
    let mut script = peers::node_script("idp/login.mjs")?;
    report(script.arg(options.to_string()), "")
}

/// What MSAL, Microsoft's own client, gets: the report of `idp/msal_client.py`.
///
/// # Errors
/// When it does not report.
pub fn msal(plan: &Value) -> anyhow::Result<Value> {
    report(&mut peers::python_script("idp/msal_client.py")?, &plan.to_string())
}

/// A token that must open nothing.
#[derive(Debug, Clone)]
pub struct Forged {
    /// What is wrong with it; `good` is nothing.
    pub name: String,
    /// The token.
    pub token: String,
}

/// What `idp/attack.py` makes of one good token and its key. The first is that good token.
///
/// # Errors
/// When it does not work.
pub fn attack(plan: &Value) -> anyhow::Result<Vec<Forged>> {
    let mut script = peers::python_script("idp/attack.py")?;
    let ended = process::run(&mut script, &plan.to_string(), LIMIT)?;
    anyhow::ensure!(ended.status.success(), "{}", ended.err);
    let forged = |line: &str| {
        let line = raw::parse(line)?;
        let member =
            |name: &str| line.get(name).and_then(Value::as_str).map(ToOwned::to_owned).context("no such member");
        Ok(Forged { name: member("name")?, token: member("token")? })
    };
    ended.out.lines().map(forged).collect()
}

/// Starts a provider. It ends with its standard input, so that one whose test was killed does not stay.
fn started(mut script: Command, options: &Value) -> anyhow::Result<(Running, Value)> {
    script.arg(options.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut process = Running::start(&mut script)?;
    let told = raw::parse(&process.first_line(LIMIT)?)?;
    Ok((process, told))
}

fn address(told: &Value) -> anyhow::Result<SocketAddr> {
    let port = told.get("port").and_then(Value::as_u64).context("no port")?;
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(port)?)))
}

fn request(method: &str, path: &str, host: SocketAddr, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn answered(response: &Response) -> anyhow::Result<Value> {
    anyhow::ensure!(response.status == 200, "answered {}: {}", response.status, response.text());
    raw::parse(&response.text())
}

fn report(script: &mut Command, input: &str) -> anyhow::Result<Value> {
    let ended = process::run(script, input, LIMIT)?;
    raw::parse(&ended.out).with_context(|| ended.err)
}

/// How long one of them may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);
