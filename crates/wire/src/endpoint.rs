//! The doors of the gateway, and the names of the servers behind them.

use std::fmt;
use std::sync::Arc;

/// The name of an upstream server in configuration, paths, policy and records.
///
/// 1 to 24 characters of `[a-z0-9-]`, first and last one a letter or digit. No underscore, so that
/// `<server>__<name>` splits in one way only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(Arc<str>);

/// A server name that breaks the rule of [`ServerId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("server name `{0}` is not 1 to 24 characters of a-z, 0-9 and `-` that start and end with a letter or digit")]
pub struct BadServerId(pub String);

impl ServerId {
    /// Longest name, in characters.
    pub const CHARS_MAX: usize = 24;

    /// Reads a name.
    ///
    /// # Errors
    /// [`BadServerId`] if it breaks the rule.
    pub fn parse(text: &str) -> Result<ServerId, BadServerId> {
        let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = text.as_bytes();
        let good = bytes.len() <= Self::CHARS_MAX
            && bytes.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && edge(bytes.first())
            && edge(bytes.last());
        if good { Ok(ServerId(text.into())) } else { Err(BadServerId(text.to_owned())) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a client knocked: the door of all servers, or the door of one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// `/mcp`: every server, names prefixed.
    All,
    /// `/s/<server>/mcp`: one server, names untouched.
    One(ServerId),
}

impl Endpoint {
    /// The endpoint at `path`, exactly; no trailing slash, no escapes, no dot segments.
    #[must_use]
    pub fn from_path(path: &str) -> Option<Endpoint> {
        if path == "/mcp" {
            return Some(Endpoint::All);
        }
        let server = path.strip_prefix("/s/")?.strip_suffix("/mcp")?;
        ServerId::parse(server).ok().map(Endpoint::One)
    }

    /// The path that leads to it.
    #[must_use]
    pub fn path(&self) -> String {
        match self {
            Endpoint::All => "/mcp".to_owned(),
            Endpoint::One(server) => ["/s/", server.as_str(), "/mcp"].concat(),
        }
    }
}
