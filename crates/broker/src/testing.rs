//! A host with documents, for tests: TLS on loopback, for `localhost`.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// The host.
pub(crate) struct Site {
    pub(crate) egress: Arc<sekisho_egress::Client>,
    port: u16,
    asked: Arc<Asked>,
    _home: tempfile::TempDir,
}

#[derive(Default)]
struct Asked {
    times: Mutex<HashMap<String, usize>>,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Site {
    pub(crate) async fn open() -> Site {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let authority = rcgen::CertifiedIssuer::self_signed(params, key).unwrap();
        let leaf_key = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&leaf_key, &authority).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], leaf_key.into())
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Asked::default());
        let counted = Arc::clone(&asked);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, asked) = (acceptor.clone(), Arc::clone(&counted));
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        answer(stream, &asked, port).await;
                    }
                });
            }
        });
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("ca.pem"), authority.pem()).unwrap();
        let config = sekisho_egress::Config { ca_file: Some("ca.pem".into()), ..sekisho_egress::Config::default() };
        let egress = Arc::new(sekisho_egress::Client::new(&config, home.path()).unwrap());
        Site { egress, port, asked, _home: home }
    }

    /// The id of a client of this host.
    pub(crate) fn id(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// How often somebody asked for it.
    pub(crate) fn times(&self, path: &str) -> usize {
        self.asked.times.lock().unwrap().get(path).copied().unwrap_or_default()
    }

    /// How many were asked for at the same time, at most.
    pub(crate) fn most_at_once(&self) -> usize {
        self.asked.most.load(Ordering::SeqCst)
    }
}

/// A store in a folder of its own.
pub(crate) fn store(home: &Path) -> Arc<sekisho_store::Store> {
    let entries_max = std::num::NonZeroU64::new(1000).unwrap();
    Arc::new(sekisho_store::Store::open(&home.join("store.redb"), entries_max).unwrap())
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, asked: &Asked, port: u16) {
    let mut head = vec![0; 4096];
    let read = stream.read(&mut head).await.unwrap_or_default();
    let head = String::from_utf8_lossy(&head[..read]).into_owned();
    assert!(head.starts_with("GET ") && head.to_ascii_lowercase().contains("accept: application/json"), "{head}");
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let times = {
        let mut times = asked.times.lock().unwrap();
        let count = times.entry(path.clone()).or_default();
        *count += 1;
        *count
    };
    let id = format!("https://localhost:{port}{path}");
    let document = |name: &str| {
        format!(r#"{{"client_id":"{id}","client_name":"{name}","redirect_uris":["https://localhost.example/cb"]}}"#)
    };
    let whole = |status: &str, headers: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}", body.len())
    };
    let json = |more: &str, body: &str| whole("200 OK", &format!("content-type: application/json\r\n{more}"), body);
    let kind = path.split('/').nth(1).unwrap_or_default();
    let reply = match kind {
        "plain" => json("", &document("App")),
        "charset" => whole("200 OK", "content-type: Application/JSON; charset=utf-8\r\n", &document("App")),
        "suffix" => whole("200 OK", "content-type: application/cimd+json\r\n", &document("App")),
        "html" => whole("200 OK", "content-type: text/html\r\n", &document("App")),
        "text" => whole("200 OK", "content-type: text/json\r\n", &document("App")),
        "untyped" => whole("200 OK", "", &document("App")),
        "typed-twice" => json("content-type: text/html\r\n", &document("App")),
        "minutes" => json("cache-control: max-age=600\r\n", &document("App")),
        "changing" => json("cache-control: max-age=600\r\n", &document(&format!("App {times}"))),
        "no-store" => json("cache-control: no-store\r\n", &document("App")),
        "created" => whole("201 Created", "content-type: application/json\r\n", &document("App")),
        "missing" => whole("404 Not Found", "content-type: application/json\r\n", "{}"),
        "redirect" => whole("302 Found", "location: /plain\r\n", ""),
        "permanent" => whole("308 Permanent Redirect", "location: /plain\r\n", ""),
        "other" => json("", &document("App").replace("/other", "/plain")),
        "padded" => {
            let padding: usize = path.split('/').nth(2).unwrap().parse().unwrap();
            let document = document("App");
            json("", &format!("{document}{}", " ".repeat(padding - document.len())))
        }
        "slow-head" => return std::future::pending().await,
        "endless" | "slow-body" => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
            let _ = stream.write_all(head.as_bytes()).await;
            if kind == "slow-body" {
                return std::future::pending().await;
            }
            while stream.write_all(b"400\r\n").await.is_ok() {
                let _ = stream.write_all(format!("{}\r\n", " ".repeat(0x400)).as_bytes()).await;
            }
            return;
        }
        "held" => {
            let now = asked.now.fetch_add(1, Ordering::SeqCst) + 1;
            asked.most.fetch_max(now, Ordering::SeqCst);
            // The time that a host may take.
            tokio::time::sleep(Duration::from_millis(20)).await;
            asked.now.fetch_sub(1, Ordering::SeqCst);
            json("cache-control: no-store\r\n", &document("App"))
        }
        _ => whole("500 Internal Server Error", "", ""),
    };
    let _ = stream.write_all(reply.as_bytes()).await;
    let _ = stream.shutdown().await;
}
