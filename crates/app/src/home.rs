//! The *home configuration*: an ordinary `sekisho.toml` in the user's configuration folder, which `sekisho run` reads and
//! `sekisho import` adds servers to.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::unistd::{Uid, User};
use sekisho_wire::ServerId;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Value};

use crate::config::Loaded;
use crate::folder::Folder;
use crate::problem::{Code, Problem};
use crate::{config, developer};

pub(crate) mod files;

/// Where it is, whether it is there or not: `$XDG_CONFIG_HOME/sekisho/sekisho.toml`, or else `~/.config/sekisho/sekisho.toml`.
///
/// # Errors
/// The user has no home.
pub(crate) fn config_path() -> Result<PathBuf, Problem> {
    Machine::here().map(|machine| Home::locate(&machine).path())
}

/// Which operating system's places are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum System {
    /// The XDG base directory specification.
    Linux,
    /// `~/Library`.
    Mac,
    /// `%APPDATA%`.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "its paths are known and tested; this program does not run there")
    )]
    Windows,
}

/// Where the user's folders are on this machine.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    system: System,
    home: PathBuf,
    config: PathBuf,
    state: PathBuf,
    data: PathBuf,
    roaming: PathBuf,
    programs: Vec<PathBuf>,
}

impl Machine {
    /// As this process's environment says.
    ///
    /// # Errors
    /// The user has no home.
    pub(crate) fn here() -> Result<Machine, Problem> {
        let system = if cfg!(target_os = "macos") { System::Mac } else { System::Linux };
        let named = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        let known = || User::from_uid(Uid::effective()).ok().flatten().map(|user| user.dir);
        let home = named.or_else(known).filter(|home| home.is_absolute()).ok_or_else(|| {
            Problem::new(Code::System, "this user has no home folder").help("set HOME to an absolute path")
        })?;
        Ok(Machine::new(system, home, &|name| std::env::var_os(name)))
    }

    /// As `variable` says. A relative path in a variable counts as unset (XDG Base Directory Specification 0.8).
    #[must_use]
    pub(crate) fn new(system: System, home: PathBuf, variable: &dyn Fn(&str) -> Option<OsString>) -> Machine {
        let named = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.has_root());
        Machine {
            system,
            config: named("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config")),
            state: named("XDG_STATE_HOME").unwrap_or_else(|| home.join(".local/state")),
            data: named("XDG_DATA_HOME").unwrap_or_else(|| home.join(".local/share")),
            roaming: variable("APPDATA").map_or_else(|| home.join("AppData/Roaming"), PathBuf::from),
            programs: variable("PATH")
                .iter()
                .flat_map(std::env::split_paths)
                .filter(|path| path.is_absolute())
                .collect(),
            home,
        }
    }

    #[must_use]
    pub(crate) fn system(&self) -> System {
        self.system
    }

    /// The user's home.
    #[must_use]
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// `$XDG_CONFIG_HOME`, or `~/.config`.
    #[must_use]
    pub(crate) fn config(&self) -> &Path {
        &self.config
    }

    /// `%APPDATA%`, on Windows.
    #[must_use]
    pub(crate) fn roaming(&self) -> &Path {
        &self.roaming
    }

    /// The folders of `$PATH`.
    #[must_use]
    pub(crate) fn programs(&self) -> &[PathBuf] {
        &self.programs
    }

    /// Whether the user's data are where nobody has to be told.
    #[must_use]
    pub(crate) fn has_usual_data(&self) -> bool {
        self.data == self.home.join(".local/share")
    }

    /// Whether the user's configuration is where nobody has to be told.
    #[must_use]
    pub(crate) fn is_usual(&self) -> bool {
        self.config == self.home.join(".config")
    }

    /// The path as people write it: `~` for the home.
    #[must_use]
    pub(crate) fn short(&self, path: &Path) -> String {
        match path.strip_prefix(&self.home) {
            Ok(rest) if rest.as_os_str().is_empty() => "~".to_owned(),
            Ok(rest) => format!("~/{}", rest.display()),
            Err(_) => path.display().to_string(),
        }
    }
}

