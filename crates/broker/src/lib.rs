//! **Which client asks for what?** The front of an authorization server for clients that the identity provider does not know (M3,
//! RFC 6749, OAuth 2.1, MCP "Authorization"). This much of it is there: what a client says of itself in a Client ID Metadata Document,
//! where answers may go, what an authorization request says, and the codes that answer it. All of it is done without waiting and
//! without I/O.
//!
//! An [`Authorize`] is the proof that a request names a known client, a redirect URI of that client, a challenge that can be met, and a
//! resource that is served here; nothing else can be consented to. What is wrong before the redirect URI is known to be the client's is
//! for the user's eyes alone and goes nowhere ([`Refused::Page`]); only then may an error be sent back.
//!
//! *Depth still missing*: the endpoints, the fetch of documents, registration, consent and tokens; codes are kept in memory.
#![forbid(unsafe_code)]

mod client;
mod codes;
mod id;
mod metadata;
mod names;
mod parameters;
mod pkce;
mod redirect;
mod request;

pub use client::{AuthenticationError, Client, Mark};
pub use codes::{Brought, Codes, GiveError, RedeemError};
pub use id::{ClientId, ClientIdError, DocumentUrl, Voucher};
pub use metadata::DocumentError;
pub use parameters::{BadParameters, Parameters};
pub use pkce::{Challenge, PkceError};
pub use redirect::{AppSchemes, Redirect, RedirectError, RedirectKind, RedirectUri, SchemeError};
pub use request::{Authorize, ErrorCode, PageError, Refused, Scope, requested};
