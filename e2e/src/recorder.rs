//! An MCP server over HTTP that keeps every byte it was sent: what reaches an upstream is judged by what arrived, not by what the
//! gateway says of itself.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use serde_json::{Value, json};

use crate::raw;

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// Method and path.
    pub line: String,
    /// The fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The content, byte for byte.
    pub body: Vec<u8>,
}

impl Arrived {
    /// The first field of this name (in lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// The JSON-RPC method, if there is one.
    #[must_use]
    pub fn method(&self) -> Option<String> {
        let message = raw::parse(&String::from_utf8_lossy(&self.body)).ok()?;
        message.get("method")?.as_str().map(ToOwned::to_owned)
    }
}

#[derive(Debug)]
struct State {
    arrived: Vec<Arrived>,
    tools: Value,
    result: String,
    modern: bool,
}

/// The server. Its thread ends with the test's process.
#[derive(Debug, Clone)]
pub struct Recorder {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Recorder {
    /// Starts it with one tool, `echo`, that takes anything.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let state = State {
            arrived: Vec::new(),
            tools: json!([{"name": "echo", "description": "Says it again", "inputSchema": {"type": "object"}}]),
            result: json!({"content": [{"type": "text", "text": "done"}]}).to_string(),
            modern: false,
        };
        let recorder = Self { address, state: Arc::new(Mutex::new(state)) };
        let serving = recorder.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let recorder = serving.clone();
                thread::spawn(move || recorder.serve(stream));
            }
        });
        Ok(recorder)
    }

    /// The same, speaking 2026-07-28 alone: it wants the parameters in the headers that its tools name.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_modern() -> anyhow::Result<Self> {
        let recorder = Self::start()?;
        recorder.lock().modern = true;
        Ok(recorder)
    }

    /// Its MCP endpoint.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// Offers these tools from now on.
    pub fn offer(&self, tools: Value) {
        self.lock().tools = tools;
    }

    /// Answers calls with this result, byte for byte, from now on.
    pub fn answer(&self, result: &str) {
        result.clone_into(&mut self.lock().result);
    }

    /// Everything that arrived.
    #[must_use]
    pub fn arrived(&self) -> Vec<Arrived> {
        self.lock().arrived.clone()
    }

    /// The calls that arrived.
    #[must_use]
    pub fn calls(&self) -> Vec<Arrived> {
        self.arrived().into_iter().filter(|request| request.method().as_deref() == Some("tools/call")).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: TcpStream) {
        let Ok(mut out) = stream.try_clone() else { return };
        let mut from = BufReader::new(stream);
        while let Ok(Some(request)) = read(&mut from) {
            let response = self.respond(&request);
            self.lock().arrived.push(request);
            if out.write_all(&response).is_err() {
                return;
            }
        }
    }

    fn respond(&self, request: &Arrived) -> Vec<u8> {
        if request.line.starts_with("DELETE ") {
            return response("204 No Content", "", "");
        }
        let Ok(message) = raw::parse(&String::from_utf8_lossy(&request.body)) else {
            return response("400 Bad Request", "", "");
        };
        let Some(id) = message.get("id") else { return response("202 Accepted", "", "") };
        let state = self.lock();
        if state.modern {
            return modern(&state, request, &message, id);
        }
        let result = match message.get("method").and_then(Value::as_str) {
            Some("initialize") => json!({"protocolVersion": message.pointer("/params/protocolVersion"),
                "capabilities": {"tools": {}}, "serverInfo": {"name": "recorder", "version": "1"}})
            .to_string(),
            Some("tools/list") => json!({"tools": state.tools}).to_string(),
            Some("tools/call") => state.result.clone(),
            _ => {
                let error = json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "unknown"}});
                return response("200 OK", "", &error.to_string());
            }
        };
        response(
            "200 OK",
            "Mcp-Session-Id: recorder-session\r\n",
            &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#),
        )
    }
}

/// What it answers in 2026-07-28.
fn modern(state: &State, request: &Arrived, message: &Value, id: &Value) -> Vec<u8> {
    let refused = |code: i64, why: &str| {
        let error = json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": why}});
        response("400 Bad Request", "", &error.to_string())
    };
    let result = match message.get("method").and_then(Value::as_str) {
        Some("server/discover") => json!({"resultType": "complete", "supportedVersions": ["2026-07-28"],
            "capabilities": {"tools": {}}, "ttlMs": 0, "cacheScope": "private"}),
        Some("tools/list") => {
            json!({"resultType": "complete", "tools": state.tools, "ttlMs": 0, "cacheScope": "private"})
        }
        Some("tools/call") if !mirrors(&state.tools, request, message) => {
            return refused(-32020, "a header is missing");
        }
        Some("tools/call") => json!({"resultType": "complete", "content": []}),
        _ => return refused(-32601, "unknown"),
    };
    response("200 OK", "", &json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string())
}

/// Whether all headers are there that the tool's schema asks for.
fn mirrors(tools: &Value, request: &Arrived, message: &Value) -> bool {
    let named = |tool: &&Value| tool.get("name") == message.pointer("/params/name");
    let tool = tools.as_array().into_iter().flatten().find(named);
    let fields = tool.and_then(|tool| tool.pointer("/inputSchema/properties")?.as_object());
    let wanted = fields.into_iter().flatten().filter_map(|(_, field)| field.get("x-mcp-header")?.as_str());
    wanted.into_iter().all(|name| request.header(&format!("mcp-param-{}", name.to_ascii_lowercase())).is_some())
}

fn response(status: &str, more: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{more}Content-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn read(from: &mut BufReader<TcpStream>) -> anyhow::Result<Option<Arrived>> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut headers = Vec::new();
    loop {
        let mut field = String::new();
        from.read_line(&mut field)?;
        let Some((name, value)) = field.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or(Ok(0), |(_, value)| value.parse())?;
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    Ok(Some(Arrived { line: line.trim_end().to_owned(), headers, body }))
}
