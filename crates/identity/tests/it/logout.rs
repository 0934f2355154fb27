//! Logout tokens (OpenID Connect Back-Channel Logout 1.0): who ends what, and what is none (8.3).

use sekisho_identity::{LogoutError, Target, TokenError};
use serde_json::{Value, json};

use crate::support::*;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

fn room() -> Room {
    Room::with("logout_audience = \"gateway\"")
}

fn logout(change: Value) -> String {
    let mut claims = json!({ "iss": ISSUER, "aud": "gateway", "iat": NOW, "exp": NOW + 60, "jti": "l1", "sid": "s1",
        "events": { EVENT: {} } });
    for (key, value) in change.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(key);
        } else {
            claims[key] = value.clone();
        }
    }
    signed(&json!({ "alg": "ES256", "typ": "logout+jwt", "kid": "ec" }), &claims)
}

async fn outcome(room: &Room, token: &str) -> Result<Target, LogoutError> {
    room.identity.logout(token, now()).await.map(|revocation| revocation.target)
}

#[tokio::test]
async fn a_session_ends_where_one_is_named_and_else_all_of_the_subjects() {
    let room = room();
    let issuer = ISSUER.to_owned();
    let session = Target::IssuerSession { issuer: issuer.clone(), id: "s1".to_owned() };
    assert_eq!(outcome(&room, &logout(json!({}))).await, Ok(session.clone()));
    assert_eq!(outcome(&room, &logout(json!({ "sub": "alice" }))).await, Ok(session));
    let subject = Target::Subject { issuer, subject: "alice".to_owned() };
    assert_eq!(outcome(&room, &logout(json!({ "sid": null, "sub": "alice" }))).await, Ok(subject));
    // It does what it says.
    let revocation = room.identity.logout(&logout(json!({})), now()).await.unwrap();
    room.identity.revoke(revocation).await.1.unwrap();
    let of = async |sid: &str| room.verify(&token(&claims_with(json!({ "sid": sid })))).await.map(drop);
    assert_eq!(of("s1").await, Err(TokenError::Revoked));
    assert_eq!(of("s2").await, Ok(()));
}

#[tokio::test]
async fn what_is_no_logout_token_for_this_gateway_ends_nothing() {
    let room = room();
    for (change, error) in [
        (json!({ "aud": "another" }), LogoutError::Token(TokenError::WrongAudience)),
        (json!({ "aud": null }), LogoutError::Token(TokenError::MissingClaim("aud"))),
        (json!({ "iss": "https://other.example" }), LogoutError::Token(TokenError::UnknownIssuer)),
        (json!({ "iat": NOW - 500, "exp": NOW - 400 }), LogoutError::Token(TokenError::Expired)),
        (json!({ "iat": NOW - 500, "exp": null }), LogoutError::Token(TokenError::Expired)),
        (json!({ "iat": NOW + 100 }), LogoutError::Token(TokenError::NotYet)),
        (json!({ "events": null }), LogoutError::NotLogout),
        (json!({ "events": { "other": {} } }), LogoutError::NotLogout),
        (json!({ "events": { EVENT: true } }), LogoutError::NotLogout),
        (json!({ "nonce": "n" }), LogoutError::NotLogout),
        (json!({ "jti": null }), LogoutError::NotLogout),
        (json!({ "sid": null }), LogoutError::NotLogout),
        (json!({ "sid": "" }), LogoutError::NotLogout),
        (json!({ "sid": "x".repeat(1025) }), LogoutError::NotLogout),
        (json!({ "iat": NOW - 200, "exp": NOW + 999_999 }), LogoutError::Token(TokenError::Expired)),
    ] {
        assert_eq!(outcome(&room, &logout(change.clone())).await, Err(error), "{change}");
    }
    // An access token is none, and neither is one that nobody signed.
    let access = token(&claims_with(json!({ "aud": "gateway", "events": { EVENT: {} }, "sid": "s1" })));
    assert_eq!(outcome(&room, &access).await, Err(LogoutError::Token(TokenError::WrongType)));
    let good = logout(json!({}));
    let forged = format!("{}.{}", good.rsplit_once('.').unwrap().0, b64([0; 64]));
    assert_eq!(outcome(&room, &forged).await, Err(LogoutError::Token(TokenError::BadSignature)));
    // One without a type is as good as one with: its event tells.
    let untyped =
        json!({ "iss": ISSUER, "aud": "gateway", "iat": NOW, "jti": "l2", "sid": "s9", "events": { EVENT: {} } });
    assert!(outcome(&room, &signed(&json!({ "alg": "ES256", "kid": "ec" }), &untyped)).await.is_ok());
    let untaken = Room::new();
    assert_eq!(outcome(&untaken, &good).await, Err(LogoutError::NotTaken));
    // And a logout token opens nothing.
    let as_access = signed(&json!({ "alg": "ES256", "typ": "logout+jwt", "kid": "ec" }), &claims());
    assert_eq!(room.verify(&as_access).await.map(drop), Err(TokenError::WrongType));
}

#[tokio::test]
async fn a_logout_token_opens_nothing_even_where_types_do_not_tell() {
    let room =
        Room::with("logout_audience = \"gateway\"\naudiences = [\"gateway\"]\ntoken_types = [\"JWT\", \"absent\"]");
    let as_access = |change: Value| {
        let claims = claims_with(json!({ "aud": "gateway" }));
        let mut claims = claims;
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        signed(&json!({ "alg": "ES256", "typ": "JWT", "kid": "ec" }), &claims)
    };
    assert!(room.verify(&as_access(json!({}))).await.is_ok());
    let logout = room.verify(&as_access(json!({ "events": { EVENT: {} } }))).await;
    assert_eq!(logout.map(drop), Err(TokenError::WrongType));
}
