//! How a running gateway is, as one line of JSON and as people read it.

use std::fmt::{self, Display, Write as _};
use std::time::SystemTime;

use bytes::Bytes;
use jiff::Timestamp;
use sekisho_gateway::Overview;
use sekisho_wire::Json;
use sekisho_wire::json::{DecodeError, Limits};
use sekisho_wire::text::visible;
use serde::Serialize;

use crate::assemble::Rooms;
use crate::config::Loaded;

/// How a gateway is.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    version: &'static str,
    process: u32,
    /// RFC 3339.
    started: String,
    listen: String,
    public_url: String,
    config: String,
    /// Why the configuration on disk is not the one in use; empty if it is.
    not_used: Vec<String>,
    policy_files: Vec<String>,
    policy_sha256: String,
    log_healthy: bool,
    sessions: usize,
    dangers: Vec<&'static str>,
    servers: Vec<Server>,
}

#[derive(Debug, Serialize)]
struct Server {
    name: String,
    up: bool,
    eras: Vec<&'static str>,
    connections: usize,
    restarts: u64,
    trouble: Option<String>,
}

impl Report {
    /// What is known of the gateway that listens on `listen` since `started`; `not_used` says why a newer configuration is not.
    #[must_use]
    pub(crate) fn new(
        overview: Overview,
        loaded: &Loaded,
        rooms: &Rooms,
        listen: String,
        started: SystemTime,
    ) -> Report {
        let server = |status: sekisho_upstream::Status| Server {
            name: status.server.to_string(),
            up: status.up,
            eras: status.eras.iter().map(|era| era.as_str()).collect(),
            connections: status.connections,
            restarts: status.restarts,
            trouble: status.trouble.map(String::from),
        };
        Report {
            version: env!("CARGO_PKG_VERSION"),
            process: std::process::id(),
            started: Timestamp::try_from(started).map_or_else(|_| "?".to_owned(), |time| time.to_string()),
            listen,
            public_url: loaded.config.gateway.public_url.to_string(),
            config: loaded.path.display().to_string(),
            not_used: Vec::new(),
            policy_files: loaded.config.policy.files.iter().map(|file| file.display().to_string()).collect(),
            policy_sha256: rooms.policy_digest().to_string(),
            log_healthy: overview.log_healthy,
            sessions: overview.sessions,
            dangers: loaded.dangers(),
            servers: overview.servers.into_iter().map(server).collect(),
        }
    }

    /// With the reasons why the configuration on disk is not in use.
    #[must_use]
    pub(crate) fn not_used(self, not_used: Vec<String>) -> Report {
        Report { not_used, ..self }
    }

    /// One line.
    #[must_use]
    pub(crate) fn line(&self) -> String {
        // Strings, numbers and lists of them: nothing that JSON could not hold.
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }
}

/// A report that was read.
#[derive(Debug)]
pub(crate) struct Seen(Json);

impl Seen {
    /// Reads a line.
    ///
    /// # Errors
    /// It is no JSON.
    pub(crate) fn read(line: Vec<u8>) -> Result<Seen, DecodeError> {
        let limits = Limits { bytes_max: REPORT_BYTES_MAX, depth_max: 8, nodes_max: 100_000 };
        Json::decode(Bytes::from(line), &limits).map(Seen)
    }

    /// The line again.
    #[must_use]
    pub(crate) fn json(&self) -> &str {
        self.0.as_str()
    }

    fn word(&self, name: &str) -> String {
        word(&self.0, name)
    }

    fn words(&self, name: &str) -> Vec<String> {
        words(&self.0, name)
    }
}

impl Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_none = |words: Vec<String>| if words.is_empty() { "none".to_owned() } else { words.join(", ") };
        writeln!(
            f,
            "sekisho {}, process {}, since {}",
            self.word("version"),
            self.word("process"),
            self.word("started")
        )?;
        writeln!(f, "  listens on  {}, known as {}", self.word("listen"), self.word("public_url"))?;
        writeln!(f, "  config      {}", self.word("config"))?;
        for reason in self.words("not_used") {
            writeln!(f, "              NOT IN USE as it is now: {reason}")?;
        }
        writeln!(f, "  policy      {}, SHA-256 {}", or_none(self.words("policy_files")), self.word("policy_sha256"))?;
        let healthy = self.0.get("log_healthy").and_then(|healthy| healthy.boolean()) == Some(true);
        writeln!(f, "  audit log   {}", if healthy { "healthy" } else { "CANNOT BE WRITTEN: every call is refused" })?;
        writeln!(f, "  sessions    {}", self.word("sessions"))?;
        writeln!(f, "  dangerous   {}", or_none(self.words("dangers")))?;
        f.write_str(&table(&self.0))
    }
}

fn table(report: &Json) -> String {
    let mut rows = vec![["SERVER", "STATE", "ERAS", "CONNECTIONS", "RESTARTS", "TROUBLE"].map(str::to_owned)];
    for server in report.get("servers").iter().flat_map(Json::elements) {
        let up = server.get("up").and_then(|up| up.boolean()) == Some(true);
        rows.push([
            word(&server, "name"),
            if up { "up" } else { "DOWN" }.to_owned(),
            words(&server, "eras").join(", "),
            word(&server, "connections"),
            word(&server, "restarts"),
            word(&server, "trouble"),
        ]);
    }
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut table = String::new();
    for row in &rows {
        let mut line = String::from(" ");
        for (width, cell) in widths.iter().zip(row) {
            // Writing into a String cannot fail.
            let _ = write!(line, " {cell:<width$} ");
        }
        let _ = writeln!(table, "{}", line.trim_end());
    }
    table
}

fn word(object: &Json, name: &str) -> String {
    let Some(value) = object.get(name) else { return String::new() };
    match (value.string(), value.number()) {
        (Some(text), _) => one_line(&text),
        (None, Some(number)) => number.as_str().to_owned(),
        (None, None) => String::new(),
    }
}

fn words(object: &Json, name: &str) -> Vec<String> {
    let list = object.get(name);
    list.iter().flat_map(Json::elements).filter_map(|word| word.string().map(|text| one_line(&text))).collect()
}

fn one_line(text: &str) -> String {
    visible(text).replace(['\n', '\t'], " ")
}

/// Longest report that is read, in bytes.
pub(crate) const REPORT_BYTES_MAX: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_shows_what_needs_attention() {
        let report = Report {
            version: "0.1.0",
            process: 7,
            started: "2026-11-22T00:00:00Z".to_owned(),
            listen: "127.0.0.1:8700".to_owned(),
            public_url: "http://127.0.0.1:8700/".to_owned(),
            config: "sekisho.toml".to_owned(),
            not_used: vec!["sekisho.toml:1:1: unknown key (SK0103)".to_owned()],
            policy_files: vec!["policy.cedar".to_owned()],
            policy_sha256: "ab".to_owned(),
            log_healthy: false,
            sessions: 3,
            dangers: vec!["gateway.dangerous_plaintext"],
            servers: vec![Server {
                name: "notes".to_owned(),
                up: false,
                eras: vec!["legacy", "modern"],
                connections: 2,
                restarts: 1,
                trouble: Some("it\nended\u{1b}".to_owned()),
            }],
        };
        let line = report.line();
        assert_eq!(line.matches('\n').count(), 1);
        let shown = Seen::read(line.into_bytes()).unwrap().to_string();
        for part in [
            "process 7",
            "NOT IN USE as it is now: sekisho.toml:1:1",
            "CANNOT BE WRITTEN",
            "gateway.dangerous_plaintext",
            "  notes   DOWN   legacy, modern  2            1         it ended\\u{1b}",
        ] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
    }
}
