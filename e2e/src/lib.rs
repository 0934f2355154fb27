//! What the end-to-end tests are made of: the real binary, real MCP clients and servers, an issuer of tokens, and a way to send
//! exact bytes.
//!
//! Nothing here knows the inside of the gateway: it is started as a process and spoken to over sockets, as anybody would.
//!
//! **Depth still missing:** a clock that tests can move.
#![forbid(unsafe_code)]

pub mod client;
pub mod collector;
pub mod dpop;
pub mod facade;
pub mod fixture;
pub mod gateway;
pub mod idp;
pub mod issuer;
pub mod line;
pub mod matrix;
pub mod museum;
pub mod peers;
pub mod place;
pub mod process;
pub mod prometheus;
pub mod raw;
pub mod recorder;
pub mod servers;
pub mod shim;
pub mod tls;
