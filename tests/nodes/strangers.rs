//! Tests of nodes and callers that do not belong to the cluster, and of garbage at both ports.

use std::ops::ControlFlow;
use std::time::Duration;

use forename::clock::Millis;
use forename::log::Barred;
use forename::model::ClusterId;
use forename::replica::Contact;
use forename::store::disk::{DiskOptions, DiskStore};
use forename::store::{Direction, Store, Table};
use forename::transport::{ClusterKey, Identity, JoinToken, Limits, Transport, TransportConfig, WireVersion};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use crate::support::process::{Home, Process, Serve};
use crate::support::{all_members, claim, user_final, within};

/// The rows of a node that was never admitted: its own contact.
const ITSELF: [(Table, usize); 1] = [(Table::Contacts, 1)];

/// Counts the rows of the tables that are about more than the node itself. Empty tables are left out.
fn tables(home: &Home) -> Vec<(Table, usize)> {
    let store = DiskStore::open(&home.data(), &DiskOptions::default(), |_| {}).unwrap();
    let rows = |table: Table| {
        let mut rows = 0;
        store.scan(table, &[], None, Direction::Up, &mut |_, _| {
            rows += 1;
            ControlFlow::Continue(())
        });
        (table, rows)
    };
    let others = Table::ALL.into_iter().filter(|table| *table != Table::Meta);
    let found = others.map(rows).filter(|(_, rows)| *rows > 0).collect();
    store.close().unwrap();
    found
}

#[tokio::test]
async fn tokens_that_are_wrong_expired_or_of_another_cluster_let_nobody_in() {
    let (home, other_home) = (Home::new(), Home::new());
    let mut node = Process::start(&home, &Serve::new("a")).await;
    let other = Process::start(&other_home, &Serve::new("other")).await;
    claim(&node.client, &user_final("alice", "ann")).await;

    let good = node.client.mint_token(None).await.unwrap();
    let id = JoinToken::parse(&good).unwrap().id();
    let forged = JoinToken::of(&ClusterKey([7; 32]), id).at(vec![node.peer.to_string()]).to_word();
    let mistyped = format!("{}{}", &good[..good.len() - 2], if good.ends_with("AA") { "BB" } else { "AA" });
    // The token expires before a process can start.
    let expired = node.client.mint_token(Some(Duration::from_millis(1))).await.unwrap();
    let of_another = other.client.mint_token(None).await.unwrap();
    let stranger = Home::new();
    for (token, sentence) in [
        ("secret", "this is not a join token"),
        (&good[..20], "incomplete or mistyped"),
        (&mistyped, "incomplete or mistyped"),
    ] {
        let serve = Serve::new("stranger").join(node.peer, token);
        let Err((_, log)) = Process::try_start(&stranger, &serve).await else { panic!("{token} lets a stranger in") };
        assert!(log.lines().last().unwrap_or_default().contains(sentence), "{token}: {log}");
        assert!(!stranger.data().exists(), "nothing is made");
    }
    for (token, sentence) in
        [(&forged, "does not let this node in"), (&expired, "expired"), (&of_another, "does not let this node in")]
    {
        let serve = Serve::new("stranger").join(node.peer, token);
        let Err((status, log)) = Process::try_start(&stranger, &serve).await else {
            panic!("{token} lets a stranger in");
        };
        assert_eq!(status.code(), Some(1), "{log}");
        let last = log.lines().last().unwrap_or_default();
        assert!(last.starts_with("forename: ") && last.contains(sentence), "{token}: {last}");
        assert_eq!(tables(&stranger), ITSELF, "{token}: the stranger holds state");
        assert_eq!(node.client.cluster().await.unwrap().members.len(), 1);
    }
    node.assert_lives();

    // Earlier refusals do not keep the node from joining with a good token.
    let stranger = Process::start(&stranger, &Serve::new("stranger").join(node.peer, &good)).await;
    all_members(&[node.client.clone(), stranger.client.clone()]).await;
    claim(&stranger.client, &user_final("bob", "ann")).await;
}

#[tokio::test]
async fn a_certificate_that_no_member_knows_is_turned_away() {
    let (home, stranger) = (Home::new(), tempfile::tempdir().unwrap());
    let mut node = Process::start(&home, &Serve::new("a")).await;
    let member = node.client.cluster().await.unwrap().node;
    // A stranger can dial a member with a copy of its public key, which is no secret.
    let public_key = Identity::load_or_create(&home.data()).unwrap().public_key().to_vec();
    let identity = Identity::load_or_create(stranger.path()).unwrap();
    let (inputs, mut heard) = mpsc::channel(16);
    let transport = Transport::start(TransportConfig {
        node: identity.node_id(0),
        identity,
        listen: ([127, 0, 0, 1], 0).into(),
        wire: WireVersion::PRESENT,
        links: None,
        inputs,
        limits: Limits::default(),
    });
    let transport = transport.unwrap();
    transport.handle().set_cluster(ClusterId(uuid::Uuid::from_u128(1)), None);
    let (address, label, as_of) = (node.peer.to_string(), String::new(), Millis(1));
    transport.handle().set_peers(
        vec![Contact { node: member, public_key, address, label, as_of }],
        vec![],
        Barred::default(),
    );

    // The node answers its clients meanwhile. The stranger gets nothing, neither now nor until it gives up.
    for number in 0..50 {
        claim(&node.client, &user_final(&format!("name{number}"), "ann")).await;
    }
    assert!(transport.handle().connected().is_empty());
    assert_eq!(transport.handle().stats().bytes_in, 0);
    within("the transport closes", transport.close()).await;
    assert!(heard.try_recv().is_err(), "the stranger was told something");
    assert_eq!(node.client.cluster().await.unwrap().members.len(), 1);
    node.assert_lives();
}

