//! A client over standard input and output: it starts the gateway as a process, writes lines, and reads what comes back.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::client::Era;
use crate::process::Running;
use crate::raw;

/// A client and the process that serves it.
#[derive(Debug)]
pub struct Line {
    process: Running,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    era: Era,
    capabilities: Value,
    next_id: u64,
}

impl Line {
    /// Starts `command` and says nothing yet. Its output is read as it comes.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command, era: Era) -> anyhow::Result<Self> {
        let (process, input, output) = Running::talking(command.stderr(Stdio::null()))?;
        let lines = read(output);
        Ok(Self { process, input: Some(input), lines, era, capabilities: json!({}), next_id: 1 })
    }

    /// The same, and opens as its era does, declaring these capabilities.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn open(command: &mut Command, era: Era, capabilities: Value) -> anyhow::Result<Self> {
        let mut line = Self::start(command, era)?;
        line.capabilities = capabilities;
        match era {
            Era::Legacy => {
                let hello = json!({"protocolVersion": era.version(), "capabilities": line.capabilities,
                    "clientInfo": {"name": "sekisho-e2e", "version": "1"}});
                line.request("initialize", hello)?;
                line.notify("notifications/initialized", json!({}))?;
            }
            Era::Modern => drop(line.request("server/discover", json!({}))?),
        }
        Ok(line)
    }

    /// Sends a request without waiting for anything; its id.
    ///
    /// # Errors
    /// When nobody reads.
    pub fn ask(&mut self, method: &str, params: Value) -> anyhow::Result<u64> {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        let params = self.era.described(&self.capabilities, params);
        self.write(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string())?;
        Ok(id)
    }

    /// Sends a request and waits for its result; what comes before it is dropped.
    ///
    /// # Errors
    /// When it is refused, or nothing comes.
    pub fn request(&mut self, method: &str, params: Value) -> anyhow::Result<Value> {
        let id = self.ask(method, params)?;
        let answer = self.answer(id)?;
        answer.get("result").cloned().with_context(|| format!("{method} was refused: {answer}"))
    }

    /// Calls a tool; its result.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub fn call(&mut self, tool: &str, arguments: Value) -> anyhow::Result<Value> {
        self.request("tools/call", json!({"name": tool, "arguments": arguments}))
    }

    /// The answer to a request; what comes before it is dropped.
    ///
    /// # Errors
    /// When none comes.
    pub fn answer(&self, id: u64) -> anyhow::Result<Value> {
        loop {
            let message = self.message()?;
            if message.get("id") == Some(&json!(id)) && message.get("method").is_none() {
                return Ok(message);
            }
        }
    }

    /// Sends a notification. It says its revision in neither era.
    ///
    /// # Errors
    /// When nobody reads.
    pub fn notify(&mut self, method: &str, params: Value) -> anyhow::Result<()> {
        self.write(&json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string())
    }

    /// Answers a question.
    ///
    /// # Errors
    /// When nobody reads.
    pub fn reply(&mut self, id: &Value, result: &Value) -> anyhow::Result<()> {
        self.write(&json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string())
    }

    /// Writes a line as it is.
    ///
    /// # Errors
    /// When nobody reads.
    pub fn write(&mut self, line: &str) -> anyhow::Result<()> {
        let input = self.input.as_mut().context("the input is closed")?;
        input.write_all(format!("{line}\n").as_bytes())?;
        Ok(input.flush()?)
    }

    /// The next message.
    ///
    /// # Errors
    /// When none comes, or a line is none.
    pub fn message(&self) -> anyhow::Result<Value> {
        let line = self.lines.recv_timeout(LIMIT).context("no line came")?;
        raw::parse(&line)
    }

    /// Whatever comes within `time`.
    #[must_use]
    pub fn within(&self, time: Duration) -> Vec<String> {
        let until = Instant::now() + time;
        let next = || self.lines.recv_timeout(until.saturating_duration_since(Instant::now())).ok();
        std::iter::from_fn(next).collect()
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Running {
        &mut self.process
    }

    /// Closes the input, as clients do that are done, and waits for the end.
    ///
    /// # Errors
    /// When it does not end within `limit`.
    pub fn close(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        self.input = None;
        self.process.wait(limit)
    }
}

/// The command that serves one client of a configuration, at one server or at all of them.
///
/// # Errors
/// When the binary was not built.
pub fn command(configuration: &Path, server: Option<&str>) -> anyhow::Result<Command> {
    let mut command = Command::new(crate::place::binary("sekisho")?);
    command.args(["stdio", "--log-level", "warn", "--config"]).arg(configuration);
    if let Some(server) = server {
        command.args(["--server", server]);
    }
    Ok(command)
}

fn read(output: ChildStdout) -> Receiver<String> {
    let (to, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if to.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// How long a message may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);
