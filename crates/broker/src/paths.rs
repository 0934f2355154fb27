//! Where things are, below the gateway's own origin.

pub(crate) const AUTHORIZE: &str = "/oauth/authorize";
pub(crate) const CONSENT: &str = "/oauth/consent";
pub(crate) const CALLBACK: &str = "/oauth/callback";
pub(crate) const TOKEN: &str = "/oauth/token";
pub(crate) const REGISTER: &str = "/oauth/register";
pub(crate) const REVOKE: &str = "/oauth/revoke";
pub(crate) const INTROSPECT: &str = "/oauth/introspect";
pub(crate) const PUSH: &str = "/oauth/par";
pub(crate) const KEYS: &str = "/oauth/jwks";
pub(crate) const DEVICE_ASK: &str = "/oauth/device_authorization";
pub(crate) const DEVICE: &str = "/oauth/device";
pub(crate) const CONSENTS: &str = "/oauth/consents";
pub(crate) const CONSENTS_REVOKE: &str = "/oauth/consents/revoke";
pub(crate) const LOGOUT: &str = "/oauth/logout";
pub(crate) const STYLE: &str = "/oauth/style.css";
pub(crate) const METADATA: &str = "/.well-known/oauth-authorization-server";
pub(crate) const OPENID: &str = "/.well-known/openid-configuration";
