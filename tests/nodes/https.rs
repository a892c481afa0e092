//! Tests of a node that speaks TLS, and of one behind a proxy that terminates TLS, with the client and the command
//! line.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, Version};
use forename::client::{Client, ClientError};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, CertifiedKey, Issuer, KeyPair, generate_simple_self_signed};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::support::eventually;
use crate::support::process::{Home, Process, Serve, command, run};

fn pem(kind: &str, der: &[u8]) -> String {
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", data_encoding::BASE64.encode(der))
}

/// A certificate authority for the tests.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// The certificate of the authority, as PEM.
    certificate: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = pem("CERTIFICATE", params.self_signed(&key).unwrap().der());
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Makes a certificate for `localhost` and its key, as PEM.
    fn signs(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let signed = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        (pem("CERTIFICATE", signed.der()), pem("PRIVATE KEY", &key.serialize_der()))
    }
}

/// The files with the certificate and the key of a node that speaks TLS.
struct Files {
    cert: PathBuf,
    key: PathBuf,
}

impl Files {
    fn beside(home: &Home) -> Self {
        Self { cert: home.data().with_file_name("cert.pem"), key: home.data().with_file_name("key.pem") }
    }

    fn write(&self, (cert, key): &(String, String)) {
        fs::write(&self.cert, cert).unwrap();
        fs::write(&self.key, key).unwrap();
    }

    fn serve(&self) -> Serve {
        let flags = ["--tls-cert", self.cert.to_str().unwrap(), "--tls-key", self.key.to_str().unwrap()];
        Serve::new("a").with(&flags.map(str::to_owned))
    }
}

fn trusting(node: &Process, certificate: &str) -> Client {
    let address = format!("https://localhost:{}", node.http.port());
    Client::new(&address).unwrap().with_ca(certificate.as_bytes()).unwrap()
}

