//! **Do it.** [`Upstream::open`] takes a `Recorded<Cleared<Authorized>>` and nothing else, and returns an [`Exchange`]: what the
//! server says, one message at a time, untrusted again.
//!
//! The room never sees the client's credential: it is given none. It copies no header of the client, shares no connection
//! between principals, and lets nothing of one exchange into another: ids and progress tokens are its own, and an answer that nobody
//! asked for is recorded and dropped. A server whose list the policy withholds is not asked for it, and what was decided for a server
//! as it was configured before goes nowhere.
//!
//! *Depth still missing*: bridging of eras, credentials per principal, a wait for the place of a process that is ending (the caller is
//! told that all are in use), the HTTP+SSE transport of 2024-11-05.
#![forbid(unsafe_code)]

mod allowance;
mod ask;
mod backoff;
mod caller;
mod config;
mod confined;
mod digests;
mod error;
mod excess;
mod exchange;
mod hello;
mod kept;
pub mod launch;
mod lessons;
mod link;
mod listening;
mod notes;
mod offer;
mod patience;
mod peer;
mod pool;
mod probe;
mod process;
mod program;
mod setup;
mod stdio;
mod streamable;
mod streamed;
mod tasks;
mod trail;
mod upstream;
mod watch;

pub use config::{Config, ConfigError};
pub use digests::Digests;
pub use error::{SendError, Trouble};
pub use exchange::Exchange;
pub use hello::{Hello, Probing};
pub use offer::{Offer, Spoken, Status};
pub use setup::{Cages, Secrets, StartError};
pub use trail::{Ended, Hop, Tell, Trail, Transport};
pub use upstream::{Replying, Upstream};
pub use watch::Used;

#[cfg(test)]
mod tests;
