//! The narrowest cage that a server works in, as far as its command and variables tell: the folders and hosts that they name, and what is
//! known of its package. A proposal: the user sees it, with the reasons, before anything is written.

mod command;

pub(crate) use command::check;

use std::path::{Component, Path, PathBuf};

use sekisho_egress::{BadHostRule, HostRule};
use sekisho_sandbox::{Plan, PlanError, Profile};
use serde::Deserialize;
use url::{Host, Url};

use super::clients::{self, Candidate};
use crate::home::{Cage, Machine};
use crate::problem::{Code, Problem};

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    File,
    Folder,
}

/// Looks a path up: what is there, and where it is behind all links.
pub(crate) type Look<'a> = &'a dyn Fn(&Path) -> Option<(Found, PathBuf)>;

/// A cage, and why it is as it is.
#[derive(Debug, Default)]
pub(crate) struct Proposal {
    pub(crate) cage: Cage,
    /// One line for each thing that is open, or that is not and may be missed.
    pub(crate) reasons: Vec<String>,
}

/// What is run, as the entry says it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run<'a> {
    pub(crate) command: &'a [String],
    /// Variables with the values that are known.
    pub(crate) env: &'a [(&'a str, Option<&'a str>)],
    pub(crate) cwd: Option<&'a str>,
}

/// What known servers need.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Known {
    #[serde(rename = "server")]
    servers: Vec<KnownServer>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct KnownServer {
    names: Vec<String>,
    profile: Option<String>,
    roots: Roots,
    beside: bool,
    hosts: Vec<String>,
    unless: Vec<String>,
    why: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Roots {
    #[default]
    Read,
    Write,
}

impl Known {
    /// The table of this program.
    ///
    /// # Errors
    /// It is broken, which a test sees first.
    pub(crate) fn shipped() -> Result<Known, Problem> {
        toml::from_str(include_str!("known.toml")).map_err(|error| {
            Problem::new(Code::System, format!("the table of known servers is broken: {}", error.message()))
        })
    }

    fn server(&self, package: &str) -> KnownServer {
        let is = |server: &&KnownServer| server.names.iter().any(|name| name == package);
        self.servers.iter().find(is).cloned().unwrap_or_default()
    }

    /// The narrowest cage for what is run.
    ///
    /// # Errors
    /// No cage holds it; what to do about it.
    pub(crate) fn narrowest(&self, run: Run<'_>, machine: &Machine, look: Look<'_>) -> Result<Proposal, String> {
        command::check(run.command)?;
        let package = command::package(run.command).unwrap_or_default();
        let known = self.server(&package);
        let folder = run.cwd.map(Path::new);
        let mut narrowing = Narrowing { machine, look, known, folder, proposal: Proposal::default() };
        narrowing.known(&package, run);
        narrowing.program(run.command);
        let roots = narrowing.known.roots;
        let of = |name: &str| if narrowing.known.names.is_empty() { command::roots(name) } else { roots };
        let mut texts: Vec<(&str, Roots, String)> = Vec::new();
        for (at, argument) in run.command.iter().enumerate().skip(1) {
            let option = match argument.split_once('=') {
                Some((option, _)) => option,
                None => at.checked_sub(1).and_then(|before| run.command.get(before)).map_or("", String::as_str),
            };
            let option = if option.starts_with('-') { option } else { "" };
            let origin = if option.is_empty() { format!("argument {at}") } else { format!("argument {at}, {option}") };
            texts.push((argument, of(option), origin));
        }
        for (name, value) in run.env {
            if let Some(value) = value.filter(|_| !["HOME", "PWD"].contains(name)) {
                texts.push((value, of(name), format!("variable {name}")));
            }
        }
        texts.extend(run.cwd.map(|cwd| (cwd, Roots::Read, "its working folder".to_owned())));
        for (text, roots, origin) in texts {
            narrowing.known.roots = roots;
            // The name of a package is none of a folder, and of variables few are.
            let is_led = if origin.starts_with("argument") { text != package } else { text.contains('/') };
            narrowing.folder = folder.filter(|_| is_led || matches!(text, "." | ".."));
            narrowing.text(text, &origin, run.command)?;
        }
        Ok(narrowing.tidied())
    }
}

struct Narrowing<'a> {
    machine: &'a Machine,
    look: Look<'a>,
    known: KnownServer,
    /// Where relative paths start, if that is known.
    folder: Option<&'a Path>,
    proposal: Proposal,
}

