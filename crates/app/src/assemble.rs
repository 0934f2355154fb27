//! From `sekisho.toml` to the parts of a gateway: every room checks its own section, and all that is wrong is said at once.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use sekisho_audit::{Audit, Digest};
use sekisho_broker::Broker;
use sekisho_catalog::{Catalog, EnvValue, Server, ServerConfig};
use sekisho_egress::Client;
use sekisho_gateway::{Instruments, Parts, StartError, TlsError};
use sekisho_guard::Guard;
use sekisho_identity::{Identity, Revocations};
use sekisho_keys::{Purpose, ResolveError, SealingKey, SecretRef};
use sekisho_limits::Limits;
use sekisho_policy::{LoadError, Policy};
use sekisho_sandbox::{Launcher, Machine};
use sekisho_upstream::{Cages, Probing, Secrets, Upstream};

use crate::config::Loaded;
use crate::export::{Sender, SenderError};
use crate::pins;
use crate::problem::{Code, Place, Problem};

/// The rooms that a configuration makes, ready to be used together. Nothing was started or written for them.
pub(crate) struct Rooms {
    identity: Arc<Identity>,
    catalog: Arc<Catalog>,
    limits: Arc<Limits>,
    guard: Arc<Guard>,
    policy: Arc<Policy>,
    policy_digest: Digest,
}

/// What lasts from start to stop, whatever is reloaded.
pub(crate) struct Standing {
    /// The log.
    pub(crate) audit: Arc<Audit>,
    /// The way out.
    pub(crate) egress: Arc<Client>,
    /// The servers.
    pub(crate) upstream: Arc<Upstream>,
    /// What is measured.
    pub(crate) instruments: Arc<Instruments>,
    /// The OAuth facade, if there is one.
    pub(crate) broker: Option<Arc<Broker>>,
}

/// The way out.
///
/// # Errors
/// Its certificate authorities cannot be read.
pub(crate) fn egress(loaded: &Loaded) -> Result<Arc<Client>, Problem> {
    let client = Client::new(&loaded.config.egress, &loaded.base);
    client
        .map(Arc::new)
        .map_err(|error| Problem::of(Code::Certificates, &error).at(loaded.document.place_of(&["egress", "ca_file"])))
}

/// The way to the collector; none if none is configured.
///
/// # Errors
/// All that is wrong with `[telemetry]`.
pub(crate) fn sender(loaded: &Loaded, egress: &Arc<Client>) -> Result<Option<Sender>, Vec<Problem>> {
    let config = &loaded.config.telemetry;
    let place = |key: &str| loaded.document.place_of(&["telemetry", key]);
    let mut problems: Vec<Problem> =
        config.problems().iter().map(|(key, error)| Problem::of(Code::BadValue, error).at(place(key))).collect();
    let sender = Sender::new(config, egress, |name, reference| {
        reference.resolve(Purpose::Collector { name }, &loaded.base, &variable)
    });
    match sender {
        Ok(sender) if problems.is_empty() => return Ok(sender),
        Ok(_) => {}
        Err(error) => problems.push(refused_sender(loaded, &error)),
    }
    Err(problems)
}

/// Makes the rooms for a start: certificates that are out of date stop it. A reload they do not stop, or no policy could be
/// changed while the new certificate is on its way.
///
/// # Errors
/// All that is wrong.
pub(crate) fn at_start(
    loaded: &Loaded,
    egress: &Arc<Client>,
    revocations: &Arc<Revocations>,
    now: SystemTime,
) -> Result<Rooms, Vec<Problem>> {
    let config = &loaded.config.gateway;
    let outdated = config.tls.iter().flat_map(|tls| tls.out_of_date(&loaded.base, now));
    let mut problems: Vec<Problem> = outdated.map(|error| refused_certificate(loaded, &error)).collect();
    match rooms(loaded, egress, revocations, None) {
        Ok(rooms) if problems.is_empty() => Ok(rooms),
        Ok(_) => Err(problems),
        Err(more) => {
            problems.extend(more);
            Err(problems)
        }
    }
}

