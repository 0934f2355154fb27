//! HTTP/2 in the clear, by hyper.

use anyhow::Context as _;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::Target;
use super::answer::Answer;
use super::request::Request;

/// A connection with one stream at a time.
pub(super) struct Http2 {
    sender: SendRequest<Full<Bytes>>,
    url: String,
}

impl Http2 {
    pub(super) async fn new(stream: TcpStream, target: &Target, path: &str) -> anyhow::Result<Self> {
        let (sender, connection) = Builder::new(TokioExecutor::new())
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .context("HTTP/2 is not spoken")?;
        // It ends with its sender.
        tokio::task::spawn_local(connection);
        Ok(Self { sender, url: format!("http://{}{path}", target.authority) })
    }

    pub(super) async fn send(&mut self, request: &Request<'_>) -> anyhow::Result<Answer> {
        let mut body = Vec::with_capacity(request.body.length(request.id));
        request.body.write(request.id, &mut body);
        let mut head = http::Request::builder().method(request.method).uri(&self.url);
        for (name, value) in &request.fields.0 {
            head = head.header(*name, value);
        }
        let head = head.header("authorization", format!("Bearer {}", request.token));
        let response = self.sender.send_request(head.body(Full::new(body.into()))?).await.context("no answer came")?;
        let session = response.headers().get("mcp-session-id").and_then(|session| session.to_str().ok());
        let (status, session) = (response.status().as_u16(), session.map(ToOwned::to_owned));
        let body = response.into_body().collect().await.context("the answer cannot be read")?.to_bytes();
        Ok(Answer { status, session, body: BytesMut::from(body), is_last: false })
    }
}

/// What may be under way: more than any answer here.
const WINDOW_BYTES: u32 = 8 * 1024 * 1024;
