//! The only paths that answer without a token: two probes, and the OAuth metadata that tells where to get one.

use http::header::{self, HeaderValue};
use http::{Method, Response, StatusCode};
use sekisho_identity::{Algorithm, ProofsWanted};
use sekisho_wire::json::{Array, Object};
use sekisho_wire::{Endpoint, Json};

use super::body::Body;
use super::{Door, respond};
use crate::snapshot::Rooms;

/// RFC 9728 section 3.1: the path of a resource goes behind this.
pub(super) const METADATA: &str = "/.well-known/oauth-protected-resource";

/// Whether this is an orchestrator's probe.
pub(super) fn is_probe(method: &Method, path: &str) -> bool {
    reads(method) && matches!(path, "/healthz" | "/readyz")
}

/// Whether this is the metadata of a resource, or nothing else that a token would open.
pub(super) fn is_metadata(path: &str) -> bool {
    path.starts_with(METADATA)
}

/// The answer, if the path is public.
pub(super) fn answer(door: &Door, rooms: &Rooms, method: &Method, path: &str) -> Option<Response<Body>> {
    if !reads(method) {
        return None;
    }
    match path {
        "/healthz" => Some(respond::json(StatusCode::OK, status("ok").bytes().clone())),
        "/readyz" if *door.stopping.borrow() => Some(unready("the gateway is shutting down")),
        "/readyz" if rooms.audit.healthy() => Some(respond::json(StatusCode::OK, status("ready").bytes().clone())),
        "/readyz" => Some(unready("the audit log cannot be written")),
        _ => {
            let resource = path.strip_prefix(METADATA)?;
            let endpoint = if resource.is_empty() { Endpoint::All } else { Endpoint::from_path(resource)? };
            metadata(door, rooms, &endpoint)
        }
    }
}

fn unready(words: &str) -> Response<Body> {
    respond::json(StatusCode::SERVICE_UNAVAILABLE, status(words).bytes().clone())
}

fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

fn status(words: &str) -> Json {
    Object::new().text("status", words).finish()
}

/// RFC 9728 section 2 (RS-01). A server that is not configured has none.
fn metadata(door: &Door, rooms: &Rooms, endpoint: &Endpoint) -> Option<Response<Body>> {
    if let Endpoint::One(server) = endpoint {
        rooms.catalog.server(server)?;
    }
    let mut issuers = Array::new();
    rooms.identity.issuers().iter().for_each(|issuer| issuers.push(&Json::text(issuer)));
    let mut ways = Array::new();
    ways.push(&Json::text("header"));
    let mut document = Object::new()
        .text("resource", &rooms.identity.canonical_uri(endpoint))
        .json("authorization_servers", &issuers.finish())
        .json("bearer_methods_supported", &ways.finish())
        .texts("dpop_signing_alg_values_supported", Algorithm::names())
        .bool("tls_client_certificate_bound_access_tokens", door.asks_certificates());
    if rooms.identity.proofs_wanted() == ProofsWanted::Always {
        document = document.bool("dpop_bound_access_tokens_required", true);
    }
    let scopes = &rooms.identity.scopes().supported;
    if !scopes.is_empty() {
        document = document.texts("scopes_supported", scopes.iter().map(String::as_str));
    }
    let document = document.text("resource_name", "Sekisho").finish();
    let mut response = respond::json(StatusCode::OK, document.bytes().clone());
    // Clients that run in a browser read it, too; it is the same for everybody.
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    Some(response)
}
