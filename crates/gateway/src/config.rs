//! `[gateway]`: where clients knock.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use url::Url;

/// `[gateway]`: addresses, names and certificates of the listener.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on, such as `127.0.0.1:8700`. Port 0 takes any free one.
    #[schemars(extend("x-restart" = true))]
    pub listen: SocketAddr,
    /// The origin clients reach the gateway at, such as `https://mcp.example.com`: scheme, host and port, nothing else.
    /// Canonical URIs, hence token audiences, are made from it and never from `Host` or `Forwarded`.
    #[serde(deserialize_with = "url")]
    #[schemars(with = "String", extend("format" = "uri", "x-requirement" = "7.2"))]
    pub public_url: Url,
    /// Origins of web pages that may call, beside that of `public_url`.
    #[serde(default)]
    #[schemars(extend("x-requirement" = "8.4"))]
    pub allowed_origins: Vec<String>,
    /// Values of `Host` that are accepted, beside that of `public_url`.
    #[serde(default)]
    #[schemars(extend("x-requirement" = "8.4"))]
    pub allowed_hosts: Vec<String>,
    /// Certificate and key. Without them the gateway speaks plain HTTP, on loopback only. The files are read again when they
    /// change; whether there is TLS at all changes with a restart only.
    #[schemars(extend("x-requirement" = "3.1"))]
    pub tls: Option<TlsConfig>,
    /// Speak plain HTTP on an address that others can reach. Tokens and data then cross the network in the clear.
    #[serde(default)]
    #[schemars(extend("x-requirement" = "3.1"))]
    pub dangerous_plaintext: bool,
    /// How long a shutdown waits for calls under way, in seconds, at most 600.
    #[serde(default = "shutdown_seconds")]
    #[schemars(range(max = SHUTDOWN_SECONDS_MAX), extend("x-restart" = true))]
    pub shutdown_seconds: u64,
    /// Threads that work on calls: 1 to 256. Not set: as many as this machine has cores for us.
    #[schemars(range(min = 1, max = WORKERS_MAX), extend("x-restart" = true))]
    pub workers: Option<u16>,
}

/// `[gateway.tls]`: TLS 1.3 from PEM files, read again when they change.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// Certificate chain, leaf first.
    pub certificate_file: PathBuf,
    /// Private key: PKCS#8, SEC 1 or PKCS#1.
    pub key_file: PathBuf,
    /// Certificate authorities for client certificates. Without `client_certificates` every client must present one of theirs.
    pub client_ca_file: Option<PathBuf>,
    /// Whether clients are asked for a certificate. A token that is bound to one (RFC 8705) is of use over its connection alone; nobody is
    /// let in by a certificate. Default: `required` with `client_ca_file`, else `none`.
    #[schemars(extend("x-requirement" = "7.4"))]
    pub client_certificates: Option<ClientCertificates>,
}

/// Whether clients are asked for a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClientCertificates {
    /// No.
    None,
    /// Whoever has one may present it: one of `client_ca_file`, or any where that is not given.
    Requested,
    /// Who presents none is not connected to.
    Required,
}

/// Why a `[gateway]` section is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// `public_url` is more or less than an origin.
    #[error(
        "`public_url` must be an origin such as `https://mcp.example.com`: http or https, no path, query, fragment or user"
    )]
    PublicUrl,
    /// Plain HTTP where others can reach it.
    #[error(
        "`{0}` can be reached from other machines and no `[gateway.tls]` is given: add certificates, listen on 127.0.0.1, or spell out `dangerous_plaintext = true`"
    )]
    Plaintext(SocketAddr),
    /// Plain HTTP behind a public https name is a proxy's business.
    #[error("`public_url` says http, but `[gateway.tls]` is given")]
    SchemeDiffers,
    /// Too long a shutdown.
    #[error("`shutdown_seconds` is {0}, limit is 600")]
    Shutdown(u64),
    /// No thread, or more than any machine has cores for.
    #[error("`workers` is {0}, but must be between 1 and {WORKERS_MAX}")]
    Workers(u16),
    /// An origin that no browser sends.
    #[error("`allowed_origins` has `{0}`, which is no origin such as `https://app.example.com`")]
    Origin(String),
    /// A host that no client sends.
    #[error("`allowed_hosts` has `{0}`, which is no host such as `mcp.example.com` or `mcp.example.com:8443`")]
    Host(String),
}

