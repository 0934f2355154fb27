//! What an import would do: which servers come into the home configuration, and what becomes of each client's file. Nothing is written.

mod made_of;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use sekisho_sandbox::Tier;
use sekisho_wire::ServerId;

use made_of::MadeOf;

use super::clients::{Candidate, candidates};
use super::edit::{Change, Turn, rewrite};
use super::entry::{self, Entry, Local, Remote, Variable};
use super::narrow::{Found, Known, Proposal, Run};
use super::sight::{self, Sight};
use super::source::{self, Source};
use super::tree::{Node, Value};
use crate::home::{Home, Machine, NewServer, Server};
use crate::problem::{Code, Problem};

/// What is looked at.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// Only these clients; all if empty.
    pub(crate) clients: Vec<String>,
    /// Only these entries; all if empty.
    pub(crate) servers: Vec<String>,
    /// Whether entries that name an address are imported too.
    pub(crate) remote: RemoteEntries,
    /// The folder whose files of a project are looked at.
    pub(crate) project: Option<PathBuf>,
    /// How well this machine confines servers.
    pub(crate) tier: Tier,
}

/// What becomes of entries that name an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RemoteEntries {
    /// They stay as they are.
    Left,
    /// They are pointed at this program.
    Imported,
}

/// Where things are.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub(crate) machine: Machine,
    pub(crate) home: Home,
    /// The path of this program.
    pub(crate) program: String,
}

/// What an import would do.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) files: Vec<FilePlan>,
    pub(crate) servers: Vec<ServerPlan>,
    /// Files that are not touched, and why.
    pub(crate) problems: Vec<Problem>,
}

/// A client's file.
pub(crate) struct FilePlan {
    pub(crate) candidate: Candidate,
    pub(crate) source: Source,
    pub(crate) entries: Vec<EntryPlan>,
    /// What it would say.
    pub(crate) after: Option<String>,
}

/// An entry of a client's file.
#[derive(Debug)]
pub(crate) struct EntryPlan {
    pub(crate) place: Vec<String>,
    pub(crate) key: String,
    pub(crate) fate: Fate,
}

/// What becomes of an entry.
#[derive(Debug)]
pub(crate) enum Fate {
    /// It runs this server of the plan.
    Import { server: usize, change: Change },
    /// This program runs it already.
    Protected,
    /// It names an address.
    Remote(String),
    /// It is left alone.
    Skipped(String),
    /// It cannot be run in a cage as it is.
    Refused(String),
}

/// A server of the home configuration.
#[derive(Debug)]
pub(crate) struct ServerPlan {
    /// As it is written down.
    pub(crate) new: NewServer,
    /// Whether it is there already.
    pub(crate) is_there: bool,
    /// What is kept apart from the configuration, by the name of its variable or header.
    pub(crate) secrets: Vec<(String, SecretString)>,
    /// Why the cage is as it is, and what else is worth knowing.
    pub(crate) reasons: Vec<String>,
    /// What it will see. Of one that is there or is no program nothing is said.
    pub(crate) sight: Option<Sight>,
    /// Which entries run it.
    pub(crate) origins: Vec<String>,
    /// What it was made of.
    made_of: MadeOf,
}

/// Looks at every file, and says what would be done.
///
/// # Errors
/// The home configuration cannot be read.
pub(crate) fn plan(wanted: &Wanted, around: &Surroundings) -> Result<Plan, Vec<Problem>> {
    let alone = |problem| vec![problem];
    let known = Known::shipped().map_err(alone)?;
    let there = around.home.servers().map_err(alone)?;
    let mut planner = Planner { wanted, around, known, there, plan: Plan::default() };
    for candidate in candidates(&around.machine, wanted.project.as_deref()) {
        if wanted.clients.is_empty() || wanted.clients.iter().any(|id| id == candidate.client.id) {
            planner.file(candidate);
        }
    }
    Ok(planner.plan)
}

struct Planner<'a> {
    wanted: &'a Wanted,
    around: &'a Surroundings,
    known: Known,
    there: BTreeMap<String, Server>,
    plan: Plan,
}

