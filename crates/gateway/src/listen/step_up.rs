//! `WWW-Authenticate` for a caller whose token is good and does not suffice: all that is needed in one challenge, since clients read one.
//! Scopes as RFC 6750 section 3.1 has them (RS-09, RS-10), logins as RFC 9470 section 3, contexts as Entra ID's claims challenges.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::HeaderValue;
use sekisho_identity::{Algorithm, Scheme};
use sekisho_wire::json::Object;
use sekisho_wire::{Endpoint, Json};

use super::challenge::{Challenge, metadata_of};
use super::respond::Failed;
use crate::refusal::StepUp;
use crate::snapshot::Rooms;

/// The same, with the challenge that its refusal calls for.
pub(super) fn told(rooms: &Rooms, at: &Endpoint, failed: Failed) -> Failed {
    let Some(step) = &failed.refusal.step_up else { return failed };
    let challenge = header(step, &metadata_of(rooms, at));
    Failed { challenge, ..failed }
}

fn header(step: &StepUp, metadata: &str) -> Option<HeaderValue> {
    let mut challenge = Challenge::new(step.scheme);
    if let Some(context) = &step.context {
        // Microsoft, "Claims challenges, claims requests, and client capabilities".
        challenge.put("realm", "");
        challenge.put("error", "insufficient_claims");
        challenge.put("claims", &BASE64.encode(claims(context).bytes()));
        let authority = step.issuer.strip_suffix("/v2.0").unwrap_or(&step.issuer);
        challenge.put("authorization_uri", &format!("{authority}/oauth2/v2.0/authorize"));
    } else if step.asks_for_login() {
        challenge.put("error", "insufficient_user_authentication");
    } else {
        challenge.put("error", "insufficient_scope");
    }
    if !step.scopes.is_empty() {
        challenge.put("scope", &step.scopes.join(" "));
    }
    if !step.acr_values.is_empty() {
        challenge.put("acr_values", &step.acr_values.join(" "));
    }
    if let Some(seconds) = step.max_age_s {
        challenge.put("max_age", &seconds.to_string());
    }
    if step.scheme == Scheme::Dpop {
        challenge.put("algs", &Algorithm::names().collect::<Vec<_>>().join(" "));
    }
    challenge.put("resource_metadata", metadata);
    challenge.finish()
}

/// A claims request (OpenID Connect Core section 5.5) for an access token of this context.
fn claims(context: &str) -> Json {
    let context = Object::new().bool("essential", true).text("value", context).finish();
    let token = Object::new().json("acrs", &context).finish();
    Object::new().json("access_token", &token).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = "https://gate.example/.well-known/oauth-protected-resource/mcp";
    const TENANT: &str = "https://login.microsoftonline.com/8a6e1d5c-0000-0000-0000-000000000000";

    fn step() -> StepUp {
        StepUp {
            scheme: Scheme::Bearer,
            issuer: "https://issuer.example".into(),
            scopes: Vec::new(),
            acr_values: Vec::new(),
            max_age_s: None,
            context: None,
        }
    }

    fn words(words: &[&str]) -> Vec<Box<str>> {
        words.iter().map(|word| Box::from(*word)).collect()
    }

    #[test]
    fn a_scope_that_lacks_is_told_with_those_that_are_granted() {
        let step = StepUp { scopes: words(&["notes:read", "notes:write"]), ..step() };
        let expected = format!(
            r#"Bearer error="insufficient_scope", scope="notes:read notes:write", resource_metadata="{METADATA}""#
        );
        assert_eq!(header(&step, METADATA).unwrap(), expected);
    }

    #[test]
    fn a_login_is_told_by_its_class_and_age_and_scopes_come_along() {
        let login = StepUp { acr_values: words(&["urn:a", "urn:b"]), max_age_s: Some(900), ..step() };
        let expected = format!(
            r#"Bearer error="insufficient_user_authentication", acr_values="urn:a urn:b", max_age="900", resource_metadata="{METADATA}""#
        );
        assert_eq!(header(&login, METADATA).unwrap(), expected);
        let both = StepUp { scopes: words(&["s"]), max_age_s: Some(1), ..step() };
        let expected = format!(
            r#"Bearer error="insufficient_user_authentication", scope="s", max_age="1", resource_metadata="{METADATA}""#
        );
        assert_eq!(header(&both, METADATA).unwrap(), expected);
    }

    #[test]
    fn a_context_of_entra_is_told_as_a_claims_challenge() {
        let issuer = format!("{TENANT}/v2.0");
        let step = StepUp { issuer: issuer.into(), context: Some("c1".into()), ..step() };
        let claims = BASE64.encode(r#"{"access_token":{"acrs":{"essential":true,"value":"c1"}}}"#);
        let expected = format!(
            r#"Bearer realm="", error="insufficient_claims", claims="{claims}", authorization_uri="{TENANT}/oauth2/v2.0/authorize", resource_metadata="{METADATA}""#
        );
        assert_eq!(header(&step, METADATA).unwrap(), expected);
        let with_scope = StepUp { scopes: words(&["s"]), ..step };
        assert!(
            header(&with_scope, METADATA).unwrap().to_str().unwrap().contains(r#"authorize", scope="s", resource"#)
        );
    }

    #[test]
    fn who_proves_possession_is_challenged_to_and_nothing_ends_a_parameter_early() {
        let step = StepUp { scheme: Scheme::Dpop, scopes: words(&["a\", b=\"c", "d\\\r\n"]), ..step() };
        let header = header(&step, METADATA).unwrap();
        let header = header.to_str().unwrap();
        assert!(header.starts_with(r#"DPoP error="insufficient_scope", scope="a, b=c d", algs=""#), "{header}");
    }
}