impl Narrowing<'_> {
    fn known(&mut self, package: &str, run: Run<'_>) {
        let known = self.known.clone();
        if known.names.is_empty() {
            return;
        }
        let is_elsewhere = run.env.iter().any(|(name, _)| known.unless.iter().any(|unless| unless == name));
        self.proposal.cage.profile.clone_from(&known.profile);
        if known.hosts.is_empty() || is_elsewhere {
            self.proposal.reasons.push(format!("{package}: {}", known.why));
        } else {
            self.proposal.reasons.push(format!("hosts {}: {}", known.hosts.join(", "), known.why));
            self.proposal.cage.hosts.extend(known.hosts);
        }
    }

    /// A program in a folder of the user's: what it is made of has to be there, where it is named and where a link leads to.
    fn program(&mut self, command: &[String]) {
        let Some(name) = command.first() else { return };
        let named = if name.contains('/') { self.path(name) } else { self.searched(name) };
        let Some(program) = named else { return };
        let Some((_, real)) = (self.look)(&program) else {
            return self.shut(&program, "which is not there", "the program");
        };
        for place in [program, real] {
            if !SYSTEM.iter().any(|folder| place.starts_with(folder)) {
                self.open(&self.made_of(&place), Roots::Read, "the program");
            }
        }
    }

    /// Where `$PATH` leads to.
    fn searched(&self, name: &str) -> Option<PathBuf> {
        let is_file = |path: &PathBuf| matches!((self.look)(path), Some((Found::File, _)));
        self.machine.programs().iter().map(|folder| folder.join(name)).find(is_file)
    }

    /// The folder with all that a program is made of (a virtual environment, what is installed beside it), or the program alone.
    fn made_of(&self, program: &Path) -> PathBuf {
        let folder = program.parent();
        let has = |folder: &Path, name: &str| (self.look)(&folder.join(name)).is_some();
        let is_prefix = |prefix: &&Path| {
            let is_bin = folder.is_some_and(|one| one.ends_with("bin"));
            (has(prefix, "pyvenv.cfg") || (has(prefix, "lib") && is_bin)) && self.guarded(prefix).is_none()
        };
        folder.and_then(Path::parent).filter(is_prefix).unwrap_or(program).to_owned()
    }

    /// A text of the command, a variable or the working folder: as a whole, or behind a `=`.
    fn text(&mut self, text: &str, origin: &str, command: &[String]) -> Result<(), String> {
        let behind = text.split_once('=').map(|(_, behind)| behind);
        for part in [Some(text), behind].into_iter().flatten() {
            if let Some(path) = self.path(part).or_else(|| self.relative(part)) {
                return self.named(&path, origin, command);
            }
            if part.contains("://") {
                self.address(part, origin);
                return Ok(());
            }
        }
        Ok(())
    }

    fn path(&self, text: &str) -> Option<PathBuf> {
        let text = text.strip_prefix("file://").unwrap_or(text);
        let path = match text.strip_prefix('~') {
            Some("") => self.machine.home().to_owned(),
            Some(rest) => self.machine.home().join(rest.strip_prefix('/')?),
            None if text.starts_with('/') => PathBuf::from(text),
            None => return None,
        };
        Some(plain(&path))
    }

    /// What is there under that name, from where the server runs. Most words are none.
    fn relative(&self, text: &str) -> Option<PathBuf> {
        let is_path = !text.is_empty() && !text.starts_with(['-', '@', '/', '~']) && !text.contains("://");
        let path = plain(&self.folder.filter(|_| is_path)?.join(text));
        let is_dotted = matches!(text, "." | "..") || text.starts_with("./") || text.starts_with("../");
        (is_dotted || (self.look)(&path).is_some()).then_some(path)
    }

    fn named(&mut self, path: &Path, origin: &str, command: &[String]) -> Result<(), String> {
        let roots = self.known.roots;
        let Some((found, _)) = (self.look)(path) else {
            let is_folder = |parent: &&Path| matches!((self.look)(parent), Some((Found::Folder, _)));
            let parent = path.parent().filter(|parent| self.known.beside && is_folder(parent));
            match parent {
                Some(parent) if self.guarded(parent).is_none() => self.open_around(parent, path, roots, origin),
                Some(_) | None => self.shut(path, "which is not there", origin),
            }
            return Ok(());
        };
        if let Some(why) = self.guarded(path) {
            if roots == Roots::Write && found == Found::Folder {
                let shown = self.machine.short(path);
                return Err(format!("it is given `{shown}`, {why}: name the folders that it is for, and do it again"));
            }
            self.shut(path, &why, origin);
            return Ok(());
        }
        let parent = path.parent().filter(|parent| self.guarded(parent).is_none());
        let open = match (found, parent) {
            (Found::File, Some(parent)) if self.known.beside => parent.to_owned(),
            (Found::File, _) if command::runs_script(command, path) => self.project(path),
            (Found::File | Found::Folder, _) => path.to_owned(),
        };
        self.open_around(&open, path, roots, origin);
        Ok(())
    }

    /// The folder with all that a script is made of.
    fn project(&self, script: &Path) -> PathBuf {
        let is_root = |folder: &&Path| {
            let has = |name: &&str| (self.look)(&folder.join(name)).is_some();
            ["package.json", "pyproject.toml", "node_modules", ".venv"].iter().any(has)
        };
        let above = script.ancestors().skip(1).take(ANCESTORS_MAX).take_while(|folder| self.guarded(folder).is_none());
        let above: Vec<&Path> = above.collect();
        let root = above.iter().copied().find(is_root).or(above.first().copied());
        root.unwrap_or(script).to_owned()
    }

    /// Why a path is never opened by a proposal, as it is written and as it is behind all links.
    fn guarded(&self, path: &Path) -> Option<String> {
        let real = |path: &Path| (self.look)(path).map_or_else(|| path.to_owned(), |(_, real)| real);
        let home = self.machine.home();
        let ours = self.kept(path, home).or_else(|| self.kept(&real(path), &real(home))).map(str::to_owned);
        // By its own name, too: what `/dev/stdin` leads to is another file at the next start.
        let judged = [path.to_owned(), real(path)].iter().try_for_each(|path| Plan::judge(path, Some(home)));
        ours.or_else(|| match judged {
            Ok(()) => None,
            Err(PlanError::TooBroad { what, .. }) => Some(format!("which is, or holds, {what}")),
            Err(PlanError::WayAround { what, .. }) => Some(what.to_owned()),
            Err(
                error @ (PlanError::Missing { .. }
                | PlanError::CannotHide { .. }
                | PlanError::NotText(_)
                | PlanError::TooMany),
            ) => Some(error.to_string()),
        })
    }

    /// Why a path is kept from every server: the home, the machine's own folders, and what profiles hide and this table adds.
    fn kept(&self, path: &Path, home: &Path) -> Option<&'static str> {
        if home.starts_with(path) {
            return Some("which is your whole home, or above it");
        }
        let touches = |place: &Path| path.starts_with(place) || place.starts_with(path);
        let of_home = |place: &str| Some(home.join(place.strip_prefix("~/")?));
        let hidden = Profile::all().iter().flat_map(|profile| &profile.hidden);
        let hidden = hidden.map(|place| of_home(&place.path).unwrap_or_else(|| PathBuf::from(&place.path)));
        if hidden.chain(SECRETS.iter().map(|place| home.join(place))).any(|place| touches(&place)) {
            return Some("where credentials lie, or what starts by itself");
        }
        // With what lies beside: rules, hooks, what was said.
        let is_clients = |file: &Candidate| {
            let folder = file.path.parent().filter(|folder| !home.starts_with(folder));
            let folder = folder.and_then(|folder| Some(home.join(folder.strip_prefix(self.machine.home()).ok()?)));
            folder.is_some_and(|folder| touches(&folder))
        };
        if clients::candidates(self.machine, None).iter().any(is_clients) {
            return Some("where a client keeps which programs it starts");
        }
        let is_shown = || {
            let shown = Profile::all().iter().take(1).flat_map(|base| &base.read);
            { shown }.any(|place| path.starts_with(&place.path))
        };
        (MACHINE.iter().any(|place| path.starts_with(place)) && !is_shown()).then_some("which is the machine's own")
    }

    fn open(&mut self, path: &Path, roots: Roots, origin: &str) {
        self.open_around(path, path, roots, origin);
    }

    /// Opens what `named` lies in.
    fn open_around(&mut self, path: &Path, named: &Path, roots: Roots, origin: &str) {
        let shown = self.machine.short(path);
        let origin = if path == named {
            format!(": {origin}")
        } else {
            format!(", the folder of {}", origin.strip_prefix("variable ").unwrap_or(origin))
        };
        let (verb, paths) = match roots {
            Roots::Read => ("reads", &mut self.proposal.cage.read),
            Roots::Write => ("writes", &mut self.proposal.cage.write),
        };
        if !paths.contains(&shown) {
            self.proposal.reasons.push(format!("{verb} {shown}{origin}"));
            paths.push(shown);
        }
    }

    fn shut(&mut self, path: &Path, why: &str, origin: &str) {
        let shown = self.machine.short(path);
        self.proposal.reasons.push(format!("not opened: {shown} ({origin}), {why}"));
    }

    fn address(&mut self, text: &str, origin: &str) {
        let Ok(url) = Url::parse(text) else { return };
        let Some(host) = url.host() else { return };
        let Some(port) = url.port_or_known_default() else {
            return self.proposal.reasons.push(format!("not opened: {host} ({origin}), the port is not told"));
        };
        let place = format!("{host}:{port}");
        // As `hosts` has it; of any bytes, nothing else is looked at.
        let rule = match url.scheme() {
            "https" | "wss" => place.clone(),
            "http" => format!("http://{place}"),
            _ => format!("tcp://{place}"),
        };
        let mut shut = |why: &str| self.proposal.reasons.push(format!("not opened: {place} ({origin}), {why}"));
        let private = format!("a private address; if it is meant to, add \"{rule}\" to `dangerous_private_hosts`");
        match rule.parse::<HostRule>() {
            Err(BadHostRule::Private) => shut(&private),
            Ok(_) if is_private(&host) => shut(&private),
            Err(error) => shut(&crate::problem::chain(&error)),
            Ok(_) if !matches!(url.scheme(), "http" | "https" | "wss") => shut(&format!(
                "the way out of a cage is a proxy, which few programs use for `{}`; if it does, add \"{rule}\" to `hosts`",
                url.scheme()
            )),
            Ok(_) if self.proposal.cage.hosts.contains(&rule) => {}
            Ok(_) => {
                self.proposal.reasons.push(format!("hosts {rule}: {origin}"));
                self.proposal.cage.hosts.push(rule);
            }
        }
    }

    /// What lies in something that is open already is not named again.
    fn tidied(mut self) -> Proposal {
        let cage = &mut self.proposal.cage;
        let within = |path: &str, folders: &[String]| {
            folders.iter().any(|folder| folder != path && Path::new(path).starts_with(folder))
        };
        let (read, write) = (cage.read.clone(), cage.write.clone());
        cage.write.retain(|path| !within(path, &write));
        cage.read.retain(|path| !within(path, &read) && !within(path, &write) && !write.contains(path));
        if self.proposal.reasons.is_empty() {
            self.proposal.reasons.push("no folder of yours, no host".to_owned());
        }
        self.proposal
    }
}

