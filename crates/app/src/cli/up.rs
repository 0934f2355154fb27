//! `sekisho up`: from nothing to a gateway that can be tried, in one command.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;

use super::Outcome;
use crate::config::Loaded;
use crate::folder::Folder;
use crate::problem::{Code, Problem};
use crate::run::{Plan, run};
use crate::schema::schema;
use crate::{developer, pins, telemetry};

mod paste;

/// Start here: set up a gateway on this machine and run it
///
/// The first time it writes sekisho.toml, policy.cedar and the folder sekisho-data with a developer issuer and a schema for
/// editors, and starts two demo servers. After that it uses what is there, so change the files as you like. Ctrl-C ends it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sekisho up
  sekisho up --dir ~/sekisho --port 8710")]
pub(crate) struct Up {
    /// The folder that everything is written to
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// The port to listen on; 8700 if not given
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    #[command(flatten)]
    log: telemetry::Options,
}

impl Up {
    pub(super) fn run(self) -> Outcome {
        telemetry::start(&self.log);
        let path = self.dir.join(CONFIG);
        let kept = path.exists();
        let ready = if kept { move_port(&path, self.port) } else { self.write_all(&path) };
        ready.map_err(|problem| vec![problem])?;
        approve_first(&path)?;
        run(&Plan {
            path: &path,
            prepare: &refresh,
            client: None,
            ready: &|loaded, address| paste::print(loaded, address, kept),
            elsewhere: ELSEWHERE,
        })
    }

    /// The first run. The configuration comes last: what is there without it does no harm, and the next run goes on.
    fn write_all(&self, path: &Path) -> Result<(), Problem> {
        let port = self.port.unwrap_or(PORT);
        check_free(port)?;
        std::fs::create_dir_all(&self.dir).map_err(|error| unwritable(&self.dir, &error))?;
        let data = Folder::new(self.dir.join(DATA));
        data.prepare()?;
        let demo = self.dir.join(DEMO);
        for folder in ["demo-files", "demo-notes"] {
            std::fs::create_dir_all(demo.join(folder)).map_err(|error| unwritable(&demo, &error))?;
        }
        let welcome = demo.join("demo-files/welcome.txt");
        write_if_missing(&welcome, WELCOME)?;
        write_if_missing(&self.dir.join("policy.cedar"), STARTER)?;
        write_if_missing(path, &configuration(port, &own_path()?))
    }
}

/// Where nobody has approved anything yet, the first start shows what the servers offer, and that is the approval.
fn approve_first(path: &Path) -> Outcome {
    let loaded = crate::config::load(path)?;
    if pins::missing(&loaded).is_none() {
        return Ok(());
    }
    super::lock::first(&loaded)
}

/// The schema for editors is that of this program; the developer issuer's key set is there, and its token good for a while.
fn refresh(loaded: &Loaded) -> Result<(), Problem> {
    write_schema(&loaded.folder())?;
    if developer::is_believed(loaded) {
        developer::open(loaded, SystemTime::now())?;
    }
    Ok(())
}

/// Writes another port into a configuration that `sekisho up` wrote, if another one is asked for.
fn move_port(path: &Path, port: Option<u16>) -> Result<(), Problem> {
    let Some(port) = port else { return Ok(()) };
    let loaded = crate::config::load(path).map_err(first)?;
    let old = loaded.config.gateway.listen.port();
    if old == port {
        return Ok(());
    }
    let (from, to) = (address(old), address(port));
    let written = [
        format!("listen = \"{from}\""),
        format!("public_url = \"http://{from}\""),
        format!("issuer = \"http://{from}/dev-issuer\""),
    ];
    let text = loaded.document.text();
    if !written.iter().all(|line| text.lines().any(|other| other.trim() == line)) {
        let words =
            format!("`{}` was changed since `sekisho up` wrote it, so the port is yours to change", path.display());
        return Err(Problem::new(Code::BadValue, words)
            .help("set `listen`, `public_url` and `issuer` to the same port in the file, and leave `--port` out")
            .at(loaded.document.place_of(&["gateway", "listen"])));
    }
    check_free(port)?;
    let moved = |line: &str| {
        if written.iter().any(|known| known == line.trim()) { line.replace(&from, &to) } else { line.to_owned() }
    };
    let moved: Vec<String> = text.lines().map(moved).collect();
    let beside = path.with_extension("toml.next");
    std::fs::write(&beside, moved.join("\n") + "\n")
        .and_then(|()| std::fs::rename(&beside, path))
        .map_err(|error| unwritable(path, &error))
}

/// Before anything is written for a port that another program has.
fn check_free(port: u16) -> Result<(), Problem> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match TcpListener::bind(address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let words = format!("another program listens on {address} already");
            Err(Problem::new(Code::PortTaken, words).help(ELSEWHERE))
        }
        Err(error) => {
            Err(Problem::new(Code::AddressUnusable, format!("cannot listen on {address}: {error}")).help(ELSEWHERE))
        }
        Ok(_) => Ok(()),
    }
}

