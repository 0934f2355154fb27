//! `[servers.<name>]`: the servers behind the gateway, and what is said of them.

mod launch;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use sekisho_keys::{BadRef, SecretRef};
use sekisho_sandbox::Tier;
use sekisho_wire::endpoint::BadServerId;
use sekisho_wire::{Era, ServerId};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::approval::Unapproved;

/// The servers behind the gateway, by name.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[servers.<name>]`. A name has 1 to 24 characters of a-z, 0-9 and `-`, and starts and ends with a letter or digit.
    /// At least one server.
    pub servers: BTreeMap<String, ServerConfig>,
    /// What was approved of what they offer.
    #[serde(default)]
    pub catalog: PinConfig,
    /// How well this machine confines programs; no file says so.
    #[serde(skip, default = "unknown_machine")]
    pub machine: Tier,
}

/// `[servers.<name>]`: an MCP server, where it is and what is said of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    { "required": ["url"], "properties": {
        "command": false, "cwd": false, "env": { "maxProperties": 0 }, "sandbox": { "maxProperties": 0 }, "dangerous_launch": { "maxItems": 0 }
    } },
    { "required": ["command"], "properties": { "url": false, "headers": { "maxProperties": 0 } } }
]))]
pub struct ServerConfig {
    /// Its Streamable HTTP endpoint, such as `https://mcp.example.com/mcp`. Either this or `command`.
    #[schemars(extend("format" = "uri"))]
    pub url: Option<String>,
    /// The program that speaks MCP on its standard streams, and its arguments. No shell is involved. Either this or `url`.
    #[schemars(length(min = 1))]
    pub command: Option<Vec<String>>,
    /// Environment variables of the program, beside a few harmless ones. Secrets by reference only.
    #[serde(default)]
    #[schemars(extend("propertyNames" = { "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" }, "x-requirement" = "6.3"))]
    pub env: BTreeMap<String, EnvValue>,
    /// The program's working folder; a relative path starts from the folder of this configuration.
    pub cwd: Option<PathBuf>,
    /// Headers that are sent to `url` with every request, such as `authorization`: references to secrets.
    #[serde(default)]
    #[schemars(extend("propertyNames" = { "pattern": "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$" }, "x-requirement" = "6.3"))]
    pub headers: BTreeMap<String, SecretRef>,
    /// How far what it says may be believed.
    #[serde(default)]
    pub trust: Trust,
    /// Who may learn what it says.
    #[serde(default)]
    pub confidentiality: Confidentiality,
    /// Which of the protocol's two eras is spoken with it.
    #[serde(default)]
    pub era: EraChoice,
    /// How long it may take to answer, in seconds: 1 to 3600.
    #[serde(default = "timeout_seconds")]
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: u32,
    /// Most connections to it, or processes of it: 1 to 10,000.
    #[serde(default = "connections_max")]
    #[schemars(range(min = 1, max = 10_000))]
    pub connections_max: u32,
    /// Most connections to it, or processes of it, for one principal: 1 to 10,000.
    #[serde(default = "per_principal_max")]
    #[schemars(range(min = 1, max = 10_000))]
    pub per_principal_max: u32,
    /// A connection or process that was not used for so long is closed, in seconds: 1 to 86,400.
    #[serde(default = "idle_seconds")]
    #[schemars(range(min = 1, max = 86_400))]
    pub idle_seconds: u32,
    /// Beginnings of URIs of which resources may come, change and go without an approval, such as `note://`: their definitions are not
    /// looked for in the lock file. Tools, prompts and templates are.
    #[serde(default)]
    #[schemars(extend("x-requirement" = "9.2"))]
    pub unpinned_resources: Vec<String>,
    /// What the program may touch. Without it, it is confined to what its profile says.
    #[serde(default)]
    #[schemars(extend("x-requirement" = "10.1"))]
    pub sandbox: sekisho_sandbox::Config,
    /// What `command` and `env` may do beyond starting a program, each by its name as the refusal tells it, such as `node -e` or
    /// `NODE_OPTIONS`: code in arguments, shells, modules that are loaded first, other registries.
    #[serde(default)]
    #[schemars(extend("x-requirement" = "12.1"))]
    pub dangerous_launch: Vec<String>,
}

