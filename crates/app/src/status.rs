//! How a running gateway is, as one line of JSON and as people read it.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::time::SystemTime;

use jiff::Timestamp;
use sekisho_catalog::noun;
use sekisho_gateway::Overview;
use sekisho_identity::IssuerOverview;
use sekisho_sandbox::Tier;
use sekisho_wire::text::visible;
use sekisho_wire::{Json, ServerId};
use serde::Serialize;

use crate::assemble::Rooms;
use crate::config::Loaded;
use crate::operator::{self, Row};

/// How a gateway is.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    version: &'static str,
    process: u32,
    /// Which client's over stdio it is: `stdio/3`. None: it listens.
    place: Option<String>,
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
    revoked: usize,
    dangers: Vec<String>,
    issuers: Vec<Issuer>,
    servers: Vec<Server>,
}

#[derive(Debug, Serialize)]
struct Issuer {
    issuer: String,
    /// Empty: the canonical URI of each endpoint.
    audiences: Vec<String>,
    /// Those of endpoints that have their own, by path.
    endpoint_audiences: BTreeMap<String, Vec<String>>,
    algorithms: Vec<&'static str>,
    /// What its tokens must be bound to.
    sender_constraint: &'static str,
    lifetime_s_max: u64,
    clock_skew_s: u64,
    keys: usize,
    /// Whether its keys are fetched; if not, they are a file's.
    keys_fetched: bool,
    keys_age_s: Option<u64>,
}

impl Issuer {
    fn of(issuer: IssuerOverview) -> Issuer {
        Issuer {
            issuer: issuer.issuer,
            audiences: issuer.audiences,
            endpoint_audiences: issuer.endpoint_audiences,
            algorithms: issuer.algorithms,
            sender_constraint: issuer.sender_constraint,
            lifetime_s_max: issuer.lifetime_max.as_secs(),
            clock_skew_s: issuer.clock_skew.as_secs(),
            keys: issuer.keys,
            keys_fetched: issuer.is_remote,
            keys_age_s: issuer.keys_age.map(|age| age.as_secs()),
        }
    }
}

#[derive(Debug, Serialize)]
struct Server {
    name: String,
    up: bool,
    eras: Vec<&'static str>,
    connections: usize,
    restarts: u64,
    /// How well its processes are confined; none of those it has over HTTP.
    tier: Option<&'static str>,
    processes: u32,
    memory_bytes: u64,
    cpu_ms: u64,
    open_files: u32,
    /// Connections that its processes were let out for, and refused.
    let_out: u64,
    kept_in: u64,
    trouble: Option<String>,
    /// Definitions that clients were seen to be offered since the start.
    offered: usize,
    /// How many are withheld.
    withheld_count: usize,
    /// Those that are withheld, and why; at most 100.
    withheld: Vec<String>,
}

/// What of a server's definitions is offered, and what is withheld and why.
fn definitions(rooms: &Rooms, id: &ServerId) -> (usize, Vec<String>) {
    let seen = rooms.catalog().server(id).map(|server| server.seen()).unwrap_or_default();
    let (withheld, offered): (Vec<_>, Vec<_>) = seen.into_iter().partition(|seen| seen.withheld.is_some());
    let mut offered: Vec<_> = offered.into_iter().map(|seen| (seen.kind, seen.name)).collect();
    offered.sort();
    offered.dedup();
    let tell = |seen: sekisho_catalog::Seen| {
        let why = seen.withheld.map(|flaw| flaw.to_string()).unwrap_or_default();
        let name: String = seen.name.chars().take(NAME_CHARS).collect();
        format!("{} {name}: {why}; seen: sha256 {}", noun(seen.kind), seen.digest)
    };
    let mut withheld: Vec<String> = withheld.into_iter().map(tell).collect();
    withheld.sort();
    // Both eras tell the same.
    withheld.dedup();
    (offered.len(), withheld)
}

