//! `sekisho.toml`: one section per room, and the folder for what lasts. Strict: a key that nothing reads is refused.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use sekisho_sandbox::Tier;
use sekisho_wire::ServerId;
use serde::Deserialize;

use crate::folder::Folder;
use crate::keys;
use crate::problem::{Code, Problem};
use crate::schema::schema;
use crate::strict::Document;

/// The configuration of a Sekisho gateway, `sekisho.toml`. Relative paths start from the folder of this file. Secrets are
/// never written here, only named: `env:NAME`, `file:PATH` or `sealed:PATH`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "sekisho.toml", extend(
    "required" = ["gateway", "identity", "policy", "servers"],
    "anyOf" = [
        { "required": ["broker"] },
        { "properties": { "identity": { "required": ["issuers"] } } },
        { "properties": { "identity": { "required": ["entra"] } } }
    ]
))]
pub(crate) struct Config {
    /// The folder for what lasts: the audit log, the developer issuer's key, the socket of `sekisho status`. Made with mode 0700
    /// where it is missing; one running gateway each.
    #[serde(default = "data_dir")]
    #[schemars(extend("x-restart" = true))]
    pub(crate) data_dir: PathBuf,
    /// Where clients knock.
    pub(crate) gateway: sekisho_gateway::Config,
    /// Whose tokens are believed.
    #[schemars(extend("x-requirement" = "2.1"))]
    pub(crate) identity: sekisho_identity::Config,
    /// The OAuth facade: clients get their tokens here, and people log in at the company's provider. Without this section there is none.
    #[serde(default)]
    #[schemars(extend("x-restart" = true, "x-requirement" = "M3"))]
    pub(crate) broker: Option<sekisho_broker::Config>,
    /// How much may come.
    #[serde(default)]
    #[schemars(extend("x-requirement" = "4.1"))]
    pub(crate) limits: sekisho_limits::Config,
    /// What was approved of what servers offer.
    #[serde(default)]
    #[schemars(extend("x-requirement" = "9.2"))]
    pub(crate) catalog: sekisho_catalog::PinConfig,
    /// What is looked for in messages.
    #[serde(default)]
    #[schemars(extend("x-requirement" = "1.2"))]
    pub(crate) guard: sekisho_guard::Config,
    /// Who may do what.
    #[schemars(extend("x-requirement" = "2.2"))]
    pub(crate) policy: sekisho_policy::Config,
    /// How the audit log is kept.
    #[serde(default)]
    #[schemars(extend("x-restart" = true, "x-requirement" = "5.1"))]
    pub(crate) audit: sekisho_audit::Config,
    /// How the gateway goes out.
    #[serde(default)]
    #[schemars(extend("x-restart" = true))]
    pub(crate) egress: sekisho_egress::Config,
    /// What holds for all servers.
    #[serde(default)]
    #[schemars(extend("x-restart" = true))]
    pub(crate) upstream: sekisho_upstream::Config,
    /// Traces and metrics to a collector.
    #[serde(default)]
    #[schemars(extend("x-restart" = true))]
    pub(crate) telemetry: crate::export::Config,
    /// The operator's own door.
    #[serde(default)]
    #[schemars(extend("x-restart" = true))]
    pub(crate) admin: sekisho_admin::Config,
    /// The MCP servers by name: 1 to 24 characters of a-z, 0-9 and `-`. At least one.
    #[serde(default)]
    #[schemars(extend(
        "minProperties" = 1,
        "propertyNames" = { "pattern": "^[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?$" }
    ))]
    pub(crate) servers: BTreeMap<String, sekisho_catalog::ServerConfig>,
}

/// A configuration that was read, and where from.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    /// What it says.
    pub(crate) config: Config,
    /// The file.
    pub(crate) path: PathBuf,
    /// The folder that relative paths start from.
    pub(crate) base: PathBuf,
    /// The text, for the places of what is wrong.
    pub(crate) document: Document,
    /// How well this machine confines programs; nobody knows until it was tried.
    pub(crate) machine: Tier,
    /// Sections that hold until a restart.
    fixed: toml::Table,
}

/// Reads the file. Whether the rooms can use it is checked when they are made, by [`crate::assemble`].
///
/// # Errors
/// It cannot be read, or everything wrong with its form.
pub(crate) fn load(path: &Path) -> Result<Loaded, Vec<Problem>> {
    let document = open(path).map_err(|problem| vec![problem])?;
    let config = form(&document)?;
    let mut fixed: toml::Table =
        toml::from_str(document.text()).map_err(|error| vec![Problem::new(Code::Syntax, error.message())])?;
    fixed.retain(|key, _| FIXED.contains(&key));
    Ok(Loaded { config, path: path.to_owned(), base: base_of(path), document, machine: Tier::None, fixed })
}

