//! What the gateway costs: an MCP server, a load generator, and a comparison with nginx.
//!
//! The three stand apart. [`upstream`] is a server that is cheap and strict, so that a proxy that breaks something is caught and not
//! timed. [`load`] asks it in a closed loop and checks every answer. [`site`] starts both ends and what stands between them, each on
//! its own core; the binary `bench` runs them in alternating rounds.
//!
//! Nothing here knows the inside of the gateway. `docs/performance.md` says how each figure is made.
#![forbid(unsafe_code)]

pub mod load;
pub mod pin;
pub mod row;
pub mod site;
pub mod upstream;
pub mod usage;