impl Report {
    /// What is known of the gateway that listens on `listen` since `started`, or serves the client of `place`.
    #[must_use]
    pub(crate) fn new(
        overview: Overview,
        loaded: &Loaded,
        rooms: &Rooms,
        (listen, place): (String, Option<String>),
        started: SystemTime,
    ) -> Report {
        let server = |status: sekisho_upstream::Status| {
            let (offered, mut withheld) = definitions(rooms, &status.server);
            let withheld_count = withheld.len();
            withheld.truncate(WITHHELD_MAX);
            Server {
                name: status.server.to_string(),
                up: status.up,
                eras: status.eras.iter().map(|era| era.as_str()).collect(),
                connections: status.connections,
                restarts: status.restarts,
                tier: status.tier.map(Tier::as_str),
                processes: status.usage.processes,
                memory_bytes: status.usage.memory_bytes,
                cpu_ms: u64::try_from(status.usage.cpu.as_millis()).unwrap_or(u64::MAX),
                open_files: status.usage.files,
                let_out: status.let_out,
                kept_in: status.kept_in,
                trouble: status.trouble.map(String::from),
                offered,
                withheld_count,
                withheld,
            }
        };
        Report {
            version: env!("CARGO_PKG_VERSION"),
            process: std::process::id(),
            place,
            started: Timestamp::try_from(started).map_or_else(|_| "?".to_owned(), |time| time.to_string()),
            listen,
            public_url: loaded.config.gateway.public_url.to_string(),
            config: loaded.path.display().to_string(),
            not_used: Vec::new(),
            policy_files: loaded.config.policy.files.iter().map(|file| file.display().to_string()).collect(),
            policy_sha256: rooms.policy_digest().to_string(),
            log_healthy: overview.log_healthy,
            sessions: overview.sessions,
            revoked: overview.revoked,
            issuers: overview.issuers.into_iter().map(Issuer::of).collect(),
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
    /// What was told.
    #[must_use]
    pub(crate) fn of(told: Json) -> Seen {
        Seen(told)
    }

    /// The line again.
    #[must_use]
    pub(crate) fn json(&self) -> &str {
        self.0.as_str()
    }

    /// What of these servers is withheld from clients, and why; a line each.
    #[must_use]
    pub(crate) fn withheld(&self, of: &[&str]) -> String {
        let servers = self.0.get("servers");
        let servers = servers.iter().flat_map(Json::elements).filter(|server| of.contains(&&*word(server, "name")));
        withheld(&servers.collect::<Vec<Json>>())
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
        writeln!(f, "  revoked     {}", self.word("revoked"))?;
        writeln!(f, "  dangerous   {}", or_none(self.words("dangers")))?;
        f.write_str(&issuers(&self.0))?;
        f.write_str("\n")?;
        f.write_str(&table(&self.0))
    }
}

/// Those that serve a client over stdio each, a line for each.
#[must_use]
pub(crate) fn runs(runs: &[(&str, &Seen)]) -> String {
    let row = |(place, seen): &(&str, &Seen)| {
        let servers: Vec<Json> = seen.0.get("servers").iter().flat_map(Json::elements).collect();
        let state = |server: &Json| {
            let up = server.get("up").and_then(|up| up.boolean()) == Some(true);
            let withheld = match word(server, "withheld_count").as_str() {
                "0" | "" => String::new(),
                count => format!(" ({count} withheld)"),
            };
            format!("{} {}{withheld}", word(server, "name"), if up { "up" } else { "DOWN" })
        };
        let mut trouble: Vec<String> =
            servers.iter().map(|server| word(server, "trouble")).filter(|trouble| !trouble.is_empty()).collect();
        if seen.0.get("log_healthy").and_then(|healthy| healthy.boolean()) != Some(true) {
            trouble.insert(0, "THE AUDIT LOG CANNOT BE WRITTEN".to_owned());
        }
        trouble.extend(seen.words("not_used").into_iter().map(|why| format!("NOT IN USE as it is now: {why}")));
        Row::from([
            (*place).to_owned(),
            servers.iter().map(state).collect::<Vec<_>>().join(", "),
            seen.word("process"),
            seen.word("started"),
            trouble.join("; "),
        ])
    };
    let table = operator::table(["CLIENT", "SERVERS", "PROCESS", "SINCE", "TROUBLE"], runs.iter().map(row));
    format!(
        "\nserved over standard input and output (`sekisho run`, `sekisho stdio`); `--stdio NUMBER` shows one:\n{table}"
    )
}

fn table(report: &Json) -> String {
    let row = |server: &Json| {
        let up = server.get("up").and_then(|up| up.boolean()) == Some(true);
        Row::from([
            word(server, "name"),
            if up { "up" } else { "DOWN" }.to_owned(),
            words(server, "eras").join(", "),
            word(server, "connections"),
            word(server, "restarts"),
            format!("{} offered, {} withheld", word(server, "offered"), word(server, "withheld_count")),
            word(server, "trouble"),
        ])
    };
    let servers: Vec<Json> = report.get("servers").iter().flat_map(Json::elements).collect();
    let heads = ["SERVER", "STATE", "ERAS", "CONNECTIONS", "RESTARTS", "DEFINITIONS", "TROUBLE"];
    let mut text = operator::table(heads, servers.iter().map(row));
    text.push_str(&confined(&servers));
    text.push_str(&withheld(&servers));
    text
}

/// Servers that are programs: how they are confined, and what they use.
fn confined(servers: &[Json]) -> String {
    let mib = |server: &Json| word(server, "memory_bytes").parse::<u64>().unwrap_or_default().div_ceil(1024 * 1024);
    let row = |server: &Json| {
        Row::from([
            word(server, "name"),
            word(server, "tier"),
            word(server, "processes"),
            format!("{} MiB", mib(server)),
            format!("{} ms", word(server, "cpu_ms")),
            word(server, "open_files"),
            format!("{} let out, {} refused", word(server, "let_out"), word(server, "kept_in")),
        ])
    };
    let rows: Vec<Row<7>> = servers.iter().filter(|server| !word(server, "tier").is_empty()).map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    let heads = ["PROGRAM", "TIER", "PROCESSES", "MEMORY", "CPU", "FILES", "CONNECTIONS"];
    format!("\n{}", operator::table(heads, rows.into_iter()))
}

/// What clients do not see, and why.
fn withheld(servers: &[Json]) -> String {
    let mut text = String::new();
    for server in servers {
        let told = words(server, "withheld");
        for one in &told {
            text.push_str(&format!("  ! WITHHELD {}: {one}\n", word(server, "name")));
        }
        let count: usize = word(server, "withheld_count").parse().unwrap_or_default();
        if count > told.len() {
            text.push_str(&format!("  ! and {} more\n", count.saturating_sub(told.len())));
        }
    }
    text
}

/// Each issuer on one line: whom it is for, what its tokens must be bound to, how long they live, and how old its keys are.
fn issuers(report: &Json) -> String {
    let list = |issuer: &Json, name: &str, none: &str| {
        let words = words(issuer, name);
        if words.is_empty() { none.to_owned() } else { words.join(", ") }
    };
    let row = |issuer: Json| {
        let keys = match word(&issuer, "keys_age_s").as_str() {
            "" if issuer.get("keys_fetched").and_then(|fetched| fetched.boolean()) == Some(true) => {
                "not fetched yet".to_owned()
            }
            "" => format!("{} from a file", word(&issuer, "keys")),
            age => format!("{}, {age} s old", word(&issuer, "keys")),
        };
        Row::from([
            word(&issuer, "issuer"),
            list(&issuer, "audiences", "each endpoint's URI"),
            word(&issuer, "sender_constraint"),
            format!("{} s", word(&issuer, "lifetime_s_max")),
            keys,
        ])
    };
    let issuers: Vec<Json> = report.get("issuers").iter().flat_map(Json::elements).collect();
    operator::table(["ISSUER", "AUDIENCES", "BINDING", "LIFETIME", "KEYS"], issuers.into_iter().map(row))
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

/// LIMIT: definitions of one server that are told to be withheld.
const WITHHELD_MAX: usize = 100;
const NAME_CHARS: usize = 120;
/// Longest report that is read, in bytes.
pub(crate) const REPORT_BYTES_MAX: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_shows_what_needs_attention() {
        let report = Report {
            version: "0.1.0",
            process: 7,
            place: Some("stdio/3".to_owned()),
            started: "2026-11-22T00:00:00Z".to_owned(),
            listen: "127.0.0.1:8700".to_owned(),
            public_url: "http://127.0.0.1:8700/".to_owned(),
            config: "sekisho.toml".to_owned(),
            not_used: vec!["sekisho.toml:1:1: unknown key (SK0103)".to_owned()],
            policy_files: vec!["policy.cedar".to_owned()],
            policy_sha256: "ab".to_owned(),
            log_healthy: false,
            sessions: 3,
            revoked: 2,
            dangers: vec!["gateway.dangerous_plaintext".to_owned()],
            issuers: vec![Issuer {
                issuer: "https://as.example".to_owned(),
                audiences: Vec::new(),
                endpoint_audiences: BTreeMap::new(),
                algorithms: vec!["ES256"],
                sender_constraint: "dpop",
                lifetime_s_max: 3600,
                clock_skew_s: 30,
                keys: 2,
                keys_fetched: true,
                keys_age_s: Some(61),
            }],
            servers: vec![Server {
                name: "notes".to_owned(),
                up: false,
                eras: vec!["legacy", "modern"],
                connections: 2,
                restarts: 1,
                tier: Some("full"),
                processes: 2,
                memory_bytes: 3 << 20,
                cpu_ms: 40,
                open_files: 7,
                let_out: 5,
                kept_in: 6,
                trouble: Some("it\nended\u{1b}".to_owned()),
                offered: 3,
                withheld_count: 2,
                withheld: vec!["tool a: it changed".to_owned()],
            }],
        };
        let line = report.line();
        assert_eq!(line.matches('\n').count(), 1);
        let told = Json::decode(line.into(), &sekisho_wire::json::Limits::default()).unwrap();
        let shown = Seen::of(told).to_string();
        for part in [
            "process 7",
            "NOT IN USE as it is now: sekisho.toml:1:1",
            "CANNOT BE WRITTEN",
            "gateway.dangerous_plaintext",
            "  https://as.example  each endpoint's URI  dpop     3600 s    2, 61 s old",
            "  notes   DOWN   legacy, modern  2            1         3 offered, 2 withheld  it ended\\u{1b}",
            "  notes    full  2          3 MiB   40 ms  7      5 let out, 6 refused",
            "  ! WITHHELD notes: tool a: it changed",
            "  ! and 1 more",
        ] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
        let told = Json::decode(report.line().into(), &sekisho_wire::json::Limits::default()).unwrap();
        let runs = runs(&[("stdio/3", &Seen::of(told))]);
        for part in
            ["  stdio/3  notes DOWN (2 withheld)  7  ", "THE AUDIT LOG CANNOT BE WRITTEN; it ended\\u{1b}; NOT IN USE"]
        {
            assert!(runs.contains(part), "{part} in\n{runs}");
        }
    }
}
