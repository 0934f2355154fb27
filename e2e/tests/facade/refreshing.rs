//! Refresh tokens turn, and one that is used twice was stolen.

use std::process::Command;
use std::time::Duration;

use sekisho_e2e::{place, process};

use super::*;

#[test]
fn refresh_tokens_turn_and_a_stolen_one_ends_the_family() {
    let stand = stand();
    let (flow, neighbour) = (stand.flow(), stand.flow());
    let first = tokens(&flow);
    let neighbours = tokens(&neighbour);
    let renew = |tokens: &Tokens| Tokens::read(&flow.renew(&tokens.refresh, &[]).expect("an answer")).expect("tokens");
    let second = renew(&first);
    let third = renew(&second);
    assert!(first.refresh != second.refresh && second.refresh != third.refresh && first.refresh != third.refresh);
    assert_eq!(stand.list(&third.access), 200);
    // Who has an old one took it from somebody.
    assert_eq!(error(&flow.renew(&first.refresh, &[]).expect("an answer")), "invalid_grant");
    assert_eq!(error(&flow.renew(&third.refresh, &[]).expect("an answer")), "invalid_grant");
    for tokens in [&first, &second, &third] {
        assert_eq!(stand.list(&tokens.access), 401);
    }
    assert_eq!(stand.list(&neighbours.access), 200);
    let fresh = Tokens::read(&neighbour.renew(&neighbours.refresh, &[]).expect("an answer")).expect("tokens");
    assert_eq!(stand.list(&fresh.access), 200);

    let stolen = neighbour.renew(&fresh.refresh, &[("client_id", "other-app")]).expect("an answer");
    assert_eq!(error(&stolen), "invalid_grant", "another client");
    let unknown = neighbour.renew(&fresh.refresh, &[("client_id", "unknown")]).expect("an answer");
    assert!(["invalid_client", "invalid_grant"].contains(&&*error(&unknown)), "{}", unknown.text());
    for made_up in ["x", &fresh.access] {
        assert_eq!(error(&flow.renew(made_up, &[]).expect("an answer")), "invalid_grant", "{made_up}");
    }
}

#[test]
fn what_a_user_agrees_to_later_narrows_what_was_granted_before() {
    let stand = stand();
    let (mut browser, first, second) = (Browser::default(), stand.flow(), stand.flow());
    let wide = first.tokens(&mut browser).expect("tokens");
    assert!(wide.scope.contains("tools:destructive"), "{}", wide.scope);
    let allowed = second.allow_some(&mut browser, |scope| scope == "tools:read").expect("allowed");
    let page = second.go_on(&mut browser, &allowed).expect("an answer");
    let code = second.code_of(&page).expect("a code");
    let narrow = Tokens::read(&second.redeem(&code).expect("an answer")).expect("tokens");
    assert_eq!(narrow.scope, "tools:read");
    let renewed = Tokens::read(&first.renew(&wide.refresh, &[]).expect("an answer")).expect("tokens");
    assert_eq!(renewed.scope, "tools:read");
    assert_eq!(stand.list(&renewed.access), 200);
    // More is had by agreeing to it.
    assert_eq!(
        error(&first.renew(&renewed.refresh, &[("scope", "tools:destructive")]).expect("an answer")),
        "invalid_scope"
    );
    let again = stand.flow().tokens(&mut Browser::default()).expect("tokens");
    assert!(again.scope.contains("tools:destructive"), "{}", again.scope);
}

#[test]
fn a_revoked_user_refreshes_nothing_and_redeems_nothing() {
    let stand = stand();
    let (flow, pending) = (stand.flow(), stand.flow());
    let tokens = tokens(&flow);
    let code = pending.code(&mut Browser::default()).expect("a code");
    let mut command = Command::new(place::binary("sekisho").expect("it is built"));
    command.args(["revoke", "subject", "ann", "--issuer", &stand.origin(), "--config"]);
    command.arg(stand.gateway.folder().join("sekisho.toml"));
    let said = process::run(&mut command, "", Duration::from_secs(20)).expect("it ends");
    assert!(said.status.success(), "{}{}", said.out, said.err);
    assert_eq!(stand.list(&tokens.access), 401);
    assert_eq!(error(&flow.renew(&tokens.refresh, &[]).expect("an answer")), "invalid_grant");
    assert_eq!(error(&pending.redeem(&code).expect("an answer")), "invalid_grant", "what was granted before");
}
