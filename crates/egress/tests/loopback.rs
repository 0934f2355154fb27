//! The client against real servers on loopback.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use sekisho_egress::{BodyError, Client, Config, FetchError, NewError, SendError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;

fn client(config: &Config) -> Client {
    Client::new(config, Path::new("/")).unwrap()
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn post() -> Request<Full<Bytes>> {
    Request::post("http://elsewhere.example/other")
        .header(header::HOST, "elsewhere.example")
        .body(Full::from("ping"))
        .unwrap()
}

async fn fetch(client: &Client, to: &str, bytes_max: u64) -> Result<Bytes, FetchError> {
    client.fetch(&url(to), bytes_max, Duration::from_secs(20)).await
}

/// A server that answers by path and counts its connections.
async fn server() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let serve = auto::Builder::new(TokioExecutor::new());
                let _ = serve.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
            });
        }
    });
    (port, connections)
}

async fn answer(request: Request<hyper::body::Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let host = request.headers().get(header::HOST).map(|host| host.to_str().unwrap().to_owned());
    Ok(match request.uri().path() {
        "/host" => Response::new(Full::from(host.unwrap_or_default())),
        "/version" => Response::new(Full::from(format!("{:?}", request.version()))),
        "/ten" => Response::new(Full::from("0123456789")),
        "/redirect" => Response::builder().status(302).header(header::LOCATION, "/ten").body(Full::default()).unwrap(),
        "/head" => {
            let kib: usize = request.uri().query().unwrap().parse().unwrap();
            let head = Response::builder().header("x", "x".repeat(kib * 1024));
            head.body(Full::default()).unwrap()
        }
        _ => Response::builder().status(404).body(Full::default()).unwrap(),
    })
}

/// A server that writes these bytes as its answer and then keeps still.
async fn stuck(after: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await.unwrap();
        stream.write_all(after).await.unwrap();
        std::future::pending::<()>().await;
    });
    port
}

#[tokio::test]
async fn document_is_fetched_from_loopback_by_name_and_by_address() {
    let (port, _) = server().await;
    let client = client(&Config::default());
    for host in ["localhost", "127.0.0.1"] {
        assert_eq!(fetch(&client, &format!("http://{host}:{port}/ten"), 100).await.unwrap(), "0123456789");
    }
}

#[tokio::test]
async fn name_that_is_not_localhost_is_refused_though_it_resolves_there() {
    // Nearly every machine has its own name, or one of its hosts file, resolve to itself. Where none does, the filter's own
    // tests still hold the rule.
    let mut names = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    names += &std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let client = client(&Config::default());
    for name in
        names.split_whitespace().filter(|name| *name != "localhost" && name.parse::<std::net::IpAddr>().is_err())
    {
        let Ok(found) = tokio::net::lookup_host((name, 443)).await else {
            continue;
        };
        let Ok(to) = client.destination(&url(&format!("https://{name}/"))) else {
            continue;
        };
        if found.map(|address| address.ip()).all(|ip| ip.is_loopback()) {
            let refused = client.send(&to, post(), soon()).await;
            assert!(matches!(refused, Err(SendError::Refused(_))), "{name}: {refused:?}");
        }
    }
}

#[tokio::test]
async fn request_goes_to_the_destination_whatever_it_says_itself() {
    let (port, _) = server().await;
    let client = client(&Config::default());
    let to = client.destination(&url(&format!("http://127.0.0.1:{port}/host"))).unwrap();
    let answer = client.send(&to, post(), soon()).await.unwrap();
    assert_eq!(answer.into_body().collect_by(soon()).await.unwrap(), format!("127.0.0.1:{port}"));
}

#[tokio::test]
async fn redirect_is_an_answer_and_not_followed() {
    let (port, _) = server().await;
    let client = client(&Config::default());
    let redirect = format!("http://127.0.0.1:{port}/redirect");
    assert!(matches!(fetch(&client, &redirect, 100).await, Err(FetchError::Status { status: 302 })));
    let to = client.destination(&url(&redirect)).unwrap();
    assert_eq!(client.send(&to, post(), soon()).await.unwrap().status(), 302);
}

#[tokio::test]
async fn body_at_its_bound_is_taken_and_one_past_is_refused() {
    let (port, _) = server().await;
    let ten = format!("http://127.0.0.1:{port}/ten");
    let default = client(&Config::default());
    assert_eq!(fetch(&default, &ten, 10).await.unwrap().len(), 10);
    let refused = fetch(&default, &ten, 9).await;
    assert!(matches!(refused, Err(FetchError::Body(BodyError::TooLong { bytes_max: 9 }))), "{refused:?}");

    for (response_bytes_max, fits) in [(10, true), (9, false)] {
        let client = client(&Config { response_bytes_max, ..Config::default() });
        let to = client.destination(&url(&ten)).unwrap();
        let body = client.send(&to, post(), soon()).await.unwrap().into_body();
        assert_eq!(body.collect_by(soon()).await.is_ok(), fits);
    }
}

#[tokio::test]
async fn head_within_its_bound_is_taken_and_one_past_is_refused() {
    let (port, _) = server().await;
    let client = client(&Config::default());
    let head = |kib: u32| url(&format!("http://127.0.0.1:{port}/head?{kib}"));
    let fetch = async |kib| client.fetch(&head(kib), 100, Duration::from_secs(20)).await;
    assert_eq!(fetch(60).await.unwrap(), "");
    for kib in [70, 1000] {
        let refused = fetch(kib).await;
        let is_refused = matches!(refused, Err(FetchError::Send(SendError::HeadTooLong | SendError::Exchange(_))));
        assert!(is_refused, "{refused:?}");
    }
}