impl Planner<'_> {
    fn file(&mut self, candidate: Candidate) {
        let source = match source::read(&candidate.path, &candidate.root) {
            Ok(Some(source)) => source,
            Ok(None) => return,
            Err(why) => return self.untouched(&candidate, &why),
        };
        // In the home folder, a file of a project may be one of the user's.
        if self.plan.files.iter().any(|file| file.source.target == source.target) || source.text.trim().is_empty() {
            return;
        }
        let tree = match source::parse(candidate.format, &source.text) {
            Ok(tree) => tree,
            Err(why) => return self.untouched(&candidate, &why),
        };
        let mut entries = Vec::new();
        for (place, servers) in places(&tree, candidate.servers) {
            for (key, node) in servers {
                let is_meant = |wanted: &String| *wanted == key || *wanted == slug(&key);
                if self.wanted.servers.is_empty() || self.wanted.servers.iter().any(is_meant) {
                    let fate = self.entry(&candidate, &place, &key, node);
                    entries.push(EntryPlan { place: place.clone(), key, fate });
                }
            }
        }
        let changes: Vec<Change> = entries.iter().filter_map(EntryPlan::change).cloned().collect();
        let after = if changes.is_empty() {
            None
        } else {
            match rewrite(candidate.format, &source.text, candidate.client, &changes) {
                Ok(after) => Some(after),
                Err(why) => {
                    self.forget(&changes);
                    return self.untouched(&candidate, &why);
                }
            }
        };
        self.plan.files.push(FilePlan { candidate, source, entries, after });
    }

    fn untouched(&mut self, candidate: &Candidate, why: &str) {
        let words = format!("{}: `{}` is left alone: {why}", candidate.client.name, candidate.path.display());
        let problem = Problem::new(Code::ClientFile, words);
        self.plan.problems.push(problem.help("mend it and do it again; the other files are not affected"));
    }

    /// A file that cannot be changed brings no servers.
    fn forget(&mut self, changes: &[Change]) {
        let names: Vec<&str> = changes.iter().filter_map(Change::server).collect();
        let is_used = |name: &str| {
            self.plan
                .files
                .iter()
                .flat_map(|file| &file.entries)
                .filter_map(EntryPlan::change)
                .any(|change| change.server() == Some(name))
        };
        let gone: Vec<String> = names.iter().filter(|name| !is_used(name)).map(|name| (*name).to_owned()).collect();
        for server in &mut self.plan.servers {
            if gone.iter().any(|name| name == server.new.name.as_str()) {
                // Left in its place, since others are named by theirs; nothing of it is written.
                server.origins.clear();
            }
        }
    }

    fn entry(&mut self, candidate: &Candidate, place: &[String], key: &str, node: &Node) -> Fate {
        let own = &self.around.program;
        let is_ours = |program: &str| program == own || super::is_this(program);
        match entry::read(candidate.client, node, &is_ours) {
            Entry::Protected(_) => Fate::Protected,
            Entry::Skipped(why) => Fate::Skipped(why),
            Entry::Refused(why) => Fate::Refused(why),
            Entry::Local(local) => match self.local(candidate, place, key, local) {
                Ok((server, turn)) => {
                    Fate::Import { server, change: Change { place: place.to_vec(), key: key.to_owned(), turn } }
                }
                Err(why) => Fate::Refused(why),
            },
            Entry::Remote(remote) => self.remote(candidate, place, key, remote),
        }
    }

    fn local(
        &mut self,
        candidate: &Candidate,
        place: &[String],
        key: &str,
        local: Local,
    ) -> Result<(usize, Turn), String> {
        if local.command.first().is_some_and(|program| program.contains('/') && !program.starts_with('/')) {
            return Err(
                "its program is named from a folder that only its client knows: write its whole path".to_owned()
            );
        }
        let cwd = folder(candidate, place, &local, self.around.machine.home())?;
        let kept: Vec<String> = local
            .env
            .iter()
            .filter(|(_, value)| matches!(value, Variable::FromClient))
            .map(|(name, _)| name.clone())
            .collect();
        let (command, timeout_seconds) = (local.command.clone(), local.timeout_seconds);
        let made_of = MadeOf { command: local.command, url: None, cwd, values: local.env };
        let server = self.server(candidate, key, made_of, timeout_seconds)?;
        let name = self.name_of(server);
        let mut front = vec!["run".to_owned()];
        if !self.around.machine.is_usual() {
            // Clients hand over few variables, and XDG_CONFIG_HOME is none of them.
            front.extend(["--config".to_owned(), self.around.home.path().display().to_string()]);
        }
        front.extend(["--server".to_owned(), name, "--".to_owned()]);
        front.extend(command.first().cloned());
        Ok((server, Turn::Wrap { program: self.around.program.clone(), front, kept }))
    }

    fn remote(&mut self, candidate: &Candidate, place: &[String], key: &str, remote: Remote) -> Fate {
        if self.wanted.remote == RemoteEntries::Left {
            return Fate::Remote(
                "it names an address, which no cage covers; `--remote` points it at Sekisho".to_owned(),
            );
        }
        if let Some(obstacle) = remote.obstacle {
            return Fate::Remote(obstacle);
        }
        let values = remote.headers.into_iter().map(|(name, value)| (name, Variable::Written(value))).collect();
        let made_of = MadeOf { command: Vec::new(), url: Some(remote.url), cwd: None, values };
        match self.server(candidate, key, made_of, None) {
            Ok(server) => {
                let config = self.around.home.path().display().to_string();
                let args = ["stdio", "--config", &config, "--server", &self.name_of(server)].map(str::to_owned);
                let turn = Turn::Point { program: self.around.program.clone(), args: args.to_vec() };
                Fate::Import { server, change: Change { place: place.to_vec(), key: key.to_owned(), turn } }
            }
            Err(why) => Fate::Refused(why),
        }
    }

    fn name_of(&self, server: usize) -> String {
        self.plan.servers.get(server).map(|server| server.new.name.to_string()).unwrap_or_default()
    }

    /// The server of the plan that runs the same: one that is there, or a new one.
    fn server(
        &mut self,
        candidate: &Candidate,
        key: &str,
        made_of: MadeOf,
        timeout: Option<u32>,
    ) -> Result<usize, String> {
        let origin = format!("{} (`{key}`)", candidate.client.name);
        if let Some(at) = self.plan.servers.iter().position(|server| server.made_of.is(&made_of)) {
            if let Some(server) = self.plan.servers.get_mut(at) {
                server.origins.push(origin);
            }
            return Ok(at);
        }
        let proposal = self.proposal(&made_of)?;
        let same = self.there.iter().find(|(name, server)| made_of.is_there(name, server, &self.around.home));
        let same = same.and_then(|(name, _)| ServerId::parse(name).ok());
        let is_there = same.is_some();
        let name = match same {
            Some(name) => name,
            None => self.free_name(key)?,
        };
        let mut reasons = proposal.reasons;
        let (server, secrets) = made_of.written(&name, &mut reasons);
        let new = NewServer { name, server, cage: proposal.cage, timeout_seconds: timeout, origin: String::new() };
        new.check()?;
        let sight = if is_there { None } else { sight::of(&new, self.around, self.wanted.tier)? };
        self.plan.servers.push(ServerPlan { new, is_there, secrets, reasons, sight, origins: vec![origin], made_of });
        Ok(self.plan.servers.len().saturating_sub(1))
    }

    fn proposal(&self, made_of: &MadeOf) -> Result<Proposal, String> {
        if made_of.command.is_empty() {
            return Ok(Proposal::default());
        }
        let env: Vec<(&str, Option<&str>)> =
            made_of.values.iter().map(|(name, value)| (name.as_str(), value.text())).collect();
        let cwd = made_of.cwd.as_ref().and_then(|cwd| cwd.to_str());
        self.known.narrowest(Run { command: &made_of.command, env: &env, cwd }, &self.around.machine, &look)
    }

    /// The key in lower case, with what no name may hold left out, and a number where it is taken.
    fn free_name(&self, key: &str) -> Result<ServerId, String> {
        let slug = slug(key);
        let is_taken = |name: &str| {
            self.there.contains_key(name) || self.plan.servers.iter().any(|server| server.new.name.as_str() == name)
        };
        for number in 1..=NAMES_MAX {
            let end = if number == 1 { String::new() } else { format!("-{number}") };
            let room = ServerId::CHARS_MAX.saturating_sub(end.len());
            let start: String = slug.chars().take(room).collect();
            let name = format!("{}{end}", start.trim_end_matches('-'));
            if !is_taken(&name) {
                return ServerId::parse(&name).map_err(|error| error.to_string());
            }
        }
        Err(format!("{NAMES_MAX} servers are called `{slug}` already"))
    }
}

