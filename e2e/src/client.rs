//! A small MCP client for both eras. It does what a careful client does, and shows everything that came back.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::raw::{self, Response, Stream};

/// How a client talks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// 2025-11-25: `initialize`, then a session.
    Legacy,
    /// 2026-07-28: every request describes itself.
    Modern,
}

impl Era {
    /// The revision that is spoken.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Self::Legacy => "2025-11-25",
            Self::Modern => "2026-07-28",
        }
    }

    /// Parameters with the metadata that this era wants of a client of these capabilities.
    pub(crate) fn described(self, capabilities: &Value, mut params: Value) -> Value {
        if self == Self::Legacy {
            return params;
        }
        let ours = json!({
            "io.modelcontextprotocol/protocolVersion": self.version(),
            "io.modelcontextprotocol/clientCapabilities": capabilities,
            "io.modelcontextprotocol/clientInfo": {"name": "sekisho-e2e", "version": "1"},
        });
        if let (Some(params), Value::Object(ours)) = (params.as_object_mut(), ours) {
            let meta = params.entry("_meta").or_insert_with(|| json!({}));
            for (key, value) in ours {
                if let Some(meta) = meta.as_object_mut() {
                    meta.entry(key).or_insert(value);
                }
            }
        }
        params
    }
}

/// A client of one endpoint.
#[derive(Debug)]
pub struct Client {
    era: Era,
    version: &'static str,
    address: SocketAddr,
    authority: String,
    path: String,
    token: Option<String>,
    session: Option<String>,
    next_id: u64,
    opening: Value,
    capabilities: Value,
}

impl Client {
    /// Opens with `initialize` and `notifications/initialized`, or with `server/discover`.
    ///
    /// # Errors
    /// When the server refuses, or cannot be reached.
    pub fn connect(url: &str, token: Option<&str>, era: Era) -> anyhow::Result<Self> {
        Self::connect_able(url, token, era, json!({}))
    }

