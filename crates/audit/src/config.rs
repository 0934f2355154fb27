//! How the log is kept.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the audit log is kept.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What a call waits for before it is forwarded.
    #[serde(default)]
    pub level: Level,
    /// What stands for arguments and results in records. It shows under which name: `arguments_sha256` or `arguments_blake3`.
    #[serde(default)]
    pub payload_digest: Algorithm,
    /// Size at which a new file is started, in bytes: 64 KiB to 1 GiB. A single record that is larger still fits.
    #[serde(default = "segment_bytes_max")]
    #[schemars(range(min = 64 * 1024, max = 1024 * 1024 * 1024))]
    pub segment_bytes_max: u64,
    /// Most records that may wait to be written; further calls are refused: 1 to 1,000,000.
    #[serde(default = "queue_max")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub queue_max: usize,
}

/// What counts as recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The operating system has the record: it outlives a crash of Sekisho, not of the machine.
    #[default]
    Written,
    /// The disk has the record: it outlives a power failure. Every group of calls waits for one disk flush.
    Durable,
}

/// A digest algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// SHA-256 (FIPS 180-4): what auditors and `sha256sum` know.
    #[default]
    Sha256,
    /// BLAKE3, 32 bytes: as hard to forge, and several times as fast on payloads of more than a few KiB. Not approved by FIPS.
    Blake3,
}

impl Default for Config {
    // Numeric bounds and the level that architecture section 5 names; nothing here permits anything.
    fn default() -> Config {
        Config {
            level: Level::default(),
            payload_digest: Algorithm::default(),
            segment_bytes_max: segment_bytes_max(),
            queue_max: queue_max(),
        }
    }
}

fn segment_bytes_max() -> u64 {
    SEGMENT_BYTES_MAX
}

fn queue_max() -> usize {
    QUEUE_MAX
}

const SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
const QUEUE_MAX: usize = 8192;