/// The text of the file.
///
/// # Errors
/// It cannot be read.
pub(crate) fn open(path: &Path) -> Result<Document, Problem> {
    read(path).map(|text| Document::new(path, &text))
}

/// What the document says, if it has the form of a configuration: its keys are known, its values of their types and in their
/// ranges.
///
/// # Errors
/// Everything wrong with its form.
pub(crate) fn form(document: &Document) -> Result<Config, Vec<Problem>> {
    let ranges = keys::out_of_range(&schema(), document);
    match document.read(&REQUIRED) {
        Ok(config) if ranges.is_empty() => Ok(config),
        Ok(_) => Err(ranges),
        Err(problems) => {
            // A number that is none of its type is outside its range besides; once is enough.
            let told: Vec<_> = problems.iter().filter_map(Problem::row).collect();
            let more = ranges.into_iter().filter(|range| range.row().is_none_or(|row| !told.contains(&row)));
            Err(problems.into_iter().chain(more.collect::<Vec<_>>()).collect())
        }
    }
}

/// The data folder that the file names, for commands that look at it only: whatever else is wrong with the file, they work.
///
/// # Errors
/// It cannot be read.
pub(crate) fn folder_of(path: &Path) -> Result<Folder, Vec<Problem>> {
    let named = open(path).map_err(|problem| vec![problem])?.string("data_dir");
    Ok(Folder::new(base_of(path).join(named.map_or_else(data_dir, PathBuf::from))))
}

impl Loaded {
    /// What a command needs besides to be about this configuration: nothing where it is looked for, or ` --config PATH`.
    #[must_use]
    pub(crate) fn option(&self) -> String {
        let is_found = self.path == Path::new("sekisho.toml");
        if is_found { String::new() } else { format!(" --config {}", self.path.display()) }
    }

    /// The data folder.
    #[must_use]
    pub(crate) fn folder(&self) -> Folder {
        Folder::new(self.base.join(&self.config.data_dir))
    }

    /// The servers, as the catalog wants them.
    #[must_use]
    pub(crate) fn catalog(&self) -> sekisho_catalog::Config {
        sekisho_catalog::Config {
            servers: self.config.servers.clone(),
            catalog: self.config.catalog.clone(),
            machine: self.machine,
        }
    }

    /// Drops every other server: nothing of them is set up, and their secrets are not looked for.
    pub(crate) fn keep_only(&mut self, server: &ServerId) {
        self.config.servers.retain(|name, _| name == server.as_str());
    }

    /// The sections of which a change needs a restart, if they differ from those of `other`.
    #[must_use]
    pub(crate) fn fixed_differing(&self, other: &Loaded) -> Vec<&'static str> {
        FIXED.into_iter().filter(|key| self.fixed.get(*key) != other.fixed.get(*key)).collect()
    }

    /// The dangerous options that are on, by name.
    #[must_use]
    pub(crate) fn dangers(&self) -> Vec<String> {
        let mut dangers = self.config.gateway.dangers();
        dangers.extend(self.config.admin.dangers());
        if self.config.catalog.dangerous_trust_on_first_use {
            dangers.push("catalog.dangerous_trust_on_first_use");
        }
        if self.config.egress.dangerous_allow_private_networks {
            dangers.push("egress.dangerous_allow_private_networks");
        }
        let mut dangers: Vec<String> = dangers.into_iter().map(String::from).collect();
        for (name, server) in &self.config.servers {
            if !server.dangerous_launch.is_empty() {
                dangers.push(format!("servers.{name}.dangerous_launch ({})", server.dangerous_launch.join(", ")));
            }
            if server.sandbox.dangerous_unconfined {
                dangers.push(format!("servers.{name}.sandbox.dangerous_unconfined"));
            }
            if server.sandbox.dangerous_unix_sockets {
                dangers.push(format!("servers.{name}.sandbox.dangerous_unix_sockets"));
            }
            if !server.sandbox.dangerous_private_hosts.is_empty() {
                let hosts: Vec<String> =
                    server.sandbox.dangerous_private_hosts.iter().map(ToString::to_string).collect();
                dangers.push(format!("servers.{name}.sandbox.dangerous_private_hosts ({})", hosts.join(", ")));
            }
        }
        dangers
    }

    /// Files whose change means a reload: this one, the lock file, policies, key sets, certificates.
    #[must_use]
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let config = &self.config;
        let mut files = vec![self.path.clone(), self.base.join(&config.catalog.lock_file)];
        files.extend(config.policy.files.iter().map(|file| self.base.join(file)));
        let key_sets = config.identity.issuers.iter().filter_map(|issuer| issuer.jwks_file.as_ref());
        files.extend(key_sets.map(|file| self.base.join(file)));
        if let Some(tls) = &config.gateway.tls {
            let tls = tls.rooted(&self.base);
            files.extend([tls.certificate_file, tls.key_file]);
            files.extend(tls.client_ca_file);
        }
        files
    }
}

