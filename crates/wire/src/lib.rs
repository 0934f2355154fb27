//! **What is it?** Bytes become [`Inbound`], an untrusted message with exactly one meaning.
//!
//! The room never waits, reads a file, looks at a clock or repairs bad input: what two parsers could
//! read differently is refused (requirement 1.1; architecture, property 2). The way back has the same
//! door: what a server says becomes [`FromServer`], just as untrusted.
//!
//! In: [`front`] (clients) and [`back`] (servers), both over [`json`]. Out: [`outgoing`], with the
//! [`headers`] that mirror it. Between: [`sse`] and [`lines`], which frame, and [`text`], which makes
//! hidden characters visible.
//!
//! *Depth still missing*: a schema's header annotations are read anew for each call that has some.
#![forbid(unsafe_code)]

pub mod back;
pub mod endpoint;
mod envelope;
pub mod front;
pub mod headers;
pub mod id;
pub mod input;
pub mod json;
pub mod lines;
pub mod listen;
pub mod message;
pub mod method;
pub mod outgoing;
pub mod sampling;
pub mod server;
mod sheet;
pub mod sse;
pub mod task;
pub mod text;
pub mod trace;
pub mod uri;
pub mod version;

pub use endpoint::{Endpoint, ServerId};
pub use id::Id;
pub use input::{Askable, InputKind, InputRequest, InputRequired, Resumed};
pub use json::Json;
pub use listen::{Filter, Listed, Told};
pub use message::{Call, Inbound, ListKind, Notice, Reference, Reply, Request};
pub use method::Method;
pub use server::{Answer, FromServer, Items, RpcError};
pub use sheet::{Remembered, SHEETS_BYTES_MAX, SHEETS_MAX, Sheet, Sheets};
pub use task::{Task, TaskVerb};
pub use text::Sanitized;
pub use trace::Trace;
pub use version::{Era, Version};
