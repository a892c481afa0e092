use proptest::prelude::*;
use tokio::sync::oneshot;

use super::close::CloseReason;
use super::frame::frame;
use super::tls::Credentials;
use super::token::Side;
use super::*;
use crate::store::SnapshotPart;
use crate::store::{Table, Write};

const KEY: ClusterKey = ClusterKey([7; 32]);
const NEVER: Millis = Millis(u64::MAX);

fn sponsor() -> Node {
    let node = Node::start();
    node.handle.set_cluster(CLUSTER, Some(KEY));
    node
}

async fn outcome(receiver: oneshot::Receiver<Result<Joined, JoinError>>) -> Result<Joined, JoinError> {
    timeout(DEADLINE, receiver).await.expect("no outcome in time").unwrap()
}

async fn try_join(newcomer: &Node, address: String, token: JoinToken) -> Result<Joined, JoinError> {
    outcome(newcomer.handle.join(vec![address], token)).await
}

fn rows(range: std::ops::Range<u32>, size: usize) -> Vec<Write> {
    let row = |i: u32| {
        let table = if i.is_multiple_of(3) { Table::Names } else { Table::Log };
        Write { table, key: i.to_be_bytes().to_vec(), value: (!i.is_multiple_of(7)).then(|| vec![7; size]) }
    };
    range.map(row).collect()
}

/// A message of about this many bytes.
fn long(bytes: usize) -> Message {
    let label = "n".repeat(bytes);
    let address = "[::1]:1".to_owned();
    Message::Contacts(vec![Contact { node: NodeId(9), public_key: vec![], address, label, as_of: Millis(0) }])
}

/// Takes rows up to the end of the snapshot.
async fn snapshot(node: &mut Node) -> Vec<Write> {
    let mut rows = Vec::new();
    loop {
        match node.next().await {
            Input::SnapshotRows { rows: more, .. } => rows.extend(more),
            Input::SnapshotEnd { .. } => return rows,
            other => panic!("{other:?} within a snapshot"),
        }
    }
}

#[tokio::test]
async fn a_newcomer_joins_gets_a_snapshot_and_becomes_a_peer() {
    let (mut a, mut j) = (sponsor(), Node::start());
    let token = token(&KEY, NEVER);
    let joined = try_join(&j, a.address().to_string(), token.clone()).await.unwrap();
    assert_eq!(joined, Joined { sponsor: a.id, public_key: a.public_key, cluster: CLUSTER });
    a.wait_connected(j.id).await;
    j.wait_connected(a.id).await;
    j.say(&a, Lane::Ordered, 5);
    assert_eq!(a.number().await, 5);

    // The first attempt breaks off, and the newcomer gets no `SnapshotEnd`.
    let (parts, receiver) = mpsc::channel(1);
    a.handle.send_snapshot(j.id, 7, receiver);
    parts.send(SnapshotPart::Rows(rows(0..10, 10))).await.unwrap();
    assert!(
        matches!(j.next().await, Input::SnapshotRows { rows: first, from, snapshot: 7 } if first == rows(0..10, 10) && from == a.id)
    );
    drop(parts);

    let (parts, receiver) = mpsc::channel(1);
    a.handle.send_snapshot(j.id, 7, receiver);
    let send = async {
        for i in 0..20 {
            parts.send(SnapshotPart::Rows(rows(i * 100..(i + 1) * 100, 1500))).await.unwrap();
        }
        parts.send(SnapshotPart::End).await.unwrap();
    };
    let ((), received) = tokio::join!(send, snapshot(&mut j));
    assert!(received == rows(0..2000, 1500), "{} rows, or other ones", received.len());

    // The connection continues when the newcomer becomes a member.
    a.handle.set_peers(vec![j.contact()], vec![], Barred::default());
    j.handle.set_cluster(CLUSTER, Some(KEY));
    j.handle.set_peers(vec![a.contact()], vec![], Barred::default());
    a.say(&j, Lane::Ordered, 6);
    assert!(matches!(j.next().await, Input::Message { .. }));
    // A member gets no snapshot.
    let (parts, receiver) = mpsc::channel(1);
    a.handle.send_snapshot(j.id, 7, receiver);
    eventually(|| parts.try_send(SnapshotPart::Rows(rows(0..1, 1))).is_err_and(|error| is_closed(&error))).await;
    a.say(&j, Lane::Ordered, 7);
    assert!(matches!(j.next().await, Input::Message { .. }));
}

