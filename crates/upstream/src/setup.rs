//! From a server's configuration to the way to it: its address proved, its secrets resolved, its bounds read.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use sekisho_audit::Digest;
use sekisho_catalog::{EnvValue, EraChoice, Server, ServerConfig, Transport};
use sekisho_egress::{BadDestination, BadGateRules, Client, Gate, GateRules};
use sekisho_keys::{Purpose, ResolveError, SecretRef};
use sekisho_sandbox::{Launcher, PlanError, Tier};
use sekisho_wire::{Era, ServerId, Sheets};

use crate::config::{Config, ConfigError};
use crate::excess::Excess;
use crate::launch::{Launch, find, safe_path, search_path};
use crate::link::{Stdio, Way};
use crate::notes::Notes;
use crate::probe::Eras;
use crate::program::{Blueprint, Confinement, INHERITED, Program};
use crate::streamable::Site;
use crate::tasks::Tasks;

/// Where secret references are resolved.
pub struct Secrets<'a> {
    /// The folder that `file:` and `sealed:` references, relative programs and relative working folders start from.
    pub base: &'a Path,
    /// The environment that `env:` references, the place of the key of `sealed:` ones and the few variables a process inherits are
    /// read from.
    pub env: &'a dyn Fn(&str) -> Option<OsString>,
    /// How programs are confined.
    pub cages: Cages<'a>,
}

/// How programs are confined.
pub struct Cages<'a> {
    /// What the machine can do.
    pub tier: Tier,
    /// The program that builds the cages.
    pub launcher: &'a Launcher,
    /// Where the homes of servers are, a folder each.
    pub homes: &'a Path,
    /// What no server sees: what this program keeps for itself.
    pub hidden: &'a [PathBuf],
    /// Ports of this program on this machine, which no server reaches.
    pub own_ports: &'a [u16],
}

/// Why a server cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A number of `[upstream]` is outside its range.
    #[error("the configuration of the connections is refused")]
    Config(#[source] ConfigError),
    /// One of its secrets leads nowhere.
    #[error("secret `{name}` of server `{server}` cannot be resolved")]
    Secret {
        /// Which server.
        server: ServerId,
        /// The header or environment variable that it is for.
        name: String,
        /// Why not.
        #[source]
        source: ResolveError,
    },
    /// The machine cannot confine it as well as it has to be.
    #[error("server `{server}` has to be confined with tier `{wanted}`, and this machine has tier `{found}`")]
    Tier {
        /// Which server.
        server: ServerId,
        /// What its configuration asks for.
        wanted: Tier,
        /// What is to be had.
        found: Tier,
    },
    /// What it is granted cannot be.
    #[error("the sandbox of server `{server}` cannot be planned")]
    Plan {
        /// Which server.
        server: ServerId,
        /// Why not.
        #[source]
        source: PlanError,
    },
    /// The user has no home folder, so that nothing in it could be kept from a server.
    #[error("server `{server}` cannot be confined, for this user has no home folder; set HOME to one")]
    NoHome {
        /// Which server.
        server: ServerId,
    },
    /// What it may reach is refused.
    #[error("the hosts that server `{server}` may reach are refused")]
    Gate {
        /// Which server.
        server: ServerId,
        /// Why.
        #[source]
        source: BadGateRules,
    },
    /// What it may reach can only be held to where it is confined fully.
    #[error("server `{server}` may reach hosts, which needs tier `full`, and this machine has tier `{found}`")]
    NoNetwork {
        /// Which server.
        server: ServerId,
        /// What is to be had.
        found: Tier,
    },
    /// One of its headers cannot be sent as it is: a name or value that HTTP does not permit.
    #[error("header `{name}` of server `{server}` cannot be sent")]
    Header {
        /// Which server.
        server: ServerId,
        /// The header.
        name: String,
    },
    /// Nothing may be sent to its address.
    #[error("the address of server `{server}` is refused")]
    Destination {
        /// Which server.
        server: ServerId,
        /// Why not.
        #[source]
        source: BadDestination,
    },
}