/// Written beside and renamed: an editor that looks meanwhile sees the old one.
fn write_schema(folder: &Folder) -> Result<(), Problem> {
    let (path, beside) = (folder.path().join(SCHEMA), folder.path().join(format!("{SCHEMA}.next")));
    let text =
        serde_json::to_string_pretty(&schema()).map_err(|error| Problem::new(Code::System, error.to_string()))?;
    std::fs::write(&beside, text + "\n")
        .and_then(|()| std::fs::rename(&beside, &path))
        .map_err(|error| unwritable(&path, &error))
}

fn write_if_missing(path: &Path, text: &str) -> Result<(), Problem> {
    let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path);
    match file.and_then(|mut file| file.write_all(text.as_bytes())) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(unwritable(path, &error)),
    }
}

fn configuration(port: u16, own: &str) -> String {
    let (address, own) = (address(port), toml::Value::from(own));
    format!(
        r#"#:schema ./{DATA}/{SCHEMA}

# Sekisho, written by `sekisho up`; yours to change. A change is taken over within a second.
# `sekisho config check` tells what is wrong, `sekisho config explain` what can be set.

data_dir = "{DATA}"

[gateway]
listen = "{address}"
public_url = "http://{address}"

# The developer issuer of this machine: tokens for you alone, in {DATA}/dev-issuer. For a team, name your identity
# provider here instead.
[[identity.issuers]]
issuer = "http://{address}/dev-issuer"
jwks_file = "{DATA}/dev-issuer/jwks.json"
algorithms = ["ES256"]

[policy]
files = ["policy.cedar"]

# Two demo servers. Put your own beside them, with `command = ["program", "argument"]` or `url = "https://…"`.
# A program runs in a sandbox: it sees the system, the files that its command names, and what is granted here; no network.
[servers.files]
command = [{own}, "demo", "files", "--root", "demo-files"]
cwd = "{DEMO}"
# Files come and go, and their names with them.
unpinned_resources = ["demo-files:///"]

[servers.notes]
command = [{own}, "demo", "notes", "--dir", "demo-notes"]
cwd = "{DEMO}"
unpinned_resources = ["note://"]

[servers.notes.sandbox]
write = ["{DEMO}/demo-notes"]
"#
    )
}

/// Where this program is, as a configuration names it.
///
/// # Errors
/// It has no path that is text.
pub(super) fn own_path() -> Result<String, Problem> {
    let path = std::env::current_exe().map_err(|error| Problem::new(Code::System, error.to_string()))?;
    path.into_os_string().into_string().map_err(|_| Problem::new(Code::System, "the path of this program is not UTF-8"))
}

fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

fn first(problems: Vec<Problem>) -> Problem {
    problems.into_iter().next().unwrap_or_else(|| Problem::new(Code::BadValue, "the configuration is wrong"))
}

fn unwritable(path: &Path, error: &io::Error) -> Problem {
    Problem::new(Code::DataReadOnly, format!("`{}` cannot be written: {error}", path.display()))
        .help("choose another folder with `--dir DIR`")
}

const CONFIG: &str = "sekisho.toml";
const DATA: &str = "sekisho-data";
/// Where the demonstration servers keep their things.
const DEMO: &str = "sekisho-demo";
/// The first line of the configuration names it, so that editors help; beside nothing else of this version it would be stale.
const SCHEMA: &str = "sekisho.schema.json";
const PORT: u16 = 8700;
const ELSEWHERE: &str = "stop that one, or choose another port: `sekisho up --port 8701`";
const STARTER: &str = include_str!("../../../../policies/starter.cedar");
const WELCOME: &str = "Welcome. This file came through a checkpoint: your token was verified, a policy permitted the call,\n\
and `sekisho audit tail` shows the record of it.\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_configuration_is_one_that_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(CONFIG);
        std::fs::write(&path, configuration(8700, "/a \"b\"/sekisho")).unwrap();
        let loaded = crate::config::load(&path).unwrap();
        assert!(developer::is_believed(&loaded));
        assert_eq!(loaded.config.servers.len(), 2);
        let command = loaded.config.servers["files"].command.as_ref().unwrap();
        assert_eq!(command[0], "/a \"b\"/sekisho");
    }

    #[test]
    fn port_is_moved_in_a_file_of_ours_and_left_in_one_that_was_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(CONFIG);
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        std::fs::write(&path, configuration(8700, "/sekisho")).unwrap();
        move_port(&path, Some(free)).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), configuration(free, "/sekisho"));
        let changed = configuration(8700, "/sekisho").replace("http://127.0.0.1:8700\"", "http://localhost:8700\"");
        std::fs::write(&path, &changed).unwrap();
        move_port(&path, Some(free)).unwrap_err();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), changed);
    }
}
