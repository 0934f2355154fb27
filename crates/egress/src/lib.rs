//! **May we go there?** [`Destination`] is the proof: this URL may be asked, and by what rules its name becomes addresses.
//! [`Client::check`] tells the same without going.
//!
//! It is the only HTTP client of the product. It speaks TLS 1.3 to everything but loopback, checks addresses after the name was
//! resolved and connects to exactly the checked ones (SSRF; MCP row OC-18), and bounds time and size of every answer.
//! It never follows a redirect of what is sent, and of a document's fetch only within its origin, three times at most. It never
//! asks a proxy, never takes a name for loopback that does not say so, never goes to a private address unless a configuration
//! lists the host or spells out the danger, and never adds a credential.
//!
//! [`Gate`] is the way out of a cage: a proxy with the same eye for addresses, for servers that have no network of their own.
//!
//! *Depth still missing*: client certificates, certificate pins and revocation, an egress proxy of others, and, of the
//! client, connection and rate bounds per destination and a hook for the record of refused addresses.
#![forbid(unsafe_code)]

mod address;
mod body;
mod client;
mod config;
mod destination;
mod gate;
mod internal;
mod line;
mod pool;
mod resolver;
mod trust;
mod verdict;

pub use address::{AddressPermitted, AddressRefused};
pub use body::{Body, BodyError};
pub use client::{Client, FetchError, SendError};
pub use config::Config;
pub use destination::{BadDestination, Destination};
#[doc(hidden)]
pub use gate::seen;
pub use gate::{
    AddressForbidden, Asked, BadGateRules, BadHead, BadHello, BadHostRule, BadPlace, Budget, Cut, Failure, Gate,
    GateBudgets, GateRules, HostRule, NotRecorded, Outcome, Passage, PrivateHost, Refusal, Via,
};
pub use internal::{BadInternalHosts, InternalHosts};
pub use resolver::ResolveError;
pub use trust::NewError;
pub use verdict::{Judged, Verdict};
