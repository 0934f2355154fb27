//! The worst agent there is: it does what it is told by whatever it reads.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::client::{Client, Era};
use crate::gateway::Gateway;
use crate::line::Line;
use crate::raw;

use super::stage::Stage;

/// What is between the agent and the servers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way<'a> {
    Nothing,
    Gateway(&'a Gateway),
}

/// A connection to a server.
pub(super) enum Wire {
    Line(Box<Line>),
    Http(Box<Http>),
    /// None: the gateway refused to open it, with this answer.
    Shut(Value),
}

/// A connection over HTTP.
pub(super) struct Http {
    client: Client,
    address: SocketAddr,
    path: String,
    token: Option<String>,
    era: Era,
}

/// A request over HTTP as it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exact<'a> {
    /// The path; [`PATH`] in it stands for that of the endpoint.
    pub(super) path: &'a str,
    /// The names of usual header fields that are left out.
    pub(super) without: &'a [String],
    /// More header fields; in the place of usual ones of the same name.
    pub(super) headers: &'a [String],
    /// The content; `$meta` in it stands for the member `"_meta": {…},` that the era wants.
    pub(super) body: &'a str,
}

/// An agent, with a connection for each principal and server.
pub(super) struct Agent<'a> {
    era: Era,
    way: Way<'a>,
    stage: &'a Stage,
    wires: BTreeMap<(String, String), Wire>,
    /// All that it has read.
    read: String,
}

impl<'a> Agent<'a> {
    pub(super) fn new(era: Era, way: Way<'a>, stage: &'a Stage) -> Self {
        Self { era, way, stage, wires: BTreeMap::new(), read: String::new() }
    }

    /// Everything that the servers offer, as `server/name`.
    ///
    /// # Errors
    /// When a list is refused.
    pub(super) fn list(&mut self, by: &str) -> anyhow::Result<BTreeSet<String>> {
        let mut offered = BTreeSet::new();
        for server in self.stage.names() {
            if let Wire::Shut(answer) = self.wire(by, server)? {
                let answer = answer.to_string();
                self.read.push_str(&answer);
                continue;
            }
            for (method, member) in LISTS {
                let answer = self.wire(by, server)?.ask(method, json!({}))?;
                self.read.push_str(&answer.to_string());
                let items = answer.pointer(&format!("/result/{member}")).and_then(Value::as_array);
                for item in items.with_context(|| format!("{method} of `{server}` was answered {answer}"))? {
                    let name = ["uri", "uriTemplate", "name"].iter().find_map(|key| item.get(*key)?.as_str());
                    offered.insert(format!("{server}/{}", name.unwrap_or_default()));
                }
            }
        }
        Ok(offered)
    }

    /// Calls a tool; the whole answer.
    ///
    /// # Errors
    /// When none comes.
    pub(super) fn call(&mut self, by: &str, (server, tool): (&str, &str), arguments: &Value) -> anyhow::Result<Value> {
        let answer = self.wire(by, server)?.call(tool, arguments)?;
        self.read.push_str(&answer.to_string());
        Ok(answer)
    }

    /// Sends exact bytes; the whole answer.
    ///
    /// # Errors
    /// When none comes.
    pub(super) fn send(&mut self, by: &str, server: &str, exact: &Exact<'_>) -> anyhow::Result<Value> {
        match self.wire(by, server)? {
            Wire::Http(http) => http.send(exact),
            Wire::Line(_) | Wire::Shut(_) => anyhow::bail!("exact bytes go over HTTP: set `transport = \"http\"`"),
        }
    }

    /// Whether it has read this text.
    pub(super) fn has_read(&self, text: &str) -> bool {
        self.read.contains(text)
    }

    fn wire(&mut self, by: &str, server: &str) -> anyhow::Result<&mut Wire> {
        let key = (by.to_owned(), server.to_owned());
        if !self.wires.contains_key(&key) {
            let wire = match self.way {
                Way::Nothing => self.stage.connect(server, self.era),
                Way::Gateway(gateway) => through(gateway, by, server, self.era),
            };
            self.wires.insert(key.clone(), wire.with_context(|| format!("`{by}` cannot reach `{server}`"))?);
        }
        self.wires.get_mut(&key).context("the connection is gone")
    }
}

fn through(gateway: &Gateway, by: &str, server: &str, era: Era) -> anyhow::Result<Wire> {
    let endpoint = gateway.endpoint(server);
    let token = gateway.token(by, &endpoint)?;
    match Client::connect(&endpoint, Some(&token), era) {
        Ok(client) => Wire::http(client, &endpoint, Some(token), era),
        Err(why) => shut(&endpoint, &token, era).map_err(|_| why),
    }
}

