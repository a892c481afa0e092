//! Makes connections, with the certificates that TLS trusts and shows.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

use super::error::{ClientError, chain};
use super::nodes::Nodes;

/// How long an idle connection is kept for another request. It is well below the time after which a node closes it.
const IDLE: Duration = Duration::from_secs(30);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// The certificates that a client trusts over `https`, and the one that it shows.
#[derive(Clone, Debug, Default)]
pub(super) struct Trust {
    /// The authorities to trust; none for those of the system.
    pub(super) ca: Option<Vec<CertificateDer<'static>>>,
    /// The certificate to show to a node that asks for one.
    pub(super) identity: Option<Identity>,
}

/// A certificate, its intermediate certificates and its key.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
}

/// Reads the certificate and the key of a PEM file that has both.
pub(super) fn identity(pem: &[u8]) -> Result<Identity, ClientError> {
    let wrong = |why: &str| ClientError::Identity(why.to_owned());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| wrong(&error.to_string()))?;
    if chain.is_empty() {
        return Err(wrong("there is no certificate in the file"));
    }
    // The parser's error may contain a part of the key, so it is not shown.
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| wrong("there is no private key in the file"))?;
    Ok(Identity { chain, key: Arc::new(key) })
}

/// Reads the certificates of a PEM file.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(ClientError::Ca("there is none in the file".to_owned())),
        Ok(found) => Ok(found),
        Err(error) => Err(ClientError::Ca(error.to_string())),
    }
}

/// Makes the HTTP client for these nodes, with a token where there is one.
pub(super) fn connections(
    nodes: &Nodes,
    token: Option<&HeaderValue>,
    trust: &Trust,
) -> Result<reqwest::Client, ClientError> {
    let headers: HeaderMap = token.into_iter().map(|token| (AUTHORIZATION, token.clone())).collect();
    let builder = reqwest::Client::builder().no_proxy().connect_timeout(CONNECT_WITHIN).pool_idle_timeout(IDLE);
    let builder = builder.default_headers(headers).tls_backend_preconfigured(config(nodes, trust)?);
    builder.build().map_err(|error| ClientError::Ca(chain(&error)))
}

/// Makes the TLS configuration. The system's certificates are read only where they are needed, because that reads
/// files.
fn config(nodes: &Nodes, trust: &Trust) -> Result<ClientConfig, ClientError> {
    let wrong = |error: rustls::Error| ClientError::Ca(error.to_string());
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(wrong)?;
    let builder = match &trust.ca {
        None if nodes.use_tls() => builder.with_platform_verifier().map_err(wrong)?,
        ca => {
            let mut roots = RootCertStore::empty();
            for certificate in ca.iter().flatten() {
                roots.add(certificate.clone()).map_err(wrong)?;
            }
            builder.with_root_certificates(roots)
        }
    };
    match &trust.identity {
        None => Ok(builder.with_no_client_auth()),
        Some(Identity { chain, key }) => builder
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .map_err(|error| ClientError::Identity(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused() {
        for pem in ["", "certificate", "-----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----\n"] {
            assert!(matches!(certificates(pem.as_bytes()), Err(ClientError::Ca(_))), "{pem:?}");
            assert!(matches!(identity(pem.as_bytes()), Err(ClientError::Identity(_))), "{pem:?}");
        }
    }
}
