//! Why the `[identity]` section is refused.

use std::path::PathBuf;

use crate::keys::KeySetError;

/// Why the section is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Nobody would be believed.
    #[error(
        "no issuer is configured, so no token could be accepted; give at least one `[[identity.issuers]]` or `[[identity.entra]]`"
    )]
    NoIssuer,
    /// Two entries for one issuer.
    #[error("issuer `{issuer}` is configured twice")]
    IssuerTwice {
        /// The issuer.
        issuer: String,
    },
    /// Not an identifier as RFC 8414 section 2 wants it.
    #[error("issuer `{issuer}` is not an https URL without user, query and fragment")]
    BadIssuer {
        /// The issuer.
        issuer: String,
    },
    /// Keys fetched in the clear can be exchanged on the way.
    #[error("`{url}` is plain http and not a loopback address")]
    PlainHttp {
        /// The offending URL.
        url: String,
    },
    /// The address of the key set is no URL, or names this machine for an issuer elsewhere.
    #[error("the key set address `{url}` of issuer `{issuer}` is not acceptable")]
    BadKeySetUrl {
        /// The issuer.
        issuer: String,
        /// The offending URL.
        url: String,
    },
    /// `jwks_file` and `jwks_url` together.
    #[error("issuer `{issuer}` has both `jwks_file` and `jwks_url`")]
    TwoKeySources {
        /// The issuer.
        issuer: String,
    },
    /// A list that must not be empty, or holds an empty string.
    #[error("`{field}` of issuer `{issuer}` is empty or holds an empty string")]
    Empty {
        /// The issuer.
        issuer: String,
        /// The field.
        field: &'static str,
    },
    /// A claim is named in a form that leads nowhere.
    #[error("`{claim}` (`{field}` of issuer `{issuer}`) is neither a name nor a JSON pointer (`/outer/inner`)")]
    BadClaim {
        /// The issuer.
        issuer: String,
        /// The field.
        field: &'static str,
        /// What was given.
        claim: String,
    },
    /// An endpoint that cannot exist.
    #[error(
        "`{endpoint}` (`endpoint_audiences` of issuer `{issuer}`) is neither `all` nor a name that a server can have"
    )]
    BadEndpoint {
        /// The issuer.
        issuer: String,
        /// What was given.
        endpoint: String,
    },
    /// Tenants are listed, but nothing says where a token names its own.
    #[error("issuer `{issuer}` has `tenants` and no `tenant_claim`, so every token would be refused")]
    NoTenantClaim {
        /// The issuer.
        issuer: String,
    },
    /// Not a scope as RFC 6749 section 3.3 writes them, or one that asks for tokens to be refreshed (RS-12).
    #[error(
        "`{scope}` (`scopes.{field}`) is no scope that may stand here: printable ASCII without space, quote and backslash, and not `offline_access`"
    )]
    BadScope {
        /// The field.
        field: &'static str,
        /// What was given.
        scope: String,
    },
    /// The operating system gave none.
    #[error("the operating system gave no randomness, so nonces could be guessed")]
    NoRandomness,
    /// Not an identifier as Entra ID gives them.
    #[error(
        "`{id}` (`{field}` of `[[identity.entra]]`) is no identifier of Entra ID: lower case, as in 11111111-2222-3333-4444-555555555555"
    )]
    BadEntraId {
        /// The field.
        field: &'static str,
        /// What was given.
        id: String,
    },
    /// A number outside its range.
    #[error("`{field}` is {value}, but must be between {min} and {max}")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// What was given.
        value: u32,
        /// Smallest value.
        min: u32,
        /// Largest value.
        max: u32,
    },
    /// The gateway's own address cannot be part of a canonical URI.
    #[error("public URL `{url}` is not an http or https URL without user, query and fragment")]
    BadPublicUrl {
        /// The offending URL.
        url: String,
    },
    /// The key set file could not be read.
    #[error("key set file `{path}` of issuer `{issuer}` could not be read")]
    ReadKeySet {
        /// The issuer.
        issuer: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The key set file holds no acceptable key set.
    #[error("key set of issuer `{issuer}` is refused")]
    KeySet {
        /// The issuer.
        issuer: String,
        /// What is wrong with it.
        #[source]
        source: KeySetError,
    },
}
