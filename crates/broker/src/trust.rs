//! The `[broker.clients]` section: which clients there may be, and the hosts whose documents are read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Host;

use crate::configured::{ConfiguredClient, ConfiguredError};
use crate::id::DocumentUrl;
use crate::redirect::SchemeError;

/// The `[broker.clients]` section.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClientsConfig {
    /// Whose Client ID Metadata Documents are read: those of any host, of the hosts in `document_hosts` alone, or none.
    pub documents: DocumentsFrom,
    /// Hosts whose documents are read where `documents` is `listed`: names such as `claude.ai`, exact and in lower case, or with one `*.`
    /// before, such as `*.example.com`, for every name below. At most 1,000.
    #[schemars(length(max = HOSTS_MAX), inner(length(max = 255), pattern("^(\\*\\.)?[a-z0-9_.-]+$")))]
    pub document_hosts: Vec<String>,
    /// Schemes of applications that answers may go to, such as `cursor`, beside `https` and the user's own machine. Any program of that
    /// machine can take a scheme for itself.
    #[schemars(inner(length(min = 1), pattern("^[a-z][a-z0-9+.-]*$")))]
    pub app_schemes: Vec<String>,
    /// Whether anybody may register as a client (RFC 7591). Nobody vouches for what such a client says of itself.
    pub registration: bool,
    /// How long a registration is kept after it was made or last used, in days: 1 to 365.
    #[schemars(range(min = 1, max = REGISTRATION_DAYS_MAX))]
    pub registration_days: u32,
    /// Most registrations that are kept: 1 to 100,000. Past that, the oldest that was never used makes room.
    #[schemars(range(min = 1, max = REGISTRATIONS_MAX))]
    pub registrations_max: u32,
    /// Most registrations a minute, of everybody together: 1 to 10,000. One address has a third of it, and one at least.
    #[schemars(range(min = 1, max = REGISTRATIONS_PER_MINUTE_MAX))]
    pub registrations_per_minute: u32,
    /// Clients that an administrator knows, each with its own id. At most 1,000.
    #[schemars(length(max = CONFIGURED_MAX))]
    pub configured: Vec<ConfiguredClient>,
}

/// Whose documents are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentsFrom {
    /// Those of any host that the Internet knows by a name.
    #[default]
    Any,
    /// Those of the hosts in `document_hosts`.
    Listed,
    /// Nobody's.
    Off,
}

/// Why a `[broker.clients]` section is refused.
#[derive(Debug, thiserror::Error)]
pub enum ClientsConfigError {
    /// No host that a document could be at.
    #[error(
        "`{0}` in `document_hosts` must be a name in lower case, such as `claude.ai`, or one with `*.` before at least two labels"
    )]
    Host(Box<str>),
    /// Documents of listed hosts are read, and none is listed.
    #[error("`documents` is `listed`, so `document_hosts` must have 1 to {HOSTS_MAX} hosts")]
    Hosts,
    /// Hosts are listed, and their documents are not read, or others' are, too.
    #[error("`document_hosts` is used only where `documents` is `listed`")]
    HostsUnused,
    /// Nothing may be sent to applications of this scheme.
    #[error("`app_schemes` has a scheme that cannot be permitted")]
    Scheme(#[source] SchemeError),
    /// A number is out of its range.
    #[error("`{key}` must be 1 to {max}")]
    Range {
        /// Its name.
        key: &'static str,
        /// The most that it may be.
        max: u32,
    },
    /// A client cannot be what it is configured to be.
    #[error("the client `{id}` of `configured` is refused")]
    Configured {
        /// Its id.
        id: Box<str>,
        /// Why.
        #[source]
        source: Box<ConfiguredError>,
    },
    /// There are more than can be.
    #[error("`configured` has more than {CONFIGURED_MAX} clients")]
    TooManyConfigured,
    /// Nobody can say who registered.
    #[error("the clients that registered cannot be read")]
    Store(#[source] Box<sekisho_store::ReadError>),
    /// A row of the store has no form that is known here.
    #[error("the store holds a registration that cannot be read; it is not skipped")]
    Garbled,
}

/// Whose documents are read, as it was read itself.
#[derive(Debug)]
pub(crate) enum Trust {
    Any,
    Listed(Box<[HostRule]>),
    Off,
}

#[derive(Debug)]
pub(crate) enum HostRule {
    Exact(Box<str>),
    /// With the dot before it.
    Below(Box<str>),
}

/// The proof that a client id may be fetched. Made by [`Trust::check`] alone.
#[derive(Debug)]
pub(crate) struct Trusted(DocumentUrl);

/// Why no document is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// None is.
    #[error("no documents of clients are read")]
    Off,
    /// It is at another host than those that are listed.
    #[error("the document's host is not in `document_hosts`")]
    NotListed,
    /// Only machines of one network, or one machine, know its host by that name.
    #[error("the document's host has no name that the Internet knows; list it in `document_hosts` if it is meant")]
    Local,
}

