//! The run's own certificate authority: a certificate for whatever name is asked for.
//!
//! Made new for every run and forgotten with it. Its certificate is put where programs inside look
//! for trust; its key never leaves the supervisor's memory. Nothing outside trusts it.

use std::collections::HashMap;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// Names with a certificate of their own, at most; beyond, each connection pays for a new one.
const KEPT_MAX: usize = 1024;

/// Variables by which programs are told where trust is: OpenSSL and what stands on it, curl, git,
/// cargo, Python's requests and pip, Node.
pub(super) const VARIABLES: [&str; 8] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "AWS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
];

pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    /// One key for all names: making keys is what costs.
    key: KeyPair,
    ready: HashMap<String, Arc<ServerConfig>>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    pub(super) fn new() -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, "Sandbox Root CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        valid(&mut params);
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);
        Ok(Self { issuer, certificate, key: KeyPair::generate()?, ready: HashMap::new() })
    }

    /// What a server that is called `name` (a name or an address) speaks TLS with.
    pub(super) fn server(&mut self, name: &str) -> Option<Arc<ServerConfig>> {
        if let Some(ready) = self.ready.get(name) {
            return Some(ready.clone());
        }
        let config = Arc::new(self.make(name)?);
        if self.ready.len() < KEPT_MAX {
            self.ready.insert(name.to_owned(), config.clone());
        }
        Some(config)
    }

    fn make(&self, name: &str) -> Option<ServerConfig> {
        let mut params = CertificateParams::new(vec![name.to_owned()]).ok()?;
        // A common name has at most 64 characters (RFC 5280, ub-common-name); clients read the
        // alternative names.
        let common: String = name.chars().take(64).collect();
        params.distinguished_name.push(DnType::CommonName, common);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        valid(&mut params);
        let certificate = params.signed_by(&self.key, &self.issuer).ok()?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .ok()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .ok()?;
        config.alpn_protocols = vec![b"http/1.1".to_vec(), b"http/1.0".to_vec()];
        Some(config)
    }

    /// What programs inside shall trust, as PEM.
    pub(super) fn certificate(&self) -> &str {
        &self.certificate
    }
}

/// Long enough that no clock inside is wrong.
fn valid(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
}

#[cfg(test)]
mod tests {
    use super::Authority;

    #[test]
    fn names_and_addresses_get_certificates_and_other_text_none() {
        let mut authority = Authority::new().unwrap();
        let first = authority.server("a.example").unwrap();
        assert!(std::sync::Arc::ptr_eq(&first, &authority.server("a.example").unwrap()));
        assert!(authority.server("192.0.2.1").is_some());
        assert!(authority.server(&"long.".repeat(40)).is_some());
        assert!(authority.server("kein-ascii-ä").is_none());
        assert!(authority.certificate().starts_with("-----BEGIN CERTIFICATE-----"));
    }
}
