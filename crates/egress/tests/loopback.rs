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
use sekisho_egress::{
    AddressPermitted, AddressRefused, BadDestination, BodyError, Client, Config, FetchError, InternalHosts, NewError,
    ResolveError, SendError, Verdict,
};
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
    let query = request.uri().query().unwrap_or_default().to_owned();
    let found = |location: &str| Response::builder().status(302).header(header::LOCATION, location);
    let host = request.headers().get(header::HOST).map(|host| host.to_str().unwrap().to_owned());
    Ok(match request.uri().path() {
        "/host" => Response::new(Full::from(host.unwrap_or_default())),
        "/version" => Response::new(Full::from(format!("{:?}", request.version()))),
        "/ten" => Response::new(Full::from("0123456789")),
        "/method" => Response::new(Full::from(request.method().to_string())),
        "/to" => found(&query).body(Full::default()).unwrap(),
        "/status" => {
            let redirect =
                Response::builder().status(query.parse::<u16>().unwrap()).header(header::LOCATION, "/method");
            redirect.body(Full::default()).unwrap()
        }
        "/left" if query == "0" => Response::new(Full::from("0123456789")),
        "/left" => {
            let left: u32 = query.parse().unwrap();
            tokio::time::sleep(HOP).await;
            found(&format!("/left?{}", left - 1)).body(Full::from("x".repeat(100_000))).unwrap()
        }
        "/part" => found("/ten#part").body(Full::default()).unwrap(),
        "/nowhere" => Response::builder().status(302).body(Full::default()).unwrap(),
        "/twice" => found("/ten").header(header::LOCATION, "/ten").body(Full::default()).unwrap(),
        "/bytes" => {
            let redirect = Response::builder().status(302).header(header::LOCATION, &b"/\xff"[..]);
            redirect.body(Full::default()).unwrap()
        }
        "/head" => {
            let kib: usize = query.parse().unwrap();
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
            let told = client.check(&url(&format!("https://{name}/")), soon()).await;
            assert!(matches!(told, Verdict::Refused(_)), "{name}: {told:?}");
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
    for status in [301, 302, 303, 307, 308] {
        let to = client.destination(&url(&format!("http://127.0.0.1:{port}/status?{status}"))).unwrap();
        assert_eq!(client.send(&to, post(), soon()).await.unwrap().status(), status);
    }
}

#[tokio::test]
async fn redirect_of_a_document_is_followed_within_its_origin() {
    let (port, _) = server().await;
    let client = client(&Config::default());
    let base = format!("http://127.0.0.1:{port}");
    for status in [301, 302, 303, 307, 308] {
        assert_eq!(fetch(&client, &format!("{base}/status?{status}"), 100).await.unwrap(), "GET", "{status}");
    }
    for status in [300, 304, 305, 404] {
        let refused = fetch(&client, &format!("{base}/status?{status}"), 100).await;
        assert!(matches!(refused, Err(FetchError::Status { status: it }) if it == status), "{refused:?}");
    }
    // The same origin, however it is written.
    for location in ["ten", "./x/../ten", "//127.0.0.1:PORT/ten", "http://127.1:PORT/ten", "http://0x7f000001:PORT/ten"]
    {
        let location = location.replace("PORT", &port.to_string());
        assert_eq!(fetch(&client, &format!("{base}/to?{location}"), 100).await.unwrap(), "0123456789", "{location}");
    }
}

#[tokio::test]
async fn redirect_of_a_document_to_another_origin_is_refused_and_not_asked() {
    let (port, _) = server().await;
    let (other, asked) = server().await;
    let client = client(&Config::default());
    let to = async |location: &str| {
        let location = location.replace("PORT", &port.to_string()).replace("OTHER", &other.to_string());
        fetch(&client, &format!("http://127.0.0.1:{port}/to?{location}"), 100).await.unwrap_err()
    };
    for elsewhere in [
        "http://127.0.0.1:OTHER/ten",
        "//127.0.0.1:OTHER/ten",
        "http://127.0.0.2:PORT/ten",
        "http://localhost:PORT/ten",
        "http://[::1]:PORT/ten",
        "https://127.0.0.1:PORT/ten",
        "https://mcp.example/ten",
        "https://1.1.1.1/ten",
    ] {
        let refused = to(elsewhere).await;
        assert!(matches!(refused, FetchError::RedirectElsewhere), "{elsewhere}: {refused:?}");
    }
    for (refused, why) in [
        ("http://ann:hunter2@127.0.0.1:PORT/ten", BadDestination::UserInfo),
        ("http://mcp.example/ten", BadDestination::Scheme),
        ("http://127.0.0.1:0/ten", BadDestination::Authority),
        ("http://localhost.:PORT/ten", BadDestination::Dots),
        ("file:///etc/passwd", BadDestination::Authority),
    ] {
        let told = to(refused).await;
        assert!(matches!(told, FetchError::RedirectRefused(it) if it == why), "{refused}: {told:?}");
        assert!(!format!("{told:?}{told}").contains("hunter2"));
    }
    let part = fetch(&client, &format!("http://127.0.0.1:{port}/part"), 100).await;
    assert!(matches!(part, Err(FetchError::RedirectRefused(BadDestination::Fragment))), "{part:?}");
    for inward in ["https://169.254.169.254/ten", "https://2852039166/ten", "https://[::ffff:127.0.0.1]/ten"] {
        let refused = to(inward).await;
        let special =
            matches!(refused, FetchError::RedirectRefused(BadDestination::Address(AddressRefused::Special(_))));
        assert!(special, "{inward}: {refused:?}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn redirect_of_a_document_that_says_no_place_is_refused() {
    let (port, _) = server().await;
    let client = client(&Config::default());
    for path in ["nowhere", "twice", "bytes", "to?http://["] {
        let refused = fetch(&client, &format!("http://127.0.0.1:{port}/{path}"), 100).await;
        assert!(matches!(refused, Err(FetchError::RedirectNowhere)), "{path}: {refused:?}");
    }
}

#[tokio::test]
async fn three_redirects_of_a_document_are_followed_and_one_more_is_not() {
    let (port, _) = server().await;
    let client = client(&Config::default());
    let left = async |left: u32| fetch(&client, &format!("http://127.0.0.1:{port}/left?{left}"), 10).await;
    // What the redirects themselves hold counts for nothing, since it is not read.
    assert_eq!(left(3).await.unwrap(), "0123456789");
    assert!(matches!(left(4).await, Err(FetchError::TooManyRedirects)));
    let past = fetch(&client, &format!("http://127.0.0.1:{port}/left?1"), 9).await;
    assert!(matches!(past, Err(FetchError::Body(BodyError::TooLong { bytes_max: 9 }))), "{past:?}");
    let circle = fetch(&client, &format!("http://127.0.0.1:{port}/to?"), 10).await;
    assert!(matches!(circle, Err(FetchError::TooManyRedirects)), "{circle:?}");
}

#[tokio::test]
async fn redirects_of_a_document_share_one_deadline() {
    let (port, _) = server().await;
    let client = client(&Config::default());
    // Two hops fit, three do not.
    let late = client.fetch(&url(&format!("http://127.0.0.1:{port}/left?3")), 100, HOP * 5 / 2).await;
    assert!(matches!(late, Err(FetchError::Send(SendError::Late))), "{late:?}");
}

#[tokio::test]
async fn check_tells_every_address_and_connects_to_nothing() {
    let (port, connections) = server().await;
    let client = client(&Config::default());
    let check = async |text: &str| client.check(&url(&text.replace("PORT", &port.to_string())), soon()).await;
    for named in ["http://127.0.0.1:PORT/", "http://localhost:PORT/", "https://localhost:PORT/"] {
        let told = check(named).await;
        let Verdict::Permitted(addresses) = &told else { panic!("{named}: {told:?}") };
        let is_permitted = |verdict| verdict == Ok(AddressPermitted::Loopback);
        assert!(
            addresses.iter().any(|judged| is_permitted(judged.verdict) && judged.address.is_loopback()),
            "{told:?}"
        );
        assert_eq!(told.addresses(), *addresses);
    }
    assert!(matches!(check("https://1.1.1.1/").await, Verdict::Permitted(_)));
    let refused = check("https://10.0.0.1/").await;
    assert!(matches!(refused, Verdict::BadDestination(BadDestination::Address(AddressRefused::Private(_)))));
    assert_eq!(refused.addresses().len(), 1);
    let refused = check("http://ann:hunter2@localhost:PORT/").await;
    assert!(matches!(refused, Verdict::BadDestination(BadDestination::UserInfo)) && refused.addresses().is_empty());
    assert!(!format!("{refused:?}").contains("hunter2"));
    // A label that no question can be asked about, so that nobody is asked.
    let nobody = check(&format!("https://{}.example/", "a".repeat(64))).await;
    assert!(matches!(nobody, Verdict::Unresolved(ResolveError::Lookup(_))), "{nobody:?}");
    assert_eq!(connections.load(Ordering::SeqCst), 0);
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
    assert_eq!(read("").unwrap().internal_hosts, InternalHosts::default());
}

#[tokio::test]
async fn internal_hosts_of_a_configuration_are_listed_one_by_one() {
    let read = |list: &str| toml::from_str::<Config>(&format!("internal_hosts = {list}"));
    let listed = client(&read("['10.0.0.1', 'idp.corp.example']").unwrap());
    assert!(listed.destination(&url("https://10.0.0.1/")).is_ok());
    let told = listed.check(&url("https://10.0.0.1/"), soon()).await;
    assert_eq!(told.addresses()[0].verdict, Ok(AddressPermitted::InternalHost));
    for neighbour in ["https://10.0.0.2/", "http://idp.corp.example/", "http://10.0.0.1/"] {
        assert!(listed.destination(&url(neighbour)).is_err(), "{neighbour}");
    }
    for (bad, why) in [
        ("'*.corp.example'", "must not have a wildcard"),
        ("'https://ann:hunter2@idp.corp.example/'", "without scheme, port and path"),
        ("'169.254.169.254'", "no private address"),
        ("'localhost'", "needs no permission"),
        ("'Idp'", "must be in lower case"),
        ("''", "must not be empty"),
        ("5", "invalid type"),
    ] {
        let refused = read(&format!("['idp.corp.example', {bad}]")).unwrap_err();
        assert!(refused.message().contains(why) && !refused.message().contains("hunter2"), "{bad}: {refused}");
        let start = "internal_hosts = ['idp.corp.example', ".len();
        assert_eq!(refused.span(), Some(start..start + bad.len()), "{bad}: its place is told");
    }
    assert!(read("'idp.corp.example'").is_err(), "a list it is");
}

#[tokio::test]
async fn proof_of_a_client_that_permits_more_is_refused_by_one_that_permits_less() {
    let permits = client(&toml::from_str("internal_hosts = ['10.0.0.1']").unwrap());
    let proved = permits.destination(&url("https://10.0.0.1/")).unwrap();
    let refused = client(&Config::default()).send(&proved, post(), soon()).await;
    assert!(matches!(refused, Err(SendError::Refused(AddressRefused::Private(_)))), "{refused:?}");
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

/// How long a redirect of the server takes.
const HOP: Duration = Duration::from_millis(100);
