use super::*;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;

#[test]
fn host_and_origin_are_each_checked_alone() {
    let (gateway, recorder) = stand();
    let before = recorder.arrived().len();
    let token = gateway.token("alice", &gateway.endpoint("up")).expect("a token");
    let port = gateway.address().port();
    let send = |host: &str, origin: &str| {
        let body = String::from_utf8_lossy(INITIALIZE).into_owned();
        let request = format!(
            "POST /s/up/mcp HTTP/1.1\r\nHost: {host}\r\n{origin}{}\r\n{}\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            MEDIA[0],
            MEDIA[1],
            body.len()
        );
        raw::send(gateway.address(), request.as_bytes(), LIMIT).expect("an answer").status
    };
    let own = format!("127.0.0.1:{port}");
    assert_eq!(send("evil.example", ""), 403);
    assert_eq!(send(&own, "Origin: https://evil.example\r\n"), 403);
    assert_eq!(send(&own, "Origin: null\r\n"), 403);
    assert_eq!(send(&format!("127.0.0.1:{}", port ^ 1), ""), 403);
    assert_eq!(recorder.arrived().len(), before, "nothing was forwarded");
    assert_eq!(send(&own, ""), 200);
    assert_eq!(send(&format!("localhost:{port}"), &format!("Origin: http://localhost:{port}\r\n")), 200);
}

#[test]
fn every_response_has_the_security_headers() {
    let (gateway, _recorder) = stand();
    let responses = [
        request(&gateway, "GET /healthz", &[], b""),
        request(&gateway, "POST /mcp", &MEDIA, INITIALIZE),
        post(&gateway, "/s/up/mcp", &[], INITIALIZE),
        post(&gateway, "/s/up/mcp", &[], b"["),
    ];
    for response in responses {
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("referrer-policy", "no-referrer"),
        ] {
            assert_eq!(response.header(name), Some(value), "{name} with {}", response.status);
        }
        assert!(response.header("sekisho-request-id").is_some_and(|id| id.starts_with("req-")));
    }
}

#[test]
fn accept_and_content_type_are_checked() {
    let (gateway, _recorder) = stand();
    let token = gateway.token("alice", &gateway.endpoint("up")).expect("a token");
    let bearer = format!("Authorization: Bearer {token}");
    let send = |fields: &[&str]| {
        let fields: Vec<&str> = fields.iter().copied().chain([bearer.as_str()]).collect();
        request(&gateway, "POST /s/up/mcp", &fields, INITIALIZE).status
    };
    assert_eq!(send(&MEDIA), 200);
    assert_eq!(send(&["Content-Type: application/json; charset=utf-8", "Accept: */*"]), 200);
    assert_eq!(send(&["Content-Type: text/plain", MEDIA[1]]), 415);
    assert_eq!(send(&[MEDIA[1]]), 415);
    assert_eq!(send(&[MEDIA[0], MEDIA[1], "Content-Encoding: gzip"]), 415);
    assert_eq!(send(&[MEDIA[0], "Accept: application/json"]), 406);
    assert_eq!(send(&[MEDIA[0]]), 406);
}