/// Makes the rooms; what clients are owed (sessions, counts, definitions) is kept from `old`.
///
/// # Errors
/// All that is wrong.
pub(crate) fn rooms(
    loaded: &Loaded,
    egress: &Arc<Client>,
    revocations: &Arc<Revocations>,
    old: Option<&Rooms>,
) -> Result<Rooms, Vec<Problem>> {
    let config = &loaded.config;
    let mut problems = Vec::new();
    if let Err(error) = config.gateway.check() {
        problems.push(refused_gateway(loaded, &StartError::Config(error), ""));
    }
    if let Err(error) = config.admin.check() {
        problems.push(at(loaded, Code::BadValue, &error, &["admin"]));
    }
    let certificates = config.gateway.tls.iter().flat_map(|tls| tls.problems(&loaded.base));
    problems.extend(certificates.map(|error| refused_certificate(loaded, &error)));
    let catalog = catalog(loaded, old, &mut problems);
    problems.extend(secrets(loaded));
    problems.extend(crate::broker::problems(loaded));
    problems.extend(grants_of_ours(loaded));
    let asks = config.gateway.tls.as_ref().is_some_and(sekisho_gateway::TlsConfig::asks_for_certificates);
    if !asks && let Some(issuer) = config.identity.needs_certificates() {
        let words = format!(
            "tokens of `{issuer}` must be bound to a client certificate (`sender_constraint`), and no client is asked for one"
        );
        let problem = Problem::new(Code::Identity, words)
            .help("set `client_certificates = \"requested\"` in `[gateway.tls]`: TLS has to end at this gateway");
        problems.push(problem.at(loaded.document.place_of(&["identity"])));
    }
    let public_url = &config.gateway.public_url;
    let (egress, revocations) = (Arc::clone(egress), Arc::clone(revocations));
    let identity = Identity::new(&config.identity, &loaded.base, public_url, egress, revocations);
    let identity =
        identity.map_err(|error| problems.push(at(loaded, Code::Identity, &error, &["identity"]))).map(|identity| {
            match old {
                Some(old) => identity.keeping_sessions_of(&old.identity),
                None => identity,
            }
        });
    let limits = Limits::new(&config.limits, old.map(|old| &*old.limits))
        .map_err(|error| problems.push(at(loaded, Code::BadValue, &error, &["limits"])));
    let policy = policy(loaded).map_err(|error| problems.extend(refused_policy(loaded, &error)));
    match (catalog, identity, limits, policy) {
        (Some(catalog), Ok(identity), Ok(limits), Ok(policy)) if problems.is_empty() => Ok(Rooms {
            identity: Arc::new(identity),
            catalog: Arc::new(catalog),
            limits: Arc::new(limits),
            guard: Arc::new(Guard::new(&config.guard)),
            policy: Arc::new(policy),
            policy_digest: policy_digest(loaded),
        }),
        _ => Err(problems),
    }
}

/// Starts the servers.
///
/// # Errors
/// One of them cannot be set up.
pub(crate) fn upstream(
    loaded: &Loaded,
    rooms: &Rooms,
    egress: &Arc<Client>,
    (audit, probing): (&Arc<Audit>, Probing),
) -> Result<Arc<Upstream>, Problem> {
    start_servers(loaded, rooms.catalog.servers().cloned(), egress, (audit, probing))
}

/// Starts these servers.
///
/// # Errors
/// One of them cannot be set up.
pub(crate) fn start_servers(
    loaded: &Loaded,
    servers: impl IntoIterator<Item = Arc<Server>>,
    egress: &Arc<Client>,
    (audit, probing): (&Arc<Audit>, Probing),
) -> Result<Arc<Upstream>, Problem> {
    let (egress, audit) = (Arc::clone(egress), Arc::clone(audit));
    with_secrets(loaded, |secrets| Upstream::start(servers, &loaded.config.upstream, egress, audit, (secrets, probing)))
        .map_err(|error| refused_server(loaded, &error))
}

impl Rooms {
    /// The parts of a gateway.
    #[must_use]
    pub(crate) fn parts(&self, loaded: &Loaded, standing: &Standing) -> Parts {
        Parts {
            config: loaded.config.gateway.clone(),
            base: loaded.base.clone(),
            revision: format!(
                "configuration sha256 {}, policy sha256 {}",
                Digest::of(loaded.document.text().as_bytes()),
                self.policy_digest
            )
            .into(),
            identity: Arc::clone(&self.identity),
            catalog: Arc::clone(&self.catalog),
            limits: Arc::clone(&self.limits),
            guard: Arc::clone(&self.guard),
            policy: Arc::clone(&self.policy),
            upstream: Arc::clone(&standing.upstream),
            audit: Arc::clone(&standing.audit),
            instruments: Arc::clone(&standing.instruments),
            annex: standing.broker.as_ref().map(crate::broker::annex),
        }
    }

