//! `sekisho run`

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use sekisho_catalog::Catalog;
use sekisho_identity::Local;
use sekisho_wire::{Endpoint, ServerId};

use super::lock::counted;
use super::{Outcome, server};
use crate::config::{self, Loaded};
use crate::pins;
use crate::problem::{Code, Problem};
use crate::run::{Plan, run};
use crate::{home, known, telemetry};

/// Run one local server for the client that started this, through the whole corridor
///
/// It stands in the place of the server in a client's configuration: the same command, behind `sekisho run --`. Only a command that the
/// configuration has, of a server that the lock file has, is run; nothing but this server is set up, and only its secrets are looked for.
/// Policies, the lock file, the record and `sekisho why` are those of the configuration. No gateway has to run, and no port is taken.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sekisho run -- npx -y @modelcontextprotocol/server-memory@2026.1.26
  sekisho run --server memory -- npx -y @modelcontextprotocol/server-memory@2026.1.26

In a client's configuration:
  {\"mcpServers\": {\"memory\": {\"command\": \"sekisho\",
    \"args\": [\"run\", \"--server\", \"memory\", \"--\", \"npx\", \"-y\", \"@modelcontextprotocol/server-memory@2026.1.26\"]}}}")]
pub(crate) struct Run {
    /// Which server of the configuration it is; found by its command if not given
    #[arg(long, value_name = "NAME", value_parser = server)]
    server: Option<ServerId>,
    /// The configuration file; if not given, `$XDG_CONFIG_HOME/sekisho/sekisho.toml` (`~/.config/sekisho/sekisho.toml`)
    #[arg(long = "config", short = 'c', value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    log: telemetry::Options,
    /// The server's command, as the configuration has it
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Run {
    pub(super) fn run(self) -> Outcome {
        telemetry::start(&self.log);
        let caller = Local::of_process(&io::stdin(), &io::stdout()).map_err(|error| {
            let help =
                "start it as the user it is for, over pipes; from other machines, connect over HTTP with a token";
            alone(Problem::of(Code::Caller, &error).help(help))
        })?;
        let path = match self.config {
            Some(path) => path,
            None => home::config_path().map_err(alone)?,
        };
        if !path.exists() {
            return Err(alone(not_there(&path)));
        }
        let mut loaded = config::load(&path)?;
        let server = find(&loaded, self.server.as_ref(), &self.command).map_err(alone)?;
        loaded.keep_only(&server);
        check_pinned(&loaded, &server).map_err(alone)?;
        run(&Plan {
            path: &path,
            prepare: &|_| Ok(()),
            ready: &|_, _| {},
            client: Some(sekisho_gateway::Stdio { caller, endpoint: Endpoint::One(server) }),
            elsewhere: "",
        })
    }
}

/// The server that has this command. What a client's configuration says does not count but to name it: what is run is configured, and
/// what is configured is pinned.
fn find(loaded: &Loaded, named: Option<&ServerId>, command: &[String]) -> Result<ServerId, Problem> {
    let (servers, shown) = (&loaded.config.servers, loaded.path.display());
    let refused = |words: String| Problem::new(Code::NotConfigured, words);
    if let Some(name) = named {
        let Some(server) = servers.get(name.as_str()) else {
            let known: Vec<&str> = servers.keys().map(String::as_str).collect();
            let has = if known.is_empty() { "no server".to_owned() } else { known.join(", ") };
            return Err(refused(format!("`{shown}` has no server `{name}`"))
                .help(format!("it has {has}; {}", add(&loaded.path))));
        };
        let problem = match &server.command {
            Some(configured) if configured == command => return Ok(name.clone()),
            Some(configured) => refused(format!(
                "what should be run is not the command of server `{name}`: {}",
                difference(configured, command)
            )),
            None => refused(format!("server `{name}` has a `url` and no command, so there is nothing to run")),
        };
        let help = format!(
            "only what is configured and pinned is run: write the same command in both places, then `sekisho lock diff {name}{}`",
            loaded.option()
        );
        return Err(problem.help(help));
    }
    let mut same =
        servers.iter().filter(|(_, server)| server.command.as_deref() == Some(command)).map(|(name, _)| name);
    match (same.next(), same.next()) {
        (Some(name), None) => ServerId::parse(name).map_err(|error| Problem::of(Code::Server, &error)),
        (Some(one), Some(other)) => {
            let words = format!("`{shown}` has several servers with this command, such as `{one}` and `{other}`");
            Err(refused(words).help("name the one that is meant with `--server NAME`"))
        }
        (None, _) => {
            let words =
                format!("`{shown}` has no server with this command, which has {}", counted(command.len(), "word"));
            Err(refused(words).help(add(&loaded.path)))
        }
    }
}

/// Where the commands differ, and no word of them: clients write this into their log files, and arguments can be secrets.
fn difference(configured: &[String], command: &[String]) -> String {
    let (there, here) = (counted(configured.len(), "word"), counted(command.len(), "word"));
    match configured.iter().zip(command).position(|(one, other)| one != other) {
        Some(0) => "another program is configured".to_owned(),
        Some(at) => format!("argument {at} is another one than is configured"),
        None => format!("{there} are configured, and {here} should be run"),
    }
}

/// Nothing is started that nobody has looked at, or that is another program by now.
fn check_pinned(loaded: &Loaded, id: &ServerId) -> Result<(), Problem> {
    let approvals = pins::approvals(loaded)?;
    // What is wrong with its section is told with its place, by whoever makes the rooms.
    let Ok(catalog) = Catalog::new(&loaded.catalog(), &approvals, None) else { return Ok(()) };
    let Some(server) = catalog.server(id) else { return Ok(()) };
    let config = loaded.path.display();
    if server.is_unapproved() {
        let words = format!("server `{id}` is not in the lock file: nobody has looked at what it offers");
        let help = format!("`sekisho lock --config {config} {id}` shows it, asks, and writes it down");
        return Err(Problem::new(Code::Lock, words).help(help));
    }
    match server.locked().and_then(|locked| server.identity().differs_from(locked.identity())) {
        None => Ok(()),
        Some(why) => {
            let place = known::where_it_is(loaded, server).map(|place| format!(" ({place})")).unwrap_or_default();
            let words = format!("server `{id}` is not the one that was approved: {why}{place}");
            let help = format!("if that is right: `sekisho approve --config {config} {id}`");
            Err(Problem::new(Code::Lock, words).help(help))
        }
    }
}

fn not_there(path: &Path) -> Problem {
    Problem::new(Code::NotConfigured, format!("there is no configuration `{}`", path.display())).help(add(path))
}

fn alone(problem: Problem) -> Vec<Problem> {
    vec![problem]
}

fn add(path: &Path) -> String {
    format!(
        "`sekisho import` takes over the servers of your clients; or add a `[servers.NAME]` with this `command`, and pin it: `sekisho lock --config {} NAME`",
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(servers: &str) -> Loaded {
        loaded_in(tempfile::tempdir().unwrap().path(), servers)
    }

    fn loaded_in(dir: &Path, servers: &str) -> Loaded {
        let path = dir.join("sekisho.toml");
        let text = format!(
            "[gateway]\nlisten = \"127.0.0.1:8700\"\npublic_url = \"http://127.0.0.1:8700\"\n[[identity.issuers]]\n\
             issuer = \"https://login.example.com\"\njwks_file = \"jwks.json\"\n[policy]\nfiles = [\"policy.cedar\"]\n{servers}"
        );
        std::fs::write(&path, text).unwrap();
        config::load(&path).unwrap()
    }

    #[test]
    fn a_program_that_is_gone_and_one_that_is_another_are_told_apart() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().canonicalize().unwrap().join("bin");
        std::fs::create_dir(&bin).unwrap();
        let tool = bin.join("tool");
        let put = |text: &str| {
            std::fs::write(&tool, text).unwrap();
            std::fs::set_permissions(&tool, PermissionsExt::from_mode(0o755)).unwrap();
        };
        put("#!/bin/sh\n");
        let table = format!("[servers.a]\ncommand = ['tool']\nenv = {{ PATH = '{}' }}\n", bin.display());
        let loaded = loaded_in(dir.path(), &table);
        let id = ServerId::parse("a").unwrap();
        let approvals = pins::approvals(&loaded).unwrap();
        let catalog = Catalog::new(&loaded.catalog(), &approvals, None).unwrap();
        let mut lock = sekisho_catalog::Lock::default();
        lock.put(id.clone(), sekisho_catalog::Locked::new(catalog.server(&id).unwrap().identity().clone()));
        pins::LockFile::of(&loaded).write(&lock, None).unwrap();
        let told = || check_pinned(&loaded, &id).map_err(|problem| problem.line());
        assert_eq!(told(), Ok(()));
        put("#!/bin/sh\nexit\n");
        let another = told().unwrap_err();
        assert!(another.contains("the file of its program changed (`tool` is `") && another.contains("bin/tool` now)"));
        std::fs::remove_file(&tool).unwrap();
        let gone = told().unwrap_err();
        assert!(gone.contains("no file of its program is found (`tool` is in no folder of `PATH`)"), "{gone}");
        assert!(!gone.contains("changed") && gone.contains("SK0115"), "{gone}");
    }

    fn found(servers: &str, named: Option<&str>, command: &[&str]) -> Result<String, String> {
        let named = named.map(|name| ServerId::parse(name).unwrap());
        let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        let found = find(&loaded(servers), named.as_ref(), &command);
        found.map(|id| id.to_string()).map_err(|problem| problem.line())
    }

    const TWO: &str =
        "[servers.a]\ncommand = ['x', '-v']\n[servers.b]\ncommand = ['y']\n[servers.c]\nurl = 'https://c.example'\n";

    #[test]
    fn a_command_is_run_that_is_configured_and_no_other() {
        assert_eq!(found(TWO, None, &["x", "-v"]).as_deref(), Ok("a"));
        assert_eq!(found(TWO, Some("b"), &["y"]).as_deref(), Ok("b"));
        for (named, command, words) in [
            (None, &["x"][..], "has no server with this command, which has 1 word"),
            (None, &["x", "-v", "-w"], "has no server with this command, which has 3 words"),
            (Some("a"), &["x"], "2 words are configured, and 1 word should be run"),
            (Some("a"), &["x", "-s3cret"], "argument 1 is another one than is configured"),
            (Some("b"), &["x", "-v"], "another program is configured"),
            (Some("c"), &["y"], "has a `url` and no command"),
            (Some("d"), &["y"], "has no server `d`; it has a, b, c"),
        ] {
            let refused = found(TWO, named, command).unwrap_err();
            assert!(refused.contains(words) && refused.ends_with("(SK0213)"), "{refused}");
            assert!(!refused.contains("s3cret") && !refused.contains("-v"), "arguments can be secrets: {refused}");
        }
    }

    #[test]
    fn of_several_with_one_command_the_one_that_is_named_is_run() {
        let same = "[servers.a]\ncommand = ['x']\n[servers.b]\ncommand = ['x']\n";
        assert_eq!(found(same, Some("b"), &["x"]).as_deref(), Ok("b"));
        assert!(found(same, None, &["x"]).unwrap_err().contains("--server NAME"));
    }
}
