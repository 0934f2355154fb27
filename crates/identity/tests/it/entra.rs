//! Tokens of Entra ID, version 2.0 (S6): what they look like, and what is none.

use sekisho_identity::{ConfigError, Groups, Identity, Kind, TokenError};
use sekisho_wire::Endpoint;
use serde_json::{Value, json};
use url::Url;

use crate::remote::Server;
use crate::support::*;

const APPLICATION: &str = "11111111-2222-3333-4444-555555555555";
const TENANT: &str = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";
const CLIENT: &str = "99999999-8888-7777-6666-555555555555";
const PERSON: &str = "12121212-3434-5656-7878-909090909090";

/// The preset, and a key set server in the cloud's place.
struct Tenant {
    identity: Identity,
    issuer: String,
}

impl Tenant {
    async fn with(lines: &str) -> Tenant {
        let server = Server::start().await;
        server.put(&format!("/{TENANT}/discovery/v2.0/keys"), &keys().key_set());
        let authority = server.url;
        let text = format!(
            "[[entra]]\napplication = \"{APPLICATION}\"\ntenants = [\"{TENANT}\"]\nauthority = \"{authority}\"\n{lines}"
        );
        let url = Url::parse(PUBLIC_URL).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::new(&config(&text), dir.path(), &url, client(), passing()).unwrap();
        Tenant { identity, issuer: format!("{authority}/{TENANT}/v2.0") }
    }

    /// What a user's token says, with changes; a null takes a claim away.
    fn claims(&self, change: Value) -> Value {
        let mut claims = json!({
            "aud": APPLICATION, "iss": self.issuer, "iat": NOW - 10, "nbf": NOW - 10, "exp": NOW + 3600, "aio": "x", "azp": CLIENT,
            "azpacr": "0", "name": "Ann", "oid": PERSON, "preferred_username": "ann@contoso.example", "rh": "x", "scp": "notes.read notes.write",
            "sub": "pairwise", "tid": TENANT, "uti": "token-1", "ver": "2.0"
        });
        for (key, value) in change.as_object().unwrap() {
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(key);
            } else {
                claims[key] = value.clone();
            }
        }
        claims
    }

    async fn outcome(&self, change: Value) -> Result<sekisho_identity::Verified, TokenError> {
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": "rsa", "x5t": "rsa" });
        let token = signed(&header, &self.claims(change));
        self.identity.verify(&present(&token)?, &Endpoint::All, now()).await
    }

    async fn refused(&self, change: Value) -> TokenError {
        match self.outcome(change.clone()).await {
            Ok(_) => panic!("{change} was accepted"),
            Err(error) => error,
        }
    }
}

#[tokio::test]
async fn a_users_token_is_accepted_and_the_user_is_who_tenant_and_object_say() {
    let tenant = Tenant::with("").await;
    let verified =
        tenant.outcome(json!({ "roles": ["Writer"], "groups": ["g1"], "acrs": ["c1", "p1"] })).await.unwrap();
    let who = verified.principal();
    assert_eq!((who.issuer(), who.subject(), who.client()), (tenant.issuer.as_str(), PERSON, CLIENT));
    assert_eq!((who.tenant(), who.kind()), (TENANT, Kind::User));
    assert_eq!(who.scopes(), [Box::from("notes.read"), Box::from("notes.write")]);
    assert_eq!(who.roles(), [Box::from("Writer")]);
    assert_eq!(*who.groups(), Groups::Known(vec!["g1".into()]));
    assert_eq!(who.authentication().contexts, [Box::from("c1"), Box::from("p1")]);
    // A name that changes hands changes nobody.
    let other = tenant.outcome(json!({ "preferred_username": "bob@contoso.example", "sub": "other" })).await.unwrap();
    assert_eq!(other.principal().key(), who.key());
    let other = tenant.outcome(json!({ "oid": CLIENT })).await.unwrap();
    assert_ne!(other.principal().key(), who.key());
}

#[tokio::test]
async fn what_is_no_access_token_of_this_tenant_for_this_application_is_refused() {
    let tenant = Tenant::with("").await;
    let entra = |error: TokenError| matches!(error, TokenError::Entra(_));
    assert!(entra(tenant.refused(json!({ "ver": "1.0" })).await));
    assert_eq!(tenant.refused(json!({ "ver": null })).await, TokenError::MissingClaim("ver"));
    for audience in
        [json!(format!("api://{APPLICATION}")), json!(CLIENT), json!(AUDIENCE), json!(format!("{APPLICATION}/"))]
    {
        assert_eq!(tenant.refused(json!({ "aud": audience })).await, TokenError::WrongAudience, "{audience}");
    }
    assert!(entra(tenant.refused(json!({ "aud": [APPLICATION, CLIENT] })).await), "one audience, and no list");
    assert_eq!(tenant.refused(json!({ "tid": CLIENT })).await, TokenError::WrongTenant);
    assert_eq!(tenant.refused(json!({ "tid": null })).await, TokenError::WrongTenant);
    let common = tenant.issuer.replace(TENANT, "common");
    for issuer in [
        common,
        tenant.issuer.replace(TENANT, CLIENT),
        format!("{}/", tenant.issuer),
        "https://sts.windows.net/x/".to_owned(),
    ] {
        assert_eq!(tenant.refused(json!({ "iss": issuer })).await, TokenError::UnknownIssuer);
    }
    assert_eq!(tenant.refused(json!({ "oid": null })).await, TokenError::MissingClaim("oid"));
    assert_eq!(tenant.refused(json!({ "azp": null })).await, TokenError::MissingClaim("azp"));
    // An identity token for an application that is its own client.
    assert!(entra(tenant.refused(json!({ "scp": null })).await));
    assert!(entra(tenant.refused(json!({ "scp": " " })).await));
    assert!(entra(tenant.refused(json!({ "idtyp": "app" })).await), "both");
    assert_eq!(tenant.refused(json!({ "exp": NOW + 101_000 })).await, TokenError::TooLongLived);
    tenant.outcome(json!({ "exp": NOW + 100_700 })).await.expect("28 hours");
}

