//! A folder with a configuration, the binary in it, and patience with a bound.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sekisho_wire::Json;
use sekisho_wire::json::Limits;
use tempfile::TempDir;

/// A folder of its own.
pub(crate) struct Home {
    pub(crate) dir: TempDir,
    pub(crate) port: u16,
}

/// What a command that ended said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A gateway that runs; ended with its owner.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
    out: PathBuf,
}

impl Home {
    /// A folder with a configuration that is good: a key set, a policy, and one server that is not there.
    pub(crate) fn new() -> Home {
        let home = Home { dir: tempfile::tempdir().unwrap(), port: free_port() };
        home.write("jwks.json", KEY_SET);
        home.write("policy.cedar", POLICY);
        home.write("sekisho.lock", LOCK);
        home.write("sekisho.toml", &home.config());
        home
    }

    /// A folder with nothing in it.
    pub(crate) fn empty() -> Home {
        Home { dir: tempfile::tempdir().unwrap(), port: free_port() }
    }

    pub(crate) fn config(&self) -> String {
        CONFIG.replace("PORT", &self.port.to_string())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Written beside and renamed, as editors do, so that nobody reads half of it.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let beside = self.path("beside.tmp");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(beside, self.path(name)).unwrap();
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        self.run_with(arguments, &[])
    }

    pub(crate) fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Said {
        let mut command = self.command(arguments);
        command.envs(variables.iter().copied());
        let ended = command.stdin(Stdio::null()).output().unwrap();
        Said {
            code: ended.status.code().unwrap_or(-1),
            out: String::from_utf8(ended.stdout).unwrap(),
            err: String::from_utf8(ended.stderr).unwrap(),
        }
    }

    /// Starts a command that goes on.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let number = std::fs::read_dir(self.dir.path()).unwrap().count();
        let (log, out) = (self.path(&format!("log-{number}")), self.path(&format!("out-{number}")));
        let child = self
            .command(arguments)
            .stdin(Stdio::null())
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Running { child, log, out }
    }

    /// A gateway that answers `status`.
    pub(crate) fn serve(&self) -> Running {
        let running = self.start(&["serve"]);
        running.wait_for("it listens", || self.run(&["status"]).code == 0);
        running
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho"));
        command.args(arguments).current_dir(self.dir.path()).env("NO_COLOR", "1");
        command
    }
}

impl Running {
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn out(&self) -> String {
        std::fs::read_to_string(&self.out).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Waits until it has ended.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "it does not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn wait_for(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let until = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < until, "never came true: {what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::SIGTERM);
            let until = Instant::now() + PATIENCE;
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// One HTTP request and its whole answer.
pub(crate) fn post(port: u16, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String, Json) {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut head = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    // Chunks and events alike have one line that is the message.
    let message = body.lines().find_map(|line| {
        let line = line.strip_prefix("data:").unwrap_or(line).trim();
        line.starts_with('{').then(|| json(line))
    });
    (status, head.to_owned(), message.unwrap_or_else(Json::null))
}

/// A modern request at the door of all servers.
pub(crate) fn modern(port: u16, token: &str, method: &str, name: Option<&str>, params: &str) -> (u16, Json) {
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    let comma = if params.is_empty() { "" } else { "," };
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{meta}{comma}{params}}}}}"#);
    let bearer = format!("Bearer {token}");
    let mut headers =
        vec![("Authorization", bearer.as_str()), ("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", method)];
    headers.extend(name.map(|name| ("Mcp-Name", name)));
    let (status, _, message) = post(port, "/mcp", &headers, &body);
    (status, message)
}

pub(crate) fn json(text: &str) -> Json {
    Json::decode(Bytes::from(text.to_owned()), &Limits::default()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The text behind a path of keys; empty if there is none.
pub(crate) fn text_at(json: &Json, keys: &[&str]) -> String {
    let found = keys.iter().try_fold(json.clone(), |json, key| json.get(key));
    found.and_then(|value| value.string().map(|text| text.into_owned())).unwrap_or_default()
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

const PATIENCE: Duration = Duration::from_secs(30);

const CONFIG: &str = r#"
[gateway]
listen = "127.0.0.1:PORT"
public_url = "http://127.0.0.1:PORT"

[[identity.issuers]]
issuer = "https://login.example.com"
jwks_file = "jwks.json"

[policy]
files = ["policy.cedar"]

[servers.absent]
command = ["./there-is-no-such-program"]
"#;

/// Nobody has approved anything.
const LOCK: &str = "{\"lockVersion\": 1, \"servers\": {}}\n";

const POLICY: &str = r#"@id("all") permit (principal, action, resource);
"#;

/// A P-256 public key from RFC 7515, appendix A.3.
const KEY_SET: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"a","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;