#[tokio::test]
async fn silence_in_the_middle_of_a_body_ends_it() {
    let port = stuck(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01234").await;
    let client = client(&Config { timeout_ms: 50, ..Config::default() });
    let to = client.destination(&url(&format!("http://127.0.0.1:{port}/"))).unwrap();
    let mut body = client.send(&to, post(), soon()).await.unwrap().into_body();
    assert_eq!(body.chunk().await.unwrap().unwrap(), "01234");
    assert!(matches!(body.chunk().await, Some(Err(BodyError::Late))));
    assert!(body.chunk().await.is_none());
}

#[tokio::test]
async fn deadline_ends_a_wait_for_the_head_and_for_the_body() {
    let client = client(&Config::default());
    let port = stuck(b"").await;
    let to = client.destination(&url(&format!("http://127.0.0.1:{port}/"))).unwrap();
    let deadline = Instant::now() + Duration::from_millis(50);
    assert!(matches!(client.send(&to, post(), deadline).await, Err(SendError::Late)));

    let port = stuck(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01234").await;
    let late = client.fetch(&url(&format!("http://127.0.0.1:{port}/")), 100, Duration::from_millis(100)).await;
    assert!(matches!(late, Err(FetchError::Body(BodyError::Late))), "{late:?}");
}

#[tokio::test]
async fn body_that_breaks_off_is_no_body() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01234").await.unwrap();
    });
    let broken = fetch(&client(&Config::default()), &format!("http://127.0.0.1:{port}/"), 100).await;
    assert!(matches!(broken, Err(FetchError::Body(BodyError::Broken(_)))), "{broken:?}");
}

#[tokio::test]
async fn connections_are_used_again() {
    let (port, connections) = server().await;
    let client = client(&Config::default());
    for _ in 0..5 {
        fetch(&client, &format!("http://127.0.0.1:{port}/ten"), 100).await.unwrap();
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn nobody_there_is_no_connection() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let refused = fetch(&client(&Config::default()), &format!("http://127.0.0.1:{port}/"), 100).await;
    assert!(matches!(refused, Err(FetchError::Send(SendError::Connect(_)))), "{refused:?}");
}

#[tokio::test]
async fn certificate_authority_of_the_file_is_trusted_and_an_unknown_one_is_not() {
    let (ca, port) = tls_server().await;
    let document = format!("https://localhost:{port}/ten");
    let refused = fetch(&client(&Config::default()), &document, 100).await;
    assert!(matches!(refused, Err(FetchError::Send(SendError::Connect(_)))), "{refused:?}");

    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("ca.pem"), ca).unwrap();
    let config = Config { ca_file: Some("ca.pem".into()), ..Config::default() };
    let trusting = Client::new(&config, home.path()).unwrap();
    assert_eq!(fetch(&trusting, &document, 100).await.unwrap(), "0123456789");

    // Trusted for `localhost` is not trusted for another name of the same server.
    let other_name = fetch(&trusting, &format!("https://127.0.0.1:{port}/ten"), 100).await;
    assert!(matches!(other_name, Err(FetchError::Send(SendError::Connect(_)))), "{other_name:?}");
}

#[tokio::test]
async fn shared_connection_that_its_server_closed_is_replaced() {
    let (ca, port) = tls_server_for(Duration::from_millis(200)).await;
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("ca.pem"), ca).unwrap();
    let client = Client::new(&Config { ca_file: Some("ca.pem".into()), ..Config::default() }, home.path()).unwrap();
    for _ in 0..3 {
        assert_eq!(fetch(&client, &format!("https://localhost:{port}/version"), 100).await.unwrap(), "HTTP/2.0");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[test]
fn file_without_a_certificate_authority_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let with = |content: &str| {
        std::fs::write(home.path().join("ca.pem"), content).unwrap();
        Client::new(&Config { ca_file: Some("ca.pem".into()), ..Config::default() }, home.path()).unwrap_err()
    };
    assert!(matches!(with(""), NewError::CaFileEmpty { .. }));
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(with(nonsense), NewError::CaCertificate { .. }));
    let missing = Config { ca_file: Some("missing.pem".into()), ..Config::default() };
    assert!(matches!(Client::new(&missing, home.path()), Err(NewError::CaFile { .. })));
}

#[test]
fn configuration_permits_nothing_dangerous_by_itself() {
    let read = |text: &str| toml::from_str::<Config>(text);
    assert!(!read("").unwrap().dangerous_allow_private_networks);
    assert!(read("dangerous_allow_private_networks = true").unwrap().dangerous_allow_private_networks);
    assert!(read("allow_private_networks = true").is_err());
}

/// A TLS server for `localhost`, and the PEM of the authority that vouches for it.
async fn tls_server() -> (String, u16) {
    tls_server_for(Duration::from_secs(60)).await
}

/// The same, whose connections end after so long.
async fn tls_server_for(life: Duration) -> (String, u16) {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let authority = rcgen::CertifiedIssuer::self_signed(params, key).unwrap();
    let leaf_key = rcgen::KeyPair::generate().unwrap();
    let leaf =
        rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&leaf_key, &authority).unwrap();

    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], leaf_key.into())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let serve = auto::Builder::new(TokioExecutor::new());
                let connection = serve.serve_connection(TokioIo::new(stream), service_fn(answer));
                let _ = tokio::time::timeout(life, connection).await;
            });
        }
    });
    (authority.pem(), port)
}
