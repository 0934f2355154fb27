//! `[admin]`: where the operator knocks.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::Deserialize;

/// The operator's own door: `/metrics`, `/livez` and `/readyz` over plain HTTP/1.1, without authentication.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on, such as `127.0.0.1:9464`. Without it there is no such door. Port 0 takes any free one.
    pub listen: Option<SocketAddr>,
    /// Names that `Host` may have, beside `localhost` and any IP address.
    #[serde(default)]
    pub allowed_hosts: Vec<String>,
    /// Listen on an address that others can reach. Whoever reaches it can read the names of servers and how much they are used.
    #[serde(default)]
    pub dangerous_unauthenticated: bool,
}

/// Why an `[admin]` section is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Others can reach it, and nobody is asked who they are.
    #[error(
        "`{0}` can be reached from other machines, and nobody is asked who they are: listen on 127.0.0.1, or spell out `dangerous_unauthenticated = true`"
    )]
    Open(SocketAddr),
    /// A host that no client sends.
    #[error("`allowed_hosts` has `{0}`, which is no host name such as `metrics.example.com`")]
    Host(String),
}

impl Config {
    /// Checks what types cannot say.
    ///
    /// # Errors
    /// [`ConfigError`], the first rule that is broken.
    pub fn check(&self) -> Result<(), ConfigError> {
        if let Some(listen) = self.listen.filter(|listen| !listen.ip().is_loopback() && !self.dangerous_unauthenticated)
        {
            return Err(ConfigError::Open(listen));
        }
        let is_name = |host: &str| {
            !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
        };
        match self.allowed_hosts.iter().find(|host| !is_name(host)) {
            Some(host) => Err(ConfigError::Host(host.clone())),
            None => Ok(()),
        }
    }

    /// The dangerous options that are on, by name.
    #[must_use]
    pub fn dangers(&self) -> Vec<&'static str> {
        if self.dangerous_unauthenticated { vec!["admin.dangerous_unauthenticated"] } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(listen: &str, hosts: &[&str], dangerous_unauthenticated: bool) -> Config {
        let allowed_hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        Config { listen: Some(listen.parse().unwrap()), allowed_hosts, dangerous_unauthenticated }
    }

    #[test]
    fn an_address_that_others_reach_needs_the_dangerous_option() {
        assert!(config("127.0.0.1:9464", &[], false).check().is_ok());
        assert!(config("[::1]:9464", &[], false).check().is_ok());
        for open in ["0.0.0.0:9464", "[::]:9464", "192.0.2.1:9464"] {
            assert!(matches!(config(open, &[], false).check(), Err(ConfigError::Open(_))), "{open}");
            let dangerous = config(open, &[], true);
            assert!(dangerous.check().is_ok());
            assert_eq!(dangerous.dangers(), ["admin.dangerous_unauthenticated"]);
        }
    }

    #[test]
    fn hosts_are_names_without_a_port() {
        assert!(config("127.0.0.1:1", &["metrics.example.com", "m-1"], false).check().is_ok());
        for bad in ["", "a:1", "http://a", "*", "a b"] {
            assert!(matches!(config("127.0.0.1:1", &[bad], false).check(), Err(ConfigError::Host(_))), "{bad}");
        }
    }
}
