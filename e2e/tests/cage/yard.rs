//! A user's home with a configuration, and a client of one of its servers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use sekisho_e2e::client::Era;
use sekisho_e2e::gateway;
use sekisho_e2e::issuer::Issuer;
use sekisho_e2e::line::{self, Line};
use sekisho_e2e::place;
use sekisho_e2e::process::{self, Output};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) struct Yard(TempDir);

impl Yard {
    /// With folders `home`, `work` and `outside`, and a file in each.
    pub(crate) fn new() -> Yard {
        let yard = Yard(tempfile::Builder::new().prefix("sekisho-cage-").tempdir().expect("a folder"));
        for folder in ["home/.ssh", "work", "outside"] {
            fs::create_dir_all(yard.at(folder)).expect("a folder");
        }
        for (file, text) in
            [("home/.ssh/id_ed25519", "KEY"), ("work/hello.txt", "hello"), ("outside/secret.txt", "SECRET")]
        {
            fs::write(yard.at(file), text).expect("a file");
        }
        yard
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.0.path().canonicalize().expect("a folder").join(path)
    }

    pub(crate) fn text(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_default()
    }

    /// Writes the configuration with these servers, and approves what they offer.
    pub(crate) fn locked(&self, servers: &str) {
        self.configures(servers);
        let locked = self.sekisho(&["lock", "--yes"]);
        assert!(locked.status.success(), "{} {}", locked.out, locked.err);
    }

    pub(crate) fn configures(&self, servers: &str) {
        Issuer::es256("http://127.0.0.1:9/issuer")
            .expect("an issuer")
            .write_key_set(&self.at("jwks.json"))
            .expect("written");
        fs::write(self.at("policy.cedar"), "@id(\"everything\") permit(principal, action, resource);\n")
            .expect("written");
        let address = gateway::free_address().expect("a port");
        let text = format!(
            "data_dir = \"data\"\n\n[gateway]\nlisten = \"{address}\"\npublic_url = \"http://{address}\"\n\n\
             [[identity.issuers]]\nissuer = \"http://127.0.0.1:9/issuer\"\njwks_file = \"jwks.json\"\n\n\
             [policy]\nfiles = [\"policy.cedar\"]\n\n{servers}\n"
        );
        fs::write(self.at("sekisho.toml"), text).expect("written");
    }

    /// As the user whose home this is.
    pub(crate) fn command(&self, mut command: Command) -> Command {
        command.current_dir(self.0.path()).env("HOME", self.at("home"));
        command
    }

    pub(crate) fn sekisho(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(Command::new(place::binary("sekisho").expect("the binary")));
        process::run(command.args(arguments), "", LIMIT).expect("an end")
    }

    /// A client of a server, served by a process of its own.
    pub(crate) fn open(&self, server: &str) -> Line {
        self.try_open(server).expect("a client")
    }

    pub(crate) fn try_open(&self, server: &str) -> anyhow::Result<Line> {
        let command = line::command(&self.at("sekisho.toml"), Some(server))?;
        Line::open(&mut self.command(command), Era::Legacy, json!({}))
    }
}

/// Calls a tool: its text, or `Err` with that of its error.
pub(crate) fn call(line: &mut Line, tool: &str, arguments: Value) -> Result<String, String> {
    let result = line.call(tool, arguments).map_err(|error| error.to_string())?;
    let texts = result["content"].as_array().into_iter().flatten().filter_map(|part| part["text"].as_str());
    let text = texts.collect::<Vec<_>>().join("\n");
    if result["isError"] == true { Err(text) } else { Ok(text) }
}

/// The processes whose arguments hold this word, but us and those that look.
pub(crate) fn processes_with(word: &str) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("processes").filter_map(Result::ok);
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let has = |number: &u32| {
        let line = fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
        *number != std::process::id() && String::from_utf8_lossy(&line).contains(word)
    };
    numbers.filter(has).collect()
}

/// Waits until something is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LIMIT, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub(crate) fn display(path: &Path) -> String {
    path.display().to_string()
}

pub(crate) const LIMIT: Duration = Duration::from_secs(90);