/// A server, ready to be reached.
pub(crate) struct Setup {
    pub(crate) way: Way,
    pub(crate) eras: Eras,
    pub(crate) bounds: Bounds,
    pub(crate) tasks: Tasks,
    /// The pages of its lists.
    pub(crate) sheets: Arc<Sheets>,
    config: ServerConfig,
    /// Of its secrets: one that was changed makes it another server.
    secrets: Digest,
}

/// How many, how long.
pub(crate) struct Bounds {
    pub(crate) timeout: Duration,
    pub(crate) idle: Duration,
    pub(crate) connections_max: usize,
    pub(crate) per_principal_max: usize,
}

/// What all servers share.
pub(crate) struct Common<'a> {
    pub(crate) config: &'a Arc<Config>,
    pub(crate) egress: &'a Arc<Client>,
    pub(crate) tasks: &'a Tasks,
}

impl Setup {
    /// # Errors
    /// See [`StartError`].
    pub(crate) fn of(
        server: &Server,
        common: &Common<'_>,
        notes: &Arc<Notes>,
        secrets: &Secrets<'_>,
    ) -> Result<Setup, StartError> {
        let config = server.config();
        let mut print = Print::default();
        let sheets = Arc::<Sheets>::default();
        let way = match server.transport() {
            Transport::Http { url } => {
                let refused = |source| StartError::Destination { server: server.id().clone(), source };
                Way::Http(Arc::new(Site {
                    client: common.egress.clone(),
                    to: common.egress.destination(url).map_err(refused)?,
                    headers: headers(server, secrets, &mut print)?,
                    config: common.config.clone(),
                    notes: notes.clone(),
                    tasks: common.tasks.clone(),
                    ids: AtomicU64::new(1),
                    sheets: sheets.clone(),
                }))
            }
            Transport::Stdio { command } => Way::Stdio(Stdio {
                program: program(server, command, secrets, notes, &mut print)?,
                config: common.config.clone(),
                notes: notes.clone(),
                tasks: common.tasks.clone(),
            }),
        };
        let bounds = Bounds {
            timeout: config.timeout(),
            idle: config.idle(),
            connections_max: count(config.connections_max),
            per_principal_max: count(config.per_principal_max),
        };
        let eras = match config.era {
            EraChoice::Auto => Eras::Both,
            EraChoice::Legacy => Eras::Only(Era::Legacy),
            EraChoice::Modern => Eras::Only(Era::Modern),
        };
        let (tasks, config, secrets) = (common.tasks.clone(), config.clone(), print.digest());
        Ok(Setup { way, eras, bounds, tasks, sheets, config, secrets })
    }

    /// Whether it is the very same server.
    pub(crate) fn is_same(&self, other: &Setup) -> bool {
        self.config == other.config && self.secrets == other.secrets && self.way.is_same_program(&other.way)
    }
}

fn headers(server: &Server, secrets: &Secrets<'_>, print: &mut Print) -> Result<HeaderMap, StartError> {
    let mut headers = HeaderMap::new();
    for (name, reference) in &server.config().headers {
        let secret = resolve(server, name, reference, secrets, print)?;
        let unsendable = || StartError::Header { server: server.id().clone(), name: name.clone() };
        let field = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unsendable())?;
        let mut value = HeaderValue::from_str(secret.expose_secret()).map_err(|_| unsendable())?;
        value.set_sensitive(true);
        headers.insert(field, value);
    }
    Ok(headers)
}

fn program(
    server: &Server,
    command: &[String],
    secrets: &Secrets<'_>,
    notes: &Arc<Notes>,
    print: &mut Print,
) -> Result<Program, StartError> {
    let config = server.config();
    let arguments = command.split_first().map_or(command, |(_, rest)| rest);
    let inherit = |name: &'static str| {
        let value = (secrets.env)(name)?;
        Some((name, if name == "PATH" { safe_path(&value) } else { value }))
    };
    let mut configured = Vec::new();
    for (name, value) in &config.env {
        let value = match value {
            EnvValue::Literal(text) => SecretString::from(text.as_ref()),
            EnvValue::Secret(reference) => resolve(server, name, reference, secrets, print)?,
        };
        configured.push((name.clone(), value));
    }
    let search = search_path(config, secrets.env);
    let confinement = confinement(server, command, search.as_deref(), secrets, notes)?;
    Ok(Program {
        launch: Box::new(Launch::new(secrets.base, config, search)),
        confinement,
        arguments: arguments.iter().map(OsString::from).collect(),
        inherited: INHERITED.into_iter().filter_map(inherit).collect(),
        configured,
        folder: config.cwd.as_ref().map(|folder| secrets.base.join(folder)),
    })
}