fn is_closed(error: &mpsc::error::TrySendError<SnapshotPart>) -> bool {
    matches!(error, mpsc::error::TrySendError::Closed(_))
}

#[tokio::test]
async fn a_newcomer_waits_for_a_sponsor_that_is_not_ready() {
    let (a, j) = (Node::start(), Node::start());
    let outcome = j.handle.join(vec![a.address().to_string()], token(&KEY, NEVER));
    a.handle.set_cluster(CLUSTER, None);
    a.handle.set_cluster(CLUSTER, Some(KEY));
    assert_eq!(super::joining::outcome(outcome).await.unwrap().sponsor, a.id);
}

#[tokio::test]
async fn the_address_of_a_web_server_is_told_from_one_for_peers() {
    let web = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = web.local_addr().unwrap().to_string();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = web.accept().await.unwrap();
        let mut asked = [0; 4];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut asked).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        asked
    });
    let j = Node::start();
    let error = try_join(&j, address.clone(), token(&KEY, NEVER)).await.unwrap_err();
    assert_eq!(error, JoinError::NoPeerPort { address });
    assert!(error.to_string().contains("prints there after 'peer'"), "{error}");
    assert_eq!(&serving.await.unwrap(), b"GET ");
}

#[tokio::test]
async fn a_wrong_or_expired_token_is_refused() {
    let a = sponsor();
    let j = Node::start();
    let address = a.address().to_string();
    let wrong = token(&ClusterKey([8; 32]), NEVER);
    let error = try_join(&j, address.clone(), wrong).await.unwrap_err().to_string();
    assert!(error.contains("not one of this cluster") && error.contains("member token"), "{error}");
    let expired = token(&KEY, now());
    let error = try_join(&j, address.clone(), expired).await.unwrap_err().to_string();
    assert!(error.contains("expired") && error.contains("member token"), "{error}");
    let other = ClusterId(uuid::Uuid::from_u128(2));
    let of_another = JoinToken::of(&KEY, TokenId { cluster: other, ..token(&KEY, NEVER).id() });
    let error = try_join(&j, address, of_another).await.unwrap_err().to_string();
    assert!(error.contains(&CLUSTER.to_string()) && error.contains(&other.to_string()), "{error}");
    assert!(a.handle.connected().is_empty() && j.handle.connected().is_empty());
}

/// A node that does not know the token's secret learns nothing of use, and the newcomer does not continue.
#[tokio::test]
async fn a_false_sponsor_is_found_out() {
    let j = Node::start();
    let dir = TempDir::new().unwrap();
    let identity = Identity::load_or_create(dir.path()).unwrap();
    let tls = Credentials::new(&identity).unwrap().server().unwrap();
    let endpoint = quinn::Endpoint::server(quinn::ServerConfig::with_crypto(Arc::new(tls)), loopback()).unwrap();
    let address = endpoint.local_addr().unwrap().to_string();
    let false_sponsor = async {
        let connection = endpoint.accept().await.unwrap().await.unwrap();
        let (mut send, _receive) = connection.accept_bi().await.unwrap();
        // A welcome with a wrong proof.
        let welcome = (identity.node_id(0), 1u64, CLUSTER, Some([9u8; 32]));
        let words = [WireVersion::PRESENT.to_bytes().as_slice(), &frame(&welcome).unwrap()].concat();
        send.write_all(&words).await.unwrap();
        connection.closed().await
    };
    let token = token(&KEY, NEVER);
    let (joined, closed) = tokio::join!(try_join(&j, address.clone(), token), false_sponsor);
    assert_eq!(joined, Err(JoinError::Impostor { address }));
    match closed {
        quinn::ConnectionError::ApplicationClosed(close) => assert_eq!(close.error_code, CloseReason::Impostor.code()),
        other => panic!("{other}"),
    }
    assert!(j.inbox.is_empty());
}

#[tokio::test]
async fn a_proof_is_of_no_use_on_another_channel() {
    let token = token(&KEY, NEVER);
    let mac = token.prove(Side::Join, &[1; 32]);
    assert!(token.verify(Side::Join, &[1; 32], &mac));
    assert!(!token.verify(Side::Join, &[2; 32], &mac));
    assert!(!token.verify(Side::Sponsor, &[1; 32], &mac));
}

