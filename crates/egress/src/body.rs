//! The body of an answer, bounded in size and silence.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::Sleep;

use crate::line::Lease;

/// The body of an answer as it comes in. After an error nothing more comes.
#[derive(Debug)]
pub struct Body {
    // Before `lease`: what nobody reads any more is skipped there.
    incoming: Option<Incoming>,
    /// The line it comes in on; none where many share the connection, and after the end.
    lease: Option<Lease>,
    bytes_left: u64,
    bytes_max: u64,
    idle: Duration,
    /// Runs while nothing comes.
    silence: Option<Pin<Box<Sleep>>>,
}

/// Why a body did not come in whole.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is longer than permitted.
    #[error("the answer is longer than {bytes_max} bytes")]
    TooLong {
        /// The bound.
        bytes_max: u64,
    },
    /// The server was silent for too long, or the deadline has passed.
    #[error("the answer did not come in time")]
    Late,
    /// The connection broke, or what came is not HTTP.
    #[error("the answer broke off")]
    Broken(#[source] hyper::Error),
}

impl Body {
    pub(crate) fn new(incoming: Incoming, lease: Option<Lease>, bytes_max: u64, idle: Duration) -> Body {
        let ended = incoming.is_end_stream();
        let lease = lease.filter(|_| !ended);
        Body { incoming: Some(incoming), lease, bytes_left: bytes_max, bytes_max, idle, silence: None }
    }

    /// The same body with other bounds, counted from here: for an event stream, say, whose length is bounded event by event.
    #[must_use]
    pub fn bounded(self, bytes_max: u64, idle: Duration) -> Body {
        Body { bytes_left: bytes_max, bytes_max, idle, silence: None, ..self }
    }

    /// The next part, or none at the end. Safe to drop and call again.
    ///
    /// # Errors
    /// See [`BodyError`].
    pub async fn chunk(&mut self) -> Option<Result<Bytes, BodyError>> {
        loop {
            match self.frame().await? {
                // Trailers have no meaning here (RFC 9110 section 6.5.1 permits dropping them).
                Ok(frame) => match frame.into_data() {
                    Ok(data) => return Some(Ok(data)),
                    Err(_) => continue,
                },
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// All of it, by the deadline.
    ///
    /// # Errors
    /// See [`BodyError`].
    pub async fn collect_by(mut self, deadline: Instant) -> Result<Bytes, BodyError> {
        let all = async {
            let Some(first) = self.chunk().await.transpose()? else {
                return Ok(Bytes::new());
            };
            let Some(second) = self.chunk().await.transpose()? else {
                return Ok(first);
            };
            let mut all = BytesMut::from(first);
            all.extend_from_slice(&second);
            while let Some(part) = self.chunk().await.transpose()? {
                all.extend_from_slice(&part);
            }
            Ok(all.freeze())
        };
        tokio::time::timeout_at(deadline.into(), all).await.unwrap_or(Err(BodyError::Late))
    }

    fn next_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(incoming) = &mut self.incoming else {
            return Poll::Ready(None);
        };
        let frame = match &mut self.lease {
            Some(lease) => lease.poll_frame(incoming, context),
            None => Pin::new(incoming).poll_frame(context),
        };
        let frame = match frame {
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(error))) => {
                return Poll::Ready(Some(Err(BodyError::Broken(error))));
            }
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => {
                let silence = self.silence.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.idle)));
                return silence.as_mut().poll(context).map(|()| Some(Err(BodyError::Late)));
            }
        };
        let bytes = frame.data_ref().map_or(0, |data| u64::try_from(data.len()).unwrap_or(u64::MAX));
        let Some(left) = self.bytes_left.checked_sub(bytes) else {
            return Poll::Ready(Some(Err(BodyError::TooLong { bytes_max: self.bytes_max })));
        };
        self.bytes_left = left;
        self.silence = None;
        Poll::Ready(Some(Ok(frame)))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = self.next_frame(context);
        if let Poll::Ready(None | Some(Err(_))) = frame {
            self.incoming = None;
            self.lease = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or(SizeHint::with_exact(0), Incoming::size_hint)
    }
}
