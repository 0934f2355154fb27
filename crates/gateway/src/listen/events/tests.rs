use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant as Clock;

use tokio::sync::oneshot;

use super::*;
use crate::streams::Place;

/// Short enough for a test, and apart from each other.
const SHORT: Times = Times {
    keep_alive: Duration::from_millis(50),
    stalled_max: Duration::from_millis(300),
    again_within: Duration::from_millis(600),
};

type Numbered = Arc<Streams<u8>>;

fn who() -> PrincipalKey {
    PrincipalKey::of("i", "alice", "c")
}

fn messages(count: usize, bytes: usize) -> Vec<Bytes> {
    (0..count).map(|number| format!("{number:0bytes$}").into()).collect()
}

/// A stream that says this, and where it is heard.
fn tell(streams: &Numbered, messages: Vec<Bytes>) -> (mpsc::Receiver<Bytes>, Arc<AtomicUsize>) {
    let ((said, taken), (to, receive)) = (Heard::saying(messages), channel());
    let stay = streams.enter(who(), 1, Kind::Call);
    tokio::spawn(Telling::new(said, stay, (true, 7, SHORT), to).begin(None).run());
    (receive, taken)
}

/// The same without a session to come back to.
fn tell_once(messages: Vec<Bytes>) -> (mpsc::Receiver<Bytes>, Arc<AtomicUsize>) {
    let ((said, taken), (to, receive)) = (Heard::saying(messages), channel());
    tokio::spawn(Telling::<u8>::new(said, None, (false, 7, SHORT), to).begin(None).run());
    (receive, taken)
}

/// The place that an event names.
fn place(event: &Bytes) -> Place {
    let text = std::str::from_utf8(event).unwrap();
    let id = text.lines().find_map(|line| line.strip_prefix("id: ").or_else(|| line.strip_prefix("id:"))).unwrap();
    Place::parse(id.trim()).unwrap()
}

async fn take_up(streams: &Numbered, place: Place, epoch: u64) -> Option<mpsc::Receiver<Bytes>> {
    let stream = streams.find(who(), 1, place)?;
    let ((to, receive), (taken, was_taken)) = (channel(), oneshot::channel());
    stream.send(Again { after: place.event, epoch, to, taken }).await.ok()?;
    was_taken.await.ok().map(|()| receive)
}

/// All that is heard until the connection ends, signs of life aside.
async fn rest(mut receive: mpsc::Receiver<Bytes>) -> Vec<Bytes> {
    let mut heard = Vec::new();
    while let Some(event) = receive.recv().await {
        if event != sse::KEEP_ALIVE {
            heard.push(event);
        }
    }
    heard
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_left_after_a_while_and_holds_little_till_then() {
    let (receive, taken) = tell_once(messages(10_000, 100));
    tokio::time::sleep(SHORT.keep_alive).await;
    assert!(taken.load(Ordering::Relaxed) <= EVENTS_AHEAD + 2, "its own conversation waits for it");
    let start = Clock::now();
    receive_is_closed(&receive).await;
    assert!(start.elapsed() >= SHORT.stalled_max / 2, "not at once: {:?}", start.elapsed());
    // What was written into its connection before is all there is to read.
    assert!(rest(receive).await.len() <= EVENTS_AHEAD);
}

async fn receive_is_closed(receive: &mpsc::Receiver<Bytes>) {
    let closed = async {
        while !receive.is_closed() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), closed).await.unwrap();
}

#[tokio::test]
async fn a_client_that_reads_slowly_hears_everything() {
    let (mut receive, taken) = tell_once(messages(60, 100));
    let mut heard = 0;
    while let Some(event) = receive.recv().await {
        heard += usize::from(event != sse::KEEP_ALIVE);
        // Slower than signs of life come, and faster than patience ends.
        tokio::time::sleep(SHORT.keep_alive + Duration::from_millis(10)).await;
        assert!(taken.load(Ordering::Relaxed) <= heard + EVENTS_AHEAD + 3);
    }
    assert_eq!(heard, 60);
}

#[tokio::test]
async fn a_stream_is_taken_up_within_its_time_by_the_same_rooms_and_not_after() {
    let streams = Numbered::default();
    let (mut receive, _) = tell(&streams, messages(40, 10));
    let first = receive.recv().await.unwrap();
    drop(receive);
    tokio::time::sleep(SHORT.again_within / 2).await;
    assert!(take_up(&streams, place(&first), 8).await.is_none(), "a policy changed meanwhile");
    let heard = rest(take_up(&streams, place(&first), 7).await.unwrap()).await;
    assert_eq!(heard.len(), 40, "nothing is missing and nothing is said twice");
    let middle = place(&heard[19]);
    let again = rest(take_up(&streams, middle, 7).await.unwrap()).await;
    assert_eq!(again, heard[20..], "it can be asked for once more");
    tokio::time::sleep(SHORT.again_within + Duration::from_millis(300)).await;
    assert!(take_up(&streams, middle, 7).await.is_none(), "its time is over");
}

#[tokio::test]
async fn a_client_that_left_keeps_no_more_than_the_bounds_and_its_call_goes_on() {
    let streams = Numbered::default();
    let (mut receive, taken) = tell(&streams, messages(1000, 10));
    let first = receive.recv().await.unwrap();
    drop(receive);
    let all_said = async {
        while taken.load(Ordering::Relaxed) < 1000 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), all_said).await.expect("a call waits for nobody");
    assert!(take_up(&streams, place(&first), 7).await.is_none(), "what was missed cannot be given, so nothing is");
}
