//! A node behind a proxy that takes TLS off, as the client and the command line reach it.

use std::net::SocketAddr;
use std::sync::Arc;

use forename::client::{Client, ClientError};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::support::process::{Home, Process, Serve, command, run};

/// A proxy on `localhost` before a node; its port, and the certificate that it shows, as PEM.
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
                // A client that does not trust the certificate hangs up, as one that has its answer does.
                let Ok(mut client) = acceptor.accept(stream).await else { return };
                let Ok(mut node) = TcpStream::connect(node).await else { return };
                let _ = tokio::io::copy_bidirectional(&mut client, &mut node).await;
            });
        }
    });
    let encoded = data_encoding::BASE64.encode(cert.der());
    (port, format!("-----BEGIN CERTIFICATE-----\n{encoded}\n-----END CERTIFICATE-----\n"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_speaks_https_and_trusts_whom_it_is_told_to() {
    let home = Home::new();
    let node = Process::start(&home, &Serve::new("a")).await;
    let (port, certificate) = proxy(node.http).await;
    let address = format!("https://localhost:{port}");

    let trusting = Client::new(&address).unwrap().with_ca(certificate.as_bytes()).unwrap();
    assert_eq!(trusting.cluster().await.unwrap().label, "a");
    // The order does not matter: the certificates stay with a token.
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
    // Of several nodes the one that can be trusted answers.
    let nodes = format!("{address},{}", node.url());
    assert_eq!(run(command(&[]).args(["status", "--node", &nodes])).status.code(), Some(0));
    std::fs::write(&file, "no certificate").unwrap();
    let broken = run(command(&[]).args(["status", "--node", &address, "--ca-file", file.to_str().unwrap()]));
    assert_eq!(broken.status.code(), Some(2), "{}", String::from_utf8_lossy(&broken.stderr));
}
