//! What claims become: scopes that contain others, nested roles, tenants, attributes, and claims that a token must have (7.3).

use sekisho_identity::{ConfigError, Groups, Identity, Kind, TokenError};
use sekisho_wire::{Endpoint, ServerId};
use serde_json::json;
use url::Url;

use crate::support::*;

#[tokio::test]
async fn claims_are_found_by_name_and_by_pointer() {
    let room = Room::with(
        "roles_claim = \"/realm_access/roles\"\ngroups_claim = \"groups\"\ntenant_claim = \"org\"\n\
         attributes = { department = \"/employee/department\", level = \"/employee/level\", on_call = \"on_call\" }",
    );
    let change = json!({ "realm_access": { "roles": ["admin", "user"] }, "groups": "g", "org": "acme",
        "employee": { "department": "finance", "level": 7 }, "on_call": true });
    let verified = room.verify(&token(&claims_with(change))).await.unwrap();
    let who = verified.principal();
    assert_eq!(who.roles(), [Box::from("admin"), Box::from("user")]);
    assert_eq!((who.groups(), who.tenant(), who.kind()), (&Groups::Known(vec!["g".into()]), "acme", Kind::Unknown));
    let attribute = |name: &str| who.attributes().iter().find(|(own, _)| **own == *name).map(|(_, value)| &**value);
    assert_eq!(["department", "level", "on_call"].map(attribute), [Some("finance"), Some("7"), Some("true")]);
    // What is not there, or no word, is no attribute.
    let change = json!({ "employee": { "department": ["finance"] } });
    let verified = room.verify(&token(&claims_with(change))).await.unwrap();
    assert!(verified.principal().attributes().is_empty() && verified.principal().roles().is_empty());
    let machine = room.verify(&token(&claims_with(json!({ "sub": "app" })))).await.unwrap();
    assert_eq!(machine.principal().kind(), Kind::Application, "subject and client are one (RFC 9068 section 2.2)");
}

#[tokio::test]
async fn tenants_and_required_claims_let_in_whom_they_name() {
    let room = Room::with(
        "tenant_claim = \"org\"\ntenants = [\"acme\"]\nrequired_claims = { email_verified = [\"true\"], \"/a/b\" = [\"x\", \"y\"] }",
    );
    let good = json!({ "org": "acme", "email_verified": true, "a": { "b": ["z", "y"] } });
    let outcome = async |key: &str, value: serde_json::Value| {
        let mut change = good.clone();
        change[key] = value;
        room.verify(&token(&claims_with(change))).await.map(drop)
    };
    assert_eq!(outcome("org", json!("acme")).await, Ok(()));
    assert_eq!(outcome("org", json!("ACME")).await, Err(TokenError::WrongTenant));
    assert_eq!(outcome("org", json!(null)).await, Err(TokenError::WrongTenant));
    assert_eq!(outcome("org", json!(["acme"])).await, Err(TokenError::Garbled));
    assert_eq!(outcome("email_verified", json!(false)).await, Err(TokenError::ClaimRefused));
    assert_eq!(outcome("email_verified", json!(null)).await, Err(TokenError::ClaimRefused));
    assert_eq!(outcome("a", json!({ "b": "x" })).await, Ok(()));
    assert_eq!(outcome("a", json!({ "b": "z" })).await, Err(TokenError::ClaimRefused));
    assert_eq!(outcome("a", json!({ "b": [] })).await, Err(TokenError::ClaimRefused));
}

#[tokio::test]
async fn a_scope_brings_those_that_it_contains() {
    let room = Room::with("[scopes.implied]\n\"mcp:admin\" = [\"mcp:tools\", \"mcp:write\"]");
    let verified = room.verify(&token(&claims_with(json!({ "scope": "mcp:admin /" })))).await.unwrap();
    let scopes: Vec<&str> = verified.principal().scopes().iter().map(|scope| &**scope).collect();
    assert_eq!(scopes, ["mcp:admin", "mcp:tools", "mcp:write"]);
    // And so would a token after a step-up.
    let plain = room.verify(&token(&claims_with(json!({ "scope": "other" })))).await.unwrap();
    let more = sekisho_identity::Supposed { scopes: vec!["mcp:admin".into()], ..Default::default() };
    let supposed = plain.principal().supposing(&more);
    let scopes: Vec<&str> = supposed.scopes().iter().map(|scope| &**scope).collect();
    assert_eq!(scopes, ["other", "mcp:admin", "mcp:tools", "mcp:write"]);
}

#[tokio::test]
async fn an_endpoint_may_have_an_audience_of_its_own() {
    let room = Room::with(
        "audiences = [\"api://all\"]\nendpoint_audiences = { notes = [\"api://notes\"], all = [\"api://door\"] }",
    );
    let notes = Endpoint::One(ServerId::parse("notes").unwrap());
    let files = Endpoint::One(ServerId::parse("files").unwrap());
    for (audience, at_all, at_notes, at_files) in
        [("api://notes", false, true, false), ("api://door", true, false, false), ("api://all", false, false, true)]
    {
        let token = token(&claims_with(json!({ "aud": audience })));
        for (endpoint, expected) in [(&Endpoint::All, at_all), (&notes, at_notes), (&files, at_files)] {
            let outcome = room.verify_at(&token, endpoint, now()).await.map(drop);
            let expected = if expected { Ok(()) } else { Err(TokenError::WrongAudience) };
            assert_eq!(outcome, expected, "{audience} at {}", endpoint.path());
        }
    }
}