/// What the gateway answers whoever wants to talk to a server of which it withholds everything.
fn shut(endpoint: &str, token: &str, era: Era) -> anyhow::Result<Wire> {
    let hello =
        json!({"protocolVersion": era.version(), "capabilities": {}, "clientInfo": {"name": "agent", "version": "1"}});
    let mut client = Client::new(endpoint, Some(token), era)?;
    let answer = match era {
        Era::Legacy => client.send("initialize", hello),
        Era::Modern => client.send("server/discover", json!({})),
    };
    let answer = answer.and_then(|response| answer_of(&response))?;
    anyhow::ensure!(answer.pointer("/error/data/code") == Some(&json!("SK1511")), "it was answered {answer}");
    Ok(Wire::Shut(answer))
}

impl Wire {
    /// A connection over HTTP that was opened.
    ///
    /// # Errors
    /// When the URL is not `http://` on an address and port.
    pub(super) fn http(client: Client, url: &str, token: Option<String>, era: Era) -> anyhow::Result<Self> {
        let rest = url.strip_prefix("http://").with_context(|| format!("{url} is no http URL"))?;
        let (authority, path) = rest.split_once('/').with_context(|| format!("{url} has no path"))?;
        let (address, path) = (authority.parse()?, format!("/{path}"));
        Ok(Self::Http(Box::new(Http { client, address, path, token, era })))
    }

    /// Calls a tool; the whole answer.
    fn call(&mut self, tool: &str, arguments: &Value) -> anyhow::Result<Value> {
        match self {
            // A name that no header can hold is mirrored in base64 (2026-07-28, Streamable HTTP, "Value encoding").
            Self::Http(http) if !tool.is_ascii() => {
                let name = format!("Mcp-Name: =?base64?{}?=", STANDARD.encode(tool));
                let params = json!({"name": tool, "arguments": arguments}).to_string();
                let params = params.replacen('{', "{$meta", 1);
                let body = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{params}}}"#);
                let headers = ["Mcp-Method: tools/call".to_owned(), name];
                http.send(&Exact { path: PATH, without: &[], headers: &headers, body: &body })
            }
            Self::Line(_) | Self::Http(_) | Self::Shut(_) => {
                self.ask("tools/call", json!({"name": tool, "arguments": arguments}))
            }
        }
    }

    /// Sends a request; the whole answer, result or error.
    fn ask(&mut self, method: &str, params: Value) -> anyhow::Result<Value> {
        match self {
            Self::Line(line) => {
                let id = line.ask(method, params)?;
                line.answer(id)
            }
            Self::Http(http) => answer_of(&http.client.send(method, params)?),
            Self::Shut(answer) => Ok(answer.clone()),
        }
    }
}

impl Http {
    fn send(&self, exact: &Exact<'_>) -> anyhow::Result<Value> {
        let meta = self.era.described(&json!({}), json!({}));
        let meta = meta.get("_meta").map(|meta| format!(r#""_meta":{meta},"#)).unwrap_or_default();
        let body = exact.body.replace("$meta", &meta);
        let mut usual = vec![
            ("Host", self.address.to_string()),
            ("Connection", "close".to_owned()),
            ("Content-Type", "application/json".to_owned()),
            ("Accept", "application/json, text/event-stream".to_owned()),
            ("Content-Length", body.len().to_string()),
            ("MCP-Protocol-Version", self.era.version().to_owned()),
        ];
        usual.extend(self.token.iter().map(|token| ("Authorization", format!("Bearer {token}"))));
        usual.extend(self.client.session().map(|session| ("Mcp-Session-Id", session.to_owned())));
        let mut head = format!("POST {} HTTP/1.1\r\n", exact.path.replace(PATH, &self.path));
        for (name, value) in usual.iter().filter(|(name, _)| exact.leaves(name)) {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        for field in exact.headers {
            let _ = write!(head, "{field}\r\n");
        }
        answer_of(&raw::send(self.address, format!("{head}\r\n{body}").as_bytes(), LIMIT)?)
    }
}

impl Exact<'_> {
    /// Whether a usual field is sent: it is neither left out nor replaced.
    fn leaves(&self, name: &str) -> bool {
        let replaced = self.headers.iter().filter_map(|field| field.split_once(':')).map(|(field, _)| field);
        let mut others = self.without.iter().map(String::as_str).chain(replaced);
        !others.any(|other| other.eq_ignore_ascii_case(name))
    }
}

/// The message that answers: the last one.
fn answer_of(response: &raw::Response) -> anyhow::Result<Value> {
    let said = || format!("answered {}: {}", response.status, response.text());
    response.messages().with_context(said)?.pop().with_context(said)
}

/// What stands for the path of the endpoint.
pub(super) const PATH: &str = "$path";

const LISTS: [(&str, &str); 4] = [
    ("tools/list", "tools"),
    ("prompts/list", "prompts"),
    ("resources/list", "resources"),
    ("resources/templates/list", "resourceTemplates"),
];

/// How long an answer may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);
