//! Revoked credentials open nothing, now and after a restart (2.3, 8.3).

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use sekisho_identity::{Credential, Identity, Revocation, RevokeError, Target, TokenError};
use sekisho_store::Store;
use sekisho_wire::Endpoint;
use serde_json::{Value, json};
use url::Url;

use crate::support::*;

fn revocation(target: Target) -> Revocation {
    Revocation { target, at: now(), reason: "a test".to_owned(), by: "operator".to_owned() }
}

fn issuer() -> String {
    ISSUER.to_owned()
}

fn subject(subject: &str) -> Target {
    Target::Subject { issuer: issuer(), subject: subject.to_owned() }
}

async fn outcome(room: &Room, change: Value) -> Result<(), TokenError> {
    room.verify(&token(&claims_with(change))).await.map(drop)
}

async fn revoked(room: &Room, target: Target) {
    room.identity.revoke(revocation(target)).await.1.unwrap();
}

#[tokio::test]
async fn what_is_revoked_is_refused_and_its_neighbour_is_not() {
    let plain = || json!({ "sid": "s1", "jti": "t1" });
    let cases = [
        (Target::Token { issuer: issuer(), id: "t1".to_owned() }, json!({ "sid": "s1", "jti": "t2" })),
        (subject("alice"), json!({ "sub": "bob" })),
        (Target::Client { issuer: issuer(), client: "app".to_owned() }, json!({ "client_id": "other" })),
        (Target::IssuerSession { issuer: issuer(), id: "s1".to_owned() }, json!({ "sid": "s2" })),
        // Issued later than that, even if the issuer's clock is ahead by what it may be.
        (Target::Issuer { issuer: issuer() }, json!({ "iat": NOW + 31, "exp": NOW + 300 })),
        (Target::Everything, json!({ "iat": NOW + 31, "exp": NOW + 300 })),
    ];
    for (target, neighbour) in cases {
        let room = Room::new();
        // Known before, so that what is remembered of it counts for nothing.
        assert_eq!(outcome(&room, plain()).await, Ok(()));
        revoked(&room, target.clone()).await;
        assert_eq!(outcome(&room, plain()).await, Err(TokenError::Revoked), "{target:?}");
        let later = room.verify_at(&token(&claims_with(neighbour)), &Endpoint::All, at(NOW + 40)).await;
        assert!(later.is_ok(), "the neighbour of {target:?}: {later:?}");
    }
    let elsewhere = Room::new();
    revoked(&elsewhere, Target::Subject { issuer: "https://other.example".to_owned(), subject: "alice".to_owned() })
        .await;
    assert_eq!(outcome(&elsewhere, plain()).await, Ok(()), "another issuer's alice");
}

#[tokio::test]
async fn whoever_logs_in_again_is_let_in_again_and_a_clock_that_is_ahead_helps_nobody() {
    let room = Room::new();
    revoked(&room, subject("alice")).await;
    for (issued, expected) in [(-10, false), (0, false), (30, false), (31, true)] {
        let issued = NOW.checked_add_signed(issued).unwrap();
        let token = token(&claims_with(json!({ "iat": issued, "exp": issued + 300, "jti": format!("{issued}") })));
        let outcome = room.verify_at(&token, &Endpoint::All, at(NOW + 40)).await;
        assert_eq!(outcome.is_ok(), expected, "{issued}");
    }
}

#[tokio::test]
async fn a_token_that_is_revoked_stays_so_and_one_cannot_be_unrevoked_by_an_older_order() {
    let room = Room::new();
    let id = || Target::Token { issuer: issuer(), id: "1".to_owned() };
    revoked(&room, id()).await;
    let reissued = json!({ "iat": NOW + 31, "exp": NOW + 300 });
    let late = room.verify_at(&token(&claims_with(reissued)), &Endpoint::All, at(NOW + 40)).await;
    assert_eq!(late.map(drop), Err(TokenError::Revoked));
    let older = Revocation { at: at(NOW - 1000), ..revocation(subject("alice")) };
    revoked(&room, subject("alice")).await;
    room.identity.revoke(older).await.1.unwrap();
    assert_eq!(outcome(&room, json!({ "jti": "2" })).await, Err(TokenError::Revoked));
}