impl EntryPlan {
    /// What is changed in the file for it.
    pub(crate) fn change(&self) -> Option<&Change> {
        match &self.fate {
            Fate::Import { change, .. } => Some(change),
            Fate::Protected | Fate::Remote(_) | Fate::Skipped(_) | Fate::Refused(_) => None,
        }
    }
}

impl Change {
    /// The server that the entry runs afterwards.
    pub(crate) fn server(&self) -> Option<&str> {
        let after = match &self.turn {
            Turn::Wrap { front, .. } => front,
            Turn::Point { args, .. } => args,
        };
        after.iter().skip_while(|text| *text != "--server").nth(1).map(String::as_str)
    }
}

/// Where the server runs: what its entry says, from the project that the entry is for; or else in that project, where its client starts it.
fn folder(candidate: &Candidate, place: &[String], local: &Local, home: &Path) -> Result<Option<PathBuf>, String> {
    let named = place.iter().map(Path::new).find(|key| key.is_absolute() && key.is_dir());
    let project = if candidate.is_project { Some(candidate.root.as_path()) } else { named };
    let Some(cwd) = &local.cwd else { return Ok(project.map(Path::to_owned)) };
    let cwd = match cwd.strip_prefix("~/") {
        Some(rest) if !candidate.is_project => home.join(rest),
        Some(_) | None => PathBuf::from(cwd),
    };
    match project {
        _ if cwd.is_absolute() => Ok(Some(cwd)),
        Some(project) => Ok(Some(project.join(cwd))),
        None => Err("its working folder is relative to where the client runs: write it whole".to_owned()),
    }
}

