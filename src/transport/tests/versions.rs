//! Nodes of other wire versions: a later minor connects, except for what only it knows; another major is refused with
//! an explanation.

use std::collections::BTreeMap;

use super::close::CloseReason;
use super::frame::frame;
use super::*;
use crate::clock::{Hlc, Millis};
use crate::codec;
use crate::log::Chain;

fn joining(wire: WireVersion) -> Node {
    Node::start_speaking(wire, TempDir::new().unwrap(), limits(), None, 1024)
}

fn speaking(wire: WireVersion) -> Node {
    let node = joining(wire);
    node.handle.set_cluster(CLUSTER, Some(KEY));
    node
}

const KEY: ClusterKey = ClusterKey([7; 32]);
const LATER: WireVersion = WireVersion { major: 1, minor: 1 };
const NEXT: WireVersion = WireVersion { major: 2, minor: 0 };

/// Checks the whole sentence of a refusal, which is the same on both sides.
fn explains(text: &str, dialer: WireVersion, dialed: WireVersion, upgrade: &str) {
    let parts = [
        format!("the node that dialed speaks wire version {dialer}"),
        format!("the node that was dialed {dialed}"),
        "nothing was exchanged, and each goes on without the other".to_owned(),
        format!("Upgrade forename on {upgrade}"),
    ];
    assert!(parts.iter().all(|part| text.contains(part)), "{text}");
}

/// A newcomer of a later minor joins and is understood. A message or op of a kind that only its version has is refused
/// with an explanation, and after a reconnect the others are taken as before.
#[tokio::test]
async fn a_later_minor_joins_and_what_only_it_has_is_refused_in_words() {
    let (mut ours, mut later) = (speaking(WireVersion::PRESENT), joining(LATER));
    let token = token(&KEY, Millis(u64::MAX));
    let outcome = later.handle.join(vec![ours.address().to_string()], token);
    timeout(DEADLINE, outcome).await.expect("no outcome in time").unwrap().unwrap();
    later.handle.set_cluster(CLUSTER, Some(KEY));
    introduce_all(&[&ours, &later]);
    let wires: BTreeMap<_, _> = [(ours.id, WireVersion::PRESENT), (later.id, LATER)].into();
    // This is the number of `Message::Ops`, one op with a body of an unknown kind, and `more: false`.
    let (node, seq, hlc) = (later.id, 1u64, Hlc::from_millis(Millis(1)));
    let op = codec::encode(&(node, seq, hlc, 99u32));
    let unknown_body = frame(&(3u32, vec![(Chain::default(), op)], false)).unwrap();
    let unknown_message = frame(&(99u32, 1u64)).unwrap();
    for bytes in [unknown_body, unknown_message] {
        ours.wait_connected(later.id).await;
        later.wait_connected(ours.id).await;
        assert_eq!(ours.handle.wires(), wires);
        later.say(&ours, Lane::Ordered, 1);
        assert_eq!(ours.number().await, 1);
        let connection = later.handle.shared.state().links[&ours.id].connection.clone();
        let mut stream = connection.open_uni().await.unwrap();
        stream.write_all(&[&[1], bytes.as_slice()].concat()).await.unwrap();
        let closed = timeout(DEADLINE, connection.closed()).await.unwrap().to_string();
        for part in
            ["from a node that speaks wire version 1.1 to one that speaks 1.0", "nothing of it was taken", "Upgrade"]
        {
            assert!(closed.contains(part), "{closed}");
        }
        ours.wait_disconnected(later.id).await;
        later.wait_disconnected(ours.id).await;
    }
    ours.wait_connected(later.id).await;
    later.wait_connected(ours.id).await;
    later.say(&ours, Lane::Ordered, 2);
    assert_eq!(ours.number().await, 2);
}

#[tokio::test]
async fn another_major_is_refused_in_words_on_both_sides() {
    let (ours, next) = (speaking(WireVersion::PRESENT), speaking(NEXT));
    // Both know each other as members, so only the version is a reason for refusal.
    let no_address = |node: &Node| node.contact_at("127.0.0.1:1".to_owned());
    ours.handle.set_peers(vec![no_address(&next)], vec![], Barred::default());
    next.handle.set_peers(vec![no_address(&ours)], vec![], Barred::default());
    let present = WireVersion::PRESENT;
    explains(&refusal(ours.dial(&next, Some(next.public_key)).await), present, NEXT, "the node that dialed");
    explains(&refusal(next.dial(&ours, Some(ours.public_key)).await), NEXT, present, "the node that was dialed");
    assert!(ours.handle.connected().is_empty() && next.handle.connected().is_empty());
    // The node that was dialed has logged the refusal, so the same refusal is not logged again.
    let logged = CloseReason::Version { dialer: NEXT, dialed: present }.to_string();
    eventually(|| ours.handle.shared.refused(ours.address().ip(), &logged).is_none()).await;
}

#[tokio::test]
async fn a_newcomer_of_another_major_is_told_what_to_upgrade() {
    let (sponsor, newcomer) = (speaking(NEXT), Node::start());
    let token = token(&KEY, Millis(u64::MAX));
    let address = sponsor.address().to_string();
    let outcome = newcomer.handle.join(vec![address.clone()], token);
    let error = timeout(DEADLINE, outcome).await.expect("no outcome in time").unwrap().unwrap_err();
    assert!(matches!(&error, JoinError::Version { address: dialed, .. } if *dialed == address), "{error:?}");
    explains(&error.to_string(), WireVersion::PRESENT, NEXT, "the node that dialed");
    assert!(sponsor.handle.connected().is_empty());
}

/// A later version's hello may be longer than ours, and of any form after its version.
#[tokio::test]
async fn the_version_is_read_before_anything_else() {
    let (ours, other) = (speaking(WireVersion::PRESENT), Node::start());
    let connection = connect(&other.handle.shared, &ours.address().to_string(), None).await.unwrap();
    let (mut send, _receive) = connection.open_bi().await.unwrap();
    send.write_all(&[NEXT.to_bytes().as_slice(), &[0xff; 4096]].concat()).await.unwrap();
    let closed = timeout(DEADLINE, connection.closed()).await.unwrap().to_string();
    explains(&closed, NEXT, WireVersion::PRESENT, "the node that was dialed");
}
