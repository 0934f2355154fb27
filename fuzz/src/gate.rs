//! What must hold for any bytes that come to the way out of a cage. libFuzzer calls this from `fuzz_targets/gate.rs`;
//! `crates/egress/tests/corpus.rs` replays the corpus through it as an ordinary test.

use sekisho_egress::{HostRule, PrivateHost, seen};

const NAME: &str = "a.example";
const BETWEEN: &[u8] = b"\n--\n";

/// The first byte says how long the parts are that the rest comes in: nothing depends on it.
pub fn gate(data: &[u8]) {
    let Some((part, bytes)) = data.split_first() else {
        return;
    };
    let part = usize::from(*part).max(1);
    head(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        rules(text);
    }
    assert_eq!(seen::chunked(bytes, part), seen::chunked(bytes, bytes.len()));
    hello(bytes, part);
}

/// A place has one spelling, and a head that goes on is one request in origin form.
fn head(bytes: &[u8]) {
    let Some((place, head)) = seen::request(bytes) else {
        return;
    };
    assert_eq!(seen::place(&place).as_ref(), Some(&place));
    let Some(head) = head else {
        return;
    };
    assert!(head.ends_with(b"\r\nConnection: close\r\n\r\n"));
    let lines: Vec<&[u8]> = head.split(|byte| *byte == b'\n').collect();
    let (empty, lines) = lines.split_last().expect("one at least");
    assert!(empty.is_empty());
    let mut lines: Vec<&[u8]> = lines.iter().map(|line| line.strip_suffix(b"\r").expect("CR LF")).collect();
    assert_eq!(lines.pop(), Some(&b""[..]));
    assert!(lines.iter().all(|line| !line.is_empty() && !line.contains(&b'\r')));
    let mut words = lines[0].split(|byte| *byte == b' ').skip(1);
    let path = words.next().expect("a path");
    assert!(path.starts_with(b"/") || path == b"*");
    assert_eq!((words.next(), words.next()), (Some(&b"HTTP/1.1"[..]), None));
    let count = |name: &str| {
        lines[1..]
            .iter()
            .filter(|line| line.len() > name.len() && line[..name.len()].eq_ignore_ascii_case(name.as_bytes()))
            .count()
    };
    assert_eq!((count("host:"), count("connection:")), (1, 1));
    assert!(count("content-length:") + count("transfer-encoding:") <= 1);
    assert_eq!(count("proxy-authorization:") + count("upgrade:") + count("te:"), 0);
}

/// A rule that is read and told is the same rule.
fn rules(text: &str) {
    if let Ok(rule) = text.parse::<HostRule>() {
        assert_eq!(rule.to_string().parse::<HostRule>(), Ok(rule));
    }
    if let Ok(private) = text.parse::<PrivateHost>() {
        assert_eq!(private.to_string().parse::<PrivateHost>(), Ok(private));
    }
}

/// What goes out is what came, from its beginning.
fn hello(bytes: &[u8], part: usize) {
    let at = bytes.windows(BETWEEN.len()).position(|window| window == BETWEEN);
    let (client, server) = at.map_or((bytes, &b""[..]), |at| (&bytes[..at], &bytes[at + BETWEEN.len()..]));
    let whole = seen::greeting(NAME, client, server, client.len().max(server.len()));
    let parts = seen::greeting(NAME, client, server, part);
    assert_eq!(whole.is_ok(), parts.is_ok(), "{whole:?} {parts:?}");
    if let (Ok(whole), Ok(parts)) = (whole, parts) {
        assert!(whole == parts && client.starts_with(&whole));
    }
}
