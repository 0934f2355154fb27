//! `[telemetry]`: where traces and numbers go.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use schemars::JsonSchema;
use sekisho_gateway::Sampling;
use sekisho_keys::SecretRef;
use serde::Deserialize;

/// Traces and metrics by OpenTelemetry (OTLP over HTTP, protobuf). Off without an endpoint. Numbers for Prometheus are at `[admin]`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// The collector, such as `http://127.0.0.1:4318`; `/v1/traces` and `/v1/metrics` are put behind it. Plain http to loopback only;
    /// a private address needs the option of `[egress]`.
    pub(crate) otlp_endpoint: Option<String>,
    /// Headers for the collector, such as a credential. Values are secret references.
    pub(crate) otlp_headers: BTreeMap<String, SecretRef>,
    /// The share of calls that are traced, from 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(crate) sample_ratio: f64,
    /// How often a second a client may have a call traced by setting the sampled flag, all clients together; past that the flag counts as
    /// nothing: 0, which ignores it, to 1,000,000.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub(crate) client_sampled_per_second_max: u32,
    /// How often metrics are sent, in seconds: 1 to 3600.
    #[schemars(range(min = 1, max = 3600))]
    pub(crate) metrics_seconds: NonZeroU64,
    /// `service.name` of all that is sent.
    pub(crate) service_name: String,
}

/// Why a number or name of `[telemetry]` is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConfigError {
    /// No share.
    #[error("`sample_ratio` must be from 0 to 1")]
    Ratio,
    /// Too seldom.
    #[error("`metrics_seconds` is {0}, limit is 3600")]
    Metrics(u64),
    /// No name.
    #[error("`service_name` must have 1 to 128 visible ASCII characters")]
    Name,
}

impl Default for Config {
    // Off.
    fn default() -> Config {
        Config {
            otlp_endpoint: None,
            otlp_headers: BTreeMap::new(),
            sample_ratio: 0.01,
            client_sampled_per_second_max: 10,
            metrics_seconds: METRICS_SECONDS,
            service_name: "sekisho".to_owned(),
        }
    }
}

impl Config {
    /// What types cannot say: the key and what is wrong with it.
    #[must_use]
    pub(crate) fn problems(&self) -> Vec<(&'static str, ConfigError)> {
        let is_share = (0.0..=1.0).contains(&self.sample_ratio);
        let is_name = (1..=NAME_BYTES_MAX).contains(&self.service_name.len())
            && self.service_name.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        let seconds = self.metrics_seconds.get();
        let checks = [
            ("sample_ratio", is_share, ConfigError::Ratio),
            ("metrics_seconds", seconds <= METRICS_SECONDS_MAX, ConfigError::Metrics(seconds)),
            ("service_name", is_name, ConfigError::Name),
        ];
        checks.into_iter().filter(|(_, good, _)| !good).map(|(key, _, error)| (key, error)).collect()
    }

    /// How much is traced.
    #[must_use]
    pub(crate) fn sampling(&self) -> Sampling {
        Sampling { ratio: self.sample_ratio, client_sampled_per_second_max: self.client_sampled_per_second_max }
    }
}

const METRICS_SECONDS: NonZeroU64 = NonZeroU64::new(60).unwrap();
const METRICS_SECONDS_MAX: u64 = 3600;
const NAME_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn telemetry_is_off_by_default_and_samples_one_call_of_a_hundred() {
        let config = config("");
        assert!(config.otlp_endpoint.is_none() && config.problems().is_empty());
        assert_eq!((config.sample_ratio, config.client_sampled_per_second_max), (0.01, 10));
    }

    #[test]
    fn numbers_hold_at_their_bounds_and_not_past_them() {
        for good in ["sample_ratio = 0", "sample_ratio = 1", "metrics_seconds = 1", "metrics_seconds = 3600"] {
            assert!(config(good).problems().is_empty(), "{good}");
        }
        for (bad, key) in [
            ("sample_ratio = 1.01", "sample_ratio"),
            ("sample_ratio = -0.1", "sample_ratio"),
            ("sample_ratio = nan", "sample_ratio"),
            ("metrics_seconds = 3601", "metrics_seconds"),
            ("service_name = ''", "service_name"),
            ("service_name = \"a\\u202e\"", "service_name"),
        ] {
            assert_eq!(config(bad).problems().first().map(|(key, _)| *key), Some(key), "{bad}");
        }
        for bad in ["metrics_seconds = 0", "sample_ration = 1", "otlp_headers = { a = 'plain' }"] {
            assert!(toml::from_str::<Config>(bad).is_err(), "{bad}");
        }
    }
}