proptest! {
    #[test]
    fn tokens_are_read_as_printed(
        key: [u8; 32], expires: u64, nonce: [u8; 16], uses: u32, addresses: Vec<String>, at: prop::sample::Index,
    ) {
        let key = ClusterKey(key);
        let id = TokenId { cluster: CLUSTER, expires: Millis(expires), uses, nonce };
        let made = JoinToken::of(&key, id).at(addresses.clone());
        let word = made.to_word();
        prop_assert!(word.chars().all(|char| char.is_ascii_alphanumeric() || "._-".contains(char)));
        let token = JoinToken::parse(&format!(" {word}\n")).unwrap();
        prop_assert_eq!(token.id(), id);
        prop_assert_eq!(token.addresses(), &addresses);
        prop_assert_eq!(&token, &made);
        prop_assert_ne!(&JoinToken::of(&key, TokenId { uses: uses.wrapping_add(1), ..id }).at(addresses), &token);
        prop_assert!(JoinToken::parse(&word[..at.index(word.len())]).is_err());
    }

    #[test]
    fn no_text_is_too_odd_to_be_refused(text in "(fn1\\.)?\\PC*") {
        prop_assert!(JoinToken::parse(&text).is_err());
    }
}

/// Continues as the next incarnation of the node's key.
async fn reincarnate(node: &mut Node) {
    let (inputs, inbox) = mpsc::channel(1024);
    let (next, address) = (node.id.next_incarnation().unwrap(), node.address());
    node.transport.reincarnate(next, inputs).await.unwrap();
    assert_eq!(node.address(), address);
    (node.id, node.inbox, node.handle) = (next, inbox, node.transport.handle());
    node.connected.clear();
}

#[tokio::test]
async fn the_next_incarnation_knows_nobody_and_joins_beside_the_old_contact() {
    let (mut a, mut j) = (sponsor(), sponsor());
    introduce_all(&[&a, &j]);
    a.wait_connected(j.id).await;
    j.wait_connected(a.id).await;
    let (was, old, old_handle) = (j.id, j.contact(), j.handle.clone());
    reincarnate(&mut j).await;
    a.wait_disconnected(was).await;
    assert!(old_handle.connected().is_empty() && j.handle.connected().is_empty());
    // For a the old incarnation is still a member, which a keeps dialing; the new one is a newcomer.
    let joined = try_join(&j, a.address().to_string(), token(&KEY, NEVER)).await.unwrap();
    assert_eq!(joined.sponsor, a.id);
    a.wait_connected(j.id).await;
    j.wait_connected(a.id).await;
    j.say(&a, Lane::Ordered, 5);
    assert_eq!(a.number().await, 5);
    a.handle.set_peers(vec![j.contact()], vec![old], Barred::default());
    a.say(&j, Lane::Ordered, 6);
    assert_eq!(j.number().await, 6);
    assert_eq!(a.handle.connected(), [j.id]);
    let error = j.transport.reincarnate(NodeId(77), mpsc::channel(1).0).await.unwrap_err();
    assert!(matches!(error, TransportError::NotOurs(NodeId(77))));
}

/// A crash of the old incarnation closes no connection, and a copy of its directory may still run.
#[tokio::test]
async fn the_next_incarnation_takes_the_place_of_the_one_before() {
    let patient = Limits { idle_timeout: DEADLINE, ..limits() };
    let mut a = Node::start_with(TempDir::new().unwrap(), patient.clone(), None, 1024);
    let mut old = Node::start_with(TempDir::new().unwrap(), patient.clone(), None, 1024);
    for node in [&a, &old] {
        node.handle.set_cluster(CLUSTER, Some(KEY));
    }
    introduce_all(&[&a, &old]);
    a.wait_connected(old.id).await;
    old.wait_connected(a.id).await;
    let copy = TempDir::new().unwrap();
    std::fs::copy(old.dir.path().join("identity.key"), copy.path().join("identity.key")).unwrap();
    let mut new = Node::start_with(copy, patient, None, 1024);
    reincarnate(&mut new).await;
    try_join(&new, a.address().to_string(), token(&KEY, NEVER)).await.unwrap();
    a.wait_disconnected(old.id).await;
    old.wait_disconnected(a.id).await;
    eventually(|| a.handle.connected() == [new.id]).await;
    assert!(refusal(old.dial(&a, Some(a.public_key)).await).contains("later incarnation"));
}