/// Sends one request over HTTP/2, with the host name that a browser would send.
async fn over_http2(node: &Process, certificate: &str, path: &str) -> (Version, u16, String) {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = TcpStream::connect(node.http).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let opened = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = opened.unwrap();
    let connection = tokio::spawn(connection);
    let address = format!("https://localhost:{}{path}", node.http.port());
    let answer = sender.send_request(Request::get(address).body(Body::empty()).unwrap()).await.unwrap();
    let (version, status) = (answer.version(), answer.status().as_u16());
    let body = axum::body::to_bytes(Body::new(answer.into_body()), usize::MAX).await.unwrap();
    connection.abort();
    (version, status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_speaks_https_and_takes_new_certificates_while_it_runs() {
    let (home, first, second) = (Home::new(), Authority::new(), Authority::new());
    let files = Files::beside(&home);
    files.write(&first.signs());
    let mut node = Process::start(&home, &files.serve()).await;
    let client = trusting(&node, &first.certificate);
    assert_eq!(client.cluster().await.unwrap().label, "a");
    assert!(node.client.cluster().await.is_err(), "without TLS nothing is answered");
    let (version, status, body) = over_http2(&node, &first.certificate, "/v1/cluster").await;
    assert_eq!((version, status), (Version::HTTP_2, 200), "{body}");
    assert!(body.contains("\"label\":\"a\""), "{body}");
    assert_eq!(over_http2(&node, &first.certificate, "/v1/names/username/n/nothing").await.1, 404);

    // A file that is no certificate is not accepted.
    fs::write(&files.cert, "no certificate").unwrap();
    node.hang_up();
    eventually("it has looked at the files", async || {
        let log = home.read_log();
        let said = log.contains("settings stay as they were") && log.contains("has no certificate that can be used");
        if said { Ok(()) } else { Err(log) }
    })
    .await;
    assert_eq!(client.cluster().await.unwrap().label, "a");
    files.write(&second.signs());
    node.hang_up();
    eventually("the new certificate is shown", async || {
        // Each attempt has a connection of its own.
        let cluster = trusting(&node, &second.certificate).cluster().await;
        cluster.map(drop).map_err(|error| error.to_string())
    })
    .await;
    let old = trusting(&node, &first.certificate).cluster().await.unwrap_err();
    assert!(matches!(&old, ClientError::Unreachable { why, .. } if why.contains("certificate")), "{old:?}");
    node.assert_lives();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_asks_for_certificates_serves_those_who_show_one() {
    let (home, authority, stranger) = (Home::new(), Authority::new(), Authority::new());
    let files = Files::beside(&home);
    files.write(&authority.signs());
    let ca = home.data().with_file_name("ca.pem");
    fs::write(&ca, &authority.certificate).unwrap();
    let serve = files.serve().with(&["--tls-client-ca".to_owned(), ca.display().to_string()]);
    let node = Process::start(&home, &serve).await;
    let client = trusting(&node, &authority.certificate);
    assert!(matches!(client.cluster().await, Err(ClientError::Unreachable { .. })));
    let with = |authority: &Authority| {
        let (cert, key) = authority.signs();
        client.clone().with_identity(format!("{cert}{key}").as_bytes()).unwrap()
    };
    assert_eq!(with(&authority).cluster().await.unwrap().label, "a");
    assert!(matches!(with(&stranger).cluster().await, Err(ClientError::Unreachable { .. })));

    let own = home.data().with_file_name("own.pem");
    let (cert, key) = authority.signs();
    fs::write(&own, cert + &key).unwrap();
    let address = format!("https://localhost:{}", node.http.port());
    let shows =
        ["status", "--node", &address, "--ca-file", ca.to_str().unwrap(), "--client-cert", own.to_str().unwrap()];
    let shown = run(command(&[]).args(shows));
    assert_eq!(shown.status.code(), Some(0), "{}", String::from_utf8_lossy(&shown.stderr));
    assert_eq!(run(command(&[]).args(&shows[..5])).status.code(), Some(5));
}

#[tokio::test]
async fn tls_does_not_take_the_place_of_tokens() {
    let (home, authority) = (Home::new(), Authority::new());
    let files = Files::beside(&home);
    files.write(&authority.signs());
    let everywhere = |serve: Serve| serve.at(([0, 0, 0, 0], 0).into(), ([127, 0, 0, 1], 0).into());
    let Err((status, log)) = Process::try_start(&home, &everywhere(files.serve())).await else {
        panic!("it serves strangers")
    };
    assert_eq!(status.code(), Some(2), "{log}");
    let made = run(command(&[]).args(["token", "new", "--name", "desk", "--scope", "read"]));
    let tokens = home.data().with_file_name("tokens.toml");
    fs::write(&tokens, made.stdout).unwrap();
    let serve = everywhere(files.serve()).with(&["--api-tokens".to_owned(), tokens.display().to_string()]);
    let node = Process::start(&home, &serve).await;
    let secret = String::from_utf8(made.stderr).unwrap();
    let client = trusting(&node, &authority.certificate).with_token(secret.trim()).unwrap();
    assert_eq!(client.cluster().await.unwrap().label, "a");
    let half = Serve::new("a").with(&["--tls-cert".to_owned(), files.cert.display().to_string()]);
    let Err((status, log)) = Process::try_start(&Home::new(), &half).await else { panic!("it has no key") };
    assert!(status.code() == Some(2) && log.contains("both a certificate and its key"), "{log}");
}

/// Starts a proxy on `localhost` before a node. Returns its port, and the certificate that it shows, as PEM.
async fn proxy(node: SocketAddr) -> (u16, String) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(vec![cert.der().clone()], key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust the certificate closes the connection, and so does one that has its
                // answer.
                let Ok(mut client) = acceptor.accept(stream).await else { return };
                let Ok(mut node) = TcpStream::connect(node).await else { return };
                let _ = tokio::io::copy_bidirectional(&mut client, &mut node).await;
            });
        }
    });
    (port, pem("CERTIFICATE", cert.der()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_speaks_https_and_trusts_whom_it_is_told_to() {
    let home = Home::new();
    let node = Process::start(&home, &Serve::new("a")).await;
    let (port, certificate) = proxy(node.http).await;
    let address = format!("https://localhost:{port}");

    let trusting = Client::new(&address).unwrap().with_ca(certificate.as_bytes()).unwrap();
    assert_eq!(trusting.cluster().await.unwrap().label, "a");
    // The order of the settings does not matter: adding a token keeps the certificates.
    let both = trusting.with_token("secret").unwrap();
    assert_eq!(both.cluster().await.unwrap().label, "a");
    let wary = Client::new(&address).unwrap().cluster().await.unwrap_err();
    let ClientError::Unreachable { why, sent, .. } = &wary else { panic!("{wary:?}") };
    assert!(why.contains("certificate") && !sent, "{wary:?}");

    let file = home.data().with_extension("pem");
    std::fs::write(&file, &certificate).unwrap();
    let trusted = run(command(&[]).args(["status", "--node", &address, "--ca-file", file.to_str().unwrap()]));
    assert_eq!(trusted.status.code(), Some(0), "{}", String::from_utf8_lossy(&trusted.stderr));
    let untrusted = run(command(&[]).args(["status", "--node", &address]));
    assert_eq!(untrusted.status.code(), Some(5), "{}", String::from_utf8_lossy(&untrusted.stderr));
    // Where several nodes are given, the one that can be trusted answers.
    let nodes = format!("{address},{}", node.url());
    assert_eq!(run(command(&[]).args(["status", "--node", &nodes])).status.code(), Some(0));
    std::fs::write(&file, "no certificate").unwrap();
    let broken = run(command(&[]).args(["status", "--node", &address, "--ca-file", file.to_str().unwrap()]));
    assert_eq!(broken.status.code(), Some(2), "{}", String::from_utf8_lossy(&broken.stderr));
}
