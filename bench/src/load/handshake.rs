//! TLS handshakes, and nothing after them.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::{LocalSet, spawn_local};
use tokio_rustls::TlsConnector;

use super::tally::Tally;
use super::{End, Report, Stop, Target};
use crate::usage;

/// Which key exchanges a client offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Groups {
    /// X25519 alone: what every server of today has.
    Classic,
    /// X25519MLKEM768 first.
    PostQuantum,
}

/// A client of TLS 1.3 that trusts these certificates and no other, and never resumes.
///
/// # Errors
/// When a certificate cannot be read.
pub fn trusting(certificates_pem: &str, groups: Groups) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(certificates_pem.as_bytes()) {
        roots.add(certificate?)?;
    }
    let mut provider = default_provider();
    provider.kx_groups = match groups {
        Groups::Classic => vec![kx_group::X25519],
        Groups::PostQuantum => vec![kx_group::X25519MLKEM768, kx_group::X25519],
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Makes connections, `at_once` at a time, on this thread, and ends each when its handshake is done.
///
/// # Errors
/// When the runtime cannot start. Handshakes that fail are counted in the report.
pub fn handshakes(target: &Target, config: &Arc<ClientConfig>, at_once: u32, stop: Stop) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let end = Rc::new(End::new(stop));
        let mut tally = Tally::new()?;
        let (before, own) = (usage::of(&target.pids), usage::own());
        let start = Instant::now();
        let one = || spawn_local(repeat(target.clone(), Arc::clone(config), Rc::clone(&end)));
        let tasks: Vec<_> = (0..at_once).map(|_| one()).collect();
        for task in tasks {
            tally.add(&task.await??)?;
        }
        let time = start.elapsed();
        // The other side may still be closing the last one.
        tokio::time::sleep(SETTLE).await;
        let (after, own_after) = (usage::of(&target.pids), usage::own());
        Ok(tally.report(time, (before, after), own_after.cpu.saturating_sub(own.cpu)))
    })
}

async fn repeat(target: Target, config: Arc<ClientConfig>, end: Rc<End>) -> anyhow::Result<Tally> {
    let mut tally = Tally::new()?;
    while end.goes_on() && tally.is_bearable() {
        let start = Instant::now();
        match handshake(&target, &config).await {
            Ok(()) => tally.count(start.elapsed()),
            Err(error) => tally.fail(&error),
        }
    }
    Ok(tally)
}

async fn handshake(target: &Target, config: &Arc<ClientConfig>) -> anyhow::Result<()> {
    let stream = TcpStream::connect(target.address).await.context("no connection")?;
    stream.set_nodelay(true)?;
    let connector = TlsConnector::from(Arc::clone(config));
    let mut stream = connector.connect(ServerName::from(target.address.ip()), stream).await.context("no TLS")?;
    Ok(stream.shutdown().await?)
}

const SETTLE: Duration = Duration::from_millis(20);