    /// The same, declaring these capabilities.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub fn connect_able(url: &str, token: Option<&str>, era: Era, capabilities: Value) -> anyhow::Result<Self> {
        let mut client = Self::new(url, token, era)?;
        client.capabilities = capabilities;
        client.opened()
    }

    /// The same, speaking an older revision of the legacy era.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub fn connect_old(
        url: &str,
        token: Option<&str>,
        version: &'static str,
        capabilities: Value,
    ) -> anyhow::Result<Self> {
        let mut client = Self::new(url, token, Era::Legacy)?;
        client.version = version;
        client.capabilities = capabilities;
        client.opened()
    }

    fn opened(mut self) -> anyhow::Result<Self> {
        let client = &mut self;
        client.opening = match client.era {
            Era::Legacy => {
                let hello = json!({"protocolVersion": client.version, "capabilities": client.capabilities,
                    "clientInfo": {"name": "sekisho-e2e", "version": "1"}});
                let (result, response) = client.request_seen("initialize", hello)?;
                client.session = response.header("mcp-session-id").map(ToOwned::to_owned);
                let accepted = client.notify("notifications/initialized", json!({}))?;
                anyhow::ensure!(
                    accepted.status == 202,
                    "notifications/initialized was answered {}: {}",
                    accepted.status,
                    accepted.text()
                );
                result
            }
            Era::Modern => client.request("server/discover", json!({}))?,
        };
        Ok(self)
    }

    /// A client that has not said anything yet.
    ///
    /// # Errors
    /// When the URL is not `http://` on an address and port.
    pub fn new(url: &str, token: Option<&str>, era: Era) -> anyhow::Result<Self> {
        let rest = url.strip_prefix("http://").with_context(|| format!("{url} is no http URL"))?;
        let (authority, path) = rest.split_once('/').with_context(|| format!("{url} has no path"))?;
        Ok(Self {
            era,
            version: era.version(),
            address: authority.parse().with_context(|| format!("{authority} is no address and port"))?,
            authority: authority.to_owned(),
            path: format!("/{path}"),
            token: token.map(ToOwned::to_owned),
            session: None,
            next_id: 1,
            opening: Value::Null,
            capabilities: json!({}),
        })
    }

    /// What the server answered to the opening.
    #[must_use]
    pub fn opening(&self) -> &Value {
        &self.opening
    }

    /// The session, in the legacy era.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// Uses another token from now on.
    pub fn set_token(&mut self, token: Option<&str>) {
        self.token = token.map(ToOwned::to_owned);
    }

    /// Uses another session from now on.
    pub fn set_session(&mut self, session: Option<&str>) {
        self.session = session.map(ToOwned::to_owned);
    }

    /// Sends a request and returns its result.
    ///
    /// # Errors
    /// When it is answered by an error, or not at all.
    pub fn request(&mut self, method: &str, params: Value) -> anyhow::Result<Value> {
        Ok(self.request_seen(method, params)?.0)
    }

    /// Calls a tool and returns the result.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub fn call(&mut self, tool: &str, arguments: Value) -> anyhow::Result<Value> {
        self.request("tools/call", json!({"name": tool, "arguments": arguments}))
    }

    /// The names (or URIs) in a list, over all of its pages.
    ///
    /// # Errors
    /// As [`Self::request`], and when there are more than a hundred pages.
    pub fn list(&mut self, method: &str) -> anyhow::Result<Vec<String>> {
        let mut names = Vec::new();
        let mut params = json!({});
        for _ in 0..PAGES_MAX {
            let page = self.request(method, params)?;
            for member in ["tools", "prompts", "resources", "resourceTemplates"] {
                for item in page.get(member).and_then(Value::as_array).into_iter().flatten() {
                    let name = ["uri", "uriTemplate", "name"].iter().find_map(|key| item.get(*key)?.as_str());
                    names.push(name.context("an item has no name")?.to_owned());
                }
            }
            match page.get("nextCursor").and_then(Value::as_str) {
                Some(cursor) => params = json!({ "cursor": cursor }),
                None => return Ok(names),
            }
        }
        anyhow::bail!("{method} has no last page")
    }

    /// Sends a request and returns the whole response to it, error or not.
    ///
    /// # Errors
    /// When there is no response.
    pub fn send(&mut self, method: &str, params: Value) -> anyhow::Result<Response> {
        let id = self.next_id;
        self.next_id = id.saturating_add(1);
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": self.era.described(&self.capabilities, params)});
        self.post(&message)
    }

    /// Sends a request and reads what comes back message by message.
    ///
    /// # Errors
    /// When there is no response.
    pub fn open(&mut self, method: &str, params: Value) -> anyhow::Result<Stream> {
        let id = self.next_id;
        self.next_id = id.saturating_add(1);
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": self.era.described(&self.capabilities, params)});
        Stream::open(self.address, &self.bytes(&message), LIMIT)
    }

    /// Opens the session's own stream (legacy).
    ///
    /// # Errors
    /// When there is no response.
    pub fn listen(&self) -> anyhow::Result<Stream> {
        Stream::open(self.address, self.head("GET", "").as_bytes(), LIMIT)
    }

    /// Takes up a stream behind an event (legacy).
    ///
    /// # Errors
    /// When there is no response.
    pub fn take_up(&self, after: &str) -> anyhow::Result<Stream> {
        let head = self.head("GET", &format!("Last-Event-ID: {after}\r\n"));
        Stream::open(self.address, head.as_bytes(), LIMIT)
    }

    /// Answers a question of the server (legacy).
    ///
    /// # Errors
    /// When there is no response.
    pub fn reply(&self, id: &Value, result: &Value) -> anyhow::Result<Response> {
        self.post(&json!({"jsonrpc": "2.0", "id": id, "result": result}))
    }

    /// Sends a notification.
    ///
    /// # Errors
    /// When there is no response.
    pub fn notify(&mut self, method: &str, params: Value) -> anyhow::Result<Response> {
        let message =
            json!({"jsonrpc": "2.0", "method": method, "params": self.era.described(&self.capabilities, params)});
        self.post(&message)
    }

    /// Ends the session (legacy).
    ///
    /// # Errors
    /// When there is no response.
    pub fn end(&mut self) -> anyhow::Result<Response> {
        let head = self.head("DELETE", "");
        raw::send(self.address, head.as_bytes(), LIMIT)
    }

    /// Sends any message, with the header fields that a careful client adds to it.
    ///
    /// # Errors
    /// When there is no response.
    pub fn post(&self, message: &Value) -> anyhow::Result<Response> {
        raw::send(self.address, &self.bytes(message), LIMIT)
    }

    /// The bytes of [`Self::post`].
    #[must_use]
    pub fn bytes(&self, message: &Value) -> Vec<u8> {
        let body = message.to_string();
        let mut more = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        if self.era == Era::Modern {
            self.mirror(message, &mut more);
        }
        (self.head("POST", &more) + &body).into_bytes()
    }

    fn request_seen(&mut self, method: &str, params: Value) -> anyhow::Result<(Value, Response)> {
        let id = self.next_id;
        let response = self.send(method, params)?;
        let describe = || format!("{method} was answered {}: {}", response.status, response.text());
        let messages = response.messages().with_context(describe)?;
        let answer = messages.iter().find(|message| message.get("id") == Some(&json!(id))).with_context(describe)?;
        let result = answer.get("result").cloned().with_context(describe)?;
        Ok((result, response))
    }

    /// The fields that repeat the body (2026-07-28, Streamable HTTP, "Standard headers").
    fn mirror(&self, message: &Value, into: &mut String) {
        let text = |pointer: &str| message.pointer(pointer).and_then(Value::as_str);
        if let Some(method) = text("/method") {
            let _ = write!(into, "Mcp-Method: {method}\r\n");
            let name = match method {
                "resources/read" => text("/params/uri"),
                method if method.starts_with("tasks/") => text("/params/taskId"),
                _ => text("/params/name"),
            };
            if let Some(name) = name {
                let _ = write!(into, "Mcp-Name: {name}\r\n");
            }
        }
    }

    fn head(&self, method: &str, more: &str) -> String {
        let Self { path, authority, .. } = self;
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\nAccept: application/json, text/event-stream\r\n"
        );
        if let Some(token) = &self.token {
            let _ = write!(head, "Authorization: Bearer {token}\r\n");
        }
        if let Some(session) = &self.session {
            let _ = write!(head, "Mcp-Session-Id: {session}\r\n");
        }
        let first = self.era == Era::Legacy && self.session.is_none();
        if !first {
            let _ = write!(head, "MCP-Protocol-Version: {}\r\n", self.version);
        }
        head + more + "\r\n"
    }
}

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Most pages of a list.
const PAGES_MAX: usize = 100;
