//! Connections that are kept: what one request leaves behind never reaches the next.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use sekisho_egress::{Body, Client, Config, SendError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;

/// A server that says, for each request of a connection in turn, the next of these parts, each after a pause; then it closes the
/// connection. It counts connections, and names the one that it answers on in place of `N`.
async fn server(script: &'static [&'static [&'static str]]) -> (Url, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let number = counted.fetch_add(1, Ordering::SeqCst).to_string();
            tokio::spawn(async move {
                for parts in script {
                    if stream.read(&mut [0; 4096]).await.unwrap_or(0) == 0 {
                        return;
                    }
                    for (at, part) in parts.iter().enumerate() {
                        if at > 0 {
                            tokio::time::sleep(PAUSE).await;
                        }
                        if stream.write_all(part.replace('N', &number).as_bytes()).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    (url, connections)
}

fn client() -> Client {
    Client::new(&Config::default(), Path::new("/")).unwrap()
}

async fn fetch(client: &Client, url: &Url) -> Bytes {
    client.fetch(url, 100, Duration::from_secs(20)).await.unwrap()
}

async fn begin(client: &Client, url: &Url, limit: Duration) -> Result<Body, SendError> {
    let request = Request::get("/").body(Full::default()).unwrap();
    let to = client.destination(url).unwrap();
    Ok(client.send(&to, request, Instant::now() + limit).await?.into_body())
}

async fn pause() {
    tokio::time::sleep(PAUSE * 3).await;
}

#[tokio::test]
async fn connection_that_its_server_closed_is_replaced() {
    let (url, connections) = server(&[&[ANSWER]]).await;
    let client = client();
    for expected in ["0", "1", "2"] {
        assert_eq!(fetch(&client, &url).await, expected);
        pause().await;
    }
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn answer_that_nobody_asked_for_is_not_the_next_ones() {
    let at_once: &[&str] =
        &["HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nNHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"];
    let later: &[&str] = &[ANSWER, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"];
    for script in [&[at_once, &[ANSWER]], &[later, &[ANSWER]]] {
        let (url, _) = server(Box::leak(Box::new(*script))).await;
        let client = client();
        assert_eq!(fetch(&client, &url).await, "0");
        pause().await;
        assert_eq!(fetch(&client, &url).await, "1", "{script:?}");
    }
}

#[tokio::test]
async fn body_that_nobody_reads_is_not_the_next_ones() {
    let (url, connections) = server(&[&["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n0", "0"], &[ANSWER]]).await;
    let client = client();
    drop(begin(&client, &url, Duration::from_secs(20)).await.unwrap());
    pause().await;
    let mut next = begin(&client, &url, Duration::from_secs(20)).await.unwrap();
    assert_eq!(next.chunk().await.unwrap().unwrap(), "0");
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn body_that_is_here_and_that_nobody_reads_is_skipped() {
    let (url, connections) = server(&[&[ANSWER], &["HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnext"]]).await;
    let client = client();
    drop(begin(&client, &url, Duration::from_secs(20)).await.unwrap());
    assert_eq!(fetch(&client, &url).await, "next");
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn answer_that_comes_too_late_is_not_the_next_ones() {
    let (url, connections) = server(&[&["", "", "", ANSWER], &[ANSWER]]).await;
    let client = client();
    assert!(matches!(begin(&client, &url, PAUSE).await, Err(SendError::Late)));
    pause().await;
    assert_eq!(fetch(&client, &url).await, "1");
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn answer_in_many_parts_comes_in_whole_and_its_connection_is_kept() {
    let parts: &[&str] =
        &["HTTP/1.1 200 OK\r\ntransfer-enc", "oding: chunked\r\n\r\n3\r\none\r\n", "3\r\ntwo\r\n0\r\n", "\r\n"];
    let script: &[&[&str]] = &[parts, parts];
    let (url, connections) = server(Box::leak(Box::new([script[0], script[1]]))).await;
    let client = client();
    for _ in 0..2 {
        assert_eq!(fetch(&client, &url).await, "onetwo");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn many_requests_at_once_each_get_their_own_answer() {
    let (url, _) = server(&[&[ANSWER], &[ANSWER]]).await;
    let client = Arc::new(client());
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (client, url) = (Arc::clone(&client), url.clone());
        asked.spawn(async move { fetch(&client, &url).await });
    }
    assert_eq!(asked.join_all().await.len(), 50);
}

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nN";
const PAUSE: Duration = Duration::from_millis(50);
