//! A user of this machine who is revoked is served by nobody, wherever and however long.

use std::fs;

use nix::unistd::{Uid, User};
use sekisho_e2e::client::Era;
use sekisho_e2e::line::Line;
use serde_json::json;

use crate::home::{Home, adds, everything, until};

fn user() -> String {
    User::from_uid(Uid::effective()).expect("users").expect("a user").name
}

/// The code and the request id of a call that is refused; none if it is answered.
fn refusal(client: &mut Line) -> Option<(String, String)> {
    let id = client.ask("tools/call", json!({"name": "test_add", "arguments": {"a": 2, "b": 3}})).expect("sent");
    let answer = client.answer(id).expect("an answer");
    let data = &answer["error"]["data"];
    Some((data["code"].as_str()?.to_owned(), data["requestId"].as_str()?.to_owned()))
}

fn revoke(home: &Home, arguments: &[&str]) {
    let done = home.sekisho(&[&["revoke"], arguments].concat());
    assert!(done.status.success(), "{done:?}");
}

#[test]
fn a_user_who_is_revoked_is_refused_by_all_that_runs_and_by_what_starts_later_and_let_in_again_by_a_lift() {
    let (command, table) = everything();
    let home = Home::locked(&table);
    let mut clients = [home.open(&command, Era::Modern), home.open(&command, Era::Legacy)];
    assert!(clients.iter_mut().all(adds));
    // Somebody else is not us.
    revoke(&home, &["subject", "--issuer", "local", "nobody-we-know"]);
    revoke(&home, &["user", "--issuer", "local", &user(), "--reason", "a laptop was lost"]);
    for client in &mut clients {
        until("it is refused", || refusal(client).is_some());
        let (code, request) = refusal(client).expect("a refusal");
        assert_eq!(code, "SK1101");
        let why = home.sekisho(&["why", &request]);
        assert!(why.out.contains("the user of this machine whom this process serves is revoked"), "{why:?}");
    }
    let list = home.sekisho(&["revoke", "list"]);
    assert!(list.out.contains("a laptop was lost") && list.out.contains("nobody-we-know"), "{list:?}");
    for place in [1, 2] {
        let log = home.log_of(place);
        assert!(log.contains("revoked: subject") && log.contains("a laptop was lost"), "{log}");
    }
    // A process that starts later, after all others have gone.
    drop(clients);
    let mut later = Line::start(&mut home.run(&[], &command), Era::Modern).expect("a process");
    assert_eq!(refusal(&mut later).expect("a refusal").0, "SK1101");
    revoke(&home, &["lift", &user()]);
    until("it is let in", || adds(&mut later));
    let again = home.sekisho(&["revoke", "lift", &user()]);
    assert!(!again.status.success() && again.err.contains("SK0307"), "{again:?}");
}

#[test]
fn all_users_of_this_machine_can_be_revoked_at_once_and_nothing_else_of_them_has_a_name() {
    let (command, table) = everything();
    let home = Home::locked(&table);
    let mut client = home.open(&command, Era::Modern);
    assert!(adds(&mut client));
    revoke(&home, &["issuer", "--issuer", "local"]);
    until("it is refused", || refusal(&mut client).is_some());
    revoke(&home, &["lift"]);
    until("it is let in", || adds(&mut client));
    for kind in ["client", "token", "key", "issuer-session"] {
        let refused = home.sekisho(&["revoke", kind, "--issuer", "local", "x"]);
        assert!(!refused.status.success() && refused.err.contains("SK0307"), "{kind}: {refused:?}");
    }
    assert!(adds(&mut client));
}

#[test]
fn a_file_of_revocations_that_is_damaged_or_gone_refuses_everybody_and_starts_nothing() {
    let (command, table) = everything();
    let home = Home::locked(&table);
    revoke(&home, &["subject", "--issuer", "local", "nobody-we-know"]);
    let file = home.data().join("revoked-users.json");
    let whole = fs::read(&file).expect("a file");
    let mut client = home.open(&command, Era::Modern);
    assert!(adds(&mut client));
    for damaged in [Some(&whole[..whole.len() / 2]), None] {
        match damaged {
            Some(bytes) => fs::write(&file, bytes).expect("written"),
            None => fs::remove_file(&file).expect("removed"),
        }
        until("everybody is refused", || refusal(&mut client).is_some());
        let (code, request) = refusal(&mut client).expect("a refusal");
        assert_eq!(code, "SK1101");
        let why = home.sekisho(&["why", &request]);
        assert!(why.out.contains("what is revoked on this machine cannot be read"), "{why:?}");
        if damaged.is_some() {
            let refused = home.refused(&[], &command);
            assert!(
                refused.contains("SK0205") && refused.contains("who is revoked on this machine cannot be known"),
                "{refused}"
            );
            let refused = home.sekisho(&["revoke", "subject", "--issuer", "local", "x"]);
            assert!(!refused.status.success(), "what is damaged is not written over: {refused:?}");
        }
        fs::write(&file, &whole).expect("written");
        until("it is let in", || adds(&mut client));
    }
    assert!(home.log_of(1).contains("\"kind\":\"security\""), "{}", home.log_of(1));
}
