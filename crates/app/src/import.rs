//! The servers of this machine's MCP clients, run by `sekisho run` instead of by themselves: looked for (`clients`, `source`), understood
//! (`entry`, `narrow`), shown ([`plan`](mod@plan)), done ([`apply`](mod@apply)) and taken back ([`undo`](mod@undo)).
//!
//! It never overwrites what it has not read, and changes nothing that it cannot put back.

pub(crate) mod apply;
pub(crate) mod backup;
pub(crate) mod clients;
mod edit;
mod entry;
mod json;
mod narrow;
pub(crate) mod plan;
pub(crate) mod secrets;
pub(crate) mod sight;
pub(crate) mod source;
pub(crate) mod status;
mod toml;
pub(crate) mod tree;
pub(crate) mod undo;
mod yaml;

/// Whether a program is this one, by its name.
fn is_this(program: &str) -> bool {
    std::path::Path::new(program).file_stem().is_some_and(|name| name == "sekisho")
}

#[cfg(test)]
mod tests;
