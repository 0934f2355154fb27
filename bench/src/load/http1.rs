//! HTTP/1.1 as far as a load generator needs it: one write per request, no copy of what comes back.

use std::io::Write as _;

use anyhow::{Context as _, bail, ensure};
use bytes::{Buf as _, BytesMut};
use memchr::memmem;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::Target;
use super::answer::Answer;
use super::request::Request;

/// A connection that is kept.
pub(super) struct Http1<S> {
    stream: S,
    /// What follows the method in the first line, and `Host`.
    line: Vec<u8>,
    output: Vec<u8>,
    input: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Http1<S> {
    pub(super) fn new(stream: S, target: &Target, path: &str) -> Self {
        let line = format!(" {path} HTTP/1.1\r\nhost: {}\r\n", target.authority).into_bytes();
        Self { stream, line, output: Vec::new(), input: BytesMut::with_capacity(INPUT_BYTES) }
    }

    pub(super) async fn send(&mut self, request: &Request<'_>) -> anyhow::Result<Answer> {
        self.write(request).await.context("the request cannot be sent")?;
        loop {
            if let Some(head) = read_head(&self.input)? {
                self.input.advance(head.bytes);
                // An interim response is followed by another one (RFC 9110, section 15.2).
                if head.status >= 200 {
                    return self.rest(head).await;
                }
            } else {
                self.fill().await?;
            }
        }
    }

    async fn write(&mut self, request: &Request<'_>) -> anyhow::Result<()> {
        self.output.clear();
        self.output.extend_from_slice(request.method.as_bytes());
        self.output.extend_from_slice(&self.line);
        for (name, value) in &request.fields.0 {
            write!(self.output, "{name}: {value}\r\n")?;
        }
        let length = request.body.length(request.id);
        write!(self.output, "authorization: Bearer {}\r\ncontent-length: {length}\r\n\r\n", request.token)?;
        request.body.write(request.id, &mut self.output);
        Ok(self.stream.write_all(&self.output).await?)
    }

    async fn rest(&mut self, head: Head) -> anyhow::Result<Answer> {
        let body = match head.framing {
            Framing::Length(length) => self.take(length).await?,
            Framing::Chunks => self.chunks().await?,
        };
        Ok(Answer { status: head.status, session: head.session, body, is_last: head.is_last })
    }

    async fn chunks(&mut self) -> anyhow::Result<BytesMut> {
        let mut body = BytesMut::new();
        loop {
            let end = loop {
                match memmem::find(&self.input, b"\r\n") {
                    Some(end) => break end,
                    None => self.fill().await?,
                }
            };
            let line = self.input.split_to(end.saturating_add(2));
            let size = str::from_utf8(&line)?.split([';', '\r']).next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).context("this is no chunk size")?;
            let chunk = self.take(size).await?;
            ensure!(self.take(2).await?.starts_with(b"\r\n"), "a chunk does not end");
            if size == 0 {
                return Ok(body);
            }
            // The first one is not copied; most bodies have no other.
            body = if body.is_empty() { chunk } else { [body, chunk].concat().as_slice().into() };
            ensure!(body.len() <= BODY_BYTES_MAX, "a body is too long");
        }
    }

    async fn take(&mut self, length: usize) -> anyhow::Result<BytesMut> {
        ensure!(length <= BODY_BYTES_MAX, "a body is too long");
        self.input.reserve(length.saturating_sub(self.input.len()));
        while self.input.len() < length {
            self.fill().await?;
        }
        Ok(self.input.split_to(length))
    }

    async fn fill(&mut self) -> anyhow::Result<()> {
        self.input.reserve(READ_BYTES);
        if self.stream.read_buf(&mut self.input).await.context("the answer cannot be read")? == 0 {
            bail!("the connection ended early");
        }
        Ok(())
    }
}

struct Head {
    status: u16,
    framing: Framing,
    session: Option<String>,
    is_last: bool,
    bytes: usize,
}

enum Framing {
    Length(usize),
    Chunks,
}

fn read_head(input: &[u8]) -> anyhow::Result<Option<Head>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(bytes) = response.parse(input).context("this is no response")? else {
        ensure!(input.len() < HEAD_BYTES_MAX, "a head is too long");
        return Ok(None);
    };
    let status = response.code.context("a response has no status")?;
    let mut head = Head { status, framing: Framing::Length(0), session: None, is_last: false, bytes };
    for field in response.headers.iter() {
        let value = || str::from_utf8(field.value).context("a field is no text").map(str::trim);
        if field.name.eq_ignore_ascii_case("content-length") {
            head.framing = Framing::Length(value()?.parse().context("content-length is no number")?);
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            ensure!(value()?.eq_ignore_ascii_case("chunked"), "another transfer coding than chunked");
            head.framing = Framing::Chunks;
        } else if field.name.eq_ignore_ascii_case("mcp-session-id") {
            head.session = Some(value()?.to_owned());
        } else if field.name.eq_ignore_ascii_case("connection") {
            head.is_last = value()?.eq_ignore_ascii_case("close");
        }
    }
    Ok(Some(head))
}

/// Room for an answer with the largest payload of the usual grid.
const INPUT_BYTES: usize = 160 * 1024;
const READ_BYTES: usize = 16 * 1024;
const FIELDS_MAX: usize = 64;
const HEAD_BYTES_MAX: usize = 64 * 1024;
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::super::request::{Body, Fields};
    use super::super::{Target, Transport};
    use super::*;

    async fn answered(response: &[u8]) -> anyhow::Result<(Answer, Vec<u8>)> {
        let target = Target {
            address: ([127, 0, 0, 1], 1).into(),
            authority: "here:1".to_owned(),
            paths: Vec::new(),
            transport: Transport::Http1,
            pids: Vec::new(),
        };
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        theirs.write_all(response).await?;
        let mut connection = Http1::new(ours, &target, "/mcp");
        let (fields, body) = (Fields(vec![("accept", "a".to_owned())]), Body::fixed("{}"));
        let request = Request { method: "POST", fields: &fields, token: "t", body: &body, id: None };
        let answer = connection.send(&request).await?;
        drop(connection);
        let mut sent = Vec::new();
        theirs.read_to_end(&mut sent).await?;
        Ok((answer, sent))
    }

    #[tokio::test]
    async fn a_request_is_written_and_its_answer_read() {
        let response =
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nMcp-Session-Id: s\r\nContent-Length: 2\r\n\r\nhi";
        let (answer, sent) = answered(response).await.unwrap();
        assert_eq!((answer.status, answer.session.as_deref(), &answer.body[..]), (200, Some("s"), &b"hi"[..]));
        assert_eq!(
            String::from_utf8(sent).unwrap(),
            "POST /mcp HTTP/1.1\r\nhost: here:1\r\naccept: a\r\nauthorization: Bearer t\r\ncontent-length: 2\r\n\r\n{}"
        );
    }

    #[tokio::test]
    async fn chunks_are_put_together_and_a_broken_one_is_an_error() {
        let chunked = |rest: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{rest}").into_bytes();
        let (answer, _) = answered(&chunked("3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n")).await.unwrap();
        assert_eq!(&answer.body[..], b"abcde");
        assert!(answered(&chunked("3\r\nabcd\r\n0\r\n\r\n")).await.is_err());
        assert!(answered(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n").await.is_err());
    }
}
