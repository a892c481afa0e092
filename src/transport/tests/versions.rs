//! Nodes of other wire versions: an older minor is spoken to in its own, another major is refused in words.

use super::close::CloseReason;
use super::frame::frame;
use super::*;

fn speaking(wire: WireVersion) -> Node {
    let node = Node::start_speaking(wire, TempDir::new().unwrap(), limits(), None, 1024);
    node.handle.set_cluster(CLUSTER, Some(KEY));
    node
}

const KEY: ClusterKey = ClusterKey([7; 32]);
const OLDER: WireVersion = WireVersion { major: 1, minor: 0 };
const NEXT: WireVersion = WireVersion { major: 2, minor: 0 };

/// The whole sentence of a refusal, whoever reads it.
fn explains(text: &str, dialer: WireVersion, dialed: WireVersion, upgrade: &str) {
    let parts = [
        format!("the node that dialed speaks wire version {dialer}"),
        format!("the node that was dialed {dialed}"),
        "nothing was exchanged, and each goes on without the other".to_owned(),
        format!("Upgrade forename on {upgrade}"),
    ];
    assert!(parts.iter().all(|part| text.contains(part)), "{text}");
}

#[tokio::test]
async fn an_older_minor_is_told_what_it_knows() {
    let (mut new, mut old) = (speaking(WireVersion::PRESENT), speaking(OLDER));
    introduce_all(&[&new, &old]);
    new.wait_connected(old.id).await;
    old.wait_connected(new.id).await;
    for node in [&new, &old] {
        assert_eq!(node.handle.wires(), [(new.id, WireVersion::PRESENT), (old.id, OLDER)].into());
    }
    leaves_out(&new, &mut old).await;
    leaves_out(&old, &mut new).await;
}

/// What came with a later minor is left out, and the rest arrives in its order.
async fn leaves_out(from: &Node, to: &mut Node) {
    from.say(to, Lane::Ordered, 1);
    from.handle.send(to.id, Lane::Ordered, &Message::Nominate(from.contact()));
    from.handle.send(to.id, Lane::Ordered, &Message::Evicted { cut: 3 });
    from.say(to, Lane::Ordered, 2);
    for number in [1, 2] {
        let heard = to.next().await;
        let is_next = matches!(&heard, Input::Message { message: Message::Skewed { ahead }, .. } if *ahead == number);
        assert!(is_next, "{heard:?}");
    }
    assert_eq!(from.handle.stats().dropped, 2);
}

#[tokio::test]
async fn peers_of_the_present_version_say_everything() {
    let (mut a, mut b) = (speaking(WireVersion::PRESENT), speaking(WireVersion::PRESENT));
    introduce_all(&[&a, &b]);
    a.wait_connected(b.id).await;
    b.wait_connected(a.id).await;
    a.handle.send(b.id, Lane::Ordered, &Message::Evicted { cut: 3 });
    let heard = b.next().await;
    assert!(matches!(heard, Input::Message { message: Message::Evicted { cut: 3 }, .. }), "{heard:?}");
}

/// A peer that does not keep to what was agreed loses its connection; the node goes on.
#[tokio::test]
async fn a_message_that_the_agreed_version_does_not_have_is_a_violation() {
    let (mut old, mut other) = (speaking(OLDER), speaking(WireVersion::PRESENT));
    introduce_all(&[&old, &other]);
    for (kind, bytes) in [(7, frame(&Message::Evicted { cut: 3 }).unwrap()), (99, frame(&(99u32, 1u64)).unwrap())] {
        old.wait_connected(other.id).await;
        other.wait_connected(old.id).await;
        let connection = other.handle.shared.state().links[&old.id].connection.clone();
        let mut stream = connection.open_uni().await.unwrap();
        stream.write_all(&[&[1], bytes.as_slice()].concat()).await.unwrap();
        let closed = timeout(DEADLINE, connection.closed()).await.unwrap().to_string();
        assert!(
            closed.contains(&format!("a message of kind {kind}, which wire version 1.0 does not have")),
            "{closed}"
        );
        old.wait_disconnected(other.id).await;
        other.wait_disconnected(old.id).await;
    }
    old.wait_connected(other.id).await;
    other.wait_connected(old.id).await;
    other.say(&old, Lane::Ordered, 1);
    assert_eq!(old.number().await, 1);
}

#[tokio::test]
async fn another_major_is_refused_in_words_on_both_sides() {
    let (ours, next) = (speaking(WireVersion::PRESENT), speaking(NEXT));
    // They are members to each other, so it is the version alone that they are refused for.
    let no_address = |node: &Node| node.contact_at("127.0.0.1:1".to_owned());
    ours.handle.set_peers(vec![no_address(&next)], vec![]);
    next.handle.set_peers(vec![no_address(&ours)], vec![]);
    let present = WireVersion::PRESENT;
    explains(&refusal(ours.dial(&next, Some(next.public_key)).await), present, NEXT, "the node that dialed");
    explains(&refusal(next.dial(&ours, Some(ours.public_key)).await), NEXT, present, "the node that was dialed");
    assert!(ours.handle.connected().is_empty() && next.handle.connected().is_empty());
    // The side that was dialed has logged it: it is no news any more.
    let logged = CloseReason::Version { dialer: NEXT, dialed: present }.to_string();
    eventually(|| !ours.handle.shared.is_new_refusal(ours.address().ip(), &logged)).await;
}

#[tokio::test]
async fn a_newcomer_of_another_major_is_told_what_to_upgrade() {
    let (sponsor, newcomer) = (speaking(NEXT), Node::start());
    let token = mint_token(&KEY, Millis(u64::MAX), [1; 16]);
    let address = sponsor.address().to_string();
    let outcome = newcomer.handle.join(address.clone(), &token);
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
