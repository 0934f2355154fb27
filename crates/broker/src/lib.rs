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

mod account;
mod answers;
mod authorize;
mod broker;
mod client;
mod clients;
mod codes;
mod config;
mod configured;
mod consent;
mod consents;
mod cookies;
mod devices;
mod discovery;
mod documents;
mod flows;
mod freshness;
mod grants;
mod id;
mod kept;
mod logins;
mod metadata;
mod mint;
mod names;
mod operator;
mod pages;
mod parameters;
mod paths;
mod people;
mod pkce;
mod problems;
mod pushed;
mod rates;
mod redirect;
mod registration;
mod registrations;
mod request;
mod resources;
mod secrets;
#[cfg(test)]
mod testing;
mod token;
mod trust;
mod wanted;

pub use answers::Reply;
pub use broker::{BODY_BYTES_MAX, Broker, Keys, Kind, Knock, Parts, StartError};
pub use client::{AuthenticationError, Client, Mark};
pub use clients::{Clients, UnknownClient};
pub use codes::{Brought, Codes, GiveError, RedeemError};
pub use config::{ACCESS_SECONDS_MAX, Config, ConfigError, Lifetimes};
pub use configured::{ConfiguredClient, ConfiguredError};
pub use consents::Consent;
pub use documents::FetchDocumentError;
pub use id::{ClientId, ClientIdError, DocumentUrl, Voucher};
pub use metadata::DocumentError;
pub use operator::OrderError;
pub use parameters::{BadParameters, Parameters};
pub use pkce::{Challenge, PkceError};
pub use redirect::{AppSchemes, Redirect, RedirectError, RedirectKind, RedirectUri, SchemeError};
pub use registration::{Registered, RegistrationError};
pub use registrations::{ChangeError, Registration};
pub use request::{Authorize, ErrorCode, PageError, Refused, Scope, requested};
pub use resources::{Resource, Resources, Tool};
pub use trust::{ClientsConfig, ClientsConfigError, DocumentsFrom, Untrusted};

/// An error and what it comes of, on one line, for the record.
pub(crate) fn chain(error: &dyn std::error::Error) -> Box<str> {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    words.into()
}
