//! A user's home: a configuration, what is approved, and a data folder.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use sekisho_e2e::client::Era;
use sekisho_e2e::issuer::Issuer;
use sekisho_e2e::line::Line;
use sekisho_e2e::process::{self, Output};
use sekisho_e2e::{gateway, place};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::LIMIT;

/// A home folder.
pub(crate) struct Home {
    folder: TempDir,
}

impl Home {
    /// With these servers and a policy that permits everything to this machine's users. Nothing is approved yet.
    pub(crate) fn new(servers: &str) -> Home {
        let folder = tempfile::Builder::new().prefix("sekisho-run-").tempdir().expect("a folder");
        let home = Home { folder };
        fs::create_dir_all(home.config().parent().expect("a folder")).expect("a folder");
        fs::create_dir(home.path("elsewhere")).expect("a folder");
        let beside = home.config().with_file_name("jwks.json");
        Issuer::es256("http://127.0.0.1:9/issuer").expect("an issuer").write_key_set(&beside).expect("written");
        home.permits("permit(principal, action, resource) when { principal.issuer == \"local\" };");
        home.configures(servers);
        home
    }

    /// The same, with everything approved that the servers offer.
    pub(crate) fn locked(servers: &str) -> Home {
        let home = Home::new(servers);
        home.lock();
        home
    }

    pub(crate) fn configures(&self, servers: &str) {
        // No port is taken: the address is one that nobody can have.
        let text = format!(
            "data_dir = {:?}\n\n[gateway]\nlisten = \"127.0.0.1:1\"\npublic_url = \"http://127.0.0.1:1\"\n\n\
             [admin]\nlisten = \"127.0.0.1:2\"\n\n\
             [[identity.issuers]]\nissuer = \"http://127.0.0.1:9/issuer\"\njwks_file = \"jwks.json\"\n\n\
             [policy]\nfiles = [\"policy.cedar\"]\n\n{servers}\n",
            self.data()
        );
        fs::write(self.config(), text).expect("written");
    }

    pub(crate) fn permits(&self, policy: &str) {
        fs::write(self.config().with_file_name("policy.cedar"), policy).expect("written");
    }

    pub(crate) fn lock(&self) {
        let locked = self.sekisho(&["lock", "--yes", "--config", &self.config().display().to_string()]);
        assert!(locked.status.success(), "{locked:?}");
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("config/sekisho/sekisho.toml")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("state/sekisho")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command of this user, in a folder without a configuration.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(place::binary("sekisho").expect("the binary"));
        command.args(arguments).current_dir(self.path("elsewhere"));
        command.env("HOME", self.folder.path()).env("XDG_CONFIG_HOME", self.path("config"));
        command
    }

    pub(crate) fn sekisho(&self, arguments: &[&str]) -> Output {
        process::run(&mut self.command(arguments), "", LIMIT).expect("an end")
    }

    /// `sekisho run` with this command, found by it.
    pub(crate) fn run(&self, options: &[&str], command: &[String]) -> Command {
        let mut run = self.command(&["run", "--log-level", "warn"]);
        run.args(options).arg("--").args(command);
        run
    }

    pub(crate) fn open(&self, command: &[String], era: Era) -> Line {
        Line::open(&mut self.run(&[], command), era, json!({})).expect("a client")
    }

    /// What `sekisho run` says when it refuses.
    pub(crate) fn refused(&self, options: &[&str], command: &[String]) -> String {
        let ended = process::run(&mut self.run(options, command), "", LIMIT).expect("an end");
        assert_eq!((ended.status.code(), ended.out.as_str()), (Some(1), ""), "{ended:?}");
        // The report is wrapped to the width of a screen.
        ended.err.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ")
    }

    /// What stands in the log of a place.
    pub(crate) fn log_of(&self, number: u32) -> String {
        let folder = self.data().join(format!("stdio/{number}/audit"));
        let files = fs::read_dir(folder).expect("a log");
        files.map(|file| fs::read_to_string(file.expect("a file").path()).unwrap_or_default()).collect()
    }
}

/// The everything server, and its table.
pub(crate) fn everything() -> (Vec<String>, String) {
    let command = sekisho_e2e::fixture::everything_command(&[]).expect("the fixture");
    let table = gateway::stdio_server("everything", &command);
    (command, table)
}

pub(crate) fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap_or_default()
}

/// The sum of two numbers, told by the everything server.
pub(crate) fn adds(client: &mut Line) -> bool {
    client.call("test_add", json!({"a": 2, "b": 3})).is_ok_and(|sum| text(&sum) == "5")
}

/// Waits until something holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !holds() {
        assert!(start.elapsed() < LIMIT, "not in time: {what}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
