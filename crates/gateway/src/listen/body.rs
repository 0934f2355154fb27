//! Bodies: read within bounds, written whole or as a stream of events.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::mpsc;

use crate::refusal::{Code, Refusal};

/// Reads a body, at most `bytes_max` long, within `limit`.
pub(super) async fn read(mut body: Incoming, bytes_max: usize, limit: Duration) -> Result<Bytes, Refusal> {
    let too_large = || Refusal::new(Code::BodyTooLarge, format!("the body is longer than {bytes_max} bytes"));
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > bytes_max {
        return Err(too_large());
    }
    let whole = async {
        let mut read = BytesMut::with_capacity(announced);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Refusal::new(Code::NotRequest, "the body broke off"))?;
            let Ok(part) = frame.into_data() else { continue };
            if read.len().saturating_add(part.len()) > bytes_max {
                return Err(too_large());
            }
            read.extend_from_slice(&part);
        }
        Ok(read.freeze())
    };
    let slow = || Refusal::new(Code::BodyTooSlow, "the body did not arrive in time");
    tokio::time::timeout(limit, whole).await.unwrap_or_else(|_| Err(slow()))
}

/// A body of a response.
pub(super) enum Body {
    /// All of it.
    Whole(Option<Bytes>),
    /// Event by event, until the sender ends.
    Events(mpsc::Receiver<Bytes>),
}

impl Body {
    pub(super) fn whole(bytes: Bytes) -> Body {
        Body::Whole(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match self.get_mut() {
            Body::Whole(bytes) => Poll::Ready(bytes.take()),
            Body::Events(events) => events.poll_recv(context),
        };
        next.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Body::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len()).try_into().unwrap_or(u64::MAX)),
            Body::Events(_) => SizeHint::default(),
        }
    }
}
