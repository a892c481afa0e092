//! Clients that take all they can get of a node, and nodes that are asked before they are in.

use std::net::IpAddr;
use std::process::Stdio;

use forename::node::descriptors;
use serde_json::Value;
use tokio::net::{TcpStream, UdpSocket};

use crate::support::process::{Guarded, Home, Process, Serve, command};
use crate::support::{claim, eventually, skipped, user_final, within};

/// Connections that nobody uses; a node that took them all would have no descriptor left.
const IDLE: usize = 1100;

#[tokio::test]
async fn idle_connections_take_no_descriptor_from_the_store() {
    if std::process::Command::new("prlimit").arg("--version").stdout(Stdio::null()).status().is_err() {
        return skipped("there is no prlimit to run a node with few descriptors");
    }
    descriptors::raise();
    let home = Home::new();
    let mut serve = Serve::new("a");
    serve.through = vec!["prlimit".to_owned(), "--nofile=400:400".to_owned()];
    let mut node = Process::start(&home, &serve).await;
    let mut idle = Vec::new();
    for _ in 0..IDLE {
        idle.push(TcpStream::connect(node.http).await.unwrap());
    }
    // From the same address nobody gets in any more, from another one somebody does.
    let elsewhere = reqwest::Client::builder().no_proxy().local_address(IpAddr::from([127, 0, 0, 2])).build().unwrap();
    for number in 0..20 {
        let body = user_final(&format!("name{number}"), "ann");
        let request = elsewhere.post(format!("{}/v1/registrations", node.url())).json(&body);
        assert_eq!(within("an answer", request.send()).await.unwrap().status(), 201);
    }
    let log = home.read_log();
    assert_eq!(log.matches("connections are turned away").count(), 1, "{log}");
    assert!(log.contains("HTTP takes fewer connections than set"), "{log}");
    drop(idle);
    eventually("the address is let in again", async || node.client.cluster().await.map_err(|error| error.to_string()))
        .await;
    claim(&node.client, &user_final("alice", "ann")).await;
    node.assert_lives();
}

#[tokio::test]
async fn a_node_that_is_still_joining_answers_probes() {
    // A sponsor that never says anything.
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (home, first) = (Home::new(), Home::new());
    let sponsor = Process::start(&first, &Serve::new("a")).await;
    let token = sponsor.client.mint_token(None).await.unwrap();
    let mut serve = command(&[]);
    serve.args(["serve", "--http", "127.0.0.1:0", "--peer", "127.0.0.1:0", "--token", &token, "--join"]);
    serve.arg(silent.local_addr().unwrap().to_string()).arg("--data-dir").arg(home.data());
    let mut joining = Guarded(serve.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut lines = crate::support::process::lines(&mut joining.0);
    let address = within("serve says where it listens", lines.recv()).await.unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = async |path: &str| within("an answer", http.get(format!("{address}{path}")).send()).await.unwrap();
    assert_eq!(ask("/healthz").await.status(), 200);
    let ready = ask("/readyz").await;
    assert_eq!(ready.status(), 503);
    let why: Value = ready.json().await.unwrap();
    assert_eq!(why["type"], "urn:forename:problem:not-member");
    assert!(why["detail"].as_str().unwrap().contains("still joining"), "{why}");
    assert!(lines.try_recv().is_err(), "it is not in, and does not say so");
}