#[tokio::test]
async fn a_key_that_is_revoked_signs_nothing_more_with_or_without_its_name() {
    let room = Room::new();
    revoked(&room, Target::Key { issuer: issuer(), id: "ec".to_owned() }).await;
    assert_eq!(outcome(&room, json!({})).await, Err(TokenError::Revoked));
    let unnamed = signed(&json!({ "alg": "ES256", "typ": "at+jwt" }), &claims());
    assert_eq!(room.verify(&unnamed).await.map(drop), Err(TokenError::Revoked), "the only key that it can be");
    let other = signed(&header("EdDSA", "ed"), &claims());
    assert!(room.verify(&other).await.is_ok());
}

#[tokio::test]
async fn a_restart_brings_no_revoked_token_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let open = || Arc::new(Store::open(&path, NonZeroU64::new(3).unwrap()).unwrap());
    let room = || {
        let keys_room = Room::new();
        let revocations = passing();
        revocations.keep_in(open()).unwrap();
        let text = format!("[[issuers]]\nissuer = \"{ISSUER}\"\njwks_file = \"jwks.json\"");
        let url = Url::parse(PUBLIC_URL).unwrap();
        let identity = Identity::new(&config(&text), keys_room.dir.path(), &url, client(), revocations).unwrap();
        Room { identity, dir: keys_room.dir }
    };
    let first = room();
    assert_eq!(outcome(&first, json!({})).await, Ok(()));
    revoked(&first, subject("alice")).await;
    drop(first);
    let second = room();
    assert_eq!(outcome(&second, json!({})).await, Err(TokenError::Revoked));
    assert_eq!(outcome(&second, json!({ "sub": "bob" })).await, Ok(()));
    assert_eq!(second.identity.revocations().list(9).unwrap(), [revocation(subject("alice"))]);
    // The store is full: it holds in this process, and that it will not last is said.
    revoked(&second, subject("b")).await;
    revoked(&second, subject("c")).await;
    let (_, full) = second.identity.revoke(revocation(subject("bob"))).await;
    assert!(matches!(full, Err(RevokeError::Store(_))), "{full:?}");
    assert_eq!(outcome(&second, json!({ "sub": "bob" })).await, Err(TokenError::Revoked));
    // What no token can be touched by any more is forgotten.
    second.identity.revocations().sweep(at(NOW + 8 * 24 * 3600));
    assert!(second.identity.revocations().list(9).unwrap().is_empty());
    drop(second);
    assert!(room().identity.revocations().list(9).unwrap().is_empty());
}

#[tokio::test]
async fn nothing_without_a_name_can_be_revoked() {
    let room = Room::new();
    for target in [subject(""), Target::Issuer { issuer: String::new() }, subject(&"x".repeat(1025))] {
        let (_, outcome) = room.identity.revoke(revocation(target)).await;
        assert!(matches!(outcome, Err(RevokeError::Name)));
    }
    assert_eq!(room.identity.revocations().count(), 0);
}

#[tokio::test]
async fn a_lease_ends_with_its_revocation_and_whoever_waits_is_told() {
    let room = Room::new();
    let alice = room.verify(&token(&claims())).await.unwrap();
    let bob = room.verify(&token(&claims_with(json!({ "sub": "bob" })))).await.unwrap();
    let mut changes = room.identity.revocations().changes();
    assert!(room.identity.holds(alice.lease(), now()));
    revoked(&room, subject("alice")).await;
    tokio::time::timeout(Duration::from_secs(5), changes.changed()).await.unwrap().unwrap();
    assert!(!room.identity.holds(alice.lease(), now()));
    assert!(room.identity.holds(bob.lease(), now()));
    assert!(!room.identity.holds(bob.lease(), bob.lease().ends_at()), "and with its time");
}

