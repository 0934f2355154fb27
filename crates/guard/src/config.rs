//! What inspection is bounded by.

use schemars::JsonSchema;
use serde::Deserialize;

/// `[guard]`: bounds of the schemas that servers declare, and how strictly arguments are read.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Longest schema, in bytes. A tool with a longer one is withheld.
    pub schema_bytes_max: u32,
    /// Deepest nesting of a schema. A tool with a deeper one is withheld.
    pub schema_depth_max: u16,
    /// How many compiled schemas are kept; fewer where they are large, since their memory is bounded too.
    pub schema_cache_max: u32,
    /// What becomes of arguments that the tool's schema does not mention.
    pub unknown_arguments: UnknownArguments,
}

/// What becomes of arguments that a schema does not mention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownArguments {
    /// What the schema says: JSON Schema accepts them unless it says otherwise.
    AsSchema,
    /// They are refused unless the schema speaks of additional properties itself.
    Refuse,
}

impl Default for Config {
    /// 256 KiB, 64 levels, 4096 schemas; unknown arguments as the approved schema has it.
    fn default() -> Config {
        Config {
            schema_bytes_max: 256 * 1024,
            schema_depth_max: 64,
            schema_cache_max: 4096,
            unknown_arguments: UnknownArguments::AsSchema,
        }
    }
}