#[tokio::test]
async fn applications_and_clients_are_let_in_where_that_is_said() {
    let app = json!({ "scp": null, "idtyp": "app", "roles": ["Tasks.Run"], "oid": CLIENT });
    assert!(matches!(Tenant::with("").await.refused(app.clone()).await, TokenError::Entra(_)));
    let tenant = Tenant::with("applications = \"permitted\"").await;
    let verified = tenant.outcome(app).await.unwrap();
    assert_eq!((verified.principal().kind(), verified.principal().scopes().len()), (Kind::Application, 0));
    let tenant = Tenant::with(&format!("clients = [\"{CLIENT}\"]")).await;
    tenant.outcome(json!({})).await.expect("the client");
    assert!(matches!(tenant.refused(json!({ "azp": APPLICATION })).await, TokenError::Entra(_)));
    let agent = tenant.outcome(json!({ "xms_act_fct": "3 11 99" })).await.unwrap();
    assert_eq!(agent.principal().kind(), Kind::Agent);
    let user = tenant.outcome(json!({ "xms_act_fct": "111 3" })).await.unwrap();
    assert_eq!(user.principal().kind(), Kind::User, "words, not digits");
}

#[tokio::test]
async fn groups_that_are_too_many_are_not_taken_for_none() {
    let tenant = Tenant::with("").await;
    let groups = async |change| tenant.outcome(change).await.unwrap().principal().groups().clone();
    assert_eq!(groups(json!({})).await, Groups::Known(Vec::new()));
    let elsewhere = json!({ "_claim_names": { "groups": "src1" },
        "_claim_sources": { "src1": { "endpoint": "https://graph.windows.net/x/users/y/getMemberObjects" } } });
    assert_eq!(groups(elsewhere).await, Groups::Unknown);
    assert_eq!(groups(json!({ "hasgroups": true })).await, Groups::Unknown);
    assert_eq!(groups(json!({ "hasgroups": "true", "groups": ["g1"] })).await, Groups::Unknown);
    assert_eq!(groups(json!({ "hasgroups": false, "groups": ["g1"] })).await, Groups::Known(vec!["g1".into()]));
}

#[tokio::test]
async fn a_client_says_that_it_takes_claims_challenges() {
    let tenant = Tenant::with("").await;
    let takes = async |change| tenant.outcome(change).await.unwrap().principal().takes_claims_challenges();
    assert!(takes(json!({ "xms_cc": ["CP1"] })).await && takes(json!({ "xms_cc": "cp1" })).await);
    assert!(!takes(json!({})).await && !takes(json!({ "xms_cc": ["cp2"] })).await);
}

#[test]
fn identifiers_are_written_as_tokens_write_them() {
    let build = |text: &str| {
        let dir = tempfile::tempdir().unwrap();
        Identity::new(&config(text), dir.path(), &Url::parse(PUBLIC_URL).unwrap(), client(), passing()).map(drop)
    };
    let with =
        |application: &str, tenants: &str| format!("[[entra]]\napplication = \"{application}\"\ntenants = [{tenants}]");
    assert!(build(&with(APPLICATION, &format!("\"{TENANT}\""))).is_ok());
    for bad in ["common", "contoso.onmicrosoft.com", "", &TENANT.to_uppercase(), &TENANT[1..]] {
        let outcome = build(&with(APPLICATION, &format!("\"{bad}\"")));
        assert!(matches!(outcome, Err(ConfigError::BadEntraId { field: "tenants", .. })), "{bad}: {outcome:?}");
    }
    let outcome = build(&with("api://x", &format!("\"{TENANT}\"")));
    assert!(matches!(outcome, Err(ConfigError::BadEntraId { field: "application", .. })));
    assert!(matches!(build(&with(APPLICATION, "")), Err(ConfigError::Empty { field: "tenants", .. })));
    let twice = format!("\"{TENANT}\", \"{TENANT}\"");
    assert!(matches!(build(&with(APPLICATION, &twice)), Err(ConfigError::IssuerTwice { .. })));
}