    /// Lets the servers of these rooms take the places of those that run. After an error nothing has changed.
    ///
    /// # Errors
    /// One of them cannot be set up.
    pub(crate) fn move_in(&self, loaded: &Loaded, standing: &Standing) -> Result<(), Problem> {
        let servers = self.catalog.servers().cloned();
        with_secrets(loaded, |secrets| standing.upstream.reload(servers, secrets))
            .map_err(|error| refused_server(loaded, &error))
    }

    /// The servers, and what they were seen to offer.
    #[must_use]
    pub(crate) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// What is revoked.
    #[must_use]
    pub(crate) fn revocations(&self) -> &Arc<Revocations> {
        self.identity.revocations()
    }

    /// SHA-256 over the policy files.
    #[must_use]
    pub(crate) fn policy_digest(&self) -> &Digest {
        &self.policy_digest
    }
}

/// Why the gateway does not start with these parts; `elsewhere` tells how to take another port.
#[must_use]
pub(crate) fn refused_gateway(loaded: &Loaded, error: &StartError, elsewhere: &str) -> Problem {
    let place = |keys: &[&str]| loaded.document.place_of(keys);
    match error {
        StartError::Config(error) => Problem::of(Code::BadValue, error).at(place(&["gateway"])),
        StartError::Tls(_) => Problem::of(Code::Certificates, error).at(place(&["gateway", "tls"])),
        StartError::Log(_) => Problem::of(Code::DataUnusable, error),
        StartError::NeedsRestart => Problem::of(Code::NeedsRestart, error).at(place(&["gateway"])),
        StartError::Listen { address, source } if source.kind() == std::io::ErrorKind::AddrInUse => {
            Problem::new(Code::PortTaken, format!("another program listens on {address} already")).help(elsewhere)
        }
        StartError::Listen { .. } => Problem::of(Code::AddressUnusable, error).at(place(&["gateway", "listen"])),
    }
}

/// Why the operator's door is not there.
#[must_use]
pub(crate) fn refused_admin(loaded: &Loaded, error: &sekisho_admin::StartError) -> Problem {
    let place = loaded.document.place_of(&["admin", "listen"]);
    match error {
        sekisho_admin::StartError::Config(error) => Problem::of(Code::BadValue, error).at(place),
        sekisho_admin::StartError::Listen { address, source } if source.kind() == std::io::ErrorKind::AddrInUse => {
            Problem::new(Code::PortTaken, format!("another program listens on {address} already"))
                .help("stop that one, or set another `listen` in `[admin]`")
                .at(place)
        }
        sekisho_admin::StartError::Listen { .. } => Problem::of(Code::AddressUnusable, error).at(place),
    }
}

/// The secret references of a server, each with the key it stands at.
pub(crate) fn references(server: &ServerConfig) -> impl Iterator<Item = ([&str; 2], &SecretRef)> {
    let headers = server.headers.iter().map(|(name, place)| (["headers", name.as_str()], place));
    let variables = server.env.iter().filter_map(|(name, value)| match value {
        EnvValue::Secret(place) => Some((["env", name.as_str()], place)),
        EnvValue::Literal(_) => None,
    });
    headers.chain(variables)
}

/// A variable of this process's environment.
#[must_use]
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// What no server sees or changes: what tells what servers may do, what this program keeps, and the secrets of all of them.
fn kept(loaded: &Loaded) -> Vec<PathBuf> {
    let secrets = loaded.config.servers.values().flat_map(references).filter_map(|(_, reference)| reference.file());
    let of_broker = loaded.config.broker.iter().flat_map(crate::broker::references);
    let secrets = secrets.chain(of_broker.filter_map(|(_, reference)| reference.file()));
    let secrets: Vec<PathBuf> = secrets.map(|file| loaded.base.join(file)).collect();
    let mut kept = loaded.files();
    kept.push(loaded.folder().path().to_owned());
    kept.extend(folder_of_key());
    kept.extend(secrets);
    kept
}

