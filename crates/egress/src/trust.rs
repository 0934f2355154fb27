//! Whom we believe to be who they say.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Why there can be no client.
#[derive(Debug, thiserror::Error)]
pub enum NewError {
    /// The file of certificate authorities could not be read, or is not PEM.
    #[error("certificate authorities cannot be read from `{}`", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// One of them is no certificate authority.
    #[error("`{}` holds something that is no certificate authority", path.display())]
    CaCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: rustls::Error,
    },
    /// There are none in it.
    #[error("`{}` holds no certificate", path.display())]
    CaFileEmpty {
        /// The file.
        path: PathBuf,
    },
    /// TLS could not be set up.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

/// TLS 1.3 alone, with the system's certificate authorities and those of the file.
pub(crate) fn tls(ca_file: Option<&Path>) -> Result<ClientConfig, NewError> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(%error, "some of the system's certificate authorities cannot be read");
    }
    roots.add_parsable_certificates(system.certs);
    if let Some(path) = ca_file {
        add_file(&mut roots, path)?;
    }
    if roots.is_empty() {
        // Every https request will be refused; what is on loopback still works.
        tracing::warn!("no certificate authority is trusted: there are none on this system and `ca_file` names none");
    }
    // Both are named here, whatever features another crate of the build turns on.
    Ok(ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(NewError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), NewError> {
    let unreadable = |source| NewError::CaFile { path: path.into(), source };
    let mut count: usize = 0;
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        let certificate = certificate.map_err(unreadable)?;
        roots.add(certificate).map_err(|source| NewError::CaCertificate { path: path.into(), source })?;
        count = count.saturating_add(1);
    }
    if count == 0 { Err(NewError::CaFileEmpty { path: path.into() }) } else { Ok(()) }
}
