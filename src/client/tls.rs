//! How connections are made, and whom they trust with TLS.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

use super::error::{ClientError, chain};
use super::nodes::Nodes;

/// How long a connection is kept for another request: well below the time after which a node closes it.
const IDLE: Duration = Duration::from_secs(30);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// The certificates of a PEM file.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(ClientError::Ca("there is none in the file".to_owned())),
        Ok(found) => Ok(found),
        Err(error) => Err(ClientError::Ca(error.to_string())),
    }
}

/// Connections to these nodes, with a token where there is one.
pub(super) fn connections(
    nodes: &Nodes,
    token: Option<&HeaderValue>,
    ca: Option<&[CertificateDer<'static>]>,
) -> Result<reqwest::Client, ClientError> {
    let headers: HeaderMap = token.into_iter().map(|token| (AUTHORIZATION, token.clone())).collect();
    let builder = reqwest::Client::builder().no_proxy().connect_timeout(CONNECT_WITHIN).pool_idle_timeout(IDLE);
    let builder = builder.default_headers(headers).tls_backend_preconfigured(config(nodes, ca)?);
    builder.build().map_err(|error| ClientError::Ca(chain(&error)))
}

/// Whom to trust. The system is asked only where it matters: that reads files.
fn config(nodes: &Nodes, ca: Option<&[CertificateDer<'static>]>) -> Result<ClientConfig, ClientError> {
    let wrong = |error: rustls::Error| ClientError::Ca(error.to_string());
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(wrong)?;
    let builder = match ca {
        None if nodes.use_tls() => builder.with_platform_verifier().map_err(wrong)?,
        _ => {
            let mut roots = RootCertStore::empty();
            for certificate in ca.unwrap_or_default() {
                roots.add(certificate.clone()).map_err(wrong)?;
            }
            builder.with_root_certificates(roots)
        }
    };
    Ok(builder.with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused() {
        for pem in ["", "certificate", "-----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----\n"] {
            assert!(matches!(certificates(pem.as_bytes()), Err(ClientError::Ca(_))), "{pem:?}");
        }
    }
}
