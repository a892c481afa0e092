//! TLS 1.3 with self-signed Ed25519 certificates on both sides. A certificate only carries a key: its names, dates and
//! chain are ignored.

use std::sync::Arc;

use quinn::Connection;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerMisbehaved, SignatureScheme};

use super::identity::{Identity, PublicKey};

/// The protocol name for TLS (RFC 7301). It has no version, because a peer of another version is to be refused with an
/// explanation by the hello, and not by a failed handshake.
const ALPN: &[u8] = b"forename";
/// TLS requires a server name, which nobody checks.
pub(super) const SERVER_NAME: &str = "forename";
/// The DER prefix of an Ed25519 SubjectPublicKeyInfo, before the key itself (RFC 8410, section 4).
const ED25519_SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// This node's certificate and key for every handshake.
#[derive(Debug)]
pub(super) struct Credentials {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl Credentials {
    pub(super) fn new(identity: &Identity) -> Result<Self, rcgen::Error> {
        let certificate =
            rcgen::CertificateParams::new([SERVER_NAME.to_owned()])?.self_signed(&identity.key_pair()?)?;
        Ok(Self {
            certificate: certificate.der().clone(),
            key: PrivateKeyDer::Pkcs8(identity.pkcs8()),
            provider: Arc::new(ring::default_provider()),
        })
    }

    /// Returns the configuration for incoming connections. Any Ed25519 key passes here; the hello decides.
    pub(super) fn server(&self) -> Result<QuicServerConfig, Error> {
        let verifier = Arc::new(KeyVerifier { pinned: None, provider: Arc::clone(&self.provider) });
        let mut config = rustls::ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![self.certificate.clone()], self.key.clone_key())?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        // A resumed session would skip the certificates, and so the pinning.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.try_into().map_err(|_| no_initial_suite())
    }

    /// Returns the configuration for dialing the holder of the `pinned` key; none for a newcomer that dials by a token
    /// and does not know the key.
    pub(super) fn client(&self, pinned: Option<PublicKey>) -> Result<QuicClientConfig, Error> {
        let verifier = Arc::new(KeyVerifier { pinned, provider: Arc::clone(&self.provider) });
        let mut config = rustls::ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_auth_cert(vec![self.certificate.clone()], self.key.clone_key())?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        config.try_into().map_err(|_| no_initial_suite())
    }
}

fn no_initial_suite() -> Error {
    Error::General("the cryptography provider lacks TLS13_AES_128_GCM_SHA256, which QUIC begins with".to_owned())
}

fn tls12_is_not_spoken() -> Error {
    Error::General("TLS 1.2 is not spoken here".to_owned())
}

/// Returns the key that the other end of an established connection has proved to hold.
pub(super) fn peer_key(connection: &Connection) -> Option<PublicKey> {
    let chain = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    key_of(chain.first()?).ok()
}

/// Returns the Ed25519 key in a certificate.
fn key_of(certificate: &CertificateDer<'_>) -> Result<PublicKey, Error> {
    let spki = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
    let key = spki.as_ref().strip_prefix(&ED25519_SPKI).and_then(|key| key.try_into().ok());
    key.ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))
}

/// Extracts the key of a certificate, and checks the handshake's signature with it.
#[derive(Debug)]
struct KeyVerifier {
    pinned: Option<PublicKey>,
    provider: Arc<CryptoProvider>,
}

impl KeyVerifier {
    fn check(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let key = key_of(certificate)?;
        match self.pinned {
            Some(pinned) if pinned != key => {
                Err(Error::General("the node at this address holds another key than the member's".to_owned()))
            }
            _ => Ok(()),
        }
    }

    fn check_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if signed.scheme != SignatureScheme::ED25519 {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }
}

impl ServerCertVerifier for KeyVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(tls12_is_not_spoken())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

impl ClientCertVerifier for KeyVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(tls12_is_not_spoken())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}