#[tokio::test]
async fn garbage_at_the_peer_port_does_not_disturb() {
    let (home, newcomer) = (Home::new(), Home::new());
    let mut node = Process::start(&home, &Serve::new("a")).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    // The bytes are the same in every run. Their lengths go from zero to more than QUIC sends, and their first bytes
    // are those of all its packet types.
    let mut seed = 0x9e37_79b9_u32;
    for number in 0..2000_usize {
        let byte = |_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed.to_be_bytes()[0]
        };
        let mut datagram: Vec<u8> = (0..number % 1500).map(byte).collect();
        if let Some(first) = datagram.first_mut().filter(|_| number % 2 == 0) {
            *first |= 0xc0;
        }
        // Some datagrams may be lost in a full buffer at the node.
        let _ = socket.send_to(&datagram, node.peer).await;
    }
    claim(&node.client, &user_final("alice", "ann")).await;
    let token = node.client.mint_token(None).await.unwrap();
    let joined = Process::start(&newcomer, &Serve::new("b").join(node.peer, &token)).await;
    all_members(&[node.client.clone(), joined.client.clone()]).await;
    node.assert_lives();
}

/// Sends a request that the project's clients never send. Returns its status, and the last part of its problem's type.
async fn send(node: &Process, method: Method, path: &str, content: &str, body: Vec<u8>) -> (StatusCode, String) {
    let http = crate::support::http().build().unwrap();
    let request = http.request(method, node.url() + path).header("content-type", content).body(body);
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/problem+json", "{path}");
    let status = response.status();
    let problem: Value = response.json().await.unwrap();
    assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{problem}");
    let name = problem["type"].as_str().unwrap_or_default().rsplit(':').next().unwrap_or_default();
    (status, name.to_owned())
}

#[tokio::test]
async fn requests_that_make_no_sense_each_get_their_error() {
    let home = Home::new();
    let mut node = Process::start(&home, &Serve::new("a")).await;
    let register = |names: Value| json!({ "owner": "ann", "names": names }).to_string().into_bytes();
    let name = |name: &str| register(json!([{ "namespace": "username", "name": name }]));
    let many: Vec<_> = (0..100).map(|i| json!({ "namespace": "username", "name": format!("n{i}") })).collect();
    let (path, json_type) = ("/v1/registrations", "application/json");
    let cases = [
        (Method::POST, path, json_type, vec![b' '; 1 << 20], 413, "body-too-large"),
        (Method::POST, path, json_type, b"{\"owner\":".to_vec(), 400, "malformed-json"),
        (Method::POST, path, json_type, vec![0xff; 100], 400, "malformed-json"),
        (Method::POST, path, "text/plain", name("alice"), 415, "unsupported-media-type"),
        (Method::POST, path, json_type, b"[1, 2]".to_vec(), 400, "invalid-request"),
        (Method::POST, path, json_type, register(json!([])), 400, "invalid-request"),
        (Method::POST, path, json_type, register(json!(many)), 400, "invalid-request"),
        (Method::POST, path, json_type, register(json!([{ "name": "alice" }])), 400, "invalid-request"),
        (Method::POST, path, json_type, name(""), 422, "invalid-name"),
        (Method::POST, path, json_type, name("a b"), 422, "invalid-name"),
        (Method::POST, path, json_type, name(&"x".repeat(1000)), 422, "invalid-name"),
        (Method::PUT, path, json_type, name("alice"), 405, "method-not-allowed"),
        (Method::GET, "/v2/registrations", json_type, Vec::new(), 404, "no-route"),
        (Method::GET, "/v1/registrations/7", json_type, Vec::new(), 400, "invalid-request"),
        (Method::GET, "/v1/events?after=x", json_type, Vec::new(), 400, "invalid-request"),
        (Method::GET, "/v1/events?limit=0", json_type, Vec::new(), 400, "invalid-request"),
        (Method::DELETE, "/v1/names/username/nobody?owner=ann", json_type, Vec::new(), 404, "not-held"),
    ];
    for (method, path, content, body, status, problem) in cases {
        let shown = format!("{method} {path} {}", String::from_utf8_lossy(&body[..body.len().min(80)]));
        let (found, name) = send(&node, method, path, content, body).await;
        assert_eq!((found.as_u16(), name.as_str()), (status, problem), "{shown}");
    }
    // None of these requests registered anything.
    assert!(node.client.name("username", "alice").await.unwrap().available);
    claim(&node.client, &user_final("alice", "ann")).await;
    node.assert_lives();
}
