//! The first thing a client says: a request to a proxy, strictly read.

use std::fmt::Write as _;
use std::net::SocketAddr;

use httparse::{EMPTY_HEADER, Header};

use crate::gate::host::{BadPlace, Host, Place};
use crate::gate::rules::{Asking, HTTP};

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    /// `CONNECT`.
    Tunnel(Place),
    /// A request in absolute form.
    Plain(Plain),
}

/// A plain HTTP request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plain {
    pub(super) place: Place,
    /// Its head as it goes on: in origin form, without what concerns this connection alone.
    pub(super) head: Vec<u8>,
    pub(super) body: Framing,
}

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    None,
    Length(u64),
    Chunked,
}

/// Why a head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadHead {
    /// The client went away before its head was whole.
    #[error("the client left before its request was whole")]
    Left,
    /// The head did not come in time.
    #[error("the request did not come in time")]
    Late,
    /// The head is too long.
    #[error("the head of the request is longer than 16 KiB")]
    TooLong,
    /// It has a line end that is not CR LF, or a line that goes on in the next one.
    #[error("the head of the request has a line end that is not CR LF, or a folded line")]
    Lines,
    /// It is no HTTP/1.1 request.
    #[error("this is no HTTP/1.1 request")]
    NotHttp,
    /// It is neither `CONNECT` nor in absolute form.
    #[error("a proxy takes `CONNECT host:port` and `METHOD http://host/path`, and nothing else")]
    Form,
    /// It asks for something else than plain HTTP in absolute form.
    #[error("only http:// is asked for in absolute form; use CONNECT for https")]
    Scheme,
    /// Where it wants to go is no host and port.
    #[error("{0}")]
    Place(BadPlace),
    /// `Host` is not what the first line says, or is there twice.
    #[error("the Host header is not the host that is asked for")]
    Host,
    /// It is not clear where its body ends.
    #[error("it is not clear where the body of the request ends")]
    Body,
    /// More comes behind a request than its body.
    #[error("one connection is good for one plain request")]
    SecondRequest,
}

/// Where a head ends, if all of it is there: behind its empty line.
pub(super) fn end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(END.len()).position(|window| window == END).map(|at| at.saturating_add(END.len()))
}

/// Reads a head that came to the gate at this address.
pub(super) fn parse(head: &[u8], gate: SocketAddr) -> Result<Request, BadHead> {
    check_lines(head)?;
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let used = request.parse(head).map_err(|_| BadHead::NotHttp)?;
    if used != httparse::Status::Complete(head.len()) {
        return Err(BadHead::NotHttp);
    }
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Err(BadHead::NotHttp);
    };
    match (method, version) {
        // Python's http.client says CONNECT in HTTP/1.0 up to 3.11.
        (CONNECT, 0 | 1) => tunnel(target, request.headers, gate),
        (_, 1) => plain(method, target, request.headers),
        (_, _) => Err(BadHead::NotHttp),
    }
}

/// The parser takes a lone LF for a line's end, and skips empty lines in front; others do not (RFC 9112 section 2.2), and what two
/// parsers read differently is how a second request is smuggled in.
fn check_lines(head: &[u8]) -> Result<(), BadHead> {
    let mut before = b'\n';
    for (at, byte) in head.iter().enumerate() {
        let fits = match byte {
            b'\n' => before == b'\r',
            b'\r' => at > 0 && head.get(at.saturating_add(1)) == Some(&b'\n'),
            b' ' | b'\t' => before != b'\n',
            _ => true,
        };
        if !fits {
            return Err(BadHead::Lines);
        }
        before = *byte;
    }
    Ok(())
}

