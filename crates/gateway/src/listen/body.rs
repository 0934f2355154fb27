//! Bodies: read within bounds, written whole or as a stream of events.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};

use super::pulse::Beat;
use crate::refusal::{Code, Refusal};

/// Reads a body, at most `bytes_max` long, within `limit`. Bodies that are read at the same time share `room` (in KiB).
pub(super) async fn read(
    mut body: Incoming,
    bytes_max: usize,
    limit: Duration,
    room: &Semaphore,
) -> Result<Bytes, Refusal> {
    let too_large = || Refusal::new(Code::BodyTooLarge, format!("the body is longer than {bytes_max} bytes"));
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > bytes_max {
        return Err(too_large());
    }
    let whole = async {
        // Room is taken for what came, not for what was announced: whoever is slow holds little.
        let mut held: Option<SemaphorePermit<'_>> = None;
        // One piece of memory where it is small enough to be given to anybody.
        let mut read = BytesMut::with_capacity(announced.min(AT_ONCE));
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Refusal::new(Code::NotRequest, "the body broke off"))?;
            let Ok(part) = frame.into_data() else { continue };
            if read.len().saturating_add(part.len()) > bytes_max {
                return Err(too_large());
            }
            let kib = u32::try_from(part.len() / 1024 + 1).unwrap_or(u32::MAX);
            let taken = room.acquire_many(kib).await;
            let taken = taken.map_err(|_| Refusal::new(Code::ShuttingDown, "no more bodies are read"))?;
            match &mut held {
                Some(held) => held.merge(taken),
                None => held = Some(taken),
            }
            read.extend_from_slice(&part);
        }
        Ok(read.freeze())
    };
    let slow = || Refusal::new(Code::BodyTooSlow, "the body did not arrive in time");
    tokio::time::timeout(limit, whole).await.unwrap_or_else(|_| Err(slow()))
}

/// Most memory that an announcement alone is worth, in bytes.
const AT_ONCE: usize = 128 * 1024;

/// A body of a response.
pub(super) struct Body {
    content: Content,
    // Held, not read: the request is under way until its last byte is taken.
    _beat: Option<Beat>,
}

enum Content {
    /// All of it.
    Whole(Option<Bytes>),
    /// Event by event, until the sender ends.
    Events(mpsc::Receiver<Bytes>),
}

impl Body {
    pub(super) fn whole(bytes: Bytes) -> Body {
        Body { content: Content::Whole(Some(bytes).filter(|bytes| !bytes.is_empty())), _beat: None }
    }

    pub(super) fn events(events: mpsc::Receiver<Bytes>) -> Body {
        Body { content: Content::Events(events), _beat: None }
    }

    pub(super) fn keep(&mut self, beat: Beat) {
        self._beat = Some(beat);
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match &mut self.get_mut().content {
            Content::Whole(bytes) => Poll::Ready(bytes.take()),
            Content::Events(events) => events.poll_recv(context),
        };
        next.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.content, Content::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len()).try_into().unwrap_or(u64::MAX))
            }
            Content::Events(_) => SizeHint::default(),
        }
    }
}
