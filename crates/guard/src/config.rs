//! What inspection is bounded by.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[guard]`: bounds of the schemas that servers declare, and how strictly arguments are read.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Longest schema, in bytes: 1 KiB to 16 MiB. A tool with a longer one is withheld.
    #[schemars(range(min = 1024, max = 16 * 1024 * 1024))]
    pub schema_bytes_max: u32,
    /// Deepest nesting of a schema: 8 to 128. A tool with a deeper one is withheld.
    #[schemars(range(min = 8, max = 128))]
    pub schema_depth_max: u16,
    /// How many compiled schemas are kept, 1 to 1,000,000; fewer where they are large, since their memory is bounded too.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub schema_cache_max: u32,
    /// What becomes of arguments that the tool's schema does not mention.
    pub unknown_arguments: UnknownArguments,
}

/// What becomes of arguments that a schema does not mention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownArguments {
    /// What the schema says: JSON Schema accepts them unless it says otherwise.
    AsSchema,
    /// They are refused unless the schema speaks of additional properties itself, in objects inside of them, too.
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
