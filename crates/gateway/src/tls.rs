//! TLS 1.3 from PEM files (3.1). Older versions are not compiled in.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;

use crate::config::TlsConfig;

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read.
    #[error("`{}` cannot be read", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file holds nothing of the kind.
    #[error("`{}` holds no usable {what} in PEM form", path.display())]
    Empty {
        /// Which.
        path: PathBuf,
        /// Certificate or key.
        what: &'static str,
    },
    /// Certificate and key do not fit, or the certificate is unusable.
    #[error("certificate and key cannot be used together")]
    Unusable(#[source] rustls::Error),
    /// The client authorities cannot be used.
    #[error("the certificate authorities for clients cannot be used")]
    ClientAuthorities(#[source] rustls::server::VerifierBuilderError),
}

/// Reads the files and makes a server configuration of them.
///
/// # Errors
/// [`TlsError`]; the configuration that is in use stays in use.
pub(crate) fn load(config: &TlsConfig) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Unusable)?;
    let builder = match &config.client_ca_file {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = rustls::RootCertStore::empty();
            for authority in certificates(path)? {
                roots.add(authority).map_err(TlsError::Unusable)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(TlsError::ClientAuthorities)?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain = certificates(&config.certificate_file)?;
    let key = PrivateKeyDer::from_pem_slice(&read(&config.key_file)?)
        .map_err(|_| TlsError::Empty { path: config.key_file.clone(), what: "private key" })?;
    let mut server = builder.with_single_cert(chain, key).map_err(TlsError::Unusable)?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(server))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let empty = || TlsError::Empty { path: path.to_owned(), what: "certificate" };
    let pem = read(path)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|_| empty())?;
    if chain.is_empty() { Err(empty()) } else { Ok(chain) }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}
