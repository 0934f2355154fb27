//! `CONNECT`.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustls::crypto::aws_lc_rs::kx_group::SECP384R1;
use sekisho_egress::{BadHead, BadHello, Failure, NotRecorded, Outcome, Refusal, Via};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

use crate::setting::{Setting, echo, rest, say, tls, tls_client, tls_server};

#[tokio::test]
async fn tunnel_of_tls_stands_for_the_name_that_was_asked_for_and_is_told_twice() {
    for groups in [&[][..], &[SECP384R1]] {
        let (port, authority) = tls_server(groups).await;
        let setting = Setting::new(&[&format!("localhost:{port}")]).await;
        let tunnel = setting.tunnel(&format!("LOCALHOST.:{port}")).await;
        let mut stream = tls(tunnel, tls_client(&authority), "localhost").await.unwrap();
        for line in ["one", "two"] {
            assert_eq!(say(&mut stream, line).await, line);
        }
        stream.shutdown().await.unwrap();
        drop(stream);
        let opened = setting.next().await;
        assert_eq!((&opened.outcome, opened.bytes_up, opened.via), (&Outcome::Opened, 0, Some(Via::Tls)));
        let asked = opened.asked.clone().unwrap();
        assert_eq!((asked.host.as_str(), asked.port), ("localhost", port));
        let end = setting.next().await;
        assert_eq!((&end.outcome, end.number, end.addresses.len()), (&Outcome::Ended, opened.number, 1));
        assert!(end.bytes_up > 200 && end.bytes_down > 200, "{end:?}");
        setting.told_nothing().await;
    }
}

#[tokio::test]
async fn hello_may_come_with_the_request_and_by_single_bytes() {
    let (port, authority) = tls_server(&[]).await;
    let setting = Setting::new(&[&format!("localhost:{port}")]).await;
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let mut client = rustls::ClientConnection::new(tls_client(&authority), name).unwrap();
    let mut sent = format!("CONNECT localhost:{port} HTTP/1.1\r\n\r\n").into_bytes();
    client.write_tls(&mut sent).unwrap();
    for step in [1, sent.len()] {
        let mut stream = setting.connect().await;
        for part in sent.chunks(step) {
            stream.write_all(part).await.unwrap();
        }
        let mut answer = vec![0; 39 + 6];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer[39..41], [22, 3], "the server's hello");
        drop(stream);
        let end = setting.end_of_opened().await;
        assert!(end.bytes_up > 100, "{end:?}");
    }
}