#[tokio::test]
async fn another_process_can_be_asked_by_digests_alone() {
    let room = Room::new();
    let told = room.identity.explain(&token(&claims()), &Endpoint::All, now()).await;
    let credential = told.credential.unwrap();
    let word = credential.written();
    assert!(!word.contains("alice") && !word.contains("example"), "{word}");
    assert_eq!(Credential::read(&word).as_ref(), Some(&*credential));
    assert!(!room.identity.revocations().cover(&credential));
    revoked(&room, subject("alice")).await;
    assert!(room.identity.revocations().cover(&Credential::read(&word).unwrap()));
    for bad in ["", "1", "x.y", &word[1..], &format!("{word}."), &"1.".repeat(20)] {
        assert!(Credential::read(bad).is_none_or(|read| read != *credential), "{bad}");
    }
}

#[tokio::test]
async fn a_reason_that_could_not_be_read_again_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let open = || Arc::new(Store::open(&path, NonZeroU64::new(9).unwrap()).unwrap());
    let revocations = passing();
    revocations.keep_in(open()).unwrap();
    let with = |bytes: usize| Revocation { reason: "\u{1}".repeat(bytes), ..revocation(subject("alice")) };
    let week = Duration::from_secs(7 * 24 * 3600);
    assert!(matches!(revocations.revoke(with(1025), week).await, Err(RevokeError::Reason)));
    assert_eq!(revocations.count(), 0, "and nothing is in force");
    revocations.revoke(with(1024), week).await.unwrap();
    // The longest names, every byte of which is written as six.
    let name = || "\u{1}".repeat(1024);
    let target = Target::Subject { issuer: name(), subject: name() };
    revocations.revoke(Revocation { target, by: name(), ..with(1024) }, week).await.unwrap();
    drop(revocations);
    let again = passing();
    again.keep_in(open()).unwrap();
    assert_eq!(again.count(), 2);
}

#[tokio::test]
async fn the_later_of_two_revocations_holds_whatever_is_configured_meanwhile() {
    let room = Room::new();
    let revocations = room.identity.revocations();
    let month = Duration::from_secs(30 * 24 * 3600);
    let at_second = |seconds| Revocation { at: at(seconds), ..revocation(subject("alice")) };
    revocations.revoke(at_second(NOW - 1000), month).await.unwrap();
    revocations.revoke(at_second(NOW), Duration::ZERO).await.unwrap();
    assert_eq!(outcome(&room, json!({})).await, Err(TokenError::Revoked));
    revocations.sweep(at(NOW) + month / 2);
    assert_eq!(revocations.count(), 1, "and as long as the first one would");
}

#[tokio::test]
async fn a_session_at_the_issuer_stays_revoked_for_tokens_that_are_refreshed() {
    let room = Room::new();
    revoked(&room, Target::IssuerSession { issuer: issuer(), id: "s1".to_owned() }).await;
    let refreshed = json!({ "sid": "s1", "iat": NOW + 60, "exp": NOW + 300 });
    let outcome = room.verify_at(&token(&claims_with(refreshed)), &Endpoint::All, at(NOW + 70)).await;
    assert_eq!(outcome.map(drop), Err(TokenError::Revoked));
}

#[tokio::test]
async fn issuers_leave_room_for_the_operator_and_there_is_an_end_to_it() {
    let revocations = passing();
    let by = |by: &str, number: usize| Revocation {
        target: Target::IssuerSession { issuer: issuer(), id: number.to_string() },
        at: now(),
        reason: String::new(),
        by: by.to_owned(),
    };
    let mut number = 0;
    let mut fill = async |who: &str| {
        while revocations.revoke(by(who, number), Duration::ZERO).await.is_ok() {
            number += 1;
        }
        number
    };
    let (issuers, all) = (fill(ISSUER).await, fill("operator").await);
    assert!(issuers < all && all == sekisho_identity::REVOCATIONS_MAX, "{issuers} of {all}");
    assert!(matches!(revocations.revoke(by("operator", all), Duration::ZERO).await, Err(RevokeError::Full)));
    // What is known already can be said again.
    assert!(revocations.revoke(by("operator", 0), Duration::ZERO).await.is_ok());
}
