//! TLS for the HTTP interface: a certificate, its key, and the authorities of client certificates where they are
//! required.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::shared::Shared;

/// The protocols that are offered (ALPN, RFC 7301), the preferred one first.
pub(super) const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// The paths of the certificates and of the key, each a PEM file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFiles {
    /// The node's certificate, followed by the intermediate certificates.
    pub cert: PathBuf,
    /// The key of the certificate.
    pub key: PathBuf,
    /// The authorities that sign the certificates of clients. Without them clients need no certificate.
    pub client_ca: Option<PathBuf>,
}

/// TLS for the HTTP interface. All clones see it when the certificates are replaced.
#[derive(Clone, Debug)]
pub struct Tls(Shared<Arc<ServerConfig>>);

/// The reason why certificates cannot be used. Those that were in use stay in use.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {error}; the file has to be there and be the node's user's to read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// A file has no certificate, or no key.
    #[error("{} has no {what} that can be used ({why}); give a PEM file that has one", path.display())]
    Nothing {
        /// The file.
        path: PathBuf,
        /// What the file should have: a certificate or a key.
        what: &'static str,
        /// The reason why nothing in it can be used.
        why: String,
    },
    /// The certificate and the key do not belong together.
    #[error(
        "{} and {} cannot be used together: {error}; give the key of the first certificate in the file",
        cert.display(),
        key.display()
    )]
    Mismatch {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
        /// The reason.
        error: rustls::Error,
    },
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let certificates = certificates(&files.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?).map_err(|error| {
            let why = why(&error);
            TlsError::Nothing { path: files.key.clone(), what: "private key", why }
        })?;
        let mismatch = |error| TlsError::Mismatch { cert: files.cert.clone(), key: files.key.clone(), error };
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().map_err(mismatch)?;
        let builder = match &files.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let unusable = |why: String| TlsError::Nothing { path: path.clone(), what: "authority", why };
                let mut roots = RootCertStore::empty();
                for authority in self::certificates(path)? {
                    roots.add(authority).map_err(|error| unusable(error.to_string()))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|error| unusable(error.to_string()))?)
            }
        };
        let mut config = builder.with_single_cert(certificates, key).map_err(mismatch)?;
        config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        Ok(Self(Arc::new(config).into()))
    }

    /// Takes over the certificates of another one, for all later connections.
    pub fn replace(&self, other: &Self) {
        self.0.set(other.0.get());
    }

    /// Returns the acceptor for the next connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.get())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| TlsError::Read { path: path.to_owned(), error })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let nothing = |why: String| TlsError::Nothing { path: path.to_owned(), what: "certificate", why };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    let found = found.map_err(|error| nothing(why(&error)))?;
    if found.is_empty() { Err(nothing("there is none in it".to_owned())) } else { Ok(found) }
}

/// Says what is wrong with a file. It does not show what is in the file, because that may be a key.
fn why(error: &pem::Error) -> String {
    match error {
        pem::Error::NoItemsFound => "there is none in it".to_owned(),
        _ => "it is no PEM file".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};

    use super::*;

    #[test]
    fn files_that_cannot_be_used_are_refused_in_words_and_without_their_contents() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let made = || generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let pem = |kind: &str, der: &[u8]| {
            format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", data_encoding::BASE64.encode(der))
        };
        let CertifiedKey { cert, signing_key } = made();
        let cert = put("cert", &pem("CERTIFICATE", cert.der()));
        let key = put("key", &pem("PRIVATE KEY", &signing_key.serialize_der()));
        let other = put("other", &pem("PRIVATE KEY", &made().signing_key.serialize_der()));
        let empty = put("empty", "");
        let files = |cert: &PathBuf, key: &PathBuf| TlsFiles { cert: cert.clone(), key: key.clone(), client_ca: None };
        assert!(Tls::read(&files(&cert, &key)).is_ok());
        let with_ca = TlsFiles { client_ca: Some(cert.clone()), ..files(&cert, &key) };
        assert!(Tls::read(&with_ca).is_ok());
        let error = |files: &TlsFiles| Tls::read(files).unwrap_err();
        assert!(matches!(error(&files(&cert, &other)), TlsError::Mismatch { .. }));
        assert!(matches!(error(&files(&empty, &key)), TlsError::Nothing { what: "certificate", .. }));
        assert!(matches!(error(&files(&cert, &cert)), TlsError::Nothing { what: "private key", .. }));
        assert!(matches!(error(&files(&cert, &dir.path().join("none"))), TlsError::Read { .. }));
        let no_ca = TlsFiles { client_ca: Some(empty), ..files(&cert, &key) };
        assert!(matches!(error(&no_ca), TlsError::Nothing { .. }));
        let broken = put("broken", "-----BEGIN PRIVATE KEY-----\nsecret!secret\n-----END PRIVATE KEY-----\n");
        let text = error(&files(&cert, &broken)).to_string();
        assert!(!text.contains("secret!"), "{text}");
    }
}