/// Where the home configuration is, whether it is there or not.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    folder: PathBuf,
    state: PathBuf,
    data: PathBuf,
}

/// What a server may reach, as `[servers.<name>.sandbox]` says it. Nothing at all, if empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cage {
    /// The profile, where the command does not tell.
    pub(crate) profile: Option<String>,
    /// Files and folders that it may read.
    pub(crate) read: Vec<String>,
    /// Files and folders that it may change.
    pub(crate) write: Vec<String>,
    /// Hosts with their ports.
    pub(crate) hosts: Vec<String>,
}

/// A server of the home configuration. Variables and headers are texts as they stand there: settings, or references to secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Server {
    /// Program and arguments; empty for a remote one.
    pub(crate) command: Vec<String>,
    /// Where a remote one is.
    pub(crate) url: Option<String>,
    /// Environment variables.
    pub(crate) env: BTreeMap<String, String>,
    /// Headers of a remote one.
    pub(crate) headers: BTreeMap<String, String>,
    /// Its working folder.
    pub(crate) cwd: Option<PathBuf>,
}

/// A server that is to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewServer {
    /// Under which name.
    pub(crate) name: ServerId,
    /// What is run.
    pub(crate) server: Server,
    /// What it may reach.
    pub(crate) cage: Cage,
    /// How long it may take to answer, if longer than usual.
    pub(crate) timeout_seconds: Option<u32>,
    /// Where it comes from, in words, for the comment above it.
    pub(crate) origin: String,
}

impl Home {
    /// Of this machine's user. Nothing is looked at or made.
    #[must_use]
    pub(crate) fn locate(machine: &Machine) -> Home {
        let of = |folder: &Path| folder.join("sekisho");
        Home { folder: of(&machine.config), state: of(&machine.state), data: of(&machine.data) }
    }

    /// The folder of the configuration.
    #[must_use]
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The data folder: logs, and what is needed to undo an import.
    #[must_use]
    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    /// The key that secrets are sealed with: apart from the configuration, which people copy, synchronise and commit.
    #[must_use]
    pub(crate) fn key(&self) -> PathBuf {
        self.data.join("key")
    }

