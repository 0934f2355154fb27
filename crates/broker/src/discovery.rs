//! What clients are told of this authorization server (RFC 8414, OpenID Connect Discovery 1.0), and its key.

use sekisho_keys::SigningKey;
use sekisho_wire::Json;
use sekisho_wire::json::{Array, Limits, Object};

use crate::paths;

/// What is offered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offered<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) takes_documents: bool,
    pub(crate) takes_registrations: bool,
    pub(crate) takes_devices: bool,
    pub(crate) takes_secrets: bool,
    pub(crate) scopes: &'a [Box<str>],
}

/// The document of RFC 8414 section 2. OpenID Connect's has what it must have besides, although nobody logs in here.
pub(crate) fn document(of: &Offered<'_>, is_openid: bool) -> Json {
    let at = |path: &str| format!("{}{path}", of.issuer);
    let mut grants = vec!["authorization_code", "refresh_token"];
    if of.takes_devices {
        grants.push(crate::devices::GRANT_TYPE);
    }
    let mut authentication = vec!["none"];
    if of.takes_secrets {
        authentication.extend(["client_secret_basic", "client_secret_post"]);
    }
    let mut document = Object::new()
        .text("issuer", of.issuer)
        .text("authorization_endpoint", &at(paths::AUTHORIZE))
        .text("token_endpoint", &at(paths::TOKEN))
        .text("jwks_uri", &at(paths::KEYS))
        .text("revocation_endpoint", &at(paths::REVOKE))
        .text("introspection_endpoint", &at(paths::INTROSPECT))
        .text("pushed_authorization_request_endpoint", &at(paths::PUSH))
        .texts("response_types_supported", ["code"])
        .texts("response_modes_supported", ["query"])
        .texts("grant_types_supported", grants)
        .texts("code_challenge_methods_supported", ["S256"])
        .texts("token_endpoint_auth_methods_supported", authentication.iter().copied())
        .texts("revocation_endpoint_auth_methods_supported", authentication.iter().copied())
        .texts("introspection_endpoint_auth_methods_supported", authentication.iter().copied())
        .texts("dpop_signing_alg_values_supported", sekisho_identity::Algorithm::names())
        .texts("scopes_supported", of.scopes.iter().map(AsRef::as_ref))
        .bool("authorization_response_iss_parameter_supported", true)
        .bool("client_id_metadata_document_supported", of.takes_documents);
    if of.takes_registrations {
        document = document.text("registration_endpoint", &at(paths::REGISTER));
    }
    if of.takes_devices {
        document = document.text("device_authorization_endpoint", &at(paths::DEVICE_ASK));
    }
    if is_openid {
        document = document
            .texts("subject_types_supported", ["public"])
            .texts("id_token_signing_alg_values_supported", ["ES256"]);
    }
    document.finish()
}

/// The key set (RFC 7517 section 5).
pub(crate) fn key_set(key: &SigningKey) -> Json {
    let mut keys = Array::new();
    let entry = Json::decode(key.public_jwk().to_owned().into(), &Limits::default());
    entry.iter().for_each(|entry| keys.push(entry));
    Object::new().json("keys", &keys.finish()).finish()
}
