//! The corridor itself: a listener decodes, every room is walked in order, and what a server says walks back.
//!
//! Read [`pipeline`] first: `walk` is the way in, `release` the way back. [`refusal`] is the one map from
//! inner errors to what a client sees. The crate decides nothing of its own: it only puts rooms in order.
//!
//! *Depth still missing*: CORS.
#![forbid(unsafe_code)]

mod annex;
mod challenges;
mod config;
mod hosts;
mod inflight;
mod instruments;
mod listen;
mod own;
pub mod pipeline;
mod progress;
mod record;
pub mod refusal;
mod render;
mod serve;
mod snapshot;
mod strangers;
mod streams;
mod tls;

pub use annex::{Annex, AnnexKind, AnnexKnock, AnnexReply};
pub use config::{ClientCertificates, Config, ConfigError, TlsConfig};
pub use instruments::{
    Distribution, Family, Instruments, Kind, Moment, Parent, Point, Points, Sampling, Span, Unit, Value,
};
pub use listen::Stdio;
pub use serve::{Gateway, Overview, Prepared, Readings, Running, StartError};
pub use snapshot::Parts;
pub use tls::TlsError;

/// The version of this build, in the `serverInfo` of the endpoint of all servers.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
