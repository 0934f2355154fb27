//! `[servers.<name>.sandbox]`: what a server that is a program may touch.

use std::path::PathBuf;

use schemars::JsonSchema;
use sekisho_egress::{GateBudgets, HostRule, PrivateHost};
use serde::Deserialize;

use crate::profile::ProfileName;
use crate::tier::Tier;

/// `[servers.<name>.sandbox]`: what a server that is a program may touch. Without it, it is confined to what its profile says: the
/// system's programs, the files that its command names, a home of its own, and no network.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Which profile describes it beside `base`; chosen by its command if not given. `base` alone adds nothing.
    #[schemars(extend("x-requirement" = "10.1"))]
    pub profile: Option<ProfileName>,
    /// Files and folders that it may read. A relative path starts from the folder of this configuration, `~/` is the user's home.
    #[schemars(extend("x-requirement" = "10.2"))]
    pub read: Vec<PathBuf>,
    /// Files and folders that it may read and change.
    #[schemars(extend("x-requirement" = "10.2"))]
    pub write: Vec<PathBuf>,
    /// Hosts at public addresses that it may reach, through a proxy that lets nothing else through: `api.example.com` (TLS, port 443),
    /// `api.example.com:8443`, `*.example.com` (one label more, never the apex), `**.example.com` (any number of labels more),
    /// `http://example.com:80`, `tcp://db.example.com:5432`. None: there is no network at all.
    #[schemars(extend("x-requirement" = "10.3"))]
    pub hosts: Vec<HostRule>,
    /// Hosts at private or loopback addresses that it may reach, one by one and exactly, such as `tcp://localhost:5432`.
    #[schemars(extend("x-requirement" = "10.3"))]
    pub dangerous_private_hosts: Vec<PrivateHost>,
    /// How much of the network it may use.
    #[schemars(extend("x-requirement" = "10.3"))]
    pub network: GateBudgets,
    /// The least that is enough. With `full`, it is not started where the system has no user namespaces to give; `sekisho doctor`
    /// tells what this machine has.
    #[schemars(extend("x-requirement" = "10.1"))]
    pub tier_min: Tier,
    /// Most memory, in MiB: 16 to 1,048,576. Of all its processes together where a control group is to be had, of each one otherwise.
    #[schemars(range(min = 16, max = 1_048_576), extend("x-requirement" = "10.1"))]
    pub memory_mib_max: u32,
    /// Most processes and threads: 4 to 32,768.
    #[schemars(range(min = 4, max = 32_768), extend("x-requirement" = "10.1"))]
    pub processes_max: u32,
    /// Most open files of each process: 16 to 1,048,576.
    #[schemars(range(min = 16, max = 1_048_576), extend("x-requirement" = "10.1"))]
    pub open_files_max: u32,
    /// Largest file that it may write, in MiB: 1 to 1,048,576. Each of its temporary folders holds as much, but no more than 1 GiB.
    #[schemars(range(min = 1, max = 1_048_576), extend("x-requirement" = "10.1"))]
    pub file_mib_max: u32,
    /// Most that its home may hold, in MiB: 16 to 1,048,576. Its home lasts, and what it keeps there (packages it fetched, caches) adds
    /// up; past this its processes are stopped, and stay so until there is less or more is permitted.
    #[schemars(range(min = 16, max = 1_048_576), extend("x-requirement" = "10.1"))]
    pub home_mib_max: u32,
    /// It may use sockets of the file system: whoever listens on one in a folder that is granted, such as an agent of keys or a container
    /// engine, is not confined, and does what it is told.
    #[schemars(extend("x-requirement" = "10.1"))]
    pub dangerous_unix_sockets: bool,
    /// It is not confined at all: whatever the user can read, change and reach, it can, too.
    #[schemars(extend("x-requirement" = "10.1"))]
    pub dangerous_unconfined: bool,
}

impl Default for Config {
    /// The profile of its command, nothing else granted, no network, fully confined.
    fn default() -> Config {
        Config {
            profile: None,
            read: Vec::new(),
            write: Vec::new(),
            hosts: Vec::new(),
            dangerous_private_hosts: Vec::new(),
            network: GateBudgets::default(),
            tier_min: Tier::Full,
            memory_mib_max: 2048,
            processes_max: 256,
            open_files_max: 4096,
            file_mib_max: 1024,
            home_mib_max: 8192,
            dangerous_unix_sockets: false,
            dangerous_unconfined: false,
        }
    }
}

/// Why the section is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A number outside its range.
    #[error("`{field}` is {value}, but must be between {min} and {max}")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// What was given.
        value: u64,
        /// Smallest value.
        min: u64,
        /// Largest value.
        max: u64,
    },
    /// Nothing in place of everything: that has another name.
    #[error(
        "`tier_min` must be `full` or `partial`; a server that is not confined is spelled `dangerous_unconfined = true`"
    )]
    TierNone,
    /// Said to be confined to something and not to be confined.
    #[error("`{field}` means nothing beside `dangerous_unconfined = true`; remove one of them")]
    Contradiction {
        /// The field.
        field: &'static str,
    },
}