/// `[catalog]`: what was approved of what servers offer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PinConfig {
    /// The file of what was approved; `sekisho lock` writes it. A relative path starts from the folder of this configuration.
    #[schemars(extend("x-requirement" = "9.2"))]
    pub lock_file: PathBuf,
    /// After how many seconds a server is asked again what it offers, before the next call: 1 to 86,400. It is asked at once when it
    /// says that something changed.
    #[schemars(range(min = 1, max = 86_400), extend("x-requirement" = "12.4"))]
    pub recheck_seconds: u32,
    /// Whatever is seen first under a name counts as approved, until this program ends. A poisoned definition that is there from the
    /// start is used then, and one that comes while this program does not run.
    #[schemars(extend("x-requirement" = "9.2"))]
    pub dangerous_trust_on_first_use: bool,
}

impl Default for PinConfig {
    /// `sekisho.lock`, 5 minutes; what nobody approved is withheld.
    fn default() -> PinConfig {
        PinConfig { lock_file: "sekisho.lock".into(), recheck_seconds: 300, dangerous_trust_on_first_use: false }
    }
}

impl PinConfig {
    /// What becomes of a definition that nobody has approved.
    #[must_use]
    pub fn unapproved(&self) -> Unapproved {
        if self.dangerous_trust_on_first_use { Unapproved::TrustedOnFirstUse } else { Unapproved::Withheld }
    }
}

/// How far what a server says may be believed. The order is that of trust: untrusted is less.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// Its words may be anybody's.
    #[default]
    Untrusted,
    /// Its words are its operator's.
    Trusted,
}

/// Who may learn what a server says. The order is that of confidentiality: public is less.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Confidentiality {
    /// Anybody.
    Public,
    /// Whoever works here.
    #[default]
    Internal,
    /// Those it concerns.
    Confidential,
    /// Those who are named.
    Restricted,
}

/// Which of the protocol's two eras is spoken with a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EraChoice {
    /// Every era that it is found to speak.
    #[default]
    Auto,
    /// 2025-11-25 and older alone.
    Legacy,
    /// 2026-07-28 alone.
    Modern,
}

/// The value of an environment variable: a harmless setting as it is, or a reference to a secret (`env:NAME`, `file:PATH`, `sealed:PATH`).
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum EnvValue {
    /// As written.
    Literal(Box<str>),
    /// Where it is.
    Secret(SecretRef),
}

/// How a server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// Streamable HTTP.
    Http {
        /// Its endpoint: http or https, a host, no user, no fragment.
        url: Url,
    },
    /// A process that speaks on its standard streams.
    Stdio {
        /// The program and its arguments; never empty.
        command: Vec<String>,
    },
}

/// Why the servers are refused. Each names the server and the mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A gateway to nothing.
    #[error(
        "no server is configured; add one, such as `[servers.files]` with `command = [\"program\", \"argument\"]` or `url = \"https://…\"`"
    )]
    NoServers,
    /// A name that cannot stand in paths and exposed names.
    #[error("`[servers.{name}]` needs another name")]
    Name {
        /// As written.
        name: String,
        /// The rule it breaks.
        #[source]
        source: BadServerId,
    },
    /// Both or neither of `url` and `command`.
    #[error("server `{server}` needs exactly one of `url` and `command`")]
    Transport {
        /// The server.
        server: ServerId,
    },
    /// An address that is not acceptable. It is not repeated: it may hold a secret.
    #[error("`url` of server `{server}` {why}")]
    Url {
        /// The server.
        server: ServerId,
        /// What is wrong, and the mend.
        why: &'static str,
    },
    /// A command without a program, or one that no system can run.
    #[error("`command` of server `{server}` must start with a program, and hold no NUL character")]
    Command {
        /// The server.
        server: ServerId,
    },
    /// A setting of the other transport.
    #[error("server `{server}` has `{field}`, which goes with `{goes_with}` only; remove it")]
    Misplaced {
        /// The server.
        server: ServerId,
        /// The setting.
        field: &'static str,
        /// What it goes with.
        goes_with: &'static str,
    },
    /// A name that no environment variable can have.
    #[error(
        "server `{server}` has an environment variable that cannot be set; a name has letters, digits and `_`, a value no NUL character"
    )]
    Variable {
        /// The server.
        server: ServerId,
    },
    /// A secret written out.
    #[error(
        "`env.{name}` of server `{server}` looks like a secret that is written out; put it into a file or variable and write `file:PATH` or `env:NAME`, or seal it with `sekisho secret set`"
    )]
    LiteralSecret {
        /// The server.
        server: ServerId,
        /// The variable.
        name: String,
    },
    /// A command that does more than start its program.
    #[error(
        "server `{server}` would not only start its program: {what}; if that is meant, say so: `dangerous_launch = [{ids}]`"
    )]
    Launch {
        /// The server.
        server: ServerId,
        /// What it does.
        what: String,
        /// What that is called.
        ids: String,
    },
    /// A danger that is spelled out and not there.
    #[error("`dangerous_launch` of server `{server}` names `{id}`, which its command and `env` do not do; remove it")]
    NoDanger {
        /// The server.
        server: ServerId,
        /// As written.
        id: String,
    },
    /// A header that the gateway sets itself, or that is none.
    #[error("header `{name}` of server `{server}` {why}")]
    Header {
        /// The server.
        server: ServerId,
        /// The header.
        name: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A number outside its range.
    #[error("`{field}` of server `{server}` is {value}, but must be between 1 and {max}")]
    OutOfRange {
        /// The server.
        server: ServerId,
        /// The field.
        field: &'static str,
        /// What was given.
        value: u32,
        /// Largest value.
        max: u32,
    },
    /// What it may touch is not said in a way that holds.
    #[error("`sandbox` of server `{server}` is refused")]
    Sandbox {
        /// The server.
        server: ServerId,
        /// What is wrong.
        #[source]
        source: sekisho_sandbox::ConfigError,
    },
    /// The operating system gives no randomness, so that cursors could not be sealed.
    #[error("the operating system gives no random bytes")]
    NoRandomness,
}

