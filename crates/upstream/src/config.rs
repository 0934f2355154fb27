//! How servers are probed, bounded and restarted.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

/// How servers are probed, bounded and restarted. What differs from server to server stands in `[servers.<name>]`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How long one question of a probe may take, in seconds, the start of a process included: 1 to 300.
    #[serde(default = "probe_timeout_seconds")]
    #[schemars(range(min = 1, max = 300))]
    pub probe_timeout_seconds: u64,
    /// Longest pause before a server that is down is tried again, in seconds: 1 to 3600. The pauses double from half a
    /// second.
    #[serde(default = "restart_backoff_max_seconds")]
    #[schemars(range(min = 1, max = 3600))]
    pub restart_backoff_max_seconds: u64,
    /// How long a server may take for its part of a list of many servers, in seconds: 1 to 60, and never longer than its own
    /// `timeout_seconds`. Who is late is missing from the list.
    #[serde(default = "list_timeout_seconds")]
    #[schemars(range(min = 1, max = 60))]
    pub list_timeout_seconds: u64,
    /// Longest message of a server, in bytes: 1 KiB to 256 MiB.
    #[serde(default = "answer_bytes_max")]
    #[schemars(range(min = 1024, max = 256 * 1024 * 1024))]
    pub answer_bytes_max: usize,
    /// Deepest nesting in a message of a server: 8 to 128.
    #[serde(default = "answer_depth_max")]
    #[schemars(range(min = 8, max = 128))]
    pub answer_depth_max: usize,
    /// Most members and elements in a message of a server: 100 to 10,000,000.
    #[serde(default = "answer_nodes_max")]
    #[schemars(range(min = 100, max = 10_000_000))]
    pub answer_nodes_max: usize,
    /// Most pages that the gateway's own listing follows: 1 to 10,000.
    #[serde(default = "list_pages_max")]
    #[schemars(range(min = 1, max = 10_000))]
    pub list_pages_max: usize,
    /// Most items that the gateway's own listing collects: 1 to 100,000.
    #[serde(default = "list_items_max")]
    #[schemars(range(min = 1, max = 100_000))]
    pub list_items_max: usize,
    /// Most lines in a row on a process's standard output that are no MCP message, before it is restarted: 0 to
    /// 100,000.
    #[serde(default = "garbage_lines_max")]
    #[schemars(range(min = 0, max = 100_000))]
    pub garbage_lines_max: u32,
    /// Most lines of a process's error stream that are recorded in a minute: 0 to 10,000. The rest is counted only.
    #[serde(default = "stderr_lines_max")]
    #[schemars(range(min = 0, max = 10_000))]
    pub stderr_lines_max: u32,
    /// Longest line of a process's error stream, in bytes: 64 to 64 KiB. A longer one is only counted.
    #[serde(default = "stderr_line_bytes_max")]
    #[schemars(range(min = 64, max = 64 * 1024))]
    pub stderr_line_bytes_max: usize,
}

impl Default for Config {
    // Numeric bounds only; nothing here permits anything.
    fn default() -> Config {
        Config {
            probe_timeout_seconds: probe_timeout_seconds(),
            restart_backoff_max_seconds: restart_backoff_max_seconds(),
            list_timeout_seconds: list_timeout_seconds(),
            answer_bytes_max: answer_bytes_max(),
            answer_depth_max: answer_depth_max(),
            answer_nodes_max: answer_nodes_max(),
            list_pages_max: list_pages_max(),
            list_items_max: list_items_max(),
            garbage_lines_max: garbage_lines_max(),
            stderr_lines_max: stderr_lines_max(),
            stderr_line_bytes_max: stderr_line_bytes_max(),
        }
    }
}

/// Why an `[upstream]` section is refused: a number outside its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` is {value}, but must be between {min} and {max}")]
pub struct ConfigError {
    /// The field.
    pub field: &'static str,
    /// What was given.
    pub value: u64,
    /// Smallest value.
    pub min: u64,
    /// Largest value.
    pub max: u64,
}

impl Config {
    /// Checks what types cannot say.
    ///
    /// # Errors
    /// [`ConfigError`], the first number outside its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let size = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
        #[rustfmt::skip]
        let numbers = [
            ("probe_timeout_seconds", self.probe_timeout_seconds, 1, 300),
            ("restart_backoff_max_seconds", self.restart_backoff_max_seconds, 1, 3600),
            ("list_timeout_seconds", self.list_timeout_seconds, 1, 60),
            ("answer_bytes_max", size(self.answer_bytes_max), 1024, 256 * 1024 * 1024),
            ("answer_depth_max", size(self.answer_depth_max), 8, 128),
            ("answer_nodes_max", size(self.answer_nodes_max), 100, 10_000_000),
            ("list_pages_max", size(self.list_pages_max), 1, 10_000),
            ("list_items_max", size(self.list_items_max), 1, 100_000),
            ("garbage_lines_max", u64::from(self.garbage_lines_max), 0, 100_000),
            ("stderr_lines_max", u64::from(self.stderr_lines_max), 0, 10_000),
            ("stderr_line_bytes_max", size(self.stderr_line_bytes_max), 64, 64 * 1024),
        ];
        match numbers.into_iter().find(|(_, value, min, max)| !(min..=max).contains(&value)) {
            Some((field, value, min, max)) => Err(ConfigError { field, value, min, max }),
            None => Ok(()),
        }
    }

    pub(crate) fn probe_timeout(&self) -> Duration {
        Duration::from_secs(self.probe_timeout_seconds)
    }

    pub(crate) fn backoff_max(&self) -> Duration {
        Duration::from_secs(self.restart_backoff_max_seconds)
    }

    pub(crate) fn list_timeout(&self) -> Duration {
        Duration::from_secs(self.list_timeout_seconds)
    }

    pub(crate) fn answer_limits(&self) -> sekisho_wire::json::Limits {
        sekisho_wire::json::Limits {
            bytes_max: self.answer_bytes_max,
            depth_max: self.answer_depth_max,
            nodes_max: self.answer_nodes_max,
        }
    }
}

fn probe_timeout_seconds() -> u64 {
    10
}

fn restart_backoff_max_seconds() -> u64 {
    30
}

fn list_timeout_seconds() -> u64 {
    10
}

fn answer_bytes_max() -> usize {
    16 * 1024 * 1024
}

fn answer_depth_max() -> usize {
    64
}

fn answer_nodes_max() -> usize {
    500_000
}

fn list_pages_max() -> usize {
    64
}

fn list_items_max() -> usize {
    10_000
}

fn garbage_lines_max() -> u32 {
    32
}

fn stderr_lines_max() -> u32 {
    30
}

fn stderr_line_bytes_max() -> usize {
    4096
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_hold_at_their_bound_and_not_past_it() {
        let with = |probe_timeout_seconds| Config { probe_timeout_seconds, ..Config::default() }.check();
        assert!(Config::default().check().is_ok() && with(1).is_ok() && with(300).is_ok());
        let past = with(301).unwrap_err().to_string();
        assert_eq!(past, "`probe_timeout_seconds` is 301, but must be between 1 and 300");
        assert!(with(0).is_err());
        let listing = |list_timeout_seconds| Config { list_timeout_seconds, ..Config::default() }.check();
        assert!(listing(1).is_ok() && listing(60).is_ok());
        assert!(listing(0).is_err() && listing(61).is_err());
    }
}