impl Config {
    /// Whether there is a way out for it.
    #[must_use]
    pub fn has_way_out(&self) -> bool {
        !self.hosts.is_empty() || !self.dangerous_private_hosts.is_empty()
    }

    /// Checks what types cannot say.
    ///
    /// # Errors
    /// [`ConfigError`]
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.tier_min == Tier::None {
            return Err(ConfigError::TierNone);
        }
        let numbers = [
            ("memory_mib_max", u64::from(self.memory_mib_max), 16, MIB_MAX),
            ("processes_max", self.processes_max.into(), 4, 32_768),
            ("open_files_max", self.open_files_max.into(), 16, MIB_MAX),
            ("file_mib_max", self.file_mib_max.into(), 1, MIB_MAX),
            ("home_mib_max", self.home_mib_max.into(), 16, MIB_MAX),
            ("network.connections_max", self.network.connections_max.into(), 1, 1024),
            ("network.connections_per_minute_max", self.network.connections_per_minute_max.into(), 1, 100_000),
            ("network.bytes_per_hour_max", self.network.bytes_per_hour_max, 1024, 1024 * 1024 * MIB_MAX),
            ("network.idle_seconds_max", self.network.idle_seconds_max.into(), 1, 86_400),
            ("network.life_seconds_max", self.network.life_seconds_max.into(), 1, 86_400),
        ];
        if let Some((field, value, min, max)) =
            numbers.into_iter().find(|(_, value, min, max)| !(min..=max).contains(&value))
        {
            return Err(ConfigError::OutOfRange { field, value, min, max });
        }
        let granted = [
            ("profile", self.profile.is_some()),
            ("read", !self.read.is_empty()),
            ("write", !self.write.is_empty()),
            ("hosts", !self.hosts.is_empty()),
            ("dangerous_private_hosts", !self.dangerous_private_hosts.is_empty()),
            ("dangerous_unix_sockets", self.dangerous_unix_sockets),
        ];
        match granted.into_iter().find(|(_, given)| self.dangerous_unconfined && *given) {
            Some((field, _)) => Err(ConfigError::Contradiction { field }),
            None => Ok(()),
        }
    }
}

const MIB_MAX: u64 = 1_048_576;

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<(), String> {
        toml::from_str::<Config>(text).map_err(|error| error.to_string())?.check().map_err(|error| error.to_string())
    }

    #[test]
    fn numbers_hold_at_their_bounds_and_not_past_them() {
        for (field, min, max) in [
            ("memory_mib_max", 16_u64, 1_048_576_u64),
            ("processes_max", 4, 32_768),
            ("open_files_max", 16, 1_048_576),
            ("file_mib_max", 1, 1_048_576),
            ("home_mib_max", 16, 1_048_576),
            ("network.connections_max", 1, 1024),
            ("network.connections_per_minute_max", 1, 100_000),
            ("network.bytes_per_hour_max", 1024, 1 << 40),
            ("network.idle_seconds_max", 1, 86_400),
            ("network.life_seconds_max", 1, 86_400),
        ] {
            for good in [min, max] {
                assert_eq!(config(&format!("{field} = {good}")), Ok(()), "{field} {good}");
            }
            for bad in [min - 1, max + 1] {
                let words = config(&format!("{field} = {bad}")).unwrap_err();
                assert!(words.contains(field) && words.contains(&bad.to_string()), "{words}");
            }
        }
    }

    #[test]
    fn no_confinement_must_be_spelled_out() {
        assert_eq!(config(""), Ok(()));
        assert_eq!(config("dangerous_unconfined = true"), Ok(()));
        assert!(config("tier_min = 'none'").unwrap_err().contains("dangerous_unconfined"));
        for (field, granted) in [
            ("profile", "profile = 'node'"),
            ("read", "read = ['/srv']"),
            ("write", "write = ['/srv']"),
            ("hosts", "hosts = ['example.com']"),
            ("dangerous_private_hosts", "dangerous_private_hosts = ['localhost:1']"),
            ("dangerous_unix_sockets", "dangerous_unix_sockets = true"),
        ] {
            assert_eq!(config(granted), Ok(()));
            let refused = config(&format!("dangerous_unconfined = true\n{granted}")).unwrap_err();
            assert!(refused.contains(&format!("`{field}`")), "{refused}");
        }
        assert!(config("unconfined = true").is_err(), "an unknown key");
        assert!(config("profile = 'rust'").is_err(), "an unknown profile");
    }
}
