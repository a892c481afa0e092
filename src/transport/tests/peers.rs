use super::*;

/// An address at which nobody answers, so that the other side must dial.
const NOWHERE: &str = "127.0.0.1:1";

async fn exchange(a: &mut Node, b: &mut Node) {
    for i in 0..200 {
        a.say(b, Lane::Ordered, i);
        b.say(a, Lane::Ordered, 1000 + i);
    }
    for i in 0..200 {
        assert_eq!(b.number().await, i);
        assert_eq!(a.number().await, 1000 + i);
    }
    let sent: BTreeSet<u64> = (0..40).collect();
    for i in &sent {
        a.say(b, Lane::Bulk, *i);
    }
    let mut received = BTreeSet::new();
    while received.len() < sent.len() {
        received.insert(b.number().await);
    }
    assert_eq!(received, sent);
}

#[tokio::test]
async fn members_talk_whichever_dials() {
    for (a_dials, b_dials) in [(true, false), (false, true), (true, true)] {
        let (mut a, mut b) = (Node::member(), Node::member());
        let address = |node: &Node, known: bool| if known { node.address().to_string() } else { NOWHERE.to_owned() };
        a.handle.set_peers(vec![b.contact_at(address(&b, a_dials))], vec![], Barred::default());
        b.handle.set_peers(vec![a.contact_at(address(&a, b_dials))], vec![], Barred::default());
        a.wait_connected(b.id).await;
        b.wait_connected(a.id).await;
        assert_eq!(a.handle.connected(), [b.id]);
        exchange(&mut a, &mut b).await;
        assert_eq!(a.handle.stats().dropped, 0);
        assert!(a.handle.stats().bytes_out > 0 && b.handle.stats().bytes_in > 0);
    }
}

#[tokio::test]
async fn all_dialing_at_once_keep_one_connection_each() {
    let mut nodes: Vec<_> = (0..4).map(|_| Node::member()).collect();
    introduce_all(&nodes.iter().collect::<Vec<_>>());
    let ids: BTreeSet<_> = nodes.iter().map(|node| node.id).collect();
    for node in &mut nodes {
        while node.connected.len() < 3 {
            // No connection is replaced by another one meanwhile.
            assert!(matches!(node.next().await, Input::Connected(_)));
        }
        assert!(node.connected.is_subset(&ids));
    }
    let [a, b, ..] = &mut nodes[..] else { unreachable!() };
    exchange(a, b).await;
}

#[tokio::test]
async fn a_member_that_is_removed_is_disconnected_and_refused() {
    let (mut a, mut b) = (Node::member(), Node::member());
    introduce_all(&[&a, &b]);
    a.wait_connected(b.id).await;
    b.wait_connected(a.id).await;
    a.handle.set_peers(vec![], vec![], Barred::default());
    a.wait_disconnected(b.id).await;
    b.wait_disconnected(a.id).await;
    assert!(refusal(b.dial(&a, Some(a.public_key)).await).contains("no member"));
    introduce_all(&[&a, &b]);
    a.wait_connected(b.id).await;
}

#[tokio::test]
async fn a_stranger_is_refused_and_gets_nothing() {
    let (mut a, mut b, s) = (Node::member(), Node::member(), Node::member());
    introduce_all(&[&a, &b]);
    assert!(refusal(s.dial(&a, Some(a.public_key)).await).contains("no member"));
    // A false node id does not help either.
    let connection = connect(&s.handle.shared, &a.address().to_string(), None).await.unwrap();
    let (mut send, _receive) = connection.open_bi().await.unwrap();
    let hello = (b.id, 1u64, Some(CLUSTER), None::<(TokenId, [u8; 32])>);
    let words = [WireVersion::PRESENT.to_bytes().as_slice(), &super::frame::frame(&hello).unwrap()].concat();
    send.write_all(&words).await.unwrap();
    let closed = timeout(DEADLINE, connection.closed()).await.unwrap();
    assert!(closed.to_string().contains("does not follow from the key"), "{closed}");
    assert!(s.handle.connected().is_empty());
    a.wait_connected(b.id).await;
    b.wait_connected(a.id).await;
    exchange(&mut a, &mut b).await;
    assert_eq!(a.handle.connected(), [b.id]);
}

#[tokio::test]
async fn a_node_that_holds_another_key_is_not_talked_to() {
    let (a, b, impostor) = (Node::member(), Node::member(), Node::member());
    let error = a.dial(&impostor, Some(b.public_key)).await.unwrap_err();
    assert!(error.to_string().contains("another key"), "{error}");
    // A contact whose id does not follow from its key is ignored.
    let forged = Contact { node: b.id, ..impostor.contact() };
    a.handle.set_peers(vec![forged], vec![], Barred::default());
    assert!(a.handle.shared.state().peers.is_empty());
}

#[tokio::test]
async fn another_cluster_is_refused() {
    let (a, b) = (Node::member(), Node::start());
    b.handle.set_cluster(ClusterId(uuid::Uuid::from_u128(2)), None);
    a.handle.set_peers(vec![b.contact()], vec![], Barred::default());
    b.handle.set_peers(vec![a.contact()], vec![], Barred::default());
    assert!(refusal(b.dial(&a, Some(a.public_key)).await).contains("another cluster"));
    assert!(a.handle.connected().is_empty());
}

