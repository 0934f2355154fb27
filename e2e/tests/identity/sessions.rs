//! Session ids: nobody guesses, plants, borrows or outlives one, and nobody reads one in a log.

use std::collections::HashSet;
use std::io::{BufReader, Write as _};
use std::net::TcpStream;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

/// A gateway in front of a recorder called `up` that speaks 2025-11-25.
fn stand() -> (Gateway, Recorder) {
    let recorder = Recorder::start().expect("a port");
    let limits = "[limits]\nburst = 10000\nrequests_per_minute = 1000000\nconcurrent_max = 1000\n";
    let setup = Setup::open(&http_server("up", &recorder.url())).with_more(limits);
    let gateway = Gateway::start(&setup).expect("a gateway");
    gateway.wait_for_servers(&["up"]).expect("the server is probed");
    (gateway, recorder)
}

/// A token of this person, got by this client.
fn token(gateway: &Gateway, subject: &str, client: &str) -> String {
    let mut claims = gateway.issuer().claims(subject, &gateway.endpoint("up"));
    claims["client_id"] = json!(client);
    gateway.issuer().mint(&claims).expect("a token")
}

fn opened(gateway: &Gateway, token: &str) -> Client {
    Client::connect(&gateway.endpoint("up"), Some(token), Era::Legacy).expect("a session")
}

fn id(client: &Client) -> String {
    client.session().expect("a session").to_owned()
}

/// A client that says nothing of its own to begin with, with this token and session.
fn holding(gateway: &Gateway, token: &str, session: &str) -> Client {
    let mut client = Client::new(&gateway.endpoint("up"), Some(token), Era::Legacy).expect("a client");
    client.set_session(Some(session));
    client
}

fn echo(client: &mut Client) -> Response {
    client.send("tools/call", json!({"name": "echo", "arguments": {}})).expect("an answer")
}

/// No file of the gateway and nothing that it prints has one of these.
fn assert_unwritten(gateway: &Gateway, ids: &[String]) {
    let records: String = records(gateway).iter().map(Value::to_string).collect();
    let printed: String = [&["sessions", "--json"][..], &["sessions"], &["status"]]
        .map(|arguments| sekisho(gateway, arguments).out)
        .concat();
    let all = gateway.log() + &records + &printed;
    for id in ids {
        assert!(!all.contains(id.as_str()), "{id} is written somewhere");
    }
}

#[test]
fn session_ids_are_256_bits_that_tell_nothing_of_each_other() {
    let (gateway, _recorder) = stand();
    let mut ids = Vec::new();
    for subject in ["alice", "bob", "carol", "dave"] {
        let token = token(&gateway, subject, "app");
        ids.extend((0..50).map(|_| id(&opened(&gateway, &token))));
    }
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
    let bits = |id: &String| -> Vec<bool> {
        let bytes = URL_SAFE_NO_PAD.decode(id).expect("base64url");
        assert_eq!(bytes.len(), 32, "{id}");
        bytes.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1)).collect()
    };
    let ids_as_bits: Vec<Vec<bool>> = ids.iter().map(bits).collect();
    // Chances of random bits to fail here are below one in a billion: 7 standard deviations of 200 throws, and of 256.
    for place in 0..256 {
        let ones = ids_as_bits.iter().filter(|bits| bits[place]).count();
        assert!((50..=150).contains(&ones), "bit {place} is set in {ones} of 200");
    }
    for (first, second) in ids_as_bits.iter().zip(&ids_as_bits[1..]) {
        let alike = first.iter().zip(second).filter(|(one, other)| one == other).count();
        assert!((72..=184).contains(&alike), "{alike} of 256 bits are as in the one before");
    }
    assert_unwritten(&gateway, &ids);
}

