//! The fixtures themselves, without a gateway: a red end-to-end test must not be the fixture's fault.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test says what it expects and stops where it is not so"
)]

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use sekisho_e2e::client::{Client, Era};
use sekisho_e2e::fixture::Everything;
use sekisho_e2e::issuer::Issuer;
use sekisho_e2e::shim::{Shim, relay};
use sekisho_e2e::{process, raw};
use serde_json::{Value, json};

#[test]
fn the_everything_server_speaks_both_eras() {
    let server = Everything::start(&[]).expect("the server");
    for era in [Era::Legacy, Era::Modern] {
        let mut client = Client::connect(server.url(), None, era).expect("a client");
        assert_eq!(client.session().is_some(), era == Era::Legacy);
        assert!(client.list("tools/list").expect("tools").contains(&"test_add".to_owned()));
        let sum = client.call("test_add", json!({"a": 2, "b": 40})).expect("a result");
        assert_eq!(sum["content"][0]["text"], "42");
    }
}

#[test]
fn each_era_can_be_left_out() {
    for (left, out, option) in [(Era::Legacy, Era::Modern, "legacy"), (Era::Modern, Era::Legacy, "modern")] {
        let server = Everything::start(&["--era", option]).expect("the server");
        assert!(Client::connect(server.url(), None, left).is_ok(), "{option}");
        assert!(Client::connect(server.url(), None, out).is_err(), "{option}");
    }
}

#[test]
fn only_the_lax_server_takes_any_host() {
    for (options, status) in [(&[][..], 403), (&["--lax"], 200)] {
        let server = Everything::start(options).expect("the server");
        let client = Client::new(server.url(), None, Era::Legacy).expect("a client");
        let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params":
            {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}});
        let request = String::from_utf8(client.bytes(&hello)).expect("text").replacen(
            "Host: ",
            "Host: evil.example:1\r\nX-Was: ",
            1,
        );
        let address = server.url().trim_start_matches("http://").trim_end_matches("/mcp").parse().expect("an address");
        let response = raw::send(address, request.as_bytes(), LIMIT).expect("a response");
        assert_eq!(response.status, status, "{options:?}: {}", response.text());
    }
}

#[test]
fn the_shim_adds_one_field_and_changes_nothing_else() {
    let target = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = target.local_addr().expect("an address");
    let (shim, listener) = Shim::bind().expect("a port");
    relay(listener, address, "secret".to_owned());
    let server = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut stream, _) = target.accept().expect("a connection");
        let mut seen = Vec::new();
        let mut buffer = [0; 1024];
        while !seen.ends_with(b"body!") {
            let read = stream.read(&mut buffer).expect("bytes");
            assert_ne!(read, 0, "the relay ended early: {}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&buffer[..read]);
        }
        stream.write_all(b"HTTP/1.1 204 Fine\r\n\r\n").expect("an answer");
        seen
    });
    let request =
        b"POST /x HTTP/1.1\r\nhOST: evil.example\r\nOrigin:  http://evil.example \r\nContent-Length: 5\r\n\r\nbody!";
    let response = raw::send(shim.address(), request, LIMIT).expect("an answer");
    assert_eq!(response.status, 204);
    let seen = String::from_utf8(server.join().expect("the server ends")).expect("text");
    let expected = "POST /x HTTP/1.1\r\nhOST: evil.example\r\nOrigin:  http://evil.example \r\nContent-Length: 5\r\nAuthorization: Bearer secret\r\n\r\nbody!";
    assert_eq!(seen, expected);
}

#[test]
fn tokens_carry_what_they_should_and_nothing_else_signs_them() {
    for issuer in [Issuer::es256("http://issuer").expect("keys"), Issuer::rs256("http://issuer").expect("keys")] {
        let token = issuer.token("alice", "http://here").expect("a token");
        let keys = raw::parse(&issuer.key_set().expect("keys")).expect("JSON");
        let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(keys["keys"][0].clone()).expect("a key");
        let key = jsonwebtoken::DecodingKey::from_jwk(&jwk).expect("a key");
        let header = jsonwebtoken::decode_header(&token).expect("a header");
        assert_eq!((header.typ.as_deref(), header.kid), (Some("at+jwt"), jwk.common.key_id));
        let mut rules = jsonwebtoken::Validation::new(header.alg);
        rules.set_audience(&["http://here"]);
        let claims = jsonwebtoken::decode::<Value>(&token, &key, &rules).expect("a good token").claims;
        assert_eq!(claims["sub"], "alice");
        let another = Issuer::es256("http://issuer").expect("keys").token("alice", "http://here").expect("a token");
        assert!(jsonwebtoken::decode::<Value>(&another, &key, &rules).is_err());
    }
}

#[test]
fn a_process_ends_with_its_owner_and_takes_its_children_along() {
    let mut shell = Command::new("sh");
    shell.args(["-c", "sleep 600 & echo $!; wait"]).stdout(std::process::Stdio::piped());
    let mut running = process::Running::start(&mut shell).expect("a shell");
    let child: i32 = running.first_line(LIMIT).expect("a line").parse().expect("a number");
    drop(running);
    let gone = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        let state = std::fs::read_to_string(format!("/proc/{child}/stat"));
        state.map_or(true, |state| state.contains(") Z "))
    });
    assert!(gone, "process {child} is still there");
}

const LIMIT: Duration = Duration::from_secs(10);