impl Default for ClientsConfig {
    // Documents are public and fetched from whoever has the host; everything that needs more trust is off.
    fn default() -> ClientsConfig {
        ClientsConfig {
            documents: DocumentsFrom::Any,
            document_hosts: Vec::new(),
            app_schemes: Vec::new(),
            registration: false,
            registration_days: 30,
            registrations_max: 10_000,
            registrations_per_minute: 30,
            configured: Vec::new(),
        }
    }
}

impl ClientsConfig {
    pub(crate) fn check_ranges(&self) -> Result<(), ClientsConfigError> {
        let ranges = [
            ("registration_days", self.registration_days, REGISTRATION_DAYS_MAX),
            ("registrations_max", self.registrations_max, REGISTRATIONS_MAX),
            ("registrations_per_minute", self.registrations_per_minute, REGISTRATIONS_PER_MINUTE_MAX),
        ];
        match ranges.into_iter().find(|(_, value, max)| !(1..=*max).contains(value)) {
            None if self.configured.len() > CONFIGURED_MAX => Err(ClientsConfigError::TooManyConfigured),
            None => Ok(()),
            Some((key, _, max)) => Err(ClientsConfigError::Range { key, max }),
        }
    }
}

impl Trust {
    pub(crate) fn of(config: &ClientsConfig) -> Result<Trust, ClientsConfigError> {
        let hosts = &config.document_hosts;
        match config.documents {
            DocumentsFrom::Listed if hosts.is_empty() || hosts.len() > HOSTS_MAX => Err(ClientsConfigError::Hosts),
            DocumentsFrom::Listed => {
                let rules =
                    hosts.iter().map(|host| HostRule::of(host).ok_or(ClientsConfigError::Host((&**host).into())));
                Ok(Trust::Listed(rules.collect::<Result<_, _>>()?))
            }
            // Whoever lists hosts believes that others are refused.
            DocumentsFrom::Any | DocumentsFrom::Off if !hosts.is_empty() => Err(ClientsConfigError::HostsUnused),
            DocumentsFrom::Any => Ok(Trust::Any),
            DocumentsFrom::Off => Ok(Trust::Off),
        }
    }

    /// Before anything is fetched, or even looked up.
    pub(crate) fn check(&self, id: DocumentUrl) -> Result<Trusted, Untrusted> {
        match self {
            Trust::Off => Err(Untrusted::Off),
            Trust::Listed(rules) if rules.iter().any(|rule| rule.has(id.host())) => Ok(Trusted(id)),
            Trust::Listed(_) => Err(Untrusted::NotListed),
            // `localhost` is this machine, and a name of one label is one of its own network.
            Trust::Any if is_global(id.host()) => Ok(Trusted(id)),
            Trust::Any => Err(Untrusted::Local),
        }
    }
}

impl HostRule {
    fn of(text: &str) -> Option<HostRule> {
        let below = text.strip_prefix("*.");
        let name = below.unwrap_or(text);
        let is_plain = matches!(Host::parse(name), Ok(Host::Domain(plain)) if plain == name)
            && !name.contains('*')
            && !name.ends_with('.');
        match below {
            _ if !is_plain => None,
            // `*.com` would be nearly everybody.
            Some(name) => name.contains('.').then(|| HostRule::Below(format!(".{name}").into())),
            None => Some(HostRule::Exact(name.into())),
        }
    }

    fn has(&self, host: &str) -> bool {
        match self {
            HostRule::Exact(name) => host == &**name,
            HostRule::Below(end) => host.strip_suffix(&**end).is_some_and(|sub| !sub.is_empty()),
        }
    }
}