fn look(path: &Path) -> Option<(Found, PathBuf)> {
    let real = path.canonicalize().ok()?;
    let found = if real.is_dir() { Found::Folder } else { Found::File };
    Some((found, real))
}

/// The maps and lists of servers that a file has, each with its entries. `*` stands for every key.
pub(crate) fn places<'a>(tree: &'a Node, all: &[&[&str]]) -> Vec<(Vec<String>, Named<'a>)> {
    let mut places: Vec<(Vec<String>, &Node)> = Vec::new();
    for keys in all {
        let mut open: Vec<(Vec<String>, &Node)> = vec![(Vec::new(), tree)];
        for key in *keys {
            let mut next = Vec::new();
            for (path, node) in open {
                for member in node.members().iter().filter(|member| *key == "*" || member.key == *key) {
                    let mut path = path.clone();
                    path.push(member.key.clone());
                    next.push((path, &member.node));
                }
            }
            open = next;
        }
        places.extend(open);
    }
    let is_place = |path: &[String], key: &str| {
        places.iter().any(|(place, _)| place.split_last().is_some_and(|(last, rest)| last == key && rest == path))
    };
    let entries = |(path, node): &(Vec<String>, &'a Node)| {
        let entries = named(node).into_iter().filter(|(key, _)| !is_place(path, key));
        (path.clone(), entries.collect())
    };
    places.iter().map(entries).collect()
}

/// Entries by their keys.
pub(crate) type Named<'a> = Vec<(String, &'a Node)>;

/// Entries by their keys: members of a map, or elements of a list by their `name`. What stands twice cannot be told apart.
fn named(servers: &Node) -> Named<'_> {
    match &servers.value {
        Value::Map(members) => members.iter().map(|member| (member.key.clone(), &member.node)).collect(),
        Value::List(elements) => {
            let name = |element: &Node| element.get("name").and_then(Node::as_text).map(str::to_owned);
            let named: Named<'_> = elements.iter().filter_map(|node| Some((name(node)?, node))).collect();
            let count = |key: &str| named.iter().filter(|(known, _)| known == key).count();
            named.iter().filter(|(key, _)| count(key) == 1).cloned().collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Odd(_) => Vec::new(),
    }
}

/// The letters, digits and dashes of a key.
fn slug(key: &str) -> String {
    let mut slug = String::new();
    for c in key.to_lowercase().chars() {
        let c = if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
        if c != '-' || !(slug.is_empty() || slug.ends_with('-')) {
            slug.push(c);
        }
    }
    let slug: String = slug.chars().take(ServerId::CHARS_MAX).collect();
    let slug = slug.trim_matches('-');
    if slug.is_empty() { "server".to_owned() } else { slug.to_owned() }
}

/// LIMIT: servers whose names begin alike.
const NAMES_MAX: u32 = 200;
