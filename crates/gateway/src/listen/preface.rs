//! HTTP/1.1 or HTTP/2 on a plain connection, told by its first bytes, within a time limit.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// Looks at the first bytes and leaves them where they are (RFC 9113 section 3.4: `PRI * HTTP/2.0`).
pub(crate) async fn preface(stream: &TcpStream, limit: Duration) -> io::Result<Protocol> {
    tokio::time::timeout(limit, look(stream)).await.map_err(|_| io::ErrorKind::TimedOut)?
}

async fn look(stream: &TcpStream) -> io::Result<Protocol> {
    let mut first = [0; HTTP2.len()];
    loop {
        let seen = stream.peek(&mut first).await?;
        let bytes = first.get(..seen).unwrap_or(&first);
        if seen == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !HTTP2.starts_with(bytes) {
            return Ok(Protocol::Http1);
        }
        if bytes.len() == HTTP2.len() {
            return Ok(Protocol::Http2);
        }
        // The rest is under way: `peek` would return at once with the same bytes.
        tokio::time::sleep(RETRY).await;
    }
}

// No method of HTTP/1.1 begins so: `PRI` is reserved for this.
const HTTP2: &[u8] = b"PRI * HTTP/2.0";
const RETRY: Duration = Duration::from_millis(10);
