//! Against real processes and a real HTTP server.

mod corridor;
mod demand;
mod http;
mod peers;
mod resumption;
mod rooms;
mod site;
mod stdio;
pub(crate) mod support;
