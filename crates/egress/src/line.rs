//! One HTTP/1.1 connection, carried on by whoever has a request on it. It has no task of its own: an answer wakes only who waits for it.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::pool::Kept;

pub(crate) type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

pub(crate) struct Line {
    send: http1::SendRequest<Full<Bytes>>,
    /// None once it has ended.
    run: Option<http1::Connection<Stream, Full<Bytes>>>,
}

impl Line {
    pub(crate) async fn open(stream: Stream, head_bytes_max: usize) -> Result<Box<Line>, hyper::Error> {
        let (send, run) = http1::Builder::new().max_buf_size(head_bytes_max).handshake(stream).await?;
        Ok(Box::new(Line { send, run: Some(run) }))
    }

    /// Whether it takes a request: its server has not closed it, and nothing is left of the request before.
    pub(crate) fn is_free(&mut self) -> bool {
        self.carry_on(&mut Context::from_waker(Waker::noop()));
        self.run.is_some() && self.send.is_ready()
    }

    /// Sends a request and waits for the head of its answer. The request comes back if nothing of it was sent.
    pub(crate) fn ask(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>>> {
        let answer = self.send.try_send_request(request);
        async move {
            let mut answer = pin!(answer);
            poll_fn(|context| {
                self.carry_on(context);
                // Nobody but the line itself brings it, so it wakes nobody.
                answer.as_mut().poll(&mut Context::from_waker(Waker::noop()))
            })
            .await
        }
    }

    /// What goes wrong is told to who waits for the answer, as soon as the connection is dropped.
    fn carry_on(&mut self, context: &mut Context<'_>) {
        let Some(run) = &mut self.run else { return };
        if let Poll::Ready(ended) = Pin::new(run).poll(context) {
            if let Err(error) = ended {
                tracing::debug!(cause = error.source().map(tracing::field::display), %error, "a connection broke");
            }
            self.run = None;
        }
    }
}

/// A line that an answer still comes in on. At the answer's end it is kept for the next request to its origin.
pub(crate) struct Lease {
    // None once it is dropped.
    line: Option<Box<Line>>,
    origin: Arc<str>,
    kept: Arc<Kept>,
}

impl Lease {
    pub(crate) fn new(line: Box<Line>, origin: Arc<str>, kept: Arc<Kept>) -> Lease {
        Lease { line: Some(line), origin, kept }
    }

    /// The next part of the body.
    pub(crate) fn poll_frame(
        &mut self,
        incoming: &mut Incoming,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut quiet = Context::from_waker(Waker::noop());
        if let Poll::Ready(frame) = Pin::new(&mut *incoming).poll_frame(&mut quiet) {
            return Poll::Ready(frame);
        }
        if let Some(line) = &mut self.line {
            line.carry_on(context);
        }
        Pin::new(incoming).poll_frame(&mut quiet)
    }
}

impl Drop for Lease {
    /// What is left of an answer that nobody reads is skipped if it is here already; else the line is closed.
    fn drop(&mut self) {
        if let Some(mut line) = self.line.take()
            && line.is_free()
        {
            self.kept.put(&self.origin, line);
        }
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease").field("origin", &self.origin).finish_non_exhaustive()
    }
}
