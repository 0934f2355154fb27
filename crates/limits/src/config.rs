//! `[limits]`: how much at once, how fast, how long and how large.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use sekisho_wire::json;
use serde::Deserialize;

/// `[limits]`: how much at once, how fast, how long and how large. Every bound of the listener and of a principal.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Requests of one principal in a minute, on average: 1 to 1,000,000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests_per_minute: u32,
    /// Requests that one principal may send at once before that average counts: 1 to 100,000.
    #[schemars(range(min = 1, max = 100_000))]
    pub burst: u32,
    /// Requests of one principal that are under way at once: 1 to 10,000.
    #[schemars(range(min = 1, max = 10_000))]
    pub concurrent_max: u32,
    /// Streams on which one principal listens to servers at once: 1 to 10,000. They do not count as requests under way.
    #[schemars(range(min = 1, max = 10_000))]
    pub streams_max: u32,
    /// Principals that are counted at once, 16 to 1,000,000. Beyond, the one that has been idle longest is forgotten.
    #[schemars(range(min = 16, max = 1_000_000))]
    pub principals_max: u32,
    /// Longest body of a request, in bytes: 1 KiB to 64 MiB.
    #[schemars(range(min = 1024, max = 64 * 1024 * 1024))]
    pub body_bytes_max: u32,
    /// Deepest nesting of a request's JSON: 8 to 128.
    #[schemars(range(min = 8, max = 128))]
    pub json_depth_max: u32,
    /// Most members and elements of a request's JSON: 100 to 1,000,000.
    #[schemars(range(min = 100, max = 1_000_000))]
    pub json_nodes_max: u32,
    /// Longest head of a request, in bytes: 4 KiB to 256 KiB.
    #[schemars(range(min = 4096, max = 256 * 1024), extend("x-restart" = true))]
    pub header_bytes_max: u32,
    /// Most header lines of a request: 16 to 1,000.
    #[schemars(range(min = 16, max = 1000), extend("x-restart" = true))]
    pub header_count_max: u32,
    /// How long a client may take for a request's head, in seconds: 1 to 300.
    #[schemars(range(min = 1, max = 300), extend("x-restart" = true))]
    pub header_read_timeout_seconds: u32,
    /// How long a client may take for a request's body, in seconds: 1 to 3600.
    #[schemars(range(min = 1, max = 3600))]
    pub body_read_timeout_seconds: u32,
    /// How long a request may take altogether, in seconds: 1 to 86,400.
    #[schemars(range(min = 1, max = 86_400))]
    pub request_timeout_seconds: u32,
    /// Connections of all clients at once: 1 to 1,000,000.
    #[schemars(range(min = 1, max = 1_000_000), extend("x-restart" = true))]
    pub connections_max: u32,
    /// Streams of one HTTP/2 connection at once: 1 to 1,000.
    #[schemars(range(min = 1, max = 1000), extend("x-restart" = true))]
    pub http2_streams_max: u32,
}

impl Default for Config {
    // Numeric bounds only; nothing here permits anything.
    fn default() -> Config {
        Config {
            requests_per_minute: 600,
            burst: 100,
            concurrent_max: 32,
            streams_max: 64,
            principals_max: 10_000,
            body_bytes_max: 4 * 1024 * 1024,
            json_depth_max: 64,
            json_nodes_max: 100_000,
            header_bytes_max: 32 * 1024,
            header_count_max: 100,
            header_read_timeout_seconds: 10,
            body_read_timeout_seconds: 30,
            request_timeout_seconds: 300,
            connections_max: 4096,
            http2_streams_max: 128,
        }
    }
}

/// Why a `[limits]` section is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A number outside its range.
    #[error("`{field}` is {value}, but must be between {min} and {max}")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// What was given.
        value: u32,
        /// Smallest value.
        min: u32,
        /// Largest value.
        max: u32,
    },
}

/// The bounds of the listener, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// Connections of all clients at once.
    pub connections_max: usize,
    /// Streams of one HTTP/2 connection at once.
    pub http2_streams_max: u32,
    /// Longest head of a request, in bytes.
    pub header_bytes_max: usize,
    /// Most header lines of a request.
    pub header_count_max: usize,
    /// How long a client may take for a request's head.
    pub header_read_timeout: Duration,
    /// Longest body of a request, in bytes.
    pub body_bytes_max: usize,
    /// How long a client may take for a request's body.
    pub body_read_timeout: Duration,
    /// How long a request may take altogether.
    pub request_timeout: Duration,
    /// Bounds of a request's JSON.
    pub json: json::Limits,
}

/// The bounds of one principal, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) requests_per_minute: NonZeroU32,
    pub(crate) burst: NonZeroU32,
    pub(crate) concurrent_max: u32,
    pub(crate) streams_max: u32,
    pub(crate) principals_max: usize,
}

impl Config {
    pub(crate) fn bounds(&self) -> Result<Bounds, ConfigError> {
        let seconds = |value: u32| Duration::from_secs(u64::from(value));
        let body_bytes_max = size(within("body_bytes_max", self.body_bytes_max, 1024, 64 * 1024 * 1024)?);
        Ok(Bounds {
            connections_max: size(within("connections_max", self.connections_max, 1, 1_000_000)?),
            http2_streams_max: within("http2_streams_max", self.http2_streams_max, 1, 1000)?,
            header_bytes_max: size(within("header_bytes_max", self.header_bytes_max, 4096, 256 * 1024)?),
            header_count_max: size(within("header_count_max", self.header_count_max, 16, 1000)?),
            header_read_timeout: seconds(within(
                "header_read_timeout_seconds",
                self.header_read_timeout_seconds,
                1,
                300,
            )?),
            body_bytes_max,
            body_read_timeout: seconds(within("body_read_timeout_seconds", self.body_read_timeout_seconds, 1, 3600)?),
            request_timeout: seconds(within("request_timeout_seconds", self.request_timeout_seconds, 1, 86_400)?),
            json: json::Limits {
                bytes_max: body_bytes_max,
                depth_max: size(within("json_depth_max", self.json_depth_max, 8, 128)?),
                nodes_max: size(within("json_nodes_max", self.json_nodes_max, 100, 1_000_000)?),
            },
        })
    }

    pub(crate) fn share(&self) -> Result<Share, ConfigError> {
        Ok(Share {
            requests_per_minute: above_zero(within("requests_per_minute", self.requests_per_minute, 1, 1_000_000)?),
            burst: above_zero(within("burst", self.burst, 1, 100_000)?),
            concurrent_max: within("concurrent_max", self.concurrent_max, 1, 10_000)?,
            streams_max: within("streams_max", self.streams_max, 1, 10_000)?,
            principals_max: size(within("principals_max", self.principals_max, 16, 1_000_000)?),
        })
    }
}

fn within(field: &'static str, value: u32, min: u32, max: u32) -> Result<u32, ConfigError> {
    if (min..=max).contains(&value) { Ok(value) } else { Err(ConfigError::OutOfRange { field, value, min, max }) }
}

/// A `u32` fits: no machine this runs on has a smaller `usize`.
fn size(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// The smallest permitted value is 1, so that the other branch is never taken.
fn above_zero(value: u32) -> NonZeroU32 {
    NonZeroU32::new(value).unwrap_or(NonZeroU32::MIN)
}
