//! TLS as tests need it: an authority, certificates that it or nobody vouches for, and a client that trusts one of them.

use std::fs;
use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::raw::{self, Response};

/// A certificate authority of a test's own.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

/// Where a [`Pair`] was written to.
#[derive(Debug, Clone)]
pub struct Files {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// A client: whom it trusts, and what it shows to whoever asks for a certificate.
#[derive(Debug)]
pub struct Caller(Arc<ClientConfig>);

impl Authority {
    /// A fresh one.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new() -> anyhow::Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Another name than those it vouches for: else OpenSSL takes them for signed by themselves.
        params.distinguished_name.push(DnType::CommonName, "the authority of a test");
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    /// A certificate for this machine.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn issue(&self) -> anyhow::Result<Pair> {
        let key = KeyPair::generate()?;
        let certificate = here()?.signed_by(&key, &self.0)?.pem();
        Ok(Pair { certificate, key: key.serialize_pem() })
    }

    /// Its own certificate.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_tuple("Authority").finish_non_exhaustive()
    }
}

impl Pair {
    /// One that nobody vouches for.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn self_signed() -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let certificate = here()?.self_signed(&key)?.pem();
        Ok(Self { certificate, key: key.serialize_pem() })
    }

    /// Writes it as `<name>.pem` and `<name>.key`.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn write(&self, folder: &Path, name: &str) -> anyhow::Result<Files> {
        let at = |ending: &str| folder.join(format!("{name}.{ending}"));
        let files = Files { certificate: at("pem"), key: at("key") };
        // The key first: a reload between the two writes sees a pair that does not fit, and keeps the old one.
        fs::write(&files.key, &self.key)?;
        fs::write(&files.certificate, &self.certificate)?;
        Ok(files)
    }
}

impl Caller {
    /// Trusts `authority` alone, and shows `own`.
    ///
    /// # Errors
    /// When a certificate or key is none.
    pub fn new(authority: &Authority, own: Option<&Pair>) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => builder.with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(own.certificate.as_bytes())?],
                PrivateKeyDer::from_pem_slice(own.key.as_bytes())?,
            )?,
        };
        Ok(Self(Arc::new(config)))
    }

    /// Sends `request` over a connection of its own to `localhost` and reads one response.
    ///
    /// # Errors
    /// As [`raw::send`], and when one side does not trust the other.
    pub fn send(&self, to: SocketAddr, request: &[u8], limit: Duration) -> anyhow::Result<Response> {
        let stream = TcpStream::connect_timeout(&to, limit).with_context(|| format!("{to} cannot be reached"))?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        let connection = ClientConnection::new(Arc::clone(&self.0), ServerName::try_from("localhost")?)?;
        let mut stream = StreamOwned::new(connection, stream);
        stream.write_all(request)?;
        raw::read(&mut BufReader::new(stream))
    }
}

fn here() -> anyhow::Result<CertificateParams> {
    Ok(CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?)
}
