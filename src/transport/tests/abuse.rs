//! Peers that break the protocol lose their connection, and other peers are not affected.

use super::close::CloseReason;
use super::frame::{MAX_FRAME, frame_rows, parse_rows};
use super::*;
use crate::store::SnapshotPart;
use crate::store::{Table, Write};

/// Sends bytes on a new stream without the checks of a correct sender.
async fn abuse(from: &Node, to: &Node, bytes: &[u8]) -> Option<quinn::SendStream> {
    let connection = from.handle.shared.state().links.get(&to.id)?.connection.clone();
    let mut stream = connection.open_uni().await.ok()?;
    stream.write_all(bytes).await.ok()?;
    Some(stream)
}

#[tokio::test]
async fn a_violation_costs_the_connection_and_nothing_else() {
    let (mut a, mut evil, mut good) = (Node::member(), Node::member(), Node::member());
    introduce_all(&[&a, &evil, &good]);
    for node in [&mut a, &mut evil, &mut good] {
        while node.connected.len() < 2 {
            node.next().await;
        }
    }
    let oversized = [&[1], &(MAX_FRAME as u32 + 1).to_be_bytes()[..]].concat();
    let violations: [(&str, &[u8]); 5] = [
        ("malformed", &[1, 0, 0, 0, 3, 0xff, 0xff, 0xff]),
        ("oversized", &oversized),
        ("cut short", &[1, 0, 0, 0, 9, 1]),
        ("unknown kind", &[9]),
        ("empty", &[1, 0, 0, 0, 0]),
    ];
    for (what, bytes) in violations {
        let connection = evil.handle.shared.state().links[&a.id].connection.clone();
        let mut stream = abuse(&evil, &a, bytes).await.unwrap();
        stream.finish().unwrap();
        match timeout(DEADLINE, connection.closed()).await.unwrap() {
            quinn::ConnectionError::ApplicationClosed(close) => {
                assert_eq!(close.error_code, CloseReason::Violation(String::new()).code(), "{what}: {close}");
                assert!(close.to_string().contains("protocol violation"), "{what}: {close}");
            }
            other => panic!("{what}: {other}"),
        }
        a.wait_disconnected(evil.id).await;
        evil.wait_disconnected(a.id).await;
        good.say(&a, Lane::Ordered, 1);
        // The peer may have reconnected before the message arrives.
        assert_eq!(a.number().await, 1);
        if !a.connected.contains(&evil.id) {
            a.wait_connected(evil.id).await;
        }
        evil.wait_connected(a.id).await;
    }
    good.say(&a, Lane::Ordered, 2);
    assert_eq!(a.number().await, 2);
}

#[tokio::test]
async fn a_second_ordered_stream_is_a_violation() {
    let (mut a, mut evil) = (Node::member(), Node::member());
    introduce_all(&[&a, &evil]);
    a.wait_connected(evil.id).await;
    evil.wait_connected(a.id).await;
    let _streams = [abuse(&evil, &a, &[0]).await, abuse(&evil, &a, &[0]).await];
    a.wait_disconnected(evil.id).await;
}

#[tokio::test]
async fn nobody_but_a_sponsor_sends_snapshots() {
    let (mut a, mut b) = (Node::member(), Node::member());
    introduce_all(&[&a, &b]);
    a.wait_connected(b.id).await;
    b.wait_connected(a.id).await;
    let (parts, receiver) = mpsc::channel(1);
    a.handle.send_snapshot(b.id, 7, receiver);
    let row = Write { table: Table::Names, key: vec![1], value: None };
    let refused =
        || matches!(parts.try_send(SnapshotPart::Rows(vec![row.clone()])), Err(mpsc::error::TrySendError::Closed(_)));
    eventually(refused).await;
    a.say(&b, Lane::Ordered, 1);
    assert!(matches!(b.next().await, Input::Message { .. }));
}

#[test]
fn a_sponsor_has_no_business_in_a_nodes_own_tables() {
    let row = |table| vec![Write { table, key: vec![1], value: Some(vec![2]) }];
    for table in Table::ALL {
        let parsed = parse_rows(&frame_rows(&row(table)).unwrap()[4..]);
        assert_eq!(parsed.ok(), table.in_snapshot().then(|| row(table)));
    }
}

/// A connection whose handshake is done, and on which nothing is sent.
async fn silent(from: &Node, to: &Node) -> Option<quinn::Connection> {
    connect(&from.handle.shared, &to.address().to_string(), None).await.ok()
}

#[tokio::test]
async fn connections_that_say_nothing_are_closed_and_keep_nobody_out() {
    let (a, stranger, newcomer) = (Node::start(), Node::start(), Node::start());
    let key = ClusterKey([7; 32]);
    a.handle.set_cluster(CLUSTER, Some(key.clone()));
    // There are more connections than places, and those without a place are refused.
    let silent = futures_util::future::join_all((0..400).map(|_| silent(&stranger, &a))).await;
    let silent: Vec<_> = silent.into_iter().flatten().collect();
    assert!(silent.len() >= Limits::default().handshakes / 2, "{}", silent.len());
    let outcome = newcomer.handle.join(vec![a.address().to_string()], token(&key, Millis(u64::MAX)));
    assert_eq!(timeout(DEADLINE, outcome).await.unwrap().unwrap().unwrap().sponsor, a.id);
    for connection in silent {
        let closed = timeout(DEADLINE, connection.closed()).await.unwrap().to_string();
        assert!(closed.contains("no hello in time"), "{closed}");
    }
}

#[tokio::test]
async fn members_have_places_that_strangers_cannot_take() {
    let few = Limits { handshakes: 4, handshakes_of_members: 1, hello: DEADLINE, idle_timeout: DEADLINE, ..limits() };
    let mut a = Node::start_with(TempDir::new().unwrap(), few, None, 1024);
    a.handle.set_cluster(CLUSTER, None);
    let (stranger, other, mut b) = (Node::start(), Node::start(), Node::member());
    let mut taken = Vec::new();
    for _ in 0..4 {
        taken.push(silent(&stranger, &a).await.unwrap());
    }
    assert!(silent(&other, &a).await.is_none(), "all places for strangers are taken");
    // Without an address for b, only b dials.
    a.handle.set_peers(vec![Contact { address: String::new(), ..b.contact() }], vec![], Barred::default());
    a.handle.shared.state().peers.get_mut(&b.id).unwrap().contact = b.contact();
    b.handle.set_peers(vec![a.contact()], vec![], Barred::default());
    a.wait_connected(b.id).await;
    b.wait_connected(a.id).await;
    assert!(taken.iter().all(|connection| connection.close_reason().is_none()));
}
