//! **Which client asks for what?** The front of an authorization server for clients that the identity provider does not know (M3,
//! RFC 6749, OAuth 2.1, MCP "Authorization"). This much of it is there: which [`Clients`] there are (by a Client ID Metadata Document,
//! by registration, by configuration), where answers may go, what an authorization request says, and the codes that answer it. Only
//! [`Clients`] waits and does I/O.
//!
//! An [`Authorize`] is the proof that a request names a known client, a redirect URI of that client, a challenge that can be met, and a
//! resource that is served here; nothing else can be consented to. What is wrong before the redirect URI is known to be the client's is
//! for the user's eyes alone and goes nowhere ([`Refused::Page`]); only then may an error be sent back.
//!
//! *Depth still missing*: the endpoints, consent and tokens; codes are kept in memory.
#![forbid(unsafe_code)]

mod client;
mod clients;
mod codes;
mod configured;
mod documents;
mod freshness;
mod id;
mod metadata;
mod names;
mod parameters;
mod pkce;
mod rates;
mod redirect;
mod registration;
mod registrations;
mod request;
#[cfg(test)]
mod testing;
mod trust;

pub use client::{AuthenticationError, Client, Mark};
pub use clients::{Clients, UnknownClient};
pub use codes::{Brought, Codes, GiveError, RedeemError};
pub use configured::{ConfiguredClient, ConfiguredError};
pub use documents::FetchDocumentError;
pub use id::{ClientId, ClientIdError, DocumentUrl, Voucher};
pub use metadata::DocumentError;
pub use parameters::{BadParameters, Parameters};
pub use pkce::{Challenge, PkceError};
pub use redirect::{AppSchemes, Redirect, RedirectError, RedirectKind, RedirectUri, SchemeError};
pub use registration::{Registered, RegistrationError};
pub use registrations::{ChangeError, Registration};
pub use request::{Authorize, ErrorCode, PageError, Refused, Scope, requested};
pub use trust::{ClientsConfig, ClientsConfigError, DocumentsFrom, Untrusted};
