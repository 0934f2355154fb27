//! TLS 1.3 from PEM files (3.1). Older versions are not compiled in.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{CertificateError, RootCertStore, ServerConfig};

use crate::config::{ClientCertificates, TlsConfig};
use possession::Possession;

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
    /// What the file holds is no X.509 certificate.
    #[error("`{}` holds a certificate that cannot be used", path.display())]
    Certificate {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// The key is of a kind that cannot sign, or broken.
    #[error("`{}` holds a private key that cannot be used", path.display())]
    Key {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// The key is another's.
    #[error("the key in `{}` is not that of the certificate in `{}`", path.display(), certificate.display())]
    Mismatch {
        /// The key.
        path: PathBuf,
        /// The certificate.
        certificate: PathBuf,
    },
    /// A certificate is not good any more.
    #[error("`{}` holds a certificate that has expired", path.display())]
    Expired {
        /// Which.
        path: PathBuf,
        /// The last moment it was good.
        until: SystemTime,
    },
    /// A certificate is not good yet.
    #[error("`{}` holds a certificate that is not valid yet", path.display())]
    NotYetValid {
        /// Which.
        path: PathBuf,
        /// The first moment it is good.
        from: SystemTime,
    },
    /// The client authorities cannot be used.
    #[error("the certificate authorities for clients in `{}` cannot be used", path.display())]
    ClientAuthorities {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::server::VerifierBuilderError,
    },
    /// The TLS library does not offer what is needed.
    #[error("TLS 1.3 cannot be offered, so `{}` is of no use", path.display())]
    Unusable {
        /// The certificate.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

impl TlsError {
    /// The file it is about.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            TlsError::Read { path, .. }
            | TlsError::Empty { path, .. }
            | TlsError::Certificate { path, .. }
            | TlsError::Key { path, .. }
            | TlsError::Mismatch { path, .. }
            | TlsError::Expired { path, .. }
            | TlsError::NotYetValid { path, .. }
            | TlsError::ClientAuthorities { path, .. }
            | TlsError::Unusable { path, .. } => path,
        }
    }
}

impl TlsConfig {
    /// What is wrong with the files, found by loading them as the listener does. Paths start at `base`.
    #[must_use]
    pub fn problems(&self, base: &Path) -> Vec<TlsError> {
        let rooted = self.rooted(base);
        let authorities =
            rooted.client_ca_file.as_deref().map(|path| authorities(path, rooted.asks(), &provider()).map(drop));
        let parts = [
            chain(&rooted.certificate_file).map(drop),
            private_key(&rooted.key_file).map(drop),
            authorities.unwrap_or(Ok(())),
        ];
        let wrong: Vec<TlsError> = parts.into_iter().filter_map(Result::err).collect();
        if wrong.is_empty() { load(&rooted).err().into_iter().collect() } else { wrong }
    }

    /// The certificates that no client accepts at `now`; nothing if they cannot be read, which [`TlsConfig::problems`] says.
    #[must_use]
    pub fn out_of_date(&self, base: &Path, now: SystemTime) -> Vec<TlsError> {
        let path = self.rooted(base).certificate_file;
        let chain = chain(&path).unwrap_or_default();
        chain.iter().filter_map(|certificate| out_of_date(&path, certificate, now)).collect()
    }
}

/// Reads the files and makes a server configuration of them.
///
/// # Errors
/// [`TlsError`]; the configuration that is in use stays in use.
pub(crate) fn load(config: &TlsConfig) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = provider();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|source| TlsError::Unusable { path: config.certificate_file.clone(), source })?;
    let builder = match (config.asks(), &config.client_ca_file) {
        (ClientCertificates::None, _) => builder.with_no_client_auth(),
        (asks, Some(path)) => builder.with_client_cert_verifier(authorities(path, asks, &provider)?),
        (asks, None) => builder.with_client_cert_verifier(Arc::new(Possession::new(asks, &provider))),
    };
    let chain = chain(&config.certificate_file)?;
    let key = private_key(&config.key_file)?;
    let mut server = builder.with_single_cert(chain, key).map_err(|error| unfit(config, error))?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(server))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Why a chain and a key that were read do not go together.
fn unfit(config: &TlsConfig, error: rustls::Error) -> TlsError {
    let (certificate, path) = (config.certificate_file.clone(), config.key_file.clone());
    if matches!(error, rustls::Error::InconsistentKeys(_)) {
        TlsError::Mismatch { path, certificate }
    } else if matches!(error, rustls::Error::InvalidCertificate(_)) {
        TlsError::Certificate { path: certificate, source: error }
    } else {
        TlsError::Key { path, source: error }
    }
}

fn authorities(
    path: &Path,
    asks: ClientCertificates,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(path)? {
        roots.add(authority).map_err(|source| TlsError::Certificate { path: path.to_owned(), source })?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = match asks {
        ClientCertificates::Required => builder,
        ClientCertificates::None | ClientCertificates::Requested => builder.allow_unauthenticated(),
    };
    builder.build().map_err(|source| TlsError::ClientAuthorities { path: path.to_owned(), source })
}

/// What is shown to clients: each certificate can be read by them.
fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain = certificates(path)?;
    match chain.iter().find_map(|certificate| ParsedCertificate::try_from(certificate).err()) {
        Some(source) => Err(TlsError::Certificate { path: path.to_owned(), source }),
        None => Ok(chain),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let empty = || TlsError::Empty { path: path.to_owned(), what: "certificate" };
    let pem = read(path)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|_| empty())?;
    if chain.is_empty() { Err(empty()) } else { Ok(chain) }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?)
        .map_err(|_| TlsError::Empty { path: path.to_owned(), what: "private key" })
}

/// Asks the verifier that clients use, without any authority: of a certificate whose time is right it says that nobody vouches
/// for it, and before that it looks at the time.
fn out_of_date(path: &Path, certificate: &CertificateDer<'_>, now: SystemTime) -> Option<TlsError> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let time = UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap_or_default());
    let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms.all;
    let judged =
        verify_server_cert_signed_by_trust_anchor(&parsed, &RootCertStore::empty(), &[], time, algorithms).err()?;
    let moment = |time: UnixTime| UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs())).unwrap_or(now);
    let path = path.to_owned();
    if let rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) = judged {
        return Some(TlsError::Expired { path, until: moment(not_after) });
    }
    if let rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. }) = judged {
        return Some(TlsError::NotYetValid { path, from: moment(not_before) });
    }
    None
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

mod possession;
#[cfg(test)]
mod tests;