fn confinement(
    server: &Server,
    command: &[String],
    search: Option<&OsStr>,
    secrets: &Secrets<'_>,
    notes: &Arc<Notes>,
) -> Result<Confinement, StartError> {
    let (config, id) = (server.config(), || server.id().clone());
    let sandbox = &config.sandbox;
    if sandbox.dangerous_unconfined {
        return Ok(Confinement::None);
    }
    if secrets.cages.tier < sandbox.tier_min {
        return Err(StartError::Tier { server: id(), wanted: sandbox.tier_min, found: secrets.cages.tier });
    }
    if sandbox.has_way_out() && secrets.cages.tier < Tier::Full {
        return Err(StartError::NoNetwork { server: id(), found: secrets.cages.tier });
    }
    let gate = gate(sandbox, secrets.cages.own_ports, notes);
    let own_home = secrets.cages.homes.join(server.id().as_str());
    let blueprint = Blueprint {
        gate: gate.map_err(|source| StartError::Gate { server: id(), source })?,
        sandbox: sandbox.clone(),
        command: command.to_vec(),
        folder: config.cwd.as_ref().map(|folder| secrets.base.join(folder)),
        base: secrets.base.to_owned(),
        home: Some(home(secrets.env).ok_or_else(|| StartError::NoHome { server: id() })?),
        search: search.map(safe_path).and_then(|path| path.into_string().ok()),
        excess: Excess::new(own_home.clone(), sandbox),
        own_home,
        hidden: secrets.cages.hidden.to_vec(),
        tier: secrets.cages.tier,
        launcher: secrets.cages.launcher.clone(),
    };
    // What is granted is looked at before anything runs. A program that is not there yet is a server that is down.
    let named = command.first().map_or("", String::as_str);
    if let Ok(program) = find(secrets.base, named, search)
        && program.is_file()
    {
        blueprint.plan(&program).map_err(|source| StartError::Plan { server: id(), source })?;
    }
    Ok(Confinement::Cage(Box::new(blueprint)))
}

/// The user's home: without it nothing in it could be kept from a server.
fn home(env: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let known = || nix::unistd::User::from_uid(nix::unistd::Uid::effective()).ok().flatten().map(|user| user.dir);
    let is_one = |home: &PathBuf| home.is_absolute() && *home != Path::new("/");
    env("HOME").map(PathBuf::from).filter(is_one).or_else(|| known().filter(is_one))
}

/// The way out of a server's cages, if it has one.
fn gate(
    sandbox: &sekisho_sandbox::Config,
    own_ports: &[u16],
    notes: &Arc<Notes>,
) -> Result<Option<Arc<Gate>>, BadGateRules> {
    if !sandbox.has_way_out() {
        return Ok(None);
    }
    let rules = GateRules {
        hosts: sandbox.hosts.clone(),
        private_hosts: sandbox.dangerous_private_hosts.clone(),
        budgets: sandbox.network.clone(),
        own_ports: own_ports.to_vec(),
    };
    let notes = notes.clone();
    let report = move |passage| {
        let notes = notes.clone();
        async move { notes.passage(&passage).await }
    };
    Gate::new(rules, report).map(Arc::new).map(Some)
}

fn resolve(
    server: &Server,
    name: &str,
    reference: &SecretRef,
    secrets: &Secrets<'_>,
    print: &mut Print,
) -> Result<SecretString, StartError> {
    let purpose = Purpose::Server { server: server.id().as_str(), name };
    let secret = reference.resolve(purpose, secrets.base, secrets.env).map_err(|source| StartError::Secret {
        server: server.id().clone(),
        name: name.to_owned(),
        source,
    })?;
    print.add(&secret);
    Ok(secret)
}

fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The digests of a server's secrets.
#[derive(Default)]
struct Print(Vec<u8>);

impl Print {
    fn add(&mut self, secret: &SecretString) {
        self.0.extend_from_slice(Digest::of(secret.expose_secret().as_bytes()).bytes());
    }

    fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}