/// Starts a node and one that it dials. A process with a copy of its key has taken its place as its next incarnation.
async fn overtaken(limits: Limits) -> (Node, Node, Node) {
    let start = |dir| Node::start_with(dir, limits.clone(), None, 1024);
    let (mut a, old, copy) = (start(TempDir::new().unwrap()), start(TempDir::new().unwrap()), TempDir::new().unwrap());
    for node in [&a, &old] {
        node.handle.set_cluster(CLUSTER, Some(KEY));
    }
    std::fs::copy(old.dir.path().join("identity.key"), copy.path().join("identity.key")).unwrap();
    let mut new = start(copy);
    reincarnate(&mut new).await;
    a.handle.set_peers(vec![old.contact()], vec![], Barred::default());
    try_join(&new, a.address().to_string(), token(&KEY, NEVER)).await.unwrap();
    a.wait_connected(new.id).await;
    (a, old, new)
}

#[tokio::test]
async fn a_node_whose_next_incarnation_is_a_member_learns_that_it_is_outlived() {
    let (a, old, new) = overtaken(limits()).await;
    a.handle.set_peers(vec![new.contact()], vec![old.contact()], Barred::default());
    old.handle.set_peers(vec![a.contact()], vec![], Barred::default());
    timeout(DEADLINE, old.handle.outlived()).await.expect("it is refused for longer than a dead connection lasts");
}

/// The copy was tried out, and is gone again. Whether it was a member or not, the node itself goes on.
#[tokio::test]
async fn a_node_is_not_outlived_by_one_that_is_gone_soon_or_never_was_let_in() {
    for (is_member, why) in [(false, "asks to be let in"), (true, "and a member")] {
        let (mut a, old, new) = overtaken(Limits { idle_timeout: DEADLINE, ..limits() }).await;
        if is_member {
            a.handle.set_peers(vec![new.contact()], vec![old.contact()], Barred::default());
        }
        let refused = refusal(old.dial(&a, Some(a.public_key)).await);
        assert!(refused.contains(why), "{refused}");
        old.handle.set_peers(vec![a.contact()], vec![], Barred::default());
        let gone = new.id;
        new.transport.close().await;
        a.wait_disconnected(gone).await;
        a.wait_connected(old.id).await;
        assert!(!old.handle.shared.state().outlived, "a member: {is_member}");
    }
}

/// A node with the cluster's secret can connect to any member, not to its sponsor alone.
#[tokio::test]
async fn a_token_is_shown_to_every_peer() {
    let (mut a, mut j) = (sponsor(), sponsor());
    j.handle.show_token(Some(token(&KEY, NEVER)));
    j.handle.set_peers(vec![a.contact()], vec![], Barred::default());
    a.wait_connected(j.id).await;
    j.wait_connected(a.id).await;
    j.handle.show_token(None);
    j.handle.set_peers(vec![], vec![], Barred::default());
    j.wait_disconnected(a.id).await;
    assert!(refusal(j.dial(&a, Some(a.public_key)).await).contains("no member"));
}

/// A member, and a newcomer that connected with a token.
async fn newcomer() -> (Node, Node) {
    let (mut a, mut j) = (sponsor(), Node::start());
    let token = token(&KEY, NEVER);
    try_join(&j, a.address().to_string(), token.clone()).await.unwrap();
    a.wait_connected(j.id).await;
    j.wait_connected(a.id).await;
    (a, j)
}

fn is_long(input: &Input) -> Option<()> {
    matches!(input, Input::Message { message: Message::Contacts(_), .. }).then_some(())
}

#[tokio::test]
async fn of_a_newcomer_nothing_long_is_read_before_it_is_heard_as_a_member() {
    let becomes_member = |a: &Node, j: &Node| a.handle.set_peers(vec![j.contact()], vec![], Barred::default());
    let proves_to_be_one = |a: &Node, j: &Node| a.handle.hear(j.id);
    for heard in [becomes_member, proves_to_be_one] {
        let (mut a, j) = newcomer().await;
        j.say(&a, Lane::Ordered, 5);
        j.handle.send(a.id, Lane::Ordered, &long(1 << 20));
        assert_eq!(a.number().await, 5);
        heard(&a, &j);
        a.wait_for(is_long).await;
        assert!(a.handle.stats().bytes_in > 1 << 20);
    }
}