#[test]
fn an_accepted_notification_is_202_and_other_verbs_are_405() {
    let (gateway, _recorder) = stand();
    let named = format!("Mcp-Session-Id: {}", session(&gateway, "/s/up/mcp"));
    let accepted = post(&gateway, "/s/up/mcp", &[&named], br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    assert_eq!((accepted.status, accepted.body.len()), (202, 0));
    let unknown = post(&gateway, "/s/up/mcp", &[&named], br#"{"jsonrpc":"2.0","method":"notifications/made-up"}"#);
    assert_eq!(unknown.status, 400, "{}", unknown.text());
    let token = gateway.token("alice", &gateway.endpoint("up")).expect("a token");
    let bearer = format!("Authorization: Bearer {token}");
    for verb in ["PUT", "PATCH", "OPTIONS"] {
        let refused = request(&gateway, &format!("{verb} /s/up/mcp"), &[&bearer, MEDIA[1]], b"");
        assert_eq!((refused.status, refused.header("allow")), (405, Some("POST, GET, DELETE")), "{verb}");
    }
    let nobodys = request(&gateway, "GET /s/up/mcp", &[&bearer, MEDIA[1]], b"");
    assert_eq!((nobodys.status, code(&nobodys)), (400, "SK1201".to_owned()), "a stream belongs to a session");
    let deaf = request(&gateway, "GET /s/up/mcp", &[&bearer, &named, "Accept: application/json"], b"");
    assert_eq!(deaf.status, 406);
    let ended = request(&gateway, "DELETE /s/up/mcp", &[&bearer, &named], b"");
    assert_eq!(ended.status, 204);
    let gone = post(&gateway, "/s/up/mcp", &[&named], br#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#);
    assert_eq!(gone.status, 404);
}

#[test]
fn a_body_past_its_bound_is_413() {
    let setup = |url: &str| Setup::open(&http_server("up", url)).with_more("[limits]\nbody_bytes_max = 4096\n");
    let recorder = Recorder::start().expect("a port");
    let gateway = Gateway::start(&setup(&recorder.url())).expect("a gateway");
    gateway.wait_for_servers(&["up"]).expect("probed");
    let padded = |length: usize| {
        let mut body = INITIALIZE.to_vec();
        body.resize(length, b' ');
        body
    };
    assert_eq!(post(&gateway, "/s/up/mcp", &[], &padded(4096)).status, 200);
    let refused = post(&gateway, "/s/up/mcp", &[], &padded(4097));
    assert_eq!((refused.status, code(&refused)), (413, "SK1305".to_owned()));
}

/// Bytes that two HTTP parsers could frame differently (request smuggling) never become two requests.
#[test]
fn ambiguous_framing_is_refused() {
    let (gateway, recorder) = stand();
    let before = recorder.arrived().len();
    let host = gateway.address();
    let cases = [
        format!("POST /mcp HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd"),
        format!(
            "POST /mcp HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        format!("POST /mcp HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        format!("POST /mcp HTTP/1.1\r\nHost: {host}\r\nContent-Length: +4\r\n\r\nabcd"),
        format!("POST /mcp HTTP/1.1\r\nHost : {host}\r\nContent-Length: 0\r\n\r\n"),
        format!("POST /mcp HTTP/1.1\r\nHost: {host}\r\nX: a\n\r\nContent-Length: 0\r\n\r\n"),
        "POST /mcp HTTP/1.1\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "GARBAGE\r\n\r\n".to_owned(),
    ];
    for case in cases {
        let mut stream = TcpStream::connect(host).expect("a connection");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        stream.write_all(case.as_bytes()).expect("sent");
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        let statuses: Vec<&str> = text.lines().filter(|line| line.starts_with("HTTP/1.1 ")).collect();
        assert!(statuses.len() <= 1, "{case:?} became {statuses:?}");
        assert!(!text.contains("HTTP/1.1 2"), "{case:?} was accepted: {text}");
        assert!(!text.contains("HTTP/1.1 5"), "{case:?} broke something: {text}");
    }
    assert_eq!(recorder.arrived().len(), before);
    assert_eq!(request(&gateway, "GET /healthz", &[], b"").status, 200, "it lives");
}

#[test]
fn slow_heads_and_bodies_end_in_time() {
    let recorder = Recorder::start().expect("a port");
    let limits = "[limits]\nheader_read_timeout_seconds = 1\nbody_read_timeout_seconds = 1\n";
    let gateway =
        Gateway::start(&Setup::open(&http_server("up", &recorder.url())).with_more(limits)).expect("a gateway");
    let started = std::time::Instant::now();
    let token = gateway.token("alice", &gateway.endpoint("up")).expect("a token");
    let half = [
        "P".to_owned(),
        "PRI * HT".to_owned(),
        // HTTP/2 from here on, and then silence: no frame, or no request.
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0".to_owned(),
        "POST /mcp HTTP/1.1\r\nHos".to_owned(),
        format!(
            "POST /s/up/mcp HTTP/1.1\r\nHost: {}\r\n{}\r\n{}\r\nAuthorization: Bearer {token}\r\nContent-Length: 100\r\n\r\n{{",
            gateway.address(),
            MEDIA[0],
            MEDIA[1]
        ),
    ];
    for bytes in half {
        let mut stream = TcpStream::connect(gateway.address()).expect("a connection");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        stream.write_all(bytes.as_bytes()).expect("sent");
        let mut answer = Vec::new();
        // Closed with bytes unread, a connection ends in a reset: an end all the same, unlike a wait that times out.
        let ended = stream.read_to_end(&mut answer).map_err(|error| error.kind());
        assert!(matches!(ended, Ok(_) | Err(ErrorKind::ConnectionReset)), "{bytes:?}: {ended:?}");
        let answer = String::from_utf8_lossy(&answer);
        let is_http_2 = bytes.contains("SM");
        assert!(answer.is_empty() || answer.contains(" 408 ") || is_http_2, "{bytes:?}: {answer}");
    }
    assert!(started.elapsed() < LIMIT);
}

#[test]
fn many_heads_and_large_heads_are_refused() {
    let (gateway, _recorder) = stand();
    let large = format!("X-Large: {}", "a".repeat(64 * 1024));
    let many: Vec<String> = (0..200).map(|n| format!("X-{n}: 1")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for fields in [vec![large.as_str()], many] {
        let response = request(&gateway, "GET /healthz", &fields, b"");
        assert_eq!(response.status, 431);
    }
    assert_eq!(request(&gateway, "GET /healthz", &["X-Small: a"], b"").status, 200);
}

#[test]
fn a_full_house_can_still_be_shut_down() {
    let recorder = Recorder::start().expect("a port");
    let setup = Setup::open(&http_server("up", &recorder.url()))
        .with_gateway("shutdown_seconds = 1")
        .with_more("[limits]\nconnections_max = 2\n");
    let mut gateway = Gateway::start(&setup).expect("a gateway");
    let guests: Vec<TcpStream> =
        (0..3).map(|_| TcpStream::connect(gateway.address()).expect("the backlog takes it")).collect();
    std::thread::sleep(Duration::from_millis(200));
    gateway.process().signal(nix::sys::signal::Signal::SIGTERM).expect("signalled");
    assert!(gateway.process().wait(LIMIT).expect("it ends").success());
    drop(guests);
}

#[test]
fn as_many_files_may_be_open_as_the_system_permits() {
    let (mut gateway, _recorder) = stand();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", gateway.process().id())).expect("its limits");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("a line");
    let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert!(numbers[0] >= numbers[1].min(65_536), "{line}");
}