    /// The configuration file.
    #[must_use]
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join(CONFIG)
    }

    /// Reads it.
    ///
    /// # Errors
    /// There is none, or everything wrong with it.
    pub(crate) fn load(&self) -> Result<Loaded, Vec<Problem>> {
        if !self.path().exists() {
            let words = format!("there is no home configuration `{}`", self.path().display());
            let problem = Problem::new(Code::ConfigUnreadable, words);
            return Err(vec![problem.help("`sekisho import` writes it, with the servers of your clients")]);
        }
        config::load(&self.path())
    }

    /// Makes what is missing of it: the folders, a policy that permits the user of this machine, the file, and the developer issuer that
    /// it names. What is there stays as it is. The file comes last: what is there without it does no harm.
    ///
    /// # Errors
    /// Something cannot be made.
    pub(crate) fn ensure(&self) -> Result<(), Vec<Problem>> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        made.map_err(|error| vec![unwritable(&self.folder, &error)])?;
        let data = Folder::new(self.state.clone());
        data.prepare().map_err(alone)?;
        let text = self.starter().map_err(alone)?;
        for (name, text) in [("policy.cedar", POLICY), (CONFIG, &*text)] {
            let path = self.folder.join(name);
            if !path.exists() {
                files::create(&path, text.as_bytes()).map_err(|error| vec![unwritable(&path, &error)])?;
            }
        }
        if !self.state.join(KEYS).exists() {
            let loaded = config::load(&self.path())?;
            if developer::is_believed(&loaded) {
                loaded.folder().prepare().map_err(alone)?;
                developer::open(&loaded, SystemTime::now()).map_err(alone)?;
            }
        }
        Ok(())
    }

    /// The servers that it has; none, if it is not there.
    ///
    /// # Errors
    /// It cannot be read, or is no TOML.
    pub(crate) fn servers(&self) -> Result<BTreeMap<String, Server>, Problem> {
        let path = self.path();
        if !path.exists() {
            return Ok(BTreeMap::new());
        }
        let document = parse(&path, config::open(&path)?.text())?;
        let tables = document.get("servers").and_then(Item::as_table_like);
        Ok(tables
            .into_iter()
            .flat_map(|tables| tables.iter())
            .map(|(name, item)| (name.to_owned(), server(item)))
            .collect())
    }

    /// Adds servers at its end; every byte that is there stays. A server that is there as it should be is left alone.
    ///
    /// # Errors
    /// One of that name is there that is another one, what came of it would be no configuration, or it cannot be written.
    pub(crate) fn add(&self, new: &[NewServer]) -> Result<(), Vec<Problem>> {
        let path = self.path();
        let before = config::open(&path).map_err(alone)?.text().to_owned();
        let known = self.servers().map_err(alone)?;
        let mut text = before.clone();
        for one in new {
            match known.get(one.name.as_str()) {
                Some(there) if *there == one.server => {}
                Some(_) => return Err(vec![self.taken(&one.name)]),
                None => text.push_str(&section(one)),
            }
        }
        if text == before {
            return Ok(());
        }
        self.check(&before, &text, new)?;
        files::replace(&path, before.as_bytes(), text.as_bytes()).map_err(|error| vec![unwritable(&path, &error)])
    }

    /// Whether the text to come is the one before, with the new servers.
    fn check(&self, before: &str, text: &str, new: &[NewServer]) -> Result<(), Vec<Problem>> {
        let path = self.path();
        let document = parse(&path, text).map_err(alone)?;
        let is_there = |one: &NewServer| {
            let item = document.get("servers").and_then(|servers| servers.get(one.name.as_str()));
            item.is_some_and(|item| server(item) == one.server)
        };
        if !text.starts_with(before) || !new.iter().all(is_there) {
            let words = format!("servers cannot be added to `{}`", path.display());
            let problem = Problem::new(Code::Import, words);
            return Err(vec![problem.help("write its servers as tables, `[servers.<name>]`, and do it again")]);
        }
        config::form(&crate::strict::Document::new(&path, text)).map(drop)
    }

    fn taken(&self, name: &ServerId) -> Problem {
        let words = format!("`{}` has another server `{name}`", self.path().display());
        Problem::new(Code::Import, words).help("do it again: another name is chosen then")
    }

    /// The file as it is at first, without servers.
    fn starter(&self) -> Result<String, Problem> {
        let data = self
            .state
            .to_str()
            .ok_or_else(|| Problem::new(Code::System, format!("the path `{}` is not UTF-8", self.state.display())))?;
        Ok(format!(
            r#"# Sekisho on this machine, written by `sekisho import`; yours to change. `sekisho run` reads it for each local server that a client
# starts. `sekisho config check --config <this file>` tells what is wrong, `sekisho config explain` what can be set.

# Logs, and what is needed to undo an import.
data_dir = {data}

# Used by `sekisho serve` alone: `sekisho run` listens nowhere.
[gateway]
listen = "127.0.0.1:8700"
public_url = "http://127.0.0.1:8700"

# The developer issuer of this machine. Over stdio nobody needs a token: the caller is the user that the process runs as.
[[identity.issuers]]
issuer = "http://127.0.0.1:8700/dev-issuer"
jwks_file = {keys}
algorithms = ["ES256"]

[policy]
files = ["policy.cedar"]
"#,
            data = Value::from(data),
            keys = Value::from(format!("{data}/{KEYS}")),
        ))
    }
}

impl NewServer {
    /// Whether a configuration may hold it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.config()?.problems().first().map_or(Ok(()), |error| Err(crate::problem::chain(error)))
    }

    /// What it may reach, as it is read when it is started.
    ///
    /// # Errors
    /// No configuration may hold it.
    pub(crate) fn sandbox(&self) -> Result<sekisho_sandbox::Config, String> {
        let config = self.config()?;
        let server = config.servers.get(self.name.as_str());
        Ok(server.map(|server| server.sandbox.clone()).unwrap_or_default())
    }

    fn config(&self) -> Result<sekisho_catalog::Config, String> {
        toml::from_str(&section(self)).map_err(|error| error.message().to_owned())
    }
}