#[tokio::test]
async fn what_is_too_long_of_those_who_are_no_members_is_left_out_and_all_else_is_heard() {
    let (mut a, j) = newcomer().await;
    let mut count = 0;
    for is_former in [false, true] {
        if is_former {
            a.handle.set_peers(vec![], vec![j.contact()], Barred::default());
        }
        // These are more bytes than the connection's window.
        for _ in 0..8 {
            count += 1;
            j.handle.send(a.id, Lane::Bulk, &long(1 << 20));
            eventually(|| j.handle.stats().dropped == count).await;
            j.say(&a, Lane::Ordered, count);
            assert_eq!(a.number().await, count);
        }
    }
    assert!(a.handle.stats().bytes_in < 1 << 10, "{} bytes were read", a.handle.stats().bytes_in);
}

#[tokio::test]
async fn a_newcomer_says_what_its_joining_asks_for_and_keeps_few_streams_open() {
    let (mut a, mut j) = newcomer().await;
    j.say(&a, Lane::Ordered, 5);
    assert_eq!(a.number().await, 5);
    j.handle.send(a.id, Lane::Bulk, &long(200 << 10));
    a.wait_for(is_long).await;
    let connection = j.handle.shared.state().links[&a.id].connection.clone();
    let mut open = Vec::new();
    for number in 0..4 {
        // By the time of the answer all credit has been granted.
        j.say(&a, Lane::Ordered, number);
        assert_eq!(a.number().await, number);
        a.say(&j, Lane::Ordered, number);
        assert_eq!(j.number().await, number);
        tokio::select! {
            biased;
            stream = connection.open_uni() => {
                let mut stream = stream.unwrap();
                stream.write_all(&[1]).await.unwrap();
                open.push(stream);
            }
            () = std::future::ready(()) => {}
        }
    }
    assert_eq!(open.len(), 1, "beside its ordered stream");
    a.handle.hear(j.id);
    let more = async {
        for _ in 0..8 {
            open.push(connection.open_uni().await.unwrap());
        }
    };
    timeout(DEADLINE, more).await.expect("a member has more of them");
}

#[tokio::test]
async fn a_token_that_was_used_and_a_key_that_is_banned_are_refused() {
    let mut a = sponsor();
    let (first, second) = (Node::start(), Node::start());
    let address = a.address().to_string();
    let id = TokenId { uses: 1, ..token(&KEY, NEVER).id() };
    let once = JoinToken::of(&KEY, id);
    try_join(&first, address.clone(), once.clone()).await.unwrap();
    let pass = Pass { nonce: id.nonce, uses: 1 };
    let showed = a.wait_for(|input| match input {
        Input::Showed { from, pass } => Some((*from, *pass)),
        _ => None,
    });
    assert_eq!(showed.await, (first.id, pass));
    // The membership says that the token was used up.
    let spent = Barred { spent: [(id.nonce, 1)].into(), ..Barred::default() };
    a.handle.set_peers(vec![first.contact()], vec![], spent);
    let error = try_join(&second, address.clone(), once).await.unwrap_err().to_string();
    assert!(error.contains("as many nodes as it was made for"), "{error}");
    let keys = [second.id.first_incarnation()].into();
    a.handle.set_peers(vec![first.contact()], vec![], Barred { keys, ..Barred::default() });
    let error = try_join(&second, address, token(&KEY, NEVER)).await.unwrap_err().to_string();
    assert!(error.contains("banned") && error.contains("member unban"), "{error}");
}

#[tokio::test]
async fn a_newcomer_asks_at_the_next_address_where_one_is_dead() {
    let a = sponsor();
    let dead = std::net::UdpSocket::bind(loopback()).unwrap();
    let limits = Limits { handshake: Duration::from_millis(200), ..limits() };
    let patient = Node::start_with(TempDir::new().unwrap(), limits, None, 1024);
    let addresses = vec![dead.local_addr().unwrap().to_string(), a.address().to_string()];
    let joined = outcome(patient.handle.join(addresses, token(&KEY, NEVER))).await.unwrap();
    assert_eq!(joined.sponsor, a.id);
}