#[tokio::test]
async fn a_newcomer_takes_no_connections() {
    let (a, newcomer) = (Node::member(), Node::start());
    newcomer.handle.set_peers(vec![a.contact()], vec![], Barred::default());
    let error = a.dial(&newcomer, Some(newcomer.public_key)).await.unwrap_err();
    assert!(matches!(error, DialError::Connection(quinn::ConnectionError::ConnectionClosed(_))), "{error}");
}

#[tokio::test]
async fn a_restarted_member_comes_back_at_another_address() {
    let (mut a, mut b) = (Node::member(), Node::member());
    introduce_all(&[&a, &b]);
    a.wait_connected(b.id).await;
    b.wait_connected(a.id).await;
    let id = b.id;
    let dir = b.close().await;
    a.wait_disconnected(id).await;
    let mut b = Node::start_with(dir, limits(), None, 1024);
    assert_eq!(b.id, id);
    b.handle.set_cluster(CLUSTER, None);
    b.handle.set_peers(vec![a.contact_at(NOWHERE.to_owned())], vec![], Barred::default());
    a.handle.set_peers(vec![b.contact()], vec![], Barred::default());
    a.wait_connected(id).await;
    b.wait_connected(a.id).await;
    exchange(&mut a, &mut b).await;
}

/// A crash closes no connection. The new process must not be refused because the old connection still exists.
#[tokio::test]
async fn a_crashed_member_is_back_before_its_old_connection_is_noticed() {
    let cuts = Arc::new(Cuts::new());
    let patient = Limits { idle_timeout: DEADLINE, ..limits() };
    let (mut a, mut b) = (
        Node::start_with(TempDir::new().unwrap(), patient.clone(), Some(cuts.clone()), 1024),
        Node::start_with(TempDir::new().unwrap(), patient.clone(), Some(cuts.clone()), 1024),
    );
    for node in [&a, &b] {
        node.handle.set_cluster(CLUSTER, None);
    }
    introduce_all(&[&a, &b]);
    a.wait_connected(b.id).await;
    b.wait_connected(a.id).await;
    cuts.cut(a.address(), b.address());
    let dir = b.close().await;
    let mut b = Node::start_with(dir, patient, Some(cuts), 1024);
    b.handle.set_cluster(CLUSTER, None);
    b.handle.set_peers(vec![a.contact()], vec![], Barred::default());
    a.wait_disconnected(b.id).await;
    a.wait_connected(b.id).await;
    b.wait_connected(a.id).await;
    exchange(&mut a, &mut b).await;
}

#[tokio::test]
async fn a_cut_link_is_noticed_and_heals() {
    let cuts = Arc::new(Cuts::new());
    let start = || {
        let node = Node::start_with(TempDir::new().unwrap(), limits(), Some(cuts.clone()), 1024);
        node.handle.set_cluster(CLUSTER, None);
        node
    };
    let (mut a, mut b, mut c) = (start(), start(), start());
    introduce_all(&[&a, &b, &c]);
    for node in [&mut a, &mut b, &mut c] {
        while node.connected.len() < 2 {
            node.next().await;
        }
    }
    cuts.cut(a.address(), b.address());
    a.wait_disconnected(b.id).await;
    b.wait_disconnected(a.id).await;
    exchange(&mut a, &mut c).await;
    cuts.heal();
    a.wait_connected(b.id).await;
    b.wait_connected(a.id).await;
    exchange(&mut a, &mut b).await;

    cuts.cut_one_way(b.address(), a.address());
    a.wait_disconnected(b.id).await;
    cuts.mend(a.address(), b.address());
    a.wait_connected(b.id).await;
    eventually(|| b.handle.connected().contains(&a.id)).await;
}

#[test]
fn cuts_know_directions() {
    let (a, b): (SocketAddr, SocketAddr) = (([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into());
    let cuts = Cuts::new();
    assert!(cuts.passes(a, b) && cuts.passes(b, a));
    cuts.cut(a, b);
    assert!(!cuts.passes(a, b) && !cuts.passes(b, a));
    cuts.mend(b, a);
    cuts.cut_one_way(a, b);
    assert!(!cuts.passes(a, b) && cuts.passes(b, a));
    cuts.heal();
    assert!(cuts.passes(a, b));
}

#[tokio::test]
async fn the_evicted_are_let_in_but_not_dialed() {
    let (mut a, mut b) = (Node::member(), Node::member());
    introduce_all(&[&a, &b]);
    a.wait_connected(b.id).await;
    b.wait_connected(a.id).await;
    // A former member stays connected, so that it learns of its removal.
    a.handle.set_peers(vec![], vec![b.contact()], Barred::default());
    exchange(&mut a, &mut b).await;
    b.handle.set_peers(vec![], vec![], Barred::default());
    a.wait_disconnected(b.id).await;
    b.wait_disconnected(a.id).await;
    b.handle.set_peers(vec![a.contact_at(NOWHERE.to_owned())], vec![], Barred::default());
    // A former member is not dialed, because it may never come back.
    assert!(!a.handle.dials(b.id));
    b.handle.set_peers(vec![a.contact()], vec![], Barred::default());
    a.wait_connected(b.id).await;
    b.wait_connected(a.id).await;
    // The peer becomes a member again, which happens only in tests.
    a.handle.set_peers(vec![b.contact()], vec![], Barred::default());
    assert!(a.handle.dials(b.id));
    exchange(&mut a, &mut b).await;
}
