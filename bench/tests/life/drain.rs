use super::*;
use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};

use sekisho_bench::load::Transport;
use sekisho_e2e::client::Era;
use sekisho_e2e::raw;

/// A gateway whose calls take `delay`, with so many of them under way.
fn with_calls_under_way(delay: Duration, transport: Transport, era: Era) -> (Upstream, Stand, JoinHandle<Report>) {
    let upstream = Upstream::start(&["--delay-us", &delay.as_micros().to_string()]).expect("an upstream");
    let stand = stand(&upstream, None).over(transport);
    stand.wait(era).expect("it answers");
    let before = calls_recorded(&stand);
    let calls = calling(Plan { era, connections: CALLS, stop: Stop::Calls(CALLS), ..stand.plan() });
    let wanted = before + usize::try_from(CALLS).expect("few");
    eventually("all calls are under way", || calls_recorded(&stand) >= wanted);
    (upstream, stand, calls)
}

fn calls_recorded(stand: &Stand) -> usize {
    let records = stand.sekisho.as_ref().expect("a gateway").records().expect("a log");
    records.iter().filter(|record| record.contains("tools/call")).count()
}

/// A connection that was used, and is kept.
fn kept(to: SocketAddr) -> BufReader<TcpStream> {
    let mut stream = BufReader::new(TcpStream::connect(to).expect("a connection"));
    let (status, closes) = probe(&mut stream, to);
    assert_eq!((status, closes), (200, false));
    stream
}

/// Asks whether the gateway takes calls; and whether that was the connection's last answer.
fn probe(stream: &mut BufReader<TcpStream>, to: SocketAddr) -> (u16, bool) {
    stream.get_mut().write_all(format!("GET /readyz HTTP/1.1\r\nHost: {to}\r\n\r\n").as_bytes()).expect("written");
    let answer = raw::read(stream).expect("an answer");
    (answer.status, answer.header("connection") == Some("close"))
}

fn drains(transport: Transport, era: Era) {
    let (_upstream, mut stand, calls) = with_calls_under_way(Duration::from_millis(1500), transport, era);
    let address = stand.target.address;
    let mut kept = kept(address);
    let sekisho = stand.sekisho.as_mut().expect("a gateway");
    let start = Instant::now();
    tell(sekisho, Signal::SIGTERM);
    eventually("no new connection is accepted", || TcpStream::connect(address).is_err());
    assert_eq!(probe(&mut kept, address), (503, true), "a kept connection is answered once more, and told to go");
    assert!(sekisho.process().ended().expect("known").is_none(), "calls are still under way");
    let report = came_to(calls);
    assert_eq!((report.calls, report.errors), (u64::from(CALLS), 0), "{:?}", report.error_kinds);
    let status = sekisho.process().wait(LIMIT).expect("it ends");
    assert!(status.success() && start.elapsed() < SHUTDOWN, "{status} after {:?}", start.elapsed());
    let records = sekisho.records().expect("a log");
    let last = records.last().expect("a record");
    assert!(last.contains("\"stopped\""), "{last}");
}

#[test]
fn calls_under_way_end_with_their_answers_when_it_is_told_to_stop() {
    drains(Transport::Http1, Era::Legacy);
}

#[test]
fn calls_under_way_over_http_2_end_with_their_answers_when_it_is_told_to_stop() {
    drains(Transport::Http2, Era::Modern);
}

#[test]
fn a_second_signal_stops_at_once() {
    let (_upstream, mut stand, calls) = with_calls_under_way(Duration::from_secs(4), Transport::Http1, Era::Legacy);
    let sekisho = stand.sekisho.as_mut().expect("a gateway");
    tell(sekisho, Signal::SIGTERM);
    eventually("it says that it stops", || sekisho.log().contains("stopping"));
    let start = Instant::now();
    tell(sekisho, Signal::SIGTERM);
    let status = sekisho.process().wait(LIMIT).expect("it ends");
    assert!(!status.success() && start.elapsed() < Duration::from_secs(2), "{status} after {:?}", start.elapsed());
    assert!(sekisho.log().contains("stopped at once"), "{}", sekisho.log());
    let report = came_to(calls);
    assert_eq!((report.calls, report.errors), (0, u64::from(CALLS)), "who is cut off sees it");
}

const CALLS: u32 = 8;
/// `shutdown_seconds`, unless it is set.
const SHUTDOWN: Duration = Duration::from_secs(10);
