//! A gate, servers behind it, and what it told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use sekisho_egress::{Gate, GateBudgets, GateRules, NotRecorded, Outcome, Passage};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;

pub(crate) struct Setting {
    pub(crate) at: SocketAddr,
    told: Mutex<mpsc::UnboundedReceiver<Passage>>,
    pub(crate) serving: JoinHandle<std::io::Error>,
}

impl Setting {
    pub(crate) async fn new(private_hosts: &[&str]) -> Setting {
        Setting::with(private_hosts, |_| {}).await
    }

    pub(crate) async fn with(private_hosts: &[&str], change: impl Fn(&mut GateBudgets)) -> Setting {
        Setting::recorded(private_hosts, change, |_| async { Ok(()) }).await
    }

    pub(crate) async fn recorded<R>(
        private_hosts: &[&str],
        change: impl Fn(&mut GateBudgets),
        record: impl Fn(&Passage) -> R + Send + Sync + 'static,
    ) -> Setting
    where
        R: Future<Output = Result<(), NotRecorded>> + Send + 'static,
    {
        let mut budgets = GateBudgets::default();
        change(&mut budgets);
        let private_hosts = private_hosts.iter().map(|text| text.parse().unwrap()).collect();
        let rules = GateRules { private_hosts, budgets, ..GateRules::default() };
        let (tell, told) = mpsc::unbounded_channel();
        let gate = Gate::new(rules, move |passage| {
            let recorded = record(&passage);
            tell.send(passage).unwrap();
            recorded
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let serving = tokio::spawn(Arc::new(gate.unwrap()).serve(listener));
        Setting { at, told: Mutex::new(told), serving }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.at).await.unwrap()
    }

    /// A tunnel that stands.
    pub(crate) async fn tunnel(&self, place: &str) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n").as_bytes()).await.unwrap();
        let mut head = vec![0; ESTABLISHED.len()];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&head), ESTABLISHED);
        stream
    }

    /// All that is answered to this.
    pub(crate) async fn ask(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        rest(&mut stream).await
    }

    pub(crate) async fn next(&self) -> Passage {
        let mut told = self.told.lock().await;
        tokio::time::timeout(PATIENCE, told.recv()).await.unwrap().unwrap()
    }

    /// What became of the connection that was opened next.
    pub(crate) async fn end_of_opened(&self) -> Passage {
        let opened = self.next().await;
        assert_eq!(opened.outcome, Outcome::Opened, "{opened:?}");
        let end = self.next().await;
        assert_eq!((end.number, &end.asked, end.via), (opened.number, &opened.asked, opened.via));
        end
    }

    /// That nothing else was told.
    pub(crate) async fn told_nothing(&self) {
        let told = self.told.lock().await.try_recv();
        assert!(told.is_err(), "{told:?}");
    }
}

/// What comes until the end, whether that is a close or a reset.
pub(crate) async fn rest(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut all = Vec::new();
    let mut chunk = [0; 4096];
    let ended = tokio::time::timeout(PATIENCE, async {
        while let Ok(count @ 1..) = stream.read(&mut chunk).await {
            all.extend_from_slice(&chunk[..count]);
        }
    });
    ended.await.unwrap();
    String::from_utf8_lossy(&all).into_owned()
}

/// A server that gives every byte back, and counts connections and bytes.
pub(crate) struct Echo {
    pub(crate) port: u16,
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) bytes: Arc<AtomicUsize>,
}

pub(crate) async fn echo() -> Echo {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (connections, bytes) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, heard) = (Arc::clone(&connections), Arc::clone(&bytes));
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            let heard = Arc::clone(&heard);
            tokio::spawn(async move {
                let mut chunk = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut chunk).await {
                    heard.fetch_add(count, Ordering::SeqCst);
                    if stream.write_all(&chunk[..count]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    Echo { port, connections, bytes }
}

/// A server of TLS for `localhost` that gives every line back, and answers a request with a page; and its authority, as PEM.
pub(crate) async fn tls_server(groups: &[&'static dyn rustls::crypto::SupportedKxGroup]) -> (u16, String) {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    // Named unlike the leaf: OpenSSL takes a certificate whose issuer has its own name for its own.
    params.distinguished_name.push(rcgen::DnType::CommonName, "authority");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap();
    let leaf_key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let leaf = rcgen::CertificateParams::new(names).unwrap().signed_by(&leaf_key, &authority).unwrap();
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    if !groups.is_empty() {
        provider.kx_groups = groups.to_vec();
    }
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], leaf_key.into())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let (from, mut to) = tokio::io::split(stream);
                let mut lines = BufReader::new(from).lines();
                let mut is_http = false;
                while let Ok(Some(line)) = lines.next_line().await {
                    is_http |= line.starts_with("GET ");
                    let line = match is_http {
                        true if line.is_empty() => PAGE.to_owned(),
                        true => continue,
                        false => format!("{line}\n"),
                    };
                    if to.write_all(line.as_bytes()).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    (port, authority.pem())
}

pub(crate) fn tls_client(authority: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// TLS through this stream, to a server of this name.
pub(crate) async fn tls(
    stream: TcpStream,
    config: Arc<ClientConfig>,
    name: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    tokio_rustls::TlsConnector::from(config).connect(name, stream).await
}

/// A line there and back.
pub(crate) async fn say(stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin), line: &str) -> String {
    stream.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    let mut said = vec![0; line.len()];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut said)).await.unwrap().unwrap();
    stream.read_exact(&mut [0]).await.unwrap();
    String::from_utf8(said).unwrap()
}

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
const ESTABLISHED: &str = "HTTP/1.1 200 Connection established\r\n\r\n";
const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage";
