//! What is written back.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

use super::Answers;

/// A body of one piece. Without a known length it is sent in chunks, as event streams are.
pub(super) struct Piece {
    bytes: Option<Bytes>,
    answers: Answers,
    /// Nothing more is said, and it does not end.
    endless: bool,
}

impl Body for Piece {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match self.bytes.take() {
            None if self.endless => Poll::Pending,
            piece => Poll::Ready(piece.map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none() && !self.endless
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.bytes.as_ref().map_or(0, Bytes::len);
        match (self.answers, u64::try_from(length)) {
            (Answers::Json, Ok(length)) => SizeHint::with_exact(length),
            (Answers::Json, Err(_)) | (Answers::Stream, _) => SizeHint::default(),
        }
    }
}

/// A response without content.
pub(super) fn empty(status: StatusCode) -> Response<Piece> {
    let mut response = Response::new(Piece { bytes: None, answers: Answers::Json, endless: false });
    *response.status_mut() = status;
    response
}

/// The result of the request `id`, given in parts.
pub(super) fn result(id: &str, parts: &[&[u8]], answers: Answers) -> Response<Piece> {
    message(&[b"{\"jsonrpc\":\"2.0\",\"id\":", id.as_bytes(), b",\"result\":"], parts, answers)
}

/// The error that the request `id` ends in.
pub(super) fn error(id: &str, error: &[u8], answers: Answers) -> Response<Piece> {
    message(&[b"{\"jsonrpc\":\"2.0\",\"id\":", id.as_bytes(), b",\"error\":"], &[error], answers)
}

/// A listening that has begun: `acknowledged` is said, and then nothing.
pub(super) fn listening(acknowledged: &[&[u8]]) -> Response<Piece> {
    let mut response = message(&[b"{\"jsonrpc\":\"2.0\""], acknowledged, Answers::Stream);
    response.body_mut().endless = true;
    response
}

fn message(head: &[&[u8]], parts: &[&[u8]], answers: Answers) -> Response<Piece> {
    let (before, after, media): (&[u8], &[u8], _) = match answers {
        Answers::Json => (b"", b"}", "application/json"),
        Answers::Stream => (b"event: message\ndata: ", b"}\n\n", "text/event-stream"),
    };
    let all = || [before].into_iter().chain(head.iter().copied()).chain(parts.iter().copied()).chain([after]);
    let mut body = BytesMut::with_capacity(all().map(<[u8]>::len).sum());
    all().for_each(|part| body.put_slice(part));
    let mut response = Response::new(Piece { bytes: Some(body.freeze()), answers, endless: false });
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response
}
