//! Tokens that are bound to somebody: by a key (RFC 9449), by a certificate (RFC 8705), or in a way that is not spoken (7.4).

use aws_lc_rs::signature::KeyPair as _;
use sekisho_identity::{Channel, ProofError, TokenError};
use serde_json::{Value, json};

use crate::support::*;

const URI: &str = AUDIENCE;

/// The thumbprint of the key that proofs are made with here (RFC 7638).
fn thumbprint(keys: &Keys) -> String {
    let jwk = keys.ec_jwk();
    let text = format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, jwk["x"], jwk["y"]);
    digest(text.as_bytes())
}

fn digest(bytes: &[u8]) -> String {
    b64(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes))
}

fn public_jwk(keys: &Keys) -> Value {
    let jwk = keys.ec_jwk();
    json!({ "kty": "EC", "crv": "P-256", "x": jwk["x"], "y": jwk["y"] })
}

fn bound_token(keys: &Keys) -> String {
    token(&claims_with(json!({ "cnf": { "jkt": thumbprint(keys) } })))
}

/// A proof for this token, with changes; a null takes a member away.
fn proof(keys: &Keys, token: &str, header: Value, claims: Value) -> String {
    static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let change = |mut whole: Value, change: Value| {
        for (key, value) in change.as_object().unwrap() {
            if value.is_null() {
                whole.as_object_mut().unwrap().remove(key);
            } else {
                whole[key] = value.clone();
            }
        }
        whole
    };
    let header = change(json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": public_jwk(keys) }), header);
    let claims = change(
        json!({ "jti": format!("proof {number}"), "htm": "POST", "htu": URI, "iat": NOW, "ath": digest(token.as_bytes()) }),
        claims,
    );
    let signed = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    format!("{signed}.{}", b64(keys.sign("ES256", signed.as_bytes())))
}

async fn with_proofs(room: &Room, token: &str, proofs: &[&str]) -> Result<(), TokenError> {
    let presented = presented(&format!("DPoP {token}"), proofs, Channel::default())?;
    room.identity.verify(&presented, &sekisho_wire::Endpoint::All, now()).await.map(drop)
}

fn proof_error(error: ProofError) -> Result<(), TokenError> {
    Err(TokenError::Proof(error))
}

#[tokio::test]
async fn a_bound_token_with_its_proof_is_accepted_and_without_it_is_not() {
    let (room, holder) = (Room::new(), Keys::generate());
    let token = bound_token(&holder);
    let good = || proof(&holder, &token, json!({}), json!({}));
    assert_eq!(with_proofs(&room, &token, &[&good()]).await, Ok(()));
    // Once more, now that the token is known.
    assert_eq!(with_proofs(&room, &token, &[&good()]).await, Ok(()));
    assert_eq!(with_proofs(&room, &token, &[]).await, proof_error(ProofError::Missing));
    assert_eq!(with_proofs(&room, &token, &[&good(), &good()]).await, proof_error(ProofError::Missing));
    assert_eq!(room.verify(&token).await.map(drop), Err(TokenError::WrongScheme), "no bearer token");
    let free = crate::support::token(&claims());
    assert_eq!(
        with_proofs(&room, &free, &[&good()]).await,
        Err(TokenError::WrongScheme),
        "not bound, so proven by nothing"
    );
    let who = presented(&format!("DPoP {token}"), &[&good()], Channel::default()).unwrap();
    let verified = room.identity.verify(&who, &sekisho_wire::Endpoint::All, now()).await.unwrap();
    assert_eq!(verified.principal().bound_by(), [sekisho_identity::Binding::Dpop]);
}

#[tokio::test]
async fn a_proof_is_good_for_one_use_one_method_one_uri_one_token_and_a_short_time() {
    let (room, holder) = (Room::new(), Keys::generate());
    let token = bound_token(&holder);
    let once = proof(&holder, &token, json!({}), json!({}));
    assert_eq!(with_proofs(&room, &token, &[&once]).await, Ok(()));
    assert_eq!(with_proofs(&room, &token, &[&once]).await, proof_error(ProofError::Replayed));
    let other = bound_token(&holder);
    for (change, error) in [
        (json!({ "htm": "GET" }), ProofError::Elsewhere),
        (json!({ "htm": "post" }), ProofError::Elsewhere),
        (json!({ "htu": "https://gate.example/s/notes/mcp" }), ProofError::Elsewhere),
        (json!({ "htu": "https://evil.example/mcp" }), ProofError::Elsewhere),
        (json!({ "ath": digest(b"another token") }), ProofError::AnotherToken),
        (json!({ "ath": digest(other.as_bytes()) }), ProofError::AnotherToken),
        (json!({ "iat": NOW - 61 }), ProofError::Time),
        (json!({ "iat": NOW + 6 }), ProofError::Time),
        (json!({ "iat": "now" }), ProofError::Claims),
        (json!({ "iat": null }), ProofError::Claims),
        (json!({ "jti": null }), ProofError::Claims),
        (json!({ "jti": "" }), ProofError::Claims),
        (json!({ "jti": "x".repeat(513) }), ProofError::Claims),
        (json!({ "htm": null }), ProofError::Claims),
        (json!({ "htu": null }), ProofError::Claims),
        (json!({ "ath": null }), ProofError::Claims),
    ] {
        let proof = proof(&holder, &token, json!({}), change.clone());
        assert_eq!(with_proofs(&room, &token, &[&proof]).await, proof_error(error), "{change}");
    }
    for good in [json!({ "iat": NOW - 60 }), json!({ "iat": NOW + 5 }), json!({ "htu": format!("{URI}?x#y") })] {
        let proof = proof(&holder, &token, json!({}), good.clone());
        assert_eq!(with_proofs(&room, &token, &[&proof]).await, Ok(()), "{good}");
    }
}

#[tokio::test]
async fn a_proof_is_made_with_the_key_that_the_token_is_bound_to() {
    let (room, holder, thief) = (Room::new(), Keys::generate(), Keys::generate());
    let token = bound_token(&holder);
    let theirs = proof(&thief, &token, json!({}), json!({}));
    assert_eq!(with_proofs(&room, &token, &[&theirs]).await, proof_error(ProofError::AnotherKey));
    // The right public key, signed by another one.
    let forged = proof(&thief, &token, json!({ "jwk": public_jwk(&holder) }), json!({}));
    assert_eq!(with_proofs(&room, &token, &[&forged]).await, proof_error(ProofError::Signature));
    let point = holder.ec.public_key().as_ref();
    let mut private = public_jwk(&holder);
    private["d"] = json!(b64(&point[1..33]));
    for (header, error) in [
        (json!({ "typ": "jwt" }), ProofError::Header),
        (json!({ "typ": "at+jwt" }), ProofError::Header),
        (json!({ "typ": null }), ProofError::Header),
        (json!({ "alg": "none" }), ProofError::Header),
        (json!({ "alg": "HS256" }), ProofError::Header),
        (json!({ "alg": "RS256" }), ProofError::Header),
        (json!({ "jwk": null }), ProofError::Header),
        (json!({ "jwk": private }), ProofError::Header),
        (json!({ "jwk": { "kty": "oct", "k": "AAAA" } }), ProofError::Header),
        (json!({ "jwk": "x" }), ProofError::Header),
        (json!({ "crit": ["exp"] }), ProofError::Header),
        (json!({ "b64": false }), ProofError::Header),
        (json!({ "jku": "https://evil.example/jwks" }), ProofError::Header),
        (json!({ "x5c": ["AA"] }), ProofError::Header),
    ] {
        let proof = proof(&holder, &token, header.clone(), json!({}));
        assert_eq!(with_proofs(&room, &token, &[&proof]).await, proof_error(error), "{header}");
    }
    for garbled in ["", "x", "a.b.c", "....", &"a".repeat(9000)] {
        let outcome = with_proofs(&room, &token, &[garbled]).await;
        assert!(matches!(outcome, Err(TokenError::Proof(ProofError::Garbled | ProofError::Missing))), "{outcome:?}");
    }
}

#[tokio::test]
async fn where_a_nonce_is_needed_one_of_ours_is() {
    let room = Room::with("[dpop]\nnonce = \"required\"");
    let holder = Keys::generate();
    let token = bound_token(&holder);
    let without = proof(&holder, &token, json!({}), json!({}));
    assert_eq!(with_proofs(&room, &token, &[&without]).await, Err(TokenError::NonceWanted));
    let guessed = proof(&holder, &token, json!({}), json!({ "nonce": "guessed" }));
    assert_eq!(with_proofs(&room, &token, &[&guessed]).await, Err(TokenError::NonceWanted));
    let nonce = room.identity.proof_nonce(now()).unwrap();
    let with = proof(&holder, &token, json!({}), json!({ "nonce": nonce }));
    assert_eq!(with_proofs(&room, &token, &[&with]).await, Ok(()));
    let old = room.identity.proof_nonce(at(NOW - 600)).unwrap();
    let stale = proof(&holder, &token, json!({}), json!({ "nonce": old }));
    assert_eq!(with_proofs(&room, &token, &[&stale]).await, Err(TokenError::NonceWanted));
    assert_eq!(Room::new().identity.proof_nonce(now()), None);
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_certificate_needs_that_connection() {
    let room = Room::new();
    let (own, other) = (b"a certificate".as_slice(), b"another".as_slice());
    let token = token(&claims_with(json!({ "cnf": { "x5t#S256": digest(own) } })));
    let over = async |channel| {
        let presented = presented(&format!("Bearer {token}"), &[], channel).unwrap();
        room.identity.verify(&presented, &sekisho_wire::Endpoint::All, now()).await.map(drop)
    };
    assert_eq!(over(Channel::with_certificate(own)).await, Ok(()));
    assert_eq!(over(Channel::with_certificate(other)).await, Err(TokenError::AnotherCertificate));
    assert_eq!(over(Channel::default()).await, Err(TokenError::AnotherCertificate));
}

#[tokio::test]
async fn a_token_that_is_bound_in_an_unknown_way_is_nobodys() {
    let room = Room::new();
    let digest = digest(b"");
    for (confirmation, error) in [
        (json!({ "jwk": {} }), TokenError::ConfirmationUnknown),
        (json!({ "kid": "1" }), TokenError::ConfirmationUnknown),
        (json!({ "x5t": digest }), TokenError::ConfirmationUnknown),
        (json!({ "jkt": digest, "kid": "1" }), TokenError::ConfirmationUnknown),
        (json!({}), TokenError::ConfirmationUnknown),
        (json!("x"), TokenError::Garbled),
        (json!({ "jkt": "short" }), TokenError::Garbled),
        (json!({ "jkt": 7 }), TokenError::Garbled),
    ] {
        let token = token(&claims_with(json!({ "cnf": confirmation })));
        assert_eq!(room.verify(&token).await.map(drop), Err(error), "{confirmation}");
    }
}

#[tokio::test]
async fn an_issuer_whose_tokens_must_be_bound_lets_no_free_one_pass() {
    let holder = Keys::generate();
    let by_key = bound_token(&holder);
    let by_certificate = token(&claims_with(json!({ "cnf": { "x5t#S256": digest(b"c") } })));
    let free = token(&claims());
    for (constraint, free_is, key_is, certificate_is) in [
        ("optional", Ok(()), Ok(()), Ok(())),
        ("dpop", Err(TokenError::Unbound), Ok(()), Err(TokenError::Unbound)),
        ("mtls", Err(TokenError::Unbound), Err(TokenError::Unbound), Ok(())),
        ("either", Err(TokenError::Unbound), Ok(()), Ok(())),
    ] {
        let room = Room::with(&format!("sender_constraint = \"{constraint}\""));
        assert_eq!(room.verify(&free).await.map(drop), free_is, "{constraint}");
        let proof = proof(&holder, &by_key, json!({}), json!({}));
        assert_eq!(with_proofs(&room, &by_key, &[&proof]).await, key_is, "{constraint}");
        let presented = presented(&format!("Bearer {by_certificate}"), &[], Channel::with_certificate(b"c")).unwrap();
        let outcome = room.identity.verify(&presented, &sekisho_wire::Endpoint::All, now()).await;
        assert_eq!(outcome.map(drop), certificate_is, "{constraint}");
    }
}