impl Config {
    /// Checks what types cannot say.
    ///
    /// # Errors
    /// [`ConfigError`], the first rule that is broken.
    pub fn check(&self) -> Result<(), ConfigError> {
        let url = &self.public_url;
        let origin_only = matches!(url.scheme(), "http" | "https")
            && url.host().is_some()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !origin_only {
            return Err(ConfigError::PublicUrl);
        }
        if self.tls.is_none() && !self.listen.ip().is_loopback() && !self.dangerous_plaintext {
            return Err(ConfigError::Plaintext(self.listen));
        }
        if self.tls.is_some() && url.scheme() == "http" {
            return Err(ConfigError::SchemeDiffers);
        }
        if self.shutdown_seconds > SHUTDOWN_SECONDS_MAX {
            return Err(ConfigError::Shutdown(self.shutdown_seconds));
        }
        if let Some(workers) = self.workers.filter(|workers| !(1..=WORKERS_MAX).contains(workers)) {
            return Err(ConfigError::Workers(workers));
        }
        for origin in &self.allowed_origins {
            let parsed = Url::parse(origin).ok().filter(|url| url.origin().ascii_serialization() == *origin);
            parsed.ok_or_else(|| ConfigError::Origin(origin.clone()))?;
        }
        for host in &self.allowed_hosts {
            let parsed = host.parse::<http::uri::Authority>().ok().filter(|a| !a.as_str().contains('@'));
            parsed.ok_or_else(|| ConfigError::Host(host.clone()))?;
        }
        Ok(())
    }

    /// Whether this asks for something else than `running` in what only a restart can change.
    #[must_use]
    pub(crate) fn needs_restart_after(&self, running: &Config) -> bool {
        self.listen != running.listen || self.workers != running.workers || self.tls.is_some() != running.tls.is_some()
    }

    /// The dangerous options that are on, by name: for the start log and the status.
    #[must_use]
    pub fn dangers(&self) -> Vec<&'static str> {
        if self.dangerous_plaintext { vec!["gateway.dangerous_plaintext"] } else { Vec::new() }
    }
}

impl TlsConfig {
    /// The same with paths that start at `base`.
    #[must_use]
    pub fn rooted(&self, base: &Path) -> TlsConfig {
        TlsConfig {
            certificate_file: base.join(&self.certificate_file),
            key_file: base.join(&self.key_file),
            client_ca_file: self.client_ca_file.as_ref().map(|file| base.join(file)),
            client_certificates: self.client_certificates,
        }
    }

    /// Whether clients are asked for a certificate, so that tokens can be bound to one.
    #[must_use]
    pub fn asks_for_certificates(&self) -> bool {
        self.asks() != ClientCertificates::None
    }

    /// How clients are asked for a certificate.
    pub(crate) fn asks(&self) -> ClientCertificates {
        let implied =
            if self.client_ca_file.is_some() { ClientCertificates::Required } else { ClientCertificates::None };
        self.client_certificates.unwrap_or(implied)
    }
}

fn url<'de, D: Deserializer<'de>>(from: D) -> Result<Url, D::Error> {
    let text = String::deserialize(from)?;
    Url::parse(&text).map_err(|error| D::Error::custom(format!("`{text}` is no URL: {error}")))
}

fn shutdown_seconds() -> u64 {
    10
}

const SHUTDOWN_SECONDS_MAX: u64 = 600;
const WORKERS_MAX: u16 = 256;
