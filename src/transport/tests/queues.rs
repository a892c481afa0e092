use proptest::prelude::*;

use super::dial::Backoff;
use super::frame::{FrameError, MAX_FRAME, frame, pieces};
use super::outbox::Outbox;
use super::*;
use crate::store::{Table, Write};

/// The driver of one peer does not read: soon messages to this peer are dropped, and no other peer waits.
#[tokio::test]
async fn a_full_queue_drops_and_stalls_nobody() {
    let (mut a, mut c) = (Node::member(), Node::member());
    let mut slow = Node::start_with(TempDir::new().unwrap(), limits(), None, 1);
    slow.handle.set_cluster(CLUSTER, None);
    a.handle.set_peers(vec![c.contact(), slow.contact()], vec![], Barred::default());
    for node in [&c, &slow] {
        node.handle.set_peers(vec![a.contact()], vec![], Barred::default());
    }
    slow.wait_connected(a.id).await;
    c.wait_connected(a.id).await;
    while a.connected.len() < 2 {
        a.next().await;
    }
    let mut sent = 0;
    while a.handle.stats().dropped < 10 {
        sent += 1;
        assert!(sent < 10_000, "it never filled");
        a.handle.send(slow.id, Lane::Ordered, &large(sent));
    }
    a.say(&c, Lane::Ordered, 1);
    assert_eq!(c.number().await, 1);

    // The messages that were not dropped arrive in order once the peer reads; the last one is sent when there is room
    // again.
    let mut last = 0;
    while last <= sent {
        a.handle.send(slow.id, Lane::Ordered, &large(sent + 1));
        let next = slow.wait_for(number_of_large).await;
        assert!(next >= last, "{next} after {last}");
        last = next;
    }
}

/// A message that fills queues quickly.
fn large(number: u64) -> Message {
    let label = "x".repeat(64 << 10);
    let (public_key, address) = (Vec::new(), String::new());
    Message::Contacts(vec![Contact { node: NodeId(0), public_key, address, label, as_of: Millis(number) }])
}

fn number_of_large(input: &Input) -> Option<u64> {
    match input {
        Input::Message { message: Message::Contacts(contacts), .. } => Some(contacts[0].as_of.0),
        _ => None,
    }
}

#[tokio::test]
async fn what_is_sent_to_nobody_is_counted() {
    let a = Node::member();
    a.handle.send(NodeId(5), Lane::Bulk, &number(1));
    assert_eq!(a.handle.stats(), Stats { dropped: 1, ..Stats::default() });
}

#[tokio::test]
async fn closing_does_not_wait_for_a_driver_that_does_not_read() {
    let (mut a, b) = (Node::member(), Node::start_with(TempDir::new().unwrap(), limits(), None, 1));
    b.handle.set_cluster(CLUSTER, None);
    introduce_all(&[&a, &b]);
    a.wait_connected(b.id).await;
    let (id, handle) = (b.id, b.handle.clone());
    timeout(DEADLINE, b.close()).await.unwrap();
    a.wait_disconnected(id).await;
    // A handle does nothing after its transport has ended.
    handle.set_peers(vec![a.contact()], vec![], Barred::default());
    drop(handle.join(vec![a.address().to_string()], token(&ClusterKey([7; 32]), Millis(u64::MAX))));
    assert!(handle.connected().is_empty());
}

#[test]
fn a_message_that_is_too_long_is_not_framed() {
    assert!(frame(&vec![0u8; MAX_FRAME - 8]).is_ok());
    assert!(matches!(frame(&vec![0u8; MAX_FRAME + 1]), Err(FrameError::TooLong { .. })));
}

proptest! {
    #[test]
    fn an_outbox_keeps_order_and_bounds(sizes in prop::collection::vec(0usize..20, 0..40), pops in prop::collection::vec(any::<bool>(), 40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let outbox = Outbox::new(QueueLimit { frames: 5, bytes: 30 });
        let mut expected = std::collections::VecDeque::new();
        for (i, (size, pop)) in sizes.into_iter().zip(pops).enumerate() {
            let frame = vec![i as u8; size];
            let bytes: usize = expected.iter().map(Vec::len).sum();
            let fits = expected.is_empty() || expected.len() < 5 && bytes + size <= 30;
            prop_assert_eq!(outbox.push(frame.clone()), fits);
            if fits {
                expected.push_back(frame);
            }
            if let Some(frame) = pop.then(|| expected.pop_front()).flatten() {
                prop_assert_eq!(runtime.block_on(outbox.pop()), frame);
            }
        }
    }

    #[test]
    fn waits_grow_to_the_cap_and_start_anew_after_a_lasting_connection(chances in prop::collection::vec(any::<u64>(), 1..40)) {
        let limits = limits();
        let mut backoff = Backoff::new(&limits);
        for (i, chance) in chances.into_iter().enumerate() {
            let full = limits.backoff.saturating_mul(1 << i.min(16)).min(limits.backoff_cap);
            let wait = backoff.next(chance);
            prop_assert!(wait >= full / 2 && wait <= full, "{:?} of {:?}", wait, full);
        }
        backoff.ended_after(limits.backoff_cap);
        prop_assert!(backoff.next(u64::MAX) <= limits.backoff);
    }

    #[test]
    fn pieces_cover_all_rows(sizes in prop::collection::vec(0usize..400_000, 0..20)) {
        let rows: Vec<_> = sizes.iter().map(|size| Write { table: Table::Log, key: vec![0; *size], value: None }).collect();
        let pieces = pieces(&rows);
        let covered: Vec<usize> = pieces.iter().cloned().flatten().collect();
        prop_assert_eq!(covered, (0..rows.len()).collect::<Vec<_>>());
        prop_assert!(pieces.iter().all(|piece| !piece.is_empty()));
    }
}
