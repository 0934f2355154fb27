//! One plain HTTP request and its answer.

use httparse::{EMPTY_HEADER, Response};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use crate::gate::budget::Way;
use crate::gate::chunks::Chunks;
use crate::gate::head::{self, Framing, Plain};
use crate::gate::passage::{Cut, Failure, Outcome};
use crate::gate::tunnel::{Meter, broken};

/// Sends a request and brings its answer. What a client says behind the request is never read.
pub(super) async fn exchange(
    client: &mut TcpStream,
    server: &mut TcpStream,
    request: &Plain,
    first: &[u8],
    meter: &Meter<'_>,
) -> Outcome {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let up = async {
        meter.pass(&mut to_server, Way::Up, &request.head).await?;
        send_body(&mut from_client, &mut to_server, request.body, first, meter).await?;
        left(&mut from_client).await;
        Ok(())
    };
    let down = bring_answer(&mut from_server, &mut to_client, meter);
    // Whichever is first: an answer may come before the request is whole, and a client may leave before the answer has come.
    let ended = tokio::select! {
        ended = up => ended,
        ended = down => ended,
    };
    ended.map_or_else(|outcome| outcome, |()| Outcome::Ended)
}

async fn send_body(
    from: &mut ReadHalf<'_>,
    to: &mut WriteHalf<'_>,
    framing: Framing,
    first: &[u8],
    meter: &Meter<'_>,
) -> Result<(), Outcome> {
    let mut body = Rest::of(framing);
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut come = body.scan(first)?;
    meter.pass(to, Way::Up, first.get(..come).unwrap_or_default()).await?;
    while !body.is_over() {
        let count = from.read(&mut chunk).await.map_err(broken)?;
        if count == 0 {
            return Err(Outcome::Cut(Cut::Body));
        }
        let part = chunk.get(..count).unwrap_or_default();
        come = body.scan(part)?;
        meter.pass(to, Way::Up, part.get(..come).unwrap_or_default()).await?;
    }
    Ok(())
}

/// What is to come of a body.
#[derive(Debug)]
enum Rest {
    Length(u64),
    Chunked(Chunks),
}

impl Rest {
    fn of(framing: Framing) -> Rest {
        match framing {
            Framing::None => Rest::Length(0),
            Framing::Length(length) => Rest::Length(length),
            Framing::Chunked => Rest::Chunked(Chunks::default()),
        }
    }

    /// How many of these bytes belong to it.
    fn scan(&mut self, bytes: &[u8]) -> Result<usize, Outcome> {
        match self {
            Rest::Length(left) => {
                let here = u64::try_from(bytes.len()).unwrap_or(u64::MAX).min(*left);
                *left = left.saturating_sub(here);
                Ok(usize::try_from(here).unwrap_or(bytes.len()))
            }
            Rest::Chunked(chunks) => chunks.scan(bytes).map_err(|_| Outcome::Cut(Cut::Body)),
        }
    }

    fn is_over(&self) -> bool {
        match self {
            Rest::Length(left) => *left == 0,
            Rest::Chunked(chunks) => chunks.is_over(),
        }
    }
}

/// Whether more stands behind a request than its body, as far as that can be seen yet. A body that is wrong is told when it is sent.
pub(super) fn has_more(framing: Framing, first: &[u8]) -> bool {
    let mut rest = Rest::of(framing);
    rest.scan(first).is_ok_and(|used| used < first.len())
}

/// Ends when the client has left. One that says more instead has its answer, and nothing else.
async fn left(from: &mut ReadHalf<'_>) {
    match from.read(&mut [0]).await {
        Ok(0) | Err(_) => {}
        Ok(_) => std::future::pending().await,
    }
}

async fn bring_answer(from: &mut ReadHalf<'_>, to: &mut WriteHalf<'_>, meter: &Meter<'_>) -> Result<(), Outcome> {
    let mut come = Vec::new();
    // What only announces the answer goes on as well (RFC 9110 section 15.2).
    for _ in 0..ANSWERS_MAX {
        let end = read_head(from, &mut come).await?;
        let rest = come.split_off(end);
        let (head, announces) = rewritten(&come).ok_or(Outcome::Failed(Failure::Answer))?;
        come = rest;
        meter.pass(to, Way::Down, &head).await?;
        if !announces {
            meter.pass(to, Way::Down, &come).await?;
            return meter.pass_all(from, to, Way::Down).await;
        }
    }
    Err(Outcome::Failed(Failure::Answer))
}