/// Calls `with` what servers are set up with.
fn with_secrets<T>(loaded: &Loaded, with: impl FnOnce(&Secrets<'_>) -> T) -> T {
    let folder = loaded.folder();
    let hidden = kept(loaded);
    let config = &loaded.config;
    let own_ports: Vec<u16> =
        [Some(config.gateway.listen), config.admin.listen].iter().flatten().map(SocketAddr::port).collect();
    let cages = Cages {
        tier: loaded.machine,
        launcher: &Launcher::own(),
        homes: &folder.homes(),
        hidden: &hidden,
        own_ports: &own_ports,
    };
    with(&Secrets { base: &loaded.base, env: &variable, cages })
}

/// Where the key lies that secrets are sealed with, if this user can have one.
fn folder_of_key() -> Option<PathBuf> {
    SealingKey::place(&variable).ok().and_then(|key| key.parent().map(PathBuf::from))
}

/// What this machine can enforce.
///
/// # Errors
/// It cannot be found out: this program cannot be executed once more.
pub(crate) async fn machine() -> Result<Machine, Problem> {
    Launcher::own().probe().await.map_err(|error| Problem::of(Code::Sandbox, &error))
}

/// What servers may change must not be what tells what they may do: each grant that would let one in.
fn grants_of_ours(loaded: &Loaded) -> Vec<Problem> {
    let ours: Vec<PathBuf> = kept(loaded).iter().filter_map(|path| path.canonicalize().ok()).collect();
    let home = variable("HOME").map(PathBuf::from);
    let mut problems = Vec::new();
    for (name, server) in &loaded.config.servers {
        for path in &server.sandbox.write {
            let at_home = path.strip_prefix("~").ok().zip(home.as_ref()).map(|(rest, home)| home.join(rest));
            let path = at_home.unwrap_or_else(|| loaded.base.join(path));
            let Ok(granted) = path.canonicalize() else { continue };
            if let Some(file) = ours.iter().find(|file| file.starts_with(&granted) || granted.starts_with(file)) {
                let words = format!(
                    "server `{name}` could change `{}`, which tells what it may do, by way of `{}`",
                    file.display(),
                    granted.display()
                );
                let place = loaded.document.place_of(&["servers", name, "sandbox", "write"]);
                problems.push(
                    Problem::new(Code::Sandbox, words)
                        .help("grant folders in it, or keep the configuration and `data_dir` elsewhere")
                        .at(place),
                );
            }
        }
    }
    problems
}

/// What is configured; and where there is a facade, what forbids whatever its users have not agreed to.
fn policy(loaded: &Loaded) -> Result<Policy, LoadError> {
    let consent =
        loaded.config.broker.as_ref().map(|_| sekisho_policy::consent_policies(&crate::broker::issuer(loaded)));
    let more: Vec<(&str, &str)> = consent.iter().map(|text| ("consent.cedar", &**text)).collect();
    Policy::load(&loaded.config.policy, &loaded.base, &more)
}

fn catalog(loaded: &Loaded, old: Option<&Rooms>, problems: &mut Vec<Problem>) -> Option<Catalog> {
    let config = loaded.catalog();
    let before = problems.len();
    problems.extend(refused_sections(loaded));
    let approvals = pins::approvals(loaded).map_err(|problem| problems.push(problem)).ok();
    if problems.len() > before {
        return None;
    }
    Catalog::new(&config, &approvals?, old.map(|old| &*old.catalog))
        .map_err(|error| problems.push(at(loaded, Code::Server, &error, &["servers"])))
        .ok()
}

/// What is wrong with the sections of servers.
pub(crate) fn refused_sections(loaded: &Loaded) -> Vec<Problem> {
    let config = loaded.catalog();
    // One by one, since an error does not tell its server in a form that a place could be found by.
    let of = |(name, server): (&String, &ServerConfig)| {
        let alone = sekisho_catalog::Config { servers: [(name.clone(), server.clone())].into(), ..config.clone() };
        let refused = |error| at(loaded, Code::Server, &error, &["servers", name.as_str()]);
        alone.problems().into_iter().map(refused).collect::<Vec<_>>()
    };
    config.servers.iter().flat_map(of).collect()
}

/// The references that lead nowhere.
fn secrets(loaded: &Loaded) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (server, config) in &loaded.config.servers {
        for ([table, name], reference) in references(config) {
            if let Err(error) = reference.resolve(Purpose::Server { server, name }, &loaded.base, &variable) {
                problems.push(at(loaded, Code::Secret, &error, &["servers", server, table, name]));
            }
        }
    }
    problems
}

/// What is wrong with a file of `[gateway.tls]`, at the key that names it.
fn refused_certificate(loaded: &Loaded, error: &TlsError) -> Problem {
    let rooted = loaded.config.gateway.tls.as_ref().map(|tls| tls.rooted(&loaded.base));
    let key = rooted.map_or("certificate_file", |tls| match error.path() {
        path if path == tls.key_file => "key_file",
        path if Some(path) == tls.client_ca_file.as_deref() => "client_ca_file",
        _ => "certificate_file",
    });
    let problem = Problem::of(Code::Certificates, error).at(loaded.document.place_of(&["gateway", "tls", key]));
    let (words, moment) = if let TlsError::Expired { until, .. } = error {
        ("it was good until", *until)
    } else if let TlsError::NotYetValid { from, .. } = error {
        ("it is good from", *from)
    } else {
        return problem;
    };
    match Timestamp::try_from(moment) {
        Ok(time) => problem.help(format!("{words} {time}")),
        Err(_) => problem,
    }
}

