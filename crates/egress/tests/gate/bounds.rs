//! Budgets and bounds.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sekisho_egress::{BadHead, BadHello, Budget, Cut, Outcome, Refusal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::setting::{Echo, Setting, echo, rest, say};

async fn budgeted(change: impl Fn(&mut sekisho_egress::GateBudgets)) -> (Setting, Echo, String) {
    let server = echo().await;
    let place = format!("localhost:{}", server.port);
    (Setting::with(&[&format!("tcp://{place}")], change).await, server, place)
}

#[tokio::test]
async fn connections_open_at_once_are_bounded_and_a_place_comes_free() {
    let (setting, _server, place) = budgeted(|budgets| budgets.connections_max = 2).await;
    let first = setting.tunnel(&place).await;
    let _second = setting.tunnel(&place).await;
    assert_eq!(setting.next().await.outcome, Outcome::Opened);
    assert_eq!(setting.next().await.outcome, Outcome::Opened);
    let answer = setting.ask(&format!("CONNECT {place} HTTP/1.1\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 429 ") && answer.contains("open at once"), "{answer}");
    assert_eq!(setting.next().await.outcome, Outcome::Refused(Refusal::Budget(Budget::Connections)));
    drop(first);
    assert_eq!(setting.next().await.outcome, Outcome::Ended);
    // Its place comes free behind its record.
    let begun = Instant::now();
    let mut status = [0; 12];
    while &status != b"HTTP/1.1 200" && begun.elapsed() < Duration::from_secs(10) {
        let mut stream = setting.connect().await;
        stream.write_all(format!("CONNECT {place} HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
        stream.read_exact(&mut status).await.unwrap();
    }
    assert_eq!(&status, b"HTTP/1.1 200");
}

#[tokio::test]
async fn connections_in_a_minute_are_bounded_refused_ones_among_them() {
    let (setting, server, place) = budgeted(|budgets| budgets.connections_per_minute_max = 3).await;
    let mut tunnel = setting.tunnel(&place).await;
    assert_eq!(setting.next().await.outcome, Outcome::Opened);
    for _ in 0..2 {
        let answer = setting.ask("CONNECT evil.test:443 HTTP/1.1\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        assert_eq!(setting.next().await.outcome, Outcome::Refused(Refusal::NoRule));
    }
    let begun = Instant::now();
    for _ in 0..4 {
        let answer = setting.ask(&format!("CONNECT {place} HTTP/1.1\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 429 ") && answer.contains("in a minute"), "{answer}");
        let outcome = setting.next().await;
        assert_eq!(outcome.outcome, Outcome::Refused(Refusal::Budget(Budget::ConnectionsPerMinute)));
    }
    assert!(begun.elapsed() >= Duration::from_millis(750), "a storm of refusals is no storm of records");
    assert_eq!(say(&mut tunnel, "x").await, "x", "what is open goes on");
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn bytes_go_up_to_their_bound_and_not_one_past_it() {
    let (setting, server, place) = budgeted(|budgets| budgets.bytes_per_hour_max = 1024).await;
    let mut tunnel = setting.tunnel(&place).await;
    tunnel.write_all(&[b'x'; 1024]).await.unwrap();
    tunnel.read_exact(&mut [0; 1024]).await.unwrap();
    tunnel.write_all(b"y").await.unwrap();
    assert_eq!(rest(&mut tunnel).await, "");
    let end = setting.end_of_opened().await;
    assert_eq!(end.outcome, Outcome::Cut(Cut::Budget(Budget::BytesUp)));
    assert_eq!((end.bytes_up, end.bytes_down, server.bytes.load(Ordering::SeqCst)), (1024, 1024, 1024));
    let answer = setting.ask(&format!("CONNECT {place} HTTP/1.1\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 429 ") && answer.contains("bytes sent in an hour"), "{answer}");
    assert_eq!(setting.next().await.outcome, Outcome::Refused(Refusal::Budget(Budget::BytesUp)));
}

#[tokio::test]
async fn tunnel_that_is_silent_is_cut_and_one_that_is_not_goes_on() {
    let (setting, _server, place) = budgeted(|budgets| budgets.idle_seconds_max = 1).await;
    let mut tunnel = setting.tunnel(&place).await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1600) {
        assert_eq!(say(&mut tunnel, "x").await, "x");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(rest(&mut tunnel).await, "");
    assert_eq!(setting.end_of_opened().await.outcome, Outcome::Cut(Cut::Idle));
}

#[tokio::test]
async fn tunnel_that_lives_for_too_long_is_cut_whatever_goes_through() {
    let (setting, _server, place) = budgeted(|budgets| budgets.life_seconds_max = 1).await;
    let mut tunnel = setting.tunnel(&place).await;
    let begun = Instant::now();
    let talk = async {
        while tunnel.write_all(b"x").await.is_ok() && tunnel.read_exact(&mut [0]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), talk).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(900), "{:?}", begun.elapsed());
    assert_eq!(setting.end_of_opened().await.outcome, Outcome::Cut(Cut::Life));
}

#[tokio::test]
async fn head_is_read_up_to_its_bound_and_not_one_past_it() {
    let setting = Setting::new(&[]).await;
    let head = |bytes: usize| {
        let start = "CONNECT evil.test:443 HTTP/1.1\r\nX: ";
        format!("{start}{}\r\n\r\n", "y".repeat(bytes - start.len() - 4))
    };
    let answer = setting.ask(&head(16 * 1024)).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert_eq!(setting.next().await.outcome, Outcome::Refused(Refusal::NoRule));
    let answer = setting.ask(&head(16 * 1024 + 1)).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert_eq!(setting.next().await.outcome, Outcome::Refused(Refusal::Head(BadHead::TooLong)));
}

#[tokio::test]
async fn request_and_hello_that_do_not_come_are_not_waited_for() {
    let server = echo().await;
    let place = format!("localhost:{}", server.port);
    let setting = Setting::new(&[&place]).await;
    let mut silent = setting.connect().await;
    silent.write_all(format!("CONNECT {place} HTTP/1.1\r\n").as_bytes()).await.unwrap();
    let answered = tokio::spawn(async move { rest(&mut silent).await });
    let mut tunnel = setting.tunnel(&place).await;
    tunnel.write_all(&[22, 3, 1]).await.unwrap();
    assert_eq!(setting.next().await.outcome, Outcome::Opened);
    assert_eq!(rest(&mut tunnel).await, "");
    assert!(answered.await.unwrap().starts_with("HTTP/1.1 408 "));
    let ends = [setting.next().await.outcome, setting.next().await.outcome];
    assert!(ends.contains(&Outcome::Refused(Refusal::Head(BadHead::Late))), "{ends:?}");
    assert!(ends.contains(&Outcome::Refused(Refusal::Hello(BadHello::Late))), "{ends:?}");
    assert_eq!(server.bytes.load(Ordering::SeqCst), 0);
}