/// Reads until a head is whole.
async fn read_head(from: &mut ReadHalf<'_>, come: &mut Vec<u8>) -> Result<usize, Outcome> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match head::end(come) {
            Some(end) if end <= ANSWER_HEAD_BYTES_MAX => return Ok(end),
            None if come.len() <= ANSWER_HEAD_BYTES_MAX => {}
            Some(_) | None => return Err(Outcome::Failed(Failure::Answer)),
        }
        match from.read(&mut chunk).await.map_err(broken)? {
            0 => return Err(Outcome::Failed(Failure::Answer)),
            count => come.extend_from_slice(chunk.get(..count).unwrap_or_default()),
        }
    }
}

/// The head of an answer as it goes on, and whether it only announces one.
fn rewritten(head: &[u8]) -> Option<(Vec<u8>, bool)> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut response = Response::new(&mut headers);
    if response.parse(head) != Ok(httparse::Status::Complete(head.len())) {
        return None;
    }
    let (code, reason) = (response.code?, response.reason.unwrap_or_default());
    let announces = match code {
        // Nobody asked for another protocol: that was taken out of the request.
        101 | ..=99 | 600.. => return None,
        100..=199 => true,
        200..=599 => false,
    };
    let has = |name: &str| response.headers.iter().any(|header| header.name.eq_ignore_ascii_case(name));
    let mut to = format!("HTTP/1.1 {code} {reason}\r\n").into_bytes();
    // Of two lengths, that of the coding counts (RFC 9112 section 6.3).
    let but: &[&str] = if has("transfer-encoding") { &["content-length"] } else { &[] };
    head::keep(&mut to, response.headers, but);
    to.extend_from_slice(if announces { b"\r\n" } else { head::LAST });
    Some((to, announces))
}

const CHUNK_BYTES: usize = 16 * 1024;
const ANSWER_HEAD_BYTES_MAX: usize = 64 * 1024;
const ANSWERS_MAX: usize = 8;
const HEADERS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(head: &str) -> Option<(String, bool)> {
        rewritten(head.as_bytes()).map(|(head, announces)| (String::from_utf8(head).unwrap(), announces))
    }

    #[test]
    fn answer_goes_on_without_what_concerns_its_connection() {
        let (head, announces) = answer(
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive, x\r\nX: y\r\nKeep-Alive: 5\r\nA: b\r\n\r\n",
        )
        .unwrap();
        assert_eq!(head, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: b\r\nConnection: close\r\n\r\n");
        assert!(!announces);
        let (head, _) = answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        assert_eq!(head, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
        assert_eq!(answer("HTTP/1.1 100 Continue\r\n\r\n"), Some(("HTTP/1.1 100 Continue\r\n\r\n".to_owned(), true)));
    }

    #[test]
    fn answer_that_is_none_or_changes_the_protocol_is_refused() {
        for head in [
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
            "HTTP/1.1 099 x\r\n\r\n",
            "HTTP/1.1 600 x\r\n\r\n",
            "HTTP/2 200\r\n\r\n",
            "SSH-2.0-OpenSSH\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
        ] {
            assert_eq!(answer(head), None, "{head:?}");
        }
    }

    #[test]
    fn what_stands_behind_a_request_is_seen() {
        for (framing, first, more) in [
            (Framing::None, "", false),
            (Framing::None, "G", true),
            (Framing::Length(2), "ab", false),
            (Framing::Length(2), "a", false),
            (Framing::Length(2), "abG", true),
            (Framing::Chunked, "0\r\n\r\n", false),
            (Framing::Chunked, "0\r\n\r\nG", true),
            (Framing::Chunked, "x", false),
        ] {
            assert_eq!(has_more(framing, first.as_bytes()), more, "{framing:?} {first:?}");
        }
    }
}