fn tunnel(target: &str, headers: &[Header<'_>], gate: SocketAddr) -> Result<Request, BadHead> {
    let place = Place::parse(target).map_err(BadHead::Place)?;
    // Node's http.request names the proxy there unless it is told otherwise. It never goes on.
    let is_gate = |said: &Place| {
        said.port == gate.port() && (said.host == Host::Address(gate.ip()) || said.host.name() == Some("localhost"))
    };
    match host(headers, place.port)? {
        Some(said) if said != place && !is_gate(&said) => return Err(BadHead::Host),
        Some(_) | None => {}
    }
    match framing(headers)? {
        // A body of CONNECT has no meaning (RFC 9110 section 9.3.6), and would be the tunnel's first bytes to others.
        Framing::None | Framing::Length(0) => Ok(Request::Tunnel(place)),
        Framing::Length(_) | Framing::Chunked => Err(BadHead::Body),
    }
}

fn plain(method: &str, target: &str, headers: &[Header<'_>]) -> Result<Request, BadHead> {
    let (scheme, rest) = target.split_once("://").ok_or(BadHead::Form)?;
    if !scheme.eq_ignore_ascii_case("http") {
        return Err(BadHead::Scheme);
    }
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(at).ok_or(BadHead::Form)?;
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) || path.contains('#') {
        return Err(BadHead::Form);
    }
    let place = Place::parse_or(authority, HTTP).map_err(BadHead::Place)?;
    if host(headers, HTTP)?.is_some_and(|said| said != place) {
        return Err(BadHead::Host);
    }
    let body = framing(headers)?;
    let head = rewritten(method, path, &place, headers, body).ok_or(BadHead::NotHttp)?;
    Ok(Request::Plain(Plain { place, head, body }))
}

/// What `Host` says. It may be left out, and its port may.
fn host(headers: &[Header<'_>], port_default: u16) -> Result<Option<Place>, BadHead> {
    let Some(host) = single(headers, "host").map_err(|_twice| BadHead::Host)? else { return Ok(None) };
    let host = std::str::from_utf8(host).map_err(|_| BadHead::Host)?;
    Place::parse_or(host, port_default).map(Some).map_err(|_| BadHead::Host)
}

fn framing(headers: &[Header<'_>]) -> Result<Framing, BadHead> {
    let length = single(headers, "content-length").map_err(|_twice| BadHead::Body)?;
    let coding = single(headers, "transfer-encoding").map_err(|_twice| BadHead::Body)?;
    match (length, coding) {
        (None, None) => Ok(Framing::None),
        (Some(length), None) => {
            let is_number = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
            let length = std::str::from_utf8(length).ok().filter(|_| is_number).and_then(|length| length.parse().ok());
            length.map(Framing::Length).ok_or(BadHead::Body)
        }
        (None, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
        (_, Some(_)) => Err(BadHead::Body),
    }
}

/// A header's value, if it is there once.
fn single<'a>(headers: &[Header<'a>], name: &str) -> Result<Option<&'a [u8]>, Twice> {
    let mut values = headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value);
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => Err(Twice),
    }
}

struct Twice;

/// In origin form (RFC 9112 section 3.2.1). There is no `Via`: it would tell strangers what stands here.
fn rewritten(method: &str, path: &str, place: &Place, headers: &[Header<'_>], body: Framing) -> Option<Vec<u8>> {
    let slash = match (path.as_bytes().first(), method) {
        (None, "OPTIONS") => "*",
        (Some(b'/'), _) => "",
        (_, _) => "/",
    };
    let mut start = format!("{method} {slash}{path} HTTP/1.1\r\nHost: {}", place.host);
    if place.port != HTTP {
        write!(start, ":{}", place.port).ok()?;
    }
    let mut head = start.into_bytes();
    head.extend_from_slice(b"\r\n");
    keep(&mut head, headers, &["host", "content-length", "transfer-encoding"]);
    match body {
        Framing::None => {}
        Framing::Length(length) => head.extend_from_slice(format!("Content-Length: {length}\r\n").as_bytes()),
        Framing::Chunked => head.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    head.extend_from_slice(LAST);
    Some(head)
}

/// Writes the headers that go on: not those that concern one connection (RFC 9110 section 7.6.1), nor those `but` names.
pub(super) fn keep(to: &mut Vec<u8>, headers: &[Header<'_>], but: &[&str]) {
    for header in headers {
        let is = |name: &&str| header.name.eq_ignore_ascii_case(name);
        if HOP_BY_HOP.iter().any(is) || but.iter().any(is) || is_named_by_connection(headers, header.name) {
            continue;
        }
        to.extend_from_slice(header.name.as_bytes());
        to.extend_from_slice(b": ");
        to.extend_from_slice(header.value);
        to.extend_from_slice(b"\r\n");
    }
}

fn is_named_by_connection(headers: &[Header<'_>], name: &str) -> bool {
    let options = headers.iter().filter(|header| header.name.eq_ignore_ascii_case("connection"));
    options
        .flat_map(|header| header.value.split(|byte| *byte == b','))
        .any(|option| option.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
}

impl Request {
    pub(super) fn place(&self) -> &Place {
        match self {
            Request::Tunnel(place) => place,
            Request::Plain(plain) => &plain.place,
        }
    }

    pub(super) fn asking(&self) -> Asking {
        match self {
            Request::Tunnel(_) => Asking::Tunnel,
            Request::Plain(_) => Asking::Plain,
        }
    }
}

/// Whether a host is told by its name: a server of TLS must hear it, then.
impl Host {
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Host::Name(name) => Some(name),
            Host::Address(_) => None,
        }
    }
}

/// What ends every head we write: one request, one answer.
pub(super) const LAST: &[u8] = b"Connection: close\r\n\r\n";
const CONNECT: &str = "CONNECT";
const END: &[u8] = b"\r\n\r\n";
const HEADERS_MAX: usize = 100;
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-authentication-info",
    "te",
    "trailer",
    "upgrade",
    "http2-settings",
];

#[cfg(test)]
mod tests;
