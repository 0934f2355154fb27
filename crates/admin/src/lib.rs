//! **How is it?** The operator's own door, apart from that of clients: numbers for Prometheus, and probes. It answers three paths and
//! changes nothing.
//!
//! It never shows an argument, a result, a principal or a secret, and never answers a page that a name was made to point here for (DNS
//! rebinding): `Host` must be an address, `localhost`, or configured.
//!
//! *Depth still missing*: everything else of administration; TLS and authentication, so that it need not stay on loopback.
#![forbid(unsafe_code)]

mod config;
mod door;
mod text;

pub use config::{Config, ConfigError};
pub use door::{Bound, Running, StartError};
