//! How the gateway goes out.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::internal::InternalHosts;

/// How the gateway reaches servers, key sets and other documents over HTTP.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Longest time for a TCP connection to be made, in milliseconds, for all addresses of a name together: 1 to 600,000.
    #[serde(default = "connect_timeout_ms")]
    #[schemars(range(min = 1, max = 600_000))]
    pub connect_timeout_ms: u64,
    /// Longest silence of a server in the middle of its answer, in milliseconds: 1 to 3,600,000.
    #[serde(default = "timeout_ms")]
    #[schemars(range(min = 1, max = 3_600_000))]
    pub timeout_ms: u64,
    /// Longest body of an answer, in bytes: 1 KiB to 1 GiB.
    #[serde(default = "response_bytes_max")]
    #[schemars(range(min = 1024, max = 1024 * 1024 * 1024))]
    pub response_bytes_max: u64,
    /// A PEM file of certificate authorities to trust besides the system's. A relative path starts from the folder of this
    /// configuration.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Hosts that may be at private addresses (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 and fc00::/7) though others may not: at
    /// most 64 names such as `idp.corp.example`, exact and in lower case, or such addresses themselves. Whoever controls the DNS of
    /// a listed name chooses among the private addresses. Loopback and special addresses, such as those of metadata services, stay
    /// refused.
    #[serde(default)]
    #[schemars(with = "Vec<String>", length(max = 64), inner(length(max = 254), pattern("^[a-z0-9_.:-]+$")))]
    pub internal_hosts: InternalHosts,
    /// Whether servers may be at private addresses: 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 and fc00::/7. Whoever controls the
    /// DNS of a configured name can then point the gateway into your network.
    #[serde(default)]
    pub dangerous_allow_private_networks: bool,
}

impl Default for Config {
    // Numeric bounds, and no to all that is dangerous.
    fn default() -> Config {
        Config {
            connect_timeout_ms: connect_timeout_ms(),
            timeout_ms: timeout_ms(),
            response_bytes_max: response_bytes_max(),
            ca_file: None,
            internal_hosts: InternalHosts::default(),
            dangerous_allow_private_networks: false,
        }
    }
}

fn connect_timeout_ms() -> u64 {
    CONNECT_TIMEOUT_MS
}

fn timeout_ms() -> u64 {
    TIMEOUT_MS
}

fn response_bytes_max() -> u64 {
    RESPONSE_BYTES_MAX
}

const CONNECT_TIMEOUT_MS: u64 = 5_000;
const TIMEOUT_MS: u64 = 30_000;
const RESPONSE_BYTES_MAX: u64 = 16 * 1024 * 1024;