impl Config {
    /// Everything that is wrong, at most one thing of each server.
    #[must_use]
    pub fn problems(&self) -> Vec<ConfigError> {
        if self.servers.is_empty() {
            return vec![ConfigError::NoServers];
        }
        self.servers.iter().filter_map(|(name, server)| server.read(name).err()).collect()
    }
}

impl ServerConfig {
    /// How long it may take to answer.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(u64::from(self.timeout_seconds))
    }

    /// How long a connection or process may be unused.
    #[must_use]
    pub fn idle(&self) -> Duration {
        Duration::from_secs(u64::from(self.idle_seconds))
    }

    /// Checks what types cannot say.
    pub(crate) fn read(&self, name: &str) -> Result<(ServerId, Transport), ConfigError> {
        let server = ServerId::parse(name).map_err(|source| ConfigError::Name { name: name.to_owned(), source })?;
        let transport = match (&self.url, &self.command) {
            (Some(url), None) => self.http(&server, url)?,
            (None, Some(command)) => self.stdio(&server, command)?,
            (Some(_), Some(_)) | (None, None) => return Err(ConfigError::Transport { server }),
        };
        let numbers = [
            ("timeout_seconds", self.timeout_seconds, 3600),
            ("connections_max", self.connections_max, 10_000),
            ("per_principal_max", self.per_principal_max, 10_000),
            ("idle_seconds", self.idle_seconds, 86_400),
        ];
        match numbers.into_iter().find(|(_, value, max)| !(1..=*max).contains(value)) {
            Some((field, value, max)) => Err(ConfigError::OutOfRange { server, field, value, max }),
            None => Ok((server, transport)),
        }
    }

    fn http(&self, server: &ServerId, url: &str) -> Result<Transport, ConfigError> {
        let misplaced = |field| ConfigError::Misplaced { server: server.clone(), field, goes_with: "command" };
        if !self.env.is_empty() {
            return Err(misplaced("env"));
        }
        if self.cwd.is_some() {
            return Err(misplaced("cwd"));
        }
        if self.sandbox != sekisho_sandbox::Config::default() {
            return Err(misplaced("sandbox"));
        }
        if !self.dangerous_launch.is_empty() {
            return Err(misplaced("dangerous_launch"));
        }
        let mut seen = BTreeSet::new();
        for name in self.headers.keys() {
            let wrong = |why| ConfigError::Header { server: server.clone(), name: name.clone(), why };
            let lower = name.to_ascii_lowercase();
            refused_header(&lower).map_or(Ok(()), |why| Err(wrong(why)))?;
            if !seen.insert(lower) {
                return Err(wrong("stands twice; letter case makes no difference"));
            }
        }
        let wrong = |why| ConfigError::Url { server: server.clone(), why };
        let url = Url::parse(url).map_err(|_| wrong("is no URL such as `https://mcp.example.com/mcp`"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(wrong("must begin with `https://` (or `http://`) and a host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("holds a user or password; use `headers` with a reference to a secret"));
        }
        if url.fragment().is_some() {
            return Err(wrong("has a fragment (`#…`), which is never sent; remove it"));
        }
        if url.query_pairs().any(|(key, _)| smells_of_secret(&key)) {
            return Err(wrong("seems to hold a secret in its query; use `headers` with a reference to a secret"));
        }
        Ok(Transport::Http { url })
    }

    fn stdio(&self, server: &ServerId, command: &[String]) -> Result<Transport, ConfigError> {
        if !self.headers.is_empty() {
            return Err(ConfigError::Misplaced { server: server.clone(), field: "headers", goes_with: "url" });
        }
        let starts_with_program = command.first().is_some_and(|program| !program.is_empty());
        if !starts_with_program || command.iter().any(|argument| argument.contains('\0')) {
            return Err(ConfigError::Command { server: server.clone() });
        }
        self.sandbox.check().map_err(|source| ConfigError::Sandbox { server: server.clone(), source })?;
        for (name, value) in &self.env {
            let EnvValue::Literal(text) = value else { continue };
            if smells_of_secret(name) {
                return Err(ConfigError::LiteralSecret { server: server.clone(), name: name.clone() });
            }
            if text.contains('\0') {
                return Err(ConfigError::Variable { server: server.clone() });
            }
        }
        if !self.env.keys().all(|name| is_variable(name)) {
            return Err(ConfigError::Variable { server: server.clone() });
        }
        self.check_launch(server)?;
        Ok(Transport::Stdio { command: command.to_vec() })
    }
}

impl EraChoice {
    /// Whether `era` may be spoken.
    #[must_use]
    pub fn permits(self, era: Era) -> bool {
        match self {
            EraChoice::Auto => true,
            EraChoice::Legacy => era == Era::Legacy,
            EraChoice::Modern => era == Era::Modern,
        }
    }
}

impl Trust {
    /// The word in policy, records and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Trust::Untrusted => "untrusted",
            Trust::Trusted => "trusted",
        }
    }
}