impl Trusted {
    pub(crate) fn id(&self) -> &DocumentUrl {
        &self.0
    }
}

fn is_global(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    host.contains('.') && !NOT_GLOBAL.contains(&last)
}

/// Last labels that the public DNS has not (RFC 6761, RFC 6762, ICANN's `internal`); a name that ends in a dot is another id.
const NOT_GLOBAL: &[&str] = &["", "localhost", "local", "internal"];
/// LIMIT: hosts whose documents are read, where they are listed.
const HOSTS_MAX: usize = 1000;
/// LIMIT: clients of a configuration.
const CONFIGURED_MAX: usize = 1000;
const REGISTRATION_DAYS_MAX: u32 = 365;
const REGISTRATIONS_MAX: u32 = 100_000;
const REGISTRATIONS_PER_MINUTE_MAX: u32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> ClientsConfig {
        toml::from_str(text).unwrap()
    }

    fn check(config: &ClientsConfig, id: &str) -> Result<(), Untrusted> {
        Trust::of(config).unwrap().check(DocumentUrl::parse(id).unwrap()).map(drop)
    }

    #[test]
    fn documents_are_read_of_those_who_are_trusted_and_of_nobody_else() {
        let listed = config("documents = 'listed'\ndocument_hosts = ['claude.ai', '*.example.com', 'localhost']");
        for host in ["claude.ai", "a.example.com", "b.a.example.com", "localhost", "localhost:8443", "claude.ai:8443"] {
            assert_eq!(check(&listed, &format!("https://{host}/c")), Ok(()), "{host}");
        }
        for host in
            ["a.claude.ai", "evilclaude.ai", "claude.ai.evil.com", "example.com", "evilexample.com", "claude.ai."]
        {
            assert_eq!(check(&listed, &format!("https://{host}/c")), Err(Untrusted::NotListed), "{host}");
        }
        let any = config("");
        assert_eq!(check(&any, "https://evil.example/c"), Ok(()));
        for host in
            ["localhost", "a.localhost", "intranet", "intranet.", "a.local", "metadata.google.internal", "a.com."]
        {
            assert_eq!(check(&any, &format!("https://{host}/c")), Err(Untrusted::Local), "{host}");
        }
        assert_eq!(check(&config("documents = 'off'"), "https://claude.ai/c"), Err(Untrusted::Off));
    }

    #[test]
    fn hosts_that_say_less_than_they_seem_to_are_refused() {
        for host in [
            "",
            "*",
            "*.com",
            "*.",
            "*.*.com",
            "a.*.com",
            "Claude.ai",
            "https://claude.ai",
            "claude.ai/",
            "claude.ai:443",
            "10.0.0.1",
            "a.com.",
        ] {
            let refused = Trust::of(&config(&format!("documents = 'listed'\ndocument_hosts = ['a.com', '{host}']")));
            assert!(matches!(&refused, Err(ClientsConfigError::Host(told)) if &**told == host), "{host}: {refused:?}");
        }
        assert!(matches!(Trust::of(&config("documents = 'listed'")), Err(ClientsConfigError::Hosts)));
        for documents in ["any", "off"] {
            let unused = config(&format!("documents = '{documents}'\ndocument_hosts = ['claude.ai']"));
            assert!(matches!(Trust::of(&unused), Err(ClientsConfigError::HostsUnused)), "{documents}");
        }
    }

    #[test]
    fn numbers_have_ranges_and_unknown_settings_are_refused() {
        assert!(config("").check_ranges().is_ok());
        for (key, max) in
            [("registration_days", 365), ("registrations_max", 100_000), ("registrations_per_minute", 10_000)]
        {
            for inside in [1, max] {
                assert!(config(&format!("{key} = {inside}")).check_ranges().is_ok(), "{key} {inside}");
            }
            for outside in [0, max + 1] {
                let refused = config(&format!("{key} = {outside}")).check_ranges();
                assert!(
                    matches!(refused, Err(ClientsConfigError::Range { key: told, .. }) if told == key),
                    "{refused:?}"
                );
            }
        }
        assert!(toml::from_str::<ClientsConfig>("document = 'any'").is_err());
        assert!(!config("").registration);
    }
}