fn at(loaded: &Loaded, code: Code, error: &dyn std::error::Error, keys: &[&str]) -> Problem {
    Problem::of(code, error).at(loaded.document.place_of(keys))
}

fn refused_policy(loaded: &Loaded, error: &LoadError) -> Vec<Problem> {
    let place = loaded.document.place_of(&["policy", "files"]);
    match error {
        LoadError::NoFiles => vec![Problem::of(Code::PolicyEmpty, error).at(place)],
        LoadError::Empty => vec![
            Problem::of(Code::PolicyEmpty, error)
                .help("write at least one `permit`; `sekisho up` in an empty folder writes some to start from")
                .at(place),
        ],
        LoadError::Read { .. } => vec![Problem::of(Code::PolicyMissing, error).at(place)],
        LoadError::Invalid(wrong) => wrong.iter().map(|wrong| invalid(loaded, wrong)).collect(),
        LoadError::TooLong { .. } | LoadError::Schema(_) | LoadError::Actions(_) | LoadError::Name(_) => {
            vec![Problem::of(Code::PolicyInvalid, error).at(place)]
        }
    }
}

fn invalid(loaded: &Loaded, wrong: &sekisho_policy::Problem) -> Problem {
    let path = loaded.base.join(&*wrong.file);
    // Read again for the mark alone; if it has changed meanwhile, the mark may be off.
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let start = wrong.offset.min(text.len());
    let span = start..start.saturating_add(wrong.length).min(text.len());
    let problem = Problem::new(Code::PolicyInvalid, &wrong.message);
    let problem = match &wrong.help {
        Some(help) => problem.help(help),
        None => problem,
    };
    problem.at(Some(Place { path, text: text.into(), span }))
}

fn refused_server(loaded: &Loaded, error: &sekisho_upstream::StartError) -> Problem {
    use sekisho_upstream::StartError as Error;
    let (code, keys) = match error {
        Error::Config(_) => (Code::BadValue, vec!["upstream"]),
        Error::Secret { server, .. } => (Code::Secret, vec!["servers", server.as_str()]),
        Error::Header { server, .. } | Error::Destination { server, .. } => {
            (Code::Server, vec!["servers", server.as_str()])
        }
        Error::Tier { server, .. }
        | Error::Plan { server, .. }
        | Error::NoHome { server }
        | Error::Gate { server, .. }
        | Error::NoNetwork { server, .. } => (Code::Sandbox, vec!["servers", server.as_str(), "sandbox"]),
    };
    let problem = Problem::of(code, error).at(loaded.document.place_of(&keys));
    match error {
        Error::Tier { .. } | Error::NoNetwork { .. } => problem.help(
            "`sekisho doctor` tells why, and how to get more; `tier_min = \"partial\"` in its `sandbox` takes what there is, if that is `partial`",
        ),
        Error::Secret { source: ResolveError::Unset { name }, .. } => {
            problem.help(format!("set `{name}=…` in the environment of this command, or seal it with `sekisho secret`"))
        }
        Error::Config(_)
        | Error::Secret { .. }
        | Error::Header { .. }
        | Error::Destination { .. }
        | Error::Gate { .. }
        | Error::NoHome { .. }
        | Error::Plan { .. } => problem,
    }
}

fn refused_sender(loaded: &Loaded, error: &SenderError) -> Problem {
    let (code, keys) = match error {
        SenderError::Url(_) | SenderError::Query | SenderError::Destination(_) => {
            (Code::Telemetry, vec!["telemetry", "otlp_endpoint"])
        }
        SenderError::Header(name) => (Code::Telemetry, vec!["telemetry", "otlp_headers", name.as_str()]),
        SenderError::Secret(name, _) => (Code::Secret, vec!["telemetry", "otlp_headers", name.as_str()]),
    };
    Problem::of(code, error).at(loaded.document.place_of(&keys))
}

fn policy_digest(loaded: &Loaded) -> Digest {
    let mut digests = String::new();
    for file in &loaded.config.policy.files {
        let bytes = std::fs::read(loaded.base.join(file)).unwrap_or_default();
        // Writing into a String cannot fail.
        let _ = writeln!(digests, "{}", Digest::of(&bytes));
    }
    Digest::of(digests.as_bytes())
}