#[test]
fn a_session_id_that_a_client_chose_names_no_session_before_or_after_it_begins_one() {
    let (gateway, _recorder) = stand();
    let alice = token(&gateway, "alice", "app");
    let planted = "A".repeat(43);
    let mut victim = holding(&gateway, &alice, &planted);
    assert_eq!(echo(&mut victim).status, 404);
    let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "identity", "version": "1"}});
    let answer = victim.send("initialize", hello.clone()).expect("an answer");
    let given = answer.header("mcp-session-id").expect("a session").to_owned();
    assert_eq!(answer.status, 200);
    assert_ne!(given, planted);
    assert_eq!(echo(&mut victim).status, 404, "the planted one still names nothing");
    // Nor does one that is hers already become another one's beginning.
    let mut again = holding(&gateway, &alice, &given);
    let second =
        again.send("initialize", hello).expect("an answer").header("mcp-session-id").expect("a session").to_owned();
    assert_ne!(second, given);
    let two = [format!("{planted}, {given}"), format!("{given}{given}"), given.to_lowercase(), format!("{given}=")];
    for wrong in two.iter().chain([&String::new()]) {
        let refused = echo(&mut holding(&gateway, &alice, wrong));
        assert!(matches!(refused.status, 400 | 404), "{wrong:?} {}", refused.status);
    }
    assert_eq!(echo(&mut again).status, 200);
    assert_unwritten(&gateway, &[planted, given, second]);
}

#[test]
fn a_session_of_another_person_client_or_endpoint_is_as_good_as_none() {
    let (gateway, recorder) = stand();
    let alice = token(&gateway, "alice", "app");
    let mut owner = opened(&gateway, &alice);
    let id = id(&owner);
    let calls = recorder.calls().len();
    let says = |response: &Response| {
        let request = response.header("sekisho-request-id").expect("an id");
        (response.status, response.text().replace(request, "ID"))
    };
    for (what, thief) in [
        ("another person", token(&gateway, "mallory", "app")),
        ("her other client", token(&gateway, "alice", "another")),
        ("another person's other client", token(&gateway, "mallory", "another")),
    ] {
        let made_up = echo(&mut holding(&gateway, &thief, &"A".repeat(43)));
        let mut thief = holding(&gateway, &thief, &id);
        let stolen = echo(&mut thief);
        assert_eq!(says(&stolen), says(&made_up), "{what}: nobody learns that it exists");
        assert_eq!((stolen.status, code(&stolen).as_str()), (404, "SK1202"), "{what}");
        assert_eq!(thief.end().expect("an answer").status, 404, "{what}");
        assert_eq!(thief.listen().expect("an answer").status(), 404, "{what}");
        assert_eq!(
            thief.notify("notifications/cancelled", json!({"requestId": 1})).expect("an answer").status,
            404,
            "{what}"
        );
    }
    let mut claims = gateway.issuer().claims("alice", &gateway.endpoint_of_all());
    claims["client_id"] = json!("app");
    let all = gateway.issuer().mint(&claims).expect("a token");
    let mut elsewhere = Client::new(&gateway.endpoint_of_all(), Some(&all), Era::Legacy).expect("a client");
    elsewhere.set_session(Some(&id));
    assert_eq!(elsewhere.send("ping", json!({})).expect("an answer").status, 404, "another endpoint");
    assert_eq!(recorder.calls().len(), calls);
    assert_eq!(echo(&mut owner).status, 200, "it goes on");
    assert_unwritten(&gateway, &[id]);
}

