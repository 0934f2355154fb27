//! Requests in absolute form.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sekisho_egress::{BadHead, Cut, Failure, Outcome, Refusal, Via};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::setting::{Setting, rest};

/// A server that says this to each connection once it has heard so much, and what it heard until its end.
struct Server {
    port: u16,
    heard: mpsc::UnboundedReceiver<String>,
    connections: Arc<AtomicUsize>,
}

async fn server(until: &'static str, answer: &'static str) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, heard) = mpsc::unbounded_channel();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut all = String::new();
                let mut chunk = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut chunk).await {
                    let before = all.contains(until);
                    all.push_str(&String::from_utf8_lossy(&chunk[..count]));
                    if !before && all.contains(until) {
                        stream.write_all(answer.as_bytes()).await.unwrap();
                        stream.shutdown().await.unwrap();
                    }
                }
                let _ = tell.send(all);
            });
        }
    });
    Server { port, heard, connections }
}

async fn gate(server: &Server) -> Setting {
    Setting::new(&[&format!("http://localhost:{}", server.port)]).await
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\nX: y\r\n\r\nok";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\r\nConnection: close\r\n\r\nok";

#[tokio::test]
async fn request_goes_on_in_origin_form_and_its_answer_comes_back() {
    let mut server = server("\r\n\r\n", OK).await;
    let (setting, port) = (gate(&server).await, server.port);
    let request =
        format!("GET http://LOCALHOST:{port}/a?b HTTP/1.1\r\nHost: localhost:{port}\r\nA: b\r\nProxy-X: y\r\n\r\n");
    assert_eq!(setting.ask(&request).await, ANSWER);
    let heard = server.heard.recv().await.unwrap();
    assert_eq!(
        heard,
        format!("GET /a?b HTTP/1.1\r\nHost: localhost:{port}\r\nA: b\r\nProxy-X: y\r\nConnection: close\r\n\r\n")
    );
    let end = setting.end_of_opened().await;
    assert_eq!((&end.outcome, end.via), (&Outcome::Ended, Some(Via::Http)));
    assert_eq!((end.bytes_up, end.bytes_down), (heard.len().try_into().unwrap(), ANSWER.len().try_into().unwrap()));
}

#[tokio::test]
async fn bodies_go_on_to_their_end_and_not_past_it() {
    let chunked = "Transfer-Encoding: chunked\r\n\r\n3\r\nbod\r\n1\r\ny\r\n0\r\n\r\n";
    for (until, body) in [("body", "Content-Length: 4\r\n\r\nbody"), ("0\r\n\r\n", chunked)] {
        let mut server = server(until, OK).await;
        let (setting, port) = (gate(&server).await, server.port);
        let mut stream = setting.connect().await;
        let head = format!("POST http://localhost:{port}/ HTTP/1.1\r\n{body}");
        for byte in head.as_bytes() {
            stream.write_all(&[*byte]).await.unwrap();
        }
        assert_eq!(setting.next().await.outcome, Outcome::Opened);
        // It is to another host even, and comes too late to be looked at.
        let _ = stream.write_all(b"GET http://evil.test/ HTTP/1.1\r\n\r\n").await;
        assert_eq!(rest(&mut stream).await, ANSWER, "{body}");
        let (head, rest) = body.split_once("\r\n\r\n").unwrap();
        let sent = format!("POST / HTTP/1.1\r\nHost: localhost:{port}\r\n{head}\r\nConnection: close\r\n\r\n{rest}");
        assert_eq!(server.heard.recv().await.unwrap(), sent);
        assert_eq!(setting.next().await.outcome, Outcome::Ended);
        assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn second_request_behind_the_first_is_refused_with_it() {
    let server = server("\r\n\r\n", OK).await;
    let (setting, port) = (gate(&server).await, server.port);
    for body in ["\r\n", "Content-Length: 2\r\n\r\nok", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"] {
        let first = format!("POST http://localhost:{port}/ HTTP/1.1\r\n{body}");
        let answer = setting.ask(&format!("{first}GET http://localhost:{port}/ HTTP/1.1\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("one plain request"), "{answer}");
        assert_eq!(setting.next().await.outcome, Outcome::Refused(Refusal::Head(BadHead::SecondRequest)));
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn body_that_is_not_what_its_head_says_is_cut_where_it_goes_wrong() {
    let mut server = server("never", OK).await;
    let (setting, port) = (gate(&server).await, server.port);
    let head = format!("POST http://localhost:{port}/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (body, gone) in [("3\r\nbod\r\n", "3\r\nbod\r\n"), ("", "")] {
        let mut stream = setting.connect().await;
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        assert_eq!(setting.next().await.outcome, Outcome::Opened);
        // The gate reads what is here already before it hears more.
        while setting_is_behind(&server, 1) {
            tokio::task::yield_now().await;
        }
        stream.write_all(b"3;x=y\r\nbad\r\n0\r\n\r\n").await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert_eq!(setting.next().await.outcome, Outcome::Cut(Cut::Body));
        let heard = server.heard.recv().await.unwrap();
        assert!(heard.ends_with(&format!("\r\n\r\n{gone}")) && !heard.contains("bad"), "{heard}");
    }
}

fn setting_is_behind(server: &Server, connections: usize) -> bool {
    server.connections.load(Ordering::SeqCst) < connections
}

#[tokio::test]
async fn announcement_of_an_answer_comes_before_it() {
    let server = server("\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n").await;
    let (setting, port) = (gate(&server).await, server.port);
    let request = format!("PUT http://localhost:{port}/ HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    let answer = setting.ask(&request).await;
    assert_eq!(answer, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
}

#[tokio::test]
async fn answer_that_is_none_is_told_as_that() {
    for answer in ["SSH-2.0-x\r\n", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", ""] {
        let server = server("\r\n\r\n", answer).await;
        let (setting, port) = (gate(&server).await, server.port);
        let answer = setting.ask(&format!("GET http://localhost:{port}/ HTTP/1.1\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("http_protocol_error"), "{answer}");
        assert_eq!(setting.end_of_opened().await.outcome, Outcome::Failed(Failure::Answer));
    }
}

#[tokio::test]
async fn head_of_an_answer_is_read_up_to_its_bound_and_not_one_past_it() {
    let head = |bytes: usize| {
        let start = "HTTP/1.1 200 OK\r\nX: ";
        let head = format!("{start}{}\r\n\r\n", "y".repeat(bytes - start.len() - 4));
        &*Box::leak(head.into_boxed_str())
    };
    for (bytes, status) in [(64 * 1024, "HTTP/1.1 200 "), (64 * 1024 + 1, "HTTP/1.1 502 ")] {
        let server = server("\r\n\r\n", head(bytes)).await;
        let (setting, port) = (gate(&server).await, server.port);
        let answer = setting.ask(&format!("GET http://localhost:{port}/ HTTP/1.1\r\n\r\n")).await;
        assert!(answer.starts_with(status), "{bytes}: {}", answer.len());
    }
}

#[tokio::test]
async fn announcements_have_an_end() {
    for (count, outcome) in [(7, Outcome::Ended), (8, Outcome::Failed(Failure::Answer))] {
        let answer = format!("{}HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(count));
        let server = server("\r\n\r\n", Box::leak(answer.into_boxed_str())).await;
        let (setting, port) = (gate(&server).await, server.port);
        setting.ask(&format!("GET http://localhost:{port}/ HTTP/1.1\r\n\r\n")).await;
        assert_eq!(setting.end_of_opened().await.outcome, outcome, "{count}");
    }
}

#[tokio::test]
async fn requests_that_are_none_of_a_proxys_go_nowhere() {
    let server = server("\r\n\r\n", OK).await;
    let (setting, port) = (gate(&server).await, server.port);
    for request in [
        format!("GET / HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n"),
        format!("GET http://localhost:{port}/ HTTP/1.1\r\nHost: evil.test\r\n\r\n"),
        format!(
            "POST http://localhost:{port}/ HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        format!("GET http://localhost:{port}/ HTTP/1.1\r\nA: b\n\r\n\r\n"),
        format!("GET http://localhost:{port}/ HTTP/1.1\r\nA: b\r\n c\r\n\r\n"),
        format!("GET https://localhost:{port}/ HTTP/1.1\r\n\r\n"),
        "\u{16}\u{3}\u{1}\r\n\r\n".to_owned(),
    ] {
        let answer = setting.ask(&request).await;
        assert!(
            answer.starts_with("HTTP/1.1 400 Bad Request\r\nProxy-Status: sekisho; error=http_request"),
            "{request}"
        );
        assert!(matches!(setting.next().await.outcome, Outcome::Refused(Refusal::Head(_))), "{request}");
    }
    let answer = setting.ask(&format!("CONNECT localhost:{port} HTTP/1.1\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "plain HTTP is no tunnel: {answer}");
    assert_eq!(setting.next().await.outcome, Outcome::Refused(Refusal::NoRule));
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
}