#[tokio::test]
async fn how_somebody_logged_in_is_read() {
    let room = Room::new();
    let change = json!({ "acr": "urn:mfa", "amr": ["pwd", "otp"], "auth_time": NOW - 60, "acrs": "c1" });
    let verified = room.verify(&token(&claims_with(change))).await.unwrap();
    let authentication = verified.principal().authentication();
    assert_eq!((&*authentication.class, authentication.at), ("urn:mfa", Some(at(NOW - 60))));
    assert_eq!((authentication.methods.len(), authentication.contexts.len()), (2, 1));
    for wrong in
        [json!({ "acr": 1 }), json!({ "amr": { "a": 1 } }), json!({ "auth_time": "now" }), json!({ "amr": [""] })]
    {
        assert_eq!(
            room.verify(&token(&claims_with(wrong.clone()))).await.map(drop),
            Err(TokenError::Garbled),
            "{wrong}"
        );
    }
}

#[test]
fn a_mapping_that_leads_nowhere_is_refused_at_start() {
    let build = |lines: &str| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("jwks.json"), keys().key_set().to_string()).unwrap();
        let text = format!("[[issuers]]\nissuer = \"{ISSUER}\"\njwks_file = \"jwks.json\"\n{lines}");
        Identity::new(&config(&text), dir.path(), &Url::parse(PUBLIC_URL).unwrap(), client(), passing()).map(drop)
    };
    assert!(build("roles_claim = \"/a/b\"").is_ok());
    for bad in ["roles_claim = \"\"", "groups_claim = \"/\"", "tenant_claim = \"//\"", "attributes = { a = \"\" }"] {
        assert!(matches!(build(bad), Err(ConfigError::BadClaim { .. })), "{bad}");
    }
    assert!(matches!(build("tenants = [\"a\"]"), Err(ConfigError::NoTenantClaim { .. })));
    assert!(matches!(build("required_claims = { a = [] }"), Err(ConfigError::Empty { .. })));
    assert!(matches!(build("endpoint_audiences = { all = [] }"), Err(ConfigError::Empty { .. })));
    assert!(matches!(build("endpoint_audiences = { \"a/b\" = [\"x\"] }"), Err(ConfigError::BadEndpoint { .. })));
    assert!(matches!(build("[scopes]\ninitial = [\"offline_access\"]"), Err(ConfigError::BadScope { .. })));
    assert!(matches!(build("[dpop]\nproof_age_seconds_max = 301"), Err(ConfigError::OutOfRange { .. })));
}

#[tokio::test]
async fn a_token_is_explained_up_to_the_first_check_that_fails() {
    let room = Room::new();
    let explain = async |token: &str| room.identity.explain(token, &Endpoint::All, now()).await;
    let good = explain(&token(&claims())).await;
    assert!(good.refused.is_none() && good.steps.iter().all(|step| step.outcome.is_ok()), "{good:?}");
    let fact = |name: &str| good.principal.iter().find(|(own, _)| *own == name).map(|(_, value)| value.clone());
    assert_eq!(fact("principal").unwrap(), format!("Sekisho::User::\"{ISSUER}#alice\""));
    assert_eq!(fact("scopes").unwrap(), "mcp:tools, mcp:prompts");
    let expired = explain(&token(&claims_with(json!({ "exp": NOW - 100, "iat": NOW - 200 })))).await;
    assert_eq!(expired.refused, Some(TokenError::Expired));
    assert!(expired.principal.is_empty() && expired.steps.last().unwrap().outcome.is_err());
    let foreign = explain(&token(&claims_with(json!({ "iss": "https://other.example" })))).await;
    assert_eq!((foreign.steps.last().unwrap().check, foreign.refused), ("issuer", Some(TokenError::UnknownIssuer)));
    // No value of a claim that is nobody's business, and no part of the token itself.
    let secret = explain(&token(&claims_with(json!({ "email": "ann@home.example" })))).await;
    assert!(!format!("{secret:?}").contains("ann@home.example"));
}

#[tokio::test]
async fn an_application_is_told_from_a_user_where_that_is_configured_and_by_nothing_else() {
    let kind = async |room: &Room, change: serde_json::Value| {
        room.verify(&token(&claims_with(change))).await.unwrap().principal().kind()
    };
    let plain = Room::new();
    assert_eq!(kind(&plain, json!({ "gty": "client-credentials" })).await, Kind::Unknown);
    assert_eq!(kind(&plain, json!({ "sub": "app" })).await, Kind::Application);
    let told = Room::with("application_claims = { gty = [\"client-credentials\"], \"/idp/flow\" = [\"m2m\"] }");
    assert_eq!(kind(&told, json!({})).await, Kind::User);
    assert_eq!(kind(&told, json!({ "gty": "client-credentials" })).await, Kind::Application);
    assert_eq!(kind(&told, json!({ "idp": { "flow": "m2m" } })).await, Kind::Application);
    assert_eq!(kind(&told, json!({ "gty": "password" })).await, Kind::User);
}

#[tokio::test]
async fn a_client_and_a_type_are_found_where_an_issuer_has_them() {
    let room = Room::with("client_claim = \"cid\"\ntoken_types = [\"absent\"]");
    let claims = claims_with(json!({ "cid": "portal" }));
    let untyped = signed(&json!({ "alg": "ES256", "kid": "ec" }), &claims);
    assert_eq!(room.verify(&untyped).await.unwrap().principal().client(), "portal");
    assert_eq!(room.verify(&token(&claims)).await.map(drop), Err(TokenError::WrongType));
    assert_eq!(Room::new().verify(&untyped).await.map(drop), Err(TokenError::WrongType));
}