/// The server as a section of the file.
fn section(new: &NewServer) -> String {
    let mut lines = table(new);
    // Nothing confines a server somewhere else.
    if new.server.url.is_none() {
        lines.push_str(&cage(&new.name, &new.cage));
    }
    lines
}

fn table(new: &NewServer) -> String {
    let server = &new.server;
    let mut lines = format!("\n# {}\n[servers.{}]\n", new.origin.replace(char::is_control, " "), new.name);
    let mut line = |key: &str, value: Value| {
        // Writing into a String cannot fail.
        let _ = writeln!(lines, "{key} = {value}");
    };
    if let Some(url) = &server.url {
        line("url", url.into());
    }
    if !server.command.is_empty() {
        line("command", list(&server.command));
    }
    for (key, table) in [("env", &server.env), ("headers", &server.headers)] {
        if !table.is_empty() {
            let table: InlineTable = table.iter().map(|(name, value)| (name.as_str(), Value::from(value))).collect();
            line(key, table.into());
        }
    }
    if let Some(cwd) = &server.cwd {
        line("cwd", cwd.display().to_string().into());
    }
    if let Some(seconds) = new.timeout_seconds {
        line("timeout_seconds", i64::from(seconds).into());
    }
    lines
}

/// `[servers.<name>.sandbox]`: the one place that knows how a cage is written.
fn cage(name: &ServerId, cage: &Cage) -> String {
    let mut lines = format!("[servers.{name}.sandbox]\n");
    if let Some(profile) = &cage.profile {
        let _ = writeln!(lines, "profile = {}", Value::from(profile));
    }
    for (key, values) in [("read", &cage.read), ("write", &cage.write), ("hosts", &cage.hosts)] {
        if !values.is_empty() {
            let _ = writeln!(lines, "{key} = {}", list(values));
        }
    }
    lines
}

fn list(texts: &[String]) -> Value {
    Value::Array(texts.iter().map(String::as_str).collect::<Array>())
}

/// The parts of a server's table that tell it from others.
fn server(item: &Item) -> Server {
    let text = |key: &str| item.get(key).and_then(Item::as_str).map(str::to_owned);
    let table = |key: &str| -> BTreeMap<String, String> {
        let members = item.get(key).and_then(Item::as_table_like).into_iter().flat_map(|table| table.iter());
        members.filter_map(|(name, value)| Some((name.to_owned(), value.as_str()?.to_owned()))).collect()
    };
    let command = item.get("command").and_then(Item::as_array).into_iter().flatten();
    Server {
        command: command.filter_map(Value::as_str).map(str::to_owned).collect(),
        url: text("url"),
        env: table("env"),
        headers: table("headers"),
        cwd: text("cwd").map(PathBuf::from),
    }
}

fn parse(path: &Path, text: &str) -> Result<DocumentMut, Problem> {
    text.parse().map_err(|error: toml_edit::TomlError| {
        // The error's own words may quote the line, which may hold what nobody should see on a screen.
        let words = format!("`{}` is no TOML: {}", path.display(), error.message());
        Problem::new(Code::Syntax, words)
            .help(format!("`sekisho config check --config {}` shows where", path.display()))
    })
}

fn unwritable(path: &Path, error: &std::io::Error) -> Problem {
    Problem::new(Code::Import, format!("`{}` cannot be written: {error}", path.display()))
        .help("give this user the folder, or set XDG_CONFIG_HOME or XDG_STATE_HOME to another one")
}

fn alone(problem: Problem) -> Vec<Problem> {
    vec![problem]
}

const CONFIG: &str = "sekisho.toml";
/// The key set of the developer issuer, in the data folder.
const KEYS: &str = "dev-issuer/jwks.json";
const POLICY: &str = include_str!("../../../policies/home.cedar");

#[cfg(test)]
mod tests;