impl Confidentiality {
    /// The word in policy, records and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Confidentiality::Public => "public",
            Confidentiality::Internal => "internal",
            Confidentiality::Confidential => "confidential",
            Confidentiality::Restricted => "restricted",
        }
    }
}

impl TryFrom<String> for EnvValue {
    type Error = BadRef;

    fn try_from(text: String) -> Result<EnvValue, BadRef> {
        // Whatever begins like a reference is one: a mistyped one must not become a program's setting.
        if SecretRef::begins(&text) {
            return text.parse().map(EnvValue::Secret);
        }
        Ok(EnvValue::Literal(text.into()))
    }
}

impl fmt::Debug for EnvValue {
    // A setting may be more secret than its name lets on.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EnvValue::Literal(_) => f.write_str("Literal(…)"),
            EnvValue::Secret(place) => f.debug_tuple("Secret").field(place).finish(),
        }
    }
}

impl JsonSchema for EnvValue {
    fn schema_name() -> Cow<'static, str> {
        "EnvValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "writeOnly": true,
            "description": "A harmless setting as it is, or a reference to a secret: `env:NAME`, `file:PATH` or `sealed:PATH`. Where the \
                variable's name has TOKEN, SECRET, PASSWORD, KEY or CREDENTIAL in it, a reference."
        })
    }
}

/// Why a header, in lower case, cannot be configured.
fn refused_header(name: &str) -> Option<&'static str> {
    // RFC 9110 section 5.6.2: a token.
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Some("is no header name");
    }
    let own = SET_BY_GATEWAY.contains(&name) || OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    own.then_some("is set by the gateway or its connection; remove it")
}

/// Whether a variable or parameter of that name commonly holds a secret.
fn smells_of_secret(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    SECRET_WORDS.iter().any(|word| upper.contains(word))
}

/// POSIX.1-2024, section 8.1.
fn is_variable(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

fn unknown_machine() -> Tier {
    Tier::None
}

fn timeout_seconds() -> u32 {
    60
}

fn connections_max() -> u32 {
    64
}

fn per_principal_max() -> u32 {
    16
}

fn idle_seconds() -> u32 {
    900
}

const SECRET_WORDS: [&str; 7] = ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "KEY", "CREDENTIAL"];
/// RFC 9110 section 7.6.1 (hop by hop), what routes or frames a message, and what the transport writes itself.
const SET_BY_GATEWAY: [&str; 18] = [
    "accept",
    "connection",
    "cookie",
    "cookie2",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "last-event-id",
    "origin",
    "referer",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];
const OWN_PREFIXES: [&str; 4] = ["content-", "mcp-", "proxy-", "x-forwarded-"];

#[cfg(test)]
mod tests;