#[tokio::test]
async fn tunnel_that_greets_another_name_or_none_is_refused_and_nothing_goes_out() {
    let server = echo().await;
    let (port, authority) = (server.port, tls_server(&[]).await.1);
    let setting = Setting::new(&[&format!("localhost:{port}"), &format!("127.0.0.1:{port}")]).await;
    let nameless = {
        let mut config = (*tls_client(&authority)).clone();
        config.enable_sni = false;
        Arc::new(config)
    };
    for (place, config, name, why) in [
        ("localhost", tls_client(&authority), "evil.test", BadHello::OtherName),
        ("localhost", tls_client(&authority), "localhost.evil.test", BadHello::OtherName),
        ("localhost", tls_client(&authority), "127.0.0.1", BadHello::Nameless),
        ("localhost", nameless, "localhost", BadHello::Nameless),
        ("127.0.0.1", tls_client(&authority), "evil.test", BadHello::OtherName),
    ] {
        let tunnel = setting.tunnel(&format!("{place}:{port}")).await;
        let error = tls(tunnel, config, name).await.unwrap_err();
        assert!(error.to_string().contains("UnrecognisedName"), "{error}");
        let end = setting.end_of_opened().await;
        assert_eq!((&end.outcome, end.bytes_up), (&Outcome::Refused(Refusal::Hello(why)), 0), "{name}");
    }
    assert_eq!(server.bytes.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn address_that_was_asked_for_needs_no_name() {
    let (port, authority) = tls_server(&[]).await;
    let setting = Setting::new(&[&format!("127.0.0.1:{port}")]).await;
    for spelling in ["127.0.0.1", "0x7f.1", "2130706433"] {
        let tunnel = setting.tunnel(&format!("{spelling}:{port}")).await;
        let mut stream = tls(tunnel, tls_client(&authority), "127.0.0.1").await.unwrap();
        assert_eq!(say(&mut stream, "hello").await, "hello");
    }
}

#[tokio::test]
async fn what_is_no_tls_goes_through_where_a_rule_says_so_alone() {
    let server = echo().await;
    let place = format!("localhost:{}", server.port);
    let tls_only = Setting::new(&[&place]).await;
    let any_bytes = Setting::new(&[&format!("tcp://{place}")]).await;
    let mut tunnel = tls_only.tunnel(&place).await;
    tunnel.write_all(b"SSH-2.0-x\r\n").await.unwrap();
    assert_eq!(rest(&mut tunnel).await, "");
    let end = tls_only.end_of_opened().await;
    assert_eq!((&end.outcome, end.bytes_up), (&Outcome::Refused(Refusal::Hello(BadHello::NotTls)), 0));
    assert_eq!(server.bytes.load(Ordering::SeqCst), 0);

    let mut tunnel = any_bytes.tunnel(&place).await;
    assert_eq!(say(&mut tunnel, "SSH-2.0-x").await, "SSH-2.0-x");
    tunnel.shutdown().await.unwrap();
    assert_eq!(rest(&mut tunnel).await, "", "closed one way, it is closed the other way by the server");
    let end = any_bytes.end_of_opened().await;
    assert_eq!((end.outcome, end.bytes_up, end.bytes_down, end.via), (Outcome::Ended, 10, 10, Some(Via::Tcp)));
}

#[tokio::test]
async fn client_that_leaves_before_it_says_hello_is_told_as_that() {
    let server = echo().await;
    let setting = Setting::new(&[&format!("localhost:{}", server.port)]).await;
    drop(setting.tunnel(&format!("localhost:{}", server.port)).await);
    assert_eq!(setting.end_of_opened().await.outcome, Outcome::Failed(Failure::Left));
    drop(setting.connect().await);
    assert_eq!(setting.next().await.outcome, Outcome::Refused(Refusal::Head(BadHead::Left)));
    setting.told_nothing().await;
}

#[tokio::test]
async fn other_spellings_and_ports_of_a_listed_host_are_not_listed() {
    let server = echo().await;
    let port = server.port;
    let setting = Setting::new(&[&format!("tcp://localhost:{port}")]).await;
    for place in [
        format!("127.0.0.1:{port}"),
        format!("0x7f.1:{port}"),
        format!("2130706433:{port}"),
        format!("[::1]:{port}"),
        format!("[::ffff:127.0.0.1]:{port}"),
        format!("localhost.localdomain:{port}"),
        format!("a.localhost:{port}"),
        "localhost:22".to_owned(),
        "localhost:1".to_owned(),
    ] {
        let answer = setting.ask(&format!("CONNECT {place} HTTP/1.1\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{place}: {answer}");
        assert_eq!(setting.next().await.outcome, Outcome::Refused(Refusal::NoRule), "{place}");
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
    let mut tunnel = setting.tunnel(&format!("localhost:{port}")).await;
    assert_eq!(say(&mut tunnel, "x").await, "x");
}

#[tokio::test]
async fn nothing_goes_out_that_is_not_recorded() {
    let server = echo().await;
    let place = format!("localhost:{}", server.port);
    let setting = Setting::recorded(&[&format!("tcp://{place}")], |_| {}, |_| async { Err(NotRecorded) }).await;
    let answer = setting.ask(&format!("CONNECT {place} HTTP/1.1\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("could not be recorded"), "{answer}");
    assert_eq!(setting.end_of_opened().await.outcome, Outcome::Refused(Refusal::NotRecorded));
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn record_that_hangs_is_waited_for_in_bounds_and_nothing_goes_out() {
    let server = echo().await;
    let place = format!("localhost:{}", server.port);
    let setting = Setting::recorded(&[&format!("tcp://{place}")], |_| {}, |_| std::future::pending()).await;
    let answer = setting.ask(&format!("CONNECT {place} HTTP/1.1\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn connection_waits_for_its_record() {
    let server = echo().await;
    let place = format!("localhost:{}", server.port);
    let written = Arc::new(Semaphore::new(0));
    let waited_for = Arc::clone(&written);
    let record = move |_: &_| {
        let written = Arc::clone(&waited_for);
        async move {
            written.acquire().await.unwrap().forget();
            Ok(())
        }
    };
    let setting = Setting::recorded(&[&format!("tcp://{place}")], |_| {}, record).await;
    let mut stream = setting.connect().await;
    stream.write_all(format!("CONNECT {place} HTTP/1.1\r\n\r\nhello").as_bytes()).await.unwrap();
    assert_eq!(setting.next().await.outcome, Outcome::Opened);
    tokio::task::yield_now().await;
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
    written.add_permits(2);
    let mut answer = vec![0; 39 + 5];
    stream.read_exact(&mut answer).await.unwrap();
    assert!(answer.ends_with(b"hello") && server.connections.load(Ordering::SeqCst) == 1);
}

#[tokio::test]
async fn who_serves_no_more_cuts_what_is_open_and_tells_it() {
    let server = echo().await;
    let place = format!("localhost:{}", server.port);
    let setting = Setting::new(&[&format!("tcp://{place}")]).await;
    let mut tunnel = setting.tunnel(&place).await;
    assert_eq!(say(&mut tunnel, "x").await, "x");
    setting.serving.abort();
    assert_eq!(rest(&mut tunnel).await, "");
    let end = setting.end_of_opened().await;
    assert_eq!((end.outcome, end.bytes_up), (Outcome::Cut(sekisho_egress::Cut::Closed), 2));
}

#[tokio::test]
async fn curl_goes_through_it_as_through_any_proxy() {
    if tokio::process::Command::new("curl").arg("--version").output().await.is_err() {
        return;
    }
    let (port, authority) = tls_server(&[]).await;
    let setting = Setting::new(&[&format!("localhost:{port}")]).await;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(authority.as_bytes()).unwrap();
    let curl = |url: String| {
        let mut command = tokio::process::Command::new("curl");
        command.args(["--silent", "--show-error", "--max-time", "15", "--noproxy", "", "--cacert"]).arg(file.path());
        command.args(["--proxy", &format!("http://{}", setting.at), &url]);
        async move { command.output().await.unwrap() }
    };
    let output = curl(format!("https://localhost:{port}/")).await;
    assert_eq!(output.stdout, b"page", "{output:?}");
    let end = setting.end_of_opened().await;
    assert!(end.bytes_up > 200 && end.bytes_down > 200, "{end:?}");
    let output = curl("https://evil.test/".to_owned()).await;
    assert!(String::from_utf8_lossy(&output.stderr).contains("403"), "{output:?}");
    assert_eq!(setting.next().await.outcome, Outcome::Refused(Refusal::NoRule));
}
