use super::*;

fn asked(head: &str) -> Result<Request, BadHead> {
    parse(head.as_bytes(), "127.0.0.1:3128".parse().unwrap())
}

fn tunnel_to(place: &str) -> Result<Request, BadHead> {
    Ok(Request::Tunnel(Place::parse(place).unwrap()))
}

/// The head that goes on for a request with these lines.
fn sent(lines: &[&str]) -> String {
    match asked(&format!("{}\r\n\r\n", lines.join("\r\n"))) {
        Ok(Request::Plain(plain)) => String::from_utf8(plain.head).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn refused(lines: &[&str]) -> BadHead {
    asked(&format!("{}\r\n\r\n", lines.join("\r\n"))).unwrap_err()
}

#[test]
fn connect_asks_for_its_host_and_port() {
    for (head, place) in [
        ("CONNECT api.github.com:443 HTTP/1.1\r\nHost: api.github.com:443\r\n\r\n", "api.github.com:443"),
        ("CONNECT api.github.com:443 HTTP/1.1\r\nhOST: API.github.com.\r\n\r\n", "api.github.com:443"),
        ("CONNECT api.github.com:443 HTTP/1.1\r\n\r\n", "api.github.com:443"),
        ("CONNECT api.github.com:443 HTTP/1.0\r\n\r\n", "api.github.com:443"),
        ("CONNECT API.github.com.:443 HTTP/1.1\r\nUser-Agent: x\r\n\r\n", "api.github.com:443"),
        ("CONNECT 0x7f.1:443 HTTP/1.1\r\nHost: 127.0.0.1:443\r\n\r\n", "127.0.0.1:443"),
        ("CONNECT 2130706433:443 HTTP/1.1\r\n\r\n", "127.0.0.1:443"),
        ("CONNECT [::ffff:127.0.0.1]:443 HTTP/1.1\r\n\r\n", "[::ffff:7f00:1]:443"),
        ("CONNECT a.b:443 HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "a.b:443"),
        ("CONNECT a.b:443 HTTP/1.1\r\nHost: localhost:3128\r\n\r\n", "a.b:443"),
        ("CONNECT a.b:443 HTTP/1.1\r\nHost: 127.0.0.1:3128\r\n\r\n", "a.b:443"),
        ("CONNECT a.b:443 HTTP/1.1\r\nProxy-Authorization: Basic eA==\r\n\r\n", "a.b:443"),
    ] {
        assert_eq!(asked(head), tunnel_to(place), "{head}");
    }
}

#[test]
fn connect_that_says_two_things_or_none_is_refused() {
    for (lines, why) in [
        (&["CONNECT a.b:443 HTTP/1.1", "Host: c.d:443"][..], BadHead::Host),
        (&["CONNECT a.b:443 HTTP/1.1", "Host: a.b:444"], BadHead::Host),
        (&["CONNECT a.b:443 HTTP/1.1", "Host: localhost"], BadHead::Host),
        (&["CONNECT a.b:443 HTTP/1.1", "Host: localhost:3129"], BadHead::Host),
        (&["CONNECT a.b:443 HTTP/1.1", "Host: 127.0.0.2:3128"], BadHead::Host),
        (&["CONNECT a.b:443 HTTP/1.1", "Host:"], BadHead::Host),
        (&["CONNECT a.b:443 HTTP/1.1", "Host: a.b", "Host: a.b"], BadHead::Host),
        (&["CONNECT a.b:443 HTTP/1.1", "Host: \u{e9}\u{202e}"], BadHead::Host),
        (&["CONNECT a.b HTTP/1.1"], BadHead::Place(BadPlace::NoPort)),
        (&["CONNECT a.b:0 HTTP/1.1"], BadHead::Place(BadPlace::Port)),
        (&["CONNECT http://a.b:443 HTTP/1.1"], BadHead::Place(BadPlace::Port)),
        (&["CONNECT /a.b:443 HTTP/1.1"], BadHead::Place(BadPlace::Host)),
        (&["CONNECT ann@a.b:443 HTTP/1.1"], BadHead::Place(BadPlace::Host)),
        (&["CONNECT a..b:443 HTTP/1.1"], BadHead::Place(BadPlace::Host)),
        (&["CONNECT a%2eb:443 HTTP/1.1"], BadHead::Place(BadPlace::Host)),
        (&["CONNECT a.b:443 HTTP/1.1", "Content-Length: 5"], BadHead::Body),
        (&["CONNECT a.b:443 HTTP/1.1", "Transfer-Encoding: chunked"], BadHead::Body),
        (&["CONNECT a.b:443 HTTP/2.0"], BadHead::NotHttp),
        (&["CONNECT a.b:443"], BadHead::NotHttp),
        (&["connect a.b:443 HTTP/1.1"], BadHead::Form),
    ] {
        assert_eq!(refused(lines), why, "{lines:?}");
    }
}

#[test]
fn plain_request_goes_on_in_origin_form_without_what_concerns_this_connection() {
    let lines = [
        "GET http://Example.COM/a%2Fb?c=d HTTP/1.1",
        "Host: example.com:80",
        "Accept: */*",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: Basic eA==",
        "Connection: keep-alive, x-hop",
        "X-Hop: 1",
        "Keep-Alive: 5",
        "TE: trailers",
        "Upgrade: h2c",
        "HTTP2-Settings: x",
        "Cookie: a=b",
    ];
    let head =
        "GET /a%2Fb?c=d HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\nCookie: a=b\r\nConnection: close\r\n\r\n";
    assert_eq!(sent(&lines), head);
    for (line, start) in [
        ("GET http://a.b HTTP/1.1", "GET / HTTP/1.1\r\nHost: a.b\r\n"),
        ("GET http://a.b?c HTTP/1.1", "GET /?c HTTP/1.1\r\nHost: a.b\r\n"),
        ("GET HTTP://a.b:8080/ HTTP/1.1", "GET / HTTP/1.1\r\nHost: a.b:8080\r\n"),
        ("OPTIONS http://a.b HTTP/1.1", "OPTIONS * HTTP/1.1\r\nHost: a.b\r\n"),
        ("GET http://[::1]:81/ HTTP/1.1", "GET / HTTP/1.1\r\nHost: [::1]:81\r\n"),
        ("GET http://0x7f.1/ HTTP/1.1", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"),
    ] {
        assert_eq!(sent(&[line]), format!("{start}Connection: close\r\n\r\n"), "{line}");
    }
    let post = sent(&["POST http://a.b/ HTTP/1.1", "content-length: 007", "Connection: content-length, host"]);
    assert_eq!(post, "POST / HTTP/1.1\r\nHost: a.b\r\nContent-Length: 7\r\nConnection: close\r\n\r\n");
    let chunked = sent(&["POST http://a.b/ HTTP/1.1", "Transfer-Encoding: Chunked"]);
    assert_eq!(chunked, "POST / HTTP/1.1\r\nHost: a.b\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
}

#[test]
fn plain_request_that_is_no_proxys_is_refused() {
    for (lines, why) in [
        (&["GET / HTTP/1.1", "Host: a.b"][..], BadHead::Form),
        (&["OPTIONS * HTTP/1.1", "Host: a.b"], BadHead::Form),
        (&["GET a.b:80 HTTP/1.1"], BadHead::Form),
        (&["GET https://a.b/ HTTP/1.1"], BadHead::Scheme),
        (&["GET ftp://a.b/ HTTP/1.1"], BadHead::Scheme),
        (&["GET file:///etc/passwd HTTP/1.1"], BadHead::Scheme),
        (&["GET http://ann:secret@a.b/ HTTP/1.1"], BadHead::Place(BadPlace::Port)),
        (&["GET http://ann@a.b/ HTTP/1.1"], BadHead::Place(BadPlace::Host)),
        (&["GET http:///a HTTP/1.1"], BadHead::Place(BadPlace::Host)),
        (&["GET http://a.b\\@c.d/ HTTP/1.1"], BadHead::Place(BadPlace::Host)),
        (&["GET http://a.b/#c HTTP/1.1"], BadHead::Form),
        (&["GET http://a.b#@c.d/ HTTP/1.1"], BadHead::Place(BadPlace::Host)),
        (&["GET http://a.b/\u{e9} HTTP/1.1"], BadHead::Form),
        (&["GET http://a.b/ HTTP/1.1", "Host: c.d"], BadHead::Host),
        (&["GET http://a.b/ HTTP/1.1", "Host: localhost:3128"], BadHead::Host),
        (&["GET http://a.b:81/ HTTP/1.1", "Host: a.b"], BadHead::Host),
        (&["GET http://a.b/ HTTP/1.0"], BadHead::NotHttp),
        (&["GET http://a.b/"], BadHead::NotHttp),
        (&["PRI * HTTP/2.0"], BadHead::NotHttp),
    ] {
        assert_eq!(refused(lines), why, "{lines:?}");
    }
}

#[test]
fn shapes_that_smuggle_a_second_request_are_refused() {
    let post = "POST http://a.b/ HTTP/1.1";
    for lines in [
        &[post, "Content-Length: 5", "Transfer-Encoding: chunked"][..],
        &[post, "Content-Length: 5", "Content-Length: 5"],
        &[post, "Content-Length: 5", "content-length: 6"],
        &[post, "Content-Length: 5, 5"],
        &[post, "Content-Length: +5"],
        &[post, "Content-Length: 0x5"],
        &[post, "Content-Length: -1"],
        &[post, "Content-Length:"],
        &[post, "Content-Length: 18446744073709551616"],
        &[post, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
        &[post, "Transfer-Encoding: gzip, chunked"],
        &[post, "Transfer-Encoding: chunked, identity"],
        &[post, "Transfer-Encoding: identity"],
        &[post, "Transfer-Encoding: \"chunked\""],
        &[post, "Transfer-Encoding: xchunked"],
    ] {
        assert_eq!(refused(lines), BadHead::Body, "{lines:?}");
    }
    for head in [
        "GET http://a.b/ HTTP/1.1\nHost: a.b\n\n",
        "GET http://a.b/ HTTP/1.1\r\nX: a\nHost: c.d\r\n\r\n",
        "GET http://a.b/ HTTP/1.1\r\nX: a\rHost: c.d\r\n\r\n",
        "GET http://a.b/ HTTP/1.1\r\nX: a\r\n Host: c.d\r\n\r\n",
        "GET http://a.b/ HTTP/1.1\r\nX: a\r\n\tb\r\n\r\n",
        "GET http://a.b/ HTTP/1.1\r\n Host: a.b\r\n\r\n",
        "\r\nGET http://a.b/ HTTP/1.1\r\n\r\n",
        "\nGET http://a.b/ HTTP/1.1\r\n\r\n",
        " GET http://a.b/ HTTP/1.1\r\n\r\n",
    ] {
        assert_eq!(asked(head), Err(BadHead::Lines), "{head:?}");
    }
    for head in [
        "GET http://a.b/ HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n",
        "GET http://a.b/ HTTP/1.1\r\nX: a\0b\r\n\r\n",
        "GET http://a.b/ HTTP/1.1\r\nX\u{e9}: a\r\n\r\n",
        "GET  http://a.b/ HTTP/1.1\r\n\r\n",
        "GET http://a.b/  HTTP/1.1\r\n\r\n",
        "GET http://a.b/ HTTP/1.1 \r\n\r\n",
        "GET http://a.b/ HTTP/1.1\r\n\r\nGET http://c.d/ HTTP/1.1\r\n\r\n",
    ] {
        assert_eq!(asked(head), Err(BadHead::NotHttp), "{head:?}");
    }
}

#[test]
fn headers_are_read_up_to_their_bound_and_not_one_past_it() {
    let head = |count: usize| format!("GET http://a.b/ HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(count));
    assert!(asked(&head(HEADERS_MAX)).is_ok());
    assert_eq!(asked(&head(HEADERS_MAX + 1)), Err(BadHead::NotHttp));
}

#[test]
fn head_ends_behind_its_first_empty_line() {
    assert_eq!(end(b"a\r\n\r\nb\r\n\r\n"), Some(5));
    for part in [&b""[..], b"a\r\n", b"a\r\n\r", b"a\n\n", b"\r\r\n\n"] {
        assert_eq!(end(part), None);
    }
}