/// The folder of the file; absolute, so that it means the same however the working folder changes.
fn base_of(path: &Path) -> PathBuf {
    let base = match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        Some(_) | None => PathBuf::from("."),
    };
    std::path::absolute(&base).unwrap_or(base)
}

fn read(path: &Path) -> Result<String, Problem> {
    let shown = path.display();
    let refused = |words: String| Problem::new(Code::ConfigUnreadable, words);
    let mut text = String::new();
    let file = File::open(path).map_err(|error| {
        refused(format!("configuration `{shown}` cannot be read: {error}"))
            .help("name it with `--config FILE`, or write a first one with `sekisho up`")
    })?;
    file.take(CONFIG_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|error| refused(format!("configuration `{shown}` cannot be read: {error}")))?;
    if u64::try_from(text.len()).is_ok_and(|bytes| bytes < CONFIG_BYTES_MAX) {
        Ok(text)
    } else {
        Err(refused(format!("configuration `{shown}` is larger than {CONFIG_BYTES_MAX} bytes")))
    }
}

fn data_dir() -> PathBuf {
    PathBuf::from("sekisho-data")
}

const CONFIG_BYTES_MAX: u64 = 1024 * 1024;
const REQUIRED: [&str; 3] = ["gateway", "identity", "policy"];
/// What the process is built on. The room `gateway` adds its own: the address, and whether there is TLS.
pub(crate) const FIXED: [&str; 7] = ["data_dir", "broker", "audit", "egress", "upstream", "telemetry", "admin"];

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        [gateway]
        listen = "127.0.0.1:8700"
        public_url = "http://127.0.0.1:8700"
        [[identity.issuers]]
        issuer = "https://login.example.com"
        jwks_file = "jwks.json"
        [policy]
        files = ["policy.cedar"]
        [servers.notes]
        command = ["notes-server"]
    "#;

    fn loaded(text: &str) -> Result<Loaded, Vec<Problem>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sekisho.toml");
        std::fs::write(&path, text).unwrap();
        load(&path)
    }

    #[test]
    fn paths_start_from_the_folder_of_the_file() {
        let loaded = loaded(GOOD).unwrap();
        assert!(loaded.base.is_absolute());
        assert_eq!(loaded.folder().path(), loaded.base.join("sekisho-data"));
        assert_eq!(
            loaded.files(),
            ["sekisho.toml", "sekisho.lock", "policy.cedar", "jwks.json"].map(|file| loaded.base.join(file))
        );
        assert!(loaded.dangers().is_empty());
    }

    #[test]
    fn unknown_section_is_refused() {
        let problems = loaded(&GOOD.replace("[servers.notes]", "[server.notes]")).unwrap_err();
        assert!(problems.iter().any(|problem| problem.line().contains("did you mean `servers`?")), "{problems:#?}");
    }

    #[test]
    fn dangerous_options_that_are_on_are_named() {
        let text = format!("{GOOD}\n[egress]\ndangerous_allow_private_networks = true\n");
        assert_eq!(loaded(&text).unwrap().dangers(), ["egress.dangerous_allow_private_networks"]);
        let text = format!("{GOOD}dangerous_launch = [\"node -e\", \"NODE_OPTIONS\"]\n");
        assert_eq!(loaded(&text).unwrap().dangers(), ["servers.notes.dangerous_launch (node -e, NODE_OPTIONS)"]);
    }

    #[test]
    fn sections_that_hold_until_a_restart_are_compared() {
        let old = loaded(GOOD).unwrap();
        let other = loaded(&format!("{GOOD}\n[audit]\nlevel = \"durable\"\n")).unwrap();
        assert_eq!(other.fixed_differing(&old), ["audit"]);
        let other = loaded(&format!("{GOOD}\n[telemetry]\nsample_ratio = 1\n[admin]\nlisten = \"127.0.0.1:9464\"\n"));
        assert_eq!(other.unwrap().fixed_differing(&old), ["telemetry", "admin"]);
        assert!(loaded(&format!("{GOOD}\n[limits]\n")).unwrap().fixed_differing(&old).is_empty());
    }

    #[test]
    fn schema_names_every_section() {
        let schema = serde_json::to_string(&schema()).unwrap();
        for section in [
            "data_dir",
            "gateway",
            "identity",
            "limits",
            "catalog",
            "guard",
            "policy",
            "audit",
            "egress",
            "upstream",
            "telemetry",
            "admin",
            "servers",
        ] {
            assert!(schema.contains(&format!("\"{section}\"")), "{section}");
        }
    }
}