/// Without `.` and `..`: what is proposed is what is shown.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(part),
        }
    }
    plain
}

/// Names that commonly lead to private addresses. Which of those written out are, the rules of the way out know.
fn is_private(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            !name.contains('.') || [".local", ".internal", ".lan"].iter().any(|end| name.ends_with(end))
        }
        Host::Ipv4(_) | Host::Ipv6(_) => false,
    }
}

/// Below the home, beside what profiles hide: more credentials, and what runs by itself at the next login or command.
const SECRETS: [&str; 27] = [
    ".bash_aliases",
    ".bash_login",
    ".bash_logout",
    ".bash_profile",
    ".bashrc",
    ".cargo/credentials.toml",
    ".config/autostart",
    ".config/environment.d",
    ".config/fish",
    ".config/git",
    ".config/systemd",
    ".gitconfig",
    ".kshrc",
    ".local/share/applications",
    ".pam_environment",
    ".pgpass",
    ".profile",
    ".vault-token",
    ".vscode",
    ".xinitrc",
    ".xprofile",
    ".xsessionrc",
    ".zlogin",
    ".zlogout",
    ".zprofile",
    ".zshenv",
    ".zshrc",
];
/// No server has business with what the machine keeps here, but for what every server sees.
const MACHINE: [&str; 7] = ["/boot", "/dev", "/etc", "/proc", "/run", "/sys", "/var/run"];
const SYSTEM: [&str; 6] = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/snap"];
const ANCESTORS_MAX: usize = 6;

#[cfg(test)]
mod tests;