#[test]
fn a_session_opens_nothing_once_its_token_is_revoked_or_it_has_ended() {
    let (gateway, recorder) = stand();
    // Tokens of a minute ago: what is revoked now are those, and not the ones that somebody gets later.
    let aged = |subject: &str, age: u64| {
        let mut claims = gateway.issuer().claims(subject, &gateway.endpoint("up"));
        claims["iat"] = json!(sekisho_e2e::issuer::now() - age);
        gateway.issuer().mint(&claims).expect("a token")
    };
    let (mut alice, mut bob) = (opened(&gateway, &aged("alice", 60)), opened(&gateway, &aged("bob", 60)));
    let (hers, his) = (id(&alice), id(&bob));
    assert_eq!((echo(&mut alice).status, echo(&mut bob).status), (200, 200));
    assert!(sekisho(&gateway, &["revoke", "subject", "alice"]).status.success());
    let calls = recorder.calls().len();
    assert_eq!((echo(&mut alice).status, recorder.calls().len()), (401, calls));
    assert_eq!(echo(&mut bob).status, 200);
    assert!(sekisho(&gateway, &["revoke", "client", "sekisho-e2e"]).status.success());
    assert_eq!(echo(&mut bob).status, 401);
    assert!(sekisho(&gateway, &["sessions"]).out.contains("no session is open"));

    let mut carol = opened(&gateway, &token(&gateway, "carol", "app"));
    let theirs = id(&carol);
    assert_eq!((carol.end().expect("an answer").status, echo(&mut carol).status), (204, 404));
    assert_eq!(carol.end().expect("an answer").status, 404);
    assert_unwritten(&gateway, &[hers, his, theirs]);
}

/// Sends the same bytes over several connections at once. All but the last byte of each is there before.
fn at_once(gateway: &Gateway, requests: &[Vec<u8>]) -> Vec<Response> {
    let connected = |request: &Vec<u8>| {
        let mut stream = TcpStream::connect(gateway.address()).expect("a connection");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        stream.set_nodelay(true).expect("no delay");
        stream.write_all(&request[..request.len() - 1]).expect("sent");
        (stream, request[request.len() - 1])
    };
    let mut lines: Vec<(TcpStream, u8)> = requests.iter().map(connected).collect();
    for (stream, last) in &mut lines {
        stream.write_all(&[*last]).expect("sent");
    }
    lines.into_iter().map(|(stream, _)| raw::read(&mut BufReader::new(stream)).expect("an answer")).collect()
}

#[test]
fn of_several_that_end_a_session_at_once_one_does_and_calls_beside_them_pass_or_find_none() {
    const ROUNDS: usize = 60;
    let (gateway, recorder) = stand();
    let alice = token(&gateway, "alice", "app");
    let mut ids = Vec::new();
    for round in 0..ROUNDS {
        let owner = opened(&gateway, &alice);
        let id = id(&owner);
        let before = recorder.calls().len();
        let call = owner.bytes(
            &json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo", "arguments": {}}}),
        );
        let plain = String::from_utf8(call.clone()).expect("text");
        let (head, _) = plain.split_once("\r\nContent-Type").expect("a head");
        let end = format!("{}\r\n\r\n", head.replacen("POST", "DELETE", 1)).into_bytes();
        // In each round they come in another order.
        let mut requests = [&call, &end, &end, &call, &end, &call, &end, &call].map(Clone::clone);
        requests.rotate_left(round % 8);
        let answers = at_once(&gateway, &requests);
        let (ends, calls): (Vec<_>, Vec<_>) = answers.iter().zip(&requests).partition(|(_, request)| **request == end);
        let mut ended: Vec<u16> = ends.iter().map(|(answer, _)| answer.status).collect();
        ended.sort_unstable();
        assert_eq!(ended, [204, 404, 404, 404], "round {round}");
        let mut passed = 0;
        for (call, _) in calls {
            // One that was let in goes on to its end, or is told that its session is over.
            let text = call.text();
            match (call.status, text.contains("\"result\""), code(call).as_str()) {
                (200, true, _) => passed += 1,
                (404, false, "SK1202") | (200, false, "SK2101" | "SK2102") => {}
                _ => panic!("round {round}: {} {text}", call.status),
            }
        }
        assert!(recorder.calls().len() - before >= passed, "round {round}");
        assert_eq!(echo(&mut holding(&gateway, &alice, &id)).status, 404, "round {round}");
        ids.push(id);
    }
    // What is left is that of the probe.
    let left = raw::parse(&sekisho(&gateway, &["sessions", "--json"]).out).expect("JSON")["sessions"].clone();
    assert!(left.as_array().expect("a list").iter().all(|session| session["subject"] == "e2e-probe"), "{left}");
    assert_unwritten(&gateway, &ids);
}
