//! Which policies are loaded.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

/// `[policy]`: who may do what. Without a policy nothing starts.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Files of Cedar policies, relative to the configuration file. All of them hold together: a `forbid` in
    /// one wins over a `permit` in another.
    #[schemars(length(min = 1))]
    pub files: Vec<PathBuf>,
}
