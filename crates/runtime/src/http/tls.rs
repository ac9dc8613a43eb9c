//! TLS from PEM files, for servers: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1 by ALPN.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read the certificate {path:?}: it needs to be PEM, the server's own first")]
    Certificate { path: PathBuf, source: pem::Error },
    #[error("there is no certificate in {path:?}")]
    NoCertificate { path: PathBuf },
    #[error("cannot read the private key {path:?}: it needs to be PEM (PKCS#8, PKCS#1 or SEC1)")]
    Key { path: PathBuf, source: pem::Error },
    #[error("the certificate {certificate:?} and the key {key:?} do not serve together")]
    Pair { certificate: PathBuf, key: PathBuf, source: rustls::Error },
}

/// A server's configuration from a chain of certificates and its private key.
///
/// # Errors
/// When a file cannot be read, holds nothing of the kind, or the two do not belong together.
pub fn server(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let unreadable = |source| TlsError::Certificate { path: certificate.to_path_buf(), source };
    let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
        .map_err(unreadable)?
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { path: certificate.to_path_buf() });
    }
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|source| TlsError::Key { path: key.to_path_buf(), source })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let pair = |source| {
        let (certificate, key) = (certificate.to_path_buf(), key.to_path_buf());
        TlsError::Pair { certificate, key, source }
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(pair)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
