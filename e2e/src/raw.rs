//! HTTP/1.1 with exact bytes: what goes out is what the test wrote, good or bad.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context as _;

/// What came back.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The fields, names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    /// The content, with any chunking taken off.
    pub body: Vec<u8>,
}

impl Response {
    /// The first field of this name (in lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// The content as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The JSON-RPC messages in the content: one, or those of an event stream.
    ///
    /// # Errors
    /// When the content is no JSON.
    pub fn messages(&self) -> anyhow::Result<Vec<serde_json::Value>> {
        let is_stream = self.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
        let text = self.text();
        let documents: Vec<&str> = if is_stream {
            text.lines()
                .filter_map(|line| line.strip_prefix("data:"))
                .map(str::trim)
                .filter(|data| !data.is_empty())
                .collect()
        } else {
            vec![text.trim()]
        };
        documents.into_iter().filter(|document| !document.is_empty()).map(parse).collect()
    }
}

/// Sends `request` over a connection of its own and reads one response.
///
/// # Errors
/// When the server cannot be reached, closes without a response, or is silent for longer than `limit`.
pub fn send(to: SocketAddr, request: &[u8], limit: Duration) -> anyhow::Result<Response> {
    let mut stream = TcpStream::connect_timeout(&to, limit).with_context(|| format!("{to} cannot be reached"))?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    stream.set_nodelay(true)?;
    stream.write_all(request)?;
    read(&mut BufReader::new(stream))
}

/// An event stream that is read as it comes.
#[derive(Debug)]
pub struct Stream {
    from: BufReader<TcpStream>,
    status: u16,
    headers: Vec<(String, String)>,
    unread: String,
    last_event: Option<String>,
    retry: Option<String>,
}

impl Stream {
    /// Sends `request` over a connection of its own and reads the head of the answer.
    ///
    /// # Errors
    /// As [`send`].
    pub fn open(to: SocketAddr, request: &[u8], limit: Duration) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect_timeout(&to, limit).with_context(|| format!("{to} cannot be reached"))?;
        stream.set_read_timeout(Some(limit))?;
        stream.write_all(request)?;
        let mut from = BufReader::new(stream);
        let (status, headers) = read_head(&mut from)?;
        Ok(Self { from, status, headers, unread: String::new(), last_event: None, retry: None })
    }

    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The first field of this name (in lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// The id of the last event that was read, if it had one.
    #[must_use]
    pub fn last_event(&self) -> Option<&str> {
        self.last_event.as_deref()
    }

    /// When the server wants its client to come back, in milliseconds, if it said so.
    #[must_use]
    pub fn retry(&self) -> Option<&str> {
        self.retry.as_deref()
    }

    /// The next JSON-RPC message: an event's, or the one of a plain answer. None at the end.
    ///
    /// # Errors
    /// When it breaks off, is silent for too long, or says what is no JSON.
    pub fn message(&mut self) -> anyhow::Result<Option<serde_json::Value>> {
        if let Some(length) = self.header("content-length").map(str::to_owned) {
            self.headers.retain(|(name, _)| name != "content-length");
            let mut body = Vec::new();
            (&mut self.from).take(length.parse()?).read_to_end(&mut body)?;
            return parse(&String::from_utf8_lossy(&body)).map(Some);
        }
        loop {
            while let Some((event, rest)) = self.unread.split_once("\n\n") {
                let field =
                    |name| event.lines().find_map(|line| line.strip_prefix(name)).map(|it: &str| it.trim().to_owned());
                let (data, id, retry) = (field("data:"), field("id:"), field("retry:"));
                self.unread = rest.to_owned();
                self.last_event = id.or(self.last_event.take());
                self.retry = retry.or(self.retry.take());
                if let Some(data) = data.filter(|data| !data.is_empty()) {
                    return parse(&data).map(Some);
                }
            }
            let mut chunk = Vec::new();
            if !read_chunk(&mut self.from, &mut chunk)? {
                return Ok(None);
            }
            self.unread.push_str(&String::from_utf8_lossy(&chunk));
        }
    }
}

/// Reads one response, whatever its framing.
///
/// # Errors
/// When there is none, or it breaks off.
pub fn read<S: Read>(from: &mut BufReader<S>) -> anyhow::Result<Response> {
    let (status, headers) = read_head(from)?;
    let field = |name: &str| headers.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
    let mut body = Vec::new();
    if status == 204 || status == 304 {
        // No content, whatever the fields say (RFC 9112, section 6.3).
    } else if field("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        read_chunks(from, &mut body)?;
    } else if let Some(length) = field("content-length") {
        let length: u64 = length.parse().context("content-length is no number")?;
        from.take(length).read_to_end(&mut body)?;
    } else {
        from.take(BODY_BYTES_MAX).read_to_end(&mut body)?;
    }
    Ok(Response { status, headers, body })
}

/// Parses a JSON document.
///
/// # Errors
/// When it is none.
pub fn parse(document: &str) -> anyhow::Result<serde_json::Value> {
    #[expect(
        clippy::disallowed_methods,
        reason = "what the gateway writes is judged here by a parser that is not ours"
    )]
    serde_json::from_str(document).with_context(|| format!("this is no JSON: {document:?}"))
}

type Head = (u16, Vec<(String, String)>);

fn read_head<S: Read>(from: &mut BufReader<S>) -> anyhow::Result<Head> {
    let first = read_line(from)?;
    let status = first
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .with_context(|| format!("this is no status line: {first:?}"))?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(from)?;
        if line.is_empty() {
            return Ok((status, headers));
        }
        anyhow::ensure!(headers.len() < HEADERS_MAX, "more than {HEADERS_MAX} header fields");
        let (name, value) = line.split_once(':').with_context(|| format!("this is no header field: {line:?}"))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn read_chunks<S: Read>(from: &mut BufReader<S>, body: &mut Vec<u8>) -> anyhow::Result<()> {
    while read_chunk(from, body)? {}
    Ok(())
}

/// Reads one chunk; false after the last.
fn read_chunk<S: Read>(from: &mut BufReader<S>, body: &mut Vec<u8>) -> anyhow::Result<bool> {
    let line = read_line(from)?;
    let size = line.split(';').next().unwrap_or_default().trim();
    let size = u64::from_str_radix(size, 16).with_context(|| format!("this is no chunk size: {line:?}"))?;
    let read = from.take(size).read_to_end(body)?;
    anyhow::ensure!(u64::try_from(read)? == size, "the stream ended within a chunk");
    let end = read_line(from)?;
    anyhow::ensure!(end.is_empty(), "a chunk is followed by {end:?}");
    Ok(size > 0)
}

fn read_line<S: Read>(from: &mut BufReader<S>) -> anyhow::Result<String> {
    let mut line = Vec::new();
    from.take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    anyhow::ensure!(line.ends_with(b"\n"), "the connection ended within a line: {:?}", String::from_utf8_lossy(&line));
    Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
}

const HEADERS_MAX: usize = 200;
const LINE_BYTES_MAX: u64 = 64 * 1024;
const BODY_BYTES_MAX: u64 = 64 * 1024 * 1024;
